from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from world_model_scenes import observation_of

from cosmos_ros.embodiment import RecordedStates, load_embodiment
from cosmos_ros.embodiment.canvas import tier_size
from cosmos_ros.errors import CapabilityError, ConfigError, InputError, ModelError
from cosmos_ros.prediction.pipeline import Pipeline, PipelineSettings
from cosmos_ros.prediction.state_api import StateModel
from cosmos_ros.types import ActionSpace, Mode, Rollout
from cosmos_ros.world_models import Capabilities, create_world_model


class Counter:
    """Answers frames that count up from the conditioning frame, and rows that carry the seed."""

    name = "counter"

    def __init__(self, **capabilities):
        self.capabilities = Capabilities(modes=frozenset(Mode), **capabilities)
        self.requests = []

    def load(self):
        pass

    def close(self):
        pass

    def predict(self, request):
        self.requests.append(request)
        steps = request.chunk_size
        frames = rows = None
        if request.mode is not Mode.INVERSE_DYNAMICS and self.capabilities.returns_frames:
            first = int(request.image[0, 0, 0])
            ticks = (first + np.arange(steps + 1)) % 256
            frames = np.broadcast_to(ticks[:, None, None, None], (steps + 1, 36, 32, 3)).astype(np.uint8)
        if request.mode is Mode.INVERSE_DYNAMICS:
            rows = np.zeros((steps, request.action_dim), np.float32)
            rows[:, [3, 7]] = 1.0
            rows[:, 0] = np.diff(request.video[:, 0, 0, 0].astype(float)) / 100
        if request.mode is Mode.POLICY:
            rows = np.repeat(request.hold_action[None], steps, axis=0)
            rows[:, 0] += 0.1 * (1 + request.seed)
        return Rollout(frames=frames, actions=rows, action_space=self.capabilities.action_space)


@pytest.fixture(scope="module")
def franka():
    return load_embodiment("franka")


@pytest.fixture
def scene(franka):
    return observation_of(franka)


def test_long_rollout_is_chained_on_its_last_frame(franka, scene):
    model = Counter()
    result = StateModel(model, franka, seed=5).generate_rollout(scene, "stack the cups", 40)
    assert result.seams == (16, 32)
    assert result.frames.shape == (41, 36, 32, 3)
    first = int(model.requests[0].image[0, 0, 0])
    np.testing.assert_array_equal(result.frames[:, 0, 0, 0], (first + np.arange(41)) % 256)
    assert [r.seed for r in model.requests] == [5, 6, 7]
    assert {r.instruction for r in model.requests} == {"stack the cups"}
    for before, after, frames in zip(model.requests, model.requests[1:], [16, 32], strict=False):
        np.testing.assert_array_equal(after.image, result.frames[frames])
        np.testing.assert_array_equal(after.previous_image, result.frames[frames - 1])
        assert after.past_action[0] == pytest.approx(before.hold_action[0] + 0.1 * (1 + before.seed), abs=1e-6)
        assert after.prompt == before.prompt
    assert result.actions.shape == (40, 10)
    assert len(result.chunk.times_ns) == 40  # decoded over the seams
    assert result.chunk.times_ns[-1] == pytest.approx(40 / 15 * 1e9, rel=1e-9)


@pytest.mark.parametrize(("height", "width"), [(674, 1024), (540, 640), (1080, 1280), (180, 320)])
def test_every_chunk_is_on_the_canvas_of_the_first(franka, scene, height, width):
    """Pictures whose content lies near the border between two canvases came back in another size at a seam."""

    class Fitting(Counter):
        def predict(self, request):
            size = tier_size(*request.image.shape[:2], request.resolution_tier)
            self.sizes = [*getattr(self, "sizes", []), size]
            frames = np.zeros((request.chunk_size + 1, size.content_height, size.content_width, 3), np.uint8)
            return replace(super().predict(request), frames=frames)

    class Composed:
        def __getattr__(self, name):
            return getattr(franka, name)

    embodiment, model = Composed(), Fitting()
    request = franka.build_request(scene, Mode.POLICY, seed=0)
    image = np.zeros((height, width, 3), np.uint8)
    embodiment.build_request = lambda *_, **__: replace(request, image=image)
    result = StateModel(model, embodiment).generate_rollout(scene, "", 40)
    assert len({(size.height, size.width) for size in model.sizes}) == 1
    assert result.frames.shape[0] == 41


def test_frames_that_change_their_size_are_a_named_error(franka, scene):
    class Growing(Counter):
        def predict(self, request):
            self.side = getattr(self, "side", 16) + 16
            return replace(super().predict(request), frames=np.zeros((17, self.side, self.side, 3), np.uint8))

    with pytest.raises(ModelError, match=r"frames of chunk 2 have shape \[48, 48, 3\], those before \[32, 32, 3\]"):
        StateModel(Growing(), franka).generate_rollout(scene, "", 20)


def test_short_horizon_is_cut_from_one_chunk(franka, scene):
    model = Counter()
    result = StateModel(model, franka).generate_rollout(scene, "", 3)
    assert len(model.requests) == 1
    assert result.frames.shape[0] == 4
    assert result.actions.shape == (3, 10)
    assert result.seams == ()


def test_predict_next_state_splits_and_pads_the_actions(franka, scene):
    rows = np.random.default_rng(0).uniform(-0.2, 0.2, (20, 10))
    rows[:, [3, 7]] = 1.0
    model = Counter()
    result = StateModel(model, franka).predict_next_state(scene, rows)
    first, second = (r.actions for r in model.requests)
    np.testing.assert_allclose(first, rows[:16], atol=1e-6)
    np.testing.assert_allclose(second[:4], rows[16:], atol=1e-6)
    np.testing.assert_allclose(second[4:], np.repeat(rows[19:], 12, axis=0), atol=1e-6)
    assert result.frames.shape[0] == 21
    assert result.seams == (16,)
    np.testing.assert_array_equal(result.actions, rows.astype(np.float32))
    assert result.chunk is not None


def test_recorded_states_are_encoded(franka, scene):
    still = RecordedStates(
        joint_names=franka.joint_names,
        joint_positions=np.array([[franka.home[n] for n in franka.joint_names]] * 5),
        gripper_openings={"gripper": np.full(5, 0.5)},
    )
    result = StateModel(create_world_model("persistence"), franka).predict_next_state(scene, still)
    assert result.actions.shape == (4, 10)
    np.testing.assert_allclose(
        result.chunk.poses["panda_link8"], franka.tool_poses(scene)["panda_link8"][None].repeat(4, 0), atol=1e-9
    )


def test_infer_action_walks_a_long_video(franka, scene):
    ramp = np.broadcast_to(np.arange(0, 70, 2, dtype=np.uint8)[:, None, None, None], (35, 36, 64, 3)).copy()
    model = Counter()
    result = StateModel(model, franka).infer_action(ramp, scene, "watch")
    assert result.frames is None
    assert result.actions.shape == (34, 10)
    np.testing.assert_allclose(result.actions[:, 0], 0.02, atol=1e-6)
    assert result.seams == (16, 32)
    assert [len(r.video) for r in model.requests] == [17, 17, 17]
    np.testing.assert_array_equal(model.requests[2].video[3:], np.repeat(ramp[-1:], 14, axis=0))
    assert len(result.chunk.times_ns) == 34
    assert StateModel(model, franka).infer_action(ramp[:3]).chunk is None


def test_infer_action_composes_views(franka):
    views = {view: np.zeros((5, 48, 64, 3), np.uint8) for view in franka.views}
    model = Counter()
    StateModel(model, franka).infer_action(views)
    assert model.requests[0].video.shape == (17, 72, 64, 3)


def test_what_cannot_be_chained_is_refused(franka, scene):
    for model, reason in [
        (Counter(returns_frames=False), "returns no frames"),
        (Counter(needs_state=True), "reads the robot's state"),
    ]:
        assert StateModel(model, franka).generate_rollout(scene, "", 16).actions.shape == (16, 10)
        with pytest.raises(CapabilityError, match=f"17 steps need more than one chunk of 16, and it {reason}"):
            StateModel(model, franka).generate_rollout(scene, "", 17)


def test_wrong_pairs_are_refused_before_asking(franka, scene):
    joint = Counter(action_space=ActionSpace.JOINT, domains=frozenset({"droid_lerobot"}))
    with pytest.raises(CapabilityError, match=r"takes joint positions.*franka_joint"):
        StateModel(joint, franka).generate_rollout(scene, "", 4)
    other = Counter(domains=frozenset({"av"}))
    with pytest.raises(CapabilityError, match="does not know domain droid_lerobot"):
        StateModel(other, franka).predict_next_state(scene, np.zeros((1, 10)))
    with pytest.raises(CapabilityError, match="has no inverse_dynamics"):
        StateModel(create_world_model("flow"), franka).infer_action(np.zeros((3, 36, 64, 3), np.uint8))
    assert not joint.requests
    assert not other.requests


@pytest.mark.parametrize(
    ("name", "options", "robot", "settings", "message"),
    [
        ("cosmos3", {"model": "x"}, "franka_joint", {}, "takes pose deltas, the embodiment joint positions"),
        ("vllm_omni", {"model": "http://localhost:1"}, "franka_joint", {}, "takes pose deltas"),
        ("openpi", {"model": "ws://localhost:1"}, "franka", {}, "takes joint positions"),
        ("openpi", {"model": "ws://localhost:1"}, "franka_joint", {"chunk_size": 16}, "chunks of 16 steps"),
        ("openpi", {"model": "ws://localhost:1"}, "franka_joint", {"negative_prompt": "blurry"}, "no negative prompt"),
        ("openpi", {"model": "ws://localhost:1"}, "franka_joint", {"sampler": {"flow_shift": 5.0}}, "not known"),
        ("nim", {"model": "http://localhost:1"}, "franka", {"sampler": {"use_system_prompt": True}}, "not known"),
        ("cosmos3", {"model": "x"}, "franka", {"sampler": {"num_inference_steps": 500}}, r"allowed: 1 to 100"),
        ("flow", {}, "franka", {"sampler": {"flow_shift": 5.0}}, "allowed: \\['damping'\\]"),
    ],
)
def test_the_pipeline_refuses_when_it_is_made(name, options, robot, settings, message):
    """At configure time, before anything is loaded or a robot is observed."""
    model = create_world_model(name, **options)
    with pytest.raises(CapabilityError, match=message):
        Pipeline(load_embodiment(robot), model, PipelineSettings(**settings))


def test_another_rate_reaches_caption_request_and_times(scene):
    slow = load_embodiment("franka", fps=5.0)
    assert slow.config_hash != load_embodiment("franka").config_hash
    assert load_embodiment("franka", fps=15.0).config_hash == load_embodiment("franka").config_hash
    model = Counter()
    result = StateModel(model, slow).generate_rollout(scene, "", 16)
    assert model.requests[0].fps == 5.0
    caption = json.loads(model.requests[0].prompt)
    assert (caption["fps"], caption["duration"]) == (5.0, "3s")
    assert result.chunk.times_ns[-1] == pytest.approx(16 / 5 * 1e9)
    for fps in (0.0, -1.0, float("nan"), 1e9):
        with pytest.raises(ConfigError, match="frames a second"):
            load_embodiment("franka", fps=fps)


@pytest.mark.parametrize("horizon", [0, -1, 5000])
def test_horizon_is_bounded(franka, scene, horizon):
    with pytest.raises(InputError, match="must be 1 to 4096"):
        StateModel(Counter(), franka).generate_rollout(scene, "", horizon)


def test_bad_arrays_are_refused(franka, scene):
    states = StateModel(Counter(), franka)
    for action in (np.zeros((0, 10)), np.zeros((4, 9)), np.zeros(10)):
        with pytest.raises(InputError, match=r"expected \[N, 10\]"):
            states.predict_next_state(scene, action)
    with pytest.raises(InputError, match="at least 2 frames"):
        states.infer_action(np.zeros((1, 36, 64, 3), np.uint8))


def test_lying_model_is_caught(franka, scene):
    class Liar(Counter):
        def predict(self, request):
            return Rollout(frames=None, actions=np.full((16, 10), np.nan, np.float32))

    with pytest.raises(ModelError, match=r"actions\[0, 0\] is nan"):
        StateModel(Liar(), franka).generate_rollout(scene, "", 4)


def test_baselines_answer_state_level_calls(franka, scene):
    held = StateModel(create_world_model("persistence"), franka).generate_rollout(scene, "wait", 20)
    assert (held.frames == held.frames[0]).all()
    start = franka.tool_poses(scene)["panda_link8"]
    np.testing.assert_allclose(held.chunk.poses["panda_link8"][-1], start, atol=1e-6)
    moving = StateModel(create_world_model("flow"), franka).generate_rollout(scene, "go on", 20)
    assert np.linalg.norm(moving.chunk.poses["panda_link8"][-1][:3, 3] - start[:3, 3]) > 1e-3
