"""The one way to ask a world model: build the request, check it, predict, check the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.errors import CosmosRosError, ModelError
from cosmos_ros.types import FloatArray, Mode, Observation, Request, Rollout, UInt8Array
from cosmos_ros.world_models.compatibility import check_embodiment, check_sampling
from cosmos_ros.world_models.protocol import WorldModel, check_request, check_rollout


@dataclass(frozen=True)
class RequestSettings:
    """How a world model is asked.

    Attributes:
        seed: Seed of the sampler; the same for every prediction, so that a bag gives the same answers twice.
        chunk_size: T, or None for the embodiment's own.
        negative_prompt: Text to steer away from.
        sampler: Overrides of the model's sampler settings.
    """

    seed: int = 0
    chunk_size: int | None = None
    negative_prompt: str = ""
    sampler: Mapping[str, float | int | str | bool] = field(default_factory=dict)


class BoundModel:
    """A world model that is asked about one embodiment. Used by one thread.

    Args:
        world_model: The caller loads and closes it.
        embodiment: Whose observations and actions the requests are about.
        settings: How it is asked.

    Raises:
        CapabilityError: The model does not take a sampler setting or the negative prompt.
    """

    def __init__(self, world_model: WorldModel, embodiment: Embodiment, settings: RequestSettings) -> None:
        self.world_model = world_model
        self.embodiment = embodiment
        self.settings = settings
        check_sampling(world_model, settings.sampler, settings.negative_prompt)

    def require(self, mode: Mode) -> None:
        """Refuse a mode that the model cannot serve for this embodiment; raises CapabilityError."""
        check_embodiment(self.world_model, self.embodiment, (mode,), self.settings.chunk_size)

    def build_request(
        self,
        observation: Observation,
        mode: Mode,
        *,
        seed: int | None = None,
        actions: FloatArray | None = None,
        video: UInt8Array | None = None,
        committed: FloatArray | None = None,
        commanded: Mapping[str, float] | None = None,
    ) -> Request:
        """Return the request about an observation; see ``Embodiment.build_request``.

        Args:
            observation: What was seen.
            mode: What is asked.
            seed: Seed of the sampler; None takes that of the settings.
            actions: ``[T, D]`` normalised actions, for forward_dynamics only.
            video: ``uint8 [T+1, H, W, 3]`` canvases, for inverse_dynamics only.
            committed: ``[k, D]`` normalised rows that will be executed whatever is answered, for policy only.
            commanded: Gripper → opening last commanded, 0 closed to 1 open.

        Raises:
            InputError, DecodeError: Something is missing or wrong; names it.
        """
        return self.embodiment.build_request(
            observation,
            mode,
            seed=self.settings.seed if seed is None else seed,
            chunk_size=self.settings.chunk_size,
            settings=self.settings.sampler,
            actions=actions,
            video=video,
            negative_prompt=self.settings.negative_prompt,
            needs_observation=self.world_model.capabilities.needs_observation,
            committed=committed,
            commanded=commanded,
        )

    def answer(self, request: Request) -> Rollout:
        """Ask; see :func:`ask`."""
        return ask(self.world_model, request)


def ask(model: WorldModel, request: Request) -> Rollout:
    """Return a world model's answer, checked to be what was asked for.

    Raises:
        CapabilityError: The request asks for more than the model declared.
        ModelError: The model failed, or its answer has wrong shapes, types or numbers.
    """
    check_request(model, request)
    try:
        rollout = model.predict(request)
    except CosmosRosError:
        raise
    except Exception as error:  # a backend from elsewhere may raise anything
        raise ModelError(f"{type(error).__name__}: {error}", where=f"world_model {model.name}") from error
    check_rollout(model.name, request, rollout, model.capabilities)
    return rollout
