"""``cosmos-ros bench``: measure the chain on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class BenchPipeline:
    """Cameras to guarded trajectory, model excluded.

    Three 1280x720 cameras at 30 Hz: from the last image's arrival in the predictor to the guard's published trajectory.
    The last line is 'p99_ms: N', the worst of the transports.

    For example: cosmos-ros bench pipeline --duration 60 --transport compressed

    Attributes:
        duration: Seconds a transport.
        transport: How images are sent.
        rate: Most predictions a second.
        joint_rate: Joint states a second.
    """

    duration: float = 300.0
    transport: Literal["both", "compressed", "raw"] = "both"
    rate: float = 10.0
    joint_rate: float = 500.0

    def run(self) -> int:
        """Measure and print."""
        from rich.console import Console

        from cosmos_ros.bench.chain_latency import run_pipeline
        from cosmos_ros.errors import ConfigError

        for name in ("duration", "rate", "joint_rate"):
            if not getattr(self, name) > 0.0:
                raise ConfigError(f"{getattr(self, name)} is not positive", where=f"--{name.replace('_', '-')}")
        run_pipeline(
            Console(highlight=False, soft_wrap=True),
            duration=self.duration,
            transports=("compressed", "raw") if self.transport == "both" else (self.transport,),
            rate=self.rate,
            joint_rate=self.joint_rate,
        )
        return 0


VERB = {"pipeline": BenchPipeline}
