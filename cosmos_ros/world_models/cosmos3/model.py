"""Cosmos3-Nano in this process, through ``diffusers.Cosmos3OmniPipeline``."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from cosmos_ros.embodiment.canvas import tier_size
from cosmos_ros.errors import CapabilityError, ModelError
from cosmos_ros.types import Float32Array, Mode, Request, Rollout, UInt8Array
from cosmos_ros.world_models.backends.cosmos3 import Cosmos3Options
from cosmos_ros.world_models.cosmos3.checkpoint import WHERE, find_checkpoint
from cosmos_ros.world_models.cosmos3.device import (
    GIB,
    CancelledError,
    check_complete,
    check_memory,
    choose_device,
    choose_dtype,
    free_memory,
    on_cuda,
    one_line,
    place,
    require_libraries,
)
from cosmos_ros.world_models.cosmos3.engine.wanted import can_compile, engine_wanted
from cosmos_ros.world_models.domains import check_width, pose_model_capabilities
from cosmos_ros.world_models.media import conditioning_image
from cosmos_ros.world_models.protocol import check_request
from cosmos_ros.world_models.sampler_settings import SamplerSettings, resolve_sampler

if TYPE_CHECKING:
    from cosmos_ros.world_models.cosmos3.diffusers_pipeline import Cosmos3Pipeline
    from cosmos_ros.world_models.cosmos3.engine.engine import Engine

_STRIDE = 16  # pixels a latent cell, both ways


class Cosmos3:
    """Cosmos3-Nano by diffusers; all three modes, normalised pose actions.

    The caption is the embodiment's, tokenized as it is. The canvas is cut at the right and the bottom to a multiple
    of 16 pixels (at most 15), since diffusers would otherwise squeeze it to one, which the training data never was.
    With ``stock_inputs`` both are left to diffusers.
    """

    name = "cosmos3"

    def __init__(self, options: Cosmos3Options) -> None:
        self._options = options
        self._pipeline: Cosmos3Pipeline | None = None
        self._engine: Engine | None = None
        self._device = ""
        self._flow_shift: float | None = None
        self._cancelled = threading.Event()
        self._provenance: dict[str, Any] = {}
        self.capabilities = pose_model_capabilities(options.frames)

    def load(self) -> None:
        """Check checkpoint and memory, load, and warm up.

        Raises:
            ConfigError: Checkpoint missing, gated or damaged; no such device; too little memory; library too old.
            ModelError: Loading failed.
        """
        self.close()
        require_libraries()
        checkpoint = find_checkpoint(
            self._options.model, self._options.revision, allow_download=self._options.allow_download
        )
        import torch

        self._device = choose_device(self._options.device, checkpoint)
        dtype = choose_dtype(self._options.dtype, self._device)
        check_memory(self._device, checkpoint, dtype.itemsize, self._options.offload)
        from cosmos_ros.world_models.cosmos3.diffusers_pipeline import Cosmos3Pipeline

        try:
            pipeline = Cosmos3Pipeline.from_pretrained(
                str(checkpoint.folder),
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                low_cpu_mem_usage=True,  # weights that the files lack stay empty instead of being drawn at random
                sound_tokenizer=None,  # not used by actions
                enable_safety_checker=self._options.guardrail,
                **({} if self._options.guardrail else {"safety_checker": None}),
            )
            check_complete(pipeline, checkpoint.folder)
            place(pipeline, self._device, self._options.offload)
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"out of GPU memory while loading: {one_line(error)}",
                where=WHERE,
                hint="Free memory, or set offload to model or sequential.",
            ) from error
        except (OSError, ValueError, RuntimeError, KeyError, TypeError, ImportError, AttributeError) as error:
            raise ModelError(
                f"loading {checkpoint.folder} failed: {one_line(error)}", where=WHERE, hint="Check the checkpoint."
            ) from error
        pipeline.set_progress_bar_config(disable=True)
        if self._options.compile_blocks:
            pipeline.transformer.compile_repeated_blocks(fullgraph=False)
        named = {"model": checkpoint.model, "revision": checkpoint.revision, "fingerprint": checkpoint.fingerprint}
        self.use(pipeline, self._device, named)

    def use(self, pipeline: Cosmos3Pipeline, device: str, named: Mapping[str, str]) -> None:
        """Take a pipeline that is loaded already, and warm up.

        Args:
            pipeline: On its device.
            device: That device.
            named: Where it comes from, for the provenance.
        """
        import diffusers
        import torch

        self._pipeline, self._device, self._flow_shift = pipeline, device, None
        self._provenance = {
            **named,
            "diffusers": diffusers.__version__,
            "torch": torch.__version__,
            "device": torch.cuda.get_device_name(self._device) if on_cuda(self._device) else "cpu",
            "dtype": str(pipeline.transformer.dtype).removeprefix("torch."),
            "offload": self._options.offload,
        }
        cuda = on_cuda(device)
        if engine_wanted(self._options, cuda=cuda):
            from cosmos_ros.world_models.cosmos3.engine.engine import Engine

            compile_layers = cuda and self._options.engine_compile and can_compile()
            self._engine = Engine(pipeline, graphs=cuda, compile_layers=compile_layers)
        self._provenance["engine"] = "on" if self._engine else "off"
        if self._options.warm_up:
            self._run(_warm_up_request(), SamplerSettings(num_inference_steps=1, guidance_scale=1.0, flow_shift=5.0))

    def predict(self, request: Request) -> Rollout:
        """Answer one request.

        Raises:
            CapabilityError: The request asks for more than was declared.
            ModelError: Not loaded, cancelled, out of memory, or the model's answer is not finite.
        """
        check_request(self, request)
        check_width(WHERE, request)
        sampler = resolve_sampler(WHERE, request)
        return self._run(request, sampler)

    def cancel(self) -> None:
        """End the running prediction after its current step, from any thread."""
        self._cancelled.set()

    def status(self) -> Mapping[str, str]:
        """Return model, libraries, device and free memory, for diagnostics."""
        shown = {key: str(value) for key, value in self._provenance.items()}
        if self._provenance and on_cuda(self._device):
            free, total = free_memory(self._device)
            shown["gpu_free_gib"], shown["gpu_total_gib"] = f"{free / GIB:.1f}", f"{total / GIB:.1f}"
        return shown

    def close(self) -> None:
        """Release the weights and the GPU's memory; may be called twice."""
        if self._pipeline is None:
            return
        import gc

        import torch

        self._pipeline = self._engine = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    # Predicting.

    def _run(self, request: Request, sampler: SamplerSettings) -> Rollout:
        import torch

        pipeline = self._pipeline
        if pipeline is None:
            raise ModelError("the model is not loaded", where=WHERE, hint="Call load first.")
        self._cancelled.clear()
        height, width = self._fit(conditioning_image(WHERE, request))
        condition = self._condition(request)
        self._set_shift(pipeline, sampler.flow_shift)
        pipeline.whole_caption = not self._options.stock_inputs and bool(request.prompt)
        decode = self._options.frames and request.mode is not Mode.INVERSE_DYNAMICS
        if on_cuda(self._device):
            torch.cuda.reset_peak_memory_stats(self._device)
        pipeline.marks = {}
        started = time.perf_counter()
        uncertainty = None
        if self._engine is not None:
            with self._translated(pipeline):
                from cosmos_ros.world_models.cosmos3.engine.asking import question

                asked = question(pipeline, request, sampler, height, width)
                answer = self._engine.answer(asked, self._cancelled.is_set)
                actions = self._actions([answer.actions], request)
                frames = self._engine.decode(answer.video) if decode else None
                pipeline.marks = {**answer.marks, **({"decode": time.perf_counter()} if decode else {})}
                uncertainty = answer.uncertainty
        else:
            frames, actions = self._ask_pipeline(pipeline, request, sampler, condition, decode=decode)
        size = tier_size(height, width, request.resolution_tier)
        return Rollout(
            frames=frames,
            actions=actions,
            uncertainty=uncertainty,
            provenance={
                **self._provenance,
                "backend": self.name,
                "sampler": asdict(sampler),
                "stock_inputs": self._options.stock_inputs,
                "canvas_size": [size.height, size.width],
                "picture_size": [height, width],
                "peak_memory_gib": self._peak_memory(),
            },
            latencies_ms=_stages(started, pipeline.marks),
        )

    def _ask_pipeline(
        self, pipeline: Any, request: Request, sampler: SamplerSettings, condition: Any, *, decode: bool
    ) -> tuple[UInt8Array | None, Float32Array | None]:
        """Ask the stock pipeline; return frames and actions."""
        import torch

        with self._translated(pipeline):
            output = pipeline(
                prompt=request.prompt if pipeline.whole_caption else request.instruction,
                negative_prompt=request.negative_prompt,
                action=condition,
                fps=request.fps,
                num_inference_steps=sampler.num_inference_steps,
                guidance_scale=sampler.guidance_scale,
                use_system_prompt=sampler.use_system_prompt,
                generator=torch.Generator(self._device).manual_seed(request.seed),
                output_type="pt" if decode else "latent",
                enable_safety_check=self._options.guardrail,
                callback_on_step_end=self._after_step,
            )
            pipeline.mark("decode")
            actions = self._actions(output.action, request)
            return (_to_uint8(output.video) if decode else None), actions

    def _fit(self, image: UInt8Array) -> tuple[int, int]:
        """Return height and width of what diffusers is given."""
        height, width = image.shape[:2]
        if min(height, width) < _STRIDE:
            raise CapabilityError(f"the canvas is {width}x{height}, the smallest is {_STRIDE}x{_STRIDE}", where=WHERE)
        if self._options.stock_inputs:
            return int(height), int(width)
        return int(height - height % _STRIDE), int(width - width % _STRIDE)

    def _condition(self, request: Request) -> Any:
        import torch
        from diffusers.pipelines.cosmos.pipeline_cosmos3_omni import CosmosActionCondition
        from PIL import Image

        def cut(image: UInt8Array) -> Any:
            height, width = self._fit(image)
            return Image.fromarray(np.ascontiguousarray(image[:height, :width]))

        media: dict[str, Any] = {}
        if request.mode is Mode.INVERSE_DYNAMICS:
            assert request.video is not None
            media["video"] = [cut(frame) for frame in request.video]
        else:
            assert request.image is not None
            media["image"] = cut(request.image)
        if request.mode is Mode.FORWARD_DYNAMICS:
            assert request.actions is not None
            media["raw_actions"] = torch.from_numpy(np.array(request.actions, dtype=np.float32))
        try:
            return CosmosActionCondition(
                mode=request.mode.value,
                chunk_size=request.chunk_size,
                domain_name=request.domain_name,
                resolution_tier=request.resolution_tier,
                view_point=request.view_point,
                **media,
            )
        except ValueError as error:
            raise CapabilityError(one_line(error), where=WHERE) from error

    def _set_shift(self, pipeline: Any, flow_shift: float) -> None:
        """Rebuild the sampler where the shift changes; Karras sigmas do not go with flow matching."""
        if self._flow_shift == flow_shift:
            return
        from diffusers import UniPCMultistepScheduler

        pipeline.scheduler = UniPCMultistepScheduler.from_config(
            pipeline.scheduler.config, flow_shift=flow_shift, use_karras_sigmas=False
        )
        self._flow_shift = flow_shift

    def _after_step(self, pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if self._cancelled.is_set():
            raise CancelledError
        if step + 1 == pipeline.num_timesteps:
            pipeline.mark("denoise")
        return {}

    @contextlib.contextmanager
    def _translated(self, pipeline: Any) -> Iterator[None]:
        """Turn what torch and diffusers raise into one named error, and leave the GPU usable."""
        import torch

        try:
            yield
        except CancelledError:
            pipeline.maybe_free_model_hooks()
            raise ModelError("the request was cancelled", where=WHERE) from None
        except torch.OutOfMemoryError as error:
            pipeline.maybe_free_model_hooks()
            torch.cuda.empty_cache()
            raise ModelError(
                f"out of GPU memory: {one_line(error)}",
                where=WHERE,
                hint="Lower the resolution tier, or set offload to model or sequential.",
            ) from error
        except (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError) as error:
            pipeline.maybe_free_model_hooks()
            raise ModelError(f"{type(error).__name__}: {one_line(error)}", where=WHERE) from error

    def _actions(self, found: Any, request: Request) -> Float32Array | None:
        if request.mode is Mode.FORWARD_DYNAMICS:
            return None
        if not found:
            raise ModelError("the pipeline returned no action", where=WHERE)
        rows: Float32Array = np.asarray(found[0], dtype=np.float32)
        bad = np.argwhere(~np.isfinite(rows))
        if bad.size:
            step, column = (int(v) for v in bad[0])
            raise ModelError(f"actions[{step}, {column}] is {rows[step, column]}", where=WHERE)
        return rows

    def _peak_memory(self) -> float | None:
        if not on_cuda(self._device):
            return None
        import torch

        return round(float(torch.cuda.max_memory_allocated(self._device)) / GIB, 2)


def _to_uint8(video: Any) -> UInt8Array:
    """Return ``uint8 [T+1, H, W, 3]`` of ``[T+1, 3, H, W]`` in [0, 1], rounded as diffusers' own PIL output."""
    import torch

    if not bool(torch.isfinite(video).all()):
        raise ModelError("the predicted frames hold numbers that are not finite", where=WHERE)
    frames = (video * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    array: UInt8Array = frames.cpu().numpy()
    return array


def _stages(started: float, marks: Mapping[str, float]) -> dict[str, float]:
    latencies, last = {}, started
    for stage in ("text", "encode", "denoise", "decode"):
        if stage in marks:
            latencies[stage] = (marks[stage] - last) * 1e3
            last = marks[stage]
    return latencies


def _warm_up_request() -> Request:
    return Request(
        mode=Mode.POLICY,
        domain_name="droid_lerobot",
        domain_id=8,
        fps=15.0,
        chunk_size=4,
        action_dim=10,
        image=np.zeros((64, 80, 3), dtype=np.uint8),
        instruction="warm up",
        resolution_tier=256,
    )
