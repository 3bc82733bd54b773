"""Checks that say in words when a chunk's numbers are not what they should be."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from cosmos_ros.embodiment.action_layout import Layout
from cosmos_ros.embodiment.codec import residuals
from cosmos_ros.embodiment.normaliser import Normaliser
from cosmos_ros.errors import DecodeError
from cosmos_ros.types import Finding, FloatArray

# Recorded motion in float32 is orthonormal to 1e-6; a model's own answers to about 1e-3.
EXACT = 1e-5
# A range's numbers, read as rotations, are at least this far off once anything moves.
FAR = 0.03
# Rotations smaller than this look the same in every scale.
STILL = 2e-3
# Rotation columns that are orthonormal as they stand, in a half-precision answer.
COARSE = 0.02
# "No motion" is 0 in physical numbers, and in the model's numbers it is where its ranges are off centre. A chunk whose
# numbers lie this much nearer to the first is physical: 0 of 700 chunks of a real episode, at 1 to 1/16 of its speed,
# are taken for it, and 95 % of them are found in half precision.
NEARER = 0.5
# Share of the motion numbers at the very ends of the range; recorded motion has at most 0.2.
SATURATED = 0.5


def check_decoded(
    layout: Layout,
    normaliser: Normaliser,
    normalised: FloatArray,
    *,
    warn: float,
    reject: float,
    others: Callable[[], Mapping[str, Normaliser]] = dict,
    thorough: bool = True,
    physical: bool = False,
) -> tuple[Finding, ...]:
    """Check normalised rows ``[T, D]`` before they are decoded.

    Args:
        layout: Column meanings.
        normaliser: The embodiment's own.
        normalised: Rows in the model's numbers.
        warn, reject: Orthonormality gates.
        others: Gives the normalisers of other embodiments of the same width, by name.
        thorough: Ask for them at the slightest doubt, not only above ``warn``.
        physical: The rows were given as physical numbers; decides the words.

    Returns:
        Findings, worst first; empty for a clean chunk.

    Raises:
        DecodeError: The rotation columns are further than ``reject`` from orthonormal; says what it looks like.
    """
    own = residuals(layout, normaliser.denormalise(normalised))
    worst = float(own.max(initial=0.0))
    suspicion = explain(layout, normaliser, normalised, others if thorough or worst > warn else dict, given=physical)
    step = int(own.argmax()) if len(own) else 0
    if worst > reject:
        raise DecodeError(
            f"step {step}: rotation columns are {worst:.3g} from orthonormal, at most {reject:g} is accepted"
            + (f"; {suspicion}" if suspicion else ""),
            where="actions",
        )
    findings: list[Finding] = []
    if suspicion:
        findings.append(Finding("warning", "normalisation", f"the chunk {suspicion}", "actions"))
    if worst > warn:
        text = f"rotation columns are {worst:.3g} from orthonormal (more than {warn:g}); projected to rotations"
        findings.append(Finding("warning", "orthonormality", text, f"step {step}"))
    return tuple(findings)


def explain(
    layout: Layout,
    normaliser: Normaliser,
    normalised: FloatArray,
    others: Callable[[], Mapping[str, Normaliser]] = dict,
    *,
    given: bool = False,
) -> str:
    """Return in words what is wrong with the numbers' scale, or an empty text; ``given`` as physical numbers or not.

    Orthonormality shows it: the rotation columns of motion are orthonormal in metres and nowhere else, so the scale
    in which they are is the scale the chunk is in. Where rounding hides that, the numbers of "no motion" do.
    """
    if not layout.poses or _is_identity(normaliser):
        return ""
    physical = normaliser.denormalise(normalised)
    own = residuals(layout, physical)
    as_it_stands = float(residuals(layout, normalised).max())
    bare, remedy = "not normalised at all", "give it as physical numbers, or normalise it first"
    if given:
        bare, remedy = "denormalised twice", "normalise it once more"
    if as_it_stands < EXACT and _rotation(layout, normalised) > STILL:
        return f"looks {bare}: its rotation columns are orthonormal as they stand (to {as_it_stands:.1g}); {remedy}"
    if as_it_stands < COARSE and _nearness(layout, normaliser, normalised) < NEARER:
        return (
            f"looks {bare}: its numbers lie around the physical numbers of no motion and its rotation columns are "
            f"orthonormal as they stand (to {as_it_stands:.1g}); {remedy}"
        )
    ends = float((np.abs(normalised[:, _motion_columns(layout)]) >= 1.0 - 1e-6).mean())
    if ends > SATURATED and np.abs(normalised).max() <= 1.0 + 1e-6:
        return (
            f"looks normalised and clamped twice: {ends:.0%} of its motion is at the very ends of the model's range "
            "(or it is far faster than the domain)"
        )
    # Medians, as clamped rows are a little off in any scale.
    if float(np.median(own)) <= EXACT:
        return ""
    twice = float(np.median(residuals(layout, normaliser.denormalise(physical))))
    # A zero rotation is nobody's motion, and twice denormalised it would look like one.
    rotates = float(np.linalg.norm(physical[:, _rotation_columns(layout)], axis=1).min()) > 0.1
    if rotates and own.max() > FAR and twice < 1e-3 and np.abs(physical).max() < 2.0:
        if given:
            return (
                f"looks normalised, not physical: denormalising it makes its rotations orthonormal (to {twice:.1g}); "
                "give it as normalised"
            )
        return f"looks normalised twice: denormalising it once more makes its rotations orthonormal (to {twice:.1g})"
    fits = {
        name: float(np.median(residuals(layout, other.denormalise(normalised)))) for name, other in others().items()
    }
    if fits:
        best = min(fits, key=lambda name: fits[name])
        if fits[best] < EXACT:
            return (
                f"looks normalised with the statistics of {best}: with them its rotations are orthonormal "
                f"(to {fits[best]:.1g}), with these only to {float(np.median(own)):.1g}"
            )
    return ""


def check_encoded(
    layout: Layout, normaliser: Normaliser, physical: FloatArray, clamped: npt.NDArray[np.bool_]
) -> tuple[Finding, ...]:
    """Check physical rows ``[T, D]`` that were encoded, given the mask of clamped numbers ``bool [T, D]``."""
    findings: list[Finding] = []
    share = clamped.mean(axis=0) if len(clamped) else np.zeros(layout.width)
    if share.any():
        columns = ", ".join(f"{layout.names[i]} {share[i]:.1%}" for i in np.flatnonzero(share))
        level = "warning" if share.max() > 0.2 else "info"
        text = f"{clamped.mean():.2%} of the numbers were clamped to the model's range: {columns}"
        if level == "warning":
            text += "; this motion is faster than the training data's: check the frame rate, the unit and the domain"
        findings.append(Finding(level, "clamped", text, "actions"))
    return tuple(findings)


def _nearness(layout: Layout, normaliser: Normaliser, rows: FloatArray) -> float:
    """Return how far the motion of rows is from the physical "no motion", in units of how far from the normalised."""
    columns = _motion_columns(layout)
    still = normaliser.normalise(np.zeros(layout.width))[columns]
    near, far = (float(np.sqrt(np.mean((rows[:, columns] - centre) ** 2))) for centre in (0.0, still))
    return near / far if far > 0.0 else 1.0


def _motion_columns(layout: Layout) -> list[int]:
    """Return the columns that are 0 when nothing moves: translations and off-diagonal rotation numbers."""
    return [block.start + i for block in layout.poses for i in (0, 1, 2, 4, 5, 6, 8)]


def _rotation_columns(layout: Layout) -> list[int]:
    return [block.start + i for block in layout.poses for i in range(3, 9)]


def _rotation(layout: Layout, rows: FloatArray) -> float:
    """Return the largest off-diagonal rotation number of all pose blocks."""
    columns = [block.start + i for block in layout.poses for i in (4, 5, 6, 8)]
    return float(np.abs(rows[:, columns]).max())


def _is_identity(normaliser: Normaliser) -> bool:
    return bool(np.all(normaliser.scale == 1.0) and np.all(normaliser.offset == 0.0))
