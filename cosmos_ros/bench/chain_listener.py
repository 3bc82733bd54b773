"""Matches predictions with the guard's trajectories, live."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from std_msgs.msg import String

from cosmos_ros.bench.chain_samples import ChainSamples, stages_of
from cosmos_ros.nodes import qos
from cosmos_ros.nodes.topic_watcher import TopicWatcher


class ChainListener(TopicWatcher):
    """Fills samples while it is spun, from when the guard is armed."""

    def __init__(self, domain: int, samples: ChainSamples) -> None:
        self.samples = samples
        self.finished = False
        self.reason = "nothing was heard yet"
        self._armed = False
        self._predictions: dict[int, Mapping[str, Any]] = {}
        self._verdicts: dict[int, Mapping[str, Any]] = {}
        texts = {"predictor/provenance": self._on_prediction, "guard/verdict_json": self._on_verdict}
        super().__init__(domain, "bench", texts, self._on_diagnostics)
        self.node.create_subscription(String, "load/sent", self._on_sent, qos.latched())

    def try_arming(self) -> bool:
        """Return whether the guard is armed, after asking it once if it was not; ``reason`` says why not."""
        if not self._armed:
            self._armed, self.reason = self.arm()
        return self._armed

    def _on_prediction(self, message: Any) -> None:
        record = json.loads(message.data)
        stamp = record["join"].get("stamp_ns")
        if stamp is not None and self._armed:
            self._predictions[stamp] = record
            self._match(stamp)

    def _on_verdict(self, message: Any) -> None:
        verdict = json.loads(message.data)
        if verdict.get("published_ns"):
            self._verdicts[int(verdict["stamp_ns"])] = verdict
            self._match(int(verdict["stamp_ns"]))

    def _match(self, stamp: int) -> None:
        if stamp not in self._predictions or stamp not in self._verdicts:
            return
        record, verdict = self._predictions.pop(stamp), self._verdicts.pop(stamp)
        received = record["received_ns"]
        stages = stages_of(record, verdict)
        self.samples.latency.append((verdict["published_ns"] - received) / 1e6 - record["latencies_ms"]["model"])
        self.samples.transport.append((received - max(record["image_stamps_ns"].values())) / 1e6)
        for stage, value in stages.items():
            self.samples.stages.setdefault(stage, []).append(value)

    def _on_sent(self, message: Any) -> None:
        self.samples.sent = int(message.data)
        self.finished = True

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            if status.name.endswith("predictor: inputs"):
                for value in status.values:
                    if value.key.startswith("camera ") and value.key.endswith(" received"):
                        self.samples.received[value.key] = int(value.value)
