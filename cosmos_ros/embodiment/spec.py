"""The embodiment file: one robot in the conventions of one action domain, as validated data.

Robot-specific frames, constants, statistics and limits live only in ``embodiments/*.yaml``; these records say which
fields there are, and their descriptions become the JSON schema for editors.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cosmos_ros.embodiment.spec_action import Action, Domain, GripBlock, Gripper, JointBlock, PoseBlock
from cosmos_ros.embodiment.spec_base import Name, Positive
from cosmos_ros.embodiment.spec_robot import Collision, LimitsSpec, Robot, WorkspaceSpec
from cosmos_ros.schema import Constraint, Record, declare
from cosmos_ros.schema import json_schema as schema_of

ViewPoint = Literal["ego_view", "third_person_view", "wrist_view", "concat_view"]
Tier = Literal[256, 480, 704, 720]
Pixels = Annotated[int, Constraint(ge=1, le=8192)]


@dataclass(frozen=True, kw_only=True)
class ViewSpec(Record):
    """One view of the canvas."""

    divide: int = declare(
        default=1, ge=1, le=8, description="Its size on the canvas: the first view's height and width divided by this."
    )
    max_size: tuple[Pixels, Pixels] | None = declare(
        default=None,
        description="Width and height of the training images; a larger image is scaled down to fit, never up.",
    )
    description: str = declare("", description="Where the camera sits.")


@dataclass(frozen=True, kw_only=True)
class Canvas(Record):
    """How the views become one image."""

    rows: list[list[Name]] = declare(
        min_length=1, max_length=4, description="View names, row by row from the top, each row from left to right."
    )
    tier: Tier = declare(480, description="Resolution tier of the model's canvas table.")


@dataclass(frozen=True, kw_only=True)
class Prompt(Record):
    """The fixed parts of the caption."""

    view_point: ViewPoint = declare(description="Which framing sentence the model was trained with.")
    view_description: str = declare(
        default="", max_length=1000, description="Sentence after the framing sentence, as in the domain's training."
    )


@dataclass(frozen=True, kw_only=True)
class SamplerSpec(Record):
    """Sampler settings recommended for one mode."""

    num_inference_steps: int = declare(ge=1, le=1000, description="Denoising steps.")
    guidance_scale: float = declare(ge=0.0, le=50.0, description="Classifier-free guidance; 1 is off.")
    flow_shift: Positive = declare(description="Shift of the flow-matching schedule.")


@dataclass(frozen=True, kw_only=True)
class Samplers(Record):
    """Recommended sampler settings by mode."""

    policy: SamplerSpec | None = declare(None, description="First image to actions and frames.")
    forward_dynamics: SamplerSpec | None = declare(None, description="First image and actions to frames.")
    inverse_dynamics: SamplerSpec | None = declare(None, description="Frames to actions.")


@dataclass(frozen=True, kw_only=True)
class EmbodimentSpec(Record):
    """One robot in the conventions of one action domain."""

    name: Name = declare(description="Name of the embodiment; the file's name without .yaml.")
    description: str = declare(min_length=1, description="One sentence.")
    domain: Domain = declare(description="Action domain of the world model.")
    fps: Positive = declare(le=1000.0, description="Rate of frames and action rows, 1/s: the domain's training rate.")
    chunk_size: int = declare(ge=1, le=1024, description="T, number of action rows; frames are T + 1.")
    action: Action = declare(description="Columns of one action row.")
    grippers: dict[Name, Gripper] = declare(default_factory=dict, description="By name.")
    cameras: dict[Name, ViewSpec] = declare(min_length=1, max_length=8, description="Views by name, the primary first.")
    canvas: Canvas = declare(description="How the views become one image.")
    prompt: Prompt = declare(description="Fixed parts of the caption.")
    robot: Robot | None = declare(None, description="Left out: tracked by tool poses alone.")
    limits: LimitsSpec | None = declare(None, description="What the robot can follow.")
    collision: Collision | None = declare(None, description="Bodies for the self-collision check.")
    workspace: WorkspaceSpec = declare(WorkspaceSpec(), description="Where the tools may be; yours to set.")
    samplers: Samplers = declare(Samplers(), description="Recommended sampler settings by mode.")
    notes: list[str] = declare(default_factory=list, description="What a user should know, and what is undocumented.")

    def check(self) -> None:
        """Check the fields against each other."""
        self._check_canvas()
        self._check_grippers()
        self._check_joints()

    def _check_canvas(self) -> None:
        placed = [view for row in self.canvas.rows for view in row]
        if sorted(placed) != sorted(self.cameras):
            raise ValueError(f"canvas.rows places {placed}, but cameras are {list(self.cameras)}: each exactly once")
        for index, row in enumerate(self.canvas.rows):
            if len({self.cameras[view].divide for view in row}) > 1:
                raise ValueError(f"canvas.rows[{index}]: views of one row need the same cameras.<view>.divide")
        first = self.canvas.rows[0][0]
        if first != next(iter(self.cameras)) or self.cameras[first].divide != 1:
            raise ValueError(f"cameras: the first must be canvas.rows[0][0] ({first}) and have divide 1")

    def _check_grippers(self) -> None:
        used = [block.grip for block in self.action.layout if isinstance(block, GripBlock)]
        if sorted(used) != sorted(self.grippers):
            raise ValueError(f"action.layout uses grippers {used}, but grippers defines {list(self.grippers)}")

    def _check_joints(self) -> None:
        model_joints = [j for b in self.action.layout if isinstance(b, JointBlock) for j in b.joints]
        if self.robot is None:
            if model_joints:
                raise ValueError("action.layout has a joints block, so robot must be given")
            if self.limits is not None and self.limits.joints:
                raise ValueError("limits.joints is given, so robot must be given")
            for name, gripper in self.grippers.items():
                if gripper.joint is not None:
                    raise ValueError(f"grippers.{name}.joint is given, so robot must be given")
            return
        arm = self.robot.joints
        poses = [block.pose for block in self.action.layout if isinstance(block, PoseBlock)]
        if poses and self.robot.tool_links is not None and sorted(self.robot.tool_links) != sorted(poses):
            raise ValueError(f"robot.tool_links {self.robot.tool_links} must be the links of action.layout, {poses}")
        if model_joints and sorted(model_joints) != sorted(arm):
            raise ValueError(f"action.layout joints {model_joints} must be the robot.joints {arm} in any order")
        missing = [joint for joint in arm if joint not in self.robot.home]
        if missing:
            raise ValueError(f"robot.home lacks {missing}")
        known = [*arm, *(g.joint for g in self.grippers.values() if g.joint)]
        for index, controller in enumerate(self.robot.controllers):
            unknown = [joint for joint in controller.joints if joint not in known]
            if unknown:
                raise ValueError(f"robot.controllers[{index}].joints {unknown} are not among {known}")
        sent = [joint for controller in self.robot.controllers for joint in controller.joints]
        unsent = [joint for joint in arm if joint not in sent]
        if unsent:
            raise ValueError(f"robot.controllers leaves out {unsent}: they would be planned and never sent")
        required = self.limits.required_joints if self.limits is not None else None
        for field, names in (
            ("robot.joints", arm),
            ("robot.controllers: joint", sent),
            ("robot.controllers: topic", [controller.topic for controller in self.robot.controllers]),
        ):
            twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
            if twice:
                raise ValueError(f"{field} {twice[0]} stands twice")
        unknown = [joint for joint in required or () if joint not in known]
        if unknown:
            raise ValueError(f"limits.required_joints {unknown} are not among {known}")


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of an embodiment file, including ``extends``."""
    schema = schema_of(EmbodimentSpec)
    schema["title"] = "cosmos_ros embodiment"
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "Another embodiment file, relative to this one, whose fields are taken unless given here. "
        "Mappings are merged field by field; lists and single values replace.",
    }
    # A file that extends another need not repeat its fields.
    required = schema.pop("required")
    schema["if"] = {"not": {"required": ["extends"]}}
    schema["then"] = {"required": required}
    return schema


def schema_text() -> str:
    """Return the JSON schema as the text of ``embodiments/schema.json``."""
    return json.dumps(json_schema(), indent=2) + "\n"
