"""A controller that does not execute what it was sent: the supervisor's answer."""

from __future__ import annotations

from guard_support import NOW, reach
from test_guard_supervisor import armed, is_stop, moving, ready

from cosmos_ros.guard.supervision.supervisor_states import State

WHY = "controller joint_trajectory (/arm/follow_joint_trajectory) rejected a goal"


def test_it_brakes_and_latches_until_reset() -> None:
    one, sent, now = moving()
    output = one.on_controller_event(WHY, now)
    assert is_stop(output.send, sent, now)
    assert one.state is State.LATCHED and one.reason == WHY and output.event == f"{WHY}: braking"
    assert f"latched ({WHY})" in one.arm(now)[1]
    # The stop is refused as well: said, and nothing more is sent, or it would go on for ever.
    again = one.on_controller_event(WHY, now)
    assert again.send is None and again.event == WHY
    assert one.reset(now)[0] and one.arm(now)[0]


def test_at_rest_and_disarmed_there_is_nothing_to_brake() -> None:
    one = armed()
    assert one.on_controller_event(WHY, NOW).send is None and one.state is State.LATCHED
    one = ready()
    output = one.on_controller_event(WHY, NOW)
    assert output.send is None and output.event == WHY and one.state is State.DISARMED
    assert one.on_candidate(reach(0.2), NOW).would_send is not None
