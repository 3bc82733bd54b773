"""Builds requests: canvas, caption, past action, and what a model may want to know about the action space."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cosmos_ros.embodiment.canvas import Composer, check_image, tier_size
from cosmos_ros.embodiment.codec import RobotMotion, check_rows, encode_motion
from cosmos_ros.embodiment.compiled import CompiledEmbodiment
from cosmos_ros.embodiment.loader import LoadedSpec
from cosmos_ros.embodiment.prompt import build_prompt
from cosmos_ros.embodiment.rigid_rows import rigid_rows
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

# A past action is of one control step; buffers may hold a neighbour instead, which is another motion.
STEP_TOLERANCE = 0.25


class RequestBuilder(CompiledEmbodiment):
    """An embodiment that lays images onto the model's canvas and builds requests."""

    def __init__(
        self, loaded: LoadedSpec, urdf: str | Path | None = None, ur_calibration: str | Path | None = None
    ) -> None:
        super().__init__(loaded, urdf, ur_calibration)
        self._composer = Composer(self.spec.cameras, self.spec.canvas.rows)
        self._action_layout = ActionLayout(
            scale=self.normaliser.scale,
            offset=self.normaliser.offset,
            pose_columns=tuple(block.start for block in self.layout.poses),
            gripper_columns=tuple(grip.column for grip in self.layout.grips),
            clamp=self.normaliser.clamped,
        )

    def compose(self, images: Mapping[str, UInt8Array]) -> UInt8Array:
        """Return the canvas ``uint8 [H, W, 3]`` of one set of views, not padded; InputError names a missing view."""
        return self._composer.compose(images)

    def prepare(self, view: str, image: UInt8Array) -> None:
        """Scale one view before ``compose``, in any thread; the image must not be changed any more.

        Only saves time: the canvas is the same without. Side views need the size of the primary view, which is known
        from the last canvas.
        """
        self._composer.prepare(view, image)

    def compose_video(self, videos: Mapping[str, UInt8Array]) -> UInt8Array:
        """Return the canvases ``uint8 [N, H, W, 3]`` of views that are each ``uint8 [N, H, W, 3]``."""
        lengths = {view: len(frames) for view, frames in videos.items()}
        if not lengths or len(set(lengths.values())) != 1 or 0 in lengths.values():
            raise InputError(f"views need equal numbers of frames, got {lengths}", where="videos")
        count = next(iter(lengths.values()))
        return np.stack([self.compose({view: frames[i] for view, frames in videos.items()}) for i in range(count)])

    def build_request(
        self,
        observation: Observation,
        mode: Mode,
        *,
        seed: int = 0,
        chunk_size: int | None = None,
        settings: Mapping[str, float | int | str | bool] | None = None,
        actions: FloatArray | None = None,
        video: UInt8Array | None = None,
        negative_prompt: str = "",
        needs_observation: bool = False,
        committed: FloatArray | None = None,
        commanded: Mapping[str, float] | None = None,
    ) -> Request:
        """Put an observation into the model's own terms.

        Args:
            observation: What was seen; its ``previous`` gives the previous canvas and the past action.
            mode: What is asked.
            seed: Seed of the sampler.
            chunk_size: T; None takes the embodiment's own.
            settings: Sampler overrides, passed on as they are (see ``sampler_settings`` for recommended ones).
            actions: ``[T, D]`` normalised actions, for forward_dynamics only.
            video: ``uint8 [T+1, H, W, 3]`` canvases, for inverse_dynamics only.
            negative_prompt: Text to steer away from.
            needs_observation: Put the observation itself into the request.
            committed: ``[k, D]`` normalised rows that will be executed whatever is answered, for policy only.
            commanded: Gripper → opening last commanded, 0 closed to 1 open, of every gripper of the rows.

        Raises:
            InputError: A view, joint or array is missing or wrong; names it.
            DecodeError: ``actions`` have the wrong width or are not finite.
        """
        spec = self.spec
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
            image = self.compose(observation.images)
            previous_image = self._previous_canvas(observation)
            height, width = image.shape[:2]
        canvas = tier_size(height, width, spec.canvas.tier)
        return Request(
            mode=mode,
            domain_name=spec.domain.name,
            domain_id=spec.domain.id,
            fps=spec.fps,
            chunk_size=steps,
            action_dim=self.action_dim,
            image=image,
            video=video,
            actions=self._actions(actions, mode, steps),
            state=self._state(observation),
            previous_image=previous_image,
            past_action=self._past_action(observation),
            committed=self._committed(committed, mode, steps),
            commanded=self._commanded(commanded),
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
            recommended_settings=self.sampler_settings(mode),
            hold_action=self._hold_action(observation),
            layout=self._action_layout,
            observation=observation if needs_observation else None,
        )

    def _previous_canvas(self, observation: Observation) -> UInt8Array | None:
        previous = observation.previous
        if previous is None or any(view not in previous.images for view in self.views):
            return None
        return self.compose(previous.images)

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
        check_rows(self.layout, rows)
        if len(rows) != steps:
            raise InputError(f"expected {steps} action rows, got {len(rows)}", where="actions")
        return self.normaliser.clamp(rows)[0].astype(np.float32)

    def _committed(self, rows: FloatArray | None, mode: Mode, steps: int) -> Float32Array | None:
        if rows is None or not len(rows):
            return None
        if mode is not Mode.POLICY:
            raise InputError(f"{mode.value} takes no committed rows", where="committed")
        given = np.asarray(rows, dtype=np.float64)
        check_rows(self.layout, given)
        if len(given) >= steps:
            raise InputError(f"{len(given)} rows leave nothing to predict of {steps}", where="committed")
        return rigid_rows(given, self.layout, self.normaliser).astype(np.float32)

    def _commanded(self, openings: Mapping[str, float] | None) -> Float32Array | None:
        if openings is None or any(grip.gripper not in openings for grip in self.layout.grips):
            return None
        return np.array([np.clip(openings[grip.gripper], 0.0, 1.0) for grip in self.layout.grips], dtype=np.float32)

    def _state(self, observation: Observation) -> Float32Array | None:
        """Return the state row of joint-space policies: joints (rad) and gripper openings, as in an action row."""
        row = self._row_at_rest(observation) if self.layout.joints else None
        return None if row is None else row.astype(np.float32)

    def _hold_action(self, observation: Observation) -> Float32Array | None:
        """Return the row of "do not move, leave the grippers as they are"; None where that is not known."""
        row = self._row_at_rest(observation)
        return None if row is None else self.normaliser.normalise(row).astype(np.float32)

    def _row_at_rest(self, observation: Observation) -> FloatArray | None:
        """Return the physical row ``[D]`` that leaves everything where it is; None where that is not known."""
        openings = self.gripper_openings(observation)
        if any(grip.gripper not in openings for grip in self.layout.grips):
            return None
        row = self.layout.identity_row()
        for grip in self.layout.grips:
            row[grip.column] = float(grip.to_model(np.array(openings[grip.gripper])))
        if self.layout.joints:
            if observation.joints is None:
                return None
            joints = self.joint_positions(observation.joints)
            for group in self.layout.joints:
                row[group.start : group.start + len(group.joints)] = [joints[name] for name in group.joints]
        return row

    def _past_action(self, observation: Observation) -> Float32Array | None:
        """Return the normalised row that led from the previous observation to this one; None where not known."""
        previous = observation.previous
        if previous is None:
            return None
        steps = (observation.stamp_ns - previous.stamp_ns) * self.fps / NANOSECONDS
        if abs(steps - 1.0) > STEP_TOLERANCE:
            return None
        if self.has_joints and (previous.joints is None or observation.joints is None):
            return None
        pair = (previous, observation)
        openings = [self.gripper_openings(o) for o in pair]
        if any(grip.gripper not in known for grip in self.layout.grips for known in openings):
            return None
        poses = [self.tool_poses(o) for o in pair]
        joints = [self.joint_positions(o.joints) if o.joints is not None else {} for o in pair]
        motion = RobotMotion(
            poses={link: np.stack([p[link] for p in poses]) for link in self.tool_links},
            openings={g.gripper: np.array([k[g.gripper] for k in openings]) for g in self.layout.grips},
            joints={name: np.array([j[name] for j in joints]) for name in self.joint_names},
        )
        rows = self.normaliser.normalise(encode_motion(self.layout, motion))
        return np.asarray(self.normaliser.clamp(rows)[0][0], dtype=np.float32)
