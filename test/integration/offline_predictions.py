"""Predictions and candidates of the live predictor, made again from a recording of its inputs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from cosmos_ros.errors import CosmosRosError
from cosmos_ros.messages import joint_state_from_message
from cosmos_ros.observation.for_embodiment import Timing, synchroniser_for
from cosmos_ros.prediction.pipeline import Pipeline, Prediction
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.recordings.replay import WalkTopics, find_view_topic, walk
from cosmos_ros.trajectory.joiner import Joined, Joiner, JoinSettings
from cosmos_ros.types import JointState, JointTrajectory


def predictions(
    recording: BagReader,
    pipeline: Pipeline,
    cameras: Mapping[str, str],
    *,
    timing: Timing | None = None,
) -> Iterator[Prediction | CosmosRosError]:
    """Yield what the live node would predict while the recording is played, or why it would hold instead.

    Args:
        recording: An open recording.
        pipeline: Embodiment and loaded world model.
        cameras: View → image topic without ``/compressed``; absolute names.
        timing: As the predictor's parameters; a ``sync_wait`` longer than any delay of the recording makes the
            observations depend on stamps alone.
    """
    embodiment = pipeline.embodiment
    needs_scene = pipeline.world_model.capabilities.needs_scene
    topics = WalkTopics(
        views={view: find_view_topic(recording, topic) for view, topic in cameras.items()},
        joints="/joint_states" if embodiment.has_joints else None,
        scene="/scene" if needs_scene else None,
    )
    synchroniser = synchroniser_for(embodiment, cameras, timing or Timing(), scene=needs_scene)
    for snapshot in walk(recording, topics, synchroniser):
        try:
            yield pipeline.predict(snapshot.build(previous_images=pipeline.uses_previous_image))
        except CosmosRosError as error:
            yield error


def states_at(
    recording: BagReader, stamps_ns: Collection[int], joints: Sequence[str], topic: str = "/joint_states"
) -> dict[int, JointState]:
    """Return stamp → joint state, of the messages with these stamps, with the joints in this order."""
    found: dict[int, JointState] = {}
    for entry in recording.messages([topic]):
        state = joint_state_from_message(recording.decode(entry), topic=topic, joints=joints)
        if state.stamp_ns in stamps_ns:
            found.setdefault(state.stamp_ns, state)
    assert set(found) == set(stamps_ns)
    return found


def join_again(
    trajectory: JointTrajectory,
    join: Mapping[str, Any],
    joiner: Joiner,
    states: Mapping[int, JointState],
    settings: JoinSettings,
) -> Joined:
    """Return what a prediction's trajectory became live.

    Args:
        trajectory: As predicted, offline.
        join: Of the live prediction's provenance.
        joiner: Knows what was being executed then.
        states: Stamp → joint state, in the predictor's order of joints.
        settings: The live predictor's.
    """
    return joiner.join(trajectory, join["now_ns"], states[join["measured_stamp_ns"]], settings)
