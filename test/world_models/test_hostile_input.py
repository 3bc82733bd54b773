"""Whatever comes in from outside ends as a value that was checked or as a named error."""

from __future__ import annotations

import json
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_ros.errors import CapabilityError, InputError, ModelError
from cosmos_ros.settings import declared
from cosmos_ros.types import ActionSpace, Mode, Request
from cosmos_ros.world_models.mp4 import decode_video, encode_video
from cosmos_ros.world_models.remote import msgpack_numpy
from cosmos_ros.world_models.remote.action_answers import read_action
from cosmos_ros.world_models.remote.circuit_breaker import CircuitBreaker
from cosmos_ros.world_models.remote.joint_policy import gripper_from_server
from cosmos_ros.world_models.remote.network import excerpt, read_json, reason_of
from cosmos_ros.world_models.sampler_settings import SETTINGS, SamplerSettings, check_settings, resolve_sampler

REQUEST = Request(
    mode=Mode.POLICY, domain_name="av", domain_id=1, fps=10.0, chunk_size=2, action_dim=3, instruction="drive"
)
VIDEO = encode_video(np.zeros((5, 32, 48, 3), np.uint8), 10.0)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(json_values | st.fixed_dictionaries({"data": json_values, "shape": json_values}))
def test_any_action_payload(payload):
    try:
        rows = read_action("server", payload, REQUEST)
    except ModelError:
        return
    assert rows.shape == (2, 3)
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()


def test_good_action_payloads():
    rows = [[1, 2.5, -3], [0, 0, 1e-3]]
    envelope = {"data": rows, "shape": [2, 3], "raw_action_dim": 3, "action_mode": "policy", "domain_id": 1}
    for payload in (rows, envelope, {"values": rows}):
        np.testing.assert_array_equal(read_action("server", payload, REQUEST), np.array(rows, np.float32))


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=200)
    | st.builds(msgpack.packb, json_values.filter(lambda v: "inf" not in str(v)), default=st.just(str))
)
def test_any_msgpack_bytes(data):
    try:
        msgpack_numpy.unpack(data)
    except ValueError as error:
        assert "MessagePack" in str(error)


arrays = st.fixed_dictionaries(
    {
        b"__ndarray__": st.just(True),
        b"data": st.binary(max_size=64) | st.integers(0, 9),
        b"dtype": st.sampled_from(["<f4", "|O", "<U4", "<f8", "i4,f4", "|V8", ">i2", "c8", "zzz", "<f" * 20]),
        b"shape": st.lists(st.integers(-2, 2**40), max_size=12) | st.text(max_size=3),
    }
)


@settings(max_examples=300, deadline=None)
@given(arrays)
def test_any_array_marker(marker):
    try:
        array = msgpack_numpy.unpack(msgpack.packb(marker))
    except ValueError:
        return
    assert array.dtype.kind in "fiub"
    assert array.nbytes == len(marker[b"data"])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_body_gives_one_printable_line(body):
    for text in (excerpt(body), reason_of(body)):
        assert text
        assert text.isprintable()
        assert len(text) <= 302
    try:
        read_json("server", "the answer", body)
    except ModelError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"error": {"message": "out of memory", "code": 500}}, "out of memory"),
        ({"detail": [{"loc": ["seed"], "msg": "not an integer"}]}, '[{"loc": ["seed"], "msg": "not an integer"}]'),
        ({"message": "queue full"}, "queue full"),
        ({"status": "odd"}, '{"status": "odd"}'),
    ],
)
def test_reasons_are_taken_from_the_usual_places(body, reason):
    assert reason_of(json.dumps(body).encode()) == reason


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_damaged_video(data):
    # The encoder's output differs in length from time to time, so the place is drawn as a share of it.
    start = int(data.draw(st.floats(0, 1)) * (len(VIDEO) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=40))
    damaged = VIDEO[:start] + noise + VIDEO[start + len(noise) :]
    try:
        frames, _ = decode_video(damaged, where="server", max_frames=10, exact_frames=5)
    except InputError:
        return
    assert frames.shape[0] == 5
    assert frames.dtype == np.uint8


def test_videos_are_bounded_and_files_are_not_followed(tmp_path):
    clip = encode_video(np.zeros((30, 32, 32, 3), np.uint8), 10.0)
    with pytest.raises(InputError, match="more than 17 frames"):
        decode_video(clip, where="server", max_frames=17)
    with pytest.raises(InputError, match="30 frames, expected 31"):
        decode_video(clip, where="server", max_frames=40, exact_frames=31)
    (tmp_path / "inner.mp4").write_bytes(clip)
    playlist = f"ffconcat version 1.0\nfile '{tmp_path}/inner.mp4'\n".encode()
    with pytest.raises(InputError, match="cannot be decoded"):
        decode_video(playlist, where="server", max_frames=40)
    for frames in (np.zeros((0, 4, 4, 3), np.uint8), np.zeros((2, 4, 4), np.uint8), np.zeros((2, 4, 4, 3))):
        with pytest.raises(InputError):
            encode_video(frames, 10.0)


def test_lossless_video_keeps_every_pixel():
    frames = np.random.default_rng(0).integers(0, 256, (5, 31, 45, 3), dtype=np.uint8)
    back, rate = decode_video(encode_video(frames, 7.5, lossless=True), where="own", max_frames=5)
    assert rate == 7.5
    np.testing.assert_array_equal(back[:, :31, :45], frames)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-3, 3, width=32), min_size=8, max_size=8))
def test_gripper_of_joint_policies(row):
    rows = np.array([row], np.float32)
    try:
        turned = gripper_from_server("server", rows)
    except ModelError:
        assert not -0.25 <= rows[0, 7] <= 1.25
        return
    np.testing.assert_array_equal(turned[:, :7], rows[:, :7])
    assert 0.0 <= turned[0, 7] <= 1.0


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(SETTINGS)), st.integers() | st.floats() | st.booleans() | st.text(max_size=4))
def test_settings_are_in_range_or_refused(name, value):
    try:
        checked = check_settings("model", {name: value})[name]
    except CapabilityError as error:
        assert name in str(error)
        return
    setting = next(one for one in declared(SamplerSettings) if one.name == name)
    assert type(checked) is type(setting.default)
    assert setting.problem(checked) is None


def test_sampler_precedence():
    recommended = {"num_inference_steps": 50, "flow_shift": 7.0}
    request = replace(REQUEST, recommended_settings=recommended, settings={"flow_shift": 3})
    sampler = resolve_sampler("model", request)
    assert (sampler.num_inference_steps, sampler.flow_shift, sampler.guidance_scale) == (50, 3.0, 1.0)
    joint = resolve_sampler("model", REQUEST, action_space=ActionSpace.JOINT)
    assert (joint.num_inference_steps, joint.guidance_scale, joint.flow_shift) == (4, 3.0, 5.0)


def test_circuit_opens_tries_once_and_closes():
    now = [0.0]
    circuit = CircuitBreaker("model", clock=lambda: now[0])
    for reason in ("first", "second"):
        circuit.failed(reason)
        circuit.check()
    circuit.failed("third")
    with pytest.raises(ModelError, match="after 3 failures in a row, the last: third; next trial in 2 s"):
        circuit.check()
    now[0] = 2.0
    assert circuit.state == "half-open"
    circuit.check()
    for expected in (4.0, 8.0, 16.0, 32.0, 60.0, 60.0):  # each failed trial doubles the pause, up to the longest
        circuit.failed("again")
        assert circuit.state == "open"
        now[0] += expected - 0.01
        with pytest.raises(ModelError):
            circuit.check()
        now[0] += 0.01
        circuit.check()
    circuit.succeeded()
    assert circuit.state == "closed"
    assert circuit.reason == ""
    circuit.failed("later")
    circuit.check()  # counted from one again
