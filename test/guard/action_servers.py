"""Controllers behind control_msgs' actions, as ros2_controllers' are: a new goal takes the place of the one before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.task import Future


class ControllerAction:
    """An action server whose goals end when the test says so. Lives in the watcher's thread.

    Attributes:
        goals: Every goal that came, refused ones included.
        accepting: Whether goals are taken.
    """

    def __init__(self, node: Any, action: Any, name: str, on_goal: Callable[[Any], None] = lambda _: None) -> None:
        self.goals: list[Any] = []
        self.accepting = True
        self._action, self._on_goal = action, on_goal
        self._endings: list[Future] = []
        self._server = ActionServer(
            node,
            action,
            name,
            self._execute,
            goal_callback=self._on_request,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    def end(self, how: str, **result: Any) -> None:
        """End the newest goal: ``succeed``, ``abort`` or ``canceled`` (only after somebody asked for it)."""
        self._endings[-1].set_result((how, self._action.Result(**result)))

    def close(self) -> None:
        """Leave the graph; may be called twice."""
        server, self._server = self._server, None
        if server is not None:
            server.destroy()

    def _on_request(self, goal: Any) -> GoalResponse:
        self.goals.append(goal)
        return GoalResponse.ACCEPT if self.accepting else GoalResponse.REJECT

    async def _execute(self, handle: Any) -> Any:
        if self._endings and not self._endings[-1].done():
            self._endings[-1].set_result(("abort", self._action.Result()))
        ending = Future()
        self._endings.append(ending)
        self._on_goal(handle.request)
        how, result = await ending
        getattr(handle, how)()
        return result
