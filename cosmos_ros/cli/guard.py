"""``cosmos-ros guard``: arm and disarm a running guard; check trajectories of a file of cases or of a recording."""

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


@dataclass(frozen=True)
class _RunningGuard:
    """What the verbs for a running guard share.

    Attributes:
        namespace: Namespace of the nodes.
        name: Name of the guard node.
        timeout: How long to wait for it, s.
    """

    namespace: str = ""
    name: str = "guard"
    timeout: float = 10.0

    def ask(self, service: str) -> int:
        """Ask a service of the guard; print its answer."""
        from cosmos_ros.nodes.guard_client import GuardClient
        from cosmos_ros.recordings.command_line_node import RosSession

        with RosSession("cosmos_ros_guard_client") as session:
            client = GuardClient(session, namespace=self.namespace, guard=self.name, timeout=self.timeout)
            done, message = client.call(service)
        print(message)
        return 0 if done else 1


@dataclass(frozen=True)
class Arm(_RunningGuard):
    """Arm a running guard: from then on it sends to the controllers what it accepts. Exit status 1 when it refuses.

    For example: cosmos-ros guard arm
    """

    def run(self) -> int:
        """Arm it."""
        return self.ask("arm")


@dataclass(frozen=True)
class Disarm(_RunningGuard):
    """Disarm a running guard; what moves is braked.

    For example: cosmos-ros guard disarm
    """

    def run(self) -> int:
        """Disarm it."""
        return self.ask("disarm")


@dataclass(frozen=True)
class Reset(_RunningGuard):
    """Take a running guard out of its latch; it is disarmed afterwards. Refused while the e-stop is pressed.

    For example: cosmos-ros guard reset
    """

    def run(self) -> int:
        """Reset it."""
        return self.ask("reset")


@dataclass(frozen=True)
class Stop(_RunningGuard):
    """Press the e-stop of a running guard: it brakes at once and stays so until released and reset.

    For example: cosmos-ros guard stop --release

    Attributes:
        release: Release it again.
        topic: Topic of the e-stop.
    """

    release: bool = False
    topic: str = "e_stop"

    def run(self) -> int:
        """Press or release it."""
        from cosmos_ros.nodes.guard_client import GuardClient
        from cosmos_ros.recordings.command_line_node import RosSession

        with RosSession("cosmos_ros_guard_client") as session:
            client = GuardClient(session, namespace=self.namespace, guard=self.name, timeout=self.timeout)
            topic = client.e_stop(not self.release, self.topic)
        print(f"e-stop {'released' if self.release else 'pressed'} on {topic}")
        return 0


@dataclass(frozen=True)
class Status(_RunningGuard):
    """Print what the running nodes report on /diagnostics: the guard first. Exit status 1 when it is not heard.

    For example: cosmos-ros guard status
    """

    def run(self) -> int:
        """Listen and print."""
        from cosmos_ros.nodes.guard_client import GuardClient, full_topic
        from cosmos_ros.recordings.command_line_node import RosSession

        with RosSession("cosmos_ros_guard_client") as session:
            client = GuardClient(session, namespace=self.namespace, guard=self.name, timeout=self.timeout)
            statuses = client.statuses()
        for level, name, message in statuses:
            print(f"{level:5}  {name}: {message}")
        guard = full_topic(self.namespace, self.name).lstrip("/")
        if not any(name.startswith(f"{guard}: ") for _, name, _ in statuses):
            print(f"no guard {guard} was heard in {self.timeout:g} s")
            return 1
        return 0


VERB = {
    "check": CheckCases,
    "run": RunRecording,
    "arm": Arm,
    "disarm": Disarm,
    "reset": Reset,
    "stop": Stop,
    "status": Status,
}
