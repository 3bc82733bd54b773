"""Building blocks of the network: a convolutional trunk steered by text, attention layers, position codes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def coordinates(height: int, width: int, device: torch.device, *, exact: bool = False) -> Tensor:
    """Return ``[2, height, width]``: x and y of each pixel's middle, -1 to 1.

    Unless they must be exact, they are rounded so that half precision holds them.
    """
    y = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) / height * 2 - 1
    x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) / width * 2 - 1
    if not exact:
        x, y = torch.round(x * 1024.0) / 1024.0, torch.round(y * 1024.0) / 1024.0
    return torch.stack((x[None, :].expand(height, width), y[:, None].expand(height, width)))


def sinusoids(values: Tensor, width: int, largest: float = 64.0) -> Tensor:
    """Return sines and cosines ``[..., width]`` of values ``[...]`` at frequencies from 1 to ``largest``."""
    count = width // 2
    steps = torch.arange(count, device=values.device, dtype=torch.float32) / max(count - 1, 1)
    angle = values[..., None].float() * torch.exp(math.log(largest) * steps)
    return torch.cat((angle.sin(), angle.cos()), dim=-1)


class Norm(nn.GroupNorm):
    """A group norm that keeps half precision under autocast; its sums are of single precision all the same."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x [B, C, ...]``, each group of channels normalised."""
        if not torch.is_autocast_enabled(x.device.type):
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return functional.group_norm(x, self.num_groups, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps)


class SteeredBlock(nn.Module):
    """A residual block of two 3x3 convolutions; a vector shifts and scales its channels (FiLM, Perez et al. 2018)."""

    def __init__(self, channels: int, steering: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = Norm(8, channels), Norm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.steer = nn.Linear(steering, 2 * channels)
        nn.init.zeros_(self.steer.weight)
        nn.init.zeros_(self.steer.bias)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, by: Tensor) -> Tensor:
        """Return features like ``x [B, C, H, W]``, steered ``by [B, steering]``."""
        scale, shift = self.steer(by)[:, :, None, None].chunk(2, dim=1)
        hidden = self.conv1(functional.relu(self.norm1(x)))
        hidden = self.norm2(hidden) * (1.0 + scale) + shift
        return x + self.conv2(functional.relu(hidden))


class Trunk(nn.Module):
    """Turns a view into features at a stride of 8 and of 16 pixels.

    Args:
        channels: At strides 2, 4, 8 and 16.
        steering: Width of the vector that steers it.
    """

    def __init__(self, channels: tuple[int, int, int, int], steering: int) -> None:
        super().__init__()
        c2, c4, c8, c16 = channels
        self.stem = nn.Conv2d(5, c2, 5, stride=2, padding=2)
        # Without norms between the strides what differs between pictures fades to a hundredth, and later grows at will.
        self.norm2, self.norm4, self.norm8 = (Norm(8, c) for c in (c2, c4, c8))
        self.down4 = nn.Conv2d(c2, c4, 3, stride=2, padding=1)
        self.block4 = SteeredBlock(c4, steering)
        self.down8 = nn.Conv2d(c4, c8, 3, stride=2, padding=1)
        self.block8 = SteeredBlock(c8, steering)
        self.down16 = nn.Conv2d(c8, c16, 3, stride=2, padding=1)
        self.block16 = SteeredBlock(c16, steering)

    def forward(self, pictures: Tensor, by: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``[B, c8, h, w]`` and ``[B, c16, h, w]`` of pictures ``[B, 3, H, W]``, -1 to 1."""
        grid = coordinates(*pictures.shape[-2:], pictures.device)
        x = torch.cat((pictures, grid.expand(len(pictures), -1, -1, -1).to(pictures.dtype)), dim=1)
        x = self.block4(self.down4(functional.relu(self.norm2(self.stem(x)))), by)
        fine = self.block8(self.down8(functional.relu(self.norm4(x))), by)
        return fine, self.block16(self.down16(functional.relu(self.norm8(fine))), by)


class Attention(nn.Module):
    """Attention of several heads; keys and values can be made once and used often."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.pair = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def remember(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values of ``[B, M, width]``."""
        key, value = self.pair(memory).chunk(2, dim=-1)
        return self._split(key), self._split(value)

    def forward(self, x: Tensor, remembered: tuple[Tensor, Tensor]) -> Tensor:
        """Return what ``x [B, N, width]`` finds there."""
        found = functional.scaled_dot_product_attention(self._split(self.query(x)), *remembered)
        return self.out(found.transpose(1, 2).reshape(x.shape))


class Layer(nn.Module):
    """Self-attention, then attention to a memory if there is one, then a small network; normalised before each."""

    def __init__(self, width: int, heads: int, expand: int, *, crossed: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.own = Attention(width, heads)
        self.crossed_norm = nn.LayerNorm(width) if crossed else None
        self.other = Attention(width, heads) if crossed else None
        self.last_norm = nn.LayerNorm(width)
        self.network = nn.Sequential(
            nn.Linear(width, expand * width), nn.GELU("tanh"), nn.Linear(expand * width, width)
        )

    def remember(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values of a memory ``[B, M, width]``."""
        assert self.other is not None
        return self.other.remember(memory)

    def forward(self, x: Tensor, remembered: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Return ``[B, N, width]``."""
        normed = self.norm(x)
        x = x + self.own(normed, self.own.remember(normed))
        if remembered is not None:
            assert self.other is not None
            assert self.crossed_norm is not None
            x = x + self.other(self.crossed_norm(x), remembered)
        return x + self.network(self.last_norm(x))


class TextEncoder(nn.Module):
    """Embeds word numbers; one layer of attention mixes them."""

    def __init__(self, vocabulary: int, longest: int, width: int) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)
        self.places = nn.Parameter(0.1 * torch.randn(longest, width))
        self.layer = Layer(width, 4, 2, crossed=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, words: Tensor) -> Tensor:
        """Return ``[B, width]`` of ``int64 [B, L]``, zero where there is no word."""
        there = (words > 0).float()[..., None]
        x = (self.words(words) + self.places) * there
        x = self.norm(self.layer(x)) * there
        return x.sum(dim=1) / there.sum(dim=1).clamp(min=1.0)
