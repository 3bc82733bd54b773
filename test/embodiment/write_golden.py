"""Write golden/*.json with the slow implementation: python test/embodiment/write_golden.py."""

from __future__ import annotations

import json
from pathlib import Path

import slow_reference as slow

for name in slow.REFERENCE:
    physical, normalised, clamped = slow.encode(name, *slow.motion(name))
    content = {"physical": physical, "normalised": normalised, "clamped": clamped}
    path = Path(__file__).parent / "golden" / f"{name}.json"
    path.write_text(json.dumps(content) + "\n", encoding="utf-8")
