from __future__ import annotations

import numpy as np

from cosmos_ros.observation.lost_images import LostImageDetector

PERIOD = 33_333_333
LARGE = 1280 * 720 * 3


def feed(lost: set[int], *, infos: bool, count: int = 60, jitter: int = 0, size: int = LARGE) -> LostImageDetector:
    detector = LostImageDetector()
    rng = np.random.default_rng(0)
    for k in range(count):
        stamp = 10**12 + k * PERIOD + int(rng.integers(-jitter, jitter + 1))
        if infos:
            detector.camera_info(stamp, size)
        if k not in lost:
            detector.image(stamp, size)
    return detector


def test_a_whole_stream_is_silent() -> None:
    for infos in (True, False):
        detector = feed(set(), infos=infos, jitter=3_000_000)
        assert detector.loss().share < 0.02
        assert detector.explain("/cam") == ""


def test_losses_are_counted_by_camera_info() -> None:
    lost = set(range(0, 60, 3))
    loss = feed(lost, infos=True).loss()
    assert (loss.received, loss.expected) == (39, 59)


def test_total_silence_is_known_from_camera_info_alone() -> None:
    detector = feed(set(range(60)), infos=True)
    assert detector.loss().share == 1.0
    line = detector.explain("/cam/image_raw")
    assert line.startswith("/cam/image_raw: 59 of the last 59 images were lost")
    assert "512 KiB" in line and "2700 KiB" in line and "fastdds.xml" in line and "\n" not in line


def test_holes_in_the_stamps_give_losses_away_without_camera_info() -> None:
    rng = np.random.default_rng(5)
    lost = {k for k in range(1, 59) if rng.random() < 0.6}
    loss = feed(lost, infos=False, jitter=2_000_000).loss()
    assert abs(loss.share - len(lost) / 60) < 0.06


def test_the_cause_depends_on_size_and_qos() -> None:
    lost = set(range(0, 60, 2))
    assert "too slow" in feed(lost, infos=True, size=60_000).explain("/cam")
    assert "too slow" in feed(lost, infos=True).explain("/cam", best_effort=False)
    assert "512 KiB" in feed(lost, infos=True).explain("/cam", best_effort=True)


def test_too_little_to_tell_and_a_looping_bag() -> None:
    detector = feed(set(), infos=False, count=5)
    assert detector.loss() is None and detector.explain("/cam") == ""
    detector = feed(set(), infos=True)
    detector.image(10**12, LARGE)
    assert detector.loss() is None
