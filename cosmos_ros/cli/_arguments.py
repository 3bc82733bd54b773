"""How ``tyro`` reads this command line: types of options beyond its own, and completion."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import make_dataclass
from enum import Enum
from functools import reduce
from itertools import zip_longest
from operator import or_
from typing import Annotated, Any, get_args

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from cosmos_ros.errors import ConfigError
from cosmos_ros.named_values import comma_separated, named_values

_CONFIG = (
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.DisallowNone,
    tyro.conf.OmitSubcommandPrefixes,
    tyro.conf.OmitArgPrefixes,
)
RULES = ConstructorRegistry()


def _one_text(metavar: str, read: Callable[[str], Any], write: Callable[[Any], str], kind: type) -> Any:
    """Return the rule of a value that is one text."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda texts: read(texts[0]),
        is_instance=lambda value: isinstance(value, kind),
        str_from_instance=lambda value: [write(value)],
    )


LAUNCH_ARGUMENTS: PrimitiveConstructorSpec[dict[str, str]] = PrimitiveConstructorSpec(
    nargs="*",
    metavar="[name:=value ...]",
    instance_from_str=lambda texts: named_values(texts, where="arguments", form="name:=value", may_be_empty=True),
    is_instance=lambda value: isinstance(value, dict),
    str_from_instance=lambda pairs: [f"{name}:={value}" for name, value in pairs.items()],
)


@RULES.primitive_rule
def _texts_with_commas(info: PrimitiveTypeInfo) -> Any:
    """Mappings are NAME=VALUE,...; tuples and sets are NAME,... unless an option is repeated or has no name.

    A ``Sequence[str]`` takes several words.
    """
    if isinstance(info.type_origin, type) and issubclass(info.type_origin, Mapping):
        return _one_text(
            "NAME=VALUE,...",
            lambda text: named_values(comma_separated(text), where="arguments"),
            lambda pairs: ",".join(f"{name}={value}" for name, value in pairs.items()),
            Mapping,
        )
    if info.type_origin is frozenset:
        (kind,) = get_args(info.type)
        return _one_text(
            "NAME,...",
            lambda text: _members(kind, text),
            lambda value: ",".join(sorted(member.value for member in value)),
            frozenset,
        )
    several = {tyro.conf.UseAppendAction, tyro.conf.Positional} & info.markers
    if info.type_origin is tuple and get_args(info.type) == (str, ...) and not several:
        return _one_text("NAME,...", comma_separated, ",".join, tuple)
    return None


def _members(kind: type[Enum], text: str) -> frozenset[Enum]:
    try:
        return frozenset(kind(name) for name in comma_separated(text))
    except ValueError as error:
        allowed = ", ".join(str(member.value) for member in kind)
        raise ConfigError(f"{error}; allowed: {allowed}", where="arguments") from None


def parse(verb: Any, called: str, words: Sequence[str]) -> Any:
    """Return an instance of a verb's dataclass; after ``--help`` or wrong words the process ends as argparse's would.

    Raises:
        CosmosRosError: A value is not what its option takes.
    """
    # A verb may describe itself when it runs, with what is installed.
    describe: Callable[[], str] | None = getattr(verb, "describe", None)
    given = list(words)
    for option, value in getattr(verb, "VALUES_LEFT_OUT", {}).items():
        given = _with_value(given, option, value)
    return tyro.cli(
        verb, prog=called, description=describe() if describe else None, args=given, config=_CONFIG, registry=RULES
    )


def _with_value(words: Sequence[str], option: str, value: str) -> list[str]:
    """Write the value that an option means when a number does not follow it."""
    found = []
    for word, following in zip_longest(words, words[1:], fillvalue=""):
        found.append(word)
        if word == option and not following.replace(".", "", 1).isdigit():
            found.append(value)
    return found


def completion(tree: Mapping[str, Any], shell: str) -> str:
    """Return the shell's completion script for all verbs."""
    kinds = {
        name: make_dataclass(f"{name}_", [("action", _one_of(verb))]) if isinstance(verb, dict) else verb
        for name, verb in tree.items()
    }
    script = io.StringIO()
    with contextlib.redirect_stdout(script), contextlib.suppress(SystemExit):
        tyro.cli(
            _one_of(kinds), prog="cosmos-ros", args=["--tyro-print-completion", shell], config=_CONFIG, registry=RULES
        )
    return script.getvalue()


def _one_of(kinds: Mapping[str, Any]) -> Any:
    return reduce(or_, (Annotated[kind, tyro.conf.subcommand(name)] for name, kind in kinds.items()))
