"""The guard: time of a judgement, and what slowing down costs against the time-optimal run.

    python benchmarks/bench_guard.py [--chunks 300] [--slow 60] [--json FILE]

Judged are 16-step chunks of seven joints at 15 Hz: feasible ones, of smooth bumps from random postures at up to
``--speed`` of the velocity limits (0.3 is what a Franka does in the DROID data), with every limit on: joints, tool
speeds and accelerations, box, table, singularity and self-collision. Each configuration is timed in the same run, on
one core; a second pass over the same chunks is what is counted.

Slowing down is compared with two references that know the same bounds, the same path and the rule that nothing is run
faster than it was commanded: toppra, where it is installed, and our own profile on a grid five times as fine with
nothing held back.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402

from cosmos_ros.embodiment import load_embodiment  # noqa: E402
from cosmos_ros.guard import Box, Guard, GuardContext, GuardedRobot, GuardSettings, Response  # noqa: E402
from cosmos_ros.guard.context import rest_from  # noqa: E402
from cosmos_ros.guard.motion.joint_motion import make_motion  # noqa: E402
from cosmos_ros.guard.response import retime  # noqa: E402
from cosmos_ros.guard.response.speed_profile import fastest  # noqa: E402
from cosmos_ros.guard.surroundings import surroundings_of  # noqa: E402
from cosmos_ros.types import NANOSECONDS, FloatArray, JointState, JointTrajectory  # noqa: E402

NOW = 1_700_000_000 * NANOSECONDS
STEPS, RATE = 16, 15.0


def chunk(rng: np.random.Generator, names: tuple[str, ...], start: FloatArray, peak: FloatArray) -> JointTrajectory:
    """A smooth chunk from rest to rest whose fastest joint reaches its share of ``peak``."""
    t = np.arange(STEPS + 1) / RATE
    s = t / t[-1]
    q, v = np.zeros((STEPS + 1, len(names))), np.zeros((STEPS + 1, len(names)))
    for power, size in ((2, 1.0), (3, 1.0), (0, 0.5)):
        amount = rng.normal(0.0, size, len(names))
        if power:
            shape = s**power * (1.0 - s) ** 2
            slope = power * s ** (power - 1) * (1.0 - s) ** 2 - 2.0 * s**power * (1.0 - s)
        else:
            shape, slope = 10 * s**3 - 15 * s**4 + 6 * s**5, 30 * s**2 - 60 * s**3 + 30 * s**4
        q, v = q + shape[:, None] * amount, v + slope[:, None] / t[-1] * amount
    scale = 1.0 / np.max(np.abs(v) / peak)
    return JointTrajectory(names, NOW, np.round(t * NANOSECONDS).astype(np.int64), start + scale * q, scale * v)


def feasible(guard: Guard, count: int, speed: float, seed: int = 0) -> list[tuple[JointTrajectory, GuardContext]]:
    """Chunks that the guard accepts, from postures all over the workspace."""
    rng = np.random.default_rng(seed)
    names = guard.robot.limits.required_joints
    joints = [guard.robot.limits.joints[n] for n in names]
    lower, upper = np.array([j.lower for j in joints]), np.array([j.upper for j in joints])
    limit = np.array([j.velocity for j in joints])
    found: list[tuple[JointTrajectory, GuardContext]] = []
    while len(found) < count:
        start = lower + rng.uniform(0.15, 0.85, len(names)) * (upper - lower)
        trajectory = chunk(rng, names, start, rng.uniform(0.2, 1.0) * speed * limit)
        context = GuardContext(NOW, JointState(NOW - 5_000_000, names, start, np.zeros(len(names))))
        if guard.judge(trajectory, context).response is Response.ACCEPT:
            found.append((trajectory, context))
    return found


def timed(guard: Guard, cases: list[tuple[JointTrajectory, GuardContext]]) -> dict[str, float]:
    """Milliseconds of a judgement: median, 99th percentile and mean, the first pass not counted."""
    times = []
    for count in range(2):
        for trajectory, context in cases:
            began = time.perf_counter()
            guard.judge(trajectory, context)
            if count:
                times.append(1e3 * (time.perf_counter() - began))
    return {
        "median_ms": round(float(np.median(times)), 4),
        "p99_ms": round(float(np.percentile(times, 99)), 4),
        "mean_ms": round(float(np.mean(times)), 4),
    }


def by_toppra(trajectory: JointTrajectory, guard: Guard, start: float, end: float) -> float | None:
    """Seconds of toppra's run of the same path, never faster than commanded; None without toppra."""
    try:
        import toppra
        import toppra.algorithm
        import toppra.constraint
    except ImportError:
        return None
    motion = make_motion(trajectory, guard.checker.table(trajectory.joint_names), None)
    spline = motion.polynomial
    derivatives = (spline, spline.derivative(), spline.derivative(2))

    class Geometry(toppra.interpolator.AbstractGeometricPath):  # type: ignore[misc]
        """The joints, and the commanded time itself as one more: its speed may not exceed 1."""

        dof = len(trajectory.joint_names) + 1
        path_interval = np.array([motion.times[0], motion.times[-1]])

        def __call__(self, position: Any, order: int = 0) -> Any:
            at = np.atleast_1d(position)
            joints = derivatives[order](at)
            time_itself = (at, np.ones_like(at), np.zeros_like(at))[order]
            whole = np.concatenate((joints, time_itself[:, None]), axis=1)
            return whole if np.ndim(position) else whole[0]

    velocity = np.append(motion.table.velocity, 1.0)
    acceleration = np.append(motion.table.acceleration, 1e4)
    constraints = [
        toppra.constraint.JointVelocityConstraint(np.stack((-velocity, velocity), axis=1)),
        toppra.constraint.JointAccelerationConstraint(np.stack((-acceleration, acceleration), axis=1)),
    ]
    # Knots belong to the grid: the second derivative of a cubic jumps there.
    grid = np.unique(
        np.concatenate([np.linspace(a, b, 21) for a, b in zip(motion.times[:-1], motion.times[1:], strict=True)])
    )
    algorithm = toppra.algorithm.TOPPRA(constraints, Geometry(), gridpoints=grid, solver_wrapper="seidel")
    _, speed, _ = algorithm.compute_parameterization(start, end)
    if speed is None:
        return None
    return float(np.sum(2.0 * np.diff(grid) / (speed[:-1] + speed[1:])))


def slowing(guard: Guard, count: int) -> dict[str, Any]:
    """Ratios of duration against the references, of chunks that are up to three times too fast."""
    rng = np.random.default_rng(7)
    names = guard.robot.limits.required_joints
    joints = [guard.robot.limits.joints[n] for n in names]
    lower, upper = np.array([j.lower for j in joints]), np.array([j.upper for j in joints])
    limit = np.array([j.velocity for j in joints])
    ratios: dict[str, list[float]] = {"fine": [], "toppra": []}
    judged: list[float] = []
    scales: list[float] = []
    while len(ratios["fine"]) < count:
        start = lower + rng.uniform(0.3, 0.7, len(names)) * (upper - lower)
        trajectory = chunk(rng, names, start, rng.uniform(1.05, 3.0) * limit)
        context = GuardContext(NOW, JointState(NOW - 5_000_000, names, start, np.zeros(len(names))))
        verdict = guard.judge(trajectory, context)
        if verdict.response is not Response.SLOW_DOWN or verdict.trajectory is None:
            continue
        ours = rest_from(verdict.trajectory) / NANOSECONDS
        judged.append(verdict.elapsed_ms)
        scales.append(verdict.time_scale)
        motion = make_motion(trajectory, guard.checker.table(names), None)
        aim, step = retime.AIM, retime.GRID_STEP
        try:
            retime.AIM, retime.GRID_STEP = 1.0, step / 5.0
            path = retime.make_path(motion, guard.settings)
            profile = fastest(path.limits, path.lines, start=None, end=None)
        finally:
            retime.AIM, retime.GRID_STEP = aim, step
        assert profile is not None
        ratios["fine"].append(ours / float(profile.times[-1]))
        speed = np.sqrt(profile.squared_speed)
        reference = by_toppra(trajectory, guard, 0.999 * float(speed[0]), 0.999 * float(speed[-1]))
        if reference is not None:
            ratios["toppra"].append(ours / reference)
    result: dict[str, Any] = {
        "chunks": count,
        "time_scale_median": round(float(np.median(scales)), 3),
        "judging_median_ms": round(float(np.median(judged)), 2),
        "judging_p99_ms": round(float(np.percentile(judged, 99)), 2),
    }
    for name, values in ratios.items():
        if values:
            result[f"time_added_over_{name}_percent"] = {
                "median": round(100.0 * (float(np.median(values)) - 1.0), 2),
                "p95": round(100.0 * (float(np.percentile(values, 95)) - 1.0), 2),
                "most": round(100.0 * (max(values) - 1.0), 2),
                "chunks": len(values),
            }
    return result


def main() -> int:
    """Measure and print; the last line is the median of the full check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=300, help="feasible chunks to judge")
    parser.add_argument("--slow", type=int, default=60, help="chunks to slow down")
    parser.add_argument("--speed", type=float, default=0.3, help="part of the velocity limits that chunks use at most")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    embodiment = load_embodiment("franka")
    around = replace(surroundings_of(embodiment), workspace=Box((-0.9, -0.9, -0.4), (0.9, 0.9, 1.3)), minimum_z=-0.35)
    robot = GuardedRobot(embodiment.limits, embodiment.robot, around)
    every = GuardSettings()
    joints = frozenset(
        ("stale_state", "stamp", "time_step", "units", "start_discontinuity", "duration", "position", "velocity",
         "acceleration", "jerk", "mimic", "end_velocity")
    )  # fmt: skip
    guards = {
        "all limits and self-collision": Guard(robot, every),
        "all limits without self-collision": Guard(robot, GuardSettings(every.checks - {"self_collision"})),
        "joint limits alone": Guard(robot, GuardSettings(joints)),
    }
    cases = feasible(next(iter(guards.values())), arguments.chunks, arguments.speed)
    figures: dict[str, Any] = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, numpy {np.__version__}",
        "load": [round(x, 1) for x in os.getloadavg()],
        "chunks": arguments.chunks,
        "speed": arguments.speed,
    }
    print(f"{figures['machine']}; load {figures['load']}; {arguments.chunks} chunks of {STEPS} steps, 7 joints")
    for name, guard in guards.items():
        figures[name] = timed(guard, cases)
        print(f"  {name}: median {figures[name]['median_ms']:.3f} ms, p99 {figures[name]['p99_ms']:.3f} ms")
    figures["slowing down"] = slowing(guards["joint limits alone"], arguments.slow)
    for key, value in figures["slowing down"].items():
        print(f"  slowing down, {key.replace('_', ' ')}: {value}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(f"full_check_median_ms: {figures['all limits and self-collision']['median_ms']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
