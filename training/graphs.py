"""The parts of the network as they are exported: one sample, pictures as bytes, the flow's steps unrolled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.model import CompactNet


def from_bytes(pictures: Tensor) -> Tensor:
    """Return ``float [..., 3, H, W]``, -1 to 1, of ``uint8 [..., H, W, 3]``."""
    return pictures.to(torch.float32).movedim(-1, -3) / 127.5 - 1.0


class Encode(nn.Module):
    """Views, state and words to memory and features."""

    def __init__(self, net: CompactNet, robot: str) -> None:
        super().__init__()
        self.net, self.robot = net, robot

    def forward(self, state: Tensor, words: Tensor, *views: Tensor) -> tuple[Tensor, ...]:
        """Return memory, then each view's features."""
        found = self.net.encode(self.robot, [from_bytes(view) for view in views], state, words)
        return (found.memory, *found.features)


class Act(nn.Module):
    """Memory and noise to rows, log of the spread, and probabilities of the openings' classes."""

    def __init__(self, net: CompactNet, robot: str) -> None:
        super().__init__()
        self.net, self.robot = net, robot

    def forward(
        self, memory: Tensor, noise: Tensor, given: Tensor, is_given: Tensor, evidence: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``[1, T, D]``, ``[1, T]`` and ``[1, T, G, C]``."""
        rows, spread, classes = self.net.sample(self.robot, memory, noise, given, is_given, evidence)
        return rows, spread, classes.softmax(dim=-1)


class Frames(nn.Module):
    """Memory, features and rows to fields of the frames, and the log of their spread."""

    def __init__(self, net: CompactNet, robot: str) -> None:
        super().__init__()
        self.net, self.robot = net, robot

    def forward(self, memory: Tensor, rows: Tensor, *features: Tensor) -> tuple[Tensor, ...]:
        """Return the spread ``[1, T]``, then each view's fields ``[1, T, FIELDS, h, w]``."""
        level = torch.ones_like(rows[..., 0])
        nothing = torch.zeros(1, 1, self.net.sizes.width, dtype=rows.dtype, device=rows.device)
        found = self.net.act(self.robot, self.net.remember(memory), rows, level, nothing)
        spread = self.net.frame_spread(found.hidden)[..., 0]
        return (spread, *self.net.frame_fields(self.robot, features, found.hidden))


class Pairs(nn.Module):
    """Frames to evidence beside the rows."""

    def __init__(self, net: CompactNet, robot: str) -> None:
        super().__init__()
        self.net, self.robot = net, robot

    def forward(self, *videos: Tensor) -> Tensor:
        """Return ``[1, T, width]`` of a view's ``uint8 [1, T+1, H, W, 3]`` each."""
        return self.net.evidence(self.robot, [from_bytes(video) for video in videos])


@dataclass(frozen=True)
class Graph:
    """One part to be exported: its module, example inputs by name, and names of its outputs."""

    name: str
    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: Sequence[str]


def graphs(net: CompactNet, robot: str, seed: int = 0) -> list[Graph]:
    """Return the parts for one robot, with random example inputs."""
    source = torch.Generator().manual_seed(seed)
    inputs, width = net.inputs[robot], net.sizes.width
    steps, views = inputs.chunk_size, range(len(inputs.views))

    def picture(*shape: int) -> Tensor:
        return torch.randint(0, 256, shape, generator=source, dtype=torch.uint8)

    def number(*shape: int) -> Tensor:
        return torch.randn(shape, generator=source)

    seen = {
        "state": number(1, inputs.state_size),
        "words": torch.tensor([[3, 9, 17, 21, 12, 20] + [0] * 10]),
        **{f"picture_{i}": picture(1, v.height, v.width, 3) for i, v in enumerate(inputs.views)},
    }
    encode = Encode(net, robot)
    with torch.no_grad():
        memory, *features = encode(*seen.values())
    rows = {
        "memory": memory,
        "noise": number(1, steps, inputs.action_dim),
        "given": number(1, steps, inputs.action_dim).clamp(-1, 1),
        "is_given": (torch.arange(steps) < 3).float()[None],
        "evidence": number(1, steps, width) * 0.1,
    }
    moved = {"memory": memory, "rows": rows["given"], **{f"features_{i}": f for i, f in enumerate(features)}}
    videos = {f"video_{i}": picture(1, steps + 1, v.height, v.width, 3) for i, v in enumerate(inputs.views)}
    return [
        Graph("encode", encode, seen, ["memory_out", *(f"features_out_{i}" for i in views)]),
        Graph("act", Act(net, robot), rows, ["actions", "spread", "classes"]),
        Graph("frames", Frames(net, robot), moved, ["frame_spread", *(f"fields_{i}" for i in views)]),
        Graph("pairs", Pairs(net, robot), videos, ["evidence_out"]),
    ]
