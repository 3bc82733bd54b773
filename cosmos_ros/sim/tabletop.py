"""The scene around the robot: a table, cubes to move, a pad to put them on, light, and the fixed cameras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cosmos_ros.errors import ConfigError
from cosmos_ros.sim.look import Look, wood_image
from cosmos_ros.sim.mujoco_robot import ROBOT_BIT, WORLD_BIT, add_camera
from cosmos_ros.sim.rendering import mujoco
from cosmos_ros.sim.sim_description import MountedCamera, SceneLayout, load_description
from cosmos_ros.types import FloatArray

Vector = tuple[float, float, float]
Area = tuple[float, float, float, float]


@dataclass(frozen=True)
class SceneObject:
    """Something on the table.

    Attributes:
        name: ``<colour>_<noun>``, as the instruction says it with a blank.
        size: Full edge lengths in metres; a cylinder's first two are its diameter.
        rgb: Colour, 0..1.
        movable: It has mass; else a flat pad, which is drawn on the table and touches nothing.
        round: A standing cylinder instead of a box.
        hand: Gripper within whose area it is placed; empty: the scene's first.
    """

    name: str
    size: Vector
    rgb: Vector
    movable: bool = True
    round: bool = False
    hand: str = ""

    @property
    def square(self) -> bool:
        """Whether it may be gripped by either pair of sides."""
        return abs(self.size[0] - self.size[1]) < 1e-6


PLAIN_OBJECTS = (
    SceneObject("red_cube", (0.04, 0.04, 0.04), (0.86, 0.13, 0.13)),
    SceneObject("blue_cube", (0.04, 0.04, 0.04), (0.13, 0.36, 0.85)),
    SceneObject("yellow_cube", (0.04, 0.04, 0.04), (0.97, 0.75, 0.12)),
    SceneObject("green_pad", (0.12, 0.12, 0.003), (0.20, 0.66, 0.33), movable=False),
)


@dataclass(frozen=True)
class Tabletop:
    """What stands in front of the robot.

    Attributes:
        objects: What can be moved, and pads.
        area: x minimum, x maximum, y minimum, y maximum in metres within which objects are placed.
        clearance: Smallest distance between the centres of two objects at reset, m.
        cameras: Fixed cameras, by view name.
        shadows: Cast shadows; several times slower without a GPU.
        height: z of the table's top in the base frame, m.
        table: x minimum, x maximum, y minimum, y maximum of the table, m.
        areas: Gripper → area, where robots have several hands.
        lane: Names of two objects between which nothing else stands, with this much room, m.
        turned, yaw: Objects are turned by this, and at random by at most the second to either side, rad.
        look: Colours, light and camera poses.
    """

    objects: tuple[SceneObject, ...] = PLAIN_OBJECTS
    area: Area = (0.38, 0.60, -0.24, 0.24)
    clearance: float = 0.13
    cameras: Mapping[str, MountedCamera] = field(default_factory=lambda: load_description("panda").scene.cameras)
    shadows: bool = False
    height: float = 0.0
    table: Area = (-0.24, 0.88, -0.60, 0.60)
    areas: Mapping[str, Area] = field(default_factory=dict)
    lane: tuple[str, str, float] | None = None
    turned: float = 0.0
    yaw: float = np.pi
    look: Look = field(default_factory=Look)

    def __post_init__(self) -> None:
        names = [item.name for item in self.objects]
        if len(set(names)) != len(names):
            raise ConfigError(f"object names are not unique: {names}", where="tabletop")

    @property
    def by_name(self) -> dict[str, SceneObject]:
        """Objects by name."""
        return {item.name: item for item in self.objects}

    def sample_poses(self, rng: np.random.Generator) -> dict[str, FloatArray]:
        """Return a pose ``[4, 4]`` per object: no two closer than the clearance, any allowed yaw for what moves.

        Raises:
            ConfigError: The objects do not fit into the area with this clearance.
        """
        bounds = np.array([self.areas.get(item.hand, self.area) for item in self.objects])
        low, high = bounds[:, [0, 2]], bounds[:, [1, 3]]
        for _ in range(8000):
            centres = rng.uniform(low, high, (len(self.objects), 2))
            distance = np.linalg.norm(centres[:, None] - centres[None], axis=-1) + np.eye(len(centres)) * 10.0
            if distance.min() >= self.clearance and self._lane_is_free(centres):
                break
        else:
            raise ConfigError(f"{len(self.objects)} objects do not fit into area {self.area}", where="tabletop")
        poses = {}
        for item, centre in zip(self.objects, centres, strict=True):
            yaw = self.turned + rng.uniform(-self.yaw, self.yaw) if item.movable else 0.0
            pose = np.eye(4)
            pose[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
            pose[:3, 3] = [*centre, self.height + (0.5 * item.size[2] if item.movable else 0.0)]
            poses[item.name] = pose
        return poses

    def _lane_is_free(self, centres: FloatArray) -> bool:
        """Return whether the lane, and the room before its start from which one pushes, is free."""
        if self.lane is None:
            return True
        names = [item.name for item in self.objects]
        start, end = centres[names.index(self.lane[0])], centres[names.index(self.lane[1])]
        length = float(np.linalg.norm(end - start))
        along = (end - start) / max(length, 1e-9)
        # Where one pushes from must be in reach, too.
        behind = start - along * self.lane[2]
        x0, x1, y0, y1 = self.areas.get(self.by_name[self.lane[0]].hand, self.area)
        if not (x0 - 0.02 <= behind[0] <= x1 + 0.02 and y0 - 0.02 <= behind[1] <= y1 + 0.02):
            return False
        others = [c for n, c in zip(names, centres, strict=True) if n not in self.lane[:2]]
        offset = np.array(others).reshape(-1, 2) - start
        nearest = np.clip(offset @ along, -1.6 * self.lane[2], length)
        return bool(np.all(np.linalg.norm(offset - nearest[:, None] * along, axis=1) >= self.lane[2]))


def tabletop_for(
    layout: SceneLayout,
    objects: Sequence[SceneObject] = PLAIN_OBJECTS,
    *,
    shadows: bool = False,
    look: Look | None = None,
) -> Tabletop:
    """Return a scene of objects, given at a Franka's size, at the size and place that suit a robot."""
    k = layout.scale
    hands = list(layout.areas)
    placed = []
    for index, item in enumerate(objects):
        # Of the plain four, the red cube and the pad lie before one hand, the other cubes before the other.
        hand = item.hand or hands[((index + 1) // 2 % 2) % len(hands)]
        placed.append(replace(item, hand=hand, size=(k * item.size[0], k * item.size[1], k * item.size[2])))
    return Tabletop(
        objects=tuple(placed),
        area=next(iter(layout.areas.values())),
        clearance=0.13 * k,
        cameras=layout.cameras,
        shadows=shadows,
        height=layout.height,
        table=layout.table,
        areas=layout.areas,
        turned=layout.turned,
        yaw=layout.yaw,
        look=look or Look(),
    )


def add_tabletop(spec: Any, scene: Tabletop) -> None:
    """Put floor, table, objects, lights and fixed cameras into a robot's ``mujoco.MjSpec``."""
    _add_surroundings(spec, scene)
    world = spec.worldbody
    box, cylinder = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER
    for item in scene.objects:
        half = [0.5 * edge for edge in item.size]
        spec.add_material(name=item.name, rgba=[*item.rgb, 1.0], specular=0.3, shininess=0.3)
        if item.movable:
            body = world.add_body(name=item.name)
            body.add_freejoint(name=item.name)
            kind, extent = (cylinder, [half[0], half[2], 0.0]) if item.round else (box, half)
            body.add_geom(
                name=item.name, type=kind, size=extent, material=item.name, density=500.0, group=0,
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
    _move_cameras(spec, scene.look)


def _move_cameras(spec: Any, look: Look) -> None:
    """Shift and turn every camera a little, as nobody mounts one twice alike."""
    if look.camera_shift == 0.0 and look.camera_turn == 0.0:
        return
    rng = np.random.default_rng(look.camera_seed)
    for camera in spec.cameras:
        camera.pos = camera.pos + rng.normal(0.0, look.camera_shift, 3)
        turn, quat = np.zeros(4), np.zeros(4)
        axis = rng.normal(size=3)
        mujoco.mju_axisAngle2Quat(turn, axis / np.linalg.norm(axis), rng.normal(0.0, look.camera_turn))
        mujoco.mju_mulQuat(quat, np.asarray(camera.quat, dtype=np.float64), turn)
        camera.quat = quat


def _add_surroundings(spec: Any, scene: Tabletop) -> None:
    world, geoms = spec.worldbody, mujoco.mjtGeom
    texture = mujoco.mjtTexture
    spec.add_texture(
        name="sky", type=texture.mjTEXTURE_SKYBOX, builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.80, 0.86, 0.92], rgb2=[0.55, 0.62, 0.70], width=64, height=64,
    )  # fmt: skip
    look = scene.look
    wood = wood_image(look)
    spec.add_texture(
        name="wood", type=texture.mjTEXTURE_2D, width=wood.shape[1], height=wood.shape[0], nchannel=3,
        data=wood.ravel().tolist(),
    )  # fmt: skip
    spec.add_texture(
        name="tiles", type=texture.mjTEXTURE_2D, builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER, width=128, height=128,
        rgb1=look.floor[0], rgb2=look.floor[1],
    )  # fmt: skip
    rgb = int(mujoco.mjtTextureRole.mjTEXROLE_RGB)
    for name, repeat, specular in (("wood", [1.6, 2.2], 0.12), ("tiles", [9.0, 9.0], 0.0)):
        material = spec.add_material(name=name, texrepeat=repeat, specular=specular, shininess=0.2)
        material.textures[rgb] = name
    spec.add_material(name="table_leg", rgba=[0.24, 0.25, 0.28, 1.0], specular=0.2)
    # The base stands on the table, or where the table is high, on the floor.
    x0, x1, y0, y1 = scene.table
    top = scene.height
    floor_z = -0.74 if top == 0.0 else 0.0
    centre = [0.5 * (x0 + x1), 0.5 * (y0 + y1)]
    meets = {"contype": WORLD_BIT, "conaffinity": WORLD_BIT | ROBOT_BIT, "group": 0}
    floor = world.add_geom(
        name="floor", type=geoms.mjGEOM_PLANE, size=[6, 6, 0.1], pos=[0.3, 0, floor_z], material="tiles", **meets
    )
    if hasattr(floor, "castshadow"):  # MuJoCo 4: it reaches beyond the shadow map, and would shade itself there
        floor.castshadow = False
    world.add_geom(
        name="table", type=geoms.mjGEOM_BOX, size=[0.5 * (x1 - x0), 0.5 * (y1 - y0), 0.02], pos=[*centre, top - 0.02],
        material="wood", friction=[0.9, 0.01, 0.0001], condim=4, **meets,
    )  # fmt: skip
    leg = 0.5 * (top - 0.04 - floor_z)
    for x in (x0 + 0.08, x1 - 0.08):
        for y in (y0 + 0.08, y1 - 0.08):
            world.add_geom(
                type=geoms.mjGEOM_CYLINDER, size=[0.025, leg, 0], pos=[x, y, floor_z + leg], material="table_leg",
                contype=0, conaffinity=0, group=0,
            )  # fmt: skip
    sun = world.add_light(name="sun", pos=[0.9, 0.6, 2.2 + top], dir=look.sun_direction, castshadow=scene.shadows)
    sun.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    sun.diffuse, sun.specular = look.sun, [0.25, 0.25, 0.25]
    fill = world.add_light(name="fill", pos=[0.9, -1.2, 1.8 + top], dir=[-0.25, 0.65, -0.7], castshadow=False)
    fill.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    fill.diffuse, fill.specular = look.fill, [0.05, 0.05, 0.05]
    spec.visual.headlight.ambient = look.ambient
    spec.visual.headlight.diffuse = [0.24, 0.24, 0.24]
    spec.visual.headlight.specular = [0.0, 0.0, 0.0]
    spec.visual.quality.shadowsize = 4096 if scene.shadows else 0
    spec.visual.quality.offsamples = 4 if scene.shadows else 0
    # Vertices are what software rendering pays for at small sizes.
    quality = spec.visual.quality
    quality.numslices, quality.numstacks, quality.numquads = (32, 16, 4) if scene.shadows else (20, 4, 1)
    # Depth and shadow resolution are spread over this; the floor reaches further but nothing stands there.
    spec.stat.extent, spec.stat.center = 1.3, [0.3, 0.0, 0.2 + top]
    spec.visual.map.znear, spec.visual.map.zfar = 0.01, 30.0
