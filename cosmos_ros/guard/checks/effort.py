"""Joint torques (forces) that a motion needs, where the robot's description says what its links weigh."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from cosmos_ros.errors import GuardError
from cosmos_ros.guard.checks.base import Case
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.trajectory.extrema import evaluate
from cosmos_ros.types import FloatArray

# Torques are looked at this often, s. They are as smooth as the acceleration, which is linear or smoother in between.
STEP = 0.005


class InverseDynamics(Protocol):
    """Torques of a motion."""

    joint_names: tuple[str, ...]

    def efforts(self, positions: FloatArray, velocities: FloatArray, accelerations: FloatArray) -> FloatArray:
        """Return efforts ``[M, J]`` (Nm, N) of joint states ``[M, J]``."""
        ...


class PinocchioDynamics:
    """Recursive Newton-Euler by Pinocchio on a URDF with inertials.

    Args:
        path_or_xml: The URDF, as a path or as its text.

    Raises:
        GuardError: Pinocchio is missing, the URDF cannot be read, or it gives no masses.
    """

    def __init__(self, path_or_xml: str | Path) -> None:
        try:
            import pinocchio as pin
        except ImportError as error:
            raise GuardError("effort: Pinocchio cannot be imported", hint="Install it: pip install pin.") from error
        text = str(path_or_xml)
        try:
            if not text.lstrip().startswith("<"):
                text = Path(text).read_text(encoding="utf-8")
            self._model = pin.buildModelFromXML(text)
        except (OSError, ValueError) as error:
            raise GuardError(f"effort: the URDF cannot be read: {error}") from error
        if sum(inertia.mass for inertia in self._model.inertias) <= 0.0:
            raise GuardError("effort: the URDF gives no masses", hint="Switch check effort off, or use a full URDF.")
        if self._model.nq != self._model.nv:
            raise GuardError("effort: continuous joints are not supported", hint="Switch check effort off.")
        self._rnea = pin.rnea
        self._data = self._model.createData()
        self.joint_names = tuple(self._model.names[1:])

    def efforts(self, positions: FloatArray, velocities: FloatArray, accelerations: FloatArray) -> FloatArray:
        """See ``InverseDynamics``."""
        rows = zip(positions, velocities, accelerations, strict=True)
        return np.array([self._rnea(self._model, self._data, q, v, a) for q, v, a in rows])


class Effort:
    """Every joint stays below its effort bound; gravity included, contact and friction not."""

    name = "effort"

    def __init__(self, dynamics: InverseDynamics) -> None:
        self.dynamics = dynamics

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        motion, table = case.motion, case.motion.table
        if motion.degree == 1 or len(motion.times) < 2:
            return []
        counts = np.maximum(2, np.ceil(motion.durations / STEP).astype(int))
        segment = np.repeat(np.arange(len(counts)), counts + 1)
        u = np.concatenate([np.linspace(0.0, 1.0, n + 1) for n in counts])
        names = self.dynamics.joint_names
        columns = [motion.names.index(n) if n in motion.names else -1 for n in names]
        measured = case.context.measured

        def at(order: int) -> FloatArray:
            values = evaluate(motion.unit(order)[segment], u[:, None, None])[..., 0]
            rest = np.zeros(len(names))
            if order == 0 and measured is not None:
                known = dict(zip(measured.names, measured.positions, strict=True))
                rest = np.array([float(known.get(n, 0.0)) for n in names])
            whole = np.tile(rest, (len(u), 1))
            for target, source in enumerate(columns):
                if source >= 0:
                    whole[:, target] = values[:, source]
            return whole

        efforts = self.dynamics.efforts(at(0), at(1), at(2))
        found = []
        for target, source in enumerate(columns):
            if source < 0:
                continue
            size = np.abs(efforts[:, target])
            over = np.flatnonzero(~(size <= table.effort[source] + case.config.slack))
            if over.size:
                k, worst = int(over[0]), int(np.argmax(size))
                found.append(
                    Violation(
                        self.name,
                        joint=motion.names[source],
                        step=motion.step_of(int(segment[k])),
                        time=motion.time_at(int(segment[k]), float(u[k])),
                        value=float(efforts[worst, target]),
                        bound=float(np.copysign(table.effort[source], efforts[worst, target])),
                        last_safe_point=motion.last_safe_point(int(segment[k]), includes_start=False),
                    )
                )
        return found
