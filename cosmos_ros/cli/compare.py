"""``cosmos-ros compare``: compare two evaluations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional


@dataclass(frozen=True)
class Compare:
    """Compare two evaluations figure by figure.

    Differences come with bootstrap confidence intervals over chunks, pair by pair where both have the same chunks.

    For example: cosmos-ros compare out/report out/report --predictor-a persistence

    Attributes:
        a: Folder of an evaluation.
        b: Folder of the other; the same again to compare predictors in it.
        predictor_a: model, or a baseline's name.
        predictor_b: model, or a baseline's name.
        level: Of the intervals.
        resamples: Bootstrap samples.
        json: Write the comparison there as JSON.
    """

    a: Positional[Path]
    b: Positional[Path]
    predictor_a: str = "model"
    predictor_b: str = "model"
    level: float = 0.95
    resamples: int = 10_000
    json: Path | None = None

    def run(self) -> int:
        """Compare and print."""
        from cosmos_ros.errors import ConfigError
        from cosmos_ros.evaluation.compare import caveats, compare, read_side, table
        from cosmos_ros.files import write_json

        if not 0.0 < self.level < 1.0 or self.resamples < 1:
            raise ConfigError(
                "the level must lie between 0 and 1, and resamples be positive", where="--level, --resamples"
            )
        a, b = read_side(self.a), read_side(self.b)
        found = compare(
            a,
            b,
            predictor_a=self.predictor_a,
            predictor_b=self.predictor_b,
            resamples=self.resamples,
            level=self.level,
        )
        notes = caveats(a, b)
        print(table(found))
        for note in notes:
            print(f"note: {note}")
        print(
            f"{100 * self.level:g} % intervals of the mean difference, bootstrap over chunks. Neighbouring chunks of "
            "one recording resemble each other, so the true intervals are somewhat wider."
        )
        if self.json is not None:
            data = {"level": self.level, "resamples": self.resamples, "notes": notes}
            write_json(self.json, {**data, "figures": [c.to_dict() for c in found]}, sort_keys=True)
        return 0


VERB = Compare
