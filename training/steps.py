"""One step of training after another; on a card each robot's step is recorded once and replayed.

A step is some two thousand small kernels, and launching them one by one takes longer than running them. The card
replays a recorded step (a CUDA graph) by itself; random numbers, the rate and the row numbers are drawn anew each time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from training.dataset import RobotData
from training.losses import Batch, losses, total
from training.model import CompactNet

# A robot's steps before its step is recorded: libraries choose their algorithms, and what is compiled is.
_BEFORE_RECORDING = 5


class Steps:
    """Takes steps, and keeps the sums of their figures.

    Args:
        net: The network.
        data: Robot → rows, on the network's device.
        optimizer: Of its parameters; on a card, one that can be recorded.
        batch: What a batch is made of.
        largest_gradient: Longer gradients are shortened to this norm.
    """

    def __init__(
        self,
        net: CompactNet,
        data: Mapping[str, RobotData],
        optimizer: torch.optim.Optimizer,
        batch: Batch,
        largest_gradient: float,
    ) -> None:
        self._net, self._data, self._optimizer = net, data, optimizer
        self._batch, self._largest = batch, largest_gradient
        self._device = next(net.parameters()).device
        self._on_card = self._device.type == "cuda"
        self._source = torch.Generator(self._device)
        self._stream = torch.cuda.Stream() if self._on_card else None
        self._taken = dict.fromkeys(data, 0)
        self._recorded: dict[str, tuple[torch.cuda.CUDAGraph, Tensor]] = {}
        self._names: list[str] = []
        self._sums: Tensor | None = None
        self._count = 0

    def take(self, robot: str, seed: int) -> None:
        """Take one step with a batch of one robot whose random numbers come from a seed."""
        self._source.manual_seed(seed)
        with self._beside():
            if self._on_card and robot not in self._recorded and self._taken[robot] >= _BEFORE_RECORDING:
                self._recorded[robot] = self._record(robot)
            if robot in self._recorded:
                graph, figures = self._recorded[robot]
                graph.replay()
            else:
                figures = self._step(robot)
            self._sums = figures.clone() if self._sums is None else self._sums.add_(figures)
        self._taken[robot] += 1
        self._count += 1

    def figures(self) -> dict[str, float]:
        """Return the means of the figures of the steps since the last call."""
        if self._sums is None:
            return {}
        means = (self._sums / self._count).tolist()
        self._sums, self._count = None, 0
        return dict(zip(self._names, means, strict=True))

    @contextlib.contextmanager
    def _beside(self) -> Iterator[None]:
        """Steps run on a stream of their own, as recording asks; everything else waits for them, and they for it."""
        if self._stream is None:
            yield
            return
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            yield
        torch.cuda.current_stream().wait_stream(self._stream)

    def _record(self, robot: str) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._source)
        self._optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph, stream=self._stream):
            figures = self._step(robot)
        return graph, figures

    def _step(self, robot: str) -> Tensor:
        """Take a step; return its figures."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._on_card):
            parts = losses(self._net, self._data[robot], self._batch, self._source)
        self._optimizer.zero_grad(set_to_none=True)
        total(parts).backward()
        norm = torch.nn.utils.clip_grad_norm_(self._net.parameters(), self._largest)
        self._optimizer.step()
        parts = {**parts, "_gradient": norm}
        self._names = list(parts)
        return torch.stack([value.detach().float() for value in parts.values()])
