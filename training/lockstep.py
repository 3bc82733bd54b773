"""Many simulated episodes at once, without ROS: the teacher decides for all of them in one go.

One process steps some dozen worlds. Each is a robot with one job; a control step of all of them costs one call of the
teacher, a pose of inverse kinematics each, and physics.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from cosmos_ros.embodiment import Embodiment, load_embodiment
from cosmos_ros.errors import ConfigError
from cosmos_ros.kinematics import InverseKinematics
from cosmos_ros.sim.hands import Hands, Jobs
from cosmos_ros.sim.scenes import TaskScene, task_scene
from cosmos_ros.sim.simulated_robot import SimulatedHand, SimulatedRobot, simulated_robot
from cosmos_ros.sim.task import Verb, instruction_of, is_done
from cosmos_ros.sim.teacher import WIDE, stack_jobs
from cosmos_ros.sim.teacher_pace import job_for, pace_for
from cosmos_ros.sim.teacher_plan import Pace, Plans, plan
from cosmos_ros.sim.world import TIMESTEP_NS, SimWorld
from cosmos_ros.types import NANOSECONDS, FloatArray

# Setpoints are written every so many physics steps; between them the servos hold.
_HELD_STEPS = 2


@lru_cache(maxsize=8)
def robot_of(name: str) -> SimulatedRobot:
    """Return the simulated robot of a shipped embodiment."""
    return simulated_robot(load_embodiment(name))


@dataclass
class Episode:
    """One world with one job, and what its hand was last told.

    Attributes:
        seed: Seed of the scene, the poses and the start.
        made: Scene, task and instruction.
        world: The simulated world.
        hand: The hand that works.
        job: For the teacher.
        solver: Inverse kinematics of that hand.
        setpoint, rate: ``[J]`` of the driven joints, as last commanded.
        command: Last commanded opening.
        path: Grasp poses still to be gone through, of the plan in execution.
        openings: The openings with them.
        steps: Control steps so far.
        done_at: First control step at which the task was done, or None.
        missed: Poses that the arm could not reach.
        last: Last commanded grasp pose.
    """

    seed: int
    made: TaskScene
    world: SimWorld
    hand: SimulatedHand
    job: Jobs
    solver: InverseKinematics
    setpoint: FloatArray
    rate: FloatArray
    command: float
    path: list[FloatArray] = field(default_factory=list)
    openings: list[float] = field(default_factory=list)
    steps: int = 0
    done_at: int | None = None
    missed: int = 0
    last: FloatArray | None = None

    @property
    def driven(self) -> tuple[str, ...]:
        """Joints with a servo."""
        return self.world.driven_joints


def begin(robot: SimulatedRobot, seed: int, verb: Verb | None, rng: np.random.Generator) -> Episode:
    """Return an episode in a random scene, with its start posture a little off home."""
    made = task_scene(robot.description, seed, verb=verb)
    world = SimWorld(robot.urdf, limits=robot.limits, home=robot.home, scene=made.scene, seed=seed)
    hand = robot.hands[made.task.hand]
    solver = robot.solver(hand)
    start = _scattered_start(robot, hand, solver, world, rng)
    world.set_state(start, {})
    setpoint = np.array([start[name] for name in world.driven_joints])
    job = job_for(robot, hand, made.task)
    return Episode(seed, made, world, hand, job, solver, setpoint, np.zeros(len(setpoint)), WIDE)


def ask_for_another(robot: SimulatedRobot, episode: Episode) -> bool:
    """Change an episode's task to the first other object that the same hand can move; return whether there is one."""
    task = episode.made.task
    others = [o for o in episode.made.scene.objects if o.movable and o.name not in {i.name for i in task.objects}]
    others = [o for o in others if o.hand in ("", episode.hand.gripper)]
    if not others:
        return False
    changed = replace(task, item=others[0])
    text = instruction_of(changed, 0, episode.hand.description.word)
    episode.made = replace(episode.made, task=changed, instruction=text)
    episode.job = job_for(robot, episode.hand, changed)
    return True


def _scattered_start(
    robot: SimulatedRobot, hand: SimulatedHand, solver: InverseKinematics, world: SimWorld, rng: np.random.Generator
) -> dict[str, float]:
    """Return a start posture whose hand is some centimetres and tenths of a radian from home, fingers open."""
    start = {name: robot.home.get(name, 0.0) for name in world.driven_joints}
    for other in robot.hands.values():
        start[other.joint.joint] = float(other.joint.position(WIDE))
    k = robot.description.scene.scale
    pose = robot.model.fk({n: start.get(n, 0.0) for n in robot.model.joint_names}, hand.link)
    for _ in range(8):
        away = np.eye(4)
        away[:3, 3] = rng.uniform([-0.07, -0.10, -0.07], [0.07, 0.10, 0.07]) * k
        turn = rng.uniform(-0.35, 0.35)
        away[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        target = pose.copy()
        target[:3, 3] += away[:3, 3]
        target[:3, :3] = away[:3, :3] @ pose[:3, :3]
        ways = np.stack([_between(pose, target, s) for s in np.linspace(0.25, 1.0, 4)])
        found = solver.solve({hand.link: ways}, start)
        if found.converged[-1]:
            start.update(zip(found.joint_names, found.positions[-1].tolist(), strict=True))
            break
    return start


def _between(a: FloatArray, b: FloatArray, share: float) -> FloatArray:
    """Return a pose part of the way; the rotation of a small turn, made orthonormal again."""
    mixed = (1.0 - share) * a + share * b
    u, _, vt = np.linalg.svd(mixed[:3, :3])
    mixed[:3, :3] = u @ vt
    return mixed


class Lockstep:
    """Steps episodes of one robot together.

    Args:
        embodiment: The robot.
        episodes: Running ones; replaced in place by the caller as they end.
    """

    def __init__(self, embodiment: Embodiment, episodes: list[Episode]) -> None:
        self.embodiment = embodiment
        self.episodes = episodes
        self.dt = 1.0 / embodiment.fps
        self.pace: Pace = pace_for(embodiment)
        physics = self.dt * NANOSECONDS / TIMESTEP_NS / _HELD_STEPS
        self._rows = round(physics)
        if abs(physics - self._rows) > 0.4:
            raise ConfigError(f"a control step of {self.dt:g} s is no whole number of physics steps", where="lockstep")

    def observe(self) -> Hands:
        """Return what the teacher is shown of every episode."""
        poses, velocities, turns, openings = [], [], [], []
        for e in self.episodes:
            pose, velocity, turn = e.world.grasp_motion(e.hand.gripper)
            poses.append(pose)
            velocities.append(velocity)
            turns.append(turn)
            openings.append(e.world.opening(e.hand.joint))
        return Hands(
            pose=np.stack(poses),
            velocity=np.stack(velocities),
            turn_rate=np.stack(turns),
            opening=np.array(openings),
            command=np.array([e.command for e in self.episodes]),
            item=np.stack([e.world.pose_of(e.made.task.item.name) for e in self.episodes]),
            target=np.stack([e.world.pose_of((e.made.task.target or e.made.task.item).name) for e in self.episodes]),
        )

    def plan(self, hands: Hands) -> Plans:
        """Return the teacher's plan from every state: the label of that state."""
        jobs = stack_jobs([e.job for e in self.episodes])
        return plan(jobs, hands, self.embodiment.chunk_size, self.dt, self.pace)

    def adopt(self, index: int, poses: FloatArray, openings: FloatArray) -> None:
        """Let an episode go through grasp poses ``[n, 4, 4]`` with openings ``[n]`` from now on, one a control step."""
        episode = self.episodes[index]
        episode.path, episode.openings = list(poses), openings.tolist()

    def step(self) -> None:
        """Advance every episode by one control step along what it adopted."""
        for episode in self.episodes:
            self._step(episode)
            episode.steps += 1
            if episode.done_at is None and is_done(episode.made.task, episode.world.task_state(episode.made.task)):
                episode.done_at = episode.steps

    def _step(self, e: Episode) -> None:
        goal = e.setpoint.copy()
        if e.path:
            grasp = e.last = e.path.pop(0)
            target = grasp @ np.linalg.inv(e.hand.grasp)
            start = dict(zip(e.driven, e.setpoint.tolist(), strict=True))
            found = e.solver.solve({e.hand.link: target[None]}, start)
            e.missed += int(not found.converged[0])
            columns = [e.driven.index(name) for name in found.joint_names]
            goal[columns] = found.positions[0]
            e.command = e.openings.pop(0)
            goal[e.driven.index(e.hand.joint.joint)] = float(e.hand.joint.position(e.command))
        # A cubic from the last setpoint and its rate to the next at this step's mean rate.
        rate = (goal - e.setpoint) / self.dt
        s = (np.arange(1, self._rows + 1) / self._rows)[:, None]
        h00, h10 = 2 * s**3 - 3 * s**2 + 1, s**3 - 2 * s**2 + s
        h01, h11 = 1.0 - h00, s**3 - s**2
        positions = h00 * e.setpoint + h10 * self.dt * e.rate + h01 * goal + h11 * self.dt * rate
        speeds = (6 * s**2 - 6 * s) / self.dt * (e.setpoint - goal)
        speeds = speeds + (3 * s**2 - 4 * s + 1) * e.rate + (3 * s**2 - 2 * s) * rate
        e.world.advance_lean(positions, speeds, _HELD_STEPS)
        e.setpoint, e.rate = goal, rate
