"""Joint torques (forces) that a motion needs, where the robot's description says what its links weigh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cosmos_ros.errors import GuardError
from cosmos_ros.guard.checks.base import Case, Cure, GuardedRobot, InverseDynamics, Limit
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.limits import RobotLimits, scaled
from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.trajectory.extrema import evaluate
from cosmos_ros.types import FloatArray

# Torques are looked at this often, s. They are as smooth as the acceleration, which is linear or smoother in between.
STEP = 0.005


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


@dataclass(frozen=True)
class EffortSettings(DeclaredSettings):
    """How much of the effort bounds may be used."""

    urdf: str = setting("", "URDF with masses, for the check of effort; empty: effort is not checked.", read_only=True)
    effort_scale: float = setting(
        1.0, "Part of the robot's effort bounds that may be used.", minimum=0.01, maximum=1.0, read_only=True
    )


class Effort(Limit):
    """Every joint stays below its effort bound; gravity included, contact and friction not."""

    name = "effort"
    order = 160
    cure = Cure.SLOWING
    settings_type = EffortSettings

    @classmethod
    def tighten(cls, limits: RobotLimits, settings: EffortSettings) -> RobotLimits:
        """See ``Check.tighten``."""
        return scaled(limits, effort=settings.effort_scale)

    on = False

    def __init__(self, settings: EffortSettings, dynamics: InverseDynamics) -> None:
        super().__init__(settings)
        self.dynamics = dynamics

    @classmethod
    def for_robot(cls, robot: GuardedRobot, settings: EffortSettings) -> Sequence[Effort]:
        """See ``Check.for_robot``."""
        dynamics = robot.dynamics or (PinocchioDynamics(settings.urdf) if settings.urdf else None)
        return () if dynamics is None else (cls(settings, dynamics),)

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
            over = np.flatnonzero(~(size <= table.effort[source] + case.checking.slack))
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
