"""Evaluation overhead against real time: everything but the models, on a recording of 720p pictures.

    python benchmarks/bench_evaluation.py [--seconds 60] [--views 1] [--keep FOLDER]

Writes a recording (720p JPEG at 30 Hz, joint states at 100 Hz), evaluates it with ``persistence``, and prints how much
time everything but the models took, per recorded second, with and without baselines, report and annotated recording.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.evaluation.bag_types import qos
from cosmos_ros.evaluation.bag_writer import BagWriter
from cosmos_ros.evaluation.evaluate import evaluate
from cosmos_ros.evaluation.options import EvaluationOptions
from cosmos_ros.evaluation.store import read_records
from cosmos_ros.messages import compress
from cosmos_ros.types import Mode

START = 1_700_000_000 * 10**9
RATE, JOINT_RATE = 30, 100
PERIOD = 60  # pictures after which the scene repeats


def write_bag(path: Path, seconds: float, views: tuple[str, ...]) -> None:
    """Write the recording; the scene is a texture with a disc that goes round in it."""
    embodiment = load_embodiment("franka")
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.integers(0, 255, size=(720, 1280, 3), dtype=np.uint8), (0, 0), 4.0)
    pictures = []
    for k in range(PERIOD):
        angle = 2 * np.pi * k / PERIOD
        centre = (round(640 + 300 * np.cos(angle)), round(360 + 200 * np.sin(angle)))
        pictures.append(compress(cv2.circle(texture.copy(), centre, 90, (210, 60, 40), -1), image_format="jpeg"))
    home = np.array([embodiment.home[name] for name in embodiment.all_joints])
    sway = np.array([0.1, 0.05, 0, 0, 0.1, 0, 0.2, 0])
    events = [(START + round(k * 1e9 / RATE), view, k) for k in range(round(seconds * RATE)) for view in views]
    events += [(START + round(k * 1e9 / JOINT_RATE), "", k) for k in range(round(seconds * JOINT_RATE))]
    with BagWriter(path) as bag:
        bag.add_topic("/joint_states", "sensor_msgs/msg/JointState", qos=[qos()])
        for view in views:
            bag.add_topic(f"/{view}/image_raw/compressed", "sensor_msgs/msg/CompressedImage", qos=[qos()])
        for stamp, view, k in sorted(events):
            if view:
                message = bag.factory.compressed_image(pictures[k % PERIOD], stamp_ns=stamp, frame_id=view)
                bag.write_message(f"/{view}/image_raw/compressed", stamp, message)
            else:
                t = k / JOINT_RATE
                q, rates = home + sway * np.sin(1.5 * t), 1.5 * sway * np.cos(1.5 * t)
                state = bag.factory.joint_state(embodiment.all_joints, q, rates, stamp_ns=stamp)
                bag.write_message("/joint_states", stamp, state)


def model_seconds(folder: Path) -> float:
    """Return the time that all predictors took to predict."""
    total = 0.0
    for record in read_records(folder):
        for name, stages in record["timing"].items():
            total += sum(stages.values()) if ":" in name else stages["model"]
    return total / 1e3


def main() -> None:
    """Write the recording, evaluate it three times, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--views", type=int, default=1, choices=(1, 2, 3))
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    folder = arguments.keep or Path(tempfile.mkdtemp(prefix="bench_evaluation_"))
    views = load_embodiment("franka").views[: arguments.views]
    bag = folder / f"bag_{arguments.views}_{arguments.seconds:g}"
    if not bag.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_bag(bag, arguments.seconds, views)
    cases = {
        "model alone, policy": {
            "baselines": (), "modes": frozenset({Mode.POLICY}), "pictures": False, "annotate": False,
        },
        "model alone, policy, report": {"baselines": (), "modes": frozenset({Mode.POLICY}), "annotate": False},
        "all modes and baselines, report, annotated": {},
    }  # fmt: skip
    results = {}
    for name, keywords in cases.items():
        out = Path(tempfile.mkdtemp(prefix="out_", dir=folder))
        options = EvaluationOptions(
            bags=(bag,),
            out=out,
            world_model="persistence",
            cameras={view: f"/{view}/image_raw" for view in views},
            instruction="bench",
            **keywords,
        )
        began, cpu = time.perf_counter(), time.process_time()
        outcome = evaluate(options)
        wall = time.perf_counter() - began
        models = model_seconds(out)
        results[name] = {
            "wall_s": round(wall, 2),
            "cpu_s": round(time.process_time() - cpu, 2),
            "models_s": round(models, 2),
            "overhead_s": round(wall - models, 2),
            "times_real_time": round(arguments.seconds / (wall - models), 2),
            "chunks": outcome.metrics["chunks"],
            "report_mb": round((out / "report.html").stat().st_size / 1e6, 2),
        }
    print(json.dumps({
        "seconds": arguments.seconds, "views": list(views), "bag_mb": round(sum(
            f.stat().st_size for f in bag.iterdir()) / 1e6, 1),
        "cores": os.cpu_count(), "load": os.getloadavg()[0],
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024), "cases": results,
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    main()
