"""The Panda with its kinematics, and one check at a time."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import lru_cache

import numpy as np
import pytest
from guard_support import HOME, context, dense, panda_limits

from cosmos_ros.guard import Capsule, GuardedRobot, GuardSettings, Surroundings, Violation
from cosmos_ros.guard.checker import Checker
from cosmos_ros.kinematics import RobotModel
from cosmos_ros.limits import CartesianLimits, RobotLimits
from cosmos_ros.resources import resource
from cosmos_ros.types import JointTrajectory

TIP = "panda_link8"
ONE = np.eye(7)

# Bounding capsules of the Panda's links, with the rule that links closer than three apart are not held apart.
CAPSULES = (
    Capsule("panda_link0", (-0.075, 0.0, 0.06), "x", 0.06, 0.03),
    Capsule("panda_link1", (0.0, 0.0, -0.1915), "z", 0.06, 0.283),
    Capsule("panda_link2", (0.0, 0.0, 0.0), "z", 0.06, 0.12),
    Capsule("panda_link3", (0.0, 0.0, -0.145), "z", 0.06, 0.15),
    Capsule("panda_link4", (0.0, 0.0, 0.0), "z", 0.06, 0.12),
    Capsule("panda_link5", (0.0, 0.0, -0.26), "z", 0.06, 0.1),
    Capsule("panda_link5", (0.0, 0.08, -0.13), "z", 0.025, 0.14),
    Capsule("panda_link6", (0.0, 0.0, -0.03), "z", 0.05, 0.08),
    Capsule("panda_hand", (0.0, 0.0, 0.04), "y", 0.04, 0.1),
    Capsule("panda_hand", (0.0, 0.0, 0.1), "y", 0.02, 0.1),
)
PLACES = (0, 1, 2, 3, 4, 5, 5, 6, 8, 8)
PAIRS = tuple((a, b) for a in range(10) for b in range(a + 1, 10) if PLACES[b] - PLACES[a] >= 3)


@lru_cache(maxsize=8)
def model(robot: str = "panda", backend: str = "auto") -> RobotModel:
    return RobotModel.from_urdf(resource("embodiments", "urdf", f"{robot}.urdf"), backend=backend)


def with_tool(**bounds: float) -> RobotLimits:
    return replace(panda_limits(), cartesian=(CartesianLimits(TIP, **bounds),))


# No threshold but those that a test gives.
OFF = {"minimum_singular_value": 0.0, "slow_singular_value": 0.0}


def find(
    trajectory: JointTrajectory,
    kind: str,
    limits: RobotLimits | None = None,
    start: np.ndarray = HOME,
    **around: object,
) -> list[Violation]:
    surroundings = {field.name: around.pop(field.name) for field in fields(Surroundings) if field.name in around}
    robot = GuardedRobot(limits or panda_limits(), model(), Surroundings(links=(TIP,), **surroundings))
    checker = Checker(robot, GuardSettings(checks=frozenset({kind}), **{**OFF, **around}))
    return list(checker.check(trajectory, context(start)).violations)


def tool_twists(trajectory: JointTrajectory, rate: float = 2000.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, speed and angular speed of the tool by the reference backend, one configuration at a time."""
    samples = dense(trajectory, rate)
    pin = model()
    pad = len(pin.joint_names) - 7
    twists = np.array(
        [
            pin.jacobian(np.pad(q, (0, pad)), TIP) @ np.pad(v, (0, pad))
            for q, v in zip(samples.positions, samples.velocities, strict=True)
        ]
    )
    return samples.seconds, np.linalg.norm(twists[:, :3], axis=1), np.linalg.norm(twists[:, 3:], axis=1)


def tip_path(trajectory: JointTrajectory) -> tuple[np.ndarray, np.ndarray]:
    samples = dense(trajectory, 2000.0)
    q = np.pad(samples.positions, ((0, 0), (0, len(model().joint_names) - 7)))
    return samples.seconds, np.array([model().fk(c, TIP)[:3, 3] for c in q])


def coal_distances(positions: np.ndarray) -> np.ndarray:
    """Distances of all pairs by Pinocchio and coal, ``[M, P]``."""
    pin, coal = pytest.importorskip("pinocchio"), pytest.importorskip("coal")
    robot = pin.buildModelFromUrdf(str(resource("embodiments", "urdf", "panda.urdf")))
    turn = {"x": pin.utils.rotate("y", np.pi / 2), "y": pin.utils.rotate("x", np.pi / 2), "z": np.eye(3)}
    shapes = pin.GeometryModel()
    for index, capsule in enumerate(CAPSULES):
        frame = robot.frames[robot.getFrameId(capsule.link)]
        placement = frame.placement * pin.SE3(turn[capsule.axis], np.array(capsule.xyz))
        body = coal.Capsule(capsule.radius, capsule.length)
        shapes.addGeometryObject(pin.GeometryObject(f"c{index}", frame.parentJoint, placement, body))
    for a, b in PAIRS:
        shapes.addCollisionPair(pin.CollisionPair(a, b))
    data, geometry = robot.createData(), pin.GeometryData(shapes)
    rows = []
    for q in positions:
        pin.computeDistances(robot, data, shapes, geometry, np.pad(q, (0, robot.nq - len(q))))
        rows.append([result.min_distance for result in geometry.distanceResults])
    return np.array(rows)
