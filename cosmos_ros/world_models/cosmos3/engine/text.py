"""The understanding tower's keys and values: they see neither noise nor timestep, so one pass a prompt is enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_cosmos3 import _rotate_half


@dataclass(frozen=True)
class Text:
    """What the generation tower needs of a prompt.

    Attributes:
        keys, values: ``[layers, tokens, heads, head width]``, keys rotated.
        offset: Temporal position at which the generated tokens start.
    """

    keys: torch.Tensor
    values: torch.Tensor
    offset: float

    @property
    def length(self) -> int:
        """Number of tokens."""
        return int(self.keys.shape[1])


@torch.no_grad()  # type: ignore[untyped-decorator]
def understand(pipeline: Any, token_ids: list[int]) -> Text:
    """Run the understanding tower over a prompt, with the stock modules in the stock order.

    The numbers are bit-equal to those that the stock transformer computes anew at every step.
    """
    transformer = pipeline.transformer
    device = transformer.embed_tokens.weight.device
    segment = pipeline._prepare_text_segment(token_ids, device)
    hidden = transformer.embed_tokens(segment["input_ids"])
    cos, sin = rotary(transformer, segment["text_mrope_ids"], hidden.dtype)
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    keys, values = [], []
    last = len(transformer.layers) - 1
    for index, layer in enumerate(transformer.layers):
        attn = layer.self_attn
        normed = layer.input_layernorm(hidden)
        query = attn.norm_q(attn.to_q(normed).view(-1, attn.num_attention_heads, attn.head_dim))
        key = attn.norm_k(attn.to_k(normed).view(-1, attn.num_key_value_heads, attn.head_dim))
        value = attn.to_v(normed).view(-1, attn.num_key_value_heads, attn.head_dim)
        seen = key if attn.k_norm_und_for_gen is None else attn.k_norm_und_for_gen(key)
        keys.append(seen * cos + _rotate_half(seen) * sin)
        values.append(value)
        if index == last:
            break
        query = query * cos + _rotate_half(query) * sin
        key = key * cos + _rotate_half(key) * sin
        answer = dispatch_attention_fn(
            query[None],
            key[None],
            value[None],
            is_causal=True,
            enable_gqa=True,
            backend=attn.processor._attention_backend,
        )
        hidden = hidden + attn.to_out(answer.squeeze(0).flatten(-2, -1))
        hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
    return Text(torch.stack(keys), torch.stack(values), float(segment["vision_start_temporal_offset"]))


def rotary(transformer: Any, positions: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosines and sines ``[tokens, head width]`` of mRoPE positions ``[3, tokens]``."""
    cos, sin = transformer.rotary_emb(position_ids=positions.unsqueeze(1), device=positions.device, dtype=dtype)
    return cos.squeeze(0), sin.squeeze(0)
