"""The engine of Cosmos3 against the stock diffusers pipeline: seconds, memory, and how far their answers differ.

One process, the same random weights (Nano's sizes, made on the GPU) and seeds for both; nothing is downloaded or
written but the results. The stock pipeline's figure is the time until its actions are denoised, before it decodes any
frame.

    python benchmarks/engine.py --out out/engine                one GPU of 80 GB
    python benchmarks/engine.py --size tiny --repeat 2          CPU, to see that it runs

Prints a Markdown table and writes engine.json and engine.md to --out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks"), str(ROOT / "test" / "world_models")]

import torch  # noqa: E402
from bench_cosmos3 import ask_stock, full_components, make_request  # noqa: E402

from cosmos_ros.bench.machine import machine  # noqa: E402
from cosmos_ros.types import Mode, Request  # noqa: E402
from cosmos_ros.world_models.cosmos3.diffusers_pipeline import Cosmos3Pipeline  # noqa: E402
from cosmos_ros.world_models.cosmos3.model import Cosmos3, Cosmos3Options  # noqa: E402

GIB = 1 << 30
DENSE_BF16 = 790e12  # FLOP/s that an 8192-wide product reaches on these cards


class TimedPipeline(Cosmos3Pipeline):
    """The stock pipeline, with the time at which its actions are there."""

    denoised = 0.0

    def decode_time(self) -> None:
        """Take the time once the device has done what was asked."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.denoised = time.perf_counter()


def stock_seconds(stock: TimedPipeline, request: Request, steps: int) -> tuple[float, float, tuple]:
    """Return seconds to the actions, seconds to the frames, and the answer."""
    decode = stock.vae.decode
    stock.vae.decode = lambda *a, **k: stock.decode_time() or decode(*a, **k)
    started = time.perf_counter()
    try:
        frames, actions, _ = ask_stock(stock, request, steps)
    finally:
        del stock.vae.decode
    return stock.denoised - started, time.perf_counter() - started, (frames, actions)


def engine_seconds(model: Cosmos3, request: Request) -> tuple[float, float, tuple]:
    """Return seconds to the actions, seconds to the frames, and the answer."""
    started = time.perf_counter()
    rollout = model.predict(request)
    whole = time.perf_counter() - started
    return whole - rollout.latencies_ms.get("decode", 0.0) / 1e3, whole, (rollout.frames, rollout.actions)


def tokens_of(model: Cosmos3) -> int:
    """Return the generated tokens of the last shape."""
    return next(reversed(model._engine._programs.values())).tokens


def floor_ms(config, tokens: int, text: int) -> float:
    """Return the milliseconds that a step's arithmetic takes at the rate of a large product."""
    width, mlp = config.hidden_size, config.intermediate_size
    heads, keys = config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim
    each = 2 * (width * (heads + 2 * keys) + heads * width + 3 * width * mlp)
    attention = 4 * (tokens + text) * heads
    return tokens * (each + attention) * config.num_hidden_layers / DENSE_BF16 * 1e3


def measure(model: Cosmos3, stock: TimedPipeline, tier: int, steps: int, repeat: int) -> dict:
    """Time both in turns on one request."""
    request = replace(make_request(Mode.POLICY, tier, steps, 16), prompt="")
    started = time.perf_counter()
    model.predict(request)
    first = time.perf_counter() - started
    stock_seconds(stock, request, steps)
    ours, theirs, stages = [], [], defaultdict(list)
    for _ in range(repeat):
        ours.append(engine_seconds(model, request)[:2])
        theirs.append(stock_seconds(stock, request, steps)[:2])
        for stage, ms in model.predict(request).latencies_ms.items():
            stages[stage].append(ms)
    middle = {
        name: [statistics.median(values) for values in zip(*rows, strict=True)]
        for name, rows in (("ours", ours), ("stock", theirs))
    }
    text = next(reversed(model._engine._texts.values())).length
    row = {
        "tier": tier,
        "steps": steps,
        "action_s": middle["ours"][0],
        "frames_s": middle["ours"][1],
        "stock_action_s": middle["stock"][0],
        "stock_frames_s": middle["stock"][1],
        "action_ratio": middle["stock"][0] / middle["ours"][0],
        "frames_ratio": middle["stock"][1] / middle["ours"][1],
        "stages_ms": {stage: statistics.median(values) for stage, values in stages.items()},
        "first_call_s": first,
        "tokens": tokens_of(model),
        "text_tokens": text,
        "floor_ms_a_step": floor_ms(stock.transformer.config, tokens_of(model), text),
    }
    row["ms_a_step"] = row["stages_ms"]["denoise"] / steps
    print(json.dumps(row), flush=True)
    return row


def profile(model: Cosmos3, tier: int) -> dict:
    """Return milliseconds a step by kernel, of four steps."""
    request = replace(make_request(Mode.POLICY, tier, 4, 16), prompt="")
    asked = replace(request)
    model.predict(asked)
    program = next(reversed(model._engine._programs.values()))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as prof:
        program._step.zero_()
        program.run([False] * 4, lambda: False)
        torch.cuda.synchronize()
    found = {e.key[:90]: e.self_device_time_total / 4e3 for e in prof.key_averages() if e.self_device_time_total}
    return dict(sorted(found.items(), key=lambda item: -item[1])[:14])


def relative(found: np.ndarray, reference: np.ndarray) -> float:
    """Return the norm of the difference over that of the reference."""
    return float(np.linalg.norm(found - reference) / np.linalg.norm(reference))


def psnr(found: np.ndarray, reference: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio of 8-bit frames, dB."""
    error = np.mean((found.astype(np.float64) - reference) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def answers(model: Cosmos3, stock: TimedPipeline, tiers: list[int], steps: int) -> dict:
    """Return engine's and stock's answers in the weights' own precision, by tier."""
    found = {}
    for tier in tiers:
        request = replace(make_request(Mode.POLICY, tier, steps, 16), prompt="")
        found[tier] = engine_seconds(model, request)[2], stock_seconds(stock, request, steps)[2], request
    return found


def exactness(stock: TimedPipeline, found: dict, steps: int) -> list[dict]:
    """Turn the weights to float32, ask the stock pipeline again, and return the errors."""
    stock.transformer.float()
    stock.vae.float()
    stock._vae_latents_mean, stock._vae_latents_inv_std = (
        stock._vae_latents_mean.float(), stock._vae_latents_inv_std.float()
    )  # fmt: skip
    rows = []
    for tier, ((frames, actions), (stock_frames, stock_actions), request) in found.items():
        true_frames, true_actions = stock_seconds(stock, request, steps)[2]
        true, theirs = true_frames.reshape(frames.shape), stock_frames.reshape(frames.shape)
        rows.append(
            {
                "tier": tier,
                "engine_to_stock": relative(actions, stock_actions),
                "stock_to_float32": relative(stock_actions, true_actions),
                "engine_to_float32": relative(actions, true_actions),
                "psnr_engine_to_stock": psnr(frames, theirs),
                "psnr_stock_to_float32": psnr(theirs, true),
                "psnr_engine_to_float32": psnr(frames, true),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def endurance(model: Cosmos3, chunks: int, instructions: int) -> dict:
    """Return latencies of the first and last tenth of many chunks, and memory over many instructions."""
    model._options = replace(model._options, frames=False)
    request = make_request(Mode.POLICY, 256, 4, 16)
    seconds = [engine_seconds(model, replace(request, seed=seed))[0] for seed in range(chunks)]
    tenth = max(1, chunks // 10)
    memory, new = [], []
    for index in range(instructions):
        prompt = request.prompt.replace("red cube", f"cube number {index}")
        new.append(engine_seconds(model, replace(request, prompt=prompt))[0])
        memory.append(torch.cuda.memory_allocated() / GIB if torch.cuda.is_available() else 0.0)
    model._options = replace(model._options, frames=True)
    return {
        "chunks": chunks,
        "first_tenth_ms": 1e3 * statistics.median(seconds[1 : tenth + 1]),
        "last_tenth_ms": 1e3 * statistics.median(seconds[-tenth:]),
        "p99_ms": 1e3 * float(np.quantile(seconds[1:], 0.99)),
        "new_instruction_ms": 1e3 * statistics.median(new),
        "memory_gib_after_10": memory[min(9, len(memory) - 1)],
        "memory_gib_at_the_end": memory[-1],
    }


def markdown(report: dict) -> str:
    """Return the tables."""
    lines = [
        f"{report['device']}; {report['machine']}; torch {torch.__version__}. Chunk of 16, 17 frames, guidance 1, "
        f"random weights, medians of {report['repeat']}.",
        "",
        "| tier | steps | engine: action s | stock: action s | ratio | engine: frames s | stock: frames s | ratio | "
        "ms a step (arithmetic floor) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row['tier']} | {row['steps']} | {row['action_s']:.3f} | {row['stock_action_s']:.3f} | "
        f"{row['action_ratio']:.2f} | {row['frames_s']:.3f} | {row['stock_frames_s']:.3f} | "
        f"{row['frames_ratio']:.2f} | {row['ms_a_step']:.1f} ({row['floor_ms_a_step']:.1f}) |"
        for row in report["rows"]
    ]
    tiers = [f"tier {row['tier']}" for row in report["exactness"]]
    lines += ["", f"| relative error of the actions, PSNR of the frames | {' | '.join(tiers)} |"]
    lines.append("| --- |" + " --- |" * len(tiers))
    for name in ("engine_to_stock", "stock_to_float32", "engine_to_float32"):
        cells = [f"{row[name]:.2e}, {row['psnr_' + name]:.1f} dB" for row in report["exactness"]]
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    lines += ["", f"Endurance: {json.dumps(report['endurance'])}", "", f"Peak memory {report['peak_gib']:.1f} GiB."]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--tiers", type=int, nargs="+", default=[256, 480])
    parser.add_argument("--steps", type=int, nargs="+", default=[30, 4])
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--chunks", type=int, default=500)
    parser.add_argument("--instructions", type=int, default=50)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("out/engine"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    cuda = torch.cuda.is_available()
    device = "cuda" if cuda else "cpu"
    if arguments.size == "full":
        parts = full_components(device)
    else:
        from tiny_cosmos3 import tiny_components

        parts = tiny_components()
    pipeline, stock = (
        kind(**parts, enable_safety_checker=False).to(device) for kind in (Cosmos3Pipeline, TimedPipeline)
    )
    stock.marks = {}
    stock.set_progress_bar_config(disable=True)
    options = Cosmos3Options(engine="on", warm_up=False, engine_compile=not arguments.no_compile)
    model = Cosmos3(options)
    model.use(pipeline, device, {"model": "random"})
    report: dict = {
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "machine": str(machine()),
        "repeat": arguments.repeat,
        "rows": [measure(model, stock, t, s, arguments.repeat) for t in arguments.tiers for s in arguments.steps],
    }
    report["peak_gib"] = torch.cuda.max_memory_allocated() / GIB if cuda else 0.0
    report["profile"] = {tier: profile(model, tier) for tier in arguments.tiers} if cuda else {}
    print(json.dumps(report["profile"], indent=1), flush=True)
    (arguments.out / "engine.json").write_text(json.dumps(report, indent=1) + "\n")
    report["endurance"] = endurance(model, arguments.chunks, arguments.instructions)
    print(json.dumps(report["endurance"]), flush=True)
    (arguments.out / "engine.json").write_text(json.dumps(report, indent=1) + "\n")
    found = answers(model, stock, arguments.tiers, arguments.steps[0])
    model.close()
    del model, pipeline
    report["exactness"] = exactness(stock, found, arguments.steps[0])
    (arguments.out / "engine.json").write_text(json.dumps(report, indent=1) + "\n")
    table = markdown(report)
    (arguments.out / "engine.md").write_text(table)
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
