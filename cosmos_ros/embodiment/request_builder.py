"""Builds requests: canvas, caption, past action, and what a model may want to know about the action space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cosmos_ros.embodiment.canvas import check_image, tier_size
from cosmos_ros.embodiment.codec import Motion, check_rows, encode_motion
from cosmos_ros.embodiment.observed_state import gripper_openings, tool_poses
from cosmos_ros.embodiment.prompt import build_prompt
from cosmos_ros.embodiment.robot import read_joints
from cosmos_ros.errors import InputError
from cosmos_ros.types import (
    NANOSECONDS,
    ActionLayout,
    Float32Array,
    FloatArray,
    Mode,
    Observation,
    Request,
    UInt8Array,
)

if TYPE_CHECKING:
    from cosmos_ros.embodiment.adapter import Embodiment

# A past action is of one control step; buffers may hold a neighbour instead, which is another motion.
STEP_TOLERANCE = 0.25


class RequestBuilder:
    """Puts observations of one embodiment into the model's own terms."""

    def __init__(self, embodiment: Embodiment) -> None:
        self._embodiment = embodiment
        layout, normaliser = embodiment.layout, embodiment.normaliser
        self._action_layout = ActionLayout(
            scale=normaliser.scale,
            offset=normaliser.offset,
            pose_columns=tuple(block.start for block in layout.poses),
            gripper_columns=tuple(grip.column for grip in layout.grips),
            clamp=normaliser.clamped,
        )

    def build(
        self,
        observation: Observation,
        mode: Mode,
        *,
        seed: int,
        chunk_size: int | None,
        settings: Mapping[str, float | int | str | bool] | None,
        actions: FloatArray | None,
        video: UInt8Array | None,
        negative_prompt: str,
        needs_observation: bool,
    ) -> Request:
        """Return the request; see ``Embodiment.build_request``."""
        embodiment = self._embodiment
        spec = embodiment.spec
        steps = spec.chunk_size if chunk_size is None else chunk_size
        if steps < 1:
            raise InputError(f"chunk size {steps} must be positive", where="chunk_size")
        image = previous_image = None
        if mode is Mode.INVERSE_DYNAMICS:
            if actions is not None:
                raise InputError("inverse_dynamics takes a video, not actions", where="actions")
            video = self._video(video, steps)
            height, width = video.shape[1:3]
        else:
            if video is not None:
                raise InputError(f"{mode.value} takes an image, not a video", where="video")
            image = embodiment.compose(observation.images)
            previous_image = self._previous_canvas(observation)
            height, width = image.shape[:2]
        canvas = tier_size(height, width, spec.canvas.tier)
        return Request(
            mode=mode,
            domain_name=spec.domain.name,
            domain_id=spec.domain.id,
            fps=spec.fps,
            chunk_size=steps,
            action_dim=embodiment.action_dim,
            image=image,
            video=video,
            actions=self._actions(actions, mode, steps),
            state=self._state(observation),
            previous_image=previous_image,
            past_action=self._past_action(observation),
            instruction=observation.instruction,
            prompt=build_prompt(
                observation.instruction,
                view_point=spec.prompt.view_point,
                frames=steps + 1,
                fps=spec.fps,
                height=canvas.height,
                width=canvas.width,
                view_description=spec.prompt.view_description,
            ),
            negative_prompt=negative_prompt,
            view_point=spec.prompt.view_point,
            resolution_tier=spec.canvas.tier,
            seed=seed,
            settings=dict(settings or {}),
            recommended_settings=embodiment.sampler_settings(mode),
            hold_action=self._hold_action(observation),
            layout=self._action_layout,
            observation=observation if needs_observation else None,
        )

    def _previous_canvas(self, observation: Observation) -> UInt8Array | None:
        previous = observation.previous
        if previous is None or any(view not in previous.images for view in self._embodiment.views):
            return None
        return self._embodiment.compose(previous.images)

    def _video(self, video: UInt8Array | None, steps: int) -> UInt8Array:
        if video is None:
            raise InputError(
                "inverse_dynamics needs a video of canvases", where="video", hint="Make it with compose_video."
            )
        if video.ndim != 4 or len(video) != steps + 1:
            raise InputError(f"expected [{steps + 1}, H, W, 3], got shape {list(video.shape)}", where="video")
        check_image(video[0], "video frame 0")
        return video

    def _actions(self, actions: FloatArray | None, mode: Mode, steps: int) -> Float32Array | None:
        if mode is not Mode.FORWARD_DYNAMICS:
            if actions is not None:
                raise InputError(f"{mode.value} predicts actions, it takes none", where="actions")
            return None
        if actions is None:
            raise InputError("forward_dynamics needs actions", where="actions", hint="Make them with encode.")
        rows = np.asarray(actions, dtype=np.float64)
        check_rows(self._embodiment.layout, rows)
        if len(rows) != steps:
            raise InputError(f"expected {steps} action rows, got {len(rows)}", where="actions")
        return self._embodiment.normaliser.clamp(rows)[0].astype(np.float32)

    def _state(self, observation: Observation) -> Float32Array | None:
        """Return the state row of joint-space policies: joints (rad) and gripper openings, as in an action row."""
        layout = self._embodiment.layout
        if not layout.joints or observation.joints is None:
            return None
        openings = gripper_openings(self._embodiment, observation)
        if any(grip.gripper not in openings for grip in layout.grips):
            return None
        return self._held(observation, openings).astype(np.float32)

    def _hold_action(self, observation: Observation) -> Float32Array | None:
        """Return the row of "do not move, leave the grippers as they are"; None where that is not known."""
        openings = gripper_openings(self._embodiment, observation)
        layout = self._embodiment.layout
        if any(grip.gripper not in openings for grip in layout.grips):
            return None
        if layout.joints and observation.joints is None:
            return None
        return self._embodiment.normaliser.normalise(self._held(observation, openings)).astype(np.float32)

    def _held(self, observation: Observation, openings: Mapping[str, float]) -> FloatArray:
        """Return the physical row ``[D]`` that holds everything where it is."""
        embodiment = self._embodiment
        row = embodiment.layout.identity_row()
        for grip in embodiment.layout.grips:
            row[grip.column] = float(grip.to_model(np.array(openings[grip.gripper])))
        if embodiment.layout.joints and observation.joints is not None:
            joints = read_joints(observation.joints, embodiment.joint_names, embodiment.limits)
            for group in embodiment.layout.joints:
                row[group.start : group.start + len(group.joints)] = [joints[name] for name in group.joints]
        return row

    def _past_action(self, observation: Observation) -> Float32Array | None:
        """Return the normalised row that led from the previous observation to this one; None where not known."""
        previous = observation.previous
        if previous is None:
            return None
        embodiment = self._embodiment
        steps = (observation.stamp_ns - previous.stamp_ns) * embodiment.fps / NANOSECONDS
        if abs(steps - 1.0) > STEP_TOLERANCE:
            return None
        if embodiment.has_joints and (previous.joints is None or observation.joints is None):
            return None
        pair = (previous, observation)
        openings = [gripper_openings(embodiment, o) for o in pair]
        if any(grip.gripper not in known for grip in embodiment.layout.grips for known in openings):
            return None
        poses = [tool_poses(embodiment, o) for o in pair]
        joints = [
            read_joints(o.joints, embodiment.joint_names, embodiment.limits) if o.joints is not None else {}
            for o in pair
        ]
        motion = Motion(
            poses={link: np.stack([p[link] for p in poses]) for link in embodiment.tool_links},
            openings={g.gripper: np.array([k[g.gripper] for k in openings]) for g in embodiment.layout.grips},
            joints={name: np.array([j[name] for j in joints]) for name in embodiment.joint_names},
        )
        rows = embodiment.normaliser.normalise(encode_motion(embodiment.layout, motion))
        return np.asarray(embodiment.normaliser.clamp(rows)[0][0], dtype=np.float32)
