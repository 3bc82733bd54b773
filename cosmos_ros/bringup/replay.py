"""The player of replay.launch.py."""

from __future__ import annotations

import sys
from collections.abc import Mapping


def player_command(values: Mapping[str, str]) -> list[str]:
    """Return the command that plays the bag into the live nodes, once they listen."""
    command = [sys.executable, "-m", "cosmos_ros.cli.main", "play", values["bag"], "--rate", values["rate"]]
    if values["use_sim_time"] == "true":
        command.append("--clock")
    if values["loop"] == "true":
        command.append("--loop")
    return command
