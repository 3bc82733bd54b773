"""Independent checks of what leaves the guard, by formulas of their own. They know nothing of the guard's checks.

``sent_faults`` looks at each trajectory that was sent: finite, stamped as controllers demand, at rest at its end, and
position, velocity, acceleration and jerk between the points too. ``stream_faults`` looks at the positions that were
commanded at every control cycle over the whole run, hand-overs and stops included: a joint inside its bounds stays
there, one outside moves inwards only; no cycle's step is longer than the velocity bound allows, no change of speed than
the acceleration bound, at no hand-over a jump. ``body_faults`` looks at the arm's own capsules and the tool's speed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest
from closed_loop import MS, S, World, embodiment_of
from loop_controller import derivative, evaluate, hermite, orders

from cosmos_ros.guard import GuardSettings
from cosmos_ros.guard.checks.time_step import TimeStepSettings
from cosmos_ros.guard.surroundings import surroundings_of
from cosmos_ros.limits import JointLimit, RobotLimits
from cosmos_ros.resources import resource
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
    for j in np.flatnonzero(over):
        faults.append(f"{what} {names[j]}: {peak[j]:.6g} > {bounds[j]:.6g}")


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
        turn = np.clip(np.nan_to_num(-bend[0] / bend[1] / h, posinf=0.0, neginf=0.0), 0.0, 1.0)  # a cubic's fastest place
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
    for j in np.flatnonzero(outwards.max(axis=0) > SLACK):
        k = int(outwards[:, j].argmax())
        faults.append(f"{names[j]} leaves its bounds by {outwards[k, j]:.6f} at {seconds[k] - 1000:.3f} s")
    step = np.diff(q, axis=0)
    for j, name in enumerate(names):
        up, down = _velocity_bound(limits.joints[name], np.minimum(np.maximum(q[:-1, j], table.lower[j]), table.upper[j]))
        over = np.maximum(step[:, j] - up * tick, -step[:, j] - down * tick)
        if not over.max() <= SLACK + 1e-6 * tick * limits.joints[name].velocity:
            k = int(over.argmax())
            faults.append(f"commanded step of {name}: {step[k, j]:.6f} rad in {tick} s at {seconds[k] - 1000:.3f} s")
    if not stopped_by_others:
        change = np.abs(np.diff(step, axis=0))
        over = change - table.acceleration * tick**2 * (1.0 + 1e-6)
        for j in np.flatnonzero(~(over.max(axis=0) <= 1e-8)):
            k = int(over[:, j].argmax())
            faults.append(
                f"commanded speed of {names[j]} changes by {change[k, j] / tick:.4f} in {tick} s "
                f"({change[k, j] / tick**2:.4g} > {table.acceleration[j]:.4g}) at {seconds[k + 1] - 1000:.3f} s"
            )
    return faults


def handover_faults(world: World) -> list[str]:
    """Jumps of commanded position, velocity and acceleration where controllers took trajectories over."""
    faults = []
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
            for j in np.flatnonzero(~(jump[order] <= bound * (1 + 1e-6) + SLACK)):
                at = handover.time_ns / S - 1000
                faults.append(
                    f"{what} of {handover.joints[j]} jumps by {jump[order, j]:.6g} > {bound[j]:.6g} at {at:.3f} s"
                )
    return faults


# -- the arm's own body ----------------------------------------------------------------------------------------------


class Body:
    """Capsules and tool of an embodiment by Pinocchio, with distances by a formula of this file."""

    def __init__(self, name: str) -> None:
        pin = pytest.importorskip("pinocchio")
        self._pin = pin
        embodiment = embodiment_of(name)
        around = surroundings_of(embodiment)
        self.model = pin.buildModelFromUrdf(str(resource("embodiments", *embodiment.spec.robot.urdf.split("/"))))
        self.data = self.model.createData()
        self.capsules, self.pairs = around.capsules, np.array(around.collision_pairs, dtype=int).reshape(-1, 2)
        self.tools = embodiment.limits.cartesian
        self.frames = [self.model.getFrameId(c.link) for c in self.capsules]
        axis = {"x": 0, "y": 1, "z": 2}
        half = np.array([np.eye(3)[axis[c.axis]] * 0.5 * c.length for c in self.capsules]).reshape(-1, 3)
        centre = np.array([c.xyz for c in self.capsules]).reshape(-1, 3)
        self._ends = np.stack((centre - half, centre + half), axis=1)  # [C, 2, 3]
        self._radii = np.array([c.radius for c in self.capsules])
        self._index = {n: self.model.joints[self.model.getJointId(n)].idx_q for n in self.model.names if n != "universe"}

    def distances(self, names: tuple[str, ...], q: np.ndarray) -> np.ndarray:
        """Distances ``[M, P]`` of the pairs at positions ``[M, J]``."""
        if not len(self.pairs):
            return np.zeros((len(q), 0))
        ends = np.empty((len(q), len(self.capsules), 2, 3))
        for k, place in enumerate(self._placed(names, q)):
            for c, frame in enumerate(self.frames):
                pose = place[frame]
                ends[k, c] = self._ends[c] @ pose.rotation.T + pose.translation
        a, b = ends[:, self.pairs[:, 0]], ends[:, self.pairs[:, 1]]
        gap = segment_gap(a[..., 0, :], a[..., 1, :], b[..., 0, :], b[..., 1, :])
        return gap - self._radii[self.pairs].sum(axis=1)

    def tool_path(self, names: tuple[str, ...], q: np.ndarray, link: str) -> np.ndarray:
        """Positions ``[M, 3]`` of a link's origin."""
        frame = self.model.getFrameId(link)
        return np.array([place[frame].translation.copy() for place in self._placed(names, q)])

    def _placed(self, names: tuple[str, ...], q: np.ndarray):  # noqa: ANN202 - Pinocchio's frames, one q at a time
        whole = self._pin.neutral(self.model)
        known = [(k, self._index[name]) for k, name in enumerate(names) if name in self._index]
        for row in q:
            for k, at in known:
                whole[at] = row[k]
            self._pin.framesForwardKinematics(self.model, self.data, whole)
            yield self.data.oMf


@lru_cache(maxsize=8)
def body_of(name: str) -> Body:
    return Body(name)


def segment_gap(a0: np.ndarray, a1: np.ndarray, b0: np.ndarray, b1: np.ndarray) -> np.ndarray:
    """Distance of two segments ``[..., 3]``: the least of the lines' inner solution and the four ends' distances."""

    def to_segment(p: np.ndarray, s0: np.ndarray, s1: np.ndarray) -> np.ndarray:
        along = s1 - s0
        share = ((p - s0) * along).sum(-1) / np.maximum((along * along).sum(-1), 1e-18)
        return np.linalg.norm(p - s0 - np.clip(share, 0.0, 1.0)[..., None] * along, axis=-1)

    u, v, w = a1 - a0, b1 - b0, a0 - b0
    uu, uv, vv, uw, vw = (u * u).sum(-1), (u * v).sum(-1), (v * v).sum(-1), (u * w).sum(-1), (v * w).sum(-1)
    det = uu * vv - uv * uv
    with np.errstate(all="ignore"):
        s, t = (uv * vw - vv * uw) / det, (uu * vw - uv * uw) / det
    inside = (det > 1e-15) & (s >= 0) & (s <= 1) & (t >= 0) & (t <= 1)
    s, t = np.where(inside, s, 0.0), np.where(inside, t, 0.0)
    crossing = np.where(inside, np.linalg.norm(w + s[..., None] * u - t[..., None] * v, axis=-1), np.inf)
    ends = (to_segment(a0, b0, b1), to_segment(a1, b0, b1), to_segment(b0, a0, a1), to_segment(b1, a0, a1))
    return np.minimum(np.min(ends, axis=0), crossing)


def body_faults(world: World, margin: float, *, every: int = 20) -> list[str]:
    """Self collision and tool speed of the commanded motion; a pair too close may only come apart."""
    body = body_of(world.embodiment.name)
    seconds, q, _ = world.stream()
    faults = []
    distances = body.distances(world.names, q[::every])
    if distances.size:
        lack = np.maximum(margin - distances, 0.0)
        closer = lack - np.minimum.accumulate(lack, axis=0)
        if closer.max() > 2e-4:  # the guard decides to a tenth of a millimetre
            k, p = np.unravel_index(int(closer.argmax()), closer.shape)
            links = [body.capsules[i].link for i in body.pairs[p]]
            faults.append(f"{links} come to {distances[k, p]:.4f} m at {seconds[::every][k] - 1000:.3f} s")
    for tool in body.tools:
        path = body.tool_path(world.names, q[::every], tool.tool_link)
        speed = np.linalg.norm(np.diff(path, axis=0), axis=1) / (every * world.tick_ns / S)
        if len(speed) and speed.max() > tool.linear_speed * (1.0 + 1e-4) + 1e-4:
            faults.append(f"{tool.tool_link} at {speed.max():.4f} m/s > {tool.linear_speed}")
    return faults


def faults_of(world: World) -> list[str]:
    """Everything at once, for a loop with controllers in step."""
    settings = world.guard.settings
    found = []
    for at, sent in world.record.sent:
        found += [f"sent at {at / S - 1000:.3f} s: {f}" for f in sent_faults(sent, world.embodiment.limits, settings, at)]
    found += [e for t, e in world.record.events if "refuses" in e]
    return found + stream_faults(world) + handover_faults(world)


__all__ = ["MS", "body_faults", "faults_of", "handover_faults", "segment_gap", "sent_faults", "stream_faults"]
