"""Writes what is made from declarations in the code: parameter files, the embodiment schema and tables.

Run by ``make generate``; with ``--check`` it writes nothing and exits 1 when a file is not what it would write.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from cosmos_ros.embodiment.spec import schema_text
from cosmos_ros.nodes.all_parameters import node_parameters
from cosmos_ros.settings import parameters_table, parameters_yaml

ROOT = Path(__file__).resolve().parents[1]


def generated() -> Iterator[tuple[Path, str]]:
    """Yield each generated file, relative to the repository, with its text."""
    yield Path("embodiments/schema.json"), schema_text()
    nodes = node_parameters()
    for node, settings in nodes.items():
        yield Path("config") / f"{node}.yaml", parameters_yaml(node, settings)
    sections = "\n".join(f"## {node}\n\n{parameters_table(settings)}" for node, settings in nodes.items())
    yield (
        Path("docs/reference/parameters.md"),
        "# Parameters\n\nGenerated from the declarations in the code by `make generate`. Files with these values and "
        "their descriptions are in `config/`; `ros2 param describe /guard max_state_age` shows the same while a node "
        f"runs.\n\n{sections}",
    )


def main(arguments: list[str]) -> int:
    """Write the files, or compare them."""
    differing = [
        (path, text)
        for path, text in generated()
        if not (ROOT / path).is_file() or (ROOT / path).read_text(encoding="utf-8") != text
    ]
    for path, text in differing:
        if "--check" in arguments:
            print(f"{path}: not what the code declares; run make generate")
        else:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(text, encoding="utf-8")
            print(f"wrote {path}")
    return 1 if differing and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
