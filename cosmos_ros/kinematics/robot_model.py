"""A robot's kinematics: links, joints, limits, forward kinematics, Jacobians."""

from __future__ import annotations

import difflib
import importlib
import logging
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from cosmos_ros.errors import ConfigError, KinematicsError
from cosmos_ros.kinematics.calibration import calibrated_tree, read_ur_calibration
from cosmos_ros.kinematics.chain import Backend, SerialChain, compile_tree
from cosmos_ros.kinematics.numpy_backend import NumpyBackend
from cosmos_ros.kinematics.urdf import UrdfTree, read_urdf
from cosmos_ros.limits import JointLimit
from cosmos_ros.types import FloatArray

BackendName = Literal["auto", "pinocchio", "numpy"]
Configuration = npt.ArrayLike | Mapping[str, float]
_log = logging.getLogger(__name__)


def _pinocchio() -> type[Backend] | None:
    """Return the Pinocchio backend's class, None where Pinocchio is missing or broken."""
    try:
        module = importlib.import_module("cosmos_ros.kinematics.pinocchio_backend")
    except ImportError as error:
        _log.debug("Pinocchio cannot be imported (%s); NumPy kinematics instead", error)
        return None
    backend: type[Backend] = module.PinocchioBackend
    return backend


class RobotModel:
    """Kinematics of one robot; immutable and usable from several threads.

    Configurations are ``float64 [J]`` in the order of :attr:`joint_names` (rad, m), or a mapping from joint names,
    which may hold other joints too and must hold those between root and link. Joints that mimic others follow.
    Poses are ``float64 [4, 4]`` of a link in the root link's frame.

    Args:
        tree: The checked kinematic tree.
        backend: ``pinocchio``, ``numpy`` (same answers, about ten times slower for single configurations), or
            ``auto``: Pinocchio where it can be imported.

    Raises:
        ConfigError: Pinocchio was asked for and cannot be imported.
    """

    def __init__(self, tree: UrdfTree, backend: BackendName = "auto") -> None:
        self.tree = tree
        self._compiled = compile_tree(tree)
        self._numpy = NumpyBackend(self._compiled)
        self._backend: Backend = self._numpy
        pinocchio = None if backend == "numpy" else _pinocchio()
        if pinocchio is not None:
            self._backend = pinocchio(self._compiled)  # type: ignore[call-arg]
        elif backend == "pinocchio":
            raise ConfigError("Pinocchio cannot be imported", hint="Install it (pip install pin) or use numpy.")
        self._support = lru_cache(maxsize=512)(self._supporting_joints)

    @classmethod
    def from_urdf(cls, path_or_xml: str | Path, *, backend: BackendName = "auto") -> RobotModel:
        """Read a URDF file or the XML text itself (``robot_description``).

        Args:
            path_or_xml: Path, or text that starts with ``<``.
            backend: See the class.

        Raises:
            ConfigError: The file cannot be read.
            KinematicsError: Not a well-formed, bounded, DTD-free URDF of one tree with limits for what moves.
        """
        return cls(read_urdf(path_or_xml), backend)

    @property
    def name(self) -> str:
        """The URDF's robot name."""
        return self.tree.name

    @property
    def backend(self) -> str:
        """``pinocchio`` or ``numpy``."""
        return self._backend.name

    @property
    def root(self) -> str:
        """The root link, in whose frame poses are given."""
        return self.tree.root

    @property
    def joint_names(self) -> tuple[str, ...]:
        """The J joints that move and mimic no other, depth first (so in chain order along each arm)."""
        return self._compiled.actuated

    @property
    def links(self) -> tuple[str, ...]:
        """All links, root first."""
        return self.tree.links

    @cached_property
    def limits(self) -> dict[str, JointLimit]:
        """Limits of every moving joint as the URDF gives them, mimic joints included."""
        return {joint.name: joint.limit for joint in self._compiled.joints if joint.limit is not None}

    def with_ur_calibration(self, path: str | Path) -> RobotModel:
        """Return the model of one particular Universal Robots arm.

        Args:
            path: The driver's kinematics YAML (``ros2 launch ur_calibration calibration_correction.launch.py``).

        Raises:
            ConfigError: The file is not such a YAML.
            KinematicsError: A link is missing, or the numbers are of another robot type.
        """
        return RobotModel(calibrated_tree(self.tree, read_ur_calibration(path), str(path)), self._backend_name)

    def restricted_to(self, links: Sequence[str]) -> RobotModel:
        """Return the model without the joints and links that none of ``links`` depends on."""
        wanted = set()
        parents = {joint.child: joint for joint in self.tree.joints}
        for name in links:
            self._check_link(name)
            link = name
            while link in parents and parents[link].name not in wanted:
                wanted.add(parents[link].name)
                link = parents[link].parent
        # The source of a mimic joint moves it from wherever it hangs.
        sources = {
            joint.limit.mimic.source
            for joint in self.tree.joints
            if joint.name in wanted and joint.limit is not None and joint.limit.mimic is not None
        }
        if sources - wanted:
            ends = [joint.child for joint in self.tree.joints if joint.name in sources - wanted]
            return self.restricted_to([*links, *ends])
        joints = tuple(joint for joint in self.tree.joints if joint.name in wanted)
        tree = UrdfTree(self.tree.name, self.root, (self.root, *(j.child for j in joints)), joints, self.tree.source)
        return RobotModel(tree, self._backend_name)

    def rooted_at(self, link: str) -> RobotModel:
        """Return the model of ``link`` and all that hangs on it; poses are then in the frame of ``link``.

        Raises:
            KinematicsError: Unknown link, or a joint below it mimics one that is not.
        """
        self._check_link(link)
        kept = {link}
        joints = []
        for joint in self.tree.joints:
            if joint.parent in kept:
                kept.add(joint.child)
                joints.append(joint)
        names = {joint.name for joint in joints}
        for joint in joints:
            mimic = joint.limit.mimic if joint.limit is not None else None
            if mimic is not None and mimic.source not in names:
                raise KinematicsError(
                    f"mimics '{mimic.source}', which is not below '{link}'",
                    where=f"{self.tree.source}: joint {joint.name}",
                )
        tree = UrdfTree(self.tree.name, link, (link, *(j.child for j in joints)), tuple(joints), self.tree.source)
        return RobotModel(tree, self._backend_name)

    def supporting_joints(self, link: str) -> tuple[str, ...]:
        """Return the actuated joints that move ``link``, root first."""
        self._check_link(link)
        return self._support(link)

    def fk(self, q: Configuration, link: str) -> FloatArray:
        """Return the pose of ``link``: ``[4, 4]``.

        Raises:
            KinematicsError: Unknown link, a joint is missing, or a value is not finite.
        """
        return self._backend.poses(self.vector(q, (link,)), (link,))[0]

    def jacobian(self, q: Configuration, link: str) -> FloatArray:
        """Return the geometric Jacobian of ``link``: ``[6, J]``.

        Rows: linear x, y, z of the link's origin, then angular x, y, z, all in root axes.
        """
        return self._backend.poses_and_jacobians(self.vector(q, (link,)), (link,))[0][1]

    def poses_and_jacobians(self, q: FloatArray, links: tuple[str, ...]) -> list[tuple[FloatArray, FloatArray]]:
        """Return ``[4, 4]`` and ``[6, J]`` a link, unchecked, for inner loops: q is a finite ``float64 [J]``."""
        return self._backend.poses_and_jacobians(q, links)

    def fk_batch(self, q: npt.ArrayLike, link: str) -> FloatArray:
        """Return poses ``[N, 4, 4]`` of ``link`` at ``q [N, J]``."""
        return self._numpy.poses_batch(self._matrix(q, (link,)), (link,))[0]

    def fk_batch_links(self, q: npt.ArrayLike, links: Sequence[str]) -> dict[str, FloatArray]:
        """Return link → ``[N, 4, 4]`` at ``q [N, J]``; shared joints are computed once."""
        names = tuple(links)
        return dict(zip(names, self._numpy.poses_batch(self._matrix(q, names), names), strict=True))

    def chain(self, link: str) -> SerialChain:
        """Return the moving joints between the root and ``link``."""
        self._check_link(link)
        return self._compiled.chain(link)

    def chain_frames(self, q: FloatArray, link: str) -> FloatArray:
        """Return the joint frames ``[N, C, 4, 4]`` of the chain to ``link``, unchecked: q is a finite ``[N, J]``."""
        return self._numpy.chain_frames(q, link)

    def vector(self, q: Configuration, links: Sequence[str] | None = None) -> FloatArray:
        """Return ``q`` as ``float64 [J]``.

        Args:
            q: Array in the order of :attr:`joint_names`, or a mapping.
            links: Only the joints that move these must be in the mapping, the rest read 0; None wants all.

        Raises:
            KinematicsError: Wrong length, unknown link, a missing joint, a value that is not finite.
        """
        for link in links or ():
            self._check_link(link)
        if isinstance(q, Mapping):
            needed = self.joint_names if links is None else [n for link in links for n in self._support(link)]
            missing = [name for name in needed if name not in q]
            if missing:
                raise KinematicsError(f"joint '{missing[0]}' has no value", where=self.tree.source)
            values = np.array([float(q.get(name, 0.0)) for name in self.joint_names])
        else:
            values = np.asarray(q, dtype=np.float64)
            if values.shape != (len(self.joint_names),):
                raise KinematicsError(
                    f"configuration of shape {values.shape}, expected [{len(self.joint_names)}]",
                    where=self.tree.source,
                    hint=f"The order is {', '.join(self.joint_names[:12])}.",
                )
        finite = np.isfinite(values)
        if not finite.all():
            raise KinematicsError(
                f"joint '{self.joint_names[int(np.argmin(finite))]}' is not finite", where=self.tree.source
            )
        return values

    def _matrix(self, q: npt.ArrayLike, links: Sequence[str]) -> FloatArray:
        for link in links:
            self._check_link(link)
        values = np.asarray(q, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.joint_names):
            raise KinematicsError(
                f"configurations of shape {values.shape}, expected [N, {len(self.joint_names)}]",
                where=self.tree.source,
            )
        finite = np.isfinite(values)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            raise KinematicsError(
                f"row {row}: joint '{self.joint_names[column]}' is not finite", where=self.tree.source
            )
        return values

    def _supporting_joints(self, link: str) -> tuple[str, ...]:
        rows = list(self._compiled.support(link))
        moved = np.any(self._compiled.expansion[rows] != 0.0, axis=0)
        return tuple(name for name, used in zip(self.joint_names, moved, strict=True) if used)

    def _check_link(self, link: str) -> None:
        if link not in self._compiled.links:
            close = difflib.get_close_matches(link, self.links, n=3)
            raise KinematicsError(
                f"no link '{link}'",
                where=self.tree.source,
                hint=f"Did you mean {', '.join(close)}?" if close else f"Links: {', '.join(self.links[:20])}.",
            )

    @property
    def _backend_name(self) -> BackendName:
        return "pinocchio" if self.backend == "pinocchio" else "numpy"
