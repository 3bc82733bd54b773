"""What an episode leaves behind, in the numbers that Cosmos3 would see, and the files that hold it.

A shard is one uncompressed ``.npz`` of some episodes; nothing in it is pickled. Its episodes lie one after another, and
``episode_start`` says where each begins. N rows, J joints, P pose blocks and G grippers of the action layout, T rows of
a chunk, D columns:

=============== =================== =================================================================================
``labels``      float16 [N, T, D]   the teacher's chunk from the state of this row, normalised
``executed``    float16 [N, D]      the row that led from this state to the next, normalised; zero at an episode's end
``joints``      float32 [N, J]      measured positions, rad or m; ``velocities`` alike
``tools``       float32 [N, P, 9]   measured pose of each action block: translation (m) and the rotation's first columns
``openings``    float32 [N, G]      measured; ``commands`` as last commanded; 0 closed to 1 open
``canvas``      uint8 [N, H, W, 3]  what the cameras saw, composed as the embodiment does; absent without pictures
``phase``       int8 [N]            the teacher's phase; ``done`` bool: the task was done by then
``item``        float32 [N, 3]      where the item is, m; training asks for it, the exported model does not tell it
=============== =================== =================================================================================

An episode has ``episode_seed``, ``episode_verb``, ``episode_instruction``, ``episode_hand``, ``episode_done``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cosmos_ros.embodiment import Embodiment, RecordedStates
from cosmos_ros.se3 import pose9d_from_matrix
from cosmos_ros.types import FloatArray

Arrays = dict[str, npt.NDArray[np.generic]]


@dataclass
class EpisodeRows:
    """Rows of one episode while they are collected; poses are the embodiment's links' in the base frame.

    Attributes:
        grasped: Link of the hand that works.
        gripper: Its gripper.
        poses: One ``link → [4, 4]`` a row.
        plans: One ``[T+1, 4, 4]`` of the working link a row.
        plan_openings: One ``[T]`` a row.
        openings, commands: One ``gripper → value`` a row.
        joints, velocities: ``[J]`` a row.
        phases, done, items: One a row.
        moments: Generalised positions and pads' poses a row, to render from.
    """

    seed: int
    verb: int
    instruction: str
    grasped: str
    gripper: str
    poses: list[dict[str, FloatArray]] = field(default_factory=list)
    plans: list[FloatArray] = field(default_factory=list)
    plan_openings: list[FloatArray] = field(default_factory=list)
    openings: list[dict[str, float]] = field(default_factory=list)
    commands: list[dict[str, float]] = field(default_factory=list)
    joints: list[FloatArray] = field(default_factory=list)
    velocities: list[FloatArray] = field(default_factory=list)
    phases: list[int] = field(default_factory=list)
    done: list[bool] = field(default_factory=list)
    items: list[FloatArray] = field(default_factory=list)

    def arrays(self, embodiment: Embodiment) -> Arrays:
        """Return the rows as arrays, encoded by the embodiment."""
        links = [block.link for block in embodiment.layout.poses]
        grippers = [grip.gripper for grip in embodiment.layout.grips]
        poses = {link: np.stack([row[link] for row in self.poses]) for link in links}
        openings = np.array([[row[g] for g in grippers] for row in self.openings])
        commands = np.array([[row[g] for g in grippers] for row in self.commands])
        return {
            "labels": self._labels(embodiment, poses, openings, commands).astype(np.float16),
            "executed": self._executed(embodiment, poses, commands).astype(np.float16),
            "joints": np.stack(self.joints).astype(np.float32),
            "velocities": np.stack(self.velocities).astype(np.float32),
            "tools": np.stack([pose9d_from_matrix(poses[link]) for link in links], axis=1).astype(np.float32),
            "openings": openings.astype(np.float32),
            "commands": commands.astype(np.float32),
            "phase": np.array(self.phases, dtype=np.int8),
            "done": np.array(self.done),
            "item": np.stack(self.items).astype(np.float32),
        }

    def _labels(
        self, embodiment: Embodiment, poses: Mapping[str, FloatArray], openings: FloatArray, commands: FloatArray
    ) -> FloatArray:
        """Return the normalised chunks ``[N, T, D]``: all plans encoded as one recording, without the joins."""
        plans = np.stack(self.plans)
        count, instants = plans.shape[:2]
        flat = {link: np.repeat(p, instants, axis=0) for link, p in poses.items()}
        flat[self.grasped] = plans.reshape(-1, 4, 4)
        fingers: dict[str, FloatArray] = {}
        planned = np.stack(self.plan_openings)
        for index, grip in enumerate(embodiment.layout.grips):
            held = commands[:, index]
            whole = np.repeat(held[:, None], instants, axis=1)
            if grip.gripper == self.gripper:
                # Row k is commanded at the end of its step; the layout says whether it is read at k or k + 1.
                first = openings[:, index : index + 1]
                whole = np.hstack((planned, planned[:, -1:])) if grip.offset == 0 else np.hstack((first, planned))
            fingers[grip.gripper] = np.clip(whole, 0.0, 1.0).ravel()
        rows = embodiment.encode(RecordedStates(tool_poses=flat, gripper_openings=fingers)).actions
        # The row between two plans is a jump from one to the next: every instant but the last of each plan stays.
        keep = np.arange(count * instants - 1) % instants != instants - 1
        return np.asarray(rows[keep].reshape(count, instants - 1, -1))

    def _executed(self, embodiment: Embodiment, poses: Mapping[str, FloatArray], commands: FloatArray) -> FloatArray:
        fingers = {}
        for index, grip in enumerate(embodiment.layout.grips):
            after = np.append(commands[1:, index], commands[-1, index])
            fingers[grip.gripper] = after if grip.offset == 0 else commands[:, index]
        rows = embodiment.encode(RecordedStates(tool_poses=poses, gripper_openings=fingers)).actions
        return np.vstack((rows, np.zeros((1, rows.shape[1]))))


def join(parts: Sequence[Arrays], heads: Sequence[EpisodeRows]) -> Arrays:
    """Return the arrays of a shard."""
    lengths = [len(part["phase"]) for part in parts]
    whole: Arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    whole["episode_start"] = np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int64)
    whole["episode_seed"] = np.array([h.seed for h in heads], dtype=np.int64)
    whole["episode_verb"] = np.array([h.verb for h in heads], dtype=np.int8)
    whole["episode_instruction"] = np.array([h.instruction for h in heads], dtype=np.str_)
    whole["episode_hand"] = np.array([h.gripper for h in heads], dtype=np.str_)
    whole["episode_done"] = np.array([bool(part["done"][-1]) for part in parts])
    return whole


def write_shard(path: Path, arrays: Arrays) -> None:
    """Write a shard whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def read_shard(path: Path) -> Arrays:
    """Return the arrays of a shard."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
