from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.messages import compress
from cosmos_ros.observation import Synchroniser, SynchroniserSettings
from cosmos_ros.observation.snapshot import start_decoding
from cosmos_ros.types import JointState

MS = 1_000_000
T0 = 1_000_000 * MS
JOINTS = ("a", "b")


def image(value: int = 0) -> np.ndarray:
    return np.full((4, 6, 3), value % 256, np.uint8)


def joints(stamp_ns: int, a: float = 0.0, b: float = 0.0, names=JOINTS) -> JointState:
    return JointState(stamp_ns, tuple(names), np.array([a, b][: len(names)]), np.zeros(len(names)))


def make(views=("front",), **keywords) -> Synchroniser:
    times = {k: keywords.pop(k) for k in list(keywords) if k.endswith("_ns")}
    keywords.setdefault("joints", JOINTS)
    return Synchroniser(views, settings=SynchroniserSettings(**times), **keywords)


def feed(sync: Synchroniser, stamp_ns: int, *, view: str = "front", received_ns: int | None = None) -> bool:
    received = stamp_ns if received_ns is None else received_ns
    return sync.add_image(view, image(stamp_ns // MS), stamp_ns=stamp_ns, received_ns=received)


def feed_joints(sync: Synchroniser, stamp_ns: int, a: float = 0.0, received_ns: int | None = None) -> bool:
    return sync.add_joint_state(joints(stamp_ns, a), received_ns=stamp_ns if received_ns is None else received_ns)


def test_as_of_takes_the_newest_state_at_or_before_the_image() -> None:
    sync = make()
    for k in range(5):
        feed_joints(sync, T0 + 10 * k * MS, a=k)
    feed(sync, T0 + 27 * MS)
    snapshot = sync.take(T0 + 40 * MS)
    assert snapshot is not None
    observation = snapshot.build()
    assert observation.stamp_ns == T0 + 27 * MS
    assert observation.joints is not None and observation.joints.stamp_ns == T0 + 20 * MS
    assert observation.joints.positions[0] == 2.0
    assert sync.take(T0 + 41 * MS) is None, "a reference is used once"


def test_waits_until_every_stream_has_passed_the_reference() -> None:
    sync = make(views=("front", "wrist"), wait_ns=30 * MS)
    feed_joints(sync, T0 - MS)
    feed(sync, T0 - 20 * MS, view="wrist")
    feed(sync, T0)
    assert sync.take(T0 + MS) is None
    feed_joints(sync, T0 + 9 * MS)
    assert sync.take(T0 + 9 * MS) is None, "the wrist camera may still deliver an image that is newer but not too new"
    feed(sync, T0 + 13 * MS, view="wrist")
    snapshot = sync.take(T0 + 13 * MS)
    assert snapshot is not None
    assert snapshot.build().image_stamps_ns == {"front": T0, "wrist": T0 - 20 * MS}


def test_waiting_ends() -> None:
    sync = make(wait_ns=30 * MS)
    feed_joints(sync, T0 - MS)
    feed(sync, T0)
    assert sync.take(T0 + 29 * MS) is None
    assert sync.take(T0 + 30 * MS) is not None


@pytest.mark.parametrize("order", ["stamps", "cameras late", "joints late"])
def test_observations_do_not_depend_on_arrival_order(order: str) -> None:
    rng = np.random.default_rng(7)
    events = [(int(T0 + 33.4 * MS * k), "front") for k in range(30)]
    events += [(int(T0 + 5 * MS + 41 * MS * k), "wrist") for k in range(30)]
    events += [(int(T0 - 3 * MS + 8 * MS * k + rng.integers(0, MS)), "joints") for k in range(150)]
    delay = {"stamps": {}, "cameras late": {"front": 60, "wrist": 45}, "joints late": {"joints": 70}}[order]
    arrivals = sorted((stamp + delay.get(kind, 0) * MS, stamp, kind) for stamp, kind in events)
    sync = make(
        views=("front", "wrist"), wait_ns=10_000 * MS, period_ns=66 * MS, joint_max_age_ns=900 * MS, step_ns=66 * MS
    )
    taken = []
    for received, stamp, kind in arrivals:
        if kind == "joints":
            feed_joints(sync, stamp, a=stamp / 1e9, received_ns=received)
        else:
            feed(sync, stamp, view=kind, received_ns=received)
        snapshot = sync.take(received)
        if snapshot is not None:
            previous = None if snapshot.previous is None else snapshot.previous.stamp_ns
            stamps = tuple(item.stamp_ns for item in snapshot.images.values())
            taken.append((snapshot.stamp_ns, stamps, snapshot.joints.stamp_ns, previous))
    expected = []
    fronts, wrists, states = ([s for s, kind in events if kind == which] for which in ("front", "wrist", "joints"))
    last = None
    end = min(fronts[-1], wrists[-1], states[-1])
    for stamp in fronts:
        wrist = max((s for s in wrists if s <= stamp), default=None)
        state = max((s for s in states if s <= stamp), default=None)
        if stamp > end or wrist is None or state is None or (last is not None and stamp < last + 62 * MS):
            continue
        earlier = [s for s in fronts if s <= stamp - 66 * MS + 66 * MS // 4]
        usable = earlier and earlier[-1] >= T0 + 5 * MS and any(s <= earlier[-1] for s in states)
        expected.append((stamp, (stamp, wrist), state, earlier[-1] if usable else None))
        last = stamp
    assert len(expected) > 12
    assert taken == expected


def test_newest_image_wins_after_a_long_pause_and_the_rest_are_counted() -> None:
    sync = make(period_ns=0, catch_up_ns=40 * MS, wait_ns=50 * MS)
    for k in range(10):
        feed(sync, T0 + 30 * k * MS)
        feed_joints(sync, T0 + 30 * k * MS)
    snapshot = sync.take(T0 + 271 * MS)
    assert snapshot is not None and snapshot.stamp_ns == T0 + 270 * MS
    assert sync.skipped == 9


def test_short_hiccup_does_not_change_the_choice() -> None:
    sync = make(period_ns=0, catch_up_ns=40 * MS)
    for k in range(2):
        feed(sync, T0 + 30 * k * MS)
        feed_joints(sync, T0 + 30 * k * MS)
    stamps = [sync.take(T0 + 31 * MS).stamp_ns, sync.take(T0 + 31 * MS).stamp_ns]
    assert stamps == [T0, T0 + 30 * MS]


def test_rounded_stamps_do_not_halve_the_rate() -> None:
    period = round(1e9 / 15)
    sync = make(period_ns=period)
    taken = 0
    for k in range(60):
        stamp = T0 + round(k * 1e9 / 15) - (k % 2)
        feed(sync, stamp)
        feed_joints(sync, stamp)
        taken += sync.take(stamp) is not None
    assert taken == 60


def test_previous_observation_is_one_step_earlier_within_jitter() -> None:
    sync = make(step_ns=66_666_667, joint_max_age_ns=1_000 * MS)
    stamps = [T0, T0 + 66 * MS, T0 + 134 * MS]
    for stamp in stamps:
        feed(sync, stamp)
        feed_joints(sync, stamp, a=(stamp - T0) / MS)
    snapshot = sync.take(stamps[-1])
    observation = snapshot.build()
    assert observation.stamp_ns == stamps[2]
    assert observation.previous.stamp_ns == stamps[1]
    assert observation.previous.joints.positions[0] == 66
    assert observation.previous.images["front"][0, 0, 0] == (stamps[1] // MS) % 256
    assert observation.previous.previous is None


def test_no_previous_when_the_image_before_is_missing() -> None:
    sync = make(step_ns=66 * MS)
    for stamp in (T0, T0 + 132 * MS):
        feed(sync, stamp)
        feed_joints(sync, stamp)
    assert sync.take(T0 + 132 * MS).previous is None


def test_stale_stream_is_named_with_its_age_and_gate() -> None:
    sync = make(image_max_age_ns=300 * MS, joint_max_age_ns=100 * MS)
    feed_joints(sync, T0)
    feed(sync, T0)
    assert sync.take(T0 + 150 * MS) is None
    assert sync.problems(T0 + 150 * MS) == ("joint_states: 150 ms old, gate 100 ms",)
    feed_joints(sync, T0 + 160 * MS)
    assert sync.problems(T0 + 160 * MS) == ()
    assert sync.take(T0 + 160 * MS).stamp_ns == T0
    assert sync.problems(T0 + 500 * MS)[0] == "camera front: 500 ms old, gate 300 ms"


def test_missing_stream_is_named() -> None:
    sync = make()
    feed(sync, T0)
    assert sync.problems(T0) == ("joint_states: nothing received",)


@pytest.mark.parametrize(("a", "text"), [(np.nan, "joint 'a'"), (np.inf, "joint 'a'")])
def test_bad_joint_is_counted_named_and_does_not_replace_the_good_state(a: float, text: str) -> None:
    sync = make(joint_max_age_ns=100 * MS)
    feed_joints(sync, T0, a=0.5)
    assert not feed_joints(sync, T0 + 10 * MS, a=a)
    feed(sync, T0 + 11 * MS)
    assert sync.take(T0 + 70 * MS).build().joints.positions[0] == 0.5
    health = {entry.name: entry for entry in sync.health(T0 + 70 * MS)}["joint_states"]
    assert (health.received, health.invalid) == (2, 1) and text in health.last_error
    assert text in sync.problems(T0 + 150 * MS)[0]


def test_half_an_image_is_refused_on_arrival() -> None:
    sync = make()
    header = SimpleNamespace(stamp=SimpleNamespace(sec=1, nanosec=0))
    half = SimpleNamespace(
        header=header, height=4, width=6, encoding="rgb8", is_bigendian=0, step=18, data=bytes(18 * 2)
    )
    assert not sync.add_image("front", half, received_ns=10**9)
    assert "truncated: 36 bytes of 72" in sync.health(10**9)[0].last_error
    assert "truncated" in sync.problems(10**9)[0]


def test_joints_of_two_publishers_are_put_together_in_the_wanted_order() -> None:
    sync = make(joints=("a", "b", "finger"))
    sync.add_joint_state(JointState(T0, ("b", "a"), np.array([2.0, 1.0]), np.array([0.2, 0.1])), received_ns=T0)
    assert "joint_states: joints missing: finger" in sync.problems(T0)
    sync.add_joint_state(
        JointState(T0 + 4 * MS, ("finger", "other"), np.array([3.0, 9.0]), np.array([0.3, 0.9])),
        received_ns=T0 + 4 * MS,
    )
    feed(sync, T0 + 5 * MS)
    assert sync.problems(T0 + 5 * MS) == ()
    assert sync.take(T0 + 6 * MS) is None
    sync.add_joint_state(JointState(T0 + 8 * MS, ("b", "a"), np.array([5.0, 4.0])), received_ns=T0 + 8 * MS)
    assert sync.take(T0 + 8 * MS) is None, "the gripper has not passed the image yet"
    sync.add_joint_state(JointState(T0 + 9 * MS, ("finger",), np.array([7.0])), received_ns=T0 + 9 * MS)
    assert sync.newest_joint_state().positions.tolist() == [4.0, 5.0, 7.0]
    state = sync.take(T0 + 9 * MS).joints
    assert state.names == ("a", "b", "finger")
    assert state.positions.tolist() == [1.0, 2.0, 3.0]
    assert state.velocities.tolist() == [0.1, 0.2, 0.3]
    assert state.stamp_ns == T0


def test_two_drivers_on_different_clocks_are_a_named_fault_and_no_reset() -> None:
    sync = make(joints=("a", "b", "finger"))
    for k in range(6):
        now = T0 + 40 * k * MS
        sync.add_joint_state(joints(now, names=("a", "b")), received_ns=now)
        sync.add_joint_state(joints(now - 2_000 * MS, names=("finger",)), received_ns=now)
        feed(sync, now)
        assert sync.take(now + 60 * MS) is None
    assert sync.epoch == 0
    assert sync.problems(now) == ("no state of finger on joint_states within 50 ms before the image",)


def test_a_previous_image_that_cannot_be_decoded_does_not_spoil_the_present() -> None:
    from types import SimpleNamespace

    sync = make(step_ns=66 * MS)
    sec, nanosec = divmod(T0, 10**9)
    # Its headers are right, its entropy-coded data is not a picture.
    broken = SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec)), format="jpeg",
        data=bytes.fromhex("ffd8ffc00011080008000803011100021101031101ffda000c03010002110311003f00000000ffd9"),
    )  # fmt: skip
    feed_joints(sync, T0)
    assert sync.add_image("front", broken, received_ns=T0)
    feed(sync, T0 + 66 * MS)
    feed_joints(sync, T0 + 66 * MS)
    snapshot = sync.take(T0 + 66 * MS)
    assert snapshot.previous is not None
    observation = snapshot.build()
    assert observation.previous is None and observation.images["front"].shape == (4, 6, 3)


def test_images_are_decoded_once() -> None:
    sync = make(step_ns=66 * MS)
    built = []
    for k in range(2):
        stamp_ns = T0 + 66 * k * MS
        sec, nanosec = divmod(stamp_ns, 10**9)
        header = SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec))
        jpeg = SimpleNamespace(header=header, format="jpeg", data=compress(image(k)))
        assert sync.add_image("front", jpeg, received_ns=stamp_ns)
        feed_joints(sync, stamp_ns)
        built.append(sync.take(stamp_ns).build())
    assert built[1].previous.images["front"] is built[0].images["front"]


def test_images_are_known_ahead_of_the_snapshot() -> None:
    sync = make(views=("front", "wrist"), period_ns=100 * MS, image_tolerance_ns=50 * MS, wait_ns=500 * MS)
    feed(sync, T0, view="wrist")
    assert [(view, item.stamp_ns) for view, item in sync.probable_images()] == [("wrist", T0)]
    feed(sync, T0 + 5 * MS)
    assert dict(sync.probable_images()).keys() == {"front", "wrist"}, "the older wrist image is as of the front one"
    for stamp_ns in (T0 + 4 * MS, T0 + 6 * MS):
        feed_joints(sync, stamp_ns)
    feed(sync, T0 + 33 * MS, view="wrist")
    ahead = dict(sync.probable_images())
    taken = sync.take(T0 + 40 * MS)
    assert taken is not None and dict(taken.images) == ahead
    for later in (33, 66):
        feed(sync, T0 + (5 + later) * MS)
        feed(sync, T0 + (later + 20) * MS, view="wrist")
        assert sync.probable_images() == [], "no reference is due yet"
    feed(sync, T0 + 104 * MS, view="wrist")
    assert [view for view, _ in sync.probable_images()] == ["wrist"]


def test_images_decoded_ahead_are_the_ones_that_are_built() -> None:
    sync = make(views=("front", "wrist"))
    done: dict[str, np.ndarray] = {}
    with ThreadPoolExecutor(2) as pool:
        for view in ("front", "wrist"):
            feed(sync, T0, view=view)
        for view, item in sync.probable_images() * 2:
            start_decoding(item, view, pool, done.__setitem__)
        feed_joints(sync, T0)
        observation = sync.take(T0).build(pool=pool)
    assert set(done) == {"front", "wrist"}
    assert all(observation.images[view] is done[view] for view in done)


def test_what_cannot_be_decoded_ahead_is_told_when_it_is_built() -> None:
    sync = make()
    header = SimpleNamespace(stamp=SimpleNamespace(sec=T0 // 10**9, nanosec=T0 % 10**9))
    whole = compress(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8), image_format="png")
    broken = SimpleNamespace(header=header, format="png", data=whole[:60] + bytes(len(whole) - 80) + whole[-20:])
    assert sync.add_image("front", broken, received_ns=T0)
    called: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        start_decoding(sync.probable_images()[0][1], "front", pool, lambda view, image: called.append(view))
        feed_joints(sync, T0)
        snapshot = sync.take(T0)
        for _ in range(2):
            with pytest.raises(InputError, match="camera front"):
                snapshot.build(pool=pool)
    assert not called


def test_stamps_going_back_clear_everything_but_the_instruction() -> None:
    sync = make(image_max_age_ns=5_000 * MS, joint_max_age_ns=5_000 * MS)
    sync.add_instruction("pick up the cube", received_ns=T0)
    for k in range(20):
        feed(sync, T0 + 100 * k * MS)
        feed_joints(sync, T0 + 100 * k * MS)
    assert sync.take(T0 + 1_900 * MS) is not None
    now = T0 + 1_950 * MS
    assert feed(sync, T0 + 100 * MS, received_ns=now)
    assert sync.epoch == 1 and sync.last_reset == "stamps of camera front went back by 1800 ms"
    assert sync.take(now) is None, "no joint state from before the reset may be used"
    feed_joints(sync, T0 + 100 * MS, received_ns=now)
    snapshot = sync.take(now)
    assert snapshot.stamp_ns == T0 + 100 * MS and snapshot.epoch == 1
    assert snapshot.instruction == "pick up the cube"


def test_clock_going_back_is_noticed_without_any_message() -> None:
    sync = make()
    feed(sync, T0)
    feed_joints(sync, T0)
    assert sync.take(T0 - 5_000 * MS) is None
    assert sync.epoch == 1 and "the clock went back by 5000 ms" in sync.last_reset


def test_one_jump_of_clock_and_stamps_is_one_reset() -> None:
    for first in (feed, feed_joints):
        sync = make()
        feed(sync, T0 + 9_000 * MS)
        feed_joints(sync, T0 + 9_000 * MS)
        first(sync, T0)
        feed(sync, T0 + MS)
        feed_joints(sync, T0 + MS)
        assert sync.epoch == 1
        assert sync.take(T0 + MS).stamp_ns in (T0, T0 + MS)


def test_small_disorder_is_no_reset() -> None:
    sync = make()
    feed_joints(sync, T0 + 20 * MS, a=2)
    feed_joints(sync, T0 + 10 * MS, a=1, received_ns=T0 + 21 * MS)
    assert not feed_joints(sync, T0 + 10 * MS, a=9, received_ns=T0 + 22 * MS)
    feed(sync, T0 + 15 * MS)
    assert sync.epoch == 0
    assert sync.take(T0 + 22 * MS).joints.positions[0] == 1
    health = {entry.name: entry for entry in sync.health(T0)}["joint_states"]
    assert (health.late, health.duplicates) == (1, 1)


def test_instruction_is_the_one_known_at_the_image() -> None:
    sync = make(instruction="default")
    feed_joints(sync, T0)
    feed(sync, T0)
    sync.add_instruction("first", received_ns=T0 + 5 * MS)
    feed(sync, T0 + 33 * MS)
    feed_joints(sync, T0 + 33 * MS)
    assert sync.take(T0 + 33 * MS).instruction == "default"
    assert sync.take(T0 + 33 * MS).instruction == "first"
    assert not sync.add_instruction("x" * 20_000, received_ns=T0 + 34 * MS)
    assert sync.instruction == "first"


def test_stamps_that_are_unset_or_ahead_of_the_clock_are_refused() -> None:
    sync = make()
    assert not feed(sync, 0)
    assert "not set" in sync.health(0)[0].last_error
    assert not feed(sync, T0 + 500 * MS, received_ns=T0)
    assert "500 ms ahead of this node's clock" in sync.health(T0)[0].last_error


def test_images_without_a_partner_are_discarded_counted_and_reported() -> None:
    sync = make(joint_tolerance_ns=20 * MS)
    for k in range(4):
        feed(sync, T0 + 100 * k * MS)
        feed_joints(sync, T0 + (100 * k + 50) * MS)
        assert sync.take(T0 + (100 * k + 50) * MS) is None
    assert sync.unsynchronised == 4
    assert sync.problems(T0 + 350 * MS) == ("no state on joint_states within 20 ms before the image",)


def test_tool_poses_widths_and_scene_travel_along() -> None:
    sync = Synchroniser(["front"], joints=(), tool_poses=["tool"], gripper_widths=["gripper"], scene=True)
    pose = np.eye(4)
    pose[0, 3] = 0.25
    feed(sync, T0)
    sync.add_tool_pose("tool", pose, stamp_ns=T0, received_ns=T0)
    sync.add_gripper_width("gripper", 0.04, stamp_ns=T0, received_ns=T0)
    assert not sync.add_gripper_width("gripper", float("nan"), stamp_ns=T0 + MS, received_ns=T0 + MS)
    assert sync.take(T0 + MS) is None
    sync.add_scene({"cube": pose}, stamp_ns=T0, received_ns=T0 + MS)
    observation = sync.take(T0 + MS).build()
    assert observation.joints is None
    assert observation.tool_poses["tool"][0, 3] == 0.25
    assert observation.gripper_widths == {"gripper": 0.04}
    assert observation.scene["cube"][0, 3] == 0.25
    assert not sync.add_joint_state(joints(T0), received_ns=T0)


def test_memory_is_bounded() -> None:
    sync = make(history_ns=200 * MS)
    for k in range(10_000):
        feed_joints(sync, T0 + k * MS)
        feed(sync, T0 + k * MS)
    buffers = sync._buffers
    assert len(buffers.rings["image:front"].items()) <= 201
    assert len(buffers.joints._rings[JOINTS].items()) <= 201


def test_rate_and_age() -> None:
    sync = make()
    for k in range(31):
        feed(sync, T0 + k * 20 * MS, received_ns=T0 + k * 20 * MS + 5 * MS)
    health = sync.health(T0 + 620 * MS)[0]
    assert health.rate_hz == pytest.approx(50, rel=0.05)
    assert health.age_ns == 20 * MS
    assert sync.health(T0 + 6_000 * MS)[0].rate_hz < 6


@pytest.mark.parametrize(
    "build",
    [
        lambda: Synchroniser([]),
        lambda: Synchroniser(["a", "a"]),
        lambda: Synchroniser(["a"], names={"image:b": "x"}),
        lambda: SynchroniserSettings(wait_ns=-1),
        lambda: SynchroniserSettings(capacity=1),
        lambda: make().add_image("nowhere", image(), stamp_ns=T0, received_ns=T0),
    ],
)
def test_wrong_configuration_is_refused(build) -> None:
    with pytest.raises(ConfigError):
        build()


def test_one_thread_writes_while_another_takes() -> None:
    sync = make(history_ns=300 * MS, catch_up_ns=10_000 * MS, wait_ns=10_000 * MS)
    done = threading.Event()
    failures: list[BaseException] = []
    taken: list[int] = []

    def take() -> None:
        try:
            while True:
                finished = done.is_set()
                snapshot = sync.take(sync._now_ns)
                if snapshot is not None:
                    assert snapshot.joints.stamp_ns == snapshot.stamp_ns
                    taken.append(snapshot.build().stamp_ns)
                elif finished:
                    return
        except BaseException as error:
            failures.append(error)

    worker = threading.Thread(target=take)
    worker.start()
    for k in range(4_000):
        feed_joints(sync, T0 + k * MS)
        feed(sync, T0 + k * MS)
    done.set()
    worker.join(20)
    assert not failures and not worker.is_alive()
    assert len(taken) > 10 and taken == sorted(set(taken))
