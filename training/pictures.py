"""Pictures of an episode, rendered after it is over and composed as the embodiment lays them on its canvas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.sim.world import SimWorld, WorldRenderer, WorldState
from cosmos_ros.types import UInt8Array


def view_sizes(embodiment: Embodiment, width: int) -> dict[str, tuple[int, int]]:
    """Return view → (width, height) in pixels for a canvas of a width, with the aspect of the real cameras."""
    cameras = embodiment.spec.cameras
    largest = cameras[embodiment.views[0]].max_size or (640, 360)
    height = round(width * largest[1] / largest[0] / 4) * 4
    return {view: (width // camera.divide, height // camera.divide) for view, camera in cameras.items()}


class Pictures:
    """Renders one world's moments; a context manager that frees the GL context.

    Args:
        embodiment: Says how views lie on the canvas.
        world: Whose model is rendered.
        width: Width of the canvas in pixels.
    """

    def __init__(self, embodiment: Embodiment, world: SimWorld, width: int) -> None:
        self._embodiment = embodiment
        self._renderer = WorldRenderer(world, world.cameras(view_sizes(embodiment, width)))

    def canvases(self, moments: Sequence[WorldState]) -> UInt8Array:
        """Return ``uint8 [N, H, W, 3]``."""
        frames = []
        with self._renderer.bound():
            for moment in moments:
                self._renderer.load(moment)
                frames.append(self._embodiment.compose({v: self._renderer.render(v) for v in self._embodiment.views}))
        return np.stack(frames)

    def __enter__(self) -> Pictures:
        return self

    def __exit__(self, *_: object) -> None:
        self._renderer.close()
