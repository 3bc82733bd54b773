"""From a recording to chunks: the live node's observations, each with what was then recorded. Streaming."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, cast

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.errors import ConfigError, CosmosRosError, InputError
from cosmos_ros.evaluation.chunk_jobs import ChunkJob, RecordedMotion, recorded_motion, step_times
from cosmos_ros.evaluation.evaluation_options import EvaluationOptions
from cosmos_ros.evaluation.ground_truth import GroundTruthCollector, GroundTruthWindow, image_stamps
from cosmos_ros.observation import Snapshot, Synchroniser
from cosmos_ros.observation.for_embodiment import synchroniser_for
from cosmos_ros.prediction.pipeline import with_blank_views
from cosmos_ros.recordings.gaps import StreamGaps
from cosmos_ros.recordings.interpolation import RobotState
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.recordings.recorded_commands import CommandTrack
from cosmos_ros.recordings.replay import WalkReport, WalkTopics, find_view_topic, walk
from cosmos_ros.types import NANOSECONDS, FloatArray, Observation, UInt8Array

# Recorded joint states further apart are a gap, seconds.
JOINT_GAP = 0.25
# The frames that a chunk begins with may be this much older than the newest, ns.
_KEPT_NS = NANOSECONDS
_EVERY_CATCH_UP_NS = NANOSECONDS


@dataclass(frozen=True)
class Source:
    """How recordings are read.

    Attributes:
        options: As prepared: cameras, stride, chunk size and tool poses are filled in.
        needs_scene: A model reads the simulator's scene.
        previous_images: A model needs the images of the step before.
        whole_images: A model needs the observation itself, not only its canvas.
    """

    options: EvaluationOptions
    needs_scene: bool
    previous_images: bool
    whole_images: bool


@dataclass
class SourceReport:
    """What happened in one recording; filled while reading, complete at its end.

    Attributes:
        name: Of the recording.
        walk: As the walk's.
        skipped_references: Images that were due but late, as in the live node.
        went_back: Times that the recording time went back.
        undecodable_frames: Recorded frames that could not be decoded for comparison.
        resized: Chunks in which the images changed their size; what follows the change is not compared.
        gaps: Stream → how often, and for how long, it had no message.
        repeated: Stream → messages that were left out because another had their stamp.
        unreadable: Observations that could not be decoded, with the first reason.
        problems: What the streams lacked at the end.
        commands: Topics of commands that were compared with.
        seconds: Duration of the recording.
    """

    name: str
    walk: WalkReport = field(default_factory=WalkReport)
    skipped_references: int = 0
    went_back: int = 0
    undecodable_frames: int = 0
    resized: int = 0
    gaps: dict[str, dict[str, Any]] = field(default_factory=dict)
    repeated: dict[str, int] = field(default_factory=dict)
    unreadable: int = 0
    unreadable_reason: str = ""
    problems: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-serialisable data, the same for the same recording."""
        return {
            "name": self.name,
            "seconds": round(self.seconds, 6),
            "messages": self.walk.messages,
            "observations": self.walk.references,
            "unsynchronised_images": self.walk.unsynchronised,
            "late_images": self.skipped_references,
            "refused_messages": dict(sorted(self.walk.refused.items())),
            "first_refusals": self.walk.errors[:5],
            "clock_resets": self.walk.resets,
            "recording_time_went_back": self.went_back,
            "gaps": self.gaps,
            "repeated_stamps": self.repeated,
            "chunks_with_other_image_size": self.resized,
            "undecodable_frames": self.undecodable_frames,
            "undecodable_observations": self.unreadable,
            "first_undecodable": self.unreadable_reason,
            "damaged": self.walk.damaged,
            "command_topics": list(self.commands),
        }


def chunk_jobs(
    path: Path, name: str, embodiment: Embodiment, source: Source, report: SourceReport, pool: Executor | None = None
) -> Generator[ChunkJob, None, None]:
    """Yield the chunks of a recording in order.

    Raises:
        InputError: No such recording, a topic is missing or of the wrong type, or no observation can be made of it.
        ConfigError: The embodiment has neither joints nor tracked tools.
    """
    if not embodiment.has_joints and not source.options.tool_poses:
        raise ConfigError(f"embodiment {embodiment.name} has neither joints nor tool poses", where="embodiment")
    with BagReader(path) as reader:
        report.seconds = reader.duration_ns / NANOSECONDS
        timing = replace(source.options.timing, prediction_rate=embodiment.fps / source.options.stride)
        live = synchroniser_for(
            embodiment, source.options.cameras, timing, scene=source.needs_scene, instruction=source.options.instruction
        )
        tracked: dict[str, Any] = {
            "joints": embodiment.all_joints if embodiment.has_joints else (),
            "bounds": embodiment.limits.joints if embodiment.has_joints else None,
            "tool_poses": tuple(source.options.tool_poses),
            "gripper_widths": _width_grippers(reader, embodiment, source),
        }
        if source.options.tool_poses:
            live = Synchroniser(
                list(source.options.cameras),
                **tracked,
                scene=source.needs_scene,
                instruction=source.options.instruction,
                settings=live.settings,
            )
        every = Synchroniser(
            list(source.options.cameras),
            **tracked,
            settings=replace(live.settings, period_ns=0, step_ns=0, catch_up_ns=_EVERY_CATCH_UP_NS),
        )
        topics = WalkTopics(
            views={view: find_view_topic(reader, topic) for view, topic in source.options.cameras.items()},
            joints=source.options.joint_states if embodiment.has_joints or tracked["gripper_widths"] else None,
            tool_poses=source.options.tool_poses,
            scene="/scene" if source.needs_scene else None,
        )
        commands = CommandTrack.of(path, reader, embodiment, source.options.commands, report.walk)
        report.commands = commands.topics
        assembler = _Assembler(name, embodiment, source, report, commands, pool)
        # At a low control rate the images themselves may lie further apart than joint states may.
        gaps = StreamGaps(round(max(JOINT_GAP, 2.5 / embodiment.fps) * NANOSECONDS))
        collector = GroundTruthCollector(live, every, assembler, gaps)
        with commands:
            # The collector has every method of a synchroniser that a walk calls.
            for snapshot in walk(reader, topics, cast("Synchroniser", collector), report=report.walk):
                assembler.expect(snapshot)
                yield from assembler.ready()
            assembler.flush()
            yield from assembler.ready()
        gaps.close()
        report.gaps = gaps.to_dict()
        report.repeated = {s.name.split(" (")[0]: s.duplicates for s in live.health(0) if s.duplicates}
        report.skipped_references = live.skipped
        report.went_back = reader.went_back
        report.problems = live.problems(live.health(0)[0].newest_stamp_ns or 0) if not report.walk.references else ()
    if not report.walk.references:
        why = "; ".join(report.problems) or live.last_unsynchronised or "its streams never came together"
        why += _missing_joints(path, embodiment, source.options.joint_states)
        raise InputError(f"no observation could be made: {why}", where=str(path))


def _width_grippers(reader: BagReader, embodiment: Embodiment, source: Source) -> tuple[str, ...]:
    """Return the grippers whose width is recorded by their names, of an embodiment without joints."""
    if embodiment.has_joints or source.options.joint_states not in reader.topics:
        return ()
    return tuple(name for name, gripper in embodiment.spec.grippers.items() if gripper.width is not None)


def _missing_joints(path: Path, embodiment: Embodiment, topic: str) -> str:
    """Return which joints a recording's first joint states lack, as the end of a sentence; empty for none."""
    named: set[str] = set()
    with BagReader(path) as reader:
        if topic not in reader.topics:
            return ""
        try:
            for entry in islice(reader.messages([topic]), 20):
                named.update(reader.decode(entry).name)
        except InputError:
            return ""
    wanted = embodiment.all_joints if embodiment.has_joints else tuple(embodiment.spec.grippers)
    missing = [name for name in wanted if name not in named]
    if not missing:
        return ""
    return f"; {topic} lacks {', '.join(missing)}: it names {', '.join(sorted(named)[:12]) or 'no joint'}"


def _of_one_size(canvases: tuple[UInt8Array | None, ...]) -> tuple[tuple[UInt8Array | None, ...], bool]:
    """Return the canvases as large as the first, None in place of others; and whether there were others."""
    shape = next((canvas.shape for canvas in canvases if canvas is not None), None)
    kept = tuple(canvas if canvas is not None and canvas.shape == shape else None for canvas in canvases)
    return kept, any(a is not b for a, b in zip(kept, canvases, strict=True))


class _Assembler(GroundTruthWindow):
    """Puts chunks together as soon as their last frame has been seen."""

    def __init__(
        self,
        name: str,
        embodiment: Embodiment,
        source: Source,
        report: SourceReport,
        commands: CommandTrack,
        pool: Executor | None,
    ) -> None:
        blank = frozenset(embodiment.views) - set(source.options.cameras)
        super().__init__(embodiment, blank, round(JOINT_GAP * NANOSECONDS), pool)
        self._name = name
        self._robot = embodiment
        self._source = source
        self._report = report
        self._commands = commands
        self._workers = pool
        self._pending: deque[Snapshot] = deque()
        self._done: deque[ChunkJob] = deque()
        self._earlier: deque[tuple[int, FloatArray]] = deque(maxlen=64)
        self._count = 0
        self._half_step_ns = round(0.5 * NANOSECONDS / embodiment.fps)
        self._horizon_ns = round(source.options.chunk_size * NANOSECONDS / embodiment.fps)

    def expect(self, snapshot: Snapshot) -> None:
        """Begin a chunk."""
        self._pending.append(snapshot)

    def ready(self) -> Iterator[ChunkJob]:
        """Yield the chunks that are complete."""
        while self._done:
            yield self._done.popleft()

    def add_snapshot(self, snapshot: Snapshot) -> None:
        """As the window; completes the chunks that wait for nothing more, and drops what no chunk needs."""
        super().add_snapshot(snapshot)
        self._finish()

    def add_state(self, state: RobotState) -> None:
        """As the window."""
        super().add_state(state)
        self._finish()

    def clear(self) -> None:
        """The clock went back: what is open gets what there is."""
        self.flush()
        self._earlier.clear()
        super().clear()

    def flush(self) -> None:
        """Put the open chunks together from what there is."""
        while self._pending:
            self._assemble(self._pending.popleft())

    def _finish(self) -> None:
        seen = min(self.newest_ns, self.newest_state_ns + self._half_step_ns)
        while self._pending and seen >= self._pending[0].stamp_ns + self._horizon_ns + self._half_step_ns:
            self._assemble(self._pending.popleft())
        # The step before a chunk is wanted with it.
        oldest = self._pending[0].stamp_ns - 3 * self._half_step_ns if self._pending else self.newest_ns - _KEPT_NS
        self.forget_before(min(oldest, self.newest_ns - _KEPT_NS))

    def _assemble(self, snapshot: Snapshot) -> None:
        source, index = self._source, self._count
        self._count += 1
        try:
            observation = self._observation(snapshot)
        except InputError as error:
            self._report.unreadable += 1
            self._report.unreadable_reason = self._report.unreadable_reason or str(error)
            return
        times = list(step_times(snapshot.stamp_ns, source.options.chunk_size, self._robot.fps))
        undecodable = self.undecodable
        canvases = self.canvases_at(times, self._half_step_ns)
        self._report.undecodable_frames += self.undecodable - undecodable
        canvases, resized = _of_one_size(canvases)
        self._report.resized += resized
        joints = tuple(self.state_at(time) for time in times)
        motion, motion_error = self._motion(joints)
        other = next((rows for end, rows in reversed(self._earlier) if end <= snapshot.stamp_ns), None)
        self._done.append(
            ChunkJob(
                bag=self._name,
                index=index,
                epoch=snapshot.epoch,
                observation=observation,
                canvases=canvases,
                joints=joints,
                commanded=self._commands.states(times, snapshot.joints),
                motion=motion,
                motion_error=motion_error,
                other_actions=other,
            )
        )
        actions = None if motion is None else motion.actions
        if actions is not None and len(actions) == source.options.chunk_size:
            self._earlier.append((times[-1], actions))

    def _observation(self, snapshot: Snapshot) -> Observation:
        """Return what the live node would predict from; the images are cut from the canvas that they make.

        Raises:
            InputError: An image cannot be decoded.
        """
        source = self._source
        if source.whole_images:
            whole = snapshot.build(previous_images=source.previous_images, pool=self._workers)
            return with_blank_views(whole, self._blank)
        images = self.images_of(snapshot)
        bare = replace(snapshot, images={}, previous=snapshot.previous and replace(snapshot.previous, images={}))
        observation = replace(bare.build(), images=images, image_stamps_ns=image_stamps(snapshot))
        previous = observation.previous
        if previous is None or snapshot.previous is None or not source.previous_images:
            return observation
        try:
            seen = replace(previous, images=self.images_of(snapshot.previous))
        except InputError:
            return replace(observation, previous=None)  # as the live node does
        return replace(observation, previous=replace(seen, image_stamps_ns=image_stamps(snapshot.previous)))

    def _motion(self, joints: tuple[RobotState | None, ...]) -> tuple[RecordedMotion | None, str]:
        try:
            return recorded_motion(self._robot, joints), ""
        except (CosmosRosError, KeyError) as error:
            return None, str(error)
