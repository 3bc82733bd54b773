"""The live chain with Cosmos3 at full size: simulator, predictor and guard as processes over DDS, the model on the GPU.

Weights are random, written as a real checkpoint first; what is measured is whether the nodes keep up: from an
observation to its guarded trajectory, what the guard made of them, the rates of the streams
beside the model. Whether the arm does anything sensible is not: random weights return the sampler's noise. With DROID's
statistics noise is refused (decoded rotations are none, poses jump out of reach), so the embodiment used here makes it
a motion a tenth as large; all checks are as shipped.

    python benchmarks/bench_live_cosmos3.py --size full --steps 4 30 --out out/live     one GPU of 40 GB or more
    python benchmarks/bench_live_cosmos3.py --size tiny --steps 1 --out out/live        CPU, to see that it runs

Needs what `make demo` and `make test-cosmos3` need, in one environment. Prints a Markdown table and writes
cosmos3_live.json and cosmos3_live.md to --out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import yaml
from bench_cosmos3 import write_checkpoint

from cosmos_ros.bench.machine import machine
from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.schema import plain

# One row of no motion: no translation, the first two columns of no rotation, the gripper half open.
NEUTRAL = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.5])


def write_embodiment(path: Path) -> None:
    """Write a Franka whose normalised actions are a tenth of DROID's motion."""
    normaliser = plain(load_embodiment("franka").spec.action.normaliser)
    for key in ("q01", "q99"):
        normaliser[key] = (NEUTRAL + 0.1 * (np.array(normaliser[key]) - NEUTRAL)).tolist()
    spec = {"extends": "franka.yaml", "name": "franka_noise", "action": {"normaliser": normaliser}}
    path.write_text(yaml.safe_dump(spec))


def gpu_memory_mib() -> int | None:
    """Return what is taken of the first GPU; None without one."""
    try:
        query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "-i", "0"]
        done = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return int(done.stdout.split()[0])


def run_demo(checkpoint: Path, out: Path, *, steps: int, chunk: int, frames: bool, seconds: float, extra: str) -> dict:
    """Run the demo once; return its figures with what was asked for."""
    out.mkdir(parents=True, exist_ok=True)
    parameters = out / "params.yaml"
    parameters.write_text(
        "/**/predictor:\n  ros__parameters:\n"
        f"    num_inference_steps: {steps}\n    chunk_size: {chunk}\n    prediction_rate: 10.0\n"
    )
    embodiment = out / "franka_noise.yaml"
    write_embodiment(embodiment)
    chosen = ",".join(filter(None, (extra, "" if frames else "frames=false")))
    command = [
        sys.executable, "-m", "cosmos_ros.cli", "demo", "--world-model", "cosmos3", "--duration", str(seconds),
        "--out", str(out / "demo"), f"model:={checkpoint}", f"params_file:={parameters}", f"model_options:={chosen}",
        f"embodiment:={embodiment.resolve()}", "image_width:=640", "image_height:=360",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    peak = 0
    while process.poll() is None:
        peak = max(peak, gpu_memory_mib() or 0)
        try:
            process.wait(2.0)
        except subprocess.TimeoutExpired:
            continue
    assert process.stdout is not None
    print(process.stdout.read(), flush=True)
    summary = out / "demo" / "summary.json"
    if not summary.exists():
        log = out / "demo" / "nodes.log"
        print(log.read_text()[-4000:] if log.exists() else "no log", flush=True)
        return {"steps": steps, "chunk": chunk, "frames": frames, "failed": True}
    figures = json.loads(summary.read_text())
    asked = {"steps": steps, "chunk": chunk, "frames": frames, "gpu_mib": peak or None, "status": process.returncode}
    return {**asked, **figures}


def quantiles(figures: dict, stage: str) -> str:
    """Return a stage's p50 and p99 in milliseconds."""
    values = figures["latencies_ms"].get(stage)
    return "–" if not values else f"{values['p50']:.0f} / {values['p99']:.0f}"


def markdown(rows: list[dict]) -> str:
    """Return the table."""
    lines = [
        "| steps | rows a chunk | frames | model | observation to guarded trajectory | guard's part | "
        "verdicts | joint states, cameras | limits broken | GPU |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        if row.get("failed"):
            lines.append(
                f"| {row['steps']} | {row['chunk']} | {'yes' if row['frames'] else 'no'} | did not come up |" + " |" * 6
            )
            continue
        rates = row["rates_hz"]
        cameras = [rate for name, rate in rates.items() if name.startswith("camera")]
        cells = [
            row["steps"],
            row["chunk"],
            "yes" if row["frames"] else "no",
            f"{quantiles(row, 'model')} ms",
            f"{quantiles(row, 'observation to guarded trajectory')} ms",
            f"{quantiles(row, 'guard')} ms",
            ", ".join(f"{count} {name}" for name, count in sorted(row["verdicts"].items())) or "none",
            f"{rates['joint_states']:.1f}, {min(cameras, default=0.0):.1f} Hz",
            (row["broken_physical_limits"] or 0) + sum(row["broken_position_limits"].values()),
            "–" if not row["gpu_mib"] else f"{row['gpu_mib'] / 1024:.1f} GiB",
        ]
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write a checkpoint, run the demo on it once a setting, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("full", "tiny"), default="tiny")
    parser.add_argument("--steps", type=int, nargs="+", default=[4])
    parser.add_argument("--chunks", type=int, nargs="+", default=[16], help="rows a chunk")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long the arm is driven, each")
    parser.add_argument("--without-frames", action="store_true", help="also without decoding the frames")
    parser.add_argument("--model-options", default="", help="further option=value pairs of the world model")
    parser.add_argument("--out", type=Path, default=Path("out/live"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="cosmos3_"))
    rows = []
    try:
        checkpoint = scratch / "Cosmos3-Nano-random"
        facts = write_checkpoint(arguments.size, "cuda" if arguments.size == "full" else "cpu", checkpoint)
        for steps in arguments.steps:
            for chunk in arguments.chunks:
                for frames in (True, False) if arguments.without_frames else (True,):
                    name = f"steps{steps}_chunk{chunk}{'' if frames else '_no_frames'}"
                    rows.append(
                        run_demo(
                            checkpoint,
                            arguments.out / name,
                            steps=steps,
                            chunk=chunk,
                            frames=frames,
                            seconds=arguments.seconds,
                            extra=arguments.model_options,
                        )
                    )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    table = markdown(rows)
    report = {"machine": machine(), "checkpoint": facts, "runs": rows}
    (arguments.out / "cosmos3_live.json").write_text(json.dumps(report, indent=1) + "\n")
    (arguments.out / "cosmos3_live.md").write_text(table)
    print(f"machine: {report['machine']}\n\n{table}")
    return int(any(row.get("failed") for row in rows))


if __name__ == "__main__":
    sys.exit(main())
