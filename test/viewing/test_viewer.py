"""The parts of the Rerun viewer that need no Rerun: playback, markers as shapes, and what is said without it."""

from __future__ import annotations

import importlib.util
import json
from types import SimpleNamespace as Box

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_ros.bringup.arguments import resolve
from cosmos_ros.bringup.graph import BRINGUPS
from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.viewing.frame_playback import Playback
from cosmos_ros.viewing.marker_shapes import marker_shapes
from cosmos_ros.viewing.verdict_reader import parse_verdict


def test_a_rollout_is_played_to_its_end_and_then_the_newest_one():
    playback: Playback[str] = Playback()
    for start, name in ((0, "a"), (2, "b"), (4, "c")):
        for step in range(5):
            playback.add(10 * (start + step), f"{name}{step}")
        if name == "a":
            assert playback.due(0) == (0, "a0")
    assert playback.due(0) is None
    assert playback.due(25) == (20, "a2")
    assert playback.due(40) == (40, "a4")
    # b came and went while a was played: what is shown next is c, from the moment that it is now.
    assert playback.due(55) == (50, "c1")
    assert playback.due(200) == (80, "c4")
    assert playback.due(300) is None


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 8)), max_size=12), st.lists(st.integers(0, 80), max_size=40)
)
def test_no_frame_is_shown_before_its_moment_or_twice(rollouts, times):
    playback: Playback[tuple[int, int]] = Playback()
    shown, stamps = [], []
    rollouts, times = sorted(rollouts), sorted(times)
    for number, now in enumerate(times):
        if number < len(rollouts):
            start, length = rollouts[number]
            for step in range(length):
                playback.add(start + step, (number, step))
        due = playback.due(now)
        if due is not None:
            assert due[0] <= now
            assert not stamps or due[0] > stamps[-1]
            stamps.append(due[0])
            shown.append(due[1])
    assert len(set(shown)) == len(shown)
    assert shown == sorted(shown)


def test_playback_forgets():
    playback: Playback[int] = Playback()
    playback.add(5, 1)
    playback.clear()
    assert playback.due(10) is None
    playback.add(3, 2)
    assert playback.due(10) == (3, 2)


def xyz(x, y, z):
    return Box(x=float(x), y=float(y), z=float(z))


def colour(r, g, b, a=1.0):
    return Box(r=r, g=g, b=b, a=a)


def marker(kind, ns="n", *, at=(0, 0, 0), scale=(1, 1, 1), tint=(1, 0, 0), points=(), colors=(), action=0, w=1.0):
    pose = Box(position=xyz(*at), orientation=Box(x=0.0, y=0.0, z=0.0, w=w))
    return Box(
        type=kind, ns=ns, action=action, pose=pose, scale=xyz(*scale), color=colour(*tint),
        points=[xyz(*p) for p in points], colors=list(colors),
    )  # fmt: skip


def test_markers_become_shapes_with_their_places_sizes_and_colours():
    strip = [(0, 0, 0), (1, 0, 0), (1, 1, 0)]
    tints = [colour(0, 0, 1), colour(0, 1, 0), colour(1, 0, 0, 0.5)]
    message = Box(
        markers=[
            marker(0, action=3),
            marker(1, "cube", at=(1, 2, 3), scale=(0.1, 0.2, 0.3)),
            marker(2, "dots", at=(0, 0, 1), scale=(0.02, 0.02, 0.02)),
            marker(2, "dots", at=(0, 0, 2), scale=(0.04, 0.04, 0.04)),
            marker(4, "path", at=(0, 0, 5), scale=(0.01, 0, 0), points=strip, colors=tints),
            marker(7, "balls", scale=(0.5, 0.5, 0.5), points=strip),
            marker(9, "text"),
        ]
    )
    shapes = marker_shapes(message)
    assert set(shapes.boxes) == {"cube"}
    np.testing.assert_allclose(shapes.boxes["cube"].poses[0, :3, 3], [1, 2, 3])
    np.testing.assert_allclose(shapes.boxes["cube"].sizes, [[0.1, 0.2, 0.3]])
    np.testing.assert_array_equal(shapes.boxes["cube"].colours, [[255, 0, 0, 255]])
    np.testing.assert_allclose(shapes.points["dots"].radii, [0.01, 0.02])
    np.testing.assert_allclose(shapes.lines["path"].segments, [[[0, 0, 5], [1, 0, 5]], [[1, 0, 5], [1, 1, 5]]])
    np.testing.assert_array_equal(shapes.lines["path"].colours, [[0, 255, 0, 255], [255, 0, 0, 128]])
    assert len(shapes.points["balls"].positions) == 3


@pytest.mark.parametrize("wrong", [{"at": (np.nan, 0, 0)}, {"w": np.inf}, {"w": 0.0}])
def test_a_marker_without_a_proper_pose_is_refused_by_name(wrong):
    with pytest.raises(InputError, match=r"markers\[1\]"):
        marker_shapes(Box(markers=[marker(1), marker(1, **wrong)]))


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", '{"violations": [1]}', '{"violations": 7}'])
def test_what_is_no_verdict_is_refused(text):
    with pytest.raises(InputError, match="verdict_json"):
        parse_verdict(text)


def test_a_verdict_is_read():
    assert parse_verdict(json.dumps({"response": "accept", "violations": []}))["response"] == "accept"


def test_without_rerun_the_bring_up_says_so_before_it_starts_anything(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "rerun" else found(name, *rest)
    )
    bringup = BRINGUPS["predict"]
    values = resolve(bringup.arguments(), {"viewer": "rerun"})
    with pytest.raises(ConfigError, match=r"rerun is not installed.*pip install rerun-sdk"):
        bringup.nodes(values)
