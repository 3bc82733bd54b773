"""As-of synchronisation of cameras, joint states and instruction on header stamps. No ROS in here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.limits import JointLimit
from cosmos_ros.messages.pose_messages import scene_from_markers
from cosmos_ros.observation.assembly import Assembler, Streams
from cosmos_ros.observation.buffers import JOINTS, SCENE, Buffers, image_key, pose_key, width_key
from cosmos_ros.observation.health import StreamCounter, StreamHealth
from cosmos_ros.observation.input_checks import (
    REFUSALS,
    check_image_payload,
    duration_text,
    error_text,
    finite,
    matrices,
    matrix,
    stamp_of,
)
from cosmos_ros.observation.rings import Arrival, Item
from cosmos_ros.observation.snapshot import Snapshot
from cosmos_ros.observation.sync_settings import SynchroniserSettings
from cosmos_ros.types import JointState

MAX_INSTRUCTION_CHARACTERS = 10_000

# A single image without a partner is an incident, several in a row are a fault worth reporting.
_UNSYNCHRONISED_IS_A_FAULT = 3


class Synchroniser:
    """Brings the newest inputs together.

    The reference is a stamp of the primary view. Of every other stream the newest item at or before it is used, if
    it is within the stream's tolerance. A reference is complete when every required stream has delivered something at
    or after it: then nothing that may still arrive in order can change the choice, so that a live node and an offline
    walk of the same recording choose alike. It is taken at the latest ``wait_ns`` after its image arrived.

    Threads: the ``add_*`` methods belong to one thread (the executor's), which only checks headers and appends;
    ``take`` and the reports may be called from one other. Neither waits for the other. Images are decoded
    by ``Snapshot.build``, where that is called. Malformed input is never raised here: it is counted, the reason is
    kept in ``health``, and what was good before stays.

    Args:
        views: Names of the camera views; the stamps of the first, the primary one, are the reference.
        joints: Joints needed, in the wanted order; () for a robot without joints; None for whatever is published.
        tool_poses: Link names tracked by pose.
        gripper_widths: Gripper names whose width comes on its own topic.
        scene: Whether object poses are needed (simulator only).
        instruction: Task text until one arrives.
        bounds: Joint → its limits; joint states that cannot follow from the one before are refused.
        names: Stream key → name for reports, e.g. the topic. Keys are ``image:<view>``, ``joints``, ``scene``,
            ``tool_pose:<link>``, ``gripper_width:<name>``.
        settings: Tolerances, gates and waiting times.

    Attributes:
        epoch: Clock resets seen; ``last_reset`` says what the last one was.
        references: Snapshots taken.
        skipped: Complete references passed over because a newer one was there.
        unsynchronised: Primary images that found no partners; ``last_unsynchronised`` says which was missing.
        refused: Malformed messages of all streams; ``last_refusal`` says why the last one was.

    Raises:
        ConfigError: No views, or a view that stands twice.
    """

    def __init__(
        self,
        views: Sequence[str],
        *,
        joints: Sequence[str] | None = None,
        tool_poses: Sequence[str] = (),
        gripper_widths: Sequence[str] = (),
        scene: bool = False,
        instruction: str = "",
        bounds: Mapping[str, JointLimit] | None = None,
        names: Mapping[str, str] | None = None,
        settings: SynchroniserSettings | None = None,
    ) -> None:
        if not views or len(set(views)) != len(views):
            raise ConfigError(f"{list(views)} are not distinct view names", where="synchroniser views")
        self.settings = settings or SynchroniserSettings()
        self.streams = Streams(
            views=tuple(views),
            joints=None if joints is None else tuple(joints),
            tool_poses=tuple(tool_poses),
            gripper_widths=tuple(gripper_widths),
            scene=scene,
        )
        self._bounds = dict(bounds or {})
        self._counters = self._make_counters()
        for key, label in (names or {}).items():
            if key not in self._counters:
                raise ConfigError(f"{key!r} is not a stream of {sorted(self._counters)}", where="synchroniser names")
            self._counters[key].name = label
        self._instruction_counter = StreamCounter("instruction", required=False, max_age_ns=None)
        self._default_instruction = instruction
        self._instructions: deque[tuple[int, str]] = deque(maxlen=64)
        self._buffers = self._new_buffers()
        self._now_ns = 0
        self._last_reference_ns: int | None = None
        self._discarded_ns = -1
        self._discarded_in_a_row = 0
        self.epoch = 0
        self.last_reset = ""
        self.references = 0
        self.skipped = 0
        self.unsynchronised = 0
        self.last_unsynchronised = ""
        self.refused = 0
        self.last_refusal = ""

    # -- input: one thread -------------------------------------------------------------------------------------

    def add_image(self, view: str, image: Any, *, received_ns: int, stamp_ns: int | None = None) -> bool:
        """Keep an Image, a BridgeImage, a CompressedImage or an RGB array (which needs ``stamp_ns``), still undecoded.

        Returns:
            Whether it was kept; if not, ``health`` says why.
        """

        def check() -> int:
            check_image_payload(image)
            return stamp_of(image, stamp_ns)

        return self._add(image_key(view), check, image, received_ns)

    def add_joint_state(self, message: Any, *, received_ns: int) -> bool:
        """Keep a JointState message or record. Joints may come in any order and spread over several messages."""
        counter = self._counters.get(JOINTS)
        if counter is None:
            return False
        counter.arrived(received_ns)
        try:
            state = self._buffers.joints.decode(message)
            if state is None:
                return False
            names = state.names
            self._admit(counter, state.stamp_ns, received_ns, lambda: self._buffers.joints.newest_stamp_ns(names))
            arrival = self._buffers.joints.append(state, received_ns)
        except REFUSALS as error:
            return self._refuse(counter, error_text(error))
        return _note(counter, arrival, state.stamp_ns)

    def add_tool_pose(self, link: str, pose: Any, *, received_ns: int, stamp_ns: int | None = None) -> bool:
        """Keep a PoseStamped message, or ``float64 [4, 4]`` with ``stamp_ns``, of a link in the base frame."""
        return self._add(pose_key(link), lambda: stamp_of(pose, stamp_ns), pose, received_ns, matrix)

    def add_gripper_width(self, gripper: str, width: float, *, stamp_ns: int, received_ns: int) -> bool:
        """Keep a gripper's opening in metres."""
        return self._add(width_key(gripper), lambda: stamp_ns, width, received_ns, finite)

    def add_scene(self, scene: Any, *, received_ns: int, stamp_ns: int | None = None) -> bool:
        """Keep a MarkerArray, or object name → ``float64 [4, 4]`` with ``stamp_ns``."""
        if isinstance(scene, Mapping):
            return self._add(SCENE, lambda: stamp_of(scene, stamp_ns), scene, received_ns, matrices)
        marked: list[int] = []

        def convert(message: Any) -> dict[str, Any]:
            stamp, poses = scene_from_markers(message)
            marked.append(stamp)
            return poses

        return self._add(SCENE, lambda: marked[0], scene, received_ns, convert)

    def add_instruction(self, text: str, *, received_ns: int) -> bool:
        """Set the task text from a node-clock time on. It has no stamp and no age; it outlives a clock reset."""
        counter = self._instruction_counter
        counter.arrived(received_ns)
        if len(text) > MAX_INSTRUCTION_CHARACTERS:
            return self._refuse(counter, f"{len(text)} characters are more than {MAX_INSTRUCTION_CHARACTERS}")
        self._note_clock(received_ns)
        self._instructions.append((received_ns, text))
        counter.accepted(received_ns)
        return True

    # -- output: one thread ------------------------------------------------------------------------------------

    def take(self, now_ns: int, *, ended: bool = False) -> Snapshot | None:
        """Return the snapshot that is due, each reference at most once; None when none is, or an input is stale.

        Args:
            now_ns: Node clock.
            ended: Nothing more will come, so nothing is waited for; at the end of a recording.
        """
        snapshot = self._choose(now_ns, ended=ended)
        if snapshot is not None:
            self._last_reference_ns = snapshot.stamp_ns
            self._discarded_in_a_row = 0
            self.references += 1
        return snapshot

    def probable_images(self) -> list[tuple[str, Item]]:
        """Views and image items that the next snapshot will probably be made of.

        For decoding them while others are still on their way. Once the primary view's image is there these are the
        images as of it; before, those of other views that could be.
        """
        assembler = self._assembler()
        due_ns = self._due_ns()
        candidates = assembler.primary_items(due_ns)
        return assembler.images(candidates[0].stamp_ns) if candidates else assembler.images_since(due_ns)

    def problems(self, now_ns: int) -> tuple[str, ...]:
        """One line for each required stream that is missing, too old or being refused; empty when all is well.

        While it is not empty ``take`` gives nothing.
        """
        self._note_clock(now_ns)
        lines = [self._problem(key, counter, now_ns) for key, counter in self._counters.items() if counter.required]
        lines = [line for line in lines if line]
        if not lines and self._discarded_in_a_row >= _UNSYNCHRONISED_IS_A_FAULT:
            lines = [self.last_unsynchronised]
        return tuple(lines)

    def health(self, now_ns: int) -> tuple[StreamHealth, ...]:
        """State of every stream."""
        return tuple(counter.health(now_ns) for counter in (*self._counters.values(), self._instruction_counter))

    def newest_joint_state(self) -> JointState | None:
        """The newest whole joint state, for joining a motion; None until every wanted joint was named."""
        return self._buffers.joints.newest()

    def conflict(self, now_ns: int) -> str:
        """How joint states contradicted each other within the last second; empty when they did not."""
        return self._buffers.joints.belief.conflict(now_ns)

    @property
    def instruction(self) -> str:
        """The newest task text."""
        return self._instructions[-1][1] if self._instructions else self._default_instruction

    # -- inside ------------------------------------------------------------------------------------------------

    def _make_counters(self) -> dict[str, StreamCounter]:
        streams, settings = self.streams, self.settings
        entries = [(image_key(view), f"camera {view}", True, settings.image_max_age_ns) for view in streams.views]
        age = settings.joint_max_age_ns
        if streams.joints is None or streams.joints:
            entries.append((JOINTS, "joint_states", streams.joints is not None, age))
        entries += [(pose_key(link), f"tool pose {link}", True, age) for link in streams.tool_poses]
        entries += [(width_key(name), f"gripper width {name}", True, age) for name in streams.gripper_widths]
        if streams.scene:
            entries.append((SCENE, "scene", True, age))
        return {
            key: StreamCounter(name, required=required, max_age_ns=max_age_ns)
            for key, name, required, max_age_ns in entries
        }

    def _new_buffers(self) -> Buffers:
        keys = [key for key in self._counters if key != JOINTS]
        return Buffers(keys, self.streams.joints, self.settings.capacity, self.settings.held_ns, self._bounds)

    def _add(
        self,
        key: str,
        stamp: Callable[[], int],
        payload: Any,
        received_ns: int,
        convert: Callable[[Any], Any] | None = None,
    ) -> bool:
        counter = self._counters.get(key)
        if counter is None:
            raise ConfigError(f"{key!r} is not one of {sorted(self._counters)}", where="synchroniser stream")
        counter.arrived(received_ns)
        try:
            if convert is not None:
                payload = convert(payload)
            stamp_ns = stamp()
            self._admit(counter, stamp_ns, received_ns, lambda: counter.newest_stamp_ns)
        except REFUSALS as error:
            return self._refuse(counter, error_text(error))
        return _note(counter, self._buffers.rings[key].append(Item(stamp_ns, received_ns, payload)), stamp_ns)

    def _refuse(self, counter: StreamCounter, error: str) -> bool:
        counter.refused(error)
        self.refused += 1
        self.last_refusal = error
        return False

    def _admit(self, counter: StreamCounter, stamp_ns: int, received_ns: int, newest: Callable[[], int | None]) -> None:
        """Check a stamp against the clock and its source's past; a jump back clears everything."""
        if stamp_ns <= 0:
            raise InputError("the header stamp is not set", where="header.stamp", hint="Stamp it at acquisition.")
        self._note_clock(received_ns)
        ahead = stamp_ns - received_ns
        if ahead > self.settings.future_tolerance_ns:
            raise InputError(
                f"the stamp is {duration_text(ahead)} ahead of this node's clock",
                where="header.stamp",
                hint="Synchronise the clocks, or set use_sim_time where /clock is published.",
            )
        newest_ns = newest()  # after the clock was looked at, which may have cleared it
        if newest_ns is not None and newest_ns - stamp_ns > self.settings.reset_ns:
            self._reset(f"stamps of {counter.name} went back by {duration_text(newest_ns - stamp_ns)}")

    def _note_clock(self, now_ns: int) -> None:
        if self._now_ns - now_ns > self.settings.reset_ns:
            self._reset(f"the clock went back by {duration_text(self._now_ns - now_ns)}")
        # Two threads may read the clock in one order and get here in the other; that is no reset.
        self._now_ns = max(self._now_ns, now_ns)

    def _reset(self, reason: str) -> None:
        # Whole objects are replaced: a reader that holds the old buffers finishes on them undisturbed.
        text = self.instruction
        self._buffers = self._new_buffers()
        self._instructions = deque([(0, text)], maxlen=64)
        for counter in self._counters.values():
            counter.forget()
        self._last_reference_ns = None
        self._discarded_ns = -1
        self._discarded_in_a_row = 0
        self._now_ns = 0
        self.epoch += 1
        self.last_reset = reason

    def _due_ns(self) -> int:
        due = self._discarded_ns + 1
        if self._last_reference_ns is not None:
            due = max(due, self._last_reference_ns + self.settings.shortest_period_ns)
        return due

    def _assembler(self) -> Assembler:
        return Assembler(self.streams, self.settings, self._counters, self._buffers, self._instruction_at, self.epoch)

    def _choose(self, now_ns: int, *, ended: bool) -> Snapshot | None:
        self._note_clock(now_ns)
        assembler = self._assembler()
        usable: list[Snapshot] = []
        for item in assembler.primary_items(self._due_ns()):
            waits = not ended and now_ns - item.received_ns < self.settings.wait_ns
            if waits and not assembler.settled(item.stamp_ns):
                break  # later images are less complete still
            snapshot = assembler.assemble(item.stamp_ns)
            if isinstance(snapshot, Snapshot):
                if now_ns - item.stamp_ns <= self.settings.image_max_age_ns:
                    usable.append(snapshot)
            else:
                self._discarded_ns = item.stamp_ns
                self._discarded_in_a_row += 1
                self.unsynchronised += 1
                self.last_unsynchronised = snapshot
        if not usable or any(
            self._problem(key, counter, now_ns) for key, counter in self._counters.items() if counter.required
        ):
            return None
        due, newest = usable[0], usable[-1]
        chosen = due if newest.stamp_ns - due.stamp_ns <= self.settings.catch_up_ns else newest
        self.skipped += sum(1 for snapshot in usable if snapshot.stamp_ns < chosen.stamp_ns)
        if self.settings.step_ns:
            chosen.previous = assembler.previous(chosen.stamp_ns)
        return chosen

    def _instruction_at(self, reference_ns: int) -> str:
        for received_ns, text in reversed(tuple(self._instructions)):
            if received_ns <= reference_ns:
                return text
        return self._default_instruction

    def _problem(self, key: str, counter: StreamCounter, now_ns: int) -> str:
        """Why a required stream cannot be used now; empty when it can."""
        suffix = f"; its last message was refused: {counter.last_error}" if counter.failing else ""
        newest = counter.newest_stamp_ns
        if newest is None:
            return f"{counter.name}: nothing {'valid ' if counter.invalid else ''}received{suffix}"
        age, gate = now_ns - newest, counter.max_age_ns
        if gate is not None and age > gate:
            return f"{counter.name}: {duration_text(age)} old, gate {duration_text(gate)}{suffix}"
        if key == JOINTS:
            missing = self._buffers.joints.missing()
            if missing:
                return f"{counter.name}: joints missing: {', '.join(missing)}{suffix}"
        return ""


def _note(counter: StreamCounter, arrival: Arrival, stamp_ns: int) -> bool:
    if arrival is Arrival.DUPLICATE:
        counter.duplicates += 1
        return False
    if arrival is Arrival.LATE:
        counter.late += 1
    counter.accepted(stamp_ns)
    return True
