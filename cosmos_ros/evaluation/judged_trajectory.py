"""A recorded trajectory with the verdict on it beside the recorded one, and how many came out the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cosmos_ros.guard.verdict import Response, Verdict

# What the node adds to a verdict, and what differs from run to run.
_NOT_COMPARED = frozenset({"elapsed_ms", "armed", "state", "published_ns", "context"})


@dataclass(frozen=True)
class JudgedTrajectory:
    """One recorded trajectory and the verdict on it.

    Attributes:
        topic: Where it was published.
        log_ns: When it was recorded.
        verdict: What the guard says.
        recorded: What the live guard said, as JSON data; None when no verdict on it was recorded.
        differences: Field → (recorded, again) where they differ; of the response alone when no context was recorded.
        missing: What the recorded verdict rests on and the recording does not tell; empty when nothing is missing.
    """

    topic: str
    log_ns: int
    verdict: Verdict
    recorded: Mapping[str, Any] | None = None
    differences: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    missing: str = ""

    def line(self, first_ns: int) -> str:
        """Return one line for people, with the seconds since a recording time."""
        head = f"{(self.log_ns - first_ns) / 1e9:9.3f} s  {self.topic}  "
        if self.recorded is None:
            return head + self.verdict.summary
        again = f"again {self.verdict.summary}"
        if not self.differences:
            return f"{head}recorded {str(self.recorded['response']).replace('_', ' ')} · {again}"
        cause = self.missing or f"differs in {', '.join(self.differences)}"
        return f"{head}recorded {self.recorded.get('summary', self.recorded['response'])} · {again} · {cause}"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-serialisable data: the verdict's, with topic, time and the recorded verdict."""
        return {
            "topic": self.topic,
            "log_ns": self.log_ns,
            **self.verdict.to_dict(),
            "recorded": None if self.recorded is None else dict(self.recorded),
            "differences": {key: list(pair) for key, pair in self.differences.items()},
            "missing": self.missing,
        }


@dataclass
class Tally:
    """What was judged of a recording.

    Attributes:
        responses: Response → how many trajectories got it.
        found_again: Recorded verdicts that came out the same.
        differing: Recorded verdicts that came out otherwise.
        unknown: Recorded verdicts that rest on what the recording does not tell.
    """

    responses: dict[str, int] = field(default_factory=lambda: {response.value: 0 for response in Response})
    found_again: int = 0
    differing: int = 0
    unknown: int = 0

    def add(self, judged: JudgedTrajectory) -> None:
        """Count one."""
        self.responses[judged.verdict.response.value] += 1
        if judged.recorded is not None:
            self.found_again += not judged.differences
            self.differing += bool(judged.differences) and not judged.missing
            self.unknown += bool(judged.differences) and bool(judged.missing)

    @property
    def passed(self) -> bool:
        """Whether every recorded verdict came out the same; of a recording without any: all was accepted."""
        if self.found_again or self.differing or self.unknown:
            return bool(self.found_again) and not self.differing
        return self.responses[Response.ACCEPT.value] == sum(self.responses.values())

    def lines(self) -> list[str]:
        """Return the last lines for people."""
        lines = [", ".join(f"{count} {response}" for response, count in self.responses.items())]
        if self.found_again or self.differing or self.unknown:
            line = f"{self.found_again} of {self.found_again + self.differing} verdicts found again"
            if self.unknown:
                line += f"; {self.unknown} rest on what the recording does not tell"
            lines.append(line)
        return lines


def differences(recorded: Mapping[str, Any], again: Verdict) -> dict[str, tuple[Any, Any]]:
    """Return field → (recorded, again) where a recorded verdict, as JSON data, and one made again differ."""
    made = json.loads(json.dumps(again.to_dict()))
    keys = sorted((set(recorded) | set(made)) - _NOT_COMPARED)
    return {key: (recorded.get(key), made.get(key)) for key in keys if recorded.get(key) != made.get(key)}
