"""The joints between a robot's root and a point: their frames, and bounds on how fast things change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from cosmos_ros.kinematics import RobotModel
from cosmos_ros.types import FloatArray


@dataclass(frozen=True, eq=False)
class Chain:
    """The moving joints between the root and a point on a link, C of them.

    Attributes:
        model: The robot.
        link: The link.
        gains: ``float64 [C, J]`` chain joint speed from the model's actuated joint speeds (mimic joints follow).
        reach: ``float64 [C]`` how fast the point can move at most per unit of joint speed: metres for turning joints
            (a bound on the distance from the axis), 1 for sliding ones.
        turns: ``float64 [C]`` 1 for turning joints, 0 for sliding ones.
        joints: Names of the chain joints, root first.
        axes: ``float64 [C, 3]`` joint axes in their frames.
        tip: ``float64 [4, 4]`` the link in the last joint's frame.
    """

    model: RobotModel
    link: str
    gains: FloatArray
    reach: FloatArray
    turns: FloatArray
    joints: tuple[str, ...]
    axes: FloatArray
    tip: FloatArray

    @cached_property
    def slides(self) -> npt.NDArray[np.intp]:
        """Indices of the sliding joints."""
        return np.flatnonzero(self.turns == 0.0)

    @cached_property
    def about_z(self) -> bool:
        """Whether all axes are the z axes of their frames, as in most descriptions."""
        return bool(len(self.axes)) and bool(np.all(self.axes == (0.0, 0.0, 1.0)))

    @cached_property
    def reach_steps(self) -> FloatArray:
        """``float64 [C]``: the reach of each joint less that of the next."""
        steps: FloatArray = self.reach - np.append(self.reach[1:], 0.0)
        return steps

    @cached_property
    def plain(self) -> bool:
        """Whether every chain joint is a joint of the model of its own."""
        ones = np.count_nonzero(self.gains, axis=1) == 1
        return bool(ones.all()) and len(set(np.argmax(self.gains != 0.0, axis=1))) == len(self.joints)

    @cached_property
    def singular_gains(self) -> FloatArray:
        """``float64 [C]``: how fast the Jacobian's singular values can change at most per unit of each joint's speed.

        A joint turns the columns of those after it, and moves the point against those up to it; the Frobenius norm of
        that bounds the change. The first joint turns everything, which changes nothing.
        """
        count = len(self.joints)
        after = np.cumsum((self.reach**2 + 1.0)[::-1])[::-1] - (self.reach**2 + 1.0)
        gains: FloatArray = np.sqrt(after + np.arange(1, count + 1) * self.reach**2)
        gains[:1] = 0.0
        return gains

    @cached_property
    def column_bound(self) -> float:
        """Bound on the Frobenius norm of any derivative of the Jacobian by single joints."""
        return float(np.sqrt(len(self.joints) * (self.reach.max(initial=0.0) ** 2 + 1.0)))

    @cached_property
    def rates_of(self) -> FloatArray:
        """``float64 [J, C]``: bounds on the chain's joints from bounds on the model's."""
        return np.abs(self.gains).T

    def frames(self, configurations: FloatArray) -> FloatArray:
        """Return the joints' frames in the root, ``[M, C, 4, 4]``, at model configurations ``[M, J]``."""
        return self.model.chain_frames(configurations, self.link)


def make_chain(model: RobotModel, link: str, extent: float = 0.0) -> Chain:
    """Return the chain to a link.

    Args:
        model: The robot.
        link: A link of it.
        extent: Distance of the farthest point of interest from the link's origin, m.
    """
    chain = model.chain(link)
    reach = np.ones(len(chain.joints))
    distance = extent + float(np.linalg.norm(chain.tip[:3, 3]))
    for k in reversed(range(len(chain.joints))):
        joint = chain.joints[k]
        if joint.type != "prismatic":
            reach[k] = distance
        elif joint.limit is not None:
            distance += max(abs(joint.limit.lower), abs(joint.limit.upper))
        distance += float(np.linalg.norm(chain.placements[k, :3, 3]))
    return Chain(
        model=model,
        link=link,
        gains=chain.gains,
        reach=reach,
        turns=np.array([float(joint.type != "prismatic") for joint in chain.joints]),
        joints=tuple(joint.name for joint in chain.joints),
        axes=np.array([joint.axis for joint in chain.joints]).reshape(-1, 3),
        tip=chain.tip,
    )


@dataclass(frozen=True, eq=False)
class Rates:
    """Bounds on how fast a chain's point and link can move, a row a segment or interval; computed when asked for.

    ``p̈ = Σ_k J_k q̈_k + Σ_jk ∂²p/∂q_j∂q_k q̇_j q̇_k``, and so on for higher orders; a derivative of p by several joints
    is at most the reach from the last of them, since the joints before only turn it.

    Attributes:
        chain: The chain.
        bound: Gives the bounds on a derivative of its joints, ``[R, C]``: 1 speed, 2 acceleration, 3 jerk.
        reach: ``[C]`` or ``[R, C]``, see ``Chain``.
    """

    chain: Chain
    bound: Callable[[int], FloatArray]
    reach: FloatArray

    @cached_property
    def joint_speed(self) -> FloatArray:
        """Bounds on the joints' speeds, ``[R, C]``."""
        return self.bound(1)

    @cached_property
    def joint_acceleration(self) -> FloatArray:
        """Bounds on the joints' accelerations, ``[R, C]``."""
        return self.bound(2)

    def _reached(self, cumulated: FloatArray) -> FloatArray:
        """Return ``Σ_k (c_k - c_(k-1)) · reach_k`` of cumulated sums ``[R, C]``."""
        if self.reach.ndim == 1:
            result: FloatArray = cumulated @ self.chain.reach_steps
            return result
        return _weighted(_steps(cumulated), self.reach)

    @cached_property
    def speed(self) -> FloatArray:
        """Speed of the point, m/s."""
        return _weighted(self.joint_speed, self.reach)

    @cached_property
    def acceleration(self) -> FloatArray:
        """Acceleration of the point, m/s²."""
        return _weighted(self.joint_acceleration, self.reach) + self._reached(self._total**2)

    @cached_property
    def jerk(self) -> FloatArray:
        """Third derivative of the point, m/s³."""
        total = self._total
        mixed = total * np.cumsum(self.joint_acceleration, axis=1)
        return _weighted(self.bound(3), self.reach) + self._reached(3.0 * mixed + total**3)

    @cached_property
    def spin(self) -> FloatArray:
        """Angular speed of the link, rad/s."""
        return _weighted(self.joint_speed, self.chain.turns)

    @cached_property
    def _spin_change(self) -> FloatArray:
        return _weighted(self.joint_acceleration, self.chain.turns)

    @cached_property
    def spin_rate(self) -> FloatArray:
        """Angular acceleration of the link, rad/s²."""
        # Every pair of joints turns the later one's axis: (Σw)² counts each pair twice, and the squares besides.
        return self._spin_change + 0.5 * (self.spin**2 - _weighted(self.joint_speed**2, self.chain.turns))

    @cached_property
    def spin_jerk(self) -> FloatArray:
        """Second derivative of the link's angular velocity, rad/s³."""
        return _weighted(self.bound(3), self.chain.turns) + 3.0 * self.spin * self._spin_change + self.spin**3

    @cached_property
    def jacobian_bend(self) -> FloatArray:
        """Second derivative of the Jacobian while the first joint stands still, Frobenius norm, 1/s²."""
        speed, change = _sum(self.joint_speed[:, 1:]), _sum(self.joint_acceleration[:, 1:])
        # A derivative of a column by two joints is at most the longest reach, and at most 1 in its angular part.
        result: FloatArray = (change + speed**2) * self.chain.column_bound
        return result

    @cached_property
    def _total(self) -> FloatArray:
        return np.cumsum(self.joint_speed, axis=1)


def _weighted(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the sums over the joints of values times weights, ``[R]``."""
    result: FloatArray = values @ weights if weights.ndim == 1 else np.einsum("rc,rc->r", values, weights)
    return result


def _sum(values: FloatArray) -> FloatArray:
    result: FloatArray = np.add.reduce(values, axis=1)
    return result


def _steps(cumulated: FloatArray) -> FloatArray:
    """Return the differences of neighbouring columns, the first against 0."""
    result = cumulated.copy()
    result[:, 1:] -= cumulated[:, :-1]
    return result
