"""The forward of each expiry on each venue, with the source of each named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray, TextArray, frozen
from tailwag.market.chain import Chain
from tailwag.market.clock import format_time, years_to_expiry
from tailwag.market.codes import RowCode
from tailwag.market.parity import MIN_PAIRS, parity_forward
from tailwag.market.snapshot import Futures

if TYPE_CHECKING:
    import polars

UNREADABLE = RowCode.NAME_INVALID | RowCode.UNKNOWN_CURRENCY | RowCode.TIME_INVALID | RowCode.STRIKE_INVALID | RowCode.RIGHT_INVALID
"""Rows of which not even the contract is known."""
SAME_FOR_ALL = 1e-5
"""A venue whose 'underlying' differs by less than this over its expiries sends its index, not forwards."""
NO_CARRY_VENUES = frozenset({"cboe"})
"""Files that state a spot and no forward: the published figures for them take no carry (r = q = 0)."""
TOLERATED_BASIS = 0.05
TOLERATED_BASIS_PER_YEAR = 0.25


@dataclass(frozen=True, slots=True)
class ForwardCurve:
    """One forward for each (venue, expiry), with where it came from.

    Shapes: every column (entries,), in order of venue and expiry.  ``source`` is 'future' (the venue's own future), 'synthetic' (the
    venue's own computed forward), 'put-call-parity' (from the option quotes), 'index' (spot stands in) or '' (none: NaN).
    ``discount`` is what a USD paid at expiry costs today where parity shows it, else 1.
    """

    venue: TextArray
    expiry_ns: IntArray
    forward_usd: FloatArray
    source: TextArray
    index_usd: FloatArray
    discount: FloatArray
    years: FloatArray

    def __len__(self) -> int:
        return int(self.expiry_ns.size)

    def __iter__(self) -> Iterator[tuple[str, int, float, str]]:
        """(venue, expiry_ns, forward_usd, source) of each entry."""
        return iter(zip(self.venue.tolist(), self.expiry_ns.tolist(), self.forward_usd.tolist(), self.source.tolist()))

    def entry_of(self, chain: Chain) -> IntArray:
        """Which entry each row belongs to, (n,); -1 where the row's venue and expiry have none."""
        position = {(venue, expiry): j for j, (venue, expiry) in enumerate(zip(self.venue.tolist(), self.expiry_ns.tolist()))}
        pairs = zip(chain.venue.tolist(), chain.expiry_ns.tolist())
        return np.fromiter((position.get(pair, -1) for pair in pairs), dtype=np.int64, count=len(chain))

    @property
    def disagrees(self) -> BoolArray:
        """Entries whose forward is further from the index than the larger of 5 % and 25 % a year, (entries,)."""
        allowed = np.maximum(TOLERATED_BASIS, TOLERATED_BASIS_PER_YEAR * np.maximum(self.years, 0.0))
        return np.abs(self.forward_usd / self.index_usd - 1.0) > allowed

    def rows(self, chain: Chain) -> tuple[FloatArray, IntArray]:
        """(forward_usd, codes) of each row, each (n,): NaN with FORWARD_MISSING where there is none, else maybe FORWARD_DISAGREES."""
        entry = self.entry_of(chain)
        if len(self) == 0:
            return np.full(len(chain), np.nan), np.full(len(chain), int(RowCode.FORWARD_MISSING))
        forward = np.where(entry >= 0, self.forward_usd[entry], np.nan)
        missing = np.where(np.isfinite(forward), 0, int(RowCode.FORWARD_MISSING))
        differs = np.where((entry >= 0) & self.disagrees[entry], int(RowCode.FORWARD_DISAGREES), 0)
        return forward, np.asarray(missing | differs, dtype=np.int64)

    def to_frame(self) -> polars.DataFrame:
        """One row per venue and expiry; null where there is no forward."""
        import polars as pl

        text = [pl.Series(name, getattr(self, name).tolist(), dtype=pl.String) for name in ("venue", "source")]
        numbers = [pl.Series(name, getattr(self, name)) for name in ("expiry_ns", "years", "forward_usd", "index_usd", "discount")]
        return pl.DataFrame([*text, *numbers]).with_columns(pl.col(pl.Float64).fill_nan(None))

    def __str__(self) -> str:
        if not len(self):
            return "no forward: no row has a readable venue and expiry"
        counted = {name: int(np.sum(self.source == name)) for name in ("future", "synthetic", "put-call-parity", "index", "")}
        words = ", ".join(f"{count} from {name or 'nothing (missing)'}" for name, count in counted.items() if count)
        doubts = int(np.sum(self.disagrees))
        tail = f"; {doubts} far from the index" if doubts else ""
        return f"{len(self)} forwards to {format_time(int(self.expiry_ns.max()))}: {words}{tail}"


def forward_curve(chain: Chain, futures: Futures | None = None, *, day_count: str = "act-365") -> ForwardCurve:
    """The forward of every (venue, expiry) of the chain, by the best source that it has.

    In order: the venue's own future or synthetic underlying sent with the options; the venue's dated future of the same expiry;
    put-call parity of the quotes; the index.  A venue that sends one and the same underlying for all expiries sends its index.
    The median over an expiry's rows is used, because a crawl's rows are not simultaneous.  American options take spot.

    >>> chain = Chain.from_columns(currency="BTC", as_of_ns=0, instrument=["BTC-27MAR26-60000-C"], venue=["deribit"], expiry_ns=[10**17],
    ...     underlying_usd=[61000.0], underlying_name=["BTC-27MAR26"], index_usd=[60000.0])
    >>> list(forward_curve(chain))
    [('deribit', 100000000000000000, 61000.0, 'future')]
    """
    readable = ((chain.codes & int(UNREADABLE)) == 0) & (chain.expiry_ns > 0)
    groups = _grouped(chain, readable)
    years = years_to_expiry(np.array([expiry for _, expiry, _ in groups], dtype=np.int64), chain.as_of_ns, day_count=day_count)
    everywhere = _median(chain.index_usd[readable])
    index = np.array([_first(_median(chain.index_usd[rows]), everywhere) for _, _, rows in groups], dtype=np.float64)
    own = [_own_underlying(chain, rows) for _, _, rows in groups]
    labels = _labels([venue for venue, _, _ in groups], own, index)
    dated = _dated_futures(futures)
    found = []
    for j, (venue, expiry, rows) in enumerate(groups):
        found.append(
            _choose(chain, rows, own[j][0], labels[j], dated.get((venue, expiry), np.nan), index=float(index[j]), years=float(years[j]))
        )
    return ForwardCurve(
        venue=frozen([venue for venue, _, _ in groups], object),
        expiry_ns=frozen([expiry for _, expiry, _ in groups], np.int64),
        forward_usd=frozen([value for value, _, _ in found]),
        source=frozen([source for _, source, _ in found], object),
        index_usd=frozen(index),
        discount=frozen([discount for _, _, discount in found]),
        years=frozen(years),
    )


def pricing_curve(curve: ForwardCurve, *, forward: str | None = None) -> ForwardCurve:
    """The forwards that options are priced on: 'market' the curve's own, 'index' the index for all (no carry), None by venue."""
    flat = np.isin(curve.venue, list(NO_CARRY_VENUES)) if forward is None else np.full(len(curve), forward == "index")
    flat &= np.isfinite(curve.index_usd)
    return replace(
        curve,
        forward_usd=frozen(np.where(flat, curve.index_usd, curve.forward_usd)),
        source=frozen(np.where(flat, "index", curve.source), object),
        discount=frozen(np.where(flat, 1.0, curve.discount)),
    )


def _grouped(chain: Chain, readable: BoolArray) -> list[tuple[str, int, IntArray]]:
    """(venue, expiry, its rows) in order of venue and expiry."""
    rows = np.flatnonzero(readable)
    if rows.size == 0:
        return []
    venues, of_venue = np.unique(chain.venue[rows].astype(str), return_inverse=True)
    expiries, of_expiry = np.unique(chain.expiry_ns[rows], return_inverse=True)
    key = of_venue * expiries.size + of_expiry
    order = np.argsort(key, kind="stable")
    keys, starts = np.unique(key[order], return_index=True)
    parts = np.split(rows[order], starts[1:])
    return [(str(venues[k // expiries.size]), int(expiries[k % expiries.size]), part) for k, part in zip(keys.tolist(), parts)]


def _own_underlying(chain: Chain, rows: IntArray) -> tuple[float, str]:
    """Median of what the venue sent as underlying, and what it mostly calls it."""
    sent = chain.underlying_usd[rows]
    good = np.isfinite(sent) & (sent > 0.0)
    names = chain.underlying_name[rows][good].tolist()
    return _median(sent[good]), max(set(names), key=names.count) if names else ""


def _labels(venues: list[str], own: list[tuple[float, str]], index: FloatArray) -> list[str]:
    """What each entry's own underlying is: 'future', 'synthetic', 'index' or '' where the venue sent none."""
    labels = []
    for j, (venue, (value, name)) in enumerate(zip(venues, own)):
        others = [own[i] for i, other in enumerate(venues) if other == venue and np.isfinite(own[i][0])]
        values = np.array([v for v, _ in others])
        one_name = len({n for _, n in others}) <= 1
        if not np.isfinite(value):
            labels.append("")
        elif name == "index_price" or (one_name and _is_one_index(values, value, float(index[j]))):
            labels.append("index")
        elif name.startswith("SYN.") or not name or (one_name and len(others) > 1):
            labels.append("synthetic")
        else:
            labels.append("future")
    return labels


def _is_one_index(values: FloatArray, value: float, index: float) -> bool:
    """Whether a venue's unnamed underlyings are all the same number, so that they can only be its index."""
    if values.size > 1:
        return bool(values.max() / values.min() - 1.0 < SAME_FOR_ALL)
    return bool(abs(value / index - 1.0) < 1e-9)


def _dated_futures(futures: Futures | None) -> dict[tuple[str, int], float]:
    if futures is None:
        return {}
    columns = zip(futures.venue.tolist(), futures.expiry_ns.tolist(), futures.mark_usd.tolist(), futures.kind.tolist())
    return {(venue, expiry): mark for venue, expiry, mark, kind in columns if kind == "future" and expiry > 0 and mark > 0.0}


def _choose(chain: Chain, rows: IntArray, own: float, label: str, dated: float, *, index: float, years: float) -> tuple[float, str, float]:
    """(forward, source, discount) of one expiry."""
    spot = _first(index, own if label == "index" else np.nan)
    if np.mean(chain.style[rows] == "american") > 0.5:
        return (spot, "index", 1.0) if np.isfinite(spot) else (own, label, 1.0)
    if label in ("future", "synthetic"):
        return own, label, 1.0
    if np.isfinite(dated):
        return dated, "future", 1.0
    forward, discount, pairs = parity_forward(chain, rows, years)
    allowed = max(TOLERATED_BASIS, TOLERATED_BASIS_PER_YEAR * max(years, 0.0))
    # what parity says is our own inference: where it is absurd the quotes are stale, not the index
    if pairs >= MIN_PAIRS and not abs(forward / spot - 1.0) > allowed:
        return forward, "put-call-parity", discount
    return (spot, "index", 1.0) if np.isfinite(spot) else (np.nan, "", 1.0)


def _median(values: FloatArray) -> float:
    good = values[np.isfinite(values) & (values > 0.0)]
    return float(np.median(good)) if good.size else float("nan")


def _first(*values: float) -> float:
    """The first number that is one."""
    return next((value for value in values if np.isfinite(value)), float("nan"))
