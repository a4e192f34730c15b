"""The API: what the monitor knows, over HTTP and WebSocket; each route declares who may use it, each error is one sentence of JSON."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from tailwag.errors import EmptyChainError, InputError, MissingPackageError, TailwagError
from tailwag.service.answers import error_body
from tailwag.service.gate import Gate
from tailwag.service.limits import Buckets, Limits
from tailwag.service.pages import page
from tailwag.service.stream import Hub
from tailwag.service.supervisor import give_signs, watchdog_seconds

if TYPE_CHECKING:
    from tailwag.service.archive import Archive
    from tailwag.service.auth import TokenFile
    from tailwag.service.metrics import Metrics
    from tailwag.service.monitor import Log, Monitor
    from tailwag.service.publish import Board
    from tailwag.service.series import Series
    from tailwag.service.settings import ServeSettings


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that the routes need, put together by whoever starts the service."""

    settings: ServeSettings
    monitor: Monitor
    board: Board
    archive: Archive
    metrics: Metrics
    log: Log
    series: Series | None = None
    tokens: TokenFile | None = None
    limits: Limits = field(default_factory=Limits)
    alerts: Callable[[], list[dict[str, Any]]] | None = None
    """The alerts raised so far, oldest first; the board's own where nobody else keeps them."""
    monotonic: Callable[[], float] = time.monotonic


def create_app(service: Service) -> FastAPI:
    """The ASGI application of one service."""
    from tailwag.service.routes import add_routes

    hub = Hub(service.board, limits=service.limits, metrics=service.metrics, monotonic=service.monotonic)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        hub.open(asyncio.get_running_loop())
        await asyncio.to_thread(page)  # read and packed before the first reader comes
        patience = watchdog_seconds()
        signs = None if patience is None else asyncio.ensure_future(give_signs(patience / 3.0))
        try:
            yield
        finally:
            hub.close()
            if signs is not None:
                signs.cancel()

    from tailwag import __version__

    app = FastAPI(
        title="tailwag",
        version=__version__,
        summary="The hedging feedback loop of crypto options, measured live.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.service, app.state.hub = service, hub
    app.state.heavy = asyncio.Semaphore(service.limits.heavy_at_once)
    app.state.heavy_buckets = Buckets(
        rate_per_second=service.limits.heavy_per_second, burst=service.limits.heavy_burst, monotonic=service.monotonic
    )
    add_routes(app)
    _add_errors(app, service)
    app.add_middleware(
        Gate,
        settings=service.settings,
        tokens=service.tokens,
        limits=service.limits,
        metrics=service.metrics,
        log=service.log,
        find=lambda scope: endpoint_of(app, scope),
        monotonic=service.monotonic,
    )
    return app


def endpoint_of(app: FastAPI, scope: Mapping[str, Any]) -> Any:
    """The function that a request would reach, None where there is none."""
    for route in app.router.routes:
        match, _ = route.matches(dict(scope))
        if match is not Match.NONE:
            return getattr(route, "endpoint", None) or route
    return None


def methods_of(app: FastAPI, scope: Mapping[str, Any]) -> set[str]:
    """Every method that the address of a request takes."""
    found: set[str] = set()
    for route in app.router.routes:
        if route.matches(dict(scope))[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return found


def _add_errors(app: FastAPI, service: Service) -> None:
    def answer(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
        return Response(error_body(sentence), status, headers=dict(headers or {}), media_type="application/json")

    async def ours(_request: Request, error: Exception) -> Response:
        sentence = str(error).replace(str(service.archive.folder), "the store")
        if isinstance(error, EmptyChainError):
            return answer(404, sentence)
        if isinstance(error, InputError) and not isinstance(error, MissingPackageError):
            return answer(422, sentence)
        return answer(503, sentence)

    async def malformed(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = ".".join(str(part) for part in first.get("loc", ()))[:80]
        return answer(422, f"{place}: {str(first.get('msg', 'cannot be used'))[:200]}; see /openapi.json")

    async def known(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            methods = ", ".join(sorted(methods_of(app, request.scope)))
            return answer(405, f"method not allowed; use {methods} here", {"allow": methods})
        return answer(error.status_code, f"{error.detail}; see /openapi.json", error.headers)

    app.add_exception_handler(TailwagError, ours)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, known)
