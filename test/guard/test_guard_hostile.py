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

import pytest
from body_checks import body_faults
from dense_checks import faults_of
from hostile_chains import EMBODIMENTS, chain

from cosmos_ros.guard.checks.self_collision import SelfCollisionSettings

CHUNKS = 20  # in a chain
SHARDS = 4
CHAINS = 2000 // (CHUNKS * len(EMBODIMENTS) * SHARDS)
NIGHTLY = 20_000 // (CHUNKS * len(EMBODIMENTS) * SHARDS)


def faults_of_chains(embodiment: str, numbers: range) -> list[str]:
    faults = []
    for number in numbers:
        world = chain(embodiment, number, CHUNKS)
        margin = world.guard.settings.of(SelfCollisionSettings).collision_margin
        found = faults_of(world) + body_faults(world, margin)
        faults += [f"{embodiment} {number}: {fault}" for fault in found]
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
