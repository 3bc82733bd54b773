"""From streams of messages to observations: buffers, as-of synchronisation, age gates, clock resets. No ROS."""

from __future__ import annotations

from cosmos_ros.observation.health import StreamHealth
from cosmos_ros.observation.snapshot import Snapshot
from cosmos_ros.observation.sync_settings import SynchroniserSettings
from cosmos_ros.observation.synchroniser import Synchroniser

__all__ = [
    "Snapshot",
    "StreamHealth",
    "Synchroniser",
    "SynchroniserSettings",
]
