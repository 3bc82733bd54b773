"""Publishers of the simulated cameras, fed by a thread of their own that renders the newest moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
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
        self._job: Future[None] | None = None
        self._error: Exception | None = None
        self.published = self.dropped = 0
        self._seconds = 0.0
        # One thread, in which the GL context is made and lives.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cameras")
        self._renderer: WorldRenderer | None = None
        if self._cameras:
            self._renderer = self._thread.submit(WorldRenderer, world, self._cameras).result()

    def submit(self, stamp_ns: int, state: WorldState) -> None:
        """Give the newest moment to be rendered; an older one that was not begun yet is dropped and counted."""
        if self._renderer is None:
            return
        if self._job is not None and self._job.cancel():
            self.dropped += 1
        self._job = self._thread.submit(self._render, self._renderer, stamp_ns, state)

    def close(self) -> None:
        """Stop the thread."""
        if self._job is not None:
            self._job.cancel()
        if self._renderer is not None:
            self._thread.submit(self._renderer.close)
        self._thread.shutdown()

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
            text = "rendering is slower than camera_rate; lower it or the image size"
            diagnostics.set("cameras", WARN, text, values, stream=True)
        else:
            diagnostics.set("cameras", OK, "running", values)

    # -- camera thread --------------------------------------------------------------------------------------------

    def _render(self, renderer: WorldRenderer, stamp_ns: int, state: WorldState) -> None:
        if self._error is not None:
            return
        begin = time.perf_counter()
        try:
            self._publish(renderer, stamp_ns, state)
        except Exception as error:  # reported on /diagnostics
            self._error = error
        self._seconds += time.perf_counter() - begin

    def _publish(self, renderer: WorldRenderer, stamp_ns: int, state: WorldState) -> None:
        loaded = False
        for view in self._cameras:
            if self._infos[view].get_subscription_count() > 0:
                info = self._info_messages[view]
                info.header.stamp = stamp_message(stamp_ns)
                self._infos[view].publish(info)
            if not self._images[view].wanted:
                continue
            if not loaded:
                renderer.load(state)
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
