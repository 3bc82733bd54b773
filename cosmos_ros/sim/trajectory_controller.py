"""A stand-in for ros2_controllers' JointTrajectoryController: its acceptance rules and its interpolation.

Like the real one (checked against ros2_controllers 6.9 and its master of August 2026) it refuses what is structurally
wrong or too late, and nothing else: it does not look at limits, jumps or non-finite numbers. That is the guard's task.
Trajectories replace each other outright, as Jazzy's and Kilted's controllers do.
"""

from __future__ import annotations

import numpy as np

from cosmos_ros.trajectory.piecewise import PiecewisePolynomial, hermite_coefficients
from cosmos_ros.types import NANOSECONDS, FloatArray, Int64Array, JointState, JointTrajectory

# The real controller compares end velocities with the single-precision epsilon.
_END_VELOCITY = float(np.finfo(np.float32).eps)


class JointTrajectoryController:
    """Follows one joint trajectory at a time.

    Args:
        joint_names: The controller's joints; the column order of every answer.
        allow_partial_joints_goal: A trajectory may name only some joints; the others hold.
        allow_nonzero_velocity_at_trajectory_end: Accept a last point that still moves.
        interpolate_from_desired_state: Start towards a first point in the future from the commanded state instead
            of the measured one.
    """

    def __init__(
        self,
        joint_names: tuple[str, ...],
        *,
        allow_partial_joints_goal: bool = False,
        allow_nonzero_velocity_at_trajectory_end: bool = False,
        interpolate_from_desired_state: bool = False,
    ) -> None:
        self.joint_names = joint_names
        self._partial = allow_partial_joints_goal
        self._moving_end = allow_nonzero_velocity_at_trajectory_end
        self._from_desired = interpolate_from_desired_state
        self._anchor_ns = 0
        self._spline: PiecewisePolynomial | None = None
        self._rate: PiecewisePolynomial | None = None
        self._end = (np.zeros(len(joint_names)), np.zeros(len(joint_names)))
        self._end_seconds = 0.0
        self.accepted = 0
        self.rejected = 0

    def hold(self, state: JointState) -> None:
        """Forget any trajectory and hold the joints where ``state`` says, as after activation or a reset."""
        self._spline = self._rate = None
        self._end = (self._columns(state.names, state.positions), np.zeros(len(self.joint_names)))

    def accept(self, trajectory: JointTrajectory, now_ns: int, state: JointState) -> str | None:
        """Take over a new trajectory, or refuse it and go on as before.

        Args:
            trajectory: As received. A zero stamp means that it starts now.
            now_ns: The controller's time.
            state: Measured joint state; must contain the controller's joints.

        Returns:
            None when accepted, else the reason for the refusal.
        """
        reason = self._refusal(trajectory, now_ns)
        if reason is not None:
            self.rejected += 1
            return reason
        self.accepted += 1
        self._install(trajectory, now_ns, state)
        return None

    def sample(self, now_ns: int) -> tuple[FloatArray, FloatArray]:
        """Return the commanded positions and velocities ``[J]`` at a time; after the end, the last point."""
        positions, velocities = self.sample_many(np.array([now_ns], dtype=np.int64))
        return positions[0], velocities[0]

    def sample_many(self, times_ns: Int64Array) -> tuple[FloatArray, FloatArray]:
        """Return commanded positions and velocities ``[n, J]`` at increasing times."""
        positions = np.tile(self._end[0], (len(times_ns), 1))
        velocities = np.tile(self._end[1], (len(times_ns), 1))
        if self._spline is not None and self._rate is not None:
            seconds = (times_ns - self._anchor_ns).astype(np.float64) / NANOSECONDS
            running = seconds < self._end_seconds
            if running.any():
                positions[running] = self._spline(seconds[running])
                velocities[running] = self._rate(seconds[running])
        return positions, velocities

    def _refusal(self, trajectory: JointTrajectory, now_ns: int) -> str | None:
        names, times = trajectory.joint_names, trajectory.times_ns
        if not self._partial and len(names) != len(self.joint_names):
            return f"{len(names)} joints, the controller has {len(self.joint_names)}"
        if not names:
            return "no joint names"
        if len(times) == 0:
            return "no points"
        unknown = [name for name in names if name not in self.joint_names]
        if unknown:
            return f"joint {unknown[0]} is not one of the controller's ({', '.join(self.joint_names)})"
        shape = (len(times), len(names))
        fields = {"velocities": trajectory.velocities, "accelerations": trajectory.accelerations}
        for field, values in {"positions": trajectory.positions, **fields}.items():
            if values is not None and values.shape != shape:
                return f"{field} have shape {list(values.shape)}, expected {list(shape)}"
        if not self._moving_end and trajectory.velocities is not None:
            # Written so that NaN passes, as it does in the real one.
            moving = np.flatnonzero(np.abs(trajectory.velocities[-1]) > _END_VELOCITY)
            if moving.size:
                value = trajectory.velocities[-1][moving[0]]
                return f"the last point's velocity of joint {names[moving[0]]} is {value:g}, not zero"
        if trajectory.stamp_ns != 0 and trajectory.stamp_ns + int(times[-1]) < now_ns:
            late = (now_ns - trajectory.stamp_ns - int(times[-1])) / NANOSECONDS
            return f"it ended {late:.3f} s ago"
        for index in np.flatnonzero(np.diff(times) <= 0)[:1]:
            before, after = (int(t) / NANOSECONDS for t in times[index : index + 2])
            return f"time_from_start does not increase at point {index + 1}: {before:.6f} s, then {after:.6f} s"
        return None

    def _install(self, trajectory: JointTrajectory, now_ns: int, state: JointState) -> None:
        commanded, commanded_rate = self.sample(now_ns)
        start_ns = trajectory.stamp_ns or now_ns
        absolute = trajectory.times_ns + start_ns
        columns = [self.joint_names.index(name) for name in trajectory.joint_names]

        def spread(values: FloatArray, rest: FloatArray) -> FloatArray:
            whole = np.tile(rest, (len(values), 1))
            whole[:, columns] = values
            return whole

        still = np.zeros(len(self.joint_names))
        positions = spread(trajectory.positions, commanded)
        velocities = None if trajectory.velocities is None else spread(trajectory.velocities, still)
        accelerations = None
        if trajectory.accelerations is not None and velocities is not None:
            accelerations = spread(trajectory.accelerations, still)
        self._anchor_ns = int(absolute[0])
        if absolute[0] > now_ns:
            # The first point lies ahead: the way there starts at the present state.
            if self._from_desired:
                start, rate = commanded, commanded_rate
            else:
                start = self._columns(state.names, state.positions)
                rate = still if state.velocities is None else self._columns(state.names, state.velocities)
            self._anchor_ns = now_ns
            absolute = np.concatenate(([now_ns], absolute)).astype(np.int64)
            positions = np.vstack((start, positions))
            velocities = None if velocities is None else np.vstack((rate, velocities))
            accelerations = None if accelerations is None else np.vstack((still, accelerations))
        self._end = (positions[-1], still if velocities is None else velocities[-1])
        seconds = (absolute - self._anchor_ns).astype(np.float64) / NANOSECONDS
        self._end_seconds = float(seconds[-1])
        self._spline = self._rate = None
        if len(absolute) > 1:
            coefficients = hermite_coefficients(np.diff(seconds), positions, velocities, accelerations)
            self._spline = PiecewisePolynomial(seconds, coefficients)
            self._rate = self._spline.derivative()

    def _columns(self, names: tuple[str, ...], values: FloatArray) -> FloatArray:
        return np.array([values[names.index(name)] for name in self.joint_names], dtype=np.float64)
