"""Builds what an evaluation needs: embodiment, world model, baselines, guard."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace

from cosmos_ros.embodiment import Embodiment, load_embodiment
from cosmos_ros.errors import ConfigError
from cosmos_ros.evaluation.baselines import create_baseline
from cosmos_ros.evaluation.chunks import Source
from cosmos_ros.evaluation.evaluation_options import EvaluationOptions
from cosmos_ros.evaluation.lpips import Lpips
from cosmos_ros.evaluation.scoring import MODEL, Scorer
from cosmos_ros.guard import Guard
from cosmos_ros.prediction.pipeline import Pipeline, PipelineSettings
from cosmos_ros.types import NANOSECONDS, Mode
from cosmos_ros.world_models import create_world_model


@dataclass
class Components:
    """What an evaluation works with, loaded.

    Attributes:
        options: As asked, with cameras, stride, chunk size, modes and deadline filled in.
        embodiment: The robot.
        pipelines: ``model`` first, then the baselines by name.
        settings: Of the pipelines.
        guard: Judges what they predict; None for an embodiment without joints.
        lpips: Compares frames; None without a network.
    """

    options: EvaluationOptions
    embodiment: Embodiment
    pipelines: dict[str, Pipeline]
    settings: PipelineSettings
    guard: Guard | None
    lpips: Lpips | None = None

    @property
    def source(self) -> Source:
        """How recordings are read."""
        needs = [pipeline.world_model.capabilities for pipeline in self.pipelines.values()]
        return Source(
            options=self.options,
            needs_scene=any(capabilities.needs_scene for capabilities in needs),
            previous_images=any(capabilities.uses_previous_image for capabilities in needs),
            whole_images=any(capabilities.needs_observation for capabilities in needs),
        )

    @property
    def stride_ns(self) -> int:
        """From chunk to chunk."""
        return round(self.options.stride * NANOSECONDS / self.embodiment.fps)

    @property
    def seen_views(self) -> list[str]:
        """Views with a camera, in the embodiment's order."""
        return [view for view in self.embodiment.views if view in self.options.cameras]

    def scorer(self) -> Scorer:
        """Return a new scorer."""
        return Scorer(
            self.embodiment,
            self.pipelines,
            self.settings,
            self.guard,
            modes=self.options.modes,
            stride=self.options.stride,
            lpips=self.lpips,
        )

    def close(self) -> None:
        """Release the models."""
        for pipeline in self.pipelines.values():
            pipeline.world_model.close()


def prepare(options: EvaluationOptions, *, load: bool = True) -> Components:
    """Check the options against embodiment and model, and load everything.

    Args:
        options: As asked.
        load: Load the models too; without, nothing can be predicted.

    Raises:
        ConfigError, CapabilityError, ModelError: Names what does not fit.
    """
    embodiment = load_embodiment(options.embodiment)
    cameras = dict(options.cameras) or {view: f"/{view}/image_raw" for view in embodiment.views}
    unknown = sorted(set(cameras) - set(embodiment.views))
    if unknown:
        raise ConfigError(
            f"{', '.join(unknown)} are not views of {embodiment.name}; it has {', '.join(embodiment.views)}",
            where="cameras",
        )
    cameras = {view: cameras[view] for view in embodiment.views if view in cameras}
    poses = _tool_poses(options, embodiment)
    chunk_size = options.chunk_size or embodiment.chunk_size
    stride = options.stride or chunk_size
    model = create_world_model(options.world_model, **options.model_options)
    can = model.capabilities.modes
    beyond = options.modes - can
    if beyond:
        names = ", ".join(sorted(mode.value for mode in beyond))
        raise ConfigError(f"it cannot do {names}", where=f"world_model {model.name}")
    lpips = Lpips(options.lpips, options.lpips_sha256) if options.lpips is not None else None
    options = replace(
        options,
        lpips=None if options.lpips is None else options.lpips.resolve(),
        lpips_sha256="" if lpips is None else lpips.sha256,
        cameras=cameras,
        tool_poses=poses,
        chunk_size=chunk_size,
        stride=stride,
        modes=(options.modes or can) | {Mode.POLICY},
        deadline=options.deadline or stride / embodiment.fps,
    )
    settings = PipelineSettings(
        seed=options.seed,
        chunk_size=chunk_size,
        sampler=options.settings,
        blank_views=frozenset(embodiment.views) - set(cameras),
    )
    # The sampler's settings are the model's; a baseline knows none of them.
    plain = replace(settings, sampler={})
    pipelines = {MODEL: Pipeline(embodiment, model, settings)}
    for name in dict.fromkeys(options.baselines):
        if name == options.world_model and not options.model_options and not options.settings:
            continue  # it would stand beside itself
        if name == MODEL:
            raise ConfigError(f"{name!r} stands for the model itself", where="baselines")
        pipelines[name] = Pipeline(embodiment, create_baseline(name), plain)
    if load:
        with ExitStack() as on_failure:
            for pipeline in pipelines.values():
                on_failure.callback(pipeline.world_model.close)
                pipeline.world_model.load()
            on_failure.pop_all()
    return Components(options, embodiment, pipelines, settings, _guard(options, embodiment), lpips)


def _guard(options: EvaluationOptions, embodiment: Embodiment) -> Guard | None:
    return Guard.for_embodiment(embodiment, options.guard_settings()) if embodiment.has_joints else None


def _tool_poses(options: EvaluationOptions, embodiment: Embodiment) -> dict[str, str]:
    """Return link → topic of what is tracked; empty for a robot with joints, whose poses follow from them."""
    links = () if embodiment.has_joints else embodiment.tool_links
    unknown = sorted(set(options.tool_poses) - set(links))
    if unknown:
        has = "joints, from which its poses follow" if embodiment.has_joints else ", ".join(links)
        raise ConfigError(f"{', '.join(unknown)} are not tracked: {embodiment.name} has {has}", where="tool_poses")
    return {link: options.tool_poses.get(link, f"/{link}/pose") for link in links}
