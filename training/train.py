"""Trains the network on rows that are on the card already; goes on from its last checkpoint.

Run by ``python -m training.compact``. The same data, options and seed give the same weights on the same CPU; on CUDA,
weights that differ by rounding.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from training.checkpoints import about_checkpoint, latest_checkpoint, load_training, save_checkpoint
from training.dataset import RobotData
from training.losses import Batch, losses
from training.model import CompactNet
from training.steps import Steps

_VALIDATION_BATCHES = 4


@dataclass(frozen=True)
class TrainOptions:
    """How it is trained.

    Attributes:
        steps: Of the whole training, over which the rate falls along half a cosine.
        batch: What a batch is made of.
        rate: Largest learning rate.
        warm_up: Steps until it is reached.
        decay: Of the weights.
        average: Of the averaged weights, per step.
        largest_gradient: Longer gradients are shortened to this norm.
        seed: Of everything random.
        compiled: Compile the layers, which takes half a minute of the first run on a machine.
        report, checkpoint: Every so many steps.
    """

    steps: int = 20_000
    batch: Batch = field(default_factory=Batch)
    rate: float = 8e-4
    warm_up: int = 500
    decay: float = 0.05
    average: float = 0.999
    largest_gradient: float = 1.0
    seed: int = 0
    compiled: bool = False
    report: int = 200
    checkpoint: int = 2_000


def best_device() -> torch.device:
    """Return CUDA where it is, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train(
    net: CompactNet,
    data: Mapping[str, RobotData],
    validation: Mapping[str, RobotData],
    folder: Path,
    options: TrainOptions,
    *,
    stop_at: int | None = None,
    seconds: float = math.inf,
) -> Path:
    """Train until the last step, or until ``stop_at`` or the time given; return the last checkpoint.

    Args:
        net: The network, on the data's device.
        data, validation: Robot → rows; validation may be empty.
        folder: Of checkpoints and of ``log.jsonl``.
        options: How.
        stop_at: Stop after this step, to go on another time.
        seconds: Write a checkpoint and stop after so long.
    """
    device = next(net.parameters()).device
    _prepare(device)
    on_card = device.type == "cuda"
    # On a card the rate is a tensor there, so that a recorded step reads it anew.
    rate = torch.tensor(options.rate, device=device) if on_card else options.rate
    optimizer = torch.optim.AdamW(
        _groups(net, options.decay), lr=rate, betas=(0.9, 0.98), fused=on_card, capturable=on_card
    )
    step = 0
    average = {k: v.detach().clone().float() for k, v in net.state_dict().items()}
    last = latest_checkpoint(folder)
    if last is not None:
        average = load_training(last, net, optimizer)
        step = int(about_checkpoint(last)["step"])
    end = min(options.steps, options.steps if stop_at is None else stop_at)
    began, window = time.monotonic(), time.monotonic()
    net.train()
    if options.compiled:
        net.compile_layers()
    names = sorted(data)
    about = {"options": asdict(options), "rows": {name: len(data[name]) for name in names}}
    steps = Steps(net, data, optimizer, options.batch, options.largest_gradient)
    while step < end and time.monotonic() - began < seconds:
        for group in optimizer.param_groups:
            now = options.rate * rate_share(step, options)
            group["lr"] = group["lr"].fill_(now) if on_card else now
        # Each step has its own numbers, so that a run that was stopped goes on as one that was not.
        steps.take(names[step % len(names)], options.seed * 1_000_003 + step)
        step += 1
        _follow(average, net, min(options.average, (1 + step) / (10 + step)))
        if step % options.report == 0 or step == end:
            count = (step - 1) % options.report + 1
            figures = steps.figures()
            if not math.isfinite(sum(figures.values())):
                raise FloatingPointError(f"the loss is not finite by step {step}; go on from {last}")
            speed = count / (time.monotonic() - window)
            _log(folder, {"step": step, "steps_per_s": speed, "robots": names, **figures})
            window = time.monotonic()
        if step % options.checkpoint == 0 or step == end:
            figures = {"validation": validate(net, average, validation, options)}
            _log(folder, {"step": step, **figures})
            last = save_checkpoint(folder, net, average, optimizer, {"step": step, **about, **figures})
            window = time.monotonic()
    if last is None or int(about_checkpoint(last)["step"]) != step:
        last = save_checkpoint(folder, net, average, optimizer, {"step": step, **about})
    return last


def rate_share(step: int, options: TrainOptions) -> float:
    """Return the share of the largest rate at a step: up along a line, down along half a cosine to a hundredth."""
    up = min(1.0, (step + 1) / max(1, options.warm_up))
    along = min(1.0, step / max(1, options.steps))
    return up * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * along)))


@torch.no_grad()
def validate(
    net: CompactNet, average: Mapping[str, Tensor], validation: Mapping[str, RobotData], options: TrainOptions
) -> dict[str, dict[str, float]]:
    """Return robot → figures of the averaged weights on validation rows, with the same random numbers each time."""
    if not validation:
        return {}
    present = {k: v.detach().clone() for k, v in net.state_dict().items()}
    net.load_state_dict(dict(average))
    net.eval()
    result = {}
    for name, one in validation.items():
        source = torch.Generator(one.labels.device).manual_seed(options.seed)
        sums: dict[str, float] = {}
        for _ in range(_VALIDATION_BATCHES):
            # What was compiled is for training; compiling anew for a few batches would take longer than they do.
            with torch.compiler.set_stance("force_eager"):
                parts = losses(net, one, options.batch, source)
            for part, value in parts.items():
                sums[part] = sums.get(part, 0.0) + float(value) / _VALIDATION_BATCHES
        result[name] = sums
    net.load_state_dict(present)
    net.train()
    return result


def _groups(net: CompactNet, decay: float) -> list[dict[str, object]]:
    """Return parameters with decay, which are matrices and kernels, and those without."""
    heavy = [p for name, p in net.named_parameters() if p.ndim > 1 and "places" not in name and "views" not in name]
    chosen = {id(p) for p in heavy}
    light = [p for p in net.parameters() if id(p) not in chosen]
    return [{"params": heavy, "weight_decay": decay}, {"params": light, "weight_decay": 0.0}]


@torch.no_grad()
def _follow(average: dict[str, Tensor], net: CompactNet, share: float) -> None:
    state = net.state_dict()
    torch._foreach_lerp_([average[k] for k in state], [v.float() for v in state.values()], 1.0 - share)


def _prepare(device: torch.device) -> None:
    """Choose bit by bit the same results on the CPU; on CUDA the fastest, whose sums may differ in their last bits."""
    torch.use_deterministic_algorithms(device.type == "cpu")
    torch.backends.cudnn.benchmark = device.type == "cuda"
    torch.set_float32_matmul_precision("high")


def _log(folder: Path, figures: Mapping[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    line = json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in figures.items()})
    with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    print(line, flush=True)
