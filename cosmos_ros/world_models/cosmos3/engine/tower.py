"""The generation tower: fused weights, and a layer as two compiled pieces around its attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from cosmos_ros.world_models.cosmos3.engine.attention import Attention


@dataclass(frozen=True)
class Layer:
    """One layer's weights, fused where they share an input.

    Attributes:
        qkv: ``[(heads + 2 key heads) width, hidden]``; out: ``[hidden, heads width]``.
        up: ``[2 intermediate, hidden]`` gate and up, or ``[intermediate, hidden]`` without a gate.
        down: ``[hidden, intermediate]``.
        qkv_bias, out_bias: The same rows, or None.
        norm_in, norm_mlp: ``[hidden]``; norm_q, norm_k: ``[width]``.
    """

    qkv: torch.Tensor
    qkv_bias: torch.Tensor | None
    out: torch.Tensor
    out_bias: torch.Tensor | None
    up: torch.Tensor
    down: torch.Tensor
    norm_in: torch.Tensor
    norm_mlp: torch.Tensor
    norm_q: torch.Tensor
    norm_k: torch.Tensor


@dataclass(frozen=True)
class Shape:
    """What is the same in every layer."""

    heads: int
    key_heads: int
    width: int
    eps: float
    gated: bool
    nemotron_norm: bool


class Tower:
    """The generation tower of a ``Cosmos3OmniTransformer``.

    Fusing moves the module's own weights: its parameters become views of the fused ones, so that the stock forward goes
    on working and nothing is held twice.
    """

    def __init__(self, transformer: Any) -> None:
        config = transformer.config
        self.shape = Shape(
            heads=config.num_attention_heads,
            key_heads=config.num_key_value_heads,
            width=config.head_dim,
            eps=config.rms_norm_eps,
            gated=config.hidden_act == "silu",
            nemotron_norm=config.hidden_act == "relu2",
        )
        self.layers = [_fused(layer, self.shape) for layer in transformer.layers]
        self.norm_out: torch.Tensor = transformer.norm_moe_gen.weight

    def pieces(self, compiler: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Pieces:
        """Return the tower's functions, each passed through a compiler (or the identity)."""
        shape = self.shape

        def first(x: torch.Tensor, layer: tuple[Any, ...], *place: torch.Tensor) -> torch.Tensor:
            return _project(_norm(x, layer[0], shape), layer, place, shape)

        def between(
            x: torch.Tensor, seen: torch.Tensor, this: tuple[Any, ...], following: tuple[Any, ...], *place: Any
        ) -> Any:
            x = _finish(x, seen, this, shape)
            return x, _project(_norm(x, following[0], shape), following, place, shape)

        def last(x: torch.Tensor, seen: torch.Tensor, this: tuple[Any, ...], norm: torch.Tensor) -> torch.Tensor:
            return _norm(_finish(x, seen, this, shape), norm, shape)

        return Pieces(compiler(first), compiler(between), compiler(last))

    def run(
        self,
        x: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        attend: Attention,
        pieces: Pieces,
    ) -> torch.Tensor:
        """Run all layers.

        Args:
            x: ``[batch, tokens, hidden]``.
            cos, sin: ``[batch, tokens, 1, width]``.
            keys, values: ``[layers, batch, tokens + text, key heads, width]``; the text's rows hold its keys and
                values, the first rows are overwritten.
            attend: Attention over those.
            pieces: From :meth:`pieces`.

        Returns:
            ``[batch, tokens, hidden]`` after the last norm.
        """
        layers, tokens = [_weights(layer) for layer in self.layers], x.shape[1]
        places = [(cos, sin, k[:, :tokens], v[:, :tokens]) for k, v in zip(keys, values, strict=True)]
        query = pieces.first(x, layers[0], *places[0])
        for index in range(len(layers) - 1):
            seen = attend(query, keys[index], values[index])
            x, query = pieces.between(x, seen, layers[index], layers[index + 1], *places[index + 1])
        return pieces.last(x, attend(query, keys[-1], values[-1]), layers[-1], self.norm_out)


@dataclass(frozen=True)
class Pieces:
    """The tower's functions, compiled or not."""

    first: Callable[..., Any]
    between: Callable[..., Any]
    last: Callable[..., Any]


def _weights(layer: Layer) -> tuple[Any, ...]:
    return (
        layer.norm_in, layer.qkv, layer.qkv_bias, layer.norm_q, layer.norm_k,
        layer.out, layer.out_bias, layer.norm_mlp, layer.up, layer.down,
    )  # fmt: skip


def _norm(x: torch.Tensor, weight: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Diffusers' RMSNorm, and its Nemotron variant, with their roundings."""
    wide = x.float()
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + shape.eps)
    if shape.nemotron_norm:
        return (weight.float() * wide).to(x.dtype)
    return wide.to(weight.dtype) * weight


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sin


def _project(h: torch.Tensor, layer: tuple[Any, ...], place: tuple[Any, ...], shape: Shape) -> torch.Tensor:
    """Return the queries; write keys and values to their place."""
    _, qkv, qkv_bias, norm_q, norm_k = layer[:5]
    cos, sin, keys, values = place
    batch, tokens = h.shape[:2]
    rows = functional.linear(h, qkv, qkv_bias).view(batch, tokens, shape.heads + 2 * shape.key_heads, shape.width)
    query, key, value = rows.split((shape.heads, shape.key_heads, shape.key_heads), dim=2)
    keys.copy_(_rotate(_norm(key, norm_k, shape), cos, sin))
    values.copy_(value)
    return _rotate(_norm(query, norm_q, shape), cos, sin)


def _finish(x: torch.Tensor, seen: torch.Tensor, layer: tuple[Any, ...], shape: Shape) -> torch.Tensor:
    """Return the layer's output: attention's projection and the MLP, each added."""
    out, out_bias, norm_mlp, up, down = layer[5:]
    x = x + functional.linear(seen.flatten(-2), out, out_bias)
    h = functional.linear(_norm(x, norm_mlp, shape), up)
    if shape.gated:
        gate, h = h.chunk(2, dim=-1)
        h = functional.silu(gate) * h
    else:
        h = torch.relu(h).square()
    return x + functional.linear(h, down)


def _fused(layer: Any, shape: Shape) -> Layer:
    attn, mlp = layer.self_attn, layer.mlp_moe_gen
    qkv, qkv_bias = fuse([attn.add_q_proj, attn.add_k_proj, attn.add_v_proj])
    up, _ = fuse([mlp.gate_proj, mlp.up_proj] if shape.gated else [mlp.up_proj])
    return Layer(
        qkv=qkv,
        qkv_bias=qkv_bias,
        out=attn.to_add_out.weight,
        out_bias=attn.to_add_out.bias,
        up=up,
        down=mlp.down_proj.weight,
        norm_in=layer.input_layernorm_moe_gen.weight,
        norm_mlp=layer.post_attention_layernorm_moe_gen.weight,
        norm_q=attn.norm_added_q.weight,
        norm_k=attn.norm_added_k.weight,
    )


def fuse(linears: list[Any]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return one weight and bias for linears with the same input; theirs become views of it."""
    weight = _joined([linear.weight for linear in linears])
    bias = None if linears[0].bias is None else _joined([linear.bias for linear in linears])
    return weight, bias


def _joined(parameters: list[torch.nn.Parameter]) -> torch.Tensor:
    whole = torch.cat([parameter.data for parameter in parameters])
    for parameter, rows in zip(parameters, whole.split([len(p) for p in parameters]), strict=True):
        parameter.data = rows
    return whole
