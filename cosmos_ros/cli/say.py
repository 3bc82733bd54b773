"""``cosmos-ros say``: give a running predictor its instruction."""

from __future__ import annotations

from dataclasses import dataclass

from tyro.conf import Positional


@dataclass(frozen=True)
class Say:
    """Publish an instruction, once a predictor listens.

    For example: cosmos-ros say "put the cup on the plate"

    Attributes:
        text: The task.
        namespace: Namespace of the nodes.
        topic: Topic of the instruction.
        timeout: How long to wait for somebody to listen, s.
    """

    text: Positional[str]
    namespace: str = ""
    topic: str = "instruction"
    timeout: float = 10.0

    def run(self) -> int:
        """Say it."""
        from cosmos_ros.nodes.guard_client import GuardClient
        from cosmos_ros.recordings.command_line_node import RosSession

        with RosSession("cosmos_ros_say") as session:
            topic = GuardClient(session, namespace=self.namespace, timeout=self.timeout).say(self.text, self.topic)
        print(f"said on {topic}: {self.text}")
        return 0


VERB = Say
