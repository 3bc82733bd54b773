"""Speed of the way in: converters, synchroniser, recordings: python benchmarks/bench_observation.py [--seconds 60].

Times are medians of one process. A 720p recording of three cameras (two JPEG, one raw) at 30 Hz and joints at 100 Hz is
written to a temporary folder, walked with every observation built, and its memory watched. The last line is a ratio:
recorded seconds walked a second.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cosmos_ros.messages import compress, decode_compressed, decode_image
from cosmos_ros.observation import Synchroniser, SynchroniserSettings
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.recordings.replay import WalkReport, WalkTopics, walk
from cosmos_ros.recordings.writer import BagWriter
from cosmos_ros.types import JointState

MS = 1_000_000
START = 1_700_000_000 * 10**9
HEIGHT, WIDTH = 720, 1280
JOINTS = tuple(f"joint{k}" for k in range(8))


def median_us(function: Callable[[], object], repetitions: int = 50) -> float:
    """Return the median time of a call in microseconds, after a warm-up."""
    for _ in range(3):
        function()
    times = []
    for _ in range(repetitions):
        begin = time.perf_counter()
        function()
        times.append((time.perf_counter() - begin) * 1e6)
    return round(statistics.median(times), 1)


def picture(seed: int) -> np.ndarray:
    """Return a smooth 720p picture with some texture, which compresses like a real one."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    base = np.stack([x * 255 // WIDTH, y * 255 // HEIGHT, (x + y + 8 * seed) % 256], axis=-1)
    noise = np.random.default_rng(seed).integers(0, 24, (HEIGHT // 8, WIDTH // 8, 1)).repeat(8, 0).repeat(8, 1)
    return np.clip(base + noise, 0, 255).astype(np.uint8)


def converters() -> dict[str, float]:
    """Return microseconds a 720p image."""
    pixels = picture(0)
    figures = {}
    for encoding, array in {
        "rgb8": pixels,
        "bgr8": pixels,
        "mono8": pixels[..., 0],
        "bgra8": np.dstack([pixels, pixels[..., 0]]),
        "bayer_rggb8": pixels[..., 0],
        "yuv422_yuy2": pixels[..., :2],
        "rgb16": pixels.astype(np.uint16) * 257,
    }.items():
        data = np.ascontiguousarray(array)
        message = SimpleNamespace(
            height=HEIGHT, width=WIDTH, encoding=encoding, is_bigendian=0, step=data[0].nbytes, data=data.tobytes()
        )
        figures[encoding] = median_us(lambda message=message: decode_image(message))
    jpeg = SimpleNamespace(format="jpeg", data=compress(pixels, quality=85))
    figures[f"jpeg ({len(jpeg.data) // 1024} KiB)"] = median_us(lambda: decode_compressed(jpeg))
    figures["jpeg compress"] = median_us(lambda: compress(pixels))
    return figures


def synchroniser() -> dict[str, float]:
    """Return microseconds of one call with full buffers."""
    views = ("front", "left", "wrist")
    settings = SynchroniserSettings(
        wait_ns=50 * MS, step_ns=66 * MS, image_max_age_ns=10**10, joint_max_age_ns=10**10, period_ns=66 * MS
    )
    sync = Synchroniser(views, joints=JOINTS, settings=settings)
    image = np.zeros((8, 8, 3), np.uint8)
    times: dict[str, list[float]] = {"add_image": [], "add_joint_state": [], "take": [], "take (nothing due)": []}

    def timed(name: str, function: Callable[[], Any]) -> Any:
        begin = time.perf_counter()
        result = function()
        if name == "take" and result is None:
            name = "take (nothing due)"
        times[name].append((time.perf_counter() - begin) * 1e6)
        return result

    for k in range(3000):
        now = START + k * 10 * MS
        state = JointState(now, JOINTS, np.zeros(8), np.zeros(8))
        timed("add_joint_state", lambda state=state, now=now: sync.add_joint_state(state, received_ns=now))
        if k % 3 == 0:
            for view in views:
                timed(
                    "add_image",
                    lambda view=view, now=now: sync.add_image(view, image, stamp_ns=now, received_ns=now),
                )
        timed("take", lambda now=now: sync.take(now))
    return {name: round(statistics.median(values), 1) for name, values in times.items()}


def write(path: Path, seconds: int) -> float:
    """Write the recording; return megabytes a second."""
    pictures = [picture(k) for k in range(8)]
    jpegs = [compress(p) for p in pictures]
    begin = time.perf_counter()
    with BagWriter(path) as bag:
        make = bag.factory
        bag.add_topic("/joint_states", "sensor_msgs/msg/JointState")
        bag.add_topic("/raw/image_raw", "sensor_msgs/msg/Image")
        for view in ("front", "left"):
            bag.add_topic(f"/{view}/image_raw/compressed", "sensor_msgs/msg/CompressedImage")
        image_class = bag.types.types["sensor_msgs/msg/Image"]
        joints = [(START + k * 10 * MS, "joints", k) for k in range(seconds * 100)]
        images = [(START + round(k * 1e9 / 30), "images", k) for k in range(seconds * 30)]
        for stamp, kind, k in sorted(joints + images):
            if kind == "joints":
                state = make.joint_state(JOINTS, np.full(8, k * 1e-4), np.zeros(8), stamp_ns=stamp)
                bag.write_message("/joint_states", stamp, state)
            else:
                for view in ("front", "left"):
                    image = make.compressed_image(jpegs[k % 8], stamp_ns=stamp, frame_id=view)
                    bag.write_message(f"/{view}/image_raw/compressed", stamp, image)
                raw = image_class(
                    header=make.header(stamp, "raw"),
                    height=HEIGHT,
                    width=WIDTH,
                    encoding="rgb8",
                    is_bigendian=0,
                    step=3 * WIDTH,
                    data=pictures[k % 8].reshape(-1),
                )
                bag.write_message("/raw/image_raw", stamp, raw)
    elapsed = time.perf_counter() - begin
    return sum(file.stat().st_size for file in path.iterdir()) / 1e6 / elapsed


def peak_mib() -> float:
    """Return the process's peak memory in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def walked(path: Path, period_ns: int) -> tuple[int, float, float]:
    """Walk and build every observation; return their number, the seconds it took, and the processor's."""
    settings = SynchroniserSettings(period_ns=period_ns, step_ns=66_666_667, wait_ns=10**9)
    sync = Synchroniser(["front", "left", "raw"], joints=JOINTS, settings=settings)
    topics = WalkTopics(
        {
            "front": "/front/image_raw/compressed",
            "left": "/left/image_raw/compressed",
            "raw": "/raw/image_raw",
        }
    )
    report = WalkReport()
    begin, begin_processor = time.perf_counter(), time.process_time()
    with BagReader(path) as reader:
        count = sum(1 for snapshot in walk(reader, topics, sync, report=report) if snapshot.build())
    assert not report.refused and not report.damaged, report
    return count, time.perf_counter() - begin, time.process_time() - begin_processor


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="length of the recording (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {"converters [us, 720p]": converters(), "synchroniser [us]": synchroniser()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bag"
        figures["written [MB/s]"] = round(write(path, arguments.seconds), 1)
        size = sum(file.stat().st_size for file in path.iterdir()) / 1e6
        before = peak_mib()
        short = arguments.seconds
        for name, period in (("every chunk (1.07 s)", 1_066_666_667), ("15 Hz", 66_666_667), ("every image", 0)):
            count, elapsed, processor = walked(path, period)
            figures[f"walk, {name}"] = {
                "observations": count,
                "seconds": round(elapsed, 2),
                "processor's seconds": round(processor, 2),
                "times real time": round(short / elapsed, 1),
            }
        figures["recording [MB]"] = round(size, 1)
        figures["peak memory before and after walking [MiB]"] = [round(before), round(peak_mib())]
    print(json.dumps(figures, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(f"times_real_time: {figures['walk, 15 Hz']['times real time']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
