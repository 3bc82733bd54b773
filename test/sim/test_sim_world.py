"""The simulated world: exact kinematics, determinism, tracking, and violations that are seen and not hidden."""

from __future__ import annotations

import numpy as np
import pytest

from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.sim.imagination import world_of
from cosmos_ros.sim.sim_description import load_description
from cosmos_ros.sim.tabletop import SceneObject, Tabletop
from cosmos_ros.sim.world import TIMESTEP_NS


@pytest.fixture(scope="module")
def world(franka):
    return world_of(franka)


@pytest.fixture(autouse=True)
def _fresh(request) -> None:
    if "world" in request.fixturenames:
        request.getfixturevalue("world").reset(0)


def sweep(world, seconds: float, amplitude: float = 0.4):
    """Return smooth setpoints of all arm joints away from home and back, ``[n, J]`` positions and velocities."""
    steps = round(seconds * 1e9) // TIMESTEP_NS
    t = np.arange(1, steps + 1)[:, None] * TIMESTEP_NS * 1e-9
    home = world.joint_state().positions[: len(world.driven_joints)]
    reach = np.array([amplitude * 0.75 ** (k % 3) for k in range(len(home))])
    reach[-1] = 0.0  # the fingers stay
    omega = 2.0 * np.pi / seconds
    return home + reach * (1 - np.cos(omega * t)) / 2, reach * omega * np.sin(omega * t) / 2


def test_kinematics_are_those_of_the_urdf(world, franka) -> None:
    rng = np.random.default_rng(4)
    links = [link for link in franka.robot.links if link != "panda_link0"]
    for _ in range(25):
        q = {n: rng.uniform(j.lower, j.upper) for n, j in franka.limits.joints.items() if j.mimic is None}
        world.set_state(q, {})
        expected = franka.robot.fk_batch_links(np.array([franka.robot.vector(q)]), links)
        for link in links:
            assert world.pose_of(link) == pytest.approx(expected[link][0], abs=1e-12), link


def test_the_same_seed_and_setpoints_give_the_same_motion_bit_for_bit(franka) -> None:
    ends = []
    for _ in range(2):
        world = world_of(franka, seed=5)
        world.advance(*sweep(world, 0.5))
        ends.append((world.joint_state().positions, world.object_poses()["red_cube"]))
    assert np.array_equal(ends[0][0], ends[1][0])
    assert np.array_equal(ends[0][1], ends[1][1])


def test_servos_track_a_moving_setpoint_within_a_milliradian(world) -> None:
    positions, velocities = sweep(world, 3.0)
    worst = 0.0
    for k in range(0, len(positions), 5):
        world.advance(positions[k : k + 5], velocities[k : k + 5])
        worst = max(
            worst, np.abs(world.joint_state().positions[:7] - positions[min(k + 4, len(positions) - 1), :7]).max()
        )
    assert np.abs(velocities).max() > 0.4  # it was a motion worth the name
    assert worst < 1e-3
    assert world.monitor.total == 0


def test_holds_still_against_gravity(world) -> None:
    before = world.joint_state().positions
    world.hold(1000)
    assert world.joint_state().positions == pytest.approx(before, abs=5e-5)


def test_reset_places_by_seed(world) -> None:
    first = world.object_poses()
    world.hold(50)
    world.reset(1)
    other = world.object_poses()
    world.reset(0)
    again = world.object_poses()
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert any(not np.allclose(first[name], other[name]) for name in first)
    assert world.time_ns == 0


@pytest.mark.parametrize("seed", range(20))
def test_objects_stand_apart_inside_their_area(seed) -> None:
    scene = Tabletop()
    poses = scene.sample_poses(np.random.default_rng(seed))
    centres = np.array([pose[:2, 3] for pose in poses.values()])
    distances = np.linalg.norm(centres[:, None] - centres[None], axis=-1) + 9.0 * np.eye(len(centres))
    assert distances.min() >= scene.clearance
    assert (centres[:, 0] >= scene.area[0]).all()
    assert (centres[:, 0] <= scene.area[1]).all()


def test_an_impossible_scene_is_refused() -> None:
    with pytest.raises(ConfigError, match="do not fit"):
        Tabletop(clearance=0.5).sample_poses(np.random.default_rng(0))
    with pytest.raises(ConfigError, match="not unique"):
        Tabletop(objects=(SceneObject("x", (1, 1, 1), (0, 0, 0)),) * 2)


def test_a_setpoint_that_is_not_finite_is_refused_and_the_arm_holds(world) -> None:
    before = world.joint_state().positions
    positions, velocities = np.tile(before[:8], (100, 1)), np.zeros((100, 8))
    positions[:, 3] = np.nan
    velocities[50:, 2] = np.inf
    world.advance(positions, velocities)
    assert world.refused_setpoints == 100
    assert world.joint_state().positions == pytest.approx(before, abs=5e-5)


def test_leaving_a_position_limit_is_counted(world, franka) -> None:
    bound = franka.limits.joints["panda_joint6"].upper
    start = world.joint_state().positions[:8]
    steps = 1500
    positions = np.tile(start, (steps, 1))
    positions[:, 5] = np.linspace(start[5], bound + 0.03, steps)
    velocities = np.zeros((steps, 8))
    velocities[:, 5] = (bound + 0.03 - start[5]) / (steps * TIMESTEP_NS * 1e-9)
    world.advance(positions, velocities)
    report = world.monitor.to_dict()
    assert report["total"] > 0
    assert list(report["joints"]) == ["panda_joint6.position"]
    assert report["joints"]["panda_joint6.position"]["worst_excess"] == pytest.approx(0.03, abs=2e-3)


def test_a_jump_of_the_setpoint_breaks_the_velocity_limit_and_is_counted(world) -> None:
    target = world.joint_state().positions[:8]
    target[0] += 1.5
    world.advance(np.tile(target, (400, 1)), np.zeros((400, 8)))
    assert "panda_joint1.velocity" in world.monitor.to_dict()["joints"]


def test_wrong_states_are_refused(world) -> None:
    with pytest.raises(InputError, match="elbow"):
        world.set_state({"elbow": 0.0}, {})
    with pytest.raises(InputError, match="panda_joint1"):
        world.set_state({"panda_joint1": np.nan}, {})
    with pytest.raises(InputError, match="green_ball"):
        world.set_state({}, {"green_ball": np.eye(4)})
    with pytest.raises(ConfigError, match="exterior_9"):
        world.cameras({"exterior_9": (10, 10)})


def test_the_gripper_lifts_a_cube_and_does_not_let_it_slip(world) -> None:
    """A squeeze of a few millimetres holds a cube while the whole arm swings."""
    world.hold(50)
    tool = world.pose_of(world.tool_link)
    cube = np.eye(4)
    cube[:3, :3] = tool[:3, :3]
    cube[:3, 3] = tool[:3, 3]
    joints = dict(zip(world.joint_names, world.joint_state().positions.tolist(), strict=True))
    world.set_state({**joints, "panda_finger_joint1": 0.0205}, {"red_cube": cube})
    grip = world.joint_state().positions[:8]
    grip[7] = 0.016
    world.advance(np.tile(grip, (100, 1)), np.zeros((100, 8)))
    held = np.linalg.inv(world.pose_of(world.tool_link)) @ world.object_poses()["red_cube"]
    positions, velocities = sweep(world, 3.0)
    positions[:, 7] = 0.016
    world.advance(positions, velocities)
    now = np.linalg.inv(world.pose_of(world.tool_link)) @ world.object_poses()["red_cube"]
    assert world.touched("red_cube")
    assert not world.touched("blue_cube")
    assert now[:3, 3] == pytest.approx(held[:3, 3], abs=2e-3)


def test_a_description_names_its_mistakes(tmp_path) -> None:
    file = tmp_path / "sim_x.yaml"
    file.write_text(
        "{robot: x, base_link: a, hands: {g: {link: a, stroke: 0.1}}, palette: {}, servos: {}, "
        "scene: {table: [0, 1, 0, 1], areas: {g: [0, 1, 0, 1]}}, "
        "links: {a: {mass: 1.0, shapes: [{sphere: {centre: [0, 0, 0], radius: -1}, colour: red}]}}}"
    )
    with pytest.raises(ConfigError, match=r"links\.a\.shapes\.0\.sphere\.radius"):
        load_description("x", file)
    with pytest.raises(ConfigError, match="sim_nobody"):
        load_description("nobody")
