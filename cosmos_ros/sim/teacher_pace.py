"""The teacher's jobs and speeds for a robot: what its hand can grip and what its action space can say."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.errors import InputError
from cosmos_ros.sim.hands import Jobs
from cosmos_ros.sim.simulated_robot import SimulatedHand, SimulatedRobot, simulated_robot
from cosmos_ros.sim.task import Task, Verb
from cosmos_ros.sim.teacher import WIDE, job_of
from cosmos_ros.sim.teacher_plan import Pace

# Share of what the action normaliser can express that a plan may use.
_HEADROOM = 0.97


def pace_for(embodiment: Embodiment) -> Pace:
    """Return bounds that suit the robot and that its action normaliser can express in any direction."""
    pace = Pace(**asdict(simulated_robot(embodiment).description.pace))
    normaliser = embodiment.normaliser
    if not normaliser.clamped:
        return pace
    ends = np.stack((normaliser.offset - normaliser.scale, normaliser.offset + normaliser.scale))
    reach = np.abs(ends).min(axis=0) * embodiment.fps * _HEADROOM
    for block in embodiment.layout.poses:
        if block.link not in {hand.link for hand in simulated_robot(embodiment).hands.values()}:
            continue
        first = block.start
        # Columns c0y, c0z, c1x, c1z of a rotation by a small angle are that angle.
        turning = reach[[first + 4, first + 5, first + 6, first + 8]].min()
        pace = replace(
            pace, speed=float(min(pace.speed, reach[first : first + 3].min())), turn=float(min(pace.turn, turning))
        )
    return pace


def job_for(robot: SimulatedRobot, hand: SimulatedHand, task: Task) -> Jobs:
    """Return a hand's job.

    Raises:
        InputError: The item does not fit between the fingers and has to be gripped.
    """
    width = float(hand.opening(task.item.size[1]))
    if task.verb in (Verb.PUT, Verb.LIFT) and not hand.description.squeeze < width < WIDE - 0.1:
        raise InputError(f"the {task.item.name} does not fit between the fingers", where="task")
    posture = {name: robot.home.get(name, 0.0) for name in robot.model.joint_names}
    lean = (robot.model.fk(posture, hand.link) @ hand.grasp)[:2, 2]
    length = float(np.linalg.norm(lean))
    forward = lean / length if length > 1e-3 else np.array([1.0, 0.0])
    layout = robot.description.scene
    about = hand.description
    return job_of(task, width, about.squeeze, layout.scale, layout.height, about.tilt, forward, about.lowest)


def hand_for(robot: SimulatedRobot, task: Task, item_y: float) -> SimulatedHand:
    """Return the hand that does a task: the one named, else the one whose area is on the item's side."""
    if task.hand in robot.hands:
        return robot.hands[task.hand]
    areas = robot.description.scene.areas
    nearest = min(areas, key=lambda gripper: abs(0.5 * (areas[gripper][2] + areas[gripper][3]) - item_y))
    return robot.hands[nearest]
