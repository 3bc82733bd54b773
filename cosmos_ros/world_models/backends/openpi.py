"""Cosmos3-Nano-Policy-DROID behind a policy websocket, in both dialects that serve it.

vLLM-Omni (``ws://host:8000/v1/realtime/robot/openpi``) greets with its configuration and answers a bare array;
cosmos-framework's RoboLab server (``ws://host:8000``) greets with an empty map and answers ``{"action": …}``. Both
take the composed image, seven joint positions (rad) and the raw gripper (0 open, 1 closed), and return 32 rows of
eight absolute values at 15 Hz. Both build the caption themselves, so they are sent the plain instruction.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cosmos_ros.errors import CapabilityError, ConfigError, ModelError
from cosmos_ros.settings import setting
from cosmos_ros.types import ActionSpace, Float32Array, Mode, Request, Rollout
from cosmos_ros.world_models.backend import ModelBackend
from cosmos_ros.world_models.domains import (
    POLICY_DROID_CHUNK,
    POLICY_DROID_DOMAIN,
    POLICY_DROID_SIZE,
    POLICY_DROID_WIDTH,
)
from cosmos_ros.world_models.protocol import Capabilities
from cosmos_ros.world_models.remote.joint_policy import gripper_from_server, policy_image, policy_state
from cosmos_ros.world_models.remote.msgpack_numpy import pack, unpack
from cosmos_ros.world_models.remote.network import (
    ServerOptions,
    authorisation,
    check_url,
    excerpt,
    finite_number,
    shown,
    tls_context,
)
from cosmos_ros.world_models.remote.remote_model import NetworkModel
from cosmos_ros.world_models.sampler_settings import check_settings

if TYPE_CHECKING:
    import aiohttp

# What a server of this policy may say about itself, and the same in words.
_GREETING: dict[str, tuple[tuple[Any, ...], str]] = {
    "action_space": (("joint_position", "joint_pos"), "joint_position"),
    "action_horizon": ((POLICY_DROID_CHUNK,), str(POLICY_DROID_CHUNK)),
    "image_resolution": ((list(POLICY_DROID_SIZE),), str(list(POLICY_DROID_SIZE))),
    "n_external_cameras": ((2,), "2"),
    "needs_wrist_camera": ((True,), "True"),
    "needs_stereo_camera": ((False,), "False"),
}
_LARGEST_REQUEST = 64 << 20  # the server's own limit


class _ConnectionLostError(ModelError):
    """The server closed the connection without an answer."""


@dataclass(frozen=True)
class OpenPiOptions(ServerOptions):
    """Options of ``openpi``."""

    model: str = setting("", "Address, e.g. ws://localhost:8000/v1/realtime/robot/openpi or ws://localhost:8000.")
    timeout: float = setting(30.0, "Deadline of one prediction", minimum=0.001, unit="s")
    max_answer_bytes: int = setting(64 << 20, "Largest message, bytes.", minimum=1)
    dialect: str = setting(
        "auto", "Which server it is; auto goes by its greeting.", choices=("auto", "vllm_omni", "cosmos_framework")
    )


CAPABILITIES = Capabilities(
    modes=frozenset({Mode.POLICY}),
    domains=frozenset({POLICY_DROID_DOMAIN}),
    chunk_sizes=(POLICY_DROID_CHUNK,),
    needs_state=True,
    returns_frames=False,
    action_space=ActionSpace.JOINT,
    deterministic=False,  # the server draws the seed, unless it was started otherwise
    settings=frozenset(),
    negative_prompt=False,
)


class OpenPi(NetworkModel):
    """A joint-space DROID policy over a websocket; policy mode only, no frames.

    The connection is kept between predictions and made again when the server closed it (vLLM-Omni does after 30 s
    without a request). Inference has no side effect, so the request is then sent once more.
    """

    name = "openpi"

    def __init__(self, options: OpenPiOptions) -> None:
        import aiohttp  # noqa: F401  # that one is missing is to be known now, not at the first request
        import msgpack  # noqa: F401

        super().__init__(check_url(self.where, options.model, ("ws", "wss")), options, CAPABILITIES)
        self._wanted_dialect = options.dialect
        self._dialect = ""
        self._headers = authorisation(self.where, self.url)
        self._ssl = tls_context(self.where, options.ca_file)
        self._session: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._session_id = str(uuid.uuid4())
        self._leaving = False

    def new_session(self) -> None:
        """Let the next request begin a session of its own, on a connection of its own."""
        self._session_id = str(uuid.uuid4())
        self._leaving = True

    async def _greet(self) -> None:
        await self._connect()

    def _ask(self, request: Request) -> Coroutine[Any, Any, Rollout]:
        check_settings(self.where, request.settings, frozenset())
        if request.negative_prompt:
            raise CapabilityError("this server takes no negative prompt", where=self.where)
        joints, closing = policy_state(self.where, request)
        message: dict[str, Any] = {
            "prompt": request.instruction,
            "observation/image": policy_image(self.where, request),
            "observation/joint_position": joints,
            "observation/gripper_position": np.array([closing], dtype=np.float32),
        }
        return self._predict(message, request)

    async def _predict(self, message: dict[str, Any], request: Request) -> Rollout:
        started = time.perf_counter()
        if self._leaving:
            self._leaving = False
            await self._drop()
        kept = self._socket is not None and not self._socket.closed
        try:
            answer = await self._exchange(message, request)
        except _ConnectionLostError:
            if not kept:
                raise
            answer = await self._exchange(message, request)  # it had been closed while idle
        action = self._action_of(answer)
        rows = gripper_from_server(self.where, action)
        return Rollout(
            frames=None,
            actions=rows,
            action_space=ActionSpace.JOINT,
            provenance={
                "model": "Cosmos3-Nano-Policy-DROID",
                "dialect": self._dialect,
                "session_id": self._session_id,
                "server_timing": _timing(answer),
            },
            latencies_ms={"exchange": (time.perf_counter() - started) * 1e3},
        )

    async def _exchange(self, message: dict[str, Any], request: Request) -> Any:
        import aiohttp

        socket = await self._connect()
        if self._dialect == "vllm_omni":
            message = {**message, "endpoint": "infer", "session_id": self._session_id, "seed": request.seed}
        data = pack(message)
        if len(data) > _LARGEST_REQUEST:
            raise CapabilityError(f"the request has {len(data)} bytes, the server takes 64 MiB", where=self.where)
        try:
            await socket.send_bytes(data)
            return await self._receive(socket)
        except (aiohttp.ClientError, ConnectionError) as error:
            await self._drop()
            raise _ConnectionLostError(f"{self.url}: {type(error).__name__}: {error}", where=self.where) from error
        except BaseException:
            # An answer that comes late must not be taken for the next one's.
            await self._drop()
            raise

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> Any:
        from aiohttp import WSMsgType

        message = await socket.receive()
        if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
            detail = f" ({excerpt(str(message.extra))})" if message.extra else ""
            if isinstance(message.data, BaseException):
                raise ModelError(f"{self.url}: {excerpt(str(message.data))}", where=self.where)
            raise _ConnectionLostError(
                f"{self.url}: the server closed the connection with code {socket.close_code}{detail}", where=self.where
            )
        if message.type is WSMsgType.TEXT:  # both servers send tracebacks as text
            lines = [line for line in str(message.data).splitlines() if line.strip()]
            raise ModelError(f"{self.url}: {excerpt((lines or ['an empty text'])[-1])}", where=self.where)
        try:
            found = unpack(message.data)
        except ValueError as error:
            raise ModelError(f"{self.url}: {error}; it begins {excerpt(message.data, 60)}", where=self.where) from error
        if isinstance(found, Mapping) and _text(found.get("type")) == "error":
            raise ModelError(f"{self.url}: {excerpt(str(found.get('message')))}", where=self.where)
        return found

    async def _connect(self) -> aiohttp.ClientWebSocketResponse:
        import aiohttp

        if self._socket is not None and not self._socket.closed:
            return self._socket
        await self._drop()
        if self._session is None:
            trace = aiohttp.TraceConfig()
            trace.on_request_redirect.append(self._refuse_redirect)
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._ssl), trace_configs=[trace])
        try:
            self._socket = await asyncio.wait_for(self._open(self._session), self._server.connect_timeout)
            greeting = await asyncio.wait_for(self._receive(self._socket), self._server.connect_timeout)
        except asyncio.TimeoutError as error:
            await self._drop()
            raise ModelError(
                f"{self.url}: no greeting within {self._server.connect_timeout:g} s", where=self.where
            ) from error
        except aiohttp.WSServerHandshakeError as error:
            raise ModelError(f"{self.url} refuses the websocket with {error.status}", where=self.where) from error
        except (aiohttp.ClientError, OSError) as error:
            raise ModelError(
                f"{self.url}: cannot connect: {excerpt(str(error))}",
                where=self.where,
                hint="Check that the server is running.",
            ) from error
        except ModelError:
            await self._drop()
            raise
        try:
            self._dialect = self._check_greeting(greeting)
        except (ModelError, ConfigError):
            await self._drop()
            raise
        return self._socket

    async def _refuse_redirect(self, *_: Any) -> None:
        """A websocket handshake follows redirects and has no switch for it: another host would move the robot."""
        raise ModelError(f"{self.url}: the handshake was redirected; redirects are not followed", where=self.where)

    async def _open(self, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
        return await session.ws_connect(
            self.url, headers=self._headers, max_msg_size=self._server.max_answer_bytes, compress=0, autoclose=True
        )

    def _check_greeting(self, greeting: Any) -> str:
        """Return the dialect; refuse a server that serves another policy."""
        if not isinstance(greeting, Mapping):
            raise ModelError(f"{self.url}: the greeting is no map but {type(greeting).__name__}", where=self.where)
        for name, (allowed, wanted) in _GREETING.items():
            said = greeting.get(name)
            if said is not None and not (isinstance(said, str | int | list) and said in allowed):
                raise ConfigError(
                    f"{self.url} serves another policy: its {name} is {shown(said)}, not {wanted}", where=self.where
                )
        found = "vllm_omni" if "image_resolution" in greeting else "cosmos_framework"
        return found if self._wanted_dialect == "auto" else self._wanted_dialect

    def _action_of(self, answer: Any) -> Float32Array:
        """Return ``float32 [32, 8]`` of a bare array or of ``{"action": array}``."""
        array = answer.get("action", answer.get("actions")) if isinstance(answer, Mapping) else answer
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise ModelError(f"{self.url}: the answer has no action array but {kind}", where=self.where)
        if array.shape != (POLICY_DROID_CHUNK, POLICY_DROID_WIDTH):
            raise ModelError(
                f"{self.url}: actions have shape {list(array.shape)}, expected "
                f"[{POLICY_DROID_CHUNK}, {POLICY_DROID_WIDTH}]",
                where=self.where,
            )
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
            rows = np.array(array, dtype=np.float32)
        bad = np.argwhere(~np.isfinite(rows))
        if bad.size:
            step, column = (int(v) for v in bad[0])
            raise ModelError(f"{self.url}: actions[{step}, {column}] is {rows[step, column]}", where=self.where)
        return rows

    async def _drop(self) -> None:
        import aiohttp

        socket, self._socket = self._socket, None
        if socket is not None and not socket.closed:
            with contextlib.suppress(aiohttp.ClientError, asyncio.TimeoutError, ConnectionError):
                await asyncio.wait_for(socket.close(), 0.5)

    async def _disconnect(self) -> None:
        await self._drop()
        if self._session is not None:
            await self._session.close()
            self._session = None


def _timing(answer: Any) -> dict[str, float]:
    """Return the server's own timings in ms, where it sends any."""
    timing = answer.get("server_timing") if isinstance(answer, Mapping) else None
    if not isinstance(timing, Mapping):
        return {}
    known = {_text(key): finite_number(value) for key, value in list(timing.items())[:8]}
    return {excerpt(key, 40): value for key, value in known.items() if key and value is not None}


def _text(value: Any) -> str:
    """Return a string; empty for anything else, such as an array, which does not compare like a value."""
    return value if isinstance(value, str) else ""


BACKEND = ModelBackend(
    name="openpi",
    summary="Cosmos3-Nano-Policy-DROID behind a policy websocket",
    options=OpenPiOptions,
    capabilities=lambda _: CAPABILITIES,
    implementation=OpenPi,
    packages=("aiohttp>=3.9", "msgpack>=1.0"),
    examples={"openpi": {"model": "ws://localhost:8000"}},
)
