"""Heads of the network: future frames by warping the first, and what two frames say about the motion between them."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.layers import Norm, coordinates

# Fields of a predicted frame: displacement x and y, share of new content, its colour.
FIELDS = 6
# Fields have a pixel for so many of the view.
FIELD_STRIDE = 4


class FrameHead(nn.Module):
    """Predicts, for each step, where each pixel comes from, and what is new.

    Args:
        features: Channels of the trunk's features at a stride of 8.
        width: Of the steps' vectors.
        channels: Inside.
    """

    def __init__(self, features: int, width: int, channels: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(features, channels, 1)
        self.steer = nn.Linear(width, 4 * channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv3 = nn.Conv2d(channels, channels, 3, padding=1)
        self.fields = nn.Conv2d(channels, 4 * FIELDS, 1)
        nn.init.normal_(self.fields.weight, std=0.01)
        nn.init.zeros_(self.fields.bias)
        with torch.no_grad():
            self.fields.bias[2 * 4 : 3 * 4] = -3.0  # at first nothing is new

    def forward(self, features: Tensor, steps: Tensor) -> Tensor:
        """Return fields ``[B, K, FIELDS, h, w]`` of features ``[B, C, h/2, w/2]`` and steps ``[B, K, width]``."""
        batch, count = steps.shape[:2]
        seen = self.look(features)
        scale, shift, scale2, shift2 = self.steer(steps).flatten(0, 1)[:, :, None, None].chunk(4, dim=1)
        x = seen[:, None].expand(-1, count, -1, -1, -1).flatten(0, 1)
        x = functional.relu(self.conv1(functional.relu(x * (1.0 + scale) + shift)))
        x = functional.relu(self.conv2(x) * (1.0 + scale2) + shift2)
        x = x + functional.relu(self.conv3(x))
        fields = functional.pixel_shuffle(self.fields(x), 2)
        flow, share, colour = fields.split((2, 1, 3), dim=1)
        fields = torch.cat((flow, torch.sigmoid(share), torch.tanh(colour)), dim=1)
        return fields.reshape(batch, count, FIELDS, *fields.shape[-2:])


def enlarged(fields: Tensor, height: int, width: int) -> Tensor:
    """Return ``[N, C, h, w]`` at another size as ``interpolate(mode="bilinear")`` does.

    As two products with fixed matrices, whose gradient is two more; interpolate's adds up pixel by pixel on CUDA.
    """
    return (
        _between(fields.shape[-2], height, fields.device) @ fields @ _between(fields.shape[-1], width, fields.device).T
    )


def _between(size: int, wanted: int, device: torch.device) -> Tensor:
    """Return the matrix ``[wanted, size]`` of linear interpolation between pixels' middles."""
    each = torch.eye(size, device=device)[None]
    return functional.interpolate(each, size=wanted, mode="linear", align_corners=False)[0].T


def compose_frames(first: Tensor, fields: Tensor) -> Tensor:
    """Return frames ``[B, K, 3, H, W]`` of the first ones ``[B, 3, H, W]`` and fields.

    A displacement is in shares of half the picture; each pixel is looked up that far away in the first picture and
    replaced by the new colour in part.
    """
    batch, count = fields.shape[:2]
    height, width = first.shape[-2:]
    # Fields are made of features that cover a little more than the picture where it is no multiple of their stride.
    with torch.autocast(first.device.type, enabled=False):
        whole = enlarged(fields.flatten(0, 1).float(), height, width)
    flow, share, colour = whole.split((2, 1, 3), dim=1)
    # Exact pixels, not their half-precision numbers: no displacement is to look up each pixel itself.
    grid = (coordinates(height, width, first.device, exact=True) + flow).permute(0, 2, 3, 1)
    source = first.float()[:, None].expand(-1, count, -1, -1, -1).flatten(0, 1)
    moved = functional.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return (moved + share * (colour - moved)).reshape(batch, count, 3, height, width)


class PairEncoder(nn.Module):
    """Reads the motion off two consecutive pictures of a view."""

    def __init__(self, width: int, questions: int = 4) -> None:
        super().__init__()
        sizes = (8, 32, 64, 96, 128)
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 5 if a == 8 else 3, stride=2, padding=2 if a == 8 else 1) for a, b in pairwise(sizes)
        )
        self.norms = nn.ModuleList(Norm(8, b) for b in sizes[1:])
        self.more = nn.Conv2d(96, 96, 3, padding=1)
        self.ask = nn.Linear(128 + 2, questions)
        self.read = nn.Linear(questions * (128 + 2), width)
        self.out = nn.Linear(width, width)

    def forward(self, before: Tensor, after: Tensor, view: Tensor) -> Tensor:
        """Return ``[N, width]`` of pictures ``[N, 3, H, W]``, -1 to 1, of the view that ``[2 * width]`` stands for."""
        grid = coordinates(*before.shape[-2:], before.device).expand(len(before), -1, -1, -1)
        x = torch.cat((before, after - before, grid.to(before.dtype)), dim=1)
        for i, (down, norm) in enumerate(zip(self.down, self.norms, strict=True)):
            x = functional.relu(norm(down(x)))
            if i == 2:
                x = x + functional.relu(self.more(x))
        grid = coordinates(*x.shape[-2:], x.device).expand(len(x), -1, -1, -1)
        x = torch.cat((x, grid.to(x.dtype)), dim=1).flatten(2).transpose(1, 2)  # [N, places, C]
        share = self.ask(x).softmax(dim=1)
        scale, shift = view.chunk(2)
        read = functional.gelu(self.read((share.transpose(1, 2) @ x).flatten(1)), approximate="tanh")
        return self.out(read * (1.0 + scale) + shift)
