"""The simulated scene's objects as markers: for RViz, and for models that need the scene."""

from __future__ import annotations

from collections.abc import Mapping

from geometry_msgs.msg import Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from cosmos_ros.messages import pose_message, stamp_message
from cosmos_ros.sim.tabletop import Tabletop
from cosmos_ros.types import FloatArray


def scene_message(scene: Tabletop, poses: Mapping[str, FloatArray], stamp_ns: int, frame_id: str) -> MarkerArray:
    """Return one cube marker per object: ns = name, pose in the base frame, scale = edge lengths in metres."""
    header = Header(stamp=stamp_message(stamp_ns), frame_id=frame_id)
    markers = []
    for item in scene.objects:
        red, green, blue = item.rgb
        x, y, z = item.size
        markers.append(
            Marker(
                header=header,
                ns=item.name,
                id=0,
                type=Marker.CUBE,
                action=Marker.ADD,
                pose=pose_message(poses[item.name], where=item.name),
                scale=Vector3(x=x, y=y, z=z),
                color=ColorRGBA(r=red, g=green, b=blue, a=1.0),
            )
        )
    return MarkerArray(markers=markers)
