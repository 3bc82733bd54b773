"""What the simulator makes of an embodiment: its URDF, joints, controllers and hands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from cosmos_ros.embodiment import Embodiment, load_spec
from cosmos_ros.errors import ConfigError
from cosmos_ros.kinematics import GripperJoint, InverseKinematics, RobotModel
from cosmos_ros.limits import RobotLimits
from cosmos_ros.resources import resource
from cosmos_ros.sim.sim_description import Hand, RobotDescription, hand_frame, load_description
from cosmos_ros.types import FloatArray


@dataclass(frozen=True)
class SimulatedHand:
    """One hand.

    Attributes:
        gripper: Its gripper in the embodiment.
        link: Link whose pose is in the action rows and that moves with the hand.
        grasp: Grasp frame in that link's frame, ``[4, 4]``; between the fingertips, z out of the hand, y along which
            the fingers close.
        joint: The joint that opens it.
        description: Strokes and words.
    """

    gripper: str
    link: str
    grasp: FloatArray
    joint: GripperJoint
    description: Hand

    def gap(self, opening: FloatArray | float) -> FloatArray:
        """Return the distance between the pads in metres at an opening, 0 closed to 1 open."""
        table = np.array(self.description.openings or ((0.0, 0.0), (1.0, 1.0)))
        return np.asarray(self.description.stroke * np.interp(opening, table[:, 0], table[:, 1]))

    def opening(self, gap: FloatArray | float) -> FloatArray:
        """Return the opening at which the pads are ``gap`` metres apart."""
        table = np.array(self.description.openings or ((0.0, 0.0), (1.0, 1.0)))
        return np.asarray(np.interp(np.asarray(gap) / self.description.stroke, table[:, 1], table[:, 0]))


@dataclass(frozen=True)
class SimulatedRobot:
    """A robot ready to be simulated.

    Attributes:
        embodiment: Whose conventions count.
        urdf: Its URDF.
        model: Kinematics of it.
        description: Shapes, servos, scene.
        limits: Joint limits.
        home: Joint → position after a reset.
        controllers: (topic, joint names); of a hand-held gripper, one that only the simulator itself writes to.
        hands: Gripper → hand.
    """

    embodiment: Embodiment
    urdf: Path
    model: RobotModel
    description: RobotDescription
    limits: RobotLimits
    home: dict[str, float]
    controllers: tuple[tuple[str, tuple[str, ...]], ...]
    hands: dict[str, SimulatedHand]

    @property
    def held(self) -> bool:
        """Whether it is carried by a person: nothing outside the simulator can move it."""
        return not self.embodiment.has_joints

    def gripper_joints(self) -> dict[str, GripperJoint]:
        """Return gripper → the joint that opens it."""
        return {gripper: hand.joint for gripper, hand in self.hands.items()}

    def whole_solver(self) -> InverseKinematics | None:
        """Return inverse kinematics of all tool poses of the embodiment."""
        if self.embodiment.has_joints:
            return self.embodiment.solver()
        return self.solver(next(iter(self.hands.values())))

    def arm_joints(self, hand: SimulatedHand) -> tuple[str, ...]:
        """Return the joints that carry a hand."""
        grippers = {h.joint.joint for h in self.hands.values()}
        moved = self.model.supporting_joints(hand.link)
        return hand.description.arm or tuple(j for j in moved if j not in grippers)

    def solver(self, hand: SimulatedHand) -> InverseKinematics:
        """Return inverse kinematics of one hand; other joints stay."""
        joints = self.arm_joints(hand)
        return InverseKinematics(
            self.model, (hand.link,), joints, nominal=self.home, limits={n: self.limits.joints[n] for n in joints}
        )


@lru_cache(maxsize=16)
def _parts(path: Path, name: str) -> tuple[Path, RobotModel, RobotDescription]:
    urdf = load_spec(path).urdf_path
    if urdf is None:
        file = resource("config") / f"sim_{name}_hand.yaml"
        if not file.is_file():
            raise ConfigError(f"embodiment {name} has no joints to simulate", where="simulated world")
        description = load_description(f"{name}_hand")
        urdf = resource("embodiments") / "urdf" / str(description.urdf)
    model = RobotModel.from_urdf(urdf)
    return urdf, model, load_description(model.name)


def simulated_robot(embodiment: Embodiment) -> SimulatedRobot:
    """Return the simulated robot of an embodiment.

    Raises:
        ConfigError: It has no description, or one that does not fit it; says which.
    """
    urdf, model, description = _parts(embodiment.path, embodiment.name)
    if embodiment.has_joints:
        limits, home, controllers = embodiment.limits, embodiment.home, embodiment.controllers
    else:
        limits = RobotLimits(joints=model.limits)
        home = dict.fromkeys(model.joint_names, 0.0)
        controllers = (("hand", model.joint_names),)
    home = {**home, **description.start}
    posture = {name: home.get(name, 0.0) for name in model.joint_names}
    hands = {}
    for gripper, hand in description.hands.items():
        if gripper not in embodiment.spec.grippers:
            raise ConfigError(f"hand {gripper} is not a gripper of {embodiment.name}", where=f"sim_{description.robot}")
        link = _pose_link(embodiment, model, hand)
        offset = np.linalg.inv(model.fk(posture, link)) @ model.fk(posture, hand.link) @ hand_frame(hand)
        hands[gripper] = SimulatedHand(gripper, link, offset, _finger(embodiment, gripper, hand), hand)
    return SimulatedRobot(embodiment, urdf, model, description, limits, home, controllers, hands)


def _finger(embodiment: Embodiment, gripper: str, hand: Hand) -> GripperJoint:
    if hand.finger is None:
        return embodiment.gripper_joints[gripper]
    finger = hand.finger
    return GripperJoint(joint=finger.joint, closed=finger.closed, open=finger.open, max_velocity=np.inf)


def _pose_link(embodiment: Embodiment, model: RobotModel, hand: Hand) -> str:
    """Return the tool link of the embodiment that the hand is fixed to: moved by the same joints."""
    joints = model.supporting_joints(hand.link)
    for link in embodiment.tool_links:
        if tuple(model.supporting_joints(link)) == tuple(joints):
            return link
    raise ConfigError(f"no tool pose of {embodiment.name} moves with {hand.link}", where=f"sim_{model.name}")
