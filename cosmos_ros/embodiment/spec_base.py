"""The common base of the models behind ``embodiments/*.yaml``."""

from __future__ import annotations

from typing import Annotated

try:
    from pydantic import BaseModel, ConfigDict, Field
except ImportError as error:  # Ubuntu 24.04's own pydantic is version 1
    from cosmos_ros.errors import ConfigError

    raise ConfigError(
        f"pydantic 2 is needed: {error}", where="embodiments", hint='Install it: pip install "pydantic>=2.5".'
    ) from error

# No number of a robot in SI units comes near these bounds; they keep the arithmetic after them finite.
Number = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, le=1e9, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_./-]+$")]
Vector3 = Annotated[list[Number], Field(min_length=3, max_length=3)]


class Model(BaseModel):
    """Frozen, and unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, validate_default=True)
