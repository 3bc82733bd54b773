"""Judge the trajectories of a recording with the guard of the node, and compare with the recorded verdicts.

A verdict that was recorded with its context is made again from that context exactly. Without one, the moment is taken
from the recorded topics, and ``JudgedRecording.notes`` says what that took for granted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cosmos_ros.embodiment import Embodiment, load_embodiment
from cosmos_ros.embodiment.controller_interfaces import ControllerInterface, parse_controllers
from cosmos_ros.embodiment.robot_description import with_robot_description
from cosmos_ros.errors import InputError
from cosmos_ros.evaluation.judged_trajectory import JudgedTrajectory, differences
from cosmos_ros.evaluation.recorded_guard import (
    RecordedSettings,
    RecordedVerdict,
    SentTrajectories,
    assign_verdicts,
    candidate_topics,
    guard_node_of,
    read_settings,
    read_verdicts,
    robot_description_in,
    stamp_of,
)
from cosmos_ros.guard.guard import Guard
from cosmos_ros.guard.guard_settings import GuardSettings
from cosmos_ros.guard.supervision.node_settings import read_guard_parameters
from cosmos_ros.guard.supervision.supervisor import Supervisor
from cosmos_ros.guard.supervision.supervisor_states import SupervisorSettings
from cosmos_ros.guard.supervision.trajectory_intake import read_message
from cosmos_ros.guard.supervision.verdict_context import VerdictContext
from cosmos_ros.guard.verdict import Verdict
from cosmos_ros.messages import joint_state_from_message, ns_from_stamp
from cosmos_ros.observation.camera_topics import camera_info_topic, parse_cameras
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.recordings.recorded_commands import command_topics, sent_topics
from cosmos_ros.recordings.recording import BagMessage
from cosmos_ros.settings import pick
from cosmos_ros.types import JointState, JointTrajectory
from cosmos_ros.version import __version__

JOINT_STATE = "sensor_msgs/msg/JointState"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
_ENOUGH_S = 60.0  # for a judgement


class JudgedRecording:
    """A recording's trajectories, judged again; iterate over it while it is open.

    Use it as a context manager.

    Args:
        path: The recording.
        embodiment: Name or YAML file of the robot; empty: as recorded or in the file of parameters, else ``franka``.
        guard_config: Parameter file of the guard node; None: the recorded settings, else the node's defaults.
        topics: Candidates; empty: every trajectory topic that is not a controller's, or all of them if that is none.
        joint_states: Topic of the joint states; empty: the one beside the guard, or the only one.
        guard: Name of the guard node; empty: the only one.

    Attributes:
        embodiment: The robot.
        notes: Lines that say where the settings are from and what had to be assumed.

    Raises:
        InputError: On entering: nothing to judge, several guards or topics of joint states, or a broken verdict.
        ConfigError: On entering: the robot or a setting is not valid.
    """

    def __init__(
        self,
        path: Path,
        *,
        embodiment: str = "",
        guard_config: Path | None = None,
        topics: tuple[str, ...] = (),
        joint_states: str = "",
        guard: str = "",
    ) -> None:
        self._path, self._given, self._guard_config = path, embodiment, guard_config
        self._topics, self._joint_states, self._node = topics, joint_states, guard
        self._guards: dict[int, tuple[Guard, SupervisorSettings]] = {}
        self.notes: list[str] = []

    def __enter__(self) -> JudgedRecording:
        """Open the recording and read what the judgements rest on."""
        self._bag = BagReader(self._path)
        bag = self._bag.__enter__()
        try:
            self._node = guard_node_of(bag, self._node)
            self._settings = self._choose_settings(read_settings(bag, self._node))
            self.embodiment = self._choose_embodiment()
            told = self._controllers()
            names = [name for one in told for name in (one.sent_topic, one.name)]
            controllers = sent_topics(bag, names)
            self._candidates = candidate_topics(bag, self._topics, command_topics(bag, names))
            self._states = _joint_states(bag, self._joint_states, self._node)
            self._sent = SentTrajectories(bag, controllers)
            verdicts = read_verdicts(bag, self._node)
            self._verdicts, count = assign_verdicts(bag, self._candidates, verdicts)
            self._cameras = self._camera_topics()
            if lost := len(verdicts) - len(self._verdicts):
                self.notes.append(f"of {lost} recorded verdicts the trajectory is not in the recording")
            contexts = [verdict.context for verdict in self._verdicts.values() if verdict.context is not None]
            if len(contexts) < count:
                self._assume(count - len(contexts), controllers)
            ends = {name.rpartition("/")[2] for name in controllers}
            lost_topics = [
                one.controller
                for one in told
                if ends.isdisjoint(name.rpartition("/")[2] for name in (one.sent_topic, one.name))
            ]
            if lost_topics and any(context.sent_stamps_ns for context in contexts):
                self.notes.append(f"not recorded: what was sent on {', '.join(lost_topics)}")
        except BaseException:
            bag.close()
            raise
        return self

    def _controllers(self) -> tuple[ControllerInterface, ...]:
        """Return how the recorded guard reached its controllers."""
        told = next((one.parameters.get("controllers") for one in self._settings), "")
        return parse_controllers(str(told or ""), self.embodiment.controllers)

    def __exit__(self, *_: object) -> None:
        """Close the recording."""
        self._bag.close()

    def __iter__(self) -> Iterator[JudgedTrajectory]:
        """Yield the verdict on every candidate in the order of recording."""
        measured: JointState | None = None
        camera_stamps: dict[str, int] = {}
        index = 0
        for entry in self._bag.messages({*self._candidates, *self._cameras, *([self._states] if self._states else [])}):
            message = self._bag.decode(entry)
            if entry.topic in self._candidates:
                verdict = self._verdicts.get(index)
                yield self._judge(entry, message, verdict, measured, camera_stamps)
                index += 1
                continue
            try:  # as the node does: a broken message is dropped, the last good one grows old
                if entry.topic == self._states:
                    measured = joint_state_from_message(message, topic=entry.topic)
                else:
                    stamp = ns_from_stamp(message.header.stamp, where=entry.topic)
                    camera = self._cameras[entry.topic]
                    camera_stamps[camera] = max(stamp, camera_stamps.get(camera, 0))
            except InputError:
                continue

    def _judge(
        self,
        entry: BagMessage,
        message: Any,
        recorded: RecordedVerdict | None,
        measured: JointState | None,
        camera_stamps: Mapping[str, int],
    ) -> JudgedTrajectory:
        guard, settings = self._guard_at(entry.log_ns if recorded is None else recorded.log_ns)
        context = None if recorded is None else recorded.context
        missing = ""
        if recorded is None or context is None:
            last = self._sent.last(entry.log_ns)
            sent = [] if last is None else [last]
            now = stamp_of(message) if measured is None else measured.stamp_ns
            context = VerdictContext(now, now, measured, camera_stamps_ns=camera_stamps)
        else:
            found = self._sent.executed(context.sent_stamps_ns, entry.log_ns)
            sent = [trajectory for trajectory in found if trajectory is not None]
            lost = [stamp for stamp, one in zip(context.sent_stamps_ns, found, strict=True) if one is None]
            if lost:
                missing = f"what was executed then, sent at {lost[-1]} ns, is not in the recording"
            if any(violation.get("limit") == "judging_time" for violation in recorded.data.get("violations", ())):
                missing = "it was not judged in time then"
        verdict = judge_in_context(message, context, sent, guard, settings)
        if recorded is None:
            return JudgedTrajectory(entry.topic, entry.log_ns, verdict)
        if verdict.trajectory is not None and recorded.data.get("published_ns") is not None:
            self._sent.add(verdict.trajectory)
        different = differences(recorded.data, verdict)
        if recorded.context is None:  # of another moment: the numbers differ, the response should not
            different = {key: pair for key, pair in different.items() if key == "response"}
        return JudgedTrajectory(entry.topic, entry.log_ns, verdict, recorded.data, different, missing)

    def _guard_at(self, log_ns: int) -> tuple[Guard, SupervisorSettings]:
        """Return the guard with the settings of a recording time."""
        index = max((k for k, one in enumerate(self._settings) if one.log_ns <= log_ns), default=0)
        if index not in self._guards:
            # How quick this machine is says nothing about the recorded one.
            parameters = {**self._settings[index].parameters, "judging_budget": _ENOUGH_S}
            self._guards[index] = guard_of(self.embodiment, parameters)
        return self._guards[index]

    def _choose_settings(self, recorded: list[RecordedSettings]) -> list[RecordedSettings]:
        if self._guard_config is not None:
            self.notes.append(f"settings: {self._guard_config}")
            return [RecordedSettings(0, "", "", read_guard_parameters(self._guard_config))]
        if not recorded:
            self.notes.append("assumed settings: the guard node's defaults, for none are recorded")
            return [RecordedSettings(0, "", "", {})]
        line = f"settings: recorded on {self._node}/settings"
        if recorded[0].version != __version__:
            line += f" by version {recorded[0].version}, judged by {__version__}"
        self.notes.append(line)
        urdf = str(recorded[0].parameters.get("urdf", ""))
        if urdf and not Path(urdf).is_file():
            self.notes.append(f"effort is not checked: {urdf} is not on this machine")
            recorded = [replace(one, parameters={**one.parameters, "urdf": ""}) for one in recorded]
        return recorded

    def _choose_embodiment(self) -> Embodiment:
        first = self._settings[0]
        name = self._given or str(first.parameters.get("embodiment", ""))
        if not name:
            name = "franka"
            self.notes.append(f"assumed robot: {name}, for none is recorded; --embodiment chooses another")
        embodiment = load_embodiment(name)
        description = str(first.parameters.get("robot_description", ""))
        if description and not self._given:
            text = robot_description_in(self._bag, description)
            if text:
                embodiment = with_robot_description(name, text).embodiment
            else:
                self.notes.append(
                    f"the robot's own description is not recorded ({description}): the embodiment's limits"
                )
        if first.config_hash and embodiment.config_hash != first.config_hash:
            self.notes.append(f"the robot differs from the recorded one: embodiment {name} or its URDF has changed")
        return embodiment

    def _camera_topics(self) -> dict[str, str]:
        """Return recorded topic → camera, of the cameras that the guard watched."""
        wanted = parse_cameras(str(self._settings[0].parameters.get("cameras", "")), self.embodiment.views)
        found = {}
        for camera, topic in wanted.items():
            name = "/" + camera_info_topic(topic).lstrip("/")
            for recorded, info in self._bag.topics.items():
                if recorded.endswith(name) and info.type_name == CAMERA_INFO:
                    found[recorded] = camera
        return found

    def _assume(self, count: int, controllers: Sequence[str]) -> None:
        executing = (
            f"what was sent last on {', '.join(controllers)}" if controllers else "nothing, for nothing was sent"
        )
        moment = f"the newest state on {self._states}" if self._states else "the trajectory's start"
        self.notes += [
            f"assumed for {count} trajectories that no context is recorded of:",
            f"  moment of the verdict (not known): {moment}; judging takes no time",
            f"  executing: {executing}",
            f"  cameras: {', '.join(sorted(self._cameras)) or 'not watched'}; uncertainty: not known",
            "  of their recorded verdicts only the response is compared",
        ]


def judge_in_context(
    message: Any,
    context: VerdictContext,
    sent: Sequence[JointTrajectory],
    guard: Guard,
    settings: SupervisorSettings,
) -> Verdict:
    """Return the verdict that the guard node gives on a candidate at a moment.

    Args:
        message: A ``trajectory_msgs/msg/JointTrajectory`` of rclpy or rosbags.
        context: The moment.
        sent: The trajectories that ``context.sent_stamps_ns`` mean.
        guard, settings: As the node's.
    """
    judged_ns = context.now_ns if context.judged_ns is None else context.judged_ns
    supervisor = Supervisor(guard, settings, lambda: judged_ns)
    supervisor.resume(context, sent)
    trajectory, stamp_ns = read_message(message, guard.robot.limits, guard.settings.checking.max_points)
    output = supervisor.on_candidate(trajectory, context.now_ns, stamp_ns=stamp_ns, uncertainty=context.uncertainty)
    assert output.verdict is not None  # only a clock that runs backwards gives none, and this one has no past
    return output.verdict


def guard_of(embodiment: Embodiment, parameters: Mapping[str, Any]) -> tuple[Guard, SupervisorSettings]:
    """Return guard and policies as the guard node has them.

    Args:
        embodiment: The robot.
        parameters: The node's parameters by name; those left out have their defaults.

    Raises:
        ConfigError: A value is not valid.
    """
    return (
        Guard.for_embodiment(embodiment, GuardSettings.from_mapping(parameters)),
        pick(SupervisorSettings, parameters),
    )


def _joint_states(bag: BagReader, given: str, node: str) -> str:
    if given:
        return bag.require(given, JOINT_STATE).name
    found = [name for name, topic in bag.topics.items() if topic.type_name == JOINT_STATE]
    beside = f"{node.rpartition('/')[0]}/joint_states"
    if node and beside in found:
        return beside
    if len(found) > 1:
        raise InputError(
            f"several topics of joint states: {', '.join(found)}", where=str(bag.path), hint="Give --joint-states."
        )
    return found[0] if found else ""
