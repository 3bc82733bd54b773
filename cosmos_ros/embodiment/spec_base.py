"""Types that the records behind ``embodiments/*.yaml`` share."""

from __future__ import annotations

from typing import Annotated

from cosmos_ros.schema import Constraint

# No number of a robot in SI units comes near these bounds; they keep the arithmetic after them finite.
Number = Annotated[float, Constraint(ge=-1e9, le=1e9)]
Positive = Annotated[float, Constraint(gt=0.0, le=1e9)]
Name = Annotated[str, Constraint(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_./-]+$")]
Vector3 = Annotated[list[Number], Constraint(min_length=3, max_length=3)]
