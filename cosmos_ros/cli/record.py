"""``cosmos-ros record``: record topics into a rosbag2 (mcap)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, create_mutex_group

_WHICH = create_mutex_group(required=True, title="which topics")


@dataclass(frozen=True)
class Record:
    """Record topics as they appear into a rosbag2 with one mcap file, whatever QoS they are published with.

    Ctrl-C or SIGTERM finishes the recording.

    For example: cosmos-ros record out/run --all --exclude image_raw$

    Attributes:
        out: Folder to create.
        topics: Topics to record.
        all: Every topic that is not hidden, also later ones.
        exclude: Leave out topics that match this regular expression.
        duration: End after this many seconds; without it at a signal.
        compress: Compress with zstd.
        use_sim_time: Recording times from /clock.
    """

    out: Positional[Path]
    topics: Annotated[Sequence[str] | None, _WHICH] = None
    all: Annotated[bool, _WHICH] = False
    exclude: str | None = None
    duration: float | None = None
    compress: bool = False
    use_sim_time: bool = False

    def run(self) -> int:
        """Record until the end; one line a topic then."""
        from cosmos_ros.errors import ConfigError
        from cosmos_ros.nodes.clocks import steady_clock
        from cosmos_ros.recordings.command_line_node import RosSession
        from cosmos_ros.recordings.recorder import BagRecorder

        if self.duration is not None and not self.duration > 0.0:
            raise ConfigError(f"{self.duration} is not positive", where="--duration")
        if self.topics is not None and not self.topics:
            raise ConfigError("names no topic", where="--topics")

        def announce(line: str) -> None:
            print(line, flush=True)

        with RosSession("cosmos_ros_recorder", use_sim_time=self.use_sim_time) as session:
            recorder = BagRecorder(
                session.node,
                self.out,
                topics=self.topics,
                exclude=self.exclude,
                compress=self.compress,
                announce=announce,
            )
            try:
                timer = session.node.create_timer(0.2, recorder.discover, clock=steady_clock())
                announce(f"recording to {self.out}")
                end = None if self.duration is None else time.monotonic() + self.duration
                while not session.ended() and recorder.error is None and (end is None or time.monotonic() < end):
                    session.executor.spin_once(timeout_sec=0.1)
                # What has arrived already still belongs to the recording.
                timer.cancel()
                drained = time.monotonic() + 0.3
                while time.monotonic() < drained:
                    session.executor.spin_once(timeout_sec=0.02)
                missing = recorder.missing
            finally:
                report = recorder.close()
        for topic, count in sorted(report.counts.items()):
            dropped = report.dropped.get(topic, 0)
            announce(f"  {topic}: {count}" + (f", {dropped} lost: the disk is too slow" if dropped else ""))
        for topic in sorted(missing):
            announce(f"  {topic}: nobody published it")
        announce(f"{self.out}: {sum(report.counts.values())} messages")
        return 0


VERB = Record
