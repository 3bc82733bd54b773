"""The baselines that stand beside a world model in every table."""

from __future__ import annotations

import time
from dataclasses import replace

from cosmos_ros.types import Mode, Request, Rollout
from cosmos_ros.world_models import create_world_model
from cosmos_ros.world_models.backends.flow import Flow, FlowOptions
from cosmos_ros.world_models.protocol import Capabilities, WorldModel

CONSTANT_VELOCITY = "constant_velocity"
DEFAULT_BASELINES = ("persistence", "flow", CONSTANT_VELOCITY)


class ConstantVelocity:
    """The tool keeps the twist of its last control step; no frames."""

    name = CONSTANT_VELOCITY
    capabilities = Capabilities(modes=frozenset({Mode.POLICY}), returns_frames=False)

    def __init__(self) -> None:
        self._flow = Flow(FlowOptions(damping=1.0))

    def load(self) -> None:
        """Nothing to load."""

    def predict(self, request: Request) -> Rollout:
        """Answer one request; as ``flow`` without damping."""
        started = time.perf_counter()
        moved = self._flow.predict(replace(request, previous_image=None))
        return Rollout(
            frames=None,
            actions=moved.actions,
            provenance={"backend": self.name},
            latencies_ms={"predict": (time.perf_counter() - started) * 1e3},
        )

    def close(self) -> None:
        """Nothing to release."""


def create_baseline(name: str) -> WorldModel:
    """Return a baseline: ``constant_velocity``, or any world model by its name.

    Raises:
        ConfigError: The name is unknown.
    """
    return ConstantVelocity() if name == CONSTANT_VELOCITY else create_world_model(name)
