"""One bag, played into the live nodes and walked offline: the same observations and chunks."""

from __future__ import annotations

import pytest
from parity_bag import SECONDS, TIMING, Played

from cosmos_ros.prediction.pipeline import Prediction

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def essence(record: dict) -> dict:
    """What must be equal: inputs by stamp, and every digest of the canvas, frames and actions."""
    keys = ("stamp_ns", "image_stamps_ns", "joint_stamp_ns", "prompt", "seed", "digests", "config_hash")
    return {key: record[key] for key in keys}


def test_a_played_bag_gives_what_an_offline_walk_gives(played: Played):
    assert all(isinstance(p, Prediction) for p in played.offline)
    offline = {p.stamp_ns: essence(p.provenance) for p in played.offline}
    assert len(offline) >= round(SECONDS * TIMING.prediction_rate) - 2
    live = {record["stamp_ns"]: essence(record) for record in played.provenance}
    assert list(live) == list(offline)
    assert live == offline
    assert len(played.verdicts) >= len(offline) - 1
    assert all(not verdict["armed"] for verdict in played.verdicts)
