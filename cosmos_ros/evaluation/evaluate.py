"""Evaluates a world model on recordings: predictions against what then happened, chunk by chunk."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from cosmos_ros.errors import InputError
from cosmos_ros.evaluation.chunk_annotation import make_annotation
from cosmos_ros.evaluation.chunk_jobs import ChunkJob
from cosmos_ros.evaluation.chunks import SourceReport, chunk_jobs
from cosmos_ros.evaluation.components import Components, prepare
from cosmos_ros.evaluation.evaluation_options import EvaluationOptions
from cosmos_ros.evaluation.results_folder import METRICS, REPORT, TIMING, ResultStore, iterate_records
from cosmos_ros.evaluation.scoring import ScoredChunk, Scorer
from cosmos_ros.evaluation.summary import SCHEMA, stale_inputs, summarise, summarise_timing
from cosmos_ros.evaluation.thumbnails import ThumbnailStore, ThumbnailStrip, make_strip
from cosmos_ros.files import write_json
from cosmos_ros.recordings.annotation_merge import AnnotatedRecording, merge_annotations, remove_logs
from cosmos_ros.recordings.annotations import Annotation, AnnotationWriter
from cosmos_ros.version import __version__

_MAX_WAITING = 3
ProgressCallback = Callable[["EvaluationProgress"], None]


@contextmanager
def few_threads() -> Generator[None, None, None]:
    """Keep OpenCV to the threads that call it, and let them take turns soon, for as long as pools do the work.

    OpenCV's own threads wait by spinning, on the cores that the pools need.
    """
    threads, interval = cv2.getNumThreads(), sys.getswitchinterval()
    cv2.setNumThreads(1)
    sys.setswitchinterval(0.001)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
        sys.setswitchinterval(interval)


@dataclass(frozen=True)
class EvaluationProgress:
    """How far an evaluation is: recording, chunks done in all, share of this recording (0 to 1)."""

    bag: str
    chunks: int
    share: float


@dataclass(frozen=True)
class Outcome:
    """What an evaluation gave.

    Attributes:
        metrics: As in ``metrics.json``.
        timing: As in ``timing.json``.
        complete: False when it was interrupted or a recording could not be read.
        interrupted: It was stopped by the user.
        annotated: The annotated recordings that were written.
    """

    metrics: dict[str, Any]
    timing: dict[str, Any]
    complete: bool
    interrupted: bool
    annotated: tuple[AnnotatedRecording, ...] = ()


def evaluate(options: EvaluationOptions, progress: ProgressCallback = lambda _: None) -> Outcome:
    """Evaluate, and write ``chunks.jsonl``, ``metrics.json``, ``timing.json``, the report and the annotated recording.

    A KeyboardInterrupt ends the walk; what was done is summarised like a whole evaluation, marked as incomplete. A
    recording that cannot be read is named in the metrics, and the others are evaluated.

    Raises:
        ConfigError, CapabilityError, ModelError: Before anything is predicted.
        InputError: None of the recordings can be read.
    """
    components = prepare(options, load=options.engine == "local")
    run = _Evaluation(components, progress)
    try:
        return run.run()
    finally:
        components.close()


@dataclass(frozen=True)
class CompletedChunk:
    """All results of one chunk; small enough to be sent between processes."""

    record: dict[str, Any]
    strip: ThumbnailStrip | None
    annotation: Annotation | None


def complete_chunk(components: Components, job: ChunkJob) -> CompletedChunk:
    """Score one chunk from beginning to end; what a worker in another process does."""
    scorer = components.scorer()
    return _complete(components, scorer, job, scorer.predict(job))


def _complete(components: Components, scorer: Scorer, job: ChunkJob, scored: ScoredChunk) -> CompletedChunk:
    complete = scorer.compare_frames(job, scored)
    options = components.options
    return CompletedChunk(
        complete.record,
        make_strip(job, complete, scorer.regions.of(job.observation.images)) if options.pictures else None,
        make_annotation(job, complete, components.embodiment, options.stride) if options.annotate else None,
    )


class _Evaluation:
    """One evaluation under way."""

    def __init__(self, components: Components, progress: ProgressCallback) -> None:
        self._components = components
        self._options = components.options
        self._progress = progress
        self._reports: list[SourceReport] = []
        self._unreadable: dict[str, str] = {}
        self._chunks = 0
        self._began = time.perf_counter()

    def run(self) -> Outcome:
        options = self._options
        interrupted = False
        with ResultStore(options.out, self._identity(), resume=options.resume) as store:
            thumbnails = ThumbnailStore(options.out, enabled=options.pictures)
            try:
                count = max(1, options.workers)
                # Two pools: what is decoded for the next chunk must not wait behind the scoring of the last ones.
                with (
                    few_threads(),
                    ThreadPoolExecutor(count, "decode") as decoders,
                    ThreadPoolExecutor(count, "score") as scorers,
                ):
                    for path in options.bags:
                        if not self._may_go_on():
                            break
                        self._evaluate_recording(path, store, thumbnails, decoders, scorers)
            except KeyboardInterrupt:
                interrupted = True
            if not store.done:
                self._raise_for_nothing(interrupted)
        return self._finish(thumbnails, interrupted)

    def _identity(self) -> dict[str, Any]:
        return {
            **self._options.identity(),
            "schema": SCHEMA,
            "version": __version__,
            "config_hash": self._components.embodiment.config_hash,
        }

    def _may_go_on(self) -> bool:
        return not self._options.max_chunks or self._chunks < self._options.max_chunks

    def _evaluate_recording(
        self, path: Path, store: ResultStore, thumbnails: ThumbnailStore, decoders: Executor, scorers: Executor
    ) -> None:
        name = path.resolve().name
        report = SourceReport(name)
        self._reports.append(report)
        jobs = chunk_jobs(path, name, self._components.embodiment, self._components.source, report, decoders)
        first_ns: int | None = None
        try:
            frame = self._components.embodiment.base_frame
            with (
                closing(jobs),
                closing(self._scored(self._not_done(jobs, store), scorers)) as results,
                AnnotationWriter(self._options.out, name, frame, store.done) as annotations,
            ):
                for job, completed in results:
                    # The line comes last: what has none is done again.
                    thumbnails.add(completed.record, completed.strip)
                    if completed.annotation is not None:
                        annotations.add(job.key, completed.annotation)
                    store.add(completed.record)
                    stamp = job.observation.stamp_ns
                    first_ns = stamp if first_ns is None else first_ns
                    share = (stamp - first_ns) * 1e-9 / report.seconds if report.seconds else 1.0
                    self._progress(EvaluationProgress(name, self._chunks, min(1.0, max(0.0, share))))
        except InputError as error:
            self._unreadable[name] = str(error)

    def _not_done(self, jobs: Iterator[ChunkJob], store: ResultStore) -> Iterator[ChunkJob]:
        """Yield the chunks that are not done, up to ``max_chunks``."""
        for job in jobs:
            if not self._may_go_on():
                return
            self._chunks += 1
            if job.key not in store.done:
                yield job

    def _scored(
        self, jobs: Iterator[ChunkJob], pool: Executor
    ) -> Generator[tuple[ChunkJob, CompletedChunk], None, None]:
        if self._options.engine == "ray":
            from cosmos_ros.evaluation.ray_engine import scored_by_ray

            yield from scored_by_ray(jobs, self._options, complete_chunk)
            return
        scorer = self._components.scorer()
        # Frames of one chunk are compared while the next is predicted.
        waiting: deque[tuple[ChunkJob, Future[CompletedChunk]]] = deque()
        for job in jobs:
            scored = scorer.predict(job)
            waiting.append((job, pool.submit(_complete, self._components, scorer, job, scored)))
            if len(waiting) > _MAX_WAITING:
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()

    def _raise_for_nothing(self, interrupted: bool) -> None:
        if interrupted:
            raise KeyboardInterrupt
        if self._unreadable:
            raise InputError("; ".join(self._unreadable.values()))
        raise InputError(
            "no chunk could be evaluated",
            where=", ".join(str(path) for path in self._options.bags),
            hint=next((r.unreadable_reason for r in self._reports if r.unreadable_reason), None),
        )

    def _finish(self, thumbnails: ThumbnailStore, interrupted: bool) -> Outcome:
        options, components = self._options, self._components
        complete = not interrupted and not self._unreadable
        summary = summarise(
            iterate_records(options.out),
            fps=components.embodiment.fps,
            steps=options.chunk_size,
            stride_ns=components.stride_ns,
            views=components.seen_views,
            dimensions=components.embodiment.layout.names,
        )
        metrics = {
            "schema": SCHEMA,
            "complete": complete,
            "interrupted": interrupted,
            "unreadable": self._unreadable,
            "options": self._identity(),
            "fps": components.embodiment.fps,
            "steps": options.chunk_size,
            "stride": options.stride,
            "views": components.seen_views,
            "blank_views": sorted(set(components.embodiment.views) - set(options.cameras)),
            "scripted": components.pipelines["model"].world_model.capabilities.scripted,
            "bags": [report.to_dict() for report in self._reports],
            **summary,
        }
        timing = summarise_timing(
            iterate_records(options.out),
            fps=components.embodiment.fps,
            stride=options.stride,
            steps=options.chunk_size,
            deadline_s=options.deadline,
        )
        timing["stale_inputs"] = stale_inputs(self._reports)
        timing["evaluation_s"] = round(time.perf_counter() - self._began, 3)
        write_json(options.out / METRICS, metrics, sort_keys=True)
        write_json(options.out / TIMING, timing, sort_keys=True)
        annotated = self._write_report(thumbnails, metrics, timing)
        return Outcome(metrics, timing, complete, interrupted, tuple(annotated))

    def _write_report(
        self, thumbnails: ThumbnailStore, metrics: dict[str, Any], timing: dict[str, Any]
    ) -> list[AnnotatedRecording]:
        from cosmos_ros.evaluation.report import write_report

        out = self._options.out
        write_report(out / REPORT, metrics, timing, thumbnails.examples(iterate_records(out)))
        if not self._options.annotate or metrics["interrupted"]:
            return []
        reference = next(iter(self._options.cameras.values()))
        annotated = merge_annotations(out, self._options.bags, reference)
        if metrics["complete"]:
            remove_logs(out)
        return annotated
