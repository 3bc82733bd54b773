"""The worked cases: all agree, and a changed expectation does not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from guard_support import limit_cases

from cosmos_ros.cli.main import main
from cosmos_ros.conformance.case_format import load_cases
from cosmos_ros.conformance.examine import examine
from cosmos_ros.conformance.trajectory_cases import judge_trajectory
from cosmos_ros.errors import InputError


def all_cases() -> tuple[list[dict[str, Any]], dict[str, Any]]:
    file = load_cases(limit_cases())
    return [copy.deepcopy(dict(case)) for case in file.cases], dict(file.shared)


def case_of(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    cases, shared = all_cases()
    return next(case for case in cases if case["id"] == name), shared


def test_every_case_agrees() -> None:
    cases, shared = all_cases()
    assert len(cases) >= 40
    wrong = [result.line() for result in (examine(case, shared) for case in cases) if not result.agrees]
    assert not wrong, "\n".join(wrong)


def test_every_violation_of_every_trajectory_is_found() -> None:
    """Not only the first: kind, joint, time and value of all, where the reference went on to look."""
    cases, shared = all_cases()
    for case in cases:
        if case["kind"] != "trajectory" or case["id"] == "name_unknown":  # the reference names one unknown joint only
            continue
        found = {(v.limit, v.joint): v for v in judge_trajectory(case, shared).violations}
        expected = case["expected"]["all_violations"]
        assert set(found) == {(v["limit"], v["joint"]) for v in expected}, case["id"]
        for wanted in expected:
            got = found[wanted["limit"], wanted["joint"]]
            if wanted["time"] is not None:
                assert got.time == pytest.approx(wanted["time"], abs=5e-5), case["id"]
            if wanted["value"] is not None and wanted["limit"] != "workspace":
                assert got.value == pytest.approx(wanted["value"], abs=1e-5), case["id"]


CHANGES: list[tuple[str, Any]] = [
    ("verdict", "accept"),
    ("limit", "jerk"),
    ("joint", "panda_joint3"),
    ("time", 0.35),
    ("value", 0.1),
    ("bound", -0.1),
    ("last_safe_point_index", 0),
]


@pytest.mark.parametrize(("field", "value"), CHANGES)
def test_a_changed_expectation_does_not_agree(field: str, value: Any) -> None:
    case, shared = case_of("pos_panda_j4_upper")
    expected = case["expected"]
    target = expected if field in ("verdict", "last_safe_point_index") else expected["first"]
    target[field] = value
    expected["all_violations"] = [expected["first"]]
    assert not examine(case, shared).agrees


def test_a_changed_trajectory_does_not_agree() -> None:
    for name in ("vel_just_ok", "cubic_overshoot_inside_ok", "quintic_rest_to_rest_ok"):
        case, shared = case_of(name)
        for point in case["trajectory"]["points"][-1:]:
            point["positions"] = [q + 1.0 for q in point["positions"]]
        assert not examine(case, shared).agrees, name


def test_the_uniform_time_scale_is_compared() -> None:
    case, shared = case_of("acc_quintic")
    case["expected"]["min_uniform_time_scale"] = 1.2
    assert "uniform time scale" in examine(case, shared).differences[0]


def test_any_of_several_violations_at_one_time_is_right() -> None:
    case, shared = case_of("name_permuted_trap")
    for violation in case["expected"]["all_violations"][:4]:
        case["expected"]["first"] = violation
        assert examine(case, shared).agrees


def test_interpolation_is_the_cases_own() -> None:
    """The same points with velocities, run linearly, do not overshoot."""
    case, shared = case_of("cubic_overshoot_inside_ok")
    for point, sign in zip(case["trajectory"]["points"], (1.0, -1.0), strict=True):
        point["velocities"][1] = 0.8 * sign
    case["start_state"]["velocities"][1] = 0.8
    assert examine(case, shared).answer.verdict == "reject"
    case["interpolation"] = "linear"
    assert examine(case, shared).answer.verdict == "accept"


def test_a_declared_mimic_rule_and_missing_velocities() -> None:
    case, shared = case_of("wx_mimic_mismatch")
    case["limits"]["mimic"] = {"right_finger": {"source": "left_finger", "multiplier": 1.0, "offset": -0.05}}
    case["start_state"]["velocities"] = None
    assert examine(case, shared).answer.verdict == "accept"


def test_without_a_state_a_trajectory_that_needs_none_is_judged() -> None:
    case, shared = case_of("same_knots_linear_ok")
    case["start_state"] = None
    assert examine(case, shared).agrees


# -- chunks ----------------------------------------------------------------------------------------------------------


def test_chunk_kinds() -> None:
    case, shared = case_of("droid_real_ok")
    good = copy.deepcopy(case)
    assert examine(good, shared).agrees

    def answer(change: Any) -> Any:
        changed = copy.deepcopy(case)
        change(changed)
        changed["expected"] = {"verdict": "reject"}
        return examine(changed, shared).answer

    jump = answer(lambda c: c["actions"][7].__setitem__(0, 0.3))
    assert jump.violations[0].limit == "cartesian_speed" and jump.step == 7
    assert jump.violations[0].value == pytest.approx(4.5, rel=0.05) and jump.violations[0].bound == 1.7
    spin = answer(lambda c: c["actions"][2].__setitem__(slice(3, 9), [0.0, 1.0, 0.0, -1.0, 0.0, 0.0]))
    assert spin.violations[0].limit == "rotational_speed" and spin.step == 2
    zero = answer(lambda c: c["actions"][4].__setitem__(slice(3, 9), [0.0] * 6))
    assert (zero.violations[0].limit, zero.step, zero.violations[0].value) == ("rot6d", 4, 1.0)
    nan = answer(lambda c: c["actions"][9].__setitem__(1, "NaN"))
    assert (nan.violations[0].limit, nan.step) == ("nonfinite", 9)
    assert nan.violations[0].time == pytest.approx(0.6)
    far = answer(lambda c: c.__setitem__("actions", [[0.1, 0, 0, 1, 0, 0, 0, 1, 0, 1.0]] * 16))
    assert far.violations[0].limit == "ik"
    own = answer(lambda c: c.update(limits={"cartesian": {"trans_vel": 0.1, "rot_vel": 9.0}}))
    assert own.violations[0].limit == "cartesian_speed" and own.violations[0].bound == 0.1


@pytest.mark.parametrize(("field", "value"), [("final_tip_pose", None), ("max_tip_speed", 0.3), ("turned", None)])
def test_a_chunk_that_ends_elsewhere_does_not_agree(field: str, value: Any) -> None:
    case, shared = case_of("droid_real_ok")
    if field == "final_tip_pose":
        case["expected"]["final_tip_pose"][0][3] += 0.01
    elif field == "turned":
        pose = case["expected"]["final_tip_pose"]
        for row in pose[:3]:
            row[0], row[1] = row[1], -row[0]
    else:
        case["expected"][field] = value
    assert not examine(case, shared).agrees


# -- files and the command -------------------------------------------------------------------------------------------


def test_malformed_cases_differ_and_say_why() -> None:
    cases, shared = all_cases()
    broken = copy.deepcopy(cases[0])
    del broken["limits"]
    assert "not a case of this format" in examine(broken, shared).line()
    for change in (
        {"robot": "../../etc", "checks": ["plane"]},
        {"robot": "nonesuch", "checks": ["plane"]},
        {"limits": {**cases[0]["limits"], "position_dependent_velocity": True}},
        {"checks": ["self_collision"], "robot": "ur5e"},
    ):
        assert not examine({**cases[1], **change}, shared).agrees
    chunk = next(c for c in cases if c["id"] == "ik_unreachable")
    assert not examine({**chunk, "start_joints": [0.0]}, shared).agrees
    assert not examine({**chunk, "actions": [[1.0, 2.0]]}, shared).agrees


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "answers.json"
    assert main(["guard", "check", str(limit_cases()), "--json", str(out)]) == 0
    printed = capsys.readouterr().out.splitlines()
    answers = json.loads(out.read_text())
    assert answers["agree"] and len(answers["cases"]) == len(printed) - 1
    assert printed[-1].endswith("cases agree")
    first = next(a for a in answers["cases"] if a["id"] == "pos_panda_j4_upper")["first"]
    assert (first["limit"], first["joint"], first["bound"]) == ("position", "panda_joint4", -0.0698)
    line = next(text for text in printed if "pos_panda_j4_upper" in text)
    assert "panda_joint4" in line and "0.384 s" in line and "-0.0698" in line


def test_command_exits_with_one_on_a_disagreement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases, shared = all_cases()
    cases = [c for c in cases if c["id"] in ("vel_just_ok", "nan_pos")]
    cases[1]["expected"] = {"verdict": "reject", "first": None}
    path = tmp_path / "cases.json"
    path.write_text(json.dumps({**shared, "cases": cases}))
    assert main(["guard", "check", str(path)]) == 1
    assert "DIFFERS" in capsys.readouterr().out
    path.write_text(json.dumps({"cases": []}))
    assert main(["guard", "check", str(path)]) == 1


NO_CASES = ["", "[]", '{"cases": 3}', '{"cases": [1]}', '{"format_version": 2, "cases": []}', "[" * 200_000]


@pytest.mark.parametrize("text", NO_CASES, ids=range(len(NO_CASES)))
def test_files_that_are_no_cases(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cases.json"
    path.write_text(text)
    with pytest.raises(InputError):
        load_cases(path)
    assert main(["guard", "check", str(path)]) == 2


def test_missing_and_oversized_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError):
        load_cases(tmp_path / "none.json")
    path = tmp_path / "cases.json"
    path.write_text('{"cases": []}')
    monkeypatch.setattr("cosmos_ros.conformance.case_format.MAX_FILE_BYTES", 3)
    with pytest.raises(InputError, match="bytes are more"):
        load_cases(path)


def test_what_never_ends_is_not_read() -> None:
    with pytest.raises(InputError, match="regular file"):
        load_cases("/dev/zero")


def test_answers_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["guard", "check", str(limit_cases()), "--json", str(tmp_path)]) == 2
    output = capsys.readouterr()
    assert "49 of 49 cases agree" in output.out and "cannot be written" in output.err


def _edit(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(case: dict[str, Any]) -> None:
        target: Any = case
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = value

    return change


NOT_OF_THE_FORMAT = [
    _edit("kind", value="pose"),
    _edit("interpolation", value="septic"),
    _edit("checks", value="position"),
    _edit("expected", "verdict", value="slow_down"),
    _edit("limits", "joints", "panda_joint1", "velocity", value="fast"),
    _edit("trajectory", "joint_names", value=[1, 2, 3, 4, 5, 6, 7]),
    _edit("trajectory", "points", value={"a": 1}),
    _edit("trajectory", "points", 1, "positions", value="1234567"),
    _edit("trajectory", "points", 1, "positions", 0, value=True),
    _edit("start_state", "positions", value=[0.0]),
    _edit("start_state", "age_s", value=1e300),
    _edit("start_state", "age_s", value="NaN"),
]


@pytest.mark.parametrize("change", NOT_OF_THE_FORMAT)
def test_what_is_not_of_the_format_is_not_judged(change: Callable[[dict[str, Any]], None]) -> None:
    """Neither accepted nor rejected, and the other cases of the file are answered all the same."""
    case, shared = case_of("vel_just_ok")
    change(case)
    result = examine(case, shared)
    assert not result.agrees and result.answer.verdict == "not judged"
    assert "accept" not in result.line().split("--")[0]


@pytest.mark.parametrize("value", ["NaN", "-Infinity", None, 10**400, float("inf")])
def test_whatever_is_not_finite_is_rejected(value: Any) -> None:
    case, shared = case_of("vel_just_ok")
    case["trajectory"]["points"][1]["positions"][2] = value
    first = examine(case, shared).answer.violations[0]
    assert (first.limit, first.joint, first.time) == ("nonfinite", "panda_joint3", pytest.approx(0.133333333))


def test_what_is_not_finite_is_rejected_in_a_field_that_the_interpolation_leaves_out() -> None:
    case, shared = case_of("acc_quintic")
    case["trajectory"]["points"][1]["accelerations"][4] = "NaN"
    for interpolation in ("cubic", "linear"):
        case["interpolation"] = interpolation
        assert examine(case, shared).answer.violations[0].limit == "nonfinite"


def test_a_name_cannot_act_on_the_terminal() -> None:
    case, shared = case_of("vel_just_ok")
    case["id"] = "\ud800\x1b[2J\nagrees"
    line = examine(case, shared).line()
    assert line.isprintable() and line.encode()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_at_one_time_the_lower_velocity_bound_is_named(sign: float) -> None:
    """FR3 near its bound, faster than even the constant one: what binds is what the position leaves."""
    case, shared = case_of("fr3_pbv_near_limit")
    case["start_state"]["positions"][0] = 2.6 * sign
    for k, point in enumerate(case["trajectory"]["points"]):
        point["positions"][0] = sign * (2.6 + 0.06 * (k + 1))
    first = examine(case, shared).answer.violations[0]
    assert (first.value, first.bound) == (pytest.approx(3.0 * sign), pytest.approx(1.042088 * sign, abs=1e-6))


def test_far_from_its_bound_the_peak_against_the_constant_velocity_bound_is_named() -> None:
    case, shared = case_of("fr3_pbv_centre_ok")
    case["interpolation"] = "cubic"
    for point, q in zip(case["trajectory"]["points"], (0.06, 0.12), strict=True):
        point["positions"][0] = q
        point["velocities"] = [0.0] * 7
    first = examine(case, shared).answer.violations[0]
    assert (first.value, first.bound) == (pytest.approx(4.5), 2.62)


def test_a_box_may_be_open_on_a_side() -> None:
    case, shared = case_of("workspace_exit")
    case["limits"]["cartesian"]["box_min"] = None
    assert examine(case, shared).agrees
    case["limits"]["cartesian"].update(box_min=[0.1, -0.25, 0.05], box_max=[0.7, None, 0.8])
    assert examine(case, shared).answer.verdict == "accept"


def test_a_robot_that_is_not_shipped_is_judged_by_its_limits() -> None:
    case, shared = case_of("vel_nonuniform_dt")
    case["robot"] = "somebody's"
    assert examine(case, shared).agrees


def test_a_chunk_is_held_against_the_robots_bounds_and_not_against_those_it_expects() -> None:
    for name, wrong in (("droid_spin", 2.0), ("rot6d_parallel", 0.5)):
        case, shared = case_of(name)
        case["expected"]["bound"] = wrong
        result = examine(case, shared)
        assert not result.agrees and "bound" in result.line()
    case, shared = case_of("droid_spin")
    for fps in (0, -15, "NaN", None):
        assert examine({**case, "fps": fps}, shared).answer.verdict == "not judged"


def test_a_violation_within_the_time_tolerance_of_the_first_is_right() -> None:
    case, shared = case_of("name_permuted_trap")
    violations = case["expected"]["all_violations"]
    first = {**violations[-1], "time": 0.0005}  # of the position; ours is the velocity at 0
    case["expected"].update(first=first, all_violations=[first, *violations[:4]])
    assert examine(case, shared).agrees
    first["time"] = 0.01
    assert not examine(case, shared).agrees


def test_a_named_step_must_agree() -> None:
    case, shared = case_of("droid_spin")
    step = examine(case, shared).answer.step
    assert step is not None
    case["expected"]["first"] = {"step": step}
    assert examine(case, shared).agrees
    case["expected"]["first"]["step"] = step + 1
    result = examine(case, shared)
    assert not result.agrees and "step" in result.line()


def test_a_chunk_without_a_start_is_judged_without_the_arm() -> None:
    cases, shared = all_cases()
    case = next(c for c in cases if c["kind"] == "chunk" and c.get("start_joints") is not None)
    case.pop("start_joints")
    assert "ik" not in {v.limit for v in examine(case, shared).answer.violations}
