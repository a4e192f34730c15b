"""``binance-ws:BTC``: Binance's spot and perp books, marks, open interest and liquidations as one snapshot without options, live."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from tailwag.errors import InputError
from tailwag.market.chain import Chain
from tailwag.market.instrument import CURRENCIES
from tailwag.market.liquidations import Liquidations
from tailwag.market.snapshot import Snapshot, Source
from tailwag.sources.contract_sizes import joined_futures
from tailwag.sources.streams.binance_markets import BinanceAddresses, connections
from tailwag.sources.streams.binance_rest import Fetch, RestDesk, fetch_json_bytes, serve_one
from tailwag.sources.streams.binance_session import BinanceSession
from tailwag.sources.streams.runner import StreamRunner, checked_address

SOCKET_VARIABLE, REST_VARIABLE = "TAILWAG_BINANCE_WS", "TAILWAG_BINANCE_REST"
REST_PAUSE_SECONDS = 0.1
FIRST_WAIT_SECONDS = 20.0
"""The first turn waits so long for all of it to be there."""
_STEP_SECONDS = 0.25
NOTES = (
    "Binance: USDT is counted as USD",
    "Binance liquidations are a lower bound: the venue shows at most one a second and instrument",
)


class BinanceLive:
    """Four sockets and one REST thread around their sessions, from :meth:`start` to :meth:`stop`."""

    def __init__(
        self,
        currency: str,
        *,
        addresses: BinanceAddresses,
        fetch: Fetch = fetch_json_bytes,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.currency = currency
        self._fetch, self._monotonic, self._clock = fetch, monotonic, clock
        self._sessions = [BinanceSession(connection) for connection in connections(currency, clock(), addresses=addresses)]
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

    def stop(self, *, within_seconds: float = 5.0) -> None:
        """End every thread."""
        self._stopping.set()
        for runner in self._runners:
            runner.stop(within_seconds=0.0)
        for runner in self._runners:
            runner.stop(within_seconds=within_seconds)

    def snapshot(self) -> Snapshot | None:
        """What is known now; None where nothing is live."""
        parts = [runner.snapshot() for runner in self._runners]
        return joined([part for part in parts if part is not None], currency=self.currency, doubts=self.doubts())

    def kept(self) -> None:
        """The last snapshot is on disk: its liquidations are not given again."""
        for runner in self._runners:
            runner.kept()

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


class BinanceFeed:
    """An iterator of what Binance's sockets hold at each turn; None while nothing of it is live, never an end.

    The threads start with the first turn and end with :meth:`close`, or when nobody holds the feed any more.

    Raises InputError for a currency that is no name, or an address that is neither encrypted nor on this machine.
    """

    def __init__(
        self,
        currency: str,
        *,
        clock: Callable[[], int],
        sleep: Callable[[float], None],
        say: Callable[[str], None] = lambda _text: None,
        addresses: BinanceAddresses | None = None,
        fetch: Fetch = fetch_json_bytes,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if currency not in CURRENCIES:
            raise InputError(f"expected a currency such as BTC or ETH, got {currency[:20]!a}; write it in capitals")
        where = addresses or addresses_from(os.environ)
        self._live = BinanceLive(currency, addresses=where, fetch=fetch, monotonic=monotonic, clock=clock)
        self._sleep, self._say, self._said, self._started = sleep, say, "", False

    def __iter__(self) -> Iterator[Snapshot | None]:
        return self

    def __next__(self) -> Snapshot | None:
        snapshot = self._live.snapshot() if self._started else self._first()
        self._tell("" if snapshot is not None else "; ".join(self.why()))
        return snapshot

    def _first(self) -> Snapshot | None:
        """Wait until everything is there, or for so long and take what there is."""
        self._started = True
        self._live.start()
        for _ in range(int(FIRST_WAIT_SECONDS / _STEP_SECONDS)):
            if not self._live.doubts():
                break
            self._sleep(_STEP_SECONDS)
        return self._live.snapshot()

    def _tell(self, trouble: str) -> None:
        if bool(trouble) != bool(self._said):
            self._say(f"binance-ws:{self._live.currency}: {trouble or 'live again'}")
        self._said = trouble

    def why(self) -> tuple[str, ...]:
        """Why nothing, or not all, can be given."""
        return self._live.doubts()

    def kept(self) -> None:
        """The last snapshot is on disk: its liquidations are not given again."""
        self._live.kept()

    def counters(self) -> Mapping[str, Mapping[str, int]]:
        """What each connection has met since the start."""
        return self._live.counters()

    def close(self) -> None:
        """End the connections and their threads."""
        self._live.stop()

    def __del__(self) -> None:
        if getattr(self, "_started", False):
            self._live.stop(within_seconds=0.0)


def addresses_from(environment: Mapping[str, str]) -> BinanceAddresses:
    """The venue's own addresses, or another place's where ``TAILWAG_BINANCE_WS`` and ``TAILWAG_BINANCE_REST`` name one.

    Raises InputError where only one of the two is given, or where one is neither encrypted nor on this machine.
    """
    sockets, rest = environment.get(SOCKET_VARIABLE, ""), environment.get(REST_VARIABLE, "")
    if not (sockets or rest):
        return BinanceAddresses()
    if not (sockets and rest):
        raise InputError(f"expected both {SOCKET_VARIABLE} and {REST_VARIABLE}, or neither, got one; give the other too")
    checked_address(sockets)
    checked_address(rest.replace("http", "ws", 1))
    return BinanceAddresses.under(sockets.rstrip("/"), rest.rstrip("/"))
