"""Tells what was predicted: provenance, tool poses and pictures, in a thread of its own after the trajectory is out."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from std_msgs.msg import String
from trajectory_msgs.msg import MultiDOFJointTrajectory

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.engine import Engine
from cosmos_ros.messages import action_poses_message
from cosmos_ros.nodes import qos
from cosmos_ros.nodes.rollout_publisher import RolloutPublisher
from cosmos_ros.pipeline import Prediction
from cosmos_ros.world_models.provenance import PredictionLog

# Hashing megabytes and making pictures takes the cores on which the trajectory is on its way: let it reach the guard.
_HEAD_START_S = 0.02
# Records must not be lost while pictures are being made; this many may wait.
_MAILBOX = 32


@dataclass(frozen=True)
class _Telling:
    prediction: Prediction
    record: Mapping[str, Any]


class Teller:
    """Owns ``~/provenance``, ``~/action_poses``, ``~/rollout/...`` and the prediction log of a node."""

    def __init__(
        self, node: Any, embodiment: Embodiment, log: str, world_model: Mapping[str, Any] | None = None
    ) -> None:
        """Make the publishers; open the log file when its name is not empty.

        Args:
            node: Owner of the publishers.
            embodiment: What is predicted.
            log: File that gets one line a prediction; its pictures are kept beside it.
            world_model: Name and options, for the log: what ``cosmos-ros replay-request`` asks again.
        """
        self._node = node
        self._base_frame = embodiment.base_frame
        self._log = PredictionLog(log) if log else None
        self._world_model = dict(world_model or {})
        self._provenance = node.create_publisher(String, "~/provenance", qos.reliable(10))
        self._poses = node.create_publisher(MultiDOFJointTrajectory, "~/action_poses", qos.reliable())
        self._rollout = RolloutPublisher(node, embodiment)
        self._engine = Engine(self._work, name="teller", mailbox=_MAILBOX)

    def tell(self, prediction: Prediction, record: Mapping[str, Any]) -> None:
        """Tell about a prediction, soon. ``record`` is added to its provenance."""
        self._engine.submit(_Telling(prediction, record))

    def close(self) -> None:
        """Finish what is being told and drop the publishers."""
        self._engine.stop()
        for publisher in (self._provenance, self._poses, *self._rollout.publishers):
            self._node.destroy_publisher(publisher)
        if self._log is not None:
            self._log.close()

    def _work(self, telling: _Telling) -> None:
        time.sleep(_HEAD_START_S)
        prediction = telling.prediction
        record = {**prediction.provenance, **telling.record}
        self._provenance.publish(String(data=json.dumps(record)))
        if self._log is not None:
            self._log.write({**record, "world_model": self._world_model}, prediction.request, prediction.rollout)
        if prediction.chunk is not None:
            self._poses.publish(action_poses_message(prediction.chunk, frame_id=self._base_frame))
        # Pictures are for looking at: when they take too long, the newest are enough.
        if self._rollout.wanted and not self._engine.waiting:
            self._rollout.publish(prediction)
