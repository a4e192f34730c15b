"""Filling a store with trades that nobody recorded: from the venue, only for the spans that are missing, or from files of trades."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tailwag.errors import InputError, VenueError
from tailwag.market.clock import NS_PER_MILLISECOND, format_time
from tailwag.market.instrument import CURRENCIES
from tailwag.market.trades import Covered, Trades
from tailwag.sources.listing import OPTION, currency_of_option, kind_of
from tailwag.sources.store.trade_records import TradeBatch, light_records
from tailwag.sources.trade_cursor import VENUE, Lane
from tailwag.sources.venue_client import ask, no_redirects

if TYPE_CHECKING:
    from tailwag.sources.store.history import History
    from tailwag.sources.store.recorder import Recorder

CHUNK_MS = 6 * 3_600_000
"""One record for each six hours: what is done is not asked for again."""
FILE_BATCH_TRADES = 50_000
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class World:
    """What a backfill needs of the outside: the exchange library's client, the time (UTC ns), how to wait, and whom to tell."""

    client: Any
    clock: Callable[[], int]
    sleep: Callable[[float], None]
    say: Say


@dataclass(frozen=True, slots=True)
class Filled:
    """What a backfill did."""

    trades: int
    batches: int
    unclaimed: tuple[tuple[int, int], ...] = ()
    """Spans (UTC ns) for which the venue had not one trade, so that nothing is claimed for them."""


def missing_spans(known: Iterable[tuple[int, int]], from_ns: int, to_ns: int) -> list[tuple[int, int]]:
    """What of [from, to) lies in none of the known spans, in order.

    >>> missing_spans([(2, 4), (3, 5), (9, 12)], 0, 10)
    [(0, 2), (5, 9)]
    """
    missing, at = [], from_ns
    for start, end in sorted(known):
        if at < min(start, to_ns):
            missing.append((at, min(start, to_ns)))
        at = max(at, end)
    return [*missing, (at, to_ns)] if at < to_ns else missing


def recorded_spans(history: History, currency: str, venue: str = VENUE) -> list[tuple[int, int]]:
    """Spans of which a store says that it has every trade of a venue and currency."""
    records = (light for _, light in light_records(history, (*history.entries, *history.batches)) if light is not None)
    tables = [light.trades for light in records if light.currency == currency and light.trades is not None]
    return [(span.from_ns, span.to_ns) for table in tables for span in table.covered if span.venue == venue]


def backfill_from_venue(
    recorder: Recorder,
    history: History,
    currency: str,
    *,
    from_ns: int,
    to_ns: int,
    world: World,
    progress: Callable[[float], None] = lambda share: None,
) -> Filled:
    """Every option trade of Deribit in [from, to) that the store does not have yet; ``progress`` is told the share that is done.

    What is recorded stays recorded when it is stopped, and another run asks only for the rest.

    Raises InputError for an unknown currency or an empty span, VenueError where the venue does not answer.
    """
    if currency not in CURRENCIES:
        raise InputError(f"expected a currency such as BTC or ETH, got {currency[:20]!a}; write it in capitals")
    to_ns = min(to_ns, world.clock() // NS_PER_MILLISECOND * NS_PER_MILLISECOND)
    if from_ns >= to_ns:
        raise InputError(f"--from ({format_time(from_ns)}) must lie before --to and before now ({format_time(to_ns)}); give an earlier one")
    chunks = [chunk for span in missing_spans(recorded_spans(history, currency), from_ns, to_ns) for chunk in _chunks(*span)]
    total = sum(end - start for start, end in chunks)
    trades, batches, done, unclaimed = 0, 0, 0, []
    with no_redirects(world.client):
        for start_ns, end_ns in chunks:
            found = _chunk(currency, start_ns // NS_PER_MILLISECOND, -(-end_ns // NS_PER_MILLISECOND), world)
            if len(found):
                covered = found.covering((Covered(VENUE, start_ns, end_ns),))
                recorder.append_trades(TradeBatch(currency, covered, f"{VENUE}:{currency}"), received_ns=world.clock())
                trades, batches = trades + len(found), batches + 1
            else:
                unclaimed.append((start_ns, end_ns))
            done += end_ns - start_ns
            progress(done / total)
    return Filled(trades, batches, tuple(unclaimed))


def _chunks(from_ns: int, to_ns: int) -> list[tuple[int, int]]:
    """At whole multiples of the chunk's length, so that two runs cut alike."""
    step = CHUNK_MS * NS_PER_MILLISECOND
    cuts = [from_ns, *range((from_ns // step + 1) * step, to_ns, step), to_ns]
    return list(pairwise(cuts))


def _chunk(currency: str, from_ms: int, to_ms: int, world: World) -> Trades:
    """Every trade of a span, through as many pages as it takes."""
    from tailwag.sources.venue_deribit import OWN_COIN
    from tailwag.sources.venue_trades import deribit_trades

    rows: list[dict[str, Any]] = []
    for asked in (currency, "USDC") if currency in OWN_COIN else ("USDC",):
        lane = Lane(asked, "option", reached_ms=from_ms)
        while lane.reached_ms < to_ms:
            before_ms = lane.reached_ms
            _run(lane.requests(to_ms, rows, f"{asked} option trades from {format_time(before_ms * NS_PER_MILLISECOND)}"), world)
            if lane.reached_ms <= before_ms:
                raise VenueError(
                    f"Deribit: asked for {asked} option trades from {format_time(before_ms * NS_PER_MILLISECOND)}, got a reply without a "
                    "list of trades; what came before is recorded: run the same command again"
                )
    inside = [row for row in rows if from_ms <= row["timestamp"] < to_ms and kind_of(row["instrument_name"], currency) == OPTION]
    return deribit_trades({"result": {"trades": inside}}) if inside else Trades.from_columns(trade_id=[], instrument=[])


def _run(plan: Any, world: World) -> None:
    request = next(plan)
    while True:
        reply = ask(world.client, request, title="Deribit", say=world.say, sleep=world.sleep)
        try:
            request = plan.send(reply)
        except StopIteration:
            return


def backfill_from_file(recorder: Recorder, history: History, path: str, *, received_ns: int, span: tuple[int, int]) -> Filled:
    """The option trades of a file that the store does not have yet, in batches by currency; of a file no span is claimed to be whole.

    Raises FileFormatError, UnitError as :func:`~tailwag.sources.trades_files.load_trades` does, InputError where nothing is in the span.
    """
    from tailwag.sources.opening import read_file
    from tailwag.sources.trades_files import load_trades

    raw = read_file(path)
    loaded = load_trades(path)
    inside = loaded.select((loaded.time_ns >= span[0]) & (loaded.time_ns < span[1]))
    currencies = [currency_of_option(name) for name in inside.instrument.tolist()]
    if not any(currencies):
        raise InputError(f"{raw.name}: no option trade in this span of time; it has {loaded}")
    new = _not_yet_recorded(inside, history)
    trades, batches = 0, 0
    for currency in sorted({name for name in currencies if name}):
        places = [place for place in new if currencies[place] == currency]
        for start in range(0, len(places), FILE_BATCH_TRADES):
            part = inside.select(places[start : start + FILE_BATCH_TRADES])
            recorder.append_trades(TradeBatch(currency, part, raw.name, raw.sha256), received_ns=received_ns)
            trades, batches = trades + len(part), batches + 1
    return Filled(trades, batches)


def _not_yet_recorded(trades: Trades, history: History) -> list[int]:
    if not len(trades):
        return []
    known = history.trades(int(trades.time_ns.min()), int(trades.time_ns.max()))
    have = set(zip(known.venue.tolist(), known.trade_id.tolist(), strict=True))
    keys = zip(trades.venue.tolist(), trades.trade_id.tolist(), strict=True)
    return [place for place, key in enumerate(keys) if key not in have]
