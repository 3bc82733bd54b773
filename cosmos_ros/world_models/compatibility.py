"""Which world model serves which embodiment, asked at configure time and never at the robot."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from cosmos_ros.errors import CapabilityError, ConfigError
from cosmos_ros.types import ActionSpace, Mode
from cosmos_ros.world_models.domains import DOMAINS
from cosmos_ros.world_models.protocol import WorldModel
from cosmos_ros.world_models.sampler_settings import SETTINGS, Value, check_settings

if TYPE_CHECKING:
    from cosmos_ros.embodiment import Embodiment

# What each shipped backend is created with to be asked what it can do; nothing is loaded or connected by that.
_EXAMPLES: dict[str, tuple[tuple[str, dict[str, str]], ...]] = {
    "persistence": (("persistence", {}),),
    "flow": (("flow", {}),),
    "cosmos3": (("cosmos3", {"model": "nvidia/Cosmos3-Nano"}),),
    "vllm_omni": (("vllm_omni", {"model": "http://localhost:8000"}),),
    "nim": (
        ("nim", {"model": "http://localhost:8000"}),
        ("nim nano-droid", {"model": "http://localhost:8000", "variant": "nano-droid"}),
    ),
    "openpi": (("openpi", {"model": "ws://localhost:8000"}),),
}
_LETTERS = {Mode.POLICY: "P", Mode.FORWARD_DYNAMICS: "F", Mode.INVERSE_DYNAMICS: "I"}


def refusals(model: WorldModel, embodiment: Embodiment, chunk_size: int | None = None) -> dict[Mode, str]:
    """Return mode → why the model will not serve it for this embodiment; a mode that is not there works."""
    can = model.capabilities
    steps = embodiment.chunk_size if chunk_size is None else chunk_size
    joints = bool(embodiment.layout.joints)
    every = ""
    if can.domains is not None and embodiment.domain_name not in can.domains:
        every = f"does not speak domain {embodiment.domain_name}"
    elif can.action_space is ActionSpace.JOINT and not joints:
        every = "speaks joint positions, the embodiment pose deltas; franka_joint is the one for it"
    elif can.action_space is ActionSpace.MODEL and joints and can.domains is not None:
        every = "speaks pose deltas, the embodiment joint positions"
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
    refused = refusals(model, embodiment, chunk_size)
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
    if can.settings is not None and can.settings <= set(SETTINGS):
        check_settings(where, settings, can.settings)
    elif can.settings is not None and set(settings) - can.settings:
        unknown = sorted(set(settings) - can.settings)
        raise CapabilityError(f"settings {unknown} are not known; allowed: {sorted(can.settings)}", where=where)


def survey(embodiments: Iterable[Embodiment]) -> dict[str, dict[str, Mapping[Mode, str]]]:
    """Return embodiment → backend (with its variant) → refusals, for the shipped backends."""
    from cosmos_ros.world_models.registry import create_world_model

    found: dict[str, dict[str, Mapping[Mode, str]]] = {}
    for embodiment in embodiments:
        row: dict[str, Mapping[Mode, str]] = {}
        for name, variants in _EXAMPLES.items():
            for label, options in variants:
                row[label] = refusals(create_world_model(name, **options), embodiment)
        try:
            expert = create_world_model("expert", embodiment=embodiment.name)
        except ConfigError as error:
            row["expert"] = dict.fromkeys(Mode, error.message)
        else:
            row["expert"] = refusals(expert, embodiment)
        found[embodiment.name] = row
    return found


def markdown(found: Mapping[str, Mapping[str, Mapping[Mode, str]]]) -> str:
    """Return a survey as a Markdown table with numbered reasons below it."""
    labels = list(next(iter(found.values())))
    notes: list[str] = []

    def cell(refused: Mapping[Mode, str]) -> str:
        works = [letter for mode, letter in _LETTERS.items() if mode not in refused]
        if works:
            return " ".join(works)
        numbers = []
        for reason in dict.fromkeys(refused.values()):
            # The names stand in the table already; without them one note serves many cells.
            note = re.sub(r"domain \S+", "the embodiment's domain", reason)
            note = re.sub(r"^embodiment \S+ is", "drives embodiments of one arm and one gripper; this is", note)
            if note not in notes:
                notes.append(note)
            numbers.append(str(notes.index(note) + 1))
        return f"– ({', '.join(numbers)})"

    lines = [f"| embodiment | {' | '.join(labels)} |", "|" + " --- |" * (len(labels) + 1)]
    for name, row in found.items():
        lines.append(f"| {name} | {' | '.join(cell(row[label]) for label in labels)} |")
    lines += ["", "P policy, F forward dynamics, I inverse dynamics, – refused because the backend", ""]
    lines += [f"{number}. {note}" for number, note in enumerate(notes, start=1)]
    return "\n".join(lines)
