"""A deterministic loop in simulated time: candidates → supervisor → controllers → robot → joint states → supervisor.

Nothing here needs ROS or a clock. The supervisor has the node's default settings and is reached by its public calls
only; controllers, robots and the record of what was commanded are this file's and ``loop_controller.py``'s own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from loop_controller import Controller, Handover

from cosmos_ros.embodiment import Embodiment, load_embodiment
from cosmos_ros.guard import Guard, GuardSettings
from cosmos_ros.guard.supervision.supervisor import Supervisor
from cosmos_ros.guard.supervision.supervisor_states import Output, State, SupervisorSettings
from cosmos_ros.types import JointState, JointTrajectory

S = 1_000_000_000
MS = 1_000_000


@lru_cache(maxsize=8)
def embodiment_of(name: str) -> Embodiment:
    return load_embodiment(name)


@lru_cache(maxsize=8)
def guard_of(name: str) -> Guard:
    """The guard as the node makes it with its defaults; it holds no state between calls."""
    return Guard.for_embodiment(embodiment_of(name), GuardSettings())


class Robot:
    """What a robot makes of its commands. This one follows perfectly."""

    def follow(self, commands: np.ndarray, tick: float) -> np.ndarray:
        """Return positions ``[ticks, J]`` for commanded positions ``[ticks, J]`` at ``tick`` seconds each."""
        return commands


class Delayed(Robot):
    """Follows its command by a constant time later."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: np.ndarray | None = None

    def follow(self, commands: np.ndarray, tick: float) -> np.ndarray:
        count = round(self._seconds / tick)
        if self._waiting is None:
            self._waiting = np.tile(commands[0], (count, 1))
        line = np.vstack((self._waiting, commands))
        self._waiting = line[len(line) - count :]
        return line[: len(commands)]


class Lagging(Robot):
    """A first-order lag, as a position loop without feed-forward has."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at: np.ndarray | None = None

    def follow(self, commands: np.ndarray, tick: float) -> np.ndarray:
        at = commands[0] if self._at is None else self._at
        share = 1.0 - np.exp(-tick / self._seconds)
        result = np.empty_like(commands)
        for k, command in enumerate(commands):
            at = at + share * (command - at)
            result[k] = at
        self._at = at
        return result


class Sagging(Robot):
    """Rests off its command, as an arm without integral action under a load that depends on where it is.

    Args:
        offsets: ``[J]`` rad or m, reached when some joint is commanded 0.3 rad from where it was at first.
    """

    def __init__(self, offsets: np.ndarray) -> None:
        self._offsets = offsets
        self._first: np.ndarray | None = None

    def follow(self, commands: np.ndarray, tick: float) -> np.ndarray:
        if self._first is None:
            self._first = commands[0].copy()
        away = np.abs(commands - self._first).max(axis=1, keepdims=True)
        return commands + self._offsets * np.minimum(away / 0.3, 1.0)


class Blocked(Robot):
    """One joint that cannot pass a place: a gripper at an object, an arm at an obstacle.

    Args:
        column: The joint.
        least, most: Where it can be, rad or m.
    """

    def __init__(self, column: int, least: float = -np.inf, most: float = np.inf) -> None:
        self._column, self._least, self._most = column, least, most

    def follow(self, commands: np.ndarray, tick: float) -> np.ndarray:
        result = commands.copy()
        result[:, self._column] = np.clip(result[:, self._column], self._least, self._most)
        return result


def merged(world: World) -> list[JointState]:
    """One message with all joints."""
    return [JointState(world.now, world.names, world.position.copy(), world.velocity.copy())]


def separate(world: World) -> list[JointState]:
    """One message a controller, as each driver publishes: the arm's at every step, others at every third."""
    states = []
    for number, (_, joints) in enumerate(world.embodiment.controllers):
        if number and (world.now // world.state_ns) % 3:
            continue
        columns = [world.names.index(name) for name in joints]
        states.append(JointState(world.now, joints, world.position[columns], world.velocity[columns]))
    return states


def unmeasured(*joints: str) -> Callable[[World], list[JointState]]:
    """Velocity NaN for joints whose hardware exports none."""

    def states(world: World) -> list[JointState]:
        (state,) = merged(world)
        velocities = np.where([name in joints for name in state.names], np.nan, state.velocities)
        return [JointState(state.stamp_ns, state.names, state.positions, velocities)]

    return states


@dataclass
class Record:
    """What happened: times ``[M]``, commanded and measured positions ``[M, J]`` at every tick, all that was sent."""

    seconds: list[np.ndarray] = field(default_factory=list)
    commands: list[np.ndarray] = field(default_factory=list)
    measured: list[np.ndarray] = field(default_factory=list)
    sent: list[tuple[int, JointTrajectory]] = field(default_factory=list)
    events: list[tuple[float, str]] = field(default_factory=list)


class World:
    """Everything around one supervisor.

    Args:
        embodiment: A shipped embodiment's name.
        start: Joint → position that differs from home.
        robot: How commands become motion.
        states: How motion becomes joint-state messages.
        tick_ns: Control cycle of the controllers.
        state_ns: Time between joint states.
        watch_ns: Time between ticks of the supervisor.
        transport_ns: From the guard to the controllers, whole control cycles.
        keeps_lost_time, starts_at_cycle: See ``Controller``.
        settings: Of the supervisor, where they differ from the defaults.
    """

    def __init__(
        self,
        embodiment: str,
        *,
        start: Mapping[str, float] | None = None,
        robot: Robot | None = None,
        states: Callable[[World], list[JointState]] = merged,
        tick_ns: int = MS,
        state_ns: int = 10 * MS,
        watch_ns: int = 20 * MS,
        transport_ns: int = 0,
        keeps_lost_time: bool = False,
        starts_at_cycle: bool = False,
        **settings: float | bool,
    ) -> None:
        self.embodiment = embodiment_of(embodiment)
        self.guard = guard_of(embodiment)
        self.now = 1000 * S
        self._judging_ns = self._jumped_ns = 0
        self.supervisor = Supervisor(
            self.guard,
            SupervisorSettings(**settings),
            lambda: self.now + self._judging_ns,
            steady=lambda: self.now - self._jumped_ns,
        )
        self.names = tuple(name for _, joints in self.embodiment.controllers for name in joints)
        at = {**{n: float(self.embodiment.home.get(n, 0.0)) for n in self.names}, **(start or {})}
        self.position = np.array([at[name] for name in self.names])
        self.velocity = np.zeros_like(self.position)
        self.robot = robot or Robot()
        self.states, self.tick_ns, self.state_ns, self.watch_ns = states, tick_ns, state_ns, watch_ns
        self._transport_ns, self._under_way = transport_ns, []
        self.frozen = False  # no joint states any more
        self._columns: list[list[int]] = []
        self.controllers: list[Controller] = []
        for _, joints in self.embodiment.controllers:
            columns = [self.names.index(name) for name in joints]
            self._columns.append(columns)
            clock = {"keeps_lost_time": keeps_lost_time, "cycle_ns": tick_ns if starts_at_cycle else 0}
            self.controllers.append(Controller(tuple(joints), self.position[columns], self.now, **clock))
        self.record = Record()
        self.position = self.robot.follow(self.position[None, :], tick_ns / S)[0]

    # -- what a driver does ------------------------------------------------------------------------------------------

    def arm(self) -> tuple[bool, str]:
        topics = [topic for topic, _ in self.embodiment.controllers]
        self.apply(self.supervisor.on_graph({t: [] for t in topics}, dict.fromkeys(topics, 1), self.now))
        if not self.frozen:
            self.publish()
        return self.supervisor.arm(self.now)

    def publish(self, states: Sequence[JointState] | None = None) -> None:
        for state in self.states(self) if states is None else states:
            self.apply(self.supervisor.on_joint_state(state, self.now))

    def candidate(self, trajectory: JointTrajectory, *, judging: float = 0.0) -> Output:
        """Give a candidate to the supervisor.

        Args:
            trajectory: The candidate.
            judging: How long judging it takes, s; nothing else is heard meanwhile, and its answer comes at the end.
        """
        self._judging_ns = round(judging * S)
        output = self.supervisor.on_candidate(trajectory, self.now)
        if self._judging_ns:
            self._move(self.now + self._judging_ns)
            self._judging_ns = 0
        return self.apply(output)

    def e_stop(self, pressed: bool = True) -> Output:
        return self.apply(self.supervisor.on_e_stop(pressed, self.now))

    def disarm(self) -> Output:
        return self.apply(self.supervisor.disarm(self.now))

    def recover(self) -> bool:
        """Release, reset and arm again; whether that was granted."""
        self.e_stop(False)
        self.supervisor.reset(self.now)
        return self.arm()[0]

    def run(self, seconds: float) -> None:
        """Let time pass: controllers and robot at every tick, joint states and the watch at their rates."""
        end = self.now + round(seconds * S / self.tick_ns) * self.tick_ns
        while self.now < end:
            stops = [end, *(t for t, _ in self._under_way)]
            stops += [(self.now // step + 1) * step for step in (self.state_ns, self.watch_ns)]
            self._move(min(stops))
            for due, sent in [x for x in self._under_way if x[0] <= self.now]:
                self._under_way.remove((due, sent))
                self._deliver(sent)
            if self.now % self.state_ns == 0 and not self.frozen:
                self.publish()
            if self.now % self.watch_ns == 0:
                self.apply(self.supervisor.tick(self.now))

    # -- what is asked of it ------------------------------------------------------------------------------------------

    @property
    def armed(self) -> bool:
        return self.supervisor.state is State.ARMED

    def column(self, joint: str) -> int:
        return self.names.index(joint)

    def commanded(self) -> np.ndarray:
        """Position, velocity, acceleration ``[3, J]`` commanded now."""
        result = np.zeros((3, len(self.names)))
        for controller, columns in zip(self.controllers, self._columns, strict=True):
            result[:, columns] = controller.commanded()
        return result

    def stream(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``[M]`` seconds, commanded and measured ``[M, J]`` positions."""
        record = self.record
        return np.concatenate(record.seconds), np.vstack(record.commands), np.vstack(record.measured)

    def handovers(self) -> list[Handover]:
        return [handover for controller in self.controllers for handover in controller.handovers]

    def scale(self, scaling: float) -> None:
        """Set the speed slider: every controller runs its trajectories this much slower."""
        for controller in self.controllers:
            controller.scaling = scaling

    def jump(self, seconds: float, *, noticed: bool = True) -> None:
        """The clock of all jumps, but for the steady one; what the controllers run goes on.

        Args:
            seconds: Ahead, or back.
            noticed: The supervisor looks at once, and not only when the next message comes.
        """
        self.now += round(seconds * S)
        self._jumped_ns += round(seconds * S)
        for controller in self.controllers:
            controller.jump(round(seconds * S))
        if noticed:
            self.apply(self.supervisor.tick(self.now))

    def why(self) -> str:
        """State, reason and events, for the message of a failing test."""
        events = [(round(t - 1000.0, 3), e[:160]) for t, e in self.record.events[-6:]]
        return f"{self.supervisor.state.value} ({self.supervisor.reason}); events {events}"

    # -- inside ------------------------------------------------------------------------------------------------------

    def apply(self, output: Output) -> Output:
        if output.event:
            self.record.events.append((self.now / S, output.event))
        if output.send is not None:
            self.record.sent.append((self.now, output.send))
            if self._transport_ns:
                self._under_way.append((self.now + self._transport_ns, output.send))
            else:
                self._deliver(output.send)
        return output

    def _deliver(self, sent: JointTrajectory) -> None:
        for (topic, joints), controller, columns in zip(
            self.embodiment.controllers, self.controllers, self._columns, strict=True
        ):
            present = [name for name in joints if name in sent.joint_names]
            if not present:
                continue
            refusal = controller.take(sent.select(present), self.now, self.position[columns], self.velocity[columns])
            if refusal:
                self.record.events.append((self.now / S, f"controller of {topic} refuses: {refusal}"))

    def _move(self, until_ns: int) -> None:
        ticks = (until_ns - self.now) // self.tick_ns
        commands = np.zeros((ticks, len(self.names)))
        for controller, columns in zip(self.controllers, self._columns, strict=True):
            commands[:, columns] = controller.advance(ticks, self.tick_ns)
        measured = self.robot.follow(commands, self.tick_ns / S)
        before = measured[-2] if len(measured) > 1 else self.position
        self.velocity = (measured[-1] - before) / (self.tick_ns / S)
        self.position = measured[-1].copy()
        self.record.seconds.append((self.now + np.arange(1, ticks + 1) * self.tick_ns) / S)
        self.record.commands.append(commands)
        self.record.measured.append(measured)
        self.now = until_ns
