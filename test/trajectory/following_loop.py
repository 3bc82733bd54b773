"""A loop in simulated time: chunks, a controller with a clock of its own, a plant, joint states, the monitor."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from cosmos_ros.sim.trajectory_controller import JointTrajectoryController
from cosmos_ros.trajectory.executing import ExecutedMotion
from cosmos_ros.trajectory.following import Following, FollowingMonitor, FollowingState
from cosmos_ros.types import NANOSECONDS, JointState, JointTrajectory

NAMES = ("a", "b", "c")
HOME = np.array([0.2, -1.0, 0.5])
DT = 0.002

Plant = Callable[["Loop"], np.ndarray]


@dataclass
class HandOver:
    """One chunk that was due: when, what the monitor said, and how far the controller was from where it should be."""

    time: float
    state: FollowingState
    step: float


@dataclass
class Loop:
    """One robot. ``speed`` and ``joint`` are what the policy wants; every chunk is 1.07 s long and ends at rest.

    The first chunk moves at once; a chunk is handed over only when ``obey`` is false or the monitor says FOLLOWS.
    """

    plant: Plant
    speed: float = 0.3
    direction: np.ndarray = field(default_factory=lambda: np.array([1.0, 0.0, 0.0]))
    latency: float = 0.2
    period: float = 0.5
    scale: Callable[[float], float] = lambda t: 1.0
    noise: float = 0.0
    jitter: float = 0.0
    rate: float = 500.0
    obey: bool = True
    keep: Callable[[JointState], JointState] = lambda state: state
    monitor: FollowingMonitor = field(default_factory=lambda: FollowingMonitor([NAMES]))

    def __post_init__(self) -> None:
        self.now = 1000 * NANOSECONDS
        self.motion = ExecutedMotion()
        self.controller = JointTrajectoryController(NAMES)
        self.controller.hold(JointState(self.now, NAMES, HOME, np.zeros(3)))
        self.clock = float(self.now)
        self.command = HOME.copy()
        self.commands = deque([HOME.copy()], maxlen=1000)
        self.measured = HOME.copy()
        self.hand_overs: list[HandOver] = []
        self.verdicts: list[tuple[float, Following]] = []
        self.lost_at: float | None = None
        self.random = np.random.default_rng(1)
        self._next_state = self.now

    @property
    def time(self) -> float:
        return (self.now - 1000 * NANOSECONDS) / NANOSECONDS

    def send(self, trajectory: JointTrajectory) -> None:
        self.motion = self.motion.after(trajectory)
        state = JointState(self.now, NAMES, self.measured, np.zeros(3))
        assert self.controller.accept(trajectory, self.now, state) is None
        self.clock = float(self.now)

    def chunk(self, speed: float, seconds: float = 16 / 15) -> JointTrajectory:
        """Go on from what is commanded now."""
        at = self.motion.at(self.now)
        position, velocity = (self.measured, np.zeros(3)) if at is None else (at.positions, at.velocities)
        times = np.arange(round(seconds * 15) + 1) / 15
        velocities = np.tile(speed * self.direction, (len(times), 1))
        velocities[0], velocities[-1] = velocity, 0.0
        # Where the speed changes, the mean of both is travelled.
        travelled = np.vstack((np.zeros(3), np.cumsum(0.5 * (velocities[1:] + velocities[:-1]) / 15, axis=0)))
        nanoseconds = np.round(times * NANOSECONDS).astype(np.int64)
        return JointTrajectory(NAMES, self.now, nanoseconds, position + travelled, velocities)

    def step(self) -> None:
        self.now += round(DT * NANOSECONDS)
        self.clock += DT * NANOSECONDS * self.scale(self.time)
        self.command = self.controller.sample(int(self.clock))[0]
        self.commands.append(self.command)
        self.measured = self.plant(self)
        if self.now < self._next_state:
            return
        self._next_state += round(NANOSECONDS / self.rate)
        stamp = self.now + round(self.random.uniform(-1.0, 0.0) * self.jitter * NANOSECONDS)
        seen = self.measured + self.random.normal(0.0, self.noise, 3) if self.noise else self.measured
        verdict = self.monitor.update(self.keep(JointState(stamp, NAMES, seen)), self.motion)
        self.verdicts.append((self.time, verdict))
        if verdict.state is FollowingState.LOST and self.lost_at is None:
            self.lost_at = self.time

    def hand_over(self) -> None:
        at = self.motion.at(self.now)
        step = 0.0 if at is None else float(np.abs(at.positions - self.command).max())
        state = self.monitor.current.state
        self.hand_overs.append(HandOver(self.time, state, step))
        if state is FollowingState.FOLLOWS or not self.obey:
            self.send(self.chunk(self.speed))

    def run(self, seconds: float) -> Loop:
        """Observe every period, and hand over after the latency; stops when the robot is lost."""
        end = self.now + round(seconds * NANOSECONDS)
        observed, due = self.now, None
        while self.now < end and self.lost_at is None:
            if due is None and self.now >= observed:
                due = self.now + round(self.latency * NANOSECONDS)
                observed = self.now + round(self.period * NANOSECONDS)
            if due is not None and self.now >= due:
                self.hand_over()
                due = None
            self.step()
        return self

    def idle(self, seconds: float) -> Loop:
        """Send nothing."""
        for _ in range(round(seconds / DT)):
            self.step()
        return self

    def states(self, begin: float = 0.0) -> set[FollowingState]:
        return {verdict.state for time, verdict in self.verdicts if time >= begin}


def delay(seconds: float) -> Plant:
    """The robot is where it was commanded to be some time ago."""
    return lambda loop: loop.commands[max(0, len(loop.commands) - 1 - round(seconds / DT))].copy()


def low_pass(seconds: float, of: Plant | None = None) -> Plant:
    """First order; of the command, or of what another plant makes of it."""

    def plant(loop: Loop) -> np.ndarray:
        target = loop.command if of is None else of(loop)
        return loop.measured + (target - loop.measured) * (1.0 - np.exp(-DT / seconds))

    return plant


def sagging(of: Plant, sag: Callable[[np.ndarray], np.ndarray]) -> Plant:
    """Another plant's robot, displaced by what gravity does at a posture."""
    return lambda loop: (lambda q: q + sag(q))(of(loop))
