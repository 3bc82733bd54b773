"""``cosmos-ros guard``: check trajectories of a file of cases or of a recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional, UseAppendAction


@dataclass(frozen=True)
class CheckCases:
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
        from cosmos_ros.files import write_json

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
            write_json(self.json, data)
        return status


@dataclass(frozen=True)
class RunRecording:
    """Judge a recording's trajectories again, as the live guard did.

    A recording of a guard is judged in the recorded contexts with the recorded settings, and compared with the recorded
    verdicts. The first lines say what had to be assumed.

    For example: cosmos-ros guard run out/bag --strict

    Attributes:
        bag: rosbag2 folder or file.
        embodiment: Robot whose limits hold: name or YAML file; without it the recorded one, else franka.
        guard_config: Parameter file of the guard node, in place of the recorded settings.
        guard: Name of the guard node, where several were recorded.
        topic: Candidate topic; once for each.
        joint_states: Topic of the joint states.
        json: Write the verdicts there as JSON.
        strict: Exit with 1 when a recorded verdict differs or none is found again; without recorded verdicts, unless
            every trajectory is accepted.
    """

    bag: Positional[Path]
    embodiment: str = ""
    guard_config: Path | None = None
    guard: str = ""
    topic: UseAppendAction[tuple[str, ...]] = ()
    joint_states: str = ""
    json: Path | None = None
    strict: bool = False

    def run(self) -> int:
        """Judge every candidate trajectory of a recording."""
        from cosmos_ros.evaluation.judged_recordings import JudgedRecording
        from cosmos_ros.evaluation.judged_trajectory import Tally
        from cosmos_ros.files import write_json

        tally, verdicts, first_ns = Tally(), [], None
        with JudgedRecording(
            self.bag,
            embodiment=self.embodiment,
            guard_config=self.guard_config,
            topics=self.topic,
            joint_states=self.joint_states,
            guard=self.guard,
        ) as recording:
            print(*recording.notes, sep="\n", flush=True)
            for judged in recording:
                first_ns = judged.log_ns if first_ns is None else first_ns
                tally.add(judged)
                print(judged.line(first_ns), flush=True)
                verdicts.append(judged.to_dict())
            print(*tally.lines(), sep="\n")
        if self.json is not None:
            data = {
                "bag": str(self.bag), "embodiment": recording.embodiment.name, "counts": tally.responses,
                "found_again": tally.found_again, "differing": tally.differing, "unknown": tally.unknown,
                "notes": recording.notes, "verdicts": verdicts,
            }  # fmt: skip
            write_json(self.json, data)
        return 0 if tally.passed or not self.strict else 1


VERB = {"check": CheckCases, "run": RunRecording}
