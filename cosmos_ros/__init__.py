"""ROS 2 nodes and library that let a world model meet a robot: observe, predict, decode, guard, publish.

``import cosmos_ros as cr`` gives the names below. Each is imported when it is first used, so that the guard needs no
OpenCV, no model needs ROS, and nothing needs torch before a learned model is loaded.
"""

from __future__ import annotations

from importlib import import_module

from cosmos_ros.version import __version__

TYPE_CHECKING = False  # as typing's, which the command line need not wait for

if TYPE_CHECKING:
    from typing import Any

    from cosmos_ros.api import evaluate as evaluate
    from cosmos_ros.embodiment import Embodiment as Embodiment
    from cosmos_ros.embodiment import load_embodiment as load_embodiment
    from cosmos_ros.errors import CosmosRosError as CosmosRosError
    from cosmos_ros.guard import Guard as Guard
    from cosmos_ros.guard import GuardContext as GuardContext
    from cosmos_ros.guard import GuardSettings as GuardSettings
    from cosmos_ros.guard import Response as Response
    from cosmos_ros.guard import Verdict as Verdict
    from cosmos_ros.guard import Violation as Violation
    from cosmos_ros.prediction.pipeline import Pipeline as Pipeline
    from cosmos_ros.prediction.pipeline import PipelineSettings as PipelineSettings
    from cosmos_ros.prediction.pipeline import Prediction as Prediction
    from cosmos_ros.types import JointState as JointState
    from cosmos_ros.types import JointTrajectory as JointTrajectory
    from cosmos_ros.types import Observation as Observation
    from cosmos_ros.world_models import open_world_model as open_world_model

_MODULES = {
    "evaluate": "cosmos_ros.api",
    "Embodiment": "cosmos_ros.embodiment",
    "load_embodiment": "cosmos_ros.embodiment",
    "CosmosRosError": "cosmos_ros.errors",
    "Guard": "cosmos_ros.guard",
    "GuardContext": "cosmos_ros.guard",
    "GuardSettings": "cosmos_ros.guard",
    "Response": "cosmos_ros.guard",
    "Verdict": "cosmos_ros.guard",
    "Violation": "cosmos_ros.guard",
    "Pipeline": "cosmos_ros.prediction.pipeline",
    "PipelineSettings": "cosmos_ros.prediction.pipeline",
    "Prediction": "cosmos_ros.prediction.pipeline",
    "JointState": "cosmos_ros.types",
    "JointTrajectory": "cosmos_ros.types",
    "Observation": "cosmos_ros.types",
    "open_world_model": "cosmos_ros.world_models",
}

__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
