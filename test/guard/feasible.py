"""Chunks that a robot can follow with room to spare, by checks that are not the guard's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from body_checks import body_of
from closed_loop import S, World
from dense_checks import CYCLE, Table, sent_faults
from loop_controller import derivative, evaluate, hermite

from cosmos_ros.limits import RobotLimits, scaled
from cosmos_ros.types import JointTrajectory

# Everything stays below this part of its bound; what comes without velocities, below the second, as nobody says what
# the curve between its points is.
SHARE, SHARE_WITHOUT = 0.8, 0.5
_SINGULAR = 0.06  # the guard slows the arm below 0.05
_APART = 0.03


class NothingFeasibleError(AssertionError):
    """The draws did not find a chunk, near a bound, say; it says nothing about the guard."""


def feasible(rng: np.random.Generator, world: World, *, velocities: bool = True) -> JointTrajectory:
    """A chunk that continues what is commanded now and ends at rest."""
    for _ in range(400):
        made = _drawn(rng, world)
        if (velocities or len(made.times_ns) >= 8) and possible(world, made, SHARE if velocities else SHARE_WITHOUT):
            return made if velocities else replace(made, velocities=None)
    raise NothingFeasibleError(f"no feasible chunk in 400 draws for {world.embodiment.name}")


def _drawn(rng: np.random.Generator, world: World) -> JointTrajectory:
    start = world.commanded()
    joints = [world.embodiment.limits.joints[name] for name in world.names]
    home = np.array([world.embodiment.home.get(name, 0.0) for name in world.names])
    goal = home + rng.normal(0.0, rng.choice([0.05, 0.2, 0.4]), len(home))
    lower, upper = np.array([j.lower for j in joints]), np.array([j.upper for j in joints])
    room = 0.05 * (upper - lower)
    goal = np.clip(goal, lower + room, upper - room)
    duration = float(rng.uniform(0.5, 4.0))
    points = max(4, round(duration / float(rng.choice([1 / 15, 1 / 10, 0.02, 0.05]))) + 1)
    times = np.round(np.linspace(0.0, duration, points) * S).astype(np.int64)
    still = np.zeros_like(goal)
    ends = [np.stack(pair) for pair in zip(start, (goal, still, still), strict=True)]
    whole = hermite(np.array([0.0, duration]), ends)[:, 0]
    local = (times / S)[:, None]
    q, v = evaluate(whole, local), evaluate(derivative(whole), local)
    q[-1], v[-1] = goal, 0.0
    return JointTrajectory(world.names, world.now, times, q, v)


def possible(world: World, made: JointTrajectory, share: float) -> bool:
    """Whether joints, tool and body keep well within what the embodiment allows, and the start fits."""
    limits = world.embodiment.limits
    shrunk: RobotLimits = scaled(limits, velocity=share, acceleration=share, jerk=share)
    if sent_faults(made, shrunk, world.guard.settings, world.now):
        return False
    names, q, table = world.names, made.positions, Table.of(limits, world.names)
    curve = hermite(made.times_ns / S, [q, made.velocities])
    step = np.diff(made.times_ns / S)[:, None]
    dense = evaluate(curve, np.linspace(0.0, 1.0, 9)[:, None, None] * step).reshape(-1, len(names))
    begun = derivative(derivative(curve))[0, 0] - world.commanded()[2]
    if not (np.abs(begun) <= np.where(np.isfinite(table.jerk), share * table.jerk * CYCLE, np.inf)).all():
        return False
    if (dense < table.lower).any() or (dense > table.upper).any():
        return False
    body = body_of(world.embodiment.name)
    distances = body.distances(names, dense[:: max(1, len(dense) // 60)])
    if distances.size and distances.min() < _APART:
        return False
    for link in world.embodiment.tool_links:
        if min(body.singular_value(names, row, link) for row in q[:: max(1, len(q) // 8)]) < _SINGULAR:
            return False
    turning = np.abs(np.diff(made.velocities, axis=0) / step).sum(axis=1).max()
    for tool in limits.cartesian:
        rate = np.diff(body.tool_path(names, q, tool.tool_link), axis=0) / step
        bend = np.diff(rate, axis=0) / step[1:]
        if (
            np.linalg.norm(rate, axis=1).max() > 0.7 * tool.linear_speed
            or np.linalg.norm(bend, axis=1).max(initial=0.0) > 0.5 * tool.linear_acceleration
            or np.abs(made.velocities).sum(axis=1).max() > 0.7 * tool.angular_speed
            or turning > 0.5 * tool.angular_acceleration
        ):
            return False
    return True
