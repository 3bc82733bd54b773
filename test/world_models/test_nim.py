from __future__ import annotations

import numpy as np
import pytest
from stand_in_servers import Nim, answer_action, answer_frames, droid_rows

from cosmos_ros.errors import CapabilityError, ConfigError, ModelError
from cosmos_ros.types import ActionSpace, Mode
from cosmos_ros.world_models import check_rollout, create_world_model

JOINTS = np.array([0.1, -0.7, 0.0, -2.3, 0.0, 1.6, 0.8], np.float32)


@pytest.fixture
def request_for(make_request):
    def build(mode=Mode.POLICY, **fields):
        return make_request(mode, **({"resolution_tier": 256, "seed": 3} | fields))

    return build


@pytest.fixture
def joint_request(make_request):
    def build(**fields):
        state = np.append(JOINTS, np.float32(0.75))  # three quarters open
        return make_request(
            **(
                {
                    "domain_name": "droid_lerobot",
                    "domain_id": 8,
                    "action_dim": 8,
                    "chunk_size": 32,
                    "fps": 15.0,
                    "state": state,
                    "hold_action": None,
                    "layout": None,
                    "image": np.full((270, 320, 3), 90, np.uint8),
                    "seed": 2,
                }
                | fields
            )
        )

    return build


def connect(server, **options):
    options = {"timeout": 3.0, "connect_timeout": 1.0, "max_answer_bytes": 1 << 22} | options
    return create_world_model("nim", model=server.url, **options)


@pytest.mark.parametrize("mode", list(Mode))
def test_each_mode(request_for, mode):
    request = request_for(mode)
    with Nim() as server:
        model = connect(server)
        model.load()
        rollout = model.predict(request)
        model.close()
    check_rollout(model.name, request, rollout, model.capabilities)
    assert rollout.provenance["model"] == "cosmos3-nano"
    if mode is Mode.FORWARD_DYNAMICS:
        assert rollout.actions is None
        sent = server.bodies[0]["action_params"]["action"]
        np.testing.assert_array_equal(np.array(sent, np.float32), request.actions)
    else:
        np.testing.assert_allclose(rollout.actions, answer_action(3, 4, 10), rtol=1e-6)
    if mode is not Mode.INVERSE_DYNAMICS:
        expected = answer_frames(request.image, 4)
        assert np.abs(rollout.frames.astype(int) - expected).mean() < 3


def test_strict_types_and_only_known_fields_are_sent(request_for):
    with Nim() as server:
        model = connect(server)
        model.predict(request_for(negative_prompt="blurry", settings={"num_inference_steps": 12.0, "flow_shift": 6}))
        model.close()
    body = server.bodies[0]
    assert type(body["num_inference_steps"]) is int
    assert body["num_inference_steps"] == 12
    assert body["flow_shift"] == 6.0
    assert body["negative_prompt"] == "blurry"
    assert body["prompt"] == '{"actions": []}'
    assert "num_frames" not in body
    assert body["action_params"]["image_size"] == "256"


def test_plain_caption(request_for):
    with Nim() as server:
        model = connect(server, caption="plain")
        model.predict(request_for())
        model.close()
    assert server.bodies[0]["prompt"] == "pick up the block"


def test_nano_droid_speaks_joints(joint_request):
    request = joint_request()
    with Nim(variant="nano-droid") as server:
        model = connect(server, variant="nano-droid")
        model.load()
        rollout = model.predict(request)
        model.close()
    check_rollout(model.name, request, rollout, model.capabilities)
    assert rollout.action_space is ActionSpace.JOINT
    assert rollout.frames is None
    seen = server.bodies[0]["action_params"]["observation"]
    np.testing.assert_allclose(seen["observation/joint_position"], JOINTS, rtol=1e-6)
    assert seen["observation/gripper_position"] == pytest.approx(0.25)  # the server's 0 is open
    raw = droid_rows(seen, 2)
    np.testing.assert_allclose(rollout.actions[:, :7], raw[:, :7], rtol=1e-6)
    np.testing.assert_allclose(rollout.actions[:, 7], 1 - raw[:, 7], atol=1e-6)
    assert rollout.actions[-1, 7] == pytest.approx(0.0, abs=1e-6)  # closed at the end
    body = server.bodies[0]
    assert (body["num_inference_steps"], body["guidance_scale"], body["flow_shift"]) == (4, 3.0, 5.0)


def test_nano_droid_refuses_what_it_cannot(joint_request, request_for):
    with Nim(variant="nano-droid") as server:
        model = connect(server, variant="nano-droid")
        for wrong, message in [
            (request_for(), "domain bridge_orig_lerobot is not supported"),
            (joint_request(mode=Mode.FORWARD_DYNAMICS, actions=None), "forward_dynamics is not supported"),
            (joint_request(chunk_size=16), "chunk size 16"),
            (joint_request(action_dim=10), "embodiment has 10.*franka_joint"),
            (joint_request(state=None), "carries no state"),
            (joint_request(state=np.full(8, np.nan, np.float32)), "not finite"),
            (joint_request(negative_prompt="blurry"), "no negative prompt"),
            (joint_request(settings={"use_system_prompt": True}), "not known"),
        ]:
            with pytest.raises(CapabilityError, match=message):
                model.predict(wrong)
        assert not server.bodies
        model.close()


ODD_REPLIES = {
    "html": "is not JSON but: <html>",
    "a list": "not an object but list",
    "announced 10 GB": "announces 10737418240 bytes",
    "endless": "larger than",
    "hang": "no (complete )?answer",
    "drip": "no (complete )?answer",
    "half": "the answer broke off",
    "error in 200": "CUDA out of memory",
    "422": "answered 422: prompt is blocked",
    "nan": r"actions\[0, 0\] is nan",
    "no video": "has no b64_video",
    "not base64": "not base64",
    "half a video": "cannot be decoded|base64",
}


@pytest.mark.parametrize("odd", ODD_REPLIES)
def test_odd_replies_are_named_errors(request_for, odd):
    with Nim(odd) as server:
        model = connect(server, timeout=0.7 if odd in ("hang", "drip") else 3.0)
        with pytest.raises(ModelError, match=ODD_REPLIES[odd]) as caught:
            model.predict(request_for())
        model.close()
    assert str(caught.value).startswith("world_model nim: ")


def test_load_checks_the_server():
    with Nim("reasoner") as server:
        model = connect(server)
        with pytest.raises(ConfigError, match="'reasoner' at /v1/chat/completions, not a Cosmos3 generator"):
            model.load()
        model.close()


def test_options_and_ranges(request_for):
    with pytest.raises(ConfigError, match="variant: 'edge' is not one of general, nano-droid"):
        create_world_model("nim", model="http://localhost:1", variant="edge")
    with pytest.raises(ConfigError, match="caption: 'yaml' is not one of json, plain"):
        create_world_model("nim", model="http://localhost:1", caption="yaml")
    model = create_world_model("nim", model="http://localhost:1")
    with pytest.raises(CapabilityError, match="guidance_scale is 9, this server takes 1 to 7"):
        model.predict(request_for(settings={"guidance_scale": 9.0}))
    with pytest.raises(CapabilityError, match="takes 20000"):
        model.predict(request_for(prompt="x" * 20_001))
    with pytest.raises(CapabilityError, match="domain agibotworld is not supported"):
        model.predict(request_for(domain_name="agibotworld"))
    model.close()
