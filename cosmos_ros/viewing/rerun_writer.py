"""Writes what a robot sees, is predicted to see, and does, to a Rerun recording. Needs the ``viewer`` extra, no ROS.

Used live by the ``rerun_viewer`` node; a recording can be made from anything that has the same records.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.errors import ConfigError
from cosmos_ros.guard.surroundings import Surroundings
from cosmos_ros.se3 import quaternion_xyzw_from_matrix
from cosmos_ros.types import FloatArray, UInt8Array
from cosmos_ros.viewing import rerun_layout as layout
from cosmos_ros.viewing.marker_shapes import MarkerShapes
from cosmos_ros.viewing.motion_trace import VerdictPaths
from cosmos_ros.viewing.robot_shape import LinkCapsule, RobotShape

APPLICATION = "cosmos_ros"
_ROBOT = (225, 225, 230)
_RECENT = (190, 190, 200)
_GUARDED = (50, 205, 90)
_VIOLATING = (240, 40, 40)
_GHOST = (255, 140, 25)
_MEASURED = (60, 130, 246)
_LIMIT = (240, 60, 60)
_COMMANDED = (240, 136, 62)
_MEDIA = {"jpeg": "image/jpeg", "jpg": "image/jpeg", "png": "image/png"}


def require_rerun() -> None:
    """Raise ConfigError where Rerun is not installed."""
    if importlib.util.find_spec("rerun") is None:
        raise ConfigError("rerun is not installed", where="viewer:=rerun", hint="pip install rerun-sdk (about 700 MB).")


class RerunLog:
    """One recording. Stamps are integer nanoseconds; poses are in the embodiment's base frame. Used by one thread.

    Args:
        embodiment: Of the robot; one without joints shows images only.

    Raises:
        ConfigError: Rerun is not installed.
    """

    def __init__(self, embodiment: Embodiment) -> None:
        require_rerun()
        import rerun as rr

        self._rr = rr
        self._embodiment = embodiment
        self._shape = RobotShape(embodiment)
        self._marked: dict[str, set[str]] = {}
        self.stream: Any = rr.RecordingStream(APPLICATION)
        self.blueprint = layout.blueprint(embodiment.views, embodiment.all_joints)

    # -- where it goes --------------------------------------------------------------------------------------------

    def window(self, memory_limit: str) -> None:
        """Open the native viewer, which drops the oldest data beyond ``memory_limit`` (``2GB``, ``25%``)."""
        self._rr.spawn(memory_limit=memory_limit, default_blueprint=self.blueprint, recording=self.stream)
        self._begin()

    def web(self, grpc_port: int, web_port: int, memory_limit: str) -> str:
        """Serve the viewer as a web page; return its address."""
        data = self._rr.serve_grpc(
            grpc_port=grpc_port,
            default_blueprint=self.blueprint,
            recording=self.stream,
            server_memory_limit=memory_limit,
            # A page that is opened late, or that is slow, shows what is now before what was.
            newest_first=True,
        )
        self._rr.serve_web_viewer(web_port=web_port, open_browser=False, connect_to=data)
        self._begin()
        return f"http://127.0.0.1:{web_port}/?url={data}"

    def connect(self, url: str) -> None:
        """Send to a viewer that runs already."""
        self.stream.connect_grpc(url or None, default_blueprint=self.blueprint)
        self._begin()

    def save(self, path: str | Path) -> None:
        """Write an ``.rrd`` file.

        Raises:
            ConfigError: The file cannot be written.
        """
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self.stream.save(path, default_blueprint=self.blueprint)
        except (OSError, RuntimeError) as error:
            raise ConfigError(str(error), where=str(path)) from error
        self._begin()

    def close(self) -> None:
        """Write what is left."""
        self.stream.flush(timeout_sec=5.0)
        self.stream.disconnect()

    def _begin(self) -> None:
        """Log what never changes."""
        rr = self._rr
        self._static(layout.WORLD, rr.ViewCoordinates.RIGHT_HAND_Z_UP)
        for link, capsules in self._shape.link_segments().items():
            self._static(f"{layout.WORLD}/robot/{link}/shape", self._capsules(capsules))
        for name in self._embodiment.all_joints:
            self._static(
                layout.joint(name),
                rr.SeriesLines(
                    names=["measured", "lower limit", "upper limit"],
                    colors=[_MEASURED, _LIMIT, _LIMIT],
                    widths=[1.5, 1.0, 1.0],
                ),
            )
            self._static(layout.commanded(name), rr.SeriesLines(names=["commanded"], colors=[_COMMANDED], widths=[1.0]))

    # -- images ---------------------------------------------------------------------------------------------------

    def image(self, entity: str, stamp_ns: int, pixels: UInt8Array) -> None:
        """Log an image ``uint8 [H, W, 3]`` RGB, compressed to keep long recordings small."""
        self._log(entity, stamp_ns, self._rr.Image(pixels).compress(jpeg_quality=85))

    def encoded_image(self, entity: str, stamp_ns: int, payload: bytes, image_format: str) -> bool:
        """Log an image file's bytes as they are; False for a format that the viewer does not know."""
        media = _MEDIA.get(image_format)
        if media is None:
            return False
        self._log(entity, stamp_ns, self._rr.EncodedImage(contents=payload, media_type=media))
        return True

    # -- robot ----------------------------------------------------------------------------------------------------

    def joints(self, stamp_ns: int, positions: Mapping[str, float]) -> None:
        """Log a posture: the robot in space, and each joint between its limits."""
        rr = self._rr
        for link, pose in self._shape.link_poses(positions).items():
            self._log(f"{layout.WORLD}/robot/{link}", stamp_ns, self._transform(pose))
        for name in self._embodiment.all_joints:
            if name in positions:
                limit = self._embodiment.limits.joints[name]
                bounds = [value if np.isfinite(value) else np.nan for value in (limit.lower, limit.upper)]
                self._log(layout.joint(name), stamp_ns, rr.Scalars([positions[name], *bounds]))

    def commanded(self, stamp_ns: int, positions: Mapping[str, float]) -> None:
        """Log where the joints are commanded to be."""
        for name, position in positions.items():
            if name in self._embodiment.limits.joints:
                self._log(layout.commanded(name), stamp_ns, self._rr.Scalars(position))

    def ghost(self, stamp_ns: int, positions: Mapping[str, float]) -> None:
        """Log the robot's skeleton where a prediction ends."""
        strips = list(self._shape.segments(positions)[0])
        self._log(f"{layout.WORLD}/ghost", stamp_ns, self._rr.LineStrips3D(strips, radii=0.006, colors=_GHOST))

    def recent_path(self, stamp_ns: int, paths: Mapping[str, FloatArray]) -> None:
        """Log where the tools were."""
        self._paths("recent_path", stamp_ns, paths, _RECENT, 0.0015)

    # -- guard ----------------------------------------------------------------------------------------------------

    def guard(self, stamp_ns: int, verdict: VerdictPaths) -> None:
        """Log the guarded path, and in red what was refused and where."""
        rr = self._rr
        self._paths("guarded_path", stamp_ns, verdict.guarded, _GUARDED, 0.003)
        self._paths("refused_path", stamp_ns, verdict.refused, _VIOLATING, 0.002)
        places: FloatArray = np.array([v.position for v in verdict.violations], dtype=np.float64).reshape(-1, 3)
        texts = [v.text for v in verdict.violations]
        points = rr.Points3D(places, radii=0.01, colors=_VIOLATING, labels=texts, show_labels=True)
        self._log(f"{layout.WORLD}/violations", stamp_ns, points)

    def surroundings(self, stamp_ns: int, surroundings: Surroundings) -> None:
        """Log the workspace and the keep-out boxes."""
        for name, boxes, colour in (
            ("workspace", [surroundings.workspace] if surroundings.workspace else [], _RECENT),
            ("keep_out", list(surroundings.keep_out), _VIOLATING),
        ):
            mins = np.array([box.minimum for box in boxes]).reshape(-1, 3)
            sizes = np.array([box.maximum for box in boxes]).reshape(-1, 3) - mins
            shown = self._rr.Boxes3D(mins=mins, sizes=sizes, colors=colour, labels=[name] * len(boxes))
            self._log(f"{layout.WORLD}/{name}", stamp_ns, shown)

    def event(self, source: str, stamp_ns: int, text: str, level: str) -> None:
        """Log a line; ``level`` is INFO, WARN or ERROR."""
        self._log(f"{layout.EVENTS}/{source}", stamp_ns, self._rr.TextLog(text, level=level))

    # -- markers --------------------------------------------------------------------------------------------------

    def markers(self, entity: str, stamp_ns: int, shapes: MarkerShapes) -> None:
        """Log markers under ``world/<entity>``; what was there and no longer is disappears."""
        rr = self._rr
        now: set[str] = set()
        for namespace, boxes in shapes.boxes.items():
            now.add(path := f"{layout.WORLD}/{entity}/{namespace}/boxes")
            self._log(
                path,
                stamp_ns,
                rr.Boxes3D(
                    sizes=boxes.sizes,
                    centers=boxes.poses[:, :3, 3],
                    quaternions=quaternion_xyzw_from_matrix(boxes.poses[:, :3, :3]),
                    colors=boxes.colours,
                    fill_mode="solid",
                ),
            )
        for namespace, points in shapes.points.items():
            now.add(path := f"{layout.WORLD}/{entity}/{namespace}/points")
            self._log(path, stamp_ns, rr.Points3D(points.positions, radii=points.radii, colors=points.colours))
        for namespace, lines in shapes.lines.items():
            now.add(path := f"{layout.WORLD}/{entity}/{namespace}/lines")
            self._log(path, stamp_ns, rr.LineStrips3D(list(lines.segments), radii=lines.radii, colors=lines.colours))
        for path in self._marked.get(entity, set()) - now:
            self._log(path, stamp_ns, rr.Clear(recursive=False))
        self._marked[entity] = now

    # -- helpers --------------------------------------------------------------------------------------------------

    def _paths(
        self, entity: str, stamp_ns: int, paths: Mapping[str, FloatArray], colour: tuple[int, int, int], radius: float
    ) -> None:
        strips = [points for points in paths.values() if len(points) > 1]
        self._log(f"{layout.WORLD}/{entity}", stamp_ns, self._rr.LineStrips3D(strips, radii=radius, colors=colour))

    def _capsules(self, capsules: Sequence[LinkCapsule]) -> Any:
        lengths = [float(np.linalg.norm(c.end - c.start)) for c in capsules]
        return self._rr.Capsules3D(
            lengths=lengths,
            radii=[c.radius for c in capsules],
            translations=[c.start for c in capsules],
            quaternions=[
                _from_z((c.end - c.start) / n if n > 0.0 else np.array([0.0, 0.0, 1.0]))
                for c, n in zip(capsules, lengths, strict=True)
            ],
            colors=_ROBOT,
            fill_mode="solid",
        )

    def _transform(self, pose: FloatArray) -> Any:
        return self._rr.Transform3D(translation=pose[:3, 3], mat3x3=pose[:3, :3])

    def _static(self, entity: str, what: Any) -> None:
        self.stream.log(entity, what, static=True)

    def _log(self, entity: str, stamp_ns: int, what: Any) -> None:
        self.stream.set_time(layout.TIMELINE, timestamp=np.datetime64(stamp_ns, "ns"))
        self.stream.log(entity, what)


def _from_z(direction: FloatArray) -> FloatArray:
    """Return the quaternion x y z w that turns the z axis to a unit vector."""
    x, y, z = direction
    if z < -1.0 + 1e-9:
        return np.array([1.0, 0.0, 0.0, 0.0])
    quaternion: FloatArray = np.array([-y, x, 0.0, 1.0 + z])
    return quaternion / np.linalg.norm(quaternion)
