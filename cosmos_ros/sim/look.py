"""How a scene looks: colours, light, small changes of the cameras. Sampled for varied scenes, else always the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosmos_ros.types import UInt8Array

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """Colours are 0..1 unless said otherwise.

    Attributes:
        wood: Tone of the table, 0..255.
        wood_seed, grain, wood_pixels: Pattern of the planks, its strength, and its resolution.
        floor: The floor's two colours.
        sun, sun_direction: Main light.
        fill: Second light.
        ambient: Light from everywhere.
        camera_shift, camera_turn: Standard deviation of every camera's place (m) and direction (rad).
        camera_seed: Seed of those.
    """

    wood: Vector = (196.0, 158.0, 116.0)
    wood_seed: int = 7
    grain: float = 1.0
    wood_pixels: int = 256
    floor: tuple[Vector, Vector] = ((0.58, 0.62, 0.66), (0.54, 0.58, 0.62))
    sun: Vector = (0.56, 0.55, 0.52)
    sun_direction: Vector = (-0.30, -0.25, -1.0)
    fill: Vector = (0.22, 0.24, 0.28)
    ambient: Vector = (0.36, 0.36, 0.38)
    camera_shift: float = 0.0
    camera_turn: float = 0.0
    camera_seed: int = 0

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Look:
        """Return a random look: never so dark, bright or coloured that an object's colour could be mistaken."""

        def vector(low: float, high: float, tint: float) -> Vector:
            values = rng.uniform(low, high) * (1.0 + rng.uniform(-tint, tint, 3))
            return (float(values[0]), float(values[1]), float(values[2]))

        tone = rng.choice(np.array([[196, 158, 116], [165, 128, 92], [208, 196, 178], [150, 150, 154], [120, 96, 76]]))
        wood = tone * rng.uniform(0.85, 1.12) * (1.0 + rng.uniform(-0.06, 0.06, 3))
        first = vector(0.35, 0.70, 0.05)
        contrast = rng.uniform(0.90, 0.98)
        heading, slant = rng.uniform(-np.pi, np.pi), rng.uniform(0.1, 0.6)
        return cls(
            wood=(float(wood[0]), float(wood[1]), float(wood[2])),
            wood_seed=int(rng.integers(1 << 30)),
            grain=float(rng.uniform(0.2, 1.5)),
            wood_pixels=96,
            floor=(first, (first[0] * contrast, first[1] * contrast, first[2] * contrast)),
            sun=vector(0.40, 0.65, 0.06),
            sun_direction=(float(slant * np.cos(heading)), float(slant * np.sin(heading)), -1.0),
            fill=vector(0.15, 0.30, 0.08),
            ambient=vector(0.28, 0.42, 0.04),
            camera_shift=0.006,
            camera_turn=0.008,
            camera_seed=int(rng.integers(1 << 30)),
        )


def wood_image(look: Look) -> UInt8Array:
    """Return ``uint8 [H, W, 3]`` of planks: long stretched noise around one tone. The same look, the same image."""
    height = width = look.wood_pixels
    rng = np.random.default_rng(look.wood_seed)
    planks = 4
    rows = np.arange(height)
    plank = rows * planks // height
    grain = rng.normal(size=(height, 8))
    stretched = np.stack([np.interp(np.linspace(0, 7, width), np.arange(8), line) for line in grain])
    stretched = (stretched + np.roll(stretched, 1, 0) + np.roll(stretched, -1, 0)) / 3.0
    tone = rng.uniform(-0.5, 0.5, planks)[plank][:, None]
    seam = (rows % (height // planks) < 2)[:, None]
    shade = 1.0 + look.grain * (0.045 * stretched + 0.06 * tone - 0.22 * seam)
    image: UInt8Array = np.clip(np.array(look.wood) * shade[..., None], 0, 255).astype(np.uint8)
    return image
