"""The network at the wheel of the generator: what it sees of running episodes, and the motion it answers with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from cosmos_ros.embodiment import RecordedStates, rigid_rows
from cosmos_ros.se3 import pose9d_from_matrix
from cosmos_ros.sim.hands import Hands
from cosmos_ros.sim.teacher_plan import Plans
from cosmos_ros.types import Float32Array, FloatArray, UInt8Array
from cosmos_ros.world_models.compact.model import decided
from cosmos_ros.world_models.compact.words import Vocabulary
from training.graphs import from_bytes
from training.lockstep import Episode, Lockstep, ask_for_another, robot_of
from training.model import CompactNet
from training.pictures import Pictures

# Rows that are still executed when an answer arrives: what committed rows are for. Control steps.
_COMMITTED = (0, 4)


class Learner:
    """Drives episodes; a ``Driver`` of ``training.generate``. Close it to free the GL contexts.

    Args:
        net: The network.
        name: Which robot.
        vocabulary: It was trained with.
        width: Of the canvas that is rendered, pixels.
        seed: Of its noise.
        committed: Fewest and one more than most rows that go on being executed while it thinks.
        swap: Ask for another object that lies there than the one the scene was made for.

    Attributes:
        swapped: Seeds of the episodes in which another object could be asked for.
    """

    def __init__(
        self, net: CompactNet, name: str, vocabulary: Vocabulary, width: int, seed: int,
        *, committed: tuple[int, int] = _COMMITTED, swap: bool = False,
    ) -> None:  # fmt: skip
        self._net, self._name, self._vocabulary, self._width = net.eval(), name, vocabulary, width
        self._robot, self._inputs = robot_of(name), net.inputs[name]
        self._rng, self._committed, self._swap = np.random.default_rng(seed), committed, swap
        self.swapped: set[int] = set()
        self._worlds: dict[int, Pictures] = {}
        self._device = next(net.parameters()).device

    def close(self) -> None:
        """Free the GL contexts."""
        for pictures in self._worlds.values():
            pictures.__exit__()
        self._worlds.clear()

    def __call__(
        self, lock: Lockstep, plans: Plans, hands: Hands, due: Sequence[int]
    ) -> list[tuple[FloatArray, FloatArray]]:
        """Return grasp poses and openings for the episodes that are due."""
        embodiment = self._robot.embodiment
        episodes = [lock.episodes[i] for i in due]
        for e in episodes:
            if self._swap and e.steps == 0 and ask_for_another(self._robot, e):
                self.swapped.add(e.seed)
        observed = [self._observed(e) for e in episodes]
        steps, width = self._inputs.chunk_size, self._inputs.action_dim
        given = np.zeros((len(due), steps, width), dtype=np.float32)
        is_given = np.zeros((len(due), steps), dtype=np.float32)
        ahead: list[tuple[list[FloatArray], list[float]]] = []
        for number, (e, (_, _, poses)) in enumerate(zip(episodes, observed, strict=True)):
            count = min(int(self._rng.integers(*self._committed)), len(e.path), steps - 1)
            ahead.append((e.path[:count], e.openings[:count]))
            if count:
                given[number, :count] = self._rows(e, poses, *ahead[-1])
                is_given[number, :count] = 1.0
        rows = self._answers(observed, episodes, given, is_given)
        answers = []
        for number, (e, (_, _, poses)) in enumerate(zip(episodes, observed, strict=True)):
            chunk = embodiment.decode_actions(rows[number].astype(np.float64), poses, thorough=False)
            grasp = chunk.poses[e.hand.link] @ e.hand.grasp
            openings = np.array(chunk.grippers[e.hand.gripper])
            kept, kept_openings = ahead[number]
            if kept:
                grasp[: len(kept)], openings[: len(kept)] = np.stack(kept), kept_openings
            answers.append((grasp, openings))
        return answers

    @torch.no_grad()
    def _answers(
        self, observed: Sequence[tuple[list[UInt8Array], Float32Array, dict[str, FloatArray]]],
        episodes: Sequence[Episode], given: Float32Array, is_given: Float32Array,
    ) -> Float32Array:  # fmt: skip
        device, net = self._device, self._net
        views = [
            from_bytes(torch.from_numpy(np.stack([pictures[i] for pictures, _, _ in observed])).to(device))
            for i in range(len(self._inputs.views))
        ]
        state = torch.from_numpy(np.concatenate([state for _, state, _ in observed])).to(device)
        words = torch.from_numpy(np.stack([self._vocabulary.encode(e.made.instruction)[0] for e in episodes])).to(
            device
        )
        noise = torch.from_numpy(self._rng.standard_normal(given.shape, dtype=np.float32)).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            encoded = net.encode(self._name, views, state, words)
            nothing = torch.zeros(1, 1, net.sizes.width, device=device)
            rows, _, classes = net.sample(
                self._name, encoded.memory.float(), noise, torch.from_numpy(given).to(device),
                torch.from_numpy(is_given).to(device), nothing,
            )  # fmt: skip
        result = rows.float().cpu().numpy()
        likely = classes.float().cpu().numpy()
        embodiment = self._robot.embodiment
        for number, known in enumerate(is_given.sum(axis=1).astype(int)):
            free = decided(result[number, known:], likely[number, known:], self._inputs)
            result[number, known:] = rigid_rows(free, embodiment.layout, embodiment.normaliser)
        return result

    def _observed(self, e: Episode) -> tuple[list[UInt8Array], Float32Array, dict[str, FloatArray]]:
        """Return pictures, the state vector ``[1, S]`` and the links' poses of one episode."""
        robot, inputs, embodiment = self._robot, self._inputs, self._robot.embodiment
        if id(e.world) not in self._worlds:
            self._worlds[id(e.world)] = Pictures(embodiment, e.world, self._width)
        canvas = self._worlds[id(e.world)].canvases([e.world.snapshot()])[0]
        state = e.world.joint_state()
        assert state.velocities is not None
        positions = dict(zip(state.names, state.positions.tolist(), strict=True))
        known = {name: positions[name] for name in robot.model.joint_names}
        poses = {link: robot.model.fk(known, link) for link in embodiment.tool_links}
        columns = [state.names.index(name) for name in inputs.joints]
        commands = {
            g: float(np.clip(h.joint.fraction(e.setpoint[e.driven.index(h.joint.joint)]), 0.0, 1.0))
            for g, h in robot.hands.items()
        }
        commands[e.hand.gripper] = float(np.clip(e.command, 0.0, 1.0))
        openings = {g: e.world.opening(h.joint) for g, h in robot.hands.items()}
        raw, known_columns = inputs.raw_state(
            tools=np.stack([pose9d_from_matrix(poses[link]) for link in inputs.links])[None],
            openings=np.array([[openings[g] for g in inputs.grippers]]),
            commands=np.array([[commands[g] for g in inputs.grippers]]),
            positions=state.positions[columns][None] if inputs.joints else None,
            velocities=state.velocities[columns][None] if inputs.joints else None,
            past=None,
        )
        return [view.picture(canvas) for view in inputs.views], inputs.state(raw, known_columns), poses

    def _rows(
        self, e: Episode, poses: dict[str, FloatArray], path: Sequence[FloatArray], openings: Sequence[float]
    ) -> Float32Array:
        """Return the normalised rows of grasp poses that are still to be gone through."""
        embodiment = self._robot.embodiment
        back = np.linalg.inv(e.hand.grasp)
        whole = {link: np.repeat(pose[None], len(path) + 1, axis=0) for link, pose in poses.items()}
        whole[e.hand.link] = np.stack([poses[e.hand.link], *(pose @ back for pose in path)])
        fingers = {}
        for grip in embodiment.layout.grips:
            hand = self._robot.hands[grip.gripper]
            now = e.world.opening(hand.joint)
            values = np.full(len(path) + 1, now)
            if grip.gripper == e.hand.gripper:
                values = np.append(openings, openings[-1]) if grip.offset == 0 else np.insert(openings, 0, now)
            fingers[grip.gripper] = np.clip(values, 0.0, 1.0)
        encoded = embodiment.encode(RecordedStates(tool_poses=whole, gripper_openings=fingers)).actions
        return rigid_rows(encoded, embodiment.layout, embodiment.normaliser).astype(np.float32)
