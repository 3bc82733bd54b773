"""The in-process backend against the real diffusers pipeline, with a tiny checkpoint of random weights."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from cancelling import cancelled_again_and_again
from world_model_scenes import textured

from cosmos_ros.errors import CapabilityError, ConfigError, ModelError
from cosmos_ros.types import Mode, Request
from cosmos_ros.world_models import check_rollout, create_world_model

torch = pytest.importorskip("torch", reason="torch is not installed; `make test-cosmos3` installs it")
diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed; `make test-cosmos3` installs it")
from tiny_cosmos3 import tiny_components, write_tiny_checkpoint  # noqa: E402

pytestmark = [pytest.mark.cosmos3, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("cosmos3") / "Cosmos3-Tiny")


@pytest.fixture(scope="module")
def model(checkpoint):
    model = create_world_model("cosmos3", model=str(checkpoint), device="cpu", warm_up=False)
    model.load()
    yield model
    model.close()


@pytest.fixture(scope="module")
def stock(checkpoint):
    pipeline = diffusers.Cosmos3OmniPipeline.from_pretrained(
        checkpoint, dtype=torch.float32, safety_checker=None, enable_safety_checker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def make(mode=Mode.POLICY, *, height=96, width=160, chunk_size=4, **fields):
    canvas = textured(height, width, seed=5)
    media = {"image": canvas}
    if mode is Mode.INVERSE_DYNAMICS:
        media = {"video": np.stack([np.roll(canvas, 3 * k, axis=1) for k in range(chunk_size + 1)])}
    if mode is Mode.FORWARD_DYNAMICS:
        media["actions"] = np.random.default_rng(1).uniform(-1, 1, (chunk_size, 10)).astype(np.float32)
    request = Request(
        mode=mode,
        domain_name="bridge_orig_lerobot",
        domain_id=7,
        fps=5.0,
        chunk_size=chunk_size,
        action_dim=10,
        instruction="put the block into the bowl",
        view_point="ego_view",
        resolution_tier=256,
        seed=11,
        settings={"num_inference_steps": 2},
        **media,
    )
    return replace(request, **fields)


def ask_stock(pipeline, request, *, steps=2, guidance=1.0, shift=None):
    """The published recipe, with nothing of this package in it."""
    from diffusers import UniPCMultistepScheduler
    from diffusers.pipelines.cosmos.pipeline_cosmos3_omni import CosmosActionCondition
    from PIL import Image

    shift = shift or (5.0 if request.mode is Mode.POLICY else 10.0)
    pipeline.scheduler = UniPCMultistepScheduler.from_config(
        pipeline.scheduler.config, flow_shift=shift, use_karras_sigmas=False
    )
    media = {}
    if request.mode is Mode.INVERSE_DYNAMICS:
        media["video"] = [Image.fromarray(frame) for frame in request.video]
    else:
        media["image"] = Image.fromarray(request.image)
    if request.mode is Mode.FORWARD_DYNAMICS:
        media["raw_actions"] = torch.from_numpy(request.actions)
    condition = CosmosActionCondition(
        mode=request.mode.value,
        chunk_size=request.chunk_size,
        domain_name=request.domain_name,
        resolution_tier=request.resolution_tier,
        view_point=request.view_point,
        **media,
    )
    output = pipeline(
        request.instruction,
        negative_prompt=request.negative_prompt,
        action=condition,
        fps=request.fps,
        num_inference_steps=steps,
        guidance_scale=guidance,
        use_system_prompt=False,
        generator=torch.Generator(pipeline.device).manual_seed(request.seed),
        output_type="pil",
    )
    actions = None if output.action is None else output.action[0].numpy()
    return np.stack([np.asarray(frame) for frame in output.video]), actions


@pytest.mark.parametrize("mode", list(Mode))
def test_each_mode_equals_the_stock_pipeline(model, stock, mode):
    request = make(mode)
    rollout = model.predict(request)
    check_rollout(model.name, request, rollout, model.capabilities)
    frames, actions = ask_stock(stock, request)
    if mode is Mode.FORWARD_DYNAMICS:
        assert rollout.actions is None
    else:
        np.testing.assert_array_equal(rollout.actions, actions)
    if mode is Mode.INVERSE_DYNAMICS:
        assert rollout.frames is None
    else:
        np.testing.assert_array_equal(rollout.frames, frames)
        assert rollout.frames.shape == (5, 96, 160, 3)
    assert {"encode", "denoise"} <= set(rollout.latencies_ms)
    assert rollout.provenance["diffusers"] == diffusers.__version__


def test_guidance_and_negative_prompt_reach_the_pipeline(model, stock):
    settings = {"num_inference_steps": 2, "guidance_scale": 3.0, "flow_shift": 7.0}
    request = make(settings=settings, negative_prompt="blur")
    actions = model.predict(request).actions
    np.testing.assert_array_equal(actions, ask_stock(stock, request, guidance=3.0, shift=7.0)[1])
    for changed in ({"negative_prompt": ""}, {"settings": {**settings, "guidance_scale": 2.0}}):
        assert not np.array_equal(actions, model.predict(replace(request, **changed)).actions)


def test_seed_and_steps_decide_the_answer(model):
    first, again = (model.predict(make()) for _ in range(2))
    np.testing.assert_array_equal(first.actions, again.actions)
    np.testing.assert_array_equal(first.frames, again.frames)
    assert not np.array_equal(first.actions, model.predict(make(seed=12)).actions)
    assert not np.array_equal(first.actions, model.predict(make(settings={"num_inference_steps": 3})).actions)


def test_recommended_settings_give_way_to_the_users(model):
    recommended = {"num_inference_steps": 3, "guidance_scale": 2.0}
    rollout = model.predict(make(recommended_settings=recommended))
    assert rollout.provenance["sampler"]["num_inference_steps"] == 2
    assert rollout.provenance["sampler"]["guidance_scale"] == 2.0


def test_forward_dynamics_follows_the_actions(model):
    request = make(Mode.FORWARD_DYNAMICS)
    other = replace(request, actions=-request.actions)
    assert not np.array_equal(model.predict(request).frames[1:], model.predict(other).frames[1:])


def test_caption_is_tokenized_whole(model):
    caption = json.dumps({"cinematography": {"framing": "Views ümlaut."}, "actions": [{"description": "Lift."}]})
    pipeline = model._pipeline
    pipeline.whole_caption = True
    ids, negative = pipeline.tokenize_prompt(caption, "", num_frames=5, use_system_prompt=False, action_mode="policy")
    text = pipeline.text_tokenizer.decode(ids)
    assert text == f"<|im_start|>user\n{caption}<|im_end|>\n<|im_start|>assistant\n<|im_end|><|vision_start|>"
    assert pipeline.text_tokenizer.decode(negative).startswith("<|im_start|>user\n<|im_end|>")
    plain = model.predict(make()).actions
    assert not np.array_equal(plain, model.predict(make(prompt=caption)).actions)


def test_same_caption_same_answer(model, stock):
    """A caption built outside gives what the stock pipeline gives when it builds the same one."""
    request = make()
    caption = stock._build_action_json_prompt(
        request.instruction, view_point="ego_view", num_frames=5, fps=5.0, height=192, width=320
    )
    np.testing.assert_array_equal(model.predict(replace(request, prompt=caption)).actions, ask_stock(stock, request)[1])


def test_canvas_is_cut_and_not_squeezed(model, stock):
    request = make(height=109, width=167)
    rollout = model.predict(request)
    assert rollout.frames.shape == (5, 96, 160, 3)
    assert rollout.provenance["picture_size"] == [96, 160]
    cut = replace(request, image=request.image[:96, :160])
    np.testing.assert_array_equal(rollout.actions, ask_stock(stock, cut)[1])
    assert not np.array_equal(rollout.actions, ask_stock(stock, request)[1])


def test_stock_inputs_leave_everything_to_diffusers(checkpoint, stock):
    model = create_world_model("cosmos3", model=str(checkpoint), device="cpu", warm_up=False, stock_inputs=True)
    model.load()
    request = make(height=109, width=167, prompt='{"own": "caption"}')
    rollout = model.predict(request)
    frames, actions = ask_stock(stock, request)
    np.testing.assert_array_equal(rollout.actions, actions)
    np.testing.assert_array_equal(rollout.frames, frames)
    model.close()


def test_without_frames_the_actions_stay_the_same(model, checkpoint):
    quick = create_world_model("cosmos3", model=str(checkpoint), device="cpu", frames=False)
    quick.load()
    rollout = quick.predict(make())
    assert rollout.frames is None
    np.testing.assert_array_equal(rollout.actions, model.predict(make()).actions)
    with pytest.raises(CapabilityError, match="forward_dynamics is not supported"):
        quick.predict(make(Mode.FORWARD_DYNAMICS))
    quick.close()
    with pytest.raises(ModelError, match="not loaded"):
        quick.predict(make())


def test_what_is_not_supported_is_refused(model):
    for wrong, message in [
        (make(chunk_size=6), "chunk size 6"),
        (make(domain_name="libero"), "domain libero is not supported"),
        (make(domain_name="droid_lerobot", action_dim=8), "world_model:=openpi"),
        (make(settings={"num_inference_steps": 101}), r"101 is outside 1 to 100"),
        (make(settings={"temperature": 1.0}), "not known"),
        (make(image=None), "carries no image"),
        (make(image=textured(12, 40)), "the smallest is 16x16"),
        (make(view_point="ego_view", resolution_tier=512), "tier"),
        (make(Mode.INVERSE_DYNAMICS, video=textured(32, 32)[None]), "no video of 5 frames"),
        (make(Mode.FORWARD_DYNAMICS, actions=np.zeros((4, 9), np.float32)), r"no actions \[4, 10\]"),
    ]:
        with pytest.raises((CapabilityError, ConfigError), match=message):
            model.predict(wrong)


def test_cancel_from_another_thread(model):
    with cancelled_again_and_again(model), pytest.raises(ModelError, match="was cancelled"):
        model.predict(make(settings={"num_inference_steps": 100}))
    assert model.predict(make()).actions is not None


def test_nan_weights_are_a_named_error(tmp_path):
    from diffusers import Cosmos3OmniPipeline

    parts = tiny_components(seed=1)
    with torch.no_grad():
        parts["transformer"].action_proj_out.bias.weight.fill_(float("nan"))
    Cosmos3OmniPipeline(**parts, enable_safety_checker=False).save_pretrained(tmp_path / "broken")
    model = create_world_model("cosmos3", model=str(tmp_path / "broken"), device="cpu", warm_up=False)
    model.load()
    with pytest.raises(ModelError, match=r"actions\[0, 0\] is nan"):
        model.predict(make())
    model.close()


def test_wrong_shapes_in_a_checkpoint_are_a_named_error(checkpoint, tmp_path):
    import shutil

    copy = tmp_path / "mixed"
    shutil.copytree(checkpoint, copy)
    config = json.loads((copy / "transformer/config.json").read_text())
    (copy / "transformer/config.json").write_text(json.dumps({**config, "hidden_size": 48}))
    model = create_world_model("cosmos3", model=str(copy), device="cpu")
    with pytest.raises(ModelError, match=r"loading .*mixed failed"):
        model.load()


def test_missing_weights_are_named(checkpoint, tmp_path):
    """diffusers only warns, and would go on with weights that are drawn or empty."""
    import shutil

    from safetensors.torch import load_file, save_file

    copy = tmp_path / "holes"
    shutil.copytree(checkpoint, copy)
    file = copy / "vae/diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    gone = next(name for name in weights if name.startswith("decoder"))
    del weights[gone]
    save_file(weights, file)
    model = create_world_model("cosmos3", model=str(copy), device="cpu")
    with pytest.raises(ConfigError, match=rf"holes: the weights of vae lack 1 tensors, among them {gone}"):
        model.load()


def test_nothing_is_unpickled_where_an_index_and_a_file_stand_together(checkpoint, tmp_path, monkeypatch):
    import shutil

    from safetensors.torch import load_file

    copy = tmp_path / "both"
    shutil.copytree(checkpoint, copy)
    weights = load_file(copy / "vae/diffusion_pytorch_model.safetensors")
    torch.save(weights, copy / "vae/weights.bin")
    table = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(weights, "weights.bin")}
    (copy / "vae/diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(table))
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("was unpickled"))
    with pytest.raises(ConfigError, match="does not list safetensors files of its own folder"):
        create_world_model("cosmos3", model=str(copy), device="cpu").load()


def test_hub_errors_say_what_to_do(monkeypatch, tmp_path):
    import huggingface_hub
    from huggingface_hub import errors

    from cosmos_ros.world_models.cosmos3.checkpoint import find_checkpoint

    commit = "0123456789abcdef0123456789abcdef01234567"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        ConfigError, match=rf"not in the local cache.*hf download nvidia/Cosmos3-Nano --revision {commit}"
    ):
        find_checkpoint("nvidia/Cosmos3-Nano", commit)

    def refuse(kind):
        def download(*_, **__):
            error = kind.__new__(kind)
            Exception.__init__(error, "403 Client Error")
            raise error

        return download

    for kind, message in [
        (errors.GatedRepoError, r"gated.*Accept its terms.*hf auth login"),
        (errors.RepositoryNotFoundError, "no such repository or revision"),
        (errors.RevisionNotFoundError, "no such repository or revision"),
        (errors.HfHubHTTPError, "cannot be fetched: "),
    ]:
        monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse(kind))
        with pytest.raises(ConfigError, match=message):
            find_checkpoint("nvidia/Cosmos3-Nano", commit, allow_download=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_devices_that_are_not_there(checkpoint):
    for device, message in [
        ("cuda:3", "device 'cuda:3' is not there; CUDA devices: 0"),
        ("abacus", "device 'abacus'"),
        *[(k, "neither cpu nor cuda") for k in ("mps", "meta")],
    ]:
        with pytest.raises(ConfigError, match=message):
            create_world_model("cosmos3", model=str(checkpoint), device=device).load()


def test_memory_is_judged_before_loading(checkpoint, monkeypatch):
    from cosmos_ros.world_models.cosmos3 import device as cosmos3_device
    from cosmos_ros.world_models.cosmos3.checkpoint import find_checkpoint

    found = replace(find_checkpoint(str(checkpoint)), parameters={"transformer": 15_173_669_120, "vae": 700_000_000})
    monkeypatch.setattr(cosmos3_device, "free_memory", lambda device: (24 << 30, 32 << 30))
    with pytest.raises(ConfigError, match=r"has 24.0 GiB free of 32.0; needed are about 35.6 \(29.6 for weights"):
        cosmos3_device.check_memory("cuda", found, 2, "none")
    cosmos3_device.check_memory("cuda", found, 2, "sequential")
    cosmos3_device.check_memory("cpu", found, 2, "none")
    with pytest.raises(ConfigError, match=r"15.9 billion parameters are too many for the CPU"):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        cosmos3_device.choose_device("auto", found)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("offload", ["none", "model", "sequential"])
def test_on_the_gpu(checkpoint, offload):
    model = create_world_model("cosmos3", model=str(checkpoint), device="cuda", offload=offload)
    model.load()
    first, again = (model.predict(make()) for _ in range(2))
    np.testing.assert_array_equal(first.actions, again.actions)
    np.testing.assert_array_equal(first.frames, again.frames)
    assert first.provenance["dtype"] == "bfloat16"
    assert first.provenance["peak_memory_gib"] >= 0
    assert "gpu_free_gib" in model.status()
    model.close()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("mode", list(Mode))
def test_equals_the_stock_pipeline_on_the_gpu(checkpoint, mode):
    model = create_world_model(
        "cosmos3", model=str(checkpoint), device="cuda", dtype="float32", warm_up=False, engine="off"
    )
    model.load()
    pipeline = diffusers.Cosmos3OmniPipeline.from_pretrained(
        checkpoint, dtype=torch.float32, safety_checker=None, enable_safety_checker=False
    ).to("cuda")
    pipeline.set_progress_bar_config(disable=True)
    request = make(mode)
    rollout = model.predict(request)
    frames, actions = ask_stock(pipeline, request)
    if mode is not Mode.FORWARD_DYNAMICS:
        np.testing.assert_array_equal(rollout.actions, actions)
    if mode is not Mode.INVERSE_DYNAMICS:
        np.testing.assert_array_equal(rollout.frames, frames)
    model.close()
