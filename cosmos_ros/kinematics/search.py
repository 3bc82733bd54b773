"""A second chance for a pose sequence that the plain pass misses: look from its end.

Near a stretched elbow or a limit the self-motion branches of an arm meet, and a step-by-step pass can take the one
that ends at a limit a few poses later. Which branch is right shows at the end: solutions of the last pose are
followed backwards, and the one that leads to the start becomes the guide of a new forward pass.
"""

from __future__ import annotations

import numpy as np

from cosmos_ros.kinematics.follower import ROTATION_WEIGHT, FollowedPath, Follower
from cosmos_ros.types import FloatArray

# Far enough to reach the other branches, near enough to stay within the same turn.
_REACH = 1.6
_SAME = 0.15
# Configurations tried at the last pose, and how many of their solutions are followed back to the start at most.
_SEEDS = 24
_PATHS = 6


def follow_with_search(
    follower: Follower,
    whole: FloatArray,
    start: FloatArray,
    poses: FloatArray,
    turns: FloatArray,
    first_step: FloatArray | None = None,
) -> FollowedPath:
    """Return the plain pass where it reaches all poses, else the best of the passes guided from the end.

    Arguments as of :meth:`Follower.follow`. Deterministic: the seeds are the same each time.
    """
    best = follower.follow(whole, start, poses, turns, first_step=first_step)
    if len(poses) < 2 or follower.converged(best.residuals):
        return best
    for end in _ends(follower, whole, start, best.positions[-1], poses[-1:]):
        # Going back from pose k + 1 to k the joints have the time that they had for the way there.
        back = follower.follow(whole, end, poses[-2::-1], turns[:0:-1])
        guide = np.vstack([back.positions[::-1], end])
        path = follower.follow(whole, start, poses, turns, guide)
        if follower.converged(path.residuals):
            return path
        if _cost(follower, path) < _cost(follower, best):
            best = path
    return best


def _ends(
    follower: Follower, whole: FloatArray, start: FloatArray, last: FloatArray, pose: FloatArray
) -> list[FloatArray]:
    """Return solutions of the last pose, nearest to the start first, distinct ones only."""
    rng = np.random.default_rng(0)
    seeds = start + rng.uniform(-_REACH, _REACH, (_SEEDS - 1, len(start)))
    seeds = np.vstack([last, np.clip(seeds, follower.lower, follower.upper)])
    free = np.full((1, len(start)), np.inf)
    found = []
    for seed in seeds:
        path = follower.follow(whole, seed, pose, free)
        if follower.converged(path.residuals):
            found.append(path.positions[0])
    found.sort(key=lambda q: float(np.abs(q - start).max()))
    distinct: list[FloatArray] = []
    for q in found:
        if all(np.abs(q - other).max() > _SAME for other in distinct):
            distinct.append(q)
    return distinct[:_PATHS]


def _cost(follower: Follower, path: FollowedPath) -> float:
    """Return the worst residual in metres, radians counted by the rotation weight."""
    return float((path.residuals @ (1.0, ROTATION_WEIGHT)).max())
