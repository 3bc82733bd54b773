"""The robot's kinematics along a motion: poses and Jacobians where they are needed, and bounds in between.

A check that is not a polynomial in time is settled by Lipschitz bounds: what a quantity is at one time and how fast it
can change at most certify it over an interval. The rates follow from the velocities' hulls and from how far a link can
be from each joint's axis, which the robot's dimensions bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cosmos_ros.guard.config import Capsule
from cosmos_ros.guard.motion import Motion
from cosmos_ros.kinematics import RobotModel
from cosmos_ros.trajectory.extrema import evaluate
from cosmos_ros.types import FloatArray, JointState

# Longest interval of the first look; most motions are certified at this step.
FIRST_STEP = 1.0 / 28.0


@dataclass(frozen=True)
class Chain:
    """The moving joints between the root and a point on a link, C of them.

    Attributes:
        link: The link.
        gains: ``float64 [C, J]`` chain joint speed from the model's actuated joint speeds (mimic joints follow).
        reach: ``float64 [C]`` how fast the point can move at most per unit of joint speed: metres for turning joints
            (a bound on the distance from the axis), 1 for sliding ones.
        turns: ``float64 [C]`` 1 for turning joints, 0 for sliding ones.
        joints: Names of the chain joints, root first.
    """

    link: str
    gains: FloatArray
    reach: FloatArray
    turns: FloatArray
    joints: tuple[str, ...]


def make_chain(model: RobotModel, link: str, extent: float = 0.0) -> Chain:
    """Return the chain to a link.

    Args:
        model: The robot.
        link: A link of it.
        extent: Distance of the farthest point of interest from the link's origin, m.
    """
    parents = {joint.child: joint for joint in model.tree.joints}
    reach: list[float] = []
    gains: list[FloatArray] = []
    turns: list[float] = []
    names: list[str] = []
    distance = extent
    current = link
    while current in parents:
        joint = parents[current]
        if joint.type != "fixed" and joint.limit is not None:
            row = np.zeros(len(model.joint_names))
            mimic = joint.limit.mimic
            source, factor = (joint.name, 1.0) if mimic is None else (mimic.source, mimic.multiplier)
            row[model.joint_names.index(source)] = factor
            slides = joint.type == "prismatic"
            gains.append(row)
            turns.append(0.0 if slides else 1.0)
            reach.append(1.0 if slides else distance)
            names.append(joint.name)
            if slides:
                distance += max(abs(joint.limit.lower), abs(joint.limit.upper))
        distance += float(np.linalg.norm(joint.origin[:3, 3]))
        current = joint.parent
    return Chain(
        link=link,
        gains=np.array(gains[::-1]).reshape(-1, len(model.joint_names)),
        reach=np.array(reach[::-1]),
        turns=np.array(turns[::-1]),
        joints=tuple(names[::-1]),
    )


class Sampler:
    """A robot model prepared for checking motions of some of its joints. Joints that a motion lacks stay as measured.

    Args:
        model: The robot.
        tools: Links whose Jacobians are needed.
        links: Links whose poses are needed.
        capsules: Shapes whose ends are followed.
    """

    def __init__(
        self,
        model: RobotModel,
        tools: Sequence[str] = (),
        links: Sequence[str] = (),
        capsules: Sequence[Capsule] = (),
    ) -> None:
        self.model = model
        self.tools = tuple(dict.fromkeys(tools))
        shapes = tuple(dict.fromkeys(capsule.link for capsule in capsules))
        self.links = tuple(dict.fromkeys((*links, *shapes)))
        self.chains = {link: make_chain(model, link) for link in dict.fromkeys((*self.tools, *self.links))}

    def samples(self, motion: Motion, measured: JointState | None) -> Samples:
        """Return the kinematics along one motion."""
        return Samples(self, motion, measured)


class Samples:
    """Kinematics along one motion. Everything is computed when first asked for."""

    def __init__(self, sampler: Sampler, motion: Motion, measured: JointState | None) -> None:
        self.sampler = sampler
        self.motion = motion
        self._rates: dict[str, tuple[FloatArray, FloatArray, FloatArray]] = {}
        names = sampler.model.joint_names
        self.rest = np.zeros(len(names))
        if measured is not None:
            known = {name: float(q) for name, q in zip(measured.names, measured.positions, strict=True)}
            self.rest = np.array([known.get(name, 0.0) for name in names])
        pairs = [(k, names.index(name)) for k, name in enumerate(motion.names) if name in names]
        self._from = np.array([k for k, _ in pairs], dtype=np.intp)
        self._to = np.array([k for _, k in pairs], dtype=np.intp)

    def fill(self, columns: FloatArray, rest: FloatArray | float) -> FloatArray:
        """Spread trajectory columns ``[M, J]`` over the model's joints ``[M, Jm]``."""
        whole = np.empty((len(columns), len(self.rest)))
        whole[:] = rest
        whole[:, self._to] = columns[:, self._from]
        return whole

    @cached_property
    def bounds(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Bounds on speed, acceleration and jerk of the model's joints in each segment, ``[S, Jm]`` each."""
        result = []
        for order in (1, 2, 3):
            if order > self.motion.degree:
                result.append(np.zeros((len(self.motion.durations), len(self.rest))))
                continue
            enclosure = self.motion.hull(order)
            result.append(self.fill(np.maximum(np.abs(enclosure.lower), np.abs(enclosure.upper)), 0.0))
        return result[0], result[1], result[2]

    def chain_rates(self, chain: Chain) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the bounds of a chain's joints, ``[S, C]`` each."""
        if chain.link not in self._rates:
            gains = np.abs(chain.gains).T
            speed, acceleration, jerk = self.bounds
            self._rates[chain.link] = (speed @ gains, acceleration @ gains, jerk @ gains)
        return self._rates[chain.link]

    def speed_bound(self, chain: Chain) -> FloatArray:
        """Return a bound on the speed of the chain's point in each segment, m/s, ``[S]``."""
        speed = self.chain_rates(chain)[0]
        result: FloatArray = speed @ chain.reach
        return result

    def acceleration_bound(self, chain: Chain) -> FloatArray:
        """Return a bound on the acceleration of the chain's point in each segment, m/s², ``[S]``.

        ``p̈ = Σ_k J_k q̈_k + Σ_jk ∂²p/∂q_j∂q_k q̇_j q̇_k``, and the second derivative by joints j ≤ k is at most the
        reach from joint k.
        """
        speed, acceleration, _ = self.chain_rates(chain)
        turning = speed * chain.turns
        before = np.cumsum(turning, axis=1) - turning
        result: FloatArray = acceleration @ chain.reach + (speed * (turning + 2.0 * before)) @ chain.reach
        return result

    def jerk_bound(self, chain: Chain) -> FloatArray:
        """Return a bound on the third derivative of the chain's point in each segment, m/s³, ``[S]``.

        Coarser than the others: every derivative of p of order n is at most the longest reach.
        """
        speed, acceleration, jerk = self.chain_rates(chain)
        longest = float(chain.reach.max(initial=0.0))
        total, change = speed.sum(axis=1), acceleration.sum(axis=1)
        result: FloatArray = jerk @ chain.reach + longest * (3.0 * total * change + total**3)
        return result

    def turning_speed(self, chain: Chain) -> FloatArray:
        """Return a bound on the angular speed of the chain's link in each segment, rad/s, ``[S]``."""
        result: FloatArray = self.chain_rates(chain)[0] @ chain.turns
        return result

    def turning_bounds(self, chain: Chain) -> tuple[FloatArray, FloatArray]:
        """Return bounds on angular acceleration and its derivative in each segment, rad/s² and rad/s³, ``[S]``."""
        speed, acceleration, jerk = self.chain_rates(chain)
        speed, acceleration, jerk = speed * chain.turns, acceleration * chain.turns, jerk * chain.turns
        before = np.cumsum(speed, axis=1) - speed
        total, change = speed.sum(axis=1), acceleration.sum(axis=1)
        return acceleration.sum(axis=1) + (speed * before).sum(axis=1), jerk.sum(axis=1) + 3.0 * total * change + total**3

    def jacobian_rate(self, chain: Chain) -> FloatArray:
        """Return a bound on how fast the Jacobian's singular values change in each segment, 1/s, ``[S]``.

        The spectral norm of dJ/dt is at most its Frobenius norm. The first joint turns the whole arm, which leaves
        singular values alone.
        """
        speed = self.chain_rates(chain)[0]
        if not speed.shape[1]:
            return np.zeros(len(speed))
        speed = speed.copy()
        speed[:, 0] = 0.0
        count = speed.shape[1]
        order = np.arange(count)
        # |∂J_j/∂q_k| ≤ reach of the later of the two joints.
        later = np.maximum(order[:, None], order[None, :])
        linear = speed @ chain.reach[later].T
        turning = speed * chain.turns
        angular = (np.cumsum(turning, axis=1) - turning) * chain.turns
        result: FloatArray = np.sqrt((linear**2 + angular**2).sum(axis=1))
        return result

    @cached_property
    def grid(self) -> Points:
        """Midpoints of the first look's intervals, with their half widths."""
        durations = self.motion.durations
        counts = np.maximum(1, np.ceil(durations / FIRST_STEP)).astype(np.intp)
        segment = np.repeat(np.arange(len(durations)), counts)
        within = np.arange(len(segment)) - np.repeat(np.cumsum(counts) - counts, counts)
        u = (within + 0.5) / counts[segment]
        return Points(self, segment, u, 0.5 / counts[segment])


class Points:
    """Times of a motion: segment, unit time and half width (unit time) of the interval each stands for."""

    def __init__(self, samples: Samples, segment: FloatArray, u: FloatArray, half: FloatArray) -> None:
        self.samples = samples
        self.segment = segment
        self.u = u
        self.half = half
        self._columns: dict[int, FloatArray] = {}
        self._jacobians: dict[str, tuple[FloatArray, FloatArray]] = {}
        self._poses: dict[str, FloatArray] | None = None

    def __len__(self) -> int:
        return len(self.u)

    @property
    def half_seconds(self) -> FloatArray:
        """Half widths in seconds, ``[M]``."""
        result: FloatArray = self.half * self.samples.motion.durations[self.segment]
        return result

    def joints(self, order: int) -> FloatArray:
        """Return the order-th derivative of the model's joints, ``[M, Jm]``."""
        if order not in self._columns:
            motion = self.samples.motion
            if order > motion.degree:
                values = np.zeros((len(self), motion.positions.shape[1]))
            else:
                values = evaluate(motion.unit(order)[self.segment], self.u[:, None, None])[..., 0]
            self._columns[order] = self.samples.fill(values, self.samples.rest if order == 0 else 0.0)
        return self._columns[order]

    def tool(self, link: str) -> tuple[FloatArray, FloatArray]:
        """Return the pose ``[M, 4, 4]`` and Jacobian ``[M, 6, Jm]`` of a tool link."""
        if link not in self._jacobians:
            self._jacobians[link] = self.samples.sampler.model.poses_and_jacobians_batch(self.joints(0), link)
        return self._jacobians[link]

    def pose(self, link: str) -> FloatArray:
        """Return the pose of a link, ``[M, 4, 4]``."""
        if link in self._jacobians:
            return self._jacobians[link][0]
        if self._poses is None:
            sampler = self.samples.sampler
            self._poses = sampler.model.fk_batch_links(self.joints(0), sampler.links)
        return self._poses[link]

    def twist(self, link: str) -> FloatArray:
        """Return the tool's linear and angular velocity, ``[M, 6]``."""
        result: FloatArray = np.einsum("mij,mj->mi", self.tool(link)[1], self.joints(1))
        return result

    def twist_rate(self, link: str) -> FloatArray:
        """Return the tool's linear and angular acceleration, ``[M, 6]``: ``J q̈ + J̇ q̇``.

        J̇ is the derivative of J along q̇, by central differences of analytic Jacobians (error about 1e-9).
        """
        q, speed = self.joints(0), self.joints(1)
        step = 1e-5
        model = self.samples.sampler.model
        ahead, behind = model.jacobian_batch(q + step * speed, link), model.jacobian_batch(q - step * speed, link)
        change = np.einsum("mij,mj->mi", ahead - behind, speed) / (2.0 * step)
        result: FloatArray = np.einsum("mij,mj->mi", self.tool(link)[1], self.joints(2)) + change
        return result
