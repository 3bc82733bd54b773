"""Marker messages of tool paths, verdicts and the robot's shape."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from cosmos_ros.guard.surroundings import Surroundings
from cosmos_ros.messages import pose_message, stamp_message
from cosmos_ros.types import ActionChunk, FloatArray
from cosmos_ros.viewing.motion_trace import VerdictPaths

RECENT = ColorRGBA(r=0.75, g=0.75, b=0.78, a=1.0)
GUARDED = ColorRGBA(r=0.20, g=0.80, b=0.35, a=1.0)
VIOLATING = ColorRGBA(r=0.95, g=0.12, b=0.12, a=1.0)
ROBOT = ColorRGBA(r=0.90, g=0.90, b=0.92, a=1.0)
GHOST = ColorRGBA(r=1.00, g=0.55, b=0.10, a=0.30)
WORKSPACE = ColorRGBA(r=0.35, g=0.60, b=0.95, a=0.08)
KEEP_OUT = ColorRGBA(r=0.95, g=0.12, b=0.12, a=0.25)
_TEXT_HEIGHT = 0.025


class Markers:
    """Builds one MarkerArray that replaces the last one of its topic.

    Args:
        frame_id: Frame of all points.
        stamp_ns: Stamp of all markers.
    """

    def __init__(self, frame_id: str, stamp_ns: int) -> None:
        self._frame_id = frame_id
        self._stamp = stamp_message(stamp_ns)
        clear = self._marker("", 0, Marker.ARROW)
        clear.action = Marker.DELETEALL
        self.array = MarkerArray(markers=[clear])

    def add(self, namespace: str, kind: int, number: int = 0) -> Marker:
        """Append a marker of this type and return it."""
        marker = self._marker(namespace, number, kind)
        self.array.markers.append(marker)
        return marker

    def line(self, namespace: str, points: FloatArray, colour: ColorRGBA | None, width: float = 0.004) -> Marker | None:
        """Append a line through ``float64 [N, 3]``; nothing for fewer than two points."""
        if len(points) < 2:
            return None
        marker = self.add(namespace, Marker.LINE_STRIP)
        marker.scale.x = width
        marker.points = [point_message(point) for point in points]
        if colour is not None:
            marker.color = colour
        return marker

    def _marker(self, namespace: str, number: int, kind: int) -> Marker:
        marker = Marker(ns=namespace, id=number, type=kind, action=Marker.ADD)
        marker.header.frame_id = self._frame_id
        marker.header.stamp = self._stamp
        marker.pose.orientation.w = 1.0
        return marker


def predicted_path(chunk: ActionChunk, base_frame: str) -> MarkerArray:
    """Return the predicted tool path: a line coloured by time and a sphere a step, larger the wider the gripper."""
    markers = Markers(base_frame, chunk.stamp_ns)
    steps = len(chunk.times_ns)
    for link, poses in chunk.poses.items():
        points = np.concatenate([chunk.start_poses[link][None, :3, 3], poses[:, :3, 3]])
        line = markers.line(f"{link}/path", points, None)
        if line is not None:
            line.colors = [time_colour(index / max(1, steps)) for index in range(steps + 1)]
        openings = opening_of(chunk, link)
        for index in range(steps):
            dot = markers.add(f"{link}/gripper", Marker.SPHERE, index)
            dot.pose.position = point_message(points[index + 1])
            size = 0.006 + 0.012 * float(np.clip(openings[index], 0.0, 1.0))
            dot.scale = Vector3(x=size, y=size, z=size)
            dot.color = time_colour((index + 1) / max(1, steps))
    return markers.array


def opening_of(chunk: ActionChunk, link: str) -> FloatArray:
    """Return ``float64 [T]``, the opening of the gripper that goes with a tool link, by their order; 1 without one."""
    grippers = list(chunk.grippers.values())
    place = list(chunk.poses).index(link)
    return grippers[place] if place < len(grippers) else np.ones(len(chunk.times_ns))


def recent_path(paths: Mapping[str, FloatArray], base_frame: str, stamp_ns: int) -> MarkerArray:
    """Return where the tools were, fading towards the past."""
    markers = Markers(base_frame, stamp_ns)
    for link, points in paths.items():
        line = markers.line(f"{link}/recent", points, RECENT)
        if line is not None:
            fades = np.linspace(0.1, 1.0, len(points))
            line.colors = [ColorRGBA(r=RECENT.r, g=RECENT.g, b=RECENT.b, a=float(fade)) for fade in fades]
    return markers.array


def guard_markers(verdict: VerdictPaths, surroundings: Surroundings, base_frame: str, stamp_ns: int) -> MarkerArray:
    """Return what the guard goes by and says.

    The guarded path in green; in red what was refused and where, with the limits' names; the workspace as a faint box,
    keep-out boxes in red.
    """
    markers = Markers(base_frame, stamp_ns)
    boxes = [] if surroundings.workspace is None else [("workspace", surroundings.workspace, WORKSPACE)]
    boxes += [("keep_out", box, KEEP_OUT) for box in surroundings.keep_out]
    for index, (namespace, box, colour) in enumerate(boxes):
        cube = markers.add(namespace, Marker.CUBE, index)
        low, high = np.array(box.minimum), np.array(box.maximum)
        cube.pose.position = point_message(0.5 * (low + high))
        cube.scale = Vector3(**dict(zip("xyz", (float(size) for size in high - low), strict=True)))
        cube.color = colour
    for link, points in verdict.guarded.items():
        markers.line(f"{link}/guarded", points, GUARDED, 0.006)
    for link, points in verdict.refused.items():
        markers.line(f"{link}/refused", points, VIOLATING)
    for index, violation in enumerate(verdict.violations):
        dot = markers.add(f"{violation.link}/violations", Marker.SPHERE, index)
        dot.pose.position = point_message(violation.position)
        dot.scale = Vector3(x=0.02, y=0.02, z=0.02)
        dot.color = VIOLATING
        text = markers.add(f"{violation.link}/violated_limits", Marker.TEXT_VIEW_FACING, index)
        # One above the other, for several limits are often broken at once.
        text.pose.position = point_message(violation.position + np.array([0.0, 0.0, 0.03 + 0.03 * index]))
        text.scale.z = _TEXT_HEIGHT
        text.color = VIOLATING
        text.text = violation.text
    return markers.array


def robot_markers(markers: Markers, name: str, ends: FloatArray, radii: FloatArray, colour: ColorRGBA) -> None:
    """Append a robot made of capsules.

    Args:
        markers: Gets them.
        name: Namespace.
        ends: ``float64 [N, 2, 3]`` centres of the half spheres, m.
        radii: ``float64 [N]``, m.
        colour: Of all of it.
    """
    for index, ((start, end), radius) in enumerate(zip(ends, radii, strict=True)):
        diameter = 2.0 * float(radius)
        length = float(np.linalg.norm(end - start))
        if length > 1e-6:
            tube = markers.add(name, Marker.CYLINDER, index)
            tube.pose = pose_message(_along(start, end, length))
            tube.scale = Vector3(x=diameter, y=diameter, z=length)
            tube.color = colour
    for radius in sorted(set(radii.tolist())):
        balls = markers.add(f"{name}/ends", Marker.SPHERE_LIST, round(radius * 1e5))
        balls.scale = Vector3(x=2.0 * radius, y=2.0 * radius, z=2.0 * radius)
        balls.color = colour
        balls.points = [point_message(point) for pair in ends[radii == radius] for point in pair]


def time_colour(fraction: float) -> ColorRGBA:
    """Return the colour of a step: blue now, orange at the horizon."""
    start, end = np.array([0.10, 0.45, 0.95]), np.array([1.00, 0.55, 0.10])
    red, green, blue = start + (end - start) * min(1.0, max(0.0, fraction))
    return ColorRGBA(r=float(red), g=float(green), b=float(blue), a=1.0)


def point_message(point: FloatArray) -> Point:
    """Return a Point of ``float64 [3]``."""
    return Point(x=float(point[0]), y=float(point[1]), z=float(point[2]))


def _along(start: FloatArray, end: FloatArray, length: float) -> FloatArray:
    """Return the pose ``[4, 4]`` in the middle of two points whose z axis runs from one to the other."""
    z = (end - start) / length
    # Any direction that is not along z will do: a cylinder looks the same from all sides.
    x = np.cross(z, [1.0, 0.0, 0.0] if abs(z[0]) < 0.9 else [0.0, 1.0, 0.0])
    x /= np.linalg.norm(x)
    pose = np.eye(4)
    pose[:3, :3] = np.column_stack([x, np.cross(z, x), z])
    pose[:3, 3] = 0.5 * (start + end)
    return pose
