"""One denoising step as a program over static buffers, and its CUDA graphs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from cosmos_ros.world_models.cosmos3.engine.attention import choose_attention
from cosmos_ros.world_models.cosmos3.engine.schedule import Schedule
from cosmos_ros.world_models.cosmos3.engine.text import Text, rotary
from cosmos_ros.world_models.cosmos3.engine.tower import Pieces, Tower

_AHEAD = 4  # steps that may wait on the device; a cancelled request ends after them


@dataclass(frozen=True)
class Layout:
    """Sizes of what is denoised.

    Attributes:
        frames, height, width: Of the latent video.
        rows: Of the action chunk.
        guided: With a second pass for guidance.
        text: Tokens of text there is room for.
        steps: Denoising steps there is room for.
    """

    frames: int
    height: int
    width: int
    rows: int
    guided: bool
    text: int
    steps: int


@dataclass(frozen=True)
class Start:
    """What a run begins with; all on the device.

    Attributes:
        video: ``float32 [channels, frames, height, width]`` noise, and the clean latents where they are given.
        actions: ``float32 [rows, action width]`` likewise.
        video_noisy: ``float32 [frames]`` 1 where a frame is denoised, 0 where it is given.
        actions_noisy: ``float32 [rows, action width]`` likewise; 0 in the channels that the robot does not use.
        domain: Index of the embodiment's action head.
        fps: Rate of frames and rows.
        texts: The prompt's text, and the negative prompt's when guided.
        guidance: Scale.
        schedule: The sampler's weights.
    """

    video: torch.Tensor
    actions: torch.Tensor
    video_noisy: torch.Tensor
    actions_noisy: torch.Tensor
    domain: int
    fps: float
    texts: tuple[Text, ...]
    guidance: float
    schedule: Schedule


class Program:
    """The denoising of one layout: buffers made once, and one graph a kind of step.

    Every number that differs between requests (noise, schedule, text, domain, guidance scale, what is given clean)
    lies in a buffer, so that one captured step serves them all.
    """

    def __init__(
        self,
        pipeline: Any,
        tower: Tower,
        layout: Layout,
        *,
        graphs: bool,
        compiler: Callable[[Callable[..., Any]], Callable[..., Any]],
    ) -> None:
        transformer = pipeline.transformer
        config = transformer.config
        self.layout, self._pipeline, self._transformer, self._tower = layout, pipeline, transformer, tower
        self._use_graphs = graphs
        self._graphs: dict[int, Any] = {}
        self._pool: Any = None
        device, dtype = transformer.proj_in.weight.device, transformer.dtype
        patch = config.latent_patch_size
        self._patch, self._channels, self._action_width = patch, config.latent_channel, config.action_dim
        self._grid = (layout.frames, -(-layout.height // patch), -(-layout.width // patch))
        self._video_tokens = self._grid[0] * self._grid[1] * self._grid[2]
        self.tokens = self._video_tokens + layout.rows
        self._video_size = self._channels * layout.frames * layout.height * layout.width
        size = self._video_size + layout.rows * self._action_width
        batch, rows, hidden = 1 + layout.guided, self.tokens + layout.text, config.hidden_size

        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
            return torch.zeros(shape, device=device, dtype=dtype)

        self._sample, self._history = zeros(size), zeros(layout.steps + 1, size)
        self._step, self._weights = zeros(1, dtype=torch.long), zeros(layout.steps, layout.steps + 1)
        self._times = zeros(layout.steps, hidden, dtype=dtype)
        self._noisy, self._token_noisy = zeros(size), zeros(self.tokens, 1, dtype=dtype)
        self._guidance = zeros(1)
        self._head_in, self._head_in_bias = zeros(self._action_width, hidden, dtype=dtype), zeros(hidden, dtype=dtype)
        self._head_out = zeros(hidden, self._action_width, dtype=dtype)
        self._head_out_bias = zeros(self._action_width, dtype=dtype)
        self._cos, self._sin = (zeros(batch, self.tokens, 1, config.head_dim, dtype=dtype) for _ in range(2))
        shape = (config.num_hidden_layers, batch, rows, config.num_key_value_heads, config.head_dim)
        self._keys, self._values = zeros(*shape, dtype=dtype), zeros(*shape, dtype=dtype)
        self._used = zeros(batch, dtype=torch.int32)
        self._texts: tuple[Any, ...] = ()
        self._kinds: dict[int, Callable[[], None]] = {}
        for passes in range(1, batch + 1):
            attend = choose_attention(self._used[:passes], self.tokens, rows, dtype)
            pieces = tower.pieces(compiler)
            self._kinds[passes] = lambda passes=passes, attend=attend, pieces=pieces: self._denoise(  # type: ignore[misc]
                passes, attend, pieces
            )

    # A run.

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def start(self, start: Start) -> None:
        """Fill the buffers."""
        steps = len(start.schedule.timesteps)
        self._history.zero_()
        self._history[0, : self._video_size] = start.video.flatten()
        self._history[0, self._video_size :] = start.actions.flatten()
        self._sample.copy_(self._history[0])
        self._step.zero_()
        self._weights.zero_()
        self._weights[:steps, : steps + 1] = start.schedule.samples.to(self._weights)
        self._times[:steps] = self._time_embeddings(start.schedule)
        video_noisy = start.video_noisy[None, :, None, None].expand(start.video.shape)
        self._noisy[: self._video_size] = video_noisy.flatten()
        self._noisy[self._video_size :] = start.actions_noisy.flatten()
        per_frame = self._grid[1] * self._grid[2]
        self._token_noisy[: self._video_tokens, 0] = start.video_noisy.repeat_interleave(per_frame).to(self._times)
        self._token_noisy[self._video_tokens :, 0] = start.actions_noisy.amax(1).to(self._times)
        self._guidance.fill_(start.guidance)
        self._take_domain(start.domain)
        self._take_texts(start.texts, start.fps)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def run(self, guided: Sequence[bool], cancelled: Callable[[], bool]) -> bool:
        """Denoise; each element says whether that step is guided. Return False when cancelled on the way."""
        waiting: deque[Any] = deque()
        for is_guided in guided:
            if cancelled():
                return False
            self._launch(1 + bool(is_guided))
            if self._sample.is_cuda:
                done = torch.cuda.Event(blocking=True)
                done.record()
                waiting.append(done)
                if len(waiting) > _AHEAD:
                    waiting.popleft().synchronize()
        return True

    @property
    def video(self) -> torch.Tensor:
        """``float32 [1, channels, frames, height, width]``, a copy of the latent video."""
        layout = self.layout
        return (
            self._sample[: self._video_size].view(1, self._channels, layout.frames, layout.height, layout.width).clone()
        )

    @property
    def actions(self) -> torch.Tensor:
        """``float32 [rows, action width]``, a copy of the action rows."""
        return self._sample[self._video_size :].view(self.layout.rows, self._action_width).clone()

    def action_history(self, steps: int) -> torch.Tensor:
        """``float32 [steps + 1, rows, action width]``: the noise, then the velocity of each step; a view."""
        return self._history[: steps + 1, self._video_size :].view(steps + 1, self.layout.rows, self._action_width)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def capture(self) -> None:
        """Compile and capture every kind of step; what is in the buffers is lost."""
        for passes in self._kinds:
            self._launch(passes)

    # One step.

    def _launch(self, passes: int) -> None:
        if not self._use_graphs:
            self._kinds[passes]()
            return
        if passes not in self._graphs:
            self._graphs[passes] = self._captured(self._kinds[passes])
        self._graphs[passes].replay()

    def _captured(self, function: Callable[[], None]) -> Any:
        """Return the graph of a function; the buffers that it advances are put back."""
        kept = self._sample.clone(), self._history.clone(), self._step.clone()
        self._step.zero_()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):  # compiles, and lets libraries allocate what must not be allocated while capturing
                function()
                self._step.zero_()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            function()
        self._pool = graph.pool()
        for buffer, values in zip((self._sample, self._history, self._step), kept, strict=True):
            buffer.copy_(values)
        return graph

    def _denoise(self, passes: int, attend: Any, pieces: Pieces) -> None:
        hidden = self._embed().expand(passes, -1, -1)
        out = self._tower.run(
            hidden,
            self._cos[:passes],
            self._sin[:passes],
            self._keys[:, :passes],
            self._values[:, :passes],
            attend,
            pieces,
        )
        velocity = self._read_out(out)
        guided = passes == 2
        velocity = velocity[1] + self._guidance * (velocity[0] - velocity[1]) if guided else velocity[0]
        self._history.index_copy_(0, self._step + 1, velocity[None])
        torch.mv(self._history.t(), self._weights.index_select(0, self._step)[0], out=self._sample)
        self._step += 1

    def _embed(self) -> torch.Tensor:
        """Return ``[1, tokens, hidden]``."""
        layout, patch, (frames, high, wide) = self.layout, self._patch, self._grid
        transformer = self._transformer
        sample = self._sample.to(self._times.dtype)
        video = sample[: self._video_size].view(self._channels, layout.frames, layout.height, layout.width)
        video = functional.pad(video, (0, wide * patch - layout.width, 0, high * patch - layout.height))
        video = video.view(self._channels, frames, high, patch, wide, patch).permute(1, 2, 4, 3, 5, 0)
        video = transformer.proj_in(video.reshape(self._video_tokens, patch * patch * self._channels))
        actions = sample[self._video_size :].view(layout.rows, self._action_width)
        actions = actions @ self._head_in + self._head_in_bias + transformer.action_modality_embed
        time = self._times.index_select(0, self._step)
        return (torch.cat((video, actions)) + self._token_noisy * time)[None]

    def _read_out(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the masked velocities ``float32 [passes, size]`` of ``[passes, tokens, hidden]``."""
        layout, patch, (frames, high, wide) = self.layout, self._patch, self._grid
        passes = len(hidden)
        video = self._transformer.proj_out(hidden[:, : self._video_tokens])
        video = video.view(passes, frames, high, wide, patch, patch, self._channels).permute(0, 6, 1, 2, 4, 3, 5)
        video = video.reshape(passes, self._channels, frames, high * patch, wide * patch)
        video = video[..., : layout.height, : layout.width].reshape(passes, -1)
        actions = hidden[:, self._video_tokens :] @ self._head_out + self._head_out_bias
        return torch.cat((video, actions.reshape(passes, -1)), dim=1).float() * self._noisy

    # Buffers.

    def _time_embeddings(self, schedule: Schedule) -> torch.Tensor:
        transformer = self._transformer
        times = schedule.timesteps.to(self._times.device) * transformer.config.timestep_scale
        embedder = transformer.time_embedder
        return embedder(transformer.time_proj(times).to(next(embedder.parameters()).dtype)).to(self._times.dtype)

    def _take_domain(self, domain: int) -> None:
        into, out = self._transformer.action_proj_in, self._transformer.action_proj_out
        self._head_in.copy_(into.fc.weight[domain].view(self._head_in.shape))
        self._head_in_bias.copy_(into.bias.weight[domain])
        self._head_out.copy_(out.fc.weight[domain].view(self._head_out.shape))
        self._head_out_bias.copy_(out.bias.weight[domain])

    def _take_texts(self, texts: tuple[Text, ...], fps: float) -> None:
        """Put the texts' keys and values behind those of the tokens, and turn the tokens to where the text ends."""
        kept, kept_fps = self._texts or ((), 0.0)
        same = len(kept) >= len(texts) and all(a is b for a, b in zip(kept, texts, strict=False))
        if same and kept_fps == fps:
            return
        for index, text in enumerate(texts):
            rows = slice(self.tokens, self.tokens + text.length)
            self._keys[:, index, rows] = text.keys
            self._values[:, index, rows] = text.values
            self._used[index] = self.tokens + text.length
            cos, sin = rotary(self._transformer, self._positions(text.offset, fps), self._times.dtype)
            self._cos[index, :, 0], self._sin[index, :, 0] = cos, sin
        self._texts = (texts, fps)

    def _positions(self, offset: float, fps: float) -> torch.Tensor:
        """Return mRoPE positions ``[3, tokens]``, by the pipeline's own packing."""
        layout, device = self.layout, self._times.device
        pipeline = self._pipeline
        blank = torch.empty((1, self._channels, layout.frames, layout.height, layout.width), device="meta")
        options = {"mrope_offset": offset, "curr": 0, "device": "cpu"}
        video = pipeline._prepare_vision_segment(blank, has_image_condition=True, vision_fps=fps, **options)
        rows = torch.empty((layout.rows, self._action_width), device="meta")
        actions = pipeline._prepare_action_segment(rows, condition_frame_indexes=[], action_fps=fps, **options)
        return torch.cat((video["vision_mrope_ids"], actions["action_mrope_ids"]), dim=1).to(device)
