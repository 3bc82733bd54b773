"""The deadlines of the live tests follow the machine."""

from __future__ import annotations

import machine
import pytest


@pytest.fixture
def moment(monkeypatch):
    """The time, which only the test moves; nothing was measured before it."""
    now = [1000.0]
    monkeypatch.setattr(machine.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(machine, "_measured", [])
    return now


@pytest.mark.parametrize(
    ("start", "calculations", "expected"),
    [(0.7, [0.8], 1.0), (3.0, [0.8], 3.0), (0.7, [4.0, 2.0], 2.0), (0.7, [1000.0, 1000.0], 10.0)],
)
def test_slowness_is_bounded_and_not_that_of_an_instant(moment, monkeypatch, start, calculations, expected):
    monkeypatch.setattr(machine, "_start", lambda: start)
    monkeypatch.setattr(machine, "_calculation", lambda: calculations.pop(0))
    assert machine.slowness() == expected
    moment[0] += 1.0
    assert machine.slowness() == expected and not calculations
    moment[0] += 60.0
    calculations.append(1.0)
    assert machine.slowness() == 1.0 and not calculations


def test_a_deadline_is_stretched_where_the_machine_becomes_slow_meanwhile(moment, monkeypatch):
    slow = [1.0]
    monkeypatch.setattr(machine, "slowness", lambda: slow[0])
    deadline = machine.Deadline(30.0)
    moment[0] += 29.0
    assert not deadline.passed()
    slow[0] = 3.0
    moment[0] += 60.0
    assert not deadline.passed()
    slow[0] = 1.0
    moment[0] += 2.0
    assert deadline.passed() and "3.0 times" in str(deadline)
    deadline.restart()
    assert not deadline.passed()
