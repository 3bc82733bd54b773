"""The simulated robot as a node: joint states, cameras, controllers, scene, task status and, if asked, ``/clock``.

Three threads: the executor only takes messages; one steps the physics and publishes what is due at exact times; one
renders and publishes images. The newest moment wins where rendering is too slow, and that is counted.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import MarkerArray

from cosmos_ros.embodiment import Embodiment, load_embodiment
from cosmos_ros.errors import ConfigError, CosmosRosError, InputError
from cosmos_ros.messages import joint_state_message, joint_trajectory_from_message, stamp_message
from cosmos_ros.nodes import qos
from cosmos_ros.nodes.clocks import steady_clock
from cosmos_ros.nodes.diagnostics import ERROR, OK, WARN, Diagnostics
from cosmos_ros.nodes.node_process import run
from cosmos_ros.nodes.parameters import declare
from cosmos_ros.nodes.sim_cameras import SimCameras
from cosmos_ros.nodes.sim_scene import scene_message
from cosmos_ros.settings import declared, setting
from cosmos_ros.sim.imagination import world_of
from cosmos_ros.sim.runtime import Due, OutputRates, SimRuntime
from cosmos_ros.sim.scenes import task_scene, vocabulary
from cosmos_ros.sim.simulated_robot import simulated_robot
from cosmos_ros.sim.tabletop import Tabletop, tabletop_for
from cosmos_ros.sim.task import DEFAULT_INSTRUCTION, parse_instruction
from cosmos_ros.types import NANOSECONDS

# Sim time begins here and not at zero, which means "unset" in a stamp.
SIM_TIME_START_NS = NANOSECONDS
# A clock that goes forward or back by more than this was set: it is followed in one jump. Less is caught up by
# stepping, which takes a twentieth of the time.
JUMP_NS = 2 * NANOSECONDS
BACK_NS = NANOSECONDS // 10
# How far the world may lag behind the /clock that this node makes before /clock runs slower instead.
SLIP_NS = NANOSECONDS // 10


@dataclass(frozen=True)
class SimRobotSettings:
    """What the simulated robot is and publishes."""

    embodiment: str = setting("franka", "Shipped embodiment or path of its YAML file.", read_only=True)
    seed: int = setting(0, "Seed of the scene; a change takes effect at the next reset.", minimum=0, maximum=2**31 - 1)
    task: str = setting(
        DEFAULT_INSTRUCTION, "What task_status watches: put, push, lift or reach, and the objects' names."
    )
    driver: str = setting(
        "unknown", "Who drives the arm, copied into task_status.", choices=("unknown", "scripted", "learned")
    )
    image_width: int = setting(320, "Width of the images", unit="pixels", minimum=64, maximum=1920, read_only=True)
    image_height: int = setting(
        0,
        "Height of the images; 0: as the embodiment's primary camera has it for the width",
        unit="pixels",
        minimum=0,
        maximum=1080,
        read_only=True,
    )
    scene: str = setting(
        "plain",
        "plain: three cubes and a pad. varied: the task's objects among others, in colours and light of the seed.",
        choices=("plain", "varied"),
        read_only=True,
    )
    camera_rate: float = setting(15.0, "Images a second and camera.", minimum=0.5, maximum=60.0, read_only=True)
    cameras: str = setting(
        "all", "Comma-separated views to render; all: those of the embodiment; empty: none.", read_only=True
    )
    jpeg_quality: int = setting(85, "Quality of the compressed images.", minimum=1, maximum=100)
    shadows: bool = setting(False, "Cast shadows; many times slower without a GPU.", read_only=True)
    joint_state_rate: float = setting(100.0, "Joint states a second.", minimum=10.0, maximum=500.0, read_only=True)
    status_rate: float = setting(5.0, "Task statuses a second.", minimum=0.1, maximum=50.0, read_only=True)
    publish_clock: bool = setting(False, "Be the source of time: publish /clock and stamp with it.", read_only=True)
    real_time_factor: float = setting(
        1.0,
        "Simulated seconds a second; other than 1 only with publish_clock.",
        minimum=0.01,
        maximum=100.0,
        read_only=True,
    )
    allow_partial_joints_goal: bool = setting(False, "Controllers accept trajectories of some joints.", read_only=True)
    allow_nonzero_velocity_at_trajectory_end: bool = setting(
        False, "Controllers accept a last point that moves.", read_only=True
    )
    interpolate_from_desired_state: bool = setting(
        False, "Controllers start from the commanded, not the measured state.", read_only=True
    )


def _check(values: Mapping[str, Any]) -> str | None:
    if values["real_time_factor"] != 1.0 and not values["publish_clock"]:
        return "real_time_factor other than 1 needs publish_clock: true"
    objects = vocabulary() if values["scene"] == "varied" else Tabletop().by_name
    try:
        parse_instruction(values["task"], objects)
    except InputError as error:
        return str(error)
    if 0 < values["image_height"] < 48:
        return "image_height is 0 or at least 48 pixels"
    return None


class SimRobot(Node):
    """The node. ``destroy_node`` stops its threads."""

    def __init__(self) -> None:
        # Before anything can fail: rclpy destroys half-made nodes too.
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._cameras: SimCameras | None = None
        super().__init__("sim_robot")
        self._values = declare(self, declared(SimRobotSettings), on_change=self._on_parameter, check=_check)
        values = self._values
        if values["publish_clock"]:
            # What this node stamps is on the time that it publishes.
            self.set_parameters([RosParameter("use_sim_time", value=True)])
        embodiment = load_embodiment(values["embodiment"])
        if simulated_robot(embodiment).held:
            raise ConfigError(
                f"{embodiment.name} is hand-held: nothing that this node listens to could move it",
                where="embodiment",
                hint="Its episodes are simulated without nodes, by training/.",
            )
        world = world_of(embodiment, scene=self._scene_of(embodiment), seed=values["seed"])
        options = ("allow_partial_joints_goal", "allow_nonzero_velocity_at_trajectory_end")
        self._start = time.monotonic_ns()
        self._slip_ns = 0
        self._runtime = SimRuntime(
            world,
            embodiment.controllers,
            start_ns=self._clock_ns(),
            rates=OutputRates(values["joint_state_rate"], values["camera_rate"]),
            options={name: values[name] for name in (*options, "interpolate_from_desired_state")},
        )
        self._runtime.set_task(values["task"])
        self._base_frame = embodiment.base_frame
        self._lock = threading.Lock()
        self._diagnostics = Diagnostics(self, hardware_id=f"simulated {embodiment.name}")
        self._lateness_ns = 0
        self._slips = 0
        self._failure: str | None = None
        self._joint_states = self.create_publisher(JointState, "joint_states", qos.reliable(10))
        self._scene = self.create_publisher(MarkerArray, "scene", qos.reliable(5))
        self._status = self.create_publisher(String, "task_status", qos.latched())
        self._clock_publisher = (
            self.create_publisher(Clock, "/clock", qos.reliable()) if values["publish_clock"] else None
        )
        views = [view.strip() for view in values["cameras"].split(",") if view.strip()]
        if views == ["all"]:
            views = list(embodiment.views)
        sizes = dict.fromkeys(views, image_size(embodiment, values["image_width"], values["image_height"]))
        self._cameras = SimCameras(self, world, world.cameras(sizes), lambda: int(values["jpeg_quality"]))
        for topic, _ in embodiment.controllers:
            self.create_subscription(JointTrajectory, topic, self._receiver(topic), qos.reliable(5))
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_timer(1.0 / values["status_rate"], self._publish_status, clock=steady_clock())
        self.create_timer(1.0, self._diagnose, clock=steady_clock())
        self._thread = threading.Thread(target=self._simulate, name="physics", daemon=True)
        self._thread.start()
        self.get_logger().info(f"simulating {embodiment.name}, seed {values['seed']}, task: {values['task']}")

    def destroy_node(self) -> None:
        """Stop the threads before the node goes."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)
        if self._cameras is not None:
            self._cameras.close()
        super().destroy_node()

    def _scene_of(self, embodiment: Embodiment) -> Tabletop:
        values, description = self._values, simulated_robot(embodiment).description
        if values["scene"] == "varied":
            made = task_scene(description, values["seed"], instruction=values["task"]).scene
            return replace(made, shadows=values["shadows"])
        return tabletop_for(description.scene, shadows=values["shadows"])

    # -- physics thread -------------------------------------------------------------------------------------------

    def _clock_ns(self) -> int:
        """Return the time that the world should have reached."""
        if not self._values["publish_clock"]:
            return int(self.get_clock().now().nanoseconds)
        elapsed = (time.monotonic_ns() - self._start) * self._values["real_time_factor"]
        return SIM_TIME_START_NS + int(elapsed) - self._slip_ns

    def _simulate(self) -> None:
        try:
            while not self._closing.is_set():
                self._catch_up()
                wait = (self._runtime.next_due_ns() - self._clock_ns()) / NANOSECONDS
                if self._values["publish_clock"]:
                    wait /= self._values["real_time_factor"]
                # Short enough to notice a clock that runs at another rate or was set.
                self._closing.wait(min(max(wait, 0.0005), 0.02))
        except Exception as error:  # the executor reports it; a dead thread would be silent
            self._failure = f"{type(error).__name__}: {error}"

    def _catch_up(self) -> None:
        runtime = self._runtime
        target = self._clock_ns()
        behind = target - runtime.now_ns
        if self._values["publish_clock"]:
            if behind > SLIP_NS:
                # The machine is too slow for the wanted factor: time runs slower instead of jumping.
                self._slip_ns += behind - SLIP_NS // 2
                self._slips += 1
                target = self._clock_ns()
        elif not -BACK_NS <= behind <= JUMP_NS:
            with self._lock:
                runtime.jump(target)
        while not self._closing.is_set():
            with self._lock:
                due = runtime.advance(target)
                now = runtime.now_ns
                if not due:
                    return
                state = runtime.world.joint_state(now) if Due.JOINT_STATES in due else None
                snapshot = runtime.world.snapshot() if Due.CAMERAS in due else None
                poses = runtime.world.object_poses() if Due.CAMERAS in due else {}
            if self._clock_publisher is not None:
                self._clock_publisher.publish(Clock(clock=stamp_message(now)))
            if state is not None:
                self._joint_states.publish(joint_state_message(state))
                self._lateness_ns = max(self._lateness_ns, self._clock_ns() - now)
            if snapshot is not None and self._cameras is not None:
                self._cameras.submit(now, snapshot)
                self._scene.publish(scene_message(runtime.world.scene, poses, now, self._base_frame))

    # -- executor -------------------------------------------------------------------------------------------------

    def _receiver(self, topic: str) -> Callable[[JointTrajectory], None]:
        def receive(message: JointTrajectory) -> None:
            try:
                trajectory = joint_trajectory_from_message(message, topic=topic)
                with self._lock:
                    reason = self._runtime.receive(topic, trajectory)
            except CosmosRosError as error:
                reason = str(error)
                self._runtime.controllers[topic].rejected += 1
            level, text = (OK, "following") if reason is None else (WARN, f"trajectory rejected: {reason}")
            self._diagnostics.set(f"controller {topic}", level, text, self._counters(topic))

        return receive

    def _counters(self, topic: str) -> dict[str, int]:
        controller = self._runtime.controllers[topic]
        return {"accepted": controller.accepted, "rejected": controller.rejected}

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        seed = int(self._values["seed"])
        with self._lock:
            self._runtime.reset(seed)
        response.success, response.message = True, f"robot home, scene of seed {seed}"
        return response

    def _on_parameter(self, name: str, value: Any) -> None:
        if name == "task":
            with self._lock:
                self._runtime.set_task(value)

    def _publish_status(self) -> None:
        with self._lock:
            status = self._runtime.status()
            stamp = self._runtime.now_ns
        driver = self._values["driver"]
        scripted = {"scripted": True, "learned": False}.get(driver)
        status = {"task": self._values["task"], "driver": driver, "scripted": scripted, "stamp_ns": stamp, **status}
        self._status.publish(String(data=json.dumps(status)))

    def _diagnose(self) -> None:
        set_status = self._diagnostics.set
        if self._failure is not None:
            set_status("physics", ERROR, f"stopped: {self._failure}")
            return
        with self._lock:
            limits = self._runtime.world.monitor.to_dict()
            refused = self._runtime.world.refused_setpoints
            jumps = self._runtime.jumps
        values = {"largest lateness [ms]": f"{self._lateness_ns / 1e6:.1f}", "clock jumps": jumps, "slips": self._slips}
        self._lateness_ns = 0
        if refused:
            set_status("physics", ERROR, f"{refused} setpoints that are not finite were refused by the drives", values)
        elif limits["total"]:
            where = ", ".join(limits["joints"])
            set_status("physics", ERROR, f"joints left their limits: {where}", {**values, **limits["joints"]})
        elif self._slips:
            set_status("physics", WARN, "slower than real_time_factor asks for", values)
        else:
            set_status("physics", OK, "running", values)
        if self._cameras is not None:
            self._cameras.diagnose(self._diagnostics)


def image_size(embodiment: Embodiment, width: int, height: int) -> tuple[int, int]:
    """Return width and height of the images in pixels; a height of 0 follows the embodiment's primary camera."""
    largest = embodiment.spec.cameras[embodiment.views[0]].max_size or (640, 360)
    return width, height or max(48, 4 * round(width * largest[1] / largest[0] / 4))


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return run(SimRobot, args)


if __name__ == "__main__":
    sys.exit(main())
