"""``cosmos-ros guard``: run the checker over worked cases, or the guard over a recording."""

from __future__ import annotations

import argparse
from collections import Counter
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
    judge = verbs.add_parser("run", help="judge the joint trajectories of a recording")
    judge.add_argument("bag", type=Path, metavar="BAG", help="rosbag2 folder or file")
    judge.add_argument("--embodiment", default="franka", help="robot whose limits hold (name or YAML file)")
    judge.add_argument("--topic", action="append", default=[], help="candidate topic; may be given several times")
    judge.add_argument("--joint-states", default="", metavar="TOPIC", help="topic of the joint states")
    judge.add_argument("--json", type=Path, metavar="OUT", help="write the verdicts there as JSON")
    judge.add_argument("--strict", action="store_true", help="exit with 1 unless every trajectory is accepted")
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
    from cosmos_ros.embodiment import load_embodiment
    from cosmos_ros.evaluation.judged_recordings import judge_recording
    from cosmos_ros.files import write_json
    from cosmos_ros.guard import GuardConfig, Response
    from cosmos_ros.guard.robot_checks import surroundings_of

    embodiment = load_embodiment(arguments.embodiment)
    config = GuardConfig(
        surroundings=surroundings_of(embodiment), groups=tuple(joints for _, joints in embodiment.controllers)
    )
    counts: Counter[str] = Counter()
    verdicts = []
    first_ns: int | None = None
    for judged in judge_recording(
        arguments.bag, embodiment, config, topics=tuple(arguments.topic), joint_states=arguments.joint_states
    ):
        first_ns = judged.log_ns if first_ns is None else first_ns
        counts[judged.verdict.response.value] += 1
        print(f"{(judged.log_ns - first_ns) / 1e9:9.3f} s  {judged.topic}  {judged.verdict.summary}")
        verdicts.append({"topic": judged.topic, "log_ns": judged.log_ns, **judged.verdict.to_dict()})
    print(", ".join(f"{counts[r.value]} {r.value}" for r in Response))
    if arguments.json is not None:
        data = {"bag": str(arguments.bag), "embodiment": embodiment.name, "counts": counts, "verdicts": verdicts}
        write_json(arguments.json, data)
    return 1 if arguments.strict and counts[Response.ACCEPT.value] != sum(counts.values()) else 0
