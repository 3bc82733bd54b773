"""What the teacher is given, and the directions its hands take: arrays over N hands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cosmos_ros.types import FloatArray

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Jobs:
    """What N hands are to do, by arrays: the task and the hand's geometry.

    Attributes:
        verb: ``[N]`` index into ``tuple(Verb)``.
        size: ``[N, 3]`` full edge lengths of the item, m.
        sides: ``[N]`` by how many directions it may be gripped: 4 square, 2 oblong, 0 round.
        width: ``[N]`` opening at which the fingers touch it.
        squeeze: ``[N]`` how much further than contact the fingers are commanded, in openings.
        rest: ``[N]`` height of the item's centre above the target's pose when it lies there, m.
        tolerance: ``[N]`` how far it may lie from the target's middle, m.
        scale: ``[N]`` size of things relative to a Franka's.
        table: ``[N]`` height of the table's top, m.
        tilt: ``[N]`` angle of the approach from straight down, rad.
        lowest: ``[N]`` least height of the grasp frame above the table with closed fingers, m.
        forward: ``[N, 2]`` where the tilted hand leans to, horizontal unit vector.
    """

    verb: Ints
    size: FloatArray
    sides: Ints
    width: FloatArray
    squeeze: FloatArray
    rest: FloatArray
    tolerance: FloatArray
    scale: FloatArray
    table: FloatArray
    tilt: FloatArray
    lowest: FloatArray
    forward: FloatArray


@dataclass
class Hands:
    """N hands and what is around them at one moment, in the base frame.

    Attributes:
        pose: ``[N, 4, 4]`` grasp frames: between the fingertips, z out of the hand, y along which they close.
        velocity, turn_rate: ``[N, 3]`` m/s and rad/s.
        opening, command: ``[N]`` fingers as measured and as last commanded, 0 closed to 1 open.
        item, target: ``[N, 4, 4]``; the target is ignored where the task has none.
    """

    pose: FloatArray
    velocity: FloatArray
    turn_rate: FloatArray
    opening: FloatArray
    command: FloatArray
    item: FloatArray
    target: FloatArray


def level_rotation(jobs: Jobs, hands: Hands) -> FloatArray:
    """Return the present rotations, turned the short way until the hands approach as they should."""
    return _approaching(jobs, hands.pose[:, :2, 1])


def grasp_rotation(jobs: Jobs, hands: Hands) -> FloatArray:
    """Return rotations whose fingers face the item's nearest pair of sides that they can grip."""
    side = _unit(hands.item[:, :2, 1])
    quarter = np.stack((-side[:, 1], side[:, 0]), axis=1)
    now = hands.pose[:, :2, 1]
    # Tilted hands may not turn far; of two pairs of sides they too take the nearer one.
    other = (jobs.sides == 4) & (np.abs(dot(quarter, now)) > np.abs(dot(side, now)))
    axis = np.where(other[:, None], quarter, side)
    axis = np.where(dot(axis, now)[:, None] < 0.0, -axis, axis)
    return _approaching(jobs, np.where((jobs.sides == 0)[:, None], _easy(jobs, now), axis))


def facing(jobs: Jobs, hands: Hands, axis: FloatArray) -> FloatArray:
    """Return rotations whose closing direction is along ``axis`` or against it, whichever is nearer."""
    now = hands.pose[:, :2, 1]
    turned = np.where(dot(axis, now)[:, None] < 0.0, -axis, axis)
    return _approaching(jobs, np.where((jobs.tilt > 0.1)[:, None], _easy(jobs, now), turned))


def _easy(jobs: Jobs, now: FloatArray) -> FloatArray:
    """Return a closing direction ``[N, 2]`` where any will do: the present one.

    Tilted hands cannot turn to every side, and take the one that they have at home.
    """
    home = np.stack((-jobs.forward[:, 1], jobs.forward[:, 0]), axis=1)
    home = np.where(dot(home, now)[:, None] < 0.0, -home, home)
    return np.where((jobs.tilt > 0.1)[:, None], home, now)


def _approaching(jobs: Jobs, closing: FloatArray) -> FloatArray:
    """Return rotations that close along a horizontal direction ``[N, 2]`` and approach downwards at the tilt."""
    y = np.zeros((len(closing), 3))
    y[:, :2] = _unit(closing)
    lean = np.zeros_like(y)
    lean[:, 0], lean[:, 1] = -y[:, 1], y[:, 0]
    lean[dot(lean[:, :2], jobs.forward) < 0.0] *= -1.0
    z = np.sin(jobs.tilt)[:, None] * lean
    z[:, 2] = -np.cos(jobs.tilt)
    rotation = np.empty((len(y), 3, 3))
    rotation[:, :, 1], rotation[:, :, 2] = y, z
    rotation[:, 0, 0], rotation[:, 1, 0] = y[:, 1] * z[:, 2], -y[:, 0] * z[:, 2]
    rotation[:, 2, 0] = y[:, 0] * z[:, 1] - y[:, 1] * z[:, 0]
    return rotation


def rotation_between(start: FloatArray, end: FloatArray) -> FloatArray:
    """Return the rotation vectors ``[N, 3]``, in the base frame, that turn ``start`` into ``end``."""
    turned = end @ np.swapaxes(start, 1, 2)
    skew = np.stack(
        (turned[:, 2, 1] - turned[:, 1, 2], turned[:, 0, 2] - turned[:, 2, 0], turned[:, 1, 0] - turned[:, 0, 1]),
        axis=1,
    )
    sine = 0.5 * norm(skew)
    cosine = 0.5 * (turned[:, 0, 0] + turned[:, 1, 1] + turned[:, 2, 2] - 1.0)
    share = np.where(sine < 1e-6, 0.5, np.arctan2(sine, cosine) / np.maximum(2.0 * sine, 1e-12))
    return np.asarray(skew * share[:, None])


def norm(vectors: FloatArray) -> FloatArray:
    """Return lengths of vectors ``[..., M]``."""
    return np.asarray(np.sqrt((vectors * vectors).sum(axis=-1)))


def dot(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return inner products of vectors ``[..., M]``."""
    return np.asarray((a * b).sum(axis=-1))


def _unit(vectors: FloatArray) -> FloatArray:
    return np.asarray(vectors / np.maximum(norm(vectors), 1e-9)[:, None])
