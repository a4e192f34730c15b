"""The gate in front of every route: sizes, host, origin, rate, role; what it refuses never reaches a route."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tailwag.service.answers import error_body
from tailwag.service.auth import Access, Refusal, Role, TokenFile, access_of, bearer_token, refusal
from tailwag.service.limits import Buckets, Limits

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from tailwag.service.metrics import Metrics
    from tailwag.service.monitor import Log
    from tailwag.service.settings import ServeSettings

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SAFE_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", POLICY.encode()),
)
Endpoints = Callable[[Mapping[str, Any]], Any]


class Gate:
    """ASGI middleware.  ``find`` gives the endpoint that a scope would reach, None where there is none."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: ServeSettings,
        tokens: TokenFile | None,
        limits: Limits,
        metrics: Metrics,
        log: Log,
        find: Endpoints,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app, self._settings, self._tokens, self._limits = app, settings, tokens, limits
        self._metrics, self._log, self._find = metrics, log, find
        self._requests = Buckets(rate_per_second=limits.requests_per_second, burst=limits.request_burst, monotonic=monotonic)
        self._failures = Buckets(rate_per_second=limits.failures_per_second, burst=limits.failure_burst, monotonic=monotonic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        refused = self._refused(scope, headers)
        if refused is not None:
            self._metrics.refused.labels(str(refused.status)).inc()
            await _refuse(scope, receive, send, refused)
        elif scope["type"] == "websocket":
            await self._app(scope, receive, send)
        else:
            await self._answered(scope, receive, send, headers)

    async def _answered(self, scope: Scope, receive: Receive, send: Send, headers: dict[str, list[str]]) -> None:
        answer = _Answer()
        counted = self._counted(scope, send, answer)
        try:
            await self._bounded(scope, receive, counted, headers)
        except Exception as error:
            # raised further, the server would cut a connection that is in order
            if answer.started:
                raise
            self._log.warning("request failed", reason=type(error).__name__)
            sentence = f"internal error ({type(error).__name__}); please report this with the request"
            await _refuse(scope, receive, counted, Refusal(500, sentence))

    # what is refused, cheapest first

    def _refused(self, scope: Scope, headers: dict[str, list[str]]) -> Refusal | None:
        websocket = scope["type"] == "websocket"
        found = self._too_large(scope, headers) or self._wrong_place(headers)
        if found is not None:
            return found
        client = (scope.get("client") or ("",))[0]
        wait = self._requests.wait_seconds(client)
        if wait or (self._failures.is_empty(client) and bearer_token(headers, websocket=websocket) is not None):
            return Refusal(429, "too many requests from this address; wait a moment and ask less often")
        return self._role_refused(scope, headers, client, websocket=websocket)

    def _too_large(self, scope: Scope, headers: dict[str, list[str]]) -> Refusal | None:
        limits = self._limits
        address = len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"])
        if address > limits.url_bytes:
            return Refusal(414, f"the address has {address} bytes, at most {limits.url_bytes} are read; ask for less at once")
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        if size > limits.header_bytes or len(scope["headers"]) > limits.header_count:
            return Refusal(431, f"the headers are more than {limits.header_bytes} bytes or {limits.header_count} lines; send fewer")
        stated = headers.get("content-length", ["0"])[0]
        if stated.isascii() and stated.isdigit() and int(stated[:20]) > limits.body_bytes:
            return Refusal(413, f"the body has {stated[:20]} bytes, at most {limits.body_bytes} are read; send less")
        if set(headers.get("content-encoding", ["identity"])) != {"identity"}:
            return Refusal(415, "packed bodies are not read; send it as it is")
        return None

    def _wrong_place(self, headers: dict[str, list[str]]) -> Refusal | None:
        hosts = headers.get("host", [])
        if len(hosts) != 1 or _name_of(hosts[0]) not in self._settings.known_hosts:
            return Refusal(
                403, "this service does not answer to that host name; use the address it is bound to, or start it with --public-host"
            )
        origins = headers.get("origin", [])
        if origins and (len(origins) != 1 or not _same_place(origins[0], hosts[0])):
            return Refusal(403, "pages of other origins may not ask here; open the page that this service shows")
        return None

    def _role_refused(self, scope: Scope, headers: dict[str, list[str]], client: str, *, websocket: bool) -> Refusal | None:
        endpoint = self._find(scope)
        # an address that is no route tells a stranger as little as one that is
        access = Access(Role.VIEWER) if endpoint is None else access_of(endpoint)
        token = bearer_token(headers, websocket=websocket)
        found = refusal(access, token, self._tokens, open_reading=self._settings.is_loopback)
        if found is not None and found.status == 401 and token is not None:
            self._failures.wait_seconds(client)
        return found

    # what is let through

    async def _bounded(self, scope: Scope, receive: Receive, send: Send, headers: dict[str, list[str]]) -> None:
        """The body is read here, whole, within its size and its time; the route gets it as one message."""
        if "content-length" not in headers and "transfer-encoding" not in headers:
            await self._app(scope, receive, send)
            return
        try:
            body = await asyncio.wait_for(self._body(receive), self._limits.body_seconds)
        except TimeoutError:
            await _refuse(scope, receive, send, Refusal(408, f"the body took longer than {self._limits.body_seconds:g} s; send it faster"))
            return
        if body is None:
            await _refuse(scope, receive, send, Refusal(413, f"the body has more than {self._limits.body_bytes} bytes; send less"))
            return
        await self._app(scope, _replayed(body, receive), send)

    async def _body(self, receive: Receive) -> bytes | None:
        parts: list[bytes] = []
        total = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return b"".join(parts)
            parts.append(message.get("body", b""))
            total += len(parts[-1])
            if total > self._limits.body_bytes:
                return None
            if not message.get("more_body", False):
                return b"".join(parts)

    def _counted(self, scope: Scope, send: Send, answer: _Answer) -> Send:
        async def counted(message: Message) -> None:
            answer.started = True
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                self._metrics.requests.labels(route, str(message["status"])).inc()
                message["headers"] = [*message.get("headers", []), *SAFE_HEADERS]
            await send(message)

        return counted


@dataclass(slots=True)
class _Answer:
    """How far an answer has come."""

    started: bool = False


def _headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _name_of(host: str) -> str:
    """The name in a Host header, without its port, empty where it is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "") if "/" not in host and "@" not in host else ""
    except ValueError:
        return ""


def _same_place(origin: str, host: str) -> bool:
    """Whether an Origin is of the page that this very host and port show."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    default = {"http": ":80", "https": ":443"}.get(parts.scheme)
    return default is not None and parts.netloc.lower() in (host.lower(), host.lower().removesuffix(default)) and not parts.path


def _replayed(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(scope: Scope, receive: Receive, send: Send, refused: Refusal) -> None:
    body = error_body(refused.sentence)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *SAFE_HEADERS]
    if refused.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if refused.status == 429:
        headers.append((b"retry-after", b"5"))
    if refused.status in (408, 413):
        headers.append((b"connection", b"close"))
    if scope["type"] == "websocket":
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008, "reason": refused.sentence[:100]})
            return
        await receive()
        await send({"type": "websocket.http.response.start", "status": refused.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})
        return
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
