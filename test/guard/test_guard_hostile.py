"""Hostile chunks through the supervisor with the node's default settings: nothing that leaves it is unsafe.

Of each trajectory that is sent, stops included: finite, times as controllers demand them and no two points closer or
farther apart than the guard itself allows, at rest at its end, position, velocity, acceleration and jerk within the
bounds between its points too, steps of acceleration at its knots within jerk times 1 ms. Of the positions commanded at
1 kHz over the whole chain, hand-overs and stops included: within the bounds, from outside inwards only (measured from
where the robot truly was), no step above the velocity bound, no change of speed above the acceleration bound, no jump
at a hand-over. Of the arm: no pair of capsules closer than the margin, the tool within its speed. And no controller
refuses what it is sent, and no input raises.
"""

from __future__ import annotations

import numpy as np
import pytest
from body_checks import body_faults
from dense_checks import faults_of
from hostile_chains import EMBODIMENTS, chain
from limiter_ports import (
    libfranka_changes,
    libfranka_velocity_bounds,
    ros2_control_changes,
    ros2_control_point_changes,
    side_by_side,
)

from cosmos_ros.guard.checks.self_collision import SelfCollisionSettings

CHUNKS = 20  # in a chain
SHARDS = 4
CHAINS = 2000 // (CHUNKS * len(EMBODIMENTS) * SHARDS)
NIGHTLY = 20_000 // (CHUNKS * len(EMBODIMENTS) * SHARDS)


CHANGE = 1e-5


def faults_of_chains(embodiment: str, numbers: range) -> list[str]:
    faults, worlds = [], [chain(embodiment, number, CHUNKS) for number in numbers]
    for number, world in zip(numbers, worlds, strict=True):
        margin = world.guard.settings.of(SelfCollisionSettings).collision_margin
        found = faults_of(world) + body_faults(world, margin)
        faults += [f"{embodiment} {number} ({type(world.robot).__name__}): {fault}" for fault in found]
    names, limits = worlds[0].names, worlds[0].embodiment.limits
    q = side_by_side([world.stream()[1] for world in worlds])
    changes = {
        "ros2_control": ros2_control_changes(q, names, limits),
        "ros2_control for points": ros2_control_point_changes(q, names, limits),
    }
    if embodiment == "franka_fr3":
        # It lets no joint rest where its bound of velocity is zero; runs that start there say nothing.
        upper, lower = libfranka_velocity_bounds(q[0, :, :7])
        apart = ((upper > 0.0) & (lower < 0.0)).all(axis=1)
        changes["libfranka"] = np.where(apart[None, :, None], libfranka_changes(q[..., :7]), 0.0)
    for limiter, change in changes.items():
        worst = np.abs(change).max(axis=0)  # [C, J]
        for c in np.flatnonzero(worst.max(axis=1) > CHANGE):
            j = int(worst[c].argmax())
            at = 1e-3 * int(np.argmax(np.abs(change[:, c, j]) > CHANGE))
            faults.append(
                f"{embodiment} {numbers[c]}: {limiter} changes {names[j]} by {worst[c, j]:.2e}, first at {at:.3f} s"
            )
    return faults


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("embodiment", EMBODIMENTS)
def test_hostile_chains_do_no_harm(embodiment: str, shard: int) -> None:
    faults = faults_of_chains(embodiment, range(shard * CHAINS, (shard + 1) * CHAINS))
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:30])


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("embodiment", EMBODIMENTS)
def test_many_hostile_chains_do_no_harm(embodiment: str, shard: int) -> None:
    first = SHARDS * CHAINS + shard * NIGHTLY
    faults = faults_of_chains(embodiment, range(first, first + NIGHTLY))
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:60])
