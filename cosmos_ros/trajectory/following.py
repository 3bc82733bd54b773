"""Whether a robot follows what its controllers were sent: paused, slowed, blocked, moved by someone else, or just late.

A trajectory controller that is inactive, paused by a protective stop, or slowed by a speed slider lets the robot fall
behind without a word, and then the next trajectory, which starts where the controller should be, starts with a step.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.trajectory.executing import ExecutedMotion, wrapped
from cosmos_ros.trajectory.progress import PATH_STEP, PathProgress
from cosmos_ros.types import NANOSECONDS, FloatArray, JointState

_PERIOD_NS = 10_000_000
_GAP_NS = NANOSECONDS
# Beyond the timeout: a robot that lags by exactly the timeout follows.
_GRACE = 0.02
# So near to its command it does not matter why the robot is not there, rad or m.
_NEAR = 0.005
# Motion that tells a lag from a slowed controller, and the share of it that may be missing, beyond the encoders' noise.
_TELLING = 0.004
_LOOK_BACK = 0.04
_MISSING = 0.05
_NOISE = 1e-3
# Slower than this for a whole window, and not about to catch up, is no start of a robot that lags.
_SLOW = 0.93
_CATCHING_UP = 0.03
_WINDOW = 0.3
_WINDOW_MOTION = 0.03
# Larger offsets at rest than this are no sag, rad or m.
_SAG = 0.1
# A robot that nobody commands moves when it does so at this speed for this time and over this distance.
_FREE_SPEED, _FREE_TIME, _FREE_DISTANCE = 0.05, 0.15, 0.02
_REFERENCE_NS = 100_000_000
_REFERENCE_SETTLED_NS = 20_000_000
_REFERENCE_ERROR, _REFERENCE_DELAY = 0.01, 0.01
_SCALING_NS = 2 * NANOSECONDS
_UNSCALED = 0.99


@dataclass(frozen=True)
class FollowingSettings(DeclaredSettings):
    """How a robot has to follow what it was sent."""

    following_timeout: float = setting(
        0.3, "Commanded motion without measured progress for this long stops the robot", unit="s", minimum=0.1,
        maximum=5.0, read_only=True,
    )  # fmt: skip


class FollowingState(Enum):
    """Whether a robot follows."""

    FOLLOWS = "follows"
    UNSURE = "unsure"
    """It may lag, or its controller may be slow: where the controller is is not known."""
    LOST = "lost"


@dataclass(frozen=True)
class Following:
    """A verdict on how a robot follows.

    Attributes:
        state: See there.
        reason: Why not, in one line; empty when it follows.
        lag: Seconds since the robot was commanded to be where it is measured.
        rate: Measured motion as a fraction of the commanded one, over the last motion; 1 at rest.
    """

    state: FollowingState = FollowingState.FOLLOWS
    reason: str = ""
    lag: float = 0.0
    rate: float = 1.0


class _Group:
    """The joints of one controller."""

    def __init__(self, joints: tuple[str, ...]) -> None:
        self.joints = joints
        self.names: tuple[str, ...] = ()  # of these, those that were sent and are measured
        self.progress: PathProgress | None = None
        self.followed = True
        self.slow_since = 0.0


class FollowingMonitor:
    """Watches whether the measured motion is the commanded one. Not thread-safe; a clock jump needs ``reset``.

    A robot that lags, by a delay or as a low-pass filter does, up to the timeout, follows. One whose controller runs at
    0.93 of the commanded speed or less, or holds, is lost once that lasts; below 0.95 it is unsure. Sag, an offset that
    is constant or changes by less than a twentieth of the motion, does not matter.

    Args:
        groups: Joints of each controller.
        continuous: Joints that wrap.
        blockable: Joints that an object may stop (grippers), which are not watched.
        tracking_tolerance: Largest distance from the path that was sent, rad or m.
        settings: See there.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[str]],
        *,
        continuous: Collection[str] = (),
        blockable: Collection[str] = (),
        tracking_tolerance: float = 0.15,
        settings: FollowingSettings | None = None,
    ) -> None:
        self._tolerance = tracking_tolerance
        self.settings = settings or FollowingSettings()
        watched = [tuple(name for name in group if name not in blockable) for group in groups]
        self._watched = tuple(names for names in watched if names)
        self._continuous = frozenset(continuous)
        self.reset()

    def reset(self) -> None:
        """Forget what was seen: the guard was armed anew, or a clock jumped."""
        self.current = Following()
        self._groups = [_Group(names) for names in self._watched]
        self._last_ns: int | None = None
        self._origin_ns = 0
        self._recent: list[tuple[float, dict[str, float]]] = []
        self._moving = False
        self._reference: tuple[int, str] | None = None  # stamp, how it deviates
        self._deviates_since: int | None = None
        self._scaling: tuple[int, float] | None = None

    def update(self, measured: JointState, motion: ExecutedMotion) -> Following:
        """Return how the robot follows; looked at every 10 ms at most.

        Args:
            measured: Newest joint state. Joints that it lacks are not watched.
            motion: What the controllers were sent, on the clock of the joint state's stamps.
        """
        now_ns = measured.stamp_ns
        if self._last_ns is not None:
            if now_ns - self._last_ns < _PERIOD_NS:
                return self.current
            if now_ns - self._last_ns > _GAP_NS:
                self._groups, self._recent = [_Group(names) for names in self._watched], []
        else:
            self._origin_ns = now_ns - NANOSECONDS
        self._last_ns = now_ns
        found = [self._follow(group, measured, motion) for group in self._groups]
        self._moving = motion.moving(now_ns)
        verdict = max(found, key=lambda one: _ORDER.index(one.state), default=Following())
        if verdict.state is not FollowingState.LOST:
            stray = self._strays(measured)
            scaled = self._scaled(now_ns) if self._moving else ""
            if stray or scaled:
                verdict = Following(FollowingState.LOST, stray or scaled, verdict.lag, verdict.rate)
        self.current = verdict
        return verdict

    def update_reference(
        self, names: Sequence[str], positions: FloatArray, stamp_ns: int, motion: ExecutedMotion
    ) -> Following:
        """Take where a controller says that it is, from its ``controller_state``, which needs no guessing.

        Args:
            names: Joints.
            positions: ``[J]``, the controller's reference, rad or m.
            stamp_ns: Its stamp.
            motion: What the controllers were sent.
        """
        known = [k for k, name in enumerate(names) if any(name in group for group in self._watched)]
        commanded = motion.at(stamp_ns)
        if commanded is None:
            return self.current
        worst = ""
        excess = 0.0
        for k in known:
            if names[k] not in commanded.joint_names:
                continue
            column = commanded.joint_names.index(names[k])
            step = np.array([positions[k] - commanded.positions[column]])
            error = float(np.abs(wrapped(step, np.array([names[k] in self._continuous])))[0])
            beyond = error - _REFERENCE_ERROR - _REFERENCE_DELAY * abs(float(commanded.velocities[column]))
            if not beyond <= excess:
                excess = beyond
                worst = f"the controller's reference of {names[k]} is {error:.3f} rad or m from what it was sent"
        if not worst:
            self._deviates_since = None
        elif self._deviates_since is None:
            self._deviates_since = stamp_ns
        self._reference = (stamp_ns, worst)
        if worst and self._deviates_since is not None and stamp_ns - self._deviates_since >= _REFERENCE_SETTLED_NS:
            self.current = Following(FollowingState.LOST, worst, self.current.lag, self.current.rate)
        elif not worst and self.current.state is FollowingState.UNSURE:
            self.current = Following(lag=self.current.lag, rate=self.current.rate)
        return self.current

    def update_speed_scaling(self, fraction: float, now_ns: int) -> Following:
        """Take the speed scaling that a controller publishes; 1 is full speed."""
        self._scaling = (now_ns, fraction)
        scaled = self._scaled(now_ns)
        if scaled and self._moving:
            self.current = Following(FollowingState.LOST, scaled, self.current.lag, self.current.rate)
        return self.current

    def why_not_arm(self, now_ns: int) -> str:
        """Return why the guard must not be armed; empty when nothing is against it."""
        if self.current.state is FollowingState.LOST:
            return self.current.reason
        return self._scaled(now_ns)

    def _scaled(self, now_ns: int) -> str:
        if self._scaling is None or now_ns - self._scaling[0] > _SCALING_NS or self._scaling[1] >= _UNSCALED:
            return ""
        return f"the controller's speed scaling is {self._scaling[1]:.0%}; set the speed slider to 100 %"

    def _follow(self, group: _Group, measured: JointState, motion: ExecutedMotion) -> Following:
        commanded = set(motion.joint_names)
        names = tuple(name for name in group.joints if name in commanded and name in measured.names)
        if names != group.names:
            group.names, group.progress = names, None
        if not names:
            return Following()
        self._place(group, measured, motion)
        return self._judge(group)

    def _place(self, group: _Group, measured: JointState, motion: ExecutedMotion) -> None:
        now = self._seconds(measured.stamp_ns)
        seen = np.array([measured.position_of(name) for name in group.names])
        continuous = np.array([name in self._continuous for name in group.names])
        progress = group.progress
        begin = now - 0.1 if progress is None else float(progress.at[-1])
        count = max(1, int(np.ceil((now - begin) / PATH_STEP - 1e-6)))
        times = begin + (now - begin) * np.arange(1, count + 1) / count
        if progress is None:
            times = np.concatenate(([begin], times))
        columns = [motion.joint_names.index(name) for name in group.names]
        path = motion.sample([self._origin_ns + round(t * NANOSECONDS) for t in times])[0][:, columns]
        if progress is None:
            group.progress = PathProgress(continuous, times, path, seen)
            group.followed, group.slow_since = True, now
        else:
            progress.take(times, path, now, seen)

    def _judge(self, group: _Group) -> Following:
        progress = group.progress
        assert progress is not None
        lag, names = progress.lag, group.names
        behind = np.abs(progress.behind)
        error = progress.error
        k = int(np.argmax(error))
        if error[k] > self._tolerance:
            return Following(
                FollowingState.LOST,
                f"the robot does not follow what it was sent: {names[k]} is {error[k]:.3f} rad or m off its path",
                lag,
            )
        missing, moved = progress.shortfall(_LOOK_BACK, 0.15, 1.0)
        rate = moved / (moved + missing) if moved + missing > _TELLING else 1.0
        far = bool(behind.max() > _NEAR)
        stalled = progress.stalled() if far else 0.0
        if far and group.followed and progress.resting > 0.1 and self._still(progress) and behind.max() <= _SAG:
            progress.accept_rest()
            return Following(lag=progress.lag, rate=rate)
        if stalled > self.settings.following_timeout + _GRACE:
            return Following(
                FollowingState.LOST,
                f"the robot does not move: {names[int(np.argmax(behind))]} has made no progress for {stalled:.2f} s",
                lag,
                0.0,
            )
        agrees = self._agrees()
        now = float(progress.at[-1])
        rates = progress.rates(_WINDOW_MOTION, _WINDOW, 1.0) if far and not agrees and progress.resting < 0.02 else None
        slow = 0.0 if rates is None else 0.5 * sum(rates)
        if (
            not far
            or agrees
            or progress.resting > 0.1
            or (rates is not None and max(slow, rates[1], rates[1] - rates[0] + _SLOW - _CATCHING_UP) >= _SLOW)
        ):
            group.slow_since = now
        elif rates is not None and now - group.slow_since >= _WINDOW:
            group.followed = False
            text = f"the robot moves at {slow:.0%} of the speed that it was sent"
            return Following(FollowingState.LOST, f"{text}: a speed slider, or a controller that stutters", lag, slow)
        before, ahead = progress.left(_WINDOW)
        if far and not agrees and progress.resting > self.settings.following_timeout + 0.1 and ahead > 0.5 * before:
            text = (
                f"{progress.resting:.1f} s after its command came to rest the robot is {ahead:.3f} rad or m short of it"
            )
            return Following(FollowingState.LOST, f"{text}: a speed slider, or a blocked joint", lag, rate)
        unsure = far and not agrees and (moved < _TELLING or missing > _MISSING * moved + _NOISE)
        if progress.resting < 0.1:
            group.followed = not unsure
        if not unsure:
            return Following(lag=lag, rate=rate)
        if moved < _TELLING:
            why = "the robot has hardly moved yet: whether it lags or its controller holds is not known"
        else:
            why = f"the robot has moved {rate:.0%} of what it was sent: it lags more, or its controller is slow"
        return Following(FollowingState.UNSURE, why, lag, rate)

    def _still(self, progress: PathProgress) -> bool:
        lengths = progress.length_at(progress.places)
        recent = progress.at > progress.at[-1] - 0.1
        return bool(lengths[-1] - lengths[recent][0] < 5e-4)

    def _agrees(self) -> bool:
        reference, now_ns = self._reference, self._last_ns
        return bool(reference and now_ns is not None and now_ns - reference[0] <= _REFERENCE_NS and not reference[1])

    def _strays(self, measured: JointState) -> str:
        """Return which joint moves though nothing was sent, or has come to its end."""
        now = self._seconds(measured.stamp_ns)
        names = [name for group in self._watched for name in group if name in measured.names]
        self._recent.append((now, {name: measured.position_of(name) for name in names}))
        while self._recent[0][0] < now - 2.0 * _FREE_TIME:
            self._recent.pop(0)
        settled = self.settings.following_timeout + 0.1
        for group in self._groups:
            progress = group.progress
            if progress is not None and (progress.resting < settled or progress.lag > 0.0):
                self._recent.clear()
                return ""
        if self._recent[0][0] > now - _FREE_TIME - 0.05:
            return ""
        for name in names:
            track = [(t, at[name]) for t, at in self._recent if name in at]
            times, values = np.array([t for t, _ in track]), np.array([v for _, v in track])
            steps = wrapped(np.diff(values), np.array(name in self._continuous))
            path = np.concatenate(([0.0], np.cumsum(steps)))
            # In parts, or a short push would do.
            parts = np.abs(np.diff(np.interp(now - _FREE_TIME * np.arange(7) / 6.0, times, path)))
            whole = float(np.abs(path[-1] - path[0]))
            if whole > _FREE_DISTANCE and bool((parts > _FREE_SPEED * _FREE_TIME / 6.0).all()):
                return f"the robot moves though nothing was sent: {name} by {whole:.3f} rad or m"
        return ""

    def _seconds(self, time_ns: int) -> float:
        return (time_ns - self._origin_ns) / NANOSECONDS


_ORDER = (FollowingState.FOLLOWS, FollowingState.UNSURE, FollowingState.LOST)
