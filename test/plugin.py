"""World models of somebody else's, as an installed distribution would announce them."""

from __future__ import annotations

from pathlib import Path


def announce(folder: Path, name: str, **backends: str) -> None:
    """Write the metadata of a distribution into a folder that is, or will be, on the path.

    Args:
        folder: Where its modules are, too, or elsewhere on the path.
        name: Of the distribution.
        backends: World model → ``module:object``.
    """
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"{key} = {value}" for key, value in backends.items()]
    (info / "entry_points.txt").write_text("\n".join(["[cosmos_ros.world_models]", *lines, ""]))
