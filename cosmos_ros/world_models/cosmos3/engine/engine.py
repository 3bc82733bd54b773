"""Answers action requests with a Cosmos3 pipeline's weights, several times faster than the pipeline itself."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

from cosmos_ros.errors import CapabilityError
from cosmos_ros.types import Float32Array, FloatArray, Mode, UInt8Array
from cosmos_ros.world_models.cosmos3.checkpoint import WHERE
from cosmos_ros.world_models.cosmos3.device import CancelledError
from cosmos_ros.world_models.cosmos3.engine.program import Layout, Program, Start
from cosmos_ros.world_models.cosmos3.engine.schedule import Schedule, make_schedule
from cosmos_ros.world_models.cosmos3.engine.text import Text, understand
from cosmos_ros.world_models.cosmos3.engine.tower import Tower
from cosmos_ros.world_models.cosmos3.engine.uncertainty import row_uncertainty

K = TypeVar("K")
V = TypeVar("V")
_TEXTS, _PROGRAMS, _SCHEDULES = 8, 4, 16  # how many of each are kept
_TEXT_ROOM, _STEP_ROOM = 256, 32  # buffers grow by these


@dataclass(frozen=True)
class Question:
    """One request in the pipeline's terms.

    Attributes:
        mode: What is asked.
        pictures: ``uint8 [frames, H, W, 3]``: one picture, or a whole clip for inverse dynamics.
        chunk_size: Rows, T; frames are T + 1.
        domain, action_dim: Index of the action head, and channels of it that the robot uses.
        resolution_tier, fps, seed: As in ``Request``.
        prompt, negative_prompt: Token ids.
        actions: ``float32 [T, action_dim]`` for forward dynamics, else None.
        committed: ``float32 [k, action_dim]`` rows that are already decided, k < T; None for none.
        steps, guidance, guidance_from, guidance_to: The sampler; guidance at timesteps of that interval.
    """

    mode: Mode
    pictures: UInt8Array
    chunk_size: int
    domain: int
    action_dim: int
    resolution_tier: int
    fps: float
    seed: int
    prompt: tuple[int, ...]
    negative_prompt: tuple[int, ...]
    actions: Float32Array | None = None
    committed: Float32Array | None = None
    steps: int = 30
    guidance: float = 1.0
    guidance_from: float = 0.0
    guidance_to: float = 1000.0


@dataclass(frozen=True)
class Answer:
    """What was denoised.

    Attributes:
        actions: ``float32 [T, action_dim]``.
        video: ``float32 [1, channels, frames, height, width]`` latents on the device.
        uncertainty: ``float64 [T]``; None where no row was denoised.
        marks: Stage → ``time.perf_counter()`` at its end.
    """

    actions: Float32Array
    video: torch.Tensor
    uncertainty: FloatArray | None
    marks: dict[str, float]


class Engine:
    """Runs a pipeline's weights; see the page on Cosmos3 for what it leaves out and what it keeps.

    Args:
        pipeline: ``Cosmos3OmniPipeline`` on its device. Its projections become views of fused ones; it keeps working.
        graphs: Capture the steps as CUDA graphs.
        compile_layers: Compile the layers with torch's compiler.
    """

    def __init__(self, pipeline: Any, *, graphs: bool, compile_layers: bool) -> None:
        self._pipeline = pipeline
        self._tower = Tower(pipeline.transformer)
        self._graphs, self._compile = graphs, compile_layers
        if compile_layers:  # each shape of each kind of step is one compiled variant of the same functions
            torch._dynamo.config.recompile_limit = max(64, torch._dynamo.config.recompile_limit)
        self._texts: OrderedDict[tuple[int, ...], Text] = OrderedDict()
        self._programs: OrderedDict[Layout, Program] = OrderedDict()
        self._schedules: OrderedDict[Any, Schedule] = OrderedDict()

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def answer(self, question: Question, cancelled: Callable[[], bool] = lambda: False) -> Answer:
        """Answer one question.

        Raises:
            CancelledError: ``cancelled`` became true.
            CapabilityError: The clip is shorter than the chunk, or too many rows are committed.
        """
        marks: dict[str, float] = {}
        schedule = self._schedule(question.steps)
        guided = self._guided(question, schedule)
        texts = tuple(self._text(ids) for ids in (question.prompt, question.negative_prompt)[: 1 + any(guided)])
        self._mark(marks, "text")
        latents = self._encode(question)
        self._mark(marks, "encode")
        program = self._program(question, latents, texts, any(guided))
        program.start(self._begin(question, latents, texts, schedule))
        if not program.run(guided, cancelled):
            raise CancelledError
        actions: Float32Array = program.actions[:, : question.action_dim].cpu().numpy()
        marks["denoise"] = time.perf_counter()
        uncertainty = row_uncertainty(
            program.action_history(question.steps)[..., : question.action_dim],
            schedule,
            given=0 if question.committed is None else len(question.committed),
        )
        return Answer(actions, program.video, None if question.mode is Mode.FORWARD_DYNAMICS else uncertainty, marks)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def decode(self, video: torch.Tensor) -> UInt8Array:
        """Return ``uint8 [T + 1, H, W, 3]`` of an answer's latents, as the pipeline decodes and rounds them.

        Raises:
            ValueError: The frames hold numbers that are not finite.
        """
        pipeline = self._pipeline
        dtype = pipeline.vae.dtype
        mean, inverse = (
            values.to(device=video.device, dtype=dtype).view(1, -1, 1, 1, 1)
            for values in (pipeline._vae_latents_mean, pipeline._vae_latents_inv_std)
        )
        decoded = pipeline.vae.decode(video.to(dtype) / inverse + mean).sample.float()
        if not bool(torch.isfinite(decoded).all()):
            raise ValueError("the predicted frames hold numbers that are not finite")
        frames = ((decoded[0] * 0.5 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 3, 0).contiguous()
        array: UInt8Array = frames.cpu().numpy()
        return array

    def release(self) -> None:
        """Forget texts, buffers and graphs."""
        self._texts.clear()
        self._programs.clear()
        self._schedules.clear()

    # Parts of an answer.

    def _schedule(self, steps: int) -> Schedule:
        scheduler = self._pipeline.scheduler
        key = (steps, tuple(sorted((name, str(value)) for name, value in scheduler.config.items())))
        return _remembered(
            self._schedules,
            key,
            _SCHEDULES,
            lambda: make_schedule(scheduler, steps, native=self._pipeline.config.use_native_flow_schedule),
        )

    @staticmethod
    def _guided(question: Question, schedule: Schedule) -> list[bool]:
        if question.guidance == 1.0:
            return [False] * question.steps
        return [question.guidance_from <= t <= question.guidance_to for t in schedule.timesteps.tolist()]

    def _text(self, token_ids: tuple[int, ...]) -> Text:
        return _remembered(self._texts, token_ids, _TEXTS, lambda: understand(self._pipeline, list(token_ids)))

    def _encode(self, question: Question) -> torch.Tensor:
        """Return normalised latents ``float32 [channels, frames, height, width]``: of every picture that is given.

        The encoder is causal: the first latent frame depends on the first picture alone, so that for policy and forward
        dynamics, which are given no other, nothing else is encoded.
        """
        pipeline = self._pipeline
        device = pipeline.transformer.proj_in.weight.device
        count = question.chunk_size + 1 if question.mode is Mode.INVERSE_DYNAMICS else 1
        pictures = torch.from_numpy(np.ascontiguousarray(question.pictures[:count])).to(device)
        clip = pictures.permute(0, 3, 1, 2).float() / 255.0
        frames, size, _, _ = pipeline._prepare_action_video_conditioning(
            [clip], question.resolution_tier, count, device, torch.float32
        )
        latents = pipeline._encode_video(frames).float()
        return pipeline._remove_action_video_padding_from_latent(latents, size)[0]

    def _program(self, question: Question, latents: torch.Tensor, texts: tuple[Text, ...], guided: bool) -> Program:
        frames = question.chunk_size // self._pipeline.vae_scale_factor_temporal + 1
        layout = Layout(
            frames=frames,
            height=int(latents.shape[2]),
            width=int(latents.shape[3]),
            rows=question.chunk_size,
            guided=guided,
            text=_room(max(text.length for text in texts), _TEXT_ROOM),
            steps=_room(question.steps, _STEP_ROOM),
        )
        return _remembered(
            self._programs,
            layout,
            _PROGRAMS,
            lambda: Program(
                self._pipeline,
                self._tower,
                layout,
                graphs=self._graphs,
                compiler=self._compiler,
            ),
        )

    def _compiler(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return torch.compile(function, dynamic=False) if self._compile else function

    def _begin(self, question: Question, latents: torch.Tensor, texts: tuple[Text, ...], schedule: Schedule) -> Start:
        """Draw the noise as the pipeline draws it, and lay what is given over it."""
        transformer = self._pipeline.transformer
        device = latents.device
        rows, width = question.chunk_size, transformer.config.action_dim
        frames = question.chunk_size // self._pipeline.vae_scale_factor_temporal + 1
        generator = torch.Generator(device).manual_seed(question.seed)
        shape = (1, latents.shape[0], frames, *latents.shape[2:])
        video = torch.randn(shape, generator=generator, device=device)[0]
        actions = torch.randn((rows, width), generator=generator, device=device)
        video_noisy = torch.ones(frames, device=device)
        given = frames if question.mode is Mode.INVERSE_DYNAMICS else 1
        video[:, :given] = latents[:, :given]
        video_noisy[:given] = 0
        actions_noisy = torch.ones((rows, width), device=device)
        clean = question.actions if question.mode is Mode.FORWARD_DYNAMICS else question.committed
        if clean is not None:
            if len(clean) > rows:
                raise CapabilityError(f"{len(clean)} rows are given for a chunk of {rows}", where=WHERE)
            actions[: len(clean), : question.action_dim] = torch.from_numpy(np.array(clean, np.float32)).to(device)
            actions_noisy[: len(clean)] = 0
        actions[:, question.action_dim :] = 0
        actions_noisy[:, question.action_dim :] = 0
        return Start(
            video=video,
            actions=actions,
            video_noisy=video_noisy,
            actions_noisy=actions_noisy,
            domain=question.domain,
            fps=question.fps,
            texts=texts,
            guidance=question.guidance,
            schedule=schedule,
        )

    @staticmethod
    def _mark(marks: dict[str, float], stage: str) -> None:
        """Note when the host was through with a stage; the device may still be at it."""
        marks[stage] = time.perf_counter()


def _room(count: int, step: int) -> int:
    return -(-count // step) * step


def _remembered(memory: OrderedDict[K, V], key: K, limit: int, make: Callable[[], V]) -> V:
    """Return what a key stands for, made when it is new; the least recently used are forgotten."""
    if key in memory:
        memory.move_to_end(key)
        return memory[key]
    while len(memory) >= limit:
        memory.popitem(last=False)
    memory[key] = make()
    return memory[key]
