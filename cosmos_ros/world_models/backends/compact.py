"""The backend ``compact``: the small learned world model, with ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_ros.errors import ConfigError
from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.types import Mode
from cosmos_ros.world_models.backend import ModelBackend
from cosmos_ros.world_models.protocol import Capabilities


@dataclass(frozen=True)
class CompactOptions(DeclaredSettings):
    """Options of ``compact``."""

    model: str = setting("", "Folder of an exported model; empty takes the one that the package ships.")
    embodiment: str = setting("franka", "Shipped embodiment or path of its YAML file.")
    providers: str = setting(
        "auto", "Where it runs; auto takes CUDA where onnxruntime-gpu is installed.", choices=("auto", "cpu", "cuda")
    )
    threads: int = setting(
        2,
        "CPU threads of the model; 0 takes all cores, which the rest of the chain then lacks.",
        minimum=0,
        maximum=256,
    )
    precision: str = setting(
        "float32", "Of the arithmetic on CUDA; tf32 is faster and a little less exact.", choices=("float32", "tf32")
    )
    frames: bool = setting(True, "Predict frames; without, policy answers sooner and forward_dynamics is refused.")
    frame_scale: float = setting(0.5, "Size of predicted frames relative to the canvas.", minimum=0.1, maximum=1.0)
    warm_up: bool = setting(True, "Ask it once while loading.")


def capabilities(options: CompactOptions) -> Capabilities:
    """Return what it can do for its robot; whether a model's folder knows the robot is found by ``load``."""
    from cosmos_ros.embodiment import load_embodiment
    from cosmos_ros.world_models.compact.manifest import read_manifest, shipped_folder

    embodiment = load_embodiment(options.embodiment)
    if not options.model:
        robots = read_manifest(shipped_folder()).robots
        if embodiment.name not in robots:
            raise ConfigError(
                f"the shipped model is made for {', '.join(robots)} only",
                where="world_model compact",
                hint="Give a model of your own: model:=FOLDER.",
            )
    modes = set(Mode) if options.frames else {Mode.POLICY, Mode.INVERSE_DYNAMICS}
    return Capabilities(
        modes=frozenset(modes),
        domains=frozenset({embodiment.domain_name}),
        chunk_sizes=(embodiment.chunk_size,),
        needs_observation=True,
        returns_frames=options.frames,
        settings=frozenset(),
        negative_prompt=False,
        takes_committed=True,
    )


BACKEND = ModelBackend(
    name="compact",
    summary="a small learned model of the package's own simulator, on a CPU; knows nothing else",
    options=CompactOptions,
    capabilities=capabilities,
    implementation="cosmos_ros.world_models.compact.model:Compact",
    packages=("onnxruntime>=1.20",),
    examples={"compact": {}},
)
