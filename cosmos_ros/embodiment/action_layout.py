"""The action layout of one embodiment, compiled from its file to column numbers and constants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosmos_ros.embodiment.spec import EmbodimentSpec
from cosmos_ros.embodiment.spec_action import GripBlock, Gripper, JointBlock, PoseBlock, block_width
from cosmos_ros.types import FloatArray

_POSE_COLUMNS = ("x", "y", "z", "c0x", "c0y", "c0z", "c1x", "c1y", "c1z")


@dataclass(frozen=True)
class PoseColumns:
    """A pose block: nine columns from ``start``.

    Attributes:
        start: First column.
        link: Link of the robot model.
        tool_frame: ``float64 [4, 4]`` constant C with ``A = link @ C``.
    """

    start: int
    link: str
    tool_frame: FloatArray


@dataclass(frozen=True)
class GripColumn:
    """A gripper column. ``offset`` is 0 where it holds the recorded row k, 1 for row k+1."""

    column: int
    gripper: str
    offset: int
    scale: Gripper

    def to_model(self, opening: FloatArray) -> FloatArray:
        """Return the model's physical number of an opening fraction (0 closed, 1 open)."""
        return self.scale.model.value(opening)

    def to_opening(self, value: FloatArray) -> FloatArray:
        """Return the opening fraction (0 closed, 1 open) of the model's physical number."""
        return self.scale.model.fraction(value)


@dataclass(frozen=True)
class JointColumns:
    """Absolute joint positions from ``start``, in the model's order."""

    start: int
    joints: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """All columns of an action row.

    Attributes:
        width: D.
        poses, grips, joints: Blocks in column order.
        names: What each column is, e.g. ``panda_link8.c0y`` or ``gripper``.
    """

    width: int
    poses: tuple[PoseColumns, ...]
    grips: tuple[GripColumn, ...]
    joints: tuple[JointColumns, ...]
    names: tuple[str, ...]

    @classmethod
    def from_spec(cls, spec: EmbodimentSpec) -> Layout:
        """Compile the layout of an embodiment file."""
        poses: list[PoseColumns] = []
        grips: list[GripColumn] = []
        joints: list[JointColumns] = []
        names: list[str] = []
        for block in spec.action.layout:
            start = len(names)
            if isinstance(block, PoseBlock):
                poses.append(PoseColumns(start, block.pose, block.matrix()))
                names += [f"{block.pose}.{column}" for column in _POSE_COLUMNS]
            elif isinstance(block, GripBlock):
                grips.append(GripColumn(start, block.grip, int(block.row == "k+1"), spec.grippers[block.grip]))
                names.append(block.grip)
            elif isinstance(block, JointBlock):
                joints.append(JointColumns(start, tuple(block.joints)))
                names += block.joints
            assert len(names) == start + block_width(block)
        return cls(len(names), tuple(poses), tuple(grips), tuple(joints), tuple(names))

    def identity_row(self) -> FloatArray:
        """Return the physical row ``float64 [D]`` of "no motion", grippers and joints left at zero."""
        row = np.zeros(self.width)
        for block in self.poses:
            row[[block.start + 3, block.start + 7]] = 1.0
        return row

    def joint_space(self, joint_names: tuple[str, ...]) -> Layout:
        """Return the layout of a joint-space policy for the same robot: joints in order, then the grippers.

        The layout itself when it already has joint columns.
        """
        if self.joints:
            return self
        width = len(joint_names)
        grips = tuple(GripColumn(width + i, g.gripper, g.offset, g.scale) for i, g in enumerate(self.grips))
        names = (*joint_names, *(g.gripper for g in grips))
        return Layout(len(names), (), grips, (JointColumns(0, joint_names),), names)
