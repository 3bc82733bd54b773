"""The backend ``compact`` with a model made by hand, whose right answers are known."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from world_model_scenes import observation_of

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.errors import CapabilityError, ConfigError, InputError, ModelError
from cosmos_ros.prediction.bound_model import ask
from cosmos_ros.types import Mode
from cosmos_ros.world_models import check_rollout, create_world_model
from cosmos_ros.world_models.compact.manifest import FILE_NAME, read_manifest
from cosmos_ros.world_models.compact.words import default_vocabulary

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
from hand_made_compact import SHIFT, inputs_of, write_model  # noqa: E402

TEXT = "put the red cube on the green pad"
ROBOTS = ("franka", "ur5e", "widowx250s", "agibot_g1", "umi")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("compact")
    write_model(path)
    return path


@pytest.fixture(scope="module")
def model(folder):
    made = create_world_model("compact", model=str(folder))
    made.load()
    yield made
    made.close()


def request_of(mode=Mode.POLICY, *, name="franka", text=TEXT, **more):
    from dataclasses import replace

    embodiment = load_embodiment(name)
    observation = replace(observation_of(embodiment, 90, 160), instruction=text)
    return embodiment.build_request(observation, mode, needs_observation=True, **more)


@pytest.mark.parametrize("name", ROBOTS)
def test_every_robot_gets_chunks_frames_and_uncertainty(tmp_path, name) -> None:
    write_model(tmp_path, name)
    made = create_world_model("compact", model=str(tmp_path), embodiment=name)
    request = request_of(name=name)
    rollout = ask(made, request)
    assert rollout.actions.shape == (request.chunk_size, request.action_dim)
    assert rollout.frames.shape[0] == request.chunk_size + 1
    assert rollout.uncertainty.shape == (request.chunk_size,) and (rollout.uncertainty > 0).all()
    made.close()
    made.close()


def test_committed_rows_begin_the_answer_and_the_rest_is_free(model) -> None:
    rows = np.full((3, 10), 0.25)
    request = request_of(committed=rows)
    assert np.allclose(request.committed[:, :3], 0.25)
    rollout = model.predict(request)
    assert np.array_equal(rollout.actions[:3], request.committed)
    assert np.abs(rollout.actions[3:, :3]).max() < 0.1
    assert (rollout.uncertainty[:3] == 0.0).all() and (rollout.uncertainty[3:] > 0.1).all()
    assert rollout.provenance["committed_rows"] == 3


def test_committed_rows_are_refused_where_they_make_no_sense(model) -> None:
    with pytest.raises(InputError, match="leave nothing"):
        request_of(committed=np.zeros((16, 10)))
    with pytest.raises(InputError, match="committed"):
        request_of(Mode.FORWARD_DYNAMICS, committed=np.zeros((2, 10)), actions=np.zeros((16, 10)))
    with pytest.raises(CapabilityError, match="committed"):
        create_world_model("persistence").predict(request_of(committed=np.zeros((2, 10))))


def test_the_gripper_follows_its_class_and_the_seed_decides_the_rest(model) -> None:
    first, again, other = (model.predict(request_of(seed=seed)).actions for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert (first[:, 9] >= 0.875).all()  # the last of sixteen classes


def test_frames_are_the_first_one_moved_as_the_fields_say(folder) -> None:
    made = create_world_model("compact", model=str(folder), frame_scale=1.0)
    request = request_of(Mode.FORWARD_DYNAMICS, actions=np.zeros((16, 10)))
    frames = made.predict(request).frames
    check_rollout("compact", request, made.predict(request), made.capabilities)
    assert np.array_equal(frames[0], request.image)
    wrist = request.image[:90]  # of 160 pixels: a displacement of a quarter of half the view is 20
    moved = round(SHIFT * 0.5 * 160)
    assert np.array_equal(frames[5][:90, :-moved], wrist[:, moved:])


def test_inverse_dynamics_needs_no_words(model) -> None:
    video = np.zeros((17, 135, 160, 3), np.uint8)
    rollout = ask(model, request_of(Mode.INVERSE_DYNAMICS, video=video, text=""))
    assert rollout.frames is None and rollout.actions.shape == (16, 10)


def test_unknown_words_are_named_and_an_instruction_without_a_thing_is_refused(model) -> None:
    assert model.predict(request_of(text="softly lift the red cube")).provenance["unknown_words"] == ["softly"]
    assert "unknown_words" not in model.predict(request_of()).provenance
    with pytest.raises(ModelError, match="names no thing that the model knows; not known: banana"):
        model.predict(request_of(text="lift the banana"))
    with pytest.raises(ModelError, match="at most 16"):
        model.predict(request_of(text="put the red cube on the green pad " * 4))


def test_words_that_mean_the_same_are_the_same() -> None:
    words = default_vocabulary()
    a, _ = words.encode("Please place the crimson box ONTO the green mat!")
    b, _ = words.encode("put red cubes on green pad")
    assert np.array_equal(a, b)


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda f: (f / "franka_act.onnx").write_bytes(b"x" * 100), "bytes, the manifest says"),
        (lambda f: _flip(f / "franka_act.onnx"), "SHA-256"),
        (lambda f: (f / "franka_act.onnx").unlink(), "cannot be read"),
        (lambda f: (f / FILE_NAME).write_text("{"), "not a manifest"),
        (lambda f: (f / FILE_NAME).write_text('{"format": "another"}'), "does not say that it is"),
        (lambda f: _change(f, opset=99), "opset 99"),
        (lambda f: _change(f, graphs={"franka": {}}), "lacks the graphs"),
        (lambda f: _change(f, files={"../x": {"sha256": "0", "bytes": 3}}), "not a plain name"),
        (lambda f: _change(f, files={"x.onnx": {"sha256": "0", "bytes": 1 << 40}}), "at most"),
        (lambda f: _change_robot(f, std=[0.0] * inputs_of("franka").state_size), "not positive"),
        (lambda f: _change_robot(f, mean=[0.0]), "another length"),
    ],
)
def test_damaged_and_foreign_files_are_named(tmp_path, damage, match) -> None:
    write_model(tmp_path)
    damage(tmp_path)
    made = create_world_model("compact", model=str(tmp_path))
    with pytest.raises(ModelError, match=match) as caught:
        made.load()
    assert str(tmp_path) in str(caught.value)


def _flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def _change(folder, **entries):
    data = json.loads((folder / FILE_NAME).read_text())
    (folder / FILE_NAME).write_text(json.dumps(data | entries))


def _change_robot(folder, **entries):
    data = json.loads((folder / FILE_NAME).read_text())
    data["robots"]["franka"] |= entries
    (folder / FILE_NAME).write_text(json.dumps(data))


def test_a_graph_of_another_program_is_refused(tmp_path) -> None:
    write_model(tmp_path, marked=False)
    with pytest.raises(ModelError, match="opset is said to be nothing"):
        create_world_model("compact", model=str(tmp_path)).load()


def test_a_model_for_another_robot_or_with_other_statistics_is_refused(tmp_path, folder) -> None:
    with pytest.raises(ConfigError, match="is made for franka, not for ur5e"):
        create_world_model("compact", model=str(folder), embodiment="ur5e").load()
    write_model(tmp_path)
    _change_robot(tmp_path, scale=[1.0] * 10)
    with pytest.raises(ConfigError, match="another action statistics"):
        create_world_model("compact", model=str(tmp_path)).load()


def test_without_a_trained_model_it_says_what_to_do(monkeypatch, tmp_path) -> None:
    with pytest.raises(ConfigError, match="is no folder"):
        create_world_model("compact", model=str(tmp_path / "nothing")).load()
    with pytest.raises(ConfigError, match="shipped model is made for"):
        create_world_model("compact", embodiment="google_robot")
    monkeypatch.setattr("cosmos_ros.world_models.compact.manifest.share_directory", lambda: tmp_path)
    with pytest.raises(ConfigError, match=r"holds no trained model.*training\.compact"):
        create_world_model("compact")


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this onnxruntime has CUDA"
)
def test_cuda_is_refused_where_the_runtime_has_none(folder) -> None:
    with pytest.raises(ConfigError, match="onnxruntime-gpu"):
        create_world_model("compact", model=str(folder), providers="cuda").load()


def test_a_model_that_answers_nonsense_is_refused_by_the_warm_up(tmp_path) -> None:
    write_model(tmp_path)
    graph = onnx.load(tmp_path / "franka_act.onnx")
    for tensor in graph.graph.initializer:
        if tensor.name == "hundredth":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array([np.nan], np.float32), "hundredth"))
    onnx.save_model(graph, tmp_path / "franka_act.onnx")
    from cosmos_ros.world_models.compact.manifest import hash_of

    file = hash_of(tmp_path / "franka_act.onnx")
    data = json.loads((tmp_path / FILE_NAME).read_text())
    data["files"]["franka_act.onnx"] = {"sha256": file.sha256, "bytes": file.bytes}
    (tmp_path / FILE_NAME).write_text(json.dumps(data))
    with pytest.raises(ModelError, match="not finite"):
        create_world_model("compact", model=str(tmp_path)).load()


def test_rows_of_other_statistics_are_refused(model) -> None:
    from dataclasses import replace

    request = request_of()
    with pytest.raises(CapabilityError, match="other statistics"):
        model.predict(replace(request, layout=replace(request.layout, scale=request.layout.scale * 2)))


def test_the_manifest_survives_being_written(folder) -> None:
    manifest = read_manifest(folder)
    assert manifest.robots["franka"] == inputs_of("franka")
    assert json.loads(manifest.to_json()) == json.loads((folder / FILE_NAME).read_text())


def test_it_is_listed_and_made_without_onnxruntime_and_torch() -> None:
    code = (
        "import sys\n"
        "from cosmos_ros.world_models import create_world_model, find_backend\n"
        "print(find_backend('compact').summary); create_world_model('compact')\n"
        "print(sorted({'torch', 'onnx', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "small learned model" in done.stdout and done.stdout.rstrip().endswith("[]")
