"""A kinematic tree boiled down to what forward kinematics needs; shared by the backends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cosmos_ros.kinematics.urdf import UrdfJoint, UrdfTree
from cosmos_ros.types import FloatArray


@dataclass(frozen=True)
class CompiledTree:
    """The M moving joints of a tree (mimic joints included), with fixed joints folded into constants.

    Attributes:
        joints: The moving joints, parents before children.
        parents: Index of the moving joint each hangs on, -1 for the root.
        placements: ``float64 [M, 4, 4]`` pose of each joint frame in its parent joint's frame, at q = 0.
        axes: ``float64 [M, 3]`` unit axes in the joint frame.
        prismatic: True where the joint slides.
        links: Link name → (index of the moving joint that carries it or -1, ``[4, 4]`` pose in that joint's frame).
        actuated: Names of the J joints that mimic no other.
        expansion: ``float64 [M, J]`` and offset ``[M]``: q_moving = expansion · q + offset.
    """

    joints: tuple[UrdfJoint, ...]
    parents: tuple[int, ...]
    placements: FloatArray
    axes: FloatArray
    prismatic: tuple[bool, ...]
    links: dict[str, tuple[int, FloatArray]]
    actuated: tuple[str, ...]
    expansion: FloatArray
    offset: FloatArray

    def support(self, link: str) -> tuple[int, ...]:
        """Return the moving joints between root and link, root first."""
        index, path = self.links[link][0], []
        while index >= 0:
            path.append(index)
            index = self.parents[index]
        return tuple(reversed(path))

    def chain(self, link: str) -> SerialChain:
        """Return the chain of joints to a link."""
        rows = list(self.support(link))
        joints = tuple(self.joints[row] for row in rows)
        return SerialChain(joints, self.expansion[rows], self.placements[rows], self.links[link][1])


@dataclass(frozen=True)
class SerialChain:
    """The C moving joints between the root and a link, root first, with fixed joints folded in.

    Attributes:
        joints: The joints.
        gains: ``float64 [C, J]`` chain joint speed from the model's actuated joint speeds (mimic joints follow).
        placements: ``float64 [C, 4, 4]`` each joint's frame in the one before, at zero.
        tip: ``float64 [4, 4]`` the link in the last joint's frame.
    """

    joints: tuple[UrdfJoint, ...]
    gains: FloatArray
    placements: FloatArray
    tip: FloatArray


def compile_tree(tree: UrdfTree) -> CompiledTree:
    """Fold the fixed joints and the mimic rules of a tree."""
    links: dict[str, tuple[int, FloatArray]] = {tree.root: (-1, np.eye(4))}
    moving: list[UrdfJoint] = []
    parents: list[int] = []
    placements: list[FloatArray] = []
    for joint in tree.joints:
        carrier, offset = links[joint.parent]
        placement = offset @ joint.origin
        if joint.moves:
            links[joint.child] = (len(moving), np.eye(4))
            moving.append(joint)
            parents.append(carrier)
            placements.append(placement)
        else:
            links[joint.child] = (carrier, placement)
    limits = [joint.limit for joint in moving]
    actuated = [joint.name for joint in moving if joint.limit is not None and joint.limit.mimic is None]
    expansion = np.zeros((len(moving), len(actuated)))
    shift = np.zeros(len(moving))
    for row, limit in enumerate(limits):
        mimic = limit.mimic if limit is not None else None
        if mimic is None:
            expansion[row, actuated.index(moving[row].name)] = 1.0
        else:
            expansion[row, actuated.index(mimic.source)] = mimic.multiplier
            shift[row] = mimic.offset
    return CompiledTree(
        joints=tuple(moving),
        parents=tuple(parents),
        placements=np.array(placements).reshape(-1, 4, 4),
        axes=np.array([joint.axis for joint in moving]).reshape(-1, 3),
        prismatic=tuple(joint.type == "prismatic" for joint in moving),
        links=links,
        actuated=tuple(actuated),
        expansion=expansion,
        offset=shift,
    )


class Backend(Protocol):
    """What a kinematics backend answers. ``q`` is ``float64 [J]`` in the order of ``CompiledTree.actuated``."""

    name: str

    def poses(self, q: FloatArray, links: tuple[str, ...]) -> list[FloatArray]:
        """Return one ``[4, 4]`` pose in the root frame a link."""
        ...

    def poses_and_jacobians(self, q: FloatArray, links: tuple[str, ...]) -> list[tuple[FloatArray, FloatArray]]:
        """Return pose ``[4, 4]`` and Jacobian ``[6, J]`` a link: linear rows first, root-aligned, at its origin."""
        ...
