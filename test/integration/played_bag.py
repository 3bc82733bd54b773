"""A recording, and the live nodes that it is played into."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from live import SIZE, processes
from machine import slowness
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from cosmos_ros.bringup.arguments import predict_arguments, resolve
from cosmos_ros.bringup.graph import predict_nodes
from cosmos_ros.bringup.processes import node_command
from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.messages import compress
from cosmos_ros.observation.sync_settings import Timing
from cosmos_ros.recordings.message_types import qos
from cosmos_ros.recordings.writer import BagWriter

START = 1_700_000_000 * 10**9
SECONDS = 4.0
CANDIDATES = "predictor/action_trajectory"
TIMING = Timing(prediction_rate=3.0, sync_wait=0.5)
SWAY = np.array([0.1, 0.05, 0, 0, 0.1, 0, 0.2, 0])


def write_bag(path: Path, *, seconds: float = SECONDS, fast_from: float = 1e9, share: float = 1.0) -> None:
    """Three cameras whose pictures drift, an arm that sways, with the delays and jitter of a real recording.

    The arm sways by a share of ``SWAY``; from ``fast_from`` seconds on seven times as fast, which breaks limits.
    """
    embodiment = load_embodiment("franka")
    rng = np.random.default_rng(4)
    texture = cv2.GaussianBlur(rng.integers(0, 255, size=(*SIZE, 3), dtype=np.uint8), (0, 0), 3.0)
    home = np.array([embodiment.home[name] for name in embodiment.all_joints])
    events: list[tuple[int, str, int]] = []
    for k in range(round(seconds * 15)):
        for offset, view in enumerate(embodiment.views):
            stamp = START + round(k * 1e9 / 15) + offset * 3_000_000
            events.append((stamp + int(rng.integers(5e6, 25e6)), view, stamp))
    for k in range(round(seconds * 100)):
        stamp = START + k * 10_000_000
        events.append((stamp + int(rng.integers(1e6, 3e6)), "joints", stamp))
    with BagWriter(path) as bag:
        bag.add_topic("/instruction", "std_msgs/msg/String", qos=[qos(latched=True, depth=1)])
        bag.add_topic("/joint_states", "sensor_msgs/msg/JointState", qos=[qos()])
        for view in embodiment.views:
            bag.add_topic(f"/{view}/image_raw/compressed", "sensor_msgs/msg/CompressedImage", qos=[qos(reliable=True)])
        bag.write_message("/instruction", START, bag.factory.string("wipe the table"))
        for log, stream, stamp in sorted(events):
            t = (stamp - START) * 1e-9
            if stream == "joints":
                phase, rate = (1.5 * t, 1.5) if t < fast_from else (1.5 * fast_from + 10.0 * (t - fast_from), 10.0)
                q, rates = home + share * SWAY * np.sin(phase), share * rate * SWAY * np.cos(phase)
                message = bag.factory.joint_state(embodiment.all_joints, q, rates, stamp_ns=stamp)
                bag.write_message("/joint_states", log, message)
            else:
                payload = compress(np.roll(texture, round(40 * t), axis=1), image_format="png")
                message = bag.factory.compressed_image(payload, stamp_ns=stamp, frame_id=stream)
                bag.write_message(f"/{stream}/image_raw/compressed", log, message)


@contextmanager
def live_nodes(bag: Path, *, dry_run: bool = True) -> Iterator[tuple]:
    """Predictor and guard on simulation time, active; gives watcher, processes and the command of a player."""
    values = resolve(
        predict_arguments(), {"use_sim_time": "true", "world_model": "flow", "dry_run": str(dry_run).lower()}
    )
    extra = {
        "predictor": {"prediction_rate": TIMING.prediction_rate, "sync_wait": TIMING.sync_wait},
        "guard": {"require_controllers": False},
    }
    with processes() as (watcher, group, environment, lines):
        watcher.listen(String, "predictor/provenance")
        watcher.listen(String, "guard/verdict_json")
        watcher.listen(JointTrajectory, CANDIDATES)
        try:
            for spec in predict_nodes(values):
                changed = {**spec.parameters, **extra.get(spec.name, {})}
                spec = type(spec)(**{**spec.__dict__, "parameters": changed})
                group.start(spec.name, node_command(spec, group.folder), environment)
            watcher.wait_diagnostic("predictor: state", "active")
            watcher.wait_diagnostic("guard: state", "disarmed")
            # The first candidate is to reach both, the guard and the watcher.
            watcher.wait(lambda: watcher.node.count_subscribers(CANDIDATES) >= 2, "the guard to listen")
            watcher.wait(lambda: watcher.node.count_publishers("guard/verdict_json"), "the guard to speak")
            play = [sys.executable, "-m", "cosmos_ros.cli", "play", str(bag), "--clock", "--wait-for"]
            topics = [f"/{view}/image_raw/compressed" for view in load_embodiment("franka").views]
            # Slowly: the newest input wins, so busy nodes would skip what is to be compared.
            slowly = ["--rate", str(0.5 / slowness()), "--delay", str(0.5 * slowness())]
            yield watcher, group, environment, [*play, "/joint_states", "/instruction", *topics, *slowly]
        finally:
            print("\n".join(lines[-30:]))
