"""What the book adds up to today: totals, and the same by expiry, strike, venue and right."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tailwag.errors import RuleError
from tailwag.exposure.book import Book
from tailwag.exposure.greeks import CHARM, DELTA, PRICE, VANNA, VEGA
from tailwag.exposure.sums import exact_sum, exact_sums_by
from tailwag.kernels.arrays import FloatArray, IntArray, frozen
from tailwag.market.chain import MaskedShare
from tailwag.market.clock import format_time
from tailwag.units import DAYS_PER_YEAR

if TYPE_CHECKING:
    import polars
    from plotly.graph_objects import Figure

    from tailwag.figures.palette import Theme

Numeraire = Literal["usd", "coin"]
By = Literal["expiry", "strike", "venue", "right"]
MEASURES = (
    "gex_usd_per_pct",
    "gross_gex_usd_per_pct",
    "call_gex_usd_per_pct",
    "put_gex_usd_per_pct",
    "vanna_usd_per_volpt",
    "charm_usd_per_day",
    "delta_usd",
    "vega_usd_per_volpt",
)
REPRICED_MEASURES = ("vanna_usd_per_volpt", "charm_usd_per_day", "delta_usd", "vega_usd_per_volpt")
"""What no file states: these need a volatility and a forward."""


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The same exposures in groups.  Shapes: every column (m,), groups in ascending order; a group with every row masked is NaN.

    ``by`` is 'expiry' (``key``: UTC ns), 'strike' (USD), 'venue' or 'right' (text).  Call and put GEX are signed by the rule; gross is
    unsigned.  ``forward_usd`` and ``atm_iv`` are NaN unless ``by`` is 'expiry'.
    """

    by: By
    key: Any
    gex_usd_per_pct: FloatArray
    gross_gex_usd_per_pct: FloatArray
    call_gex_usd_per_pct: FloatArray
    put_gex_usd_per_pct: FloatArray
    vanna_usd_per_volpt: FloatArray
    charm_usd_per_day: FloatArray
    delta_usd: FloatArray
    vega_usd_per_volpt: FloatArray
    open_interest_coin: FloatArray
    forward_usd: FloatArray
    atm_iv: FloatArray

    def __len__(self) -> int:
        return int(np.size(self.key))

    def __str__(self) -> str:
        if not len(self) or not np.isfinite(self.gross_gex_usd_per_pct).any():
            return f"no exposure by {self.by}"
        top = int(np.nanargmax(self.gross_gex_usd_per_pct))
        total = float(np.nansum(self.gross_gex_usd_per_pct))
        share = float(self.gross_gex_usd_per_pct[top]) / total if total > 0.0 else 0.0
        return f"{len(self)} groups by {self.by}; {self.label(top)} is the largest with {share:.0%} of gross gamma"

    def label(self, index: int) -> str:
        """How a report names one group."""
        value = self.key[index]
        return format_time(int(value)) if self.by == "expiry" else f"{float(value):,.10g} USD" if self.by == "strike" else str(value)

    def plot(self, *, spot_usd: float | None = None, theme: Theme = "light") -> Figure:
        """The groups as an interactive figure: calls and puts by strike, or net inside gross for any other grouping."""
        from tailwag.figures import exposure_by_expiry, exposure_by_strike

        if self.by == "strike":
            return exposure_by_strike(self.key, self.call_gex_usd_per_pct, self.put_gex_usd_per_pct, spot_usd=spot_usd, theme=theme)
        labels = [self.label(index) for index in range(len(self))]
        return exposure_by_expiry(labels, self.gex_usd_per_pct, self.gross_gex_usd_per_pct, theme=theme)

    def to_frame(self) -> polars.DataFrame:
        """One row per group; null where unknown."""
        import polars as pl

        name = {"expiry": "expiry_ns", "strike": "strike_usd"}.get(self.by, self.by)
        keys = pl.Series(name, list(self.key), dtype=pl.String) if self.by in ("venue", "right") else pl.Series(name, self.key)
        kept = (*MEASURES, "open_interest_coin", *(("forward_usd", "atm_iv") if self.by == "expiry" else ()))
        frame = pl.DataFrame([keys, *(pl.Series(column, getattr(self, column)) for column in kept)])
        return frame.with_columns(pl.col(pl.Float64).fill_nan(None))


@dataclass(frozen=True, slots=True)
class Exposure:
    """The book's exposures at the current spot, one number each.  Units in the names; + GEX: dealers are long gamma (damping).

    ``charm_usd_per_day`` is delta that the book gains in a day with nothing moving (the hedge is its negative).  Gross takes open interest
    unsigned over every counted row, whatever the rule.  Where all open interest is masked every measure is NaN, null in documents.
    """

    gex_usd_per_pct: float
    gross_gex_usd_per_pct: float
    vanna_usd_per_volpt: float
    charm_usd_per_day: float
    delta_usd: float
    vega_usd_per_volpt: float
    numeraire: Numeraire
    gamma_source: str
    spot_usd: float
    rule: str
    empty: bool
    masked: tuple[MaskedShare, ...]
    masked_open_interest_share: float

    def __str__(self) -> str:
        if self.empty:
            return f"no open interest: every exposure is 0 ({self.rule})"
        if math.isnan(self.gex_usd_per_pct):
            codes = ", ".join(share.code for share in self.masked)
            return f"all open interest is masked ({codes}): no exposure is known ({self.rule})"
        side, deed = ("long", "sell") if self.gex_usd_per_pct > 0 else ("short", "buy")
        return (
            f"under {self.rule} dealers are {side} gamma: they {deed} {abs(self.gex_usd_per_pct) / 1e6:,.1f} M USD when spot rises 1 % from "
            f"{self.spot_usd:,.2f} (gross {self.gross_gex_usd_per_pct / 1e6:,.1f} M)"
        )

    def to_frame(self) -> polars.DataFrame:
        """One row with every total."""
        import polars as pl

        kept = [
            name
            for name in (*MEASURES, "numeraire", "gamma_source", "spot_usd", "rule", "masked_open_interest_share")
            if hasattr(self, name)
        ]
        return pl.DataFrame({name: [getattr(self, name)] for name in kept}).with_columns(pl.col(pl.Float64).fill_nan(None))


def row_exposures(book: Book, *, numeraire: Numeraire = "usd") -> FloatArray:
    """Each row's share in every measure, (8, n) in the order of ``MEASURES``; 0 where a sum does not count the row."""
    spot, greeks = book.spot_usd, book.greeks
    if numeraire not in ("usd", "coin"):
        raise RuleError(f"numeraire {numeraire!r} is unknown; use 'usd' or 'coin'")
    delta = greeks[DELTA] if numeraire == "usd" else greeks[DELTA] - greeks[PRICE] / book.forward_usd
    signed = _signed_gex(book)
    rows = np.stack(
        [
            signed,
            book.open_interest_coin * book.gamma * spot**2 / 100.0,
            np.where(book.chain.right > 0, signed, 0.0),
            np.where(book.chain.right < 0, signed, 0.0),
            book.position_coin * greeks[VANNA] * spot / 100.0,
            book.position_coin * greeks[CHARM] * spot / DAYS_PER_YEAR,
            book.position_coin * delta * spot,
            book.position_coin * greeks[VEGA] / 100.0,
        ]
    )
    return np.asarray(np.nan_to_num(rows, nan=0.0, posinf=np.inf, neginf=-np.inf))


def _signed_gex(book: Book) -> FloatArray:
    return book.position_coin * book.gamma * book.spot_usd**2 / 100.0


def exposure_totals(book: Book, *, numeraire: Numeraire = "usd") -> Exposure:
    """The book's totals at the current spot, summed without regard to the order of rows.

    gex = sum position * gamma * S^2 / 100, vanna = sum position * vanna * S / 100, charm = sum position * charm * S / 365,
    delta = sum position * delta * S, vega = sum position * vega / 100.  ``numeraire='coin'`` takes the premium-adjusted delta
    (delta - price / forward) and changes nothing else: the re-hedging flow is the same in both.

    Source: docs/reference/measure-json; docs/explanation/greeks-and-conventions.
    """
    sums = dict(zip(MEASURES, (exact_sum(row) for row in row_exposures(book, numeraire=numeraire)), strict=True))
    # a sum of nothing is 0, and a book that is masked whole is not flat: nobody knows what it holds
    if book.is_unpriced:
        sums |= dict.fromkeys(MEASURES if book.is_unknown else REPRICED_MEASURES, math.nan)
    return Exposure(
        gex_usd_per_pct=sums["gex_usd_per_pct"],
        gross_gex_usd_per_pct=sums["gross_gex_usd_per_pct"],
        vanna_usd_per_volpt=sums["vanna_usd_per_volpt"],
        charm_usd_per_day=sums["charm_usd_per_day"],
        delta_usd=sums["delta_usd"],
        vega_usd_per_volpt=sums["vega_usd_per_volpt"],
        numeraire=numeraire,
        gamma_source=book.gamma_source,
        spot_usd=book.spot_usd,
        rule=book.rule,
        empty=book.is_empty,
        masked=book.masked,
        masked_open_interest_share=book.masked_open_interest_share,
    )


def by_expiry(book: Book, *, numeraire: Numeraire = "usd") -> Breakdown:
    """Exposures of each expiry, with its median forward and the book's volatility at that forward."""
    return _breakdown(book, "expiry", book.chain.expiry_ns, numeraire)


def by_strike(book: Book, *, numeraire: Numeraire = "usd") -> Breakdown:
    """Exposures of each strike over all expiries."""
    return _breakdown(book, "strike", book.chain.strike_usd, numeraire)


def gex_by(book: Book, by: Literal["expiry", "strike"]) -> tuple[tuple[Any, float], ...]:
    """Signed GEX of each expiry (UTC ns) or strike (USD) alone, ascending; groups with every row masked are left out."""
    key = book.chain.expiry_ns if by == "expiry" else book.chain.strike_usd
    shown = np.flatnonzero(book.chain.usable | book.counted)
    names, group = np.unique(key[shown], return_inverse=True)
    signed = np.asarray(np.nan_to_num(_signed_gex(book), nan=0.0, posinf=np.inf, neginf=-np.inf))
    sums = exact_sums_by(group, signed[None, shown], int(names.size))[0]
    known = np.bincount(group, weights=book.counted[shown], minlength=int(names.size)) > 0
    return tuple((name, gex) for name, gex, kept in zip(names.tolist(), sums.tolist(), known, strict=True) if kept and np.isfinite(gex))


def by_venue(book: Book, *, numeraire: Numeraire = "usd") -> Breakdown:
    """Exposures of each venue."""
    return _breakdown(book, "venue", book.chain.venue.astype(str), numeraire)


def by_right(book: Book, *, numeraire: Numeraire = "usd") -> Breakdown:
    """Exposures of calls and of puts."""
    return _breakdown(book, "right", np.where(book.chain.right > 0, "call", "put"), numeraire)


def _breakdown(book: Book, by: By, key: Any, numeraire: Numeraire) -> Breakdown:
    shown = np.flatnonzero(book.chain.usable | book.counted)
    names, group = np.unique(key[shown], return_inverse=True)
    groups = int(names.size)
    sums = exact_sums_by(group, row_exposures(book, numeraire=numeraire)[:, shown], groups)
    known = np.bincount(group, weights=book.counted[shown], minlength=groups) > 0
    columns = {name: frozen(np.where(known, row, np.nan)) for name, row in zip(MEASURES, sums, strict=True)}
    interest = exact_sums_by(group, np.nan_to_num(book.chain.open_interest_coin[shown])[None, :], groups)[0]
    forward, atm_iv = _terms(book, shown, group, groups) if by == "expiry" else (np.full(groups, np.nan), np.full(groups, np.nan))
    names.setflags(write=False)
    return Breakdown(by=by, key=names, open_interest_coin=frozen(interest), forward_usd=frozen(forward), atm_iv=frozen(atm_iv), **columns)


def _terms(book: Book, shown: IntArray, group: IntArray, groups: int) -> tuple[FloatArray, FloatArray]:
    forward, atm_iv = np.full(groups, np.nan), np.full(groups, np.nan)
    for index in range(groups):
        rows = shown[group == index]
        known = book.forward_usd[rows][np.isfinite(book.forward_usd[rows])]
        rows = rows[book.usable[rows]]
        if known.size:
            forward[index] = float(np.median(known))
        if rows.size:
            atm_iv[index] = _vol_at(book.chain.strike_usd[rows], book.iv[rows], forward[index])
    return forward, atm_iv


def _vol_at(strike_usd: FloatArray, iv: FloatArray, forward_usd: float) -> float:
    strikes, of_strike = np.unique(strike_usd, return_inverse=True)
    mean = np.bincount(of_strike, weights=iv) / np.bincount(of_strike)
    return float(np.interp(forward_usd, strikes, mean))
