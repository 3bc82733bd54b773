"""Numbers in the wrong unit: degrees for radians, millimetres for metres."""

from __future__ import annotations

import numpy as np

from cosmos_ros.guard.checks.base import Case
from cosmos_ros.guard.verdict import Violation

# Beyond its range by this part of the range is not a motion that went wrong a little.
_FAR = 1.0


class Units:
    """A joint far outside its range whose numbers would be right in another unit is named as such."""

    name = "units"

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        motion = case.motion
        table = motion.table
        enclosure = motion.hull(0)
        slack = case.config.slack
        if bool(np.all((enclosure.lower >= table.lower - slack) & (enclosure.upper <= table.upper + slack))):
            return []
        points = motion.positions[motion.offset :]
        span = table.upper - table.lower
        found = []
        with np.errstate(all="ignore"):
            far = (points > table.upper + _FAR * span) | (points < table.lower - _FAR * span)
        for joint in np.flatnonzero(far.any(axis=0)):
            column = points[:, joint]
            step = int(np.argmax(far[:, joint]))
            low, high = table.lower[joint], table.upper[joint]
            room = 0.05 * (high - low)
            for factor, text in ((np.pi / 180.0, "degrees, not radians"), (1e-3, "millimetres, not metres")):
                values = column * factor
                if np.all((values >= low - room) & (values <= high + room)):
                    bound = high if column[step] > high else low
                    found.append(
                        Violation(
                            self.name,
                            joint=motion.names[joint],
                            step=step,
                            time=float(motion.times[motion.offset + step]),
                            value=float(column[step]),
                            bound=float(bound),
                            message=f"these look like {text}",
                            last_safe_point=step - 1,
                        )
                    )
                    break
        return found


class Uncertainty:
    """The prediction is sure enough of itself."""

    name = "uncertainty"

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        value, bound = case.context.uncertainty, case.config.max_uncertainty
        if value is None or value <= bound:
            return []
        return [Violation(self.name, value=value, bound=bound, message="the predictions disagree")]
