"""Answer worked cases of kind ``trajectory`` (see ``case_format``): only a case's own checks and limits count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

from cosmos_ros.conformance.case_format import interpolation_of_case, number, read_context, read_trajectory, texts
from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.guard.checker import Checker
from cosmos_ros.guard.checks.base import GuardedRobot
from cosmos_ros.guard.checks.intake import assemble, finite
from cosmos_ros.guard.context import GuardContext
from cosmos_ros.guard.guard_settings import GuardSettings
from cosmos_ros.guard.motion.joint_motion import Motion
from cosmos_ros.guard.motion.sampler import Points
from cosmos_ros.guard.response.uniform_scaling import uniform_scale
from cosmos_ros.guard.surroundings import Box, Capsule, Surroundings
from cosmos_ros.guard.verdict import Violation, by_time
from cosmos_ros.kinematics import RobotModel
from cosmos_ros.limits import CartesianLimits, JointLimit, MimicRule, PositionDependentVelocity, RobotLimits
from cosmos_ros.resources import resource
from cosmos_ros.trajectory.extrema import extrema
from cosmos_ros.types import JointTrajectory

# Checked in every case, and named among its checks: without these nothing else can be computed.
_ALWAYS = ("structure", "joint_names", "lengths", "nonfinite", "timing")
_ORDERS = {"position": 0, "velocity": 1, "acceleration": 2, "jerk": 3}
_OF_THE_MODEL = frozenset(
    ("cartesian_speed", "rotational_speed", "workspace", "plane", "singularity", "self_collision")
)


@dataclass(frozen=True)
class Answer:
    """What the checker says to one case.

    Attributes:
        violations: Sorted by time; none means accepted.
        alternatives: Further values that are right for the first violation of a limit (of the whole motion, of the
            segment, at that time).
        details: Further results to compare, by the name they have under ``expected``.
        step: Row of a chunk at which the first violation stands.
        problem: Why it could not be judged; empty when it was.
    """

    violations: tuple[Violation, ...]
    alternatives: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    step: int | None = None
    problem: str = ""

    @property
    def verdict(self) -> str:
        """``accept``, ``reject``, or ``not judged``."""
        if self.problem:
            return "not judged"
        return "reject" if self.violations else "accept"


def judge_trajectory(case: Mapping[str, Any], shared: Mapping[str, Any]) -> Answer:
    """Check a case of kind ``trajectory`` with only its own checks enabled.

    Raises:
        InputError: The case is not of the format.
    """
    robot, settings = setup(case, shared)
    raw = read_trajectory(case)
    trajectory = assemble(raw, robot.limits)
    context = read_context(case)
    interpolation = interpolation_of_case(case)
    if not isinstance(trajectory, JointTrajectory):
        return Answer(by_time(trajectory))
    broken = finite(trajectory)
    if broken:  # in a field that the interpolation leaves out, too
        return Answer(by_time(broken))
    # How the controller is set to interpolate may be less than the fields would allow.
    if interpolation == "linear":
        trajectory = replace(trajectory, velocities=None, accelerations=None)
    elif interpolation == "cubic":
        trajectory = replace(trajectory, accelerations=None)
    checker = Checker(robot, settings)
    findings = checker.check(trajectory, context)
    if findings.motion is None:
        return Answer(findings.violations, details={"last_safe_point_index": -1} if findings.violations else {})
    details: dict[str, Any] = {}
    if findings.violations:
        details["last_safe_point_index"] = min(v.last_safe_point for v in findings.violations)
        with np.errstate(all="ignore"):
            details["min_uniform_time_scale"] = uniform_scale(findings.motion, settings)
    if not findings.motion.finite:
        return Answer(findings.violations, details={"last_safe_point_index": -1})
    return Answer(findings.violations, _alternatives(checker, findings.motion, context, findings.violations), details)


def setup(case: Mapping[str, Any], shared: Mapping[str, Any]) -> tuple[GuardedRobot, GuardSettings]:
    """Return the robot and the settings of a case; a tolerance that is null is as wide as it may be set.

    Raises:
        InputError: The case is not of the format.
        ConfigError: A check that there is not, or a robot that is not shipped where its model is needed.
    """
    given = case["limits"]
    robot = str(case.get("robot", ""))
    cartesian = given.get("cartesian") or {}
    tip = str(given.get("tip") or shared.get("tips", {}).get(robot, "")).rsplit("/", 1)[-1]
    wanted = frozenset(texts(case.get("checks"), "checks")) - frozenset(_ALWAYS)
    laws = _laws(given, robot, shared)
    mimics = _mimics(given, robot) if "mimic" in wanted else {}
    joints = {
        name: JointLimit(
            lower=_least(limit.get("lower"), name),
            upper=number(limit.get("upper"), name),
            velocity=number(limit.get("velocity"), name),
            acceleration=number(limit.get("acceleration"), name),
            jerk=number(limit.get("jerk"), name),
            effort=number(limit.get("effort"), name),
            continuous=bool(limit.get("continuous", False)),
            position_dependent_velocity=laws.get(name),
            mimic=mimics.get(name),
        )
        for name, limit in given["joints"].items()
    }
    limits = RobotLimits(
        joints=joints,
        cartesian=(CartesianLimits(tip, number(cartesian.get("trans_vel")), number(cartesian.get("rot_vel"))),),
        required_joints=texts(given.get("required_joints"), "required_joints"),
    )
    collides = "self_collision" in wanted
    capsules, pairs = _capsules(robot, given, shared) if collides else ((), ())
    surroundings = Surroundings(
        links=(tip,) if tip else (),
        workspace=_box(cartesian),
        minimum_z=_least(cartesian.get("min_z"), "min_z"),
        capsules=capsules,
        collision_pairs=pairs,
    )
    tolerances = {
        "max_state_age": given.get("max_state_age_s"),
        "max_duration": given.get("max_duration_s"),
        "start_position_tolerance": given.get("start_position_tolerance"),
        "start_velocity_tolerance": given.get("start_velocity_tolerance"),
        "end_velocity_tolerance": given.get("end_velocity_tolerance"),
        "mimic_tolerance": given.get("mimic_tolerance"),
        "max_points": None,  # the format bounds the file, not the number of points
    }
    widest = {one.name: one.maximum for one in GuardSettings.declared() if one.maximum is not None}
    settings = GuardSettings(
        wanted,
        minimum_singular_value=_or(cartesian.get("min_singular_value"), 0.0),
        slow_singular_value=0.0,
        collision_margin=_or(given.get("collision_margin", cartesian.get("collision_margin")), 0.0),
        recovery=False,
        linear_ends=False,
        **{name: widest[name] if value is None else number(value, name) for name, value in tolerances.items()},
    )
    model = robot_model(robot) if wanted & _OF_THE_MODEL else None
    return GuardedRobot(limits, model, surroundings), settings


def _least(value: Any, where: str) -> float:
    """Return a lower bound; null is none."""
    return -number(None) if value is None else number(value, where)


def _or(value: Any, default: float) -> float:
    return default if value is None else number(value)


def _box(cartesian: Mapping[str, Any]) -> Box | None:
    """Return the workspace box, open where a face is null; None without any."""
    low, high = cartesian.get("box_min"), cartesian.get("box_max")
    if low is None and high is None:
        return None
    x0, y0, z0 = (_least(value, "box_min") for value in low or (None,) * 3)
    x1, y1, z1 = (number(value, "box_max") for value in high or (None,) * 3)
    return Box((x0, y0, z0), (x1, y1, z1))


@lru_cache(maxsize=16)
def robot_model(robot: str) -> RobotModel:
    """Return the shipped model of a robot by its short name (panda, ur5e, wx250s, g1, …).

    Link names with a ``robot/`` prefix, as some descriptions have, mean the same link without it.

    Raises:
        InputError: Not a name, or of no robot that is shipped.
    """
    if not robot.replace("_", "").isalnum():
        raise InputError(f"robot {robot!r} is not a name", where="case")
    try:
        return RobotModel.from_urdf(resource("embodiments", "urdf", f"{robot}.urdf"))
    except ConfigError as error:
        raise InputError(
            f"there is no robot {robot!r}", where="case", hint="Name a shipped one: panda, ur5e …"
        ) from error


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


def _mimics(given: Mapping[str, Any], robot: str) -> dict[str, MimicRule]:
    rules: dict[str, MimicRule] = {}
    for name, rule in (given.get("mimic") or {}).items():
        rules[name] = MimicRule(str(rule["source"]), _or(rule.get("multiplier"), 1.0), _or(rule.get("offset"), 0.0))
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


def _alternatives(
    checker: Checker, motion: Motion, context: GuardContext, violations: tuple[Violation, ...]
) -> dict[str, tuple[float, ...]]:
    """Return other numbers for the first violation of each limit.

    A report may name the worst value of the whole motion, of the segment it begins in, or that at the time itself; of a
    tool speed its peak; of a tool outside the box its distance from the base.
    """
    kinds: dict[str, Violation] = {}
    for violation in violations:
        kinds.setdefault(violation.limit, violation)
    found = {name: _of_joint(motion, v) for name, v in kinds.items() if name in _ORDERS and v.joint is not None}
    wanted = kinds.keys() & {"cartesian_speed", "rotational_speed", "workspace"}
    if not wanted or checker.sampler is None:
        return found
    samples = checker.sampler.samples(motion, context.measured)
    link = checker.limits.cartesian[0].tool_link
    segment = np.repeat(np.arange(len(motion.durations)), 200)
    u = np.tile(np.linspace(0.0, 1.0, 200), len(motion.durations))
    points = Points(samples, segment, u, np.zeros(len(u)))
    for name, part in (("cartesian_speed", slice(0, 3)), ("rotational_speed", slice(3, 6))):
        if name in wanted:
            found[name] = (float(np.linalg.norm(points.twist(link)[:, part], axis=1).max()),)
    if "workspace" in wanted and len(motion.times) > 1:
        time = kinds["workspace"].time or 0.0
        at = motion.polynomial(time)
        q = samples.fill(at[None], samples.rest)
        found["workspace"] = (float(np.linalg.norm(checker.sampler.model.fk_batch(q, link)[0, :3, 3])),)
    return found


def _of_joint(motion: Motion, violation: Violation) -> tuple[float, ...]:
    """Return the worst values of a joint's derivative, on the side that is broken: of the segment, and of all."""
    order = _ORDERS[violation.limit]
    if violation.joint is None or violation.time is None or order > motion.degree:
        return ()
    unit = motion.unit(order)[:, motion.names.index(violation.joint)]
    exact = extrema(unit)
    segment = min(max(int(np.searchsorted(motion.times, violation.time + 1e-9, side="right")) - 1, 0), len(unit) - 1)
    if (violation.value or 0.0) > (violation.bound or 0.0):
        return float(exact.upper[segment]), float(exact.upper.max())
    return float(exact.lower[segment]), float(exact.lower.min())
