"""How inputs are brought together: tolerances, gates and waiting times."""

from __future__ import annotations

from dataclasses import dataclass, fields

from cosmos_ros.errors import ConfigError
from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.types import NANOSECONDS

_MS = 1_000_000


def _ns(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


@dataclass(frozen=True)
class Timing(DeclaredSettings):
    """When inputs make up an observation, and how often one is made."""

    prediction_rate: float = setting(2.0, "Most predictions a second", unit="1/s", minimum=0.02, maximum=60.0)
    max_image_age: float = setting(0.5, "Oldest image that may be used", unit="s", minimum=0.01, maximum=60.0)
    max_joint_age: float = setting(0.25, "Oldest joint state that may be used", unit="s", minimum=0.005, maximum=60.0)
    image_tolerance: float = setting(
        0.1, "Largest difference between the stamps of two views", unit="s", minimum=0.0, maximum=10.0
    )
    joint_tolerance: float = setting(
        0.05, "Largest age of the joint state at the image's stamp", unit="s", minimum=0.0, maximum=10.0
    )
    sync_wait: float = setting(
        0.02, "How long to wait for a stream that lags behind the first view", unit="s", minimum=0.0, maximum=5.0
    )


_DEFAULT = Timing()


@dataclass(frozen=True)
class SynchroniserSettings:
    """Times of the synchroniser, all in nanoseconds.

    Attributes:
        image_tolerance_ns: An image may be this much older than the reference stamp.
        joint_tolerance_ns: A joint state, tool pose, gripper width or scene may be.
        image_max_age_ns: Age gate of images against the node's clock.
        joint_max_age_ns: Age gate of joint states, tool poses, gripper widths and the scene.
        wait_ns: How long a primary image waits for the other streams to pass its stamp. With a wait longer than any
            transport delay, the observations depend on stamps alone.
        period_ns: Distance between two reference stamps; 0 takes every image. Stamps jitter and are rounded, so an
            image up to a tenth of it (at most 4 ms) early counts as on time.
        catch_up_ns: While the newest complete image is at most this much newer than the one that is due, the due
            one is taken, so that a short hiccup does not change which images are used; beyond it the newest is.
        step_ns: One control step (1 / fps): the distance to ``Observation.previous``; 0 for no previous.
        future_tolerance_ns: A stamp may be ahead of the node's clock by this much.
        reset_ns: Stamps or the clock going back by more than this mean that the clock was reset.
        history_ns: How far back inputs are held; 0 derives it from the other times.
        capacity: Most items held of one stream.
    """

    image_tolerance_ns: int = _ns(_DEFAULT.image_tolerance)
    joint_tolerance_ns: int = _ns(_DEFAULT.joint_tolerance)
    image_max_age_ns: int = _ns(_DEFAULT.max_image_age)
    joint_max_age_ns: int = _ns(_DEFAULT.max_joint_age)
    wait_ns: int = _ns(_DEFAULT.sync_wait)
    period_ns: int = 0
    catch_up_ns: int = 50 * _MS
    step_ns: int = 0
    future_tolerance_ns: int = 50 * _MS
    reset_ns: int = 500 * _MS
    history_ns: int = 0
    capacity: int = 2048

    def __post_init__(self) -> None:
        """Check every field.

        Raises:
            ConfigError: A time is negative, or the capacity is less than 2.
        """
        for entry in fields(self):
            value = getattr(self, entry.name)
            if value < 0:
                raise ConfigError(f"{value} is negative", where=f"synchroniser {entry.name}")
        if self.capacity < 2:
            raise ConfigError(f"{self.capacity} is less than 2", where="synchroniser capacity")

    @property
    def shortest_period_ns(self) -> int:
        """The next reference stamp is at least this much after the last."""
        return max(self.period_ns - min(self.period_ns // 10, 4 * _MS), 1)

    @property
    def held_ns(self) -> int:
        """How far back inputs are held."""
        if self.history_ns:
            return self.history_ns
        tolerance = max(self.image_tolerance_ns, self.joint_tolerance_ns)
        # A due image may be catch_up behind the newest, wait for the others, and look one step and a half back.
        return self.wait_ns + self.catch_up_ns + tolerance + self.step_ns * 3 // 2 + 100 * _MS
