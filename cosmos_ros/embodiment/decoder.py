"""Model actions to tool poses, grippers and times."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from cosmos_ros.embodiment.chunk_sanity import check_decoded
from cosmos_ros.embodiment.codec import check_rows, decode_motion
from cosmos_ros.embodiment.compiled import CompiledEmbodiment
from cosmos_ros.embodiment.loader import list_embodiments, load_spec
from cosmos_ros.embodiment.normaliser import Normaliser
from cosmos_ros.errors import DecodeError
from cosmos_ros.types import NANOSECONDS, ActionChunk, ActionSpace, Finding, FloatArray

# A model's answers overshoot the ends of a gripper's range by less than this.
GRIPPER_SLACK = 0.1
# Beyond this it is another unit: per cent, degrees, millimetres.
GRIPPER_UNIT = 1.5


def decode_rows(
    embodiment: CompiledEmbodiment,
    actions: FloatArray,
    start: Mapping[str, FloatArray],
    *,
    space: ActionSpace,
    physical: bool,
    stamp_ns: int,
    thorough: bool,
) -> ActionChunk:
    """Decode action rows; see ``Embodiment.decode_actions``."""
    own = embodiment.layout
    layout = own.joint_space(embodiment.joint_names) if space is ActionSpace.JOINT else own
    rows = np.asarray(actions, dtype=np.float64)
    check_rows(layout, rows)
    findings: tuple[Finding, ...] = ()
    # Rows of a joint-space policy are in radians already; the embodiment's normaliser is not theirs.
    if layout is own:
        normaliser = embodiment.normaliser
        gates = embodiment.spec.action.orthonormality
        findings = check_decoded(
            layout,
            normaliser,
            normaliser.normalise(rows) if physical else rows,
            warn=gates.warn,
            reject=gates.reject,
            physical=physical,
            others=lambda: other_normalisers(embodiment),
            thorough=thorough,
        )
        rows = rows if physical else normaliser.denormalise(rows)
    motion = decode_motion(layout, rows, start)
    openings, gripper_findings = _clip(motion.openings)
    poses = dict(motion.poses)
    names: tuple[str, ...] = ()
    joints: FloatArray | None = None
    if motion.joints:
        names = embodiment.joint_names
        joints = np.stack([motion.joints[name] for name in names], axis=1)
        poses = embodiment.poses_of(names, joints)
    return ActionChunk(
        stamp_ns=stamp_ns,
        times_ns=np.rint(np.arange(1, len(rows) + 1) * (NANOSECONDS / embodiment.fps)).astype(np.int64),
        start_poses=dict(start),
        poses=poses,
        grippers=openings,
        gripper_widths={
            name: width.value(values)
            for name, values in openings.items()
            if (width := embodiment.spec.grippers[name].width) is not None
        },
        joint_names=names,
        joint_positions=joints,
        findings=findings + gripper_findings,
    )


def other_normalisers(embodiment: CompiledEmbodiment) -> dict[str, Normaliser]:
    """Return the normalisers of the shipped embodiments of the same width and other numbers, by name."""
    own = embodiment.normaliser
    return {
        name: other
        for name, other in _shipped_normalisers()
        if len(other.scale) == len(own.scale) and not np.array_equal(other.scale, own.scale)
    }


@lru_cache(maxsize=1)
def _shipped_normalisers() -> tuple[tuple[str, Normaliser], ...]:
    specs = ((name, load_spec(name).spec.action) for name in list_embodiments())
    return tuple((name, Normaliser.from_spec(action)) for name, action in specs if action.normaliser.kind == "quantile")


def _clip(openings: Mapping[str, FloatArray]) -> tuple[dict[str, FloatArray], tuple[Finding, ...]]:
    """Return openings clipped to 0..1, and a finding where that changed much; DecodeError where no clip can help."""
    findings: list[Finding] = []
    for name, values in openings.items():
        outside = np.maximum(values - 1.0, -values)
        if outside.max() > GRIPPER_UNIT:
            step = int(outside.argmax())
            raise DecodeError(
                f"step {step}: gripper {name} is an opening of {values[step]:.4g}, far outside 0 (closed) to 1 (open)",
                where="actions",
                hint="Check its unit, and whether the chunk is normalised.",
            )
        if outside.max() > GRIPPER_SLACK:
            text = f"gripper {name} reaches {values.min():.3g} to {values.max():.3g}, outside 0 (closed) to 1 (open)"
            findings.append(Finding("warning", "gripper_range", text, "actions"))
    return {name: np.clip(values, 0.0, 1.0) for name, values in openings.items()}, tuple(findings)
