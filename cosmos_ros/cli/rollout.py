"""``cosmos-ros rollout``: predict many steps, chaining chunks."""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_ros.cli import _predicting


@dataclass(frozen=True, kw_only=True)
class RolloutVerb(_predicting.SceneOptions):
    """Predict frames and actions over any horizon.

    Beyond one chunk each next one starts from the last predicted frame; the JSON says where these seams are, and errors
    grow across them.

    For example: cosmos-ros rollout --bag out/bag --at 2 --horizon 64

    Attributes:
        horizon: Steps of 1/fps.
    """

    horizon: int = 48

    def run(self) -> int:
        """Predict and write."""
        from cosmos_ros.types import Mode

        prepared = _predicting.prepare(self, Mode.POLICY)
        scene, assumed = _predicting.scene_of(self, prepared.embodiment)
        with prepared.loaded() as states:
            result = states.generate_rollout(scene, "", self.horizon)
        return _predicting.write_result(prepared, result, scene, assumed)


VERB = RolloutVerb
