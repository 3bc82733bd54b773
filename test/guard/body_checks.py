"""The arm's own shape and tool, independent of the guard: distances of its capsules, speeds, singular values.

Forward kinematics are Pinocchio's, the distances a formula of this file.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from closed_loop import S, World, embodiment_of

from cosmos_ros.guard.surroundings import surroundings_of
from cosmos_ros.resources import resource


class Body:
    """Capsules and tool of an embodiment by Pinocchio, with distances by a formula of this file."""

    def __init__(self, name: str) -> None:
        pin = pytest.importorskip("pinocchio")
        self._pin = pin
        embodiment = embodiment_of(name)
        around = surroundings_of(embodiment)
        self.model = pin.buildModelFromUrdf(str(resource("embodiments", *embodiment.spec.robot.urdf.split("/"))))
        self.data = self.model.createData()
        self.capsules, self.pairs = around.capsules, np.array(around.collision_pairs, dtype=int).reshape(-1, 2)
        self.tools = embodiment.limits.cartesian
        self.frames = [self.model.getFrameId(c.link) for c in self.capsules]
        axis = {"x": 0, "y": 1, "z": 2}
        half = np.array([np.eye(3)[axis[c.axis]] * 0.5 * c.length for c in self.capsules]).reshape(-1, 3)
        centre = np.array([c.xyz for c in self.capsules]).reshape(-1, 3)
        self._ends = np.stack((centre - half, centre + half), axis=1)  # [C, 2, 3]
        self._radii = np.array([c.radius for c in self.capsules])
        self._index = {
            n: self.model.joints[self.model.getJointId(n)].idx_q for n in self.model.names if n != "universe"
        }

    def distances(self, names: tuple[str, ...], q: np.ndarray) -> np.ndarray:
        """Distances ``[M, P]`` of the pairs at positions ``[M, J]``."""
        if not len(self.pairs):
            return np.zeros((len(q), 0))
        ends = np.empty((len(q), len(self.capsules), 2, 3))
        for k, place in enumerate(self._placed(names, q)):
            for c, frame in enumerate(self.frames):
                pose = place[frame]
                ends[k, c] = self._ends[c] @ pose.rotation.T + pose.translation
        a, b = ends[:, self.pairs[:, 0]], ends[:, self.pairs[:, 1]]
        gap = segment_gap(a[..., 0, :], a[..., 1, :], b[..., 0, :], b[..., 1, :])
        return gap - self._radii[self.pairs].sum(axis=1)

    def tool_path(self, names: tuple[str, ...], q: np.ndarray, link: str) -> np.ndarray:
        """Positions ``[M, 3]`` of a link's origin."""
        frame = self.model.getFrameId(link)
        return np.array([place[frame].translation.copy() for place in self._placed(names, q)])

    def singular_value(self, names: tuple[str, ...], q: np.ndarray, link: str) -> float:
        """Smallest singular value of a link's 6×n Jacobian (m, rad) at one position ``[J]``."""
        for _ in self._placed(names, q[None]):
            pass
        whole = self._whole
        frame = self.model.getFrameId(link)
        aligned = self._pin.ReferenceFrame.LOCAL_WORLD_ALIGNED
        jacobian = self._pin.computeFrameJacobian(self.model, self.data, whole, frame, aligned)
        moved = np.flatnonzero(np.abs(jacobian).max(axis=0) > 0)
        return float(np.linalg.svd(jacobian, compute_uv=False)[-1]) if len(moved) >= 6 else np.inf

    def _placed(self, names: tuple[str, ...], q: np.ndarray) -> Iterator[Any]:
        self._whole = whole = self._pin.neutral(self.model)
        known = [(k, self._index[name]) for k, name in enumerate(names) if name in self._index]
        for row in q:
            for k, at in known:
                whole[at] = row[k]
            self._pin.framesForwardKinematics(self.model, self.data, whole)
            yield self.data.oMf


@lru_cache(maxsize=8)
def body_of(name: str) -> Body:
    return Body(name)


def segment_gap(a0: np.ndarray, a1: np.ndarray, b0: np.ndarray, b1: np.ndarray) -> np.ndarray:
    """Distance of two segments ``[..., 3]``: the least of the lines' inner solution and the four ends' distances."""

    def to_segment(p: np.ndarray, s0: np.ndarray, s1: np.ndarray) -> np.ndarray:
        along = s1 - s0
        share = ((p - s0) * along).sum(-1) / np.maximum((along * along).sum(-1), 1e-18)
        return np.linalg.norm(p - s0 - np.clip(share, 0.0, 1.0)[..., None] * along, axis=-1)

    u, v, w = a1 - a0, b1 - b0, a0 - b0
    uu, uv, vv, uw, vw = (u * u).sum(-1), (u * v).sum(-1), (v * v).sum(-1), (u * w).sum(-1), (v * w).sum(-1)
    det = uu * vv - uv * uv
    with np.errstate(all="ignore"):
        s, t = (uv * vw - vv * uw) / det, (uu * vw - uv * uw) / det
    inside = (det > 1e-15) & (s >= 0) & (s <= 1) & (t >= 0) & (t <= 1)
    s, t = np.where(inside, s, 0.0), np.where(inside, t, 0.0)
    crossing = np.where(inside, np.linalg.norm(w + s[..., None] * u - t[..., None] * v, axis=-1), np.inf)
    ends = (to_segment(a0, b0, b1), to_segment(a1, b0, b1), to_segment(b0, a0, a1), to_segment(b1, a0, a1))
    return np.minimum(np.min(ends, axis=0), crossing)


def body_faults(world: World, margin: float, *, every: int = 20) -> list[str]:
    """Self collision and tool speed of the commanded motion; a pair too close may only come apart."""
    body = body_of(world.embodiment.name)
    seconds, q, _ = world.stream()
    faults = []
    distances = body.distances(world.names, q[::every])
    if distances.size:
        lack = np.maximum(margin - distances, 0.0)
        closer = lack - np.minimum.accumulate(lack, axis=0)
        if closer.max() > 2e-4:  # the guard decides to a tenth of a millimetre
            k, p = np.unravel_index(int(closer.argmax()), closer.shape)
            links = [body.capsules[i].link for i in body.pairs[p]]
            faults.append(f"{links} come to {distances[k, p]:.4f} m at {seconds[::every][k] - 1000:.3f} s")
    for tool in body.tools:
        path = body.tool_path(world.names, q[::every], tool.tool_link)
        speed = np.linalg.norm(np.diff(path, axis=0), axis=1) / (every * world.tick_ns / S)
        if len(speed) and speed.max() > tool.linear_speed * (1.0 + 1e-4) + 1e-4:
            faults.append(f"{tool.tool_link} at {speed.max():.4f} m/s > {tool.linear_speed}")
    return faults
