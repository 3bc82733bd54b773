"""The guard keeps an eye on the age of the cameras that it has heard."""

from __future__ import annotations

import numpy as np
import pytest
from guard_support import HOME, NOW, PANDA, joint_guard, reach

from cosmos_ros.guard.supervision.camera_ages import Cameras
from cosmos_ros.guard.supervision.other_publishers import OtherPublishers
from cosmos_ros.guard.supervision.supervisor import Supervisor
from cosmos_ros.guard.supervision.supervisor_states import State, SupervisorSettings, without_numbers
from cosmos_ros.observation.camera_topics import camera_info_topic
from cosmos_ros.trajectory.splice import motion_at
from cosmos_ros.types import JointState

MS = 1_000_000


def watching(*, max_camera_age: float = 0.2) -> Supervisor:
    """A supervisor that could be armed at NOW and has heard one of its two cameras."""
    config = SupervisorSettings(max_camera_age=max_camera_age)
    one = Supervisor(joint_guard(), config, cameras=("wrist", "left"))
    one.on_joint_state(JointState(NOW, PANDA, HOME, np.zeros(7)), NOW)
    one.on_graph({"joint_trajectory": []}, {"joint_trajectory": 1}, NOW)
    one.on_camera("wrist", NOW, NOW)
    return one


def test_a_camera_that_was_never_heard_is_not_watched() -> None:
    one = watching()
    assert one.cameras.unheard() == ("left",)
    assert one.arm(NOW)[0]
    one.on_camera("left", NOW, NOW)
    assert one.cameras.unheard() == ()


def test_an_old_camera_refuses_arming_and_candidates() -> None:
    one = watching()
    later = NOW + 300 * MS
    one.on_joint_state(JointState(later, PANDA, HOME, np.zeros(7)), later)
    assert one.arm(later) == (False, "not armed: camera wrist too old: 0.30 s")
    assert "…" in without_numbers(one.refusal(later))
    said = one.on_candidate(reach(0.1, stamp_ns=later), later).verdict
    assert said is not None and said.first.limit == "stale_camera" and said.first.value == pytest.approx(0.3)
    one.on_camera("wrist", later, later)
    assert one.arm(later)[0] and one.on_candidate(reach(0.1, stamp_ns=later), later).send is not None


def test_a_camera_that_freezes_brakes_the_motion() -> None:
    one = watching()
    assert one.arm(NOW)[0]
    sent = one.on_candidate(reach(0.4), NOW).send
    assert sent is not None
    now = NOW + 250 * MS
    at = motion_at(sent, now)
    one.on_joint_state(JointState(now, PANDA, at.positions, at.velocities), now)
    output = one.tick(now)
    assert output.event == "camera wrist too old: 0.25 s: braking" and output.send is not None
    assert not output.send.velocities[-1].any() and one.state is State.ARMED


def test_overtaken_stamps_change_nothing_and_a_clock_jump_voids_all() -> None:
    cameras = Cameras(("wrist",))
    cameras.heard("wrist", NOW)
    cameras.heard("wrist", NOW - 500 * MS)
    assert cameras.stale(NOW + 100 * MS, 0.2) is None
    assert cameras.stale(NOW + 300 * MS, 0.0) is None  # not watched
    cameras.heard("left", NOW - 100 * MS)
    stale = cameras.stale(NOW + 300 * MS, 0.2)
    assert stale is not None and "left" in stale.message  # the oldest is named
    one = watching()
    one.tick(NOW - 10_000 * MS)
    assert one.cameras.unheard() == ("wrist", "left")


def test_neighbours() -> None:
    around = OtherPublishers()
    assert "looked at" in around.refusal(require_controllers=True)
    around.look({"a": [], "b": ["/x", "/y"]}, {"a": 1, "b": 0})
    assert around.publishing == "/x, /y also publishes on b"
    assert around.refusal(require_controllers=False) == around.publishing
    around.look({}, {"a": 1, "b": 0})
    assert around.publishing == "" and around.refusal(require_controllers=True) == "no controller listens on b"
    assert around.refusal(require_controllers=False) == ""


@pytest.mark.parametrize(
    ("topic", "info"),
    [
        ("wrist/image_raw", "wrist/camera_info"),
        ("/cell/wrist/image_rect", "/cell/wrist/camera_info"),
        ("image_raw", "camera_info"),
    ],
)
def test_camera_info_lies_beside_the_images(topic: str, info: str) -> None:
    assert camera_info_topic(topic) == info
