"""Chains of hostile chunks: one robot, one supervisor, and whatever a broken predictor may publish, one after another.

A chain is fixed by its embodiment and number. Its start may lie at, near or outside a bound; its robot may lag, sag or
hold an object; between the chunks e-stops, disarming, silent and impossible joint states occur. Chunks are smooth ones
from rest or from the motion being executed, begun 20 ms to 0.4 s ago or to come, with starts that are off by what used
to be tolerated; ratchets, series at 250 Hz, single points, polylines, slopes that do not fit, goals beyond bounds, in
collision, at singular postures; and any of them with odd times, stamps, joints, units or numbers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from closed_loop import MS, Blocked, Delayed, Lagging, Robot, S, Sagging, World, embodiment_of

from cosmos_ros.types import JointState, JointTrajectory

EMBODIMENTS = ("franka_joint", "franka_fr3", "ur5e", "widowx250s", "agibot_g1")
_ODD = np.array([np.nan, np.inf, -np.inf, 5e-324, 1e300, -1e300, 1e9, -1e9, 57.3, -135.0])
_OFFSETS = np.array([0.0, 0.0, 1e-7, 1e-3, 0.0195, 0.0199, 0.03, 0.2])


def chain(embodiment: str, number: int, chunks: int) -> World:
    """Run a chain of so many chunks and return its world; raises what the supervisor raises."""
    rng = np.random.default_rng((EMBODIMENTS.index(embodiment), number))
    world = _world(embodiment, rng)
    world.run(0.05)
    world.arm()
    done = 0
    while done < chunks:
        if not world.armed and rng.random() < 0.9:
            world.recover()
        if rng.random() < 0.06:  # a series at 250 Hz
            joint, step = int(rng.integers(len(world.names))), float(rng.choice([0.0195, -0.0195, 0.005, 1e-3]))
            for _ in range(min(30, chunks - done)):
                world.candidate(_stepped(rng, world, joint, step))
                world.run(0.004)
                done += 1
            continue
        world.candidate(chunk(rng, world))
        done += 1
        _time_passes(rng, world)
    world.run(1.0)
    world.disarm()
    world.run(2.0)
    return world


def _world(embodiment: str, rng: np.random.Generator) -> World:
    robot = embodiment_of(embodiment)
    names = [name for _, joints in robot.controllers for name in joints]
    start = {}
    for name in names:
        limit = robot.limits.joints[name]
        at = float(robot.home.get(name, 0.0))
        if rng.random() < 0.5:
            at = float(np.clip(at + rng.normal(0.0, 0.3), limit.lower, limit.upper))
        start[name] = at
    if rng.random() < 0.4:
        name = str(rng.choice(names))
        limit = robot.limits.joints[name]
        out = float(rng.choice([-0.1, -1e-3, -1e-9, 0.0, 1e-9, 9e-7, 2e-6, 1e-5, 1e-3, 0.02]))
        start[name] = limit.upper + out if rng.random() < 0.5 else limit.lower - out
    kind = rng.choice(["exact", "exact", "exact", "delayed", "lagging", "sagging", "blocked"])
    motion = Robot()
    if kind == "delayed":
        motion = Delayed(float(rng.choice([0.02, 0.05, 0.1, 0.2])))
    elif kind == "lagging":
        motion = Lagging(float(rng.choice([0.02, 0.05])))
    elif kind == "sagging":
        sag = np.clip(rng.normal(0.0, 0.006, len(names)), -0.015, 0.015)
        motion = Sagging(np.where(rng.random(len(names)) < 0.3, sag, 0.0))
    elif kind == "blocked":
        gripper = next(iter(robot.gripper_joints.values()))
        middle = 0.5 * (gripper.open + gripper.closed)
        least, most = (middle, np.inf) if gripper.open > gripper.closed else (-np.inf, middle)
        motion = Blocked(names.index(gripper.joint), least, most)
        start[gripper.joint] = float(np.clip(start[gripper.joint], least, most))  # the object is not in the fingers
    return World(embodiment, start=start, robot=motion)


def _time_passes(rng: np.random.Generator, world: World) -> None:
    what = rng.random()
    if what < 0.03:
        world.e_stop()
    elif what < 0.05:
        world.disarm()
    elif what < 0.07:
        world.frozen = True
    elif what < 0.09:  # another publisher, or a driver's first packet
        world.publish([JointState(world.now, world.names, np.zeros(len(world.names)), np.zeros(len(world.names)))])
    elif what < 0.10:
        world.publish([JointState(world.now + 3600 * S, world.names, world.position, world.velocity)])
    world.run(float(rng.choice([0.004, 0.02, 0.066, 0.1, 0.2, 0.3, 0.5, 0.5, 1.0, 1.7])))
    world.frozen = False


def chunk(rng: np.random.Generator, world: World) -> JointTrajectory:
    """One chunk, as a broken predictor might publish it now."""
    position, velocity, _ = world.commanded()
    if rng.random() < 0.1:
        position = world.position.copy()
    count = len(world.names)
    duration = float(rng.choice([0.05, 0.3, 0.6, 1.0, 1.5, 2.5, 4.0]) * rng.uniform(0.7, 1.3))
    points = int(rng.choice([2, 3, 5, 9, 17, 33]))
    moved = rng.random(count) < rng.choice([0.2, 1.0])
    size = 10.0 ** rng.uniform(-3.0, 0.5) * (0.02 if rng.random() < 0.1 else 1.0)
    goal = position + np.where(moved, rng.normal(0.0, size, count), 0.0)
    if rng.random() < 0.5:
        goal = np.clip(goal, *_bounds(world))
    if rng.random() < 0.1:  # singular postures have some joints straight
        goal = np.where(rng.random(count) < 0.4, 0.0, goal)
    t = np.linspace(0.0, duration, points)
    kind = int(rng.integers(10))
    if kind <= 2:
        made = smooth(t, position, np.zeros(count), goal)
    elif kind <= 4:
        made = smooth(t, position, velocity, goal)
    elif kind == 5:  # slopes that do not fit the points
        made = (np.linspace(position, goal, points), rng.normal(0.0, size, (points, count)), None)
        made[1][-1] = 0.0
    elif kind == 6:  # single points
        lead = float(rng.choice([0.0, 1e-9, 0.001, 0.02, 0.3, 1.0]))
        t, still = np.array([lead]), rng.random() < 0.5
        made = ((position if still else goal)[None], None if rng.random() < 0.5 else np.zeros((1, count)), None)
    elif kind == 7:  # lines
        corner = rng.normal(0.0, 0.1 * size, (points, count)) * (rng.random() < 0.5)
        made = (np.linspace(position, goal, points) + corner, None, None)
    elif kind == 8:  # two points, the first off
        t = np.array([0.0, duration])
        made = (np.stack((position, goal)), np.zeros((2, count)), None)
    else:
        q, v, a = smooth(t, position, velocity, goal)
        made = (q, v, a if rng.random() < 0.7 else rng.normal(0.0, 3.0, a.shape))
    q, v, a = made
    if rng.random() < 0.4:
        q = q.copy()
        off = float(rng.choice(_OFFSETS)) * rng.choice([-1.0, 1.0], count) * (rng.random(count) < 0.5)
        q[: len(q) if rng.random() < 0.5 else 1] += off
    times = np.round(t * S).astype(np.int64)
    keep_acceleration = kind == 9 and v is not None
    stamp = world.now
    if rng.random() < 0.35:
        ago = float(rng.choice([0.0199, 0.021, 0.1, 0.2, 0.4, 0.49, 0.6, -0.03, -0.3, -2.0]))
        stamp = 0 if rng.random() < 0.3 else world.now - round(ago * S)
    made = JointTrajectory(world.names, stamp, times, q, v, a if keep_acceleration else None)
    return _broken(rng, world, made) if rng.random() < 0.3 else made


def _bounds(world: World) -> tuple[np.ndarray, np.ndarray]:
    joints = [world.embodiment.limits.joints[name] for name in world.names]
    return np.array([j.lower for j in joints]), np.array([j.upper for j in joints])


def smooth(
    t: np.ndarray, start: np.ndarray, speed: np.ndarray, goal: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions, velocities, accelerations ``[N, J]`` of a quintic to rest at ``goal``."""
    T, x = t[-1], (t / t[-1])[:, None]
    d, v = goal - start, speed * T
    c3, c4, c5 = 10 * d - 6 * v, -15 * d + 8 * v, 6 * d - 3 * v
    q = start + v * x + c3 * x**3 + c4 * x**4 + c5 * x**5
    rate = (v + 3 * c3 * x**2 + 4 * c4 * x**3 + 5 * c5 * x**4) / T
    rate[-1] = 0.0
    return q, rate, (6 * c3 * x + 12 * c4 * x**2 + 20 * c5 * x**3) / T**2


def _stepped(rng: np.random.Generator, world: World, joint: int, step: float) -> JointTrajectory:
    """From a step beyond the commanded position on, at rest."""
    q = world.commanded()[0].copy()
    q[joint] += step
    points = np.tile(q, (2, 1))
    velocities = None if rng.random() < 0.3 else np.zeros_like(points)
    return JointTrajectory(world.names, world.now, np.array([0, 600 * MS]), points, velocities)


def _broken(rng: np.random.Generator, world: World, made: JointTrajectory) -> JointTrajectory:
    arrays = [x.copy() for x in (made.positions, made.velocities, made.accelerations) if x is not None]
    times, names = made.times_ns.copy(), made.joint_names
    what = int(rng.integers(9))
    if what == 0:
        one = arrays[rng.integers(len(arrays))]
        one[rng.integers(len(one)), rng.integers(one.shape[1])] = rng.choice(_ODD)
    elif what == 1:
        one = arrays[rng.integers(len(arrays))]
        one[rng.integers(len(one)), rng.integers(one.shape[1])] *= 10.0 ** rng.uniform(-2, 4)
    elif what == 2 and len(times) > 1:
        k = int(rng.integers(1, len(times)))
        times[k:] += int(rng.choice([1, 1000, 6_900_000_000])) - (times[k] - times[k - 1])
    elif what == 3:
        times = times + int(rng.choice([1, 1000, -1, 40 * MS, 500 * MS]))
    elif what == 4:
        arrays = [np.degrees(x) for x in arrays]
    elif what == 5:
        names = tuple(rng.choice([*names, "joint9", ""], len(names)))
    elif what in (6, 7):  # one controller's joints only, or all in another order
        parts = [joints for _, joints in world.embodiment.controllers]
        wanted = parts[rng.integers(len(parts))] if what == 6 else tuple(rng.permutation(names))
        return replace(made.select(wanted), times_ns=times)
    else:
        one = int(rng.integers(1, len(names)))
        names, arrays = names[:one], [x[:, :one] for x in arrays]
    q, v, a = (*arrays, None, None)[:3]
    return JointTrajectory(names, made.stamp_ns, times, q, v, a)
