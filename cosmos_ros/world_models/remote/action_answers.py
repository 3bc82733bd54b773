"""Reads what a server calls an action, trusting nothing in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cosmos_ros.errors import ModelError
from cosmos_ros.types import Float32Array, Request
from cosmos_ros.world_models.remote.network import shown

_FLOAT32_MAX = 3.4e38


def read_action(where: str, payload: Any, request: Request) -> Float32Array:
    """Return ``float32 [T, D]`` of an action envelope ``{"data": [[…]], "shape": [T, D], …}`` or a bare nested list.

    What the envelope says about itself (shape, raw_action_dim, action_mode, domain_id) must agree with the data and
    with the request.

    Raises:
        ModelError: Names the field, or the first row and column that is not a finite number.
    """
    columns = request.action_dim
    rows = payload
    if isinstance(payload, Mapping):
        rows = payload.get("data", payload.get("values"))
        expected = {
            "shape": [request.chunk_size, columns],
            "raw_action_dim": columns,
            "action_mode": request.mode.value,
            "domain_id": request.domain_id,
        }
        for name, value in expected.items():
            said = payload.get(name)
            if said is not None and said != value:
                raise ModelError(f"the answer's action.{name} is {shown(said)}, expected {value}", where=where)
    if not isinstance(rows, list):
        raise ModelError(f"the answer has no action rows but {shown(rows)}", where=where)
    if len(rows) != request.chunk_size:
        raise ModelError(f"the answer has {len(rows)} action rows, expected {request.chunk_size}", where=where)
    for step, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != columns:
            found = len(row) if isinstance(row, list) else shown(row)
            raise ModelError(f"action row {step} has {found} columns, expected {columns}", where=where)
        for column, value in enumerate(row):
            if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _FLOAT32_MAX:
                raise ModelError(f"actions[{step}, {column}] is {shown(value)}", where=where)
    return np.array(rows, dtype=np.float32)
