"""What the network is trained to do: one batch of one robot, three tasks over one encoding.

The first ``pairs`` samples of a batch are for inverse dynamics, the first ``frames`` for forward dynamics, and all but
those of inverse dynamics for the policy. Rows may be committed: half of the samples are given the first of their rows,
those of the teacher's plan or those that were really executed, and are taught what comes after.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.dataset import RobotData
from training.graphs import from_bytes
from training.heads import compose_frames
from training.model import OPENING_CLASSES, Acted, CompactNet, Encoded

# Errors below this, in normalised units, count as their square.
_ROUND = 0.05
# Places of things vary by about so much, m.
_ITEM_UNIT = 0.2
# Times by which a moving pixel counts more than one that stands.
_MOVING = 4.0
_STANDS = 0.06


@dataclass(frozen=True)
class Batch:
    """How a batch is made up.

    Attributes:
        size: Samples.
        frames: Of which also forward dynamics.
        pairs: Of which inverse dynamics, and no policy.
        times: Frames a sample of forward dynamics.
        committed: Share of policy samples with committed rows, and the most of those.
        jitter: Largest change of brightness.
        unknown: Share of samples that lack a part of the state; ``unknown_past`` the row that led there, with which the
            plan can be guessed without looking.
    """

    size: int = 384
    frames: int = 64
    pairs: int = 16
    times: int = 3
    committed: tuple[float, int] = (0.5, 8)
    jitter: float = 0.15
    unknown: float = 0.15
    unknown_past: float = 0.5


def losses(net: CompactNet, data: RobotData, batch: Batch, source: torch.Generator) -> dict[str, Tensor]:
    """Return the parts of the loss of one random batch, and figures of it whose names begin with an underscore."""
    robot, steps = data.robot.embodiment, data.robot.chunk_size
    device = data.labels.device
    long = data.draw(batch.frames, source, rows_after=steps)
    rows = torch.cat((long, data.draw(batch.size - batch.frames, source)))
    jitter = _jitter(batch, source, device)
    seen = data.seen(rows)
    way = torch.randint(data.words.shape[1], (batch.size,), generator=source, device=device)
    words = data.words[data.instruction[rows], way]
    state = _state(data, rows, batch, source)
    blind = torch.arange(batch.size, device=device) < batch.pairs
    words = torch.where(blind[:, None], 0, words)
    state = torch.where(blind[:, None], 0.0, state)
    noisy = [_noisy(p, jitter, source) for p in seen]
    encoded = net.encode(robot, noisy, state, words)

    policy = slice(batch.pairs, batch.size)
    numbers = torch.arange(steps + 1, device=device)
    moved = data.executed[long[:, None] + numbers[:-1]].float()
    pictures = [_jittered(from_bytes(p[: batch.frames]), jitter) for p in seen]
    target, is_given = committed_targets(data, rows[policy], batch, source)
    free, known = torch.zeros(batch.pairs, steps, device=device), torch.ones(batch.frames, steps, device=device)
    # One pass for all three questions: the layers that act are small, and each pass is hundreds of kernels.
    questions = [
        (encoded.memory[policy], *_noisy_rows(net, target, is_given, source)),
        (encoded.memory[: batch.frames], moved, known),
        (encoded.memory[: batch.pairs], *_noisy_rows(net, moved[: batch.pairs], free, source)),
    ]
    counts = [len(memory) for memory, _, _ in questions]
    memory, noisy_rows, level = (torch.cat(part) for part in zip(*questions, strict=True))
    evidence = torch.zeros(sum(counts), steps, net.sizes.width, device=device)
    if batch.pairs:
        videos = [
            _jittered(from_bytes(video), jitter[: batch.pairs, None])
            for video in data.seen(long[: batch.pairs, None] + numbers)
        ]
        evidence = torch.cat((evidence[batch.pairs :], net.evidence(robot, videos).float()))
    acted, ahead, read = net.act(robot, net.remember(memory), noisy_rows, level, evidence).split(counts)
    parts = _row_losses(data, acted, target, is_given)
    parts |= _item_losses(net, data, encoded.memory[policy], rows[policy])
    parts |= _frame_losses(net, data, encoded.first(batch.frames), pictures, ahead, jitter, long, batch, source)
    if batch.pairs:
        inverse = _row_losses(data, read, moved[: batch.pairs], free)
        parts |= {f"inverse_{name}".replace("inverse__", "_inverse_"): value for name, value in inverse.items()}
    return parts


def total(parts: dict[str, Tensor]) -> Tensor:
    """Return the weighted sum of the parts."""
    weights = {
        "rows": 1.0, "item": 0.3, "classes": 0.1, "spread": 0.02, "frames": 1.0, "frame_spread": 0.01,
        "inverse_rows": 0.5, "inverse_classes": 0.05, "inverse_spread": 0.01,
    }  # fmt: skip
    return torch.stack([weights[name] * value for name, value in parts.items() if not name.startswith("_")]).sum()


def committed_targets(data: RobotData, rows: Tensor, batch: Batch, source: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return rows ``[B, T, D]`` to be found and ``[B, T]``, 1 where they are given."""
    device, count, steps = rows.device, len(rows), data.robot.chunk_size
    share, most = batch.committed

    def chance() -> Tensor:
        return torch.rand(count, generator=source, device=device)

    given = torch.randint(1, min(most, steps - 1) + 1, (count,), generator=source, device=device)
    given = torch.where(chance() < share, given, 0)
    # What was executed differs from the plan where something disturbed it; the plan of where that led goes on.
    executed = (chance() < 0.5) & (data.left[rows] >= given)
    later = torch.where(executed, given, 0)
    numbers = torch.arange(steps, device=device)
    plan = data.labels[rows + later].float()
    behind = (numbers - later[:, None]).clamp(min=0)
    target = plan.gather(1, behind[..., None].expand_as(plan))
    inside = torch.minimum(numbers[None], data.left[rows][:, None])
    done = data.executed[rows[:, None] + inside].float()
    target = torch.where((numbers < later[:, None])[..., None], done, target)
    return target, (numbers < given[:, None]).float()


def _noisy_rows(net: CompactNet, target: Tensor, is_given: Tensor, source: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return rows ``[B, T, D]`` on their way from noise to the target, and how far ``[B, T]`` they are."""
    device, steps = target.device, net.sizes.flow_steps
    # Only the levels that sampling passes; the first, which decides most, twice as often.
    level = torch.randint(steps + 1, (len(target), 1), generator=source, device=device).sub(1).clamp(min=0) / steps
    level = is_given + (1.0 - is_given) * level
    noise = torch.randn(target.shape, generator=source, device=device)
    return level[..., None] * target + (1.0 - level[..., None]) * noise, level


def _row_losses(data: RobotData, found: Acted, target: Tensor, is_given: Tensor) -> dict[str, Tensor]:
    device, error = target.device, found.rows.float() - target
    weight = data.column_weights
    sooner = torch.linspace(1.0, 0.5, target.shape[1], device=device)
    wanted = (1.0 - is_given) * sooner
    rounded = (error.square() + _ROUND**2).sqrt() - _ROUND
    each = (rounded * weight).sum(-1) / weight.sum()
    rows = (each * wanted).sum() / wanted.sum()
    openings = target.index_select(-1, data.grippers)
    classes = ((openings + 1.0) * 0.5 * OPENING_CLASSES).long().clamp(0, OPENING_CLASSES - 1)
    logits = found.classes.float()
    missed = functional.cross_entropy(logits.flatten(0, -2), classes.flatten(), reduction="none").reshape(classes.shape)
    size = (error.detach().abs() * weight).sum(-1) / weight.sum()
    spread = found.spread.float().clamp(-6.0, 3.0)
    likely = spread + size * torch.exp(-spread)
    return {
        "rows": rows,
        "classes": (missed.mean(-1) * wanted).sum() / wanted.sum(),
        "spread": (likely * wanted).sum() / wanted.sum(),
        "_error": ((error.detach().abs().mean(-1)) * (1.0 - is_given)).sum() / (1.0 - is_given).sum(),
    }


def _item_losses(net: CompactNet, data: RobotData, memory: Tensor, rows: Tensor) -> dict[str, Tensor]:
    """Where the named thing is, relative to where tools are on average: until it is held, only pictures tell."""
    error = net.where(memory).float() - (data.items[rows] - data.mean[:3]) / _ITEM_UNIT
    length = error.norm(dim=-1)
    return {
        "item": ((length.square() + _ROUND**2).sqrt() - _ROUND).mean(),
        "_item_m": length.detach().mean() * _ITEM_UNIT,
    }


def _frame_losses(
    net: CompactNet, data: RobotData, encoded: Encoded, pictures: list[Tensor], ahead: Acted, jitter: Tensor,
    rows: Tensor, batch: Batch, source: torch.Generator,
) -> dict[str, Tensor]:  # fmt: skip
    device, count, steps = rows.device, len(rows), ahead.rows.shape[1]
    times = torch.randint(steps, (count, batch.times), generator=source, device=device)
    chosen = ahead.hidden.gather(1, times[..., None].expand(-1, -1, ahead.hidden.shape[-1]))
    fields = net.frame_fields(data.robot.embodiment, encoded.features, chosen)
    later = data.seen(rows[:, None] + times + 1)
    loss = torch.zeros((), device=device)
    sizes = torch.zeros(times.shape, device=device)
    squares, still = torch.zeros((), device=device), torch.zeros((), device=device)
    for picture, field, after in zip(pictures, fields, later, strict=True):
        truth = _jittered(from_bytes(after), jitter[:count, None])
        error = compose_frames(picture, field) - truth
        change = (truth - picture[:, None]).abs().amax(2, keepdim=True)
        weight = 1.0 + _MOVING * (change > _STANDS).float()
        loss = loss + (weight * (error.square() + 0.1 * error.abs())).mean()
        sizes = sizes + error.detach().abs().mean(dim=(2, 3, 4))
        squares = squares + error.detach().square().mean()
        still = still + (truth - picture[:, None]).square().mean()
    sizes = sizes / len(fields)
    spread = net.frame_spread(chosen)[..., 0].float().clamp(-8.0, 2.0)
    return {
        "frames": loss / len(fields),
        "frame_spread": (spread + sizes * torch.exp(-spread)).mean(),
        "_gain_db": 10.0 * torch.log10((still / squares.clamp(min=1e-9)).clamp(min=1e-9)),
    }


def _state(data: RobotData, rows: Tensor, batch: Batch, source: torch.Generator) -> Tensor:
    """Return normalised state vectors, of which some lack a part."""
    device = rows.device
    raw, known = data.states[rows], data.known[rows].clone()
    flags = raw.clone()
    for name, (first, last) in data.robot.flag_groups().items():
        odds = batch.unknown_past if name == "past" else batch.unknown
        lost = torch.rand(len(rows), generator=source, device=device) < odds
        known[:, first:last] = torch.where(lost[:, None], 0.0, known[:, first:last])
        flags[:, last - 1] = torch.where(lost, 0.0, raw[:, last - 1])
    return ((flags - data.mean) / data.std).clamp(-8.0, 8.0) * known


def _jitter(batch: Batch, source: torch.Generator, device: torch.device) -> Tensor:
    """Return gain and shift of each channel of each sample, ``[B, 2, 3]``."""
    change = (2.0 * torch.rand(batch.size, 2, 3, generator=source, device=device) - 1.0) * batch.jitter
    change[:, 0] += 1.0
    return change


def _noisy(pictures: Tensor, jitter: Tensor, source: torch.Generator) -> Tensor:
    """Return what the network is shown of ``uint8 [B, H, W, 3]``: another light and a little noise.

    In half precision under autocast: bytes are exact in it, and what is rounded is less than the noise.
    """
    kind = pictures.device.type
    half = torch.is_autocast_enabled(kind)
    seen = pictures.movedim(-1, -3).to(torch.get_autocast_dtype(kind) if half else torch.float32)
    gain, shift = jitter[:, 0, :, None, None], jitter[:, 1, :, None, None]
    seen = (seen * (gain / 127.5).to(seen.dtype) + (shift - gain).to(seen.dtype)).clamp(-1.0, 1.0)
    return seen + 0.02 * torch.empty_like(seen).normal_(generator=source)


def _jittered(pictures: Tensor, jitter: Tensor) -> Tensor:
    """Return pictures ``[..., 3, H, W]`` in another light."""
    gain, shift = jitter[: len(pictures), ..., 0, :, None, None], jitter[: len(pictures), ..., 1, :, None, None]
    return (pictures * gain + shift).clamp(-1.0, 1.0)
