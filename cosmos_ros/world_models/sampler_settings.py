"""Sampler settings: what each mode wants, what may be changed, and in which range.

The pipelines' own defaults (35 steps, guidance 6, system prompt on) are for text to video and are wrong for actions.
Precedence: ``Request.settings`` (the user's), then ``Request.recommended_settings`` (the embodiment's file), then the
defaults of the mode.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cosmos_ros.errors import CapabilityError
from cosmos_ros.settings import Value, declared, setting
from cosmos_ros.types import ActionSpace, Mode, Request


@dataclass(frozen=True)
class SamplerSettings:
    """The sampler settings of one request; the defaults are those of policy."""

    num_inference_steps: int = setting(30, "Denoising steps.", minimum=1, maximum=100)
    guidance_scale: float = setting(
        1.0, "Classifier-free guidance; 1 is off and halves the work.", minimum=1.0, maximum=20.0
    )
    flow_shift: float = setting(5.0, "Shift of the flow-matching noise schedule.", minimum=0.1, maximum=50.0)
    use_system_prompt: bool = setting(
        False, "Put the text-to-video system prompt before the caption; actions want it off."
    )


_DECLARED = {one.name: one for one in declared(SamplerSettings)}
SETTINGS = frozenset(_DECLARED)

# Sources disagree: cosmos-framework's command line and the cookbooks run the dynamics modes with 30 steps and shift 10
# (5 for camera_pose), the policy with shift 5; the paper's table 21 has 50 steps for the dynamics modes and shift 5.
# Policy-DROID's server runs 4 steps, guidance 3, shift 5.
_POLICY = SamplerSettings()
_DYNAMICS = SamplerSettings(flow_shift=10.0)
_JOINT_POLICY = SamplerSettings(num_inference_steps=4, guidance_scale=3.0)


def default_sampler(mode: Mode, domain_name: str, action_space: ActionSpace = ActionSpace.MODEL) -> SamplerSettings:
    """Return the defaults of a mode and domain."""
    if action_space is ActionSpace.JOINT:
        return _JOINT_POLICY
    return _POLICY if mode is Mode.POLICY or domain_name == "camera_pose" else _DYNAMICS


def check_names(where: str, settings: Iterable[str], known: frozenset[str]) -> None:
    """Refuse names that a backend does not take; CapabilityError lists those it does."""
    unknown = sorted(set(settings) - known)
    if unknown:
        raise CapabilityError(f"settings {unknown} are not known; allowed: {sorted(known) or 'none'}", where=where)


def check_settings(where: str, settings: Mapping[str, Value], known: frozenset[str] = SETTINGS) -> dict[str, Value]:
    """Return the settings, each of its type and in its range.

    Args:
        where: For the error message, e.g. ``world_model cosmos3``.
        settings: Values by name.
        known: Names that the backend takes, all of them of ``SamplerSettings``.

    Raises:
        CapabilityError: A name is unknown, or a value is of the wrong type, not finite or out of range.
    """
    check_names(where, settings, known)
    return {name: _checked(where, name, value) for name, value in settings.items()}


def resolve_sampler(
    where: str,
    request: Request,
    *,
    action_space: ActionSpace = ActionSpace.MODEL,
    known: frozenset[str] = SETTINGS,
) -> SamplerSettings:
    """Return the sampler settings of one request; raises CapabilityError as :func:`check_settings`."""
    values: dict[str, Any] = asdict(default_sampler(request.mode, request.domain_name, action_space))
    values |= check_settings(f"{where}, embodiment", request.recommended_settings)
    values |= check_settings(where, request.settings, known)
    return SamplerSettings(**values)


def _checked(where: str, name: str, value: Value) -> Value:
    one = _DECLARED[name]
    if isinstance(one.default, int) and isinstance(value, float) and value.is_integer():
        value = int(value)
    problem = one.problem(value)
    if problem:
        raise CapabilityError(f"setting {one.refusal(problem, where).message}", where=where)
    return type(one.default)(value)
