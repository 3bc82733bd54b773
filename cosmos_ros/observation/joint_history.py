"""Joint states as-of a stamp, also where several drivers share one topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cosmos_ros.errors import InputError
from cosmos_ros.limits import JointLimit
from cosmos_ros.messages.joint_messages import joint_state_from_message
from cosmos_ros.observation.measured_state import Belief, MeasuredState
from cosmos_ros.observation.rings import Arrival, Item, Ring, as_of
from cosmos_ros.types import JointState


class JointBuffer:
    """Joint states by the set of joints that they name.

    An arm's driver and a gripper's often publish on the same topic, each with its own joints. Each set of names has a
    ring of its own, and a whole state is put together from the newest of each. States that ``MeasuredState`` does not
    believe are not kept.

    Args:
        joints: Joints wanted, in the wanted order; None takes the messages' own.
        capacity, history_ns: Bounds of each ring.
        bounds: Joint → its limits, to judge whether a state can follow from the one before.

    Attributes:
        belief: Which states are believed, and what contradicted them.
    """

    def __init__(
        self,
        joints: Sequence[str] | None,
        capacity: int,
        history_ns: int,
        bounds: Mapping[str, JointLimit] | None = None,
    ) -> None:
        self.belief = MeasuredState(bounds or {}, joints)
        self._joints = None if joints is None else tuple(joints)
        self._capacity = capacity
        self._history_ns = history_ns
        self._rings: dict[tuple[str, ...], Ring] = {}

    def decode(self, message: Any) -> JointState | None:
        """Return the wanted part of a message (or of a record); None when it holds none of the wanted joints.

        Raises:
            InputError: Malformed; names the joint.
        """
        if isinstance(message, JointState):
            return _select(message, message.names if self._joints is None else self._joints)
        if self._joints is None:
            return joint_state_from_message(message)
        present = set(message.name)
        chosen = [name for name in self._joints if name in present]
        if not chosen and len(message.name):
            return None
        return joint_state_from_message(message, joints=chosen)

    def append(self, state: JointState, received_ns: int) -> Arrival:
        """Add one decoded state.

        Raises:
            InputError: It is not believed, or there are too many different sets of joints.
        """
        belief, problem = self.belief.judge(state, received_ns)
        if belief is Belief.REFUSED:
            raise InputError(problem, where="joint_states")
        ring = self._rings.get(state.names)
        if belief is Belief.REPLACED or ring is None:
            others = self._rings
            if belief is Belief.REPLACED:  # what was kept of these joints is false
                others = {names: kept for names, kept in others.items() if set(names).isdisjoint(state.names)}
            ring = Ring(self._capacity, self._history_ns)
            self._rings = {**others, state.names: ring}
        return ring.append(Item(state.stamp_ns, received_ns, state))

    def newest_stamp_ns(self, names: tuple[str, ...]) -> int | None:
        """Highest stamp of the source that names just these joints; sources may run on different clocks."""
        ring = self._rings.get(names)
        item = None if ring is None else ring.newest
        return None if item is None else item.stamp_ns

    def missing_at(self, stamp_ns: int, tolerance_ns: int) -> tuple[str, ...]:
        """Wanted joints without a state within the tolerance before a stamp."""
        present = {
            name
            for names, ring in self._rings.items()
            if as_of(ring.items(), stamp_ns, tolerance_ns) is not None
            for name in names
        }
        return tuple(name for name in self._joints or () if name not in present)

    def missing(self) -> tuple[str, ...]:
        """Wanted joints that no message has named yet."""
        named = {name for names in self._rings for name in names}
        return tuple(name for name in self._joints or () if name not in named)

    def passed(self, stamp_ns: int) -> bool:
        """Whether every wanted joint has a state at or after a stamp."""
        covered: set[str] = set()
        for names, ring in self._rings.items():
            newest = ring.newest
            if newest is not None and newest.stamp_ns >= stamp_ns:
                covered.update(names)
        return bool(covered) if self._joints is None else covered.issuperset(self._joints)

    def as_of(self, stamp_ns: int, tolerance_ns: int) -> JointState | None:
        """The newest state at or before a stamp, whole, or None.

        Put together from several messages it carries the oldest of their stamps. Velocities that are not measured are
        NaN; there are none when no joint's is.
        """
        parts: list[JointState] = []
        for ring in self._rings.values():
            item = as_of(ring.items(), stamp_ns, tolerance_ns)
            if item is not None:
                parts.append(item.payload)
        parts.sort(key=lambda part: part.stamp_ns, reverse=True)
        if not parts:
            return None
        if self._joints is None or parts[0].names == self._joints:
            return parts[0]
        return _merge(parts, self._joints)

    def newest(self) -> JointState | None:
        """The newest whole state, put together from the newest of each source; None until every joint was named."""
        stamps = [item.stamp_ns for ring in self._rings.values() if (item := ring.newest) is not None]
        return self.as_of(max(stamps), self._history_ns) if stamps else None


def _merge(parts: Sequence[JointState], joints: tuple[str, ...]) -> JointState | None:
    source: dict[str, tuple[JointState, int]] = {}
    for part in parts:  # newest first
        for k, name in enumerate(part.names):
            source.setdefault(name, (part, k))
    if any(name not in source for name in joints):
        return None
    used = [source[name] for name in joints]
    positions = np.array([part.positions[k] for part, k in used])
    velocities = np.array([np.nan if part.velocities is None else part.velocities[k] for part, k in used], np.float64)
    return JointState(
        stamp_ns=min(part.stamp_ns for part, _ in used),
        names=joints,
        positions=positions,
        velocities=None if np.isnan(velocities).all() else velocities,
    )


def _select(state: JointState, joints: tuple[str, ...]) -> JointState | None:
    columns = [state.names.index(name) for name in joints if name in state.names]
    if not columns:
        return None
    return JointState(
        stamp_ns=state.stamp_ns,
        names=tuple(state.names[k] for k in columns),
        positions=state.positions[columns],
        velocities=None if state.velocities is None else state.velocities[columns],
    )
