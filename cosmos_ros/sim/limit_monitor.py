"""Counts where the physical joints (not the commands) left their limits."""

from __future__ import annotations

from typing import Any

import numpy as np

from cosmos_ros.limits import RobotLimits
from cosmos_ros.types import FloatArray

# How far beyond a bound still counts as inside: contact forces and rounding move a joint at its bound by less than
# this (rad or m; rad/s or m/s).
_SLACK = {"position": 5e-4, "velocity": 5e-3}


class LimitMonitor:
    """Watches positions and velocities of a robot's joints against its limits.

    Args:
        limits: The robot's limits; joints without an entry are not watched.
        joint_names: Column order of what is observed.
    """

    def __init__(self, limits: RobotLimits, joint_names: tuple[str, ...]) -> None:
        self.joint_names = joint_names
        entries = [limits.joints.get(name) for name in joint_names]
        free = [entry is None or entry.continuous for entry in entries]
        self._lower = np.array([-np.inf if f or e is None else e.lower for e, f in zip(entries, free, strict=True)])
        self._upper = np.array([np.inf if f or e is None else e.upper for e, f in zip(entries, free, strict=True)])
        self._speed = np.array([np.inf if e is None else e.velocity for e in entries])
        self.clear()

    def clear(self) -> None:
        """Forget everything observed."""
        count = len(self.joint_names)
        self.samples = 0
        self._counts = {"position": np.zeros(count, np.int64), "velocity": np.zeros(count, np.int64)}
        self._excess = {"position": np.zeros(count), "velocity": np.zeros(count)}
        self._use = np.zeros(count)

    def observe(self, positions: FloatArray, velocities: FloatArray) -> None:
        """Add ``[n, J]`` samples. A non-finite sample counts as a violation of both."""
        self.samples += len(positions)
        over = np.maximum(positions - self._upper, self._lower - positions)
        fast = np.abs(velocities) - self._speed
        for kind, excess in (("position", over), ("velocity", fast)):
            broken = ~(excess <= _SLACK[kind])
            self._counts[kind] += np.count_nonzero(broken, axis=0)
            self._excess[kind] = np.fmax(self._excess[kind], np.where(broken, excess, 0.0).max(axis=0))
        with np.errstate(invalid="ignore"):
            self._use = np.fmax(self._use, (np.abs(velocities) / self._speed).max(axis=0))

    @property
    def total(self) -> int:
        """Number of samples (a physics step and joint each) outside a limit."""
        return int(sum(int(counts.sum()) for counts in self._counts.values()))

    def to_dict(self) -> dict[str, Any]:
        """Return totals, the offending joints with their worst excess, and how much of each speed limit was used."""
        joints = {
            f"{name}.{kind}": {"samples": int(self._counts[kind][i]), "worst_excess": float(self._excess[kind][i])}
            for kind in self._counts
            for i, name in enumerate(self.joint_names)
            if self._counts[kind][i]
        }
        use = {name: round(float(u), 4) for name, u in zip(self.joint_names, self._use, strict=True)}
        return {"total": self.total, "joints": joints, "samples": self.samples, "velocity_use": use}
