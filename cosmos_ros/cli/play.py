"""``cosmos-ros play``: a recording into live topics."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser(
        "play",
        help="play a recording into live topics",
        description=(
            "Play a rosbag2 (mcap or sqlite3) into live topics with the QoS it was recorded with. With --clock, nodes "
            "that use simulation time live in the recording's time; without it their age gates refuse old stamps. "
            "What commands a robot, and what the live nodes publish themselves, is left out."
        ),
    )
    parser.add_argument("bag", type=Path, help="rosbag2 folder, or an .mcap or .db3 file")
    parser.add_argument("--rate", type=float, default=1.0, help="recorded seconds per second (default: %(default)s)")
    parser.add_argument(
        "--clock",
        nargs="?",
        type=float,
        const=100.0,
        default=0.0,
        metavar="HZ",
        help="publish /clock (default: 100 Hz)",
    )
    parser.add_argument("--loop", action="store_true", help="begin again at the end")
    parser.add_argument("--topics", nargs="+", metavar="TOPIC", help="play only these")
    parser.add_argument(
        "--include-commands",
        action="store_true",
        help="play also commands and outputs of live nodes; refused while a guard is there and a controller listens",
    )
    parser.add_argument("--wait-for", nargs="+", default=[], metavar="TOPIC", help="wait for a subscriber to each")
    parser.add_argument("--wait-timeout", type=float, default=60.0, metavar="S", help="how long (default: %(default)s)")
    parser.add_argument("--delay", type=float, default=0.5, metavar="S", help="pause before (default: %(default)s)")
    parser.add_argument("--start-offset", type=float, default=0.0, metavar="S", help="skip this much of it")
    parser.add_argument("--start-paused", action="store_true", help="begin paused; ~/pause (std_srvs/SetBool) goes on")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Play until the end, or until told to stop."""
    from cosmos_ros.recordings.play_bag import play_bag
    from cosmos_ros.recordings.play_options import PlayOptions

    options = PlayOptions(
        rate=arguments.rate,
        clock=arguments.clock,
        loop=arguments.loop,
        topics=None if arguments.topics is None else [_absolute(topic) for topic in arguments.topics],
        include_commands=arguments.include_commands,
        wait_for=[_absolute(topic) for topic in arguments.wait_for],
        wait_timeout=arguments.wait_timeout,
        delay=arguments.delay,
        start_paused=arguments.start_paused,
        start_offset=arguments.start_offset,
    )
    return play_bag(arguments.bag, options)


def _absolute(topic: str) -> str:
    return topic if topic.startswith("/") else f"/{topic}"
