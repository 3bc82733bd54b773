"""Latency of the live chain without the model: last image's arrival in the predictor to the guard's trajectory."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil
from rich.console import Console

from cosmos_ros.bench.machine import machine
from cosmos_ros.bringup.domain import private_domain, private_environment
from cosmos_ros.bringup.graph import NodeSpec, predict_arguments, predict_nodes, resolve
from cosmos_ros.bringup.processes import ProcessGroup, child_environment, write_parameters
from cosmos_ros.errors import CosmosRosError

_WATCHED = ("predictor", "guard")


@dataclass
class Samples:
    """What one run gathered; times in milliseconds, memory in MiB."""

    latency: list[float] = field(default_factory=list)
    transport: list[float] = field(default_factory=list)
    stages: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in _WATCHED})
    sent: int = 0
    received: dict[str, int] = field(default_factory=dict)

    def lost(self) -> int:
        """Return how many images of all cameras did not arrive."""
        return sum(self.sent - count for count in self.received.values())

    def growth(self, name: str) -> float:
        """Return MiB between the second and the last fifth of the run (the first is warm-up)."""
        values = np.array(self.memory[name])
        fifth = max(1, len(values) // 5)
        return float(np.median(values[-fifth:]) - np.median(values[fifth : 2 * fifth])) if len(values) > 2 else 0.0


def stages_of(record: Mapping[str, Any], verdict: Mapping[str, Any]) -> dict[str, float]:
    """Return stage → milliseconds from the last image's arrival to the guard's published trajectory, without the model.

    They add up to the whole, but for the time taken off for the model.

    Args:
        record: What the predictor says of one prediction on ``~/provenance``.
        verdict: What the guard says of its trajectory on ``~/verdict_json``.
    """
    laps = record["latencies_ms"]
    worked = laps["wait"] + laps["images"] + laps["total"]
    laid = sum(laps[stage] for stage in ("request", "model", "decode", "kinematics"))
    return {
        "worker picks up": laps["wait"],
        "images": laps["images"],
        "request": laps["request"],
        "decode": laps["decode"],
        "kinematics": laps["kinematics"] + laps["total"] - laid,
        "executor picks up": (record["joined_ns"] - record["received_ns"]) / 1e6 - worked,
        "join, publish": (record["published_ns"] - record["joined_ns"]) / 1e6,
        "to the guard": (verdict["context"]["now_ns"] - record["published_ns"]) / 1e6,
        "judge, publish": (verdict["published_ns"] - verdict["context"]["now_ns"]) / 1e6,
    }


class _Listener:
    """Matches predictions with the guard's trajectories."""

    def __init__(self, domain: int, samples: Samples) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.node import Node
        from rclpy.signals import SignalHandlerOptions
        from std_msgs.msg import String
        from std_srvs.srv import Trigger

        from cosmos_ros.nodes import qos

        rclpy.init(args=[], domain_id=domain, signal_handler_options=SignalHandlerOptions.NO)
        self._shutdown = rclpy.try_shutdown
        self.samples = samples
        self.finished = False
        self.armed = False
        self.reason = "nothing was heard yet"
        self._open: dict[int, Mapping[str, Any]] = {}
        self._verdicts: dict[int, Mapping[str, Any]] = {}
        self._node = Node("bench")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._request = Trigger.Request
        self._arm = self._node.create_client(Trigger, "guard/arm")
        self._node.create_subscription(String, "predictor/provenance", self._on_prediction, qos.reliable(50))
        self._node.create_subscription(String, "guard/verdict_json", self._on_verdict, qos.reliable(50))
        self._node.create_subscription(String, "load/sent", self._on_sent, qos.latched())
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.reliable(50))

    def close(self) -> None:
        self._node.destroy_node()
        self._shutdown()

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0.0:
            self._executor.spin_once(timeout_sec=left)

    def arm(self) -> bool:
        if not self._arm.service_is_ready():
            return False
        future = self._arm.call_async(self._request())
        self._executor.spin_until_future_complete(future, timeout_sec=2.0)
        answer = future.result() if future.done() else None
        self.reason = "the guard did not answer" if answer is None else answer.message
        self.armed = answer is not None and answer.success
        return self.armed

    def _on_prediction(self, message: Any) -> None:
        record = json.loads(message.data)
        stamp = record["join"].get("stamp_ns")
        if stamp is not None and self.armed:
            self._open[stamp] = record
            self._match(stamp)

    def _on_verdict(self, message: Any) -> None:
        verdict = json.loads(message.data)
        if verdict.get("published_ns"):
            self._verdicts[int(verdict["stamp_ns"])] = verdict
            self._match(int(verdict["stamp_ns"]))

    def _match(self, stamp: int) -> None:
        if stamp not in self._open or stamp not in self._verdicts:
            return
        record, verdict = self._open.pop(stamp), self._verdicts.pop(stamp)
        received = record["received_ns"]
        stages = stages_of(record, verdict)
        self.samples.latency.append((verdict["published_ns"] - received) / 1e6 - record["latencies_ms"]["model"])
        self.samples.transport.append((received - max(record["image_stamps_ns"].values())) / 1e6)
        for stage, value in stages.items():
            self.samples.stages.setdefault(stage, []).append(value)

    def _on_sent(self, message: Any) -> None:
        self.samples.sent = int(message.data)
        self.finished = True

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            if status.name.endswith("predictor: inputs"):
                for value in status.values:
                    if value.key.startswith("camera ") and value.key.endswith(" received"):
                        self.samples.received[value.key] = int(value.value)


def run_pipeline(
    console: Console, *, duration: float, transports: tuple[str, ...], rate: float, joint_rate: float
) -> dict[str, Samples]:
    """Measure each transport for ``duration`` seconds and print the figures; the last line is ``p99_ms: N``.

    Raises:
        CosmosRosError: The chain did not come up.
    """
    console.print(f"machine: {machine()}")
    console.print(
        f"3 cameras 1280x720 at 30 Hz, joint states at {joint_rate:.0f} Hz, at most {rate:g} predictions a second, "
        f"{duration:.0f} s each; world model: persistence (its time is taken off)"
    )
    results: dict[str, Samples] = {}
    for transport in transports:
        results[transport] = _measure(console, transport, duration, rate, joint_rate)
        _print(console, transport, results[transport])
    worst = max(float(np.percentile(samples.latency, 99)) for samples in results.values())
    print(f"p99_ms: {worst:.2f}")
    return results


def _measure(console: Console, transport: str, duration: float, rate: float, joint_rate: float) -> Samples:
    samples = Samples()
    with private_domain() as domain:
        environment = child_environment(private_environment(domain))
        os.environ.update({k: v for k, v in environment.items() if k.startswith(("ROS_", "FASTDDS_", "FASTRTPS_"))})
        listener = _Listener(domain, samples)
        output: list[str] = []
        try:
            with ProcessGroup(lambda name, line: output.append(f"[{name}] {line}")) as group:
                values = resolve(predict_arguments(), {"world_model": "persistence"})
                nodes = [_faster(spec, transport, rate) for spec in predict_nodes(values)]
                group.start_nodes(nodes, {}, environment)
                load = {"transport": transport, "count": round(duration * 30), "joint_rate": joint_rate}
                for name in ("joints", "cameras"):
                    path = write_parameters({**load, "publish": name}, group.folder, name)
                    command = [sys.executable, "-m", "cosmos_ros.bench.load", "--ros-args", "-r", f"__node:={name}"]
                    group.start(name, [*command, "--params-file", str(path)], environment)
                _gather(console, listener, group, duration, output)
        finally:
            listener.close()
    return samples


def _faster(spec: NodeSpec, transport: str, rate: float) -> NodeSpec:
    if spec.name != "predictor":
        return spec
    parameters = {**spec.parameters, "prediction_rate": rate, "image_transport": transport}
    return NodeSpec(spec.executable, spec.module, spec.name, spec.config, parameters, spec.remappings)


def _gather(console: Console, listener: _Listener, group: ProcessGroup, duration: float, output: list[str]) -> None:
    watched = {name: psutil.Process(group.pid(name)) for name in _WATCHED}
    begin = time.monotonic()
    with console.status("starting") as progress:
        while not listener.finished:
            listener.spin(1.0)
            elapsed = time.monotonic() - begin
            if (ended := group.ended()) or (not listener.armed and not listener.arm() and elapsed > 30.0):
                tail = "\n".join(output[-20:])
                why = f"{', '.join(ended)} ended" if ended else f"the guard was not armed: {listener.reason}"
                raise CosmosRosError(f"{why}\n{tail}", where="bench pipeline")
            if elapsed > duration + 60.0:
                raise CosmosRosError("the load did not end in time", where="bench pipeline")
            for name, process in watched.items():
                listener.samples.memory[name].append(process.memory_info().rss / 2**20)
            progress.update(f"{elapsed:.0f} s, {len(listener.samples.latency)} trajectories")
        listener.spin(2.0)  # until the predictor's counts of the last images are on /diagnostics


def _print(console: Console, transport: str, samples: Samples) -> None:
    if not samples.latency:
        raise CosmosRosError("no guarded trajectory was seen", where=f"bench pipeline {transport}")
    console.print(f"{transport}: {len(samples.latency)} trajectories")
    console.print(f"  {'last image to guarded trajectory':34s} {_quantiles(samples.latency)}")
    for stage, values in samples.stages.items():
        console.print(f"    of which {stage:25s} {_quantiles(values)}")
    console.print(f"  {'transport (publication to arrival)':34s} {_quantiles(samples.transport)}")
    total = samples.sent * len(samples.received)
    console.print(f"  images lost: {samples.lost()} of {total}")
    for name in _WATCHED:
        memory = samples.memory[name]
        console.print(f"  {name} memory: {np.median(memory):.0f} MiB, growth {samples.growth(name):+.1f} MiB")


def _quantiles(values: list[float]) -> str:
    p50, p95, p99 = np.percentile(values, [50, 95, 99])
    return f"p50 {p50:6.2f}  p95 {p95:6.2f}  p99 {p99:6.2f}  max {max(values):6.2f} ms"
