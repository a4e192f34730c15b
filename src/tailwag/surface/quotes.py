"""Which quote of each strike a smile is fitted to, its volatility, and how far it may be trusted."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray, TextArray, frozen
from tailwag.kernels.implied import implied_vol
from tailwag.market.chain import Chain
from tailwag.market.codes import NO_VENUE_VOL, RowCode
from tailwag.market.forwards import UNREADABLE, ForwardCurve

if TYPE_CHECKING:
    import polars

LEFT_OUT = UNREADABLE | RowCode.EXPIRED | RowCode.DUPLICATE | RowCode.DUPLICATE_CONFLICT | RowCode.ALIAS | RowCode.SETTLING
"""Rows that say nothing about a smile."""
UNTRUSTED_QUOTE = RowCode.CROSSED | RowCode.QUOTE_INVALID
FITTED_VOLS = (1e-3, 50.0)
"""A volatility below 0.1 % or above 5,000 % is a misprint to a smile, though its row keeps it."""
SAME_MOMENT = 0.05
"""A row's own underlying is used for its own quote while it lies this close to the expiry's forward (a crawl's rows are not simultaneous)."""
LEAST_HALF_WIDTH = 0.001
"""Half-width in vol that even the tightest quote is given: a tenth of a vol point."""
WIDE, WIDE_VOL = 5.0, 0.05
"""A quote this many times wider than its neighbours, and this wide in vol, has a mid that means nothing: a mark inside it stands in."""
MARK_HALF_WIDTH = 0.01
"""Half-width in vol of a venue's mark at the money, where no two-sided quote exists; wider where vega is small."""


@dataclass(frozen=True, slots=True)
class SmilePoints:
    """The quotes that one smile stands on, one per strike, in rising order of strike.

    Shapes: every column (points,).  ``target_iv`` is the mid of a two-sided quote (``source`` 'quote') or, where that is missing or
    far too wide, the venue's mark ('mark'); bid and ask are NaN where there is none.  ``half_width`` is in vol; ``fit_iv`` is what the fitted smile says.
    """

    row: IntArray
    strike_usd: FloatArray
    right: IntArray
    log_moneyness: FloatArray
    bid_iv: FloatArray
    ask_iv: FloatArray
    mark_iv: FloatArray
    target_iv: FloatArray
    half_width: FloatArray
    source: TextArray
    fit_iv: FloatArray

    def __len__(self) -> int:
        return int(self.row.size)

    @property
    def two_sided(self) -> BoolArray:
        """Points that stand on the mid of a two-sided quote."""
        return np.asarray(self.source == "quote", dtype=np.bool_)

    def to_frame(self) -> polars.DataFrame:
        """One row per point; a missing volatility is null."""
        import polars as pl

        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        columns["source"] = columns["source"].tolist()
        return pl.DataFrame(columns, nan_to_null=True)


@dataclass(frozen=True, slots=True)
class RowQuotes:
    """The volatilities of each row's quotes, (n,), before one per strike is chosen; ``score`` orders them, 9 = unusable."""

    log_moneyness: FloatArray
    bid_iv: FloatArray
    ask_iv: FloatArray
    mark_iv: FloatArray
    two_sided: BoolArray
    score: IntArray


def row_quotes(chain: Chain, forwards: ForwardCurve, entry: IntArray, years: FloatArray) -> RowQuotes:
    """Volatilities of bid, ask and mark of every row, and how good the row is for a fit.

    ``years`` (n,) to each row's expiry.  Two-sided out-of-the-money quotes come first, then two-sided in-the-money ones, then marks;
    where only the index stands in for the forward, the venue's marks are used alone.
    """
    known = entry >= 0
    forward = np.where(known, forwards.forward_usd[entry], np.nan) if len(forwards) else np.full(len(chain), np.nan)
    source = np.where(known, forwards.source[entry], "") if len(forwards) else np.full(len(chain), "")
    discount = np.where(known, forwards.discount[entry], 1.0) if len(forwards) else np.ones(len(chain))
    fits = known & np.isfinite(forward) & (years > 0.0) & ((chain.codes & int(LEFT_OUT)) == 0)
    with np.errstate(invalid="ignore"):
        own = np.isin(source, ("future", "synthetic")) & (np.abs(chain.underlying_usd / forward - 1.0) < SAME_MOMENT)
        at = np.where(own, chain.underlying_usd, forward)
        log_moneyness = np.log(np.where(fits, chain.strike_usd, 1.0) / np.where(fits, at, 1.0))
    trusted = fits & ((chain.codes & int(UNTRUSTED_QUOTE)) == 0)
    to_usd = np.where(chain.settlement == "inverse", at, 1.0 / discount)
    bid, ask, mark = (_solved(chain, price * to_usd, at, years, fits) for price in (chain.bid_quoted, chain.ask_quoted, chain.mark_quoted))
    with np.errstate(invalid="ignore"):
        own_mark = np.isfinite(_plausible(chain.iv)) & ((chain.codes & int(NO_VENUE_VOL)) == 0)
        two_sided = trusted & np.isfinite(bid) & np.isfinite(ask) & (ask >= bid)
    mark = np.where(fits, np.where(own_mark, chain.iv, mark), np.nan)
    # with spot in the forward's place calls and puts imply different volatilities; the venue's own mark knows its carry
    two_sided &= ~((source == "index") & own_mark)
    out = np.where(chain.right > 0, log_moneyness >= 0.0, log_moneyness < 0.0)
    score = np.where(two_sided, np.where(out, 0, 1), np.where(np.isfinite(mark), np.where(out, 2, 3), 9))
    return RowQuotes(
        log_moneyness, np.where(trusted, bid, np.nan), np.where(trusted, ask, np.nan), mark, two_sided, np.where(fits, score, 9)
    )


def _solved(chain: Chain, price_usd: FloatArray, forward: FloatArray, years: FloatArray, fits: BoolArray) -> FloatArray:
    """Implied vol of each price, NaN where the row or the price is unusable."""
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero(fits & np.isfinite(price_usd) & (price_usd > 0.0))
    solved = np.full(len(chain), np.nan)
    if rows.size:
        solved[rows] = implied_vol(price_usd[rows], chain.right[rows], forward[rows], chain.strike_usd[rows], years[rows])[0]
    return _plausible(solved)


def _plausible(iv: FloatArray) -> FloatArray:
    """NaN where a volatility is none that a smile could pass."""
    with np.errstate(invalid="ignore"):
        return np.where((iv >= FITTED_VOLS[0]) & (iv <= FITTED_VOLS[1]), iv, np.nan)


def points_by_entry(chain: Chain, quotes: RowQuotes, entry: IntArray, entries: int, years: FloatArray) -> list[SmilePoints]:
    """The best quote of each strike of each entry, in rising order of strike; an entry without any has an empty list of points."""
    usable = np.flatnonzero((quotes.score < 9) & (entry >= 0))
    order = usable[np.lexsort((_width(quotes)[usable], quotes.score[usable], chain.strike_usd[usable], entry[usable]))]
    new = np.ones(order.size, dtype=np.bool_)
    new[1:] = (np.diff(entry[order]) != 0) | (np.diff(chain.strike_usd[order]) != 0.0)
    chosen = order[new]
    edges = np.searchsorted(entry[chosen], np.arange(entries + 1))
    return [_points(chain, quotes, chosen[edges[j] : edges[j + 1]], years) for j in range(entries)]


def _width(quotes: RowQuotes) -> FloatArray:
    return np.where(quotes.two_sided, np.nan_to_num(quotes.ask_iv - quotes.bid_iv), 0.0)


def _points(chain: Chain, quotes: RowQuotes, rows: IntArray, years: FloatArray) -> SmilePoints:
    k = quotes.log_moneyness[rows]
    rows = rows[np.argsort(k, kind="stable")]
    k, both = quotes.log_moneyness[rows], quotes.two_sided[rows]
    bid, ask, mark = quotes.bid_iv[rows], quotes.ask_iv[rows], quotes.mark_iv[rows]
    quoted = np.maximum(0.5 * np.where(both, ask - bid, 0.0), LEAST_HALF_WIDTH)
    usual = max(float(np.median(quoted[both])), MARK_HALF_WIDTH) if both.any() else MARK_HALF_WIDTH
    with np.errstate(invalid="ignore"):
        wide = both & (quoted > max(WIDE_VOL, WIDE * usual)) & (mark >= bid) & (mark <= ask)
    by_mid = both & ~wide
    target = np.where(by_mid, 0.5 * (np.where(both, bid, 0.0) + np.where(both, ask, 0.0)), mark)
    half = np.where(both, quoted, usual / np.maximum(vega_share(k, target, years[rows]), 0.05))
    return SmilePoints(
        row=frozen(rows, np.int64),
        strike_usd=frozen(chain.strike_usd[rows]),
        right=frozen(chain.right[rows], np.int64),
        log_moneyness=frozen(k),
        bid_iv=frozen(bid),
        ask_iv=frozen(ask),
        mark_iv=frozen(mark),
        target_iv=frozen(target),
        half_width=frozen(half),
        source=frozen(np.where(by_mid, "quote", "mark"), object),
        fit_iv=frozen(np.full(rows.size, np.nan)),
    )


def vega_share(log_moneyness: FloatArray, vol: FloatArray, years: FloatArray | float) -> FloatArray:
    """Vega as a share of at-the-money vega: exp(-d1^2 / 2)."""
    deviation = np.maximum(vol * np.sqrt(years), 1e-12)
    d1 = 0.5 * deviation - log_moneyness / deviation
    return np.asarray(np.exp(-0.5 * np.minimum(d1 * d1, 200.0)))
