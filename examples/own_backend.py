"""A world model of one's own: a class, its options, and its declaration.

A package makes it known by an entry point, after which ``world_model:=sway`` works everywhere (launch files, command
line, evaluation):

    [project.entry-points."cosmos_ros.world_models"]
    sway = "my_package.sway:BACKEND"

Here it is asked directly. Prints how far the tool is predicted to move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import cosmos_ros as cr
from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.types import Mode, Request, Rollout
from cosmos_ros.world_models import Capabilities, ModelBackend


@dataclass(frozen=True)
class SwayOptions(DeclaredSettings):
    """Options of ``sway``; ``model_options:=height=0.05`` sets one."""

    height: float = setting(0.02, "How far the tool sways", unit="m", minimum=0.0, maximum=0.1)


class Sway:
    """Predicts that the tool goes forth and back along its approach axis while the image stays as it is."""

    name = "sway"
    capabilities = Capabilities(modes=frozenset({Mode.POLICY}), settings=frozenset())

    def __init__(self, options: SwayOptions) -> None:
        self._options = options

    def load(self) -> None:
        """Load weights here; this one has none."""

    def predict(self, request: Request) -> Rollout:
        """Answer in the model's own terms: rows of normalised pose deltas. The embodiment turns them into metres."""
        assert request.hold_action is not None and request.layout is not None and request.image is not None
        rows = np.tile(request.hold_action, (request.chunk_size, 1)).astype(np.float32)
        z = request.layout.pose_columns[0] + 2
        phase = 2.0 * np.pi * np.arange(request.chunk_size + 1) / request.chunk_size
        steps = np.diff(0.5 * self._options.height * (1.0 - np.cos(phase)))  # metres from row to row
        rows[:, z] = (steps - request.layout.offset[z]) / request.layout.scale[z]
        frames = np.repeat(request.image[None], request.chunk_size + 1, axis=0)
        return Rollout(frames=frames, actions=rows, provenance={"backend": self.name})

    def close(self) -> None:
        """Release what ``load`` took; may be called twice."""


BACKEND = ModelBackend(
    name=Sway.name,
    summary="the tool goes forth and back",
    options=SwayOptions,
    capabilities=lambda _: Sway.capabilities,
    implementation=Sway,
    examples={"sway": {}},
)


def main() -> None:
    """Ask it about an image."""
    franka = cr.load_embodiment("franka")
    views = {view: np.zeros((180, 320, 3), np.uint8) for view in franka.views}
    model = BACKEND.create({"height": 0.05})
    prediction = cr.Pipeline(franka, model).predict(cr.Observation.now(views, franka.home))
    start, path = (next(iter(poses.values())) for poses in (prediction.chunk.start_poses, prediction.chunk.poses))
    millimetres = 1e3 * np.linalg.norm(path[:, :3, 3] - start[:3, 3], axis=1)
    print(
        f"{model.name}: the tool goes {millimetres.max():.0f} mm away and ends {millimetres[-1]:.0f} mm from its start"
    )


if __name__ == "__main__":
    main()
