"""The teacher: a scripted way to reach, push, put and lift, for any number of robots at once.

It has no memory. At any moment it decides from what can be seen (tool, fingers, objects) and from the last command to
the fingers what to do next. A learner that arrives less exactly than it does is met with tolerance: fingers centre what
they close on, so they may close a centimetre beside it; once they close they go on closing, and once they open they go
on opening, because the last command says which.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from cosmos_ros.sim.hands import (
    Bools,
    Hands,
    Ints,
    Jobs,
    dot,
    facing,
    grasp_rotation,
    level_rotation,
    norm,
    rotation_between,
)
from cosmos_ros.sim.task import LIFTED, Task, Verb
from cosmos_ros.types import FloatArray

WIDE = 0.92  # fingers open; short of their end, where there is no room to overshoot
SHUT = 0.03  # fingers closed on nothing; short of their end, too
HOVER = 0.085  # height of the fingertips above an object's top before going down, m
CLEARANCE = 0.065  # height of a carried object's underside above the table, m
SLOW = 0.05  # m/s; slower is near enough to standing to touch something
_BEGUN = 0.10  # openings short of wide at which the fingers have begun to close


class Phase(IntEnum):
    """What a hand is about."""

    ABOVE = 0
    DESCEND = 1
    CLOSE = 2
    LIFT = 3
    CARRY = 4
    LOWER = 5
    OPEN = 6
    RETREAT = 7
    DONE = 8
    PUSH = 9
    WAIT = 10


# Phases between which a plan stops to look: a plan stays within one of these groups.
CONTACT: Ints = np.array([0, 0, 1, 2, 2, 2, 3, 4, 4, 5, 6])


@dataclass
class Goals:
    """What N hands want next: a grasp pose, an opening, how fast, and in which phase."""

    position: FloatArray
    rotation: FloatArray
    opening: FloatArray
    speed: FloatArray
    phase: Ints


_REACH, _PUSH, _PUT, _LIFT = (list(Verb).index(v) for v in (Verb.REACH, Verb.PUSH, Verb.PUT, Verb.LIFT))


def job_of(
    task: Task,
    width: float,
    squeeze: float,
    scale: float,
    table: float,
    tilt: float,
    forward: FloatArray,
    lowest: float = 0.0,
) -> Jobs:
    """Return the job of one hand.

    Args:
        task: What is to be done.
        width: Opening at which the fingers touch the item.
        squeeze, scale, table, tilt, forward, lowest: As in ``Jobs``.
    """
    item, target = task.item, task.target
    height = 0.5 * item.size[2] + (0.5 * target.size[2] if target is not None and target.movable else 0.0)
    sides = 0 if item.round else 4 if item.square else 2
    return Jobs(
        verb=np.array([list(Verb).index(task.verb)]),
        size=np.array([item.size]),
        sides=np.array([sides]),
        width=np.array([width]),
        squeeze=np.array([squeeze]),
        rest=np.array([height]),
        tolerance=np.array([0.0 if target is None else task.tolerance]),
        scale=np.array([scale]),
        table=np.array([table]),
        tilt=np.array([tilt]),
        lowest=np.array([lowest]),
        forward=np.asarray(forward, dtype=np.float64)[None, :2],
    )


def stack_jobs(jobs: list[Jobs]) -> Jobs:
    """Return many jobs as one."""
    return Jobs(*(np.concatenate([getattr(j, name) for j in jobs]) for name in Jobs.__dataclass_fields__))


def holds(jobs: Jobs, hands: Hands) -> Bools:
    """Return ``[N]`` whether the fingers are closed on the item and pressed together."""
    offset = hands.item[:, :3, 3] - hands.pose[:, :3, 3]
    near = (norm(offset[:, :2]) < 0.022 * jobs.scale) & (np.abs(offset[:, 2]) < 0.024 * jobs.scale)
    pressed = hands.command <= hands.opening - 0.4 * jobs.squeeze
    between = (hands.opening <= jobs.width + 0.09) & (hands.opening >= jobs.width - 0.09)
    return np.asarray(near & pressed & between)


def gripping(jobs: Jobs, hands: Hands, held: Bools) -> FloatArray:
    """Return ``[N]`` the opening to command so as to grip: a little closer than where the fingers are stopped."""
    return np.asarray(np.where(held, hands.opening, np.minimum(hands.opening, jobs.width)) - jobs.squeeze)


def decide(jobs: Jobs, hands: Hands) -> Goals:
    """Return what each hand should do now."""
    level = level_rotation(jobs, hands)
    held = holds(jobs, hands)
    pushing = jobs.verb == _PUSH
    goals = _fetch(jobs, hands, level, gripping(jobs, hands, held))
    if (reach := jobs.verb == _REACH).any():
        _put_in(goals, _reach(jobs, hands, level), reach)
    if pushing.any():
        _put_in(goals, _push(jobs, hands, level), pushing)
    if (lifting := held & (jobs.verb == _LIFT)).any():
        _put_in(goals, _raise(jobs, hands, level), lifting)
    if (putting := jobs.verb == _PUT).any():
        _put_in(goals, _carry(jobs, hands, level), held & putting)
        inside, height = _on_target(jobs, hands)
        resting = height < 0.005
        letting_go = hands.command > jobs.width + 0.04
        begin = held & resting & (inside < 0.6 * jobs.tolerance)
        # Whoever has begun to open, or lies there already, is not fetched again.
        over = resting & (inside <= jobs.tolerance) & (letting_go | ~held)
        _put_in(goals, _leave(jobs, hands, level), putting & (begin | over))
    return goals


def _put_in(goals: Goals, other: Goals, where: Bools) -> None:
    for name in Goals.__dataclass_fields__:
        getattr(goals, name)[where] = getattr(other, name)[where]


def _on_target(jobs: Jobs, hands: Hands) -> tuple[FloatArray, FloatArray]:
    """Return the item's largest horizontal offset from the target's middle and its height off rest, ``[N]`` m."""
    offset = hands.item[:, :3, 3] - hands.target[:, :3, 3]
    return np.abs(offset[:, :2]).max(axis=1), np.abs(offset[:, 2] - jobs.rest)


def _fetch(jobs: Jobs, hands: Hands, level: FloatArray, grip: FloatArray) -> Goals:
    """Go above the item, down to it, and close on it."""
    k = jobs.scale
    tool, item = hands.pose[:, :3, 3], hands.item[:, :3, 3].copy()
    # Flat things are gripped above their middle, where the fingers do not touch the table as they close.
    item[:, 2] = np.maximum(item[:, 2], jobs.table + jobs.lowest)
    rotation = grasp_rotation(jobs, hands)
    turn_left = norm(rotation_between(hands.pose[:, :3, :3], rotation))
    away = norm(tool[:, :2] - item[:, :2])
    height = tool[:, 2] - item[:, 2]
    near = (away < 0.011 * k) & (np.abs(height) < 0.012 * k) & (turn_left < 0.15)
    begin = near & (norm(hands.velocity) < SLOW * k)
    # Closing has begun and the item is still between the fingers: go on, wherever exactly the hand stands.
    begun = (hands.command < WIDE - _BEGUN) & (hands.opening > jobs.width - 0.09)
    between = (away < 0.022 * k) & (np.abs(height) < 0.024 * k) & (turn_left < 0.5)
    close = begin | (begun & between)
    over = 0.5 * jobs.size[:, 2] + HOVER * k
    # A funnel: the nearer the axis, the straighter and the more open, the lower the tool may be.
    shut = (jobs.width + 0.5 * (WIDE - jobs.width) - hands.opening) / 0.2
    off_axis = np.maximum(np.maximum((away - 0.005 * k) / (0.025 * k), (turn_left - 0.06) / 0.25), shut)
    lift = np.clip(off_axis, 0.0, 1.0)
    goal = item.copy()
    goal[:, 2] += lift * over
    # Leaving another place: up first, so as not to sweep things off the table.
    far = away > 0.06 * k
    free = np.clip((height - 0.03 * k) / (over - 0.04 * k), 0.0, 1.0)
    goal[:, :2] = np.where(far[:, None], tool[:, :2] + free[:, None] * (item[:, :2] - tool[:, :2]), goal[:, :2])
    goal[:, 2] = np.where(far, item[:, 2] + over, goal[:, 2])
    low = np.clip(height / (0.05 * k), 0.0, 1.0)
    return Goals(
        position=np.where(close[:, None], tool, goal),
        rotation=np.where(close[:, None, None], level, rotation),
        opening=np.where(close, grip, WIDE),
        speed=np.where(lift < 0.9, 0.35 + 0.65 * low, 1.0),
        phase=np.where(close, Phase.CLOSE, np.where(lift < 0.9, Phase.DESCEND, Phase.ABOVE)),
    )


def _reach(jobs: Jobs, hands: Hands, level: FloatArray) -> Goals:
    """Go over the item and down until the fingertips are just above it; the fingers stay open."""
    k = jobs.scale
    tool, item = hands.pose[:, :3, 3], hands.item[:, :3, 3]
    away = norm(tool[:, :2] - item[:, :2])
    top = item[:, 2] + 0.5 * jobs.size[:, 2]
    lift = np.clip((away - 0.008 * k) / (0.06 * k), 0.0, 1.0)
    goal = item.copy()
    goal[:, 2] = top + 0.020 * k + lift * 0.06 * k
    far = away > 0.08 * k
    free = np.clip((tool[:, 2] - top) / (0.05 * k), 0.0, 1.0)
    goal[:, :2] = np.where(far[:, None], tool[:, :2] + free[:, None] * (item[:, :2] - tool[:, :2]), goal[:, :2])
    near = norm(tool - goal) < 0.006 * k
    return Goals(
        position=goal,
        rotation=level,
        opening=np.full(len(goal), WIDE),
        speed=np.ones(len(goal)),
        phase=np.where(near & (lift < 0.01), Phase.DONE, np.where(lift < 0.9, Phase.DESCEND, Phase.ABOVE)),
    )


def push_radius(jobs: Jobs, item: FloatArray, along: FloatArray) -> FloatArray:
    """Return ``[N]`` how far behind the item's middle closed fingers stand when they touch it, m.

    Args:
        item: ``[N, 4, 4]``.
        along: ``[N, 2]`` unit direction of the push.
    """
    axes = np.abs(np.einsum("nij,ni->nj", item[:, :2, :2], along))
    box = 0.5 * (axes * jobs.size[:, :2]).sum(axis=1)
    return np.asarray(np.where(jobs.sides == 0, 0.5 * jobs.size[:, 0], box) + 0.011 * jobs.scale)


def _push(jobs: Jobs, hands: Hands, level: FloatArray) -> Goals:
    """Close, go down behind the item as seen from the target, push it there, go up."""
    k = jobs.scale
    tool, item, target = hands.pose[:, :3, 3], hands.item[:, :3, 3], hands.target[:, :3, 3]
    way = target[:, :2] - item[:, :2]
    left = np.maximum(norm(way), 1e-6)
    along = way / left[:, None]
    across = np.stack((-along[:, 1], along[:, 0]), axis=1)
    rotation = facing(jobs, hands, across)
    turn_left = norm(rotation_between(hands.pose[:, :3, :3], rotation))
    offset = tool[:, :2] - item[:, :2]
    behind, beside = -dot(offset, along), dot(offset, across)
    radius = push_radius(jobs, hands.item, along)
    height = jobs.table + np.maximum(np.maximum(0.45 * jobs.size[:, 2], 0.014 * k), jobs.lowest)
    low = tool[:, 2] < height + 0.014 * k
    nearest = 0.5 * jobs.size[:, :2].min(axis=1)
    touching = low & (behind > nearest) & (behind < radius + 0.030 * k)
    push = touching & (np.abs(beside) < 0.016 * k) & (turn_left < 0.45)
    arrived = (left < 0.010 * k) | ((left < 0.6 * jobs.tolerance) & ~push)
    # Behind it, high enough to pass over other things, then down.
    start = item[:, :2] - along * (radius + 0.022 * k)[:, None]
    to_start = norm(tool[:, :2] - start)
    shut = np.clip((hands.opening - 0.12) / 0.2, 0.0, 1.0)
    lift = np.clip(
        np.maximum(np.maximum((to_start - 0.006 * k) / (0.025 * k), (turn_left - 0.1) / 0.3), shut), 0.0, 1.0
    )
    over = jobs.table + jobs.size[:, 2] + 0.045 * k
    goal = np.concatenate((start, (height + lift * (over - height))[:, None]), axis=1)
    far = to_start > 0.03 * k
    free = np.clip((tool[:, 2] - jobs.table - jobs.size[:, 2] - 0.012 * k) / (0.025 * k), 0.0, 1.0)
    goal[:, :2] = np.where(far[:, None], tool[:, :2] + free[:, None] * (start - tool[:, :2]), goal[:, :2])
    # Pushing: on by what the item still has to go, along the line through its middle.
    drive = tool[:, :2] + along * (left + np.maximum(behind - radius, 0.0))[:, None] - across * (1.6 * beside)[:, None]
    goal[push, :2] = drive[push]
    goal[push, 2] = height[push]
    high = jobs.table + jobs.size[:, 2] + 0.05 * k
    # Leaving: back first, as what is pushed may cling to the fingers, then up.
    apart = norm(offset)
    clear = np.clip(
        (apart - push_radius(jobs, hands.item, offset / np.maximum(apart, 1e-6)[:, None])) / (0.012 * k), 0.0, 1.0
    )
    clear = np.where(tool[:, 2] > jobs.table + jobs.size[:, 2] + 0.02 * k, 1.0, clear)
    back = offset * ((1.0 - clear) * 0.015 * k / np.maximum(apart, 1e-6))[:, None]
    goal[arrived, :2] = (tool[:, :2] + back)[arrived]
    goal[arrived, 2] = (tool[:, 2] + clear * np.maximum(high - tool[:, 2], 0.0))[arrived]
    over_it = arrived & (tool[:, 2] > high - 0.008 * k)
    phase = np.where(push, Phase.PUSH, np.where(lift < 0.9, Phase.DESCEND, Phase.ABOVE))
    phase = np.where(arrived, np.where(over_it, Phase.DONE, Phase.RETREAT), phase)
    return Goals(
        position=goal,
        rotation=np.where(arrived[:, None, None], level, rotation),
        opening=np.full(len(goal), SHUT),
        speed=np.where(push & ~arrived, 0.35, np.where(lift < 0.9, 0.6, 1.0)),
        phase=phase,
    )


def _raise(jobs: Jobs, hands: Hands, level: FloatArray) -> Goals:
    """Lift what is held well above where it counts as lifted, and keep it there."""
    k = jobs.scale
    goal = hands.pose[:, :3, 3].copy()
    underside = hands.item[:, 2, 3] - 0.5 * jobs.size[:, 2] - jobs.table
    left = (LIFTED + 0.035) * k - underside
    goal[:, 2] += left
    return Goals(
        position=goal,
        rotation=level,
        opening=gripping(jobs, hands, np.ones(len(jobs.width), dtype=np.bool_)),
        speed=np.where(underside < 0.02 * k, 0.5, 0.8),
        phase=np.where(np.abs(left) < 0.008 * k, Phase.DONE, Phase.LIFT),
    )


def _carry(jobs: Jobs, hands: Hands, level: FloatArray) -> Goals:
    """Lift what is held, take it over the target, and lower it."""
    k = jobs.scale
    item, target = hands.item[:, :3, 3], hands.target[:, :3, 3]
    rest = target[:, 2] + jobs.rest
    grip = hands.pose[:, :3, 3] - item  # where the item hangs in the hand
    away = norm(item[:, :2] - target[:, :2])
    # Sideways only once the item is clear of what stands on the table: above a funnel whose spout is the target.
    cruise = np.maximum(jobs.table + CLEARANCE * k + 0.5 * jobs.size[:, 2], rest + 0.03 * k)
    lowered = np.clip((away - 0.005 * k) / (0.04 * k), 0.0, 1.0)
    funnel = rest - 0.001 * k + lowered * (cruise - rest)
    free = np.clip((item[:, 2] - funnel + 0.02 * k) / (0.01 * k), 0.0, 1.0)
    near = away < 0.012 * k
    goal = item.copy()
    goal[:, :2] += np.where(near, 1.0, free)[:, None] * (target[:, :2] - item[:, :2])
    goal[:, 2] = funnel
    close_down = np.clip((item[:, 2] - rest) / (0.04 * k), 0.0, 1.0)
    return Goals(
        position=goal + grip,
        rotation=level,
        opening=gripping(jobs, hands, np.ones(len(jobs.width), dtype=np.bool_)),
        speed=np.where(near, 0.35 + 0.5 * close_down, np.where(free > 0.5, 1.0, 0.6)),
        phase=np.where(near, Phase.LOWER, np.where(free > 0.5, Phase.CARRY, Phase.LIFT)),
    )


def _leave(jobs: Jobs, hands: Hands, level: FloatArray) -> Goals:
    """Open where it stands, go straight up, stay there."""
    k = jobs.scale
    goal = hands.pose[:, :3, 3].copy()
    beside = norm(goal[:, :2] - hands.item[:, :2, 3]) < 0.12 * k
    top = hands.item[:, 2, 3] + 0.5 * jobs.size[:, 2]
    enough = jobs.width + 0.6 * (WIDE - jobs.width)
    opening = beside & (hands.opening < enough) & (goal[:, 2] < top + 0.02 * k)
    height = top + (HOVER + 0.02) * k
    rising = beside & ~opening & (goal[:, 2] < height - 0.006 * k)
    goal[rising, 2] = height[rising]
    return Goals(
        position=goal,
        rotation=level,
        opening=np.full(len(goal), WIDE),
        speed=np.where(goal[:, 2] < top, 0.5, 1.0),
        phase=np.where(opening, Phase.OPEN, np.where(rising, Phase.RETREAT, Phase.DONE)),
    )
