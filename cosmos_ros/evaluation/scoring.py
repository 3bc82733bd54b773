"""Scores one chunk: asks the world model and the baselines, and compares with what was recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.errors import CosmosRosError
from cosmos_ros.evaluation.chunk_jobs import ChunkJob, RecordedMotion, gapless
from cosmos_ros.evaluation.frame_scores import CanvasRegions, rounded, score_frames
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
from cosmos_ros.trajectory.executing import wrapped
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
class ScoredChunk:
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


@dataclass
class Scorer:
    """Scores chunks. ``predict`` is used by one thread.

    Attributes:
        embodiment: The robot.
        pipelines: Predictor → pipeline with a loaded world model; the model under evaluation is ``model``.
        settings: As the pipelines'.
        guard: Judges the trajectories; None for robots without joints.
        modes: Modes to ask the model for, besides policy.
        stride: Control steps from one chunk to the next.
        lpips: Computes LPIPS; None leaves it out.
    """

    embodiment: Embodiment
    pipelines: Mapping[str, Pipeline]
    settings: PipelineSettings
    guard: Guard | None
    modes: frozenset[Mode]
    stride: int
    lpips: Lpips | None = None

    def __post_init__(self) -> None:
        """Prepare what every chunk needs."""
        self._wraps = np.array(
            [name in self.embodiment.continuous_joints for name in self.embodiment.joint_names], bool
        )
        self._joiner = Joiner(self.embodiment.limits.joints, self.embodiment.gripper_speeds)
        self.regions = CanvasRegions(self.embodiment, self.settings.blank_views)

    def predict(self, job: ChunkJob) -> ScoredChunk:
        """Ask every predictor and score motion and guard; frames are compared by ``compare_frames``.

        What one predictor cannot do is written into the record and does not end the chunk.
        """
        motion = job.motion
        record: dict[str, Any] = {
            "bag": job.bag,
            "index": job.index,
            "epoch": job.epoch,
            "stamp_ns": job.observation.stamp_ns,
            "frames_recorded": sum(canvas is not None for canvas in job.canvases[1:]),
            "input_age_ms": rounded(_oldest_input_ns(job) * 1e-6),
            "steps_recorded": 0 if motion is None else motion.steps,
            "predictors": {},
            "timing": {},
        }
        if job.motion_error:
            record["motion_error"] = job.motion_error
        if motion is not None and self.embodiment.has_joints:
            record["recorded"] = {"jerk": rounded(jerk_rms(motion.joints, 1.0 / self.embodiment.fps))}
        frames: dict[str, UInt8Array] = {}
        of_model: tuple[Prediction | None, Verdict | None] = (None, None)
        for name, pipeline in self.pipelines.items():
            entry: dict[str, Any] = {}
            record["predictors"][name] = entry
            try:
                prediction = pipeline.predict(job.observation)
            except CosmosRosError as error:
                entry["error"] = _error(error)
                continue
            inside = {f"model/{stage}": ms for stage, ms in prediction.rollout.latencies_ms.items()}
            record["timing"][name] = _milliseconds({**prediction.latencies_ms, **inside})
            if prediction.rollout.frames is not None:
                frames[f"{name}/{POLICY}"] = prediction.rollout.frames
            entry[POLICY] = self._motion_metrics(prediction.rollout, prediction.chunk, prediction.trajectory, motion)
            verdict = self._judge(prediction, job, entry, record["timing"][name])
            if name == MODEL:
                of_model = (prediction, verdict)
                self._shadow(verdict, job, motion, entry)
        self._ask_for_dynamics(job, motion, record, frames)
        return ScoredChunk(record, *of_model, frames)

    def compare_frames(self, job: ChunkJob, scored: ScoredChunk) -> ScoredChunk:
        """Complete a record with the scores of the frames; needs no model and may run in another thread."""
        self._score_frames(job, scored.frames, scored.record)
        shown = {key.split("/")[0]: value for key, value in scored.frames.items() if key.endswith(f"/{POLICY}")}
        return replace(scored, frames=shown)

    # -- asking ---------------------------------------------------------------------------------------------------

    def _ask_for_dynamics(
        self, job: ChunkJob, motion: RecordedMotion | None, record: dict[str, Any], frames: dict[str, UInt8Array]
    ) -> None:
        """Ask the model for forward and inverse dynamics, with what was recorded."""
        entry = record["predictors"][MODEL]
        steps = len(job.canvases) - 1
        if motion is None or motion.actions is None or motion.steps < steps:
            reason = "the recorded motion has a gap or ends" if motion is None or not motion.reason else motion.reason
            for mode in sorted(self.modes - {Mode.POLICY}):
                entry[mode.value] = {"skipped": reason}
            return
        if Mode.FORWARD_DYNAMICS in self.modes:
            given = {FORWARD: motion.actions}
            if job.other_actions is not None:
                given[SHUFFLED] = shuffled_rows(job.other_actions, job.observation.stamp_ns % 2**32)
            for key, rows in given.items():
                rollout = self._ask(Mode.FORWARD_DYNAMICS, job, entry, key, record["timing"], actions=rows)
                if rollout is not None and rollout.frames is not None:
                    frames[f"{MODEL}/{key}"] = rollout.frames
        if Mode.INVERSE_DYNAMICS in self.modes:
            recorded = [canvas for canvas in job.canvases if canvas is not None]
            if len(recorded) < len(job.canvases):
                entry[INVERSE] = {"skipped": "recorded frames are missing"}
                return
            rollout = self._ask(Mode.INVERSE_DYNAMICS, job, entry, INVERSE, record["timing"], video=np.stack(recorded))
            if rollout is not None:
                chunk = self.embodiment.decode(rollout, job.observation)
                entry[INVERSE] = self._motion_metrics(rollout, chunk, None, motion)

    def _ask(
        self, mode: Mode, job: ChunkJob, entry: dict[str, Any], key: str, timing: dict[str, Any], **given: Any
    ) -> Rollout | None:
        model = self.pipelines[MODEL].model
        try:
            rollout = model.answer(model.build_request(job.observation, mode, **given))
        except CosmosRosError as error:
            entry[key] = {"error": _error(error)}
            return None
        entry[key] = {}
        timing[f"{MODEL}:{key}"] = _milliseconds(rollout.latencies_ms)
        return rollout

    # -- comparing ------------------------------------------------------------------------------------------------

    def _motion_metrics(
        self,
        rollout: Rollout,
        chunk: ActionChunk | None,
        trajectory: JointTrajectory | None,
        motion: RecordedMotion | None,
    ) -> dict[str, Any]:
        """Return errors of actions, tool poses, grippers and joints against the recorded motion."""
        scores: dict[str, Any] = {}
        if motion is not None and rollout.actions is not None:
            n = min(motion.steps, len(rollout.actions))
            if rollout.action_space is ActionSpace.MODEL and motion.actions is not None:
                rows = np.asarray(rollout.actions[:n], dtype=np.float64)
                squared, absolute = action_errors(rows, motion.actions[:n])
                by_step = np.mean((rows - motion.actions[:n]) ** 2, axis=1)
                scores["actions"] = {
                    "mse_by_dimension": _numbers(squared),
                    "mae_by_dimension": _numbers(absolute),
                    "mse_by_step": _numbers(by_step),
                }
            if chunk is not None:
                scores["tools"] = {}
                for link, poses in chunk.poses.items():
                    centimetres, degrees = pose_errors(poses[:n], motion.poses[link][:n])
                    scores["tools"][link] = {"cm": _numbers(centimetres), "deg": _numbers(degrees)}
                scores["grippers"] = {
                    name: [bool(v) for v in gripper_agreement(values[:n], motion.openings[name][:n])]
                    for name, values in chunk.grippers.items()
                    if name in motion.openings
                }
        if trajectory is not None:
            scores.update(self._trajectory_metrics(trajectory, chunk, motion))
        return scores

    def _trajectory_metrics(
        self, trajectory: JointTrajectory, chunk: ActionChunk | None, motion: RecordedMotion | None
    ) -> dict[str, Any]:
        fps = self.embodiment.fps
        steps = round(float(trajectory.times_ns[-1]) * fps / NANOSECONDS)
        positions, velocities = self._sampled(trajectory, np.arange(steps + 1) / fps)
        scores: dict[str, Any] = {"jerk": rounded(jerk_rms(positions, 1.0 / fps))}
        if motion is not None:
            n = min(motion.steps, steps)
            worst = np.max(np.abs(wrapped(positions[1 : n + 1] - motion.joints[1 : n + 1], self._wraps)), axis=1)
            scores["joint_rad"] = _numbers(worst)
        # Where the next chunk begins this one must already be; the next record holds its own beginning.
        at = min(self.stride, steps)
        edge: dict[str, Any] = {
            "stamp_ns": trajectory.stamp_ns,
            "continuous": self._wraps.tolist(),
            "start": [_numbers(positions[0]), _numbers(velocities[0])],
            "end": [_numbers(positions[at]), _numbers(velocities[at])],
        }
        if chunk is not None:
            row = min(self.stride, len(chunk.times_ns)) - 1
            edge["start_xyz"] = {link: _numbers(pose[:3, 3]) for link, pose in chunk.start_poses.items()}
            edge["end_xyz"] = {link: _numbers(poses[row, :3, 3]) for link, poses in chunk.poses.items()}
        scores["edge"] = edge
        return scores

    def _sampled(self, trajectory: JointTrajectory, seconds: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return arm positions and velocities ``[N, J]`` at times after the stamp; constant after the end."""
        times = np.minimum(seconds, float(trajectory.times_ns[-1]) / NANOSECONDS)
        spline = piecewise(trajectory)
        columns = [trajectory.joint_names.index(name) for name in self.embodiment.joint_names]
        return spline(times)[:, columns], spline.derivative()(times)[:, columns]

    def _judge(
        self, prediction: Prediction, job: ChunkJob, entry: dict[str, Any], timing: dict[str, float]
    ) -> Verdict | None:
        if prediction.trajectory is None or self.guard is None:
            return None
        # As the live node, were its model infinitely fast: joined to the measured motion, then judged.
        now, measured = job.observation.stamp_ns, job.observation.joints
        joined = self._joiner.join(prediction.trajectory, now, measured, _JOIN)
        trajectory = joined.trajectory
        if trajectory is None:
            entry["guard_skipped"] = {"skipped": joined.reason}
            return None
        context = GuardContext(now, measured)
        verdict = self.guard.judge(trajectory, context)
        timing["guard"] = round(verdict.elapsed_ms, 3)
        scores: dict[str, Any] = {
            "response": verdict.response.value,
            "summary": verdict.summary,
            "before": sorted({violation.limit for violation in verdict.violations}),
        }
        sent = verdict.trajectory
        if sent is not None:
            # What was sent as it came has been judged already; everything else is judged once more.
            again = verdict if verdict.response is Response.ACCEPT else self.guard.judge(sent, context)
            scores["after"] = sorted({violation.limit for violation in again.violations})
            scores["added_s"] = rounded((int(sent.times_ns[-1]) - int(trajectory.times_ns[-1])) / NANOSECONDS)
        entry["guard"] = scores
        return verdict

    def _shadow(
        self, verdict: Verdict | None, job: ChunkJob, motion: RecordedMotion | None, entry: dict[str, Any]
    ) -> None:
        """Compare what would have been sent with what another driver commanded, or the robot did."""
        if verdict is None:
            return
        arm = set(self.embodiment.joint_names)
        # Commands of a gripper alone say nothing about the arm.
        commanded = (state for state in gapless(job.commanded) if isinstance(state, JointState))
        reference = [state for state in commanded if arm <= set(state.names)]
        source = "commanded"
        if not reference and motion is not None:
            reference, source = list(motion.states), "measured"
        if not reference or len(reference) < 2 or verdict.trajectory is None:
            entry["shadow"] = {"sent": verdict.trajectory is not None}
            return
        names = self.embodiment.joint_names
        fps = self.embodiment.fps
        wanted, _ = self._sampled(verdict.trajectory, np.arange(1, len(reference)) / fps)
        driven = np.array([[state.position_of(name) for name in names] for state in reference[1:]])
        apart = np.abs(wrapped(wanted - driven, self._wraps))
        ours, theirs = (self.embodiment.poses_of(names, joints) for joints in (wanted, driven))
        entry["shadow"] = {
            "sent": True,
            "source": source,
            "joint_rad": _numbers(apart.max(axis=1)),
            "by_joint_rad": _numbers(apart.mean(axis=0)),
            "tools": {link: _numbers(pose_errors(ours[link], theirs[link])[0]) for link in ours},
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
        whole = not self.settings.blank_views
        frame_scores = score_frames(distinct, job.canvases, regions, whole=whole, lpips=self.lpips)
        for key, source in same_as.items():
            name, mode = key.split("/")
            record["predictors"][name].setdefault(mode, {})["frames"] = frame_scores[source]
        if FORWARD in record["predictors"][MODEL] and f"{MODEL}/{FORWARD}" in frames:
            for name, entry in record["predictors"].items():
                # Baselines take no actions: their forward dynamics are their policy's frames.
                if name != MODEL and f"{name}/{POLICY}" in frames:
                    entry[FORWARD] = {"frames": entry[POLICY]["frames"]}


def _oldest_input_ns(job: ChunkJob) -> int:
    """Return how much older than its stamp the oldest input of an observation is."""
    observation = job.observation
    stamps = [*observation.image_stamps_ns.values()]
    if observation.joints is not None:
        stamps.append(observation.joints.stamp_ns)
    return observation.stamp_ns - min(stamps, default=observation.stamp_ns)


def _milliseconds(latencies_ms: Mapping[str, float]) -> dict[str, float]:
    return {stage: round(ms, 3) for stage, ms in latencies_ms.items()}


def _numbers(values: FloatArray) -> list[float | None]:
    return [rounded(float(value)) for value in values]


def _error(error: CosmosRosError) -> dict[str, str]:
    return {"kind": type(error).__name__, "text": str(error)[:500]}
