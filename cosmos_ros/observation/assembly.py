"""Which items make up the observation at a reference stamp."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cosmos_ros.observation.buffers import JOINTS, SCENE, Buffers, image_key, pose_key, width_key
from cosmos_ros.observation.health import StreamCounter
from cosmos_ros.observation.input_checks import duration_text
from cosmos_ros.observation.rings import Item, Ring, as_of
from cosmos_ros.observation.snapshot import Snapshot
from cosmos_ros.observation.sync_settings import SynchroniserSettings
from cosmos_ros.types import FloatArray


@dataclass(frozen=True)
class Streams:
    """What an observation is made of.

    Attributes:
        views: Camera views.
        joints: Wanted joints; () for none; None for whatever is published, which then is not required.
        tool_poses: Links tracked by pose.
        gripper_widths: Grippers whose width has its own topic.
        scene: Whether object poses are needed.
    """

    views: tuple[str, ...]
    joints: tuple[str, ...] | None
    tool_poses: tuple[str, ...]
    gripper_widths: tuple[str, ...]
    scene: bool

    @property
    def primary(self) -> str:
        """The view whose stamps are the reference."""
        return self.views[0]


class Assembler:
    """As-of look-up in one set of buffers.

    Args:
        streams: What to assemble.
        settings: Tolerances.
        counters: Name and requirement of each stream.
        buffers: Where to look.
        instruction_at: Task text at a stamp.
        epoch: Put into the snapshots.
    """

    def __init__(
        self,
        streams: Streams,
        settings: SynchroniserSettings,
        counters: Mapping[str, StreamCounter],
        buffers: Buffers,
        instruction_at: Callable[[int], str],
        epoch: int,
    ) -> None:
        self._streams = streams
        self._settings = settings
        self._counters = counters
        self._buffers = buffers
        self._instruction_at = instruction_at
        self._epoch = epoch
        self._items = {key: ring.items() for key, ring in buffers.rings.items()}

    def primary_items(self, due_ns: int) -> Sequence[Item]:
        """Items of the primary view at or after a stamp, oldest first."""
        return [item for item in self._items[image_key(self._streams.primary)] if item.stamp_ns >= due_ns]

    def settled(self, reference_ns: int) -> bool:
        """Whether the as-of items at a reference can no longer change: every stream has passed it."""
        for key, counter in self._counters.items():
            newest = counter.newest_stamp_ns
            if not counter.required and (newest is None or newest < reference_ns - self._tolerance(key)):
                continue  # an optional stream that is silent is not waited for
            if not self._buffers.passed(key, reference_ns):
                return False
        return True

    def assemble(self, reference_ns: int) -> Snapshot | str:
        """The snapshot at a reference stamp, or one line that says why there is none."""
        streams = self._streams
        found: dict[str, Item] = {}
        for key, items in self._items.items():
            item = as_of(items, reference_ns, self._tolerance(key))
            if item is not None:
                found[key] = item
            elif self._counters[key].required:
                return self._why_missing(key, self._buffers.rings[key], reference_ns)
        joints = None
        if streams.joints is None or streams.joints:
            joints = self._buffers.joints.as_of(reference_ns, self._settings.joint_tolerance_ns)
            if joints is None and streams.joints:
                return self._why_no_joints(reference_ns, streams.joints)
        scene: Mapping[str, FloatArray] = found[SCENE].payload if SCENE in found else {}
        return Snapshot(
            stamp_ns=reference_ns,
            images={view: found[image_key(view)] for view in streams.views if image_key(view) in found},
            joints=joints,
            instruction=self._instruction_at(reference_ns),
            tool_poses={link: found[pose_key(link)].payload for link in streams.tool_poses},
            gripper_widths={name: found[width_key(name)].payload for name in streams.gripper_widths},
            scene=scene,
            epoch=self._epoch,
        )

    def images(self, reference_ns: int) -> list[tuple[str, Item]]:
        """View and image item of each view that has one as of a reference."""
        tolerance = self._settings.image_tolerance_ns
        found = ((view, as_of(self._items[image_key(view)], reference_ns, tolerance)) for view in self._streams.views)
        return [(view, item) for view, item in found if item is not None]

    def images_since(self, stamp_ns: int) -> list[tuple[str, Item]]:
        """View and newest image item of each view whose newest is not older than a stamp."""
        newest = ((view, self._buffers.rings[image_key(view)].newest) for view in self._streams.views)
        return [(view, item) for view, item in newest if item is not None and item.stamp_ns >= stamp_ns]

    def previous(self, reference_ns: int) -> Snapshot | None:
        """The snapshot at the primary image one control step before a reference, when the buffers have it."""
        step = self._settings.step_ns
        # Stamps jitter: an image a little after the exact time is the right one, the one before it is not.
        latest = reference_ns - step + step // 4
        item = as_of(self._items[image_key(self._streams.primary)], latest, step // 2)
        if item is None:
            return None
        snapshot = self.assemble(item.stamp_ns)
        return None if isinstance(snapshot, str) else snapshot

    def _why_no_joints(self, reference_ns: int, wanted: tuple[str, ...]) -> str:
        tolerance = self._settings.joint_tolerance_ns
        missing = self._buffers.joints.missing_at(reference_ns, tolerance)
        which = "no state" if len(missing) == len(wanted) else f"no state of {', '.join(missing)}"
        return f"{which} on {self._counters[JOINTS].name} within {duration_text(tolerance)} before the image"

    def _tolerance(self, key: str) -> int:
        return self._settings.image_tolerance_ns if key.startswith("image:") else self._settings.joint_tolerance_ns

    def _why_missing(self, key: str, ring: Ring, reference_ns: int) -> str:
        name, newest = self._counters[key].name, ring.newest
        if newest is None:
            return f"{name} has delivered nothing"
        return (
            f"{name} has nothing within {duration_text(self._tolerance(key))} before the image of "
            f"{self._streams.primary} (its newest is {duration_text(newest.stamp_ns - reference_ns)} from it)"
        )
