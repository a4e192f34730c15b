"""A small server that speaks the service's API on loopback: the page's tests decide what it says, and when it stops saying it."""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.protocol import State

from tailwag.service.dashboard import static_files

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
STEP = timedelta(minutes=5)


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


class Accepted(ServerConnection):
    """A connection that the server knows of before anything is asked on it."""

    def __init__(self, everybody: set[Accepted], *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._everybody = everybody

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._everybody.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._everybody.discard(self)


class DashboardServer:
    """What the page may ask, answered from memory; ``publish``, ``beat``, ``alert`` and ``drop`` are called from the test's thread."""

    def __init__(self, document: dict[str, Any], *, past_steps: int = 40) -> None:
        self.seq, self.newest, self.state, self.age_s, self.max_age_s = 100, document, "ok", 0.2, 60.0
        self.source = "demo"
        self.asked: list[str] = []
        self.refused: dict[str, tuple[int, str]] = {}
        self.raised: list[dict[str, Any]] = []
        self.reasons: list[str] = []
        self.token = ""
        self.past = self._past(document, past_steps) if document.get("as_of") else []
        self._files = {file.path: file for file in static_files()}
        self._accepted: set[Accepted] = set()
        self._clients: set[ServerConnection] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._server: Server | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _past(self, document: dict[str, Any], steps: int) -> list[dict[str, Any]]:
        """The same market in the hours before, a little different each time, unknown once."""
        found = []
        for back in range(steps, 0, -1):
            old = copy.deepcopy(document)
            old["as_of"] = stamp(moment(document["as_of"]) - back * STEP)
            gain = old.get("gain")
            if isinstance(gain, dict) and isinstance(gain.get("value"), float):
                gain["value"] = None if back == 7 else gain["value"] * (1 + 0.03 * ((back * 7) % 11 - 5))
            if isinstance(old.get("spot_usd"), float):
                old["spot_usd"] *= 1 - 0.0006 * back
            found.append(old)
        return found

    # life

    def __enter__(self) -> DashboardServer:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._stop())
        self._call(self._leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start(0))
        self._ready.set()
        self._loop.run_forever()

    async def _start(self, port: int) -> None:
        connect = partial(Accepted, self._accepted)
        self._server = await serve(
            self._stream, "127.0.0.1", port, process_request=self._answer, ping_interval=None, create_connection=connect
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._hang_up_until(asyncio.ensure_future(self._server.wait_closed()))
            self._server = None

    async def _leave(self) -> None:
        """Whoever was accepted while the server closed is nobody's: the loop must not end before they do."""
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await self._hang_up_until(*others)
        # A connection that was closed is told so in a later turn of the loop.
        while self._accepted:
            await asyncio.sleep(0.01)

    async def _hang_up_until(self, *ended: asyncio.Future[Any]) -> None:
        """A browser opens connections on which it may never ask: those are not waited for."""
        while not all(one.done() for one in ended):
            for one in self._accepted:
                if one.protocol.state is State.CONNECTING:
                    one.transport.abort()
            await asyncio.wait(ended, timeout=0.01)

    def _call(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    # what the test lets happen

    def publish(self, document: dict[str, Any] | None = None, *, step: int = 1) -> None:
        """A new measurement a step later."""
        self.past.append(self.newest)
        self.newest = copy.deepcopy(document if document is not None else self.newest)
        self.newest["as_of"] = stamp(moment(self.past[-1]["as_of"]) + STEP)
        self.seq += step
        self._call(self._tell(self._frame("measure")))

    def beat(self, state: str, *, age_s: float = 0.2) -> None:
        self.state, self.age_s = state, age_s
        self._call(self._tell(self._frame("heartbeat")))

    def alert(self, sentence: str, severity: str = "warning", *, state: str | None = None) -> None:
        """Something to be told, perhaps with the state that comes with it: nobody is answered with the new state before the frame that says it."""
        one = {
            "id": str(len(self.raised)),
            "at": self.newest["as_of"],
            "key": f"k{len(self.raised)}",
            "severity": severity,
            "sentence": sentence,
        }
        self._call(self._raise(one, state or self.state))

    def hang_up(self, *, for_good: bool = False) -> None:
        """End every connection; ``for_good`` also stops listening until :meth:`come_back`."""
        self._call(self._stop() if for_good else self._drop())

    def come_back(self) -> None:
        self._call(self._start(self.port))

    @property
    def clients(self) -> int:
        return len(self._clients)

    async def _drop(self) -> None:
        for client in list(self._clients):
            await client.close(1013)

    async def _raise(self, alert: dict[str, Any], state: str) -> None:
        self.raised.append(alert)
        self.state = state
        await self._tell({**self._frame("alert"), **alert})

    async def _tell(self, frame: dict[str, Any]) -> None:
        for client in list(self._clients):
            await client.send(json.dumps(frame))

    def _frame(self, kind: str) -> dict[str, Any]:
        return {
            "type": kind,
            "source": self.source,
            **self._envelope(),
            "as_of": self.newest.get("as_of"),
            "summary": {"gain": self.newest.get("gain")},
        }

    def _envelope(self) -> dict[str, Any]:
        return {
            "seq": self.seq,
            "age_s": self.age_s,
            "max_age_s": self.max_age_s,
            "source_state": self.state,
            "reasons": self.reasons,
            "quarantined": {"instruments": 0, "open_interest_share": 0.0},
        }

    # HTTP and WebSocket

    async def _stream(self, client: ServerConnection) -> None:
        self._clients.add(client)
        try:
            await client.send(json.dumps(self._frame("measure")))
            await client.wait_closed()
        finally:
            self._clients.discard(client)

    def _answer(self, _client: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        self.asked.append(request.path)
        if parts.path in self.refused:
            status, sentence = self.refused[parts.path]
            return _response(status, json.dumps({"error": sentence}).encode(), "application/json")
        if self.token and parts.path.startswith("/api/") and not self._knows_token(request):
            return _response(401, b'{"error": "a token is needed"}', "application/json")
        if parts.path == "/api/v1/stream":
            return None
        if parts.path in self._files:
            file = self._files[parts.path]
            return _response(200, file.content(), file.media_type)
        found = self._document(parts.path, {key: values[0] for key, values in parse_qs(parts.query).items()})
        status = 404 if found is None else 200
        return _response(status, json.dumps(found if found is not None else {"error": "there is none"}).encode(), "application/json")

    def _knows_token(self, request: Request) -> bool:
        return self.token in (request.headers.get("authorization") or "") + (request.headers.get("sec-websocket-protocol") or "")

    def _document(self, path: str, query: dict[str, str]) -> Any:
        if path == "/api/v1/measure/latest":
            return {**self.newest, **self._envelope(), "monitor_source": self.source}
        if path == "/api/v1/measure":
            before = [one for one in [*self.past, self.newest] if moment(one["as_of"]) <= moment(query["at"])]
            return before[-1] if before else None
        if path == "/api/v1/history":
            return {"field": query["field"], "points": self._points(query), "next": None}
        if path == "/api/v1/index":
            days = [
                {"date": f"2026-02-{day}", "loop_gain": 0.1 * day - 2.4, "regime": "damping", "hedged_oi_ratio": 0.2 * day}
                for day in range(20, 29)
            ]
            return {"definition": {"rules": ["long-calls-short-puts"]}, "currency": query["currency"], "days": days, "next": None}
        if path == "/api/v1/alerts":
            return {"alerts": self.raised}
        if path == "/api/v1/sources":
            return {"sources": [{"source": self.source, "as_of": self.newest.get("as_of"), **self._envelope()}]}
        return None

    def _points(self, query: dict[str, str]) -> list[dict[str, Any]]:
        start, end = (moment(query.get(key, edge)) for key, edge in (("from", "1970-01-01T00:00:00Z"), ("to", "2262-01-01T00:00:00Z")))
        inside = [one for one in [*self.past, self.newest] if one.get("as_of") and start <= moment(one["as_of"]) <= end]
        read = {
            "gain.value": lambda one: (one.get("gain") or {}).get("value"),
            "spot_usd": lambda one: one.get("spot_usd"),
            "realised_vol_24h": lambda one: 0.45,
            "realised_vol_1h": lambda one: 0.42 + 0.002 * (len(one["as_of"]) + hash(one["as_of"][11:16]) % 7),
        }[query["field"]]
        return [{"as_of": one["as_of"], "value": read(one)} for one in inside][: int(query.get("limit", 10_000))]


def _response(status: int, body: bytes, kind: str) -> Response:
    headers = Headers(
        [
            ("content-type", kind),
            ("content-length", str(len(body))),
            ("content-security-policy", POLICY),
            ("x-content-type-options", "nosniff"),
            ("connection", "close"),
        ]
    )
    return Response(status, "OK" if status == 200 else "Refused", headers, body)
