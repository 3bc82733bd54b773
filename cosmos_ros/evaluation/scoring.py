"""Scores one chunk: asks the world model and the baselines, and compares with what was recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.errors import CosmosRosError
from cosmos_ros.evaluation.chunk_jobs import ChunkJob, Motion, gapless
from cosmos_ros.evaluation.frame_scores import CanvasRegions, score_frames, tidy
from cosmos_ros.evaluation.lpips import Lpips
from cosmos_ros.evaluation.motion_metrics import (
    action_errors,
    gripper_agreement,
    jerk_rms,
    pose_errors,
    shuffled_rows,
)
from cosmos_ros.guard import Guard, GuardContext, Response, Verdict
from cosmos_ros.prediction.pipeline import Pipeline, PipelineSettings, Prediction
from cosmos_ros.trajectory.joiner import Joiner, JoinSettings
from cosmos_ros.trajectory.piecewise import piecewise
from cosmos_ros.types import (
    NANOSECONDS,
    ActionChunk,
    ActionSpace,
    FloatArray,
    JointState,
    JointTrajectory,
    Mode,
    Rollout,
    UInt8Array,
)

MODEL = "model"
POLICY, FORWARD, INVERSE = (mode.value for mode in (Mode.POLICY, Mode.FORWARD_DYNAMICS, Mode.INVERSE_DYNAMICS))
SHUFFLED = "forward_dynamics_shuffled"
# The predictor's defaults, but that nothing passes between observation and joining.
_JOIN = JoinSettings(join_lead=0.0)  # nothing is on its way to a controller here


@dataclass(frozen=True)
class Scored:
    """What scoring gave.

    Attributes:
        record: JSON-serialisable; ``timing`` in it is all that differs from run to run.
        prediction: The model's policy prediction, for the annotated recording; None when there is none.
        verdict: The guard's on it.
        frames: Predictor (before ``compare_frames``: predictor/mode) → frames ``uint8 [T+1, H, W, 3]``.
    """

    record: dict[str, Any]
    prediction: Prediction | None
    verdict: Verdict | None
    frames: Mapping[str, UInt8Array]


class Scorer:
    """Scores chunks. ``predict`` is used by one thread.

    Args:
        embodiment: The robot.
        pipelines: Predictor → pipeline with a loaded world model; the model under evaluation is ``model``.
        settings: As the pipelines'.
        guard: Judges the trajectories; None for robots without joints.
        modes: Modes to ask the model for, besides policy.
        stride: Control steps from one chunk to the next.
        lpips: Computes LPIPS; None leaves it out.
    """

    def __init__(
        self,
        embodiment: Embodiment,
        pipelines: Mapping[str, Pipeline],
        settings: PipelineSettings,
        guard: Guard | None,
        *,
        modes: frozenset[Mode],
        stride: int,
        lpips: Lpips | None = None,
    ) -> None:
        self._embodiment = embodiment
        self._pipelines = pipelines
        self._settings = settings
        self._guard = guard
        self._modes = modes
        self._stride = stride
        self._lpips = lpips
        self._joiner = Joiner(embodiment.limits.joints, [g.joint for g in embodiment.gripper_joints.values()])
        self.regions = CanvasRegions(embodiment, settings.blank_views)

    def score(self, job: ChunkJob) -> Scored:
        """Score one chunk; what one predictor cannot do is written into the record and does not end it."""
        return self.compare_frames(job, self.predict(job))

    def predict(self, job: ChunkJob) -> Scored:
        """Ask every predictor and score motion and guard; frames are compared by ``compare_frames``."""
        motion, trouble = job.motion, job.motion_error
        record: dict[str, Any] = {
            "bag": job.bag,
            "index": job.index,
            "epoch": job.epoch,
            "stamp_ns": job.observation.stamp_ns,
            "frames_recorded": sum(canvas is not None for canvas in job.canvases[1:]),
            "input_age_ms": tidy(_oldest_input_ns(job) * 1e-6),
            "steps_recorded": 0 if motion is None else motion.steps,
            "predictors": {},
            "timing": {},
        }
        if trouble:
            record["motion_error"] = trouble
        if motion is not None and self._embodiment.has_joints:
            record["recorded"] = {"jerk": tidy(jerk_rms(motion.joints, 1.0 / self._embodiment.fps))}
        frames: dict[str, UInt8Array] = {}
        kept: tuple[Prediction | None, Verdict | None] = (None, None)
        for name, pipeline in self._pipelines.items():
            entry: dict[str, Any] = {}
            record["predictors"][name] = entry
            prediction = self._predict(pipeline, job, entry)
            if prediction is None:
                continue
            record["timing"][name] = {
                **{stage: round(ms, 3) for stage, ms in prediction.latencies_ms.items()},
                **{f"model/{stage}": round(ms, 3) for stage, ms in prediction.rollout.latencies_ms.items()},
            }
            if prediction.rollout.frames is not None:
                frames[f"{name}/{POLICY}"] = prediction.rollout.frames
            entry[POLICY] = self._motion_figures(prediction.rollout, prediction.chunk, prediction.trajectory, motion)
            verdict = self._judge(prediction, job, entry, record["timing"][name])
            if name == MODEL:
                kept = (prediction, verdict)
                self._shadow(verdict, job, motion, entry)
        self._ask_for_dynamics(job, motion, record, frames)
        return Scored(record, *kept, frames)

    def compare_frames(self, job: ChunkJob, scored: Scored) -> Scored:
        """Complete a record with the scores of the frames; needs no model and may run in another thread."""
        self._score_frames(job, scored.frames, scored.record)
        shown = {key.split("/")[0]: value for key, value in scored.frames.items() if key.endswith(f"/{POLICY}")}
        return replace(scored, frames=shown)

    # -- asking ---------------------------------------------------------------------------------------------------

    def _predict(self, pipeline: Pipeline, job: ChunkJob, entry: dict[str, Any]) -> Prediction | None:
        try:
            return pipeline.predict(job.observation)
        except CosmosRosError as error:
            entry["error"] = _error(error)
            return None

    def _ask_for_dynamics(
        self, job: ChunkJob, motion: Motion | None, record: dict[str, Any], frames: dict[str, UInt8Array]
    ) -> None:
        """Ask the model for forward and inverse dynamics, with what was recorded."""
        entry = record["predictors"][MODEL]
        steps = len(job.canvases) - 1
        if motion is None or motion.actions is None or motion.steps < steps:
            reason = "the recorded motion has a gap or ends" if motion is None or not motion.reason else motion.reason
            for mode in sorted(self._modes - {Mode.POLICY}):
                entry[mode.value] = {"skipped": reason}
            return
        if Mode.FORWARD_DYNAMICS in self._modes:
            others = job.other_actions
            given = {FORWARD: motion.actions}
            if others is not None:
                given[SHUFFLED] = shuffled_rows(others, job.observation.stamp_ns % 2**32)
            for key, rows in given.items():
                rollout = self._ask(Mode.FORWARD_DYNAMICS, job, entry, key, record["timing"], actions=rows)
                if rollout is not None and rollout.frames is not None:
                    frames[f"{MODEL}/{key}"] = rollout.frames
        if Mode.INVERSE_DYNAMICS in self._modes:
            seen = [canvas for canvas in job.canvases if canvas is not None]
            if len(seen) < len(job.canvases):
                entry[INVERSE] = {"skipped": "recorded frames are missing"}
                return
            rollout = self._ask(Mode.INVERSE_DYNAMICS, job, entry, INVERSE, record["timing"], video=np.stack(seen))
            if rollout is not None:
                chunk = self._embodiment.decode(rollout, job.observation)
                entry[INVERSE] = self._motion_figures(rollout, chunk, None, motion)

    def _ask(
        self, mode: Mode, job: ChunkJob, entry: dict[str, Any], key: str, timing: dict[str, Any], **given: Any
    ) -> Rollout | None:
        model = self._pipelines[MODEL].model
        try:
            rollout = model.answer(model.build_request(job.observation, mode, **given))
        except CosmosRosError as error:
            entry[key] = {"error": _error(error)}
            return None
        entry[key] = {}
        timing[f"{MODEL}:{key}"] = {stage: round(ms, 3) for stage, ms in rollout.latencies_ms.items()}
        return rollout

    # -- comparing ------------------------------------------------------------------------------------------------

    def _motion_figures(
        self, rollout: Rollout, chunk: ActionChunk | None, trajectory: JointTrajectory | None, motion: Motion | None
    ) -> dict[str, Any]:
        """Return errors of actions, tool poses, grippers and joints against the recorded motion."""
        figures: dict[str, Any] = {}
        if motion is not None and rollout.actions is not None:
            n = min(motion.steps, len(rollout.actions))
            if rollout.action_space is ActionSpace.MODEL and motion.actions is not None:
                rows = np.asarray(rollout.actions[:n], dtype=np.float64)
                squared, absolute = action_errors(rows, motion.actions[:n])
                by_step = np.mean((rows - motion.actions[:n]) ** 2, axis=1)
                figures["actions"] = {
                    "mse_by_dimension": _list(squared),
                    "mae_by_dimension": _list(absolute),
                    "mse_by_step": _list(by_step),
                }
            if chunk is not None:
                figures["tools"] = {}
                for link, poses in chunk.poses.items():
                    centimetres, degrees = pose_errors(poses[:n], motion.poses[link][:n])
                    figures["tools"][link] = {"cm": _list(centimetres), "deg": _list(degrees)}
                figures["grippers"] = {
                    name: [bool(v) for v in gripper_agreement(values[:n], motion.openings[name][:n])]
                    for name, values in chunk.grippers.items()
                    if name in motion.openings
                }
        if trajectory is not None:
            figures.update(self._trajectory_figures(trajectory, chunk, motion))
        return figures

    def _trajectory_figures(
        self, trajectory: JointTrajectory, chunk: ActionChunk | None, motion: Motion | None
    ) -> dict[str, Any]:
        fps = self._embodiment.fps
        steps = round(float(trajectory.times_ns[-1]) * fps / NANOSECONDS)
        positions, velocities = self._sampled(trajectory, np.arange(steps + 1) / fps)
        figures: dict[str, Any] = {"jerk": tidy(jerk_rms(positions, 1.0 / fps))}
        if motion is not None:
            n = min(motion.steps, steps)
            worst = np.max(np.abs(positions[1 : n + 1] - motion.joints[1 : n + 1]), axis=1)
            figures["joint_rad"] = _list(worst)
        # Where the next chunk begins this one must already be; the next record holds its own beginning.
        at = min(self._stride, steps)
        edge: dict[str, Any] = {
            "stamp_ns": trajectory.stamp_ns,
            "start": [_list(positions[0]), _list(velocities[0])],
            "end": [_list(positions[at]), _list(velocities[at])],
        }
        if chunk is not None:
            row = min(self._stride, len(chunk.times_ns)) - 1
            edge["start_xyz"] = {link: _list(pose[:3, 3]) for link, pose in chunk.start_poses.items()}
            edge["end_xyz"] = {link: _list(poses[row, :3, 3]) for link, poses in chunk.poses.items()}
        figures["edge"] = edge
        return figures

    def _sampled(self, trajectory: JointTrajectory, seconds: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return arm positions and velocities ``[N, J]`` at times after the stamp; held at the end."""
        times = np.minimum(seconds, float(trajectory.times_ns[-1]) / NANOSECONDS)
        spline = piecewise(trajectory)
        columns = [trajectory.joint_names.index(name) for name in self._embodiment.joint_names]
        return spline(times)[:, columns], spline.derivative()(times)[:, columns]

    def _judge(
        self, prediction: Prediction, job: ChunkJob, entry: dict[str, Any], timing: dict[str, float]
    ) -> Verdict | None:
        if prediction.trajectory is None or self._guard is None:
            return None
        # As the live node, were its model infinitely fast: joined to the measured motion, then judged.
        now, measured = job.observation.stamp_ns, job.observation.joints
        joined = self._joiner.join(prediction.trajectory, now, measured, _JOIN)
        trajectory = joined.trajectory
        if trajectory is None:
            entry["guard_skipped"] = {"skipped": joined.reason}
            return None
        context = GuardContext(now, measured)
        verdict = self._guard.judge(trajectory, context)
        timing["guard"] = round(verdict.elapsed_ms, 3)
        figures: dict[str, Any] = {
            "response": verdict.response.value,
            "summary": verdict.summary,
            "before": sorted({violation.limit for violation in verdict.violations}),
        }
        sent = verdict.trajectory
        if sent is not None:
            # What was sent as it came has been judged already; everything else is judged once more.
            again = verdict if verdict.response is Response.ACCEPT else self._guard.judge(sent, context)
            figures["after"] = sorted({violation.limit for violation in again.violations})
            figures["added_s"] = tidy((int(sent.times_ns[-1]) - int(trajectory.times_ns[-1])) / NANOSECONDS)
        entry["guard"] = figures
        return verdict

    def _shadow(self, verdict: Verdict | None, job: ChunkJob, motion: Motion | None, entry: dict[str, Any]) -> None:
        """Compare what would have been sent with what another driver commanded, or the robot did."""
        if verdict is None:
            return
        arm = set(self._embodiment.joint_names)
        # Commands of a gripper alone say nothing about the arm.
        commanded = (state for state in gapless(job.commanded) if isinstance(state, JointState))
        reference = [state for state in commanded if arm <= set(state.names)]
        source = "commanded"
        if not reference and motion is not None:
            reference, source = list(motion.states), "measured"
        if not reference or len(reference) < 2 or verdict.trajectory is None:
            entry["shadow"] = {"sent": verdict.trajectory is not None}
            return
        names = self._embodiment.joint_names
        fps = self._embodiment.fps
        wanted, _ = self._sampled(verdict.trajectory, np.arange(1, len(reference)) / fps)
        driven = np.array([[state.position_of(name) for name in names] for state in reference[1:]])
        apart = np.abs(wanted - driven)
        ours, theirs = (self._embodiment.poses_of(names, joints) for joints in (wanted, driven))
        entry["shadow"] = {
            "sent": True,
            "source": source,
            "joint_rad": _list(apart.max(axis=1)),
            "by_joint_rad": _list(apart.mean(axis=0)),
            "tools": {link: _list(pose_errors(ours[link], theirs[link])[0]) for link in ours},
        }

    def _score_frames(self, job: ChunkJob, frames: Mapping[str, UInt8Array], record: dict[str, Any]) -> None:
        if not frames or not record["frames_recorded"]:
            return
        distinct: dict[str, UInt8Array] = {}
        same_as: dict[str, str] = {}
        for key, value in frames.items():
            twin = next((k for k, v in distinct.items() if v.shape == value.shape and np.array_equal(v, value)), None)
            same_as[key] = twin or key
            if twin is None:
                distinct[key] = value
        regions = self.regions.of(job.observation.images)
        whole = not self._settings.blank_views
        scores = score_frames(distinct, job.canvases, regions, whole=whole, lpips=self._lpips)
        for key, source in same_as.items():
            name, mode = key.split("/")
            record["predictors"][name].setdefault(mode, {})["frames"] = scores[source]
        if FORWARD in record["predictors"][MODEL] and f"{MODEL}/{FORWARD}" in frames:
            for name, entry in record["predictors"].items():
                # Baselines look at no actions: given some, they say the same.
                if name != MODEL and f"{name}/{POLICY}" in frames:
                    entry[FORWARD] = {"frames": entry[POLICY]["frames"]}


def _oldest_input_ns(job: ChunkJob) -> int:
    """Return how much older than its stamp the oldest input of an observation is."""
    observation = job.observation
    stamps = [*observation.image_stamps_ns.values()]
    if observation.joints is not None:
        stamps.append(observation.joints.stamp_ns)
    return observation.stamp_ns - min(stamps, default=observation.stamp_ns)


def _list(values: FloatArray) -> list[float | None]:
    return [tidy(float(value)) for value in values]


def _error(error: CosmosRosError) -> dict[str, str]:
    return {"kind": type(error).__name__, "text": str(error)[:500]}
