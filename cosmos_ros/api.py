"""Functions of the public interface that only put others together; see ``cosmos_ros``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cosmos_ros.evaluation.evaluate import Outcome


def evaluate(*recordings: str | Path, out: str | Path, **options: Any) -> Outcome:
    """Evaluate a world model on recordings: predictions against what then happened.

    Args:
        recordings: rosbag2 folders or files.
        out: Folder for ``metrics.json``, ``report.html`` and the rest.
        options: Fields of ``EvaluationOptions``, e.g. ``embodiment="ur5e"`` or ``world_model="cosmos3"``.

    Raises:
        ConfigError, CapabilityError, ModelError: An option is wrong, or the model cannot do what is asked.
        InputError: None of the recordings can be read.
    """
    from cosmos_ros.evaluation.evaluate import evaluate as run
    from cosmos_ros.evaluation.evaluation_options import EvaluationOptions

    return run(EvaluationOptions(bags=tuple(Path(one) for one in recordings), out=Path(out), **options))
