"""``cosmos-ros record``: topics to a rosbag2."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "record",
        help="record topics into a rosbag2 (mcap)",
        description=(
            "Record topics as they appear into a rosbag2 with one mcap file, whatever QoS they are published with. "
            "Ctrl-C or SIGTERM finishes the recording."
        ),
    )
    parser.add_argument("out", type=Path, help="folder to create")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--topics", nargs="+", metavar="TOPIC", help="topics to record")
    which.add_argument("--all", action="store_true", help="every topic that is not hidden, also later ones")
    parser.add_argument("--exclude", metavar="REGEX", help="leave out topics that match")
    parser.add_argument("--duration", type=float, metavar="S", help="end after this many seconds")
    parser.add_argument("--compress", action="store_true", help="compress with zstd")
    parser.add_argument("--use-sim-time", action="store_true", help="recording times from /clock")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Record until told to stop; one line a topic at the end."""
    from cosmos_ros.recordings.command_line_node import RosSession
    from cosmos_ros.recordings.recorder import BagRecorder

    def announce(line: str) -> None:
        print(line, flush=True)

    with RosSession("cosmos_ros_recorder", use_sim_time=arguments.use_sim_time) as session:
        recorder = BagRecorder(
            session.node,
            arguments.out,
            topics=None if arguments.all else arguments.topics,
            exclude=arguments.exclude,
            compress=arguments.compress,
            announce=announce,
        )
        try:
            timer = session.node.create_timer(0.2, recorder.discover, clock=_steady_clock())
            announce(f"recording to {arguments.out}")
            end = None if arguments.duration is None else time.monotonic() + arguments.duration
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
    announce(f"{arguments.out}: {sum(report.counts.values())} messages")
    return 0


def _steady_clock() -> Any:
    from rclpy.clock import Clock, ClockType

    return Clock(clock_type=ClockType.STEADY_TIME)
