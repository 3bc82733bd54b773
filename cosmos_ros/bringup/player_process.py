"""The player of a replay."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from cosmos_ros.errors import ConfigError
from cosmos_ros.named_values import comma_separated
from cosmos_ros.recordings.play_bag import play_arguments
from cosmos_ros.recordings.play_options import PlayOptions
from cosmos_ros.recordings.recording import open_recording


def player_arguments(values: Mapping[str, str]) -> list[str]:
    """Return the player's arguments: it plays the bag into the live nodes, once they listen.

    Topics are played in the nodes' namespace, but those that the nodes were given by their absolute names.

    Raises:
        InputError: The bag cannot be opened.
        ConfigError: The rate is not a number or out of its range.
    """
    keep = [pair.partition("=")[2].strip() for pair in comma_separated(values["cameras"])]
    keep += [f"{topic}/compressed" for topic in keep]
    inputs = [values.get(name, "") for name in ("joint_states", "instruction", "e_stop", "speed_scaling")]
    keep = [topic for topic in (*keep, *inputs) if topic.startswith("/")]
    # The predictor subscribes to everything at once when it is activated; cameras follow as they are published.
    wanted = [f"/{given.lstrip('/')}" for given in (inputs[0] or "joint_states", "instruction")]
    with open_recording(values["bag"]) as reader:
        awaited = [topic for topic in wanted if topic in reader.topics]
    try:
        rate = float(values["rate"])
    except ValueError:
        raise ConfigError(f"argument rate:={values['rate']} is not a number", where="launch") from None
    options = PlayOptions(
        rate=rate,
        clock=100.0 if values["use_sim_time"] == "true" else 0.0,
        loop=values["loop"] == "true",
        include_commands=values["include_commands"] == "true",
        keep_names=keep,
        wait_for=awaited,
        delay=0.5 if awaited else 5.0,
    )
    return play_arguments(Path(values["bag"]), options)


def player_command(values: Mapping[str, str]) -> list[str]:
    """Return the command line of the player's process; raises as :func:`player_arguments`."""
    command = [sys.executable, "-m", "cosmos_ros.nodes.player", *player_arguments(values)]
    namespace = values["namespace"].strip("/")
    ros = ["-r", "__node:=player", *(["-r", f"__ns:=/{namespace}"] if namespace else [])]
    return [*command, "--ros-args", *ros]
