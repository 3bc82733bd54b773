"""What every network backend stands on: one background event loop, bounded HTTP, a token that is never shown.

Requests have a connect timeout, a read timeout and a deadline; answers have a size limit; redirects are not followed
(the token must not travel elsewhere); only what is safe to repeat is repeated. ``cancel`` works from any thread.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import ipaddress
import json
import os
import random
import ssl
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from cosmos_ros.errors import ConfigError, ModelError
from cosmos_ros.settings import DeclaredSettings, setting

if TYPE_CHECKING:
    import aiohttp

TOKEN_VARIABLE = "COSMOS_ROS_TOKEN"  # noqa: S105  # the name of the variable, not a token
ATTEMPTS = 3  # of a request that is safe to repeat
FIRST_PAUSE = 0.2  # seconds before the second try; doubles with each further one
Result = TypeVar("Result")

# Statuses by which a server says that it did not start the work: asking again is safe.
_TURNED_AWAY = frozenset({429, 503})
# A chunk of the widest domain has 15 000 numbers. Parsing holds the interpreter, so that a body of many megabytes of
# small values would stop everything else in the process, and unpacks to many times its size.
_MOST_JSON_VALUES = 500_000


class RequestCancelledError(ModelError):
    """The request was ended by ``cancel``, not by the server."""


@dataclass(frozen=True)
class ServerOptions(DeclaredSettings):
    """What the options of all server backends have in common."""

    model: str = setting("", "Address of the server, e.g. http://localhost:8000.")
    timeout: float = setting(120.0, "Deadline of one prediction with all its requests", minimum=0.001, unit="s")
    connect_timeout: float = setting(5.0, "Longest wait for a connection", minimum=0.001, unit="s")
    max_answer_bytes: int = setting(256 << 20, "Largest answer, bytes.", minimum=1)
    ca_file: str = setting("", "PEM file of certificates to trust instead of the system's.")

    @property
    def silence_timeout(self) -> float:
        """Longest silence while an answer is read, s; one that comes when all is computed is silent until then."""
        return self.timeout


@dataclass(frozen=True)
class HttpAnswer:
    """One HTTP answer, read whole."""

    status: int
    content_type: str
    body: bytes

    @property
    def ok(self) -> bool:
        """True for 2xx."""
        return 200 <= self.status < 300


class EventLoopThread:
    """Runs coroutines in a background thread, one at a time, each with a deadline; ``cancel`` ends the running one."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._loop = asyncio.new_event_loop()
        self._running: concurrent.futures.Future[Any] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._loop.run_forever, name=where, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result], deadline: float) -> Result:
        """Run ``work`` to its end.

        Raises:
            ModelError: Another request is in flight, it was cancelled, or ``deadline`` seconds have passed.
        """
        with self._lock:
            if self._running is not None or not self._thread.is_alive():
                work.close()
                reason = "closed" if not self._thread.is_alive() else "busy: one request at a time"
                raise ModelError(reason, where=self._where)
            future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, deadline), self._loop)
            self._running = future
        try:
            return future.result()
        except (concurrent.futures.CancelledError, asyncio.CancelledError) as error:
            raise RequestCancelledError("the request was cancelled", where=self._where) from error
        except (asyncio.TimeoutError, concurrent.futures.TimeoutError) as error:
            raise ModelError(
                f"no complete answer within {deadline:g} s",
                where=self._where,
                hint="Raise the timeout option, or lower num_inference_steps or the resolution tier.",
            ) from error
        finally:
            with self._lock:
                self._running = None

    @property
    def idle(self) -> bool:
        """True when nothing is running."""
        with self._lock:
            return self._running is None

    def cancel(self) -> None:
        """Cancel the running coroutine, if any."""
        with self._lock:
            if self._running is not None:
                self._running.cancel()

    def stop(self) -> None:
        """Cancel what runs and end the thread; may be called twice."""
        self.cancel()
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=5.0)
        if not self._loop.is_closed() and not self._thread.is_alive():
            pending = asyncio.all_tasks(self._loop)
            for task in pending:
                task.cancel()
            if pending:
                self._loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
            self._loop.close()


class HttpClient:
    """Bounded HTTP to one server. Its coroutines run in an :class:`EventLoopThread`.

    Args:
        where: For error messages, e.g. ``world_model nim``.
        options: Its ``http`` or ``https`` address, without path or with a prefix, and the bounds.
    """

    def __init__(self, where: str, options: ServerOptions) -> None:
        import aiohttp  # noqa: F401  # that it is missing is to be known now, not at the first request

        self.where = where
        self.url = check_url(where, options.model, ("http", "https"))
        self._options = options
        self._headers = {**authorisation(where, self.url), "Accept-Encoding": "identity"}
        self._ssl = tls_context(where, options.ca_file)
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        repeat: bool,
        accept: str = "application/json",
        body: Callable[[], Any] | None = None,
    ) -> HttpAnswer:
        """Ask once, or up to ``ATTEMPTS`` times with growing, jittered pauses.

        Args:
            method: HTTP method.
            path: Path below the server's address.
            repeat: The request may be repeated after it could have been carried out (GET, DELETE). Others are only
                repeated when the connection failed or the server turned them away (429, 503).
            accept: Accept header.
            body: Builds the form or JSON anew for each try; None for none.

        Raises:
            ModelError: Names the server and what went wrong.
        """
        import aiohttp

        for attempt in range(1, ATTEMPTS + 1):
            last = attempt == ATTEMPTS
            try:
                answer = await self._once(method, path, accept, body)
            except aiohttp.ClientConnectorError as error:
                if last:
                    raise self._failure(f"cannot connect: {excerpt(str(error))}") from error
            except (aiohttp.ClientError, asyncio.TimeoutError) as error:
                if last or not repeat:
                    raise self._failure(_describe(error, self._options)) from error
            else:
                if answer.status not in _TURNED_AWAY or last:
                    return answer
            await asyncio.sleep(FIRST_PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311  # jitter
        raise AssertionError("unreachable")

    async def _once(self, method: str, path: str, accept: str, body: Callable[[], Any] | None) -> HttpAnswer:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                auto_decompress=False,  # a small compressed answer could unpack to any size
                timeout=aiohttp.ClientTimeout(
                    total=self._options.timeout,
                    sock_connect=self._options.connect_timeout,
                    sock_read=self._options.silence_timeout,
                ),
                connector=aiohttp.TCPConnector(limit=2, ssl=self._ssl),
            )
        content = body() if body is not None else None
        form = {"data": content} if isinstance(content, aiohttp.FormData) else {"json": content}
        async with self._session.request(
            method,
            self.url + path,
            headers={**self._headers, "Accept": accept},
            allow_redirects=False,
            **(form if content is not None else {}),
        ) as response:
            if 300 <= response.status < 400:
                raise self._failure(f"{method} {path} was redirected; redirects are not followed")
            if response.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
                raise self._failure(f"{method} {path} was answered compressed, which was not asked for")
            return HttpAnswer(response.status, response.content_type, await self._read(response, path))

    async def _read(self, response: aiohttp.ClientResponse, path: str) -> bytes:
        limit = self._options.max_answer_bytes
        if response.content_length is not None and response.content_length > limit:
            response.close()
            raise self._failure(f"{path} announces {response.content_length} bytes, allowed are {limit}")
        received = bytearray()
        async for part in response.content.iter_chunked(1 << 16):
            received += part
            if len(received) > limit:
                response.close()
                raise self._failure(f"the answer to {path} is larger than {limit} bytes")
        return bytes(received)

    def read_object(self, answer: HttpAnswer, what: str) -> Mapping[str, Any]:
        """Return a JSON object; raise ModelError for an error status, something else than JSON or another value."""
        if not answer.ok:
            raise self._failure(f"{what} was answered {answer.status}: {reason_of(answer.body)}")
        found = read_json(self.where, what, answer.body)
        if not isinstance(found, Mapping):
            raise self._failure(f"{what} is not an object but {type(found).__name__}")
        return found

    async def close(self) -> None:
        """Close the connections."""
        import aiohttp

        if self._session is not None:
            with contextlib.suppress(aiohttp.ClientError):
                await self._session.close()
            self._session = None

    def _failure(self, reason: str) -> ModelError:
        return ModelError(f"{self.url}: {reason}", where=self.where)


def check_url(where: str, url: str, schemes: tuple[str, ...]) -> str:
    """Return the address without a trailing slash; raise ConfigError for one that is malformed or carries secrets."""
    hint = f"Give it as model:={schemes[0]}://host:port."
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        raise ConfigError(f"'{url}' is not a server address", where=where, hint=hint) from None
    if parts.scheme not in schemes or not parts.hostname or not port_is_fine:
        raise ConfigError(f"'{url}' is not a server address", where=where, hint=hint)
    if parts.username or parts.password or parts.query or parts.fragment:
        # The address stands in logs and in provenance, so nothing secret may be in it; nor is it shown here.
        raise ConfigError(
            "the server address must not carry user, password, query or fragment",
            where=where,
            hint=f"Put the bearer token into the environment variable {TOKEN_VARIABLE}.",
        )
    return url.rstrip("/")


def authorisation(where: str, url: str) -> dict[str, str]:
    """Return the Authorization header from the environment, or {}.

    Raises:
        ConfigError: A token is set and the connection would carry it unencrypted beyond this machine.
    """
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        return {}
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(f"{TOKEN_VARIABLE} holds characters that no bearer token has", where=where)
    parts = urlsplit(url)
    if parts.scheme in ("http", "ws") and not _is_loopback(parts.hostname or ""):
        raise ConfigError(
            f"{TOKEN_VARIABLE} is set, but {parts.scheme}:// would send it unencrypted",
            where=where,
            hint="Use https:// or wss://, or unset the variable.",
        )
    return {"Authorization": f"Bearer {token}"}


def tls_context(where: str, ca_file: str) -> ssl.SSLContext:
    """Return a verifying TLS context; raise ConfigError when ``ca_file`` cannot be read."""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"ca_file {ca_file}: {error}", where=where) from error


def read_json(where: str, what: str, body: bytes) -> Any:
    """Return parsed JSON; raise ModelError with an excerpt when it is none (HTML, text, half an answer)."""
    values = sum(body.count(sign) for sign in (b",", b"[", b"{"))
    if values > _MOST_JSON_VALUES:
        raise ModelError(f"{what} has {values} values, allowed are {_MOST_JSON_VALUES}", where=where)
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{what} is not JSON but: {excerpt(body)}", where=where) from error


def reason_of(body: bytes) -> str:
    """Return the server's own reason out of an error body: the usual fields of JSON errors, else an excerpt."""
    try:
        found = read_json("", "the reason", body)
    except ModelError:
        return excerpt(body)
    for _ in range(3):
        if not isinstance(found, Mapping):
            break
        inner = next((found[key] for key in ("error", "message", "detail") if found.get(key)), None)
        if inner is None:
            break
        found = inner
    return excerpt(found if isinstance(found, str) else json.dumps(found))


def excerpt(said: bytes | str, limit: int = 300) -> str:
    """Return the printable start of what a server said, on one line and without the token, should it repeat that."""
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    taken = said[: 4 * limit + len(token)]  # a token across the cut would be half shown
    text = taken if isinstance(taken, str) else taken.decode("utf-8", errors="replace")
    if token:
        text = text.replace(token, "(token)")
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return (line[:limit] + " …" if len(line) > limit or len(said) > 4 * limit else line) or "nothing"


def shown(value: Any, limit: int = 80) -> str:
    """Return a value that a server sent, as it may stand in a message."""
    return excerpt(repr(value), limit)


def finite_number(value: Any) -> float | None:
    """Return what a server says about itself when it is a finite number, else None."""
    plain = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18
    return float(value) if plain else None


def _describe(error: BaseException, options: ServerOptions) -> str:
    import aiohttp

    if isinstance(error, aiohttp.ClientPayloadError):
        return f"the answer broke off: {excerpt(str(error))}"
    if isinstance(error, asyncio.TimeoutError):
        return f"no answer for {options.silence_timeout:g} s"
    return f"{type(error).__name__}: {excerpt(str(error))}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
