"""Publishes what was predicted besides the trajectory: provenance, tool poses and images, in a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from std_msgs.msg import String
from trajectory_msgs.msg import MultiDOFJointTrajectory

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.errors import CosmosRosError, InputError
from cosmos_ros.messages import action_poses_message
from cosmos_ros.nodes import qos
from cosmos_ros.nodes.rollout_publisher import RolloutPublisher
from cosmos_ros.prediction.pipeline import Prediction
from cosmos_ros.prediction.prediction_log import PredictionLog
from cosmos_ros.prediction.provenance import state_provenance, to_json
from cosmos_ros.prediction.state_api import StateRollout
from cosmos_ros.types import Request, Rollout
from cosmos_ros.worker import WorkerThread
from cosmos_ros.world_models.protocol import WorldModel

# Hashing megabytes and encoding images would slow down the trajectory on its way to the guard: it goes first.
_DELAY_S = 0.02
# Records must not be lost while images are being encoded; this many may wait.
_MAILBOX = 32
# How long closing waits for what is still to be published.
_LONGEST_CLOSE_S = 5.0

Record = tuple[Mapping[str, Any], Request, Rollout]


@dataclass(frozen=True)
class _Job:
    """What is to be published. ``records`` makes the provenance: its digests take a while."""

    records: Callable[[], list[Record]]
    prediction: Prediction | None = None


class PredictionPublisher:
    """Owns ``~/provenance``, ``~/action_poses``, ``~/rollout/...`` and the prediction log of a node."""

    def __init__(
        self,
        node: Any,
        embodiment: Embodiment,
        model: WorldModel,
        log: str,
        world_model: Mapping[str, Any] | None = None,
    ) -> None:
        """Make the publishers; open the log file when its name is not empty.

        Args:
            node: Owner of the publishers.
            embodiment: What is predicted.
            model: What predicts.
            log: File that gets one line a prediction; its images are kept beside it.
            world_model: Name and options, for the log: what ``cosmos-ros replay-request`` asks again.
        """
        self._node = node
        self._model, self._embodiment = model, embodiment
        self._problem = ""
        self._base_frame = embodiment.base_frame
        self._log = PredictionLog(log) if log else None
        self._world_model = dict(world_model or {})
        self._provenance = node.create_publisher(String, "~/provenance", qos.reliable(10))
        self._poses = node.create_publisher(MultiDOFJointTrajectory, "~/action_poses", qos.reliable())
        self._rollout = RolloutPublisher(node, embodiment)
        self._engine = WorkerThread(self._work, name="prediction_publisher", mailbox=_MAILBOX)

    @property
    def problem(self) -> str:
        """Why the last prediction could not be published whole, or empty; from any thread."""
        lost = self._engine.replaced
        return self._problem or (f"{lost} predictions came faster than they can be published" if lost else "")

    def publish(self, prediction: Prediction, record: Mapping[str, Any]) -> None:
        """Publish a prediction, soon. ``record`` is added to its provenance."""

        def records() -> list[Record]:
            return [({**prediction.provenance, **record}, prediction.request, prediction.rollout)]

        self._engine.submit(_Job(records, prediction))

    def publish_states(self, result: StateRollout) -> None:
        """Publish the answer of a state-level call, soon: one record a chunk."""

        def records() -> list[Record]:
            made = state_provenance(self._model, self._embodiment, result)
            return list(zip(made, result.requests, result.rollouts, strict=True))

        self._engine.submit(_Job(records))

    def close(self) -> None:
        """Finish what waits and drop the publishers."""
        self._engine.stop(_LONGEST_CLOSE_S, finish=True)
        for publisher in (self._provenance, self._poses, *self._rollout.publishers):
            self._node.destroy_publisher(publisher)
        if self._log is not None:
            self._log.close()

    def _work(self, job: _Job) -> None:
        time.sleep(_DELAY_S)
        problems = [problem for part in (self._records, self._images) if (problem := self._tried(part, job))]
        if problems and problems != [self._problem]:
            self._node.get_logger().error(problems[0])
        self._problem = problems[0] if problems else ""

    def _tried(self, part: Callable[[_Job], None], job: _Job) -> str:
        """Return why a part failed, or empty: the other part, and what comes next, must go on."""
        try:
            part(job)
        except CosmosRosError as error:
            return str(error)
        except Exception as error:  # nobody takes this worker's results, so that it would be lost
            return f"{type(error).__name__}: {error}"
        return ""

    def _records(self, job: _Job) -> None:
        failure: InputError | None = None
        for record, request, rollout in job.records():
            self._provenance.publish(String(data=to_json(record)))
            try:
                if self._log is not None:
                    self._log.write({**record, "world_model": self._world_model}, request, rollout)
            except InputError as error:
                failure = error
        if failure is not None:
            raise failure

    def _images(self, job: _Job) -> None:
        prediction = job.prediction
        if prediction is None:
            return
        if prediction.chunk is not None:
            self._poses.publish(action_poses_message(prediction.chunk, frame_id=self._base_frame))
        # Images are for looking at: when they take too long, the newest are enough.
        if self._rollout.wanted and not self._engine.waiting:
            self._rollout.publish(prediction)
