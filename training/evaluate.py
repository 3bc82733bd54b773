"""Figures of an exported model on held-out episodes, each with its n and a 95 % interval, as JSON.

Run: python -m training.evaluate MODEL --embodiment franka --episodes 24 --json out/figures.json

The episodes are the teacher's, partly disturbed, of seeds from ten million up; the model is asked through the backend
``compact``, as a robot would ask it. The closed loop is measured by ``training.closed_loop``.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from cosmos_ros.evaluation.bootstrap import percentile_interval, resampled_means
from cosmos_ros.evaluation.frame_metrics import mean_squared_error, moving_pixels, psnr_of
from cosmos_ros.se3 import matrix_from_pose9d
from cosmos_ros.types import Float32Array, FloatArray, Mode, UInt8Array
from cosmos_ros.world_models import create_world_model
from cosmos_ros.world_models.backends.flow import extrapolate_frames
from cosmos_ros.world_models.protocol import WorldModel
from training.generate import SMALLEST_MEASURED, DataOptions, make_shard
from training.questions import Asker
from training.robots import EYES

Figure = dict[str, Any]
_RESAMPLES = 2000
_COMMITTED = 4
_DAMPING = 0.85


def mean_figure(values: Sequence[float], unit: str) -> Figure:
    """Return mean, n and a 95 % bootstrap interval."""
    array = np.asarray([v for v in values if np.isfinite(v)], dtype=np.float64)
    low, high = percentile_interval(resampled_means(array, _RESAMPLES, np.random.default_rng(0)), 0.95)
    return {
        "value": float(array.mean()) if len(array) else None,
        "low": low,
        "high": high,
        "n": len(array),
        "unit": unit,
    }


def evaluate(
    model: Path | None, name: str, *, episodes: int, stride: int, width: int | None = None,
    first_seed: int = SMALLEST_MEASURED,
) -> dict[str, Figure]:  # fmt: skip
    """Return figure → value, n, interval and unit.

    Args:
        model: Exported folder; None for the shipped one.
        name: The embodiment.
        episodes: How many episodes are asked about.
        stride: A question every so many rows.
        width: Of the canvases, pixels; None as they were trained with.
        first_seed: Each episode takes one, from here on.
    """
    world = create_world_model("compact", model=str(model or ""), embodiment=name, frame_scale=1.0)
    world.load()
    options = DataOptions(
        embodiment=name, episodes=episodes, first_seed=first_seed, width=width or EYES[name].canvas, clean=0.5
    )
    asker = Asker(name, make_shard(options, 0, measuring=True))
    figures: dict[str, Figure] = {}
    try:
        for part in (forward_dynamics, inverse_dynamics, policy, seams):
            figures |= part(world, asker, stride)
    finally:
        world.close()
    return figures | latencies(model, asker)


def forward_dynamics(world: WorldModel, asker: Asker, stride: int) -> dict[str, Figure]:
    """Return PSNR on moving pixels over 16 steps: the model, the first frame held, optical flow, wrong actions."""
    steps = asker.embodiment.chunk_size
    rows = asker.rows(steps, stride)
    rng = np.random.default_rng(0)
    travel = np.cumsum(_DAMPING ** np.arange(1, steps + 1))
    scores: dict[str, list[float]] = {"model": [], "held": [], "flow": [], "wrong": []}
    for row in rows:
        truth = asker.shard["canvas"][row : row + steps + 1]
        others = [r for r in rows if asker.episode(r) != asker.episode(row)]
        wrong = asker.executed(int(rng.choice(others))) if others else None
        predicted = {
            "model": _frames(world, asker, row, asker.executed(row)),
            "held": np.repeat(truth[:1], steps + 1, axis=0),
            "flow": extrapolate_frames(asker.shard["canvas"][row - 1], truth[0], travel),
            **({} if wrong is None else {"wrong": _frames(world, asker, row, wrong)}),
        }
        masks = [moving_pixels(before, after) for before, after in pairwise(truth)]
        if all(mask is None for mask in masks):
            continue
        for who, frames in predicted.items():
            errors = [
                mean_squared_error(frame, after, mask)
                for frame, after, mask in zip(frames[1:], truth[1:], masks, strict=True)
                if mask is not None
            ]
            scores[who].append(psnr_of(float(np.mean(errors))))
    over = {
        who: np.subtract(scores["model"][: len(scores[who])], scores[who])
        for who in ("held", "flow", "wrong")
        if scores[who]
    }
    return {
        "forward_psnr": mean_figure(scores["model"], "dB"),
        **{f"forward_over_{who}": mean_figure(list(gain), "dB") for who, gain in over.items()},
    }


def _frames(world: WorldModel, asker: Asker, row: int, actions: Float32Array) -> UInt8Array:
    frames = world.predict(asker.request(row, Mode.FORWARD_DYNAMICS, actions=actions)).frames
    assert frames is not None
    return frames


def inverse_dynamics(world: WorldModel, asker: Asker, stride: int) -> dict[str, Figure]:
    """Return errors a step: translation against the mean step, rotation, and the share of right gripper sides."""
    off, length, turned, right = [], [], [], []
    layout = asker.embodiment.layout
    for row in asker.rows(asker.embodiment.chunk_size, stride):
        truth = asker.executed(row)
        found = world.predict(asker.request(row, Mode.INVERSE_DYNAMICS)).actions
        assert found is not None
        for block in layout.poses:
            a, b = (_motion(asker, rows, block.start) for rows in (found, truth))
            off += np.linalg.norm(a[:, :3, 3] - b[:, :3, 3], axis=1).tolist()
            length += np.linalg.norm(b[:, :3, 3], axis=1).tolist()
            cosine = (np.einsum("nij,nij->n", a[:, :3, :3], b[:, :3, :3]) - 1.0) / 2.0
            turned += np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))).tolist()
        for grip in layout.grips:
            right += ((found[:, grip.column] > 0) == (truth[:, grip.column] > 0)).astype(float).tolist()
    share = np.array(off) / max(float(np.mean(length)), 1e-9)
    return {
        "inverse_translation": mean_figure((100.0 * share).tolist(), "% of the mean step"),
        "inverse_rotation": mean_figure(turned, "degrees"),
        "inverse_gripper": mean_figure((100.0 * np.array(right)).tolist(), "% right"),
    }


def _motion(asker: Asker, rows: Float32Array, start: int) -> FloatArray:
    """Return the motion ``[T, 4, 4]`` of each row's pose block."""
    physical = asker.embodiment.normaliser.denormalise(np.asarray(rows, dtype=np.float64))
    return np.asarray(matrix_from_pose9d(physical[:, start : start + 9]))


def policy(world: WorldModel, asker: Asker, stride: int) -> dict[str, Figure]:
    """Return the error of chunks against the teacher's, and how well the uncertainty ranks it."""
    errors, uncertainty = [], []
    for row in asker.rows(1, stride):
        answer = world.predict(asker.request(row, Mode.POLICY))
        assert answer.actions is not None
        assert answer.uncertainty is not None
        errors.append(float(np.abs(answer.actions - asker.shard["labels"][row].astype(np.float32)).mean()))
        uncertainty.append(float(answer.uncertainty.mean()))

    def rank(pairs: FloatArray) -> float:
        if np.ptp(pairs, axis=0).min() == 0.0:  # all alike, as some samples of few are
            return float("nan")
        return float(spearmanr(pairs[:, 0], pairs[:, 1]).statistic)

    return {
        "policy_error": mean_figure(errors, "normalised, mean absolute"),
        "uncertainty_rank_correlation": _of_pairs(np.stack((errors, uncertainty), axis=1), rank),
    }


def _of_pairs(pairs: FloatArray, statistic: Callable[[FloatArray], float]) -> Figure:
    """Return a statistic of pairs with a bootstrap interval."""
    rng = np.random.default_rng(0)
    again = np.array([statistic(pairs[rng.integers(0, len(pairs), len(pairs))]) for _ in range(500)])
    low, high = np.nanquantile(again, [0.025, 0.975])
    return {"value": statistic(pairs), "low": float(low), "high": float(high), "n": len(pairs), "unit": ""}


def seams(world: WorldModel, asker: Asker, stride: int) -> dict[str, Figure]:
    """Return the change of the step between the last committed row and the first free one, with the rows given and not.

    The committed rows are those that were executed, disturbed or not. ``seam_own`` is the change that the teacher has
    there, whose plan goes on from where they led; the share is of what exceeds it.
    """
    jumps: dict[str, list[float]] = {"given": [], "free": [], "own": []}
    columns = [block.start + i for block in asker.embodiment.layout.poses for i in range(3)]
    scale = asker.embodiment.normaliser.scale[columns]
    for row in asker.rows(asker.embodiment.chunk_size, stride):
        committed = asker.executed(row)[:_COMMITTED]
        firsts = {"own": asker.shard["labels"][row + _COMMITTED][0].astype(np.float64)}
        for name, rows in (("given", committed), ("free", None)):
            answer = world.predict(asker.request(row, Mode.POLICY, committed=rows)).actions
            assert answer is not None
            firsts[name] = answer[_COMMITTED].astype(np.float64)
        for name, first in firsts.items():
            jumps[name].append(1e3 * float(np.linalg.norm((first[columns] - committed[-1, columns]) * scale)))
    given, free, own = (float(np.mean(jumps[name])) for name in ("given", "free", "own"))
    share = 100.0 * max(0.0, given - own) / max(free - own, 1e-9)
    return {
        **{f"seam_{name}": mean_figure(values, "mm") for name, values in jumps.items()},
        "seam_share": {"value": share, "n": len(jumps["given"]), "unit": "%"},
    }


def latencies(model: Path | None, asker: Asker, repeats: int = 30) -> dict[str, Figure]:
    """Return the median time of one policy chunk with frames and without, and the process's largest memory."""
    figures: dict[str, Figure] = {}
    request = asker.request(asker.rows(asker.embodiment.chunk_size, 1)[0], Mode.POLICY)
    for label, frames in (("chunk_with_frames", True), ("actions_alone", False)):
        world = create_world_model("compact", model=str(model or ""), embodiment=asker.name, frames=frames)
        world.load()
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            world.predict(request)
            times.append(1e3 * (time.perf_counter() - began))
        world.close()
        low, high = np.quantile(times, [0.025, 0.975])
        figures[label] = {
            "value": float(np.median(times)), "low": float(low), "high": float(high), "n": repeats, "unit": "ms"
        }  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    return figures | {"process_memory": {"value": peak, "n": 1, "unit": "MiB, the simulator's included"}}


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--embodiment", default="franka")
    parser.add_argument("--episodes", type=int, default=24)
    parser.add_argument("--stride", type=int, default=20, help="rows between questions")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    given = parser.parse_args(arguments)
    report(
        given.embodiment,
        evaluate(given.model, given.embodiment, episodes=given.episodes, stride=given.stride),
        given.json,
    )
    return 0


def report(name: str, figures: dict[str, Figure], json_to: Path | None) -> None:
    """Print figures, and write them as JSON where that is wanted."""
    print("\n".join(line_of(figure, value) for figure, value in figures.items()))
    if json_to is not None:
        json_to.parent.mkdir(parents=True, exist_ok=True)
        json_to.write_text(json.dumps({name: figures}, indent=1), encoding="utf-8")


def line_of(name: str, figure: Figure) -> str:
    """Return a figure as a line of text."""
    value = "none" if figure["value"] is None else f"{figure['value']:.3g}"
    interval = f" (95 %: {figure['low']:.3g} to {figure['high']:.3g})" if "low" in figure else ""
    return f"{name:30} {value} {figure['unit']}{interval}, n {figure['n']}"


if __name__ == "__main__":
    sys.exit(main())
