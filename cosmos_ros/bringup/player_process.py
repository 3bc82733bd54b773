"""The player of replay.launch.py."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from cosmos_ros.recordings.reader import BagReader


def player_command(values: Mapping[str, str]) -> list[str]:
    """Return the command that plays the bag into the live nodes, once they listen.

    Raises:
        InputError: The bag cannot be opened.
    """
    command = [sys.executable, "-m", "cosmos_ros.cli.main", "play", values["bag"], "--rate", values["rate"]]
    # The predictor subscribes to everything at once when it is activated; cameras follow as they are published.
    with BagReader(values["bag"]) as reader:
        awaited = [topic for topic in ("/joint_states", "/instruction") if topic in reader.topics]
    command += ["--wait-for", *awaited] if awaited else ["--delay", "5"]
    if values["use_sim_time"] == "true":
        command.append("--clock")
    if values["loop"] == "true":
        command.append("--loop")
    return command
