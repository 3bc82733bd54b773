"""Looking ahead with the teacher: what follows from deciding again and again on a simple model of the tool.

The model is a point that accelerates and turns within bounds, fingers that stop at what they hold, an object that is
held or pushed. Planning again from a later state therefore continues the same motion. Plans reach a robot late, when it
has already done something else for a while; two habits keep that harmless: a plan never goes past the next contact
(whether the fingers have closed is looked at before the arm moves on), and from a standstill it begins gently, so that
there is little lost motion to catch up with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cosmos_ros.sim.hands import Hands, Jobs, rotation_between
from cosmos_ros.sim.task import Verb
from cosmos_ros.sim.teacher import CONTACT, SHUT, WIDE, Goals, Phase, decide, holds, push_radius
from cosmos_ros.types import FloatArray

_STILL = 0.01  # m/s; slower is standing
_PUSH = list(Verb).index(Verb.PUSH)


@dataclass(frozen=True)
class Pace:
    """How fast the tool may go.

    Attributes:
        speed, acceleration, turn, turn_acceleration: m/s, m/s², rad/s, rad/s².
        grip: Gripper openings a second.
        gentle_time, gentle_share: From a standstill, accelerations are this share for this long, s; so is grip, where
            the fingers have not yet begun to move.
    """

    speed: float = 0.2
    acceleration: float = 0.5
    turn: float = 0.45
    turn_acceleration: float = 1.2
    grip: float = 1.2
    gentle_time: float = 0.27
    gentle_share: float = 0.2


@dataclass(frozen=True)
class Plans:
    """T steps ahead of N hands.

    Attributes:
        poses: ``[N, T+1, 4, 4]`` grasp poses, the present ones first.
        openings: ``[N, T]`` openings commanded at the end of each step.
        items: ``[N, T+1, 4, 4]`` where the model thinks the items are.
        phases: ``[N, T]`` of each step; ``Phase``.
        end: The model's last state.
    """

    poses: FloatArray
    openings: FloatArray
    items: FloatArray
    phases: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    end: Hands


def plan(jobs: Jobs, hands: Hands, steps: int, dt: float, pace: Pace) -> Plans:
    """Simulate the teacher up to the next contact and wait there.

    Args:
        jobs: What is to be done.
        hands: Now.
        steps: T.
        dt: Time of one step, s.
        pace: Bounds of the motion.
    """
    count = len(hands.pose)
    substeps = max(1, round(30.0 * dt))
    standing = (_norm(hands.velocity) < _STILL) & (_norm(hands.turn_rate) < 5.0 * _STILL)
    gentle_steps = round(pace.gentle_time / dt)
    # Who closes or opens already goes on as fast: a plan made meanwhile must not fall behind what is being done.
    fingers_rest = (hands.command > WIDE - 0.05) | (hands.command < SHUT + 0.05) | holds(jobs, hands)
    state = replace(hands, pose=hands.pose.copy(), item=hands.item.copy())
    goal = decide(jobs, state)
    contact = CONTACT[goal.phase]
    # Fingers that something stops already stay where it stops them.
    stop = np.where(holds(jobs, state), np.maximum(state.opening, 0.0), jobs.width)
    poses, items = [state.pose], [state.item]
    openings = np.empty((count, steps))
    phases = np.empty((count, steps), dtype=np.int64)
    for step in range(steps):
        ease = np.where(standing & (step < gentle_steps), pace.gentle_share, 1.0)
        grip_ease = np.where(fingers_rest, ease, 1.0)
        for sub in range(substeps):
            if step or sub:
                wanted = decide(jobs, state)
                # Beyond the next contact: stay at the last goal and look first.
                go_on = CONTACT[wanted.phase] == contact
                goal = _where(go_on, wanted, goal)
                if sub == 0:
                    phases[:, step] = np.where(go_on, wanted.phase, Phase.WAIT)
            else:
                phases[:, 0] = goal.phase
            state = _advance(jobs, state, goal, dt / substeps, (ease, grip_ease), pace, stop)
        poses.append(state.pose)
        items.append(state.item)
        openings[:, step] = state.command
    return Plans(np.stack(poses, axis=1), openings, np.stack(items, axis=1), phases, state)


def _where(choose: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], a: Goals, b: Goals) -> Goals:
    if choose.all():
        return a
    return Goals(
        position=np.where(choose[:, None], a.position, b.position),
        rotation=np.where(choose[:, None, None], a.rotation, b.rotation),
        opening=np.where(choose, a.opening, b.opening),
        speed=np.where(choose, a.speed, b.speed),
        phase=np.where(choose, a.phase, b.phase),
    )


def _advance(
    jobs: Jobs, state: Hands, goal: Goals, dt: float, eases: tuple[FloatArray, FloatArray], pace: Pace, stop: FloatArray
) -> Hands:
    ease, grip_ease = eases
    held = holds(jobs, state)
    position, rotation = state.pose[:, :3, 3], state.pose[:, :3, :3]
    fastest = pace.speed * goal.speed
    velocity = _approach(goal.position - position, state.velocity, fastest, ease * pace.acceleration, dt)
    to_go = rotation_between(rotation, goal.rotation)
    turn = np.full(len(position), pace.turn)
    turn_rate = _approach(to_go, state.turn_rate, turn, ease * pace.turn_acceleration, dt)
    pose = state.pose.copy()
    pose[:, :3, 3] = position + velocity * dt
    turning = _rotations(turn_rate * dt)
    pose[:, :3, :3] = turning @ rotation
    most = grip_ease * pace.grip * dt
    command = state.command + np.clip(goal.opening - state.command, -most, most)
    offset = state.item[:, :3, 3] - position
    k = jobs.scale
    between = (_norm(offset[:, :2]) < 0.022 * k) & (np.abs(offset[:, 2]) < 0.024 * k)
    # Fingers follow the command and stop at the item.
    opening = np.where(between & (state.opening >= stop - 0.05), np.maximum(command, stop), command)
    item = state.item.copy()
    if held.any():
        moved = pose[held, :3, :3] @ np.swapaxes(rotation[held], 1, 2)
        item[held, :3, 3] = pose[held, :3, 3] + np.einsum("nij,nj->ni", moved, offset[held])
        item[held, :3, :3] = moved @ item[held, :3, :3]
    pushed = (goal.phase == Phase.PUSH) & (jobs.verb == _PUSH)
    if pushed.any():
        way = state.target[:, :2, 3] - item[:, :2, 3]
        along = way / np.maximum(_norm(way), 1e-6)[:, None]
        behind = ((item[:, :2, 3] - pose[:, :2, 3]) * along).sum(axis=1)
        gap = np.clip(push_radius(jobs, item, along) - behind, 0.0, None)
        item[pushed, :2, 3] += (along * gap[:, None])[pushed]
    return Hands(pose, velocity, turn_rate, opening, command, item, state.target)


def _rotations(vectors: FloatArray) -> FloatArray:
    """Return rotation matrices ``[N, 3, 3]`` of small rotation vectors, by Rodrigues' formula."""
    angle = _norm(vectors)
    safe = np.maximum(angle, 1e-9)
    x, y, z = (vectors / safe[:, None]).T
    zero = np.zeros_like(x)
    k = np.stack((zero, -z, y, z, zero, -x, -y, x, zero), axis=1).reshape(-1, 3, 3)
    result: FloatArray = np.eye(3) + np.sin(angle)[:, None, None] * k + (1.0 - np.cos(angle))[:, None, None] * (k @ k)
    return result


def _approach(
    error: FloatArray, rate: FloatArray, fastest: FloatArray, acceleration: FloatArray, dt: float
) -> FloatArray:
    """Return the next rates of points that head for ``error`` away within bounds, and stop there."""
    distance = _norm(error)
    # Braking is planned with less than what may be used, so that it can be followed.
    speed = np.minimum(np.minimum(fastest, np.sqrt(2.0 * 0.6 * acceleration * distance)), distance / (2.0 * dt))
    wanted = error * (speed / np.maximum(distance, 1e-9))[:, None]
    change = wanted - rate
    size = _norm(change)
    share = np.minimum(1.0, acceleration * dt / np.maximum(size, 1e-12))
    return np.asarray(rate + change * share[:, None])


def _norm(vectors: FloatArray) -> FloatArray:
    return np.asarray(np.sqrt((vectors * vectors).sum(axis=-1)))
