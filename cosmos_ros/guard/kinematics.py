"""The robot's kinematics along a motion: poses and Jacobians where they are needed, and bounds in between.

A check that is not a polynomial in time is settled by Lipschitz bounds: what a quantity is at one time and how fast it
can change at most certify it over an interval. The rates follow from the velocities' hulls and from how far a link can
be from each joint's axis, which the robot's dimensions bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from cosmos_ros.guard.config import Capsule
from cosmos_ros.guard.motion import Motion
from cosmos_ros.kinematics import RobotModel
from cosmos_ros.trajectory.extrema import evaluate
from cosmos_ros.types import FloatArray, JointState

# Longest interval of the first look, s; it is shared by all checks, and certifies most motions.
FIRST_STEP = 1.0 / 14.0


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

    @cached_property
    def slides(self) -> npt.NDArray[np.intp]:
        """Indices of the sliding joints."""
        return np.flatnonzero(self.turns == 0.0)


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
        jacobian: ``float64 [M, C, 6]`` the columns of the geometric Jacobian, linear part first.
    """

    axis: FloatArray
    origin: FloatArray
    arm: FloatArray
    jacobian: FloatArray


@dataclass(frozen=True, eq=False)
class Rates:
    """Bounds on how fast a chain's point and link can move, a row a segment or interval; computed when asked for.

    ``p̈ = Σ_k J_k q̈_k + Σ_jk ∂²p/∂q_j∂q_k q̇_j q̇_k``, and so on for higher orders; a derivative of p by several joints
    is at most the reach from the last of them, since the joints before only turn it.

    Attributes:
        chain: The chain.
        joint_speed, joint_acceleration, joint_jerk: ``[R, C]`` bounds on its joints.
        reach: ``[C]`` or ``[R, C]``, see ``Chain``.
    """

    chain: Chain
    joint_speed: FloatArray
    joint_acceleration: FloatArray
    joint_jerk: FloatArray
    reach: FloatArray

    @cached_property
    def speed(self) -> FloatArray:
        """Speed of the point, m/s."""
        return _sum(self.joint_speed * self.reach)

    @cached_property
    def acceleration(self) -> FloatArray:
        """Acceleration of the point, m/s²."""
        return _sum((self.joint_acceleration + _steps(self._total**2)) * self.reach)

    @cached_property
    def jerk(self) -> FloatArray:
        """Third derivative of the point, m/s³."""
        mixed = _steps(self._total * np.cumsum(self.joint_acceleration, axis=1))
        return _sum((self.joint_jerk + 3.0 * mixed + _steps(self._total**3)) * self.reach)

    @cached_property
    def spin(self) -> FloatArray:
        """Angular speed of the link, rad/s."""
        return _sum(self._turning)

    @cached_property
    def spin_rate(self) -> FloatArray:
        """Angular acceleration of the link, rad/s²."""
        # Every pair of joints turns the later one's axis: (Σw)² counts each pair twice, and the squares besides.
        pairs = 0.5 * (self.spin**2 - _sum(self._turning**2))
        return _sum(self.joint_acceleration * self.chain.turns) + pairs

    @cached_property
    def spin_jerk(self) -> FloatArray:
        """Second derivative of the link's angular velocity, rad/s³."""
        change = _sum(self.joint_acceleration * self.chain.turns)
        return _sum(self.joint_jerk * self.chain.turns) + 3.0 * self.spin * change + self.spin**3

    @cached_property
    def jacobian(self) -> FloatArray:
        """Singular values of the Jacobian, 1/s: no faster than the Frobenius norm of dJ/dt.

        The first joint turns the whole arm, which leaves them alone.
        """
        speed = self.joint_speed
        if not speed.shape[1]:
            return np.zeros(len(speed))
        # Column j is turned by the joints up to it, and its arm moved by those after it.
        moved = speed * self.reach
        moved[:, 0] = 0.0
        early = self._total - speed[:, :1]
        linear = early * self.reach + _sum(moved)[:, None] - np.cumsum(moved, axis=1)
        angular = early * self.chain.turns
        return np.sqrt(_sum(linear**2 + angular**2))

    @cached_property
    def _total(self) -> FloatArray:
        return np.cumsum(self.joint_speed, axis=1)

    @cached_property
    def _turning(self) -> FloatArray:
        return self.joint_speed * self.chain.turns


def _sum(values: FloatArray) -> FloatArray:
    result: FloatArray = np.add.reduce(values, axis=1)
    return result


def _steps(cumulated: FloatArray) -> FloatArray:
    """Return the differences of neighbouring columns, the first against 0."""
    result = cumulated.copy()
    result[:, 1:] -= cumulated[:, :-1]
    return result


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

    def ceilings(self, chain: Chain) -> Rates:
        """Return bounds that hold anywhere in a segment, ``[S]`` each, from the dimensions of the robot alone."""
        return Rates(chain, *self.chain_rates(chain), chain.reach)

    @cached_property
    def grid(self) -> Points:
        """Midpoints of the first look's intervals, with their half widths."""
        durations = self.motion.durations
        counts = np.maximum(1, np.ceil(durations / FIRST_STEP)).astype(np.intp)
        segment = np.repeat(np.arange(len(durations)), counts)
        within = np.arange(len(segment)) - np.repeat(np.cumsum(counts) - counts, counts)
        u = (within + 0.5) / counts[segment]
        return Points(self, segment, u, 0.5 / counts[segment])

    @cached_property
    def second_grid(self) -> Points:
        """The second look at the whole motion, shared as well: what one check needs finer, another mostly does too."""
        return self.grid.halves(np.ones(len(self.grid), dtype=bool))

    def looks(self) -> Iterator[Points]:
        """Yield the shared looks, the coarse one first."""
        yield self.grid
        yield self.second_grid


class Points:
    """Times of a motion: segment, unit time and half width (unit time) of the interval each stands for."""

    def __init__(self, samples: Samples, segment: npt.NDArray[np.intp], u: FloatArray, half: FloatArray) -> None:
        self.samples = samples
        self.segment = segment
        self.u = u
        self.half = half
        self._columns: dict[int, FloatArray] = {}
        self._tools: dict[str, Columns] = {}
        self._rates: dict[str, Rates] = {}
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
            axis = np.einsum("mcij,cj->mci", frames[..., :3, :3], chain.axes)
            origin = frames[..., :3, 3]
            arm = self.pose(tool)[:, None, :3, 3] - origin
            jacobian = np.empty((*axis.shape[:2], 6))
            jacobian[..., :3] = cross(axis, arm)
            jacobian[..., 3:] = axis
            if chain.slides.size:
                jacobian[:, chain.slides, :3] = axis[:, chain.slides]
                jacobian[:, chain.slides, 3:] = 0.0
            self._tools[tool] = Columns(axis, origin, arm, jacobian)
        return self._tools[tool]

    def rates(self, link: str) -> Rates:
        """Return bounds that hold over the interval each point stands for, ``[M]`` each.

        A joint reaches as far as its column of the Jacobian says here, and farther by what the joints after it can
        move the point meanwhile.
        """
        if link not in self._rates:
            samples = self.samples
            chain = samples.sampler.chains[link]
            bounds = [bound[self.segment] for bound in samples.chain_rates(chain)]
            reach = chain.reach
            if link in samples.sampler.tools:
                moved = bounds[0] * reach
                after = _sum(moved)[:, None] - np.cumsum(moved, axis=1)
                columns = self.columns(link).jacobian[..., :3]
                here = np.sqrt(np.einsum("mci,mci->mc", columns, columns))
                reach = np.minimum(reach, here + after * self.half_seconds[:, None])
            self._rates[link] = Rates(chain, bounds[0], bounds[1], bounds[2], reach)
        return self._rates[link]

    def jacobian(self, tool: str) -> FloatArray:
        """Return the geometric Jacobian of a tool link over the model's joints, ``[M, 6, Jm]``."""
        columns = np.swapaxes(self.columns(tool).jacobian, 1, 2)
        result: FloatArray = columns @ self.samples.sampler.chains[tool].gains
        return result

    def twist(self, tool: str) -> FloatArray:
        """Return the tool's linear and angular velocity, ``[M, 6]``."""
        if tool not in self._twists:
            speed = self.joints(1) @ self.samples.sampler.chains[tool].gains.T
            self._twists[tool] = (speed[:, None] @ self.columns(tool).jacobian)[:, 0]
        return self._twists[tool]

    def twist_rate(self, tool: str) -> FloatArray:
        """Return the tool's linear and angular acceleration, ``[M, 6]``: ``J q̈ + J̇ q̇``.

        The axis of a joint turns with what carries it, its origin moves: ``ż_k = ω_k × z_k`` with ω_k the sum over
        the joints before, ``ȯ_k = ω_k × o_k + Σ_{j<k} (ȯ offset)``, and ``d(z×r) = ż×r + z×ṙ``.
        """
        chain, columns = self.samples.sampler.chains[tool], self.columns(tool)
        speed, change = self.joints(1) @ chain.gains.T, self.joints(2) @ chain.gains.T
        turns = chain.turns[:, None]
        spin = speed[..., None] * columns.jacobian[..., 3:]
        before = np.cumsum(spin, axis=1) - spin
        # Velocity of a joint's origin: every joint before turns it about its own origin, or slides it.
        shift = turns * cross(spin, columns.origin) - (1.0 - turns) * speed[..., None] * columns.axis
        origin_speed = cross(before, columns.origin) - (np.cumsum(shift, axis=1) - shift)
        arm_speed = self.twist(tool)[:, None, :3] - origin_speed
        axis_rate = cross(before, columns.axis)
        linear_rate = turns * (cross(axis_rate, columns.arm) + cross(columns.axis, arm_speed))
        linear_rate += (1.0 - turns) * axis_rate
        rate = np.concatenate((linear_rate, turns * axis_rate), axis=2)
        result: FloatArray = (change[:, None] @ columns.jacobian + speed[:, None] @ rate)[:, 0]
        return result
