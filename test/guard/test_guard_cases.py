"""The worked cases: all agree, and a changed expectation does not."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from guard_support import limit_cases

from cosmos_ros.cli.main import main
from cosmos_ros.errors import InputError
from cosmos_ros.guard.cases import judge_trajectory, load_cases
from cosmos_ros.guard.examine import examine


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
        {"robot": "../../etc"},
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


@pytest.mark.parametrize("text", ["", "[]", '{"cases": 3}', '{"cases": [1]}'])
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
    monkeypatch.setattr("cosmos_ros.guard.cases.MAX_FILE_BYTES", 3)
    with pytest.raises(InputError, match="bytes are more"):
        load_cases(path)


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
