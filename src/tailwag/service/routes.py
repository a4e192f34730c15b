"""The routes, one function each: find the publication, answer with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from fastapi import FastAPI, Query, Request, Response, WebSocket
from starlette.exceptions import HTTPException

from tailwag.errors import InputError
from tailwag.market.clock import format_time, parse_time_ns
from tailwag.service.answers import AnySource, answers
from tailwag.service.auth import SUBPROTOCOL, Role, needs
from tailwag.service.description import described
from tailwag.service.packing import packed, takes_gzip
from tailwag.service.pages import Asset, asset, page
from tailwag.service.publish import Publication, frame
from tailwag.service.staleness import Health, SourceState

if TYPE_CHECKING:
    from tailwag.service.api import Service

HEAVY_WAIT_SECONDS = 5.0
PAGE_FILE = answers("A file of the page.", 304, 404, kind="*/*")
NEWEST = "The newest measurement of a source, whole (schema tailwag.measure/1)."
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
At = Annotated[str | None, Query(max_length=40, description="The last snapshot at or before this time, ISO 8601 with an offset.")]


def add_routes(app: FastAPI) -> None:
    """Every route of the service, on an application that carries its :class:`~tailwag.service.api.Service`."""
    from tailwag.service.routes_past import add_past_routes

    for path, endpoint, more in (
        ("/healthz", healthz, answers("The process answers; how its worst source stands.", shape="Health")),
        ("/readyz", readyz, answers("Every source has been measured and none is stale; 503 until then.", shape="Health")),
        ("/openapi.json", openapi, answers("This description.")),
        ("/api/v1/sources", sources, answers("Every source with its state, its age and its newest number.", shape="Sources")),
        ("/api/v1/measure/latest", latest, answers(NEWEST, 404, shape="LatestMeasurement")),
        ("/api/v1/alerts", alerts, answers("Alerts, oldest first.", shape="Alerts")),
    ):
        app.add_api_route(path, endpoint, methods=["GET"], response_class=Response, **more)
    app.add_api_route("/metrics", metrics, methods=["GET"], response_class=Response, **answers("Prometheus metrics.", kind=METRICS_TYPE))
    app.add_api_route("/", index, methods=["GET"], response_class=Response, **answers("The page.", kind="text/html"))
    app.add_api_route("/static/{name:path}", static, methods=["GET"], response_class=Response, **PAGE_FILE)
    app.add_api_websocket_route("/api/v1/stream", stream)
    add_past_routes(app)


def service_of(request: Request | WebSocket) -> Service:
    """The service that an application was made for."""
    found: Service = request.app.state.service
    return found


def json_answer(document: Any) -> Response:
    """Strict JSON: not-a-number becomes null."""
    return Response(orjson.dumps(document), media_type="application/json", headers={"cache-control": "no-store"})


def refuse_unknown(request: Request, *known: str, repeated: tuple[str, ...] = ()) -> None:
    """A misspelt parameter would be passed over in silence otherwise.

    Raises InputError.
    """
    for name in request.query_params:
        if name not in known:
            expected = f"expected {', '.join(known)}" if known else "this route takes none"
            raise InputError(f"unknown parameter {name[:40]!a}; {expected}")
        if name not in repeated and len(request.query_params.getlist(name)) > 1:
            raise InputError(f"{name} is given twice; give it once")


def chosen(service: Service, source: str | None) -> str:
    """A source's name, the first one where none is asked for.

    Raises InputError for an unknown one.
    """
    names = service.monitor.names
    if source is None:
        return names[0]
    if source not in names:
        raise InputError(f"unknown source {source[:60]!a}; this service watches {', '.join(names)}")
    return source


def newest(service: Service, source: str | None) -> tuple[Publication, Health]:
    """The newest publication of a source.

    Raises HTTPException 404 before the first.
    """
    name = chosen(service, source)
    publication, health = service.board.sources()[name]
    if publication is None:
        raise HTTPException(404, f"{name}: nothing has been measured yet ({'; '.join(health.reasons)}); ask again in a moment")
    return publication, health


def envelope(publication: Publication, health: Health) -> dict[str, Any]:
    """What stands beside a document: how far it may be trusted."""
    found = frame("measure", publication, health)
    del found["type"], found["currency"], found["source"], found["as_of"]
    return {**found, "monitor_source": publication.source, "received_at": format_time(publication.received_ns)}


def past_envelope(seq: int, publication: Publication) -> dict[str, Any]:
    """What stands beside a document of the past: it has no age, and nothing of it is live."""
    return {"seq": seq, "monitor_source": publication.source, "code_hash": publication.code_hash}


@needs(Role.PUBLIC)
async def healthz(request: Request) -> Response:
    """How the worst source stands; 200 while the process can answer at all."""
    return _health(service_of(request))


def _health(service: Service) -> Response:
    states = [health.state for _, health in service.board.sources().values()]
    worst = max(states, key=list(SourceState).index, default=SourceState.STALE)
    return json_answer({"status": "ok", "source_state": str(worst)})


@needs(Role.PUBLIC)
async def readyz(request: Request) -> Response:
    """Whether what is shown is live: 200 where every source is, 503 while one is stale or has not been measured.

    Raises HTTPException 503.
    """
    service = service_of(request)
    found = service.board.sources().values()
    stale = sum(publication is None or health.state is SourceState.STALE for publication, health in found)
    if stale:
        raise HTTPException(503, f"not ready: {stale} of {len(found)} sources stale or not measured yet", {"retry-after": "5"})
    return _health(service)


@needs(Role.VIEWER)
async def metrics(request: Request) -> Response:
    """Prometheus metrics."""
    return Response(service_of(request).metrics.text(), media_type=METRICS_TYPE)


@needs(Role.PUBLIC)
async def openapi(request: Request) -> Response:
    """This description."""
    service = service_of(request)
    return json_answer(described(request.app, source_names=service.monitor.names, open_reading=service.settings.is_loopback))


@needs(Role.VIEWER)
async def sources(request: Request) -> Response:
    """Every source, the first one first."""
    rows = []
    for name, (publication, health) in service_of(request).board.sources().items():
        row = frame("source", publication, health)
        del row["type"]
        rows.append({**row, "source": name})
    return json_answer({"sources": rows})


@needs(Role.VIEWER)
async def latest(request: Request, source: AnySource = None) -> Response:
    """The newest measurement of a source (of the first one, where none is named)."""
    refuse_unknown(request, "source")
    publication, health = newest(service_of(request), source)
    return packed(request, json_answer({**publication.document, **envelope(publication, health)}))


@needs(Role.VIEWER)
async def alerts(request: Request) -> Response:
    """Alerts, oldest first."""
    service = service_of(request)
    kept = service.alerts or service.board.alerts
    return json_answer({"alerts": await asyncio.to_thread(kept)})


@needs(Role.PUBLIC)
async def index(request: Request) -> Response:
    """The page."""
    return _file(request, page())


@needs(Role.PUBLIC)
async def static(request: Request, name: str) -> Response:
    """A file of the page."""
    found = asset(name)
    if found is None:
        raise HTTPException(404, "the page has no such file")
    return _file(request, found)


def _file(request: Request, found: Asset) -> Response:
    headers = {"etag": found.tag, "cache-control": "no-cache", "vary": "accept-encoding"}
    if request.headers.get("if-none-match") == found.tag:
        return Response(status_code=304, headers=headers)
    if takes_gzip(request):
        return Response(found.packed, media_type=found.kind, headers={**headers, "content-encoding": "gzip"})
    return Response(found.body, media_type=found.kind, headers=headers)


@needs(Role.VIEWER)
async def stream(socket: WebSocket) -> None:
    """Frames of all sources, or of those that ``source`` names."""
    service = service_of(socket)
    asked = socket.query_params.getlist("source")
    names = service.monitor.names
    if any(name not in names for name in asked):
        await socket.close(1008, "unknown source")
        return
    offered = socket.scope.get("subprotocols", [])
    await socket.app.state.hub.serve(
        socket, tuple(dict.fromkeys(asked)) or names, subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None
    )


async def heavily(request: Request, work: Callable[[], Any]) -> Any:
    """Run what costs a measurement in a thread: a few at once, and not too many from one client.

    Raises HTTPException 429, 503.
    """
    state = request.app.state
    client = request.client.host if request.client else ""
    if state.heavy_buckets.wait_seconds(client):
        raise HTTPException(429, "too many measurements asked for from this address; wait a moment", {"retry-after": "1"})
    try:
        await asyncio.wait_for(state.heavy.acquire(), HEAVY_WAIT_SECONDS)
    except TimeoutError:
        raise HTTPException(503, "busy measuring for others; ask again in a moment", {"retry-after": "2"}) from None
    try:
        return await asyncio.to_thread(work)
    finally:
        state.heavy.release()


def time_ns(text: str | None) -> int | None:
    """A time in nanoseconds, None where none is given.

    Raises TimeError.
    """
    # an unescaped + of an offset arrives as a blank
    return None if text is None else parse_time_ns(text.replace(" ", "+") if text.count(" ") == 1 and "T" in text else text)
