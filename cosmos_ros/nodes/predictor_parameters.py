"""The predictor's own settings; its parameters are these and those of what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cosmos_ros.messages.cv_bridge_images import ImageConversion
from cosmos_ros.nodes.camera_input import TRANSPORTS
from cosmos_ros.observation.sync_settings import Timing
from cosmos_ros.settings import Setting, declared, setting
from cosmos_ros.trajectory.joiner import JoinSettings
from cosmos_ros.world_models import parse_options, world_model_names


@dataclass(frozen=True)
class PredictorSettings:
    """What the predictor runs, and with which settings of the sampler."""

    embodiment: str = setting("franka", "Shipped embodiment or path of its YAML file.", read_only=True)
    robot_description: str = setting(
        "",
        "The robot's own URDF: topic, path (.urdf, .xml) or text. The tighter of its limits and the embodiment's hold, "
        "and its kinematics; empty: the embodiment alone.",
        read_only=True,
    )
    world_model: str = setting("flow", "World model that predicts.", choices=world_model_names(), read_only=True)
    model: str = setting("", "Checkpoint directory, hub id or server address of the world model.", read_only=True)
    model_options: str = setting("", "Comma-separated option=value pairs of the world model.", read_only=True)
    cameras: str = setting(
        "", "Comma-separated view=topic pairs; views left out are black. Empty: all <view>/image_raw.", read_only=True
    )
    image_transport: str = setting(
        "auto", "Raw or compressed images; auto takes raw when it is published and arrives.", choices=TRANSPORTS,
        read_only=True,
    )  # fmt: skip
    autostart: bool = setting(True, "Configure and activate at start-up without a lifecycle manager.", read_only=True)
    instruction: str = setting("", "Task text until a message arrives on the instruction topic.")
    seed: int = setting(0, "Seed of the sampler.", minimum=0, maximum=2**31 - 1)
    chunk_size: int = setting(
        0, "Action rows a prediction; 0 takes the embodiment's.", minimum=0, maximum=256, read_only=True
    )
    fps: float = setting(
        0.0, "Rate of frames and action rows; 0 takes the embodiment's", unit="1/s", minimum=0.0, maximum=1000.0,
        read_only=True,
    )  # fmt: skip
    negative_prompt: str = setting("", "Text to steer away from.", read_only=True)
    num_inference_steps: int = setting(
        0, "Sampler steps; 0 takes the mode's own.", minimum=0, maximum=100, read_only=True
    )
    guidance_scale: float = setting(
        0.0, "Guidance scale; 0 takes the mode's own.", minimum=0.0, maximum=20.0, read_only=True
    )
    flow_shift: float = setting(
        0.0, "Flow shift of the sampler; 0 takes the mode's own.", minimum=0.0, maximum=50.0, read_only=True
    )
    system_prompt: str = setting(
        "auto", "The text-to-video system prompt before the caption; auto takes the mode's own.",
        choices=("auto", "on", "off"), read_only=True,
    )  # fmt: skip
    model_timeout: float = setting(
        30.0, "Report a world model that has not answered for this long", unit="s", minimum=0.1, maximum=3600.0
    )
    max_prediction_age: float = setting(
        30.0, "Drop an answer whose observation is older than this", unit="s", minimum=0.05, maximum=3600.0
    )
    prediction_log: str = setting("", "File that gets one JSON line a prediction; empty: none.", read_only=True)


def parameters() -> tuple[Setting, ...]:
    """Return the declarations of all parameters of the node."""
    return declared(PredictorSettings, ImageConversion, Timing, JoinSettings)


def world_model_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that the world model is created with.

    Raises:
        ConfigError: An option is malformed or not one of the model's.
    """
    return parse_options(
        values["world_model"],
        [text for text in values["model_options"].split(",") if text.strip()],
        model=values["model"],
        embodiment=values["embodiment"],
    )


def sampler_settings(values: Mapping[str, Any]) -> dict[str, float | int | str | bool]:
    """Return the sampler settings that were set; 0 and ``auto`` mean the mode's own."""
    names = ("num_inference_steps", "guidance_scale", "flow_shift")
    found: dict[str, float | int | str | bool] = {name: values[name] for name in names if values[name]}
    if values["system_prompt"] != "auto":
        found["use_system_prompt"] = values["system_prompt"] == "on"
    return found
