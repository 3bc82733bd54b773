"""The backend ``persistence``, a baseline: nothing changes, the first frame stays and the arm is still."""

from __future__ import annotations

import time

import numpy as np

from cosmos_ros.errors import CapabilityError
from cosmos_ros.types import Float32Array, Mode, Request, Rollout
from cosmos_ros.world_models.backend import ModelBackend, NoOptions
from cosmos_ros.world_models.protocol import Capabilities, check_request
from cosmos_ros.world_models.sampler_settings import check_settings


class Persistence:
    """Repeats the first frame, and predicts no motion with the grippers as they are.

    Frames need ``Request.image``; actions need ``Request.hold_action``, which the embodiment provides.
    """

    name = "persistence"
    capabilities = Capabilities(modes=frozenset(Mode), settings=frozenset(), takes_instruction=False)

    def __init__(self, options: NoOptions) -> None:
        """There is nothing to set."""

    def load(self) -> None:
        """Nothing to load."""

    def predict(self, request: Request) -> Rollout:
        """Answer one request.

        Raises:
            CapabilityError: A setting was given, or the request lacks what the mode needs.
        """
        started = time.perf_counter()
        check_request(self, request)
        check_settings(f"world_model {self.name}", request.settings, frozenset())
        frames = None
        if request.mode is not Mode.INVERSE_DYNAMICS:
            if request.image is None:
                raise CapabilityError("the request carries no image", where=f"world_model {self.name}")
            frames = np.repeat(request.image[None], request.chunk_size + 1, axis=0)
        actions: Float32Array | None = None
        if request.mode is not Mode.FORWARD_DYNAMICS:
            actions = np.repeat(hold_action(self.name, request)[None], request.chunk_size, axis=0)
        return Rollout(
            frames=frames,
            actions=actions,
            provenance={"backend": self.name},
            latencies_ms={"predict": (time.perf_counter() - started) * 1e3},
        )

    def close(self) -> None:
        """Nothing to release."""


def hold_action(name: str, request: Request) -> Float32Array:
    """Return ``Request.hold_action`` as ``float32 [D]``; CapabilityError when it is missing or has another width."""
    if request.hold_action is None:
        raise CapabilityError(
            "the request carries no hold_action, so 'do not move' is not known in this action space",
            where=f"world_model {name}",
            hint="Build the request with Embodiment.build_request.",
        )
    row = np.asarray(request.hold_action, dtype=np.float32)
    if row.shape != (request.action_dim,):
        raise CapabilityError(
            f"hold_action has shape {list(row.shape)}, expected [{request.action_dim}]", where=f"world_model {name}"
        )
    return row


BACKEND = ModelBackend(
    name=Persistence.name,
    summary="the first frame repeated, the arm still",
    options=NoOptions,
    capabilities=lambda _: Persistence.capabilities,
    implementation=Persistence,
    examples={"persistence": {}},
)
