"""Where the tools were, where the guard sends them, and where it found a limit broken: points for viewers."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.errors import InputError
from cosmos_ros.guard.surroundings import Box, surroundings_of
from cosmos_ros.trajectory.piecewise import piecewise
from cosmos_ros.types import NANOSECONDS, FloatArray, JointState, JointTrajectory

_SAMPLES = 120
# Candidates whose verdict may still be on its way.
_CANDIDATES = 16
_VIOLATIONS = 64


@dataclass(frozen=True)
class ViolatingPoint:
    """Where a tool is when a limit is first broken.

    Attributes:
        link: Tool link.
        position: ``float64 [3]`` in the base frame, m.
        text: Limit and joint.
    """

    link: str
    position: FloatArray
    text: str


@dataclass(frozen=True)
class VerdictPaths:
    """The last verdict in space. Paths are tool link → ``float64 [N, 3]`` in the base frame, m.

    Attributes:
        response: ``accept``, ``slow_down``, ``truncate`` or ``reject``; empty before the first verdict.
        summary: One line.
        stamp_ns: Of the candidate.
        guarded: What was, or would have been, sent.
        refused: The candidate from its first violation on.
        violations: First point of each violation that has a time.
    """

    response: str = ""
    summary: str = ""
    stamp_ns: int = 0
    guarded: Mapping[str, FloatArray] = field(default_factory=dict)
    refused: Mapping[str, FloatArray] = field(default_factory=dict)
    violations: tuple[ViolatingPoint, ...] = ()


class MotionTrace:
    """Follows joint states, candidates, guarded trajectories and verdicts of one robot. Used by one thread.

    Args:
        embodiment: One with a robot.
        history_s: Length of the recent path, s.
        rate: Most points of the recent path a second.

    Raises:
        InputError: The embodiment has no robot.
    """

    def __init__(self, embodiment: Embodiment, *, history_s: float = 5.0, rate: float = 30.0) -> None:
        if embodiment.robot is None:
            raise InputError(f"embodiment {embodiment.name} has no joints", where="embodiment")
        self._embodiment = embodiment
        self._model = embodiment.robot
        self._history_ns = round(history_s * NANOSECONDS)
        self._step_ns = round(NANOSECONDS / rate)
        self._recent: deque[tuple[int, FloatArray]] = deque()
        self._candidates: dict[int, JointTrajectory] = {}
        self._guarded: dict[tuple[str, ...], JointTrajectory] = {}
        self._verdict: Mapping[str, Any] = {}
        self.surroundings = surroundings_of(embodiment)
        # Joints that nobody reports stand at home.
        self.positions: dict[str, float] = dict(embodiment.home)

    # -- what comes in --------------------------------------------------------------------------------------------

    def add_joint_state(self, state: JointState) -> bool:
        """Note a joint state; return whether it is far enough after the last one to be worth showing.

        A stamp that runs backwards (a bag that starts again) empties the recent path.
        """
        if self._recent and state.stamp_ns < self._recent[-1][0]:
            self.clear()
        for name, position in zip(state.names, state.positions, strict=True):
            if isfinite(position):
                self.positions[name] = float(position)
        if self._recent and state.stamp_ns - self._recent[-1][0] < self._step_ns:
            return False
        row = np.array([self.positions.get(name, 0.0) for name in self._model.joint_names])
        self._recent.append((state.stamp_ns, row))
        while self._recent[0][0] < state.stamp_ns - self._history_ns:
            self._recent.popleft()
        return True

    def add_candidate(self, trajectory: JointTrajectory) -> None:
        """Note what the guard is about to judge."""
        self._candidates[trajectory.stamp_ns] = trajectory
        while len(self._candidates) > _CANDIDATES:
            del self._candidates[next(iter(self._candidates))]

    def add_guarded(self, trajectory: JointTrajectory) -> None:
        """Note what was, or would have been, sent to a controller; it replaces the last one of the same joints."""
        # One trajectory of all joints (would_send) replaces those of its parts, and the other way round.
        names = set(trajectory.joint_names)
        self._guarded = {key: value for key, value in self._guarded.items() if not names & set(key)}
        self._guarded[trajectory.joint_names] = trajectory

    def add_keep_out(self, boxes: Sequence[Box]) -> None:
        """Note the guard's keep-out boxes besides those of the embodiment; they replace those noted before."""
        own = surroundings_of(self._embodiment)
        self.surroundings = replace(own, keep_out=(*own.keep_out, *boxes))

    def add_verdict(self, verdict: Mapping[str, Any]) -> None:
        """Note a verdict, as ``~/verdict_json`` holds it."""
        self._verdict = verdict

    def clear(self) -> None:
        """Forget all motion, e.g. when the clock was reset."""
        self._recent.clear()
        self._candidates.clear()
        self._guarded.clear()
        self._verdict = {}

    # -- what is shown --------------------------------------------------------------------------------------------

    @property
    def newest_candidate(self) -> JointTrajectory | None:
        """The candidate that came last."""
        return next(reversed(self._candidates.values()), None)

    def recent_path(self) -> dict[str, FloatArray]:
        """Return tool link → ``float64 [N, 3]``, oldest first: where the tools were."""
        if not self._recent:
            return {}
        return self._tools(np.stack([row for _, row in self._recent]))

    def path_of(self, trajectory: JointTrajectory, begin_s: float = 0.0) -> dict[str, FloatArray]:
        """Return tool link → ``float64 [N, 3]`` along a trajectory from ``begin_s`` of its time on.

        Points that are not finite are left out; other joints stand where they are measured.
        """
        finite = _finite(trajectory)
        if finite is None:
            return {}
        end = float(finite.times_ns[-1]) / NANOSECONDS
        if end < begin_s:
            return {}
        return self._tools(self._rows(finite, np.linspace(begin_s, end, _SAMPLES)))

    def posture_at(self, trajectory: JointTrajectory, time_s: float) -> dict[str, float]:
        """Return joint → position at a time of the trajectory, clamped to it; other joints as measured."""
        finite = _finite(trajectory)
        if finite is None:
            return dict(self.positions)
        row = self._rows(finite, np.array([time_s]))[0]
        return {**self.positions, **dict(zip(self._model.joint_names, (float(v) for v in row), strict=True))}

    def verdict_paths(self) -> VerdictPaths:
        """Return the last verdict in space."""
        guarded: dict[str, FloatArray] = {}
        for trajectory in self._guarded.values():
            if any(set(trajectory.joint_names) & set(self._model.supporting_joints(t)) for t in self._links):
                guarded.update(self.path_of(trajectory))
        verdict = self._verdict
        stamp = verdict.get("stamp_ns", 0)
        candidate = self._candidates.get(stamp)
        refused: dict[str, FloatArray] = {}
        points: list[ViolatingPoint] = []
        timed = [] if candidate is None else _timed(verdict.get("violations", ()), candidate)
        if candidate is not None and timed:
            refused = self.path_of(candidate, timed[0][0])
            points = [
                point for time_s, text in timed[:_VIOLATIONS] for point in self._violating(candidate, time_s, text)
            ]
        return VerdictPaths(
            str(verdict.get("response", "")),
            str(verdict.get("summary", "")),
            int(stamp),
            guarded,
            refused,
            tuple(points),
        )

    # -- forward kinematics ---------------------------------------------------------------------------------------

    @property
    def _links(self) -> tuple[str, ...]:
        return self._embodiment.tool_links

    def _violating(self, candidate: JointTrajectory, time_s: float, text: str) -> list[ViolatingPoint]:
        finite = _finite(candidate)
        if finite is None:
            return []
        tools = self._tools(self._rows(finite, np.array([time_s])))
        return [ViolatingPoint(link, points[0], text) for link, points in tools.items()]

    def _rows(self, trajectory: JointTrajectory, times: FloatArray) -> FloatArray:
        """Return ``float64 [M, J]`` of the model's joints at seconds ``times``."""
        values = trajectory.positions[np.zeros(len(times), dtype=np.intp)]
        if len(trajectory.times_ns) > 1:
            values = piecewise(trajectory)(times)
        rows = np.tile([self.positions.get(name, 0.0) for name in self._model.joint_names], (len(times), 1))
        for column, name in enumerate(self._model.joint_names):
            if name in trajectory.joint_names:
                rows[:, column] = values[:, trajectory.joint_names.index(name)]
        return rows

    def _tools(self, rows: FloatArray) -> dict[str, FloatArray]:
        return {link: poses[:, :3, 3] for link, poses in self._model.fk_batch_links(rows, self._links).items()}


def _finite(trajectory: JointTrajectory) -> JointTrajectory | None:
    """Return the beginning of a trajectory that can be drawn: finite, times increasing; None for nothing."""
    good: npt.NDArray[np.bool_] = np.ones(len(trajectory.times_ns), dtype=np.bool_)
    for values in (trajectory.positions, trajectory.velocities, trajectory.accelerations):
        if values is not None:
            good &= np.isfinite(values).all(axis=1)
    good[1:] &= np.diff(trajectory.times_ns) > 0
    count = len(good) if good.all() else int(np.argmin(good))
    if count == 0:
        return None
    return trajectory.first(count)


def _timed(violations: Sequence[Mapping[str, Any]], candidate: JointTrajectory) -> list[tuple[float, str]]:
    """Return (seconds, text) of the violations that have a place on the candidate, by time."""
    found = []
    for violation in violations:
        time_s, step = violation.get("time"), violation.get("step")
        if not isinstance(time_s, (int, float)) or not isfinite(time_s):
            if not isinstance(step, int) or not 0 <= step < len(candidate.times_ns):
                continue
            time_s = float(candidate.times_ns[step]) / NANOSECONDS
        text = " ".join(str(part) for part in (violation.get("limit"), violation.get("joint")) if part)
        found.append((max(0.0, float(time_s)), text))
    return sorted(found)
