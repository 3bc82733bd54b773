"""The scripted expert behind the world-model protocol."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cosmos_ros.errors import CapabilityError, ConfigError, ModelError
from cosmos_ros.sim.imagination import world_of
from cosmos_ros.sim.scripted_expert import Expert, ExpertOptions
from cosmos_ros.sim.task import DEFAULT_INSTRUCTION
from cosmos_ros.sim.world import WorldRenderer
from cosmos_ros.types import JointState, Mode, Observation
from cosmos_ros.world_models import create_world_model
from cosmos_ros.world_models.protocol import WorldModel, check_request, check_rollout

STAMP = 5_000_000_000
SIZE = (160, 90)


@pytest.fixture(scope="module")
def world(franka):
    return world_of(franka, seed=2)


@pytest.fixture(scope="module")
def expert(gl):
    made = Expert(ExpertOptions())
    made.load()
    yield made
    made.close()
    made.close()


@pytest.fixture(scope="module")
def blind():
    """An expert without images, which needs no OpenGL."""
    made = Expert(ExpertOptions(frames=False))
    made.load()
    return made


def observe(world, franka, instruction: str = DEFAULT_INSTRUCTION, images=None) -> Observation:
    images = images or {view: np.zeros((SIZE[1], SIZE[0], 3), np.uint8) for view in franka.views}
    return Observation(
        stamp_ns=STAMP,
        images=images,
        image_stamps_ns=dict.fromkeys(images, STAMP),
        joints=world.joint_state(STAMP),
        instruction=instruction,
        scene=world.object_poses(),
    )


def ask(franka, observation: Observation, mode: Mode = Mode.POLICY, **options):
    return franka.build_request(observation, mode, needs_observation=True, **options)


def test_is_a_registered_world_model_and_says_that_it_is_scripted(franka, world) -> None:
    model = create_world_model("expert", frames=False)
    assert isinstance(model, WorldModel)
    assert model.capabilities.scripted
    assert model.capabilities.needs_scene
    answer = model.predict(ask(franka, observe(world, franka)))
    assert answer.provenance["scripted"] is True
    assert "scripted" in answer.provenance["note"]
    model.close()


def test_actions_fit_the_action_space_and_decode_to_the_plan(franka, world, blind) -> None:
    world.reset(2)
    observation = observe(world, franka)
    request = ask(franka, observation)
    answer = blind.predict(request)
    check_rollout("expert", request, answer, blind.capabilities)
    assert answer.frames is None
    assert np.abs(answer.actions).max() <= 1.0
    assert answer.provenance["clamped"] == 0
    chunk = franka.decode(answer, observation)
    assert not [f for f in chunk.findings if f.level != "info"]
    path = np.concatenate((chunk.start_poses["panda_link8"][None], chunk.poses["panda_link8"]))[:, :3, 3]
    item = world.object_poses()["red_cube"][:3, 3]
    gaps = np.linalg.norm(path[:, :2] - item[:2], axis=1)
    assert gaps[-1] < gaps[0] - 0.03  # it goes towards the cube
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).max() * franka.fps < 0.2


def test_the_same_request_gives_the_same_answer(franka, world, blind) -> None:
    request = ask(franka, observe(world, franka))
    assert np.array_equal(blind.predict(request).actions, blind.predict(request).actions)


def test_starts_at_the_measured_velocity(franka, world, blind) -> None:
    """A plan made while the arm moves goes on moving."""
    observation = observe(world, franka)
    joints = observation.joints
    rates = np.zeros(len(joints.names))
    rates[joints.names.index("panda_joint1")] = 0.2
    moving = replace(observation, joints=replace(joints, velocities=rates))
    tool = franka.tool_poses(observation)["panda_link8"]
    chunk = franka.decode(blind.predict(ask(franka, moving)), moving)
    first = (chunk.poses["panda_link8"][0] - tool)[:3, 3] * franka.fps
    expected = np.array([-tool[1, 3], tool[0, 3], 0.0]) * 0.2  # turning about the base's z axis
    assert np.linalg.norm(first - expected) < 0.05
    assert np.linalg.norm(expected) > 0.05


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"instruction": "make coffee"}, "names 0 things"),
        ({"instruction": "put the green pad on the red cube"}, "cannot be moved"),
        ({"scene": {"red_cube": np.eye(4)}}, r"\['green_pad'\] are not in the published scene"),
        ({"joints": JointState(STAMP, ("panda_joint1",), np.zeros(1))}, "joint_states"),
    ],
)
def test_says_what_it_cannot_do(franka, world, blind, change, says) -> None:
    whole = ask(franka, observe(world, franka))
    wrong = replace(whole.observation, **change)
    with pytest.raises(ModelError, match=says):
        blind.predict(replace(whole, observation=wrong, instruction=wrong.instruction))


def test_refuses_what_it_did_not_declare(franka, world, blind) -> None:
    request = ask(franka, observe(world, franka))
    with pytest.raises(CapabilityError, match="inverse_dynamics"):
        check_request(blind, replace(request, mode=Mode.INVERSE_DYNAMICS))
    with pytest.raises(CapabilityError, match="umi"):
        blind.predict(replace(request, domain_name="umi"))
    with pytest.raises(CapabilityError, match="scene"):
        blind.predict(replace(request, observation=replace(request.observation, scene={})))
    with pytest.raises(CapabilityError, match="guidance_scale"):
        blind.predict(replace(request, settings={"guidance_scale": 2.0}))
    with pytest.raises(ConfigError, match="frame_scale"):
        Expert(ExpertOptions(frame_scale=0.0))
    with pytest.raises(ConfigError, match="pose deltas"):
        Expert(ExpertOptions(embodiment="franka_joint"))
    with pytest.raises(ConfigError, match="sim_fr3"):
        Expert(ExpertOptions(embodiment="franka_fr3", frames=False)).load()


def rendered(world, franka) -> dict[str, np.ndarray]:
    renderer = WorldRenderer(world, world.cameras(dict.fromkeys(franka.views, SIZE)))
    renderer.load(world.snapshot())
    images = {view: renderer.render(view) for view in franka.views}
    renderer.close()
    return images


def test_frames_show_the_plan(franka, world, expert) -> None:
    world.reset(2)
    observation = observe(world, franka, images=rendered(world, franka))
    request = ask(franka, observation)
    answer = expert.predict(request)
    check_rollout("expert", request, answer, expert.capabilities)
    assert np.array_equal(answer.frames[0], request.image)
    # The scene is the observed one: a plan that hardly moves yet looks the same, a later frame does not. (The side
    # views are rendered at the canvas's size, not scaled down to it, so that edges differ by a little.)
    difference = np.abs(answer.frames.astype(int) - request.image.astype(int)).mean(axis=(1, 2, 3))
    assert difference[1] < 4.0
    moved = np.abs(answer.frames.astype(int) - answer.frames[1].astype(int)).mean(axis=(1, 2, 3))
    assert moved[2] < 1.0
    assert moved[-1] > 4.0


def test_frames_are_what_the_world_looks_like_when_the_plan_is_carried_out(franka, world, expert) -> None:
    """Forward dynamics of the expert's own actions agrees with its images of them."""
    world.reset(2)
    observation = observe(world, franka, images=rendered(world, franka))
    plan = expert.predict(ask(franka, observation))
    request = ask(franka, observation, Mode.FORWARD_DYNAMICS, actions=plan.actions)
    stepped = expert.predict(request)
    check_rollout("expert", request, stepped, expert.capabilities)
    assert stepped.actions is None
    assert stepped.provenance["scripted"] is True
    apart = np.abs(stepped.frames.astype(int) - plan.frames.astype(int)).mean(axis=(1, 2, 3))
    still = np.abs(plan.frames.astype(int) - plan.frames[1].astype(int)).mean(axis=(1, 2, 3))
    assert apart[-1] < 0.35 * still[-1]


def test_forward_dynamics_follows_its_actions(franka, world, expert) -> None:
    world.reset(2)
    observation = observe(world, franka, images=rendered(world, franka))
    still = np.repeat(ask(franka, observation).hold_action[None], 16, axis=0)
    down = franka.normaliser.normalise(
        np.tile(franka.layout.identity_row() + np.array([0, 0, 0.01, 0, 0, 0, 0, 0, 0, 1.0]), (16, 1))
    )
    held = expert.predict(ask(franka, observation, Mode.FORWARD_DYNAMICS, actions=still))
    moved = expert.predict(ask(franka, observation, Mode.FORWARD_DYNAMICS, actions=down))
    assert np.abs(held.frames[-1].astype(int) - held.frames[1]).mean() < 0.5
    assert np.abs(moved.frames[-1].astype(int) - moved.frames[1]).mean() > 3.0
