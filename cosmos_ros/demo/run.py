"""Runs the demo: starts everything, arms the guard, waits for the task, stops everything, reports."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.console import Console

from cosmos_ros.bringup.arguments import resolve
from cosmos_ros.bringup.domain import private_domain, private_environment
from cosmos_ros.bringup.graph import BRINGUPS
from cosmos_ros.bringup.processes import ProcessGroup, child_environment
from cosmos_ros.demo.demo_options import DemoOptions
from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.errors import ConfigError

if TYPE_CHECKING:
    from cosmos_ros.demo.demo_observer import DemoObserver

# What the bag holds, with all views and controllers: all but raw images, which the compressed ones stand for.
RECORDED = (
    "{view}/image_raw/compressed",
    "{view}/camera_info",
    "instruction",
    "scene",
    "task_status",
    "predictor/action_poses",
    "predictor/rollout/image/compressed",
    "predictor/rollout/markers",
    "guard/verdict",
    "guard/would_send",
    "/diagnostics",
)
# What verdicts are judged again from: the arm does not move before the recorder hears these, and the controllers'.
JUDGED_FROM = (
    "joint_states",
    "predictor/action_trajectory",
    "predictor/provenance",
    "guard/settings",
    "guard/verdict_json",
)


# A machine whose arm may take longer may take longer to start, too.
_START_UP_S = 60.0


def run_demo(options: DemoOptions) -> int:
    """Run it; return 0 only if the arm moved, no limit was broken and no deadline was missed."""
    # Where nobody looks (a log, a pipe) nothing must be folded at 80 columns.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    bringup = BRINGUPS["demo"]
    given = {"embodiment": options.embodiment, "world_model": options.world_model, "seed": str(options.seed)}
    given.update(options.launch or {})
    values = resolve(bringup.arguments(), given)
    if values["namespace"]:
        raise ConfigError("the demo runs in a domain of its own and takes no namespace", where="namespace")
    embodiment = load_embodiment(values["embodiment"])
    if not embodiment.has_joints:
        raise ConfigError(
            f"{embodiment.name} has no joints: a person carries it, there is nothing for the demo to drive",
            where="embodiment",
            hint="Choose franka, ur5e, widowx250s or agibot_g1.",
        )
    bag = _fresh(options.out)
    sent = [name for topic, _ in embodiment.controllers for name in (topic, f"guard/sent/{topic}")]
    needed = [f"/{topic}" for topic in (*JUDGED_FROM, *sent)]
    log = options.out / "nodes.log"
    with private_domain() as domain, log.open("w", encoding="utf-8") as lines:
        environment = child_environment(private_environment(domain))
        os.environ.update({k: v for k, v in environment.items() if k.startswith(("ROS_", "FASTDDS_", "FASTRTPS_"))})
        from cosmos_ros.demo.demo_observer import DemoObserver  # rclpy reads the environment when it is loaded

        console.print(f"[bold]cosmos_ros demo[/]: world model {values['world_model']}, ROS_DOMAIN_ID={domain}")
        observer = DemoObserver(domain)
        try:
            with ProcessGroup(lambda name, line: _write(lines, name, line)) as group:
                group.start("recorder", _recorder_command(bag, needed, embodiment.views), environment)
                group.start_nodes(bringup.nodes(values), values, environment)
                status = _drive(console, observer, group, options, needed)
                observer.disarm()
                console.print("stopping")
        finally:
            observer.close()
    if status:
        console.print(f"the nodes' output is in {log}")
        return status
    from cosmos_ros.demo.results import report

    return report(console, bag, options)


def _drive(
    console: Console, observer: DemoObserver, group: ProcessGroup, options: DemoOptions, needed: Sequence[str]
) -> int:
    """Arm the guard once it may be, and wait for the task; return 0 when there is something to report."""
    begin = time.monotonic()
    patience = max(_START_UP_S, options.duration)
    reason = "nothing was heard yet"
    with console.status("starting the simulator, the predictor and the guard") as progress:
        while True:
            observer.spin(0.2)
            if ended := group.ended():
                console.print(f"[red]{', '.join(ended)} ended during start-up[/]")
                return 1
            if observer.predictions:
                armed, reason = observer.arm() if observer.recorded(needed) else (False, "not recorded yet")
                if armed:
                    break
            if time.monotonic() - begin > patience:
                console.print(f"[red]not armed after {patience:.0f} s: {reason}[/]")
                for name, problem in observer.problems.items():
                    console.print(f"  {name}: {problem}")
                return 1
            progress.update(f"starting ({reason})")
        console.print(f"armed after {time.monotonic() - begin:.1f} s")
        armed_at = time.monotonic()
        while (elapsed := time.monotonic() - armed_at) < options.duration:
            observer.spin(0.25)
            counts = ", ".join(f"{n} {k}" for k, n in sorted(observer.verdicts.items()))
            phase = observer.task.get("phase") or observer.task.get("task") or ""
            line = f"{elapsed:4.1f} s  {observer.predictions} predictions  guard: {counts}  {phase}"
            progress.update(line)
            if not sys.stdout.isatty() and int(elapsed / 5) != int((elapsed - 0.25) / 5):
                console.print(line)
            if ended := group.ended():
                console.print(f"[red]{', '.join(ended)} ended[/]")
                return 1
            if observer.task.get("done"):
                console.print(f"task done after {elapsed:.1f} s")
                observer.spin(1.0)  # let the last trajectory come to rest in the recording
                break
        else:
            console.print(f"time is up after {options.duration:.0f} s")
    return 0


def _recorder_command(bag: Path, needed: Sequence[str], views: Sequence[str]) -> list[str]:
    topics = list(needed)
    for topic in RECORDED:
        topics += [topic.format(view=view) for view in views] if "{view}" in topic else [topic]
    absolute = [topic if topic.startswith("/") else f"/{topic}" for topic in topics]
    return [sys.executable, "-m", "cosmos_ros.cli", "record", str(bag), "--topics", *absolute]


def _fresh(out: Path) -> Path:
    """Empty the results folder of an earlier demo; refuse a folder that holds something else."""
    marker = out / ".cosmos_ros_demo"
    if out.exists():
        if any(out.iterdir()) and not marker.exists():
            raise ConfigError("the folder holds something that is not a demo's result", where=str(out))
        shutil.rmtree(out)
    out.mkdir(parents=True)
    marker.touch()
    return out / "bag"


def _write(lines: TextIO, name: str, line: str) -> None:
    print(f"[{name}] {line}", file=lines, flush=True)
