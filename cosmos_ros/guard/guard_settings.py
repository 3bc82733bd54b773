"""What the guard checks, how strictly, and what it may do about a violation."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, isnan

from cosmos_ros.errors import ConfigError

# Checked always: without these nothing else can be computed. In this order; each ends the judgement.
TERMINAL_CHECKS = ("structure", "joint_names", "lengths", "nonfinite", "timing")

OPTIONAL_CHECKS = (
    "stale_state",
    "stamp",
    "time_step",
    "units",
    "start_discontinuity",
    "duration",
    "position",
    "velocity",
    "acceleration",
    "jerk",
    "effort",
    "mimic",
    "end_velocity",
    "cartesian_speed",
    "rotational_speed",
    "cartesian_acceleration",
    "workspace",
    "keep_out",
    "plane",
    "singularity",
    "self_collision",
    "uncertainty",
)

# What slowing the motion down cures: everything that is a time derivative.
CURED_BY_TIME = frozenset(
    (
        "velocity",
        "acceleration",
        "jerk",
        "effort",
        "cartesian_speed",
        "rotational_speed",
        "cartesian_acceleration",
        "singularity_speed",
    )
)

# What stopping before it cures: everything that depends on the configuration alone.
CURED_BY_STOPPING = frozenset(("position", "workspace", "keep_out", "plane", "singularity", "self_collision"))


@dataclass(frozen=True)
class Box:
    """Axis-aligned box in the base frame, metres."""

    minimum: tuple[float, float, float]
    maximum: tuple[float, float, float]


@dataclass(frozen=True)
class Capsule:
    """A cylinder with round ends, fixed to a link.

    Attributes:
        link: Link name.
        xyz: Centre in the link frame, metres.
        axis: ``x``, ``y`` or ``z`` of the link frame.
        radius: Metres.
        length: Between the centres of the round ends, metres.
    """

    link: str
    xyz: tuple[float, float, float]
    axis: str
    radius: float
    length: float


@dataclass(frozen=True)
class Surroundings:
    """What the tool must keep to, and the arm's own shape. All metres in the base frame.

    Attributes:
        links: Links whose origin is held against box, keep-out boxes and plane; empty: the tool links of the limits.
        workspace: The origins stay inside this box.
        keep_out: The origins stay outside these boxes.
        minimum_z: Height of the table plane; -inf for none.
        minimum_singular_value: Halt threshold of the smallest singular value of the tool's 6×n Jacobian (m, rad).
        maximum_condition_number: Halt threshold of its condition number; inf for none.
        slow_singular_value, slow_condition_number: From where on towards these the arm must be slower.
        capsules: The arm's shape; none switches self-collision off.
        collision_pairs: Index pairs into ``capsules`` that are held apart.
    """

    links: tuple[str, ...] = ()
    workspace: Box | None = None
    keep_out: tuple[Box, ...] = ()
    minimum_z: float = -inf
    minimum_singular_value: float = 0.0
    maximum_condition_number: float = inf
    slow_singular_value: float = 0.0
    slow_condition_number: float = inf
    capsules: tuple[Capsule, ...] = ()
    collision_pairs: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class GuardConfig:
    """Switches, margins, tolerances and policies.

    Attributes:
        checks: Names of the optional checks that are on.
        slack: Absolute tolerance on every bound, against float noise.
        position_margin: Kept off every position bound, rad or m.
        velocity_scale, acceleration_scale, jerk_scale, effort_scale, cartesian_scale: Part of the robot's bound that
            may be used, (0, 1].
        workspace_margin: Kept off box, keep-out boxes and plane, m.
        collision_margin: Least distance between two capsules, m.
        max_state_age: Oldest joint state that a judgement may rest on, s.
        max_stamp_age, max_stamp_lead: How far the trajectory's start may lie in the past or the future, s.
        max_duration: Longest trajectory, s.
        minimum_step, maximum_step: Bounds on the time between points, s.
        max_points: Most points in one trajectory.
        start_position_tolerance: Largest jump from the state (or the executed motion) at the start, rad or m.
        start_velocity_tolerance: The same of the velocity, rad/s or m/s.
        tracking_tolerance: Largest distance of the measured state from the executed motion, rad or m.
        end_velocity_tolerance: Largest speed at the last point, rad/s or m/s.
        mimic_tolerance: Largest deviation of a mimic joint, rad or m.
        max_uncertainty: Largest spread of the prediction that is let through, normalised units.
        allow_slow_down, allow_truncate: Whether these responses may be used.
        max_time_scale: Slowest that a motion may be made.
        linear_ends: Position-only trajectories start from and end in standstill as far as acceleration is concerned.
        recovery: A state outside a position bound may move, inwards only; otherwise it may not move at all.
        brake_scale: Part of the acceleration bound that braking uses, (0, 1].
        reaction_time: What is executed goes on for so long before it is slowed or braked: by then the controller has
            the new trajectory, s.
        hold_time: What is sent lasts at least this long after now, if need be by holding at its end, so that a
            controller that gets it late does not refuse it as past and run on with what it has, s.
        surroundings: Box, plane, singularity and the arm's own shape.
        groups: Joints of each controller; a trajectory names all joints of a group or none.
    """

    checks: frozenset[str] = field(default_factory=lambda: frozenset(OPTIONAL_CHECKS))
    slack: float = 1e-6
    position_margin: float = 0.0
    velocity_scale: float = 1.0
    acceleration_scale: float = 1.0
    jerk_scale: float = 1.0
    effort_scale: float = 1.0
    cartesian_scale: float = 1.0
    workspace_margin: float = 0.0
    collision_margin: float = 0.0
    max_state_age: float = 0.2
    max_stamp_age: float = 0.5
    max_stamp_lead: float = 1.0
    max_duration: float = 10.0
    minimum_step: float = 1e-3
    maximum_step: float = 2.0
    max_points: int = 10_000
    start_position_tolerance: float = 0.01
    start_velocity_tolerance: float = 0.05
    tracking_tolerance: float = 0.1
    end_velocity_tolerance: float = 1e-3
    mimic_tolerance: float = 1e-3
    max_uncertainty: float = inf
    allow_slow_down: bool = True
    allow_truncate: bool = True
    max_time_scale: float = 20.0
    linear_ends: bool = True
    recovery: bool = True
    brake_scale: float = 0.9
    reaction_time: float = 0.02
    hold_time: float = 0.5
    surroundings: Surroundings = field(default_factory=Surroundings)
    groups: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        unknown = sorted(self.checks - set(OPTIONAL_CHECKS))
        if unknown:
            raise ConfigError(
                f"unknown checks {', '.join(unknown)}",
                where="guard checks",
                hint="Use " + ", ".join(OPTIONAL_CHECKS) + ".",
            )
        for name in ("velocity_scale", "acceleration_scale", "jerk_scale", "effort_scale", "cartesian_scale"):
            self._within(name, 0.0, 1.0, open_below=True)
        self._within("brake_scale", 0.0, 1.0, open_below=True)
        self._within("max_time_scale", 1.0, inf)
        for name in (
            "slack", "position_margin", "workspace_margin", "collision_margin", "max_state_age", "max_stamp_age",
            "max_stamp_lead", "max_duration", "minimum_step", "maximum_step", "start_position_tolerance",
            "start_velocity_tolerance", "tracking_tolerance", "end_velocity_tolerance", "mimic_tolerance",
            "max_uncertainty",
            "hold_time",
            "reaction_time",
        ):  # fmt: skip
            self._within(name, 0.0, inf)

    def _within(self, name: str, low: float, high: float, *, open_below: bool = False) -> None:
        value = getattr(self, name)
        if isnan(value) or value < low or value > high or (open_below and value == low):
            raise ConfigError(
                f"{name} is {value}", where="guard configuration", hint=f"Choose a value between {low} and {high}."
            )

    def enabled(self, check: str) -> bool:
        """Whether an optional check is on."""
        return check in self.checks
