"""State-level calls: the next states of a scene, the actions in a video, a rollout of any length.

One request covers one chunk. Longer horizons are chained: the next chunk starts from the last predicted frame (forward
dynamics, policy) or from the last frame of the piece before (inverse dynamics), and ``seams`` says where. Errors grow
across seams: the model conditions on its own prediction there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from cosmos_ros.embodiment import Embodiment, RecordedStates, tier_size
from cosmos_ros.errors import CapabilityError, InputError, ModelError
from cosmos_ros.prediction.bound_model import BoundModel, RequestSettings
from cosmos_ros.types import (
    ActionChunk,
    ActionSpace,
    Float32Array,
    FloatArray,
    Mode,
    Observation,
    Request,
    Rollout,
    UInt8Array,
)
from cosmos_ros.world_models.protocol import WorldModel

MAX_HORIZON = 4096
Settings = Mapping[str, float | int | str | bool]


@dataclass(frozen=True)
class StateRollout:
    """What a state-level call returns.

    Attributes:
        frames: ``uint8 [N+1, H, W, 3]``, frame 0 the first chunk's own; None when none were predicted.
        actions: ``float32 [N, D]`` in the model's space: given, predicted or inferred.
        action_space: Meaning of the rows.
        chunk: The actions decoded over the whole horizon; None when the start is not known.
        seams: Row indices at which a new request began (0 left out); frame ``seams[i]`` is where it started from.
        fps: Rate of frames and rows, 1/s.
        requests, rollouts: Request and answer of each chunk.
        start: The first observation, where there was one.
    """

    frames: UInt8Array | None
    actions: Float32Array
    action_space: ActionSpace
    chunk: ActionChunk | None
    seams: tuple[int, ...]
    fps: float
    requests: tuple[Request, ...]
    rollouts: tuple[Rollout, ...]
    start: Observation | None = None


class StateModel:
    """A loaded world model and an embodiment, asked about states instead of requests.

    Args:
        world_model: Loaded; this class neither loads nor closes it.
        embodiment: What the scene and the actions are of.
        seed: Seed of the first chunk; each further one takes the next number.
        settings: Sampler overrides.
        negative_prompt: Text to steer away from.

    Raises:
        CapabilityError: The model does not take a setting or the negative prompt.
    """

    def __init__(
        self,
        world_model: WorldModel,
        embodiment: Embodiment,
        *,
        seed: int = 0,
        settings: Settings | None = None,
        negative_prompt: str = "",
    ) -> None:
        self.world_model = world_model
        self.embodiment = embodiment
        self._model = BoundModel(
            world_model,
            embodiment,
            RequestSettings(seed=seed, sampler=dict(settings or {}), negative_prompt=negative_prompt),
        )

    def predict_next_state(self, scene: Observation, action: FloatArray | RecordedStates) -> StateRollout:
        """Forward dynamics: the frames that follow from actions.

        Args:
            scene: What is seen now.
            action: ``[N, D]`` rows in the model's space, or N + 1 recorded states to be encoded.

        Raises:
            CapabilityError: The model has no forward dynamics for this embodiment, or cannot be chained so far.
            InputError, DecodeError, ModelError: Scene, action, or the model's answer is wrong.
        """
        self._model.require(Mode.FORWARD_DYNAMICS)
        rows = self._rows(action)
        requests, rollouts, frames = self._chain(scene, Mode.FORWARD_DYNAMICS, len(rows), rows)
        return self._result(scene, frames, rows.astype(np.float32), requests, rollouts, ActionSpace.MODEL)

    def infer_action(
        self, video: UInt8Array | Mapping[str, UInt8Array], start: Observation | None = None, instruction: str = ""
    ) -> StateRollout:
        """Inverse dynamics: the actions between the frames of a video.

        Args:
            video: Canvases ``uint8 [N+1, H, W, 3]``, or view → ``uint8 [N+1, H, W, 3]``, at the embodiment's rate.
            start: The state at the first frame, to decode the actions from; None leaves them undecoded.
            instruction: Task text, when it is known.

        Raises:
            CapabilityError: The model has no inverse dynamics for this embodiment.
            InputError, ModelError: The video or the model's answer is wrong.
        """
        self._model.require(Mode.INVERSE_DYNAMICS)
        canvases = self.embodiment.compose_video(video) if isinstance(video, Mapping) else np.asarray(video)
        if canvases.ndim != 4 or len(canvases) < 2:
            raise InputError(f"at least 2 frames are needed, got shape {list(canvases.shape)}", where="video")
        observation = start or Observation(stamp_ns=0, images={}, image_stamps_ns={}, joints=None)
        if instruction:
            observation = replace(observation, instruction=instruction)
        steps, total = self.embodiment.chunk_size, len(canvases) - 1
        requests: list[Request] = []
        rollouts: list[Rollout] = []
        rows: list[Float32Array] = []
        for index, first in enumerate(_pieces(total, steps)):
            piece = canvases[first : first + steps + 1]
            padding = steps + 1 - len(piece)
            if padding:  # the convention of the model's own inference: the last frame stands
                piece = np.concatenate([piece, np.repeat(piece[-1:], padding, axis=0)])
            request = self._model.build_request(observation, Mode.INVERSE_DYNAMICS, seed=self._seed(index), video=piece)
            rollout = self._model.answer(request)
            assert rollout.actions is not None
            requests.append(request)
            rollouts.append(rollout)
            rows.append(rollout.actions[: steps - padding].astype(np.float32))
        return self._result(start, None, np.concatenate(rows), requests, rollouts, rollouts[0].action_space)

    def generate_rollout(self, scene: Observation, instruction: str, horizon: int) -> StateRollout:
        """Policy: frames and actions that carry out an instruction.

        Args:
            scene: What is seen now.
            instruction: Task text; empty takes the scene's own.
            horizon: N, number of steps of 1/fps.

        Raises:
            CapabilityError: The model has no policy for this embodiment, or cannot be chained so far.
            InputError, ModelError: The scene or the model's answer is wrong.
        """
        self._model.require(Mode.POLICY)
        if not 1 <= horizon <= MAX_HORIZON:
            raise InputError(f"horizon {horizon} must be 1 to {MAX_HORIZON}", where="horizon")
        if instruction:
            scene = replace(scene, instruction=instruction)
        requests, rollouts, frames = self._chain(scene, Mode.POLICY, horizon, None)
        rows = np.concatenate([np.asarray(r.actions, dtype=np.float32) for r in rollouts])[:horizon]
        return self._result(scene, frames, rows, requests, rollouts, rollouts[0].action_space)

    # One request after the other.

    def _chain(
        self, scene: Observation, mode: Mode, horizon: int, given: FloatArray | None
    ) -> tuple[list[Request], list[Rollout], UInt8Array | None]:
        steps = self.embodiment.chunk_size
        can = self.world_model.capabilities
        if horizon > steps and (not can.returns_frames or can.needs_state or can.needs_observation):
            reason = "returns no frames" if not can.returns_frames else "reads the robot's state"
            raise CapabilityError(
                f"{horizon} steps need more than one chunk of {steps}, and it {reason}, so chunks cannot be chained",
                where=f"world_model {self.world_model.name}",
            )
        requests: list[Request] = []
        rollouts: list[Rollout] = []
        frames: list[UInt8Array] = []
        for index, first in enumerate(_pieces(horizon, steps)):
            count = min(steps, horizon - first)
            actions = None
            if given is not None:
                piece = given[first : first + count]
                actions = np.concatenate([piece, np.repeat(piece[-1:], steps - count, axis=0)])
            if not requests:
                request = self._model.build_request(scene, mode, seed=self._seed(index), actions=actions)
            else:
                request = self._continue(requests[-1], rollouts[-1], given, first, index, actions)
            rollout = self._model.answer(request)
            requests.append(request)
            rollouts.append(rollout)
            if rollout.frames is not None:
                if frames and rollout.frames.shape[1:] != frames[0].shape[1:]:
                    raise ModelError(
                        f"the frames of chunk {index + 1} have shape {list(rollout.frames.shape[1:])}, those before "
                        f"{list(frames[0].shape[1:])}",
                        where=f"world_model {self.world_model.name}",
                    )
                frames.append(rollout.frames[: count + 1] if not frames else rollout.frames[1 : count + 1])
        return requests, rollouts, np.concatenate(frames) if frames else None

    def _continue(
        self,
        before: Request,
        answer: Rollout,
        given: FloatArray | None,
        first: int,
        index: int,
        actions: FloatArray | None,
    ) -> Request:
        """Return the request that goes on where an answer ended."""
        assert answer.frames is not None
        rows = answer.actions if given is None else given[:first]
        last = None if rows is None else np.asarray(rows[-1], dtype=np.float32)
        hold = before.hold_action
        if hold is not None and last is not None and before.layout is not None:
            hold = hold.copy()
            columns = list(before.layout.gripper_columns)
            hold[columns] = last[columns]
        return replace(
            before,
            image=_on_same_canvas(answer.frames[-1], before),
            previous_image=_on_same_canvas(answer.frames[-2], before),
            past_action=last,
            hold_action=hold,
            actions=None if actions is None else actions.astype(np.float32),
            seed=self._seed(index),
            observation=None,
        )

    def _seed(self, index: int) -> int:
        return self._model.settings.seed + index

    def _rows(self, action: FloatArray | RecordedStates) -> FloatArray:
        rows = action if isinstance(action, np.ndarray) else self.embodiment.encode(action).actions
        rows = np.asarray(rows, dtype=np.float64)
        if rows.ndim != 2 or not 1 <= len(rows) <= MAX_HORIZON or rows.shape[1] != self.embodiment.action_dim:
            raise InputError(
                f"expected [N, {self.embodiment.action_dim}] with N from 1 to {MAX_HORIZON}, got {list(rows.shape)}",
                where="action",
            )
        return rows

    def _result(
        self,
        start: Observation | None,
        frames: UInt8Array | None,
        rows: Float32Array,
        requests: Sequence[Request],
        rollouts: Sequence[Rollout],
        space: ActionSpace,
    ) -> StateRollout:
        chunk = None
        if start is not None and (start.joints is not None or not self.embodiment.has_joints):
            chunk = self.embodiment.decode_actions(
                rows.astype(np.float64), self.embodiment.tool_poses(start), space=space, stamp_ns=start.stamp_ns
            )
        seams = tuple(_pieces(len(rows), self.embodiment.chunk_size))[1:]
        return StateRollout(
            frames=frames,
            actions=rows,
            action_space=space,
            chunk=chunk,
            seams=seams,
            fps=self.embodiment.fps,
            requests=tuple(requests),
            rollouts=tuple(rollouts),
            start=start,
        )


def _on_same_canvas(frame: UInt8Array, before: Request) -> UInt8Array:
    """Return a predicted frame as the next chunk's image, on the canvas that frames and caption are of.

    Frames come back without padding. Where that is near the border between two canvases the frame alone would be laid
    onto the other one; it is then scaled back to the size of the image that was asked about.
    """
    assert before.image is not None
    height, width = before.image.shape[:2]
    wanted = tier_size(height, width, before.resolution_tier)
    found = tier_size(frame.shape[0], frame.shape[1], before.resolution_tier)
    same = (found.height, found.width) == (wanted.height, wanted.width)
    if same and (found.content_height, found.content_width) == frame.shape[:2]:
        return frame
    return np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _pieces(total: int, steps: int) -> Iterator[int]:
    """Yield the first row of each chunk."""
    yield from range(0, total, steps)
