"""What was recorded after an observation: canvases and robot states at the predicted times, from a bounded window."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.errors import InputError
from cosmos_ros.evaluation.frame_scores import CanvasRegions, Region
from cosmos_ros.messages.stamps import ns_from_stamp
from cosmos_ros.observation import Snapshot, Synchroniser
from cosmos_ros.observation.snapshot import decode_item
from cosmos_ros.recordings.gaps import StreamGaps
from cosmos_ros.recordings.interpolation import RobotState, interpolate
from cosmos_ros.recordings.tracked_tool import TrackedTools
from cosmos_ros.trajectory.executing import wrapped
from cosmos_ros.types import JointState, UInt8Array

# Faster joint states than this say nothing more about poses that are compared at a few per second.
_JOINT_PERIOD_NS = 4_000_000
# Frames wait for the other streams anyway; taking them at every joint state would only cost time.
_TAKE_PERIOD_NS = 10_000_000


@dataclass
class _Frame:
    stamp_ns: int
    snapshot: Snapshot | None
    image_stamps: Mapping[str, int]
    canvas: UInt8Array | None = None
    regions: Mapping[str, Region] = field(default_factory=dict)
    error: str = ""

    @classmethod
    def of(cls, snapshot: Snapshot) -> _Frame:
        return cls(snapshot.stamp_ns, snapshot, image_stamps(snapshot))


class GroundTruthWindow:
    """Recorded frames and robot states of the last few seconds. Used by one thread.

    Args:
        embodiment: Composes canvases.
        blank_views: Views without a camera; black, as the pipeline makes them.
        max_gap_ns: Robot states further apart than this are not interpolated between.
        pool: Decodes images at the same time; None decodes one after another.

    Attributes:
        undecodable: Frames that could not be decoded.
    """

    def __init__(
        self, embodiment: Embodiment, blank_views: frozenset[str], max_gap_ns: int, pool: Executor | None = None
    ) -> None:
        self._embodiment = embodiment
        self._blank = blank_views
        self._max_gap_ns = max_gap_ns
        self._pool = pool
        self._regions = CanvasRegions(embodiment, frozenset())
        self._black: dict[tuple[int, ...], dict[str, UInt8Array]] = {}
        self._frames: deque[_Frame] = deque()
        self._states: deque[RobotState] = deque()
        self.undecodable = 0

    def add_snapshot(self, snapshot: Snapshot) -> None:
        """Add one synchronised set of images, undecoded."""
        self._frames.append(_Frame.of(snapshot))

    def add_state(self, state: RobotState) -> None:
        """Add a joint state, or tool poses and gripper widths, newer than those before.

        Where a driver wraps a continuous joint, the window's states go on without a jump.
        """
        before = self._states[-1] if self._states else None
        if isinstance(state, JointState) and isinstance(before, JointState) and state.names == before.names:
            wraps = np.array([name in self._embodiment.continuous_joints for name in state.names])
            state = replace(state, positions=before.positions + wrapped(state.positions - before.positions, wraps))
        self._states.append(state)

    @property
    def newest_ns(self) -> int:
        """Stamp of the newest frame; 0 without one."""
        return self._frames[-1].stamp_ns if self._frames else 0

    @property
    def newest_state_ns(self) -> int:
        """Stamp of the newest robot state; 0 without one."""
        return self._states[-1].stamp_ns if self._states else 0

    def clear(self) -> None:
        """Forget everything: the clock went back."""
        self._frames.clear()
        self._states.clear()

    def forget_before(self, stamp_ns: int) -> None:
        """Drop what is older than a stamp, but for the last of it."""
        for entries in (self._frames, self._states):
            while len(entries) > 1 and entries[1].stamp_ns <= stamp_ns:
                entries.popleft()

    def canvases_at(self, stamps_ns: Sequence[int], tolerance_ns: int) -> tuple[UInt8Array | None, ...]:
        """Return the canvas nearest to each time, decoded and composed at the same time where there is a pool."""
        wanted = [self._nearest(stamp, tolerance_ns) for stamp in stamps_ns]
        distinct = list({id(frame): frame for frame in wanted if frame is not None}.values())
        list(map(self._canvas, distinct) if self._pool is None else self._pool.map(self._canvas, distinct))
        return tuple(None if frame is None else frame.canvas for frame in wanted)

    def images_of(self, snapshot: Snapshot) -> dict[str, UInt8Array]:
        """Return a snapshot's images as they lie on its canvas, blank views black; they compose to the same canvas.

        Images that are in the window are not decoded again.

        Raises:
            InputError: An image cannot be decoded.
        """
        stamps = image_stamps(snapshot)
        frame = next((frame for frame in self._frames if frame.image_stamps == stamps), None) or _Frame.of(snapshot)
        canvas = self._canvas(frame)
        if canvas is None:
            raise InputError(frame.error, where="images")
        return {view: region.cut(canvas) for view, region in frame.regions.items()}

    def state_at(self, stamp_ns: int) -> RobotState | None:
        """Return the robot's state at a time; None outside what is recorded or across a gap."""
        return interpolate(self._states, stamp_ns, self._max_gap_ns)

    def _nearest(self, stamp_ns: int, tolerance_ns: int) -> _Frame | None:
        best = min(self._frames, key=lambda frame: abs(frame.stamp_ns - stamp_ns), default=None)
        return None if best is None or abs(best.stamp_ns - stamp_ns) > tolerance_ns else best

    def _canvas(self, frame: _Frame) -> UInt8Array | None:
        if frame.canvas is None and frame.snapshot is not None:
            try:
                images = {view: decode_item(item, view) for view, item in frame.snapshot.images.items()}
                if self._blank:
                    images = self._blackened(images)
                frame.regions = self._regions.of(images)
                frame.canvas = self._embodiment.compose(images)
            except InputError as error:
                frame.error = str(error)
                self.undecodable += 1
            frame.snapshot = None  # the images themselves are not needed any more
        return frame.canvas

    def _blackened(self, images: Mapping[str, UInt8Array]) -> dict[str, UInt8Array]:
        """Return the images, and for the blank views black ones, which are made as small as they will be."""
        shape = next(iter(images.values())).shape
        if shape not in self._black:
            full = {view: np.zeros(shape, np.uint8) for view in self._blank if view not in images}
            regions = self._regions.of({**images, **full})
            self._black[shape] = {view: np.zeros((*regions[view].size, 3), np.uint8) for view in full}
        return {**images, **self._black[shape]}


def image_stamps(snapshot: Snapshot) -> dict[str, int]:
    """Return view → stamp of a snapshot's image."""
    return {view: item.stamp_ns for view, item in snapshot.images.items()}


class GroundTruthCollector:
    """Stands in a walk for the live node's synchroniser, and feeds a second one, which takes every image, the same.

    Args:
        live: Decides which images are predicted from.
        every: The same streams with ``period_ns`` 0.
        window: Filled while walking.
        gaps: Counts the pauses of the accepted messages.
    """

    def __init__(self, live: Synchroniser, every: Synchroniser, window: GroundTruthWindow, gaps: StreamGaps) -> None:
        self.live = live
        self._every = every
        self._window = window
        self._gaps = gaps
        self._epoch = 0
        self._next_joints_ns = 0
        self._next_take_ns = 0
        tools, widths = live.streams.tool_poses, live.streams.gripper_widths
        self._tracked = TrackedTools(tools, widths, live, every) if tools else None

    def __getattr__(self, name: str) -> Any:
        """Everything else is the live synchroniser's."""
        return getattr(self.live, name)

    def add_image(self, view: str, image: Any, *, received_ns: int, stamp_ns: int | None = None) -> bool:
        """As Synchroniser."""
        self._every.add_image(view, image, received_ns=received_ns, stamp_ns=stamp_ns)
        accepted = self.live.add_image(view, image, received_ns=received_ns, stamp_ns=stamp_ns)
        return accepted and self._note(f"camera {view}", image)

    def add_joint_state(self, message: Any, *, received_ns: int) -> bool:
        """As Synchroniser; of an embodiment without joints, the names are grippers' and the positions their widths."""
        if self._tracked is not None:
            return self._tracked.add_widths(message, received_ns=received_ns)
        self._every.add_joint_state(message, received_ns=received_ns)
        if not self.live.add_joint_state(message, received_ns=received_ns):
            return False
        self._note("joint_states", message)
        new_epoch = self._every.epoch != self._epoch
        if received_ns >= self._next_joints_ns or new_epoch:
            state = self._every.newest_joint_state()
            if state is not None and (new_epoch or state.stamp_ns > self._window.newest_state_ns):
                self._note_epoch()
                self._window.add_state(state)
                self._next_joints_ns = received_ns + _JOINT_PERIOD_NS
        return True

    def add_tool_pose(self, link: str, pose: Any, *, received_ns: int, stamp_ns: int | None = None) -> bool:
        """As Synchroniser."""
        assert self._tracked is not None
        self._every.add_tool_pose(link, pose, received_ns=received_ns, stamp_ns=stamp_ns)
        self._note_epoch()
        if not self.live.add_tool_pose(link, pose, received_ns=received_ns, stamp_ns=stamp_ns):
            return False
        state = self._tracked.add_pose(link, pose)
        if state is not None and state.stamp_ns > self._window.newest_state_ns:
            self._window.add_state(state)
        return self._note(f"tool pose {link}", pose)

    def add_instruction(self, text: str, *, received_ns: int) -> bool:
        """As Synchroniser."""
        self._every.add_instruction(text, received_ns=received_ns)
        return self.live.add_instruction(text, received_ns=received_ns)

    def take(self, now_ns: int, *, ended: bool = False) -> Snapshot | None:
        """As Synchroniser, after every recorded frame that is due went into the window."""
        if ended or not 0 <= self._next_take_ns - now_ns <= _TAKE_PERIOD_NS:
            while (snapshot := self._every.take(now_ns, ended=ended)) is not None:
                self._note_epoch()
                self._window.add_snapshot(snapshot)
            self._next_take_ns = now_ns + _TAKE_PERIOD_NS
        return self.live.take(now_ns, ended=ended)

    def _note(self, stream: str, message: Any) -> bool:
        stamp_ns = ns_from_stamp(message.header.stamp, where="header.stamp")
        self._gaps.note(stream, stamp_ns, self._every.epoch)
        return True

    def _note_epoch(self) -> None:
        if self._every.epoch != self._epoch:
            self._epoch = self._every.epoch
            self._window.clear()
            self._next_joints_ns = 0
            if self._tracked is not None:
                self._tracked.clear()
