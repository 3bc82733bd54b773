"""The backend ``cosmos3``: Cosmos3-Nano in this process."""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.world_models.backend import ModelBackend
from cosmos_ros.world_models.domains import pose_model_capabilities


@dataclass(frozen=True)
class Cosmos3Options(DeclaredSettings):
    """Options of ``cosmos3``."""

    model: str = setting("", "Checkpoint directory, or hub id.")
    revision: str = setting("", "Pinned commit; needed with a hub id, branches are refused.")
    device: str = setting("auto", "auto, cuda, cuda:1 … or cpu.")
    dtype: str = setting(
        "auto", "auto is bfloat16 on CUDA and float32 on the CPU.", choices=("auto", "bfloat16", "float16", "float32")
    )
    offload: str = setting(
        "none",
        "model keeps one component at a time on the GPU; sequential one layer at a time, which fits small GPUs and is "
        "many times slower.",
        choices=("none", "model", "sequential"),
    )
    engine: str = setting(
        "auto",
        "Run the weights by this package's engine instead of diffusers' pipeline, the same model several times faster. "
        "auto is on for CUDA, unless an option that only the pipeline has is set: offload, guardrail, stock_inputs, "
        "compile_blocks.",
        choices=("auto", "on", "off"),
    )
    engine_compile: bool = setting(
        True,
        "Compile the engine's layers on CUDA, where Triton and a C compiler are there; the first chunk of each size "
        "then takes some seconds longer.",
    )
    frames: bool = setting(
        True, "Decode the predicted frames; without them policy saves that time and forward_dynamics is refused."
    )
    guardrail: bool = setting(
        False, "Run NVIDIA's guardrail on captions and frames; needs cosmos_guardrail and its gated weights."
    )
    compile_blocks: bool = setting(False, "Compile the transformer's blocks; the first prediction then takes minutes.")
    stock_inputs: bool = setting(False, "Leave canvas and caption to diffusers.")
    warm_up: bool = setting(True, "Run one small prediction while loading.")
    allow_download: bool = setting(False, "Let loading fetch a hub checkpoint.")


BACKEND = ModelBackend(
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
