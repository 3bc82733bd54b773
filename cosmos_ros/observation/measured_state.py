"""Which joint states are believed, and the whole state that they make up; the same for predictor and guard.

Drivers name different joints in different messages, send zeros before they have read anything, and sometimes two of
them publish the same joints. No ROS in here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from cosmos_ros.limits import JointLimit
from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.trajectory.executing import wrapped
from cosmos_ros.types import NANOSECONDS, FloatArray, Int64Array, JointState

MAX_SOURCES = 16
_MAX_JOINTS = 512
# Beyond the velocity bound: drivers' stamps jitter, and encoders read a little more than was moved.
_SPEED_MARGIN = 1.5
_STEP = 0.02
_SHORTEST_NS = 1_000_000
# States that contradict the believed ones, but not each other, are believed after this time.
_SETTLED_NS = 250_000_000
_SETTLED_COUNT = 3
_CONFLICT_NS = NANOSECONDS
# A closed gripper may well be exactly zero in one or two joints, an arm is not.
_BLANK_JOINTS = 3


@dataclass(frozen=True)
class JointStateSettings(DeclaredSettings):
    """Which joint states are taken."""

    max_state_lead: float = setting(
        0.05, "How far a joint state's stamp may lie in the future", unit="s", minimum=0.0, maximum=10.0, read_only=True
    )


class Belief(Enum):
    """What became of a joint state."""

    NEWER = "newer"
    OVERTAKEN = "overtaken"
    """Plausible, but nothing in it is newer than what is known."""
    REPLACED = "replaced"
    """Believed in place of the earlier ones, which were false."""
    REFUSED = "refused"


@dataclass
class _Source:
    """Messages that name the same joints: columns of the whole state, and what bounds their motion."""

    columns: npt.NDArray[np.intp]
    fastest: FloatArray
    continuous: npt.NDArray[np.bool_]


@dataclass
class _Suspects:
    """States in a row that were not believed but follow from each other."""

    first: JointState
    first_received_ns: int
    last: JointState
    last_received_ns: int
    count: int = 1

    @property
    def settled(self) -> bool:
        spans = (self.last.stamp_ns - self.first.stamp_ns, self.last_received_ns - self.first_received_ns)
        return self.count >= _SETTLED_COUNT and min(spans) >= _SETTLED_NS


class MeasuredState:
    """The newest believed state of every joint.

    A state is refused when a joint cannot have come there from the last believed one: more than 1.5 times its velocity
    bound allows, plus 0.02 rad or m (joints without a bound are not judged; continuous ones wrap). When states go on
    contradicting the believed ones, without any of these in between, for 0.25 s, they are believed. A state in which
    three joints or more, and all, are exactly zero is what a driver sends before it has read anything: it gives way to
    any other at once.

    Not thread-safe.

    Args:
        bounds: Joint → its limits; others are not judged.
        joints: Joints that a whole state needs, in the wanted order; None for all that were ever named.
        settings: See there.

    Attributes:
        refused: States refused; ``last_refusal`` says why the last one was.
        implausible: Of these, refused because they cannot follow from the believed ones.
        overtaken: States in which nothing was newer than what is known.
        note: When and why states were believed in place of others; empty for never.
    """

    def __init__(
        self,
        bounds: Mapping[str, JointLimit],
        joints: Sequence[str] | None = None,
        settings: JointStateSettings | None = None,
    ) -> None:
        self._bounds = bounds
        self._joints = None if joints is None else tuple(joints)
        self._lead_ns = round((settings or JointStateSettings()).max_state_lead * NANOSECONDS)
        self.refused = 0
        self.last_refusal = ""
        self.implausible = 0
        self.overtaken = 0
        self.note = ""
        self.forget()

    def forget(self) -> None:
        """Forget all states: a clock jumped. The counts stay."""
        self._names: dict[str, int] = {}
        self._sources: dict[tuple[str, ...], _Source] = {}
        self._positions: FloatArray = np.zeros(0)
        self._velocities: FloatArray = np.zeros(0)
        self._stamps: Int64Array = np.zeros(0, np.int64)  # below zero: not known yet
        self._suspects: dict[tuple[str, ...], _Suspects] = {}
        self._conflict = ""
        self._conflict_ns = 0
        self._newest: JointState | None = None

    def accept(self, state: JointState, received_ns: int) -> str:
        """Take a state, and return why it was refused; empty when it was taken, or was older than what is known.

        Args:
            state: Lengths and numbers are checked here; a velocity of NaN means that it is not measured.
            received_ns: When it came, on the clock of the stamps.
        """
        ahead = state.stamp_ns - received_ns
        if ahead > self._lead_ns:
            return self._refuse(f"the stamp is {ahead / 1e6:.0f} ms ahead of this node's clock")
        return self.judge(state, received_ns)[1]

    def judge(self, state: JointState, received_ns: int) -> tuple[Belief, str]:
        """Take a state whose stamp is not from the future; return what became of it, and why when it was refused."""
        problem = _malformed(state)
        source = None if problem else self._source(state.names)
        if source is None:
            problem = problem or f"more than {MAX_SOURCES} different sets of joints, or {_MAX_JOINTS} joints"
            return Belief.REFUSED, self._refuse(problem)
        known, columns = self._stamps[source.columns], source.columns
        problem = self._implausible(state, source, self._positions[columns], known)
        newer = state.stamp_ns > known
        if not problem and newer.any():
            self._store(state, columns[newer], newer)
            for names in [names for names in self._suspects if not set(names).isdisjoint(state.names)]:
                del self._suspects[names]
            return Belief.NEWER, ""
        if problem:
            self.implausible += 1
            self._conflict, self._conflict_ns = problem, received_ns
        else:
            self.overtaken += 1
        if self._replaces(state, source, received_ns, problem):
            self.note = f"earlier joint states are given up as false: {problem or 'stamps went back'}"
            self._store(state, columns, np.ones(len(columns), bool))
            self._suspects.clear()
            return Belief.REPLACED, ""
        return (Belief.REFUSED, self._refuse(problem)) if problem else (Belief.OVERTAKEN, "")

    def newest(self) -> JointState | None:
        """Return the whole state, its stamp that of its oldest part; None until every joint was named.

        Joints that are known but not needed come last. A velocity that is not measured is NaN.
        """
        if self._newest is None:
            needed = tuple(self._names) if self._joints is None else self._joints
            if not needed or any(name not in self._names for name in needed):
                return None
            names = (*needed, *(name for name in self._names if name not in needed))
            columns = [self._names[name] for name in names]
            velocities = self._velocities[columns]
            self._newest = JointState(
                int(self._stamps[columns[: len(needed)]].min()),
                names,
                self._positions[columns],
                None if np.isnan(velocities).all() else velocities,
            )
        return self._newest

    def conflict(self, now_ns: int) -> str:
        """Return, for a second after a state contradicted the believed ones, how it did; else an empty string."""
        if not self._conflict or abs(now_ns - self._conflict_ns) > _CONFLICT_NS:
            return ""
        return f"joint states contradict each other: {self._conflict}"

    def _refuse(self, problem: str) -> str:
        self.refused += 1
        self.last_refusal = problem
        return problem

    def _source(self, names: tuple[str, ...]) -> _Source | None:
        source = self._sources.get(names)
        if source is not None:
            return source
        new = [name for name in names if name not in self._names]
        if len(self._sources) >= MAX_SOURCES or len(self._names) + len(new) > _MAX_JOINTS:
            return None
        for name in new:
            self._names[name] = len(self._names)
        self._positions = np.append(self._positions, np.zeros(len(new)))
        self._velocities = np.append(self._velocities, np.full(len(new), np.nan))
        self._stamps = np.append(self._stamps, np.full(len(new), -1))
        limits = [self._bounds.get(name, JointLimit()) for name in names]
        source = self._sources[names] = _Source(
            np.array([self._names[name] for name in names], np.intp),
            _SPEED_MARGIN * np.array([limit.velocity for limit in limits], np.float64),
            np.array([limit.continuous for limit in limits], bool),
        )
        return source

    def _store(self, state: JointState, columns: npt.NDArray[np.intp], taken: npt.NDArray[np.bool_]) -> None:
        self._positions[columns] = state.positions[taken]
        self._velocities[columns] = np.nan if state.velocities is None else state.velocities[taken]
        self._stamps[columns] = state.stamp_ns
        self._newest = None

    def _implausible(self, state: JointState, source: _Source, before: FloatArray, stamps_ns: Int64Array) -> str:
        """Return which joint cannot have come from an earlier state, and by how much; empty when all can have."""
        apart_ns = np.abs(state.stamp_ns - stamps_ns)
        seconds = np.maximum(apart_ns, _SHORTEST_NS) / NANOSECONDS
        # All zeros are no measurement, so time does not make them likelier.
        reach = _STEP + (
            np.where(source.fastest < np.inf, 0.0, np.inf) if _blank(state.positions) else source.fastest * seconds
        )
        step = np.abs(wrapped(state.positions - before, source.continuous))
        beyond = np.where(stamps_ns < 0, -np.inf, step - reach)
        k = int(np.argmax(beyond))
        if not beyond[k] > 0.0:
            return ""
        return (
            f"{state.names[k]} went from {before[k]:.3f} to {state.positions[k]:.3f} in {apart_ns[k] / 1e6:.0f} ms, "
            f"{step[k]:.3f} rad or m where at most {reach[k]:.3f} is possible"
        )

    def _replaces(self, state: JointState, source: _Source, received_ns: int, problem: str) -> bool:
        """Add a state to those that are not believed; return whether they are to be believed from now on."""
        if problem and _blank(self._positions[source.columns[self._stamps[source.columns] >= 0]]):
            return True
        suspects = self._suspects.get(state.names)
        if suspects is not None and state.stamp_ns > suspects.last.stamp_ns:
            stamps = np.full(len(source.columns), suspects.last.stamp_ns)
            if not self._implausible(state, source, suspects.last.positions, stamps):
                suspects.last, suspects.last_received_ns = state, received_ns
                suspects.count += 1
                return suspects.settled
        self._suspects[state.names] = _Suspects(state, received_ns, state, received_ns)
        return False


def _blank(positions: FloatArray) -> bool:
    return len(positions) >= _BLANK_JOINTS and not positions.any()


def _malformed(state: JointState) -> str:
    count = len(state.names)
    if not count:
        return "no joint is named"
    values = (state.positions,) if state.velocities is None else (state.positions, state.velocities)
    if any(np.shape(value) != (count,) for value in values):
        return "names, positions and velocities differ in length"
    if len(set(state.names)) != count:
        return "a joint is named twice"
    bad = ~np.isfinite(state.positions)
    value = state.positions
    if state.velocities is not None and not bad.any():
        value, bad = state.velocities, np.isinf(state.velocities)
    if not bad.any():
        return ""
    k = int(np.argmax(bad))
    return f"joint {state.names[k]!r} is {value[k]}"
