"""Faults in the live chain: the node lives, the arm holds, the reason is on /diagnostics in one line.

A simulated robot (physics only), the predictor and an armed guard as separate processes; the test feeds the cameras
and relays the joint states, so that it can spoil both.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from live import Cameras, JointRelay, Watcher, processes
from machine import slowness
from plugin import announce
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from cosmos_ros.bringup.arguments import predict_arguments as arguments
from cosmos_ros.bringup.arguments import resolve
from cosmos_ros.bringup.graph import NodeSpec, predict_nodes
from cosmos_ros.bringup.processes import ProcessGroup
from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.nodes import qos

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

# A third-party model, found by its entry point: it moves a joint, and fails when the instruction asks for it.
FAULTY = '''
"""A sway with faults on demand."""
import time
from pathlib import Path
import numpy as np
from cosmos_ros.types import Mode, Rollout
from cosmos_ros.world_models import ModelBackend, Capabilities, NoOptions


class Faulty:
    name = "faulty"

    def __init__(self, options):
        pass

    capabilities = Capabilities(
        modes=frozenset({Mode.POLICY}), needs_observation=True, returns_frames=False, takes_instruction=False
    )

    def load(self):
        pass

    def close(self):
        pass

    def predict(self, request):
        told = request.instruction
        if told == "raise":
            raise RuntimeError("the weights caught fire")
        while told == "hang" and Path(__file__).with_name("hangs").exists():
            time.sleep(0.01)
        # A slow sway: half the training range of the first translation, back and forth.
        actions = np.zeros((request.chunk_size, request.action_dim), dtype=np.float32)
        deltas = np.zeros((request.chunk_size, 10))
        deltas[:, 3] = deltas[:, 7] = 1.0
        deltas[:, 9] = 1.0
        phase = request.observation.stamp_ns * 1e-9
        deltas[:, 0] = 0.004 * np.sin(2.0 * (phase + np.arange(1, request.chunk_size + 1) / request.fps))
        low = np.array([-.0142, -.013416, -.015206, .998459, -.047659, -.034774, -.047609, .998428, -.035553, 0])
        high = np.array([.014515, .011517, .01452, 1, .047596, .03466, .047654, 1, .038888, 1])
        actions = (2.0 * (deltas - low) / (high - low) - 1.0).astype(np.float32)
        if told == "nan":
            actions[3, 1] = np.nan
        if told == "shape":
            actions = actions[:, :7]
        return Rollout(frames=None, actions=actions)


BACKEND = ModelBackend(
    name="faulty",
    summary="fails as it is told",
    options=NoOptions,
    capabilities=lambda _: Faulty.capabilities,
    implementation=Faulty,
)
'''


class Rig:
    """Everything a fault test touches."""

    def __init__(
        self,
        watcher: Watcher,
        group: ProcessGroup,
        environment: dict[str, str],
        specs: dict[str, NodeSpec],
        hangs: Path,
    ) -> None:
        self.watcher, self.group, self.environment, self.specs = watcher, group, environment, specs
        self.hangs = hangs  # while this file is there, a model that was told to hang does
        self.cameras = Cameras(watcher, load_embodiment("franka").views)
        self.joints = JointRelay(watcher)
        self.instruction = watcher.node.create_publisher(String, "instruction", qos.reliable())
        for topic in ("guard/verdict_json", "predictor/provenance"):
            watcher.listen(String, topic)
        watcher.listen(JointTrajectory, "joint_trajectory")

    def tell(self, text: str) -> None:
        self.instruction.publish(String(data=text))

    def start(self, name: str) -> None:
        self.group.start_nodes([self.specs[name]], {}, self.environment)

    def arm(self) -> None:
        self.watcher.call_until_success("guard/arm", 40.0)

    def moving(self) -> None:
        """Wait until the arm really moves."""
        self.watcher.wait(lambda: self.joints.received and self.joints.speed() > 0.01, "the arm to move")

    def holds(self) -> None:
        """Wait until the arm is at rest, and stays so for a second of its own time."""

        def at_rest() -> bool:
            recent = self.joints.received[-100:]
            return len(recent) == 100 and all(np.max(np.abs(m.velocity)) < 2e-3 for m in recent)

        self.watcher.wait(at_rest, "the arm to hold", 15.0)

    def alive(self) -> None:
        assert self.group.ended() == {}

    def inside_limits(self) -> None:
        """Every state the simulator ever reported is inside the limits."""
        limits = load_embodiment("franka").limits.joints
        for message in self.joints.received:
            for name, position, velocity in zip(message.name, message.position, message.velocity, strict=True):
                limit = limits[name]
                assert limit.lower - 1e-3 <= position <= limit.upper + 1e-3, name
                assert abs(velocity) <= limit.velocity + 1e-2, name


@pytest.fixture(scope="module")
def rig(tmp_path_factory) -> Iterator[Rig]:
    plugin = tmp_path_factory.mktemp("plugin")
    (plugin / "faulty_model.py").write_text(textwrap.dedent(FAULTY))
    announce(plugin, "faulty-model", faulty="faulty_model:BACKEND")
    with processes(sim_time=True) as (watcher, group, environment, lines):
        environment["PYTHONPATH"] = f"{plugin}:{environment['PYTHONPATH']}"
        values = resolve(arguments(), {"use_sim_time": "true"})
        specs = {spec.name: spec for spec in predict_nodes(values)}
        predictor = specs["predictor"]
        specs["predictor"] = NodeSpec(
            predictor.executable,
            predictor.module,
            predictor.name,
            predictor.config,
            {**predictor.parameters, "world_model": "faulty", "model_timeout": 1.0, "prediction_rate": 4.0},
        )
        specs["sim_robot"] = NodeSpec(
            "sim_robot",
            "cosmos_ros.nodes.sim_robot",
            "sim_robot",
            "sim_robot.yaml",
            # It makes the time, as slow as the machine: what the nodes gate by time is as wide as on an idle one.
            {"cameras": "", "publish_clock": True, "real_time_factor": 1.0 / slowness()},
            (("joint_states", "sim/joint_states"),),
        )
        rig = Rig(watcher, group, environment, specs, plugin / "hangs")
        for name in ("sim_robot", "predictor", "guard"):
            rig.start(name)
        try:
            rig.arm()
            rig.moving()
            yield rig
        finally:
            print("\n".join(lines[-60:]))
            print("rejected:", *[v["summary"] for v in watcher.json("guard/verdict_json") if v["response"] == "reject"])


@pytest.fixture
def chain(rig: Rig) -> Iterator[Rig]:
    """The running chain; whatever a test spoilt is mended afterwards and the arm moves again."""
    yield rig
    rig.tell("")
    rig.hangs.unlink(missing_ok=True)
    rig.cameras.stopped.clear()
    rig.cameras.spoil = None
    rig.joints.stopped, rig.joints.spoil = False, None
    rig.watcher.wait_diagnostic("predictor: inputs", "fresh")
    rig.watcher.call("guard/reset")
    rig.arm()
    rig.moving()
    rig.alive()
    rig.inside_limits()


def test_a_camera_stops(chain: Rig):
    chain.cameras.stopped.add("exterior_1")
    line = chain.watcher.wait_diagnostic("predictor: inputs", "holding: camera exterior_1")
    assert "\n" not in line
    chain.holds()
    chain.alive()


def test_joint_states_stop(chain: Rig):
    chain.joints.stopped = True
    chain.watcher.wait_diagnostic("predictor: inputs", "holding: joint_states")
    chain.watcher.wait_diagnostic("guard: joint states", "")
    chain.holds()
    chain.alive()


def test_joints_in_another_order_make_no_difference(chain: Rig):
    def shuffle(message):
        order = np.random.default_rng(7).permutation(len(message.name))
        message.name = [message.name[i] for i in order]
        message.position = [message.position[i] for i in order]
        message.velocity = [message.velocity[i] for i in order]
        message.effort = []
        return message

    chain.joints.spoil = shuffle
    before = len(chain.watcher.messages["guard/verdict_json"])

    def four_in_a_row() -> bool:
        new = chain.watcher.json("guard/verdict_json")[before:]
        return len(new) >= 6 and all(v["response"] != "reject" for v in new[-4:])

    # In the wrong order every candidate would begin far from the arm; one that came late may be refused.
    chain.watcher.wait(four_in_a_row, "four candidates in a row that are not refused")
    chain.moving()


def test_nan_in_a_joint(chain: Rig):
    def spoil(message):
        message.position[3] = float("nan")
        return message

    chain.joints.spoil = spoil
    line = chain.watcher.wait_diagnostic("predictor: inputs", "panda_joint4")
    assert line.startswith("holding: ")
    chain.holds()


def test_an_impossible_image_stamp(chain: Rig):
    def spoil(message):
        message.header.stamp.nanosec = 4_000_000_000
        return message

    chain.cameras.spoil = spoil
    chain.watcher.wait_diagnostic("predictor: inputs", "nanosec")
    chain.holds()


def test_half_an_image(chain: Rig):
    def spoil(message):
        message.data = message.data[: len(message.data) // 2]
        return message

    chain.cameras.spoil = spoil
    chain.watcher.wait_diagnostic("predictor: inputs", "holding: camera")
    chain.holds()


def test_a_wrong_encoding(chain: Rig):
    def spoil(message):
        message.encoding = "rgb9"
        return message

    chain.cameras.spoil = spoil
    chain.watcher.wait_diagnostic("predictor: inputs", "rgb9")
    chain.holds()


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        ("raise", "holding: ModelError: world_model faulty: RuntimeError: the weights caught fire"),
        ("nan", "holding: ModelError: world_model faulty: actions[3, 1] is nan"),
        ("shape", "holding: ModelError: world_model faulty: actions have shape [16, 7], expected [16, 10]"),
        ("hang", "holding: no answer from the world model for over 1 s"),
    ],
)
def test_a_failing_model(chain: Rig, instruction: str, reason: str):
    chain.hangs.touch()
    chain.tell(instruction)
    chain.watcher.wait_diagnostic("predictor: prediction", reason)
    chain.holds()
    chain.alive()


@pytest.mark.parametrize(
    ("since", "reason"), [("told", "an answer to an earlier instruction"), ("reset", "an answer from before the reset")]
)
def test_an_answer_that_nobody_waits_for_any_more_is_dropped(chain: Rig, since: str, reason: str):
    """The question was put before a new instruction, or a reset; the answer moves nothing."""
    chain.hangs.touch()
    chain.tell("hang")
    chain.watcher.wait_diagnostic("predictor: prediction", "no answer from the world model")
    chain.holds()
    heard = len(chain.watcher.messages["predictor/provenance"])
    if since == "told":
        chain.tell("go on")
    else:
        assert chain.watcher.call("predictor/reset").success
    chain.hangs.unlink()
    chain.watcher.wait(
        lambda: any(reason in line for _, _, line in chain.watcher.diagnostic_log), f"a line about {reason}"
    )
    chain.watcher.wait(lambda: len(chain.watcher.messages["predictor/provenance"]) > heard, "the next prediction")
    told = [record["prompt"] for record in chain.watcher.json("predictor/provenance")[heard:]]
    assert since == "reset" or not any("hang" in prompt for prompt in told)
    chain.alive()


def test_the_predictor_is_killed(rig: Rig):
    rig.moving()
    rig.group.kill("predictor")
    rig.holds()
    rig.start("predictor")
    rig.watcher.wait_diagnostic("predictor: prediction", "predicting")
    rig.watcher.call("guard/reset")
    rig.arm()
    rig.moving()
    rig.inside_limits()


def test_the_guard_is_killed(rig: Rig):
    rig.moving()
    rig.group.kill("guard")
    rig.holds()
    before = len(rig.watcher.messages["joint_trajectory"])
    rig.watcher.wait_new("predictor/provenance", 3)
    # Candidates go on, and nothing reaches the controller.
    assert len(rig.watcher.messages["joint_trajectory"]) == before
    rig.start("guard")
    rig.arm()
    rig.moving()
    rig.inside_limits()
