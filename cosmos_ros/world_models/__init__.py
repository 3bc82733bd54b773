"""World models: one protocol, one file a backend, found by name.

What a backend needs is imported only when it is created, so that torch, aiohttp or MuJoCo are needed only by those who
use them. Other packages add their own through the entry-point group ``cosmos_ros.world_models``.
"""

from __future__ import annotations

from cosmos_ros.world_models.backend import ModelBackend, NoOptions
from cosmos_ros.world_models.protocol import Capabilities, WorldModel, check_request, check_rollout
from cosmos_ros.world_models.registry import (
    create_world_model,
    find_backend,
    loaded,
    open_world_model,
    parse_options,
    world_model_names,
)

__all__ = [
    "Capabilities",
    "ModelBackend",
    "NoOptions",
    "WorldModel",
    "check_request",
    "check_rollout",
    "create_world_model",
    "find_backend",
    "loaded",
    "open_world_model",
    "parse_options",
    "world_model_names",
]
