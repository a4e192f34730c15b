"""What the venue adapters share: requests as data, rows and numbers out of replies, and one Snapshot at the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tailwag.errors import InputError, VenueError
from tailwag.kernels.arrays import FloatArray
from tailwag.market.book import OrderBook
from tailwag.market.chain import Chain
from tailwag.market.clock import epoch_ns
from tailwag.market.snapshot import Futures, Snapshot, Source
from tailwag.market.validate import chain_doubts, validated
from tailwag.sources.deribit_records import as_number
from tailwag.sources.listing import OPTION, kind_of
from tailwag.sources.spot import spot_of

Row = dict[str, Any]
Payloads = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One public request: the exchange library's own method and its parameters, and what a person calls its reply.

    A reply that is not ``needed`` may be missing: the snapshot is made without it and says so.
    """

    key: str
    method: str
    what: str
    parameters: dict[str, Any] = field(default_factory=dict)
    needed: bool = False


Plan = Generator[Request, Any, None]
"""The requests of one venue in order; each yield gets the reply sent back, None where it failed."""


@dataclass(frozen=True, slots=True)
class Venue:
    """How one venue is asked and read: its plan of requests, its adapter, and its clock."""

    name: str
    title: str
    plan: Callable[[str], Plan]
    snapshot: Callable[..., Snapshot]
    time_request: Request
    time_ns: Callable[[Any], int]


def rows_of(payload: Any, *path: str, what: str) -> list[Row]:
    """The list of objects under ``path``; an absent reply is an empty list.

    Raises VenueError where the reply is there and has another shape.
    """
    part = payload
    for key in path:
        part = part.get(key) if isinstance(part, dict) else None
    if payload is None:
        return []
    if not isinstance(part, list) or not all(isinstance(row, dict) for row in part):
        where = " / ".join(path) or "the reply"
        raise VenueError(
            f"{what}: expected a list of objects under {where}, got {_shape(part)}; try again, or save the reply and report it"
        )
    return part


def rows_by(rows: Sequence[Row], key: str) -> dict[str, Row]:
    """Rows by their name under ``key``, the first of each; rows without a name are left out here and kept by their own list."""
    found: dict[str, Row] = {}
    for row in rows:
        if isinstance(row.get(key), str):
            found.setdefault(row[key], row)
    return found


def column(rows: Sequence[Row], key: str) -> FloatArray:
    """One number of every row, (n,); NaN for null, empty text and what is no number."""
    return np.array([as_number(row.get(key)) for row in rows], dtype=np.float64)


def above_zero(values: FloatArray) -> FloatArray:
    """Prices, where venues write 0 (or -1) for none."""
    with np.errstate(invalid="ignore"):
        return np.where(values > 0.0, values, np.nan)


def time_of(value: Any) -> int:
    """Nanoseconds of a count of milliseconds, number or text; 0 where it is no time."""
    return int(epoch_ns([as_number(value)])[0])


def option_names(names: Sequence[Any], *, currency: str, title: str) -> list[str]:
    """The names that are options of ``currency`` or nothing known (those are kept and masked), each once, in order.

    Raises InputError's child EmptyChainError where none is an option of the currency.
    """
    from tailwag.errors import EmptyChainError
    from tailwag.sources.listing import OTHER

    kinds = {name: kind_of(name, currency) for name in names if isinstance(name, str)}
    kept = [name for name, kind in kinds.items() if kind in (OPTION, OTHER)]
    if OPTION not in kinds.values():
        raise EmptyChainError(f"{title} lists no {currency[:12]!a} options now; choose another currency or venue")
    return kept


def book_of(
    reply: Any,
    *,
    venue: str,
    instrument: str,
    as_of_ns: int,
    coin_per_unit: float = 1.0,
    sides: tuple[str, str] = ("bids", "asks"),
) -> OrderBook:
    """The order book in a reply of [price, amount, ...] text levels; amounts times ``coin_per_unit`` are coin.

    Venues send as many levels as were asked for, so a book is never taken as complete.

    Raises VenueError for levels that are no numbers, InputError where the book contradicts itself.
    """
    levels = []
    for side in sides:
        given = reply.get(side) if isinstance(reply, dict) else None
        if not isinstance(given, list) or not all(isinstance(level, list) and len(level) >= 2 for level in given):
            raise VenueError(f"order book of {instrument}: expected lists of [price, amount], got {_shape(given)}")
        numbers = np.array([[as_number(level[0]), as_number(level[1])] for level in given], dtype=np.float64).reshape(-1, 2)
        if not np.isfinite(numbers).all():
            raise VenueError(f"order book of {instrument}: a price or amount is no number")
        levels.append(numbers * np.array([1.0, coin_per_unit]))
    return OrderBook.from_levels(venue=venue, instrument=instrument, kind="perp", as_of_ns=as_of_ns, bids=levels[0], asks=levels[1])


def book_or_doubt(make: Callable[[], OrderBook]) -> tuple[tuple[OrderBook, ...], tuple[str, ...]]:
    """A book, or the sentence that says why there is none: a damaged book must not cost the whole snapshot."""
    try:
        return (make(),), ()
    except (InputError, VenueError) as trouble:
        return (), (f"the order book was left out: {trouble}",)


def snapshot_of(
    chain: Chain,
    *,
    futures: Futures,
    source: Source,
    index_usd: float = math.nan,
    books: tuple[OrderBook, ...] = (),
    doubts: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> Snapshot:
    """The validated chain with everything around it, spot from the venue's index, and one sentence for every doubt."""
    checked = validated(chain)
    spot_usd, spot_doubts = spot_of(checked, stated_usd=index_usd, name=source.name)
    return Snapshot(
        currency=chain.currency,
        as_of_ns=chain.as_of_ns,
        spot_usd=spot_usd,
        chain=checked,
        futures=futures,
        source=source,
        books=books,
        degraded=(*doubts, *spot_doubts, *chain_doubts(checked)),
        notes=notes,
    )


def _shape(value: Any) -> str:
    if isinstance(value, str):
        return f"text ({value[:40]!a})"
    return "nothing" if value is None else f"a list of {len(value)}" if isinstance(value, list) else f"a bare {type(value).__name__}"
