"""Live option chains of Deribit, OKX, Bybit and Binance over REST, through ccxt's own rate limits and error classes."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tailwag.errors import FileFormatError, InputError, VenueError
from tailwag.market.instrument import CURRENCIES
from tailwag.market.snapshot import Snapshot, Source
from tailwag.sources.venue_binance import BINANCE
from tailwag.sources.venue_bybit import BYBIT
from tailwag.sources.venue_client import Say, ask, no_redirects, open_exchange
from tailwag.sources.venue_deribit import DERIBIT, deribit_plan
from tailwag.sources.venue_okx import OKX
from tailwag.sources.venue_replies import Payloads, Plan, Venue
from tailwag.units import NS_PER_SECOND

if TYPE_CHECKING:
    from tailwag.sources.trade_cursor import TradeCursor

VENUES: dict[str, Venue] = {venue.name: venue for venue in (DERIBIT, OKX, BYBIT, BINANCE)}
LARGEST_SKEW_SECONDS = 2.0
"""A local clock further from the venue's than this is a doubt about every age that is computed from it."""


def fetch(
    venue: str,
    currency: str = "BTC",
    *,
    exchange: Any = None,
    trades: bool = False,
    since: TradeCursor | None = None,
    clock: Callable[[], int] | None = None,
    progress: Say | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Snapshot:
    """The option chain that a venue shows now, with its perp, its perp's order book and its index.

    ``as_of`` is the venue's own time.  ``exchange`` is a ccxt client to use instead of a new one; ``trades`` adds the last signed option
    trades (Deribit), ``since`` all of them since its last turn, and liquidations; ``clock`` (UTC nanoseconds) measures how far the local clock is off; ``progress`` is told each request in words.
    What could not be had, and can be done without, is a sentence in ``degraded``.

    Raises InputError for an unknown venue or currency, EmptyChainError where the venue lists no such options, MissingPackageError
    without ccxt, VenueError where the venue does not answer or answers with something else.
    """
    chosen = _chosen(venue, currency)
    say = progress or _silent
    client = exchange if exchange is not None else open_exchange(chosen.name)
    plan = deribit_plan(currency, trades=trades, since=since) if chosen is DERIBIT else chosen.plan(currency)
    with no_redirects(client):
        skew = () if clock is None else _skew(client, chosen, clock=clock, say=say, sleep=sleep)
        payloads, missing = _gathered(client, chosen, plan, say=say, sleep=sleep)
    source = Source(kind=f"{chosen.name}-live", name=f"{chosen.name}:{currency}", sha256=_digest(payloads))
    snapshot = _read(chosen, payloads, currency=currency, source=source)
    if since is not None and chosen is DERIBIT:
        snapshot = since.attached(snapshot)
    return snapshot.with_parts(degraded=(*missing, *skew, *snapshot.degraded))


def _chosen(venue: str, currency: str) -> Venue:
    if venue not in VENUES:
        raise InputError(f"expected a venue ({', '.join(VENUES)}), got {venue[:20]!a}; choose one of these")
    if currency not in CURRENCIES:
        raise InputError(f"expected a currency such as BTC or ETH, got {currency[:20]!a}; write it in capitals")
    return VENUES[venue]


def _silent(_text: str) -> None:
    """Nobody asked to be told."""


def _gathered(client: Any, venue: Venue, plan: Plan, *, say: Say, sleep: Callable[[float], None]) -> tuple[Payloads, tuple[str, ...]]:
    """Every reply under its key, and a sentence for each one that failed and is not needed."""
    payloads: Payloads = {}
    missing: list[str] = []
    request = next(plan)
    while True:
        say(f"{venue.title}: {request.what}")
        reply = None
        try:
            reply = payloads[request.key] = ask(client, request, title=venue.title, say=say, sleep=sleep)
        except VenueError as trouble:
            if request.needed:
                raise
            missing.append(f"without {request.what}: {trouble}")
        try:
            request = plan.send(reply)
        except StopIteration:
            return payloads, tuple(missing)


def _read(venue: Venue, payloads: Payloads, *, currency: str, source: Source) -> Snapshot:
    try:
        return venue.snapshot(payloads, currency=currency, source=source)
    except FileFormatError as trouble:
        raise VenueError(f"{venue.title} answered with something other than it documents: {trouble}") from trouble


def _skew(client: Any, venue: Venue, *, clock: Callable[[], int], say: Say, sleep: Callable[[float], None]) -> tuple[str, ...]:
    """The sentence about a local clock that is off, measured against the middle of a round trip."""
    try:
        before_ns = clock()
        venue_ns = venue.time_ns(ask(client, venue.time_request, title=venue.title, say=say, sleep=sleep))
        after_ns = clock()
    except VenueError as trouble:
        return (f"the local clock could not be compared with {venue.title}'s: {trouble}",)
    ahead_seconds = ((before_ns + after_ns) / 2 - venue_ns) / NS_PER_SECOND
    if venue_ns and abs(ahead_seconds) <= LARGEST_SKEW_SECONDS + (after_ns - before_ns) / 2 / NS_PER_SECOND:
        return ()
    if not venue_ns:
        return (f"the local clock could not be compared with {venue.title}'s: its reply holds no time",)
    side = "ahead of" if ahead_seconds > 0 else "behind"
    return (f"the local clock is {abs(ahead_seconds):,.1f} s {side} {venue.title}'s; times here are the venue's",)


def _digest(payloads: Payloads) -> str:
    return hashlib.sha256(json.dumps(payloads, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()
