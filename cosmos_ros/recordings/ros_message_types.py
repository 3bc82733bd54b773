"""Between recordings and the ROS that is installed: message classes, definitions and QoS profiles. Needs ROS."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from cosmos_ros.errors import InputError
from cosmos_ros.recordings.recording import BagTopic

if TYPE_CHECKING:
    from rosbags.interfaces import Qos

_TYPE = re.compile(r"^([A-Za-z][A-Za-z0-9_]*)/msg/([A-Za-z][A-Za-z0-9]*)$")
_FIELD = re.compile(r"^\s*([A-Za-z][A-Za-z0-9_]*(?:/[A-Za-z][A-Za-z0-9]*)?)(?:<=\d+)?(?:\[[^\]]*\])?\s+[A-Za-z]")
_PRIMITIVES = frozenset(
    {"bool", "byte", "char", "float32", "float64", "string", "wstring"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
_MAX_DEPENDENCIES = 256
# Latched by convention; a recorder that keeps no QoS loses that.
_LATCHED = re.compile(r"(^|/)(tf_static|robot_description|instruction|map)$")


def message_class(type_name: str) -> Any:
    """Return the Python class of a message type.

    Raises:
        InputError: Not the name of a message, or its package is not installed.
    """
    match = _TYPE.match(type_name)
    if match is None:
        raise InputError(f"{type_name!r} is not the name of a message type", where="type")
    try:
        return getattr(importlib.import_module(f"{match[1]}.msg"), match[2])
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"{type_name} is not installed", where=type_name, hint=f"Install the ROS package {match[1]}."
        ) from error


def installed_definition(type_name: str) -> str:
    """Return the text of an installed message type with all that it is made of, as recordings store it.

    Raises:
        InputError: Its ``.msg`` file, or one that it needs, is not installed.
    """
    parts: list[str] = []
    seen = {type_name}
    open_types = [type_name]
    while open_types:
        current = open_types.pop(0)
        text = _message_file(current).read_text(encoding="utf-8")
        parts.append(text if not parts else f"{'=' * 80}\nMSG: {current.replace('/msg/', '/')}\n{text}")
        package = current.split("/", 1)[0]
        for line in text.splitlines():
            match = _FIELD.match(line.split("#", 1)[0])
            if match is None or match[1] in _PRIMITIVES:
                continue
            name = match[1] if "/" in match[1] else f"{'std_msgs' if match[1] == 'Header' else package}/{match[1]}"
            full = name.replace("/", "/msg/", 1)
            if full not in seen:
                seen.add(full)
                open_types.append(full)
        if len(seen) > _MAX_DEPENDENCIES:
            raise InputError(f"{type_name} is made of more than {_MAX_DEPENDENCIES} types", where=type_name)
    return "\n".join(parts)


def offered_profile(topic: BagTopic) -> QoSProfile:
    """Return what a player offers: what was recorded, so that whoever could subscribe then can now.

    Of several recorded publishers the strongest offer of each policy is taken; it satisfies every subscriber that
    any of them satisfied. Without a record, reliable (REP-2003: sensors publish reliably, and best-effort
    subscribers match too), latched for the topics that are so by convention.
    """
    known = [profile for profile in topic.qos if profile.reliability.name in _KNOWN_RELIABILITY]
    reliable = any(profile.reliability.name != "BEST_EFFORT" for profile in known) if known else True
    latched = any(profile.durability.name == "TRANSIENT_LOCAL" for profile in known)
    if not known:
        latched = _LATCHED.search(topic.name) is not None
    depth = max([10, *(min(profile.depth, 1000) for profile in known)])
    if latched:
        # Every latched message was current when recording began, e.g. one of each static transform's publisher.
        depth = max(depth, min(topic.count, 100))
    return profile(reliable=reliable, latched=latched, depth=depth)


def subscription_profile(publishers: Sequence[Any], depth: int) -> QoSProfile:
    """Return the strongest profile that matches every publisher (``TopicEndpointInfo``) of a topic."""
    profiles = [info.qos_profile for info in publishers]
    return profile(
        reliable=bool(profiles) and all(p.reliability == ReliabilityPolicy.RELIABLE for p in profiles),
        latched=bool(profiles) and all(p.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in profiles),
        depth=depth,
    )


def recorded_profiles(publishers: Sequence[Any]) -> list[Qos]:
    """Return the offered profiles of a topic's publishers as a recording keeps them."""
    from cosmos_ros.recordings.message_types import qos

    offers: list[Qos] = []
    for info in publishers:
        offered = info.qos_profile
        entry = qos(
            reliable=offered.reliability == ReliabilityPolicy.RELIABLE,
            latched=offered.durability == DurabilityPolicy.TRANSIENT_LOCAL,
            depth=max(int(offered.depth), 1),
        )
        if entry not in offers:
            offers.append(entry)
    return offers


def profile(*, reliable: bool, latched: bool, depth: int) -> QoSProfile:
    """Return a keep-last profile."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


_KNOWN_RELIABILITY = ("RELIABLE", "BEST_EFFORT")


def _message_file(type_name: str) -> Path:
    match = _TYPE.match(type_name)
    if match is None:
        raise InputError(f"{type_name!r} is not the name of a message type", where="type")
    # The wheels lie in the environment's own share folder, where AMENT_PREFIX_PATH need not point.
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    for prefix in filter(None, prefixes):
        path = Path(prefix) / "share" / match[1] / "msg" / f"{match[2]}.msg"
        if path.is_file():
            return path
    raise InputError(
        f"the definition of {type_name} is not installed", where=type_name, hint=f"Install the ROS package {match[1]}."
    )
