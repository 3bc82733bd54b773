"""Whether the engine may serve a backend's options, and whether its layers can be compiled here."""

from __future__ import annotations

import importlib.util
import os
import shutil

from cosmos_ros.errors import ConfigError
from cosmos_ros.world_models.backends.cosmos3 import Cosmos3Options
from cosmos_ros.world_models.cosmos3.checkpoint import WHERE


def engine_wanted(options: Cosmos3Options, *, cuda: bool) -> bool:
    """Return whether the engine is to be used.

    Raises:
        ConfigError: It was asked for together with an option that only the stock pipeline has.
    """
    if options.engine == "off" or (options.engine == "auto" and not cuda):
        return False
    stock_only = {
        "offload": options.offload != "none",
        "guardrail": options.guardrail,
        "stock_inputs": options.stock_inputs,
        "compile_blocks": options.compile_blocks,
    }
    needing = [name for name, given in stock_only.items() if given]
    if needing and options.engine == "on":
        raise ConfigError(
            f"the engine does not go with {', '.join(needing)}",
            where=WHERE,
            hint="Leave that out, or set engine to off.",
        )
    return not needing


def can_compile() -> bool:
    """True when torch's compiler finds what it needs: Triton and a C compiler."""
    compilers = (os.environ.get("CC", ""), "cc", "gcc", "clang")
    return importlib.util.find_spec("triton") is not None and any(shutil.which(name) for name in compilers if name)
