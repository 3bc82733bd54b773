"""Finding and looking over a checkpoint: needs neither torch nor diffusers."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from cosmos_ros.errors import ConfigError
from cosmos_ros.world_models import create_world_model
from cosmos_ros.world_models.cosmos3.checkpoint import find_checkpoint

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def write_safetensors(path, **tensors):
    header, data = {}, b""
    for name, tensor in tensors.items():
        span = [len(data), len(data) + tensor.nbytes]
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": span}
        data += tensor.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


@pytest.fixture
def folder(tmp_path):
    """The layout of the published repository, with weights of a few numbers."""
    root = tmp_path / "Cosmos3-Nano"
    for part in ("scheduler", "text_tokenizer", "transformer", "vae"):
        (root / part).mkdir(parents=True)
    write = lambda name, value: (root / name).write_text(json.dumps(value))  # noqa: E731
    write("model_index.json", {"_class_name": "Cosmos3OmniDiffusersPipeline"})
    write("scheduler/scheduler_config.json", {"_class_name": "UniPCMultistepScheduler"})
    write("text_tokenizer/tokenizer.json", {})
    write("transformer/config.json", {"action_gen": True, "action_dim": 64})
    write("vae/config.json", {})
    weights = "diffusion_pytorch_model"
    write_safetensors(root / f"transformer/{weights}-00001-of-00002.safetensors", a=np.ones((4, 5), np.float32))
    write_safetensors(root / f"transformer/{weights}-00002-of-00002.safetensors", b=np.ones(7, np.float32))
    table = {"a": f"{weights}-00001-of-00002.safetensors", "b": f"{weights}-00002-of-00002.safetensors"}
    write(f"transformer/{weights}.safetensors.index.json", {"weight_map": table})
    write_safetensors(root / f"vae/{weights}.safetensors", c=np.ones(3, np.float32))
    return root


def test_whole_checkpoint(folder):
    found = find_checkpoint(str(folder))
    assert found.parameters == {"transformer": 27, "vae": 3}
    assert found.total_parameters == 30
    assert found.revision == ""
    assert found.fingerprint == find_checkpoint(str(folder)).fingerprint
    write_safetensors(folder / "vae/diffusion_pytorch_model.safetensors", c=np.zeros(3, np.float32))
    assert find_checkpoint(str(folder)).fingerprint != found.fingerprint


def test_revision_noted_by_the_download_is_read(folder):
    note = folder / ".cache/huggingface/download/model_index.json.metadata"
    note.parent.mkdir(parents=True)
    note.write_text(f"{COMMIT}\netag\n0.0\n")
    assert find_checkpoint(str(folder)).revision == COMMIT


@pytest.mark.parametrize(
    "lost",
    [
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_tokenizer/tokenizer.json",
        "transformer/config.json",
        "transformer/diffusion_pytorch_model-00002-of-00002.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    ],
)
def test_missing_file_is_named_with_the_command_that_gets_it(folder, lost):
    (folder / lost).unlink()
    with pytest.raises(ConfigError) as caught:
        find_checkpoint(str(folder))
    assert f"checkpoint {folder}: {lost} is missing" in str(caught.value)
    assert f"hf download nvidia/Cosmos3-Nano --local-dir {folder}" in str(caught.value)


def test_missing_directory(tmp_path):
    with pytest.raises(ConfigError, match=r"no such directory.*Get it: `hf download"):
        find_checkpoint(str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="no checkpoint is named"):
        find_checkpoint("")


def test_pickled_weights_are_never_loaded(folder):
    path = folder / "vae/diffusion_pytorch_model.safetensors"
    path.rename(path.with_suffix(".bin"))
    with pytest.raises(ConfigError, match=r"pickled weights \(.bin, .pt, .ckpt\) are never loaded"):
        find_checkpoint(str(folder))


@pytest.mark.parametrize("part", ["transformer", "vae"])  # with an index alone, and with an index beside a single file
def test_index_may_not_point_elsewhere(folder, part):
    index = folder / part / "diffusion_pytorch_model.safetensors.index.json"
    for name in ("../../secret.safetensors", "weights.bin", 5, None, ["a"]):
        index.write_text(json.dumps({"weight_map": {"a": name}}))
        with pytest.raises(ConfigError, match="does not list safetensors files of its own folder"):
            find_checkpoint(str(folder))


@pytest.mark.parametrize("damage", ["cut", "empty", "html", "header"])
def test_damaged_weights(folder, damage):
    path = folder / "vae/diffusion_pytorch_model.safetensors"
    data = path.read_bytes()
    path.write_bytes({"cut": data[:-4], "empty": b"", "html": b"<html>" * 20, "header": data[:8] + b"{" * 60}[damage])
    with pytest.raises(ConfigError, match=r"vae/diffusion_pytorch_model.safetensors is not a whole safetensors file"):
        find_checkpoint(str(folder))


def test_other_models_are_refused(folder):
    (folder / "transformer/config.json").write_text(json.dumps({"action_gen": False}))
    with pytest.raises(ConfigError, match="no action head"):
        find_checkpoint(str(folder))
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "WanPipeline"}))
    with pytest.raises(ConfigError, match="it is a WanPipeline"):
        find_checkpoint(str(folder))
    (folder / "model_index.json").write_text("{")
    with pytest.raises(ConfigError, match=r"model_index.json is not JSON"):
        find_checkpoint(str(folder))


@pytest.mark.parametrize(
    ("part", "made_by"),
    [
        ("transformer", ["diffusers", "UNet2DModel"]),
        ("vae", ["os", "system"]),
        ("scheduler", "UniPCMultistepScheduler"),
        ("text_tokenizer", ["my_tokenizers", "Tokenizer"]),
    ],
)
def test_parts_are_made_by_their_own_classes(folder, part, made_by):
    index = folder / "model_index.json"
    index.write_text(json.dumps({"_class_name": "Cosmos3OmniPipeline", part: made_by}))
    with pytest.raises(ConfigError, match=f"model_index.json has {part} made by"):
        find_checkpoint(str(folder))


def test_policy_droid_is_sent_elsewhere(folder):
    renamed = folder.with_name("Cosmos3-Nano-Policy-DROID")
    folder.rename(renamed)
    with pytest.raises(ConfigError, match="world_model:=openpi"):
        find_checkpoint(str(renamed))


def test_hub_id_needs_a_pinned_revision(folder):
    for revision in ("", "main", COMMIT[:7]):
        with pytest.raises(ConfigError, match=r"needs a pinned revision.*nvidia/Cosmos3-Nano/commits"):
            find_checkpoint("nvidia/Cosmos3-Nano", revision)
    with pytest.raises(ConfigError, match="a directory has no revision"):
        find_checkpoint(str(folder), COMMIT)


def test_without_torch_the_packages_are_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    model = create_world_model("cosmos3", model=str(folder))
    with pytest.raises(ConfigError, match=r"pip install 'torch>=2.6' 'diffusers>=0.42'"):
        model.load()
    model.close()


@pytest.mark.parametrize(
    ("option", "message"), [({"offload": "disk"}, "offload: 'disk'"), ({"dtype": "int8"}, "dtype: 'int8'")]
)
def test_options_are_checked(option, message):
    with pytest.raises(ConfigError, match=message):
        create_world_model("cosmos3", model="x", **option)
