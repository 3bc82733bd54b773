"""The part that the network backends share: options, lifecycle, circuit, status."""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any

from cosmos_ros.errors import CosmosRosError, ModelError
from cosmos_ros.types import Request, Rollout
from cosmos_ros.world_models.protocol import Capabilities, check_request
from cosmos_ros.world_models.remote.circuit_breaker import CircuitBreaker
from cosmos_ros.world_models.remote.network import (
    ATTEMPTS,
    EventLoopThread,
    RequestCancelledError,
    ServerOptions,
    excerpt,
)


class NetworkModel(ABC):
    """A world model behind a socket: one request in flight, a deadline, a circuit.

    Subclasses give ``name`` and the three coroutines.
    """

    name: str

    def __init__(self, url: str, options: ServerOptions, capabilities: Capabilities) -> None:
        self.url = url
        self.capabilities = capabilities
        self._server = options
        self._circuit = CircuitBreaker(self.where)
        self._loop: EventLoopThread | None = None
        self._side: set[asyncio.Task[None]] = set()

    @property
    def where(self) -> str:
        """Prefix of error messages."""
        return f"world_model {self.name}"

    def load(self) -> None:
        """Connect and check that the server is the right one.

        Raises:
            ModelError: It cannot be reached or is not ready; says why and what to do.
        """
        if self._loop is None:
            self._loop = EventLoopThread(self.where)
        try:
            self._loop.run(self._greet(), self._server.connect_timeout * ATTEMPTS + self._server.silence_timeout)
        except CosmosRosError:
            self.close()
            raise
        except Exception as error:
            self.close()
            raise self._unforeseen(error) from error

    def predict(self, request: Request) -> Rollout:
        """Answer one request.

        Raises:
            CapabilityError: The request is more than the model declared; the server was not asked.
            ModelError: The server failed, was too slow, or answered with something else; or the circuit is open.
        """
        check_request(self, request)
        asked = self._ask(request)  # checks the request first: its faults are not the server's
        try:
            self._circuit.check()
        except ModelError:
            asked.close()
            raise
        if self._loop is None:
            self._loop = EventLoopThread(self.where)
        started = time.perf_counter()
        try:
            rollout = self._loop.run(asked, self._server.timeout)
        except RequestCancelledError:
            raise
        except CosmosRosError as error:
            self._circuit.failed(error.message)
            if isinstance(error, ModelError):
                raise
            raise ModelError(error.message, where=error.where or self.where, hint=error.hint) from error
        except Exception as error:
            self._circuit.failed(f"{type(error).__name__}")
            raise self._unforeseen(error) from error
        self._circuit.succeeded()
        latencies = {**rollout.latencies_ms, "round_trip": (time.perf_counter() - started) * 1e3}
        provenance = {"backend": self.name, "server": self.url, **rollout.provenance}
        return replace(rollout, provenance=provenance, latencies_ms=latencies)

    def _unforeseen(self, error: Exception) -> ModelError:
        """Return the named error for an answer that nothing here was prepared for: servers send anything."""
        return ModelError(
            f"{self.url}: the answer cannot be used: {type(error).__name__}: {excerpt(str(error))}", where=self.where
        )

    def _run_aside(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something on the side, from within the loop; it must not raise."""
        task = asyncio.get_running_loop().create_task(work)
        self._side.add(task)  # the loop itself keeps no strong reference
        task.add_done_callback(self._side.discard)

    def cancel(self) -> None:
        """End the request in flight, from any thread; its ``predict`` raises ModelError."""
        if self._loop is not None:
            self._loop.cancel()

    def status(self) -> Mapping[str, str]:
        """Return the state for diagnostics, from any thread: circuit, failures in a row, last failure, server."""
        return {
            "server": self.url,
            "circuit": self._circuit.state,
            "failures": str(self._circuit.failures),
            "last_failure": self._circuit.reason,
        }

    def close(self) -> None:
        """Cancel, disconnect and end the thread; may be called twice."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        loop.cancel()
        # The thread that was asking needs a moment to leave; connections are closed after it.
        deadline = time.monotonic() + 2.0
        while not loop.idle and time.monotonic() < deadline:
            time.sleep(0.005)
        with contextlib.suppress(ModelError):  # a connection that cannot be closed nicely ends with the thread
            loop.run(self._finish(), 2.0)
        loop.stop()

    async def _finish(self) -> None:
        if self._side:  # e.g. the server is being asked to drop a job
            await asyncio.wait(self._side, timeout=1.0)
        await self._disconnect()

    @abstractmethod
    async def _greet(self) -> None:
        """Check the server."""

    @abstractmethod
    def _ask(self, request: Request) -> Coroutine[Any, Any, Rollout]:
        """Check the request and return the coroutine that asks the server."""

    @abstractmethod
    async def _disconnect(self) -> None:
        """Close connections."""
