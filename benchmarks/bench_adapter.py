"""Speed and exactness of the embodiment adapter: python benchmarks/bench_adapter.py.

Times are medians of one process on one core, without model and inverse kinematics. The figures of the DROID episode
need the sample data (see COSMOS_ROS_DROID).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from cosmos_ros.embodiment import (  # noqa: E402
    Embodiment,
    RecordedStates,
    StateColumns,
    list_embodiments,
    load_embodiment,
    read_states,
)
from cosmos_ros.se3 import from_euler_xyz_extrinsic, integrate_deltas, pose_error, pose_from  # noqa: E402
from cosmos_ros.types import JointState, Mode, Observation, Rollout  # noqa: E402


def median_ms(function: Callable[[], object], repetitions: int) -> list[float]:
    """Return median, 95th percentile, and median of the processor's time, in milliseconds, after a warm-up."""
    for _ in range(3):
        function()
    wall, processor = [], []
    for _ in range(repetitions):
        begin, begin_processor = time.perf_counter(), time.process_time()
        function()
        processor.append((time.process_time() - begin_processor) * 1e3)
        wall.append((time.perf_counter() - begin) * 1e3)
    figures = (statistics.median(wall), float(np.percentile(wall, 95)), statistics.median(processor))
    return [round(figure, 3) for figure in figures]


def observation(robot: Embodiment, stamp_ns: int, offset: float, previous: Observation | None) -> Observation:
    """Return three 640x360 views and a joint state."""
    rng = np.random.default_rng(stamp_ns)
    images = {view: rng.integers(0, 256, (360, 640, 3), dtype=np.uint8) for view in robot.views}
    positions = np.array([robot.home[name] for name in robot.all_joints])
    positions[: len(robot.joint_names)] += offset
    joints = JointState(stamp_ns, robot.all_joints, positions)
    return Observation(stamp_ns, images, dict.fromkeys(images, stamp_ns), joints, "pick up the red cube", previous)


def adapter_times(repetitions: int) -> dict[str, list[float]]:
    """Return the times of one Franka request and its answer."""
    robot = load_embodiment("franka")
    step = round(1e9 / robot.fps)
    before = observation(robot, 10**9, 0.0, None)
    now = observation(robot, 10**9 + step, 0.002, before)
    alone = observation(robot, 10**9 + step, 0.002, None)
    hold = robot.build_request(now, Mode.POLICY).hold_action
    assert hold is not None
    rollout = Rollout(frames=None, actions=np.repeat(hold[None], robot.chunk_size, axis=0))

    def whole() -> None:
        robot.build_request(now, Mode.POLICY)
        robot.decode(rollout, now)

    return {
        "compose three 640x360 views": median_ms(lambda: robot.compose(now.images), repetitions),
        "request": median_ms(lambda: robot.build_request(alone, Mode.POLICY), repetitions),
        "request with previous observation": list(
            median_ms(lambda: robot.build_request(now, Mode.POLICY), repetitions)
        ),
        "decode 16 rows": median_ms(lambda: robot.decode(rollout, now), repetitions),
        "request with previous observation, and decode": median_ms(whole, repetitions),
        "load the embodiment file": median_ms(lambda: load_embodiment("franka"), 5),
    }


def walk(robot: Embodiment, steps: int) -> RecordedStates:
    """Return a random walk of all tools and grippers."""
    rng = np.random.default_rng(0)
    poses = {}
    for link in robot.tool_links:
        turns = from_euler_xyz_extrinsic(rng.normal(0, 0.03, (steps, 3)))
        deltas = pose_from(rng.normal(0, 0.01, (steps, 3)), turns)
        poses[link] = np.concatenate([np.eye(4)[None], integrate_deltas(np.eye(4), deltas)])
    return RecordedStates(
        tool_poses=poses, gripper_openings={name: rng.uniform(0, 1, steps + 1) for name in robot.spec.grippers}
    )


def round_trips(steps: int) -> dict[str, list[float]]:
    """Return the largest error (m, rad) of decode(encode(x)) of each embodiment."""
    worst = {}
    for name in list_embodiments():
        robot = load_embodiment(name)
        if robot.layout.joints:
            continue
        states = walk(robot, steps)
        encoded = robot.encode(states)
        chunk = robot.decode_actions(encoded.unclamped, encoded.start_poses, thorough=False)
        errors = [pose_error(chunk.poses[link], states.tool_poses[link][1:]) for link in robot.tool_links]
        worst[name] = [max(float(e[i].max()) for e in errors) for i in range(2)]
    return worst


def droid() -> dict[str, object] | None:
    """Return the figures of the recorded episode, or None where it is absent."""
    path = Path(os.environ.get("COSMOS_ROS_DROID", ROOT.parent / "shared" / "data" / "droid")) / "episode.parquet"
    if not path.exists():
        return None
    robot = load_embodiment("franka")
    columns = StateColumns(
        "observation.state.cartesian_position", "xyz_euler", None, {"gripper": "action.gripper_position"}
    )
    states = read_states(robot, path, columns)
    encoded = robot.encode(states)
    poses = states.tool_poses["panda_link8"]
    metres, radians, untouched = 0.0, 0.0, 0
    for begin in range(len(encoded.actions) - 15):
        if encoded.clamped[begin : begin + 16].any():
            continue
        untouched += 1
        rows = encoded.actions[begin : begin + 16].astype(np.float32)
        chunk = robot.decode_actions(rows, {"panda_link8": poses[begin]}, thorough=False)
        error = pose_error(chunk.poses["panda_link8"], poses[begin + 1 : begin + 17])
        metres, radians = max(metres, float(error[0].max())), max(radians, float(error[1].max()))
    inside = (np.abs(encoded.unclamped) <= 1.0 + 1e-9).mean(axis=0)
    return {
        "rows": len(encoded.actions),
        "clamped share": encoded.clamped_share,
        "inside the range, by column": dict(zip(robot.layout.names, inside.round(4).tolist(), strict=True)),
        "16-row chunks without a clamped number": untouched,
        "worst error of those, sent as float32 (m, rad)": [metres, radians],
    }


def main() -> None:
    """Print all figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--steps", type=int, default=10_000)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    figures = {
        "milliseconds (median, 95th percentile, median of processor time)": adapter_times(arguments.repetitions),
        f"decode(encode(x)) over {arguments.steps} steps (m, rad)": round_trips(arguments.steps),
        "DROID episode": droid() or "not measured: the sample data is absent",
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
