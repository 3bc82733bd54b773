"""``cosmos-ros guard``: run the checker over worked cases, or the guard over a recording."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser("guard", help="check trajectories of a file of cases or of a recording")
    verbs = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = verbs.add_parser("check", help="run the checker over worked cases and compare with what they expect")
    check.add_argument("file", type=Path, metavar="FILE.json", help="cases in the format of limit_cases.json")
    check.add_argument("--json", type=Path, metavar="OUT", help="write the answers there as JSON")
    check.set_defaults(run=run_check)
    judge = verbs.add_parser(
        "run",
        help="judge the joint trajectories of a recording",
        description=(
            "Judge every candidate of a recording with the guard of the node and compare with the recorded verdicts. "
            "A verdict recorded with its context is made again from it exactly; what else had to be assumed is said."
        ),
    )
    judge.add_argument("bag", type=Path, metavar="BAG", help="rosbag2 folder or file")
    judge.add_argument("--embodiment", default="", help="name or YAML file of the robot (default: as recorded)")
    judge.add_argument("--guard-config", type=Path, metavar="FILE", help="the guard node's YAML (default: as recorded)")
    judge.add_argument("--topic", action="append", default=[], help="candidate topic; may be given several times")
    judge.add_argument("--joint-states", default="", metavar="TOPIC", help="topic of the joint states")
    judge.add_argument("--guard", default="", metavar="NODE", help="which guard's verdicts, where several are recorded")
    judge.add_argument("--json", type=Path, metavar="OUT", help="write the verdicts there as JSON")
    judge.add_argument(
        "--strict",
        action="store_true",
        help="exit with 1 when a recorded verdict is not found again, or, with none recorded, not all is accepted",
    )
    judge.set_defaults(run=run_recording)


def run_check(arguments: argparse.Namespace) -> int:
    """Check every case; exit status 1 when any answer differs from what its case expects."""
    from cosmos_ros.conformance.case_format import load_cases
    from cosmos_ros.conformance.examine import examine
    from cosmos_ros.files import write_json

    file = load_cases(arguments.file)
    results = []
    for case in file.cases:
        results.append(examine(case, file.shared))
        print(results[-1].line(), flush=True)
    right = sum(result.agrees for result in results)
    status = 0 if results and right == len(results) else 1
    print(f"{right} of {len(results)} cases agree")
    if arguments.json is not None:
        data = {"file": str(arguments.file), "agree": status == 0, "cases": [result.to_dict() for result in results]}
        write_json(arguments.json, data)
    return status


def run_recording(arguments: argparse.Namespace) -> int:
    """Judge every candidate trajectory of a recording."""
    from cosmos_ros.evaluation.judged_recordings import JudgedRecording
    from cosmos_ros.evaluation.judged_trajectory import Tally
    from cosmos_ros.files import write_json

    tally, verdicts, first_ns = Tally(), [], None
    with JudgedRecording(
        arguments.bag,
        embodiment=arguments.embodiment,
        guard_config=arguments.guard_config,
        topics=tuple(arguments.topic),
        joint_states=arguments.joint_states,
        guard=arguments.guard,
    ) as recording:
        print(*recording.notes, sep="\n", flush=True)
        for judged in recording:
            first_ns = judged.log_ns if first_ns is None else first_ns
            tally.add(judged)
            print(judged.line(first_ns), flush=True)
            verdicts.append(judged.to_dict())
        print(*tally.lines(), sep="\n")
    if arguments.json is not None:
        data = {
            "bag": str(arguments.bag), "embodiment": recording.embodiment.name, "counts": tally.responses,
            "found_again": tally.found_again, "differing": tally.differing, "unknown": tally.unknown,
            "notes": recording.notes, "verdicts": verdicts,
        }  # fmt: skip
        write_json(arguments.json, data)
    return 0 if tally.passed or not arguments.strict else 1
