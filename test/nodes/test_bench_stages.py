from __future__ import annotations

import pytest

from cosmos_ros.bench.chain_samples import ChainSamples, stages_of

MS = 1_000_000
T0 = 10**18


def test_stages_add_up_to_the_whole_without_the_model():
    laps = {"wait": 1.5, "images": 4.0, "request": 1.0, "model": 7.0, "decode": 0.5, "kinematics": 2.0, "total": 10.75}
    record = {"received_ns": T0, "joined_ns": T0 + 17 * MS, "published_ns": T0 + 18 * MS, "latencies_ms": laps}
    verdict = {"context": {"now_ns": T0 + 19 * MS}, "published_ns": T0 + 22 * MS}
    stages = stages_of(record, verdict)
    assert min(stages.values()) > 0.0
    assert sum(stages.values()) == pytest.approx(22.0 - laps["model"])
    assert stages["executor picks up"] == pytest.approx(17.0 - 1.5 - 4.0 - 10.75)
    assert stages["judge, publish"] == pytest.approx(3.0)


def test_images_that_did_not_arrive_are_lost():
    samples = ChainSamples(sent=100, received={"a": 100, "b": 97, "c": 99})
    assert samples.lost() == 4
