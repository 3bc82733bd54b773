"""Every shipped embodiment through the real pipeline: canvas, caption, three modes, decoding."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from world_model_scenes import observation_of

from cosmos_ros.embodiment import list_embodiments, load_embodiment
from cosmos_ros.errors import CapabilityError
from cosmos_ros.types import Mode
from cosmos_ros.world_models import check_rollout, create_world_model

pytest.importorskip("torch", reason="torch is not installed; `make test-cosmos3` installs it")
pytest.importorskip("diffusers", reason="diffusers is not installed; `make test-cosmos3` installs it")
from diffusers import Cosmos3OmniPipeline
from tiny_cosmos3 import write_tiny_checkpoint

pytestmark = [pytest.mark.cosmos3, pytest.mark.timeout(300)]
POSE_EMBODIMENTS = [name for name in list_embodiments() if name != "franka_joint"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = write_tiny_checkpoint(tmp_path_factory.mktemp("cosmos3") / "Cosmos3-Tiny")
    model = create_world_model("cosmos3", model=str(folder), device="cpu", warm_up=False)
    model.load()
    yield model
    model.close()


def small(request, steps):
    return replace(request, resolution_tier=256, settings={"num_inference_steps": steps})


@pytest.mark.parametrize("name", POSE_EMBODIMENTS)
def test_three_modes(model, name):
    embodiment = load_embodiment(name)
    observation = observation_of(embodiment, 48, 64)
    steps = embodiment.chunk_size if name == "franka" else 4  # a whole chunk once: pixels cost time
    policy = embodiment.build_request(observation, Mode.POLICY, seed=4, chunk_size=steps)
    rollout = model.predict(small(policy, 2))
    check_rollout(model.name, policy, rollout, model.capabilities)
    chunk = embodiment.decode(rollout, observation)
    assert len(chunk.times_ns) == steps
    assert set(chunk.poses) == set(embodiment.tool_links)
    for poses in chunk.poses.values():
        rotations = poses[:, :3, :3]
        np.testing.assert_allclose(
            rotations @ rotations.transpose(0, 2, 1), np.eye(3)[None].repeat(len(poses), 0), atol=1e-9
        )

    # The dynamics modes, on the predicted motion and frames.
    forward = embodiment.build_request(
        observation, Mode.FORWARD_DYNAMICS, actions=rollout.actions[:4].astype(float), chunk_size=4
    )
    frames = model.predict(small(forward, 1)).frames
    assert len(frames) == 5
    inverse = embodiment.build_request(observation, Mode.INVERSE_DYNAMICS, video=frames, chunk_size=4)
    again = model.predict(small(inverse, 1))
    check_rollout(model.name, inverse, again, model.capabilities)
    assert again.actions.shape == (4, embodiment.action_dim)


@pytest.mark.parametrize("name", list_embodiments())
def test_caption_is_the_stock_one_and_the_view_sentence(name):
    """Fields, order and rounding are diffusers' own; the sentence about the views is what it cannot add."""
    embodiment = load_embodiment(name)
    request = embodiment.build_request(observation_of(embodiment), Mode.POLICY)
    ours = json.loads(request.prompt)
    stock = Cosmos3OmniPipeline._build_action_json_prompt(
        request.instruction,
        view_point=request.view_point,
        num_frames=request.chunk_size + 1,
        fps=request.fps,
        height=ours["resolution"]["H"],
        width=ours["resolution"]["W"],
    )
    description = embodiment.spec.prompt.view_description
    if description:
        framing = ours["cinematography"]["framing"]
        assert framing.endswith(f" {description}")
        ours["cinematography"]["framing"] = framing[: -len(description) - 1]
    assert json.dumps(ours) == stock


def test_joint_embodiment_is_sent_to_the_policy_servers(model):
    embodiment = load_embodiment("franka_joint")
    request = embodiment.build_request(observation_of(embodiment), Mode.POLICY)
    with pytest.raises(CapabilityError, match="world_model:=openpi"):
        model.predict(request)
