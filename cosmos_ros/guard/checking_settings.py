"""Settings that hold for every check and for every response."""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_ros.settings import DeclaredSettings, setting


@dataclass(frozen=True)
class CheckingSettings(DeclaredSettings):
    """What every check goes by."""

    slack: float = setting(
        1e-6,
        "Absolute tolerance on every bound, against rounding",
        unit="SI",
        minimum=0.0,
        maximum=1e-2,
        read_only=True,
    )
    recovery: bool = setting(
        True,
        "What starts outside a bound of position may move, but inwards only.",
        read_only=True,
    )
    linear_ends: bool = setting(
        True, "Position-only trajectories start and end at rest, as far as acceleration is concerned.", read_only=True
    )
    minimum_step: float = setting(
        0.001, "Shortest time between points", unit="s", minimum=1e-6, maximum=1.0, read_only=True
    )
    max_points: int = setting(10_000, "Most points in one trajectory.", minimum=2, maximum=1_000_000, read_only=True)


@dataclass(frozen=True)
class ResponseSettings(DeclaredSettings):
    """What the guard may do about a violation, and how it brakes."""

    judging_budget: float = setting(
        0.05,
        "How long a judgement may take; past it the answer is reject",
        unit="s", minimum=0.005, maximum=60.0, read_only=True,
    )  # fmt: skip
    allow_slow_down: bool = setting(True, "Slow down what is too fast; otherwise reject it.", read_only=True)
    allow_truncate: bool = setting(
        True, "Stop before what must not be reached; otherwise reject the trajectory.", read_only=True
    )
    max_time_scale: float = setting(
        5.0,
        "How many times longer slowing down may make a trajectory.",
        minimum=1.0,
        maximum=100.0,
        read_only=True,
    )
    brake_scale: float = setting(
        0.9, "Part of the acceleration bounds that braking uses.", minimum=0.05, maximum=1.0, read_only=True
    )
    reaction_time: float = setting(
        0.02,
        "What is executed goes on for so long before it is slowed or braked: by then the controller has the new "
        "trajectory",
        unit="s", minimum=0.0, maximum=0.2, read_only=True,
    )  # fmt: skip
    hold_time: float = setting(
        0.5,
        "What is sent lasts at least so long, if need be by holding its end, so that a late controller does not refuse "
        "it as past",
        unit="s", minimum=0.05, maximum=2.0, read_only=True,
    )  # fmt: skip
