"""Where the package's own files are: beside the source in a checkout, under share/ when installed."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

from cosmos_ros.errors import ConfigError

PACKAGE = "cosmos_ros"


@lru_cache(maxsize=1)
def share_directory() -> Path:
    """Return the folder that holds ``config/``, ``embodiments/`` and ``launch/``.

    A source checkout (or colcon's symlink install of one) wins over an installed copy, so that an edit to an
    embodiment is seen at once.

    Raises:
        ConfigError: No such folder; the installation is incomplete.
    """
    candidates = [Path(__file__).resolve().parents[1]]
    # An ament prefix or a virtual environment both hold share/<package>; site-packages sits a few levels below.
    candidates += [parent / "share" / PACKAGE for parent in Path(__file__).absolute().parents]
    candidates.append(Path(sys.prefix) / "share" / PACKAGE)
    for candidate in candidates:
        if (candidate / "embodiments").is_dir() and (candidate / "config").is_dir():
            return candidate
    raise ConfigError(
        "the package's data files were not found",
        where=", ".join(str(c) for c in candidates[:1] + candidates[-1:]),
        hint="Install the package again (pip install . or colcon build).",
    )


def resource(*parts: str) -> Path:
    """Return the path of a shipped file or folder, e.g. ``resource("config", "predictor.yaml")``."""
    path = share_directory().joinpath(*parts)
    if not path.exists():
        raise ConfigError("shipped file is missing", where=str(path), hint="Install the package again.")
    return path
