"""Levels: flips, walls, the strike with most gamma, max pain, and how concentrated it all is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tailwag.exposure.book import Book
from tailwag.exposure.flips import Flip, FlipStatus, book_flips, flip_status, nearest_flip
from tailwag.exposure.reprice import SmileDynamicsLike
from tailwag.exposure.sums import exact_sum, exact_sums_by
from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.market.clock import format_time
from tailwag.units import NS_PER_DAY

if TYPE_CHECKING:
    import polars

STABILITY_BUMP = 1e-3
"""Relative bump of spot with which the stability of a flip is measured."""
STABILITY_SEARCH = np.linspace(-0.02, 0.02, 41)


@dataclass(frozen=True, slots=True)
class MaxPain:
    """The listed strike of one expiry at which option holders are paid least; None where nobody holds any."""

    expiry_ns: int
    strike_usd: float | None
    payout_usd: float | None


@dataclass(frozen=True, slots=True)
class Concentration:
    """How open interest is spread over strikes: Herfindahl index (1 = one strike) and share of the five largest; None without any."""

    herfindahl: float | None
    top5_share: float | None
    strikes: int


@dataclass(frozen=True, slots=True)
class Levels:
    """Prices that traders watch, each null (None) where it does not exist.

    ``flips``: every spot at which the repriced net GEX changes sign; ``flip_status`` is None where all open interest is masked, so that
    nobody can tell.  ``flip_stability``: change of the nearest flip per USD of spot when
    spot is bumped by 0.1 % and each strike keeps its quoted volatility.  Walls: strike with the largest unsigned call (put) gamma over all
    expiries.  ``zero_dte_share``: share of gross gamma that expires within 24 hours.
    """

    spot_usd: float
    flip_status: FlipStatus | None
    flips: tuple[Flip, ...]
    flip_stability: float | None
    call_wall_usd: float | None
    put_wall_usd: float | None
    absolute_gamma_strike_usd: float | None
    max_pain: tuple[MaxPain, ...]
    oi_concentration: Concentration
    zero_dte_share: float | None

    @property
    def nearest_flip(self) -> Flip | None:
        """The flip closest to the current spot."""
        return nearest_flip(self.flips, self.spot_usd)

    def __str__(self) -> str:
        near = self.nearest_flip
        away = "" if near is None else f" at {near.spot_usd:,.2f} USD, {100.0 * (near.spot_usd / self.spot_usd - 1.0):+.1f} % from spot"
        kind = {
            "none": "no flip in range",
            "one": f"one flip{away}",
            "many": f"{len(self.flips)} flips, the nearest{away}",
            "edge": f"a flip{away}, at the edge of the range",
        }
        walls = f"call wall {_money(self.call_wall_usd)}, put wall {_money(self.put_wall_usd)}, most gamma {_money(self.absolute_gamma_strike_usd)}"
        return f"{'flips unknown' if self.flip_status is None else kind[self.flip_status]}; {walls}"

    def to_frame(self) -> polars.DataFrame:
        """One row per level: name, time where it belongs to an expiry, price."""
        import polars as pl

        rows: list[tuple[str, str | None, float | None]] = [(f"flip ({flip.crossing})", None, flip.spot_usd) for flip in self.flips]
        rows += [("call wall", None, self.call_wall_usd), ("put wall", None, self.put_wall_usd)]
        rows += [("absolute gamma strike", None, self.absolute_gamma_strike_usd)]
        rows += [("max pain", format_time(pain.expiry_ns), pain.strike_usd) for pain in self.max_pain]
        return pl.DataFrame(rows, schema={"level": pl.String, "expiry": pl.String, "price_usd": pl.Float64}, orient="row")


def book_levels(book: Book, spots_usd: FloatArray, *, dynamics: SmileDynamicsLike) -> Levels:
    """Every level of the book; flips are looked for within the range of ``spots_usd`` (g,)."""
    flips = book_flips(book, spots_usd, dynamics=dynamics)
    call, put, both = (_wall(book, rights) for rights in ((1,), (-1,), (1, -1)))
    return Levels(
        spot_usd=book.spot_usd,
        flip_status=None if book.is_unpriced else flip_status(flips),
        flips=flips,
        flip_stability=flip_stability(book, flips, dynamics=dynamics),
        call_wall_usd=call,
        put_wall_usd=put,
        absolute_gamma_strike_usd=both,
        max_pain=max_pain(book),
        oi_concentration=concentration(book),
        zero_dte_share=zero_dte_share(book),
    )


def flip_stability(book: Book, flips: tuple[Flip, ...], *, dynamics: SmileDynamicsLike) -> float | None:
    """d(nearest flip)/d(spot): 0 when the flip stands still while spot moves, 1 when it runs along; None without a flip.

    Spot and forwards are bumped by 0.1 % and each strike keeps its quoted volatility, so the smile that the dynamics moves from there is
    today's read at the bumped forward: only the move beyond the bump changes volatilities.  Under sticky-strike it is 0 by construction.
    """
    nearest = nearest_flip(flips, book.spot_usd)
    if nearest is None:
        return None
    if dynamics.ratio == 1.0:
        return 0.0
    around = nearest.spot_usd * np.exp(STABILITY_SEARCH)
    moved = book_flips(book, around, dynamics=dynamics, quote_move=float(np.log1p(STABILITY_BUMP)))
    same = tuple(flip for flip in moved if flip.crossing == nearest.crossing)
    found = nearest_flip(same, nearest.spot_usd)
    return None if found is None else (found.spot_usd - nearest.spot_usd) / (STABILITY_BUMP * book.spot_usd)


def max_pain(book: Book) -> tuple[MaxPain, ...]:
    """Per expiry, the listed strike that minimises what all holders would be paid (USD, inverse payouts at the settlement price).

    payout(P) = sum OI_call * max(P - K, 0) + sum OI_put * max(K - P, 0); the lowest such strike where several tie.  Needs open interest
    only, so rows without volatility count.
    """
    rows = np.flatnonzero(book.chain.usable)
    expiries = np.unique(book.chain.expiry_ns[rows])
    return tuple(_pain(book, int(expiry), rows[book.chain.expiry_ns[rows] == expiry]) for expiry in expiries)


def _pain(book: Book, expiry_ns: int, rows: IntArray) -> MaxPain:
    held = book.chain.open_interest_coin[rows]
    if not bool((held > 0.0).any()):
        return MaxPain(expiry_ns, None, None)
    strike, right = book.chain.strike_usd[rows], book.chain.right[rows]
    candidates, group = np.unique(strike, return_inverse=True)
    coins = exact_sums_by(group, np.stack([np.where(right > 0, held, 0.0), np.where(right < 0, held, 0.0)]), int(candidates.size))
    gap = candidates[:, None] - candidates[None, :]
    paid = np.maximum(gap, 0.0) @ coins[0] + np.maximum(-gap, 0.0) @ coins[1]
    least = int(np.flatnonzero(paid <= paid.min() * (1.0 + 1e-12))[0])
    return MaxPain(expiry_ns, float(candidates[least]), float(paid[least]))


def concentration(book: Book) -> Concentration:
    """Herfindahl index of open interest over strikes (all expiries) and the share of the five largest strikes."""
    rows = book.chain.usable
    strikes, group = np.unique(book.chain.strike_usd[rows], return_inverse=True)
    held = exact_sums_by(group, book.chain.open_interest_coin[rows][None, :], int(strikes.size))[0]
    total = exact_sum(held)
    if not total > 0.0:
        return Concentration(None, None, int(strikes.size))
    share = held / total
    return Concentration(exact_sum(share**2), exact_sum(np.sort(share)[-5:]), int(strikes.size))


def zero_dte_share(book: Book) -> float | None:
    """Share of gross gamma that expires within 24 hours; None where there is no gamma."""
    gross = np.where(book.counted, book.open_interest_coin * np.nan_to_num(book.gamma), 0.0)
    total = exact_sum(gross)
    left_ns = book.chain.expiry_ns - np.int64(book.at_ns)
    return exact_sum(gross[(left_ns >= 0) & (left_ns <= NS_PER_DAY)]) / total if total > 0.0 else None


def _wall(book: Book, rights: tuple[int, ...]) -> float | None:
    rows = np.flatnonzero(book.counted & np.isin(book.chain.right, rights))
    strikes, group = np.unique(book.chain.strike_usd[rows], return_inverse=True)
    gamma = exact_sums_by(group, (book.open_interest_coin[rows] * book.gamma[rows])[None, :], int(strikes.size))[0]
    if not gamma.size or not gamma.max() > 0.0:
        return None
    tied = strikes[gamma == gamma.max()]
    return float(tied[np.argmin(np.abs(tied - book.spot_usd))])


def _money(price_usd: float | None) -> str:
    return "none" if price_usd is None else f"{price_usd:,.0f}"
