"""The adapter between one robot's own numbers and images and one world model's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cosmos_ros.embodiment.decoder import decode_rows
from cosmos_ros.embodiment.encoder import EncodedActions, RecordedStates, encode_states
from cosmos_ros.embodiment.loader import load_spec
from cosmos_ros.embodiment.request_builder import RequestBuilder
from cosmos_ros.errors import ConfigError, DecodeError
from cosmos_ros.types import ActionChunk, ActionSpace, FloatArray, JointState, Observation, Rollout


class Embodiment(RequestBuilder):
    """A robot and one world model's action domain: observations to requests, rollouts to motion, and back."""

    def decode(self, rollout: Rollout, observation: Observation) -> ActionChunk:
        """Turn a rollout's actions into tool poses, grippers and times.

        Row i is due at ``(i + 1) / fps`` after the observation, for poses and grippers alike.

        Raises:
            DecodeError: No actions, wrong width, a non-finite number, rotation columns that are no rotation.
            InputError: The observation lacks what the start poses need.
        """
        if rollout.actions is None:
            raise DecodeError("the rollout has no actions", where="actions")
        chunk = self.decode_actions(
            np.asarray(rollout.actions, dtype=np.float64),
            self.tool_poses(observation),
            space=rollout.action_space,
            stamp_ns=observation.stamp_ns,
            thorough=False,
        )
        return chunk if rollout.uncertainty is None else replace(chunk, uncertainty=rollout.uncertainty)

    def decode_actions(
        self,
        actions: FloatArray,
        start: Mapping[str, FloatArray],
        *,
        space: ActionSpace = ActionSpace.MODEL,
        physical: bool = False,
        stamp_ns: int = 0,
        thorough: bool = True,
    ) -> ActionChunk:
        """Turn action rows into tool poses, grippers and times.

        Args:
            actions: ``[T, D]``.
            start: Tool link → ``float64 [4, 4]`` pose before the first row.
            space: ``joint`` for rows of joint positions and gripper openings.
            physical: The rows are physical numbers already, not the model's.
            stamp_ns: Stamp of the start.
            thorough: Compare with the other embodiments' statistics at the slightest doubt, not only when the
                rotations are far off; for recorded data, which is exact. Reads their files once.

        Raises:
            DecodeError, InputError: As ``decode``.
        """
        return decode_rows(self, actions, start, space=space, physical=physical, stamp_ns=stamp_ns, thorough=thorough)

    def encode(self, states: RecordedStates | Sequence[JointState] | Sequence[Observation]) -> EncodedActions:
        """Turn T + 1 recorded states, one every 1/fps, into T normalised action rows.

        Raises:
            InputError: Something is missing, implausible, or in the wrong unit; names it and the row.
        """
        return encode_states(self, states)


def load_embodiment(
    name_or_path: str | Path,
    urdf: str | Path | None = None,
    ur_calibration: str | Path | None = None,
    *,
    fps: float | None = None,
) -> Embodiment:
    """Load a shipped embodiment by name, or a file of one's own.

    Args:
        name_or_path: ``franka``, or the path of a YAML file.
        urdf: Another URDF for the same robot (path, or XML text such as ``robot_description``).
        ur_calibration: Kinematics file of one particular Universal Robots arm, as its driver uses.
        fps: Rate of frames and action rows (1/s) instead of the file's, for data of another rate.

    Raises:
        ConfigError: Names the file, the field and what is allowed.
    """
    loaded = load_spec(name_or_path)
    if fps is not None and fps != loaded.spec.fps:
        if not 0.0 < fps <= 1000.0:
            raise ConfigError(f"a rate of {fps} frames a second is not in (0, 1000]", where="fps")
        digest = hashlib.sha256(f"{loaded.config_hash} fps {float(fps)!r}".encode()).hexdigest()
        loaded = replace(loaded, spec=replace(loaded.spec, fps=float(fps)), config_hash=digest)
    return Embodiment(loaded, urdf, ur_calibration)
