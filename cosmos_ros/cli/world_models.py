"""``cosmos-ros world-models``: show which world model serves which embodiment, and why not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WorldModels:
    """Print which world model serves which embodiment, and why not, as a Markdown table.

    For example: cosmos-ros world-models --embodiment ur5e

    Attributes:
        embodiment: Only this one: a name or a YAML file; without it all that are shipped.
    """

    embodiment: str | None = None

    def run(self) -> int:
        """Print the table."""
        from cosmos_ros.embodiment import list_embodiments, load_embodiment
        from cosmos_ros.world_models.compatibility_table import backends_markdown, markdown, survey

        names = [self.embodiment] if self.embodiment else list_embodiments()
        print(backends_markdown(), end="\n\n")
        print(markdown(survey([load_embodiment(name) for name in names])))
        return 0


VERB = WorldModels
