"""Attention of the generated tokens over themselves and a text whose length is known only when it runs.

Keys and values lie in buffers of a fixed size, so that a CUDA graph serves every instruction; what is read of them is
given by a tensor on the device.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

# query [batch, tokens, heads, width], keys and values [batch, rows, key heads, width] → as query
Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def choose_attention(used: torch.Tensor, tokens: int, rows: int, dtype: torch.dtype) -> Attention:
    """Return the attention for buffers of one shape.

    Args:
        used: ``int32 [batch]`` rows that hold keys, on the device; may change between calls.
        tokens: Queries of each sample.
        rows: Rows of the buffers.
        dtype: Of queries, keys and values.
    """
    if used.is_cuda and dtype in (torch.bfloat16, torch.float16):
        return flash_attention(used, tokens, rows)
    return masked_attention(used, rows)


def masked_attention(used: torch.Tensor, rows: int) -> Attention:
    """Attention with a mask over the unused rows; runs everywhere."""
    row = torch.arange(rows, device=used.device)

    def attend(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        mask = (row < used[:, None])[:, None, None]
        query, keys, values = (x.transpose(1, 2) for x in (query, keys, values))
        return functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask, enable_gqa=True).transpose(
            1, 2
        )

    return attend


def flash_attention(used: torch.Tensor, tokens: int, rows: int) -> Attention:
    """Flash attention that reads the number of rows from the device."""
    batch = len(used)
    starts = torch.arange(batch + 1, device=used.device, dtype=torch.int32)
    query_starts, key_starts = starts * tokens, starts * rows

    def attend(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        out = torch.ops.aten._flash_attention_forward(
            query.flatten(0, 1), keys.flatten(0, 1), values.flatten(0, 1), query_starts, key_starts, tokens, rows,
            0.0, False, False, seqused_k=used,
        )[0]  # fmt: skip
        return out.view(query.shape)

    return attend
