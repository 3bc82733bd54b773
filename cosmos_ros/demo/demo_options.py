"""What the demo runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DemoOptions:
    """What the demo runs.

    Attributes:
        out: Folder of the results; emptied first.
        embodiment: Shipped embodiment that the simulator has: franka, ur5e, widowx250s or agibot_g1.
        world_model: Registered world model.
        seed: Seed of the scene.
        duration: Longest time the arm may take, s; so long, and at least a minute, may starting take as well.
        deadline: Gate on the time from an observation to its guarded trajectory, s; None: a chunk's length, for what
            comes later finds nothing left to do.
        launch: Further launch arguments of the demo bring-up.
    """

    out: Path
    embodiment: str = "franka"
    world_model: str = "expert"
    seed: int = 0
    duration: float = 30.0
    deadline: float | None = None
    launch: dict[str, str] | None = None
