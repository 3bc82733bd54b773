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

from cosmos_ros.guard.motion.joint_motion import Motion
from cosmos_ros.guard.motion.kinematic_bounds import Chain, Rates, make_chain
from cosmos_ros.guard.surroundings import Capsule
from cosmos_ros.kinematics import RobotModel
from cosmos_ros.trajectory.extrema import evaluate
from cosmos_ros.types import FloatArray, JointState

# Longest interval of the first look, s; it is shared by all checks, and certifies most motions.
FIRST_STEP = 1.0 / 14.0
_HALVES = 0.5 ** np.arange(6)
_NEXT, _LAST = np.array([1, 2, 0]), np.array([2, 0, 1])


_Index = slice | npt.NDArray[np.intp]


def cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return a × b of vectors ``[..., 3]``; several times faster than numpy's on short arrays."""
    result: FloatArray = a.take(_NEXT, -1) * b.take(_LAST, -1) - a.take(_LAST, -1) * b.take(_NEXT, -1)
    return result


@dataclass(frozen=True)
class Columns:
    """The joints under a point, in the root's axes.

    Attributes:
        axis: ``float64 [M, C, 3]`` joint axes.
        jacobian: ``float64 [M, C, 6]`` the columns of the geometric Jacobian, linear part first.
        position: ``float64 [M, 3]`` the point.
    """

    axis: FloatArray
    jacobian: FloatArray
    position: FloatArray


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
        # The poses of all others are computed in one go.
        self.links = tuple(link for link in self.chains if link not in self.tools)
        self._places: dict[tuple[str, ...], tuple[_Index, _Index, tuple[tuple[int, str], ...]]] = {}

    def places(self, names: tuple[str, ...]) -> tuple[_Index, _Index, tuple[tuple[int, str], ...]]:
        """Return where a motion's columns are taken from and go to in the model's joints, and which it lacks."""
        if names not in self._places:
            if len(self._places) > 64:
                self._places.clear()
            joints = self.model.joint_names
            pairs = [(k, joints.index(name)) for k, name in enumerate(names) if name in joints]
            absent = tuple((k, name) for k, name in enumerate(joints) if name not in names)
            self._places[names] = (_indices([k for k, _ in pairs]), _indices([k for _, k in pairs]), absent)
        return self._places[names]

    def samples(self, motion: Motion, measured: JointState | None) -> Samples:
        """Return the kinematics along one motion."""
        return Samples(self, motion, measured)


class Samples:
    """Kinematics along one motion. Everything is computed when first asked for."""

    def __init__(self, sampler: Sampler, motion: Motion, measured: JointState | None) -> None:
        self.sampler = sampler
        self.motion = motion
        self._bounds: dict[int, FloatArray] = {}
        self._chain_bounds: dict[tuple[str, int], FloatArray] = {}
        self._from, self._to, absent = sampler.places(motion.names)
        self.rest = np.zeros(len(sampler.model.joint_names))
        if absent and measured is not None:
            for index, name in absent:
                if name in measured.names:
                    self.rest[index] = measured.position_of(name)

    def fill(self, columns: FloatArray, rest: FloatArray | float) -> FloatArray:
        """Spread trajectory columns ``[M, J]`` over the model's joints ``[M, Jm]``."""
        whole = np.empty((len(columns), len(self.rest)))
        whole[:] = rest
        whole[:, self._to] = columns[:, self._from]
        return whole

    def bound(self, order: int) -> FloatArray:
        """Return bounds on the order-th derivative of the model's joints in each segment, ``[S, Jm]``."""
        if order not in self._bounds:
            if order > self.motion.degree:
                self._bounds[order] = np.zeros((len(self.motion.durations), len(self.rest)))
            else:
                enclosure = self.motion.hull(order)
                self._bounds[order] = self.fill(np.maximum(np.abs(enclosure.lower), np.abs(enclosure.upper)), 0.0)
        return self._bounds[order]

    def chain_bound(self, chain: Chain, order: int) -> FloatArray:
        """Return the same of a chain's joints, ``[S, C]``."""
        key = (chain.link, order)
        if key not in self._chain_bounds:
            self._chain_bounds[key] = self.bound(order) @ chain.rates_of
        return self._chain_bounds[key]

    def ceilings(self, chain: Chain) -> Rates:
        """Return bounds that hold anywhere in a segment, ``[S]`` each, from the dimensions of the robot alone."""
        return Rates(chain, lambda order: self.chain_bound(chain, order), chain.reach)

    @cached_property
    def grid(self) -> Points:
        """Midpoints of the first look's intervals, with their half widths."""
        durations = self.motion.durations
        if durations.max() <= FIRST_STEP:  # one look a segment, as most chunks have it
            middle = np.full(len(durations), 0.5)
            return Points(self, np.arange(len(durations)), middle, middle)
        counts = np.maximum(1, np.ceil(durations / FIRST_STEP)).astype(np.intp)
        segment = np.repeat(np.arange(len(durations)), counts)
        within = np.arange(len(segment)) - np.repeat(np.cumsum(counts) - counts, counts)
        u = (within + 0.5) / counts[segment]
        return Points(self, segment, u, 0.5 / counts[segment])

    @cached_property
    def second_grid(self) -> Points:
        """The second look at the whole motion, shared as well: what one check needs finer, another mostly does too."""
        return self.grid.parts(np.ones(len(self.grid), dtype=bool), 2)

    def looks(self) -> Iterator[Points]:
        """Yield the shared looks, the coarse one first."""
        yield self.grid
        yield self.second_grid


def _indices(values: list[int]) -> _Index:
    """Return an index of these places; a slice where they follow each other, which is faster."""
    if values and values == list(range(values[0], values[0] + len(values))):
        return slice(values[0], values[0] + len(values))
    return np.array(values, dtype=np.intp)


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

    @cached_property
    def _one_each(self) -> bool:
        """Whether these are the middles of all segments, in order."""
        return self is self.samples.grid and len(self) == len(self.samples.motion.durations)

    def only(self, index: int) -> Points:
        """Return one of the points."""
        return self.rows(slice(index, index + 1))

    def rows(self, rows: slice) -> Points:
        """Return some of the points, in order."""
        return Points(self.samples, self.segment[rows], self.u[rows], self.half[rows])

    def parts(self, chosen: npt.NDArray[np.bool_], count: int) -> Points:
        """Return the midpoints of ``count`` parts of each chosen interval, in order of time."""
        half = self.half[chosen] / count
        offsets = 2.0 * np.arange(count) + 1.0 - count
        u = (self.u[chosen][:, None] + half[:, None] * offsets).ravel()
        return Points(self.samples, np.repeat(self.segment[chosen], count), u, np.repeat(half, count))

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
            elif self._one_each:
                unit = motion.unit(order)
                values = unit @ _HALVES[: unit.shape[-1]]
            else:
                values = evaluate(motion.unit(order)[self.segment], self.u[:, None, None])[..., 0]
            self._columns[order] = self.samples.fill(values, self.samples.rest if order == 0 else 0.0)
        return self._columns[order]

    def pose(self, link: str) -> FloatArray:
        """Return the pose of a link that is no tool, ``[M, 4, 4]``."""
        if self._poses is None:
            sampler = self.samples.sampler
            self._poses = sampler.model.fk_batch_links(self.joints(0), sampler.links)
        return self._poses[link]

    def position(self, link: str) -> FloatArray:
        """Return the origin of a tool link, ``[M, 3]``."""
        return self.columns(link).position

    def columns(self, tool: str) -> Columns:
        """Return the joints under a tool link."""
        if tool not in self._tools:
            chain = self.samples.sampler.chains[tool]
            frames = chain.frames(self.joints(0))
            turned = frames[..., :3, :3]
            axis = turned[..., 2] if chain.about_z else np.einsum("mcij,cj->mci", turned, chain.axes)
            if chain.joints:
                position = frames[:, -1, :3, :3] @ chain.tip[:3, 3] + frames[:, -1, :3, 3]
            else:
                position = np.tile(chain.tip[:3, 3], (len(self), 1))
            jacobian = np.empty((*axis.shape[:2], 6))
            jacobian[..., :3] = cross(axis, position[:, None] - frames[..., :3, 3])
            jacobian[..., 3:] = axis
            if chain.slides.size:
                jacobian[:, chain.slides, :3] = axis[:, chain.slides]
                jacobian[:, chain.slides, 3:] = 0.0
            self._tools[tool] = Columns(axis, jacobian, position)
        return self._tools[tool]

    def rates(self, link: str) -> Rates:
        """Return bounds of a tool link that hold over the interval each point stands for, ``[M]`` each.

        A joint reaches as far as its column of the Jacobian says here, and farther by what the joints after it can
        move the point meanwhile.
        """
        if link not in self._rates:
            samples = self.samples
            chain = samples.sampler.chains[link]

            def bound(order: int) -> FloatArray:
                whole = samples.chain_bound(chain, order)
                return whole if self._one_each else whole[self.segment]

            reach = chain.reach
            moved = bound(1) * reach
            after = np.add.reduce(moved, axis=1)[:, None] - np.cumsum(moved, axis=1)
            columns = self.columns(link).jacobian[..., :3]
            here = np.sqrt(np.einsum("mci,mci->mc", columns, columns))
            reach = np.minimum(reach, here + after * self.half_seconds[:, None])
            self._rates[link] = Rates(chain, bound, reach)
        return self._rates[link]

    def square(self, tool: str) -> FloatArray:
        """Return J·Jᵀ of a tool link, ``[M, 6, 6]``."""
        chain = self.samples.sampler.chains[tool]
        if not chain.plain:
            whole = self.jacobian(tool)
            result: FloatArray = whole @ np.swapaxes(whole, 1, 2)
            return result
        columns = self.columns(tool).jacobian
        square: FloatArray = np.swapaxes(columns, 1, 2) @ columns
        return square

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
        """Return the tool's linear and angular acceleration, ``[M, 6]``: ``J q̈ + J̇ q̇``."""
        chain, columns = self.samples.sampler.chains[tool], self.columns(tool)
        speed, change = self.joints(1) @ chain.gains.T, self.joints(2) @ chain.gains.T
        rate = self._column_rates(tool, speed)
        result: FloatArray = (change[:, None] @ columns.jacobian + speed[:, None] @ rate)[:, 0]
        return result

    def _column_rates(self, tool: str, speed: FloatArray) -> FloatArray:
        """Return dJ/dt, ``[M, C, 6]``, at chain joint speeds ``[M, C]``.

        The joints before a joint turn its whole column, with ω the sum of their rotations; the joints after it, and it
        itself, move the point against its origin: ``ω × column``, and ``z × (their part of the point's velocity)``.
        """
        chain, columns = self.samples.sampler.chains[tool], self.columns(tool)
        parts = speed[..., None] * columns.jacobian
        spin = parts[..., 3:]
        before = np.cumsum(spin, axis=1) - spin
        rate = cross(before[:, :, None], columns.jacobian.reshape(*speed.shape, 2, 3)).reshape(columns.jacobian.shape)
        after = parts[:, ::-1, :3].cumsum(axis=1)[:, ::-1]
        own = cross(columns.axis, after)
        if chain.slides.size:
            own[:, chain.slides] = 0.0
        rate[..., :3] += own
        return rate

    def coarse_singular_rate(self, tool: str) -> FloatArray:
        """Return a coarse bound, from the robot's dimensions, of what ``singular_rate`` bounds finely."""
        chain = self.samples.sampler.chains[tool]
        result: FloatArray = (self.samples.chain_bound(chain, 1) @ chain.singular_gains)[self.segment]
        return result

    def singular_rate(self, tool: str) -> FloatArray:
        """Return a bound on how fast the Jacobian's singular values change over the interval of each point, ``[M]``.

        They change no faster than the Frobenius norm of dJ/dt, and not at all with the first joint, which turns the
        whole arm: it is held still. What dJ/dt is here is computed, what it becomes meanwhile is bounded.
        """
        chain = self.samples.sampler.chains[tool]
        speed = self.joints(1) @ chain.gains.T
        speed[:, 0] = 0.0
        rate = self._column_rates(tool, speed).reshape(len(self), -1)
        bend = self.rates(tool).jacobian_bend
        result: FloatArray = np.sqrt(np.einsum("mi,mi->m", rate, rate)) + 0.5 * bend * self.half_seconds
        return result
