"""Deribit's stream as a feed of snapshots: the session, its thread, and whom to tell when nothing can be given."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping

from tailwag.errors import InputError
from tailwag.market.instrument import CURRENCIES
from tailwag.market.snapshot import Snapshot
from tailwag.sources.streams.backoff import Backoff
from tailwag.sources.streams.deribit_session import DERIBIT_ADDRESS, DeribitSession, DeribitTiming
from tailwag.sources.streams.runner import StreamRunner, WireLimits, checked_address

ADDRESS_VARIABLE = "TAILWAG_DERIBIT_WS"
FIRST_WAIT_SECONDS = 20.0
"""The first turn waits so long for the stream to be complete, so that one snapshot can be had of it."""
_STEP_SECONDS = 0.25


def _nowhere() -> int | None:
    """Nobody has recorded before."""
    return None


class DeribitFeed:
    """An iterator of what the stream holds at each turn; None while that is not live, never an end.

    The thread starts with the first turn and ends with :meth:`close`, or when nobody holds the feed any more.

    Raises InputError for a currency that is no name, or an address that is neither encrypted nor on this machine.
    """

    def __init__(
        self,
        currency: str,
        *,
        clock: Callable[[], int],
        sleep: Callable[[float], None],
        say: Callable[[str], None] = lambda _text: None,
        address: str | None = None,
        timing: DeribitTiming | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        backoff: Backoff | None = None,
        limits: WireLimits | None = None,
    ) -> None:
        if currency not in CURRENCIES:
            raise InputError(f"expected a currency such as BTC or ETH, got {currency[:20]!a}; write it in capitals")
        where = checked_address(address or os.environ.get(ADDRESS_VARIABLE) or DERIBIT_ADDRESS)
        self._currency, self._sleep, self._say, self._said = currency, sleep, say, ""
        self._session = DeribitSession(currency, timing=timing or DeribitTiming())
        self._recorded_until: Callable[[], int | None] = _nowhere
        self._runner = StreamRunner(
            self._session,
            address=where,
            clock=clock,
            monotonic=monotonic,
            backoff=backoff,
            limits=limits or WireLimits(),
            say=lambda text: say(f"deribit-ws:{currency}: {text}"),
        )
        self._started = False

    def resuming(self, recorded_until: Callable[[], int | None]) -> DeribitFeed:
        """This feed, its option trades going on from the time (UTC ns) that is asked for at its first turn; None: from a day ago."""
        self._recorded_until = recorded_until
        return self

    def __iter__(self) -> Iterator[Snapshot | None]:
        return self

    def __next__(self) -> Snapshot | None:
        snapshot = self._runner.snapshot() if self._started else self._first()
        self._tell("" if snapshot is not None else "; ".join(self.why()))
        return snapshot

    def _first(self) -> Snapshot | None:
        self._started = True
        self._session.resume(self._recorded_until())
        self._runner.start()
        for _ in range(int(FIRST_WAIT_SECONDS / _STEP_SECONDS)):
            snapshot = self._runner.snapshot()
            if snapshot is not None:
                return snapshot
            self._sleep(_STEP_SECONDS)
        return None

    def _tell(self, trouble: str) -> None:
        if bool(trouble) != bool(self._said):
            self._say(f"deribit-ws:{self._currency}: {trouble or 'live again'}")
        self._said = trouble

    def why(self) -> tuple[str, ...]:
        """Why nothing, or not all, can be given."""
        return self._runner.doubts()

    def kept(self) -> None:
        """The last snapshot is on disk: its trades are not given again."""
        self._runner.kept()

    def counters(self) -> Mapping[str, int]:
        """What the connection and the session have met since the start."""
        return self._runner.counters()

    def close(self) -> None:
        """End the connection and its thread."""
        self._runner.stop()

    def __del__(self) -> None:
        if getattr(self, "_started", False):
            self._runner.stop(within_seconds=0.0)
