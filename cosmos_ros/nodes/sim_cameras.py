"""Publishers of the simulated cameras, fed by a thread of their own that renders the newest moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from cosmos_ros.messages import stamp_message
from cosmos_ros.nodes import qos
from cosmos_ros.nodes.diagnostics import ERROR, OK, WARN, Diagnostics
from cosmos_ros.nodes.image_publisher import ImagePublisher
from cosmos_ros.sim.rendering import PinholeCamera
from cosmos_ros.sim.world import SimWorld, WorldRenderer, WorldState


class SimCameras:
    """Topics ``<view>/image_raw``, ``<view>/image_raw/compressed`` and ``<view>/camera_info`` of every view.

    A view is rendered only while somebody subscribes to one of its images.

    Args:
        node: The rclpy node.
        world: The world whose model is rendered.
        cameras: Views.
        quality: Returns the JPEG quality to use.

    Raises:
        ConfigError: No off-screen OpenGL works here.
    """

    def __init__(
        self, node: Any, world: SimWorld, cameras: Mapping[str, PinholeCamera], quality: Callable[[], int]
    ) -> None:
        self._cameras = dict(cameras)
        self._quality = quality
        self._images = {view: ImagePublisher(node, f"{view}/image_raw", qos.reliable(5)) for view in cameras}
        self._infos = {v: node.create_publisher(CameraInfo, f"{v}/camera_info", qos.reliable(5)) for v in cameras}
        self._info_messages = {view: camera_info_message(camera) for view, camera in cameras.items()}
        self._wake = threading.Condition()
        self._newest: tuple[int, WorldState] | None = None
        self._closing = False
        self._error: BaseException | None = None
        self.published = self.dropped = 0
        self._seconds = 0.0
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(world, ready), name="cameras", daemon=True)
        if self._cameras:
            self._thread.start()
            ready.wait(timeout=30.0)
            if self._error is not None:
                raise self._error

    def submit(self, stamp_ns: int, snapshot: WorldState) -> None:
        """Give the newest moment to be rendered; an older one that was not begun yet is dropped and counted."""
        if not self._cameras:
            return
        with self._wake:
            self.dropped += self._newest is not None
            self._newest = (stamp_ns, snapshot)
            self._wake.notify()

    def close(self) -> None:
        """Stop the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def diagnose(self, diagnostics: Diagnostics) -> None:
        """Set the status of the cameras for the second that has passed."""
        if not self._cameras:
            return
        published, dropped, seconds = self.published, self.dropped, self._seconds
        self.published = self.dropped = 0
        self._seconds = 0.0
        values = {"images": published, "moments dropped": dropped, "busy [ms]": f"{seconds * 1e3:.0f}"}
        if self._error is not None:
            diagnostics.set("cameras", ERROR, f"stopped: {self._error}", values)
        elif dropped > 1:
            diagnostics.set("cameras", WARN, "rendering is slower than camera_rate; lower it or the image size", values)
        else:
            diagnostics.set("cameras", OK, "running", values)

    # -- camera thread; the GL context lives in it ----------------------------------------------------------------

    def _run(self, world: SimWorld, ready: threading.Event) -> None:
        renderer = None
        try:
            renderer = WorldRenderer(world, self._cameras)
            ready.set()
            while True:
                with self._wake:
                    self._wake.wait_for(lambda: self._closing or self._newest is not None)
                    if self._closing:
                        return
                    assert self._newest is not None
                    stamp_ns, snapshot = self._newest
                    self._newest = None
                begin = time.perf_counter()
                self._publish(renderer, stamp_ns, snapshot)
                self._seconds += time.perf_counter() - begin
        except BaseException as error:  # reported on /diagnostics, or raised by the constructor
            self._error = error
        finally:
            ready.set()
            if renderer is not None:
                renderer.close()

    def _publish(self, renderer: WorldRenderer, stamp_ns: int, snapshot: WorldState) -> None:
        loaded = False
        for view in self._cameras:
            if self._infos[view].get_subscription_count() > 0:
                info = self._info_messages[view]
                info.header.stamp = stamp_message(stamp_ns)
                self._infos[view].publish(info)
            if not self._images[view].wanted:
                continue
            if not loaded:
                renderer.load(snapshot)
                loaded = True
            self._images[view].publish(renderer.render(view), stamp_ns, optical_frame(view), self._quality())
            self.published += 1


def optical_frame(view: str) -> str:
    """Return the frame id of a view: x right, y down, z forward."""
    return f"{view}_optical_frame"


def camera_info_message(camera: PinholeCamera) -> CameraInfo:
    """Return the CameraInfo of a pinhole camera without distortion; the stamp is left at zero."""
    k = camera.intrinsics
    projection = [*k[0], 0.0, *k[1], 0.0, *k[2], 0.0]
    return CameraInfo(
        header=Header(frame_id=optical_frame(camera.name)),
        height=camera.height,
        width=camera.width,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=[float(v) for v in k.ravel()],
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[float(v) for v in projection],
    )
