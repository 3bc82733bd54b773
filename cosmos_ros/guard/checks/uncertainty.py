"""How sure the prediction behind a trajectory is of itself."""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_ros.guard.checks.base import Case, Limit
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.settings import DeclaredSettings, setting


@dataclass(frozen=True)
class UncertaintySettings(DeclaredSettings):
    """How unsure a prediction may be."""

    max_uncertainty: float = setting(
        0.0, "Largest spread of the prediction that is let through, normalised; 0: any.", minimum=0.0, maximum=1e6,
        read_only=True,
    )  # fmt: skip


class Uncertainty(Limit):
    """The prediction is sure enough of itself."""

    name = "uncertainty"
    order = 10
    settings_type = UncertaintySettings

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        value, bound = case.context.uncertainty, self.settings.max_uncertainty
        if value is None or not bound or value <= bound:
            return []
        return [Violation(self.name, value=value, bound=bound, message="the predictions disagree")]
