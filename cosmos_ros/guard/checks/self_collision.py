"""Distance between the capsules of the arm's own links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cosmos_ros.guard.checks.base import Case, Cure, GuardedRobot, Limit
from cosmos_ros.guard.motion.crossing_search import scan
from cosmos_ros.guard.motion.kinematic_bounds import Chain, make_chain
from cosmos_ros.guard.motion.sampler import Points
from cosmos_ros.guard.surroundings import Capsule
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.kinematics import RobotModel
from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.types import FloatArray

RESOLUTION = 1e-4
_AXES = {"x": 0, "y": 1, "z": 2}


def segment_distance(a0: FloatArray, a1: FloatArray, b0: FloatArray, b1: FloatArray) -> FloatArray:
    """Return distances between line segments with ends ``[..., 3]`` (Ericson, Real-Time Collision Detection, 5.1.9)."""
    da, db, gap = a1 - a0, b1 - b0, a0 - b0
    aa, bb, ab = _dot(da, da), _dot(db, db), _dot(da, db)
    ag, bg = _dot(da, gap), _dot(db, gap)
    tiny = 1e-18
    across = aa * bb - ab * ab
    # Closest points of the lines, the first held to its segment; parallel ones start anywhere.
    s = np.where(across > tiny, (ab * bg - ag * bb) / np.maximum(across, tiny), 0.0).clip(0.0, 1.0)
    t = ((ab * s + bg) / np.maximum(bb, tiny)).clip(0.0, 1.0)
    s = ((ab * t - ag) / np.maximum(aa, tiny)).clip(0.0, 1.0)
    apart = gap + s[..., None] * da - t[..., None] * db
    result: FloatArray = np.sqrt(_dot(apart, apart))
    return result


def _dot(a: FloatArray, b: FloatArray) -> FloatArray:
    result: FloatArray = np.einsum("...i,...i->...", a, b)
    return result


@dataclass(frozen=True)
class SelfCollisionSettings(DeclaredSettings):
    """How far parts of the arm are kept apart."""

    collision_margin: float = setting(
        0.01, "Least distance between parts of the arm", unit="m", minimum=0.0, maximum=0.2, read_only=True
    )


class SelfCollision(Limit):
    """Capsules that must not meet stay apart by a margin.

    Args:
        settings: The margin.
        model: The robot.
        capsules: Its shape.
        pairs: Index pairs that are held apart.
    """

    name = "self_collision"
    order = 150
    cure = Cure.STOPPING
    settings_type = SelfCollisionSettings
    uses_kinematics = True

    @classmethod
    def for_robot(cls, robot: GuardedRobot, settings: SelfCollisionSettings) -> Sequence[SelfCollision]:
        """See ``Check.for_robot``."""
        around = robot.surroundings
        if not around.collision_pairs:
            return ()
        return (cls(settings, robot.model_for(cls.name), around.capsules, around.collision_pairs),)

    def __init__(
        self,
        settings: SelfCollisionSettings,
        model: RobotModel,
        capsules: tuple[Capsule, ...],
        pairs: tuple[tuple[int, int], ...],
    ) -> None:
        super().__init__(settings)
        self.capsules, self.pairs = capsules, pairs
        self._links = tuple(dict.fromkeys(c.link for c in capsules))
        centre = np.array([c.xyz for c in capsules])
        along = np.array([np.eye(3)[_AXES[c.axis]] * 0.5 * c.length for c in capsules])
        self._ends = np.stack((centre - along, centre + along), axis=1)  # [C, 2, 3] in link frames
        self._link_of = np.array([self._links.index(c.link) for c in capsules])
        radius = np.array([c.radius for c in capsules])
        first, second = np.array(pairs, dtype=np.intp).T
        self._first, self._second = first, second
        self._radii = radius[first] + radius[second]
        # What moves one capsule of a pair against the other: the joints that only one of them hangs on.
        chains = [self._chain(model, index) for index in range(len(capsules))]
        self._gains = np.array([self._relative(model, chains[a], chains[b]) for a, b in pairs])

    def _chain(self, model: RobotModel, index: int) -> Chain:
        extent = float(np.linalg.norm(self._ends[index], axis=1).max())
        return make_chain(model, self.capsules[index].link, extent)

    @staticmethod
    def _relative(model: RobotModel, a: Chain, b: Chain) -> FloatArray:
        """Return ``[Jm]``: metres of approach per unit of each joint's speed at most."""
        total = np.zeros(len(model.joint_names))
        for chain, other in ((a, b), (b, a)):
            own = [k for k, name in enumerate(chain.joints) if name not in other.joints]
            total += chain.reach[own] @ np.abs(chain.gains[own])
        return total

    def distances(self, points: Points) -> FloatArray:
        """Return the distance between the surfaces of every pair, ``[M, P]``; negative where they overlap."""
        poses = np.stack([points.pose(link) for link in self._links], axis=1)[:, self._link_of]
        ends = np.einsum("mcij,cej->mcei", poses[..., :3, :3], self._ends) + poses[:, :, None, :3, 3]
        a, b = ends[:, self._first], ends[:, self._second]
        apart = segment_distance(a[:, :, 0], a[:, :, 1], b[:, :, 0], b[:, :, 1])
        result: FloatArray = apart - self._radii
        return result

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        samples, motion, margin = case.kinematics(), case.motion, self.settings.collision_margin
        rate = samples.bound(1) @ self._gains.T
        crossing = scan(
            samples, lambda points: self.distances(points) - margin, lambda points: rate[points.segment],
            resolution=RESOLUTION, slack=case.checking.slack, recovery=case.checking.recovery,
        )  # fmt: skip
        if crossing is None:
            return []
        at = Points(samples, np.array([crossing.segment]), np.array([crossing.u]), np.zeros(1))
        first, second = (self.capsules[i] for i in self.pairs[crossing.column])
        return [
            Violation(
                limit=self.name,
                step=motion.step_of(crossing.segment),
                time=motion.time_at(crossing.segment, crossing.u),
                value=float(self.distances(at)[0, crossing.column]),
                bound=margin,
                margin=margin,
                message=f"{first.link} and {second.link}",
                last_safe_point=motion.last_safe_point(crossing.segment, includes_start=crossing.u == 0.0),
            )
        ]
