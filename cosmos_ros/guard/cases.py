"""Worked cases in a JSON file: trajectories and chunks with limits, start states and expected verdicts.

The format is that of ``limit_cases.json``; its ``semantics`` say what a checker has to answer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cosmos_ros.errors import InputError
from cosmos_ros.guard.checker import Checker
from cosmos_ros.guard.checks.intake import RawPoint, RawTrajectory, assemble
from cosmos_ros.guard.config import Box, Capsule, GuardConfig, Surroundings
from cosmos_ros.guard.context import GuardContext
from cosmos_ros.guard.kinematics import Points
from cosmos_ros.guard.motion import Motion
from cosmos_ros.guard.uniform import uniform_scale
from cosmos_ros.guard.verdict import Violation, by_time
from cosmos_ros.kinematics import RobotModel
from cosmos_ros.limits import CartesianLimits, JointLimit, Mimic, PositionDependentVelocity, RobotLimits
from cosmos_ros.resources import resource
from cosmos_ros.types import NANOSECONDS, JointState, JointTrajectory

_NOW = 1_000 * NANOSECONDS
MAX_FILE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Answer:
    """What the checker says to one case.

    Attributes:
        violations: Sorted by time; none means accepted.
        alternatives: Further values that are right for a violation, by limit (peak and first value may differ).
        details: Further results to compare, by the name they have under ``expected``.
        step: Row of a chunk at which the first violation stands.
    """

    violations: tuple[Violation, ...]
    alternatives: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    step: int | None = None

    @property
    def verdict(self) -> str:
        """``accept`` or ``reject``."""
        return "reject" if self.violations else "accept"


@dataclass(frozen=True)
class CaseFile:
    """A file of cases with the constants they share."""

    path: Path
    cases: tuple[Mapping[str, Any], ...]
    shared: Mapping[str, Any]


def load_cases(path: str | Path) -> CaseFile:
    """Read a file of cases.

    Raises:
        InputError: The file is missing, too large, or not of this format.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InputError(f"{size} bytes are more than {MAX_FILE_BYTES}", where=str(path))
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", where=str(path), hint="Give a JSON file of cases.") from error
    cases = data.get("cases") if isinstance(data, dict) else None
    if not isinstance(cases, list) or not all(isinstance(case, dict) for case in cases):
        raise InputError("there is no list of cases", where=str(path), hint="Give a file with a 'cases' list.")
    return CaseFile(path, tuple(cases), {k: v for k, v in data.items() if k != "cases"})


def number(value: Any) -> float:
    """Return a JSON number; null is no bound, the strings NaN and Infinity are what they say."""
    return math.inf if value is None else float(value)


def judge_trajectory(case: Mapping[str, Any], shared: Mapping[str, Any]) -> Answer:
    """Check a case of kind ``trajectory`` with only its own checks enabled.

    Raises:
        InputError: The case is not of the format.
    """
    limits, config, model = setup(case, shared)
    raw = read_trajectory(case)
    trajectory = assemble(raw, limits)
    if not isinstance(trajectory, JointTrajectory):
        return Answer(by_time(trajectory))
    # How the controller is set to interpolate may be less than the fields would allow.
    if case.get("interpolation") == "linear":
        trajectory = replace(trajectory, velocities=None, accelerations=None)
    elif case.get("interpolation") == "cubic":
        trajectory = replace(trajectory, accelerations=None)
    checker = Checker(limits, config, model)
    context = read_context(case)
    findings = checker.check(trajectory, context)
    if findings.motion is None:
        return Answer(findings.violations, details={"last_safe_point_index": -1} if findings.violations else {})
    details: dict[str, Any] = {}
    if findings.violations:
        details["last_safe_point_index"] = min(v.last_safe_point for v in findings.violations)
        details["min_uniform_time_scale"] = uniform_scale(findings.motion, config)
    return Answer(findings.violations, _alternatives(checker, findings.motion, context, findings.violations), details)


def setup(case: Mapping[str, Any], shared: Mapping[str, Any]) -> tuple[RobotLimits, GuardConfig, RobotModel | None]:
    """Return limits, configuration and robot model of a case."""
    given = case["limits"]
    robot = str(case.get("robot", ""))
    cartesian = given.get("cartesian") or {}
    tip = str(given.get("tip") or shared.get("tips", {}).get(robot, "")).rsplit("/", 1)[-1]
    wanted = frozenset(case.get("checks", ())) - {"structure", "joint_names", "lengths", "nonfinite", "timing"}
    laws = _laws(given, robot, shared)
    mimics = _mimics(given, robot)
    joints = {
        name: JointLimit(
            lower=-number(None) if limit.get("lower") is None else number(limit["lower"]),
            upper=number(limit.get("upper")),
            velocity=number(limit.get("velocity")),
            acceleration=number(limit.get("acceleration")),
            jerk=number(limit.get("jerk")),
            effort=number(limit.get("effort")),
            continuous=bool(limit.get("continuous", False)),
            position_dependent_velocity=laws.get(name),
            mimic=mimics.get(name),
        )
        for name, limit in given["joints"].items()
    }
    limits = RobotLimits(
        joints=joints,
        cartesian=(CartesianLimits(tip, number(cartesian.get("trans_vel")), number(cartesian.get("rot_vel"))),),
        required_joints=tuple(given.get("required_joints", ())),
    )
    collides = "self_collision" in wanted
    capsules, pairs = _capsules(robot, given, shared) if collides else ((), ())
    box = None
    if cartesian.get("box_min") is not None and cartesian.get("box_max") is not None:
        box = Box(tuple(cartesian["box_min"]), tuple(cartesian["box_max"]))
    surroundings = Surroundings(
        links=(tip,) if tip else (),
        workspace=box,
        minimum_z=-number(None) if cartesian.get("min_z") is None else number(cartesian["min_z"]),
        minimum_singular_value=float(cartesian.get("min_singular_value") or 0.0),
        capsules=capsules,
        collision_pairs=pairs,
    )
    config = GuardConfig(
        checks=wanted,
        max_state_age=float(given.get("max_state_age_s", math.inf)),
        max_duration=float(given.get("max_duration_s", math.inf)),
        start_position_tolerance=float(given.get("start_position_tolerance", math.inf)),
        start_velocity_tolerance=float(given.get("start_velocity_tolerance", math.inf)),
        end_velocity_tolerance=float(given.get("end_velocity_tolerance", math.inf)),
        mimic_tolerance=float(given.get("mimic_tolerance", math.inf)),
        collision_margin=float(given.get("collision_margin", cartesian.get("collision_margin", 0.0))),
        recovery=False,
        linear_ends=False,
        surroundings=surroundings,
    )
    needs_model = wanted & {
        "cartesian_speed", "rotational_speed", "workspace", "plane", "singularity", "self_collision",
    }  # fmt: skip
    return limits, config, robot_model(robot) if needs_model else None


def robot_model(robot: str) -> RobotModel:
    """Return the shipped model of a robot by its short name (panda, ur5e, wx250s, g1, …).

    Link names with a ``robot/`` prefix, as some descriptions have, mean the same link without it.
    """
    if not robot.replace("_", "").isalnum():
        raise InputError(f"robot {robot!r} is not a name", where="case")
    return RobotModel.from_urdf(resource("embodiments", "urdf", f"{robot}.urdf"))


def _laws(given: Mapping[str, Any], robot: str, shared: Mapping[str, Any]) -> dict[str, PositionDependentVelocity]:
    if not given.get("position_dependent_velocity"):
        return {}
    table = shared.get("position_dependent_velocity_constants", {}).get(robot)
    if table is None:
        raise InputError(f"no position-dependent velocity constants for {robot}", where="case")
    laws = {}
    for name, upper, lower in zip(table["joints"], table["upper"], table["lower"], strict=True):
        # The lower law is written with limit + q, hence the sign.
        laws[name] = PositionDependentVelocity(upper[0], upper[1], upper[2], lower[0], lower[1], -lower[2])
    return laws


def _mimics(given: Mapping[str, Any], robot: str) -> dict[str, Mimic]:
    rules: dict[str, Mimic] = {}
    for name, rule in (given.get("mimic") or {}).items():
        rules[name] = Mimic(str(rule["source"]), float(rule.get("multiplier", 1.0)), float(rule.get("offset", 0.0)))
    if not rules and robot:
        model = robot_model(robot)
        rules = {name: limit.mimic for name, limit in model.limits.items() if limit.mimic is not None}
    return rules


def _capsules(
    robot: str, given: Mapping[str, Any], shared: Mapping[str, Any]
) -> tuple[tuple[Capsule, ...], tuple[tuple[int, int], ...]]:
    """Return the capsules of a robot and the pairs that the file's rule keeps apart."""
    rows = given.get("capsules") or shared.get("self_collision_capsules", {}).get(robot)
    if not rows:
        raise InputError(f"no capsules for {robot}", where="case")
    capsules = tuple(
        Capsule(row["link"], tuple(row["xyz"]), row["axis"], float(row["radius"]), float(row["length"])) for row in rows
    )

    def place(link: str) -> int:
        digits = "".join(c for c in link.rsplit("_", 1)[-1] if c.isdigit())
        return int(digits) if digits else 8  # the hand hangs on link 8

    places = [place(capsule.link) for capsule in capsules]
    pairs = tuple(
        (a, b) for a in range(len(capsules)) for b in range(a + 1, len(capsules)) if abs(places[a] - places[b]) >= 3
    )
    return capsules, pairs


def read_trajectory(case: Mapping[str, Any]) -> RawTrajectory:
    """Return the trajectory of a case as it stands."""
    given = case["trajectory"]
    points = tuple(
        RawPoint(
            float(point.get("time_from_start", math.nan)),
            [float(v) for v in point.get("positions") or ()],
            [float(v) for v in point.get("velocities") or ()],
            [float(v) for v in point.get("accelerations") or ()],
        )
        for point in given.get("points") or ()
    )
    return RawTrajectory(tuple(given.get("joint_names") or ()), _NOW, points)


def read_context(case: Mapping[str, Any]) -> GuardContext:
    """Return the state of a case as the guard's context."""
    state = case.get("start_state")
    if state is None:
        return GuardContext(_NOW)
    names = tuple(state["joint_names"])
    positions = np.array([float(v) for v in state["positions"]])
    given = state.get("velocities")
    age = float(state.get("age_s") or 0.0)
    return GuardContext(
        _NOW,
        JointState(
            _NOW - round(age * NANOSECONDS),
            names,
            positions,
            None if not given else np.array([float(v) for v in given]),
        ),
    )


def _alternatives(
    checker: Checker, motion: Motion, context: GuardContext, violations: tuple[Violation, ...]
) -> dict[str, tuple[float, ...]]:
    """Return other numbers for the same violation: peaks of tool speeds, the tool's distance from the base."""
    kinds = {v.limit: v for v in violations}
    wanted = kinds.keys() & {"cartesian_speed", "rotational_speed", "workspace"}
    if not wanted or checker.sampler is None:
        return {}
    samples = checker.sampler.samples(motion, context.measured)
    link = checker.limits.cartesian[0].tool_link
    segment = np.repeat(np.arange(len(motion.durations)), 200)
    u = np.tile(np.linspace(0.0, 1.0, 200), len(motion.durations))
    points = Points(samples, segment, u, np.zeros(len(u)))
    found: dict[str, tuple[float, ...]] = {}
    for name, part in (("cartesian_speed", slice(0, 3)), ("rotational_speed", slice(3, 6))):
        if name in wanted:
            found[name] = (float(np.linalg.norm(points.twist(link)[:, part], axis=1).max()),)
    if "workspace" in wanted:
        time = kinds["workspace"].time or 0.0
        at = motion.polynomial(time)
        q = samples.fill(at[None], samples.rest)
        found["workspace"] = (float(np.linalg.norm(checker.sampler.model.fk_batch(q, link)[0, :3, 3])),)
    return found


def disagreements(expected: Mapping[str, Any], answer: Answer) -> list[str]:
    """Return how an answer differs from what a case expects; none means that they agree.

    Verdict and first violation must match: limit, joint, time within the case's tolerance, value and bound to 1e-4.
    Where several violations share a time any of them is right. A null expects nothing.
    """
    if expected["verdict"] != answer.verdict:
        return [f"verdict {answer.verdict}, expected {expected['verdict']}"]
    if not answer.violations:
        return []
    found = []
    first = answer.violations[0]
    candidates = _expected_first(expected)
    if candidates and not any(not _differs(c, first, answer, expected) for c in candidates):
        found += _differs(candidates[0], first, answer, expected)
    safe = expected.get("last_safe_point_index")
    mine = answer.details.get("last_safe_point_index")
    if safe is not None and mine is not None and safe != mine:
        found.append(f"last safe point {mine}, expected {safe}")
    scale = expected.get("min_uniform_time_scale")
    own = answer.details.get("min_uniform_time_scale")
    if scale is not None and (own is None or not math.isclose(scale, own, rel_tol=1e-4)):
        found.append(f"uniform time scale {own}, expected {scale}")
    return found


def _expected_first(expected: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the violations that may be named as the first: it, and all that share its time."""
    first = expected.get("first")
    if first is None:
        return [expected] if expected.get("limit") else []
    same = [v for v in expected.get("all_violations") or () if v.get("time") == first.get("time") and v != first]
    return [first, *same]


def _differs(wanted: Mapping[str, Any], got: Violation, answer: Answer, expected: Mapping[str, Any]) -> list[str]:
    """Return the fields in which a violation differs from an expected one."""
    found = []
    if wanted.get("limit") is not None and wanted["limit"] != got.limit:
        found.append(f"limit {got.limit}, expected {wanted['limit']}")
    if wanted.get("joint") is not None and wanted["joint"] != got.joint:
        found.append(f"joint {got.joint}, expected {wanted['joint']}")
    if wanted.get("step") is not None and wanted["step"] != answer.step:
        found.append(f"step {answer.step}, expected {wanted['step']}")
    tolerance = float(expected.get("time_tolerance_s", 1e-3)) + 1e-6
    if wanted.get("time") is not None and (got.time is None or abs(got.time - float(wanted["time"])) > tolerance):
        found.append(f"time {got.time}, expected {wanted['time']}")
    values = [got.value, *answer.alternatives.get(got.limit, ())]
    for name, own in (("value", values), ("bound", [got.bound])):
        if wanted.get(name) is not None and not any(
            v is not None and math.isclose(v, float(wanted[name]), rel_tol=1e-4, abs_tol=2e-4) for v in own
        ):
            found.append(f"{name} {own[0]}, expected {wanted[name]}")
    return found
