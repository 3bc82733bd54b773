"""The player of replay.launch.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cosmos_ros.errors import ConfigError
from cosmos_ros.recordings.play_bag import play_command
from cosmos_ros.recordings.play_options import PlayOptions
from cosmos_ros.recordings.recording import open_recording


def player_command(values: Mapping[str, str]) -> list[str]:
    """Return the command that plays the bag into the live nodes, once they listen.

    Raises:
        InputError: The bag cannot be opened.
        ConfigError: The rate is not a number or out of its range.
    """
    # The predictor subscribes to everything at once when it is activated; cameras follow as they are published.
    with open_recording(values["bag"]) as reader:
        awaited = [topic for topic in ("/joint_states", "/instruction") if topic in reader.topics]
    try:
        rate = float(values["rate"])
    except ValueError:
        raise ConfigError(f"argument rate:={values['rate']} is not a number", where="launch") from None
    options = PlayOptions(
        rate=rate,
        clock=100.0 if values["use_sim_time"] == "true" else 0.0,
        loop=values["loop"] == "true",
        include_commands=values["include_commands"] == "true",
        wait_for=awaited,
        delay=0.5 if awaited else 5.0,
    )
    return play_command(Path(values["bag"]), options)
