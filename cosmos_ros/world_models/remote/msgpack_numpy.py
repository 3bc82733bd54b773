"""NumPy arrays in MessagePack as OpenPI's client marks them, read without trusting the sender."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

_KINDS = frozenset("fiub")  # no objects, strings, structures or complex numbers
# NumPy evaluates names that look like a list of types, so only plain ones are handed to it.
_DTYPE = re.compile(r"[<>|=]?[fiub?][0-9]{0,2}|bool|float(16|32|64)|u?int(8|16|32|64)")
_MAX_DIMENSIONS = 8
# Numbers travel as arrays, so messages have few parts. Without these bounds one of 64 MiB unpacks to gigabytes and
# holds the interpreter for as long.
_MAX_LENGTH = 256  # of a list or a map
_MAX_CONTAINERS = 4096


def pack(message: Mapping[str, Any]) -> bytes:
    """Return the message with arrays as ``{b"__ndarray__": True, b"data", b"dtype", b"shape"}``."""
    import msgpack

    return bytes(msgpack.packb(message, default=_encode))


def unpack(data: bytes) -> Any:
    """Return the message; raise ValueError for anything malformed, and for arrays of other than plain numbers."""
    import msgpack

    containers = 0

    def count(found: Any) -> Any:
        nonlocal containers
        containers += 1
        if containers > _MAX_CONTAINERS:
            raise ValueError(f"more than {_MAX_CONTAINERS} lists and maps")
        return _decode(found) if isinstance(found, dict) else found

    try:
        return msgpack.unpackb(
            data,
            object_hook=count,
            list_hook=count,
            strict_map_key=False,
            max_array_len=_MAX_LENGTH,
            max_map_len=_MAX_LENGTH,
        )
    except (
        *(msgpack.exceptions.UnpackException, msgpack.exceptions.ExtraData),
        *(ValueError, TypeError, OverflowError),
    ) as error:
        raise ValueError(f"not a MessagePack message: {error}") from error
    except RecursionError as error:
        raise ValueError("not a MessagePack message: nested too deeply") from error


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in _KINDS:
            raise TypeError(f"arrays of {value.dtype} cannot be sent")
        array = np.ascontiguousarray(value)
        return {b"__ndarray__": True, b"data": array.tobytes(), b"dtype": array.dtype.str, b"shape": array.shape}
    if isinstance(value, np.generic):
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _decode(found: dict[Any, Any]) -> Any:
    fields = {k.decode("utf-8", "replace") if isinstance(k, bytes) else k: v for k, v in found.items()}
    if "__ndarray__" in fields:
        dtype, shape, data = _dtype(fields.get("dtype")), fields.get("shape"), fields.get("data")
        if not isinstance(shape, list) or len(shape) > _MAX_DIMENSIONS or not isinstance(data, bytes):
            raise ValueError("malformed array")
        if any(not isinstance(n, int) or isinstance(n, bool) or n < 0 for n in shape):
            raise ValueError(f"malformed array shape {shape}")
        if math.prod(shape) * dtype.itemsize != len(data):
            raise ValueError(f"array of shape {shape} and {dtype} does not fit {len(data)} bytes")
        return np.frombuffer(data, dtype=dtype).reshape(shape)
    if "__npgeneric__" in fields:
        value = fields.get("data")
        if not isinstance(value, int | float):
            raise ValueError("malformed number")
        return _dtype(fields.get("dtype")).type(value)
    return found


def _dtype(name: Any) -> np.dtype[Any]:
    if isinstance(name, bytes):
        name = name.decode("ascii", "replace")
    if not isinstance(name, str) or not _DTYPE.fullmatch(name):
        raise ValueError(f"malformed array dtype {name!r:.40}")
    dtype = np.dtype(name)
    if dtype.kind not in _KINDS or dtype.fields is not None:
        raise ValueError(f"arrays of {dtype} are not read")
    return dtype
