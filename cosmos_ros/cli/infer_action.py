"""``cosmos-ros infer-action``: infer the actions between the frames of a video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import UseAppendAction

from cosmos_ros.cli import _predicting
from cosmos_ros.named_values import named_values

if TYPE_CHECKING:
    from cosmos_ros.embodiment import Embodiment
    from cosmos_ros.types import Observation, UInt8Array


@dataclass(frozen=True, kw_only=True)
class InferAction(_predicting.PredictingOptions):
    """Infer actions from a video (inverse dynamics) and decode them to metres and radians (JSON).

    For example: cosmos-ros infer-action --video wrist=wrist.mp4 --embodiment franka

    Attributes:
        video: [VIEW=]FILE, video of a view; once a view. Without a name: all views composed already.
        steps: Number of actions; without it the video's, or one chunk of a recording.
    """

    world_model: str = "persistence"
    video: Annotated[UseAppendAction[tuple[str, ...]], _predicting.SOURCE] = ()
    steps: int | None = None

    def run(self) -> int:
        """Infer and write."""
        from cosmos_ros.types import Mode

        prepared = _predicting.prepare(self, Mode.INVERSE_DYNAMICS)
        canvases, start, assumed = _frames(self, prepared.embodiment)
        _predicting.print_assumed(assumed)
        with prepared.loaded() as states:
            result = states.infer_action(canvases, start, self.instruction)
        return _predicting.write_result(prepared, result, start, assumed)


def _frames(arguments: InferAction, embodiment: Embodiment) -> tuple[UInt8Array, Observation, list[str]]:
    """Return canvases at the embodiment's rate, the state at the first one, and what was assumed."""
    import numpy as np

    from cosmos_ros.errors import InputError
    from cosmos_ros.prediction import scenes
    from cosmos_ros.prediction.state_api import MAX_HORIZON

    if arguments.steps is not None and not 1 <= arguments.steps <= MAX_HORIZON:
        raise InputError(f"{arguments.steps} must be 1 to {MAX_HORIZON}", where="--steps")
    if arguments.bag is not None:
        observations = scenes.observations_from_bag(
            arguments.bag,
            embodiment,
            at_s=arguments.at,
            count=(arguments.steps or embodiment.chunk_size) + 1,
            topics=_predicting.topics_of(arguments, embodiment),
        )
        return np.stack([embodiment.compose(o.images) for o in observations]), observations[0], []
    assumed = []
    if len(arguments.video) == 1 and "=" not in arguments.video[0]:
        canvases = _read(Path(arguments.video[0]), embodiment.fps, arguments.steps)
        views = scenes.split_canvas(embodiment, canvases)
    else:
        files = named_values(arguments.video, where="--video", form="VIEW=FILE", names=embodiment.views)
        views = {view: _read(Path(file), embodiment.fps, arguments.steps) for view, file in files.items()}
        lengths = {view: len(frames) for view, frames in views.items()}
        shortest = min(lengths.values())
        if max(lengths.values()) > shortest and arguments.steps is None:
            assumed.append(f"the videos end together after {shortest} frames; there are {lengths}")
        blank = [view for view in embodiment.views if view not in views]
        if blank:
            assumed.append(f"black images for {', '.join(blank)}")
        views = {view: frames[:shortest] for view, frames in views.items()}
        black = np.zeros_like(next(iter(views.values())))
        canvases = embodiment.compose_video({view: views.get(view, black) for view in embodiment.views})
    if arguments.steps is not None and len(canvases) <= arguments.steps:
        raise InputError(f"the video has {len(canvases) - 1} steps, asked for {arguments.steps}", where="--steps")
    posture = _predicting.numbers(arguments.joints) if arguments.joints else None
    start = scenes.from_images(embodiment, {view: frames[0] for view, frames in views.items()}, posture)
    if posture is None:
        assumed.append("home posture at the first frame" if embodiment.has_joints else "tool at the origin")
    return canvases, start, assumed


def _read(path: Path, fps: float, steps: int | None) -> UInt8Array:
    """Return a video's frames at ``fps``, as many as ``steps`` need."""
    from cosmos_ros.errors import InputError
    from cosmos_ros.world_models.mp4 import sample_video

    if not path.is_file():
        raise InputError("there is no such file", where=str(path))
    return sample_video(path, fps, wanted=None if steps is None else steps + 1)


VERB = InferAction
