"""``binance-ws:BTC``: Binance's spot and perp books, marks, open interest and liquidations as one snapshot without options, live."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tailwag.errors import VenueError
from tailwag.market.chain import Chain
from tailwag.market.liquidations import Liquidations
from tailwag.market.snapshot import Snapshot, Source
from tailwag.sources.contract_sizes import joined_futures
from tailwag.sources.streams.binance_markets import BinanceAddresses, connections
from tailwag.sources.streams.binance_rest import Fetch, RestDesk, fetch_json_bytes, serve_one
from tailwag.sources.streams.binance_session import BinanceSession
from tailwag.sources.streams.runner import StreamRunner

REST_PAUSE_SECONDS = 0.1
PATIENCE_SECONDS = 20.0
"""How long the first snapshot may take before its absence is an error."""
NOTES = (
    "Binance: USDT is counted as USD",
    "Binance liquidations are a lower bound: the venue shows at most one a second and instrument",
)
NO_OPTIONS = "binance-ws has no options, so it cannot be measured alone; join it to a chain: deribit:{currency}+binance-ws:{currency}"


class BinanceLive:
    """Four sockets and one REST thread around their sessions, from :meth:`start` to :meth:`stop`."""

    def __init__(
        self,
        currency: str,
        *,
        addresses: BinanceAddresses = BinanceAddresses(),
        fetch: Fetch = fetch_json_bytes,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.currency = currency
        self._fetch, self._monotonic, self._clock = fetch, monotonic, clock
        self._sessions = [BinanceSession(connection) for connection in connections(currency, clock(), addresses)]
        self._runners = [
            StreamRunner(session, address=session.connection.address, monotonic=monotonic, clock=clock) for session in self._sessions
        ]
        self._stopping = threading.Event()
        self._asking = threading.Thread(target=self._ask, name="tailwag binance rest", daemon=True)

    def start(self) -> None:
        """Connect and go on until :meth:`stop`."""
        self._asking.start()
        for runner in self._runners:
            runner.start()

    def stop(self) -> None:
        """End every thread."""
        self._stopping.set()
        enders = [threading.Thread(target=runner.stop) for runner in self._runners]
        for ender in enders:
            ender.start()
        for ender in enders:
            ender.join()

    def snapshot(self) -> Snapshot | None:
        """What is known now; None where nothing is live."""
        parts = [runner.snapshot() for runner in self._runners]
        return joined([part for part in parts if part is not None], currency=self.currency, doubts=self.doubts())

    def doubts(self) -> tuple[str, ...]:
        """Why part of it, or all, is not live."""
        found: list[str] = []
        for session, runner in zip(self._sessions, self._runners, strict=True):
            doubts = runner.doubts()
            own = [doubt for doubt in doubts if not doubt.startswith(session.connection.name)]
            found += [f"{session.connection.name}: {doubt}" for doubt in own] or doubts
        return tuple(found)

    def counters(self) -> Mapping[str, Mapping[str, int]]:
        """How often each kind of trouble was met, by connection."""
        return {session.connection.name: runner.counters() for session, runner in zip(self._sessions, self._runners, strict=True)}

    def _ask(self) -> None:
        desk, boxes = RestDesk(), [session.mailbox for session in self._sessions]
        while not self._stopping.is_set():
            if not serve_one(boxes, desk, self._fetch, self._monotonic):
                self._stopping.wait(REST_PAUSE_SECONDS)


def joined(parts: Sequence[Snapshot], *, currency: str, doubts: tuple[str, ...]) -> Snapshot | None:
    """What the sockets show as one snapshot without options; None where none of them shows anything.

    Spot is the median of what the parts say: the indices of both futures markets, and the middle of each book beside them.
    """
    if not parts:
        return None
    books = tuple(book for part in parts for book in part.books)
    tables = [part.liquidations for part in parts if part.liquidations is not None]
    as_of_ns = max(part.as_of_ns for part in parts)
    return Snapshot(
        currency=currency,
        as_of_ns=as_of_ns,
        spot_usd=float(np.median([part.spot_usd for part in parts if math.isfinite(part.spot_usd)])),
        chain=Chain.from_columns(currency=currency, as_of_ns=as_of_ns, instrument=[]),
        futures=joined_futures([part.futures for part in parts]),
        source=Source("binance-ws", f"binance-ws:{currency}"),
        books=books,
        liquidations=Liquidations.joined(tables) if tables else None,
        degraded=doubts,
        notes=NOTES,
    )


def live_snapshots(
    currency: str, *, patience_seconds: float = PATIENCE_SECONDS, sleep: Callable[[float], None] = time.sleep, **world: Any
) -> Iterator[Snapshot]:
    """A snapshot of Binance's books and perps each time one is asked for; connects at the first, and goes on until closed.

    Raises VenueError where nothing is live (the first one waits ``patience_seconds`` for it): the next turn asks again.
    """
    live = BinanceLive(currency, **world)

    class Live:
        """An iterator that survives its own errors, which a generator would not."""

        def __init__(self) -> None:
            self.started = False

        def __iter__(self) -> Iterator[Snapshot]:
            return self

        def __next__(self) -> Snapshot:
            found = live.snapshot() if self.started else self._first()
            if found is None:
                raise VenueError(f"Binance: nothing is live ({'; '.join(live.doubts()) or 'no reason known'}); waiting for it")
            return found

        def _first(self) -> Snapshot | None:
            live.start()
            self.started = True
            waited = 0.0
            while waited < patience_seconds and live.snapshot() is None:
                sleep(0.1)
                waited += 0.1
            return live.snapshot()

        def close(self) -> None:
            live.stop()

        def __del__(self) -> None:
            live.stop()

    return Live()
