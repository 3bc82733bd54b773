"""The guard as a step in a LeRobot policy's action pipeline, without ROS.

LeRobot runs an action through a ``DataProcessorPipeline`` of ``ProcessorStep``s after the policy. ``GuardStep`` is
one for chunks of absolute joint positions: append it as the last step, so that it sees radians. It holds each chunk
against every limit of the robot, between its rows too, and gives back rows that the robot can follow: unchanged,
slowed down, or stopped before the limit. A chunk that nothing cures becomes "stay where you are". Chunks begin at rest.

    policy_postprocessor.steps = [*policy_postprocessor.steps, GuardStep("franka", fps=15.0)]

The interface is that of ``lerobot.processor.ProcessorStep``, whose transitions are dictionaries with the keys
``action`` and ``observation``. Without LeRobot the same class runs by itself, which is what this file does when it is
started.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import cosmos_ros as cr
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
    """Guards chunks of joint positions.

    Args:
        embodiment: Name or YAML file of the robot.
        fps: Rate of the rows, 1/s.
        joints: Joints of the columns of action and state; empty: the arm's, in the embodiment's order.
        state_key: Entry of the observation that holds the measured joint positions, rad, ``[D]`` or ``[1, D]``.
    """

    def __init__(
        self,
        embodiment: str = "franka",
        fps: float = 15.0,
        joints: tuple[str, ...] = (),
        state_key: str = "observation.state",
    ) -> None:
        robot = cr.load_embodiment(embodiment)
        self._config = {"embodiment": embodiment, "fps": fps, "joints": tuple(joints), "state_key": state_key}
        self._joints = tuple(joints) or robot.controllers[0][1]
        self._guard = cr.Guard.for_embodiment(robot)
        self._rest = dict(robot.home)
        self.last_verdict: cr.Verdict | None = None

    def __call__(self, transition: dict[str, Any]) -> dict[str, Any]:
        """Return the transition with a guarded action of the same shape: ``[D]``, ``[T, D]`` or ``[1, T, D]``."""
        action = transition["action"]
        rows = np.atleast_2d(np.asarray(action, dtype=np.float64).reshape(-1, len(self._joints)))
        measured = np.asarray(transition["observation"][self._config["state_key"]], dtype=np.float64).reshape(-1)
        safe = self._guarded(rows, measured).reshape(np.shape(action))
        # A tensor stays one, on its device and with its dtype.
        return {**transition, "action": action.new_tensor(safe) if hasattr(action, "new_tensor") else safe}

    def _guarded(self, rows: np.ndarray, measured: np.ndarray) -> np.ndarray:
        times = np.arange(len(rows) + 1) / self._config["fps"]
        path = np.vstack((measured, rows))  # the true state comes first
        # What is not finite has no spline; the guard names it.
        velocities = spline_velocities(times, path, np.zeros(len(measured))) if np.isfinite(path).all() else None
        trajectory = cr.JointTrajectory.from_seconds(self._joints, times, path, velocities)
        state = {**self._rest, **dict(zip(self._joints, measured.tolist(), strict=True))}
        context = cr.GuardContext.now(state)
        self.last_verdict = self._guard.judge(trajectory, context)
        sent = self.last_verdict.trajectory
        if sent is None:
            return np.tile(measured, (len(rows), 1))
        stamps = (sent.stamp_ns + round(seconds * 1e9) for seconds in times[1:])
        return np.array([motion_at(sent, stamp).positions for stamp in stamps])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, for LeRobot's files of pipelines."""
        return dict(self._config)

    def state_dict(self) -> dict[str, Any]:
        """There is nothing learned."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """There is nothing learned."""

    def reset(self) -> None:
        """Forget the last verdict at the start of an episode."""
        self.last_verdict = None

    def transform_features(self, features: Any) -> Any:
        """The features stay as they are."""
        return features


def main() -> None:
    """Guard a chunk that is fine, one that is too fast, and one that is no chunk."""
    step = GuardStep("franka", fps=15.0)
    home = np.array([step._rest[name] for name in step._joints])
    ramp = 0.5 * (1.0 - np.cos(np.pi * np.arange(1, 17) / 16))[:, None]
    for name, reach in (("gentle", 0.2), ("fast", 1.6), ("broken", np.nan)):
        rows = home + reach * ramp * np.eye(7)[0]
        out = step({"action": rows[None], "observation": {"observation.state": home}})
        moved = out["action"][0, -1, 0] - home[0]
        print(
            f"{name}: {step.last_verdict.response.value}, joint 1 goes {moved:.2f} of {reach:.2f} rad in these 16 rows"
        )


if __name__ == "__main__":
    main()
