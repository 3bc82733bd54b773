"""The simulator's figures: physics, rendering, the expert's answer time, tracking error, and task success over seeds.

Run: python benchmarks/bench_sim.py [--seeds N]
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.guard import Guard
from cosmos_ros.sim.episode import EpisodeSettings, run_episode
from cosmos_ros.sim.imagination import world_of
from cosmos_ros.sim.rendering import GL_BACKEND
from cosmos_ros.sim.scripted_expert import Expert, ExpertOptions
from cosmos_ros.sim.world import TIMESTEP_NS, WorldRenderer
from cosmos_ros.types import Mode, Observation

SIZES = ((160, 90), (320, 180), (640, 360))


def physics_and_tracking(franka) -> None:
    """Time of a physics step, and how far the joints are from a moving setpoint."""
    world = world_of(franka)
    steps = 3000
    t = np.arange(1, steps + 1)[:, None] * TIMESTEP_NS * 1e-9
    home = world.joint_state().positions[: len(world.driven_joints)]
    reach, omega = np.array([0.5, 0.3, 0.4, 0.35, 0.6, 0.4, 0.8, 0.0]), 2.0 * np.pi * 0.4
    positions = home + reach * (1 - np.cos(omega * t)) / 2
    velocities = reach * omega * np.sin(omega * t) / 2
    worst = 0.0
    begin = time.perf_counter()
    for k in range(0, steps, 5):
        world.advance(positions[k : k + 5], velocities[k : k + 5])
        error = np.abs(world.joint_state().positions[:7] - positions[k + 4, :7])
        worst = max(worst, float(error.max()))
    elapsed = time.perf_counter() - begin
    print(f"physics: {elapsed / steps * 1e6:.0f} us a step of {TIMESTEP_NS / 1e6:g} ms")
    print(f"tracking: worst {worst * 1e3:.3f} mrad at up to {np.abs(velocities).max():.2f} rad/s")


def rendering(franka) -> None:
    """Time of one picture at several sizes."""
    world = world_of(franka)
    for size in SIZES:
        renderer = WorldRenderer(world, world.cameras(dict.fromkeys(franka.views, size)))
        renderer.load(world.snapshot())
        took = []
        with renderer.bound():
            for _ in range(20):
                for view in franka.views:
                    begin = time.perf_counter()
                    renderer.render(view)
                    took.append(time.perf_counter() - begin)
        renderer.close()
        median = float(np.median(took))
        print(
            f"rendering {size[0]}x{size[1]}: median {median * 1e3:.1f} ms ({1.0 / median:.0f} images/s) on {GL_BACKEND}"
        )


def answering(franka) -> None:
    """Time of one answer of the scripted expert."""
    world = world_of(franka)
    renderer = WorldRenderer(world, world.cameras(dict.fromkeys(franka.views, (320, 180))))
    renderer.load(world.snapshot())
    stamp = 1_000_000_000
    observation = Observation(
        stamp_ns=stamp,
        images={view: renderer.render(view) for view in franka.views},
        image_stamps_ns=dict.fromkeys(franka.views, stamp),
        joints=world.joint_state(stamp),
        instruction=EpisodeSettings().instruction,
        scene=world.object_poses(),
    )
    renderer.close()
    request = franka.build_request(observation, Mode.POLICY, needs_observation=True)
    for frames in (True, False):
        expert = Expert(ExpertOptions(frames=frames))
        expert.predict(request)
        wall, processor = time.perf_counter(), time.process_time()
        for _ in range(5):
            expert.predict(request)
        wall, processor = (time.perf_counter() - wall) / 5, (time.process_time() - processor) / 5
        expert.close()
        print(f"expert, frames {frames}: {wall * 1e3:.0f} ms ({processor * 1e3:.0f} ms of processor time)")


def success(franka, seeds: int) -> None:
    """Share of tasks done in virtual time with the guard in the chain, by latency."""
    expert = Expert(ExpertOptions(frames=False))
    expert.load()
    guard = Guard.for_embodiment(franka)
    for latency in (0.05, 0.15, 0.3):
        episodes = [
            run_episode(franka, expert, seed=seed, settings=EpisodeSettings(latency=latency), guard=guard)
            for seed in range(seeds)
        ]
        times = [e.seconds for e in episodes if e.seconds is not None]
        verdicts = [v.response.value for e in episodes for v in e.verdicts]
        broken = sum(e.status["limit_violations"]["total"] for e in episodes)
        print(
            f"latency {latency:.2f} s: {len(times)}/{seeds} tasks done, median {np.median(times):.1f} s, "
            f"worst {max(times):.1f} s; limits broken {broken}; "
            + ", ".join(f"{name} {verdicts.count(name)}" for name in sorted(set(verdicts)))
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    seeds = parser.parse_args().seeds
    print(f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    franka = load_embodiment("franka")
    physics_and_tracking(franka)
    rendering(franka)
    answering(franka)
    success(franka, seeds)


if __name__ == "__main__":
    main()
