"""Which world model serves which embodiment, asked at configure time and never at the robot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from cosmos_ros.errors import CapabilityError
from cosmos_ros.settings import Value
from cosmos_ros.types import ActionSpace, Mode
from cosmos_ros.world_models.domains import DOMAINS
from cosmos_ros.world_models.protocol import Capabilities, WorldModel
from cosmos_ros.world_models.sampler_settings import SETTINGS, check_names, check_settings

if TYPE_CHECKING:
    from cosmos_ros.embodiment import Embodiment


def refusals(can: Capabilities, embodiment: Embodiment, chunk_size: int | None = None) -> dict[Mode, str]:
    """Return mode → why a model of such capabilities will not serve it for this embodiment; the other modes work."""
    steps = embodiment.chunk_size if chunk_size is None else chunk_size
    joints = bool(embodiment.layout.joints)
    every = ""
    if can.domains is not None and embodiment.domain_name not in can.domains:
        every = f"does not know domain {embodiment.domain_name}"
    elif can.action_space is ActionSpace.JOINT and not joints:
        every = "takes joint positions, the embodiment pose deltas; franka_joint is the one for it"
    elif can.action_space is ActionSpace.MODEL and joints and can.domains is not None:
        every = "takes pose deltas, the embodiment joint positions"
    elif (
        can.domains is not None
        and can.action_space is ActionSpace.MODEL
        and embodiment.action_dim != DOMAINS.get(embodiment.domain_name, embodiment.action_dim)
    ):
        every = (
            f"rows of domain {embodiment.domain_name} have {DOMAINS[embodiment.domain_name]} numbers, the embodiment "
            f"has {embodiment.action_dim}"
        )
    elif can.chunk_sizes is not None and steps not in can.chunk_sizes:
        every = f"does not make chunks of {steps} steps"
    if every:
        return dict.fromkeys(Mode, every)
    return {mode: f"has no {mode.value}" for mode in Mode if mode not in can.modes}


def check_embodiment(
    model: WorldModel, embodiment: Embodiment, modes: Iterable[Mode], chunk_size: int | None = None
) -> None:
    """Refuse a pair that cannot work together.

    Raises:
        CapabilityError: Names the model, the embodiment, the mode and the reason.
    """
    refused = refusals(model.capabilities, embodiment, chunk_size)
    for mode in modes:
        if mode in refused:
            raise CapabilityError(
                f"it {refused[mode]} (asked for {mode.value} of embodiment {embodiment.name})",
                where=f"world_model {model.name}",
                hint="See `cosmos-ros world-models`.",
            )


def check_sampling(model: WorldModel, settings: Mapping[str, Value], negative_prompt: str) -> None:
    """Refuse sampler settings and a negative prompt that the model does not take, or values out of range.

    Raises:
        CapabilityError: Names the model, the setting and what is allowed.
    """
    can, where = model.capabilities, f"world_model {model.name}"
    if negative_prompt and not can.negative_prompt:
        raise CapabilityError("it takes no negative prompt", where=where, hint="Leave negative_prompt empty.")
    if can.settings is not None and can.settings <= SETTINGS:
        check_settings(where, settings, can.settings)
    elif can.settings is not None:
        check_names(where, settings, can.settings)
