"""From an action chunk to the joint trajectory that a controller runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import degrees

import numpy as np

from cosmos_ros.errors import InputError, KinematicsError
from cosmos_ros.kinematics.ik import InverseKinematics
from cosmos_ros.kinematics.records import GripperJoint, IkSolution, ResidualGate
from cosmos_ros.limits import JointLimit
from cosmos_ros.trajectory.knots import braking_time, monotone_velocities, spline_velocities, within_limits
from cosmos_ros.types import NANOSECONDS, ActionChunk, FloatArray, Int64Array, JointState, JointTrajectory

# A monotone cubic goes at most 1.5 times its secant (rest to rest).
_CUBIC_PEAK = 1.5
# Part of an acceleration limit that braking at the end may use, and what stands in for an unknown limit (MoveIt's
# default for arms, rad/s² or m/s²).
_BRAKING_SHARE = 0.8
_BRAKING_DEFAULT = 5.0
_AT_REST = 1e-6
# Points closer than this are nothing a controller can follow, and guards refuse them.
_SHORTEST_BRAKE_NS = 20_000_000


def chunk_to_trajectory(
    chunk: ActionChunk,
    start: JointState,
    solver: InverseKinematics | None,
    gripper_joints: Mapping[str, GripperJoint],
    gate: ResidualGate,
    *,
    limits: Mapping[str, JointLimit] | None = None,
) -> tuple[JointTrajectory, IkSolution | None]:
    """Return the joint trajectory that takes the tools through a chunk's poses.

    Point 0 is the start state at time 0 with its measured velocity (free where none or NaN is measured), point k the
    chunk's row k - 1. Positions come from inverse kinematics, or from the chunk itself when it is in joint space.
    Velocities are those of :mod:`cosmos_ros.trajectory.knots`, so that the cubic a JointTrajectoryController runs is
    the motion to be checked. Gripper columns follow the openings no faster than the joint may; they start with no more
    velocity than keeps them between where they are and where they go. Where the last row still moves, a point at rest
    is appended, reached at constant deceleration within the acceleration limits (beyond the predicted poses, by half
    the last velocity times its duration): a JointTrajectoryController refuses a trajectory that ends moving.

    Args:
        chunk: Decoded rollout.
        start: Measured joint state; may hold other joints too.
        solver: Inverse kinematics of the chunk's tool links; not needed for joint-space chunks.
        gripper_joints: Gripper name → its joint; grippers of the chunk without one are left out.
        gate: Largest residual that may pass.
        limits: Joint → limits, for the overshoot and braking of joints the solver does not know.

    Returns:
        The trajectory, columns in the solver's joint order with gripper joints appended, and the solution (None for
        joint-space chunks).

    Raises:
        InputError: The chunk or the start state is malformed, not finite, or lacks a joint.
        KinematicsError: A pose is missed by more than the gate (names step, link, residual and joints at a limit), or
            the chunk has poses and there is no solver.
    """
    times_ns = _times(chunk)
    known = {**(solver.limits if solver is not None else {}), **(limits or {})}
    solution: IkSolution | None = None
    if chunk.joint_positions is not None:
        names, positions = chunk.joint_names, _joint_rows(chunk)
        first, first_velocity = _start(start, names)
    elif solver is None:
        raise KinematicsError(
            "the chunk holds tool poses and there is no inverse kinematics for them.",
            hint="Give the embodiment a URDF and joints, or publish poses only.",
        )
    else:
        names = solver.joint_names
        first, first_velocity = _start(start, names)
        initial = dict(zip(start.names, start.positions.tolist(), strict=True))
        solution = solver.solve(chunk.poses, initial, times_ns, first_velocity)
        _check_gate(solution, gate, known)
        positions = solution.positions
    knots_ns = np.concatenate([[0], times_ns]).astype(np.int64)
    times = knots_ns / NANOSECONDS
    lower, upper = _bounds(names, known)
    knots = np.vstack([first, positions])
    velocities = within_limits(times, knots, spline_velocities(times, knots, first_velocity), lower, upper)
    grippers = [
        _gripper_column(joint, chunk.grippers[name], times, start, known, name)
        for name, joint in gripper_joints.items()
        if name in chunk.grippers and joint.joint not in names
    ]
    trajectory = JointTrajectory(
        joint_names=(*names, *(column[0] for column in grippers)),
        stamp_ns=chunk.stamp_ns,
        times_ns=knots_ns,
        positions=np.column_stack([knots, *(column[1] for column in grippers)]),
        velocities=np.column_stack([velocities, *(column[2] for column in grippers)]),
    )
    return _brought_to_rest(trajectory, known), solution


def _times(chunk: ActionChunk) -> Int64Array:
    times = np.asarray(chunk.times_ns, dtype=np.int64)
    if times.ndim != 1 or len(times) == 0:
        raise InputError("the chunk has no rows", where="chunk.times_ns")
    steps = np.diff(times, prepend=0)
    if (steps <= 0).any():
        raise InputError(f"row {int(np.argmax(steps <= 0))} is not after the one before", where="chunk.times_ns")
    return times


def _joint_rows(chunk: ActionChunk) -> FloatArray:
    rows = np.asarray(chunk.joint_positions, dtype=np.float64)
    if rows.shape != (len(chunk.times_ns), len(chunk.joint_names)):
        raise InputError(
            f"shape {rows.shape}, expected [{len(chunk.times_ns)}, {len(chunk.joint_names)}]",
            where="chunk.joint_positions",
        )
    if not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        raise InputError(
            f"step {row + 1}: joint '{chunk.joint_names[column]}' is not finite", where="chunk.joint_positions"
        )
    return rows


def _start(start: JointState, names: tuple[str, ...]) -> tuple[FloatArray, FloatArray]:
    """Return measured positions and velocities (NaN where unknown) of the joints."""
    missing = [name for name in names if name not in start.names]
    if missing:
        raise InputError(
            f"joint '{missing[0]}' is not in the joint state",
            where="joint_states",
            hint=f"It holds {', '.join(start.names[:12])}.",
        )
    order = [start.names.index(name) for name in names]
    positions = np.asarray(start.positions, dtype=np.float64)[order]
    if not np.isfinite(positions).all():
        name = names[int(np.argmin(np.isfinite(positions)))]
        raise InputError(f"joint '{name}' is not finite", where="joint_states")
    if start.velocities is None:
        return positions, np.full(len(names), np.nan)
    velocities = np.asarray(start.velocities, dtype=np.float64)[order]
    return positions, np.where(np.isfinite(velocities), velocities, np.nan)


def _bounds(names: tuple[str, ...], limits: Mapping[str, JointLimit]) -> tuple[FloatArray, FloatArray]:
    found = [limits.get(name, JointLimit()) for name in names]
    return np.array([limit.lower for limit in found]), np.array([limit.upper for limit in found])


def _check_gate(solution: IkSolution, gate: ResidualGate, limits: Mapping[str, JointLimit]) -> None:
    """Raise at the first step at which a target misses its pose by more than the gate."""
    distances, angles = solution.target_position_residuals, solution.target_rotation_residuals
    missed = ~((distances <= gate.position) & (angles <= gate.rotation))
    if not missed.any():
        return
    step, target = (int(index) for index in np.argwhere(missed)[0])
    stuck = []
    for name, value in zip(solution.joint_names, solution.positions[step], strict=True):
        limit = limits.get(name, JointLimit())
        for side, bound in (("lower", limit.lower), ("upper", limit.upper)):
            if abs(value - bound) < _AT_REST:
                stuck.append(f"{name} is at its {side} limit {bound:.4g}")
    raise KinematicsError(
        f"{solution.targets[target]} misses its pose by {distances[step, target] * 1e3:.2f} mm and "
        f"{degrees(angles[step, target]):.2f}° (gate {gate.position * 1e3:g} mm, {degrees(gate.rotation):.3g}°)"
        + (f"; {', '.join(stuck)}" if stuck else "")
        + ".",
        where=f"step {step + 1} of {len(distances)}",
        hint="The pose is out of reach, or asks for a jump of the joints.",
    )


def _gripper_column(
    joint: GripperJoint,
    opening: FloatArray,
    times: FloatArray,
    start: JointState,
    limits: Mapping[str, JointLimit],
    name: str,
) -> tuple[str, FloatArray, FloatArray]:
    """Return joint name, positions ``[N]`` and velocities ``[N]`` of one gripper."""
    fractions = np.asarray(opening, dtype=np.float64)
    if fractions.shape != (len(times) - 1,) or not np.isfinite(fractions).all():
        raise InputError(f"openings are not {len(times) - 1} finite numbers", where=f"chunk.grippers[{name}]")
    (measured,), (velocity,) = _start(start, (joint.joint,))
    fastest = min(joint.max_velocity, limits.get(joint.joint, JointLimit()).velocity) / _CUBIC_PEAK
    targets = joint.position(fractions)
    positions = np.concatenate([[measured], targets])
    for index, step in enumerate(np.diff(times), start=1):
        reach = fastest * step
        positions[index] = min(max(positions[index], positions[index - 1] - reach), positions[index - 1] + reach)
    velocities = monotone_velocities(times, positions[:, None])[:, 0]
    secant = (positions[1] - positions[0]) / (times[1] - times[0])
    if np.isfinite(velocity):
        velocities[0] = np.clip(velocity, *sorted((0.0, _CUBIC_PEAK * secant)))
    return joint.joint, positions, velocities


def _brought_to_rest(trajectory: JointTrajectory, limits: Mapping[str, JointLimit]) -> JointTrajectory:
    """Return the trajectory with a last point at rest."""
    positions, velocities = trajectory.positions, trajectory.velocities
    assert velocities is not None
    last = np.where(np.abs(velocities[-1]) > _AT_REST, velocities[-1], 0.0)
    found = [limits.get(name, JointLimit()) for name in trajectory.joint_names]
    available = np.array([limit.acceleration for limit in found])
    decelerations = _BRAKING_SHARE * np.where(np.isfinite(available), available, _BRAKING_DEFAULT)
    lower, upper = _bounds(trajectory.joint_names, limits)
    duration_ns = round(braking_time(positions[-1], last, decelerations, lower, upper) * NANOSECONDS)
    if duration_ns <= 0:
        return replace(trajectory, velocities=np.vstack([velocities[:-1], np.zeros_like(last)]))
    duration_ns = max(duration_ns, _SHORTEST_BRAKE_NS)
    duration = duration_ns / NANOSECONDS
    rest = np.clip(
        positions[-1] + 0.5 * last * duration, np.minimum(lower, positions[-1]), np.maximum(upper, positions[-1])
    )
    return replace(
        trajectory,
        times_ns=np.append(trajectory.times_ns, trajectory.times_ns[-1] + duration_ns),
        positions=np.vstack([positions, rest]),
        velocities=np.vstack([velocities[:-1], last, np.zeros_like(last)]),
    )
