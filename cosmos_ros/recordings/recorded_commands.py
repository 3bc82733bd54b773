"""What another driver commanded while a recording was made, for comparison in shadow mode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.errors import InputError
from cosmos_ros.messages import joint_trajectory_from_message
from cosmos_ros.recordings.reader import BagReader, until_damage
from cosmos_ros.recordings.replay import WalkReport
from cosmos_ros.trajectory.splice import MotionState, motion_at
from cosmos_ros.types import NANOSECONDS, JointState, JointTrajectory

TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
# Chunks overlap; a command that was replaced longer ago than this is not asked for again.
_KEPT_NS = 60 * NANOSECONDS


def command_topics(reader: BagReader, names: Iterable[str]) -> tuple[str, ...]:
    """Return the topics, sorted, that hold what controllers of these names were sent, in any namespace."""
    known = {name.strip("/").rpartition("/")[2] for name in names}
    return tuple(
        name
        for name, topic in sorted(reader.topics.items())
        if topic.type_name == TRAJECTORY and topic.count and name.rpartition("/")[2] in known
    )


def sent_topics(reader: BagReader, names: Iterable[str]) -> tuple[str, ...]:
    """As ``command_topics``; only those on which a guard says what it sent, where there are any.

    A guard says it with the time at which it begins; what is on a controller's own topic may begin when it arrives.
    """
    found = command_topics(reader, names)
    return tuple(name for name in found if name.rpartition("/")[0].endswith("/sent")) or found


class CommandTrack:
    """Recorded joint trajectories, read as far as they are needed. Use it as a context manager.

    Args:
        path: The recording.
        topics: Topics of ``trajectory_msgs/msg/JointTrajectory``; empty: there are no commands.
        report: Malformed commands are counted in it.

    Attributes:
        topics: As given.
    """

    def __init__(self, path: Path, topics: tuple[str, ...], report: WalkReport) -> None:
        self.topics = topics
        self._report = report
        self._path = path
        self._reader: BagReader | None = None
        self._stream: Iterator[tuple[str, JointTrajectory]] = iter(())
        self._next: tuple[str, JointTrajectory] | None = None
        self._received: dict[str, list[JointTrajectory]] = {}

    @classmethod
    def of(
        cls, path: Path, reader: BagReader, embodiment: Embodiment, topics: tuple[str, ...] | None, report: WalkReport
    ) -> CommandTrack:
        """Return the commands on the given topics, or on the embodiment's controllers' where topics is None.

        Raises:
            InputError: A given topic is missing or of another type.
        """
        if topics is None:
            return cls(path, sent_topics(reader, [topic for topic, _ in embodiment.controllers]), report)
        for name in topics:
            reader.require(name, TRAJECTORY)
        return cls(path, topics, report)

    def __enter__(self) -> CommandTrack:
        """Open the recording a second time."""
        if self.topics:
            self._reader = BagReader(self._path).__enter__()
            self._stream = self._read(self._reader)
            self._next = next(self._stream, None)
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        if self._reader is not None:
            self._reader.close()

    def states(self, times: Sequence[int], measured: JointState | None) -> tuple[JointState | None, ...]:
        """Return the commanded joints at increasing times; empty when there are no commands at all.

        Joints that nobody commands are not in the states. Before the first command there is None.
        """
        if not self.topics or measured is None:
            return ()
        return tuple(self._at(time) for time in times)

    def _at(self, time_ns: int) -> JointState | None:
        while self._next is not None and self._next[1].stamp_ns <= time_ns:
            topic, trajectory = self._next
            received = self._received.setdefault(topic, [])
            received.append(trajectory)
            while len(received) > 1 and received[1].stamp_ns < time_ns - _KEPT_NS:
                received.pop(0)
            self._next = next(self._stream, None)
        motions: list[MotionState] = []
        for received in self._received.values():
            running = next((command for command in reversed(received) if command.stamp_ns <= time_ns), None)
            if running is not None:
                motions.append(motion_at(running, time_ns))
        if not motions:
            return None
        positions = {name: float(m.positions[i]) for m in motions for i, name in enumerate(m.joint_names)}
        return JointState(time_ns, tuple(positions), np.array(list(positions.values())))

    def _read(self, reader: BagReader) -> Iterator[tuple[str, JointTrajectory]]:
        # The walk meets the same damage and reports it.
        for entry in until_damage(reader.messages(self.topics)):
            try:
                trajectory = joint_trajectory_from_message(reader.decode(entry), topic=entry.topic)
            except InputError as error:
                self._report.refuse(entry.topic, str(error))
                continue
            if not len(trajectory.times_ns):
                continue
            # Stamp zero means "now, at receipt".
            yield entry.topic, trajectory if trajectory.stamp_ns else replace(trajectory, stamp_ns=entry.log_ns)
