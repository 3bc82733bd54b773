"""Starts the nodes of a bring-up as processes, where the ``launch`` package is not installed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from cosmos_ros.bringup.graph import NodeSpec
from cosmos_ros.bringup.reaper import Reaper
from cosmos_ros.messages.shared_memory import remove_left, segments_of
from cosmos_ros.resources import resource

# Left behind by the ROS wheels' interpreter hook; a child must find its own libraries (its own hook sets them).
_INHERITED_HOOK = "_ROS_WHEELS_BOOTSTRAP_COMPLETE"

_RESPAWN_DELAY_S = 2.0
# With what a node ends that cannot be made as it is told to be.
_WRONG_SETTINGS = 2


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for a node's process: unbuffered, with the shared-memory profile, own libraries."""
    from cosmos_ros.messages.dds import use_shared_memory_profile

    environment = dict(os.environ)
    if environment.pop(_INHERITED_HOOK, None) is not None:
        # What the user added, for messages of an overlay, stays.
        folders = environment.pop("LD_LIBRARY_PATH", "").split(os.pathsep)
        own = [folder for folder in folders if folder and not Path(folder).is_relative_to(sys.prefix)]
        if own:
            environment["LD_LIBRARY_PATH"] = os.pathsep.join(own)
    # The package itself must be importable by the child also when it runs from a checkout that is not installed.
    root = str(Path(__file__).resolve().parents[2])
    path = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = root if not path else f"{root}{os.pathsep}{path}"
    environment["PYTHONUNBUFFERED"] = "1"
    use_shared_memory_profile(environment)
    environment.update(extra or {})
    return environment


def write_parameters(parameters: Mapping[str, Any], folder: Path, name: str) -> Path:
    """Write a ROS parameter file for any node; strings are quoted as YAML 1.1 needs."""
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"/**": {"ros__parameters": dict(parameters)}}, default_flow_style=False))
    return path


def node_command(
    spec: NodeSpec, folder: Path, *, namespace: str = "", log_level: str = "info", params_file: str = ""
) -> list[str]:
    """Return the command line of a node; its parameter overrides are written to ``folder``."""
    command = [sys.executable, "-m", spec.module, "--ros-args", "-r", f"__node:={spec.name}"]
    if namespace:
        command += ["-r", f"__ns:=/{namespace.strip('/')}"]
    for source, target in spec.remappings:
        command += ["-r", f"{source}:={target}"]
    command += ["--params-file", str(resource("config", spec.config))]
    command += ["--params-file", str(write_parameters(spec.parameters, folder, spec.name))]
    if params_file:
        command += ["--params-file", params_file]
    return [*command, "--log-level", log_level]


class ProcessGroup:
    """Child processes whose output is forwarded line by line and that end together.

    Use as a context manager: leaving it sends SIGINT, then SIGTERM, then SIGKILL to what is left. When this process
    is killed, a process of the group's own does the same.
    """

    def __init__(self, sink: Callable[[str, str], None] | None = None) -> None:
        """Forward each output line to ``sink(name, line)``; by default print it with the name in front."""
        self._sink = sink or (lambda name, line: print(f"[{name}] {line}", flush=True))
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._started: dict[str, tuple[Sequence[str], Mapping[str, str] | None]] = {}
        self._readers: list[threading.Thread] = []
        self._folder = tempfile.TemporaryDirectory(prefix="cosmos_ros_")
        self._reaper = Reaper()

    @property
    def folder(self) -> Path:
        """Temporary folder that lives as long as the group."""
        return Path(self._folder.name)

    def __enter__(self) -> ProcessGroup:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start one process in a session of its own, so that Ctrl-C reaches it through us and once."""
        self._started[name] = (command, environment)
        process = subprocess.Popen(  # noqa: S603 - our own command lines, no shell
            list(command),
            env={**(environment if environment is not None else child_environment()), **self._reaper.mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._processes[name] = process
        reader = threading.Thread(target=self._forward, args=(name, process), daemon=True)
        reader.start()
        self._readers.append(reader)

    def start_nodes(
        self, specs: Sequence[NodeSpec], values: Mapping[str, str], environment: Mapping[str, str] | None = None
    ) -> None:
        """Start the nodes of a bring-up with its common arguments."""
        for spec in specs:
            command = node_command(
                spec,
                self.folder,
                namespace=values.get("namespace", ""),
                log_level=values.get("log_level", "info"),
                params_file=values.get("params_file", ""),
            )
            self.start(spec.name, command, environment)

    def ended(self) -> dict[str, int]:
        """Return name → exit status of the processes that have ended."""
        return {name: p.returncode for name, p in self._processes.items() if p.poll() is not None}

    def pid(self, name: str) -> int:
        """Return a process's id."""
        return self._processes[name].pid

    def kill(self, name: str) -> None:
        """Kill one process at once (tests of what the others then do)."""
        left = segments_of(self.pid(name))
        self._processes[name].kill()
        self._processes[name].wait()
        remove_left(left)

    def supervise(self, respawn: Collection[str] = (), ignore: Collection[str] = ()) -> tuple[str, int]:
        """Block until a process ends that ends them all; return its name and exit status.

        Args:
            respawn: Processes that are started again when they end, but for wrong settings (status 2), which would
                be as wrong again.
            ignore: Processes whose end is of no interest.
        """
        while True:
            ended = {name: status for name, status in self.ended().items() if name not in ignore}
            for name, status in ended.items():
                if name not in respawn or status == _WRONG_SETTINGS:
                    return name, status
            if ended:
                time.sleep(_RESPAWN_DELAY_S)
            for name, status in ended.items():
                self._sink(name, f"ended with status {status}; started again")
                self.start(name, *self._started[name])
            time.sleep(0.2)

    def stop(self, grace: float = 5.0) -> dict[str, int]:
        """End all processes; return their exit statuses."""
        try:
            self._signal_until_ended(grace)
        finally:
            # Also what was started and not noted, and children of children; and all, when this is interrupted.
            self._reaper.close()
        for reader in self._readers:
            reader.join(1.0)
        self._folder.cleanup()
        return {name: int(p.returncode or 0) for name, p in self._processes.items()}

    def _signal_until_ended(self, grace: float) -> None:
        left: list[str] = []
        for number, patience in ((signal.SIGINT, grace), (signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
            for process in self._processes.values():
                if process.poll() is None:
                    if number == signal.SIGKILL:
                        left += segments_of(process.pid)
                    process.send_signal(number)
            deadline = time.monotonic() + patience
            for process in self._processes.values():
                try:
                    process.wait(max(0.01, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    continue
            if all(p.poll() is not None for p in self._processes.values()):
                break
        remove_left(left)

    def _forward(self, name: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        # Read on when nobody reads us any more (a closed terminal): a child must not wait in a print.
        for line in process.stdout:
            with contextlib.suppress(OSError):
                self._sink(name, line.rstrip("\n"))
