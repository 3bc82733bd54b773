"""The simulated robot as its users meet it: controllers, time that passes, outputs that fall due.

No ROS and no threads: the node drives it by a clock, an episode by virtual time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from cosmos_ros.errors import ConfigError
from cosmos_ros.sim.scenes import hand_words
from cosmos_ros.sim.task import Task, is_done, parse_instruction
from cosmos_ros.sim.trajectory_controller import JointTrajectoryController
from cosmos_ros.sim.world import TIMESTEP_NS, SimWorld
from cosmos_ros.types import NANOSECONDS, FloatArray, JointTrajectory


class Due(str, Enum):
    """What falls due at a moment."""

    JOINT_STATES = "joint_states"
    CAMERAS = "cameras"


@dataclass(frozen=True)
class OutputRates:
    """Output rates, 1/s."""

    joint_states: float = 100.0
    cameras: float = 15.0


class SimRuntime:
    """Steps a world along an absolute time, with its controllers.

    Args:
        world: The world; nobody else steps it.
        controllers: Topic → joint names, as the embodiment lists them.
        start_ns: Absolute time of the beginning, on the clock that stamps are given on.
        rates: How often outputs fall due. Each is due at the first physics step at or after its time.
        options: Keyword options of every JointTrajectoryController.

    Raises:
        ConfigError: The controllers do not drive every joint exactly once.
    """

    def __init__(
        self,
        world: SimWorld,
        controllers: Sequence[tuple[str, tuple[str, ...]]],
        *,
        start_ns: int,
        rates: OutputRates | None = None,
        options: dict[str, bool] | None = None,
    ) -> None:
        driven = [name for _, names in controllers for name in names]
        if sorted(driven) != sorted(world.driven_joints):
            raise ConfigError(
                f"controllers drive {driven}, the robot has {list(world.driven_joints)}", where="simulated robot"
            )
        self.world = world
        self.controllers = {topic: JointTrajectoryController(names, **(options or {})) for topic, names in controllers}
        self._columns = {topic: [world.driven_joints.index(n) for n in names] for topic, names in controllers}
        rates = rates or OutputRates()
        self._period_ns = {
            Due.JOINT_STATES: round(NANOSECONDS / rates.joint_states),
            Due.CAMERAS: round(NANOSECONDS / rates.cameras),
        }
        self.task: Task | None = None
        self.jumps = 0
        self._begin(start_ns)

    @property
    def now_ns(self) -> int:
        """Absolute time that the world has reached."""
        return self._now_ns

    def _begin(self, now_ns: int) -> None:
        self._now_ns = now_ns
        self._due_ns = {due: now_ns + period for due, period in self._period_ns.items()}
        state = self.world.joint_state(now_ns)
        for controller in self.controllers.values():
            controller.hold(state)

    def set_task(self, instruction: str) -> None:
        """Watch whether the instruction is fulfilled; raises InputError when it does not fit the scene."""
        words = hand_words(self.world.description)
        self.task = parse_instruction(instruction, self.world.scene.by_name, words)

    def task_done(self) -> bool:
        """Return whether what was asked for is done."""
        return self.task is not None and is_done(self.task, self.world.task_state(self.task))

    def receive(self, topic: str, trajectory: JointTrajectory) -> str | None:
        """Hand a trajectory to a controller; return why it was refused, or None."""
        return self.controllers[topic].accept(trajectory, self._now_ns, self.world.joint_state(self._now_ns))

    def reset(self, seed: int | None = None) -> None:
        """Put everything back to the start; time goes on."""
        self.world.reset(seed)
        state = self.world.joint_state(self._now_ns)
        for controller in self.controllers.values():
            controller.hold(state)

    def jump(self, now_ns: int) -> None:
        """Continue at another time, forwards or backwards, without stepping: the clock was set or nobody stepped."""
        self.jumps += 1
        self._begin(now_ns)

    def next_due_ns(self) -> int:
        """Return the time of the next output."""
        return min(self._due_ns.values())

    def advance(self, until_ns: int) -> tuple[Due, ...]:
        """Step until something falls due, or to the last whole step at or before ``until_ns``.

        Call it again until it returns nothing.

        Returns:
            What is due at ``now_ns``, the world standing at that moment; empty when ``until_ns`` was reached first.
        """
        to_due = -(-(self.next_due_ns() - self._now_ns) // TIMESTEP_NS)
        to_end = (until_ns - self._now_ns) // TIMESTEP_NS
        if min(to_due, to_end) > 0:
            self._step(min(to_due, to_end))
        if to_due > to_end:
            return ()
        due = tuple(d for d, when in self._due_ns.items() if when <= self._now_ns)
        for d in due:
            self._due_ns[d] += self._period_ns[d]
        return due

    def _step(self, steps: int) -> None:
        times = self._now_ns + TIMESTEP_NS * np.arange(1, steps + 1, dtype=np.int64)
        positions = np.empty((steps, len(self.world.driven_joints)))
        velocities = np.empty_like(positions)
        for topic, controller in self.controllers.items():
            columns = self._columns[topic]
            positions[:, columns], velocities[:, columns] = controller.sample_many(times)
        self.world.advance(positions, velocities)
        self._now_ns = int(times[-1])

    def commanded(self) -> tuple[FloatArray, FloatArray]:
        """Return the present setpoints ``[J]`` of ``world.driven_joints``: positions and velocities."""
        positions, velocities = np.empty((2, len(self.world.driven_joints)))
        for topic, controller in self.controllers.items():
            positions[self._columns[topic]], velocities[self._columns[topic]] = controller.sample(self._now_ns)
        return positions, velocities

    def status(self) -> dict[str, Any]:
        """Return counters, limits of the physical joints, and the task's state; JSON-serialisable."""
        task = None if self.task is None else _named(self.task)
        return {
            "done": self.task_done(),
            "goal": task,
            "seed": self.world.seed,
            "time_since_reset": self.world.time_ns / NANOSECONDS,
            "accepted": sum(c.accepted for c in self.controllers.values()),
            "rejected": sum(c.rejected for c in self.controllers.values()),
            "refused_setpoints": self.world.refused_setpoints,
            "limit_violations": self.world.monitor.to_dict(),
        }


def _named(task: Task) -> dict[str, str | None]:
    return {
        "verb": task.verb.value,
        "item": task.item.name,
        "target": None if task.target is None else task.target.name,
    }
