"""Writes what is made from declarations in the code: parameter files, the embodiment schema and tables.

Run by ``make generate``; with ``--check`` it writes nothing and exits 1 when a file is not what it would write.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from cosmos_ros.embodiment import list_embodiments, load_embodiment
from cosmos_ros.embodiment.spec import schema_text
from cosmos_ros.nodes.all_parameters import node_parameters
from cosmos_ros.settings import parameters_table, parameters_yaml
from cosmos_ros.world_models.compatibility_table import backends_markdown, markdown, options_markdown, survey

ROOT = Path(__file__).resolve().parents[1]


def generated() -> Iterator[tuple[Path, str]]:
    """Yield each generated file, relative to the repository, with its text."""
    yield Path("embodiments/schema.json"), schema_text()
    nodes = node_parameters()
    for node, settings in nodes.items():
        yield Path("config") / f"{node}.yaml", parameters_yaml(node, settings)
    embodiments = [load_embodiment(name) for name in list_embodiments()]
    tables = {"backends": backends_markdown(), "table": markdown(survey(embodiments)), "options": options_markdown()}
    yield filled(Path("docs/reference/world_models.md"), tables)
    sections = "\n".join(f"## {node}\n\n{parameters_table(settings)}" for node, settings in nodes.items())
    yield (
        Path("docs/reference/parameters.md"),
        "# Parameters\n\nGenerated from the declarations in the code by `make generate`. Files with these values and "
        "their descriptions are in `config/`; `ros2 param describe /guard max_state_age` shows the same while a node "
        f"runs.\n\n{sections}",
    )


def filled(path: Path, tables: dict[str, str]) -> tuple[Path, str]:
    """Return a hand-written page with the tables between its marks made again."""
    text = (ROOT / path).read_text(encoding="utf-8")
    for mark, table in tables.items():
        before, _, rest = text.partition(f"<!-- {mark} -->\n")
        _, end, after = rest.partition(f"\n<!-- /{mark} -->")
        text = f"{before}<!-- {mark} -->\n{table}{end}{after}"
    return path, text


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
