"""Services of the two dynamics modes: what would follow from a motion, and which motion was seen.

``~/predict_next_state`` imagines the motion of the last message on ``~/query_trajectory`` (or, without one, of the
trajectory being executed) from what is seen now, and publishes the frames on ``~/next_state/image``.
``~/infer_action`` looks at the frames of the last chunk's time and publishes the tool poses it infers on
``~/inferred_poses``. Both answer with JSON in ``message``.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Generator, Mapping
from typing import Any

import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory, MultiDOFJointTrajectory

from cosmos_ros.embodiment import Embodiment, RecordedStates
from cosmos_ros.errors import CapabilityError, CosmosRosError, InputError, StaleInputError
from cosmos_ros.messages import (
    action_poses_message,
    joint_state_from_message,
    joint_trajectory_from_message,
    ns_from_stamp,
)
from cosmos_ros.nodes import qos
from cosmos_ros.nodes.image_publisher import ImagePublisher
from cosmos_ros.observation.snapshot import Snapshot, decode_payload
from cosmos_ros.prediction.pipeline import Pipeline
from cosmos_ros.prediction.provenance import digest
from cosmos_ros.prediction.state_api import StateModel, StateRollout
from cosmos_ros.trajectory.piecewise import piecewise
from cosmos_ros.types import NANOSECONDS, JointState, Mode, Observation, UInt8Array
from cosmos_ros.types import JointTrajectory as TrajectoryRecord

# Messages kept of a stream at most.
_CAPACITY = 4096
_POLL_S = 0.001
# Snapshots are taken at the rate of predictions, and one may be under way: older than this, nothing is seen any more.
_MAX_AGE_NS = 10 * NANOSECONDS


class Question:
    """A job for the world model's thread; a coroutine in the executor awaits its answer."""

    def __init__(self, job: Callable[[], StateRollout]) -> None:
        self.job = job
        self._answered = threading.Event()
        self._result: StateRollout | None = None
        self._error = ""

    def answer(self, result: Any, error: str | None) -> None:
        """Pass on what became of it."""
        self._result, self._error = result, error or "no answer"
        self._answered.set()

    def __await__(self) -> Generator[None, None, StateRollout]:
        # rclpy resumes a waiting coroutine each time the executor spins: without a pause that would be a busy loop.
        while not self._answered.wait(_POLL_S):
            yield
        if self._result is None:
            raise CosmosRosError(self._error)
        return self._result


class DynamicsServices:
    """Owns the services and topics named above.

    Args:
        node: The predictor.
        pipeline: Its model, embodiment and settings.
        cameras: View → topic; views that are left out are black.
        newest: Returns the newest complete snapshot, or None.
        commanded: Returns the arm trajectory being executed, or None.
        publish: Takes each answer, for provenance and log.
    """

    def __init__(
        self,
        node: Any,
        pipeline: Pipeline,
        cameras: Mapping[str, str],
        newest: Callable[[], Snapshot | None],
        commanded: Callable[[], TrajectoryRecord | None],
        publish: Callable[[StateRollout], None],
    ) -> None:
        self._node = node
        self._publish = publish
        settings = pipeline.settings
        self._pipeline = pipeline
        self._embodiment: Embodiment = pipeline.embodiment
        self._api = StateModel(
            pipeline.world_model,
            pipeline.embodiment,
            seed=settings.seed,
            settings=settings.sampler,
            negative_prompt=settings.negative_prompt,
        )
        # A second of every camera is only worth its memory to a model that can look at it.
        self._keeps_history = Mode.INVERSE_DYNAMICS in pipeline.world_model.capabilities.modes
        self._cameras = cameras
        self._newest, self._commanded = newest, commanded
        self._waiting: deque[Question] = deque()
        self._query: TrajectoryRecord | None = None
        # Streams lag behind one another by less than the last half second.
        self._span_ns = round((self._embodiment.chunk_size + 2) * NANOSECONDS / self._embodiment.fps) + NANOSECONDS // 2
        self._images: dict[str, deque[tuple[int, Any]]] = {view: deque(maxlen=_CAPACITY) for view in cameras}
        self._joints: deque[tuple[int, Any]] = deque(maxlen=_CAPACITY)
        frames = self._embodiment.chunk_size + 1
        self._frames = ImagePublisher(node, "~/next_state/image", qos.reliable(frames))
        self._poses = node.create_publisher(MultiDOFJointTrajectory, "~/inferred_poses", qos.latched())
        self._subscription = node.create_subscription(
            JointTrajectory, "~/query_trajectory", self._on_query, qos.reliable()
        )
        # A group of their own: while one of them waits, everything else must go on.
        group = MutuallyExclusiveCallbackGroup()
        self._services = [
            node.create_service(Trigger, "~/predict_next_state", self._predict_next_state, callback_group=group),
            node.create_service(Trigger, "~/infer_action", self._infer_action, callback_group=group),
        ]

    def close(self) -> None:
        """Drop services, subscription and publishers; calls that wait are answered."""
        for question in self._waiting:
            question.answer(None, "the predictor was deactivated")
        for service in self._services:
            self._node.destroy_service(service)
        self._node.destroy_subscription(self._subscription)
        for publisher in (*self._frames.publishers, self._poses):
            self._node.destroy_publisher(publisher)

    def next_question(self) -> Question | None:
        """Return the oldest open question, or None."""
        return self._waiting.popleft() if self._waiting else None

    def keep_image(self, view: str, message: Any) -> None:
        """Keep an image for as long as a chunk lasts."""
        if self._keeps_history:
            self._keep(self._images[view], message)

    def keep_joint_state(self, message: Any) -> None:
        """Keep a joint state for as long as a chunk lasts."""
        if self._keeps_history:
            self._keep(self._joints, message)

    def _keep(self, history: deque[tuple[int, Any]], message: Any) -> None:
        try:
            stamp = ns_from_stamp(message.header.stamp, where="header.stamp")
        except InputError:
            return  # the synchroniser refuses it and says why
        if history and stamp <= history[-1][0]:
            history.clear()  # the clock went back: these belong to another time
        history.append((stamp, message))
        while history[0][0] < stamp - self._span_ns:
            history.popleft()

    def _on_query(self, message: Any) -> None:
        try:
            self._query = joint_trajectory_from_message(message, topic="~/query_trajectory")
        except InputError as error:
            self._query = None
            self._node.get_logger().warning(str(error))

    async def _predict_next_state(self, _: Any, response: Any) -> Any:
        def job() -> StateRollout:
            trajectory = self._query or self._commanded()
            if trajectory is None:
                raise InputError(
                    "there is no motion to imagine",
                    where="predict_next_state",
                    hint="Publish one on ~/query_trajectory.",
                )
            scene = self._observe()
            return self._api.predict_next_state(scene, self._states_along(trajectory, scene))

        return await self._answer(response, job, self._publish_frames)

    async def _infer_action(self, _: Any, response: Any) -> Any:
        def job() -> StateRollout:
            video, start = self._recent()
            return self._api.infer_action(video, start)

        return await self._answer(response, job, self._publish_poses)

    async def _answer(
        self, response: Any, job: Callable[[], StateRollout], publish_answer: Callable[[StateRollout], None]
    ) -> Any:
        try:
            question = Question(job)
            self._waiting.append(question)
            result = await question
            publish_answer(result)
            self._publish(result)
        except CosmosRosError as error:
            response.success, response.message = False, str(error)
            return response
        answer = {
            "mode": result.requests[0].mode.value,
            "fps": result.fps,
            "rows": len(result.actions),
            "seams": list(result.seams),
            "prompt": result.requests[0].prompt,
            "digests": {"actions": digest(result.actions), "frames": digest(result.frames)},
            "model": dict(result.rollouts[0].provenance),
        }
        response.success, response.message = True, json.dumps(answer)
        return response

    def _observe(self) -> Observation:
        newest, now = self._newest(), int(self._node.get_clock().now().nanoseconds)
        if newest is None or now - newest.stamp_ns > _MAX_AGE_NS:
            raise StaleInputError("nothing fresh is seen", where="inputs", hint="Look at /diagnostics.")
        return self._pipeline.complete(newest.build(previous_images=self._pipeline.uses_previous_image))

    def _states_along(self, trajectory: TrajectoryRecord, scene: Observation) -> RecordedStates:
        """Return the states that a joint trajectory passes, one every 1/fps, from where the robot is."""
        embodiment = self._embodiment
        if scene.joints is None:
            raise InputError("a joint trajectory needs a robot with joints", where="predict_next_state")
        if len(trajectory.times_ns) < 2 or not np.isfinite(trajectory.positions).all():
            raise InputError("the trajectory has fewer than two finite points", where="predict_next_state")
        times = trajectory.times_ns.astype(np.float64) / NANOSECONDS
        if not (np.diff(times) > 0.0).all():
            raise InputError("time_from_start does not increase", where="predict_next_state")
        steps = max(1, round((times[-1] - times[0]) * embodiment.fps))
        at = np.minimum(times[0] + np.arange(steps + 1) / embodiment.fps, times[-1])
        along = piecewise(trajectory)(at)
        names = embodiment.all_joints
        positions = np.tile([scene.joints.position_of(name) for name in names], (steps + 1, 1))
        for column, name in enumerate(trajectory.joint_names):
            if name not in names:
                raise InputError(f"joint {name} is not one of {', '.join(names)}", where="predict_next_state")
            positions[:, names.index(name)] = along[:, column]
        openings = {
            gripper: (positions[:, names.index(joint.joint)] - joint.closed) / (joint.open - joint.closed)
            for gripper, joint in embodiment.gripper_joints.items()
        }
        return RecordedStates(
            joint_names=tuple(names), joint_positions=positions,
            gripper_openings={k: np.clip(v, 0.0, 1.0) for k, v in openings.items()},
        )  # fmt: skip

    def _recent(self) -> tuple[UInt8Array, Observation | None]:
        """Return canvases ``[T+1, H, W, 3]`` of the last chunk's time, and the state at the first of them."""
        embodiment = self._embodiment
        if not self._keeps_history:
            modes = sorted(mode.value for mode in self._pipeline.world_model.capabilities.modes)
            raise CapabilityError(f"the world model has no inverse_dynamics; it can do {modes}", where="infer_action")
        if not all(self._images.values()):
            missing = [view for view, history in self._images.items() if not history]
            raise InputError(f"no image of {', '.join(missing)} was received yet", where="infer_action")
        histories = {view: tuple(history) for view, history in self._images.items()}
        end = min(history[-1][0] for history in histories.values())
        step = NANOSECONDS / embodiment.fps
        stamps = [round(end - (embodiment.chunk_size - k) * step) for k in range(embodiment.chunk_size + 1)]
        canvases = []
        for stamp in stamps:
            images = {view: decode_payload(_as_of(of, stamp, step, view), view) for view, of in histories.items()}
            black = np.zeros_like(next(iter(images.values())))
            canvases.append(embodiment.compose({view: images.get(view, black) for view in embodiment.views}))
        return np.stack(canvases), self._state_at(stamps[0], step)

    def _state_at(self, stamp: int, step: float) -> Observation | None:
        if not self._embodiment.has_joints or not self._joints:
            return None
        state: JointState = joint_state_from_message(_as_of(tuple(self._joints), stamp, step, "joint_states"))
        return Observation(stamp_ns=stamp, images={}, image_stamps_ns={}, joints=state)

    def _publish_frames(self, result: StateRollout) -> None:
        if result.frames is None:
            return
        begin = int(self._node.get_clock().now().nanoseconds)
        for index, frame in enumerate(result.frames):
            self._frames.publish(frame, begin + round(index * NANOSECONDS / result.fps), "prediction")

    def _publish_poses(self, result: StateRollout) -> None:
        if result.chunk is not None:
            self._poses.publish(action_poses_message(result.chunk, frame_id=self._embodiment.base_frame))


def _as_of(history: tuple[tuple[int, Any], ...], stamp: int, step: float, name: str) -> Any:
    """Return the newest message at or before a stamp, at most one and a half steps older."""
    for when, message in reversed(history):
        if when <= stamp:
            if when < stamp - 1.5 * step:
                break
            return message
    span = (history[-1][0] - history[0][0]) / NANOSECONDS
    raise InputError(f"{name}: nothing at {stamp} ns among the last {span:.2f} s", where="infer_action")
