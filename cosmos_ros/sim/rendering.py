"""Off-screen rendering: choosing the GL backend, and a camera renderer.

MuJoCo loads the GL library that ``MUJOCO_GL`` names when it is imported, and fails to import when that one is missing.
Every module of this package therefore takes ``mujoco`` from here, where a library that works is chosen first.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosmos_ros.errors import ConfigError
from cosmos_ros.types import FloatArray, UInt8Array

INSTALL_HINT = "Run: apt-get install -y --no-install-recommends libegl1 libopengl0 libgl1-mesa-dri (or libosmesa6)."
_EGL_PLATFORM_DEVICE = 0x313F
_EGL_PLATFORM_SURFACELESS = 0x31DD


def _egl_works() -> bool:
    """Return whether libEGL is there and initialises one display, as MuJoCo will ask it to."""
    try:
        ctypes.CDLL("libOpenGL.so.0")  # PyOpenGL, through which MuJoCo goes, needs it beside EGL
        egl = ctypes.CDLL("libEGL.so.1")
    except OSError:
        return False
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    egl.eglInitialize.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    egl.eglTerminate.argtypes = [ctypes.c_void_p]
    get_display = egl.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
    query_devices = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    if not get_display or not query_devices:
        return False
    query = ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int))(query_devices)
    display_of = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p)(get_display)
    devices, count = (ctypes.c_void_p * 8)(), ctypes.c_int(0)
    if not query(8, devices, ctypes.byref(count)):
        return False
    for index in range(count.value):
        display = display_of(_EGL_PLATFORM_DEVICE, devices[index], None)
        if display and egl.eglInitialize(display, None, None):
            egl.eglTerminate(display)
            return True
    return False


def _osmesa_works() -> bool:
    for name in ("libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so"):
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False


def select_backend() -> str:
    """Choose a GL backend for MuJoCo and set ``MUJOCO_GL``; return ``egl``, ``osmesa``, ``disable`` or what was set.

    A value the user set is kept. On Linux the windowed default is never used: nothing here opens a window.
    """
    chosen = os.environ.get("MUJOCO_GL", "").lower()
    if not chosen and sys.platform == "linux":
        chosen = "egl" if _egl_works() else "osmesa" if _osmesa_works() else "disable"
        os.environ["MUJOCO_GL"] = chosen
    if chosen == "egl" and not os.environ.get("DISPLAY"):
        os.environ.setdefault("EGL_PLATFORM", "surfaceless")
    return chosen or "glfw"


def _import_mujoco() -> Any:
    chosen = select_backend()
    try:
        return importlib.import_module("mujoco")
    except ModuleNotFoundError as error:
        raise ConfigError("the simulator needs MuJoCo", hint="Install them: pip install mujoco PyOpenGL.") from error
    except Exception as error:
        # MuJoCo imports the GL library named by MUJOCO_GL and lets whatever that raises escape.
        raise ConfigError(f"MuJoCo cannot use MUJOCO_GL={chosen}: {error}", hint=INSTALL_HINT) from error


mujoco: Any = _import_mujoco()
GL_BACKEND: str = select_backend()
CAN_RENDER: bool = GL_BACKEND not in ("disable", "disabled", "off", "false", "0")


def _gl_context(width: int, height: int) -> Any:
    """Return a context of the chosen backend, also where MuJoCo was imported with another one before."""
    if GL_BACKEND in ("egl", "osmesa"):
        return importlib.import_module(f"mujoco.{GL_BACKEND}").GLContext(width, height)
    return mujoco.GLContext(width, height)


@dataclass(frozen=True)
class PinholeCamera:
    """One simulated camera.

    Attributes:
        name: View name; the MuJoCo camera has the same name.
        width, height: Pixels.
        fovy: Vertical field of view, rad.
    """

    name: str
    width: int
    height: int
    fovy: float

    @property
    def intrinsics(self) -> FloatArray:
        """``K`` as ``float64 [3, 3]``: square pixels, principal point at the image centre, no distortion.

        Pixel centres are at integer coordinates as in sensor_msgs/CameraInfo, so the centre is (W-1)/2, (H-1)/2.
        """
        focal = 0.5 * self.height / np.tan(0.5 * self.fovy)
        return np.array([[focal, 0.0, 0.5 * (self.width - 1)], [0.0, focal, 0.5 * (self.height - 1)], [0.0, 0.0, 1.0]])


def _unbind() -> None:
    """Take the GL context off this thread, as MuJoCo 3 cannot; with another backend than EGL it stays."""
    if GL_BACKEND == "egl":
        from mujoco import egl
        from OpenGL import EGL

        EGL.eglMakeCurrent(egl.EGL_DISPLAY, EGL.EGL_NO_SURFACE, EGL.EGL_NO_SURFACE, EGL.EGL_NO_CONTEXT)


class CameraRenderer:
    """Renders named cameras of one model, each at its own size, with one GL context.

    Used by one thread at a time; the context is bound only while it renders, so it may be another thread each time.
    Shadows and multisampling are as the model's ``vis`` says.

    Args:
        model: ``mujoco.MjModel``; it is only read.
        cameras: The cameras that may be rendered, by name.

    Raises:
        ConfigError: No GL backend works here, or a camera is not in the model.
    """

    def __init__(self, model: Any, cameras: Mapping[str, PinholeCamera]) -> None:
        if not CAN_RENDER:
            raise ConfigError("no off-screen OpenGL was found, cameras cannot be rendered", hint=INSTALL_HINT)
        if not cameras:
            raise ConfigError("no camera to render", where="cameras")
        self._model = model
        self._cameras = dict(cameras)
        self._ids = {name: mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, name) for name in cameras}
        missing = [name for name, index in self._ids.items() if index < 0]
        if missing:
            raise ConfigError(f"cameras {missing} are not in the scene", where="cameras")
        width = max(camera.width for camera in cameras.values())
        height = max(camera.height for camera in cameras.values())
        try:
            self._gl: Any = _gl_context(width, height)
        except Exception as error:
            raise ConfigError(f"off-screen OpenGL ({GL_BACKEND}) failed: {error}", hint=INSTALL_HINT) from error
        self._scene = mujoco.MjvScene(model, maxgeom=1000)
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = 0
        self._option.geomgroup[:3] = 1
        # The context's buffer must hold the largest camera; the model's own offscreen size may be smaller.
        model.vis.global_.offwidth = max(int(model.vis.global_.offwidth), width)
        model.vis.global_.offheight = max(int(model.vis.global_.offheight), height)
        with self.bound():
            self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
            mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = int(model.vis.quality.shadowsize > 0)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0

    @contextlib.contextmanager
    def bound(self) -> Iterator[None]:
        """Bind the GL context to this thread for several renderings; ``render`` does it for one."""
        if not hasattr(self._gl, "as_current"):  # MuJoCo 3, on Python 3.10
            self._gl.make_current()
            try:
                yield
            finally:
                _unbind()
            return
        with self._gl.as_current():
            yield

    def render(self, data: Any, name: str) -> UInt8Array:
        """Return ``uint8 [H, W, 3]`` RGB of the camera ``name`` for the kinematics in ``data`` (``mujoco.MjData``)."""
        camera = self._cameras[name]
        view = mujoco.MjvCamera()
        view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        view.fixedcamid = self._ids[name]
        mujoco.mjv_updateScene(
            self._model, data, self._option, None, view, mujoco.mjtCatBit.mjCAT_ALL.value, self._scene
        )
        viewport = mujoco.MjrRect(0, 0, camera.width, camera.height)
        pixels = np.empty((camera.height, camera.width, 3), np.uint8)
        with self.bound():
            mujoco.mjr_render(viewport, self._scene, self._context)
            mujoco.mjr_readPixels(pixels, None, viewport, self._context)
        return np.ascontiguousarray(pixels[::-1])

    def close(self) -> None:
        """Free the GL context; may be called twice."""
        if self._gl is not None:
            with self.bound():
                self._context.free()
            self._gl.free()
            self._gl = None


def check_rendering() -> None:
    """Render one small image of a sphere.

    Raises:
        ConfigError: No GL backend works here, or what it renders is black.
    """
    scene = "<mujoco><worldbody><camera name='c' pos='0 0 1'/><geom size='.1'/></worldbody></mujoco>"
    model = mujoco.MjModel.from_xml_string(scene)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    if not CameraRenderer(model, {"c": PinholeCamera("c", 32, 32, 0.8)}).render(data, "c").max():
        raise ConfigError(f"off-screen OpenGL ({GL_BACKEND}) renders black images", hint=INSTALL_HINT)


if __name__ == "__main__":  # asked by scripts/common.sh
    check_rendering()
