"""LPIPS (Zhang et al., CVPR 2018) by a network that the user has as ONNX; none is shipped."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from typing import Any

import numpy as np

from cosmos_ros.errors import ConfigError, InputError, ModelError
from cosmos_ros.types import Float32Array, UInt8Array

_BLOCK = 1 << 20


class Lpips:
    """A network that takes two images ``float32 [1, 3, H, W]``, RGB in [-1, 1], and gives their distance.

    That is what ``torch.onnx.export`` makes of the ``lpips`` package's networks with dynamic height and width.

    Args:
        path: ONNX file.
        sha256: What it must have (hex); empty takes any.

    Attributes:
        sha256: What it has.

    Raises:
        ConfigError: onnxruntime is not installed, the file is missing, or its hash is another.
        ModelError: It is no such network.
    """

    def __init__(self, path: Path, sha256: str = "") -> None:
        self._where = str(path)
        self.sha256 = _hash(path)
        if sha256 and self.sha256 != sha256.lower():
            raise ConfigError(f"its SHA-256 is {self.sha256}, not {sha256.lower()}", where=self._where)
        try:
            onnxruntime = importlib.import_module("onnxruntime")
        except ImportError as error:
            raise ConfigError(
                "onnxruntime is not installed", where="lpips", hint="Install it: pip install onnxruntime."
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # chunks are scored side by side, and sums in one order only
        try:
            self._session = onnxruntime.InferenceSession(self._where, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own errors share no base class
            raise ModelError(f"cannot be loaded: {error}", where=self._where) from error
        self._names = [entry.name for entry in self._session.get_inputs()]
        if len(self._names) != 2:
            raise ModelError(f"it takes {len(self._names)} inputs, not two images", where=self._where)

    def distance(self, predicted: UInt8Array, truth: UInt8Array) -> float:
        """Return the distance of two frames ``uint8 [H, W, 3]`` of one size; 0 for equal ones.

        Raises:
            InputError: The frames differ in size.
            ModelError: The network refuses them, or gives no finite number.
        """
        if predicted.shape != truth.shape:
            raise InputError(f"frames {list(predicted.shape)} and {list(truth.shape)} differ", where="lpips")
        given = dict(zip(self._names, map(_tensor, (predicted, truth)), strict=True))
        try:
            values: Any = np.asarray(self._session.run(None, given)[0], dtype=np.float64)
        except Exception as error:  # as above
            raise ModelError(f"cannot compare {list(truth.shape)}: {error}", where=self._where) from error
        if values.size != 1 or not np.isfinite(values).all():
            raise ModelError(f"it gave {list(values.shape)} numbers, or one that is not finite", where=self._where)
        return float(values.reshape(-1)[0])


def _tensor(frame: UInt8Array) -> Float32Array:
    planes = np.ascontiguousarray(frame.transpose(2, 0, 1)[None], dtype=np.float32)
    planes *= np.float32(2.0 / 255.0)
    planes -= np.float32(1.0)
    return planes


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error
    return digest.hexdigest()
