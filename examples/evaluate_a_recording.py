"""Evaluate a world model on a recording: predictions against what then happened.

    python examples/evaluate_a_recording.py [RECORDING [FOLDER]]

Without a recording it first writes a small one: a camera that looks at a moving texture, and an arm that turns at its
base. Prints how the model's frames and motion compare with those of the baselines; FOLDER, where one is given, then
holds report.html and all figures.
"""

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

import cosmos_ros as cr
from cosmos_ros.messages import compress
from cosmos_ros.recordings.writer import BagWriter

VIEW, FPS = "exterior_1", 15


def write_recording(path: Path) -> Path:
    """Write four seconds of one camera and the joint states."""
    robot = cr.load_embodiment("franka")
    noise = np.random.default_rng(7).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    texture = cv2.GaussianBlur(noise, (0, 0), 2.0)
    with BagWriter(path) as bag:
        bag.add_topic("/joint_states", "sensor_msgs/msg/JointState")
        bag.add_topic(f"/{VIEW}/image_raw/compressed", "sensor_msgs/msg/CompressedImage")
        for step in range(4 * FPS):
            stamp = 1_700_000_000 * 10**9 + round(step * 1e9 / FPS)
            posture = np.array([robot.home[name] for name in robot.all_joints])
            posture[0] += 0.3 * step / FPS
            joints = bag.factory.joint_state(robot.all_joints, posture, None, stamp_ns=stamp)
            bag.write_message("/joint_states", stamp, joints)
            payload = compress(np.roll(texture, step, axis=1), image_format="png")
            image = bag.factory.compressed_image(payload, stamp_ns=stamp, frame_id=VIEW, image_format="png")
            bag.write_message(f"/{VIEW}/image_raw/compressed", stamp, image)
    return path


def main(recording: str = "", folder: str = "") -> None:
    """Evaluate a recording, or a small one that is written first."""
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(recording) if recording else write_recording(Path(temporary) / "turning_arm")
        out = Path(folder) if folder else Path(temporary) / "report"
        outcome = cr.evaluate(source, out=out, world_model="flow", cameras={VIEW: f"/{VIEW}/image_raw"})
        print(f"{outcome.metrics['chunks']} chunks")
        for name, predictor in outcome.metrics["predictors"].items():
            frames, tool = (predictor["figures"].get(key) for key in ("policy.frames.psnr", "policy.tool.cm@0.5s"))
            print(f"{name}: frames {frames['mean']:.1f} dB, " if frames else f"{name}: no frames, ", end="")
            print(f"tool {tool['mean']:.2f} cm off after half a second" if tool else "no motion")
        if folder:
            print(f"report: {out / 'report.html'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
