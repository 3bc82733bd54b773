"""The JSON schema of a record, for editors and for the documentation."""

from __future__ import annotations

import inspect
from typing import Any, get_args, get_origin

from cosmos_ros.schema.fields import Constraint, Record, declarations, is_literal, is_record, options, plain, split

_NUMBERS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_TYPES: dict[Any, str] = {float: "number", int: "integer", str: "string", bool: "boolean"}


def json_schema(record: type[Record]) -> dict[str, Any]:
    """Return the schema (draft 2020-12) of a mapping that can be read as this record."""
    definitions: dict[str, Any] = {}
    schema = _record(record, definitions)
    return {**({"$defs": dict(sorted(definitions.items()))} if definitions else {}), **schema}


def _record(record: type[Record], definitions: dict[str, Any]) -> dict[str, Any]:
    properties = {}
    for field in declarations(record):
        schema = _value(field.type, field.constraint, definitions)
        if field.description:
            schema["description"] = field.description
        if not field.required:
            schema["default"] = plain(field.default)
        properties[field.key] = schema
    required = [field.key for field in declarations(record) if field.required]
    return {
        "additionalProperties": False,
        "description": inspect.cleandoc(record.__doc__ or ""),
        "properties": properties,
        **({"required": required} if required else {}),
        "type": "object",
    }


def _value(hint: Any, constraint: Constraint, definitions: dict[str, Any]) -> dict[str, Any]:
    if choices := options(hint):
        branches = []
        for choice in choices:
            inner, own = split(choice)
            branches.append(
                {"type": "null"} if inner is type(None) else _value(inner, constraint.over(own), definitions)
            )
        return {"anyOf": branches}
    if is_record(hint):
        name = hint.__name__
        if name not in definitions:
            definitions[name] = {}  # it may hold itself
            definitions[name] = _record(hint, definitions)
        return {"$ref": f"#/$defs/{name}"}
    if is_literal(hint):
        allowed = get_args(hint)
        return {"enum": list(allowed), "type": _TYPES[type(allowed[0])]}
    origin, kinds = get_origin(hint), get_args(hint)
    if origin is tuple and kinds[-1] is not Ellipsis:
        items = [_value(*split(kind), definitions) for kind in kinds]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if origin in (list, tuple):
        lengths = _lengths(constraint, "Items")
        return {"type": "array", "items": _value(*split(kinds[0]), definitions), **lengths}
    if origin is dict:
        (_, key), entry = split(kinds[0]), _value(*split(kinds[1]), definitions)
        return {"type": "object", "patternProperties": {key.pattern or "": entry}, **_lengths(constraint, "Properties")}
    bounds = {_NUMBERS[name]: bound for name in _NUMBERS if (bound := getattr(constraint, name)) is not None}
    pattern = {"pattern": constraint.pattern} if constraint.pattern else {}
    return {"type": _TYPES[hint], **bounds, **_lengths(constraint, "Length"), **pattern}


def _lengths(constraint: Constraint, suffix: str) -> dict[str, int]:
    ends = {f"min{suffix}": constraint.min_length, f"max{suffix}": constraint.max_length}
    return {name: length for name, length in ends.items() if length is not None}
