"""``cosmos-ros predict``: predict frames and actions from images or a recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cosmos_ros.cli import _predicting


@dataclass(frozen=True, kw_only=True)
class Predict(_predicting.SceneOptions):
    """Predict one chunk: frames (mp4) and a decoded trajectory in metres and radians (JSON).

    With --actions the actions are given and the frames are predicted (forward dynamics); else both are (policy).

    For example: cosmos-ros predict --image scene.png --instruction "put the cup on the plate"

    Attributes:
        actions: Normalised actions (JSON, npz or parquet) to be carried out.
    """

    actions: Path | None = None

    def run(self) -> int:
        """Predict and write."""
        from cosmos_ros.embodiment import read_action_file
        from cosmos_ros.types import Mode

        prepared = _predicting.prepare(self, Mode.FORWARD_DYNAMICS if self.actions else Mode.POLICY)
        actions = None
        if self.actions:
            file = read_action_file(self.actions)
            file.check(prepared.embodiment.domain_name, "normalised")
            actions = file.rows
        scene, assumed = _predicting.scene_of(self, prepared.embodiment)
        with prepared.loaded() as states:
            if actions is None:
                result = states.generate_rollout(scene, "", prepared.embodiment.chunk_size)
            else:
                result = states.predict_next_state(scene, actions)
        return _predicting.write_result(prepared, result, scene, assumed)


VERB = Predict
