"""Independent checks of what leaves the guard, by formulas of their own. They know nothing of the guard's checks.

``sent_faults`` looks at each trajectory that was sent: finite, stamped as controllers demand, at rest at its end, and
position, velocity, acceleration and jerk between the points too. ``stream_faults`` looks at the positions that were
commanded at every control cycle over the whole run, hand-overs and stops included: a joint inside its bounds stays
there, one outside moves inwards only; no cycle's step is longer than the velocity bound allows, no change of speed than
the acceleration bound. ``handover_faults`` looks at what the controllers commanded just before and after.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from closed_loop import S, World
from loop_controller import derivative, evaluate, hermite, orders

from cosmos_ros.guard import GuardSettings
from cosmos_ros.guard.checks.time_step import TimeStepSettings
from cosmos_ros.limits import JointLimit, RobotLimits
from cosmos_ros.types import JointTrajectory

# The guard's tolerance against rounding is 1e-6 on every bound.
SLACK = 2e-6
# Controllers run at up to 1 kHz, and a bound of jerk allows a step of acceleration from one cycle to the next.
CYCLE = 1e-3


@dataclass(frozen=True)
class Table:
    """The bounds of some joints as arrays ``[J]``."""

    lower: np.ndarray
    upper: np.ndarray
    velocity: np.ndarray
    acceleration: np.ndarray
    jerk: np.ndarray

    @classmethod
    def of(cls, limits: RobotLimits, names: tuple[str, ...]) -> Table:
        joints = [limits.joints[name] for name in names]
        lower = [-np.inf if j.continuous else j.lower for j in joints]
        upper = [np.inf if j.continuous else j.upper for j in joints]
        rest = [[getattr(j, field) for j in joints] for field in ("velocity", "acceleration", "jerk")]
        return cls(*(np.array(x, dtype=float) for x in (lower, upper, *rest)))


def _worst(faults: list[str], what: str, names: tuple[str, ...], values: np.ndarray, bounds: np.ndarray) -> None:
    """Add a line for the joint that exceeds its bound most. ``values`` ``[..., J]`` are absolute."""
    slack = bounds * 1e-6 + SLACK
    peak = np.nanmax(values, axis=tuple(range(values.ndim - 1))) if values.size else np.zeros(len(names))
    over = ~(peak <= bounds + np.where(np.isfinite(slack), slack, 0.0))
    for j in _first(over, peak / bounds):
        faults.append(f"{what} {names[j]}: {peak[j]:.6g} > {bounds[j]:.6g}{_others(over)}")


def _first(over: np.ndarray, by: np.ndarray) -> list[int]:
    """The joint that is worst, if any is over: one line says enough."""
    return [int(np.argmax(np.where(over, np.nan_to_num(by, nan=np.inf), -1.0)))] if over.any() else []


def _others(over: np.ndarray) -> str:
    return f", and {over.sum() - 1} more joints" if over.sum() > 1 else ""


def sent_faults(sent: JointTrajectory, limits: RobotLimits, settings: GuardSettings, now_ns: int) -> list[str]:
    """What is wrong with one trajectory, whatever the robot does; empty when nothing is."""
    names, times = sent.joint_names, sent.times_ns
    faults: list[str] = []
    fields = orders(sent)
    if not all(np.isfinite(f).all() and f.shape == (len(times), len(names)) for f in fields):
        return ["not finite, or fields differ in size"]
    if not len(times) or times[0] < 0 or (np.diff(times) <= 0).any():
        return ["times do not increase from zero on"]
    step = np.diff(times) / S
    if len(step) and step.min() < settings.checking.minimum_step - 1e-9:
        faults.append(f"points {step.min():.9f} s apart")
    if len(step) and step.max() > settings.of(TimeStepSettings).maximum_step + 1e-9:
        faults.append(f"points {step.max():.3f} s apart")
    if sent.velocities is None or sent.velocities[-1].any():
        faults.append("does not say that it ends at rest")
    if sent.stamp_ns and sent.stamp_ns + int(times[-1]) < now_ns:
        faults.append("ended before it was sent")
    if len(times) < 2:
        return faults
    table = Table.of(limits, names)
    h = np.diff(times / S)[:, None]
    curve = hermite(times / S, fields)
    rate = derivative(curve)
    bend, snap = derivative(rate), derivative(derivative(rate))
    share = np.linspace(0.0, 1.0, 9 if len(fields) < 3 else 65)[:, None, None]
    with np.errstate(all="ignore"):
        turn = np.clip(
            np.nan_to_num(-bend[0] / bend[1] / h, posinf=0.0, neginf=0.0), 0.0, 1.0
        )  # a cubic's fastest place
    share = np.concatenate((np.broadcast_to(share, (len(share), *turn.shape)), turn[None]))
    _worst(faults, "sent velocity", names, np.abs(evaluate(rate, share * h)), table.velocity)
    _worst(faults, "sent acceleration", names, np.abs(evaluate(bend, share * h)), table.acceleration)
    _worst(faults, "sent jerk", names, np.abs(evaluate(snap, share * h)), table.jerk)
    begin, end = bend[0], evaluate(bend, h)
    steps = np.abs(np.vstack((begin[1:] - end[:-1], end[-1:])))  # at the inner knots, and at the end
    bound = np.where(np.isfinite(table.jerk), table.jerk * CYCLE, np.inf)
    _worst(faults, "step of acceleration at a knot", names, steps, bound)
    return faults


def _velocity_bound(joint: JointLimit, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of velocity upwards and downwards at positions, as libfranka publishes them for the FR3."""
    law = joint.position_dependent_velocity
    up, down = np.full_like(q, joint.velocity), np.full_like(q, joint.velocity)
    if law is not None:
        room = np.sqrt(np.maximum(0.0, law.upper_gain * (law.upper_position - q)))
        up = np.minimum(up, np.maximum(0.0, room - law.upper_offset))
        room = np.sqrt(np.maximum(0.0, law.lower_gain * (q - law.lower_position)))
        down = np.minimum(down, np.maximum(0.0, room - law.lower_offset))
    return up, down


def stream_faults(world: World, *, stopped_by_others: bool = False) -> list[str]:
    """What is wrong with the positions commanded over the run so far.

    Args:
        world: After the run.
        stopped_by_others: The controllers hung or were slowed, which steps the speed without the guard: changes of
            speed are not looked at, steps of position are.
    """
    seconds, q, _ = world.stream()
    names, limits = world.names, world.embodiment.limits
    table = Table.of(limits, names)
    tick = world.tick_ns / S
    faults: list[str] = []
    excess = np.maximum(np.maximum(q - table.upper, table.lower - q), 0.0)
    outwards = excess - np.minimum.accumulate(excess, axis=0)
    over = outwards.max(axis=0) > SLACK
    for j in _first(over, outwards.max(axis=0)):
        k = int(outwards[:, j].argmax())
        faults.append(
            f"{names[j]} leaves its bounds by {outwards[k, j]:.6f} at {seconds[k] - 1000:.3f} s{_others(over)}"
        )
    step = np.diff(q, axis=0)
    fast = np.empty_like(step)
    for j, name in enumerate(names):
        inside = np.clip(q[:-1, j], table.lower[j], table.upper[j])
        up, down = _velocity_bound(limits.joints[name], inside)
        fast[:, j] = np.maximum(step[:, j] - up * tick, -step[:, j] - down * tick)
    over = ~(fast.max(axis=0) <= SLACK + 1e-6 * tick * table.velocity)
    for j in _first(over, fast.max(axis=0) / table.velocity):
        k = int(fast[:, j].argmax())
        faults.append(
            f"commanded step of {names[j]}: {step[k, j]:.6f} in {tick} s at {seconds[k] - 1000:.3f} s{_others(over)}"
        )
    if not stopped_by_others:
        change = np.abs(np.diff(step, axis=0))
        harsh = change - table.acceleration * tick**2 * (1.0 + 1e-6)
        over = ~(harsh.max(axis=0) <= 1e-8)
        for j in _first(over, harsh.max(axis=0)):
            k = int(harsh[:, j].argmax())
            faults.append(
                f"commanded speed of {names[j]} changes by {change[k, j] / tick:.4f} in {tick} s "
                f"({change[k, j] / tick**2:.4g} > {table.acceleration[j]:.4g}) at {seconds[k + 1] - 1000:.3f} s"
                f"{_others(over)}"
            )
    return faults


def handover_faults(world: World) -> list[str]:
    """The first jumps of commanded position, velocity and acceleration where controllers took trajectories over."""
    found: dict[str, list[str]] = {"position": [], "velocity": [], "acceleration": []}
    for handover in world.handovers():
        table = Table.of(world.embodiment.limits, handover.joints)
        jump = np.abs(handover.after - handover.before)
        free = ~np.isfinite(table.acceleration)
        bounds = (
            ("position", np.full(len(free), 1e-5)),
            ("velocity", np.where(free, np.inf, 1e-4)),
            ("acceleration", np.where(np.isfinite(table.jerk), table.jerk * CYCLE, np.inf)),
        )
        for order, (what, bound) in enumerate(bounds):
            over = ~(jump[order] <= bound * (1 + 1e-6) + SLACK)
            for j in _first(over, jump[order] / bound):
                found[what].append(
                    f"{what} of {handover.joints[j]} jumps by {jump[order, j]:.6g} > {bound[j]:.6g} "
                    f"at {handover.time_ns / S - 1000:.3f} s{_others(over)}"
                )
    return [lines[0] + (f"; {len(lines) - 1} more such" if lines[1:] else "") for lines in found.values() if lines]


def faults_of(world: World) -> list[str]:
    """Everything at once, for a loop with controllers in step."""
    settings = world.guard.settings
    found = []
    for at, sent in world.record.sent:
        found += [
            f"sent at {at / S - 1000:.3f} s: {f}" for f in sent_faults(sent, world.embodiment.limits, settings, at)
        ]
    found += [e for t, e in world.record.events if "refuses" in e]
    return found + stream_faults(world) + handover_faults(world)
