"""What a recording holds of a guard: candidates, verdicts, settings, and what its controllers were sent."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cosmos_ros.errors import InputError
from cosmos_ros.guard.supervision.verdict_context import VerdictContext
from cosmos_ros.messages import joint_trajectory_from_message
from cosmos_ros.messages.stamps import ns_from_stamp
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.types import JointTrajectory

TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
STRING = "std_msgs/msg/String"


@dataclass(frozen=True)
class RecordedVerdict:
    """A verdict of the live guard.

    Attributes:
        log_ns: When it was recorded.
        data: As published on ``~/verdict_json``.
        context: What it rests on; None when it was recorded without.
    """

    log_ns: int
    data: Mapping[str, Any]
    context: VerdictContext | None


@dataclass(frozen=True)
class RecordedSettings:
    """Settings of the live guard, as published on ``~/settings``.

    Attributes:
        log_ns: When they were recorded; they hold from then on, the first also before.
        version: Of the package that the guard ran.
        config_hash: Of the embodiment.
        parameters: The guard node's parameters by name.
    """

    log_ns: int
    version: str
    config_hash: str
    parameters: Mapping[str, Any]


def guard_node_of(bag: BagReader, given: str) -> str:
    """Return the name of the guard node whose verdicts or settings are recorded, or an empty string.

    Args:
        bag: An open recording.
        given: Name of the node, if it is known.

    Raises:
        InputError: Several guards were recorded, or nothing of the given one.
    """
    found = sorted(
        {
            name.rpartition("/")[0]
            for name, topic in bag.topics.items()
            if topic.type_name == STRING and name.endswith(("/verdict_json", "/guard/settings"))
        }
    )
    if given:
        if given not in found:
            raise InputError(f"nothing of the guard {given} is recorded", where=str(bag.path))
        return given
    if len(found) > 1:
        raise InputError(f"several guards: {', '.join(found)}", where=str(bag.path), hint="Give --guard.")
    return found[0] if found else ""


def _strings(bag: BagReader, topic: str) -> list[tuple[int, Any]]:
    """Return recording time and JSON data of every message of a topic; nothing when it was not recorded."""
    if topic not in bag.topics:
        return []
    found = []
    for entry in bag.messages([topic]):
        try:
            data = json.loads(bag.decode(entry).data)
        except ValueError as error:
            raise InputError(f"not JSON: {error}", where=f"{bag.path} {topic} at {entry.log_ns} ns") from error
        if not isinstance(data, dict):
            raise InputError("not a JSON object", where=f"{bag.path} {topic} at {entry.log_ns} ns")
        found.append((entry.log_ns, data))
    return found


def read_verdicts(bag: BagReader, node: str) -> list[RecordedVerdict]:
    """Return the verdicts of a guard node in the order of recording.

    Raises:
        InputError: One is not a verdict.
    """
    verdicts = []
    for log_ns, data in _strings(bag, f"{node}/verdict_json") if node else ():
        if not isinstance(data.get("stamp_ns"), int) or "response" not in data:
            raise InputError("not a verdict", where=f"{bag.path} {node}/verdict_json at {log_ns} ns")
        context = data.get("context")
        # Verdicts recorded by an earlier version have contexts of other fields, which cannot be used.
        known = isinstance(context, dict) and "measured" in context
        verdicts.append(RecordedVerdict(log_ns, data, VerdictContext.from_dict(context) if known else None))
    return verdicts


def read_settings(bag: BagReader, node: str) -> list[RecordedSettings]:
    """Return the settings of a guard node in the order of recording.

    Raises:
        InputError: Something else was published there.
    """
    settings = []
    for log_ns, data in _strings(bag, f"{node}/settings") if node else ():
        if not isinstance(data.get("parameters"), dict):
            raise InputError("not the settings of a guard", where=f"{bag.path} {node}/settings at {log_ns} ns")
        version, config_hash = str(data.get("version", "")), str(data.get("config_hash", ""))
        settings.append(RecordedSettings(log_ns, version, config_hash, data["parameters"]))
    return settings


def stamp_of(candidate: Any) -> int:
    """Return the stamp of a trajectory message, ns; 0 for one that is not valid, as the guard has it."""
    try:
        return ns_from_stamp(candidate.header.stamp, where="header.stamp")
    except InputError:
        return 0


def assign_verdicts(
    bag: BagReader, candidates: Collection[str], verdicts: Collection[RecordedVerdict]
) -> tuple[dict[int, RecordedVerdict], int]:
    """Return index of the candidate, in the order of recording → its verdict, and how many candidates there are.

    A verdict belongs to the last candidate of its stamp that was recorded before it: the guard may skip those that
    were overtaken.
    """
    by_stamp: dict[int, list[tuple[int, int]]] = {}
    count = 0
    for count, entry in enumerate(bag.messages(candidates), start=1):
        by_stamp.setdefault(stamp_of(bag.decode(entry)), []).append((entry.log_ns, count - 1))
    assigned: dict[int, RecordedVerdict] = {}
    for verdict in verdicts:
        same = [(log, k) for log, k in by_stamp.get(verdict.data["stamp_ns"], ()) if k not in assigned]
        before = [k for log, k in same if log <= verdict.log_ns]
        if same:
            assigned[before[-1] if before else same[0][1]] = verdict
    return assigned, count


class SentTrajectories:
    """What a guard's controllers were sent; what went to several of them together counts as one trajectory.

    Args:
        bag: An open recording.
        topics: The controllers' topics.
    """

    def __init__(self, bag: BagReader, topics: Collection[str]) -> None:
        self._log: list[int] = []
        self._sent: list[JointTrajectory] = []
        self._by_stamp: dict[int, list[int]] = {}
        self._judged: dict[int, JointTrajectory] = {}
        for entry in bag.messages(topics) if topics else ():
            try:
                part = joint_trajectory_from_message(bag.decode(entry), topic=entry.topic)
            except InputError:
                continue  # no controller takes it
            same = self._by_stamp.setdefault(part.stamp_ns, [])
            beside = [k for k in same if _belong_together(self._sent[k], part)]
            if beside:
                self._sent[beside[-1]] = _joined(self._sent[beside[-1]], part)
            else:
                same.append(len(self._sent))
                self._log.append(entry.log_ns)
                self._sent.append(part)

    def add(self, trajectory: JointTrajectory) -> None:
        """Take what the guard sent by a verdict made again; it is used where the recording lacks it."""
        self._judged[trajectory.stamp_ns] = trajectory

    def executed(self, stamps_ns: Sequence[int], before_ns: int) -> list[JointTrajectory | None]:
        """Return what was sent with these stamps before a recording time, in their order; None for what is not known.

        Simulated time may stand still meanwhile: several, also the guard's answer itself, may have the same stamp.
        """
        found: list[JointTrajectory | None] = []
        for stamp, count in Counter(stamps_ns).items():
            same = self._by_stamp.get(stamp, [])
            before = [k for k in same if self._log[k] <= before_ns][-count:]
            later = [k for k in same if self._log[k] > before_ns][: count - len(before)]
            recorded = [self._sent[k] for k in (*before, *later)]
            judged = self._judged.get(stamp)
            if judged and (not recorded or len(judged.joint_names) > len(recorded[-1].joint_names)):
                recorded[-1:] = [judged]
            found += [*recorded, *([None] * (count - len(recorded)))]
        return found

    def last(self, before_ns: int) -> JointTrajectory | None:
        """Return what was sent last before a recording time; None for nothing."""
        count = bisect_left(self._log, before_ns)
        return self._sent[count - 1] if count else None


def _belong_together(a: JointTrajectory, b: JointTrajectory) -> bool:
    return np.array_equal(a.times_ns, b.times_ns) and not set(a.joint_names) & set(b.joint_names)


def _joined(a: JointTrajectory, b: JointTrajectory) -> JointTrajectory:
    def columns(left: Any, right: Any) -> Any:
        return None if left is None or right is None else np.hstack([left, right])

    return replace(
        a,
        joint_names=(*a.joint_names, *b.joint_names),
        positions=columns(a.positions, b.positions),
        velocities=columns(a.velocities, b.velocities),
        accelerations=columns(a.accelerations, b.accelerations),
    )


def candidate_topics(bag: BagReader, given: Collection[str], controllers: Collection[str]) -> list[str]:
    """Return the topics of candidates: those given, else every trajectory that is not the guard's own answer.

    Args:
        bag: An open recording.
        given: Topics wanted; empty: all that are no controller's, or the controllers' if there is nothing else.
        controllers: The controllers' topics.

    Raises:
        InputError: A given topic is missing or of another type, or there is no trajectory.
    """
    known = [name for name, topic in bag.topics.items() if topic.type_name == TRAJECTORY and topic.count]
    others = [name for name in known if name not in controllers and not name.endswith("would_send")]
    found = list(given) or others or list(controllers)
    if not found:
        raise InputError("there is no joint trajectory in it", where=str(bag.path))
    for name in found:
        bag.require(name, TRAJECTORY)
    return found


def robot_description_in(bag: BagReader, description: str) -> str:
    """Return the URDF that the guard's parameter ``robot_description`` meant: the text itself, or a recorded topic's.

    Args:
        bag: An open recording.
        description: The parameter.

    Returns:
        Empty where it was a file, or a topic that is not in the recording.
    """
    if description.lstrip().startswith("<"):
        return description
    name = f"/{description.lstrip('/')}"
    topics = [topic for topic in bag.topics if topic.endswith(name) and bag.topics[topic].count]
    entry = next(iter(bag.messages(topics[:1])), None) if topics else None
    return "" if entry is None else str(bag.decode(entry).data)
