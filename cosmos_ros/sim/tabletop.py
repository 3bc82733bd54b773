"""The scene around the robot: a table, cubes to move, a pad to put them on, light, and the fixed cameras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from cosmos_ros.errors import ConfigError
from cosmos_ros.sim.mujoco_robot import ROBOT_BIT, WORLD_BIT, add_camera
from cosmos_ros.sim.rendering import mujoco
from cosmos_ros.sim.sim_description import MountedCamera
from cosmos_ros.types import FloatArray, UInt8Array

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class SceneObject:
    """Something on the table.

    Attributes:
        name: ``<colour>_<noun>``, as the instruction says it with a blank.
        size: Full edge lengths in metres.
        rgb: Colour, 0..1.
        movable: A cube with mass; else a flat pad, which is drawn on the table and touches nothing.
    """

    name: str
    size: Vector
    rgb: Vector
    movable: bool = True


def _default_cameras() -> Mapping[str, MountedCamera]:
    # DROID: two exterior cameras on opposite sides of the table, the robot visible in both.
    return MappingProxyType(
        {
            "exterior_1": MountedCamera(position=(1.28, 0.78, 0.72), look_at=(0.26, -0.04, 0.25), fovy=0.80),
            "exterior_2": MountedCamera(position=(1.28, -0.78, 0.72), look_at=(0.26, 0.04, 0.25), fovy=0.80),
        }
    )


@dataclass(frozen=True)
class Tabletop:
    """What stands in front of the robot; the table top is z = 0 of the base frame.

    Attributes:
        objects: Cubes and pads.
        area: x minimum, x maximum, y minimum, y maximum in metres within which objects are placed.
        clearance: Smallest distance between the centres of two objects at reset, m.
        cameras: Fixed cameras, by view name.
        shadows: Cast shadows; several times slower without a GPU.
    """

    objects: tuple[SceneObject, ...] = (
        SceneObject("red_cube", (0.04, 0.04, 0.04), (0.86, 0.13, 0.13)),
        SceneObject("blue_cube", (0.04, 0.04, 0.04), (0.13, 0.36, 0.85)),
        SceneObject("yellow_cube", (0.04, 0.04, 0.04), (0.97, 0.75, 0.12)),
        SceneObject("green_pad", (0.12, 0.12, 0.003), (0.20, 0.66, 0.33), movable=False),
    )
    area: tuple[float, float, float, float] = (0.38, 0.60, -0.24, 0.24)
    clearance: float = 0.13
    cameras: Mapping[str, MountedCamera] = field(default_factory=_default_cameras)
    shadows: bool = False

    def __post_init__(self) -> None:
        names = [item.name for item in self.objects]
        if len(set(names)) != len(names):
            raise ConfigError(f"object names are not unique: {names}", where="tabletop")

    @property
    def by_name(self) -> dict[str, SceneObject]:
        """Objects by name."""
        return {item.name: item for item in self.objects}

    def sample_poses(self, rng: np.random.Generator) -> dict[str, FloatArray]:
        """Return a pose ``[4, 4]`` per object: no two closer than the clearance, any yaw for cubes.

        Raises:
            ConfigError: The objects do not fit into the area with this clearance.
        """
        low = np.array([self.area[0], self.area[2]])
        high = np.array([self.area[1], self.area[3]])
        for _ in range(2000):
            centres = rng.uniform(low, high, (len(self.objects), 2))
            distance = np.linalg.norm(centres[:, None] - centres[None], axis=-1) + np.eye(len(centres)) * 10.0
            if distance.min() >= self.clearance:
                break
        else:
            raise ConfigError(f"{len(self.objects)} objects do not fit into area {self.area}", where="tabletop")
        poses = {}
        for item, centre in zip(self.objects, centres, strict=True):
            yaw = rng.uniform(-np.pi, np.pi) if item.movable else 0.0
            pose = np.eye(4)
            pose[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
            pose[:3, 3] = [*centre, 0.5 * item.size[2] if item.movable else 0.0]
            poses[item.name] = pose
        return poses


def _wood(height: int = 256, width: int = 256) -> UInt8Array:
    """Return ``uint8 [H, W, 3]`` of planks: long stretched noise in warm browns. Always the same image."""
    rng = np.random.default_rng(7)
    planks = 4
    rows = np.arange(height)
    plank = rows * planks // height
    grain = rng.normal(size=(height, 8))
    stretched = np.stack([np.interp(np.linspace(0, 7, width), np.arange(8), line) for line in grain])
    stretched = (stretched + np.roll(stretched, 1, 0) + np.roll(stretched, -1, 0)) / 3.0
    tone = rng.uniform(-0.5, 0.5, planks)[plank][:, None]
    seam = (rows % (height // planks) < 2)[:, None]
    shade = 1.0 + 0.045 * stretched + 0.06 * tone - 0.22 * seam
    image: UInt8Array = np.clip(np.array([196, 158, 116]) * shade[..., None], 0, 255).astype(np.uint8)
    return image


def add_tabletop(spec: Any, scene: Tabletop) -> None:
    """Put floor, table, objects, lights and fixed cameras into a robot's ``mujoco.MjSpec``."""
    _add_surroundings(spec, scene)
    world = spec.worldbody
    box = mujoco.mjtGeom.mjGEOM_BOX
    for item in scene.objects:
        half = [0.5 * edge for edge in item.size]
        spec.add_material(name=item.name, rgba=[*item.rgb, 1.0], specular=0.3, shininess=0.3)
        if item.movable:
            body = world.add_body(name=item.name)
            body.add_freejoint(name=item.name)
            body.add_geom(
                name=item.name, type=box, size=half, material=item.name, density=500.0, group=0,
                contype=WORLD_BIT, conaffinity=WORLD_BIT | ROBOT_BIT, condim=4, friction=[0.9, 0.01, 0.0001],
                solref=[0.005, 1.0],
            )  # fmt: skip
        else:
            body = world.add_body(name=item.name, mocap=True)
            body.add_geom(
                name=item.name, type=box, size=half, material=item.name, pos=[0, 0, half[2]],
                contype=0, conaffinity=0, group=0,
            )  # fmt: skip
            # A lighter border makes the target read as one from far away.
            inner = [0.86 * half[0], 0.86 * half[1], half[2]]
            lighter = [min(1.0, 0.45 + 0.55 * c) for c in item.rgb]
            body.add_geom(
                name=f"{item.name}_border", type=box, size=half, rgba=[*lighter, 1.0], pos=[0, 0, 0],
                contype=0, conaffinity=0, group=0,
            )  # fmt: skip
            spec.geom(item.name).size = inner
    for name, camera in scene.cameras.items():
        add_camera(world, name, camera)


def _add_surroundings(spec: Any, scene: Tabletop) -> None:
    world, geoms = spec.worldbody, mujoco.mjtGeom
    texture = mujoco.mjtTexture
    spec.add_texture(
        name="sky", type=texture.mjTEXTURE_SKYBOX, builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.80, 0.86, 0.92], rgb2=[0.55, 0.62, 0.70], width=64, height=64,
    )  # fmt: skip
    wood = _wood()
    spec.add_texture(
        name="wood", type=texture.mjTEXTURE_2D, width=wood.shape[1], height=wood.shape[0], nchannel=3,
        data=wood.ravel().tolist(),
    )  # fmt: skip
    spec.add_texture(
        name="tiles", type=texture.mjTEXTURE_2D, builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER, width=128, height=128,
        rgb1=[0.58, 0.62, 0.66], rgb2=[0.54, 0.58, 0.62],
    )  # fmt: skip
    rgb = int(mujoco.mjtTextureRole.mjTEXROLE_RGB)
    for name, repeat, specular in (("wood", [1.6, 2.2], 0.12), ("tiles", [9.0, 9.0], 0.0)):
        material = spec.add_material(name=name, texrepeat=repeat, specular=specular, shininess=0.2)
        material.textures[rgb] = name
    spec.add_material(name="table_leg", rgba=[0.24, 0.25, 0.28, 1.0], specular=0.2)
    meets = {"contype": WORLD_BIT, "conaffinity": WORLD_BIT | ROBOT_BIT, "group": 0}
    floor = world.add_geom(
        name="floor", type=geoms.mjGEOM_PLANE, size=[6, 6, 0.1], pos=[0.3, 0, -0.74], material="tiles", **meets
    )
    if hasattr(floor, "castshadow"):  # MuJoCo 4: it reaches beyond the shadow map, and would shade itself there
        floor.castshadow = False
    world.add_geom(
        name="table", type=geoms.mjGEOM_BOX, size=[0.56, 0.60, 0.02], pos=[0.32, 0, -0.02], material="wood",
        friction=[0.9, 0.01, 0.0001], condim=4, **meets,
    )  # fmt: skip
    for x in (-0.16, 0.80):
        for y in (-0.52, 0.52):
            world.add_geom(
                type=geoms.mjGEOM_CYLINDER, size=[0.025, 0.35, 0], pos=[x, y, -0.39], material="table_leg",
                contype=0, conaffinity=0, group=0,
            )  # fmt: skip
    sun = world.add_light(name="sun", pos=[0.9, 0.6, 2.2], dir=[-0.30, -0.25, -1.0], castshadow=scene.shadows)
    sun.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    sun.diffuse, sun.specular = [0.56, 0.55, 0.52], [0.25, 0.25, 0.25]
    fill = world.add_light(name="fill", pos=[0.9, -1.2, 1.8], dir=[-0.25, 0.65, -0.7], castshadow=False)
    fill.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    fill.diffuse, fill.specular = [0.22, 0.24, 0.28], [0.05, 0.05, 0.05]
    spec.visual.headlight.ambient = [0.36, 0.36, 0.38]
    spec.visual.headlight.diffuse = [0.24, 0.24, 0.24]
    spec.visual.headlight.specular = [0.0, 0.0, 0.0]
    spec.visual.quality.shadowsize = 4096 if scene.shadows else 0
    spec.visual.quality.offsamples = 4 if scene.shadows else 0
    # Vertices are what software rendering pays for at small sizes.
    quality = spec.visual.quality
    quality.numslices, quality.numstacks, quality.numquads = (32, 16, 4) if scene.shadows else (20, 4, 1)
    # Depth and shadow resolution are spread over this; the floor reaches further but nothing stands there.
    spec.stat.extent, spec.stat.center = 1.3, [0.3, 0.0, 0.2]
    spec.visual.map.znear, spec.visual.map.zfar = 0.01, 30.0
