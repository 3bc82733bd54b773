"""Physical action numbers to the model's numbers and back: one affine map a column, and the clamp."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cosmos_ros.embodiment.spec_action import Action, PoseBlock, block_width
from cosmos_ros.types import FloatArray


@dataclass(frozen=True)
class Normaliser:
    """The affine map ``physical = scale * normalised + offset`` of each column.

    Quantile (cosmos-framework ``action_normalization.py``): ``n = 2 (a - q01) / (q99 - q01) - 1``, so
    ``scale = (q99 - q01) / 2`` and ``offset = (q99 + q01) / 2``.

    Attributes:
        scale, offset: ``float64 [D]``.
        clamped: Normalised actions that go to the model are clamped to [-1, 1].
    """

    scale: FloatArray
    offset: FloatArray
    clamped: bool

    @classmethod
    def from_spec(cls, action: Action) -> Normaliser:
        """Build the map that an embodiment file describes."""
        width = action.dimension
        spec = action.normaliser
        scale, offset = np.ones(width), np.zeros(width)
        if spec.kind == "quantile":
            low, high = np.array(spec.q01, dtype=np.float64), np.array(spec.q99, dtype=np.float64)
            scale, offset = (high - low) / 2.0, (high + low) / 2.0
        elif spec.kind == "translation_scale":
            column = 0
            for block in action.layout:
                if isinstance(block, PoseBlock):
                    scale[column : column + 3] = 1.0 / spec.scale
                column += block_width(block)
        return cls(scale=scale, offset=offset, clamped=spec.clamp)

    def normalise(self, physical: FloatArray) -> FloatArray:
        """Return the model's numbers of physical ones ``[..., D]``, before any clamp."""
        return (physical - self.offset) / self.scale

    def denormalise(self, normalised: FloatArray) -> FloatArray:
        """Return the physical numbers of the model's ones ``[..., D]``."""
        return np.asarray(normalised, dtype=np.float64) * self.scale + self.offset

    def clamp(self, normalised: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Return the numbers clamped to [-1, 1] where the domain clamps, and a mask of the changed ones."""
        if not self.clamped:
            return normalised, np.zeros(normalised.shape, dtype=np.bool_)
        result = np.clip(normalised, -1.0, 1.0)
        # Rounding at the exact ends of the range is not a clamp worth reporting.
        return result, np.abs(normalised) > 1.0 + 1e-9
