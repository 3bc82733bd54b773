"""The engine against the stock pipeline: the same weights, seed and caption give the same actions and frames."""

from __future__ import annotations

import numpy as np
import pytest
from cancelling import cancelled_again_and_again
from world_model_scenes import textured

from cosmos_ros.errors import ConfigError, ModelError
from cosmos_ros.types import Mode
from cosmos_ros.world_models import check_rollout, create_world_model

torch = pytest.importorskip("torch", reason="torch is not installed; `make test-cosmos3` installs it")
diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed; `make test-cosmos3` installs it")
from test_cosmos3 import ask_stock, make  # noqa: E402
from tiny_cosmos3 import write_tiny_checkpoint  # noqa: E402

from cosmos_ros.world_models.cosmos3.engine.schedule import make_schedule  # noqa: E402
from cosmos_ros.world_models.cosmos3.engine.text import understand  # noqa: E402

pytestmark = [pytest.mark.cosmos3, pytest.mark.timeout(300)]
# Sums are taken in another order than the stock pipeline's; more than this is another answer.
CLOSE = {"rtol": 0, "atol": 5e-6}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("cosmos3") / "Cosmos3-Tiny")


@pytest.fixture(scope="module")
def model(checkpoint):
    model = create_world_model("cosmos3", model=str(checkpoint), device="cpu", warm_up=False, engine="on")
    model.load()
    assert model.status()["engine"] == "on"
    yield model
    model.close()


@pytest.fixture(scope="module")
def stock(checkpoint):
    pipeline = diffusers.Cosmos3OmniPipeline.from_pretrained(
        checkpoint, dtype=torch.float32, safety_checker=None, enable_safety_checker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("mode", list(Mode))
def test_the_answer_is_the_stock_pipelines(model, stock, mode, guidance, steps):
    request = make(
        mode, settings={"num_inference_steps": steps, "guidance_scale": guidance}, negative_prompt="blur, a longer text"
    )
    rollout = model.predict(request)
    check_rollout(model.name, request, rollout, model.capabilities)
    frames, actions = ask_stock(stock, request, steps=steps, guidance=guidance)
    if mode is not Mode.FORWARD_DYNAMICS:
        np.testing.assert_allclose(rollout.actions, actions, **CLOSE)
    if mode is not Mode.INVERSE_DYNAMICS:
        assert np.abs(rollout.frames.astype(int) - frames.astype(int)).max() <= 1


def test_odd_latents_and_longer_chunks(model, stock):
    request = make(image=textured(112, 176, seed=3), chunk_size=8)
    frames, actions = ask_stock(stock, request)
    rollout = model.predict(request)
    np.testing.assert_allclose(rollout.actions, actions, **CLOSE)
    assert np.abs(rollout.frames.astype(int) - frames.astype(int)).max() <= 1


def test_answers_do_not_depend_on_what_was_asked_before(model):
    """Buffers, texts and schedules are kept from request to request."""
    requests = [
        make(),
        make(instruction="open the drawer and put both of the blocks into it, one after the other"),
        make(Mode.INVERSE_DYNAMICS),
        make(settings={"num_inference_steps": 5, "guidance_scale": 2.0}),
        make(domain_name="droid_lerobot", domain_id=8, fps=15.0),
        make(Mode.FORWARD_DYNAMICS),
    ]
    first = [model.predict(request) for request in requests]
    for request, before in reversed(list(zip(requests, first, strict=True))):
        again = model.predict(request)
        for name in ("actions", "frames", "uncertainty"):
            np.testing.assert_array_equal(getattr(again, name), getattr(before, name))
    assert not np.array_equal(first[0].actions, first[1].actions)


def test_the_texts_keys_and_values_are_bit_equal_at_every_step(model, stock, monkeypatch):
    request = make(settings={"num_inference_steps": 3})
    seen = []
    for layer in stock.transformer.layers:
        attend = layer.self_attn.to_v.forward
        monkeypatch.setattr(
            layer.self_attn.to_v, "forward", lambda x, attend=attend: seen.append(attend(x)) or seen[-1]
        )
    tokens = []
    tokenize = stock.tokenize_prompt
    monkeypatch.setattr(stock, "tokenize_prompt", lambda *a, **k: tokens.append(tokenize(*a, **k)) or tokens[-1])
    ask_stock(stock, request, steps=3)
    text = understand(model._pipeline, tokens[0][0])
    layers = len(text.values)
    assert len(seen) == 3 * layers
    for index, values in enumerate(seen):
        assert torch.equal(values, text.values[index % layers].flatten(-2))


def test_the_first_latent_frame_depends_on_the_first_picture_alone(stock):
    """Why one picture is enough: the encoder is causal."""
    clip = torch.rand((1, 3, 9, 64, 96), generator=torch.Generator().manual_seed(0)) * 2 - 1
    other = torch.cat((clip[:, :, :1], -clip[:, :, 1:]), dim=2)
    with torch.no_grad():
        whole, changed, alone = (stock._encode_video(x) for x in (clip, other, clip[:, :, :1]))
    assert torch.equal(whole[:, :, :1], changed[:, :, :1])
    assert not torch.equal(whole[:, :, 1:], changed[:, :, 1:])
    torch.testing.assert_close(whole[:, :, :1], alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 30])
def test_the_schedule_is_the_schedulers_own(stock, steps):
    from diffusers import UniPCMultistepScheduler

    scheduler = UniPCMultistepScheduler.from_config(stock.scheduler.config, flow_shift=5.0, use_karras_sigmas=False)
    schedule = make_schedule(scheduler, steps)
    random = torch.Generator().manual_seed(steps)
    noise, velocities = (torch.randn(n, 6, generator=random, dtype=torch.float64) for n in (1, steps))
    history = torch.cat((noise, velocities))
    scheduler.set_timesteps(steps)
    sample = noise[0]
    for step, timestep in enumerate(scheduler.timesteps):
        sample = scheduler.step(velocities[step][None, None], timestep, sample[None, None], return_dict=False)[0][0, 0]
        torch.testing.assert_close(schedule.samples[step] @ history, sample, rtol=1e-9, atol=1e-9)


def test_uncertainty_is_zero_on_a_straight_path_and_grows_with_its_bends(stock):
    from cosmos_ros.world_models.cosmos3.engine.uncertainty import row_uncertainty

    schedule = make_schedule(stock.scheduler, 12)
    random = torch.Generator().manual_seed(0)
    noise, target = torch.randn((1, 3, 4), generator=random), torch.randn((1, 3, 4), generator=random)
    straight = torch.cat((noise, (noise - target).expand(12, -1, -1)))
    assert row_uncertainty(straight, schedule).max() < 1e-5 + 1e-2 * float(1 - schedule.sigmas[0])
    bent = straight.clone()
    bent[6:, 1] += 0.5
    found = row_uncertainty(bent, schedule)
    assert found[1] > 0.1 > found[0]
    assert row_uncertainty(bent, schedule, given=2)[:2].tolist() == [0, 0]


def test_policy_answers_carry_uncertainty(model):
    found = model.predict(make()).uncertainty
    assert found.shape == (4,)
    assert (found > 0).all()
    assert model.predict(make(Mode.FORWARD_DYNAMICS)).uncertainty is None


def test_cancel_ends_between_steps_and_leaves_it_usable(model):
    with cancelled_again_and_again(model), pytest.raises(ModelError, match="was cancelled"):
        model.predict(make(settings={"num_inference_steps": 100}))
    assert model.predict(make()).actions is not None


def test_memory_of_texts_is_bounded(model):
    for index in range(20):
        model.predict(make(instruction=f"pick up block {index}"))
    assert len(model._engine._texts) <= 8


@pytest.mark.parametrize(
    ("option", "value"), [("offload", "model"), ("stock_inputs", True), ("compile_blocks", True), ("guardrail", True)]
)
def test_options_of_the_pipeline_alone(option, value):
    from cosmos_ros.world_models.backends.cosmos3 import Cosmos3Options
    from cosmos_ros.world_models.cosmos3.engine.wanted import engine_wanted

    assert not engine_wanted(Cosmos3Options(**{option: value}), cuda=True)
    with pytest.raises(ConfigError, match=f"does not go with {option}"):
        engine_wanted(Cosmos3Options(**{option: value}, engine="on"), cuda=True)
    assert engine_wanted(Cosmos3Options(), cuda=True)
    assert not engine_wanted(Cosmos3Options(), cuda=False)
    assert not engine_wanted(Cosmos3Options(engine="off"), cuda=True)


def asked(model, **fields):
    from dataclasses import replace

    from cosmos_ros.world_models.cosmos3.engine.asking import question
    from cosmos_ros.world_models.sampler_settings import SamplerSettings

    model._pipeline.whole_caption = False
    return replace(question(model._pipeline, make(), SamplerSettings(num_inference_steps=4), 96, 160), **fields)


def test_committed_rows_come_back_exactly_and_change_the_rest(model):
    rows = np.random.default_rng(0).uniform(-1, 1, (2, 10)).astype(np.float32)
    free = model._engine.answer(asked(model))
    held = model._engine.answer(asked(model, committed=rows))
    np.testing.assert_array_equal(held.actions[:2], rows)
    assert not np.array_equal(held.actions[2:], free.actions[2:])
    assert held.uncertainty[:2].tolist() == [0, 0]


def test_guidance_only_in_its_interval(model):
    def ask(**fields):
        return model._engine.answer(asked(model, **fields)).actions

    plain, guided = ask(), ask(guidance=4.0)
    np.testing.assert_array_equal(ask(guidance=4.0, guidance_from=1001.0, guidance_to=1001.0), plain)
    np.testing.assert_array_equal(ask(guidance=4.0, guidance_from=0.0, guidance_to=1000.0), guided)
    part = ask(guidance=4.0, guidance_from=960.0)
    assert not np.array_equal(part, plain)
    assert not np.array_equal(part, guided)
