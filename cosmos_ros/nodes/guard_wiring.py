"""The guard's connections to ROS: what arrives goes to the supervisor, and what it answers is published."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from sensor_msgs.msg import CameraInfo, JointState
from std_msgs.msg import Bool, Empty, Float64, String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from cosmos_ros.embodiment.controller_interfaces import parse_controllers
from cosmos_ros.errors import InputError
from cosmos_ros.guard import Guard, GuardSettings, Response, Verdict
from cosmos_ros.guard.supervision.supervisor import Supervisor
from cosmos_ros.guard.supervision.supervisor_states import Output, State, SupervisorSettings, without_numbers
from cosmos_ros.guard.supervision.trajectory_intake import read_message
from cosmos_ros.messages import joint_state_from_message, joint_trajectory_message, ns_from_stamp
from cosmos_ros.nodes import qos
from cosmos_ros.nodes.clocks import steady_clock
from cosmos_ros.nodes.controller_outputs import ControllerOutputs, other_types
from cosmos_ros.nodes.controller_reports import ControllerReports
from cosmos_ros.nodes.described_robot import load_described
from cosmos_ros.nodes.diagnostics import ERROR, OK, WARN, Diagnostics
from cosmos_ros.observation.camera_topics import camera_info_topic, parse_cameras
from cosmos_ros.observation.measured_state import JointStateSettings
from cosmos_ros.settings import pick
from cosmos_ros.trajectory.following import FollowingSettings
from cosmos_ros.types import NANOSECONDS, FloatArray
from cosmos_ros.version import __version__

_INACTIVE = "the guard is inactive; activate it first"
# What a node creates, and what takes it away again.
_ENTITIES = {
    "publishers": "destroy_publisher",
    "subscriptions": "destroy_subscription",
    "services": "destroy_service",
    "timers": "destroy_timer",
}
_LEVELS = {
    Response.ACCEPT: OK,
    Response.SLOW_DOWN: WARN,
    Response.TRUNCATE: WARN,
    Response.REJECT: ERROR,
}


class GuardWiring:
    """A supervisor, wired to topics, services and timers of a node.

    While ``active`` is false it watches the robot and brings it to rest, but judges nothing and is not armed.

    Args:
        node: The node that all of it belongs to.
        values: The node's parameters.
        diagnostics: What the node reports.

    Raises:
        CosmosRosError: The robot cannot be loaded, or a setting asks for what is not there. Nothing is left connected.
    """

    def __init__(self, node: Any, values: Mapping[str, Any], diagnostics: Diagnostics) -> None:
        self._node, self._values, self._diagnostics = node, values, diagnostics
        self.active = False
        before = _entities(node)
        try:
            self._connect()
        except Exception:
            _destroy(node, before)
            raise
        self._before = before

    def close(self) -> None:
        """Destroy all of it."""
        self._outputs.close()
        _destroy(self._node, self._before)

    def _connect(self) -> None:
        node, values = self._node, self._values
        embodiment = load_described(node, values["embodiment"], values["robot_description"], self._diagnostics)
        guard = Guard.for_embodiment(embodiment, GuardSettings.from_mapping(values))
        self._limits = embodiment.limits
        cameras = parse_cameras(values["cameras"], embodiment.views)
        self._supervisor = Supervisor(
            guard,
            pick(SupervisorSettings, values),
            self._read_clock,
            tuple(cameras),
            # Simulated time runs at a pace of its own.
            steady=None if node.get_parameter("use_sim_time").value else time.monotonic_ns,
            following=pick(FollowingSettings, values),
            joint_states=pick(JointStateSettings, values),
        )
        self._uncertainty: tuple[int, float] | None = None
        self._verdict_context = self._supervisor.verdict_context(0)
        self._judged_ns: int | None = None
        self._offered = False
        self._reported: State | None = None

        controllers = parse_controllers(values["controllers"], embodiment.controllers)
        ControllerReports(node, controllers, on_reference=self._on_reference, on_speed_scaling=self._on_speed_scaling)
        self._outputs = ControllerOutputs(
            node,
            controllers,
            on_event=lambda text: self._apply(self._supervisor.on_controller_event(text, self._now())),
            on_note=lambda text: node.get_logger().info(text),
            gripper_max_effort=values["gripper_max_effort"],
            answer_timeout=values["controller_timeout"],
        )
        self._would_send = node.create_publisher(JointTrajectory, "~/would_send", qos.reliable())
        self._verdict = node.create_publisher(DiagnosticArray, "~/verdict", qos.reliable(10))
        self._verdict_json = node.create_publisher(String, "~/verdict_json", qos.reliable(10))
        self._settings_output = node.create_publisher(String, "~/settings", qos.latched())
        self._robot = embodiment.config_hash
        self._publish_settings(dict(values))
        node.create_subscription(JointTrajectory, "action_trajectory", self._on_candidate, qos.reliable())
        node.create_subscription(JointState, "joint_states", self._on_joint_state, qos.sensor())
        node.create_subscription(Float64, "uncertainty", self._on_uncertainty, qos.sensor(1))
        for view, topic in cameras.items():
            node.create_subscription(
                CameraInfo, camera_info_topic(topic), partial(self._on_camera_info, view), qos.sensor(1)
            )
        # Best effort and volatile meets every publisher; what was latched before is read by the second subscription.
        self._e_stop = node.create_subscription(Bool, "e_stop", self._on_e_stop, qos.sensor(10))
        node.create_subscription(Bool, "e_stop", self._on_e_stop, qos.latched())
        node.create_subscription(Empty, "~/heartbeat", self._on_heartbeat, qos.sensor(1))
        node.create_service(Trigger, "~/arm", self._arm)
        node.create_service(Trigger, "~/disarm", self._disarm)
        node.create_service(Trigger, "~/reset", self._reset)
        steady = steady_clock()
        node.create_timer(1.0 / values["tick_rate"], self._tick, clock=steady)
        node.create_timer(0.5, self._look_around, clock=steady)
        self._look_around()
        self.report()

    # -- inputs ---------------------------------------------------------------------------------------------------

    def _now(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _read_clock(self) -> int:
        """As ``_now``, for the supervisor; its last look after a judgement belongs to the verdict's context."""
        self._judged_ns = self._now()
        return self._judged_ns

    def on_parameter(self, name: str, value: Any) -> None:
        """Take a changed parameter."""
        values = {**self._values, name: value}
        self._supervisor.settings = pick(SupervisorSettings, values)
        if name == "velocity_scale":
            self._supervisor.use(Guard(self._supervisor.guard.robot, GuardSettings.from_mapping(values)))
        self._publish_settings(values)

    def _publish_settings(self, values: dict[str, Any]) -> None:
        """Publish what the verdicts rest on besides their contexts, so that a recording can be judged again."""
        data = {"version": __version__, "config_hash": self._robot, "parameters": values}
        self._settings_output.publish(String(data=json.dumps(data)))

    def _on_joint_state(self, message: Any) -> None:
        now = self._now()
        try:
            state = joint_state_from_message(message)
        except InputError as error:
            self._apply(self._supervisor.on_bad_joint_state(str(error), now))
            return
        self._apply(self._supervisor.on_joint_state(state, now))

    def _on_camera_info(self, view: str, message: Any) -> None:
        now = self._now()
        try:
            stamp = ns_from_stamp(message.header.stamp, where="header.stamp")
        except InputError:
            return  # dropped: the last good one grows old
        self._apply(self._supervisor.on_camera(view, stamp, now))

    def _on_reference(self, names: Sequence[str], positions: FloatArray, stamp: int) -> None:
        self._apply(self._supervisor.on_controller_state(names, positions, stamp, self._now()))

    def _on_speed_scaling(self, fraction: float) -> None:
        self._apply(self._supervisor.on_speed_scaling(fraction, self._now()))

    def _on_uncertainty(self, message: Any) -> None:
        self._uncertainty = (self._now(), float(message.data))

    def _on_e_stop(self, message: Any) -> None:
        self._apply(self._supervisor.on_e_stop(bool(message.data), self._now()))

    def _on_heartbeat(self, _: Any) -> None:
        self._apply(self._supervisor.on_heartbeat(self._now()))

    def _on_candidate(self, message: Any) -> None:
        if not self.active:
            return
        now = self._now()
        trajectory, stamp = read_message(message, self._limits, self._supervisor.guard.settings.checking.max_points)
        uncertainty = None
        if self._uncertainty is not None and now - self._uncertainty[0] < NANOSECONDS:
            uncertainty = self._uncertainty[1]
        self._verdict_context, self._judged_ns = self._supervisor.verdict_context(now, uncertainty), None
        self._apply(self._supervisor.on_candidate(trajectory, now, stamp_ns=stamp, uncertainty=uncertainty))

    def _tick(self) -> None:
        self._apply(self._supervisor.tick(self._now()))
        self._offer_to_arm()
        self.report()

    def _offer_to_arm(self) -> None:
        """Say once how the guard is armed, when it could be; or arm it, where it was started to be."""
        now = self._now()
        if (
            not self.active
            or self._offered
            or self._supervisor.state is not State.DISARMED
            or self._supervisor.refusal(now)
        ):
            return
        self._offered = True
        if self._values["arm_when_ready"]:
            self._look_around()
            self._supervisor.arm(self._now())
            return
        space, name = self._node.get_namespace().strip("/"), self._node.get_name()
        options = (f" --namespace {space}" if space else "") + (f" --name {name}" if name != "guard" else "")
        service = f"{self._node.get_fully_qualified_name()}/arm"
        self._node.get_logger().info(
            f"ready to be armed: cosmos-ros guard arm{options}, or ros2 service call {service} std_srvs/srv/Trigger"
        )

    def _look_around(self) -> None:
        """See who else commands the robot, and who listens."""
        others, listeners = self._outputs.others(), self._outputs.listeners()
        unheard = other_types(self._node, self._e_stop.topic_name, "std_msgs/msg/Bool")
        self._apply(self._supervisor.on_graph(others, listeners, self._now(), unheard))
        self._diagnostics.set("e-stop", ERROR if unheard else OK, "; ".join(unheard) or "listened to")

    # -- services -------------------------------------------------------------------------------------------------

    def _arm(self, _: Any, response: Any) -> Any:
        self._look_around()
        if self.active:
            response.success, response.message = self._supervisor.arm(self._now())
        else:
            response.success, response.message = False, f"not armed: {_INACTIVE}"
        self.report()
        return response

    def _disarm(self, _: Any, response: Any) -> Any:
        self.disarm()
        response.success, response.message = True, "disarmed"
        self.report()
        return response

    def refuses(self, values: Mapping[str, Any]) -> str | None:
        """Return why the parameters may not become these; None when they may."""
        raised = values["velocity_scale"] > self._values["velocity_scale"]
        if raised and self._supervisor.state is State.ARMED:
            return "velocity_scale may only be lowered while the guard is armed"
        return None

    def disarm(self) -> None:
        """Let nothing through, and brake what moves."""
        self._apply(self._supervisor.disarm(self._now()))

    @property
    def moving(self) -> bool:
        """Whether the robot is still to move by what it was sent."""
        return self._supervisor.moving(self._now())

    def _reset(self, _: Any, response: Any) -> Any:
        response.success, response.message = self._supervisor.reset(self._now())
        self.report()
        return response

    # -- outputs --------------------------------------------------------------------------------------------------

    def _apply(self, output: Output) -> None:
        published: int | None = None
        if output.send is not None:
            self._outputs.send(output.send, self._supervisor.executed.commands[-1].trajectory.stamp_ns)
            published = self._now()
        if output.would_send is not None:
            self._would_send.publish(joint_trajectory_message(output.would_send))
        if output.verdict is not None:
            self._publish_verdict(output.verdict, published)
        if output.event:
            self._diagnostics.set("event", WARN, output.event)

    def _publish_verdict(self, verdict: Verdict, published: int | None) -> None:
        armed = self._supervisor.state is State.ARMED
        state = self._supervisor.state.value
        context = replace(self._verdict_context, judged_ns=self._judged_ns).to_dict()
        data = {**verdict.to_dict(), "armed": armed, "state": state, "published_ns": published, "context": context}
        self._verdict_json.publish(String(data=json.dumps(data)))
        array = DiagnosticArray()
        array.header.stamp = self._node.get_clock().now().to_msg()
        head = DiagnosticStatus(level=_LEVELS[verdict.response], name="verdict", message=verdict.summary)
        head.values = [
            KeyValue(key=key, value=str(data[key]))
            for key in ("response", "armed", "state", "time_scale", "stopped_at", "elapsed_ms")
        ]
        array.status = [head]
        for violation in verdict.violations:
            status = DiagnosticStatus(level=ERROR, name=violation.limit, message=str(violation))
            status.values = [KeyValue(key=k, value=str(v)) for k, v in violation.to_dict().items() if v is not None]
            array.status.append(status)
        self._verdict.publish(array)
        level = _LEVELS[verdict.response]
        # Numbers differ from verdict to verdict; the concern changes only with the kind of answer.
        first = verdict.first
        message = verdict.response.value + ("" if first is None else f": {first.limit} {first.joint or ''}".rstrip())
        self._diagnostics.set(
            "verdict", level, message, {"summary": verdict.summary, **self._supervisor.counters.responses}
        )

    def report(self) -> None:
        """Say how it stands, on ``/diagnostics``."""
        supervisor = self._supervisor
        level = {State.ARMED: OK, State.DISARMED: WARN}.get(supervisor.state, ERROR)
        if supervisor.state is State.ARMED:
            message = "armed"
        else:
            refusal = without_numbers(supervisor.refusal(self._now())) if self.active else _INACTIVE
            message = f"{supervisor.state.value}: {supervisor.reason}"
            if refusal and supervisor.state is State.DISARMED:
                message += f" (arming would be refused: {refusal})"
        disarmed = supervisor.state is State.DISARMED
        at_once, self._reported = supervisor.state is not self._reported, supervisor.state
        counts = {"brakes": supervisor.counters.brakes}
        self._diagnostics.set("state", level, message, counts, expected=disarmed, at_once=at_once)
        stale = supervisor.cameras.stale(self._now(), supervisor.settings.max_camera_age)
        unheard = supervisor.cameras.unheard() if supervisor.settings.max_camera_age else ()
        if stale is not None:
            self._diagnostics.set("cameras", ERROR, stale.message, stream=disarmed)
        else:
            note = f"not watched, no camera_info: {', '.join(unheard)}" if unheard else "fresh"
            self._diagnostics.set("cameras", OK, note)
        problem = supervisor.joint_state_problem(self._now())
        level, never = ERROR if problem else OK, problem == "none yet"
        self._diagnostics.set("joint states", level, problem or "fresh", waiting=never, stream=disarmed)


def _entities(node: Any) -> dict[str, set[Any]]:
    return {kind: set(getattr(node, kind)) for kind in _ENTITIES}


def _destroy(node: Any, but: Mapping[str, set[Any]]) -> None:
    for kind, destroy in _ENTITIES.items():
        for entity in set(getattr(node, kind)) - but[kind]:
            getattr(node, destroy)(entity)
