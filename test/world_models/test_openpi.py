from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from stand_in_servers import OpenPi, droid_rows

from cosmos_ros.errors import CapabilityError, ConfigError, ModelError
from cosmos_ros.types import ActionSpace
from cosmos_ros.world_models import check_rollout, create_world_model
from cosmos_ros.world_models.remote import msgpack_numpy

JOINTS = np.array([0.1, -0.7, 0.0, -2.3, 0.0, 1.6, 0.8], np.float32)


@pytest.fixture
def joint_request(make_request):
    def build(**fields):
        base = {
            "domain_name": "droid_lerobot",
            "domain_id": 8,
            "action_dim": 8,
            "chunk_size": 32,
            "fps": 15.0,
            "state": np.append(JOINTS, np.float32(0.25)),
            "hold_action": None,
            "layout": None,
            "image": np.random.default_rng(0).integers(0, 256, (540, 640, 3), dtype=np.uint8),
            "seed": 1,
            "instruction": "put the cup on the shelf",
        }
        return make_request(**(base | fields))

    return build


def connect(server, **options):
    options = {"timeout": 3.0, "connect_timeout": 1.0} | options
    return create_world_model("openpi", model=server.address, **options)


@pytest.mark.parametrize("dialect", ["vllm_omni", "cosmos_framework"])
def test_both_dialects(joint_request, dialect):
    request = joint_request()
    with OpenPi(dialect=dialect) as server:
        model = connect(server)
        model.load()
        rollout = model.predict(request)
        again = model.predict(request)
        model.close()
    assert server.connections == 1
    check_rollout(model.name, request, rollout, model.capabilities)
    assert rollout.action_space is ActionSpace.JOINT
    assert rollout.provenance["dialect"] == dialect
    sent = server.messages[0]
    assert sent["prompt"] == "put the cup on the shelf"
    np.testing.assert_array_equal(sent["observation/image"], request.image)
    np.testing.assert_array_equal(sent["observation/joint_position"], JOINTS)
    np.testing.assert_allclose(sent["observation/gripper_position"], [0.75])  # raw: 1 is closed
    raw = droid_rows(sent, 1 if dialect == "vllm_omni" else 0)
    np.testing.assert_allclose(rollout.actions[:, :7], raw[:, :7])
    np.testing.assert_allclose(rollout.actions[:, 7], 1 - raw[:, 7], atol=1e-6)
    np.testing.assert_array_equal(rollout.actions, again.actions)
    # Each server gets only the keys its protocol has.
    assert ("endpoint" in sent) == ("session_id" in sent) == (dialect == "vllm_omni")
    assert (rollout.provenance["server_timing"] == {"infer_ms": 12.5}) == (dialect == "cosmos_framework")


@pytest.mark.parametrize("dialect", ["vllm_omni", "cosmos_framework"])
def test_a_new_session_is_another_one_on_another_connection(joint_request, dialect):
    with OpenPi(dialect=dialect) as server:
        model = connect(server)
        first = model.predict(joint_request()).provenance["session_id"]
        same = model.predict(joint_request()).provenance["session_id"]
        assert server.connections == 1
        model.new_session()
        other = model.predict(joint_request()).provenance["session_id"]
        model.close()
    assert first == same != other
    assert server.connections == 2


def test_idle_close_is_survived(joint_request):
    with OpenPi(idle_timeout=0.05) as server:
        model = connect(server)
        model.load()
        assert server.closed_idle.wait(5)
        rollout = model.predict(joint_request())
        model.close()
    assert server.connections == 2
    assert rollout.actions.shape == (32, 8)
    assert model.status()["circuit"] == "closed"


def test_restarted_server_is_found_again(joint_request):
    with OpenPi() as server:
        model = connect(server)
        model.predict(joint_request())
        port = server.port
    with pytest.raises(ModelError, match="cannot connect"):
        model.predict(joint_request())
    successor = OpenPi()
    with successor:
        moved = create_world_model("openpi", model=model.url.replace(str(port), str(successor.port)))
        moved.predict(joint_request())
        moved.close()
    model.close()


ODD_REPLIES = {
    "traceback": "RuntimeError: CUDA out of memory",
    "error": "Internal inference error",
    "close": "closed the connection with code 1001",
    "junk": "not a MessagePack message",
    "nan": r"actions\[3, 4\] is nan",
    "short": r"shape \[16, 8\], expected \[32, 8\]",
    "ten wide": r"shape \[32, 10\]",
    "degrees": "no joint position in radians",
    "percent": "no gripper position from 0 to 1",
    "objects": "malformed array dtype",
    "lying array": "does not fit 4 bytes",
    "dtype list": "malformed array dtype",
    "array type": "actions have shape|no action array",
    "large integer": "not a MessagePack message",
    "many lists": "more than 4096 lists and maps|exceeds max_array_len",
    "escapes in the close": r"\(going \[31mred\)",
    "token": r"token \(token\) is not known",
    "big": "(?i)message size|too large|exceeds",
}


@pytest.mark.parametrize("odd", ODD_REPLIES)
def test_odd_replies_are_named_errors(joint_request, odd, monkeypatch):
    monkeypatch.setenv("COSMOS_ROS_TOKEN", "s3cret-token")
    with OpenPi(odd) as server:
        model = connect(server, max_answer_bytes=1 << 20)
        with pytest.raises(ModelError, match=ODD_REPLIES[odd]) as caught:
            model.predict(joint_request())
        server.odd = ""
        assert model.predict(joint_request()).actions.shape == (32, 8)
        model.close()
    assert str(caught.value).isprintable()
    assert "s3cret" not in f"{caught.value} {model.status()}"


def test_server_timings_are_numbers(joint_request):
    with OpenPi("odd timings", dialect="cosmos_framework") as server:
        model = connect(server)
        rollout = model.predict(joint_request())
        model.close()
    assert rollout.provenance["server_timing"] == {"infer_ms": 12.5}


@pytest.mark.parametrize(("height", "width", "sent"), [(270, 320, True), (1080, 1280, True), (540, 480, False)])
def test_picture_has_the_shape_that_was_trained(joint_request, height, width, sent):
    request = joint_request(image=np.full((height, width, 3), 77, np.uint8))
    with OpenPi() as server:
        model = connect(server)
        if sent:
            model.predict(request)
            np.testing.assert_array_equal(server.messages[0]["observation/image"], np.full((540, 640, 3), 77, np.uint8))
        else:
            with pytest.raises(CapabilityError, match=r"the canvas is 480x540.*640x540.*16:9"):
                model.predict(request)
            assert server.messages == []
        model.close()


def test_late_answer_is_not_taken_for_the_next_one(joint_request):
    with OpenPi("hang") as server:
        model = connect(server, timeout=0.3)
        with pytest.raises(ModelError, match=r"no complete answer within 0.3 s"):
            model.predict(joint_request())
        server.odd = ""
        model.predict(joint_request())
        assert server.connections == 2
        model.close()


def test_cancel(joint_request):
    with OpenPi("hang") as server:
        model = connect(server)
        caught = []

        def ask():
            try:
                model.predict(joint_request())
            except ModelError as error:
                caught.append(str(error))

        thread = threading.Thread(target=ask)
        thread.start()
        deadline = time.monotonic() + 5
        while not server.messages:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        model.cancel()
        thread.join(5)
        model.close()
    assert caught == ["world_model openpi: the request was cancelled"]


@pytest.mark.parametrize(
    ("odd", "error", "message"),
    [
        ("no websocket", ModelError, "refuses the websocket with 200"),
        ("silent", ModelError, r"no greeting within 0.3 s"),
        ("odd greeting", ModelError, "the greeting is no map but list"),
        ("redirect", ModelError, "redirects are not followed"),
        ("array greeting", ConfigError, "its action_space is array"),
        ("small pictures", ConfigError, r"its image_resolution is \[224, 224\], not \[540, 640\]"),
        ("velocities", ConfigError, "another policy: its action_space is 'joint_velocity', not joint_position"),
    ],
)
def test_greeting_is_checked(odd, error, message):
    with OpenPi(odd) as server:
        model = connect(server, connect_timeout=0.3 if odd == "silent" else 2.0)
        with pytest.raises(error, match=message):
            model.load()
        model.close()


def test_what_is_not_supported_is_refused_without_asking(joint_request, make_request):
    with OpenPi() as server:
        model = connect(server)
        for wrong, message in [
            (make_request(), "domain bridge_orig_lerobot is not supported"),
            (joint_request(action_dim=10), "embodiment has 10.*franka_joint"),
            (joint_request(state=None), "carries no state"),
            (joint_request(chunk_size=16), "chunk size 16"),
            (joint_request(settings={"num_inference_steps": 8}), "not known; allowed: none"),
            (joint_request(negative_prompt="blurry"), "no negative prompt"),
        ]:
            with pytest.raises(CapabilityError, match=message):
                model.predict(wrong)
        assert server.connections == 0
        model.close()
    with pytest.raises(ConfigError, match="dialect: 'esperanto'"):
        create_world_model("openpi", model="ws://localhost:1", dialect="esperanto")
    with pytest.raises(ConfigError, match="not a server address"):
        create_world_model("openpi", model="http://localhost:1")


def test_tls_and_token(joint_request, certificate, monkeypatch):
    path, context = certificate
    monkeypatch.setenv("COSMOS_ROS_TOKEN", "s3cret-token")
    with OpenPi(ssl_context=context) as server:
        assert server.address.startswith("wss://")
        stranger = connect(server)
        with pytest.raises(ModelError, match=r"(?i)certificate"):
            stranger.load()
        stranger.close()
        assert not server.requests
        trusted = connect(server, ca_file=str(path))
        trusted.predict(joint_request())
        trusted.close()
    assert server.headers[0]["Authorization"] == "Bearer s3cret-token"
    with pytest.raises(ConfigError, match="ca_file /no/such/file"):
        create_world_model("openpi", model="wss://localhost:1", ca_file="/no/such/file")


def test_msgpack_round_trip_and_rejections():
    message = {
        "a": np.arange(12, dtype=np.uint8).reshape(3, 4),
        "b": np.float32(1.5),
        "nested": {"c": np.zeros((0, 3)), "text": "ü", "none": None},
    }
    back = msgpack_numpy.unpack(msgpack_numpy.pack(message))
    np.testing.assert_array_equal(back["a"], message["a"])
    assert back["b"] == message["b"]
    assert back["b"].dtype == np.float32
    assert back["nested"]["c"].shape == (0, 3)
    with pytest.raises(TypeError, match="object cannot be sent"):
        msgpack_numpy.pack({"x": np.array([object()])})
    for broken in (b"", b"\x81", b"\xc1", msgpack_numpy.pack({"a": 1}) + b"x", b"\x91" * 5000):
        with pytest.raises(ValueError, match="not a MessagePack message"):
            msgpack_numpy.unpack(broken)


def test_joint_space_goes_through_pipeline_and_guard():
    """From joint states to a guarded joint trajectory, with the joint-space policy in between."""
    from world_model_scenes import observation_of

    from cosmos_ros.embodiment import load_embodiment
    from cosmos_ros.guard import Guard, GuardContext
    from cosmos_ros.prediction.pipeline import Pipeline, PipelineSettings
    from cosmos_ros.trajectory.joiner import Joiner, JoinSettings

    embodiment = load_embodiment("franka_joint")
    observation = observation_of(embodiment, 180, 320)
    with OpenPi() as server:
        model = connect(server)
        prediction = Pipeline(embodiment, model, PipelineSettings(seed=1)).predict(observation)
        model.close()
    sent = server.messages[0]
    home = [embodiment.home[name] for name in embodiment.joint_names]
    np.testing.assert_allclose(sent["observation/joint_position"], home, atol=1e-6)
    np.testing.assert_allclose(sent["observation/gripper_position"], [0.0])  # open at home; raw 0 is open
    assert sent["observation/image"].shape == (540, 640, 3)
    trajectory = prediction.trajectory
    assert trajectory.joint_names == embodiment.all_joints
    assert prediction.ik is None
    np.testing.assert_allclose(trajectory.positions[0, :7], home, atol=1e-6)
    raw = droid_rows(sent, 1)
    row = int(np.searchsorted(trajectory.times_ns, prediction.chunk.times_ns[15]))
    np.testing.assert_allclose(trajectory.positions[row, :7], raw[15, :7], atol=1e-5)
    assert trajectory.positions[-1, 7] < 0.03  # the fingers close
    assert (
        np.linalg.norm(prediction.chunk.poses["panda_link8"][-1] - embodiment.tool_poses(observation)["panda_link8"])
        > 0.05
    )
    guard = Guard.for_embodiment(embodiment)
    # The trajectory has the model's own gripper rows; they are planned where it is joined to what is executed.
    joiner = Joiner(embodiment.limits.joints, embodiment.gripper_speeds)
    joined = joiner.join(trajectory, trajectory.stamp_ns, observation.joints, JoinSettings()).trajectory
    assert joined is not None
    verdict = guard.judge(joined, GuardContext(now_ns=trajectory.stamp_ns, measured=observation.joints))
    assert verdict.trajectory is not None
