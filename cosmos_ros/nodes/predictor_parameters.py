"""The predictor's parameters. ``config/predictor.yaml`` lists the same with their defaults; a test compares them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cosmos_ros.nodes.camera_input import TRANSPORTS
from cosmos_ros.nodes.parameters import Parameter
from cosmos_ros.observation.camera_topics import parse_cameras as parse_cameras
from cosmos_ros.trajectory.joiner import JoinSettings
from cosmos_ros.types import NANOSECONDS
from cosmos_ros.world_models import parse_options, world_model_names

_JOIN = JoinSettings()


def parameters() -> list[Parameter]:
    """Return the predictor's parameters."""
    return [
        Parameter("embodiment", "franka", "Shipped embodiment or path of its YAML file.", read_only=True),
        Parameter("world_model", "flow", "World model that predicts.", choices=world_model_names(), read_only=True),
        Parameter("model", "", "Checkpoint directory, hub id or server address of the world model.", read_only=True),
        Parameter("model_options", "", "Comma-separated option=value pairs of the world model.", read_only=True),
        Parameter(
            "cameras", "", "Comma-separated view=topic pairs; views left out are black. Empty: all <view>/image_raw.",
            read_only=True,
        ),
        Parameter(
            "image_transport", "auto", "Raw or compressed images; auto takes raw when it is published and arrives.",
            choices=TRANSPORTS, read_only=True,
        ),
        Parameter("autostart", True, "Configure and activate at start-up without a lifecycle manager.", read_only=True),
        Parameter("instruction", "", "Task text until a message arrives on the instruction topic."),
        Parameter("prediction_rate", 2.0, "Most predictions a second.", 0.02, 60.0),
        Parameter("seed", 0, "Seed of the sampler.", 0, 2**31 - 1),
        Parameter("chunk_size", 0, "Action rows a prediction; 0 takes the embodiment's.", 0, 256, read_only=True),
        Parameter("fps", 0.0, "Rate of frames and action rows, 1/s; 0 takes the embodiment's.", 0.0, 1000.0,
                  read_only=True),
        Parameter("negative_prompt", "", "Text to steer away from.", read_only=True),
        Parameter("num_inference_steps", 0, "Sampler steps; 0 takes the mode's own.", 0, 100, read_only=True),
        Parameter("guidance_scale", 0.0, "Guidance scale; 0 takes the mode's own.", 0.0, 20.0, read_only=True),
        Parameter("flow_shift", 0.0, "Flow shift of the sampler; 0 takes the mode's own.", 0.0, 50.0, read_only=True),
        Parameter(
            "system_prompt", "auto", "The text-to-video system prompt before the caption; auto takes the mode's own.",
            choices=("auto", "on", "off"), read_only=True,
        ),
        Parameter("max_image_age", 0.5, "Oldest image that may be used, s.", 0.01, 60.0),
        Parameter("max_joint_age", 0.25, "Oldest joint state that may be used, s.", 0.005, 60.0),
        Parameter("image_tolerance", 0.1, "Largest stamp difference between views, s.", 0.0, 10.0),
        Parameter("joint_tolerance", 0.05, "Largest age of the joint state at the image's stamp, s.", 0.0, 10.0),
        Parameter("sync_wait", 0.02, "How long to wait for a stream that lags behind the primary view, s.", 0.0, 5.0),
        Parameter("join_lead", _JOIN.lead_ns / NANOSECONDS,
                  "How far ahead of now a trajectory joins the executed motion, s.", 0.0, 1.0),
        Parameter("blend_time", _JOIN.blend_ns / NANOSECONDS,
                  "Shortest time in which a new trajectory takes over from the old, s.", 0.02, 5.0),
        Parameter("blend_acceleration", _JOIN.acceleration_share,
                  "Share of the acceleration limits that taking over may use.", 0.01, 1.0),
        Parameter("shift_from_rest", _JOIN.shift_from_rest,
                  "While the arm rests where it was observed, no step of a chunk is dropped."),
        Parameter("tracking_tolerance", _JOIN.tracking_tolerance,
                  "Join the commanded motion while the arm is this close to it, rad or m.",
                  0.0, 3.0),
        Parameter("model_timeout", 30.0, "Say so when the world model has not answered for this long, s.", 0.1, 3600.0),
        Parameter("prediction_log", "", "File that gets one JSON line a prediction; empty: none.", read_only=True),
    ]  # fmt: skip


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


def join_settings(values: Mapping[str, Any]) -> JoinSettings:
    """Return how trajectories take over."""
    return JoinSettings(
        lead_ns=round(values["join_lead"] * NANOSECONDS),
        blend_ns=round(values["blend_time"] * NANOSECONDS),
        acceleration_share=values["blend_acceleration"],
        tracking_tolerance=values["tracking_tolerance"],
        shift_from_rest=values["shift_from_rest"],
    )
