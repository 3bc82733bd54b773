"""The guard: the only publisher to the controllers, in a process of its own.

Candidate trajectories and joint states in; trajectories that the robot can follow out, once armed. All decisions are
made by ``cosmos_ros.guard``, the wiring is in ``guard_wiring``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rclpy.lifecycle import LifecycleNode, State, TransitionCallbackReturn

from cosmos_ros.guard.supervision.node_settings import guard_parameters
from cosmos_ros.nodes.diagnostics import ERROR, WARN, Diagnostics
from cosmos_ros.nodes.guard_wiring import GuardWiring
from cosmos_ros.nodes.node_process import run
from cosmos_ros.nodes.parameters import declare


class GuardNode(LifecycleNode):
    """Lifecycle node around the guard.

    Configure loads the robot and begins to watch it; while active, the guard judges and may be armed. Deactivating it
    disarms it and brakes what moves; it goes on watching until it is cleaned up.
    """

    def __init__(self) -> None:
        super().__init__("guard")
        self._wiring: GuardWiring | None = None
        self._values = declare(self, guard_parameters(), on_change=self._on_parameter, check=self._refuses)
        self._diagnostics = Diagnostics(self, hardware_id="cosmos_ros")
        self._diagnostics.set("state", WARN, "unconfigured", expected=True)
        self._failure: Exception | None = None
        if self._values["autostart"]:
            if self.trigger_configure() != TransitionCallbackReturn.SUCCESS:
                raise self._why_not_configured()
            self.trigger_activate()

    def _why_not_configured(self) -> Exception:
        return self._failure or RuntimeError("the guard could not be configured")

    def on_configure(self, _: State) -> TransitionCallbackReturn:
        """Load the robot and begin to watch it."""
        try:
            self._wiring = GuardWiring(self, self._values, self._diagnostics)
        except Exception as error:  # nobody may take a guard that has failed for one that watches
            self._failure = error
            self._diagnostics.set("state", ERROR, f"not configured: {type(error).__name__}: {error}")
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: State) -> TransitionCallbackReturn:
        """Judge from now on; the guard may be armed."""
        if self._wiring is not None:
            self._wiring.active = True
            self._wiring.report()
        return super().on_activate(state)

    def on_deactivate(self, state: State) -> TransitionCallbackReturn:
        """Disarm, and brake what moves."""
        self._deactivate()
        return super().on_deactivate(state)

    def on_cleanup(self, _: State) -> TransitionCallbackReturn:
        """Let go of the robot; refused while it is coming to rest."""
        if self._wiring is not None and self._wiring.moving:
            self.get_logger().warning("not cleaned up: the robot is coming to rest")
            return TransitionCallbackReturn.FAILURE
        self._release()
        self._diagnostics.set("state", WARN, "unconfigured", expected=True)
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, _: State) -> TransitionCallbackReturn:
        """Disarm, brake what moves, and let go."""
        self._deactivate()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def _deactivate(self) -> None:
        if self._wiring is not None:
            self._wiring.disarm()
            self._wiring.active = False
            self._wiring.report()

    def _release(self) -> None:
        if self._wiring is not None:
            self._wiring.close()
        self._wiring = None

    def _refuses(self, values: Mapping[str, Any]) -> str | None:
        return None if self._wiring is None else self._wiring.refuses(values)

    def _on_parameter(self, name: str, value: Any) -> None:
        if self._wiring is not None:
            self._wiring.on_parameter(name, value)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is stopped."""
    # The events executor is quicker, and experimental: what stands before the robot runs on the one that all use.
    return run(GuardNode, args, executor="single")


if __name__ == "__main__":
    sys.exit(main())
