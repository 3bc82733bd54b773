"""An arm that does exactly what it is told, over real DDS: what the guard's live tests command."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from guard_support import HOME, PANDA

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from live import SlowClock, Watcher
from sensor_msgs.msg import CameraInfo
from sensor_msgs.msg import JointState as JointStateMessage
from std_msgs.msg import Bool, Header, String
from trajectory_msgs.msg import JointTrajectory as TrajectoryMessage

from cosmos_ros.bringup.domain import private_domain, private_environment
from cosmos_ros.bringup.processes import ProcessGroup, child_environment
from cosmos_ros.messages import (
    joint_state_message,
    joint_trajectory_from_message,
    joint_trajectory_message,
    stamp_message,
)
from cosmos_ros.nodes import qos
from cosmos_ros.sim.trajectory_controller import JointTrajectoryController
from cosmos_ros.types import JointState, JointTrajectory

FINGER = "panda_finger_joint1"
NAMES = (*PANDA, FINGER)
START = np.append(HOME, 0.04)


class Arm:
    """Seven joints and a finger, joint states every 10 ms, two controllers; a wrist camera while it is filming.

    It lives in the time of a ``SlowClock``, or in that of the system.
    """

    def __init__(self, watcher: Watcher, *, system_time: bool = False) -> None:
        self.watcher = watcher
        node = watcher.node
        self._lock = threading.RLock()
        self.controllers = {
            "joint_trajectory": JointTrajectoryController(PANDA),
            "gripper_trajectory": JointTrajectoryController((FINGER,)),
        }
        self.received: list[tuple[int, JointTrajectory]] = []
        self.refused: list[tuple[float, str]] = []  # seconds after its stamp, reason
        self.frozen = False
        self.delay_ns = 0  # how late joint states are published
        self.spoil: Callable[[JointState], JointState] | None = None
        self._states = node.create_publisher(JointStateMessage, "joint_states", qos.reliable(5))
        self._candidates = node.create_publisher(TrajectoryMessage, "action_trajectory", qos.reliable(50))
        self._e_stop = node.create_publisher(Bool, "e_stop", qos.latched())
        for topic in self.controllers:
            node.create_subscription(
                TrajectoryMessage, topic, lambda m, topic=topic: self._command(topic, m), qos.reliable(1000)
            )
        watcher.listen(String, "guard/verdict_json")
        watcher.listen(TrajectoryMessage, "guard/would_send")
        self.filming = False
        self._camera = node.create_publisher(CameraInfo, "wrist/camera_info", qos.reliable(5))
        self.clock: SlowClock | None = None
        if system_time:
            self.home()
            node.create_timer(0.01, lambda: self._tick(self.now()))
        else:
            self.clock = SlowClock(watcher, self._tick)
            self.home()

    def now(self) -> int:
        return time.time_ns() if self.clock is None else self.clock.now()

    def time_stops(self) -> AbstractContextManager[None]:
        """Let no time pass, where it is ours: what is judged meanwhile comes in time however slow the machine is."""
        return nullcontext() if self.clock is None else self.clock.stopped()

    def home(self) -> None:
        """Put the arm back to where it starts, at rest."""
        with self._lock:
            for topic, controller in self.controllers.items():
                names = controller.joint_names
                at = np.array([START[NAMES.index(n)] for n in names])
                controller.hold(JointState(0, names, at, np.zeros(len(names))))
                assert topic in self.controllers
            self.received.clear()
            self.refused.clear()
            self.frozen, self.spoil, self.delay_ns = False, None, 0

    def state(self, now: int) -> JointState:
        with self._lock:
            parts = [controller.sample(now) for controller in self.controllers.values()]
        positions, velocities = (np.concatenate(values) for values in zip(*parts, strict=True))
        return JointState(now, NAMES, positions, velocities)

    def _tick(self, now: int) -> None:
        if not self.frozen:
            self.publish_state(now - self.delay_ns)
        if self.filming:
            self._camera.publish(CameraInfo(header=Header(stamp=stamp_message(now))))

    def publish_state(self, now: int) -> None:
        state = self.state(now)
        self._states.publish(joint_state_message(self.spoil(state) if self.spoil else state))

    def _command(self, topic: str, message: Any) -> None:
        now = self.now()
        trajectory = joint_trajectory_from_message(message)
        with self._lock:
            controller = self.controllers[topic]
            refused = controller.accept(trajectory, now, self.state(now))
            if refused:
                self.refused.append(((now - trajectory.stamp_ns) * 1e-9, refused))
            if topic == "joint_trajectory":
                self.received.append((now, trajectory))

    def moving(self) -> bool:
        return bool(np.abs(self.state(self.now()).velocities).max() > 1e-6)

    def resting(self) -> bool:
        """Whether everything it was told has been done; between lead-in and motion it only stands still."""
        now = self.now()
        with self._lock:
            done = all(
                np.array_equal(*controller.sample_many(np.array([now, now + 3600 * 10**9]))[0])
                for controller in self.controllers.values()
            )
        return done and not self.moving()

    def chunk(self, delta: np.ndarray | float, *, duration: float = 1.0, lead: float = 0.1) -> JointTrajectory:
        """A candidate from where the arm is commanded to be, at rest."""
        begin = self.now() + round(lead * 1e9)
        start = self.state(begin).positions
        t = np.linspace(0.0, duration, 16)
        s = t / duration
        q = start + np.outer(10 * s**3 - 15 * s**4 + 6 * s**5, np.append(np.broadcast_to(delta, 7), 0.0))
        v = np.outer((30 * s**2 - 60 * s**3 + 30 * s**4) / duration, np.append(np.broadcast_to(delta, 7), 0.0))
        return JointTrajectory(NAMES, begin, np.round(t * 1e9).astype(np.int64), q, v)

    def propose(self, trajectory: JointTrajectory) -> None:
        self._candidates.publish(joint_trajectory_message(trajectory))

    def propose_message(self, message: Any) -> None:
        self._candidates.publish(message)

    def e_stop(self, pressed: bool) -> None:
        self._e_stop.publish(Bool(data=pressed))


@contextmanager
def cell(*, system_time: bool = False, **parameters: Any) -> Iterator[tuple[Arm, ProcessGroup, dict[str, str]]]:
    """An arm and a guard process on a domain of their own."""
    with private_domain() as domain, ProcessGroup() as group:
        environment = private_environment(domain)
        watcher = Watcher(domain)
        try:
            arm = Arm(watcher, system_time=system_time)
            start_guard(group, environment, use_sim_time=not system_time, **parameters)
            yield arm, group, environment
        finally:
            watcher.close()


def start_guard(
    group: ProcessGroup,
    environment: dict[str, str],
    name: str = "guard",
    remap: tuple[str, ...] = (),
    **parameters: Any,
) -> None:
    command = [sys.executable, "-m", "cosmos_ros.nodes.guard_node", "--ros-args", "-r", f"__node:={name}"]
    for rule in remap:
        command += ["-r", rule]
    for key, value in parameters.items():
        command += ["-p", f"{key}:={str(value).lower() if isinstance(value, bool) else value}"]
    group.start(name, command, child_environment(environment))
