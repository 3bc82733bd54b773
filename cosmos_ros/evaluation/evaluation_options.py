"""What an evaluation is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from cosmos_ros.errors import ConfigError
from cosmos_ros.evaluation.baselines import DEFAULT_BASELINES
from cosmos_ros.guard.guard_settings import GuardSettings
from cosmos_ros.guard.supervision.node_settings import read_guard_parameters
from cosmos_ros.observation.sync_settings import Timing
from cosmos_ros.types import Mode

# Longer than any delay of a recording, so that the observations depend on stamps alone.
TIMING = Timing(sync_wait=0.4)
# How an evaluation is run and shown, which changes none of its metrics.
_NOT_IDENTITY = frozenset(
    ("out", "deadline", "resume", "pictures", "annotate", "workers", "engine", "address", "ray_workers", "lpips_sha256")
)


@dataclass(frozen=True)
class EvaluationOptions:
    """The options of one evaluation.

    Attributes:
        bags: Recordings: rosbag2 folders, or ``.mcap`` or ``.db3`` files.
        out: Folder for the results.
        embodiment: Name or YAML file.
        world_model: Name.
        model_options: Keyword settings of the world model, e.g. ``model`` (checkpoint folder, hub id or server address)
            or ``revision``.
        cameras: View → image topic without ``/compressed``; empty takes every view at ``/<view>/image_raw``. Views
            that are left out are black.
        stride: Control steps from one chunk to the next; 0 takes the whole chunk.
        chunk_size: Control steps of a chunk, T; 0 takes the embodiment's own.
        seed: Seed of the sampler.
        settings: Sampler settings by name.
        instruction: Task text until one is recorded.
        baselines: Predictors beside the model; empty for none.
        modes: Modes to ask the model for; empty takes all that it can do. Policy is always asked.
        joint_states: Topic of the joint states; of an embodiment without joints, of the grippers' widths (m, by the
            grippers' names).
        tool_poses: Link → topic of its poses (PoseStamped, m), for embodiments without joints; empty takes every link
            at ``/<link>/pose``.
        lpips: ONNX file with an LPIPS network (two images ``[1, 3, H, W]`` in [-1, 1] to one number); None: LPIPS is
            not computed.
        lpips_sha256: Hash (hex) that the file must have; empty takes any.
        timing: Synchronisation, in seconds, as the predictor's parameters.
        commands: Topics of joint trajectories by another driver (shadow mode); None looks for the controllers' own.
        guard_config: Parameter file of the guard node, to judge the predicted trajectories with; None: its defaults.
        deadline: Seconds from observation to guarded trajectory; 0 takes the time of one stride.
        resume: Go on where an evaluation in ``out`` ended.
        pictures: Whether the report has example images.
        annotate: Whether annotated recordings are written.
        workers: Threads that decode images and score frames.
        engine: Where chunks are scored.
        address: Of a Ray cluster; empty starts a local one.
        ray_workers: Processes that score chunks with the Ray engine; 0 takes one a core.
        max_chunks: Stop after this many chunks; 0 for all.
    """

    bags: tuple[Path, ...]
    out: Path
    embodiment: str = "franka"
    world_model: str = "flow"
    model_options: Mapping[str, Any] = field(default_factory=dict)
    cameras: Mapping[str, str] = field(default_factory=dict)
    stride: int = 0
    chunk_size: int = 0
    seed: int = 0
    settings: Mapping[str, float | int | str | bool] = field(default_factory=dict)
    instruction: str = ""
    baselines: tuple[str, ...] = DEFAULT_BASELINES
    modes: frozenset[Mode] = frozenset()
    joint_states: str = "/joint_states"
    tool_poses: Mapping[str, str] = field(default_factory=dict)
    lpips: Path | None = None
    lpips_sha256: str = ""
    timing: Timing = TIMING
    commands: tuple[str, ...] | None = None
    guard_config: Path | None = None
    deadline: float = 0.0
    resume: bool = False
    pictures: bool = True
    annotate: bool = True
    workers: int = 2
    engine: Literal["local", "ray"] = "local"
    address: str = ""
    ray_workers: int = 0
    max_chunks: int = 0

    def __post_init__(self) -> None:
        """Check what can be checked without loading anything.

        Raises:
            ConfigError: Names the option.
        """
        if not self.bags:
            raise ConfigError("no recording was given", where="bags")
        names = [path.resolve().name for path in self.bags]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f"two recordings are called {', '.join(twice)}", where="bags", hint="Rename one.")
        inside = [str(p) for p in self.bags if self.out.resolve() in (p.resolve(), p.resolve().parent)]
        if inside:
            raise ConfigError(f"{inside[0]} lies in it", where="out", hint="Give another folder for the results.")
        for name in ("stride", "chunk_size", "deadline", "workers", "ray_workers", "max_chunks"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{getattr(self, name)} is negative", where=name)
        if self.engine not in ("local", "ray"):
            raise ConfigError(f"{self.engine!r} is neither local nor ray", where="engine")

    def guard_settings(self) -> GuardSettings:
        """Return the settings of the guard.

        Raises:
            ConfigError: ``guard_config`` cannot be read, or a setting is not the guard node's or out of its range.
        """
        given = {} if self.guard_config is None else read_guard_parameters(self.guard_config)
        return GuardSettings.from_mapping(given)

    def identity(self) -> dict[str, Any]:
        """Return everything that decides the metrics, as JSON data; an evaluation is resumed only under the same."""
        names = [f.name for f in fields(self) if f.name not in _NOT_IDENTITY]
        plain = {name: list(value) if isinstance(value := getattr(self, name), tuple) else value for name in names}
        return {
            **plain,
            "bags": [path.resolve().name for path in self.bags],
            "guard_config": self.guard_settings().differences(),
            "model_options": {name: str(value) for name, value in sorted(self.model_options.items())},
            "cameras": dict(self.cameras),
            "settings": dict(sorted(self.settings.items())),
            "modes": sorted(mode.value for mode in self.modes),
            "tool_poses": dict(self.tool_poses),
            "lpips": self.lpips_sha256,
            "timing": {name: value for name, value in vars(self.timing).items() if name != "prediction_rate"},
        }
