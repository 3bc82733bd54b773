"""Tables of the backends, made of what they declare: what each needs, and what works with which robot."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cosmos_ros.errors import ConfigError
from cosmos_ros.types import Mode
from cosmos_ros.world_models.compatibility import refusals
from cosmos_ros.world_models.registry import find_backend, world_model_names

if TYPE_CHECKING:
    from cosmos_ros.embodiment import Embodiment

_LETTERS = {Mode.POLICY: "P", Mode.FORWARD_DYNAMICS: "F", Mode.INVERSE_DYNAMICS: "I"}


def survey(embodiments: Sequence[Embodiment]) -> dict[str, dict[str, Mapping[Mode, str]]]:
    """Return embodiment → backend (each of its examples) → mode → why it is refused; nothing is loaded."""
    found: dict[str, dict[str, Mapping[Mode, str]]] = {embodiment.name: {} for embodiment in embodiments}
    for name in world_model_names():
        for embodiment in embodiments:
            found[embodiment.name] |= _refusals_of(name, embodiment)
    return found


def _refusals_of(name: str, embodiment: Embodiment) -> dict[str, Mapping[Mode, str]]:
    try:
        backend = find_backend(name)
    except ConfigError as error:  # another package's
        return {name: dict.fromkeys(Mode, error.message)}
    row: dict[str, Mapping[Mode, str]] = {}
    robot = {"embodiment": str(embodiment.path)} if "embodiment" in backend.settings else {}
    for label, example in (backend.examples or {name: {}}).items():
        try:
            can = backend.capabilities(backend.make_options({**example, **robot}))
        except ConfigError as error:
            row[label] = dict.fromkeys(Mode, error.message)
        else:
            row[label] = refusals(can, embodiment)
    return row


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


def backends_markdown() -> str:
    """Return a Markdown table of the backends: what each is, and what it needs."""
    lines = ["| name | what it is | needs |", "| --- | --- | --- |"]
    for backend in map(find_backend, world_model_names()):
        packages = ", ".join(f"`{package}`" for package in backend.packages)
        needs = "; ".join(text for text in (packages, backend.hardware) if text)
        lines.append(f"| `{backend.name}` | {backend.summary} | {needs or 'nothing'} |")
    return "\n".join(lines)


def options_markdown() -> str:
    """Return a Markdown table of the options of all backends."""
    lines = ["| backend | option | default | allowed | meaning |", "| --- | --- | --- | --- | --- |"]
    for name in world_model_names():
        label = f"`{name}`"
        for one in find_backend(name).settings.values():
            default = f"`{str(one.default).lower() if isinstance(one.default, bool) else one.default}`"
            lines.append(
                f"| {label} | `{one.name}` | {default if one.default != '' else ''} | {one.range} | {one.help} |"
            )
            label = ""
    return "\n".join(lines)
