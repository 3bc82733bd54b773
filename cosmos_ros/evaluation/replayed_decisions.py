"""Candidates and verdicts of the live nodes made again from a recording of their inputs.

Observations and predictions follow from stamps alone. What is made of them follows from the moment too: where the
robot was measured when a prediction was joined to its motion, and when the guard judged. The nodes tell these moments
(``join`` in ``predictor/provenance``, ``context`` in ``guard/verdict_json``); with them, and nothing else that was
computed live, every candidate and every verdict comes out the same.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.errors import InputError
from cosmos_ros.guard import Guard, GuardContext, Verdict
from cosmos_ros.guard.supervision.supervisor import Supervisor
from cosmos_ros.guard.supervision.supervisor_states import SupervisorSettings
from cosmos_ros.guard.supervision.trajectory_intake import read_message
from cosmos_ros.messages import joint_state_from_message, joint_trajectory_from_message
from cosmos_ros.messages.stamps import split_ns
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.trajectory.joiner import Joined, Joiner, JoinSettings
from cosmos_ros.types import JointState, JointTrajectory

CANDIDATES, VERDICTS, JOINT_STATES = "/predictor/action_trajectory", "/guard/verdict_json", "/joint_states"
# What the node adds to a verdict, and what differs from run to run.
_NOT_COMPARED = frozenset({"elapsed_ms", "armed", "state", "published_ns", "context"})
_TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"


def states_at(
    recording: BagReader, stamps_ns: Collection[int], *, topic: str = JOINT_STATES, joints: Sequence[str] | None = None
) -> dict[int, JointState]:
    """Return stamp → joint state for the messages with these stamps.

    Args:
        recording: An open recording.
        stamps_ns: Header stamps wanted.
        topic: Of the joint states.
        joints: Joints wanted, in the wanted order; None takes each message's own.

    Raises:
        InputError: The topic is missing or of another type, or holds no valid state of one of the stamps.
    """
    recording.require(topic, "sensor_msgs/msg/JointState")
    found: dict[int, JointState] = {}
    for entry in recording.messages([topic]):
        message = recording.decode(entry)
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        if stamp in stamps_ns and stamp not in found:
            chosen = None if joints is None else [name for name in joints if name in message.name]
            found[stamp] = joint_state_from_message(message, topic=topic, joints=chosen)
    missing = sorted(set(stamps_ns) - set(found))
    if missing:
        raise InputError(f"{topic} holds no state of {missing[0]} ns ({len(missing)} such)", where=str(recording.path))
    return found


def join_again(
    trajectory: JointTrajectory,
    told: Mapping[str, Any],
    joiner: Joiner,
    states: Mapping[int, JointState],
    settings: JoinSettings,
) -> Joined:
    """Return what a prediction's trajectory became live.

    Args:
        trajectory: As predicted, offline.
        told: ``join`` of the live prediction's provenance.
        joiner: Has been told what was being executed then.
        states: Stamp → joint state, in the predictor's order of joints.
        settings: The live predictor's.

    Raises:
        InputError: Live, there was no joint state yet, or it is not among the states.
    """
    try:
        measured = states[told["measured_stamp_ns"]]
        now_ns = told["now_ns"]
    except KeyError as error:
        raise InputError(f"{error} is not known", where="join", hint="Record with this version's nodes.") from error
    return joiner.join(trajectory, now_ns, measured, settings)


class _Told(Supervisor):
    """A supervisor that is told the context of its judgement instead of keeping one."""

    def __init__(self, guard: Guard, config: SupervisorSettings, context: GuardContext, judged_ns: int) -> None:
        super().__init__(guard, config, lambda: judged_ns)
        self._told = context

    def context(self, now_ns: int, uncertainty: float | None = None) -> GuardContext:
        return self._told


def judge_again(
    candidate: Any,
    told: Mapping[str, Any],
    guard: Guard,
    states: Mapping[int, JointState],
    executing: Mapping[int, JointTrajectory],
    config: SupervisorSettings,
) -> Verdict:
    """Return the verdict on a candidate in the context of a live one.

    Args:
        candidate: A ``trajectory_msgs/msg/JointTrajectory`` of rclpy or rosbags, or a trajectory made offline.
        told: ``context`` of the live verdict.
        guard: As the live one.
        states: Stamp → joint state, as published.
        executing: Stamp → trajectories that were sent before.
        config: The live supervisor's policies.

    Raises:
        InputError: The context is not told, or names what is not known.
    """
    message = _message_of(candidate) if isinstance(candidate, JointTrajectory) else candidate
    trajectory, stamp_ns = read_message(message, guard.robot.limits, guard.settings.checking.max_points)
    try:
        now_ns, measured_ns, executing_ns = (told[key] for key in ("now_ns", "measured_stamp_ns", "executing_stamp_ns"))
        context = GuardContext(
            now_ns,
            None if measured_ns is None else states[measured_ns],
            None if executing_ns is None else executing[executing_ns],
            told.get("uncertainty"),
        )
    except KeyError as error:
        raise InputError(
            f"{error} is not known", where="context", hint="Record joint states and commands with this version's nodes."
        ) from error
    supervisor = _Told(guard, config, context, told.get("judged_ns", now_ns))
    verdict = supervisor.on_candidate(
        trajectory, now_ns, stamp_ns=stamp_ns, uncertainty=told.get("uncertainty")
    ).verdict
    assert verdict is not None
    return verdict


def differences(live: Mapping[str, Any], again: Verdict) -> dict[str, tuple[Any, Any]]:
    """Return field → (live, again) where a live verdict, as JSON data, and one made again differ."""
    made = json.loads(json.dumps(again.to_dict()))
    keys = sorted((set(live) | set(made)) - _NOT_COMPARED)
    return {key: (live.get(key), made.get(key)) for key in keys if live.get(key) != made.get(key)}


@dataclass(frozen=True)
class JudgedAgain:
    """One live verdict, and what the guard says now.

    Attributes:
        live: As recorded.
        again: Made from the recorded candidate and context.
        differences: As ``differences``; empty when they are the same.
    """

    live: Mapping[str, Any]
    again: Verdict
    differences: Mapping[str, tuple[Any, Any]]


def judge_recording_again(
    path: Path,
    embodiment: Embodiment,
    guard: Guard,
    config: SupervisorSettings,
    *,
    candidates: str = CANDIDATES,
    verdicts: str = VERDICTS,
    joint_states: str = JOINT_STATES,
) -> Iterator[JudgedAgain]:
    """Yield every live verdict of a recording beside the one that its inputs give again.

    What was being executed is what the guard let through before, as made again; a stop, which has no verdict, is read
    from the controllers' topics.

    Args:
        path: A recording of the live nodes: candidates, verdicts, joint states, and commands if it was armed.
        embodiment: The robot.
        guard, config: As the live guard node's.
        candidates, verdicts, joint_states: Topics.

    Raises:
        InputError: A topic is missing, a verdict is no JSON or tells no context, or what it tells is not recorded.
    """
    with BagReader(path) as recording:
        recording.require(candidates, _TRAJECTORY)
        recording.require(verdicts, "std_msgs/msg/String")
        told = [_parsed(recording.decode(entry).data, verdicts) for entry in recording.messages([verdicts])]
        by_stamp: dict[int, list[Any]] = {}
        for entry in recording.messages([candidates]):
            message = recording.decode(entry)
            stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
            by_stamp.setdefault(stamp, []).append(message)
        measured = {live["context"].get("measured_stamp_ns") for live in told} - {None}
        states = states_at(recording, measured, topic=joint_states)
        sent = _sent(recording, embodiment)
        for live in told:
            waiting = by_stamp.get(live["stamp_ns"])
            if not waiting:
                raise InputError(f"no candidate of {live['stamp_ns']} ns is recorded", where=f"{path} {candidates}")
            again = judge_again(waiting.pop(0), live["context"], guard, states, sent, config)
            if again.trajectory is not None and live["published_ns"] is not None:
                sent[again.trajectory.stamp_ns] = again.trajectory
            yield JudgedAgain(live, again, differences(live, again))


def _parsed(text: str, topic: str) -> dict[str, Any]:
    try:
        live: dict[str, Any] = json.loads(text)
        if not live["context"]:
            raise KeyError("context")
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"a verdict tells no context: {error}", where=topic, hint="Record the guard node of this version."
        ) from error
    return live


def _sent(recording: BagReader, embodiment: Embodiment) -> dict[int, JointTrajectory]:
    """Return stamp → what the controllers were sent together at it."""
    names = {topic.strip("/").rsplit("/", 1)[-1] for topic, _ in embodiment.controllers}
    topics = [
        name
        for name, topic in recording.topics.items()
        if topic.type_name == _TRAJECTORY and topic.count and name.strip("/").rsplit("/", 1)[-1] in names
    ]
    found: dict[int, JointTrajectory] = {}
    for entry in recording.messages(topics) if topics else ():
        part = joint_trajectory_from_message(recording.decode(entry), topic=entry.topic)
        whole = found.get(part.stamp_ns)
        if whole is not None and np.array_equal(whole.times_ns, part.times_ns):
            part = _beside(whole, part)
        found[part.stamp_ns] = part
    return found


def _beside(a: JointTrajectory, b: JointTrajectory) -> JointTrajectory:
    def columns(left: Any, right: Any) -> Any:
        return None if left is None or right is None else np.hstack([left, right])

    return replace(
        a,
        joint_names=(*a.joint_names, *b.joint_names),
        positions=columns(a.positions, b.positions),
        velocities=columns(a.velocities, b.velocities),
        accelerations=columns(a.accelerations, b.accelerations),
    )


def _message_of(trajectory: JointTrajectory) -> Any:
    """Return an object with the fields of the message that the live predictor would publish."""

    def time(ns: int) -> Any:
        sec, nanosec = split_ns(ns, where="trajectory")
        return SimpleNamespace(sec=sec, nanosec=nanosec)

    def row(rows: Any, k: int) -> Any:
        return () if rows is None else rows[k]

    points = [
        SimpleNamespace(
            positions=trajectory.positions[k],
            velocities=row(trajectory.velocities, k),
            accelerations=row(trajectory.accelerations, k),
            effort=(),
            time_from_start=time(int(at)),
        )
        for k, at in enumerate(trajectory.times_ns)
    ]
    header = SimpleNamespace(stamp=time(trajectory.stamp_ns))
    return SimpleNamespace(header=header, joint_names=list(trajectory.joint_names), points=points)
