"""A model that changes its mind with every answer, also for real nodes."""

from __future__ import annotations

import time

import numpy as np

from cosmos_ros.types import Mode, Request, Rollout
from cosmos_ros.world_models import Capabilities, ModelBackend, NoOptions


class Wanderer:
    """Answers with a straight motion of every tool, in another direction each time.

    One that continues committed rows begins with them, and turns to its own motion in four rows.
    """

    name = "wanderer"

    def __init__(self, *, continues: bool, speed: float = 0.06, seed: int = 1, seconds: float = 0.0) -> None:
        self.capabilities = Capabilities(
            frozenset({Mode.POLICY}), returns_frames=False, takes_instruction=False, takes_committed=continues
        )
        self.requests: list[Request] = []
        self._speed, self._rng, self._seconds = speed, np.random.default_rng(seed), seconds

    def load(self) -> None:
        """Nothing to load."""

    def close(self) -> None:
        """Nothing to close."""

    def predict(self, request: Request) -> Rollout:
        self.requests.append(request)
        time.sleep(self._seconds)
        layout, hold = request.layout, request.hold_action
        assert layout is not None and hold is not None
        rows = np.repeat(hold[None].astype(np.float64), request.chunk_size, axis=0)
        for column in layout.pose_columns:
            way = self._rng.normal(size=3)
            way *= self._speed / request.fps / np.linalg.norm(way)
            rows[:, column : column + 3] = (way - layout.offset[column : column + 3]) / layout.scale[
                column : column + 3
            ]
        given = request.committed
        if given is not None:
            begin, ramp = len(given), np.linspace(0.0, 1.0, 5)[1:, None]
            rows[:begin] = given
            rows[begin : begin + 4] = (1.0 - ramp) * given[-1] + ramp * rows[begin : begin + 4]
        told = {"committed_rows": 0 if given is None else len(given)}
        return Rollout(frames=None, actions=rows.astype(np.float32), provenance=told)


BACKEND = ModelBackend(
    name="wanderer",
    summary="changes its mind with every answer, but continues what is executed",
    options=NoOptions,
    capabilities=lambda _: Wanderer(continues=True).capabilities,
    implementation="wandering:create",
)


def create(_: NoOptions) -> Wanderer:
    """Return one for the nodes: slow to answer, and it must not come far."""
    return Wanderer(continues=True, speed=0.03, seconds=0.3)
