"""What ``predict``, ``rollout`` and ``infer-action`` share: options, the scene they read, the files they write."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import UseAppendAction, create_mutex_group

from cosmos_ros.named_values import named_values, plain_value

LARGEST_SEED = 2**31 - 1  # as the predictor's parameter
SOURCE = create_mutex_group(required=True, title="where the start comes from")

if TYPE_CHECKING:
    import numpy as np

    from cosmos_ros.embodiment import Embodiment
    from cosmos_ros.prediction.state_api import StateModel, StateRollout
    from cosmos_ros.types import Mode, Observation, UInt8Array
    from cosmos_ros.world_models import WorldModel


@dataclass(frozen=True, kw_only=True)
class PredictingOptions:
    """What chooses a world model and an embodiment, and where results go.

    Attributes:
        world_model: World model.
        model: Its checkpoint directory, hub id or server address.
        option: KEY=VALUE, one of its own options, e.g. revision=...; once for each.
        embodiment: Name or YAML file.
        fps: Rate of frames and actions, Hz; without it the embodiment's.
        seed: Seed of the sampler.
        setting: KEY=VALUE, a sampler setting: num_inference_steps, guidance_scale, flow_shift, use_system_prompt; once
            for each.
        negative_prompt: Text to steer away from.
        instruction: What is to be done.
        out: Where to write.
        bag: Recording to take images, joints and instruction from.
        at: Seconds into the recording.
        topic: VIEW=TOPIC, the image topic of a view of the recording, in place of /VIEW/image_raw; once for each.
        joints: Arm joints at the start, rad, comma-separated, in the embodiment's order; without it home.
    """

    world_model: str = "flow"
    model: str | None = None
    option: UseAppendAction[tuple[str, ...]] = ()
    embodiment: str = "franka"
    fps: float | None = None
    seed: int = 0
    setting: UseAppendAction[tuple[str, ...]] = ()
    negative_prompt: str = ""
    instruction: str = ""
    out: Path = Path("out/predictions")
    bag: Annotated[Path | None, SOURCE] = None
    at: float = 0.0
    topic: UseAppendAction[tuple[str, ...]] = ()
    joints: str | None = None


@dataclass(frozen=True, kw_only=True)
class SceneOptions(PredictingOptions):
    """Where the first image comes from, besides a recording.

    Attributes:
        image: [VIEW=]FILE, image of a view; once a view. Without a name: the first view. Views left out are black.
        canvas: Image with all views composed already.
    """

    image: Annotated[UseAppendAction[tuple[str, ...]], SOURCE] = ()
    canvas: Annotated[Path | None, SOURCE] = None


@dataclass(frozen=True)
class PreparedModel:
    """A world model that can serve an embodiment, not yet loaded."""

    options: PredictingOptions
    embodiment: Embodiment
    model: WorldModel
    model_options: Mapping[str, Any]

    @contextmanager
    def loaded(self) -> Iterator[StateModel]:
        """Load the model for the time of the block."""
        from cosmos_ros.prediction.state_api import StateModel
        from cosmos_ros.world_models import loaded

        settings = named_values(self.options.setting, where="--setting")
        states = StateModel(
            self.model,
            self.embodiment,
            seed=self.options.seed,
            settings={name: plain_value(text) for name, text in settings.items()},
            negative_prompt=self.options.negative_prompt,
        )
        with loaded(self.model):
            yield states


def prepare(arguments: PredictingOptions, mode: Mode) -> PreparedModel:
    """Load the embodiment, create the world model, and refuse the pair when it cannot do the mode."""
    from cosmos_ros.embodiment import load_embodiment
    from cosmos_ros.errors import ConfigError, InputError
    from cosmos_ros.world_models import create_world_model, parse_options
    from cosmos_ros.world_models.compatibility import check_embodiment

    if not 0 <= arguments.seed <= LARGEST_SEED:
        raise InputError(f"{arguments.seed} must be 0 to {LARGEST_SEED}", where="--seed")
    _make_folder(arguments.out)
    texts = list(arguments.option)
    if arguments.model is not None:
        if any(text.startswith("model=") for text in texts):
            raise ConfigError("--model and --option model=… are the same", where="arguments")
        texts.append(f"model={arguments.model}")
    embodiment = load_embodiment(arguments.embodiment, fps=arguments.fps)
    options = parse_options(arguments.world_model, texts, embodiment=arguments.embodiment)
    model = create_world_model(arguments.world_model, **options)
    check_embodiment(model, embodiment, (mode,))
    return PreparedModel(arguments, embodiment, model, options)


def _make_folder(folder: Path) -> None:
    """Make the folder for the results before anything is computed that could then not be kept."""
    import tempfile

    from cosmos_ros.errors import InputError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"nothing can be written there: {error}", where=f"--out {folder}") from error


def scene_of(arguments: SceneOptions, embodiment: Embodiment) -> tuple[Observation, list[str]]:
    """Return the observation that the arguments describe, and what was assumed.

    Raises:
        InputError: A file, view, topic or number is wrong.
    """
    from cosmos_ros.prediction import scenes

    assumed: list[str] = []
    if arguments.bag is not None:
        observation = scenes.from_bag(
            arguments.bag, embodiment, at_s=arguments.at, topics=topics_of(arguments, embodiment)
        )
    else:
        if arguments.canvas is not None:
            views = scenes.split_canvas(embodiment, read_image(arguments.canvas))
        else:
            files = named_values(arguments.image, where="--image", names=embodiment.views, unnamed=embodiment.views[0])
            views = {view: read_image(Path(file)) for view, file in files.items()}
            blank = [view for view in embodiment.views if view not in views]
            if blank:
                assumed.append(f"black images for {', '.join(blank)}")
        posture = numbers(arguments.joints) if arguments.joints else None
        observation = scenes.from_images(embodiment, views, posture)
        if posture is None:
            assumed.append("home posture" if embodiment.has_joints else "tool at the origin")
    if arguments.instruction:
        observation = replace(observation, instruction=arguments.instruction)
    print_assumed(assumed)
    return observation, assumed


def print_assumed(assumed: Sequence[str]) -> None:
    """Print what was assumed where nothing was said."""
    for text in assumed:
        print(f"assumed: {text}", file=sys.stderr)


def topics_of(arguments: PredictingOptions, embodiment: Embodiment) -> dict[str, str]:
    """Return view → image topic of the recording, as far as it is said."""
    return named_values(arguments.topic, where="--topic", form="VIEW=TOPIC", names=embodiment.views)


def numbers(text: str) -> np.ndarray[Any, Any]:
    """Return comma-separated numbers as float64; InputError for anything else."""
    import numpy as np

    from cosmos_ros.errors import InputError

    try:
        return np.array([float(part) for part in text.split(",")])
    except ValueError:
        raise InputError(f"'{text}' is not a list of numbers", where="--joints") from None


def read_image(path: Path) -> UInt8Array:
    """Read an image file as ``uint8 [H, W, 3]`` RGB."""
    import cv2
    import numpy as np

    from cosmos_ros.errors import InputError

    image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if image is None:
        raise InputError("is no image that can be read", where=str(path))
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def write_result(prepared: PreparedModel, result: StateRollout, start: Observation, assumed: Sequence[str]) -> int:
    """Write frames.mp4, prediction.json and the prediction log; print what was written. Return the exit status."""
    from cosmos_ros.files import write_bytes
    from cosmos_ros.prediction.prediction_log import PredictionLog
    from cosmos_ros.prediction.provenance import state_provenance
    from cosmos_ros.prediction.result_json import result_to_dict
    from cosmos_ros.world_models.mp4 import encode_video

    embodiment = prepared.embodiment
    folder: Path = prepared.options.out
    world_model = {"name": prepared.options.world_model, "options": dict(prepared.model_options)}
    records = [
        {**record, "world_model": world_model} for record in state_provenance(prepared.model, embodiment, result)
    ]
    log = PredictionLog(folder / "predictions.jsonl")
    try:
        for record, request, rollout in zip(records, result.requests, result.rollouts, strict=True):
            log.write(record, request, rollout)
    finally:
        log.close()
    content = result_to_dict(embodiment, result, start)
    content |= {"world_model": world_model, "assumed": list(assumed), "chunks": records}
    files = {"prediction.json": (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()}
    if result.frames is not None:
        files = {"frames.mp4": encode_video(result.frames, result.fps), **files}
    for name, data in files.items():
        write_bytes(folder / name, data)
        print(folder / name)
    print(log.path)
    if content["trajectory_error"]:
        print(f"no joint trajectory: {content['trajectory_error']}", file=sys.stderr)
    return 0
