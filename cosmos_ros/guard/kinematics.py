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
import numpy.typing as npt

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
        frames: Link that each joint moves; its frame is the joint's.
        axes: ``float64 [C, 3]`` joint axes in these frames.
    """

    link: str
    gains: FloatArray
    reach: FloatArray
    turns: FloatArray
    joints: tuple[str, ...]
    frames: tuple[str, ...]
    axes: FloatArray


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
    frames: list[str] = []
    axes: list[FloatArray] = []
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
            frames.append(joint.child)
            axes.append(joint.axis)
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
        frames=tuple(frames[::-1]),
        axes=np.array(axes[::-1]).reshape(-1, 3),
    )


def cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return a × b of vectors ``[..., 3]``; several times faster than numpy's on short arrays."""
    result = np.empty(np.broadcast_shapes(a.shape, b.shape))
    result[..., 0] = a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1]
    result[..., 1] = a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2]
    result[..., 2] = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return result


@dataclass(frozen=True)
class Columns:
    """The joints under a point, in the root's axes.

    Attributes:
        axis, origin: ``float64 [M, C, 3]`` joint axes and origins.
        arm: ``float64 [M, C, 3]`` from the joint origins to the point.
        linear, angular: ``float64 [M, C, 3]`` the columns of the geometric Jacobian.
    """

    axis: FloatArray
    origin: FloatArray
    arm: FloatArray
    linear: FloatArray
    angular: FloatArray


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
        self.chains = {link: make_chain(model, link) for link in dict.fromkeys((*self.tools, *links, *shapes))}
        frames = [frame for tool in self.tools for frame in self.chains[tool].frames]
        # Everything whose pose is needed, computed in one go.
        self.links = tuple(dict.fromkeys((*self.chains, *frames)))

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

        As for the acceleration: a derivative by several joints is at most the reach from the last of them.
        """
        speed, acceleration, jerk = self.chain_rates(chain)
        reach = chain.reach
        total, change = np.cumsum(speed, axis=1), np.cumsum(acceleration, axis=1)
        mixed = np.diff(total * change, axis=1, prepend=0.0)
        cubed = np.diff(total**3, axis=1, prepend=0.0)
        result: FloatArray = jerk @ reach + 3.0 * mixed @ reach + cubed @ reach
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
        self._tools: dict[str, Columns] = {}
        self._twists: dict[str, FloatArray] = {}
        self._poses: dict[str, FloatArray] | None = None

    def __len__(self) -> int:
        return len(self.u)

    def only(self, index: int) -> Points:
        """Return one of the points."""
        rows = slice(index, index + 1)
        return Points(self.samples, self.segment[rows], self.u[rows], self.half[rows])

    def halves(self, chosen: npt.NDArray[np.bool_]) -> Points:
        """Return the midpoints of both halves of the chosen intervals, in order of time."""
        half = 0.5 * self.half[chosen]
        u = np.stack((self.u[chosen] - half, self.u[chosen] + half), axis=1).ravel()
        return Points(self.samples, np.repeat(self.segment[chosen], 2), u, np.repeat(half, 2))

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

    def pose(self, link: str) -> FloatArray:
        """Return the pose of a link, ``[M, 4, 4]``."""
        if self._poses is None:
            sampler = self.samples.sampler
            self._poses = sampler.model.fk_batch_links(self.joints(0), sampler.links)
        return self._poses[link]

    def columns(self, tool: str) -> Columns:
        """Return the joints under a tool link."""
        if tool not in self._tools:
            chain = self.samples.sampler.chains[tool]
            frames = np.stack([self.pose(frame) for frame in chain.frames], axis=1)
            axis = (frames[..., :3, :3] @ chain.axes[:, :, None])[..., 0]
            origin = frames[..., :3, 3]
            arm = self.pose(tool)[:, None, :3, 3] - origin
            turns = chain.turns[:, None]
            linear = turns * cross(axis, arm) + (1.0 - turns) * axis
            self._tools[tool] = Columns(axis, origin, arm, linear, turns * axis)
        return self._tools[tool]

    def jacobian(self, tool: str) -> FloatArray:
        """Return the geometric Jacobian of a tool link over the model's joints, ``[M, 6, Jm]``."""
        columns = self.columns(tool)
        whole = np.concatenate((columns.linear, columns.angular), axis=2)
        result: FloatArray = np.swapaxes(whole, 1, 2) @ self.samples.sampler.chains[tool].gains
        return result

    def twist(self, tool: str) -> FloatArray:
        """Return the tool's linear and angular velocity, ``[M, 6]``."""
        if tool not in self._twists:
            columns = self.columns(tool)
            speed = self.joints(1) @ self.samples.sampler.chains[tool].gains.T
            whole = np.concatenate((columns.linear, columns.angular), axis=2)
            self._twists[tool] = np.einsum("mci,mc->mi", whole, speed)
        return self._twists[tool]

    def twist_rate(self, tool: str) -> FloatArray:
        """Return the tool's linear and angular acceleration, ``[M, 6]``: ``J q̈ + J̇ q̇``.

        The axis of a joint turns with what carries it, its origin moves: ``ż_k = ω_k × z_k`` with ω_k the sum over
        the joints before, ``ȯ_k = ω_k × o_k + Σ_{j<k} (ȯ offset)``, and ``d(z×r) = ż×r + z×ṙ``.
        """
        chain, columns = self.samples.sampler.chains[tool], self.columns(tool)
        speed, change = self.joints(1) @ chain.gains.T, self.joints(2) @ chain.gains.T
        turns = chain.turns[:, None]
        spin = speed[..., None] * columns.angular
        before = np.cumsum(spin, axis=1) - spin
        # Velocity of a joint's origin: every joint before turns it about its own origin, or slides it.
        shift = turns * cross(spin, columns.origin) - (1.0 - turns) * speed[..., None] * columns.axis
        origin_speed = cross(before, columns.origin) - (np.cumsum(shift, axis=1) - shift)
        arm_speed = self.twist(tool)[:, None, :3] - origin_speed
        axis_rate = cross(before, columns.axis)
        linear_rate = turns * (cross(axis_rate, columns.arm) + cross(columns.axis, arm_speed))
        linear_rate += (1.0 - turns) * axis_rate
        rate = np.concatenate((linear_rate, turns * axis_rate), axis=2)
        whole = np.concatenate((columns.linear, columns.angular), axis=2)
        result: FloatArray = np.einsum("mci,mc->mi", whole, change) + np.einsum("mci,mc->mi", rate, speed)
        return result
