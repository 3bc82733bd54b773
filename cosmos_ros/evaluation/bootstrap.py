"""Bootstrap intervals of means."""

from __future__ import annotations

import math

import numpy as np

from cosmos_ros.types import FloatArray

_BATCH_VALUES = 2_000_000


def resampled_means(values: FloatArray, resamples: int, generator: np.random.Generator) -> FloatArray:
    """Return the means ``float64 [resamples]`` of samples drawn with replacement; NaN for fewer than two values."""
    means: FloatArray = np.full(resamples, math.nan)
    if len(values) < 2:
        return means
    batch = max(1, _BATCH_VALUES // len(values))
    for begin in range(0, resamples, batch):
        count = min(batch, resamples - begin)
        means[begin : begin + count] = values[generator.integers(0, len(values), size=(count, len(values)))].mean(1)
    return means


def percentile_interval(means: FloatArray, level: float) -> tuple[float, float]:
    """Return the interval that holds a share ``level`` of the resampled means; NaNs where they are."""
    low, high = np.quantile(means, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)
