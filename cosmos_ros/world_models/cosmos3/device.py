"""Where a Cosmos3 checkpoint runs: libraries, device, precision, memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cosmos_ros.errors import ConfigError
from cosmos_ros.world_models.backends.cosmos3 import BACKEND
from cosmos_ros.world_models.cosmos3.checkpoint import COMPONENTS, WHERE, Checkpoint

if TYPE_CHECKING:
    import torch

GIB = 1 << 30
# Room beside the weights for one prediction of 17 frames: activations of transformer and decoder. Measured on an H200
# (docs/results/cosmos3_h200.md): 3.8 GiB at tier 480; the rest is for what other GPUs' kernels want.
WORKING_GIB = 6.0
_LARGEST_ON_CPU = 4_000_000_000  # parameters; above, one step takes minutes


class CancelledError(Exception):
    """Ends a running request between two denoising steps."""


def require_libraries() -> None:
    """Refuse when torch or a diffusers with Cosmos3 is not there; ConfigError names the packages."""
    try:
        import torch  # noqa: F401
        from diffusers import Cosmos3OmniPipeline  # noqa: F401
    except (ImportError, RuntimeError) as error:  # diffusers' lazy import raises RuntimeError for what lies below
        raise ConfigError(
            f"diffusers with Cosmos3 cannot be imported: {one_line(error)}",
            where=WHERE,
            hint=BACKEND.install_hint,
        ) from error


def choose_device(wanted: str, checkpoint: Checkpoint) -> str:
    """Return the torch device; ConfigError when it is not there, or when ``auto`` finds none that would do."""
    import torch

    if wanted == "auto":
        if torch.cuda.is_available():
            return "cuda"
        if checkpoint.total_parameters > _LARGEST_ON_CPU:
            raise ConfigError(
                f"no CUDA device is there, and {checkpoint.total_parameters / 1e9:.1f} billion parameters are "
                "too many for the CPU",
                where=WHERE,
                hint="Use world_model:=vllm_omni, nim or openpi with a server, or set device to cpu to wait.",
            )
        return "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ConfigError(f"device '{wanted}': {one_line(error)}", where=WHERE) from error
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device '{wanted}' is neither cpu nor cuda", where=WHERE)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device '{wanted}' is not there; CUDA devices: {torch.cuda.device_count()}", where=WHERE)
    return wanted


def choose_dtype(wanted: str, device: str) -> torch.dtype:
    """Return the weights' precision: as wanted, or bfloat16 on CUDA and float32 on the CPU."""
    import torch

    if wanted == "auto":
        return torch.bfloat16 if on_cuda(device) else torch.float32
    chosen: torch.dtype = getattr(torch, wanted)
    return chosen


def check_memory(device: str, checkpoint: Checkpoint, bytes_each: int, offload: str) -> None:
    """Say before loading when the GPU's memory will not do; ConfigError has the need and what is there."""
    if not on_cuda(device):
        return
    free, total = free_memory(device)
    weights = [count * bytes_each for count in checkpoint.parameters.values()]
    kept = {"none": sum(weights), "model": max(weights), "sequential": 0}[offload]
    need = kept + WORKING_GIB * GIB
    if free < need:
        raise ConfigError(
            f"the GPU has {free / GIB:.1f} GiB free of {total / GIB:.1f}; needed are about {need / GIB:.1f} "
            f"({kept / GIB:.1f} for weights, {WORKING_GIB:.0f} to work)",
            where=f"{WHERE}, checkpoint {checkpoint.folder}",
            hint="Free memory, set offload to model or sequential, or use a server.",
        )


def free_memory(device: str) -> tuple[int, int]:
    """Return free and total bytes of a CUDA device."""
    import torch

    free, total = torch.cuda.mem_get_info(device)
    return int(free), int(total)


def place(pipeline: Any, device: str, offload: str) -> None:
    """Move the pipeline to the device, or install the hooks that move its parts when they are needed."""
    if offload == "none" or not on_cuda(device):
        pipeline.to(device)
    elif offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    else:
        pipeline.enable_sequential_cpu_offload(device=device)


def check_complete(pipeline: Any, folder: Path) -> None:
    """Refuse a checkpoint whose files lack weights: they would be random, or be missing when they are first used.

    Raises:
        ConfigError: Names the part and the first weights that are missing.
    """
    for part in COMPONENTS:
        absent = [name for name, tensor in getattr(pipeline, part).state_dict().items() if tensor.is_meta]
        if absent:
            raise ConfigError(
                f"the weights of {part} lack {len(absent)} tensors, among them {', '.join(absent[:3])}",
                where=f"{WHERE}, checkpoint {folder}",
                hint="Download it again.",
            )


def on_cuda(device: str) -> bool:
    """True for a CUDA device."""
    return device.startswith("cuda")


def one_line(error: BaseException) -> str:
    """Return an error's text on one line of at most 400 characters."""
    return " ".join(str(error).split())[:400] or type(error).__name__
