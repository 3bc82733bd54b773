"""Forward kinematics and Jacobians in plain NumPy, vectorised over configurations."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from cosmos_ros.kinematics.chain import CompiledTree
from cosmos_ros.types import FloatArray


class NumpyBackend:
    """Product of exponentials along the chain.

    With K the cross-product matrix of the axis, a revolute joint's motion is ``I + sin q · K + (1 - cos q) · K²``
    (Rodrigues), so that every joint's transform is ``C0 + a · C1 + b · C2`` with constants made once.
    """

    name = "numpy"

    def __init__(self, tree: CompiledTree) -> None:
        self._tree = tree
        count = len(tree.joints)
        self._c0 = tree.placements
        self._c1 = np.zeros((count, 4, 4))
        self._c2 = np.zeros((count, 4, 4))
        self._slides = np.array(tree.prismatic, dtype=bool)
        for index, axis in enumerate(tree.axes):
            motion = np.zeros((4, 4))
            if tree.prismatic[index]:
                motion[:3, 3] = axis
            else:
                x, y, z = axis
                motion[:3, :3] = [[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]
            self._c1[index] = tree.placements[index] @ motion
            if not tree.prismatic[index]:
                self._c2[index] = self._c1[index] @ motion
        self._needed = lru_cache(maxsize=256)(self._supporting)

    def _supporting(self, links: tuple[str, ...]) -> tuple[int, ...]:
        """Return all moving joints under any of the links, parents before children."""
        return tuple(sorted({index for link in links for index in self._tree.support(link)}))

    def _frames(self, q: FloatArray, links: tuple[str, ...]) -> dict[int, FloatArray]:
        """Return joint frames in the root, ``[N, 4, 4]`` each, of the joints that carry the links."""
        needed = self._needed(links)
        if not needed:
            return {}
        rows = list(needed)
        values = q @ self._tree.expansion[rows].T + self._tree.offset[rows]
        slides = self._slides[rows]
        first = np.where(slides, values, np.sin(values))[..., None, None]
        second = np.where(slides, 0.0, 1.0 - np.cos(values))[..., None, None]
        local = self._c0[rows] + first * self._c1[rows] + second * self._c2[rows]
        frames: dict[int, FloatArray] = {}
        for column, index in enumerate(rows):
            parent = self._tree.parents[index]
            frames[index] = local[:, column] if parent < 0 else frames[parent] @ local[:, column]
        return frames

    def _pose(self, frames: dict[int, FloatArray], link: str, count: int) -> FloatArray:
        carrier, offset = self._tree.links[link]
        if carrier < 0:
            return np.broadcast_to(offset, (count, 4, 4)).copy()
        return frames[carrier] @ offset

    def _jacobian(self, frames: dict[int, FloatArray], link: str, pose: FloatArray) -> FloatArray:
        tree = self._tree
        path = list(tree.support(link))
        jacobian = np.zeros((len(pose), 6, len(tree.actuated)))
        if not path:
            return jacobian
        joints = np.stack([frames[index] for index in path], axis=1)
        axes = (joints[..., :3, :3] @ tree.axes[path][:, :, None])[..., 0]
        slides = self._slides[path][:, None]
        linear = np.where(slides, axes, np.cross(axes, pose[:, None, :3, 3] - joints[..., :3, 3]))
        columns = np.concatenate([linear, np.where(slides, 0.0, axes)], axis=-1)
        result: FloatArray = np.swapaxes(columns, 1, 2) @ tree.expansion[path]
        return result

    def poses_batch(self, q: FloatArray, links: tuple[str, ...]) -> list[FloatArray]:
        """Return ``[N, 4, 4]`` a link from ``q [N, J]``."""
        frames = self._frames(q, links)
        return [self._pose(frames, link, len(q)) for link in links]

    def poses(self, q: FloatArray, links: tuple[str, ...]) -> list[FloatArray]:
        """See :class:`~cosmos_ros.kinematics.chain.Backend`."""
        return [pose[0] for pose in self.poses_batch(q[None], links)]

    def poses_and_jacobians(self, q: FloatArray, links: tuple[str, ...]) -> list[tuple[FloatArray, FloatArray]]:
        """See :class:`~cosmos_ros.kinematics.chain.Backend`."""
        frames = self._frames(q[None], links)
        poses = [self._pose(frames, link, 1) for link in links]
        return [(pose[0], self._jacobian(frames, link, pose)[0]) for link, pose in zip(links, poses, strict=True)]
