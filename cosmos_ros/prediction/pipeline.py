"""From an observation to a candidate trajectory: the one function that serves the live node, a bag and a test."""

from __future__ import annotations

import time
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.errors import InputError
from cosmos_ros.kinematics import IkSolution, ResidualGate, chunk_to_trajectory
from cosmos_ros.prediction.bound_model import BoundModel, RequestSettings
from cosmos_ros.prediction.committed_motion import CommittedMotion, committed_motion
from cosmos_ros.prediction.provenance import input_provenance, prediction_provenance
from cosmos_ros.trajectory.joiner import Joiner, JoinSettings
from cosmos_ros.types import ActionChunk, FloatArray, JointTrajectory, Mode, Observation, Request, Rollout, UInt8Array
from cosmos_ros.world_models.protocol import WorldModel


@dataclass(frozen=True)
class Prediction:
    """Everything one prediction produced, with what is needed to make it again.

    Attributes:
        stamp_ns: Stamp of the observation.
        request, rollout: The model's question and answer.
        chunk: Decoded tool poses and grippers; None when the mode gives no actions.
        trajectory: Joint trajectory starting at the observed state, for a ``Joiner``: gripper columns are as the model
            wants them. None for embodiments without joints.
        ik: Residuals of the inverse kinematics; None when none was solved.
        latencies_ms: Stage → milliseconds: request, model, decode, kinematics, total.
        input_provenance: The part of the provenance that stands nowhere else: model, embodiment, config hash, stamps.
    """

    stamp_ns: int
    request: Request
    rollout: Rollout
    chunk: ActionChunk | None
    trajectory: JointTrajectory | None
    ik: IkSolution | None
    latencies_ms: Mapping[str, float]
    input_provenance: Mapping[str, Any]

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """JSON-serialisable record: model, seed, prompt, stamps, latencies, digests, config hash.

        Made on first use: digests of megabytes must not delay the trajectory.
        """
        return {
            **self.input_provenance,
            **prediction_provenance(self.request, self.rollout),
            "latencies_ms": {**{f"model/{k}": v for k, v in self.rollout.latencies_ms.items()}, **self.latencies_ms},
        }


@dataclass(frozen=True)
class PipelineSettings(RequestSettings):
    """How predictions are asked for.

    Attributes:
        blank_views: Views that no camera provides; they are black on the canvas.
    """

    blank_views: frozenset[str] = frozenset()


class Pipeline:
    """Asks a world model about observations of one embodiment. Used by one thread."""

    def __init__(
        self, embodiment: Embodiment, world_model: WorldModel, settings: PipelineSettings | None = None
    ) -> None:
        """Check that the model can serve the embodiment.

        Raises:
            CapabilityError: The model does not know the embodiment's domain, rows or chunk length, has no policy
                mode, or does not take the sampler settings or the negative prompt.
        """
        self.embodiment = embodiment
        self.world_model = world_model
        self.settings = settings = settings or PipelineSettings()
        self.model = BoundModel(world_model, embodiment, settings)
        self.model.require(Mode.POLICY)
        self._solver = embodiment.solver()
        unknown = settings.blank_views - set(embodiment.views)
        if unknown:
            raise InputError(f"views {sorted(unknown)} are not of embodiment {embodiment.name}", where="blank_views")

    @property
    def uses_previous_image(self) -> bool:
        """Whether observations need the images of one control step earlier."""
        return self.world_model.capabilities.uses_previous_image

    def continues(self, settings: JoinSettings) -> bool:
        """Whether the model is told what is being executed, and goes on from there."""
        return settings.committed_rows and self.world_model.capabilities.takes_committed

    def reseed(self, seed: int) -> None:
        """Use another seed from the next prediction on."""
        self.settings = replace(self.settings, seed=seed)
        self.model.settings = self.settings

    def prepare(self, view: str, image: UInt8Array) -> None:
        """Do what can be done with one view's image before the others are there; in any thread."""
        self.embodiment.prepare(view, image)

    def predict(
        self, observation: Observation, joiner: Joiner | None = None, settings: JoinSettings | None = None
    ) -> Prediction:
        """Run one policy prediction.

        Args:
            observation: What was seen.
            joiner: What is being executed, for models that continue it; None tells them nothing.
            settings: How the answer will be joined.

        Raises:
            InputError, ModelError, DecodeError, KinematicsError: Each names the stage's own culprit.
        """
        clock = _StageClock()
        observation = self.complete(observation)
        committed = self._committed(observation, joiner, settings or JoinSettings())
        request = self.model.build_request(
            observation, Mode.POLICY, committed=committed.rows, commanded=committed.openings or None
        )
        clock.lap("request")
        rollout = self.model.answer(request)
        clock.lap("model")
        chunk = self.embodiment.decode(rollout, observation) if rollout.actions is not None else None
        clock.lap("decode")
        trajectory, ik = self._solve(chunk, observation, _kept(committed, request, rollout))
        clock.lap("kinematics")
        return Prediction(
            stamp_ns=observation.stamp_ns,
            request=request,
            rollout=rollout,
            chunk=chunk,
            trajectory=trajectory,
            ik=ik,
            latencies_ms=clock.finish(),
            input_provenance={
                **input_provenance(self.world_model, self.embodiment, observation),
                "committed": dict(committed.record),
            },
        )

    def _committed(self, observation: Observation, joiner: Joiner | None, settings: JoinSettings) -> CommittedMotion:
        if joiner is None or not self.world_model.capabilities.takes_committed:
            return CommittedMotion()
        joiner = copy(joiner)  # as it is now: another thread may tell it what is sent
        steps = self.settings.chunk_size or self.embodiment.chunk_size
        # Without rows it is still told how far the grippers were commanded to open.
        delay = joiner.expected_delay if self.continues(settings) else None
        return committed_motion(self.embodiment, joiner, observation, steps, settings, delay)

    def _solve(
        self, chunk: ActionChunk | None, observation: Observation, executed: FloatArray | None
    ) -> tuple[JointTrajectory | None, IkSolution | None]:
        if chunk is None or observation.joints is None or not self.embodiment.has_joints:
            return None, None
        return chunk_to_trajectory(
            chunk,
            observation.joints,
            self._solver,
            self.embodiment.gripper_joints,
            ResidualGate(),
            limits=self.embodiment.limits.joints,
            plan_grippers=False,
            executed=executed,
        )

    def complete(self, observation: Observation) -> Observation:
        """Return the observation with black images for the views that have no camera; InputError without any."""
        return with_blank_views(observation, self.settings.blank_views)


def with_blank_views(observation: Observation, blank: frozenset[str]) -> Observation:
    """Return the observation with black images, as large as its first, for the views that no camera provides.

    Raises:
        InputError: No view has an image.
    """
    missing = [view for view in sorted(blank) if view not in observation.images]
    if not missing:
        return observation
    if not observation.images:
        raise InputError("no view has an image; at least one camera is needed", where="observation")
    like = next(iter(observation.images.values()))
    black = {view: np.zeros_like(like) for view in missing}
    previous = observation.previous
    return replace(
        observation,
        images={**observation.images, **black},
        previous=with_blank_views(previous, blank) if previous is not None and previous.images else previous,
    )


def _kept(committed: CommittedMotion, request: Request, rollout: Rollout) -> FloatArray | None:
    """Return the joints of the committed rows when the answer begins with them, as it should."""
    rows = request.committed
    if rows is None or rollout.actions is None or not np.array_equal(rollout.actions[: len(rows)], rows):
        return None
    return committed.joints


class _StageClock:
    """Milliseconds by stage."""

    def __init__(self) -> None:
        self._begin = self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._laps[stage] = (now - self._last) * 1e3
        self._last = now

    def finish(self) -> dict[str, float]:
        return {**self._laps, "total": (time.perf_counter() - self._begin) * 1e3}
