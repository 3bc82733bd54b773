"""``cosmos-ros view``: make a Rerun recording of a bag."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional


@dataclass(frozen=True)
class View:
    """Write a recording of a live run, or one annotated by `cosmos-ros evaluate`, to an .rrd file.

    It shows cameras, predicted beside actual, the robot, joints with limits, guard events. Needs the viewer extra, no
    ROS.

    For example: cosmos-ros view out/demo/bag

    Attributes:
        bag: rosbag2 folder, or an .mcap or .db3 file.
        embodiment: Name or YAML file.
        cameras: Comma-separated view=topic pairs, as of the launch files.
        namespace: Namespace of the recorded nodes.
        out: File to write; without it beside the bag, with .rrd.
    """

    bag: Positional[Path]
    embodiment: str = "franka"
    cameras: str = ""
    namespace: str = ""
    out: Path | None = None

    def run(self) -> int:
        """Write the file and say what it holds."""
        from cosmos_ros.embodiment import load_embodiment
        from cosmos_ros.observation.camera_topics import parse_cameras
        from cosmos_ros.viewing.rerun_recording import write_rrd

        embodiment = load_embodiment(self.embodiment)
        cameras = parse_cameras(self.cameras, embodiment.views)
        out = self.out or self.bag.with_name(f"{self.bag.stem}.rrd")
        shown, problems = write_rrd(self.bag, embodiment, cameras, out, namespace=self.namespace)
        for topic, count in sorted(shown.items()):
            print(f"{count:>8}  {topic}")
        for concern, problem in sorted(problems.items()):
            print(f"left out: {concern}: {problem}")
        print(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB); open it with: rerun {out}")
        return 0


VERB = View
