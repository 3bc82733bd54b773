"""The network: one trunk for policy, forward dynamics and inverse dynamics, of one or several robots.

``encode`` reads views, state and instruction into a memory. ``act`` reads action rows at any level of noise, each with
its own, against the memory: rows that are given have none, which is how committed rows (training-time real-time
chunking) and forward dynamics are asked for. Evidence from pairs of frames beside the rows makes it inverse dynamics.
``frame_fields`` turns what is known of the rows into frames. What is not given is masked by zeros and flags.

Actions are found by flow matching from noise, predicting the clean rows, in a few steps of equal size; the grippers'
openings are classes besides, read at the last step, so that they follow the mode that the flow went to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cosmos_ros.world_models.compact.robot_inputs import RobotInputs
from cosmos_ros.world_models.compact.words import MAX_WORDS
from training.heads import FrameHead, PairEncoder
from training.layers import Layer, TextEncoder, Trunk, coordinates, sinusoids

# Classes of a gripper's column: equal parts of the normalised range, -1 to 1.
OPENING_CLASSES = 16


@dataclass(frozen=True)
class Sizes:
    """How large the network is, and in how many steps it acts.

    Attributes:
        width, heads, expand: Of the attention layers.
        reading, acting: Layers that read the memory together, and that make rows of it.
        channels: Of the trunk at strides 2, 4, 8 and 16.
        text: Width of the instruction's vector.
        frame_channels: Inside the frame head.
        flow_steps: From noise to rows.
    """

    width: int = 256
    heads: int = 8
    expand: int = 3
    reading: int = 3
    acting: int = 3
    channels: tuple[int, int, int, int] = (24, 48, 96, 176)
    text: int = 96
    frame_channels: int = 48
    flow_steps: int = 4


TINY = Sizes(width=32, heads=2, expand=2, reading=1, acting=1, channels=(8, 8, 16, 16), text=16, frame_channels=16)


@dataclass
class Encoded:
    """What ``encode`` found.

    Attributes:
        memory: ``[B, M, width]``.
        features: A view's ``[B, C, h, w]`` each, at a stride of 8.
    """

    memory: Tensor
    features: list[Tensor]

    def first(self, count: int) -> Encoded:
        """Return the first samples."""
        return Encoded(self.memory[:count], [f[:count] for f in self.features])


@dataclass
class Acted:
    """What ``act`` found.

    Attributes:
        rows: ``[B, T, D]`` clean.
        spread: ``[B, T]`` log of a Laplace distribution's scale.
        classes: ``[B, T, G, C]`` logits.
        hidden: ``[B, T, width]``.
    """

    rows: Tensor
    spread: Tensor
    classes: Tensor
    hidden: Tensor

    def split(self, counts: Sequence[int]) -> list[Acted]:
        """Return parts of so many samples."""
        parts = (each.split(list(counts)) for each in (self.rows, self.spread, self.classes, self.hidden))
        return [Acted(*part) for part in zip(*parts, strict=True)]


class _Robot(nn.Module):
    """What differs between robots: widths, and what each view is."""

    def __init__(self, robot: RobotInputs, sizes: Sizes) -> None:
        super().__init__()
        width, grippers = sizes.width, len(robot.gripper_columns)
        self.state = nn.Sequential(
            nn.Linear(robot.state_size, width // 2), nn.GELU("tanh"), nn.Linear(width // 2, 2 * width)
        )  # two tokens
        self.views = nn.Parameter(0.1 * torch.randn(len(robot.views), width))
        self.frame_views = nn.Parameter(0.1 * torch.randn(len(robot.views), width))
        self.rows_in = nn.Linear(robot.action_dim, width)
        self.rows_out = nn.Linear(width, robot.action_dim)
        self.classes = nn.Linear(width, grippers * OPENING_CLASSES)
        self.pair_views = nn.Parameter(0.1 * torch.randn(len(robot.views), 2 * width))


class CompactNet(nn.Module):
    """The network of some robots.

    Args:
        robots: Which.
        vocabulary: Number of word numbers.
        sizes: How large.
    """

    def __init__(self, robots: Sequence[RobotInputs], vocabulary: int, sizes: Sizes) -> None:
        super().__init__()
        self.sizes, self.inputs = sizes, {robot.embodiment: robot for robot in robots}
        width = sizes.width
        self.robots = nn.ModuleDict({robot.embodiment: _Robot(robot, sizes) for robot in robots})
        self.text = TextEncoder(vocabulary, MAX_WORDS, sizes.text)
        self.text_token = nn.Linear(sizes.text, width)
        self.trunk = Trunk(sizes.channels, sizes.text)
        # What is seen and where are added at about the same size, so that neither drowns the other.
        self.look_norm = nn.LayerNorm(sizes.channels[3])
        self.look = nn.Linear(sizes.channels[3], width)
        self.place = nn.Linear(32, width)
        self.reading = nn.ModuleList(
            Layer(width, sizes.heads, sizes.expand, crossed=False) for _ in range(sizes.reading)
        )
        self.read_norm = nn.LayerNorm(width)
        self.chunk = max(robot.chunk_size for robot in robots)
        self.row_places = nn.Parameter(0.1 * torch.randn(self.chunk, width))
        self.noise_level = nn.Sequential(nn.Linear(64, width), nn.GELU("tanh"), nn.Linear(width, width))
        self.acting = nn.ModuleList(Layer(width, sizes.heads, sizes.expand, crossed=True) for _ in range(sizes.acting))
        self.act_norm = nn.LayerNorm(width)
        self.spread = nn.Linear(width, 1)
        self.frame_spread = nn.Linear(width, 1)
        self.find = nn.Linear(width, 3)
        self.frames = FrameHead(sizes.channels[2], width, sizes.frame_channels)
        self.pairs = PairEncoder(width)

    def compile_layers(self) -> None:
        """Compile what most of the time of a training step goes to."""
        for part in (self.trunk, self.frames, self.pairs, *self.reading, *self.acting):
            part.compile(dynamic=False)

    def encode(self, robot: str, pictures: Sequence[Tensor], state: Tensor, words: Tensor) -> Encoded:
        """Read what is seen.

        Args:
            robot: Whose.
            pictures: A view's ``[B, 3, H, W]`` each, -1 to 1.
            state: ``[B, S]`` normalised; zeros where not known.
            words: ``int64 [B, L]``.
        """
        own = self.robots[robot]
        text = self.text(words)
        tokens, features = [], []
        for number, (fine, coarse) in enumerate(self._seen(pictures, text)):
            features.append(fine)
            height, width = coarse.shape[-2:]
            grid = coordinates(height, width, coarse.device).flatten(1).T
            place = torch.cat((sinusoids(grid[:, 0], 16, 8.0), sinusoids(grid[:, 1], 16, 8.0)), dim=-1)
            seen = self.look_norm(coarse.flatten(2).transpose(1, 2))
            tokens.append(self.look(seen) + self.place(place.to(seen.dtype)) + own.views[number])
        known = own.state(state).reshape(len(state), 2, -1)
        memory = torch.cat((*tokens, known, self.text_token(text)[:, None]), dim=1)
        for layer in self.reading:
            memory = layer(memory)
        return Encoded(self.read_norm(memory), features)

    def _seen(self, pictures: Sequence[Tensor], text: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the trunk's features of each view; views of one size go through it together."""
        if len({picture.shape[-2:] for picture in pictures}) > 1:
            return [self.trunk(picture, text) for picture in pictures]
        count = len(pictures)
        fine, coarse = self.trunk(torch.cat(list(pictures)), text.repeat(count, 1))
        return list(zip(fine.chunk(count), coarse.chunk(count), strict=True))

    def remember(self, memory: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return keys and values of the memory for each acting layer, for several calls of ``act``."""
        return [layer.remember(memory) for layer in self.acting]

    def act(
        self,
        robot: str,
        remembered: Sequence[tuple[Tensor, Tensor]],
        rows: Tensor,
        level: Tensor,
        evidence: Tensor,
    ) -> Acted:
        """Read noisy rows.

        Args:
            robot: Whose.
            remembered: Of the memory.
            rows: ``[B, T, D]``.
            level: ``[B, T]`` 0 pure noise to 1 given.
            evidence: ``[B, T, width]`` of pairs of frames; zeros without.
        """
        own = self.robots[robot]
        x = own.rows_in(rows) + self.row_places[: rows.shape[1]] + self.noise_level(sinusoids(level, 64, 256.0))
        x = x + evidence
        for layer, pair in zip(self.acting, remembered, strict=True):
            x = layer(x, pair)
        hidden = self.act_norm(x)
        classes = own.classes(hidden).reshape(*hidden.shape[:2], -1, OPENING_CLASSES)
        return Acted(own.rows_out(hidden), self.spread(hidden)[..., 0], classes, hidden)

    def where(self, memory: Tensor) -> Tensor:
        """Return ``[B, 3]``, where the named thing is. Asked in training alone, so that it is looked for."""
        return self.find(memory[:, -1])

    def frame_fields(self, robot: str, features: Sequence[Tensor], hidden: Tensor) -> list[Tensor]:
        """Return a view's fields each for ``hidden [B, K, width]`` of some rows."""
        own = self.robots[robot]
        return [self.frames(seen, hidden + own.frame_views[i]) for i, seen in enumerate(features)]

    def evidence(self, robot: str, videos: Sequence[Tensor]) -> Tensor:
        """Return ``[B, T, width]`` of a view's ``[B, T+1, 3, H, W]`` each."""
        own = self.robots[robot]
        batch, count = videos[0].shape[0], videos[0].shape[1] - 1
        total = torch.zeros(1, device=videos[0].device)
        for view, video in zip(own.pair_views, videos, strict=True):
            total = total + self.pairs(video[:, :-1].flatten(0, 1), video[:, 1:].flatten(0, 1), view)
        return total.reshape(batch, count, -1)

    def sample(
        self, robot: str, memory: Tensor, noise: Tensor, given: Tensor, is_given: Tensor, evidence: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Go from noise to rows.

        Args:
            robot: Whose.
            memory: ``[B, M, width]``.
            noise: ``[B, T, D]`` standard normal.
            given: ``[B, T, D]`` rows that are given; others are ignored.
            is_given: ``[B, T]`` 1 where a row is given, else 0.
            evidence: ``[B, T, width]``.

        Returns:
            Rows ``[B, T, D]``, spread ``[B, T]`` of the first step, classes ``[B, T, G, C]`` of the last.
        """
        remembered = self.remember(memory)
        keep = is_given[..., None]
        x = noise * (1.0 - keep) + given * keep
        spread = classes = None
        steps = self.sizes.flow_steps
        for step in range(steps):
            level = is_given + (1.0 - is_given) * (step / steps)
            found = self.act(robot, remembered, x, level, evidence)
            spread = found.spread if spread is None else spread
            classes = found.classes
            ahead = x + (found.rows - x) / (steps - step)
            x = ahead * (1.0 - keep) + given * keep
        assert spread is not None
        assert classes is not None
        return x, spread, classes
