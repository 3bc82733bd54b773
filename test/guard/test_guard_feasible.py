"""What a robot can follow is accepted and executed as it came: from rest, joining, sent again, without velocities.

Each chunk is feasible by checks of the tests' own, at 80 % of the bounds; at 50 % where it has no velocities. Accepted
unchanged means: the response is ``accept``, and the controllers command the chunk's own path, at every millisecond
where it has velocities, at its points where it has none.
"""

from __future__ import annotations

import numpy as np
import pytest
from closed_loop import S, World
from dense_checks import faults_of
from feasible import NothingFeasibleError, feasible
from hostile_chains import EMBODIMENTS
from loop_controller import evaluate, hermite

from cosmos_ros.types import JointTrajectory

CHUNKS = 60  # of each embodiment: 300
NIGHTLY = 1000  # 5,000
KINDS = ("with velocities", "without velocities", "the same again")


def strayed(world: World, chunk: JointTrajectory, until_ns: int) -> float:
    """How far the commanded positions were from a chunk's, from its stamp to a time."""
    seconds, q, _ = world.stream()
    stamps = np.round(seconds * S).astype(np.int64) - chunk.stamp_ns
    end = min(until_ns - chunk.stamp_ns, int(chunk.times_ns[-1]))
    inside = (stamps > 0) & (stamps <= end)
    if chunk.velocities is None:
        path = np.stack([np.interp(chunk.times_ns, stamps, q[:, j]) for j in range(q.shape[1])], axis=1)
        inside = (chunk.times_ns > 0) & (chunk.times_ns <= end)
        return float(np.abs(path - chunk.positions)[inside].max(initial=0.0))
    curve = hermite(chunk.times_ns / S, [chunk.positions, chunk.velocities])
    at = np.clip(np.searchsorted(chunk.times_ns, stamps[inside], side="right") - 1, 0, len(chunk.times_ns) - 2)
    local = (stamps[inside] - chunk.times_ns[at]) / S
    return float(np.abs(evaluate(curve[:, at], local[:, None]) - q[inside]).max(initial=0.0))


def refused(embodiment: str, number: int) -> list[str]:
    """What was changed of two chunks: one from rest, one that joins it."""
    rng = np.random.default_rng((number, EMBODIMENTS.index(embodiment)))
    world = World(embodiment)
    assert world.arm()[0]
    sent = feasible(rng, world, velocities=rng.random() < 0.6)
    found = []

    def give(chunk: JointTrajectory, what: str) -> None:
        verdict = world.candidate(chunk).verdict
        assert verdict is not None
        if verdict.response.value != "accept":
            found.append(f"{embodiment} {number} {what}: {verdict.summary}")

    def look(chunk: JointTrajectory, what: str) -> None:
        # Where the points have no velocities, the stream is read between two cycles.
        bound = 2e-6 if chunk.velocities is not None else 1e-5
        if not found and (off := strayed(world, chunk, world.now)) > bound:
            found.append(f"{embodiment} {number} {what}: executed {off:.2e} off")

    give(sent, f"from rest, {KINDS[sent.velocities is None]}")
    world.run(min(float(rng.uniform(0.05, 0.8)), 0.7 * sent.times_ns[-1] / S))
    look(sent, "from rest")
    kind = KINDS[rng.integers(3)]
    if world.now - sent.stamp_ns > 0.45 * S:  # by default a chunk is too old after 0.5 s
        kind = KINDS[rng.integers(2)]
    joining = sent if kind == KINDS[2] else feasible(rng, world, velocities=kind == KINDS[0])
    give(joining, f"joining, {kind}")
    world.run(0.9)
    look(joining, f"joining, {kind}")
    return found + [f"{embodiment} {number}: {fault}" for fault in faults_of(world)]


@pytest.mark.parametrize("embodiment", EMBODIMENTS)
def test_feasible_chunks_are_accepted_unchanged(embodiment: str) -> None:
    found = [line for number in range(CHUNKS // 2) for line in refused(embodiment, number)]
    assert not found, f"{len(found)} of {CHUNKS}:\n" + "\n".join(found[:30])


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("embodiment", EMBODIMENTS)
def test_many_feasible_chunks_are_accepted_unchanged(embodiment: str) -> None:
    found, number, done = [], CHUNKS, 0
    while done < NIGHTLY // 2:
        try:
            found += refused(embodiment, number)
            done += 1
        except NothingFeasibleError:
            assert number - CHUNKS - done < NIGHTLY // 50, "hardly any draw is feasible"
        number += 1
    assert not found, f"{len(found)} of {NIGHTLY}:\n" + "\n".join(found[:60])
