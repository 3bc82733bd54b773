"""Evaluation: overhead against real time, memory on a large recording, the report in a browser, Ray's speed-up.

    python benchmarks/bench_evaluation.py [--seconds 60] [--views 1] [--case NAME]... [--folder FOLDER]
    python benchmarks/bench_evaluation.py --gigabytes 10
    python benchmarks/bench_evaluation.py --ray 4

The first writes a recording (720p JPEG at 30 Hz, joint states at 100 Hz) and evaluates it, each case in a process of
its own, with and without baselines, report and annotated recording; what is not a model's time is overhead. The second
writes raw 720p pictures until the recording is that large, and watches the memory of an evaluation of it. The third
scores the same chunks with one Ray worker and with several. Everything is printed as JSON. ``cores_free`` is how many
cores two busy loops got just before and just after: on a shared machine wall times mean little without it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from browser_timing import opened

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.evaluation.chunks import SourceReport, chunk_jobs
from cosmos_ros.evaluation.components import prepare
from cosmos_ros.evaluation.evaluate import complete_chunk, evaluate
from cosmos_ros.evaluation.evaluation_options import EvaluationOptions
from cosmos_ros.evaluation.ray_engine import scored_by_ray
from cosmos_ros.messages import compress
from cosmos_ros.recordings.message_types import qos
from cosmos_ros.recordings.writer import BagWriter
from cosmos_ros.types import Mode

START = 1_700_000_000 * 10**9
RATE, JOINT_RATE = 30, 100
SIZE = (720, 1280)
PERIOD = 60  # pictures after which the scene repeats
CASES: dict[str, dict[str, Any]] = {
    "policy alone": {
        "baselines": (), "modes": frozenset({Mode.POLICY}), "pictures": False, "annotate": False,
    },
    "policy alone, report": {"baselines": (), "modes": frozenset({Mode.POLICY}), "annotate": False},
    "all modes, constant velocity beside it, report, annotated": {"baselines": ("constant_velocity",)},
    "all modes, all baselines, report, annotated": {},
}  # fmt: skip


def write_bag(path: Path, seconds: float, views: tuple[str, ...], *, raw: bool = False) -> None:
    """Write the recording; the scene is a texture with a disc that goes round in it."""
    embodiment = load_embodiment("franka")
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.integers(0, 255, size=(*SIZE, 3), dtype=np.uint8), (0, 0), 4.0)
    pictures = []
    for k in range(PERIOD):
        angle = 2 * np.pi * k / PERIOD
        centre = (round(640 + 300 * np.cos(angle)), round(360 + 200 * np.sin(angle)))
        picture = cv2.circle(texture.copy(), centre, 90, (210, 60, 40), -1)
        pictures.append(picture.reshape(-1) if raw else compress(picture, image_format="jpeg"))
    home = np.array([embodiment.home[name] for name in embodiment.all_joints])
    sway = np.array([0.1, 0.05, 0, 0, 0.1, 0, 0.2, 0])
    events = [(START + round(k * 1e9 / RATE), view, k) for k in range(round(seconds * RATE)) for view in views]
    events += [(START + round(k * 1e9 / JOINT_RATE), "", k) for k in range(round(seconds * JOINT_RATE))]
    topic, kind = ("image_raw", "Image") if raw else ("image_raw/compressed", "CompressedImage")
    with BagWriter(path) as bag:
        bag.add_topic("/joint_states", "sensor_msgs/msg/JointState", qos=[qos()])
        for view in views:
            bag.add_topic(f"/{view}/{topic}", f"sensor_msgs/msg/{kind}", qos=[qos()])
        for stamp, view, k in sorted(events):
            if view and raw:
                message = bag.types.types["sensor_msgs/msg/Image"](
                    header=bag.factory.header(stamp, view), height=SIZE[0], width=SIZE[1], encoding="rgb8",
                    is_bigendian=0, step=3 * SIZE[1], data=pictures[k % PERIOD],
                )  # fmt: skip
                bag.write_message(f"/{view}/{topic}", stamp, message)
            elif view:
                message = bag.factory.compressed_image(pictures[k % PERIOD], stamp_ns=stamp, frame_id=view)
                bag.write_message(f"/{view}/{topic}", stamp, message)
            else:
                t = k / JOINT_RATE
                q, rates = home + sway * np.sin(1.5 * t), 1.5 * sway * np.cos(1.5 * t)
                state = bag.factory.joint_state(embodiment.all_joints, q, rates, stamp_ns=stamp)
                bag.write_message("/joint_states", stamp, state)


def asked(bag: Path, out: Path, views: tuple[str, ...], **keywords: Any) -> EvaluationOptions:
    """Return the options of one evaluation; the model takes next to no time."""
    cameras = {view: f"/{view}/image_raw" for view in views}
    return EvaluationOptions(
        bags=(bag,), out=out, world_model="persistence", cameras=cameras, instruction="bench", **keywords
    )


def busy_loop(_: int) -> float:
    """Return the share of a core that this process got for half a second."""
    began, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - began < 0.5:
        pass
    return (time.process_time() - cpu) / (time.perf_counter() - began)


def cores_free() -> float:
    """Return how many cores as many busy loops get now."""
    count = os.cpu_count() or 1
    with multiprocessing.get_context("spawn").Pool(count) as pool:
        return round(sum(pool.map(busy_loop, range(count), chunksize=1)), 2)


def evaluate_one(bag: Path, out: Path, views: tuple[str, ...], case: str, seconds: float) -> dict[str, Any]:
    """Evaluate in this process and return what it took."""
    began, cpu = time.perf_counter(), time.process_time()
    outcome = evaluate(asked(bag, out, views, **CASES[case]))
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    models = outcome.timing["models_s"]
    return {
        "wall_s": round(wall, 2),
        "cpu_s": round(cpu, 2),
        "models_s": round(models, 2),
        "overhead_s": round(wall - models, 2),
        "times_real_time": round(seconds / (wall - models), 2),
        "chunks": outcome.metrics["chunks"],
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "report_mb": round((out / "report.html").stat().st_size / 1e6, 2),
    }


def run_cases(folder: Path, seconds: float, views: tuple[str, ...], cases: list[str]) -> dict[str, Any]:
    """Evaluate the recording in every way, each in a fresh process."""
    bag = folder / f"bag_{len(views)}_{seconds:g}"
    if not bag.exists():
        write_bag(bag, seconds, views)
    results: dict[str, Any] = {}
    for name in cases:
        with scratch(folder) as out:
            free = cores_free()
            command = [sys.executable, __file__, "--one", str(bag), str(out), name, f"{seconds:g}", ",".join(views)]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            results[name] = {**json.loads(answer.splitlines()[-1]), "cores_free": [free, cores_free()]}
            if "report" in name:
                results[name]["browser"] = opened(out / "report.html")
    size = sum(file.stat().st_size for file in bag.iterdir())
    return {"seconds": seconds, "views": list(views), "bag_mb": round(size / 1e6, 1), "cases": results}


def run_memory(folder: Path, gigabytes: float) -> dict[str, Any]:
    """Evaluate a large recording of raw pictures, and return how its memory went."""
    seconds = gigabytes * 1e9 / (RATE * 3 * SIZE[0] * SIZE[1])
    bag, views = folder / f"raw_{gigabytes:g}", ("wrist",)
    case = "all modes, all baselines, report, annotated"
    try:
        if not bag.exists():
            write_bag(bag, seconds, views, raw=True)
        size = sum(file.stat().st_size for file in bag.iterdir())
        with scratch(folder) as out:
            command = [sys.executable, __file__, "--one", str(bag), str(out), case, f"{seconds:g}", views[0]]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            samples = list(resident(process))
            answer = json.loads(process.communicate()[0].splitlines()[-1])
    finally:
        shutil.rmtree(bag, ignore_errors=True)
    tenths = [max(part) for part in np.array_split(samples, 10)]
    return {
        "bag_gb": round(size / 1e9, 2), "seconds": round(seconds, 1), "case": case, **answer,
        "peak_rss_mb_by_tenth_of_the_run": [round(value / 1e6) for value in tenths],
    }  # fmt: skip


def resident(process: subprocess.Popen[str]) -> Iterator[int]:
    """Yield the resident memory of a process, bytes, ten times a second, until it ends."""
    import psutil

    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            yield watched.memory_info().rss
        except psutil.NoSuchProcess:
            return
        time.sleep(0.1)


def run_ray(folder: Path, seconds: float, views: tuple[str, ...], workers: int) -> dict[str, Any]:
    """Score chunks that lie ready with one worker and with several; the chunks are a flow evaluation's."""
    bag = folder / f"bag_{len(views)}_{seconds:g}"
    if not bag.exists():
        write_bag(bag, seconds, views)
    found: dict[str, Any] = {}
    with scratch(folder) as out:
        setup = prepare(asked(bag, out, views), load=False)
        report = SourceReport("bench")
        jobs = list(chunk_jobs(bag, "bench", setup.embodiment, setup.source, report))
        for count in (1, workers, 1, workers):
            options = setup.options.__class__(**{**vars(setup.options), "engine": "ray", "ray_workers": count})
            free = cores_free()
            # The first chunk of each worker waits for its imports and models.
            stream = scored_by_ray(iter(jobs[:count] + jobs), options, complete_chunk)
            for _ in range(count):
                next(stream)
            began = time.perf_counter()
            records = [json.dumps({**completed.record, "timing": {}}) for _, completed in stream]
            wall = time.perf_counter() - began
            found.setdefault(str(count), []).append(
                {"wall_s": round(wall, 2), "chunks": len(records), "cores_free": [free, cores_free()]}
            )
            found["same"] = found.get("same", True) and records == found.setdefault("records", records)
    del found["records"]
    best = {count: min(entry["wall_s"] for entry in found[count]) for count in ("1", str(workers))}
    speed_up = best["1"] / best[str(workers)]
    share = speed_up / min(workers, os.cpu_count() or 1)
    return {**found, "speed_up": round(speed_up, 2), "of_the_cores_share": round(share, 2)}


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Give a folder that is removed afterwards."""
    path = Path(tempfile.mkdtemp(prefix="out_", dir=folder))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def main() -> None:
    """Do what was asked for and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the recording (default: %(default)s)")
    parser.add_argument("--views", type=int, default=1, choices=(1, 2, 3))
    parser.add_argument("--case", action="append", choices=list(CASES), help="default: all")
    parser.add_argument("--folder", type=Path, help="where recordings are kept between runs (default: nowhere)")
    parser.add_argument("--gigabytes", type=float, default=0.0, help="memory on a recording of this size instead")
    parser.add_argument("--ray", type=int, default=0, metavar="N", help="N Ray workers against one instead")
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        bag, out, case, seconds, names = arguments.one
        print(json.dumps(evaluate_one(Path(bag), Path(out), tuple(names.split(",")), case, float(seconds))))
        return
    views = load_embodiment("franka").views[: arguments.views]
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="bench_evaluation_"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if arguments.gigabytes:
            found = run_memory(folder, arguments.gigabytes)
        elif arguments.ray:
            found = run_ray(folder, arguments.seconds, views, arguments.ray)
        else:
            found = run_cases(folder, arguments.seconds, views, arguments.case or list(CASES))
    finally:
        if arguments.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({"cores": os.cpu_count(), **found}, indent=2))


if __name__ == "__main__":
    main()
