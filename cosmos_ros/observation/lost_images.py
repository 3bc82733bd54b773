"""Notices images that were published but never arrived, and says why that usually is."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

# Fast DDS's default shared-memory segment; a best-effort message that does not fit is lost (rmw_fastrtps #739).
SEGMENT_BYTES = 512 * 1024
LARGE_IMAGE_ADVICE = (
    f"best-effort images over {SEGMENT_BYTES // 1024} KiB do not fit Fast DDS's default shared memory between "
    "processes: start the camera with FASTRTPS_DEFAULT_PROFILES_FILE (Kilted: FASTDDS_DEFAULT_PROFILES_FILE) set to "
    "config/fastdds.xml, or publish compressed images"
)

_WINDOW = 60
_MIN_EXPECTED = 10
_REPORTED_SHARE = 0.1
# camera_info and image of one frame carry the same stamp; a driver that rounds one of them is off by less than this.
_SAME_STAMP_NS = 1_000_000


@dataclass(frozen=True)
class ImageLoss:
    """How many of the last images arrived.

    Attributes:
        received: Images that arrived in the window.
        expected: Images that should have.
    """

    received: int
    expected: int

    @property
    def share(self) -> float:
        """Share that is missing, 0 to 1."""
        return 1.0 - self.received / self.expected if self.expected else 0.0


class LostImageDetector:
    """Watches one raw camera topic. Give it every image's and, where there is one, every camera_info's stamp.

    Losses of large best-effort images are seldom total: now and then one fits between two reads of the segment, so
    what shows them is not silence but gaps in a regular sequence.
    """

    def __init__(self) -> None:
        self._images: deque[int] = deque(maxlen=_WINDOW)
        self._infos: deque[int] = deque(maxlen=_WINDOW)
        self._bytes = 0

    def image(self, stamp_ns: int, size_bytes: int) -> None:
        """Note an image that arrived."""
        if self._images and stamp_ns < self._images[-1]:
            self.reset()
        self._images.append(stamp_ns)
        self._bytes = max(self._bytes, size_bytes)

    def camera_info(self, stamp_ns: int, size_bytes: int) -> None:
        """Note a camera_info that arrived; ``size_bytes`` is what its image should weigh (height · step)."""
        if self._infos and stamp_ns < self._infos[-1]:
            self.reset()
        self._infos.append(stamp_ns)
        self._bytes = max(self._bytes, size_bytes)

    def reset(self) -> None:
        """Forget everything, e.g. after a clock reset."""
        self._images.clear()
        self._infos.clear()

    def loss(self) -> ImageLoss | None:
        """Return what is known about losses; None while there is too little data."""
        if len(self._infos) >= _MIN_EXPECTED:
            return self._by_camera_info()
        return self._by_stamps()

    def explain(self, topic: str, *, best_effort: bool | None = None) -> str:
        """Return one line for diagnostics, or an empty string when few or none are lost.

        Args:
            topic: The image topic.
            best_effort: Whether its publishers offer best effort only, if known.
        """
        loss = self.loss()
        if loss is None or loss.share < _REPORTED_SHARE:
            return ""
        line = f"{topic}: {loss.expected - loss.received} of the last {loss.expected} images were lost"
        if self._bytes > SEGMENT_BYTES and best_effort is not False:
            return f"{line} (of {self._bytes // 1024} KiB); {LARGE_IMAGE_ADVICE}"
        return f"{line}; the network or this machine is too slow for them"

    def _by_camera_info(self) -> ImageLoss:
        # The newest image may still be on its way while its camera_info is here.
        expected = list(self._infos)[:-1]
        stamps = sorted(self._images)
        received = 0
        place = 0
        for stamp in expected:
            while place < len(stamps) and stamps[place] < stamp - _SAME_STAMP_NS:
                place += 1
            if place < len(stamps) and stamps[place] <= stamp + _SAME_STAMP_NS:
                received += 1
        # Only what both windows cover can be compared.
        if len(self._images) == self._images.maxlen:
            covered = [stamp for stamp in expected if stamp >= stamps[0]]
            return ImageLoss(received, max(len(covered), received))
        return ImageLoss(received, len(expected))

    def _by_stamps(self) -> ImageLoss | None:
        stamps = list(self._images)
        gaps = [late - early for early, late in pairwise(stamps) if late > early]
        if len(gaps) < _MIN_EXPECTED:
            return None
        # Two frames that both arrived in a row are the most common short gap; jitter makes single ones shorter.
        period = sorted(gaps)[len(gaps) // 10]
        expected = sum(max(round(gap / period), 1) for gap in gaps)
        return ImageLoss(len(gaps), expected)
