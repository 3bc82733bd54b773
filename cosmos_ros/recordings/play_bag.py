"""Plays a recording and prints what was played: ``cosmos-ros play``, and the player of a replay as a process.

The process takes what :func:`play_arguments` makes, not the command line's options: launch files need no ``tyro``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from cosmos_ros.errors import CosmosRosError
from cosmos_ros.recordings.play_options import PlayOptions
from cosmos_ros.recordings.recording import open_recording


def play_arguments(bag: Path, options: PlayOptions) -> list[str]:
    """Return the arguments that :func:`play` takes."""
    return [str(bag), json.dumps(asdict(options))]


def play_bag(bag: Path, options: PlayOptions) -> int:
    """Play until the end, or until a signal; print one line a topic. Return the exit status: 130 after a signal.

    Raises:
        CosmosRosError: As :class:`BagPlayer`.
    """
    from cosmos_ros.recordings.command_line_node import RosSession
    from cosmos_ros.recordings.player import BagPlayer

    with open_recording(bag) as reader, RosSession("cosmos_ros_player") as session:
        player = BagPlayer(session.node, session.executor, reader, options, session.ended)
        print(f"playing {bag}: {reader.duration_ns / 1e9:.1f} s, {len(player.report.counts)} topics", flush=True)
        for topic, reason in player.report.skipped.items():
            print(f"  {topic} is not played: {reason}", flush=True)
        if left_out := player.report.left_out:
            print(f"left out, only --include-commands plays them: {', '.join(sorted(left_out))}", flush=True)
        if commands := player.report.commands:
            print(f"commands are played, past the guard: {', '.join(sorted(commands))}", flush=True)
        report = player.run()
        interrupted = session.ended()
    for topic, count in sorted(report.counts.items()):
        print(f"  {topic}: {count}")
    print(f"{sum(report.counts.values())} messages, at most {report.worst_delay_s * 1e3:.1f} ms behind", flush=True)
    return 130 if interrupted else 0


def play(arguments: Sequence[str]) -> int:
    """Play what :func:`play_arguments` made; known errors end in one line and status 2, a signal is no failure."""
    try:
        status = play_bag(Path(arguments[0]), PlayOptions(**json.loads(arguments[1])))
    except CosmosRosError as error:
        print(f"play: {error}", file=sys.stderr)
        return 2
    return 0 if status == 130 else status
