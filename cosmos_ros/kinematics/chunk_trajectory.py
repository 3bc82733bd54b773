"""From an action chunk to the joint trajectory that a controller runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import degrees

import numpy as np

from cosmos_ros.errors import InputError, KinematicsError
from cosmos_ros.kinematics.ik import InverseKinematics
from cosmos_ros.kinematics.known_start import solve_after
from cosmos_ros.kinematics.records import GripperJoint, IkSolution, ResidualGate
from cosmos_ros.limits import JointLimit
from cosmos_ros.trajectory.grippers import with_grippers_planned
from cosmos_ros.trajectory.knots import spline_velocities, within_limits
from cosmos_ros.trajectory.smooth import smooth_stop
from cosmos_ros.types import NANOSECONDS, ActionChunk, FloatArray, Int64Array, JointState, JointTrajectory

# Part of the acceleration and jerk limits that braking at the end may use.
_BRAKING_SHARE = 0.8
_AT_REST = 1e-6


def chunk_to_trajectory(
    chunk: ActionChunk,
    start: JointState,
    solver: InverseKinematics | None,
    gripper_joints: Mapping[str, GripperJoint],
    gate: ResidualGate,
    *,
    limits: Mapping[str, JointLimit] | None = None,
    plan_grippers: bool = True,
    executed: FloatArray | None = None,
) -> tuple[JointTrajectory, IkSolution | None]:
    """Return the joint trajectory that takes the tools through a chunk's poses.

    Point 0 is the start state at time 0 with its measured velocity (free where none or NaN is measured), point k the
    chunk's row k - 1. Positions come from inverse kinematics, or from the chunk itself when it is in joint space.
    Velocities are those of :mod:`cosmos_ros.trajectory.knots`, so that the cubic a JointTrajectoryController runs is
    the motion to be checked. Gripper columns follow the openings no faster than the joint may (see ``plan_gripper``).
    Where the last row still moves, the arm is brought to rest beyond the predicted poses within its limits (see
    ``smooth_stop``): a JointTrajectoryController refuses a trajectory that ends moving.

    Args:
        chunk: Decoded rollout.
        start: Measured joint state; may hold other joints too.
        solver: Inverse kinematics of the chunk's tool links; not needed for joint-space chunks.
        gripper_joints: Gripper name → its joint; grippers of the chunk without one are left out.
        gate: Largest residual that may pass.
        limits: Joint → limits, for the overshoot and braking of joints the solver does not know.
        plan_grippers: False leaves the gripper columns as the chunk wants them, for a ``Joiner``, which plans them from
            where the grippers are commanded by then.
        executed: ``[k, J]`` positions in the solver's order by which the first rows are executed (``solve_after``).

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
        if executed is None or not len(executed):
            solution = solver.solve(chunk.poses, initial, times_ns, first_velocity)
        else:
            solution = solve_after(solver, chunk.poses, initial, times_ns, first_velocity, executed)
        _check_gate(solution, gate, known)
        positions = solution.positions
    knots_ns = np.concatenate([[0], times_ns]).astype(np.int64)
    times = knots_ns / NANOSECONDS
    lower, upper = _bounds(names, known)
    knots = np.vstack([first, positions])
    velocities = within_limits(times, knots, spline_velocities(times, knots, first_velocity), lower, upper)
    grippers = [
        _gripper_column(joint, _openings(chunk, name), start, known)
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
    if plan_grippers:
        fastest = {column[0]: column[3] for column in grippers}
        trajectory = with_grippers_planned(trajectory, fastest)
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


def _openings(chunk: ActionChunk, name: str) -> FloatArray:
    openings = np.asarray(chunk.grippers[name], dtype=np.float64)
    if openings.shape != (len(chunk.times_ns),) or not np.isfinite(openings).all():
        raise InputError(f"openings are not {len(chunk.times_ns)} finite numbers", where=f"chunk.grippers[{name}]")
    return openings


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
    openings: FloatArray,
    start: JointState,
    limits: Mapping[str, JointLimit],
) -> tuple[str, FloatArray, FloatArray, float]:
    """Return joint name, wanted positions ``[N]``, velocities ``[N]`` and the largest speed of one gripper.

    The first position and velocity are the measured ones; at the wanted ones it stands still.
    """
    (measured,), (velocity,) = _start(start, (joint.joint,))
    positions = np.concatenate([[measured], joint.position(openings)])
    velocities = np.zeros_like(positions)
    velocities[0] = np.nan_to_num(velocity, nan=0.0)
    return joint.joint, positions, velocities, min(joint.max_velocity, limits.get(joint.joint, JointLimit()).velocity)


def _brought_to_rest(trajectory: JointTrajectory, limits: Mapping[str, JointLimit]) -> JointTrajectory:
    """Return the trajectory with last points that bring it to rest."""
    positions, velocities = trajectory.positions, trajectory.velocities
    assert velocities is not None
    last = np.where(np.abs(velocities[-1]) > _AT_REST, velocities[-1], 0.0)
    found = [limits.get(name, JointLimit()) for name in trajectory.joint_names]
    lower, upper = _bounds(trajectory.joint_names, limits)
    # The spline ends without acceleration.
    times, stopping, speeds = smooth_stop(
        positions[-1],
        last,
        np.zeros_like(last),
        _BRAKING_SHARE * np.array([limit.acceleration for limit in found]),
        _BRAKING_SHARE * np.array([limit.jerk for limit in found]),
        lower,
        upper,
    )
    # What no brake of the joint can keep inside is stopped at the bound, for others to judge.
    stopping = np.clip(stopping, np.minimum(lower, positions[-1]), np.maximum(upper, positions[-1]))
    return replace(
        trajectory,
        times_ns=np.append(
            trajectory.times_ns, trajectory.times_ns[-1] + np.round(times[1:] * NANOSECONDS).astype(np.int64)
        ),
        positions=np.vstack([positions, stopping[1:]]),
        velocities=np.vstack([velocities[:-1], speeds]),
    )
