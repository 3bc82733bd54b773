"""Watches the demo's topics."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from std_msgs.msg import String

from cosmos_ros.nodes.topic_watcher import TopicWatcher

RECORDER = "cosmos_ros_recorder"


class DemoObserver(TopicWatcher):
    """Counts what happens."""

    def __init__(self, domain: int) -> None:
        self.verdicts: Counter[str] = Counter()
        self.predictions = 0
        self.task: dict[str, Any] = {}
        self.problems: dict[str, str] = {}
        texts = {
            "guard/verdict_json": self._on_verdict,
            "predictor/provenance": self._on_prediction,
            "task_status": self._on_task,
        }
        super().__init__(domain, "demo_observer", texts, self._on_diagnostics)

    def recorded(self, topics: Sequence[str]) -> bool:
        """Return whether the recorder has found the publishers of these topics: that may take it seconds longer."""
        return all(
            any(info.node_name == RECORDER for info in self.node.get_subscriptions_info_by_topic(topic))
            for topic in topics
        )

    def _on_verdict(self, message: String) -> None:
        self.verdicts[str(json.loads(message.data).get("response"))] += 1

    def _on_prediction(self, _: String) -> None:
        self.predictions += 1

    def _on_task(self, message: String) -> None:
        self.task = json.loads(message.data)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.level == DiagnosticStatus.OK:
                self.problems.pop(status.name, None)
            else:
                self.problems[status.name] = status.message
