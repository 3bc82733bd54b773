"""What the guard's state machine is set to, is in, answers and counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from cosmos_ros.guard.verdict import Response, Verdict
from cosmos_ros.types import JointTrajectory


class State(str, Enum):
    """What the guard lets through."""

    DISARMED = "disarmed"
    ARMED = "armed"
    LATCHED = "latched"
    E_STOP = "e-stop"


@dataclass(frozen=True)
class SupervisorConfig:
    """Policies beyond a single trajectory.

    Attributes:
        silence_timeout: Seconds without a candidate after which a motion being executed is braked.
        clock_jump: Seconds by which time may run backwards before that counts as a jump.
        latch_after: Consecutive rejections that latch the guard; 0 never latches.
        brake_on_reject: Brake what is being executed when a candidate is rejected; otherwise it runs to its end.
        never_arm: Refuse to be armed (dry run).
        require_controllers: Refuse to be armed while nobody listens on a controller's topic.
        max_judging_delay: Seconds by which judging may end after the trajectory was to begin: a controller that gets
            it later jumps into its middle.
        max_camera_age: Oldest image of a camera that was heard once, s; 0: cameras are not watched.
    """

    silence_timeout: float = 1.0
    clock_jump: float = 0.1
    latch_after: int = 10
    brake_on_reject: bool = True
    never_arm: bool = False
    require_controllers: bool = True
    max_judging_delay: float = 0.02
    max_camera_age: float = 0.0


@dataclass(frozen=True)
class Output:
    """What the node has to publish.

    Attributes:
        send: To the controllers; only ever set while armed, or to bring the robot to rest.
        would_send: What an armed guard would have sent.
        verdict: The judgement, when a candidate was judged.
        event: What happened, one line; empty when nothing did.
    """

    send: JointTrajectory | None = None
    would_send: JointTrajectory | None = None
    verdict: Verdict | None = None
    event: str = ""


@dataclass
class Counters:
    """How often each response was given, and how often the guard braked."""

    responses: dict[str, int] = field(default_factory=lambda: {r.value: 0 for r in Response})
    brakes: int = 0
    consecutive_rejects: int = 0
