"""Predictions for a recording, made by the pipeline and the synchroniser of the live node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cosmos_ros.errors import CosmosRosError
from cosmos_ros.observation.for_embodiment import Timing, synchroniser_for
from cosmos_ros.prediction.pipeline import Pipeline, Prediction
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.recordings.replay import WalkReport, WalkTopics, find_view_topic, walk


def predictions(
    recording: BagReader,
    pipeline: Pipeline,
    cameras: Mapping[str, str],
    *,
    timing: Timing | None = None,
    instruction: str = "",
    report: WalkReport | None = None,
) -> Iterator[Prediction | CosmosRosError]:
    """Yield what the live node would predict while the recording is played, or why it would hold instead.

    Args:
        recording: An open recording.
        pipeline: Embodiment and loaded world model.
        cameras: View → image topic without ``/compressed``; absolute names.
        timing: As the predictor's parameters; a ``sync_wait`` longer than any delay of the recording makes the
            observations depend on stamps alone.
        instruction: Task text until one is recorded.
        report: Filled while walking.

    Raises:
        InputError: A topic is missing or of the wrong type.
    """
    embodiment = pipeline.embodiment
    needs_scene = pipeline.world_model.capabilities.needs_scene
    topics = WalkTopics(
        views={view: find_view_topic(recording, topic) for view, topic in cameras.items()},
        joints="/joint_states" if embodiment.has_joints else None,
        scene="/scene" if needs_scene else None,
    )
    synchroniser = synchroniser_for(embodiment, cameras, timing or Timing(), scene=needs_scene, instruction=instruction)
    for snapshot in walk(recording, topics, synchroniser, report=report):
        try:
            yield pipeline.predict(snapshot.build(previous_images=pipeline.uses_previous_image))
        except CosmosRosError as error:
            yield error
