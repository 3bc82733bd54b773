"""The guard node's parameters, and what they make of the guard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf
from typing import Any

from cosmos_ros.guard import GuardConfig, Surroundings
from cosmos_ros.guard.guard_settings import OPTIONAL_CHECKS
from cosmos_ros.guard.supervision.supervisor_states import SupervisorConfig
from cosmos_ros.nodes.parameters import Parameter

_SCALE = "Part of the robot's {} bound that may be used, 0 to 1."


def parameters() -> list[Parameter]:
    """Return the specs of all parameters."""
    return [
        Parameter("embodiment", "franka", "Shipped embodiment or path of its YAML file.", read_only=True),
        Parameter(
            "urdf", "", "URDF with masses for check.effort; empty: none, and effort is not checked.", read_only=True
        ),
        Parameter("dry_run", False, "Never let this guard be armed: it only says what it would send.", read_only=True),
        Parameter("tick_rate", 50.0, "How often liveness is looked at, 1/s.", 10.0, 500.0, read_only=True),
        Parameter("require_controllers", True, "Refuse to arm while nobody listens on a controller's topic."),
        Parameter("slack", 1e-6, "Absolute tolerance on every bound, SI.", 0.0, 1e-2, read_only=True),
        *[
            Parameter(f"check.{name}", name != "effort", f"Check {name.replace('_', ' ')}.", read_only=True)
            for name in OPTIONAL_CHECKS
        ],
        Parameter("position_margin", 0.0, "Kept off every position bound, rad or m.", 0.0, 1.0, read_only=True),
        Parameter("velocity_scale", 1.0, _SCALE.format("velocity"), 0.01, 1.0, read_only=True),
        Parameter("acceleration_scale", 1.0, _SCALE.format("acceleration"), 0.01, 1.0, read_only=True),
        Parameter("jerk_scale", 1.0, _SCALE.format("jerk"), 0.01, 1.0, read_only=True),
        Parameter("effort_scale", 1.0, _SCALE.format("effort"), 0.01, 1.0, read_only=True),
        Parameter("cartesian_scale", 1.0, _SCALE.format("tool speed and acceleration"), 0.01, 1.0, read_only=True),
        Parameter("workspace_margin", 0.0, "Kept off box and table, m.", 0.0, 1.0, read_only=True),
        Parameter("collision_margin", 0.01, "Least distance between parts of the arm, m.", 0.0, 0.2, read_only=True),
        Parameter(
            "minimum_singular_value", 0.02,
            "Smallest singular value of the tool's Jacobian (m, rad) that is let through.", 0.0, 1.0, read_only=True,
        ),
        Parameter(
            "slow_singular_value", 0.05,
            "Smallest singular value of it from where on the arm must be slower; 0: never.", 0.0, 1.0, read_only=True,
        ),
        Parameter("max_state_age", 0.2, "Oldest joint state a judgement may rest on, s.", 0.01, 10.0, read_only=True),
        Parameter(
            "cameras", "",
            "Comma-separated view=topic pairs as the predictor has them; empty: every view at <view>/image_raw. "
            "The camera_info beside each is watched, once there is one.",
            read_only=True,
        ),
        Parameter(
            "max_camera_age", 0.5, "Oldest image of a watched camera, s; 0: cameras are not watched.", 0.0, 60.0
        ),
        Parameter("max_stamp_age", 0.5, "How far a start may lie in the past, s.", 0.0, 60.0, read_only=True),
        Parameter("max_stamp_lead", 1.0, "How far a start may lie in the future, s.", 0.0, 60.0, read_only=True),
        Parameter("max_duration", 10.0, "Longest trajectory, s.", 0.1, 600.0, read_only=True),
        Parameter("minimum_step", 0.001, "Shortest time between points, s.", 1e-6, 1.0, read_only=True),
        Parameter("maximum_step", 2.0, "Longest time between points, s.", 1e-3, 600.0, read_only=True),
        Parameter(
            "start_position_tolerance", 0.02, "Largest jump at the start, rad or m.", 0.0, 1.0, read_only=True
        ),
        Parameter(
            "start_velocity_tolerance", 0.1, "Largest jump of velocity at the start, rad/s or m/s.", 0.0, 10.0,
            read_only=True,
        ),
        Parameter(
            "tracking_tolerance", 0.15, "Largest distance of the robot from where it was sent, rad or m.", 0.0, 3.0,
            read_only=True,
        ),
        Parameter("end_velocity_tolerance", 1e-3, "Largest speed at the end, rad/s or m/s.", 0.0, 1.0, read_only=True),
        Parameter("mimic_tolerance", 1e-3, "Largest deviation of a mimic joint, rad or m.", 0.0, 1.0, read_only=True),
        Parameter(
            "max_uncertainty", 0.0, "Largest spread of the prediction that is let through; 0: any.", 0.0, 1e6,
            read_only=True,
        ),
        Parameter("allow_slow_down", True, "Slow a trajectory that is too fast; otherwise reject it.", read_only=True),
        Parameter("allow_truncate", True, "Stop before what must not be reached; otherwise reject.", read_only=True),
        Parameter("max_time_scale", 5.0, "Slowest that a trajectory may be made.", 1.0, 100.0, read_only=True),
        Parameter(
            "linear_ends", True, "Position-only trajectories start and end in standstill, as acceleration counts it.",
            read_only=True,
        ),
        Parameter(
            "maximum_condition_number", 0.0, "Largest condition number of the tool's Jacobian; 0: any.", 0.0, 1e6,
            read_only=True,
        ),
        Parameter(
            "slow_condition_number", 0.0, "Condition number of it from where on the arm must be slower; 0: never.",
            0.0, 1e6, read_only=True,
        ),
        Parameter("recovery", True, "Let a joint outside its bound move, inwards only.", read_only=True),
        Parameter("brake_scale", 0.9, "Part of the acceleration bound that braking uses.", 0.05, 1.0, read_only=True),
        Parameter(
            "reaction_time", 0.02, "What is executed goes on for so long before it is slowed or braked, s.", 0.0, 0.2,
            read_only=True,
        ),
        Parameter(
            "hold_time", 0.5, "What is sent lasts at least so long: a late controller takes it, s.", 0.05, 2.0,
            read_only=True,
        ),
        Parameter("brake_on_reject", True, "Brake when a candidate is rejected; otherwise finish what is executed."),
        Parameter(
            "max_judging_delay", 0.02, "How long after its start a trajectory may leave the guard, s.", 0.0, 1.0
        ),
        Parameter("silence_timeout", 1.0, "Predictor's silence after which a motion is braked, s.", 0.05, 60.0),
        Parameter("latch_after", 20, "Rejections in a row that latch the guard; 0: never.", 0, 100_000),
        Parameter("clock_jump", 0.1, "How far time may run backwards before that is a jump, s.", 0.0, 10.0),
    ]  # fmt: skip


def guard_config(
    values: Mapping[str, Any], surroundings: Surroundings, groups: tuple[tuple[str, ...], ...]
) -> GuardConfig:
    """Return the guard's configuration of a node's parameters."""
    direct = (
        "slack", "position_margin", "velocity_scale", "acceleration_scale", "jerk_scale", "effort_scale",
        "cartesian_scale", "workspace_margin", "collision_margin", "max_state_age", "max_stamp_age", "max_stamp_lead",
        "max_duration", "minimum_step", "maximum_step", "start_position_tolerance", "start_velocity_tolerance",
        "tracking_tolerance", "end_velocity_tolerance", "mimic_tolerance", "allow_slow_down", "allow_truncate",
        "max_time_scale", "linear_ends", "recovery", "brake_scale",
        "reaction_time", "hold_time",
    )  # fmt: skip
    surroundings = replace(
        surroundings,
        minimum_singular_value=values["minimum_singular_value"],
        slow_singular_value=values["slow_singular_value"],
        maximum_condition_number=values["maximum_condition_number"] or inf,
        slow_condition_number=values["slow_condition_number"] or inf,
    )
    return GuardConfig(
        checks=frozenset(name for name in OPTIONAL_CHECKS if values[f"check.{name}"]),
        max_uncertainty=values["max_uncertainty"] or inf,
        surroundings=surroundings,
        groups=groups,
        **{name: values[name] for name in direct},
    )


def supervisor_config(values: Mapping[str, Any]) -> SupervisorConfig:
    """Return the supervisor's policies of a node's parameters."""
    return SupervisorConfig(
        silence_timeout=values["silence_timeout"],
        clock_jump=values["clock_jump"],
        latch_after=values["latch_after"],
        brake_on_reject=values["brake_on_reject"],
        never_arm=values["dry_run"],
        require_controllers=values["require_controllers"],
        max_judging_delay=values["max_judging_delay"],
        max_camera_age=values["max_camera_age"],
    )
