"""A robot as capsules, made from its kinematics, for viewers: the shipped URDFs carry no meshes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.types import FloatArray

# Shorter connections are hidden in the joints that they join, m.
_SHORTEST_BONE = 0.005
_AXES = {"x": np.array([1.0, 0.0, 0.0]), "y": np.array([0.0, 1.0, 0.0]), "z": np.array([0.0, 0.0, 1.0])}


@dataclass(frozen=True)
class LinkCapsule:
    """A cylinder with round ends, fixed to a link.

    Attributes:
        link: Link that it moves with.
        start, end: ``float64 [3]`` centres of the two half spheres in the link frame, m.
        radius: m.
    """

    link: str
    start: FloatArray
    end: FloatArray
    radius: float


class RobotShape:
    """Capsules of one robot and the links that carry them.

    A connection from each joint to the next gives any URDF a body; the embodiment's collision capsules, where it has
    them, give it its true thickness.

    Args:
        embodiment: One with a robot.

    Attributes:
        capsules: Of the whole robot.
        links: Links that carry capsules.
    """

    def __init__(self, embodiment: Embodiment) -> None:
        model = embodiment.robot
        self._model = model
        self.capsules: tuple[LinkCapsule, ...] = ()
        if model is None:
            self.links: tuple[str, ...] = ()
            return
        bones = _bones(embodiment)
        spec = embodiment.spec.collision
        bodies = []
        for body in spec.capsules if spec else ():
            middle, half = np.array(body.xyz, dtype=np.float64), 0.5 * body.length * _AXES[body.axis]
            bodies.append(LinkCapsule(body.link, middle - half, middle + half, body.radius))
        self.capsules = (*bones, *bodies)
        carrying = {capsule.link for capsule in self.capsules}
        self.links = tuple(link for link in model.links if link in carrying)

    def link_poses(self, positions: Mapping[str, float]) -> dict[str, FloatArray]:
        """Return link → pose ``float64 [4, 4]`` in the base frame of the links that carry capsules.

        Raises:
            KinematicsError: A position is not finite.
        """
        if self._model is None:
            return {}
        row = np.array([[float(positions.get(name, 0.0)) for name in self._model.joint_names]])
        return {link: batch[0] for link, batch in self._model.fk_batch_links(row, self.links).items()}

    def segments(self, positions: Mapping[str, float]) -> tuple[FloatArray, FloatArray]:
        """Return the capsules of a posture.

        Args:
            positions: Joint → position, rad or m; joints that are left out are at zero.

        Returns:
            ``float64 [N, 2, 3]`` centres of the half spheres in the base frame (m) and ``float64 [N]`` radii (m), in
            the order of ``capsules``.

        Raises:
            KinematicsError: A position is not finite.
        """
        poses = self.link_poses(positions)
        ends = np.empty((len(self.capsules), 2, 3))
        for index, capsule in enumerate(self.capsules):
            rotation, origin = poses[capsule.link][:3, :3], poses[capsule.link][:3, 3]
            ends[index] = np.stack([capsule.start, capsule.end]) @ rotation.T + origin
        return ends, np.array([capsule.radius for capsule in self.capsules])

    def link_segments(self) -> dict[str, list[LinkCapsule]]:
        """Return link → its capsules."""
        found: dict[str, list[LinkCapsule]] = {link: [] for link in self.links}
        for capsule in self.capsules:
            found[capsule.link].append(capsule)
        return found


def _bones(embodiment: Embodiment) -> list[LinkCapsule]:
    """Return one capsule from each link's origin to each child joint, thinner with every joint outwards."""
    assert embodiment.robot is not None
    tree = embodiment.robot.tree
    depth = {tree.root: 0}
    bones = []
    for joint in tree.joints:
        depth[joint.child] = depth[joint.parent] + joint.moves
        end = joint.origin[:3, 3]
        if float(np.linalg.norm(end)) > _SHORTEST_BONE:
            radius = max(0.008, 0.045 - 0.004 * depth[joint.parent])
            bones.append(LinkCapsule(joint.parent, np.zeros(3), np.array(end), radius))
    return bones
