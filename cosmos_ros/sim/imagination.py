"""A private copy of the simulated world, to look ahead in: played back kinematically, or stepped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.embodiment.canvas import shrink_to
from cosmos_ros.errors import InputError, ModelError
from cosmos_ros.sim.rendering import PinholeCamera
from cosmos_ros.sim.runtime import SimRuntime
from cosmos_ros.sim.scenes import named_object
from cosmos_ros.sim.simulated_robot import simulated_robot
from cosmos_ros.sim.tabletop import Tabletop, tabletop_for
from cosmos_ros.sim.world import SimWorld, WorldRenderer, WorldState
from cosmos_ros.types import NANOSECONDS, FloatArray, JointTrajectory, Observation, UInt8Array


def world_of(embodiment: Embodiment, *, scene: Tabletop | None = None, seed: int = 0) -> SimWorld:
    """Return a new simulated world of an embodiment's robot at home.

    Raises:
        ConfigError: The embodiment has no simulator description.
    """
    robot = simulated_robot(embodiment)
    return SimWorld(robot.urdf, limits=robot.limits, home=robot.home, scene=scene, seed=seed)


class Imagination:
    """What would be seen if the robot did something.

    Args:
        embodiment: The robot.
        scale: Size of the rendered views as a fraction of what the canvas shows; they are scaled back for it.
        objects: Names of the things on the table; None: the plain scene's.
    """

    def __init__(self, embodiment: Embodiment, scale: float, objects: Sequence[str] | None = None) -> None:
        self._embodiment = embodiment
        self._robot = simulated_robot(embodiment)
        plain = None if objects is None else [named_object(name) for name in objects]
        layout = self._robot.description.scene
        # Where they lie is observed, so that it does not matter whether they would find room by themselves.
        scene = tabletop_for(layout) if plain is None else replace(tabletop_for(layout, plain), clearance=0.0)
        self.world = world_of(embodiment, scene=scene)
        self.objects = tuple(sorted(self.world.scene.by_name))
        self._scale = scale
        self._renderer: WorldRenderer | None = None
        self._sizes: dict[str, tuple[int, int]] = {}

    def playback(
        self,
        observation: Observation,
        joints: Sequence[Mapping[str, float]],
        objects: Sequence[Mapping[str, FloatArray]],
    ) -> UInt8Array:
        """Return canvases ``uint8 [N, H, W, 3]`` of N postures and object poses, without physics."""
        self._place(observation)
        moments = []
        for posture, poses in zip(joints, objects, strict=True):
            self.world.set_state(posture, poses)
            moments.append(self.world.snapshot())
        return self._render(observation, moments)

    def simulate(self, observation: Observation, trajectory: JointTrajectory, times_ns: Sequence[int]) -> UInt8Array:
        """Return canvases ``uint8 [N, H, W, 3]`` at times after the observation, with the trajectory executed.

        Args:
            observation: Where everything stands; its scene must hold the objects.
            trajectory: All controllers' joints; cut up for them here.
            times_ns: Increasing times after ``observation.stamp_ns``.

        Raises:
            ModelError: A controller refuses its part of the trajectory; says why.
        """
        self._place(observation)
        start = observation.stamp_ns
        options = {"allow_nonzero_velocity_at_trajectory_end": True}
        runtime = SimRuntime(self.world, self._robot.controllers, start_ns=start, options=options)
        for topic, names in self._robot.controllers:
            reason = runtime.receive(topic, trajectory.select(names))
            if reason is not None:
                raise ModelError(f"the simulated controller refuses the motion: {reason}", where=topic)
        moments = []
        for time_ns in times_ns:
            while runtime.advance(start + time_ns):
                pass
            moments.append(self.world.snapshot())
        return self._render(observation, moments)

    def close(self) -> None:
        """Free the renderer; may be called twice."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def posture(self, observation: Observation) -> dict[str, float]:
        """Return driven joint → observed position; of a tracked gripper, of what carries it in the simulator.

        Raises:
            InputError: A joint or tool pose is not observed.
        """
        driven = self.world.driven_joints
        if self._robot.held:
            (hand,) = self._robot.hands.values()
            start = {name: self._robot.home.get(name, 0.0) for name in driven}
            pose = self._embodiment.tool_poses(observation)[hand.link]
            found = self._robot.solver(hand).solve({hand.link: pose[None]}, start)
            start.update(zip(found.joint_names, found.positions[0].tolist(), strict=True))
            opening = self._embodiment.gripper_openings(observation).get(hand.gripper, 1.0)
            return {**start, hand.joint.joint: float(hand.joint.position(opening))}
        state = observation.joints
        if state is None:
            raise InputError("there is no joint state", where="observation")
        joints = {name: float(p) for name, p in zip(state.names, state.positions, strict=True) if name in driven}
        missing = [name for name in driven if name not in joints]
        if missing:
            raise InputError(f"joints {missing} are missing", where="joint_states")
        return joints

    def _place(self, observation: Observation) -> None:
        joints, state = self.posture(observation), observation.joints
        rates = {}
        if state is not None and state.velocities is not None:
            rates = {name: float(v) for name, v in zip(state.names, state.velocities, strict=True) if name in joints}
        objects = {name: pose for name, pose in observation.scene.items() if name in self.world.scene.by_name}
        self.world.set_state(joints, objects, rates)

    def _render(self, observation: Observation, moments: Sequence[WorldState]) -> UInt8Array:
        sizes = self._canvas_sizes(observation)
        if self._renderer is None or sizes != self._sizes:
            self.close()
            self._sizes = sizes
            self._renderer = WorldRenderer(self.world, self._scaled(sizes))
        renderer = self._renderer
        canvases = []
        with renderer.bound():
            for moment in moments:
                renderer.load(moment)
                views = {view: _resize(renderer.render(view), size) for view, size in sizes.items()}
                canvases.append(self._embodiment.compose(views))
        return np.stack(canvases)

    def _canvas_sizes(self, observation: Observation) -> dict[str, tuple[int, int]]:
        """Return the (width, height) that each view has on the canvas: more pixels would only be thrown away."""
        cameras = self._embodiment.spec.cameras
        primary = self._embodiment.views[0]
        if primary not in observation.images:
            raise InputError(f"view {primary} is missing", where="images")
        height, width = shrink_to(observation.images[primary], cameras[primary].max_size).shape[:2]
        return {view: (width // camera.divide, height // camera.divide) for view, camera in cameras.items()}

    def _scaled(self, sizes: Mapping[str, tuple[int, int]]) -> dict[str, PinholeCamera]:
        def scaled(pixels: int) -> int:
            return max(8, round(pixels * self._scale))

        return self.world.cameras({view: (scaled(w), scaled(h)) for view, (w, h) in sizes.items()})


def step_times_ns(steps: int, fps: float) -> list[int]:
    """Return the times of steps 1..T after the observation."""
    return [round((k + 1) * NANOSECONDS / fps) for k in range(steps)]


def _resize(image: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    if (image.shape[1], image.shape[0]) == size:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
