"""The model that the package ships, asked about scenes of the simulator that no training saw."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from cosmos_ros.prediction.bound_model import ask
from cosmos_ros.se3 import matrix_from_pose9d
from cosmos_ros.sim.rendering import CAN_RENDER
from cosmos_ros.types import Mode
from cosmos_ros.world_models import create_world_model
from cosmos_ros.world_models.compact.manifest import check_files, read_manifest, shipped_folder

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
from training.generate import SMALLEST_MEASURED, DataOptions, make_shard
from training.lockstep import robot_of
from training.questions import Asker
from training.robots import EYES

LARGEST_MODEL = 16_000_000
EPISODES = 6
ROBOTS = tuple(read_manifest(shipped_folder()).robots)
pytestmark = pytest.mark.skipif(not CAN_RENDER, reason="no off-screen OpenGL")


@pytest.fixture(scope="module", params=ROBOTS)
def asked(request):
    """The model of a robot, and what its cameras see at the start of some tasks of reaching."""
    name = request.param
    options = DataOptions(
        embodiment=name, verbs=("reach",), episodes=EPISODES, first_seed=SMALLEST_MEASURED, width=EYES[name].canvas,
        longest=2.0, clean=1.0,
    )  # fmt: skip
    model = create_world_model("compact", embodiment=name)
    model.load()
    yield model, Asker(name, make_shard(options, 0, measuring=True))
    model.close()


def first_rows(asker):
    return [int(start) + 1 for start in asker.shard["episode_start"]]


def motion_of(model, asker, row, **changes):
    """Return where the grasp point is and its motion over a chunk, m."""
    rollout = ask(model, replace(asker.request(row, Mode.POLICY), **changes))
    robot = robot_of(asker.name)
    hand = next(iter(robot.hands.values()))
    links = [block.link for block in robot.embodiment.layout.poses]
    poses = dict(zip(links, matrix_from_pose9d(asker.shard["tools"][row].astype(np.float64)), strict=True))
    chunk = robot.embodiment.decode_actions(rollout.actions.astype(np.float64), poses)
    start = (poses[hand.link] @ hand.grasp)[:3, 3]
    return start, (chunk.poses[hand.link][-1] @ hand.grasp)[:3, 3] - start


def test_its_files_are_whole_and_small() -> None:
    folder = shipped_folder()
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= LARGEST_MODEL
    assert {path.name for path in folder.iterdir()} == {*manifest.files, "manifest.json", "MODEL_CARD.md"}
    assert manifest.revision in (folder / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_it_moves_towards_the_thing_that_is_named(asked) -> None:
    model, asker = asked
    towards = []
    for row in first_rows(asker):
        start, motion = motion_of(model, asker, row)
        wanted = asker.shard["item"][row] - start
        towards.append(float(wanted @ motion / np.linalg.norm(wanted) / np.linalg.norm(motion)))
        assert np.linalg.norm(motion) > 0.03
    assert sum(cosine > 0.9 for cosine in towards) >= EPISODES - 1, towards


def test_its_frames_are_nearer_to_what_came_than_the_first_frame(asked) -> None:
    model, asker = asked
    nearer = 0
    for row in first_rows(asker):
        steps = asker.embodiment.chunk_size
        if row + steps not in asker.rows(0, 1):
            continue
        rollout = model.predict(asker.request(row, Mode.FORWARD_DYNAMICS, actions=asker.executed(row)))
        height, width = rollout.frames.shape[1:3]
        first, last = (
            cv2.resize(asker.shard["canvas"][n], (width, height), interpolation=cv2.INTER_AREA).astype(np.float64)
            for n in (row, row + steps)
        )
        nearer += bool(np.square(rollout.frames[-1] - last).mean() < np.square(first - last).mean())
    assert nearer >= EPISODES - 1


def test_it_goes_elsewhere_for_another_thing(asked) -> None:
    model, asker = asked
    row = first_rows(asker)[0]
    others = ("reach the red cube", "reach the blue cylinder", "reach the yellow block")
    ends = [motion_of(model, asker, row, instruction=text)[1] for text in others]
    assert max(np.linalg.norm(a - b) for a in ends for b in ends) > 0.005
