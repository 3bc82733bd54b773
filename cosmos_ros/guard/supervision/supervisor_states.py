"""What the guard's state machine is set to, is in, answers and counts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

from cosmos_ros.guard.verdict import Response, Verdict
from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.types import JointTrajectory


class State(str, Enum):
    """What the guard lets through."""

    DISARMED = "disarmed"
    ARMED = "armed"
    LATCHED = "latched"
    E_STOP = "e-stop"


@dataclass(frozen=True)
class SupervisorSettings(DeclaredSettings):
    """Policies beyond a single trajectory."""

    dry_run: bool = setting(False, "Never let this guard be armed: it only says what it would send.", read_only=True)
    require_controllers: bool = setting(True, "Refuse to arm while nobody listens on a controller's topic.")
    brake_on_reject: bool = setting(
        True, "Brake when a candidate is rejected; otherwise finish what is being executed."
    )
    output_stamps: str = setting(
        "auto",
        "Stamps of what is sent: 'time', absolute, for controllers on this clock; 'zero', it begins when it arrives, "
        "for controllers whose clock may lose time; 'auto', absolute where the robot bounds jerk, for there what comes "
        "a moment late must not begin with a step.",
        choices=("auto", "time", "zero"),
        read_only=True,
    )  # fmt: skip
    max_camera_age: float = setting(
        0.5, "Oldest image of a camera that was heard once; 0: cameras are not watched", unit="s", minimum=0.0,
        maximum=60.0,
    )  # fmt: skip
    silence_timeout: float = setting(
        1.0, "Silence of the predictor after which the motion being executed is braked", unit="s", minimum=0.05,
        maximum=60.0,
    )  # fmt: skip
    e_stop_timeout: float = setting(
        0.0, "Silence of the e-stop's topic, true or false, that brakes, latches and refuses arming; 0: not watched",
        unit="s", minimum=0.0, maximum=60.0, read_only=True,
    )  # fmt: skip
    heartbeat_timeout: float = setting(
        0.0, "Silence of ~/heartbeat that brakes, latches and refuses arming; 0: no heartbeat is needed", unit="s",
        minimum=0.0, maximum=60.0, read_only=True,
    )  # fmt: skip
    latch_after: int = setting(20, "Rejections in a row that latch the guard; 0: never.", minimum=0, maximum=100_000)
    clock_jump: float = setting(
        0.1, "How far time may run backwards before that counts as a jump", unit="s", minimum=0.0, maximum=10.0
    )


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


def without_numbers(text: str) -> str:
    """Return a text with "…" for each decimal number, so that a status changes only with its reason."""
    return re.sub(r"-?\d+\.\d+", "…", text)


@dataclass
class Counters:
    """How often each response was given, and how often the guard braked."""

    responses: dict[str, int] = field(default_factory=lambda: {r.value: 0 for r in Response})
    brakes: int = 0
    consecutive_rejects: int = 0
