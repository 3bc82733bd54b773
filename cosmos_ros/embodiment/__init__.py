"""Embodiments: between a robot's own numbers and images and a world model's."""

from __future__ import annotations

from cosmos_ros.embodiment.adapter import Embodiment, load_embodiment
from cosmos_ros.embodiment.canvas import TierSize, fit_to_tier, tier_size
from cosmos_ros.embodiment.chunk_files import ActionFile, read_action_file, read_actions
from cosmos_ros.embodiment.chunk_json import (
    StateColumns,
    chunk_to_dict,
    encoded_to_dict,
    parse_pose,
    read_states,
    recorded_openings,
)
from cosmos_ros.embodiment.encoder import EncodedActions, RecordedStates
from cosmos_ros.embodiment.loader import list_embodiments, load_spec
from cosmos_ros.embodiment.normaliser import Normaliser
from cosmos_ros.embodiment.prompt import build_prompt
from cosmos_ros.embodiment.rigid_rows import rigid_rows
from cosmos_ros.embodiment.spec import EmbodimentSpec, json_schema, schema_text

__all__ = [
    "ActionFile",
    "Embodiment",
    "EmbodimentSpec",
    "EncodedActions",
    "Normaliser",
    "RecordedStates",
    "StateColumns",
    "TierSize",
    "build_prompt",
    "chunk_to_dict",
    "encoded_to_dict",
    "fit_to_tier",
    "json_schema",
    "list_embodiments",
    "load_embodiment",
    "load_spec",
    "parse_pose",
    "read_action_file",
    "read_actions",
    "read_states",
    "recorded_openings",
    "rigid_rows",
    "schema_text",
    "tier_size",
]
