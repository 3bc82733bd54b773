"""Forward kinematics and Jacobians in plain NumPy, vectorised over configurations."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cosmos_ros.kinematics.chain import CompiledTree
from cosmos_ros.types import FloatArray


class NumpyBackend:
    """Product of exponentials along the chain.

    With K the cross-product matrix of the axis, a revolute joint's motion is ``I + sin q · K + (1 - cos q) · K²``
    (Rodrigues), so that every joint's transform is a sum of three constant matrices with weights 1, sin q, 1 - cos q;
    1, q, 0 for a joint that slides.
    """

    name = "numpy"

    def __init__(self, tree: CompiledTree) -> None:
        self._tree = tree
        turns = ~np.array(tree.prismatic, dtype=bool)
        self._slides = ~turns
        first = np.zeros((len(tree.joints), 4, 4))
        for index, (x, y, z) in enumerate(tree.axes):
            if turns[index]:
                first[index, :3, :3] = [[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]
            else:
                first[index, :3, 3] = (x, y, z)
        second = turns[:, None, None] * (first @ first)
        parts = np.stack((tree.placements, tree.placements @ first, tree.placements @ second), axis=1)
        self._parts = parts.reshape(-1, 3, 16)
        self._needed = lru_cache(maxsize=256)(self._supporting)
        self._constants = lru_cache(maxsize=256)(self._constants_of)

    def _supporting(self, links: tuple[str, ...]) -> tuple[int, ...]:
        """Return all moving joints under any of the links, parents before children."""
        return tuple(sorted({index for link in links for index in self._tree.support(link)}))

    def _constants_of(self, joints: tuple[int, ...]) -> tuple[FloatArray, FloatArray, npt.NDArray[np.intp], FloatArray]:
        rows = list(joints)
        return (
            self._tree.expansion[rows].T,
            self._tree.offset[rows, None],
            np.flatnonzero(self._slides[rows]),
            self._parts[rows],
        )

    def _local(self, q: FloatArray, joints: tuple[int, ...]) -> FloatArray:
        """Return each joint's frame in that of the joint it hangs on, ``[C, N, 4, 4]``."""
        expansion, offset, slides, parts = self._constants(joints)
        values = (q @ expansion).T + offset
        weights = np.ones((*values.shape, 3))
        np.sin(values, out=weights[..., 1])
        weights[..., 2] -= np.cos(values)
        if slides.size:
            weights[slides, :, 1] = values[slides]
        result: FloatArray = (weights @ parts).reshape(*values.shape, 4, 4)
        return result

    def _frames(self, q: FloatArray, links: tuple[str, ...]) -> dict[int, FloatArray]:
        """Return joint frames in the root, ``[N, 4, 4]`` each, of the joints that carry the links."""
        needed = self._needed(links)
        frames: dict[int, FloatArray] = {}
        for index, local in zip(needed, self._local(q, needed) if needed else (), strict=True):
            parent = self._tree.parents[index]
            frames[index] = local if parent < 0 else frames[parent] @ local
        return frames

    def chain_frames(self, q: FloatArray, link: str) -> FloatArray:
        """Return the frames in the root of the C moving joints under a link, root first: ``[N, C, 4, 4]``."""
        local = self._local(q, self._tree.support(link))
        frames = np.empty_like(local)
        frames[:1] = local[:1]
        for k in range(1, len(local)):
            np.matmul(frames[k - 1], local[k], out=frames[k])
        return np.swapaxes(frames, 0, 1)

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
