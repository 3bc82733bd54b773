"""Reads NAME=VALUE texts: options, settings, topics of views, launch arguments."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from cosmos_ros.errors import ConfigError


def named_values(
    texts: Iterable[str],
    *,
    where: str,
    form: str = "NAME=VALUE",
    names: Collection[str] | None = None,
    unnamed: str = "",
    may_be_empty: bool = False,
) -> dict[str, str]:
    """Return name → value, both stripped.

    Args:
        texts: One pair each.
        where: What they are, for errors.
        form: How a pair is written, for errors; with ``:=`` in it, that stands between name and value.
        names: Names that are known; None takes any.
        unnamed: Name of a text that has none; empty: every text must have one.
        may_be_empty: Whether a value may be empty.

    Raises:
        ConfigError: A text is not a pair, or a name is unknown or given twice.
    """
    sign = ":=" if ":=" in form else "="
    found: dict[str, str] = {}
    for text in texts:
        name, between, value = (part.strip() for part in text.partition(sign))
        if unnamed and not between:
            name, value = unnamed, name
        elif not between or not name or not (value or may_be_empty):
            raise ConfigError(f"'{text.strip()}' is not {form}", where=where)
        if names is not None and name not in names:
            raise ConfigError(f"'{name}' is not one of {', '.join(names) or '(none)'}", where=where)
        if name in found:
            raise ConfigError(f"'{name}' is given twice", where=where)
        found[name] = value
    return found


def comma_separated(text: str) -> tuple[str, ...]:
    """Return the parts of a list that is written with commas, stripped, without empty ones."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def plain_value(text: str) -> int | float | bool | str:
    """Return what a text means when nothing says its type: a whole number, a number, true or false, or itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
