"""What a node logs of its statuses: quiet starts, no floods, nothing lost for good."""

from __future__ import annotations

from cosmos_ros.nodes.status_log import GRACE_S, StatusLog


class Log:
    """A log with a clock of its own; ticks once a second."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lines: list[tuple[float, int, str]] = []
        self.log = StatusLog(lambda level, line: self.lines.append((self.now, level, line)), lambda: self.now)

    def until(self, time: float) -> None:
        while self.now + 1.0 <= time:
            self.now += 1.0
            self.log.tick()
        self.now = time


def test_what_has_never_come_is_waited_for_before_it_is_a_warning() -> None:
    one = Log()
    one.log.changed("camera wrist", 1, "nobody publishes /wrist", waiting=True)
    assert one.lines == [(0.0, 0, "waiting for camera wrist: nobody publishes /wrist")]
    one.until(GRACE_S - 1.0)
    assert len(one.lines) == 1
    one.until(100.0)
    assert [(level, line) for _, level, line in one.lines[1:]] == [
        (1, "waiting for camera wrist: nobody publishes /wrist")
    ]
    one.log.changed("camera wrist", 0, "connected", waiting=True)
    assert one.lines[-1][1:] == (0, "camera wrist: connected")


def test_what_goes_wrong_later_is_said_at_once_and_as_what_it_is() -> None:
    one = Log()
    one.log.changed("inputs", 0, "fresh", stream=True)
    one.until(GRACE_S + 5.0)
    one.log.changed("inputs", 2, "holding", stream=True)
    assert one.lines[-1] == (GRACE_S + 5.0, 2, "inputs: holding")
    one.until(100.0)
    assert len(one.lines) == 2


def test_what_comes_and_goes_while_others_start_is_no_error_yet_but_becomes_one() -> None:
    one = Log()
    one.log.changed("joint states", 2, "stale", stream=True)
    assert one.lines[-1][1] == 0
    one.until(GRACE_S + 1.0)
    assert one.lines[-1][1:] == (2, "joint states: stale")


def test_what_is_expected_is_information_and_what_is_urgent_never_waits() -> None:
    one = Log()
    one.log.changed("state", 1, "disarmed", expected=True)
    one.now = 0.1
    one.log.changed("state", 0, "armed", at_once=True)
    one.now = 0.2
    one.log.changed("state", 2, "latched", at_once=True)
    assert [(level, line) for _, level, line in one.lines] == [
        (0, "state: disarmed"),
        (0, "state: armed"),
        (2, "state: latched"),
    ]


def test_a_concern_that_flaps_is_a_line_now_and_then_and_the_last_word_is_not_lost() -> None:
    one = Log()
    one.until(20.0)
    begin = len(one.lines)
    while one.now < 80.0:  # a loaded machine: ten changes a second
        for k in range(10):
            one.now += 0.1
            one.log.changed("joint states", 2 * (k % 2), ("fresh", "stale")[k % 2], stream=True)
        one.log.tick()
    assert len(one.lines) - begin < 12
    assert "changes since the last line" in one.lines[-1][2]
    one.log.changed("joint states", 0, "fresh", stream=True)
    one.until(110.0)
    assert one.lines[-1][2].startswith("joint states: fresh")
    one.until(200.0)
    one.log.changed("joint states", 2, "stale", stream=True)  # after quiet, at once again
    assert one.lines[-1] == (200.0, 2, "joint states: stale")
