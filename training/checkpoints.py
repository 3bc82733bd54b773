"""Checkpoints: safetensors only, each file small enough to travel, whole or not at all."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cosmos_ros.world_models.compact.manifest import robot_from_json
from cosmos_ros.world_models.compact.words import default_vocabulary
from training.model import CompactNet, Sizes

_LATEST = "latest.json"
_LARGEST_FILE = 16_000_000


def save_checkpoint(
    folder: Path, net: CompactNet, average: dict[str, Tensor], optimizer: torch.optim.Optimizer, about: dict[str, Any]
) -> Path:
    """Write a checkpoint of step ``about["step"]`` and drop the one before.

    Weights and their average are of half precision, the optimizer's moments of bfloat16's range.

    Raises:
        ValueError: A file would be larger than 16 MB.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"step_{about['step']:07d}"
    unfinished = target.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    names = {id(p): name for name, p in net.named_parameters()}
    moments: dict[str, dict[str, Tensor]] = {"moment1": {}, "moment2": {}}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            if "exp_avg" in state:
                moments["moment1"][names[id(parameter)]] = state["exp_avg"]
                moments["moment2"][names[id(parameter)]] = state["exp_avg_sq"]
    parts = {
        "weights": {k: v.half() for k, v in net.state_dict().items()},
        "average": {k: v.half() for k, v in average.items()},
        **{name: {k: v.bfloat16() for k, v in part.items()} for name, part in moments.items()},
    }
    for name, tensors in parts.items():
        path = unfinished / f"{name}.safetensors"
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, path)
        if path.stat().st_size > _LARGEST_FILE:
            raise ValueError(f"{path} has {path.stat().st_size} bytes, at most {_LARGEST_FILE} are allowed")
    about = {**about, "robots": [asdict(robot) for robot in net.inputs.values()], "sizes": asdict(net.sizes)}
    (unfinished / "about.json").write_text(json.dumps(about, indent=1, sort_keys=True), encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    unfinished.replace(target)
    latest = folder / _LATEST
    latest.with_suffix(".unfinished").write_text(json.dumps({"folder": target.name}), encoding="utf-8")
    latest.with_suffix(".unfinished").replace(latest)
    for old in folder.glob("step_*"):
        if old != target:
            shutil.rmtree(old, ignore_errors=True)
    return target


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint of a folder, or None."""
    latest = folder / _LATEST
    if not latest.exists():
        return None
    return folder / Path(json.loads(latest.read_text(encoding="utf-8"))["folder"]).name


def about_checkpoint(path: Path) -> dict[str, Any]:
    """Return what a checkpoint says about itself."""
    about: dict[str, Any] = json.loads((path / "about.json").read_text(encoding="utf-8"))
    return about


def load_weights(path: Path, net: nn.Module, which: str = "average") -> None:
    """Load ``average`` or ``weights`` of a checkpoint into a network."""
    net.load_state_dict({k: v.float() for k, v in load_file(path / f"{which}.safetensors").items()})


def load_training(path: Path, net: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Load weights and moments; return the averaged weights, on the network's device.

    A checkpoint that travelled as ``average`` and ``about.json`` alone goes on from the average, with fresh moments.
    """
    device = next(net.parameters()).device
    average = {k: v.float() for k, v in load_file(path / "average.safetensors", device=str(device)).items()}
    if not (path / "weights.safetensors").exists():
        net.load_state_dict(average)
        return average
    load_weights(path, net, "weights")
    first, second = (load_file(path / f"moment{i}.safetensors", device=str(device)) for i in (1, 2))
    # Fused updates count the steps on the card.
    fused = bool(optimizer.defaults.get("fused"))
    step = torch.tensor(float(about_checkpoint(path)["step"]), device=device if fused else "cpu")
    for name, parameter in net.named_parameters():
        if name in first:
            optimizer.state[parameter] = {
                "step": step.clone(),
                "exp_avg": first[name].float(),
                "exp_avg_sq": second[name].float(),
            }
    return average


def network_of(path: Path, device: torch.device) -> CompactNet:
    """Return the network of a checkpoint, with its averaged weights."""
    about = about_checkpoint(path)
    robots = [robot_from_json(entry) for entry in about["robots"]]
    sizes = Sizes(**{k: tuple(v) if isinstance(v, list) else v for k, v in about["sizes"].items()})
    net = CompactNet(robots, default_vocabulary().size, sizes).to(device)
    load_weights(path, net)
    return net.eval()
