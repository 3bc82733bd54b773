"""Records of the action part of an embodiment file: layout, grippers, normaliser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

import numpy as np

from cosmos_ros.embodiment.spec_base import Name, Number, Positive
from cosmos_ros.schema import Constraint, FieldError, Record, declare
from cosmos_ros.types import FloatArray

# Metres. A tool frame in millimetres lies far beyond.
LARGEST_TOOL = 2.0

N = TypeVar("N", float, FloatArray)
Row = Annotated[list[Number], Constraint(min_length=3, max_length=4)]


@dataclass(frozen=True, kw_only=True)
class Domain(Record):
    """The action domain of the world model."""

    name: Name = declare(description="Domain name as the model's servers spell it, e.g. droid_lerobot.")
    id: int = declare(ge=0, le=31, description="Row of the model's domain-aware action layers, 0 to 31.")


@dataclass(frozen=True, kw_only=True)
class PoseBlock(Record):
    """Nine columns: translation (m), then the first two columns of the rotation matrix.

    The block is the pose of the next step in the current action frame, ``inv(A_k) @ A_(k+1)``, where the action
    frame is ``A = link @ tool_frame``.
    """

    pose: Name = declare(description="Name of the tracked link in the robot model; tool poses are given for it.")
    tool_frame: list[Row] | None = declare(
        default=None,
        min_length=3,
        max_length=4,
        description="Constant that turns the link frame into the model's action frame, multiplied from the right: a "
        "3x3 rotation or a 4x4 pose in metres. Left out: identity.",
    )

    def check(self) -> None:
        """Check that the constant is a rotation or a pose in metres."""
        if self.tool_frame is None:
            return
        matrix = np.array([row for row in self.tool_frame if len(row) == len(self.tool_frame)], dtype=np.float64)
        if matrix.shape not in ((3, 3), (4, 4)):
            raise FieldError("tool_frame", "must be a 3x3 rotation or a 4x4 pose, row by row")
        rotation = matrix[:3, :3]
        # Six decimals are what is commonly published for calibrated frames.
        if np.abs(rotation.T @ rotation - np.eye(3)).max() > 1e-5 or np.linalg.det(rotation) < 0.0:
            raise FieldError("tool_frame", "its rotation must be orthonormal with determinant +1 (checked to 1e-5)")
        if matrix.shape == (4, 4) and not np.array_equal(matrix[3], [0.0, 0.0, 0.0, 1.0]):
            raise FieldError("tool_frame", "the last row of a 4x4 pose must be [0, 0, 0, 1]")
        if matrix.shape == (4, 4) and np.abs(matrix[:3, 3]).max() > LARGEST_TOOL:
            problem = f"its translation must be in metres, at most {LARGEST_TOOL:g} along each axis"
            raise FieldError("tool_frame", problem)

    def matrix(self) -> FloatArray:
        """Return the constant as ``float64 [4, 4]`` with its rotation made exactly orthonormal."""
        result = np.eye(4)
        if self.tool_frame is not None:
            given = np.array(self.tool_frame, dtype=np.float64)
            result[: len(given), : len(given)] = given
            u, _, vt = np.linalg.svd(result[:3, :3])
            projected = u @ vt
            # Exact constants (0, 1, -1) stay exact; only rounded calibrations are projected.
            if np.abs(projected - result[:3, :3]).max() > 1e-15:
                result[:3, :3] = projected
        return result


@dataclass(frozen=True, kw_only=True)
class GripBlock(Record):
    """One column: the absolute opening of a gripper."""

    grip: Name = declare(description="Name of the gripper, one of `grippers`.")
    row: Literal["k", "k+1"] = declare(
        description="Which recorded row the column of action k holds: the command of row k, or the state of row k+1."
    )


@dataclass(frozen=True, kw_only=True)
class JointBlock(Record):
    """Absolute joint positions (rad), for joint-space policies."""

    joints: list[Name] = declare(min_length=1, max_length=64, description="Joint names in the model's column order.")


# The key that only one of them has says which it is.
Block = PoseBlock | GripBlock | JointBlock


@dataclass(frozen=True, kw_only=True)
class GripperRange(Record):
    """The two ends of a gripper scale."""

    closed: Number = declare(description="Value when closed.")
    open: Number = declare(description="Value when open.")

    def check(self) -> None:
        """Check the fields against each other."""
        if self.closed == self.open:
            raise ValueError("closed and open must differ")

    def fraction(self, value: N) -> N:
        """Return the opening (0 closed, 1 open) of a number on this scale."""
        return (value - self.closed) / (self.open - self.closed)

    def value(self, fraction: N) -> N:
        """Return the number on this scale of an opening (0 closed, 1 open)."""
        return self.closed + fraction * (self.open - self.closed)


@dataclass(frozen=True, kw_only=True)
class Gripper(Record):
    """One gripper, in every scale that is used for it."""

    model: GripperRange = declare(
        description="The number in the action column before normalisation: closed 0 and open 1 for the robot domains, "
        "metres of opening for umi."
    )
    model_unit: Literal["fraction", "metres"] = declare("fraction", description="Unit of `model`.")
    recorded: GripperRange | None = declare(
        default=None,
        description="The number in the recorded data this domain was trained on (e.g. closed 1, open 0 in DROID; "
        "closed 120, open 0 in AgiBot World). Used when data sets are imported.",
    )
    joint: Name | None = declare(None, description="Joint that moves it, as it stands in joint_states.")
    joint_range: GripperRange | None = declare(None, description="Position of that joint, rad or m.")
    width: GripperRange | None = declare(None, description="Opening between the fingers in metres.")
    speed: tuple[Number, Number] | None = declare(None, description="Slowest and fastest opening speed, m/s.")
    force: tuple[Number, Number] | None = declare(None, description="Weakest and strongest grip, N.")
    source: str = declare("", description="Where the numbers are from.")

    def check(self) -> None:
        """Check the fields against each other."""
        if (self.joint is None) != (self.joint_range is None):
            raise ValueError("joint and joint_range belong together")
        if self.model_unit == "metres" and self.width is None:
            raise ValueError("a gripper in metres needs width")
        for field, ends in (("speed", self.speed), ("force", self.force)):
            if ends is not None and not 0.0 <= ends[0] <= ends[1]:
                raise ValueError(f"{field} must be [least, most], neither negative, got {list(ends)}")


@dataclass(frozen=True, kw_only=True)
class NormaliserSpec(Record):
    """How physical action numbers become the model's numbers."""

    kind: Literal["quantile", "none", "translation_scale"] = declare(
        description="quantile: n = 2 (a - q01) / (q99 - q01) - 1 for each column. none: n = a. "
        "translation_scale: the three translations of each pose block times `scale`, the rest as it is."
    )
    q01: list[Number] = declare(default_factory=list, max_length=64, description="First percentile of each column.")
    q99: list[Number] = declare(default_factory=list, max_length=64, description="Last percentile of each column.")
    scale: Positive = declare(1.0, description="Only for translation_scale.")
    clamp: bool = declare(True, description="Clamp normalised actions that are sent to the model to [-1, 1].")
    source: str = declare("", description="Where the statistics are from.")

    def check(self) -> None:
        """Check the fields against each other."""
        if self.kind == "quantile":
            if not self.q01 or len(self.q01) != len(self.q99):
                raise ValueError(f"quantile needs q01 and q99 of equal length, got {len(self.q01)} and {len(self.q99)}")
            for column, (low, high) in enumerate(zip(self.q01, self.q99, strict=True)):
                if not high - low > 1e-9:
                    raise ValueError(f"q99[{column}] = {high} must be above q01[{column}] = {low} by more than 1e-9")
        elif self.q01 or self.q99:
            raise ValueError(f"q01 and q99 belong to kind quantile, not {self.kind}")
        if self.kind != "translation_scale" and self.scale != 1.0:
            raise ValueError(f"scale belongs to kind translation_scale, not {self.kind}")
        if self.kind != "quantile" and self.clamp:
            raise ValueError(f"clamp belongs to kind quantile: set clamp: false for {self.kind}")


@dataclass(frozen=True, kw_only=True)
class Orthonormality(Record):
    """Gates on ``max(||c0| - 1|, ||c1| - 1|, |c0 . c1|)`` of decoded rotation-6d blocks."""

    warn: Positive = declare(0.01, description="Above this a decoded chunk carries a warning.")
    reject: Positive = declare(0.05, description="Above this a chunk is refused.")

    def check(self) -> None:
        """Check the fields against each other."""
        if self.warn > self.reject:
            raise ValueError(f"warn {self.warn} must not be above reject {self.reject}")


@dataclass(frozen=True, kw_only=True)
class Action(Record):
    """The columns of one action row."""

    layout: list[Block] = declare(min_length=1, max_length=16, description="Blocks in column order.")
    normaliser: NormaliserSpec = declare(description="Physical numbers to the model's numbers.")
    orthonormality: Orthonormality = declare(Orthonormality(), description="Gates of the rotation check.")

    @property
    def dimension(self) -> int:
        """Number of columns D."""
        return sum(block_width(block) for block in self.layout)

    def check(self) -> None:
        """Check the fields against each other."""
        width = self.dimension
        if self.normaliser.kind == "quantile" and len(self.normaliser.q01) != width:
            raise ValueError(f"the layout has {width} columns, but q01 and q99 have {len(self.normaliser.q01)} values")
        names = [block.pose for block in self.layout if isinstance(block, PoseBlock)]
        names += [block.grip for block in self.layout if isinstance(block, GripBlock)]
        names += [joint for block in self.layout if isinstance(block, JointBlock) for joint in block.joints]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name} stands twice in the layout")


def block_width(block: Block) -> int:
    """Return the number of columns of one block."""
    if isinstance(block, PoseBlock):
        return 9
    return 1 if isinstance(block, GripBlock) else len(block.joints)
