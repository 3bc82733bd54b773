"""The services of the two dynamics modes, on a predictor with live cameras."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from live import SlowClock, Watcher, processes
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory, MultiDOFJointTrajectory

from cosmos_ros.bringup.processes import write_parameters
from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.messages import decode_compressed, joint_trajectory_message
from cosmos_ros.nodes import qos
from cosmos_ros.types import JointTrajectory as Trajectory

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def watcher() -> Iterator[Watcher]:
    # Cameras that stutter on a busy machine would leave holes in the frames that a motion is inferred from.
    with processes() as (watcher, group, environment, lines):
        SlowClock(watcher)
        load = {"image_rate": 15.0, "width": 320, "height": 180}
        for name, module, parameters in (
            ("predictor", "cosmos_ros.nodes.predictor", {"world_model": "persistence"}),
            ("load", "cosmos_ros.bench.load", load),
        ):
            path = write_parameters({**parameters, "use_sim_time": True}, group.folder, name)
            group.start(name, [sys.executable, "-m", module, "--ros-args", "--params-file", str(path)], environment)
        watcher.listen(String, "predictor/provenance")
        watcher.listen(CompressedImage, "predictor/next_state/image/compressed", qos.reliable(40))
        watcher.listen(MultiDOFJointTrajectory, "predictor/inferred_poses", qos.latched())
        try:
            watcher.wait_new("predictor/provenance", 4)  # more than a chunk's time of frames is held
            yield watcher
        finally:
            print("\n".join(lines[-30:]))


def test_next_states_of_a_motion_are_published(watcher: Watcher):
    refused = watcher.call("predictor/predict_next_state")
    assert not refused.success
    assert "no motion to imagine" in refused.message

    embodiment = load_embodiment("franka")
    home = np.array([embodiment.home[name] for name in embodiment.joint_names])
    step = np.zeros((2, len(home)))
    step[1, 0] = 0.1
    motion = Trajectory(embodiment.joint_names, 0, np.array([0, 800_000_000]), home + step, np.zeros_like(step))
    publisher = watcher.node.create_publisher(JointTrajectory, "predictor/query_trajectory", qos.latched())
    publisher.publish(joint_trajectory_message(motion))
    facts = json.loads(watcher.call_until_success("predictor/predict_next_state").message)
    assert facts["mode"] == "forward_dynamics"
    assert facts["rows"] == 12
    topic = "predictor/next_state/image/compressed"
    watcher.wait(lambda: len(watcher.messages[topic]) >= 13, "thirteen frames")
    stamps = [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in watcher.messages[topic][:13]]
    np.testing.assert_allclose(np.diff(stamps), 1e9 / 15.0, atol=1.0)
    assert decode_compressed(watcher.messages[topic][0]).shape == (270, 320, 3)
    told = []

    def was_told() -> bool:
        told[:] = [record for record in watcher.json("predictor/provenance") if record["mode"] == "forward_dynamics"]
        return bool(told)

    watcher.wait(was_told, "the provenance of what was imagined")
    assert told[-1]["digests"]["frames"]
    assert told[-1]["image_stamps_ns"]


def test_the_motion_in_the_last_frames_is_inferred(watcher: Watcher):
    facts = json.loads(watcher.call_until_success("predictor/infer_action").message)
    assert facts["mode"] == "inverse_dynamics"
    assert facts["rows"] == 16
    watcher.wait(
        lambda: "inverse_dynamics" in {record["mode"] for record in watcher.json("predictor/provenance")},
        "the provenance of what was inferred",
    )
    watcher.wait(lambda: watcher.messages["predictor/inferred_poses"], "the inferred poses")
    poses = watcher.messages["predictor/inferred_poses"][0]
    assert len(poses.points) in (16, 17)
    # Persistence says that nothing moves, and says so of the pose the robot is in.
    places = np.array([[p.transforms[0].translation.x, p.transforms[0].translation.z] for p in poses.points])
    assert np.ptp(places, axis=0).max() < 1e-6
    assert places[0, 0] > 0.2
    watcher.wait_new("predictor/provenance", 2)  # predictions go on
