"""The guard as a step in a LeRobot policy's action pipeline, without ROS.

Each action is held against every limit of the robot as the start of a motion: from what was commanded last, to the
policy's positions, and on to a stop. What comes out is what the policy asked for, or as much of it as the robot can
follow; a robot that is asked for the impossible brakes. LeRobot's loops take the step where actions meet observations:

    robot_action_processor = RobotProcessorPipeline(
        steps=[GuardStep("franka", fps=15.0)],
        to_transition=robot_action_observation_to_transition,
        to_output=transition_to_robot_action,
    )

A policy's own postprocessor is never told the robot's state. There the same object goes first into the preprocessor,
whose observations it remembers, and last into the postprocessor; whole chunks are guarded too, to be run at once from
their first row:

    step = GuardStep("franka", fps=15.0)
    preprocessor.steps = [step, *preprocessor.steps]
    postprocessor.steps = [*postprocessor.steps, step]

The interface is that of ``lerobot.processor`` in LeRobot 0.4.4, where both ways were tried. Without LeRobot the class
runs by itself: started, this file lets a policy drive a simulated arm, and prints what the arm was given.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import cosmos_ros as cr
from cosmos_ros.errors import InputError
from cosmos_ros.trajectory.knots import spline_velocities
from cosmos_ros.trajectory.splice import motion_at

try:
    from lerobot.processor import ProcessorStep, ProcessorStepRegistry

    register = ProcessorStepRegistry.register("cosmos_ros_guard")
except ImportError:
    ProcessorStep = object

    def register(step: type) -> type:
        """Leave the class as it is: there is no registry."""
        return step


@register
class GuardStep(ProcessorStep):
    """Guards absolute joint positions. For running a policy; training needs no guard.

    Args:
        embodiment: Name or YAML file of the robot.
        fps: Rate at which rows are sent to the robot, 1/s.
        joints: Joints of the columns, by the URDF's names; empty: the arm's.
        keys: Entries of these joints in a robot's action and observation; empty: ``JOINT.pos``. Others pass unguarded.
        scale: rad or m in one unit of each column; empty: 1. For motors that speak degrees: 0.01745.
        settings: The guard's settings, by name.

    Attributes:
        clock: Nanoseconds now.
        last_verdict: What the guard said to the newest action; None before the first.
    """

    def __init__(
        self,
        embodiment: str = "franka",
        fps: float = 15.0,
        joints: Sequence[str] = (),
        keys: Sequence[str] = (),
        scale: Sequence[float] = (),
        settings: dict[str, Any] | None = None,
    ) -> None:
        robot = cr.load_embodiment(embodiment)
        self._joints = tuple(joints) or robot.joint_names
        self._keys = tuple(keys) or tuple(f"{joint}.pos" for joint in self._joints)
        self._scale = np.array(scale or np.ones(len(self._joints)))
        self._config = {
            "embodiment": embodiment, "fps": fps, "joints": list(joints), "keys": list(keys), "scale": list(scale),
            "settings": settings,
        }  # fmt: skip
        self._guard = cr.Guard.for_embodiment(robot, cr.GuardSettings(**(settings or {})))
        self._accelerations = np.array([robot.limits.joints[joint].acceleration for joint in self._joints])
        self._period = round(1e9 / fps)
        self._home = dict(robot.home)  # of joints that LeRobot does not tell of
        self.clock = time.monotonic_ns
        self.reset()

    def reset(self) -> None:
        """Forget the motion so far, at the start of an episode."""
        self._measured: cr.JointState | None = None
        self._sent: cr.JointTrajectory | None = None
        self._until = 0  # when the last row that was given out is due
        self.last_verdict: cr.Verdict | None = None

    def __call__(self, transition: dict[str, Any]) -> dict[str, Any]:
        """Remember the observation, if there is one, and guard the action, if there is one.

        Raises:
            InputError: No joint state came before the first action, or the columns are not those of the joints.
        """
        observation, action = transition.get("observation"), transition.get("action")
        if observation is not None:
            state = {**self._home, **dict(zip(self._joints, self._row(observation, "observation.state"), strict=True))}
            self._measured = cr.JointState(self.clock(), tuple(state), np.array(list(state.values())))
        if action is None:
            return transition
        if isinstance(action, dict):
            row = self._guarded(self._row(action)[None])[0] / self._scale
            return {**transition, "action": {**action, **dict(zip(self._keys, row.tolist(), strict=True))}}
        rows = self._guarded(self._columns(action)) / self._scale
        # A tensor stays one, on its device and with its dtype.
        rows = rows.reshape(np.shape(action))
        return {**transition, "action": action.new_tensor(rows) if hasattr(action, "new_tensor") else rows}

    def _row(self, entries: dict[str, Any], together: str = "") -> np.ndarray:
        """Return one row, rad: of one entry with all joints, or of one entry a joint."""
        if together in entries:
            return self._columns(entries[together])[-1]
        missing = [key for key in self._keys if key not in entries]
        if missing:
            raise InputError(f"no entries {missing}", where="GuardStep", hint="Name the joints' entries with keys=.")
        return self._columns([float(entries[key]) for key in self._keys])[0]

    def _columns(self, values: Any) -> np.ndarray:
        """Return rows ``[T, J]``, rad, of ``[J]``, ``[1, J]`` or ``[1, T, J]``."""
        array = np.array(values.tolist() if hasattr(values, "tolist") else values, dtype=np.float64)
        if array.shape[-1:] != self._scale.shape or array.ndim > 3 or (array.ndim > 1 and array.shape[0] != 1):
            raise InputError(
                f"shape {array.shape} is not one robot's: the columns must be {', '.join(self._joints)}",
                where="GuardStep",
                hint="Name the joints of all columns with joints=, or guard the robot's actions, which have names.",
            )
        return array.reshape(-1, len(self._scale)) * self._scale

    def _guarded(self, rows: np.ndarray) -> np.ndarray:
        measured, now = self._measured, self.clock()
        if measured is None:
            raise InputError("no observation came before the action", where="GuardStep")
        executing = self._executing(now)
        context = cr.GuardContext(now, measured, executing)
        start = np.array([measured.position_of(joint) for joint in self._joints])
        speed = np.zeros_like(start)
        if executing is not None:
            start, speed = motion_at(executing, now).positions, motion_at(executing, now).velocities
        verdict = self.last_verdict = self._guard.judge(self._motion(start, speed, rows), context)
        if verdict.trajectory is None and np.isfinite(rows).all():  # perhaps only too far away for one period
            longer = _seconds_to(rows[0] - start, speed, self._accelerations)
            verdict = self._guard.judge(self._motion(start, speed, rows, longer), context)
        sent = verdict.trajectory or self._guard.brake(context) or executing  # each of them ends in a stop
        self._sent, self._until = sent, now + len(rows) * self._period
        if sent is None:
            return np.tile(start, (len(rows), 1))
        return np.array([motion_at(sent, now + (k + 1) * self._period).positions for k in range(len(rows))])

    def _motion(self, start: np.ndarray, speed: np.ndarray, rows: np.ndarray, lead: float = 0.0) -> cr.JointTrajectory:
        """Return the motion through all rows, the first no sooner than ``lead`` seconds from now."""
        path = np.vstack((start, rows))
        times = np.arange(len(path)) * self._period / 1e9
        times[1:] += max(lead - times[1], 0.0)
        # It may end moving: the guard appends a stop. What is not finite has no spline, and the guard names it.
        velocities = spline_velocities(times, path, speed) if np.isfinite(path).all() else None
        return cr.JointTrajectory.from_seconds(self._joints, times, path, velocities)

    def _executing(self, now: int) -> cr.JointTrajectory | None:
        """Return the motion that the robot is in. It stops by itself soon after the last row that it was given."""
        late = now - self._until
        if self._sent is None or late > self._period:
            return None
        return replace(self._sent, stamp_ns=self._sent.stamp_ns + max(late, 0))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, for LeRobot's files of pipelines."""
        return dict(self._config)

    def state_dict(self) -> dict[str, Any]:
        """There is nothing learned."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """There is nothing learned."""

    def transform_features(self, features: Any) -> Any:
        """The features stay as they are."""
        return features


def _seconds_to(away: np.ndarray, speed: np.ndarray, accelerations: np.ndarray) -> float:
    """Return how long a cubic from this far away, at this speed, to rest takes within these accelerations, s."""
    limited = np.isfinite(accelerations) & (accelerations > 0.0)
    if not limited.any():
        return 0.0
    a, e, r = accelerations[limited], np.abs(away[limited]), np.abs(speed[limited])
    return float(np.max((2.0 * r + np.sqrt(4.0 * r**2 + 6.0 * a * e)) / a))


def main() -> None:
    """Let a policy swing joint 1 for two seconds: gently, too fast, and until it answers with nonsense."""
    fps = 15.0
    for name, swing, nonsense in (("gentle", 0.3, 99), ("fast", 1.2, 99), ("broken", 0.3, 12)):
        step = GuardStep("franka", fps=fps)
        now = 0
        step.clock = lambda: now  # noqa: B023
        arm = {f"{joint}.pos": step._home[joint] for joint in step._joints}
        begin, asked, given = arm["panda_joint1.pos"], [], []
        for tick in range(30):
            now = 10**9 + round(tick * 1e9 / fps)
            target = begin + (swing * (1.0 - np.cos(np.pi * (tick + 1) / fps)) if tick < nonsense else np.nan)
            out = step({"observation": arm, "action": {**arm, "panda_joint1.pos": target}})
            arm = out["action"]  # a simulated arm is where it was told to be
            asked.append(target)
            given.append(arm["panda_joint1.pos"])
        as_asked = np.isclose(asked, given).sum()
        speed = np.abs(np.diff([begin, *given])).max() * fps
        print(f"{name}: {as_asked} of 30 actions as asked, fastest {speed:.2f} rad/s, ends {given[-1]:.2f} rad away")


if __name__ == "__main__":
    main()
