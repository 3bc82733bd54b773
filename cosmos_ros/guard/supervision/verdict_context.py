"""What a verdict rests on besides the candidate and the settings: recorded with it, it gives the same verdict again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cosmos_ros.errors import InputError
from cosmos_ros.types import JointState


@dataclass(frozen=True)
class VerdictContext:
    """The moment of a judgement, as the guard node publishes it with the verdict.

    Attributes:
        now_ns: When the candidate was taken, on the node's clock.
        judged_ns: The clock after the judgement; None when it was not read.
        measured: Newest joint state; None when none ever came.
        sent_stamps_ns: Stamps of the trajectories that the controllers were sent, as far as they still mattered.
        following: Why the guard did not know where the controllers were; empty when it did.
        source_stamp_ns: Stamp of the candidate behind it; None for none, or for a stop.
        uncertainty: Spread of the prediction behind the candidate, when one came.
        camera_stamps_ns: Camera → stamp of its newest image, of those that were heard.
    """

    now_ns: int
    judged_ns: int | None = None
    measured: JointState | None = None
    sent_stamps_ns: tuple[int, ...] = ()
    following: str = ""
    source_stamp_ns: int | None = None
    uncertainty: float | None = None
    camera_stamps_ns: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-serialisable data."""
        state = self.measured
        return {
            "now_ns": self.now_ns,
            "judged_ns": self.judged_ns,
            "measured": None
            if state is None
            else {
                "stamp_ns": state.stamp_ns,
                "names": list(state.names),
                "positions": state.positions.tolist(),
                "velocities": None if state.velocities is None else state.velocities.tolist(),
            },
            "sent_stamps_ns": list(self.sent_stamps_ns),
            "following": self.following,
            "source_stamp_ns": self.source_stamp_ns,
            "uncertainty": self.uncertainty,
            "camera_stamps_ns": dict(self.camera_stamps_ns),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> VerdictContext:
        """Return a context of what ``to_dict`` gave.

        Raises:
            InputError: Something is missing or malformed.
        """
        try:
            state = data["measured"]
            measured = None
            if state is not None:
                velocities = state["velocities"]
                measured = JointState(
                    int(state["stamp_ns"]),
                    tuple(state["names"]),
                    np.array(state["positions"], np.float64),
                    None if velocities is None else np.array(velocities, np.float64),
                )
            return cls(
                int(data["now_ns"]),
                data["judged_ns"],
                measured,
                tuple(int(stamp) for stamp in data["sent_stamps_ns"]),
                str(data["following"]),
                data["source_stamp_ns"],
                data["uncertainty"],
                data["camera_stamps_ns"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not the context of a verdict: {error!r}", where="context") from error
