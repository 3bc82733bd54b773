"""Reading the guard's ``~/verdict_json`` for viewers."""

from __future__ import annotations

import json
from typing import Any

from cosmos_ros.errors import InputError


def parse_verdict(text: str) -> dict[str, Any]:
    """Return the JSON object; InputError when it is no verdict."""
    try:
        verdict = json.loads(text)
    except ValueError as error:
        raise InputError(f"not JSON: {error}", where="verdict_json") from None
    violations = verdict.get("violations", []) if isinstance(verdict, dict) else None
    if not isinstance(violations, list) or not all(isinstance(v, dict) for v in violations):
        raise InputError("not a verdict", where="verdict_json")
    return dict(verdict)
