"""Entry point of ``cosmos-ros``: finds the verbs in this folder and runs one."""

from __future__ import annotations

import ast
import importlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cosmos_ros
from cosmos_ros.cli._signals import Ended, as_interrupts
from cosmos_ros.errors import ConfigError, CosmosRosError

_SHELLS = ("bash", "zsh")


def verbs() -> dict[str, str]:
    """Return verb → what it does, as the docstrings in this folder say; nothing is imported."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        if path.stem != "main":
            first, *_ = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()
            found[path.stem.replace("_", "-")] = first.partition(": ")[2]
    return found


def verb_of(name: str) -> Any:
    """Import a verb; return its dataclass, or a dict of one for each of its actions.

    Raises:
        ConfigError: The package that reads the command line is not installed.
    """
    try:
        return importlib.import_module(f"cosmos_ros.cli.{name.replace('-', '_')}").VERB
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "tyro":
            raise
        raise ConfigError("the package tyro is not installed", hint="Install it: pip install tyro.") from None


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return its exit status. Known errors end in one line on stderr and status 2."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        run = _chosen(words)
        with as_interrupts():
            status = run()
            sys.stdout.flush()
            return status
    except CosmosRosError as error:
        print(" ".join(["cosmos-ros", *words[:1]]) + f": {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read it, as head does, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Ended as end:
        return 128 + end.number
    except KeyboardInterrupt:
        return 130
    except RuntimeError as error:  # what Python before 3.12 makes of one that comes while a class is made
        if not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        return 128 + getattr(error.__cause__, "number", signal.SIGINT)


def _chosen(words: list[str]) -> Callable[[], int]:
    """Read the command line; return what it asks for."""
    known = verbs()
    first = words[0] if words else ""
    if first == "--version":
        return partial(_print, cosmos_ros.__version__)
    if first == "--print-completion":
        return partial(_print_completion, known, words[1:])
    if first not in known:
        options = {"--version": "print the version", f"--print-completion {{{','.join(_SHELLS)}}}": "for the shell"}
        return _overview("cosmos-ros", "VERB", str(cosmos_ros.__doc__).partition("\n")[0], {**known, **options}, first)
    verb, called, rest = verb_of(first), f"cosmos-ros {first}", words[1:]
    if isinstance(verb, dict):
        action, *rest = rest or [""]
        if action not in verb:
            lines = {name: str(kind.__doc__).partition("\n")[0] for name, kind in verb.items()}
            return _overview(called, "ACTION", known[first], lines, action)
        verb, called = verb[action], f"{called} {action}"
    from cosmos_ros.cli._arguments import parse

    return partial(_status_of, parse(verb, called, rest))


def _status_of(verb: Any) -> int:
    return int(verb.run())


def _print(text: str) -> int:
    print(text)
    return 0


def _overview(called: str, what: str, description: str, lines: Mapping[str, str], asked: str) -> Callable[[], int]:
    """Return the printing of what there is to choose from; raise the same when something else was asked for."""
    if asked in ("-h", "--help"):
        width = max(len(name) for name in lines)
        listed = "\n".join(f"  {name:{width}}  {line}" for name, line in lines.items())
        head = f"usage: {called} [-h] {what} ...\n\n{description}\n"
        return partial(_print, f"{head}\n{listed}\n\nEach has options of its own: {called} {what} --help")
    names = ", ".join(name for name in lines if not name.startswith("-"))
    problem = f"{asked!r} is not known" if asked else f"{what} is missing"
    raise ConfigError(f"{problem}; choose one of: {names}")


def _print_completion(known: Mapping[str, str], words: Sequence[str]) -> int:
    if len(words) != 1 or words[0] not in _SHELLS:
        raise ConfigError(f"choose one of: {', '.join(_SHELLS)}", where="--print-completion")
    tree = {name: verb_of(name) for name in known}
    from cosmos_ros.cli._arguments import completion

    print(completion(tree, words[0]))
    return 0


if __name__ == "__main__":
    sys.exit("run it as: python -m cosmos_ros.cli")
