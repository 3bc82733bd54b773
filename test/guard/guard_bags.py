"""Recordings of a guard that was armed, with what its node would have published."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from guard_support import HOME, NOW, PANDA, reach

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.evaluation.judged_recordings import guard_of
from cosmos_ros.guard import Violation
from cosmos_ros.guard.supervision.supervisor import Supervisor
from cosmos_ros.recordings.writer import BagWriter
from cosmos_ros.trajectory.splice import motion_at
from cosmos_ros.types import JointState, JointTrajectory

FINGER = "panda_finger_joint1"
MS = 1_000_000
CANDIDATES, SETTINGS, VERDICTS = "/predictor/action_trajectory", "/guard/settings", "/guard/verdict_json"
CONTROLLERS = {"/joint_trajectory": list(PANDA), "/gripper_trajectory": [FINGER]}


def header(types: dict[str, Any], ns: int) -> Any:
    stamp = types["builtin_interfaces/msg/Time"](sec=ns // 10**9, nanosec=ns % 10**9)
    return types["std_msgs/msg/Header"](stamp=stamp, frame_id="")


def joint_state(types: dict[str, Any], ns: int, q: np.ndarray = HOME, rates: np.ndarray | None = None) -> Any:
    names = [*PANDA, FINGER]
    whole = np.append(q, 0.04)[:8]
    return types["sensor_msgs/msg/JointState"](
        header=header(types, ns),
        name=names,
        position=whole,
        velocity=np.zeros(8) if rates is None else rates,
        effort=np.zeros(0),
    )


def camera_info(types: dict[str, Any], ns: int) -> Any:
    region = types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    matrix = np.eye(3).ravel()
    return types["sensor_msgs/msg/CameraInfo"](
        header(types, ns), 90, 160, "plumb_bob", np.zeros(5), matrix, matrix, np.zeros(12), 0, 0, region
    )


def message(types: dict[str, Any], trajectory: JointTrajectory) -> Any:
    points = []
    for k, ns in enumerate(trajectory.times_ns):
        duration = types["builtin_interfaces/msg/Duration"](sec=int(ns) // 10**9, nanosec=int(ns) % 10**9)
        points.append(
            types["trajectory_msgs/msg/JointTrajectoryPoint"](
                positions=np.ascontiguousarray(trajectory.positions[k]),
                velocities=np.ascontiguousarray(trajectory.velocities[k]),
                accelerations=np.zeros(0),
                effort=np.zeros(0),
                time_from_start=duration,
            )
        )
    return types["trajectory_msgs/msg/JointTrajectory"](
        header=header(types, trajectory.stamp_ns), joint_names=list(trajectory.joint_names), points=points
    )


class LiveGuard:
    """The supervisor of the guard node with what it publishes, written into a bag; armed on the first joint state."""

    def __init__(
        self, bag: BagWriter, left_out: tuple[str, ...], parameters: dict[str, Any], context: bool, slow: bool
    ) -> None:
        self.bag, self.left_out, self.parameters, self.context = bag, left_out, parameters, context
        self.slow = slow  # says of every candidate that it was not judged in time
        self.embodiment = load_embodiment("franka")
        guard, config = guard_of(self.embodiment, {**parameters, "judging_budget": 60.0})
        self.now = NOW
        # Judging takes 3 ms.
        self.supervisor = Supervisor(guard, config, lambda: self.now + 3 * MS, self.embodiment.views)
        for topic in (CANDIDATES, *CONTROLLERS):
            bag.add_topic(topic, "trajectory_msgs/msg/JointTrajectory")
        for topic in ("/joint_states", "/other/joint_states"):  # the guard hears the one beside it
            bag.add_topic(topic, "sensor_msgs/msg/JointState")
        bag.add_topic("/wrist/camera_info", "sensor_msgs/msg/CameraInfo")
        for topic in (SETTINGS, VERDICTS):
            bag.add_topic(topic, "std_msgs/msg/String")

    def write(self, topic: str, message: Any) -> None:
        if topic not in self.left_out:
            self.bag.write_message(topic, self.now, message)

    def publish_settings(self) -> None:
        data = {"version": "0.0.1", "config_hash": self.embodiment.config_hash, "parameters": self.parameters}
        self.write(SETTINGS, self.bag.factory.string(json.dumps(data)))

    def see(self, q: np.ndarray, rates: np.ndarray, *, camera: bool = True) -> None:
        self.supervisor.on_joint_state(JointState(self.now - MS, (*PANDA, FINGER), q, rates), self.now)
        self.write("/joint_states", joint_state(self.bag.types.types, self.now - MS, q, rates))
        if camera:
            self.supervisor.on_camera("wrist", self.now - 30 * MS, self.now)
            self.write("/wrist/camera_info", camera_info(self.bag.types.types, self.now - 30 * MS))
        self.supervisor.on_graph({}, dict.fromkeys(CONTROLLERS, 1), self.now)
        self.supervisor.arm(self.now)

    def propose(self, candidate: JointTrajectory) -> JointTrajectory | None:
        self.write(CANDIDATES, message(self.bag.types.types, candidate))
        context = self.supervisor.verdict_context(self.now)
        output = self.supervisor.on_candidate(candidate, self.now, stamp_ns=candidate.stamp_ns)
        assert output.verdict is not None
        self.now += 3 * MS
        if output.send is not None:
            for topic, names in CONTROLLERS.items():
                columns = [output.send.joint_names.index(name) for name in names]
                part = replace(
                    output.send, joint_names=tuple(names), positions=output.send.positions[:, columns],
                    velocities=output.send.velocities[:, columns], accelerations=None,
                )  # fmt: skip
                self.write(topic, message(self.bag.types.types, part))
        data = output.verdict.to_dict()
        data |= {"published_ns": None if output.send is None else self.now, "armed": True, "state": "armed"}
        if self.slow:
            late = Violation("judging_time", value=0.006, bound=0.005, message="not judged in time")
            data |= {"response": "reject", "violations": [late.to_dict()], "published_ns": None}
        if self.context:
            data["context"] = replace(context, judged_ns=self.now).to_dict()
        self.write(VERDICTS, self.bag.factory.string(json.dumps(data)))
        return output.send

    def follow(self, sent: JointTrajectory, until_ns: int, off: float = 0.0) -> None:
        while self.now < until_ns:
            self.now = min(self.now + 20 * MS, until_ns)
            motion = motion_at(sent, self.now)
            self.see(motion.positions + off, motion.velocities)


def whole(delta: float, stamp_ns: int = NOW) -> JointTrajectory:
    """A motion of arm and gripper."""
    return replace(
        reach(np.append(np.full(7, delta), -0.01), start=np.append(HOME, 0.04), stamp_ns=stamp_ns),
        joint_names=(*PANDA, FINGER),
    )


def record_live(
    path: Path,
    *left_out: str,
    parameters: dict[str, Any] | None = None,
    context: bool = True,
    relax: bool = False,
    slow: bool = False,
) -> Path:
    """A run of an armed guard: accepts, one late, one that is too old, a jump that is braked for, a blind camera."""
    with BagWriter(path) as bag:
        parameters = {"embodiment": "franka", "start_position_tolerance": 0.03, **(parameters or {})}
        live = LiveGuard(bag, left_out, parameters, context, slow)
        rest = np.append(HOME, 0.04)
        live.see(rest, np.zeros(8))
        first = live.propose(whole(0.4))
        assert first is not None
        live.publish_settings()  # the recorder found the topic only now
        # The gripper is where it was sent, not where it was: both controllers' motions are executed.
        live.follow(first, first.stamp_ns + int(first.times_ns[6]), off=0.01)
        rest_of = {name: getattr(first, name)[6:] for name in ("positions", "velocities")}
        second = live.propose(
            replace(first, stamp_ns=live.now, times_ns=first.times_ns[6:] - first.times_ns[6], **rest_of)
        )
        assert second is not None
        live.now += 10 * MS
        live.propose(whole(0.4, stamp_ns=NOW - 100 * MS))
        live.follow(second, live.now + 90 * MS)
        stop = live.propose(whole(1.0, stamp_ns=live.now))
        assert stop is not None and stop.velocities is not None and not stop.velocities[-1].any()
        live.now += 50 * MS
        motion = motion_at(stop, live.now)
        live.see(motion.positions, motion.velocities)
        live.propose(whole(0.4, stamp_ns=live.now))
        live.now += 900 * MS
        if relax:
            live.parameters = {**live.parameters, "max_camera_age": 0.0}
            live.supervisor.settings = replace(live.supervisor.settings, max_camera_age=0.0)
            live.publish_settings()
        live.see(stop.positions[-1], np.zeros(8), camera=False)
        live.propose(replace(whole(0.0, stamp_ns=live.now), positions=np.tile(stop.positions[-1], (17, 1))))
    return path
