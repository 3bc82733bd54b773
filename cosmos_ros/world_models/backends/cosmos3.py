"""The backend ``cosmos3``: Cosmos3-Nano in this process."""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_ros.errors import ConfigError
from cosmos_ros.world_models.backend import Backend
from cosmos_ros.world_models.domains import pose_model_capabilities

OFFLOADS = ("none", "model", "sequential")
DTYPES = ("auto", "bfloat16", "float16", "float32")


@dataclass(frozen=True)
class Cosmos3Options:
    """Options of ``cosmos3``.

    Attributes:
        model: Checkpoint directory, or hub id.
        revision: Pinned commit; needed with a hub id.
        device: ``auto``, ``cuda``, ``cuda:1`` … or ``cpu``.
        dtype: ``auto`` is bfloat16 on CUDA and float32 on the CPU.
        offload: ``none``; ``model`` keeps one component at a time on the GPU; ``sequential`` one layer at a time,
            which fits small GPUs and is many times slower.
        frames: Decode the predicted frames; without them policy saves that time and forward_dynamics is refused.
        guardrail: Run NVIDIA's guardrail on captions and frames; needs cosmos_guardrail and its gated weights.
        compile_blocks: Compile the transformer's blocks; the first prediction then takes minutes.
        stock_inputs: Leave canvas and caption to diffusers.
        warm_up: Run one small prediction in ``load``.
        allow_download: Let ``load`` fetch a hub checkpoint.
    """

    model: str = ""
    revision: str = ""
    device: str = "auto"
    dtype: str = "auto"
    offload: str = "none"
    frames: bool = True
    guardrail: bool = False
    compile_blocks: bool = False
    stock_inputs: bool = False
    warm_up: bool = True
    allow_download: bool = False

    def __post_init__(self) -> None:
        for option, value, allowed in (("offload", self.offload, OFFLOADS), ("dtype", self.dtype, DTYPES)):
            if value not in allowed:
                raise ConfigError(f"{option} '{value}' is not one of {', '.join(allowed)}", where="world_model cosmos3")


BACKEND = Backend(
    name="cosmos3",
    summary="Cosmos3-Nano in this process, through diffusers",
    options=Cosmos3Options,
    capabilities=lambda options: pose_model_capabilities(options.frames),
    implementation="cosmos_ros.world_models.cosmos3.model:Cosmos3",
    packages=(
        "torch>=2.6",
        "diffusers>=0.42",
        "transformers>=4.57",
        "accelerate>=1.0",
        "safetensors>=0.4",
        "huggingface-hub>=0.30",
        "pillow>=10",
    ),
    hardware="a GPU of 40 GB or offload",
    examples={"cosmos3": {"model": "nvidia/Cosmos3-Nano"}},
)
