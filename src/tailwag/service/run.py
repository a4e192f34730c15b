"""Starting and stopping: sources, recorder, monitor and web server put together into one process."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from tailwag.errors import InputError
from tailwag.experiments.options import MeasureOptions
from tailwag.service import supervisor
from tailwag.service.alerts import AlertDesk, AlertObserver, Courier, default_settings, read_settings
from tailwag.service.api import Service, create_app
from tailwag.service.archive import Archive
from tailwag.service.auth import TokenFile
from tailwag.service.compacting import Compacting
from tailwag.service.filling import Filler
from tailwag.service.inventory import FlowKeeper, own_rule
from tailwag.service.limits import Limits
from tailwag.service.log import make_log
from tailwag.service.metrics import Metrics
from tailwag.service.monitor import Monitor, Observer, SourcePlan, World
from tailwag.service.protocol import BoundedHttp, BoundedWebSocket
from tailwag.service.publish import Board
from tailwag.service.series import Series, assumptions_digest
from tailwag.service.settings import ServeSettings
from tailwag.sources.feeds import DEMO_SECONDS, LIVE_SECONDS, STREAM_SECONDS, STREAMS, VENUES, Feed, Surroundings, open_feed
from tailwag.sources.merged_feed import TURN_SECONDS
from tailwag.sources.store.history import History
from tailwag.sources.store.inventory import StoreFlow
from tailwag.sources.store.recorder import Recorder
from tailwag.sources.trade_cursor import recorded_until

MOST_ALERTS = 500
BACKLOG = 512
Ready = Callable[[str, Path], None]


@dataclass(frozen=True, slots=True)
class ServePlan:
    """What to serve."""

    settings: ServeSettings
    store: Path
    sources: tuple[str, ...]
    every_seconds: float | None
    currency: str
    options: MeasureOptions
    alert_settings: str | None = None
    """File of the alert settings; every rule at its defaults, told on the page only, where none is given."""
    limits: Limits = field(default_factory=Limits)
    compact: bool = False
    """Whether to compact each segment of the store once it is closed."""
    flow: StoreFlow | None = None
    """Signed inventory of the very store that is recorded; the rules in ``options`` may read it."""


def serve(plan: ServePlan, *, ready: Ready) -> None:
    """Serve until a signal: what is under way is finished, the store is given back.

    Raises InputError for a source, a token file or an address that cannot be used, StoreBusyError where another process records there.
    """
    tokens = None if plan.settings.token_file is None else TokenFile(plan.settings.token_file)
    log = make_log(secrets=lambda: () if tokens is None else tokens.secrets)
    with ExitStack() as stack:
        stack.enter_context(servers_words(log))
        listener = stack.enter_context(_bound(plan.settings))
        stopping = threading.Event()
        world = World(time.time_ns, time.monotonic, stopping.wait)
        plans = source_plans(plan, world)
        recorder = stack.enter_context(Recorder(plan.store, say=lambda text: log.info("store", says=text)))
        plan = _with_flow(plan, stack, log)
        series = Series(plan.store / "series" / assumptions_digest(plan.options))
        stack.callback(series.close)
        desk, observer = _alerts(plan, stack, world=world, log=log)
        service = replace(
            assembled(plan, plans, recorder, series, world=world, log=log, observers=(observer,)),
            tokens=tokens,
            alerts=lambda: desk.history(most=MOST_ALERTS)[::-1],
        )
        filler = _filler(plan, service, series, world, recorder)
        if plan.compact:
            compacting = Compacting(recorder, world=world, log=log)
            stack.callback(compacting.finish)
            stack.callback(stopping.set)
            compacting.start()
        server = _server(plan, create_app(service))
        service.monitor.start()
        filler.start()
        stack.callback(service.monitor.stop)
        stack.callback(stopping.set)
        address = _address(plan.settings, listener)
        log.info("serving", address=address, sources=list(service.monitor.names), last_seq=recorder.last_seq)
        ready(address, plan.store)
        stack.callback(supervisor.tell, supervisor.STOPPING)
        supervisor.tell(supervisor.READY)
        _run(server, listener)


@contextmanager
def servers_words(log: Any) -> Iterator[None]:
    """What the web server has to say goes into the structured log: one line, no traceback."""

    class Said(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
            log.warning("web server", says=record.getMessage()[:200].strip(), error=kind)

    logger, handler = logging.getLogger("uvicorn.error"), Said(logging.WARNING)
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated


def assembled(
    plan: ServePlan,
    plans: list[SourcePlan],
    recorder: Recorder,
    series: Series,
    *,
    world: World,
    log: Any,
    observers: tuple[Observer, ...] = (),
) -> Service:
    """The parts of a service around an open recorder, not yet running."""
    board, metrics = Board(clock=world.clock), Metrics()
    monitor = Monitor(
        plans,
        keeper=recorder if plan.flow is None else FlowKeeper(recorder, plan.flow),
        options=plan.options,
        board=board,
        world=world,
        log=log,
        metrics=metrics,
        rows=series,
        observers=observers,
    )
    return Service(
        settings=plan.settings,
        monitor=monitor,
        board=board,
        archive=Archive(plan.store, plan.options, names=monitor.names, series=series),
        series=series,
        metrics=metrics,
        log=log,
        limits=plan.limits,
    )


def _with_flow(plan: ServePlan, stack: ExitStack, log: Any) -> ServePlan:
    """The plan with the store's signed inventory, which is put down at the end; where no rule was chosen it is one of them."""
    flow = plan.flow or StoreFlow(plan.store, say=lambda text: log.warning("inventory", says=text))
    stack.callback(flow.close)
    return replace(plan, flow=flow, options=replace(plan.options, recorded_flow=own_rule(flow)))


def _alerts(plan: ServePlan, stack: ExitStack, *, world: World, log: Any) -> tuple[AlertDesk, AlertObserver]:
    """The desk that decides on alerts beside the store, and the courier that delivers them."""
    settings = default_settings() if plan.alert_settings is None else read_settings(plan.alert_settings)
    desk = stack.enter_context(AlertDesk(plan.store / "alerts", settings, say=lambda text: log.warning("alerts", says=text)))
    courier = Courier(desk, clock=world.clock, say=lambda text: log.warning("alerts", says=text))
    stack.enter_context(courier)
    return desk, AlertObserver(desk, courier, clock=world.clock)


def _filler(plan: ServePlan, service: Service, series: Series, world: World, recorder: Recorder) -> Filler:
    """Who measures what an earlier run recorded and did not measure, and what this one passes over."""
    monitor = service.monitor

    def again() -> History:
        return service.archive.index(recorder.last_seq)

    return Filler(again(), series, plan.options, names=monitor.names, world=world, log=service.log, again=again, idle=monitor.idle)


def source_plans(plan: ServePlan, world: World) -> list[SourcePlan]:
    """How each source is opened, under a name that shows no folder of this machine.

    Raises InputError for a word that names no source, and for two of one name.
    """

    def sleep(seconds: float) -> None:
        world.wait(seconds)

    around = Surroundings(world.clock, sleep, lambda _text: None, plan.currency, recorded_until(plan.store))
    found: dict[str, SourcePlan] = {}
    for word in plan.sources:
        made = _source_plan(word, around, plan.every_seconds)
        if made.name in found:
            raise InputError(f"two sources are called {made.name[:60]!a}; rename one of the folders or files")
        found[made.name] = made
    return list(found.values())


def _source_plan(word: str, around: Surroundings, every_seconds: float | None) -> SourcePlan:
    first: Feed | None = open_feed(word, around, again=True)  # a word that names nothing is refused now
    kind, colon, rest = word.partition(":")
    is_live = bool(colon) and kind in VENUES
    is_replay = bool(colon) and kind == "replay"
    is_stream = bool(colon) and kind in STREAMS
    is_joined = "+" in word and not Path(word).exists()
    if kind == "binance-ws" and not is_joined:
        raise InputError(f"binance-ws has no options; join it to a chain: deribit:{rest or 'BTC'}+{word}")
    name = f"replay:{Path(rest).name}" if is_replay else word if is_live or is_stream or word == "demo" else Path(word).name
    every = every_seconds or (
        LIVE_SECONDS if is_live else STREAM_SECONDS if is_stream else DEMO_SECONDS if is_replay or word == "demo" else LIVE_SECONDS
    )

    def reopened() -> Feed:
        nonlocal first
        feed, first = first, None
        return feed or open_feed(word, around, again=True)

    expected = every
    if is_joined:
        words = {part.partition(":")[0] for part in word.split("+")}
        name, is_live = word, bool(words & set(VENUES))
        every = every_seconds or TURN_SECONDS
        expected = max(every, STREAM_SECONDS if words & set(STREAMS) else LIVE_SECONDS)
    return SourcePlan(name, reopened, every_seconds=every, expected_seconds=expected, live=is_live, ends=is_replay)


def _bound(settings: ServeSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)  # who comes from now on waits for the server, and is not refused
    except OSError as trouble:
        listener.close()
        raise InputError(
            f"cannot listen on {settings.host} port {settings.port} ({trouble.strerror}); choose another --port, or stop what listens there"
        ) from None
    return listener


def _address(settings: ServeSettings, listener: socket.socket) -> str:
    scheme = "https" if settings.certificate else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{listener.getsockname()[1]}/"


def _server(plan: ServePlan, app: FastAPI) -> uvicorn.Server:
    return uvicorn.Server(server_config(app, settings=plan.settings, limits=plan.limits))


def server_config(app: FastAPI, *, settings: ServeSettings, limits: Limits) -> uvicorn.Config:
    """The web server's settings: no banner, no access log, short patience, bounded everything."""
    return uvicorn.Config(
        app,
        http=BoundedHttp,
        ws=BoundedWebSocket,
        ws_max_size=limits.message_bytes * 4,
        ws_max_queue=8,
        ws_ping_interval=10.0,
        ws_ping_timeout=10.0,
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        lifespan="on",
        limit_concurrency=limits.connections,
        backlog=BACKLOG,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=3,
        h11_max_incomplete_event_size=limits.header_bytes + limits.url_bytes,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
    )


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    """Run in this thread; a signal ends it in order, and is not raised again."""
    if threading.current_thread() is not threading.main_thread():
        server.run(sockets=[listener])
        return

    def end(_number: int, _frame: object) -> None:
        server.should_exit = True

    # the server raises what it caught once more when it has ended: this handler takes it
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.run(sockets=[listener])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
