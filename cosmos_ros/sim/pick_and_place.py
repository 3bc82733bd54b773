"""The scripted way to put one thing on another: a reactive policy and its own simulation a few steps ahead.

The policy has no memory. At any moment it decides from where the tool, the fingers and the objects are what to do next;
a plan is what follows from deciding again and again on a simple model of the tool (a point that accelerates and turns
within bounds, fingers that stop at what they hold). Planning again from a later state therefore continues the same
motion.

Plans reach the robot late, when it has already done something else for a while. Two habits keep that harmless: a plan
never goes past the next contact (whether the fingers have closed is looked at before the arm moves on), and from a
standstill it begins gently, so that there is little lost motion to catch up with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from cosmos_ros.sim.task import Task as PutOn
from cosmos_ros.types import FloatArray

SUBSTEPS = 4
_DOWN = np.array([0.0, 0.0, -1.0])


@dataclass(frozen=True)
class Pace:
    """How fast the tool may go.

    Attributes:
        speed, acceleration, turn, turn_acceleration: m/s, m/s², rad/s, rad/s².
        grip: Gripper openings a second.
        gentle_time, gentle_share: From a standstill, accelerations and grip are this share for this long, s.
    """

    speed: float = 0.2
    acceleration: float = 0.5
    turn: float = 0.45
    turn_acceleration: float = 1.2
    grip: float = 1.2
    gentle_time: float = 0.27
    gentle_share: float = 0.2


@dataclass(frozen=True)
class ToolState:
    """The tool and what matters around it at one moment, in the base frame.

    Attributes:
        pose: Point between the fingertips, z pointing out of the hand, ``[4, 4]``.
        velocity, turn_rate: ``[3]`` m/s and rad/s.
        opening: Fingers, 0 closed, 1 open.
        item, target: Poses ``[4, 4]`` of what is moved and where it goes.
    """

    pose: FloatArray
    velocity: FloatArray
    turn_rate: FloatArray
    opening: float
    item: FloatArray
    target: FloatArray


# What the fingers are about in each phase. A plan stays within one of these.
_CONTACT = {
    "above": "free", "descend": "free", "close": "grasp", "lift": "holding", "carry": "holding", "lower": "holding",
    "open": "release", "retreat": "away", "done": "away",
}  # fmt: skip
_SLOW = 0.03  # m/s; slower is near enough to standing to touch something
_STILL = 0.01  # m/s; slower is standing


@dataclass(frozen=True)
class Goal:
    """What the policy wants next: a tool pose, an opening, and the name of the phase."""

    phase: str
    position: FloatArray
    rotation: FloatArray
    opening: float


class PickAndPlacePolicy:
    """Decides and plans.

    Args:
        task: What goes where.
        stroke: Distance between the fingertips when fully open, m.
        pace: Bounds of the motion.
    """

    hover = 0.085  # height of the fingertips above an object's top before going down, m
    clearance = 0.065  # height of a carried object's underside above the table, m
    wide = 0.92  # fingers open; short of their end, where there is no room to overshoot
    squeeze = 0.10  # how much further than contact the fingers are commanded, in openings

    def __init__(self, task: PutOn, stroke: float, pace: Pace | None = None) -> None:
        self.task = task
        self.pace = pace or Pace()
        self._width = task.item.size[1] / stroke
        if not 0.0 < self._width < self.wide - 0.2:
            raise ValueError(f"{task.item.name} does not fit between the fingers")

    # Deciding -------------------------------------------------------------------------------------------------

    def holds(self, state: ToolState) -> bool:
        """Return whether the fingers are closed on the item."""
        offset = state.item[:3, 3] - state.pose[:3, 3]
        near = np.linalg.norm(offset[:2]) < 0.015 and abs(offset[2]) < 0.018
        return bool(near and state.opening <= self._width + 0.015)

    def decide(self, state: ToolState) -> Goal:
        """Return what to do now."""
        reached = self.task.reached(state.item, state.target) and float(np.linalg.norm(state.velocity)) < _SLOW
        if self.holds(state):
            return self._release(state) if reached else self._carry(state)
        return self._leave(state) if reached else self._fetch(state)

    def _release(self, state: ToolState) -> Goal:
        return Goal("open", state.pose[:3, 3], self._grasp_rotation(state), self.wide)

    def _leave(self, state: ToolState) -> Goal:
        """Open fully where it stands, go straight up, stay there."""
        position = state.pose[:3, 3].copy()
        beside = np.linalg.norm(position[:2] - state.item[:2, 3]) < 0.12
        top = state.item[2, 3] + 0.5 * self.task.item.size[2]
        if beside and state.opening < self._width + 0.22 and position[2] < top + 0.02:
            return Goal("open", position, self._grasp_rotation(state), self.wide)
        height = top + self.hover + 0.04
        if beside and position[2] < height - 0.005:
            position[2] = height
            return Goal("retreat", position, self._level(state), self.wide)
        return Goal("done", position, self._level(state), self.wide)

    def _carry(self, state: ToolState) -> Goal:
        item, target = state.item[:3, 3], state.target[:3, 3]
        rest = self.task.resting_height(state.target)
        grip = state.pose[:3, 3] - item  # where the item hangs in the hand
        away = np.linalg.norm(item[:2] - target[:2])
        # Sideways only once the item is clear of what stands on the table.
        cruise = max(self.clearance + 0.5 * self.task.item.size[2], rest + 0.03)
        free = np.clip((item[2] - cruise + 0.02) / 0.01, 0.0, 1.0)
        lowered = np.clip((away - 0.004) / 0.04, 0.0, 1.0)
        goal = item.copy()
        near = away < 0.012
        goal[:2] += (1.0 if near else free) * (target[:2] - item[:2])
        goal[2] = rest - 0.001 + lowered * (cruise - rest)
        phase = "lower" if near else "carry" if free > 0.5 else "lift"
        return Goal(phase, goal + grip, self._level(state), self._width - self.squeeze)

    def _fetch(self, state: ToolState) -> Goal:
        tool, item = state.pose[:3, 3], state.item[:3, 3]
        rotation = self._grasp_rotation(state)
        turn_left = float(np.linalg.norm(_rotation_between(state.pose[:3, :3], rotation)))
        away = float(np.linalg.norm(tool[:2] - item[:2]))
        over = 0.5 * self.task.item.size[2] + self.hover
        grasp = item.copy()
        slow = np.linalg.norm(state.velocity) < _SLOW
        if away < 0.006 and abs(tool[2] - item[2]) < 0.008 and turn_left < 0.06 and slow:
            return Goal("close", grasp, rotation, self._width - self.squeeze)
        # A funnel: the nearer the axis, the straighter and the more open, the lower the tool may be.
        off_axis = max((away - 0.004) / 0.025, (turn_left - 0.03) / 0.25, (self._width + 0.2 - state.opening) / 0.2)
        lift = float(np.clip(off_axis, 0.0, 1.0))
        goal = item + np.array([0.0, 0.0, lift * over])
        # Leaving another place: up first, so as not to sweep things off the table.
        if away > 0.06:
            free = np.clip((tool[2] - item[2] - 0.03) / (over - 0.04), 0.0, 1.0)
            goal[:2] = tool[:2] + free * (item[:2] - tool[:2])
        return Goal("descend" if lift < 0.9 else "above", goal, rotation, self.wide)

    def _level(self, state: ToolState) -> FloatArray:
        """Return the present rotation, turned the short way until it points straight down."""
        return _pointing_down(state.pose[:3, 0])

    def _grasp_rotation(self, state: ToolState) -> FloatArray:
        """Return the rotation pointing down whose fingers face the item's nearest pair of sides."""
        side = state.item[:2, 0] / max(float(np.linalg.norm(state.item[:2, 0])), 1e-9)
        now = state.pose[:2, 0]
        quarter = [side, np.array([-side[1], side[0]]), -side, np.array([side[1], -side[0]])]
        best = max(quarter, key=lambda axis: float(axis @ now))
        return _pointing_down(np.array([*best, 0.0]))

    # Looking ahead --------------------------------------------------------------------------------------------

    def plan(self, state: ToolState, steps: int, dt: float) -> tuple[list[ToolState], list[float], list[str]]:
        """Simulate the policy up to the next contact and wait there.

        Args:
            state: Now.
            steps: T.
            dt: Time of one step, s.

        Returns:
            T + 1 states from now on, the opening commanded at the end of each of the T steps, and each step's phase.
        """
        states, openings, phases = [state], [], []
        first = self.decide(state)
        contact = _CONTACT[first.phase]
        standing = np.linalg.norm(state.velocity) < _STILL and np.linalg.norm(state.turn_rate) < 5.0 * _STILL
        gentle_steps = round(self.pace.gentle_time / dt) if standing else 0
        share = self.pace.gentle_share
        # Fingers that hold something are commanded further than they can be seen to be.
        command = min(state.opening, first.opening) if self.holds(state) else state.opening
        goal: Goal | None = None
        for step in range(steps):
            for sub in range(SUBSTEPS):
                wanted = self.decide(state)
                # Beyond the next contact: stay at the last goal and look first.
                goal = wanted if goal is None or _CONTACT[wanted.phase] == contact else replace(goal, phase="wait")
                if sub == 0:
                    phases.append(goal.phase)
                ease = share if step < gentle_steps else 1.0
                state, command = self._substep(state, goal, command, dt / SUBSTEPS, ease)
            states.append(state)
            openings.append(command)
        return states, openings, phases

    def _substep(self, state: ToolState, goal: Goal, command: float, dt: float, ease: float) -> tuple[ToolState, float]:
        holds = self.holds(state)
        pace = self.pace
        position, rotation = state.pose[:3, 3], state.pose[:3, :3]
        velocity = _approach(goal.position - position, state.velocity, pace.speed, ease * pace.acceleration, dt)
        to_go = _rotation_between(rotation, goal.rotation)
        turn_rate = _approach(to_go, state.turn_rate, pace.turn, ease * pace.turn_acceleration, dt)
        pose = np.eye(4)
        pose[:3, 3] = position + velocity * dt
        pose[:3, :3] = Rotation.from_rotvec(turn_rate * dt).as_matrix() @ rotation
        command = command + dt * float(np.clip((goal.opening - command) / dt, -ease * pace.grip, ease * pace.grip))
        opening, item = command, state.item
        offset = item[:3, 3] - position
        if np.linalg.norm(offset[:2]) < 0.015 and abs(offset[2]) < 0.018:
            opening = max(command, self._width)  # the fingers stop at the item
        if holds and opening <= self._width + 0.015:
            item = pose @ np.linalg.inv(state.pose) @ item
        state = replace(state, pose=pose, velocity=velocity, turn_rate=turn_rate, opening=opening, item=item)
        return state, command


def _pointing_down(x_axis: FloatArray) -> FloatArray:
    """Return the rotation with z straight down and x as near to ``x_axis`` as that allows."""
    x = np.array([x_axis[0], x_axis[1], 0.0])
    length = float(np.linalg.norm(x))
    x = x / length if length > 1e-6 else np.array([1.0, 0.0, 0.0])
    return np.stack((x, np.cross(_DOWN, x), _DOWN), axis=-1)


def _rotation_between(start: FloatArray, end: FloatArray) -> FloatArray:
    """Return the rotation vector, in the base frame, that turns ``start`` into ``end``."""
    turned = end @ start.T
    # Twice the axis times the sine of the angle; scipy's general way costs more than the rest of a step.
    skew = np.array([turned[2, 1] - turned[1, 2], turned[0, 2] - turned[2, 0], turned[1, 0] - turned[0, 1]])
    sine, cosine = 0.5 * float(np.linalg.norm(skew)), 0.5 * (float(np.trace(turned)) - 1.0)
    if sine < 1e-6:
        return 0.5 * skew if cosine > 0.0 else np.asarray(Rotation.from_matrix(turned).as_rotvec())
    result: FloatArray = skew * (np.arctan2(sine, cosine) / (2.0 * sine))
    return result


def _approach(error: FloatArray, rate: FloatArray, fastest: float, acceleration: float, dt: float) -> FloatArray:
    """Return the next rate of a point that heads for ``error`` away within bounds, and stops there."""
    distance = float(np.linalg.norm(error))
    wanted = np.zeros(3)
    if distance > 1e-9:
        # Braking is planned with less than what may be used, so that it can be followed.
        speed = min(fastest, np.sqrt(2.0 * 0.6 * acceleration * distance), distance / (2.0 * dt))
        wanted = error * (speed / distance)
    change = wanted - rate
    size = float(np.linalg.norm(change))
    limit = acceleration * dt
    return wanted if size <= limit else rate + change * (limit / size)
