"""Where the next motion starts: what the controllers command now, or what is measured where they were sent nothing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from cosmos_ros.guard.context import GuardContext, in_order
from cosmos_ros.guard.motion.limit_table import LimitTable
from cosmos_ros.types import NANOSECONDS, FloatArray

# Measured speeds below this are noise: a controller that was sent nothing holds its joints, rad/s or m/s.
STILL = 0.02


@dataclass(frozen=True)
class StartState:
    """The state from which the controllers go on, ``float64 [J]`` each, in a trajectory's order of joints.

    Attributes:
        names: The order.
        positions, velocities, accelerations: SI. Joints that were sent nothing are where they were measured.
        commanded: ``bool [J]`` which joints follow a command.
    """

    names: tuple[str, ...]
    positions: FloatArray
    velocities: FloatArray
    accelerations: FloatArray
    commanded: np.ndarray[tuple[int], np.dtype[np.bool_]]


def follows(context: GuardContext, continuous: Collection[str], blockable: Collection[str], tolerance: float) -> bool:
    """Whether the robot is measured on the path that it was commanded along; also when nothing was commanded."""
    if context.measured is None or not context.executed:
        return True
    tracking = context.executed.tracking(context.measured, continuous=continuous, blockable=blockable)
    return tracking.worst()[1] <= tolerance


def start_state(
    context: GuardContext, table: LimitTable, *, blockable: Collection[str], tolerance: float
) -> StartState | None:
    """Return the true state at now; None when there is no joint state to know it from.

    A controller holds the end of its last trajectory, also while the arm sags below it. An arm at rest that is
    farther from there than the tolerance was moved by something else since, and is taken as measured.

    Args:
        context: The moment; every joint of the table is in its joint state.
        table: Limits, in the order wanted.
        blockable: Joints that an object may stop.
        tolerance: Largest distance from the commanded path, rad or m.
    """
    if context.measured is None:
        return None
    names = table.names
    positions, velocities = in_order(context.measured, names)
    positions = positions.copy()
    velocities = np.where(np.abs(velocities) > STILL, velocities, 0.0)
    accelerations = np.zeros_like(positions)
    commanded = np.zeros(len(names), dtype=bool)
    executed = context.executed
    continuous = [name for name, wraps in zip(names, table.continuous, strict=True) if wraps]
    if executed and (context.moving or follows(context, continuous, blockable, tolerance)):
        state = executed.at(context.now_ns)
        assert state is not None
        where = {name: k for k, name in enumerate(state.joint_names)}
        for k, name in enumerate(names):
            if (j := where.get(name)) is not None:
                positions[k], velocities[k] = state.positions[j], state.velocities[j]
                accelerations[k], commanded[k] = state.accelerations[j], True
    return StartState(names, positions, velocities, accelerations, commanded)


def state_at(start: StartState, context: GuardContext, times_ns: list[int]) -> tuple[FloatArray, ...]:
    """Return positions, velocities and accelerations ``[M, J]`` at times from now on, if nothing new is sent.

    Joints that follow no command stay where they are.
    """
    shape = (len(times_ns), len(start.names))
    result = (np.tile(start.positions, (shape[0], 1)), np.zeros(shape), np.zeros(shape))
    if start.commanded.any():
        known = context.executed.joint_names
        columns = np.flatnonzero(start.commanded)
        order = [known.index(start.names[k]) for k in columns]
        for into, of in zip(result, context.executed.sample(times_ns), strict=True):
            into[:, columns] = of[:, order]
    return result


def seconds(times_ns: np.ndarray) -> FloatArray:
    """Return times in seconds."""
    result: FloatArray = times_ns.astype(np.float64) / NANOSECONDS
    return result
