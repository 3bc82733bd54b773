"""Latency of the live chain without the model: last image's arrival in the predictor to the guard's trajectory."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import psutil
from rich.console import Console

from cosmos_ros.bench.chain_samples import WATCHED, ChainSamples
from cosmos_ros.bench.machine import machine
from cosmos_ros.bringup.arguments import predict_arguments, resolve
from cosmos_ros.bringup.domain import private_domain, private_environment
from cosmos_ros.bringup.graph import NodeSpec, predict_nodes
from cosmos_ros.bringup.processes import ProcessGroup, child_environment, write_parameters
from cosmos_ros.errors import CosmosRosError

if TYPE_CHECKING:
    from cosmos_ros.bench.chain_listener import ChainListener


def run_pipeline(
    console: Console, *, duration: float, transports: tuple[str, ...], rate: float, joint_rate: float
) -> dict[str, ChainSamples]:
    """Measure each transport for ``duration`` seconds and print the figures; the last line is ``p99_ms: N``.

    Raises:
        CosmosRosError: The chain did not come up.
    """
    console.print(f"machine: {machine()}")
    console.print(
        f"3 cameras 1280x720 at 30 Hz, joint states at {joint_rate:.0f} Hz, at most {rate:g} predictions a second, "
        f"{duration:.0f} s each; world model: persistence (its time is taken off)"
    )
    results: dict[str, ChainSamples] = {}
    for transport in transports:
        results[transport] = _measure(console, transport, duration, rate, joint_rate)
        _print(console, transport, results[transport])
    worst = max(float(np.percentile(samples.latency, 99)) for samples in results.values())
    print(f"p99_ms: {worst:.2f}")
    return results


def _measure(console: Console, transport: str, duration: float, rate: float, joint_rate: float) -> ChainSamples:
    samples = ChainSamples()
    with private_domain() as domain:
        environment = child_environment(private_environment(domain))
        os.environ.update({k: v for k, v in environment.items() if k.startswith(("ROS_", "FASTDDS_", "FASTRTPS_"))})
        from cosmos_ros.bench.chain_listener import ChainListener  # rclpy reads the environment when it is loaded

        listener = ChainListener(domain, samples)
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
    return replace(spec, parameters=parameters)


def _gather(console: Console, listener: ChainListener, group: ProcessGroup, duration: float, output: list[str]) -> None:
    watched = {name: psutil.Process(group.pid(name)) for name in WATCHED}
    begin = time.monotonic()
    with console.status("starting") as progress:
        while not listener.finished:
            listener.spin(1.0)
            elapsed = time.monotonic() - begin
            if (ended := group.ended()) or (not listener.try_arming() and elapsed > 30.0):
                tail = "\n".join(output[-20:])
                why = f"{', '.join(ended)} ended" if ended else f"the guard was not armed: {listener.reason}"
                raise CosmosRosError(f"{why}\n{tail}", where="bench pipeline")
            if elapsed > duration + 60.0:
                raise CosmosRosError("the load did not end in time", where="bench pipeline")
            for name, process in watched.items():
                listener.samples.memory[name].append(process.memory_info().rss / 2**20)
            progress.update(f"{elapsed:.0f} s, {len(listener.samples.latency)} trajectories")
        listener.spin(2.0)  # until the predictor's counts of the last images are on /diagnostics


def _print(console: Console, transport: str, samples: ChainSamples) -> None:
    if not samples.latency:
        raise CosmosRosError("no guarded trajectory was seen", where=f"bench pipeline {transport}")
    console.print(f"{transport}: {len(samples.latency)} trajectories")
    console.print(f"  {'last image to guarded trajectory':34s} {_quantiles(samples.latency)}")
    for stage, values in samples.stages.items():
        console.print(f"    of which {stage:25s} {_quantiles(values)}")
    console.print(f"  {'transport (publication to arrival)':34s} {_quantiles(samples.transport)}")
    total = samples.sent * len(samples.received)
    console.print(f"  images lost: {samples.lost()} of {total}")
    for name in WATCHED:
        memory = samples.memory[name]
        console.print(f"  {name} memory: {np.median(memory):.0f} MiB, growth {samples.growth(name):+.1f} MiB")


def _quantiles(values: list[float]) -> str:
    p50, p95, p99 = np.percentile(values, [50, 95, 99])
    return f"p50 {p50:6.2f}  p95 {p95:6.2f}  p99 {p99:6.2f}  max {max(values):6.2f} ms"
