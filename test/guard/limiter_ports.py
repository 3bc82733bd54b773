"""The rate limiters that stand behind controllers, after their published formulas: what they would still change.

Written anew from

- ros2_control ``joint_limits``: ``compute_position_limits`` of ``joint_limits_helpers.cpp`` (what the resource manager
  applies to position commands), and the clamps of ``joint_saturation_limiter.cpp`` for trajectory points. The latter's
  look-ahead near a position bound is left out: it brakes all joints as soon as the distance left is below v²/a, twice
  what stopping takes, which a plain rest-to-rest motion that ends near a bound does not keep;
- libfranka ``rate_limiting.h`` and ``rate_limiting.cpp`` (Research 3): ``limitRate`` for joint positions with the
  position-dependent velocity bounds, each bound 1e-3 lower as published.

Each takes positions ``[M, ..., J]`` commanded at 1 kHz from rest, of one run or of several side by side, and returns
how far its own output, fed back into it as the last command, is from them: the same shape, rad or m.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from dense_checks import Table

from cosmos_ros.limits import RobotLimits

CYCLE = 1e-3

# Research 3, joints 1 to 7: offset, gain, position of the upper and of the lower velocity bound; largest velocity.
_UPPER = np.array([[0.30, 12.0, 2.7501], [0.20, 5.17, 1.7918], [0.20, 7.0, 2.9065], [0.30, 8.0, -0.1458],
                   [0.35, 34.0, 2.8101], [0.35, 11.0, 4.5205], [0.35, 34.0, 3.0196]])  # fmt: skip
_LOWER = np.array([2.7501, 1.7918, 2.9065, 3.0481, 2.8101, -0.54092, 3.0196])
_FASTEST = np.array([2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26])
_TOLERANCE = 1e-3
_ACCELERATION, _JERK = 10.0 - _TOLERANCE, 5000.0 - _TOLERANCE


def libfranka_velocity_bounds(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Upper and lower velocity bounds ``[..., 7]`` at positions of a Research 3."""
    offset, gain, highest = _UPPER.T
    up = np.sqrt(np.maximum(0.0, gain * (highest - q))) - offset
    down = np.sqrt(np.maximum(0.0, gain * (_LOWER + q))) - offset
    upper = np.minimum(_FASTEST, np.maximum(0.0, up)) - _TOLERANCE
    return upper, -(np.minimum(_FASTEST, np.maximum(0.0, down)) - _TOLERANCE)


def libfranka_changes(q: np.ndarray) -> np.ndarray:
    """What ``franka::limitRate`` changes in joint positions ``[M, ..., 7]`` of a Research 3."""
    changes = np.zeros_like(q)
    last, speed, bend = q[0], np.zeros_like(q[0]), np.zeros_like(q[0])
    for k, wanted in enumerate(q):
        given = _limited(wanted, last, speed, bend)
        now = (given - last) / CYCLE
        last, speed, bend = given, now, (now - speed) / CYCLE
        changes[k] = given - wanted
    return changes


def _limited(wanted: np.ndarray, last: np.ndarray, speed: np.ndarray, bend: np.ndarray) -> np.ndarray:
    upper, lower = libfranka_velocity_bounds(last)
    jerk = ((wanted - last) / CYCLE - speed) / CYCLE - bend
    acceleration = bend + np.clip(jerk / CYCLE, -_JERK, _JERK) * CYCLE
    most = np.minimum(_JERK / _ACCELERATION * (upper - speed), _ACCELERATION)
    least = np.maximum(_JERK / _ACCELERATION * (lower - speed), -_ACCELERATION)
    acceleration = np.maximum(np.minimum(acceleration, most), least)
    return last + (speed + acceleration * CYCLE) * CYCLE


def _reaching_start(table: Table, q: np.ndarray) -> Table:
    """The bounds, wide enough for where each run starts."""
    return replace(table, lower=np.minimum(table.lower, q[0]), upper=np.maximum(table.upper, q[0]))


def ros2_control_changes(q: np.ndarray, names: tuple[str, ...], limits: RobotLimits) -> np.ndarray:
    """What the resource manager's saturation limiter changes in position commands ``[M, J]``.

    Within the velocity bound, and within what the robot's present speed and the acceleration bound allow. The robot
    follows perfectly.
    """
    table = _reaching_start(Table.of(limits, names), q)
    changes = np.zeros_like(q)
    last, speed = q[0], np.zeros_like(q[0])
    for k, wanted in enumerate(q):
        reach = np.minimum(table.velocity, np.abs(speed) + table.acceleration * CYCLE) * CYCLE
        low = np.maximum(np.minimum(last - reach, table.upper), table.lower)
        high = np.minimum(np.maximum(last + reach, low), table.upper)
        given = np.clip(wanted, np.minimum(low, high), np.maximum(low, high))
        speed = (given - last) / CYCLE
        last = given
        changes[k] = given - wanted
    return changes


def ros2_control_point_changes(q: np.ndarray, names: tuple[str, ...], limits: RobotLimits) -> np.ndarray:
    """What the saturation limiter for trajectory points clamps: position, velocity, acceleration."""
    table = _reaching_start(Table.of(limits, names), q)
    changes = np.zeros_like(q)
    last, speed = q[0], np.zeros_like(q[0])
    for k, wanted in enumerate(q):
        given = np.clip(wanted, table.lower, table.upper)
        rate = np.clip((given - last) / CYCLE, -table.velocity, table.velocity)
        given = np.where(np.abs(given - last) > table.velocity * CYCLE, last + rate * CYCLE, given)
        bend = (rate - speed) / CYCLE
        over = np.abs(bend) > table.acceleration
        bend = np.clip(bend, -table.acceleration, table.acceleration)
        # The limiter integrates from the speed of the last cycle, by half of the new acceleration.
        given = np.where(over, last + speed * CYCLE + 0.5 * np.where(over, bend, 0.0) * CYCLE**2, given)
        speed = np.where(over, speed + np.where(over, bend, 0.0) * CYCLE, (given - last) / CYCLE)
        last = given
        changes[k] = given - wanted
    return changes


def side_by_side(streams: list[np.ndarray]) -> np.ndarray:
    """Runs ``[M_k, J]`` of different length as ``[M, C, J]``: each rests at its end."""
    length = max(len(q) for q in streams)
    return np.stack([np.vstack((q, np.tile(q[-1], (length - len(q), 1)))) for q in streams], axis=1)
