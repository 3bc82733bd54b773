"""Cosmos3 in process against the stock diffusers pipeline: the same actions, how long, how much memory.

Weights are random: the full size is built on the GPU, written to a folder as a real checkpoint (about 32 GB), and
loaded from there by the backend. Nothing is downloaded. Each case runs the backend and the stock pipeline with the same
picture, caption and seed, and compares the actions (or the frames) bit by bit.

    python benchmarks/bench_cosmos3.py --size full --out out/bench           one 80 GB GPU or larger
    python benchmarks/bench_cosmos3.py --size tiny --tiers 256 --steps 2     CPU, to see that it runs

Prints a Markdown table and writes cosmos3.json and cosmos3.md to --out.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import shutil
import statistics
import sys
import sysconfig
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "test" / "world_models")]

import torch  # noqa: E402
from diffusers import AutoencoderKLWan, Cosmos3OmniPipeline, Cosmos3OmniTransformer, UniPCMultistepScheduler  # noqa: E402
from diffusers.pipelines.cosmos.pipeline_cosmos3_omni import CosmosActionCondition  # noqa: E402
from PIL import Image  # noqa: E402

from cosmos_ros.embodiment import load_embodiment  # noqa: E402
from cosmos_ros.prediction.scenes import from_images  # noqa: E402
from cosmos_ros.types import Mode, Request  # noqa: E402
from cosmos_ros.world_models.cosmos3.model import Cosmos3, Cosmos3Options  # noqa: E402
from cosmos_ros.world_models.sampler_settings import default_sampler  # noqa: E402

GIB = 1 << 30


def full_components(device: str) -> dict:
    """Nano's sizes (transformer defaults, the VAE of Wan2.2-TI2V-5B), random, in bfloat16 on the device."""
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            transformer = Cosmos3OmniTransformer(action_gen=True, action_dim=64, sound_gen=True, sound_dim=64)
            with torch.no_grad():  # as trained ones are; the default would overflow the sampler
                for part in (transformer.action_proj_in, transformer.action_proj_out):
                    part.fc.weight.normal_(std=0.02)
                    part.bias.weight.zero_()
            vae = AutoencoderKLWan(
                base_dim=160,
                decoder_base_dim=256,
                z_dim=48,
                dim_mult=[1, 2, 4, 4],
                num_res_blocks=2,
                attn_scales=[],
                temperal_downsample=[False, True, True],
                is_residual=True,
                in_channels=12,
                out_channels=12,
                patch_size=2,
                scale_factor_spatial=16,
                scale_factor_temporal=4,
                latents_mean=[0.0] * 48,
                latents_std=[1.0] * 48,
            )
    finally:
        torch.set_default_dtype(before)
    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, use_karras_sigmas=True, flow_shift=1.0
    )
    return {"transformer": transformer, "vae": vae, "scheduler": scheduler, "text_tokenizer": english_tokenizer()}


def english_tokenizer():
    """A byte-level BPE trained on the standard library's source, so that captions have a usual number of tokens."""
    from tiny_cosmos3 import CHAT_TEMPLATE, SPECIAL_TOKENS
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    library = Path(sysconfig.get_paths()["stdlib"])
    texts = [path.read_text(encoding="utf-8", errors="ignore") for path in sorted(library.glob("*.py"))]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=20_000,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def write_checkpoint(size: str, device: str, folder: Path) -> dict[str, float]:
    """Write a checkpoint; return seconds and gigabytes."""
    started = time.perf_counter()
    if size == "tiny":
        from tiny_cosmos3 import write_tiny_checkpoint

        write_tiny_checkpoint(folder)
    else:
        pipeline = Cosmos3OmniPipeline(**full_components(device), enable_safety_checker=False)
        built = time.perf_counter()
        print(f"built in {built - started:.0f} s", flush=True)
        pipeline.save_pretrained(folder, safe_serialization=True, max_shard_size="5GB")
        del pipeline
        gc.collect()
        torch.cuda.empty_cache()
    seconds = time.perf_counter() - started
    size_gb = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9
    print(f"checkpoint of {size_gb:.1f} GB written in {seconds:.0f} s", flush=True)
    return {"write_s": seconds, "size_gb": size_gb}


def make_request(mode: Mode, tier: int, steps: int, chunk: int) -> Request:
    """The DROID canvas (640x528 of 640x540, which no side changes) in one mode."""
    embodiment = load_embodiment("franka")
    rng = np.random.default_rng(0)
    views = {
        view: np.asarray(
            Image.fromarray(rng.integers(0, 256, (12, 20, 3), dtype=np.uint8)).resize(
                (640, 360), Image.Resampling.BICUBIC
            )
        )
        for view in embodiment.views
    }
    scene = from_images(embodiment, views, instruction="put the red cube into the blue bowl")
    canvas = embodiment.compose(scene.images)
    extra = {}
    if mode is Mode.FORWARD_DYNAMICS:
        extra["actions"] = rng.uniform(-1, 1, (chunk, embodiment.action_dim))
    if mode is Mode.INVERSE_DYNAMICS:
        extra["video"] = np.stack([np.roll(canvas, 4 * k, axis=1) for k in range(chunk + 1)])
    request = embodiment.build_request(scene, mode, chunk_size=chunk, seed=1, **extra)
    cut = {} if request.image is None else {"image": np.ascontiguousarray(request.image[:528])}
    if request.video is not None:
        cut["video"] = np.ascontiguousarray(request.video[:, :528])
    return replace(
        request, resolution_tier=tier, settings={"num_inference_steps": steps}, recommended_settings={}, **cut
    )


def ask_stock(pipeline, request: Request, steps: int):
    """The published recipe, with nothing of this package in it; return frames, actions and seconds."""
    sampler = default_sampler(request.mode, request.domain_name)
    pipeline.scheduler = UniPCMultistepScheduler.from_config(
        pipeline.scheduler.config, flow_shift=sampler.flow_shift, use_karras_sigmas=False
    )
    media = {}
    if request.mode is Mode.INVERSE_DYNAMICS:
        media["video"] = [Image.fromarray(frame) for frame in request.video]
    else:
        media["image"] = Image.fromarray(request.image)
    if request.mode is Mode.FORWARD_DYNAMICS:
        media["raw_actions"] = torch.from_numpy(request.actions)
    started = time.perf_counter()
    output = pipeline(
        request.instruction,
        action=CosmosActionCondition(
            mode=request.mode.value,
            chunk_size=request.chunk_size,
            domain_name=request.domain_name,
            resolution_tier=request.resolution_tier,
            view_point=request.view_point,
            **media,
        ),
        fps=request.fps,
        num_inference_steps=steps,
        guidance_scale=1.0,
        use_system_prompt=False,
        generator=torch.Generator(pipeline.transformer.device).manual_seed(request.seed),
        output_type="np",
    )
    actions = None if output.action is None else output.action[0].float().cpu().numpy()
    frames = (np.asarray(output.video) * 255).round().astype(np.uint8)
    return frames, actions, time.perf_counter() - started


def compare(model: Cosmos3, stock, request: Request, steps: int, repeat: int) -> dict:
    """Time the backend and the stock pipeline on one request, in turns, and compare what they answer."""
    plain = replace(request, prompt="")  # then diffusers builds the caption on both sides
    model.predict(plain)
    ask_stock(stock, plain, steps)
    ours, theirs, whole = [], [], []
    for _ in range(repeat):
        started = time.perf_counter()
        rollout = model.predict(plain)
        ours.append(time.perf_counter() - started)
        frames, actions, seconds = ask_stock(stock, plain, steps)
        theirs.append(seconds)
        started = time.perf_counter()
        model.predict(request)
        whole.append(time.perf_counter() - started)
    tokens = model._pipeline.tokenize_prompt(request.prompt, "", num_frames=17, use_system_prompt=False)[0]
    row = {
        "mode": request.mode.value,
        "tier": request.resolution_tier,
        "steps": steps,
        "ours_s": statistics.median(ours),
        "stock_s": statistics.median(theirs),
        "with_view_sentence_s": statistics.median(whole),
        "spread_s": max(ours) - min(ours),
        "stages_ms": {stage: round(ms, 1) for stage, ms in rollout.latencies_ms.items()},
        "peak_gib": rollout.provenance["peak_memory_gib"],
        "text_tokens": len(tokens),
    }
    if actions is not None:
        row["equal"] = bool(np.array_equal(rollout.actions, actions))
        row["largest_difference"] = float(np.abs(rollout.actions - actions).max())
        row["finite"] = bool(np.isfinite(rollout.actions).all())
    else:
        row["equal"] = bool(np.array_equal(rollout.frames, frames))
        row["largest_difference"] = float(np.abs(rollout.frames.astype(int) - frames.astype(int)).max())
    print(json.dumps(row), flush=True)
    return row


def time_only(model: Cosmos3, request: Request, steps: int, repeat: int, label: str) -> dict:
    """Time the backend alone."""
    model.predict(request)
    seconds = []
    for _ in range(repeat):
        started = time.perf_counter()
        rollout = model.predict(request)
        seconds.append(time.perf_counter() - started)
    row = {
        "mode": f"{request.mode.value}, {label}",
        "tier": request.resolution_tier,
        "steps": steps,
        "ours_s": statistics.median(seconds),
        "stages_ms": {stage: round(ms, 1) for stage, ms in rollout.latencies_ms.items()},
        "peak_gib": rollout.provenance["peak_memory_gib"],
    }
    print(json.dumps(row), flush=True)
    return row


def markdown(facts: dict, rows: list[dict]) -> str:
    """Return the table with the machine's description."""
    lines = [
        f"Device: {facts['device']}; torch {facts['torch']}, diffusers {facts['diffusers']}, Python {facts['python']}. "
        f"Weights: {facts['parameters'] / 1e9:.2f} billion random parameters, {facts['dtype']}, "
        f"checkpoint {facts['size_gb']:.1f} GB, loaded in {facts['load_s']:.1f} s, "
        f"{facts['weights_gib'] or 0:.1f} GiB on the device. Chunk of {facts['chunk']} steps, canvas 640x528. "
        "Seconds are medians of warm calls from picture to frames and actions.",
        "",
        "| mode | tier | steps | backend s | stock s | encode / denoise / decode ms | peak GiB | equal to stock |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        stages = " / ".join(f"{row['stages_ms'].get(s, 0):.0f}" for s in ("encode", "denoise", "decode"))
        stock = f"{row['stock_s']:.2f}" if "stock_s" in row else "–"
        equal = "–" if "equal" not in row else ("yes" if row["equal"] else f"no, {row['largest_difference']:.2g}")
        peak = "–" if row["peak_gib"] is None else f"{row['peak_gib']:.1f}"
        cells = [row["mode"], row["tier"], row["steps"], f"{row['ours_s']:.2f}", stock, stages, peak, equal]
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write a checkpoint, measure, compare, print; status 1 when something was not equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("full", "tiny"), default="tiny")
    parser.add_argument("--tiers", type=int, nargs="+", default=[256, 480])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--chunk", type=int, default=16)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--scratch", type=Path, help="folder for the checkpoint (default: a temporary one)")
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    arguments = parser.parse_args()
    if arguments.size == "full" and not arguments.device.startswith("cuda"):
        parser.error("--size full needs a CUDA device")
    arguments.out.mkdir(parents=True, exist_ok=True)
    scratch = arguments.scratch or Path(tempfile.mkdtemp(prefix="cosmos3_"))
    folder = scratch / "Cosmos3-Nano-random"
    try:
        facts: dict = write_checkpoint(arguments.size, arguments.device, folder)
        model = Cosmos3(Cosmos3Options(model=str(folder), device=arguments.device, engine="off"))
        started = time.perf_counter()
        model.load()
        facts["load_s"] = time.perf_counter() - started
        cuda = arguments.device.startswith("cuda")
        facts["weights_gib"] = torch.cuda.memory_allocated() / GIB if cuda else None
        facts |= {k: model.status()[k] for k in ("device", "dtype", "torch", "diffusers")}
        parts = model._pipeline.components
        facts["parameters"] = sum(p.numel() for part in ("transformer", "vae") for p in parts[part].parameters())
        facts |= {"python": platform.python_version(), "chunk": arguments.chunk}
        print(json.dumps(facts), flush=True)
        stock = Cosmos3OmniPipeline(
            **{name: parts[name] for name in ("transformer", "vae", "scheduler", "text_tokenizer")},
            enable_safety_checker=False,
        )
        stock.set_progress_bar_config(disable=True)
        rows = []
        for tier in arguments.tiers:
            for mode in Mode:
                request = make_request(mode, tier, arguments.steps, arguments.chunk)
                rows.append(compare(model, stock, request, arguments.steps, arguments.repeat))
            few = make_request(Mode.POLICY, tier, 4, arguments.chunk)
            rows.append(time_only(model, few, 4, arguments.repeat, "4 steps"))
            model._frames = False
            rows.append(time_only(model, few, 4, arguments.repeat, "4 steps, no frames"))
            model._frames = True
        model.close()
    finally:
        if arguments.scratch is None:
            shutil.rmtree(scratch, ignore_errors=True)
    (arguments.out / "cosmos3.json").write_text(json.dumps({"facts": facts, "rows": rows}, indent=1) + "\n")
    table = markdown(facts, rows)
    (arguments.out / "cosmos3.md").write_text(table)
    print(table)
    equal = [row["equal"] for row in rows if "equal" in row]
    print(f"equal_to_stock: {sum(equal)}/{len(equal)}")
    return 0 if all(equal) else 1


if __name__ == "__main__":
    sys.exit(main())
