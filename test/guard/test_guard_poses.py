"""Trajectories of tool poses: speeds, rotations, places and grippers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cosmos_ros.guard import Box, GuardConfig, Surroundings
from cosmos_ros.guard.poses import PoseLimits, check_poses
from cosmos_ros.limits import CartesianLimits
from cosmos_ros.types import ActionChunk

TOOL = "tool"


def chunk(points: np.ndarray, *, turns: np.ndarray | None = None, dt: float = 0.1) -> ActionChunk:
    """A path through points, the first the start, turning about z."""
    points = np.asarray(points, dtype=float)
    poses = np.tile(np.eye(4), (len(points), 1, 1))
    poses[:, :3, 3] = points
    if turns is not None:
        poses[:, :3, :3] = Rotation.from_euler("z", turns[:, None]).as_matrix()
    times = np.round(dt * 1e9 * np.arange(1, len(points))).astype(np.int64)
    return ActionChunk(0, times, {TOOL: poses[0]}, {TOOL: poses[1:]}, {"g": np.full(len(points) - 1, 0.5)})


LIMITS = PoseLimits((CartesianLimits(TOOL, 0.25, 0.6, 2.0),), {"g": 2.0})
LINE = np.linspace([0.3, 0.0, 0.4], [0.36, 0.0, 0.4], 7)


def kinds(one: ActionChunk, limits: PoseLimits = LIMITS, **settings: object) -> list[tuple[str, int | None]]:
    return [(v.limit, v.step) for v in check_poses(one, limits, GuardConfig(**settings))]


def test_a_calm_path_is_accepted() -> None:
    assert not kinds(chunk(LINE, turns=np.linspace(0.0, 0.2, 7)))
    assert not kinds(chunk(LINE[:2]))


def test_structure_and_numbers() -> None:
    good = chunk(LINE)
    assert kinds(replace(good, poses={})) == [("structure", None)]
    assert kinds(replace(good, start_poses={})) == [("structure", None)]
    assert kinds(replace(good, poses={TOOL: good.poses[TOOL][:-1]})) == [("lengths", None)]
    assert kinds(replace(good, grippers={"g": np.zeros(3)})) == [("lengths", None)]
    assert kinds(replace(good, grippers={"g": np.array([0.1, np.nan, 0, 0, 0, 0])})) == [("nonfinite", 1)]
    for spoil, expected in ((np.nan, "nonfinite"), (2.0, "structure")):
        poses = good.poses[TOOL].copy()
        poses[2, 0, 0] = spoil
        assert kinds(replace(good, poses={TOOL: poses})) == [(expected, 2)]
    mirrored = good.poses[TOOL].copy()
    mirrored[4, :3, :3] = np.diag([1.0, 1.0, -1.0])
    assert kinds(replace(good, poses={TOOL: mirrored})) == [("structure", 4)]
    skewed = {TOOL: good.start_poses[TOOL] * np.array([1, 1, 1, 2.0])}
    assert kinds(replace(good, start_poses=skewed))[0][0] == "structure"
    times = good.times_ns.copy()
    times[3] = times[2]
    assert kinds(replace(good, times_ns=times)) == [("timing", 3)]


def test_speeds_and_accelerations() -> None:
    jump = LINE.copy()
    jump[4:, 1] += 0.05
    found = check_poses(chunk(jump), LIMITS, GuardConfig())
    assert [v.limit for v in found] == ["cartesian_acceleration", "cartesian_speed"] or found[0].time <= found[1].time
    speed = next(v for v in found if v.limit == "cartesian_speed")
    assert speed.step == 3 and speed.time == pytest.approx(0.3) and speed.joint == TOOL
    assert speed.value == pytest.approx(np.hypot(0.5, 0.1))
    acceleration = next(v for v in found if v.limit == "cartesian_acceleration")
    assert acceleration.value == pytest.approx(0.5 / 0.1)
    turns = np.array([0.0, 0.0, 0.0, 0.1, 0.1, 0.1, 0.1])
    assert kinds(chunk(LINE, turns=turns)) == [("rotational_speed", 2)]
    assert not kinds(chunk(LINE, turns=turns), checks=frozenset())
    assert kinds(chunk(LINE), cartesian_scale=0.3) == [("cartesian_speed", 0)]
    assert not kinds(chunk(jump), PoseLimits())


def test_places() -> None:
    around = Surroundings(
        workspace=Box((0.0, -1.0, 0.0), (0.345, 1.0, 1.0)),
        keep_out=(Box((5.0, 5.0, 5.0), (6.0, 6.0, 6.0)), Box((0.325, -0.001, 0.3), (0.327, 0.001, 0.5))),
        minimum_z=0.39,
    )
    found = check_poses(chunk(LINE), PoseLimits(), GuardConfig(surroundings=around))
    assert [(v.limit, v.step) for v in found] == [("keep_out", 2), ("workspace", 4)]
    assert found[0].time == pytest.approx(0.25) and "box 1" in found[0].message  # between two poses
    down = LINE - np.outer(np.arange(7), [0.0, 0.0, 0.004])
    found = check_poses(chunk(down), PoseLimits(), GuardConfig(surroundings=Surroundings(minimum_z=0.39)))
    assert [(v.limit, v.step, v.bound) for v in found] == [("plane", 2, 0.39)]
    earlier = check_poses(
        chunk(down), PoseLimits(), GuardConfig(surroundings=Surroundings(minimum_z=0.39), workspace_margin=0.005)
    )
    assert earlier[0].step == 1
    beside = Surroundings(keep_out=(Box((0.32, 0.1, 0.3), (0.33, 0.2, 0.5)),))
    assert not check_poses(chunk(LINE), PoseLimits(), GuardConfig(surroundings=beside))
    behind = Surroundings(keep_out=(Box((0.1, -0.1, 0.3), (0.2, 0.1, 0.5)), Box((0.7, -0.1, 0.3), (0.8, 0.1, 0.5))))
    assert not check_poses(chunk(LINE), PoseLimits(), GuardConfig(surroundings=behind))


def test_grippers_and_duration() -> None:
    good = chunk(LINE)
    assert kinds(replace(good, grippers={"g": np.array([0.5, 0.5, 1.2, 1.1, 1.1, 1.1])}))[0] in (
        ("velocity", 2),
        ("position", 2),
    )
    assert kinds(replace(good, grippers={"g": np.array([0.1, 0.1, -0.1, 0.0, 0.0, 0.0])})) == [("position", 2)]
    assert kinds(replace(good, grippers={"g": np.array([0.1, 0.1, 0.5, 0.5, 0.5, 0.5])})) == [("velocity", 2)]
    assert ("duration", None) in kinds(chunk(LINE, dt=3.0))
