from __future__ import annotations

import json
import socket
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from stand_in_servers import VllmOmni, answer_action, answer_frames
from world_model_scenes import textured

from cosmos_ros.errors import CapabilityError, ConfigError, CosmosRosError, ModelError
from cosmos_ros.types import Mode
from cosmos_ros.world_models import check_rollout, create_world_model


@pytest.fixture
def request_for(make_request):
    def build(mode=Mode.POLICY, **fields):
        fields = {"resolution_tier": 256, "seed": 7, "hold_action": None, "layout": None} | fields
        return make_request(mode, **fields)

    return build


def connect(server, **options):
    options = {"timeout": 5.0, "connect_timeout": 1.0, "read_timeout": 1.0, "max_answer_bytes": 1 << 22} | options
    return create_world_model("vllm_omni", model=server.url, **options)


@pytest.mark.parametrize("mode", list(Mode))
def test_each_mode(request_for, mode):
    request = request_for(mode)
    with VllmOmni() as server:
        model = connect(server)
        model.load()
        rollout = model.predict(request)
        model.close()
    check_rollout(model.name, request, rollout, model.capabilities)
    if mode is Mode.FORWARD_DYNAMICS:
        assert rollout.actions is None  # the server echoes its input; that is no prediction
    else:
        np.testing.assert_allclose(rollout.actions, answer_action(7, 4, 10), rtol=1e-6)
    if mode is Mode.INVERSE_DYNAMICS:
        assert rollout.frames is None
        assert not any(path.endswith("/content") for path in server.asked("GET"))
    else:
        expected = answer_frames(request.image, 4)
        assert rollout.frames.shape == expected.shape  # without the canvas's padding
        assert np.abs(rollout.frames.astype(int) - expected).mean() < 3
    assert server.asked("DELETE") == [f"/v1/videos/{rollout.provenance['job']}"]


def test_what_is_sent(request_for):
    caption = json.dumps({"actions": [{"description": "Lift ümlaut."}], "resolution": {"H": 192, "W": 320}})
    request = request_for(
        Mode.FORWARD_DYNAMICS,
        prompt=caption,
        negative_prompt="blurry",
        actions=np.linspace(-1, 1, 40, dtype=np.float32).reshape(4, 10),
        settings={"num_inference_steps": 12, "flow_shift": 7.5},
        recommended_settings={"num_inference_steps": 50, "guidance_scale": 2.0},
    )
    with VllmOmni() as server:
        model = connect(server)
        model.load()
        model.predict(request)
        model.close()
    form = server.forms[0]
    assert form["prompt"] == caption
    assert form["negative_prompt"] == "blurry"
    assert (form["size"], form["num_frames"], form["fps"], form["seed"]) == ("320x192", "5", "5", "7")
    assert (form["num_inference_steps"], form["guidance_scale"], form["flow_shift"]) == ("12", "2.0", "7.5")
    extra = json.loads(form["extra_params"])
    assert extra["action_mode"] == "forward_dynamics"
    assert extra["domain_name"] == "bridge_orig_lerobot"
    assert (extra["raw_action_dim"], extra["action_chunk_size"]) == (10, 4)
    assert extra["use_system_prompt"] is False
    np.testing.assert_array_equal(np.array(extra["action"], np.float32), request.actions)
    assert "/v1/videos/sync" not in server.asked("POST")  # it drops the action


def test_large_canvas_is_scaled_by_the_server(request_for):
    request = request_for(image=textured(480, 640))
    with VllmOmni() as server:
        model = connect(server)
        rollout = model.predict(request)
        model.close()
    assert server.forms[0]["size"] == "320x256"
    assert rollout.frames.shape == (5, 240, 320, 3)
    assert rollout.provenance["canvas_size"] == [256, 320]


ODD_REPLIES = {
    "html": "is not JSON but: <html><body>502 Bad Gateway",
    "not json": "is not JSON",
    "a list": "not an object but list",
    "deep": "is not JSON",
    "announced 10 GB": "announces 10737418240 bytes, allowed are",
    "endless": "larger than 4194304 bytes",
    "gzip": "answered compressed",
    "redirect": "redirects are not followed",
    "hang": "no answer for",
    "half": "the answer broke off",
    "drop": "Disconnected",
    "error in 200": "CUDA out of memory",
    "status line": "400, message=",
    "422": "answered 422: .*seed.*valid integer",
    "failed": "the server's job failed: CUDA error: an illegal memory access",
    "cancelled": "the server's job cancelled",
    "forgotten": "answered 404: Video not found.*several API processes",
    "nan": r"actions\[2, 3\] is nan",
    "huge": r"actions\[0, 1\] is 1e\+300",
    "text in rows": r"actions\[1, 0\] is '0.5'",
    "short": r"action.shape is \[3, 10\], expected \[4, 10\]",
    "lying shape": r"action.shape is \[99, 3\]",
    "narrow": "action row 0 has 9 columns, expected 10",
    "other domain": "action.domain_id is 31, expected 7",
    "no action": "the answer has no action rows but None",
    "empty video": "made no video",
    "half a video": "cannot be decoded",
    "html video": "cannot be decoded",
    "long video": "more than 5 frames",
    "large video": "the video is 1920x1080, the largest allowed is 320x192",
    "status list": "the server's job has no status",
    "half a character": "the server's job failed: lost",
    "many values": "the job has [0-9]+ values, allowed are",
    "no video": "answered 410: Video content was removed",
}


@pytest.mark.parametrize("odd", ODD_REPLIES)
def test_odd_replies_are_named_errors(request_for, odd):
    with VllmOmni(odd) as server:
        model = connect(server)
        with pytest.raises(ModelError, match=ODD_REPLIES[odd]) as caught:
            model.predict(request_for())
        server.odd = ""
        assert model.predict(request_for()).actions.shape == (4, 10)  # and the next request finds it well again
        model.close()
    assert str(caught.value).startswith("world_model vllm_omni: ")
    assert "\n" not in str(caught.value)


def test_slow_answer_meets_the_deadline(request_for):
    with VllmOmni("drip") as server:
        model = connect(server, timeout=0.6)
        with pytest.raises(ModelError, match=r"no complete answer within 0.6 s"):
            model.predict(request_for())
        model.close()


def test_stuck_job_meets_the_deadline_and_is_deleted(request_for):
    with VllmOmni("stuck") as server:
        model = connect(server, timeout=0.6)
        with pytest.raises(ModelError, match=r"no complete answer within 0.6 s"):
            model.predict(request_for())
        server.odd = ""
        model.predict(request_for())
        model.close()
        assert len(server.asked("DELETE")) == 2


def test_only_what_is_safe_is_repeated(request_for):
    with VllmOmni("poll breaks once") as server:
        model = connect(server)
        model.predict(request_for())
        assert len(server.asked("POST")) == 1
        model.close()
    with VllmOmni("busy once") as server:
        model = connect(server)
        model.predict(request_for())  # turned away with 503: not started, so safe
        assert len(server.asked("POST")) == 2
        model.close()
    with VllmOmni("drop") as server:
        model = connect(server)
        with pytest.raises(ModelError):
            model.predict(request_for())  # it may have been started: not repeated
        assert len(server.asked("POST")) == 1
        model.close()


def test_cancel_from_another_thread(request_for):
    with VllmOmni("stuck") as server:
        model = connect(server)
        caught: list[Exception] = []

        def ask():
            try:
                model.predict(request_for())
            except ModelError as error:
                caught.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        wait_for(lambda: len(server.asked("GET")) >= 2)
        with pytest.raises(ModelError, match="busy: one request at a time"):
            model.predict(request_for())
        model.cancel()
        thread.join(5)
        wait_for(lambda: server.asked("DELETE"))
        model.close()
    assert "was cancelled" in str(caught[0])
    assert model.status()["failures"] == "1"  # the refused second one; a cancelled one is nobody's failure


def test_close_while_asking_ends_both_and_can_be_loaded_again(request_for, recwarn):
    with VllmOmni("stuck") as server:
        model = connect(server)
        caught: list[Exception] = []

        def ask():
            try:
                model.predict(request_for())
            except ModelError as error:
                caught.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        wait_for(lambda: len(server.asked("GET")) >= 2)
        model.close()
        thread.join(5)
        assert "was cancelled" in str(caught[0])
        server.odd = ""
        model.load()
        assert model.predict(request_for()).actions.shape == (4, 10)
        model.close()
    assert not [w for w in recwarn if "Unclosed" in str(w.message)]
    assert not [t for t in threading.enumerate() if t.name == "world_model vllm_omni"]


def test_dead_server_opens_the_circuit(request_for):
    with VllmOmni() as server:
        model = connect(server)
        model.load()
    for _ in range(3):
        with pytest.raises(ModelError, match="cannot connect"):
            model.predict(request_for())
    assert model.status()["circuit"] == "open"
    with socket.create_server(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) as listener:
        with pytest.raises(ModelError, match=r"not asked after 3 failures in a row, the last: .*cannot connect"):
            model.predict(request_for())
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()  # nobody called
    assert "cannot connect" in model.status()["last_failure"]
    model.close()
    model.close()


def test_load_checks_the_server():
    with VllmOmni("loading") as server:
        model = connect(server, read_timeout=2.0)
        with pytest.raises(ModelError, match=r"answers 503: Engine is still loading.*Wait until"):
            model.load()
        model.close()
    with VllmOmni(model="nvidia/Cosmos3-Nano-Policy-DROID") as server:
        model = connect(server)
        with pytest.raises(ConfigError, match="world_model:=openpi"):
            model.load()
        model.close()
    with VllmOmni() as server:
        model = connect(server, served_model="nvidia/Cosmos3-Super")
        with pytest.raises(ConfigError, match=r"serves \['nvidia/Cosmos3-Nano'\], not nvidia/Cosmos3-Super"):
            model.load()
        model.close()


def test_what_is_not_supported_is_refused_without_asking(request_for):
    with VllmOmni() as server:
        model = connect(server, frames=False)
        with pytest.raises(CapabilityError, match="forward_dynamics is not supported"):
            model.predict(request_for(Mode.FORWARD_DYNAMICS))
        with pytest.raises(CapabilityError, match="chunk size 10"):
            model.predict(request_for(chunk_size=10))
        with pytest.raises(CapabilityError, match="domain cooking"):
            model.predict(request_for(domain_name="cooking"))
        with pytest.raises(CapabilityError, match=r"rows of 10 numbers, the embodiment has 8.*openpi"):
            model.predict(request_for(domain_name="droid_lerobot", action_dim=8))
        with pytest.raises(CapabilityError, match=r"num_inference_steps: 0 is outside 1 to 100"):
            model.predict(request_for(settings={"num_inference_steps": 0}))
        with pytest.raises(CapabilityError, match=r"\['temperature'\] are not known"):
            model.predict(request_for(settings={"temperature": 1.0}))
        with pytest.raises(CapabilityError, match="carries no image"):
            model.predict(request_for(image=None))
        rollout = model.predict(request_for())
        assert rollout.frames is None
        assert server.requests[0] == ("POST", "/v1/videos")
        assert not any(path.endswith("/content") for path in server.asked("GET"))
        model.close()


def test_facts_of_the_server_are_numbers_or_left_out(request_for):
    with VllmOmni("odd facts") as server:
        model = connect(server)
        rollout = model.predict(request_for())
        model.close()
    assert rollout.provenance["server_inference_s"] is None
    assert rollout.provenance["server_peak_memory_mb"] is None


@pytest.mark.parametrize("odd", ["html", "token"])
def test_token_goes_out_and_never_shows(request_for, monkeypatch, odd):
    monkeypatch.setenv("COSMOS_ROS_TOKEN", "s3cret-token")
    with VllmOmni(odd) as server:
        model = connect(server)
        with pytest.raises(ModelError) as caught:
            model.predict(request_for())
        assert "s3cret" not in f"{caught.value} {model.status()}"
        server.odd = ""
        rollout = model.predict(request_for())
        model.close()
    assert all(headers["Authorization"] == "Bearer s3cret-token" for headers in server.headers)
    assert "s3cret" not in f"{caught.value} {rollout.provenance} {model.status()}"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("localhost:8000", "is not a server address"),
        ("ftp://host", "is not a server address"),
        ("http://", "is not a server address"),
        ("http://host:99999999", "is not a server address"),
        ("http://user:hunter2@host", "must not carry user"),
        ("http://host/?key=hunter2", "must not carry user"),
    ],
)
def test_bad_addresses(url, message):
    with pytest.raises(ConfigError, match=message) as caught:
        create_world_model("vllm_omni", model=url)
    assert "hunter2" not in str(caught.value)


def test_token_is_not_sent_unencrypted_beyond_this_machine(monkeypatch):
    monkeypatch.setenv("COSMOS_ROS_TOKEN", "s3cret-token")
    with pytest.raises(ConfigError, match="unencrypted") as caught:
        create_world_model("vllm_omni", model="http://robot-server:8000")
    assert "s3cret" not in str(caught.value)
    create_world_model("vllm_omni", model="https://robot-server:8000")
    monkeypatch.setenv("COSMOS_ROS_TOKEN", "two words")
    with pytest.raises(ConfigError, match="no bearer token has"):
        create_world_model("vllm_omni", model="https://robot-server:8000")


def test_https(request_for, certificate):
    path, context = certificate
    with VllmOmni(ssl_context=context) as server:
        assert server.url.startswith("https://")
        stranger = connect(server)
        with pytest.raises(ModelError, match=r"(?i)certificate"):
            stranger.predict(request_for())
        stranger.close()
        assert not server.requests
        trusted = connect(server, ca_file=str(path))
        assert trusted.predict(request_for()).actions.shape == (4, 10)
        trusted.close()


@pytest.mark.parametrize("option", [{"timeout": 0.0}, {"timeout": float("nan")}, {"max_answer_bytes": -1}])
def test_bad_limits(option):
    with pytest.raises(ConfigError, match=f"{next(iter(option))}: .*allowed: "):
        create_world_model("vllm_omni", model="http://localhost:1", **option)


def test_errors_are_all_typed(request_for):
    """Whatever the port speaks, the caller sees one of the package's own errors."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def banner():
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                peer.close()

        threading.Thread(target=banner, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        model = create_world_model("vllm_omni", model=url, timeout=3.0)
        with pytest.raises(CosmosRosError):
            model.predict(replace(request_for()))
        model.close()


def wait_for(condition, seconds=5.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
