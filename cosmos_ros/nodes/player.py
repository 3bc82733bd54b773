"""The player of a recording as a node of a launch file: in its namespace, with its remappings."""

from __future__ import annotations

import sys

from rclpy.utilities import remove_ros_args

from cosmos_ros.recordings.play_bag import play


def main(args: list[str] | None = None) -> int:
    """Play what the arguments that are not ROS's say; see ``cosmos_ros.recordings.play_bag.play_arguments``."""
    return play(remove_ros_args(sys.argv if args is None else args)[1:])


if __name__ == "__main__":
    sys.exit(main())
