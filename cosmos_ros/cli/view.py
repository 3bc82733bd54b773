"""``cosmos-ros view``: a recording in Rerun."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "view",
        help="make a Rerun recording of a bag",
        description=(
            "Write a recording of a live run, or one annotated by `cosmos-ros evaluate`, to an .rrd file: cameras, "
            "predicted beside actual, the robot, joints with limits, guard events. Needs the viewer extra, no ROS."
        ),
    )
    parser.add_argument("bag", type=Path, help="rosbag2 folder, or an .mcap or .db3 file")
    parser.add_argument("--embodiment", default="franka", help="name or YAML file (default: %(default)s)")
    parser.add_argument("--cameras", default="", help="comma-separated view=topic pairs, as of the launch files")
    parser.add_argument("--namespace", default="", help="namespace of the recorded nodes")
    parser.add_argument("--out", type=Path, help="file to write (default: beside the bag, with .rrd)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the file and say what it holds."""
    from cosmos_ros.embodiment import load_embodiment
    from cosmos_ros.observation.camera_topics import parse_cameras
    from cosmos_ros.viewing.rerun_recording import write_rrd

    embodiment = load_embodiment(arguments.embodiment)
    cameras = parse_cameras(arguments.cameras, embodiment.views)
    bag: Path = arguments.bag
    out: Path = arguments.out or bag.with_name(f"{bag.stem}.rrd")
    shown, problems = write_rrd(bag, embodiment, cameras, out, namespace=arguments.namespace)
    for topic, count in sorted(shown.items()):
        print(f"{count:>8}  {topic}")
    for concern, problem in sorted(problems.items()):
        print(f"left out: {concern}: {problem}")
    print(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB); open it with: rerun {out}")
    return 0
