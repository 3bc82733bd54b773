"""Questions about recorded rows, put to a world model as a robot would put them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.se3 import matrix_from_pose9d
from cosmos_ros.types import NANOSECONDS, Float32Array, JointState, Mode, Observation, Request
from training.lockstep import robot_of
from training.rows import Arrays


@dataclass(frozen=True)
class Asker:
    """Asks about one shard, whose canvases are as the robot composes them.

    Attributes:
        name: The embodiment.
        shard: Its rows.
    """

    name: str
    shard: Arrays

    @property
    def embodiment(self) -> Embodiment:
        """The robot."""
        return robot_of(self.name).embodiment

    def rows(self, after: int, stride: int) -> list[int]:
        """Return every ``stride``-th row number of those that ``after`` rows of their episode follow."""
        starts = self.shard["episode_start"].astype(int)
        ends = np.append(starts[1:], len(self.shard["phase"]))
        # The first row of an episode has no row before it.
        return [n for a, b in zip(starts, ends, strict=True) for n in range(a + 1, b - after, stride)]

    def episode(self, row: int) -> int:
        """Return the number of the episode that a row is of."""
        return int(np.searchsorted(self.shard["episode_start"], row, side="right")) - 1

    def executed(self, row: int) -> Float32Array:
        """Return the rows executed from a state on, ``float32 [T, D]``."""
        return np.asarray(self.shard["executed"][row : row + self.embodiment.chunk_size], dtype=np.float32)

    def observation(self, row: int) -> Observation:
        """Return what was observed of a row, without images."""
        embodiment, shard = self.embodiment, self.shard
        stamp = round(row * NANOSECONDS / embodiment.fps)
        instruction = str(shard["episode_instruction"][self.episode(row)])
        if embodiment.has_joints:
            names = tuple(embodiment.all_joints)
            joints = JointState(
                stamp, names, shard["joints"][row].astype(np.float64), shard["velocities"][row].astype(np.float64)
            )
            return Observation(stamp, {}, {}, joints, instruction)
        poses = matrix_from_pose9d(shard["tools"][row].astype(np.float64))
        links = [block.link for block in embodiment.layout.poses]
        widths = {}
        for grip, opening in zip(embodiment.layout.grips, shard["openings"][row].tolist(), strict=True):
            width = embodiment.spec.grippers[grip.gripper].width
            if width is not None:
                widths[grip.gripper] = float(width.value(np.array(opening)))
        tools = dict(zip(links, poses, strict=True))
        return Observation(stamp, {}, {}, None, instruction, tool_poses=tools, gripper_widths=widths)

    def request(
        self, row: int, mode: Mode, *, actions: Float32Array | None = None, committed: Float32Array | None = None
    ) -> Request:
        """Return a question about a row."""
        embodiment, shard = self.embodiment, self.shard
        steps = embodiment.chunk_size
        observation = self.observation(row)
        return Request(
            mode=mode,
            domain_name=embodiment.domain_name,
            domain_id=embodiment.domain_id,
            fps=embodiment.fps,
            chunk_size=steps,
            action_dim=embodiment.action_dim,
            image=None if mode is Mode.INVERSE_DYNAMICS else shard["canvas"][row],
            video=shard["canvas"][row : row + steps + 1] if mode is Mode.INVERSE_DYNAMICS else None,
            actions=actions,
            previous_image=shard["canvas"][row - 1],
            past_action=shard["executed"][row - 1].astype(np.float32),
            committed=committed,
            commanded=shard["commands"][row].astype(np.float32),
            instruction=observation.instruction,
            seed=row,
            observation=observation,
        )
