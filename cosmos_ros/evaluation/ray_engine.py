"""Scores chunks on a Ray cluster: the same functions as the local engine, so the same figures to the last digit."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cosmos_ros.errors import ConfigError, ModelError
from cosmos_ros.evaluation.chunk_jobs import ChunkJob
from cosmos_ros.evaluation.components import Components, prepare
from cosmos_ros.evaluation.evaluation_options import EvaluationOptions

Complete = Callable[[Components, ChunkJob], Any]


class ChunkWorker:
    """One process with its own models. Made anew by Ray when it dies; its chunks are then scored again."""

    def __init__(self, options: EvaluationOptions, complete: Complete) -> None:
        # Ray runs a worker a core; threads beside it would only take each other's time.
        cv2.setNumThreads(1)
        self._components = prepare(options)
        self._complete = complete

    def score(self, job: ChunkJob) -> Any:
        """Return what ``complete`` makes of one chunk."""
        return self._complete(self._components, _writable(job))


def scored_by_ray(
    jobs: Iterator[ChunkJob],
    options: EvaluationOptions,
    complete: Complete,
) -> Iterator[tuple[ChunkJob, Any]]:
    """Yield (job, result) in the order of the jobs; two chunks a worker are on their way at a time.

    Args:
        jobs: Chunks.
        options: ``address``, ``ray_workers``, and what the workers load.
        complete: Scores a chunk with loaded components.

    Raises:
        ConfigError: Ray is not installed.
        ModelError: A worker died more often than it may.
    """
    try:
        import ray
    except ImportError as error:
        raise ConfigError("Ray is not installed", where="engine", hint="Install it: pip install ray.") from error
    began = not ray.is_initialized()
    if began:
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
        ray.init(
            address=options.address or None,
            include_dashboard=False if not options.address else None,
            log_to_driver=False,
            runtime_env={"env_vars": {"PYTHONPATH": path}},
        )
    workers: list[Any] = []
    try:
        count = options.ray_workers or os.cpu_count() or 1
        actor = ray.remote(max_restarts=5, max_task_retries=5)(ChunkWorker)
        workers = [actor.remote(replace(options, resume=False), complete) for _ in range(count)]
        waiting: deque[tuple[ChunkJob, Any]] = deque()
        for number, job in enumerate(jobs):
            waiting.append((job, workers[number % count].score.remote(job)))
            if len(waiting) >= 2 * count:
                yield _next(ray, waiting)
        while waiting:
            yield _next(ray, waiting)
    finally:
        for worker in workers:
            ray.kill(worker)
        if began:
            ray.shutdown()


def _next(ray: Any, waiting: deque[tuple[ChunkJob, Any]]) -> tuple[ChunkJob, Any]:
    job, reference = waiting.popleft()
    try:
        return job, ray.get(reference)
    except ray.exceptions.RayActorError as error:
        raise ModelError(f"a worker died too often: {error}", where="engine ray") from error


def _writable(job: ChunkJob) -> ChunkJob:
    """Return the job with arrays of its own: Ray's lie in shared memory and are read-only, which OpenCV refuses."""
    images = {view: np.array(image) for view, image in job.observation.images.items()}
    canvases = tuple(None if canvas is None else np.array(canvas) for canvas in job.canvases)
    return replace(job, observation=replace(job.observation, images=images), canvases=canvases)
