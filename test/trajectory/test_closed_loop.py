"""Policy, joiner, controller and an arm that lags or grasps, in simulated time: what is commanded meanwhile."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lagging_robot import STEP_NS, LaggingRobot

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.kinematics import ResidualGate, chunk_to_trajectory
from cosmos_ros.trajectory.joiner import JoinSettings
from cosmos_ros.types import NANOSECONDS, ActionChunk, JointState

FPS, ROWS = 15, 16


class Loop(LaggingRobot):
    """What was joined last is commanded; a finger stops where it touches something."""

    def __init__(self, name: str, lag: float = 0.0, contact: float | None = None, opening: float | None = None):
        robot = load_embodiment(name)
        super().__init__(robot, tuple(joint for _, joints in robot.controllers for joint in joints), lag)
        self.finger = next((self.names.index(g.joint) for g in robot.gripper_joints.values()), None)
        self.contact = contact
        if opening is not None:
            self.command[self.finger] = opening

    def measured(self) -> JointState:
        state = super().measured()
        if self.contact is None:
            return state
        positions = state.positions.copy()
        positions[self.finger] = max(positions[self.finger], self.contact)
        return replace(state, positions=positions)

    def ask(self, rows, latency: float, openings=None) -> None:
        """Let a policy answer about what is measured now: ``rows(first, times)`` are the arm's positions."""
        seen = self.measured()
        arm = [name for k, name in enumerate(self.names) if k != self.finger]
        times = (np.arange(ROWS) + 1) / FPS
        first = np.array([seen.position_of(name) for name in arm])
        grippers = {} if openings is None else {next(iter(self.robot.gripper_joints)): openings(seen, times)}
        chunk = ActionChunk(
            stamp_ns=seen.stamp_ns,
            times_ns=np.round(times * NANOSECONDS).astype(np.int64),
            start_poses={},
            poses={},
            grippers=grippers,
            joint_names=tuple(arm),
            joint_positions=rows(first, times),
        )
        self.run(latency)
        plan, _ = chunk_to_trajectory(
            chunk, seen, None, self.robot.gripper_joints, ResidualGate(),
            limits=self.robot.limits.joints, plan_grippers=False,
        )  # fmt: skip
        joined = self.joiner.join(plan, self.now, self.measured(), JoinSettings())
        assert joined.trajectory is not None, joined.reason
        self.joiner.sent(joined.trajectory, self.now)


def stand(first, times):
    return np.tile(first, (len(times), 1))


@pytest.mark.parametrize("lag", [0.0, 0.02, 0.05, 0.1, 0.2, 0.3])
def test_a_constant_lag_of_the_arm_changes_neither_speed_nor_smoothness(lag):
    loop = Loop("ur5e", lag=lag)

    def onwards(first, times):
        rows = stand(first, times)
        rows[:, 0] += 0.3 * times
        return rows

    for _ in range(8):
        loop.ask(onwards, latency=0.2)
        loop.run(0.3)
    tail = np.array(loop.commands)[-1000:, 0]
    speed = np.diff(tail) * (NANOSECONDS / STEP_NS)
    assert speed.min() > 0.3 * 0.95
    assert speed.max() < 0.3 * 1.05
    assert speed.mean() == pytest.approx(0.3, rel=0.01)


@pytest.mark.parametrize("latency", [0.05, 0.2, 0.4])
@pytest.mark.parametrize("lag", [0.0, 0.1])
@pytest.mark.parametrize("contact", [None, 0.02])
@pytest.mark.parametrize("kind", ["closed", "closing from what it sees", "closing gently from what it sees"])
def test_a_gripper_that_is_only_told_to_close_never_opens(latency, lag, contact, kind):
    loop = Loop("franka_joint", lag=lag, contact=contact, opening=0.0368)

    def openings(seen, times):
        if kind == "closed":
            return np.zeros(len(times))
        seen_fraction = seen.positions[loop.finger] / 0.04
        gently = np.minimum(times, 0.27) * 0.96 if "gently" in kind else 0.0
        return np.clip(seen_fraction - 1.2 * times + gently, 0.0, 1.0)

    for _ in range(6):
        loop.ask(stand, latency, openings)
        loop.run(0.5 - latency)
    commanded = np.array(loop.commands)[:, loop.finger]
    moved = np.diff(commanded)
    assert moved[moved > 0.0].sum() < 1e-9
    assert commanded[-1] < 0.01
    # 0.1 m/s of the fingers' distance, half of it each.
    assert np.abs(moved).max() <= 0.05 * STEP_NS / NANOSECONDS + 1e-9


def test_a_grasp_that_is_released_opens_at_once_from_the_command():
    loop = Loop("franka_joint", contact=0.02, opening=0.04)
    for fraction in (0.0, 0.0, 0.0, 1.0, 1.0, 1.0):
        loop.ask(stand, 0.1, lambda seen, times, to=fraction: np.full(len(times), to))
        loop.run(0.6)
    commanded = np.array(loop.commands)[:, loop.finger]
    assert commanded.min() < 1e-9
    assert commanded[-1] == pytest.approx(0.04)


@pytest.mark.parametrize("robot", ["franka_joint", "franka_fr3"])
@pytest.mark.parametrize("kind", ["sine", "constant", "flips"])
def test_no_step_of_acceleration_above_jerk_times_one_millisecond(robot, kind):
    loop = Loop(robot)
    jerk = loop.robot.limits.joints[loop.names[0]].jerk

    def rows(first, times):
        table, t = stand(first, times), loop.now / NANOSECONDS
        if kind == "sine":
            table[:, 0] += 0.3 * (np.sin(1.5 * (t + times)) - np.sin(1.5 * t))
        else:
            table[:, 0] += 0.3 * times * (np.sign(np.sin(2.5 * t)) if kind == "flips" else 1.0)
        return table

    for _ in range(8):
        loop.ask(rows, latency=0.2)
        loop.run(0.3)
    loop.run(2.0)  # and the end
    steps = np.abs(np.diff(np.array(loop.commands)[:, 0], 3)) / (STEP_NS / NANOSECONDS) ** 2
    # Sampled every 2 ms, a step of acceleration shows whole in one difference of accelerations.
    assert steps.max() <= jerk * 1e-3
