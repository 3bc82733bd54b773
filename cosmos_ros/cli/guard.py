"""``cosmos-ros guard``: check trajectories of a file of cases or of a recording."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional, UseAppendAction


@dataclass(frozen=True)
class Check:
    """Run the checker over worked cases and compare with what they expect.

    Exit status 1 when any answer differs from what its case expects.

    For example: cosmos-ros guard check limit_cases.json

    Attributes:
        file: Cases in the format of limit_cases.json.
        json: Write the answers there as JSON.
    """

    file: Positional[Path]
    json: Path | None = None

    def run(self) -> int:
        """Check every case."""
        from cosmos_ros.conformance.case_format import load_cases
        from cosmos_ros.conformance.examine import examine

        file = load_cases(self.file)
        results = []
        for case in file.cases:
            results.append(examine(case, file.shared))
            print(results[-1].line(), flush=True)
        right = sum(result.agrees for result in results)
        status = 0 if results and right == len(results) else 1
        print(f"{right} of {len(results)} cases agree")
        if self.json is not None:
            data = {"file": str(self.file), "agree": status == 0, "cases": [result.to_dict() for result in results]}
            _write(self.json, data)
        return status


@dataclass(frozen=True)
class Run:
    """Judge the joint trajectories of a recording.

    For example: cosmos-ros guard run out/bag --strict

    Attributes:
        bag: rosbag2 folder or file.
        embodiment: Robot whose limits hold: name or YAML file.
        topic: Candidate topic; once for each.
        joint_states: Topic of the joint states.
        json: Write the verdicts there as JSON.
        strict: Exit with 1 unless every trajectory is accepted.
    """

    bag: Positional[Path]
    embodiment: str = "franka"
    topic: UseAppendAction[tuple[str, ...]] = ()
    joint_states: str = ""
    json: Path | None = None
    strict: bool = False

    def run(self) -> int:
        """Judge every candidate trajectory of a recording."""
        from cosmos_ros.embodiment import load_embodiment
        from cosmos_ros.evaluation.judged_recordings import judge_recording
        from cosmos_ros.guard import GuardConfig, Response
        from cosmos_ros.guard.robot_checks import surroundings_of

        embodiment = load_embodiment(self.embodiment)
        config = GuardConfig(
            surroundings=surroundings_of(embodiment), groups=tuple(joints for _, joints in embodiment.controllers)
        )
        counts: Counter[str] = Counter()
        verdicts = []
        first_ns: int | None = None
        for judged in judge_recording(self.bag, embodiment, config, topics=self.topic, joint_states=self.joint_states):
            first_ns = judged.log_ns if first_ns is None else first_ns
            counts[judged.verdict.response.value] += 1
            print(f"{(judged.log_ns - first_ns) / 1e9:9.3f} s  {judged.topic}  {judged.verdict.summary}")
            verdicts.append({"topic": judged.topic, "log_ns": judged.log_ns, **judged.verdict.to_dict()})
        print(", ".join(f"{counts[r.value]} {r.value}" for r in Response))
        if self.json is not None:
            data = {"bag": str(self.bag), "embodiment": embodiment.name, "counts": counts, "verdicts": verdicts}
            _write(self.json, data)
        return 1 if self.strict and counts[Response.ACCEPT.value] != sum(counts.values()) else 0


def _write(path: Path, data: Any) -> None:
    """Write answers as JSON.

    Raises:
        InputError: The file cannot be written.
    """
    from cosmos_ros.errors import InputError

    try:
        path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be written: {error}", where=str(path), hint="Give another file to --json.") from error


VERB = {"check": Check, "run": Run}
