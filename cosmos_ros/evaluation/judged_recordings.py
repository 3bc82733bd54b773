"""Judge the trajectories of a recording as the guard would have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.errors import InputError
from cosmos_ros.guard.context import GuardContext
from cosmos_ros.guard.guard import Guard
from cosmos_ros.guard.guard_settings import GuardSettings
from cosmos_ros.guard.supervision.trajectory_intake import read_message
from cosmos_ros.guard.verdict import Response, Verdict, by_time
from cosmos_ros.messages import joint_state_from_message
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.types import JointState, JointTrajectory

TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
JOINT_STATE = "sensor_msgs/msg/JointState"


@dataclass(frozen=True)
class Judged:
    """One recorded trajectory and its verdict.

    Attributes:
        topic: Where it was published.
        log_ns: When it was recorded.
        verdict: What the guard says.
    """

    topic: str
    log_ns: int
    verdict: Verdict


def judge_recording(
    path: Path, embodiment: Embodiment, settings: GuardSettings, *, topics: tuple[str, ...] = (), joint_states: str = ""
) -> Iterator[Judged]:
    """Yield the verdict on every candidate trajectory of a recording.

    The time of judgement is the newest joint state's stamp (the robot's clock, be it simulated), else the
    trajectory's own. What was recorded on the controllers' topics counts as the motion being executed.

    Args:
        path: The recording.
        embodiment: The robot.
        settings: What is checked.
        topics: Candidates; empty: every trajectory topic that is not a controller's, or all of them if that is none.
        joint_states: Topic of the joint states; empty: the only one.

    Raises:
        InputError: Nothing to judge, or several topics of joint states.
    """
    guard = Guard.for_embodiment(embodiment, settings)
    with BagReader(path) as bag:
        known = [name for name, topic in bag.topics.items() if topic.type_name == TRAJECTORY]
        sent_on = {topic.strip("/") for topic, _ in embodiment.controllers}
        sent = [name for name in known if name.strip("/").rsplit("/", 1)[-1] in sent_on]
        candidates = list(topics) or [n for n in known if n not in sent and not n.endswith("would_send")] or sent
        if not candidates:
            raise InputError("there is no joint trajectory in it", where=str(path))
        for name in candidates:
            bag.require(name, TRAJECTORY)
        states = _joint_states(bag, joint_states, path)
        measured: JointState | None = None
        executing: dict[str, JointTrajectory] = {}
        wanted = {*candidates, *sent, *([states] if states else [])}
        for entry in bag.messages(wanted):
            message = bag.decode(entry)
            if entry.topic == states:
                try:
                    measured = joint_state_from_message(message, topic=entry.topic)
                except InputError:
                    continue  # as the node does: a broken state is dropped, the last good one ages
                continue
            trajectory, stamp = read_message(message, guard.robot.limits, settings.checking.max_points)
            if entry.topic in candidates:
                yield Judged(entry.topic, entry.log_ns, _judge(guard, trajectory, stamp, measured, executing))
            if entry.topic in sent and isinstance(trajectory, JointTrajectory):
                executing[entry.topic] = trajectory


def _judge(
    guard: Guard,
    trajectory: JointTrajectory | list,  # type: ignore[type-arg]
    stamp: int,
    measured: JointState | None,
    executing: dict[str, JointTrajectory],
) -> Verdict:
    if not isinstance(trajectory, JointTrajectory):
        return Verdict(Response.REJECT, None, by_time(trajectory), stamp_ns=stamp)
    now = stamp if measured is None else measured.stamp_ns
    # Of several controllers, the one that moves the most joints of this trajectory.
    running = max(executing.values(), key=lambda t: len(set(t.joint_names) & set(trajectory.joint_names)), default=None)
    return guard.judge(trajectory, GuardContext(now, measured, running))


def _joint_states(bag: BagReader, given: str, path: Path) -> str:
    if given:
        return bag.require(given, JOINT_STATE).name
    found = [name for name, topic in bag.topics.items() if topic.type_name == JOINT_STATE]
    if len(found) > 1:
        raise InputError(
            f"several topics of joint states: {', '.join(found)}", where=str(path), hint="Give --joint-states."
        )
    return found[0] if found else ""
