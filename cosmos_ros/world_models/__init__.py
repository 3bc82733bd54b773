"""World models: one protocol, one file a backend, found by name.

Backends are imported only when they are created, so that torch, aiohttp or MuJoCo are needed only by those who
use them. Other packages add their own through the entry-point group ``cosmos_ros.world_models``.
"""

from __future__ import annotations

from cosmos_ros.world_models.protocol import Capabilities, WorldModel, check_request, check_rollout
from cosmos_ros.world_models.registry import create_world_model, parse_options, world_model_class, world_model_names

__all__ = [
    "Capabilities",
    "WorldModel",
    "check_request",
    "check_rollout",
    "create_world_model",
    "parse_options",
    "world_model_class",
    "world_model_names",
]
