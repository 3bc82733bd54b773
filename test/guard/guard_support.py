"""What the guard's tests share: robots, an independent dense check, and a generator of hostile trajectories."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import BPoly

from cosmos_ros.guard import Guard, GuardContext, GuardSettings
from cosmos_ros.limits import JointLimit, RobotLimits
from cosmos_ros.types import NANOSECONDS, JointState, JointTrajectory

NOW = 1_700_000_000 * NANOSECONDS
PANDA = tuple(f"panda_joint{i}" for i in range(1, 8))
HOME = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])

_TABLE = {  # lower, upper, velocity, acceleration, jerk: Franka control parameters
    "panda_joint1": (-2.8973, 2.8973, 2.175, 15.0, 7500.0),
    "panda_joint2": (-1.7628, 1.7628, 2.175, 7.5, 3750.0),
    "panda_joint3": (-2.8973, 2.8973, 2.175, 10.0, 5000.0),
    "panda_joint4": (-3.0718, -0.0698, 2.175, 12.5, 6250.0),
    "panda_joint5": (-2.8973, 2.8973, 2.61, 15.0, 7500.0),
    "panda_joint6": (-0.0175, 3.7525, 2.61, 20.0, 10000.0),
    "panda_joint7": (-2.8973, 2.8973, 2.61, 20.0, 10000.0),
}
# Everything that needs no robot model.
JOINT_CHECKS = frozenset(
    ("stale_state", "stamp", "time_step", "units", "start_discontinuity", "duration", "position", "velocity",
     "acceleration", "jerk", "acceleration_step", "mimic", "end_velocity")
)  # fmt: skip


def panda_limits(**changes: float) -> RobotLimits:
    """The Panda's joint limits; ``changes`` scale single fields, e.g. ``velocity=0.5``."""
    joints = {}
    for name, (lower, upper, velocity, acceleration, jerk) in _TABLE.items():
        limit = JointLimit(lower, upper, velocity, acceleration, jerk)
        joints[name] = replace(limit, **{k: getattr(limit, k) * v for k, v in changes.items()})
    return RobotLimits(joints, required_joints=PANDA)


@lru_cache(maxsize=32)
def joint_guard(**settings: float | bool) -> Guard:
    """A guard of the Panda's joints."""
    return Guard(panda_limits(), GuardSettings(checks=JOINT_CHECKS, **{"judging_budget": 30.0, **settings}))


def state(positions: np.ndarray = HOME, velocities: np.ndarray | None = None, *, age: float = 0.01) -> JointState:
    speed = np.zeros(len(positions)) if velocities is None else velocities
    return JointState(NOW - round(age * NANOSECONDS), PANDA[: len(positions)], np.array(positions), speed)


def context(positions: np.ndarray = HOME, velocities: np.ndarray | None = None, **kwargs: object) -> GuardContext:
    return GuardContext(NOW, state(positions, velocities), **kwargs)


def times_of(seconds: np.ndarray) -> np.ndarray:
    return np.round(np.asarray(seconds) * NANOSECONDS).astype(np.int64)


def reach(
    delta: np.ndarray | float,
    *,
    start: np.ndarray = HOME,
    duration: float = 16 / 15,
    points: int = 17,
    stamp_ns: int = NOW,
    kind: str = "cubic",
) -> JointTrajectory:
    """A rest-to-rest motion: quintic in time, sampled at equal steps."""
    t = np.linspace(0.0, duration, points)
    s = t / duration
    delta = np.broadcast_to(np.asarray(delta, dtype=float), start.shape)
    q = start + (10 * s**3 - 15 * s**4 + 6 * s**5)[:, None] * delta
    v = ((30 * s**2 - 60 * s**3 + 30 * s**4) / duration)[:, None] * delta
    a = ((60 * s - 180 * s**2 + 120 * s**3) / duration**2)[:, None] * delta
    return JointTrajectory(
        PANDA, stamp_ns, times_of(t), q, None if kind == "linear" else v, a if kind == "quintic" else None
    )


# -- the independent check -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dense:
    """A trajectory sampled at 10 kHz by scipy, in each segment with both its ends: ``[M, J]`` a derivative."""

    seconds: np.ndarray
    positions: np.ndarray
    velocities: np.ndarray
    accelerations: np.ndarray
    jerks: np.ndarray


def dense(trajectory: JointTrajectory, rate: float = 10_000.0) -> Dense:
    """Sample what a JointTrajectoryController would run; knows nothing of the package's polynomials."""
    t = trajectory.times_ns.astype(float) / NANOSECONDS
    fields = [f for f in (trajectory.positions, trajectory.velocities, trajectory.accelerations) if f is not None]
    rows: list[list[np.ndarray]] = [[], [], [], [], []]
    for k in range(len(t) - 1):
        local = np.linspace(0.0, t[k + 1] - t[k], max(3, int((t[k + 1] - t[k]) * rate) + 2))
        ends = np.stack([np.stack([f[k], f[k + 1]]) for f in fields], axis=1)  # [2, order, J]
        spline = BPoly.from_derivatives([0.0, local[-1]], list(ends))
        rows[0].append(t[k] + local)
        for order in range(4):
            curve = spline if order == 0 else spline.derivative(order)
            rows[order + 1].append(np.atleast_2d(curve(local)))
    if not rows[0]:
        still = np.zeros_like(trajectory.positions)
        first = trajectory.velocities if trajectory.velocities is not None else still
        return Dense(t, trajectory.positions, first, still, still)
    return Dense(*(np.concatenate(row) for row in rows))


def broken_limits(
    trajectory: JointTrajectory,
    limits: RobotLimits,
    *,
    start: np.ndarray | None = None,
    slack: float = 2e-6,
    steps: bool = False,
) -> list[str]:
    """Names of the joint limits that the dense samples break. A start outside its bound may be left inwards."""
    samples = dense(trajectory)
    found = []
    for j, name in enumerate(trajectory.joint_names):
        limit = limits.joints[name]
        lower, upper = limit.lower, limit.upper
        if start is not None:
            lower, upper = min(lower, start[j]), max(upper, start[j])
        q = samples.positions[:, j]
        if not ((q >= lower - slack) & (q <= upper + slack)).all():
            found.append(f"position {name}")
        for values, bound, what in (
            (samples.velocities, limit.velocity, "velocity"),
            (samples.accelerations, limit.acceleration, "acceleration"),
            (samples.jerks, limit.jerk, "jerk"),
        ):
            if trajectory.velocities is None and what != "velocity":
                continue
            if not (np.abs(values[:, j]) <= bound * (1.0 + 1e-6) + slack).all():
                found.append(f"{what} {name}: {np.abs(values[:, j]).max()} > {bound}")
    if trajectory.velocities is None:
        found += _lines(trajectory, limits)
    elif steps:
        found += _steps(trajectory, limits)
    return found


def _steps(trajectory: JointTrajectory, limits: RobotLimits, period: float = 0.001) -> list[str]:
    """Joints whose acceleration steps by more than jerk × period at a point or at the end, where jerk is bounded."""
    t = trajectory.times_ns.astype(float) / NANOSECONDS
    fields = [f for f in (trajectory.positions, trajectory.velocities, trajectory.accelerations) if f is not None]
    ends = np.zeros((len(t) - 1, 2, len(trajectory.joint_names)))
    for k in range(len(t) - 1):
        rows = list(np.stack([np.stack([f[k], f[k + 1]]) for f in fields], axis=1))
        ends[k] = BPoly.from_derivatives([0.0, t[k + 1] - t[k]], rows).derivative(2)([0.0, t[k + 1] - t[k]])
    step = np.concatenate((ends[1:, 0] - ends[:-1, 1], -ends[-1:, 1]))
    if not trajectory.velocities[0].any():
        step = np.concatenate((ends[:1, 0], step))  # from rest
    bound = np.array([limits.joints[n].jerk for n in trajectory.joint_names]) * period
    broken = ~(np.abs(step) <= bound * 1.002 + 1e-6)
    return [f"acceleration step {trajectory.joint_names[j]}" for j in np.flatnonzero(broken.any(axis=0))]


def _lines(trajectory: JointTrajectory, limits: RobotLimits) -> list[str]:
    """The acceleration of a polyline: changes of speed over half of the two segments, from and to standstill."""
    t = trajectory.times_ns / NANOSECONDS
    bound = np.array([limits.joints[n].acceleration for n in trajectory.joint_names])
    if len(t) < 2:
        return []
    v = np.diff(trajectory.positions, axis=0) / np.diff(t)[:, None]
    spans = np.concatenate(([t[1] - t[0]], t[2:] - t[:-2], [t[-1] - t[-2]]))
    still = np.zeros((1, v.shape[1]))
    change = 2.0 * np.diff(np.concatenate((still, v, still)), axis=0) / spans[:, None]
    return [] if (np.abs(change) <= bound * (1.0 + 1e-6) + 1e-6).all() else ["acceleration of lines"]


# -- hostile input ---------------------------------------------------------------------------------------------------

_ODD = np.array(
    [np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, 1e-300, 1e300, -1e300, 1.7e308, 1e9, -1e9, 1e-12, 57.3, -135.0]
)


def hostile(rng: np.random.Generator) -> tuple[JointTrajectory, GuardContext]:
    """A trajectory that is wrong in some way, or nearly, or not at all, and the situation it meets."""
    limits = panda_limits()
    lower = np.array([limits.joints[n].lower for n in PANDA])
    upper = np.array([limits.joints[n].upper for n in PANDA])
    start = HOME + rng.normal(0.0, 0.3, 7)
    if rng.random() < 0.3:  # near a bound, or at it, or beyond it
        j = rng.integers(7)
        edge = (lower, upper)[rng.integers(2)][j]
        start[j] = edge + rng.choice([0.0, 1e-9, -1e-9, 1e-3, -1e-3, 0.02, -0.02, 0.1, -0.1])
    if rng.random() < 0.9:
        start = np.clip(start, lower, upper)
    trajectory = _shape(rng, start)
    trajectory = _mutate(rng, trajectory)
    measured = JointState(
        NOW - int(rng.choice([0, 1_000_000, 50_000_000, 190_000_000, 250_000_000, 10**10])) * int(rng.random() < 0.4),
        PANDA,
        start + (rng.normal(0.0, 1e-3, 7) if rng.random() < 0.3 else 0.0),
        None if rng.random() < 0.1 else rng.normal(0.0, 0.01, 7) * (rng.random() < 0.3),
    )
    return trajectory, GuardContext(NOW, measured)


def _shape(rng: np.random.Generator, start: np.ndarray) -> JointTrajectory:
    count = int(rng.choice([1, 2, 3, 5, 9, 17]))
    step = float(rng.choice([0.004, 0.02, 1 / 15, 0.1, 0.3]))
    t = np.arange(count) * step
    if rng.random() < 0.3 and count > 1:
        t = np.concatenate(([0.0], np.cumsum(rng.uniform(0.3, 1.7, count - 1) * step)))
    if rng.random() < 0.2:
        t = t + step
    size = 10.0 ** rng.uniform(-3.0, 0.7)
    kind = rng.integers(4)
    if kind == 0:  # smooth, from rest to rest
        s = t / max(t[-1], 1e-9)
        delta = rng.normal(0.0, size, 7)
        q = start + (s**2 * (3.0 - 2.0 * s))[:, None] * delta
        v = (6.0 * s * (1.0 - s) / max(t[-1], 1e-9))[:, None] * delta
    elif kind == 1:  # a random walk with plausible velocities
        q = start + np.cumsum(rng.normal(0.0, size * step, (count, 7)), axis=0)
        q[0] = start
        v = np.gradient(q, t, axis=0) if count > 1 else np.zeros((1, 7))
        v[0] = v[-1] = 0.0
    elif kind == 2:  # knots that are fine, with slopes that are not
        q = np.tile(start, (count, 1)) + rng.normal(0.0, 0.01, (count, 7))
        q[0] = start
        v = rng.normal(0.0, size, (count, 7))
        v[0] = 0.0
        if rng.random() < 0.7:
            v[-1] = 0.0
    else:  # still, with one joint that moves
        q, v = np.tile(start, (count, 1)), np.zeros((count, 7))
        j = rng.integers(7)
        q[:, j] += np.linspace(0.0, rng.normal(0.0, size), count)
    a = rng.normal(0.0, size, (count, 7)) if rng.random() < 0.5 else np.zeros((count, 7))
    a[-1] = 0.0
    order = rng.choice([0, 1, 1, 1, 2])
    return JointTrajectory(
        PANDA,
        NOW + int(rng.choice([0, 0, 0, 20_000_000, 50_000_000, -30_000_000, -400_000_000, 2 * NANOSECONDS])),
        times_of(t),
        q,
        v if order >= 1 else None,
        a if order == 2 else None,
    )


def _mutate(rng: np.random.Generator, trajectory: JointTrajectory) -> JointTrajectory:
    q = trajectory.positions.copy()
    v = None if trajectory.velocities is None else trajectory.velocities.copy()
    a = None if trajectory.accelerations is None else trajectory.accelerations.copy()
    t, names, stamp = trajectory.times_ns.copy(), trajectory.joint_names, trajectory.stamp_ns
    what = rng.integers(14)
    arrays = [x for x in (q, v, a) if x is not None]
    if what == 0:
        array = arrays[rng.integers(len(arrays))]
        array[rng.integers(len(array)), rng.integers(7)] = rng.choice(_ODD)
    elif what == 1:
        array = arrays[rng.integers(len(arrays))]
        array[rng.integers(len(array)), rng.integers(7)] *= 10.0 ** rng.uniform(-2, 4)
    elif what == 2:
        order = rng.permutation(7)
        names = tuple(PANDA[k] for k in order)
        q, v, a = (None if x is None else x[:, order] for x in (q, v, a))
    elif what == 3:
        names = tuple(rng.choice([*PANDA, "panda_joint9", ""], 7))
    elif what == 4 and len(t) > 1:
        k = rng.integers(1, len(t))
        t[k] = t[k - 1] + rng.choice([0, 1, -1, 1000, 10**12, -(2**40)])
    elif what == 5:
        t = t - rng.choice([1, 10**6, 10**9])
    elif what == 6:
        stamp = int(rng.choice([0, 1, NOW - 10**10, NOW + 10**10, 2**62]))
    elif what == 7:
        q, v, a = q * 57.29577951308232, v, a
    elif what == 8:
        t, q = t[:0], q[:0]
        v, a = (None if x is None else x[:0] for x in (v, a))
    elif what == 9:
        names, q = names[:6], q[:, :6]
        v, a = (None if x is None else x[:, :6] for x in (v, a))
    return JointTrajectory(names, stamp, t, q, v, a)


# -- data from outside the repository --------------------------------------------------------------------------------


def limit_cases() -> Path:
    """The worked cases, or a skip that says where they were looked for."""
    given = os.environ.get("COSMOS_ROS_LIMIT_CASES")
    path = Path(given) if given else Path(__file__).resolve().parents[3] / "shared" / "data" / "limit_cases.json"
    if not path.is_file():
        pytest.skip(f"worked cases are not at {path}; set COSMOS_ROS_LIMIT_CASES")
    return path
