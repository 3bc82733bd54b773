"""The one protocol behind which every world model stands, and the check of what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from cosmos_ros.errors import CapabilityError, ModelError
from cosmos_ros.types import ActionSpace, Mode, Request, Rollout


@dataclass(frozen=True)
class Capabilities:
    """What a world model can do, declared at configure time.

    Attributes:
        modes: Modes it answers.
        domains: Domain names it knows; None means any.
        chunk_sizes: Allowed T as a range or tuple; None means any positive T.
        needs_observation: It wants ``Request.observation`` (history, joint state, simulator scene).
        needs_scene: It wants the simulator's object poses.
        needs_state: It wants ``Request.state``.
        uses_previous_image: It looks at ``Request.previous_image``, which costs decoding another set of images.
        returns_frames: Policy and forward_dynamics answers carry frames.
        action_space: Meaning of its action rows.
        scripted: Its actions are scripted, not predicted; everything published must say so.
        deterministic: The same request gives the same answer on the same machine; when a recorded request is asked
            again, a difference is then reported as unexpected.
        settings: Names of the sampler settings it takes; None leaves the check to its ``predict``.
        negative_prompt: It takes one.
        takes_instruction: Its answer depends on the instruction; without one it is not asked.
        takes_committed: It begins its answer with ``Request.committed`` and continues them.
    """

    modes: frozenset[Mode]
    domains: frozenset[str] | None = None
    chunk_sizes: range | tuple[int, ...] | None = None
    needs_observation: bool = False
    needs_scene: bool = False
    needs_state: bool = False
    uses_previous_image: bool = False
    returns_frames: bool = True
    action_space: ActionSpace = ActionSpace.MODEL
    scripted: bool = False
    deterministic: bool = True
    settings: frozenset[str] | None = None
    negative_prompt: bool = True
    takes_instruction: bool = True
    takes_committed: bool = False


@runtime_checkable
class WorldModel(Protocol):
    """A world model. Implementations are used by one thread.

    One that remembers earlier requests (a server's session) also has ``new_session() -> None``, which is called between
    two requests when the second has nothing to do with the first: after a reset, or with another instruction.
    """

    @property
    def name(self) -> str:
        """Short name as used by the ``world_model`` parameter."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do; constant after construction."""
        ...

    def load(self) -> None:
        """Load weights or connect, and warm up. Raises ModelError or ConfigError with a remedy."""
        ...

    def predict(self, request: Request) -> Rollout:
        """Answer one request. Raises ModelError on any failure; never returns a partial rollout."""
        ...

    def close(self) -> None:
        """Release everything; may be called twice."""
        ...


def check_request(model: WorldModel, request: Request) -> None:
    """Refuse a request that the model did not declare itself able to answer.

    Raises:
        CapabilityError: Names the model, what was asked and what it can do.
    """
    can = model.capabilities
    where = f"world_model {model.name}"
    if request.mode not in can.modes:
        raise CapabilityError(
            f"mode {request.mode.value} is not supported; it can do {sorted(m.value for m in can.modes)}", where=where
        )
    if can.domains is not None and request.domain_name not in can.domains:
        raise CapabilityError(
            f"domain {request.domain_name} is not supported; it knows {sorted(can.domains)}", where=where
        )
    if request.chunk_size < 1 or (can.chunk_sizes is not None and request.chunk_size not in can.chunk_sizes):
        raise CapabilityError(
            f"chunk size {request.chunk_size} is not supported; allowed: {can.chunk_sizes or 'any positive'}",
            where=where,
        )
    rows = request.committed
    if rows is not None:
        if not can.takes_committed or request.mode is not Mode.POLICY:
            raise CapabilityError("it takes no committed rows", where=where, hint="Join its answer to them instead.")
        if rows.ndim != 2 or rows.shape[1] != request.action_dim or not len(rows) < request.chunk_size:
            raise CapabilityError(
                f"committed rows have shape {list(rows.shape)}, expected [k, {request.action_dim}] with k below "
                f"{request.chunk_size}",
                where=where,
            )
    if can.needs_scene and not (request.observation and request.observation.scene):
        raise CapabilityError(
            "it reads the simulator's scene, and none is being published", where=where, hint="Run it with sim_robot."
        )


def check_rollout(model_name: str, request: Request, rollout: Rollout, capabilities: Capabilities) -> None:
    """Refuse an answer that is not what was asked for: wrong shapes, dtypes or non-finite numbers.

    Raises:
        ModelError: Names the model, the field, and the first offending row and column.
    """
    where = f"world_model {model_name}"
    steps = request.chunk_size
    wants_actions = request.mode in (Mode.POLICY, Mode.INVERSE_DYNAMICS)
    wants_frames = request.mode is not Mode.INVERSE_DYNAMICS and capabilities.returns_frames
    if wants_actions:
        actions = rollout.actions
        if actions is None:
            raise ModelError("the answer has no actions", where=where)
        if actions.shape != (steps, request.action_dim):
            raise ModelError(
                f"actions have shape {list(actions.shape)}, expected [{steps}, {request.action_dim}]", where=where
            )
        if not np.issubdtype(actions.dtype, np.floating):
            raise ModelError(f"actions have dtype {actions.dtype}, expected float32", where=where)
        bad = np.argwhere(~np.isfinite(actions))
        if bad.size:
            step, column = (int(v) for v in bad[0])
            raise ModelError(
                f"actions[{step}, {column}] is {actions[step, column]}; {len(bad)} non-finite values in all",
                where=where,
            )
    if wants_frames:
        frames = rollout.frames
        if frames is None:
            raise ModelError("the answer has no frames", where=where)
        if frames.ndim != 4 or frames.shape[0] != steps + 1 or frames.shape[3] != 3 or 0 in frames.shape:
            raise ModelError(f"frames have shape {list(frames.shape)}, expected [{steps + 1}, H, W, 3]", where=where)
        if frames.dtype != np.uint8:
            raise ModelError(f"frames have dtype {frames.dtype}, expected uint8", where=where)
