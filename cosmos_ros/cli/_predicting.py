"""What ``predict``, ``rollout`` and ``infer-action`` share: arguments, the scene they read, the files they write."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

LARGEST_SEED = 2**31 - 1  # as the predictor's parameter

if TYPE_CHECKING:
    import numpy as np

    from cosmos_ros.embodiment import Embodiment
    from cosmos_ros.prediction.state_api import StateModel, StateRollout
    from cosmos_ros.types import Mode, Observation, UInt8Array
    from cosmos_ros.world_models import WorldModel


def add_model_arguments(parser: argparse.ArgumentParser, default: str = "flow") -> None:
    """Add what chooses a world model and an embodiment, and where results go."""
    parser.add_argument("--world-model", default=default, metavar="NAME", help="world model (default: %(default)s)")
    parser.add_argument("--model", metavar="PLACE", help="its checkpoint directory, hub id or server address")
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="one of its own options, e.g. revision=…"
    )
    parser.add_argument("--embodiment", default="franka", metavar="NAME_OR_FILE", help="default: %(default)s")
    parser.add_argument(
        "--fps", type=float, metavar="HZ", help="rate of frames and actions (default: the embodiment's)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the sampler (default: %(default)s)")
    parser.add_argument(
        "--setting",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="sampler setting: num_inference_steps, guidance_scale, flow_shift, use_system_prompt",
    )
    parser.add_argument("--negative-prompt", default="", metavar="TEXT", help="text to steer away from")
    parser.add_argument("--instruction", default="", metavar="TEXT", help="what is to be done")
    parser.add_argument(
        "--out", type=Path, default=Path("out/predictions"), metavar="DIR", help="where to write (default: %(default)s)"
    )


def add_scene_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what tells where the first picture and the posture come from."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--image",
        action="append",
        metavar="[VIEW=]FILE",
        help="picture of a view; once a view. Without a name: the first view. Views left out are black",
    )
    source.add_argument("--canvas", type=Path, metavar="FILE", help="picture with all views composed already")
    source.add_argument("--bag", type=Path, help="recording to take pictures, joints and instruction from")
    add_bag_arguments(parser)
    parser.add_argument(
        "--joints", metavar="Q", help="arm joints, rad, comma-separated, in the embodiment's order (default: home)"
    )


def add_bag_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a recording needs besides."""
    parser.add_argument("--at", type=float, default=0.0, metavar="S", help="seconds into the recording")
    parser.add_argument(
        "--topic", action="append", default=[], metavar="VIEW=TOPIC", help="image topic of a view (/VIEW/image_raw)"
    )


@dataclass(frozen=True)
class Asking:
    """A world model that can serve an embodiment, not yet loaded."""

    arguments: argparse.Namespace
    embodiment: Embodiment
    model: WorldModel
    options: Mapping[str, Any]

    @contextmanager
    def loaded(self) -> Iterator[StateModel]:
        """Load the model for the time of the block."""
        from cosmos_ros.prediction.state_api import StateModel
        from cosmos_ros.world_models import loaded

        states = StateModel(
            self.model,
            self.embodiment,
            seed=self.arguments.seed,
            settings=settings_of(self.arguments.setting),
            negative_prompt=self.arguments.negative_prompt,
        )
        with loaded(self.model):
            yield states


def prepare(arguments: argparse.Namespace, mode: Mode) -> Asking:
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
    return Asking(arguments, embodiment, model, options)


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


def settings_of(texts: Sequence[str]) -> dict[str, float | int | str | bool]:
    """Return sampler settings of KEY=VALUE texts; the backend checks names and ranges."""
    from cosmos_ros.errors import ConfigError

    found: dict[str, float | int | str | bool] = {}
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not key or key in found:
            raise ConfigError(f"'{text}' is not one KEY=VALUE", where="--setting")
        try:
            found[key] = int(value)
        except ValueError:
            try:
                found[key] = float(value)
            except ValueError:
                found[key] = {"true": True, "false": False}.get(value.lower(), value)
    return found


def scene_of(arguments: argparse.Namespace, embodiment: Embodiment) -> tuple[Observation, list[str]]:
    """Return the observation that the arguments describe, and what was assumed.

    Raises:
        InputError: A file, view, topic or number is wrong.
    """
    from cosmos_ros.prediction import scenes

    assumed: list[str] = []
    if arguments.bag is not None:
        observation = scenes.from_bag(
            arguments.bag, embodiment, at_s=arguments.at, topics=named(arguments.topic, embodiment.views, "--topic")
        )
    else:
        if arguments.canvas is not None:
            views = scenes.split_canvas(embodiment, read_picture(arguments.canvas))
        else:
            files = named(arguments.image, embodiment.views, "--image", first=True)
            views = {view: read_picture(Path(file)) for view, file in files.items()}
            blank = [view for view in embodiment.views if view not in views]
            if blank:
                assumed.append(f"black pictures for {', '.join(blank)}")
        posture = numbers(arguments.joints) if arguments.joints else None
        observation = scenes.from_images(embodiment, views, posture)
        if posture is None:
            assumed.append("home posture" if embodiment.has_joints else "tool at the origin")
    if arguments.instruction:
        from dataclasses import replace

        observation = replace(observation, instruction=arguments.instruction)
    tell_assumed(assumed)
    return observation, assumed


def tell_assumed(assumed: Sequence[str]) -> None:
    """Print what was assumed where nothing was said."""
    for text in assumed:
        print(f"assumed: {text}", file=sys.stderr)


def named(texts: Sequence[str], names: Sequence[str], where: str, *, first: bool = False) -> dict[str, str]:
    """Split NAME=VALUE texts; with ``first`` a text without a name is of the first one."""
    from cosmos_ros.errors import InputError

    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals and first:
            name, value = names[0], text
        elif not equals:
            raise InputError(f"'{text}' is not NAME=VALUE", where=where)
        if name not in names or name in found:
            raise InputError(f"'{name}' must be one of {', '.join(names)}, each once", where=where)
        found[name] = value
    return found


def numbers(text: str) -> np.ndarray[Any, Any]:
    """Return comma-separated numbers as float64; InputError for anything else."""
    import numpy as np

    from cosmos_ros.errors import InputError

    try:
        return np.array([float(part) for part in text.split(",")])
    except ValueError:
        raise InputError(f"'{text}' is not a list of numbers", where="--joints") from None


def read_picture(path: Path) -> UInt8Array:
    """Read a picture file as ``uint8 [H, W, 3]`` RGB."""
    import cv2
    import numpy as np

    from cosmos_ros.errors import InputError

    picture = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if picture is None:
        raise InputError("is no picture that can be read", where=str(path))
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def write_result(asking: Asking, result: StateRollout, start: Observation, assumed: Sequence[str]) -> int:
    """Write frames.mp4, prediction.json and the prediction log; print what was written. Return the exit status."""
    from cosmos_ros.files import write_bytes
    from cosmos_ros.prediction.prediction_log import PredictionLog
    from cosmos_ros.prediction.provenance import state_provenance
    from cosmos_ros.prediction.result_json import result_to_dict
    from cosmos_ros.world_models.mp4 import encode_video

    embodiment = asking.embodiment
    folder: Path = asking.arguments.out
    world_model = {"name": asking.arguments.world_model, "options": dict(asking.options)}
    records = [{**record, "world_model": world_model} for record in state_provenance(asking.model, embodiment, result)]
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
