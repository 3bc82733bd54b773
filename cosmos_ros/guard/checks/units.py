"""Numbers in the wrong unit: degrees for radians, millimetres for metres; and numbers that fit none."""

from __future__ import annotations

import numpy as np

from cosmos_ros.guard.checks.base import Case, Limit
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.types import FloatArray

# Outside the range by this part of it, or faster than this many times the bound, is not a motion gone wrong a little.
_FAR = 1.0
_FAST = 50.0
_UNITS = ((np.pi / 180.0, "degrees, not radians"), (1e-3, "millimetres, not metres"))


class Units(Limit):
    """A joint far outside its range is refused; where its numbers would be right in another unit, that is named."""

    name = "units"
    order = 12

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        motion, slack = case.motion, case.checking.slack
        table, place, speed = motion.table, motion.hull(0), motion.hull(1)
        plausible = (place.lower >= table.lower - slack) & (place.upper <= table.upper + slack)
        plausible &= (speed.upper <= _FAST * table.velocity) & (speed.lower >= -_FAST * table.velocity)
        if plausible.all():
            return []
        points = motion.positions[motion.offset :]
        room = _FAR * (table.upper - table.lower)
        found = self._far(case, points, table.lower - room, table.upper + room, table.lower, table.upper)
        if motion.velocities is not None and not found:
            bound = table.velocity
            velocities = motion.velocities[motion.offset :]
            found = self._far(case, velocities, -_FAST * bound, _FAST * bound, -bound, bound)
        return found

    def _far(
        self,
        case: Case,
        values: FloatArray,
        least: FloatArray,
        most: FloatArray,
        lower: FloatArray,
        upper: FloatArray,
    ) -> list[Violation]:
        """Return the joints with a value outside [least, most], and what unit would bring all into their bounds."""
        motion = case.motion
        far = (values > most) | (values < least)
        found = []
        for joint in np.flatnonzero(far.any(axis=0)):
            column, low, high = values[:, joint], lower[joint], upper[joint]
            step = int(np.argmax(far[:, joint]))
            message = "far outside anything that the joint can do"
            for factor, text in _UNITS:
                room = 0.05 * (high - low)
                if np.all((column * factor >= low - room) & (column * factor <= high + room)):
                    message = f"these look like {text}"
                    break
            found.append(
                Violation(
                    self.name,
                    joint=motion.names[joint],
                    step=step,
                    time=float(motion.times[motion.offset + step]),
                    value=float(column[step]),
                    bound=float(high if column[step] > high else low),
                    message=message,
                    last_safe_point=step - 1,
                )
            )
        return found
