"""The backend ``expert``: a script that reads the simulator's scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cosmos_ros.errors import ConfigError
from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.types import Mode
from cosmos_ros.world_models.backend import ModelBackend
from cosmos_ros.world_models.protocol import Capabilities

if TYPE_CHECKING:
    from cosmos_ros.embodiment import Embodiment

_WHERE = "world_model expert"


@dataclass(frozen=True)
class ExpertOptions(DeclaredSettings):
    """Options of ``expert``."""

    embodiment: str = setting(
        "franka", "Shipped embodiment or path of its YAML file; end-effector deltas, and a robot the simulator has."
    )
    frames: bool = setting(True, "Render the plan; without, answers carry no frames and forward_dynamics is refused.")
    frame_scale: float = setting(
        1.0, "Rendered size of the views relative to what the canvas shows of them.", minimum=0.1, maximum=1.0
    )


def drivable_embodiment(options: ExpertOptions) -> Embodiment:
    """Return the embodiment; ConfigError when it is not one that the script can drive."""
    from cosmos_ros.embodiment import load_embodiment

    embodiment = load_embodiment(options.embodiment)
    layout = embodiment.layout
    if not layout.poses or not layout.grips or layout.joints:
        raise ConfigError("drives hands with grippers by pose deltas, which the embodiment has not", where=_WHERE)
    return embodiment


def capabilities(options: ExpertOptions) -> Capabilities:
    """Return what it can do for its robot: policy, and with frames forward dynamics, from the simulator's scene."""
    return Capabilities(
        modes=frozenset({Mode.POLICY, Mode.FORWARD_DYNAMICS} if options.frames else {Mode.POLICY}),
        domains=frozenset({drivable_embodiment(options).domain_name}),
        needs_observation=True,
        needs_scene=True,
        returns_frames=options.frames,
        scripted=True,
    )


BACKEND = ModelBackend(
    name="expert",
    summary="a script that reads the simulator's scene; says `scripted` in everything",
    options=ExpertOptions,
    capabilities=capabilities,
    # By name: the simulator stands above the world models.
    implementation="cosmos_ros.sim.scripted_expert:Expert",
    packages=("mujoco>=3.2", "PyOpenGL"),
    examples={"expert": {}},
)
