"""Plays a recording and prints what was played: ``cosmos-ros play``, and the player of a replay as a process.

The process takes what :func:`play_command` makes, not the command line's options: launch files need no ``tyro``.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from cosmos_ros.errors import CosmosRosError
from cosmos_ros.recordings.play_options import PlayOptions
from cosmos_ros.recordings.recording import open_recording


def play_command(bag: Path, options: PlayOptions) -> list[str]:
    """Return the command line of a process that plays a recording."""
    return [sys.executable, "-m", __name__, str(bag), json.dumps(asdict(options))]


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


def main() -> int:
    """Play what the process's arguments say; known errors end in one line and status 2."""
    try:
        return play_bag(Path(sys.argv[1]), PlayOptions(**json.loads(sys.argv[2])))
    except CosmosRosError as error:
        print(f"play: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
