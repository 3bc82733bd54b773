"""Arms and grippers commanded by control_msgs' actions: the guard hears how its goals fare. Real processes, real DDS.

control_msgs is in no registry of Python packages: these run where ROS has it, or where it was built from its source.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is neither sourced nor installed as wheels")
pytest.importorskip("control_msgs", reason="control_msgs is not installed")

from action_msgs.srv import CancelGoal
from action_servers import ControllerAction
from control_msgs.action import FollowJointTrajectory, GripperCommand, ParallelGripperCommand
from guard_support import PANDA
from live_arm import FINGER, Arm, cell, start_guard
from trajectory_msgs.msg import JointTrajectory as TrajectoryMessage

from cosmos_ros.bringup.processes import ProcessGroup

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

FOLLOW = "/arm_controller/follow_joint_trajectory"
GRIPPER = "/hand/gripper_action"


class Cell:
    """An arm behind FollowJointTrajectory, a gripper behind one of the gripper actions, and the guard."""

    def __init__(self, arm: Arm, gripper_action: type) -> None:
        self.arm, self.watcher = arm, arm.watcher
        node = arm.watcher.node
        self.follow = ControllerAction(
            node, FollowJointTrajectory, FOLLOW, lambda goal: arm._command("joint_trajectory", goal.trajectory)
        )
        self.gripper = ControllerAction(node, gripper_action, GRIPPER)
        self.watcher.listen(TrajectoryMessage, "guard/sent/joint_trajectory")

    def move(self, delta: float = 0.2, opening: float = 0.04) -> None:
        """Propose a motion until it is accepted and the arm's controller has it."""
        count = len(self.follow.goals)
        while len(self.follow.goals) == count:
            told = len(self.watcher.messages["guard/verdict_json"])
            chunk = self.arm.chunk(delta, duration=3.0)
            chunk.positions[:, -1] = np.linspace(self.arm.state(self.arm.now()).positions[-1], opening, 16)
            chunk.velocities[:, -1] = np.gradient(chunk.positions[:, -1], chunk.times_ns * 1e-9)
            chunk.velocities[[0, -1], -1] = 0.0
            self.arm.propose(chunk)
            self.watcher.wait(lambda told=told: len(self.watcher.messages["guard/verdict_json"]) > told, "a verdict")
            said = self.watcher.json("guard/verdict_json")[-1]
            if said["response"] == "accept" and said["armed"]:
                self.watcher.wait(lambda: len(self.follow.goals) > count, "the goal")

    def braked(self, text: str) -> None:
        """Wait until the guard says why, has latched, and the arm has come to rest."""
        self.watcher.wait_diagnostic("guard: event", text)
        self.watcher.wait_diagnostic("guard: state", "latched")
        self.watcher.wait(self.arm.resting, "the arm at rest")


@contextmanager
def actions(gripper: type = GripperCommand, **parameters: object) -> Iterator[Cell]:
    controllers = f"joint_trajectory=FollowJointTrajectory:{FOLLOW},gripper_trajectory={gripper.__name__}:{GRIPPER}"
    with cell(controllers=controllers, tracking_tolerance=1.0, silence_timeout=60.0, **parameters) as (arm, _, _):
        one = Cell(arm, gripper)
        try:
            yield one
        finally:
            # What still lives of an action would be a half server to the next test, in the same domain.
            one.follow.close()
            one.gripper.close()


def test_goals_follow_each_other_and_only_the_newest_counts() -> None:
    with actions(gripper_max_effort=20.0) as one:
        one.watcher.call_until_success("guard/arm")
        one.move(0.1)
        (goal,) = one.follow.goals
        assert list(goal.trajectory.joint_names) == list(PANDA)
        one.watcher.wait(lambda: one.watcher.messages["guard/sent/joint_trajectory"], "what was sent, to be followed")
        assert one.watcher.messages["guard/sent/joint_trajectory"][0] == goal.trajectory
        assert one.gripper.goals[0].command.max_effort == 20.0
        one.move(0.1)  # the first goal is aborted by its successor: nothing to brake for
        one.follow.end("succeed")
        one.watcher.wait(one.arm.resting, "the arm at rest")
        assert len(one.gripper.goals) == 1  # its target has not changed
        one.move(0.1, opening=0.02)
        assert one.gripper.goals[-1].command.position == pytest.approx(0.02, abs=1e-6)
        one.gripper.end("abort", stalled=True)  # something is between the fingers
        one.watcher.wait(one.arm.resting, "the arm at rest")
        assert one.watcher.call("guard/arm").success  # still armed


@pytest.mark.parametrize("how", ["path tolerance", "rejected", "cancelled"])
def test_a_goal_that_is_not_executed_brakes_and_latches(how: str) -> None:
    with actions() as one:
        one.watcher.call_until_success("guard/arm")
        if how == "rejected":
            one.follow.accepting = False
            one.move()
            one.braked(f"controller joint_trajectory ({FOLLOW}) rejected a goal: braking")
            return
        one.move()
        one.watcher.wait(one.arm.moving, "motion")
        if how == "path tolerance":
            code = FollowJointTrajectory.Result.PATH_TOLERANCE_VIOLATED
            one.follow.end("abort", error_code=code, error_string="joint 3 is off by 0.3")
            one.braked("gave up a goal, PATH_TOLERANCE_VIOLATED (-4): joint 3 is off by 0.3: braking")
        else:
            one.watcher.ask(CancelGoal, f"{FOLLOW}/_action/cancel_goal", CancelGoal.Request())
            one.follow.end("canceled")
            one.braked("cancelled a goal that the guard did not take back: braking")
        # A stop was sent as a goal of its own.
        one.watcher.wait(lambda: len(one.follow.goals) == 2, "the stop")
        assert "latched" in one.watcher.call("guard/arm").message


def test_a_parallel_gripper_and_a_controller_that_goes_away() -> None:
    with actions(ParallelGripperCommand) as one:
        one.watcher.call_until_success("guard/arm")
        one.move(opening=0.03)
        command = one.gripper.goals[-1].command
        assert (list(command.name), list(command.effort)) == ([FINGER], [])
        assert command.position[0] == pytest.approx(0.03, abs=1e-6)
        one.follow.close()
        one.watcher.wait_diagnostic("guard: event", "went away during a goal")
        one.watcher.wait_diagnostic("guard: state", "latched")
        assert one.watcher.call("guard/reset").success
        one.watcher.wait(
            lambda: f"no controller listens on {FOLLOW}" in one.watcher.call("guard/arm").message, "the refusal"
        )


def test_another_client_of_the_action_is_a_reason_not_to_arm() -> None:
    with actions() as one:
        from rclpy.action import ActionClient

        one.watcher.call_until_success("guard/arm")
        one.watcher.call("guard/disarm")
        stranger = ActionClient(one.watcher.node, FollowJointTrajectory, FOLLOW)
        one.watcher.wait_diagnostic("guard: state", f"/watcher also publishes on {FOLLOW}")
        assert not one.watcher.call("guard/arm").success
        stranger.destroy()
        one.watcher.call_until_success("guard/arm")


def test_without_control_msgs_the_guard_says_what_to_install(tmp_path, monkeypatch) -> None:
    (tmp_path / "control_msgs.py").write_text("raise ImportError('not here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    lines: list[str] = []
    with ProcessGroup(lambda _, line: lines.append(line)) as group:
        start_guard(group, {}, controllers=f"joint_trajectory=FollowJointTrajectory:{FOLLOW}")
        name, status = group.supervise()
    assert (name, status) == ("guard", 2), lines
    assert "FollowJointTrajectory needs the package control_msgs" in "\n".join(lines)
