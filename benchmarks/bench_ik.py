"""Inverse kinematics of random reachable chunks: success, residuals, limits and time, Pinocchio against NumPy.

    python benchmarks/bench_ik.py [--chunks 500] [--speed 0.3] [--robots panda ur5e] [--json FILE]

A chunk is a random walk of the joints from a configuration drawn from the whole range (±pi where it is wider), bouncing
off the limits, at most ``speed`` times the velocity limits; its poses, rounded to the float32 that world models speak,
are what the solver sees. Success means that all steps are under 0.1 mm and 0.05 degrees, judged by forward kinematics
of the answer and not by the solver's word; a miss that the solver did not report counts as "silent".
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402

from cosmos_ros.kinematics import InverseKinematics, RobotModel  # noqa: E402
from cosmos_ros.resources import resource  # noqa: E402
from cosmos_ros.se3 import matrix_from_rotation_6d, pose_error, rotation_6d_from_matrix  # noqa: E402
from cosmos_ros.types import FloatArray, Int64Array  # noqa: E402

FPS = 15
STEPS = 16
POSITION, ROTATION = 1e-4, float(np.radians(0.05))


@dataclass(frozen=True)
class Case:
    """A robot, the links that follow poses, and the joints that move (those whose name holds ``only``)."""

    urdf: str
    targets: tuple[str, ...]
    only: str = ""


CASES = {
    "panda": Case("panda", ("panda_link8",)),
    "fr3": Case("fr3", ("fr3_link8",)),
    "ur3e": Case("ur3e", ("tool0",)),
    "ur5e": Case("ur5e", ("tool0",)),
    "ur10e": Case("ur10e", ("tool0",)),
    "wx250s": Case("wx250s", ("gripper_link",)),
    "g1_arms": Case("g1", ("gripper_r_base_link", "gripper_l_base_link"), "arm"),
    "g1_whole": Case("g1", ("head_camera_link", "gripper_r_base_link", "gripper_l_base_link")),
    "franka_dual": Case("franka_dual", ("left_panda_link8", "right_panda_link8")),
}


@dataclass(frozen=True)
class Chunk:
    """Start configuration, poses a target ``[T, 4, 4]`` and times."""

    start: dict[str, float]
    poses: dict[str, FloatArray]
    times_ns: Int64Array


def make_solver(name: str, backend: str = "auto") -> tuple[RobotModel, InverseKinematics]:
    """Return the model and the solver of a case; the middle of the range is the nominal posture."""
    case = CASES[name]
    model = RobotModel.from_urdf(resource("embodiments", "urdf", f"{case.urdf}.urdf"), backend=backend)  # type: ignore[arg-type]
    supporting = [j for j in model.joint_names if any(j in model.supporting_joints(link) for link in case.targets)]
    nominal = {}
    for joint in supporting:
        lower, upper = _range(model, joint)
        nominal[joint] = 0.5 * (lower + upper)
    joints = [joint for joint in supporting if case.only in joint]
    return model, InverseKinematics(model, case.targets, joints, nominal)


def _range(model: RobotModel, joint: str) -> tuple[float, float]:
    limit = model.limits[joint]
    return max(limit.lower, -np.pi), min(limit.upper, np.pi)


def random_chunks(solver: InverseKinematics, count: int, speed: float, seed: int) -> Iterator[Chunk]:
    """Yield reachable chunks; see the module."""
    model, rng = solver.model, np.random.default_rng(seed)
    joints = solver.joint_names
    lower, upper = np.array([_range(model, joint) for joint in joints]).T
    fastest = speed * np.array([model.limits[joint].velocity for joint in joints])
    columns = [model.joint_names.index(joint) for joint in joints]
    rest = np.array([solver.nominal.get(joint, 0.0) for joint in model.joint_names])
    times_ns = np.round(np.arange(1, STEPS + 1) * 1e9 / FPS).astype(np.int64)
    for _ in range(count):
        q = np.tile(rest, (STEPS + 1, 1))
        now, velocity = rng.uniform(lower, upper), rng.uniform(-fastest, fastest)
        q[0, columns] = now
        for step in range(1, STEPS + 1):
            velocity = np.clip(velocity + 0.3 * fastest * rng.normal(size=len(joints)), -fastest, fastest)
            ahead = now + velocity / FPS
            velocity = np.where((ahead < lower) | (ahead > upper), -velocity, velocity)
            now = np.clip(now + velocity / FPS, lower, upper)
            q[step, columns] = now
        poses = {}
        for link, exact in model.fk_batch_links(q, solver.targets).items():
            rounded = exact[1:].astype(np.float32).astype(np.float64)
            rounded[:, :3, :3] = matrix_from_rotation_6d(rotation_6d_from_matrix(rounded[:, :3, :3]))
            poses[link] = rounded
        yield Chunk(dict(zip(model.joint_names, q[0].tolist(), strict=True)), poses, times_ns)


@dataclass(frozen=True)
class Result:
    """What one robot did with one backend."""

    robot: str
    backend: str
    chunks: int
    success_percent: float
    silent_failures: int
    limit_violations: int
    worst_position_mm: float
    worst_rotation_deg: float
    fastest_step: float
    solves_a_step: float
    median_ms: float
    mean_ms: float
    p99_ms: float


class _Tally:
    """Counts of one robot with one backend."""

    def __init__(self, name: str, backend: str) -> None:
        self.name = name
        self.model, self.solver = make_solver(name, backend)
        limits = [self.model.limits[joint] for joint in self.solver.joint_names]
        self._lower = np.array([limit.lower for limit in limits])
        self._upper = np.array([limit.upper for limit in limits])
        self._velocity = np.array([limit.velocity for limit in limits])
        self._columns = [self.model.joint_names.index(joint) for joint in self.solver.joint_names]
        self._worst = np.zeros(2)
        self._durations: list[float] = []
        self._reached = self._silent = self._violations = self._solves = 0
        self._fastest = 0.0

    def run(self, chunk: Chunk) -> None:
        """Solve one chunk and judge the answer by forward kinematics."""
        begin = time.perf_counter()
        solution = self.solver.solve(chunk.poses, chunk.start, chunk.times_ns)
        self._durations.append((time.perf_counter() - begin) * 1e3)
        start = np.array([chunk.start[joint] for joint in self.model.joint_names])
        q = np.tile(start, (STEPS, 1))
        q[:, self._columns] = solution.positions
        found = self.model.fk_batch_links(q, self.solver.targets)
        errors = np.array([pose_error(found[link], chunk.poses[link]) for link in self.solver.targets])
        self._worst = np.maximum(self._worst, errors.max(axis=(0, 2)))
        good = bool((errors[:, 0] <= POSITION).all() and (errors[:, 1] <= ROTATION).all())
        self._reached += good
        self._silent += not good and bool(solution.converged.all())
        self._violations += int(((solution.positions < self._lower) | (solution.positions > self._upper)).sum())
        steps = np.diff(np.vstack([start[self._columns], solution.positions]), axis=0)
        self._fastest = max(self._fastest, float((np.abs(steps) * FPS / self._velocity).max()))
        self._solves += int(solution.iterations.sum())

    def result(self) -> Result:
        """Return the sums."""
        count = len(self._durations)
        return Result(
            robot=self.name,
            backend=self.model.backend,
            chunks=count,
            success_percent=100.0 * self._reached / count,
            silent_failures=self._silent,
            limit_violations=self._violations,
            worst_position_mm=float(self._worst[0] * 1e3),
            worst_rotation_deg=float(np.degrees(self._worst[1])),
            fastest_step=self._fastest,
            solves_a_step=self._solves / count / STEPS,
            median_ms=float(np.median(self._durations)),
            mean_ms=float(np.mean(self._durations)),
            p99_ms=float(np.percentile(self._durations, 99)),
        )


def measure(name: str, backends: list[str], count: int, speed: float, seed: int = 7) -> list[Result]:
    """Run one case, the backends taking turns so that a busy machine hits them alike."""
    tallies = [_Tally(name, backend) for backend in backends]
    for chunk in random_chunks(tallies[0].solver, count, speed, seed):
        for tally in tallies:
            tally.run(chunk)
    return [tally.result() for tally in tallies]


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=500)
    parser.add_argument("--speed", type=float, default=0.3, help="part of the velocity limits (default 0.3)")
    parser.add_argument("--robots", nargs="+", choices=sorted(CASES), default=list(CASES))
    parser.add_argument("--backends", nargs="+", choices=["pinocchio", "numpy"], default=["pinocchio", "numpy"])
    parser.add_argument("--json", type=Path, help="also write the results here")
    arguments = parser.parse_args()
    print(
        f"{arguments.chunks} chunks of {STEPS} steps at {FPS} Hz, {arguments.speed:g} of the velocity limits, one core"
    )
    print("robot        backend    success  silent  limits  worst mm  worst deg  solves  median ms  mean ms   p99 ms")
    results: list[Result] = []
    for robot in arguments.robots:
        found = measure(robot, arguments.backends, arguments.chunks, arguments.speed)
        results += found
        for r in found:
            print(
                f"{r.robot:12s} {r.backend:9s} {r.success_percent:7.1f}% {r.silent_failures:7d} "
                f"{r.limit_violations:7d} {r.worst_position_mm:9.2g} {r.worst_rotation_deg:10.2g} "
                f"{r.solves_a_step:7.2f} {r.median_ms:10.2f} {r.mean_ms:8.2f} {r.p99_ms:8.2f}",
                flush=True,
            )
        if len(arguments.backends) == 2:
            fast, slow = found
            print(f"{'':12s} numpy takes {slow.median_ms / fast.median_ms:.1f} times as long")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(r) for r in results], indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
