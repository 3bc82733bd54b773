"""A stand-in for ros2_controllers' JointTrajectoryController, written for the closed loop alone.

It shares no code with the package: what it commands is what the guard is judged by. Rules as in ros2_controllers 6.9:
one trajectory at a time, replaced outright; refused when it is structurally wrong, partial, moving at its end, or over;
a stamp of 0 starts at receipt; what began in the past is entered in its middle; a first point in the future is reached
from the measured state. ``scaling`` below 1 runs trajectories slower, as UR's scaled controller does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosmos_ros.types import JointTrajectory

_SECOND = 1e9
_END_VELOCITY = float(np.finfo(np.float32).eps)


def hermite(times: np.ndarray, values: list[np.ndarray]) -> np.ndarray:
    """Coefficients ``[6, N-1, J]`` (constant term first) of the segments of a trajectory, by the orders it gives.

    Args:
        times: ``[N]`` s.
        values: Positions, and velocities and accelerations where there are any, ``[N, J]`` each.
    """
    h = np.diff(times)[:, None]
    q0, q1 = values[0][:-1], values[0][1:]
    d = (q1 - q0) / h
    zero = np.zeros_like(d)
    if len(values) == 1:
        return np.stack([q0, d, zero, zero, zero, zero])
    v0, v1 = values[1][:-1], values[1][1:]
    if len(values) == 2:
        return np.stack([q0, v0, (3 * d - 2 * v0 - v1) / h, (v0 + v1 - 2 * d) / h**2, zero, zero])
    a0, a1 = values[2][:-1], values[2][1:]
    return np.stack(
        [
            q0,
            v0,
            0.5 * a0,
            (20 * d - 8 * v1 - 12 * v0 - (3 * a0 - a1) * h) / (2 * h**2),
            (-30 * d + 14 * v1 + 16 * v0 + (3 * a0 - 2 * a1) * h) / (2 * h**3),
            (12 * d - 6 * (v1 + v0) - (a0 - a1) * h) / (2 * h**4),
        ]
    )


def derivative(coefficients: np.ndarray) -> np.ndarray:
    """Coefficients ``[n-1, ...]`` of the derivative."""
    return coefficients[1:] * np.arange(1, len(coefficients)).reshape(-1, *[1] * (coefficients.ndim - 1))


def evaluate(coefficients: np.ndarray, local: np.ndarray) -> np.ndarray:
    """Values of polynomials; ``local`` broadcasts against one coefficient's shape."""
    result = np.zeros(np.broadcast_shapes(coefficients.shape[1:], local.shape))
    for c in coefficients[::-1]:
        result = result * local + c
    return result


def orders(trajectory: JointTrajectory) -> list[np.ndarray]:
    """The fields of a trajectory that a controller interpolates."""
    fields = [trajectory.positions, trajectory.velocities, trajectory.accelerations]
    return [f for k, f in enumerate(fields) if f is not None and all(x is not None for x in fields[:k])]


@dataclass(frozen=True)
class Handover:
    """Commanded position, velocity, acceleration ``[3, J]`` just before and just after a trajectory was taken."""

    time_ns: int
    joints: tuple[str, ...]
    before: np.ndarray
    after: np.ndarray


class Controller:
    """One controller.

    Args:
        joints: Its joints, in the order of its answers.
        positions: ``[J]`` that it holds at first.
        now_ns: Its time at first.
        keeps_lost_time: Its clock stays behind for good after running slower (UR's older scaled controller).
        cycle_ns: A stamp of 0 starts so much later, at the first cycle that samples it, as the real one does; 0: at
            receipt.
    """

    def __init__(
        self,
        joints: tuple[str, ...],
        positions: np.ndarray,
        now_ns: int,
        *,
        keeps_lost_time: bool = False,
        cycle_ns: int = 0,
    ) -> None:
        self.joints = joints
        self.scaling = 1.0
        self.hung = False  # takes nothing and holds what it commanded last
        self.deaf = False  # takes nothing and goes on
        self.refusals: list[tuple[int, str]] = []
        self.handovers: list[Handover] = []
        self._keeps_lost_time, self._cycle_ns = keeps_lost_time, cycle_ns
        self._own_ns = float(now_ns)
        self._begin_ns = float(now_ns)
        self._times = np.zeros(1)
        self._coefficients = np.zeros((6, 0, len(joints)))
        self._last = np.array(positions, dtype=float)

    def advance(self, ticks: int, tick_ns: int) -> np.ndarray:
        """Return the positions ``[ticks, J]`` commanded in the next control cycles."""
        if self.hung:
            now = self._at(np.array([self._own_ns]))[0]
            return np.tile(now, (ticks, 1))
        own = self._own_ns + np.arange(1, ticks + 1) * (tick_ns * self.scaling)
        self._own_ns = float(own[-1])
        return self._at(own)[0]

    def commanded(self) -> np.ndarray:
        """Return position, velocity and acceleration ``[3, J]`` commanded now."""
        return np.stack([x[0] for x in self._at(np.array([self._own_ns]), all_orders=True)])

    def take(self, trajectory: JointTrajectory, now_ns: int, measured: np.ndarray, speeds: np.ndarray) -> str | None:
        """Take a trajectory, or return why not.

        Args:
            trajectory: As received.
            now_ns: Time of the world; the controller's own unless it has lost some.
            measured, speeds: ``[J]`` measured state of its joints.
        """
        if self.hung or self.deaf:
            self.refusals.append((now_ns, "takes nothing"))
            return "takes nothing"
        if not self._keeps_lost_time:
            self._own_ns = float(now_ns)
        reason = self._refusal(trajectory)
        if reason is not None:
            self.refusals.append((now_ns, reason))
            return reason
        before = self.commanded()
        order = [trajectory.joint_names.index(name) for name in self.joints]
        fields = [f[:, order] for f in orders(trajectory)]
        begin = float(trajectory.stamp_ns or self._own_ns + self._cycle_ns)
        times = trajectory.times_ns / _SECOND
        if (trajectory.stamp_ns or self._own_ns) + trajectory.times_ns[0] > self._own_ns:
            start = [measured, speeds, np.zeros_like(measured)]
            fields = [np.vstack((s, f)) for s, f in zip(start, fields, strict=False)]
            times = np.concatenate(([(self._own_ns - begin) / _SECOND], times))
        self._begin_ns, self._times, self._last = begin, times, fields[0][-1].copy()
        self._coefficients = hermite(times, fields) if len(times) > 1 else np.zeros((6, 0, len(self.joints)))
        self.handovers.append(Handover(now_ns, self.joints, before, self.commanded()))
        return None

    def jump(self, by_ns: int) -> None:
        """The clock of the world jumps; what runs goes on."""
        self._own_ns += by_ns
        self._begin_ns += by_ns

    def _refusal(self, trajectory: JointTrajectory) -> str | None:
        names, times = trajectory.joint_names, trajectory.times_ns
        if sorted(names) != sorted(self.joints):
            return f"joints {names}, the controller has {self.joints}"
        if not len(times):
            return "no points"
        if any(f.shape != (len(times), len(names)) for f in orders(trajectory)):
            return "fields differ in size"
        if (np.diff(times) <= 0).any():
            return "times do not increase"
        if trajectory.velocities is not None and (np.abs(trajectory.velocities[-1]) > _END_VELOCITY).any():
            return "moves at its end"
        if trajectory.stamp_ns and trajectory.stamp_ns + int(times[-1]) < self._own_ns:
            return "ended in the past"
        return None

    def _at(self, own_ns: np.ndarray, *, all_orders: bool = False) -> list[np.ndarray]:
        count = 3 if all_orders else 1
        result = [np.tile(self._last, (len(own_ns), 1)), *[np.zeros((len(own_ns), len(self._last)))] * (count - 1)]
        seconds = (own_ns - self._begin_ns) / _SECOND
        running = (seconds < self._times[-1]) & (self._coefficients.shape[1] > 0)
        if not running.any():
            return result
        segment = np.clip(np.searchsorted(self._times, seconds[running], side="right") - 1, 0, len(self._times) - 2)
        local = (seconds[running] - self._times[segment])[:, None]
        chosen = self._coefficients[:, segment]
        for k in range(count):
            result[k] = result[k].copy()
            result[k][running] = evaluate(chosen, local)
            chosen = derivative(chosen)
        return result
