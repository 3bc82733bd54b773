"""Observations out of images, composed canvases and recordings, for state-level calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.errors import InputError
from cosmos_ros.observation.sync_settings import SynchroniserSettings
from cosmos_ros.observation.synchroniser import Synchroniser
from cosmos_ros.prediction.pipeline import with_blank_views
from cosmos_ros.types import NANOSECONDS, FloatArray, JointState, Observation, UInt8Array

if TYPE_CHECKING:
    from cosmos_ros.recordings.reader import BagReader

_LONGEST_S = 1e7


def from_images(
    embodiment: Embodiment, views: Mapping[str, UInt8Array], arm: FloatArray | None = None, instruction: str = ""
) -> Observation:
    """Return the observation of some images.

    Args:
        embodiment: Whose views and joints they are.
        views: View → ``uint8 [H, W, 3]``; views left out are black.
        arm: ``float64 [J]`` arm joints (rad) in the embodiment's order; None takes the home posture. Grippers are
            as at home; embodiments without joints have their tools at the origin and their grippers half open.
        instruction: Task text.

    Raises:
        InputError: No images, or the wrong number of joints.
    """
    if not views:
        raise InputError("at least one image is needed", where="views")
    seen = Observation(
        stamp_ns=0,
        images=views,
        image_stamps_ns=dict.fromkeys(embodiment.views, 0),
        joints=None,
        instruction=instruction,
    )
    seen = with_blank_views(seen, frozenset(embodiment.views))
    if not embodiment.has_joints:
        if arm is not None:
            raise InputError(f"embodiment {embodiment.name} has no joints", where="joints")
        grippers = embodiment.spec.grippers.items()
        widths = {name: gripper.width.value(0.5) for name, gripper in grippers if gripper.width is not None}
        return replace(seen, tool_poses={link: np.eye(4) for link in embodiment.tool_links}, gripper_widths=widths)
    names = embodiment.joint_names
    if arm is not None and arm.shape != (len(names),):
        raise InputError(f"{arm.size} numbers for {len(names)} joints {', '.join(names)}", where="joints")
    posture = dict(embodiment.home)
    if arm is not None:
        posture |= dict(zip(names, arm.tolist(), strict=True))
    positions = np.array([posture[name] for name in embodiment.all_joints])
    return replace(seen, joints=JointState(stamp_ns=0, names=embodiment.all_joints, positions=positions))


def split_canvas(embodiment: Embodiment, canvas: UInt8Array) -> dict[str, UInt8Array]:
    """Return the views of a composed canvas ``uint8 [(N,) H, W, 3]``, so that composing gives it back.

    Raises:
        InputError: Its size cannot be divided as the embodiment's canvas is.
    """
    rows, cameras = embodiment.spec.canvas.rows, embodiment.spec.cameras
    divides = [cameras[row[0]].divide for row in rows]
    height, width = canvas.shape[-3:-1]
    whole = height / sum(1.0 / divide for divide in divides)
    views: dict[str, UInt8Array] = {}
    top = 0
    for row, divide in zip(rows, divides, strict=True):
        part_height, part_width = round(whole / divide), width // len(row)
        if abs(part_height * divide - whole) > 1e-6 or part_width * len(row) != width:
            raise InputError(
                f"{width}x{height} pixels cannot be divided into rows {rows} of heights 1/{divides}", where="canvas"
            )
        for index, view in enumerate(row):
            left = index * part_width
            views[view] = canvas[..., top : top + part_height, left : left + part_width, :]
        top += part_height
    return views


def from_bag(
    path: Path, embodiment: Embodiment, *, at_s: float = 0.0, topics: Mapping[str, str] | None = None
) -> Observation:
    """Return the first whole observation of a recording at or after ``at_s`` seconds.

    Args:
        path: rosbag2 folder or file.
        embodiment: Whose views and joints are in it.
        at_s: Seconds after the recording's start.
        topics: View → image topic where it is not ``/<view>/image_raw``; a view in neither is black.

    Raises:
        InputError: No such recording or topic, or no whole observation there.
    """
    return observations_from_bag(path, embodiment, at_s=at_s, count=1, topics=topics)[0]


def observations_from_bag(
    path: Path, embodiment: Embodiment, *, at_s: float, count: int, topics: Mapping[str, str] | None = None
) -> list[Observation]:
    """Return ``count`` whole observations in a row, one every 1/fps, from ``at_s`` seconds on.

    Raises:
        InputError: As :func:`from_bag`; also when there are fewer.
    """
    from cosmos_ros.recordings.reader import BagReader
    from cosmos_ros.recordings.replay import WalkTopics, find_view_topic, walk

    if not 0.0 <= at_s <= _LONGEST_S:
        raise InputError(f"{at_s} s into a recording", where="at", hint=f"Give 0 to {_LONGEST_S:g} s.")
    step_ns = round(NANOSECONDS / embodiment.fps)
    found: list[Observation] = []
    with BagReader(path) as bag:
        given = dict(topics or {})
        views: dict[str, str] = {}
        for view in embodiment.views:
            topic = given.get(view, f"/{view}/image_raw")
            try:
                views[view] = find_view_topic(bag, topic)
            except InputError:
                if view in given or view == embodiment.views[0]:
                    raise
        begin = bag.start_ns + round(at_s * NANOSECONDS)
        # What was seen one step before is wanted too.
        start = max(bag.start_ns, begin - 3 * step_ns)
        synchroniser = Synchroniser(
            list(views),
            joints=embodiment.all_joints if embodiment.has_joints else (),
            instruction=_last_instruction(bag, start),
            bounds=embodiment.limits.joints if embodiment.has_joints else None,
            settings=SynchroniserSettings(step_ns=step_ns, period_ns=step_ns),
        )
        streams = WalkTopics(views=views, joints="/joint_states" if embodiment.has_joints else None)
        first_stamp: int | None = None
        for snapshot in walk(bag, streams, synchroniser, start_ns=start):
            if first_stamp is None:
                first_stamp = snapshot.stamp_ns - (start - bag.start_ns)
            if snapshot.stamp_ns < first_stamp + round(at_s * NANOSECONDS) - step_ns // 2:
                continue
            found.append(with_blank_views(snapshot.build(), frozenset(embodiment.views)))
            if len(found) == count:
                return found
    raise InputError(
        f"it has {len(found)} whole observations from {at_s:g} s on, wanted are {count}",
        where=str(path),
        hint="Check the topics and that joint states and images overlap in time.",
    )


def _last_instruction(bag: BagReader, before_ns: int) -> str:
    """Return the task text at a time in the middle of a recording."""
    topic = "/instruction"
    text = ""
    if topic in bag.topics and before_ns > bag.start_ns:
        for message in bag.messages([topic], end_ns=before_ns):
            text = str(bag.decode(message).data)
    return text
