"""Plays a recording into live topics, serialised as it is, at a rate, with a clock. Needs ROS."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cosmos_ros.errors import ConfigError, CosmosRosError, InputError
from cosmos_ros.messages.stamps import stamp_message
from cosmos_ros.recordings.command_listeners import guarded_controllers
from cosmos_ros.recordings.play_options import PlayOptions
from cosmos_ros.recordings.recording import BagMessage, Recording
from cosmos_ros.recordings.ros_message_types import message_class, offered_profile
from cosmos_ros.recordings.topic_roles import Role, role_of
from cosmos_ros.types import NANOSECONDS

CLOCK_TOPIC = "/clock"
# Nodes look for these outside their namespace.
_GLOBAL_TOPICS = (CLOCK_TOPIC, "/tf", "/tf_static")
_ANSWER_WITHIN_S = 0.2
# Commands go out only after the graph has been looked at for this long, and while later looks find nothing.
_LOOK_FOR_S = 3.0
_LOOK_EVERY_S = 0.25


@dataclass
class PlayReport:
    """What was played.

    Attributes:
        counts: Topic → messages published.
        skipped: Topic → why it was not played.
        left_out: Topic that only ``include_commands`` plays → what it is.
        commands: Topics that command a robot and are played.
        loops: Times that the recording was played to its end.
        worst_delay_s: Most that a message was behind its time.
    """

    counts: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, Role] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    loops: int = 0
    worst_delay_s: float = 0.0


class BagPlayer:
    """Publishes a recording. Topics whose type is not installed are skipped, and said so in the report.

    What commands a robot, and what live nodes publish themselves, is played only with ``include_commands``; never
    while a guard is there and a controller listens.

    Args:
        node: Node that the publishers belong to.
        executor: Executor that spins it; used for waiting, so that services answer meanwhile.
        reader: An open recording.
        options: How to play.
        stop: Asked between messages and while waiting; True ends playing.

    Raises:
        InputError: A topic is not in the recording, or nothing can be played.
    """

    def __init__(
        self, node: Any, executor: Any, reader: Recording, options: PlayOptions, stop: Callable[[], bool]
    ) -> None:
        from std_srvs.srv import SetBool

        self.report = PlayReport()
        self.paused = options.start_paused
        self._node = node
        self._executor = executor
        self._reader = reader
        self._options = options
        self._stop = stop
        self._publishers = self._advertise()
        self._clock: Any = None
        self._clock_ns = 0
        # Playing time: recorded nanoseconds since the start of this round, and the moment it was that.
        self._played_ns = 0
        self._since = 0.0
        self._spun = 0.0
        self._looked = 0.0
        if options.clock:
            self._clock = self._clock_publisher()
        node.create_service(SetBool, "~/pause", self._on_pause)

    def run(self) -> PlayReport:
        """Play; return what was played.

        Raises:
            CosmosRosError: Nobody subscribed to a topic of ``wait_for`` in time.
            ConfigError: Commands would reach a controller past the guard.
            InputError: The recording is damaged; what came before was played.
        """
        begin_ns = self._reader.start_ns + round(self._options.start_offset * NANOSECONDS)
        self._await_subscribers(begin_ns)
        while not self._stop():
            self._play_once(begin_ns)
            if self._stop() or not self._options.loop:
                break
        for publisher in self._publishers.values():
            self._settle(publisher)
        return self.report

    def _advertise(self) -> dict[str, Any]:
        wanted = self._options.topics
        for name in wanted or ():
            self._reader.require(name)
        publishers: dict[str, Any] = {}
        for name, topic in self._reader.topics.items():
            if (wanted is not None and name not in wanted) or not topic.count:
                continue
            if name == CLOCK_TOPIC and self._options.clock:
                continue  # the player's own clock follows the rate; the recorded one does not
            role = role_of(name, topic.type_name)
            if role is not Role.INPUT and not self._options.include_commands:
                self.report.left_out[name] = role
                continue
            try:
                kind = message_class(topic.type_name)
            except InputError as error:
                self.report.skipped[name] = error.message
                continue
            publishers[name] = self._node.create_publisher(kind, self._played_as(name), offered_profile(topic))
            if role is Role.COMMAND:
                self.report.commands.append(publishers[name].topic_name)
        if not publishers:
            reasons = [f"{name}: {why}" for name, why in self.report.skipped.items()]
            reasons += [f"{name}: {role.value}" for name, role in self.report.left_out.items()]
            raise InputError(f"nothing can be played {'; '.join(reasons)}".strip(), where=str(self._reader.path))
        for name in self._options.wait_for:
            if name not in publishers:
                raise InputError(f"cannot wait for {name}, it is not played", where=str(self._reader.path))
        self.report.counts = dict.fromkeys(publishers, 0)
        return publishers

    def _played_as(self, name: str) -> str:
        """Return the name that a topic is played under: relative, so that it follows the player's namespace."""
        namespace = f"{self._node.get_namespace().rstrip('/')}/"
        if name in _GLOBAL_TOPICS or name in self._options.keep_names or name.startswith(namespace):
            return name
        return name.lstrip("/")

    def _clock_publisher(self) -> Any:
        from rclpy.qos import QoSProfile, ReliabilityPolicy
        from rosgraph_msgs.msg import Clock

        # What time sources subscribe with; a reliable writer would wait for slow ones.
        profile = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        return self._node.create_publisher(Clock, CLOCK_TOPIC, profile)

    def _await_subscribers(self, begin_ns: int) -> None:
        deadline = time.monotonic() + self._options.wait_timeout
        while True:
            missing = [t for t in self._options.wait_for if not self._publishers[t].get_subscription_count()]
            if not missing or self._stop():
                break
            if time.monotonic() > deadline:
                raise CosmosRosError(
                    f"nobody subscribed to {', '.join(missing)} in {self._options.wait_timeout:g} s",
                    where="play",
                    hint="Start the nodes, or look at the topic names and ROS_DOMAIN_ID.",
                )
            # Nodes on simulation time do nothing before they have a time.
            self._publish_clock(begin_ns)
            self._spin(0.05)
        until = time.monotonic() + max(self._options.delay, _LOOK_FOR_S if self.report.commands else 0.0)
        while not self._stop() and (left := until - time.monotonic()) > 0:
            self._publish_clock(begin_ns)
            self._spin(min(left, 0.05))

    def _look_for_controllers(self) -> None:
        if not self.report.commands or time.monotonic() < self._looked + _LOOK_EVERY_S:
            return
        if reason := guarded_controllers(self._node, self.report.commands):
            raise ConfigError(
                f"commands are not played: {reason}", where="play --include-commands", hint="Stop one of the two."
            )
        self._looked = time.monotonic()

    def _play_once(self, begin_ns: int) -> None:
        self._played_ns = 0
        self._since = time.monotonic()
        self._clock_ns = 0
        self._look_for_controllers()
        for message in self._latched_before(begin_ns):
            self._publishers[message.topic].publish(message.data)
            self.report.counts[message.topic] += 1
        for message in self._reader.messages(set(self._publishers), start_ns=begin_ns):
            if not self._wait_until(message.log_ns - begin_ns, begin_ns):
                return
            self._publish(message)
        self.report.loops += 1
        self._spin(0.01)

    def _latched_before(self, begin_ns: int) -> list[BagMessage]:
        """The last message of each latched topic before the part that is played, as late joiners got it then."""
        latched = {name for name, publisher in self._publishers.items() if _is_latched(publisher)}
        if not latched or begin_ns <= self._reader.start_ns:
            return []
        last = {message.topic: message for message in self._reader.messages(latched, end_ns=begin_ns)}
        return sorted(last.values(), key=lambda message: message.log_ns)

    def _publish(self, message: BagMessage) -> None:
        if message.log_ns > self._clock_ns:
            self._publish_clock(message.log_ns)
        self._look_for_controllers()
        self._publishers[message.topic].publish(message.data)
        if time.monotonic() > self._spun + _ANSWER_WITHIN_S:
            self._spin(0.003)  # also a player that is behind its time answers services
        self.report.counts[message.topic] += 1

    def _wait_until(self, offset_ns: int, begin_ns: int) -> bool:
        """Wait until a recorded time has come; False when stopped."""
        rate = self._options.rate
        tick = NANOSECONDS / self._options.clock if self._options.clock else float("inf")
        while not self._stop():
            if self.paused:
                self._played_ns = self._now_ns()
                self._spin(0.05)
                self._since = time.monotonic()
                continue
            left_ns = offset_ns - self._now_ns()
            if left_ns <= 0:
                self.report.worst_delay_s = max(self.report.worst_delay_s, -left_ns / NANOSECONDS / rate)
                return True
            until_tick_ns = self._clock_ns + tick - begin_ns - self._now_ns() if self._clock_ns else tick
            self._spin(max(min(left_ns, until_tick_ns, 50_000_000 * rate), 0) / NANOSECONDS / rate)
            now_ns = begin_ns + min(self._now_ns(), offset_ns)
            if now_ns - self._clock_ns >= tick:
                self._publish_clock(now_ns)
        return False

    def _now_ns(self) -> int:
        """Recorded time that has been played in this round."""
        return self._played_ns + round((time.monotonic() - self._since) * NANOSECONDS * self._options.rate)

    def _publish_clock(self, now_ns: int) -> None:
        if self._clock is None:
            return
        from rosgraph_msgs.msg import Clock

        self._clock_ns = now_ns
        self._clock.publish(Clock(clock=stamp_message(now_ns)))

    def _spin(self, seconds: float) -> None:
        # Waiting in the executor answers services; very short waits are not worth its overhead.
        if seconds > 0.002:
            self._spun = time.monotonic()
            self._executor.spin_once(timeout_sec=seconds)
        elif seconds > 0:
            time.sleep(seconds)

    def _settle(self, publisher: Any) -> None:
        from rclpy.duration import Duration

        publisher.wait_for_all_acked(Duration(seconds=1.0))

    def _on_pause(self, request: Any, response: Any) -> Any:
        if request.data and not self.paused:
            self._played_ns = self._now_ns()
            self._since = time.monotonic()
        self.paused = bool(request.data)
        response.success = True
        response.message = "paused" if self.paused else "playing"
        return response


def _is_latched(publisher: Any) -> bool:
    from rclpy.qos import DurabilityPolicy

    return bool(publisher.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL)
