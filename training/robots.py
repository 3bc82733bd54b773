"""How each robot is seen by the network: widths of generated canvases, and sizes of its views in pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.world_models.compact.robot_inputs import RobotInputs, robot_inputs
from training.rows import Arrays


@dataclass(frozen=True)
class Eyes:
    """Width of the generated canvas, and the (width, height) of each view, primary first; all at its own aspect."""

    canvas: int
    views: tuple[tuple[int, int], ...]


# About 40,000 pixels a robot: three views of a Franka at a quarter of what its cameras give.
EYES = {
    "franka": Eyes(320, ((160, 90),) * 3),
    "ur5e": Eyes(320, ((224, 168),)),
    "widowx250s": Eyes(320, ((200, 160),)),
    "agibot_g1": Eyes(320, ((192, 144), (112, 84), (112, 84))),
    "umi": Eyes(320, ((200, 200),)),
}
TINY_EYES = {name: Eyes(96 if name == "franka" else 64, tuple((32, 24) for _ in e.views)) for name, e in EYES.items()}


def inputs_of(name: str, eyes: Eyes) -> RobotInputs:
    """Return what the network is given of a robot."""
    embodiment = load_embodiment(name)
    return robot_inputs(embodiment, dict(zip(embodiment.views, eyes.views, strict=True)))


def with_views(arrays: Arrays, robot: RobotInputs) -> Arrays:
    """Return a shard with the network's views, ``view_NAME`` each ``uint8 [N, H, W, 3]``, in place of the canvas."""
    changed = {name: array for name, array in arrays.items() if name != "canvas"}
    for view in robot.views:
        changed[f"view_{view.name}"] = np.stack([view.picture(canvas) for canvas in arrays["canvas"]])
    return changed


def raw_states(robot: RobotInputs, shard: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Return state vectors of a shard's rows and what of them is known, each ``float32 [N, S]``."""
    # The row that led to each state is the one before; an episode's first has none.
    past = np.roll(shard["executed"].astype(np.float32), 1, axis=0)
    raw, known = robot.raw_state(
        tools=shard["tools"],
        openings=shard["openings"],
        commands=shard["commands"],
        positions=shard["joints"] if robot.joints else None,
        velocities=shard["velocities"] if robot.joints else None,
        past=past,
    )
    first, last = robot.flag_groups()["past"]
    starts = shard["episode_start"]
    raw[starts, first:last] = 0.0
    known[starts, first : last - 1] = 0.0
    return raw, known
