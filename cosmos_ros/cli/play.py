"""``cosmos-ros play``: play a recording into live topics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tyro.conf import Positional

from cosmos_ros.recordings.play_options import PlayOptions


@dataclass(frozen=True, kw_only=True)
class Play(PlayOptions):
    """Play a rosbag2 (mcap or sqlite3) into live topics with the QoS it was recorded with.

    With --clock, nodes that use simulation time live in the recording's time; without it their age gates refuse old
    stamps. What commands a robot, and what the live nodes publish themselves, is left out.

    For example: cosmos-ros play out/bag --rate 0.5 --clock

    Attributes:
        bag: rosbag2 folder, or an .mcap or .db3 file.
    """

    VALUES_LEFT_OUT: ClassVar[dict[str, str]] = {"--clock": "100"}

    bag: Positional[Path]

    def run(self) -> int:
        """Play until the end, or until a signal."""
        from cosmos_ros.recordings.play_bag import play_bag

        return play_bag(self.bag, self)


VERB = Play
