"""Full repricing of a book: its net greeks at any spot, vol shift and time, under a smile dynamic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tailwag.exposure.book import SETTLEMENT_WINDOW_NS, Book
from tailwag.exposure.greeks import CHARM, DELTA, GAMMA, PRICE, SETTLEMENT_WINDOW_YEARS, VANNA, VEGA
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.market.clock import years_to_expiry
from tailwag.units import DAYS_PER_YEAR, NS_PER_HOUR, NS_PER_YEAR

CELLS_AT_ONCE = 4_000_000
"""Spot levels times rows whose volatilities are held at once: bounds the memory of a million-row book."""
VOL_FLOOR = 1e-4
"""Volatilities never fall below one basis point, whatever the shift (the floor of ``kernels.netgreeks``)."""
NO_SHIFT = np.zeros(1)


class SmileDynamicsLike(Protocol):
    """How the smile moves with spot: a name, and the skew-stickiness ratio (1 sticky-strike, 0 sticky-moneyness)."""

    @property
    def name(self) -> str:
        """How the command line spells it."""
        ...

    @property
    def ratio(self) -> float:
        """Skew-stickiness ratio."""
        ...


@dataclass(frozen=True, slots=True)
class LiveRows:
    """Rows that still carry risk at one time, in an order that depends on their contents only: so equal books give equal bits."""

    plain: IntArray
    plain_years: FloatArray
    settling: IntArray
    settling_years: FloatArray
    settled: IntArray
    """At their expiry this very instant: delta is fixed, nothing else is left."""


def as_dynamics(dynamics: SmileDynamicsLike | str) -> SmileDynamicsLike:
    """A smile dynamic from its command-line spelling, or as it is; RuleError where the spelling is unknown."""
    if not isinstance(dynamics, str):
        return dynamics
    from tailwag.surface import parse_dynamics

    parsed: SmileDynamicsLike = parse_dynamics(dynamics)
    return parsed


def hours_to_ns(hours: float) -> int:
    """Hours as whole nanoseconds.

    >>> hours_to_ns(0.5)
    1800000000000
    """
    return round(float(hours) * NS_PER_HOUR)


def live_rows(book: Book, ahead_ns: int = 0, *, held: BoolArray | None = None) -> LiveRows:
    """Rows that carry risk ``ahead_ns`` from now; ``held`` (n,) limits them (default: rows with a position or open interest)."""
    chain = book.chain
    if held is None:
        held = (np.nan_to_num(book.position_coin) != 0.0) | (np.nan_to_num(chain.open_interest_coin) != 0.0)
    wanted = book.order[(book.usable & held)[book.order]]
    left_ns = chain.expiry_ns[wanted] - np.int64(book.at_ns + ahead_ns)
    settling = (left_ns > 0) & (left_ns < SETTLEMENT_WINDOW_NS) & book.settles_on_average[wanted]
    plain = wanted[(left_ns > 0) & ~settling]
    years = years_to_expiry(chain.expiry_ns[plain], book.at_ns + ahead_ns, day_count=book.day_count)
    settled = wanted[(left_ns == 0)] if ahead_ns == 0 else wanted[:0]
    return LiveRows(plain, years, wanted[settling], left_ns[settling] / NS_PER_YEAR, settled)


def moved_vols(book: Book, rows: IntArray, log_moves: FloatArray, dynamics: SmileDynamicsLike) -> FloatArray:
    """Volatility of ``rows`` (r,) after each log move of spot (g,): shape (g, r)."""
    if dynamics.ratio == 1.0 or rows.size == 0:
        return np.broadcast_to(book.iv[rows], (log_moves.size, rows.size))
    return np.asarray(book.surface.moved_vols(book.iv, log_moves, dynamics))[:, rows]


def net_on_grid(
    book: Book,
    ratios: FloatArray,
    *,
    dynamics: SmileDynamicsLike,
    vol_shifts: FloatArray = NO_SHIFT,
    ahead_ns: int = 0,
    weights: FloatArray | None = None,
    priced: bool = False,
) -> FloatArray:
    """Net greeks of the book at spot ratios (g,) and vol shifts (v,), ``ahead_ns`` from now: (v, g, 8) in NET_GREEKS order.

    Forwards move in proportion to spot; volatilities move by the dynamics, then by the shift.  ``weights`` (n,) replace the positions; the price is NaN unless ``priced``.  Sums run over rows in canonical order.
    """
    from tailwag.kernels.netgreeks import net_greeks

    weight = np.nan_to_num(book.position_coin if weights is None else weights)
    live = live_rows(book, ahead_ns, held=weight != 0.0)
    chain, rows = book.chain, live.plain
    total = np.zeros((vol_shifts.size, ratios.size, 8))
    for part in _parts(ratios.size, len(book)):
        if rows.size == 0:
            break
        vol = _kernel_vols(book, rows, np.log(ratios[part]), dynamics)
        total[:, part] = net_greeks(
            chain.right[rows],
            chain.strike_usd[rows],
            book.forward_usd[rows],
            live.plain_years,
            vol,
            weight[rows],
            ratios[part],
            vol_shifts,
            priced=priced,
        )
    if live.settling.size:
        for index, shift in enumerate(vol_shifts):
            greeks = _settling_greeks(book, live, ratios, dynamics, float(shift), ahead_ns, 0.0)
            total[index] += np.einsum("vgr,r->gv", greeks, weight[live.settling])
    if live.settled.size:
        fixed = book.greeks[:, live.settled] @ weight[live.settled]
        total[:, :, PRICE] += fixed[PRICE]
        total[:, :, DELTA] += fixed[DELTA]
    if not priced:
        total[:, :, PRICE] = np.nan
    return total


def vols_on_grid(book: Book, ratios: FloatArray, dynamics: SmileDynamicsLike) -> FloatArray | None:
    """Volatilities (g, n) at spot ratios (g,), for a caller that prices the same grid at several times; None where too many to hold."""
    if dynamics.ratio == 1.0 or ratios.size * len(book) > CELLS_AT_ONCE:
        return None
    return np.asarray(book.surface.moved_vols(book.iv, np.log(ratios), dynamics))


def gamma_on_grid(
    book: Book,
    ratios: FloatArray,
    weights: FloatArray,
    *,
    dynamics: SmileDynamicsLike,
    ahead_ns: int = 0,
    quote_move: float = 0.0,
    vols: FloatArray | None = None,
) -> FloatArray:
    """Gamma of several holdings of the same rows, weights (w, n), at spot ratios (g,): (w, g).

    ``quote_move``: the log move of spot at which today's quotes are taken to stand (0: now); ``vols`` as from :func:`vols_on_grid`.
    """
    return HeldGamma.of(book, weights, dynamics=dynamics, ahead_ns=ahead_ns, quote_move=quote_move).at(ratios, vols=vols)


@dataclass(frozen=True, slots=True)
class HeldGamma:
    """What :func:`gamma_on_grid` needs besides the spots, made ready once: the search for a flip asks at one handful of spots after another."""

    book: Book
    dynamics: SmileDynamicsLike
    ahead_ns: int
    quote_move: float
    live: LiveRows
    rows: FloatArray
    plain_weights: FloatArray
    settling_weights: FloatArray

    @classmethod
    def of(cls, book: Book, weights: FloatArray, *, dynamics: SmileDynamicsLike, ahead_ns: int = 0, quote_move: float = 0.0) -> HeldGamma:
        """Ready for the holdings ``weights`` (w, n), ``ahead_ns`` from now."""
        from tailwag.kernels.netgreeks import gamma_rows

        weights = np.nan_to_num(np.atleast_2d(weights))
        live = live_rows(book, ahead_ns, held=np.any(weights != 0.0, axis=0))
        chain, plain = book.chain, live.plain
        rows = gamma_rows(chain.right[plain], chain.strike_usd[plain], book.forward_usd[plain], live.plain_years)
        return cls(book, dynamics, ahead_ns, quote_move, live, rows, weights[:, plain], weights[:, live.settling])

    def at(self, ratios: FloatArray, *, vols: FloatArray | None = None) -> FloatArray:
        """Gamma of each holding at spot ratios (g,): (w, g)."""
        from tailwag.kernels.netgreeks import gammas_of

        plain, settling = self.live.plain, self.live.settling
        total = np.zeros((self.plain_weights.shape[0], ratios.size))
        for part in _parts(ratios.size, len(self.book)):
            if plain.size == 0:
                break
            known = None if vols is None else np.ascontiguousarray(vols[part, plain])
            vol = _kernel_vols(self.book, plain, np.log(ratios[part]) - self.quote_move, self.dynamics) if known is None else known
            # rows of gammas are contiguous: this order is many times faster than weights @ gammas.T
            total[:, part] = (gammas_of(self.rows, vol, ratios[part]) @ self.plain_weights.T).T
        if settling.size:
            greeks = _settling_greeks(self.book, self.live, ratios, self.dynamics, 0.0, self.ahead_ns, self.quote_move)
            total += self.settling_weights @ greeks[GAMMA].T
        return total


def exposures_of(net: FloatArray, spot_usd: FloatArray) -> dict[str, FloatArray]:
    """Net greeks (..., 8) at spots (...) in the units that reports use; delta is the USD numeraire's."""
    return {
        "gex_usd_per_pct": net[..., GAMMA] * spot_usd**2 / 100.0,
        "vanna_usd_per_volpt": net[..., VANNA] * spot_usd / 100.0,
        "charm_usd_per_day": net[..., CHARM] * spot_usd / DAYS_PER_YEAR,
        "delta_usd": net[..., DELTA] * spot_usd,
        "vega_usd_per_volpt": net[..., VEGA] / 100.0,
    }


def _kernel_vols(book: Book, rows: IntArray, log_moves: FloatArray, dynamics: SmileDynamicsLike) -> FloatArray:
    if dynamics.ratio == 1.0:
        return book.iv[rows]
    return np.ascontiguousarray(moved_vols(book, rows, log_moves, dynamics))


def _parts(levels: int, rows: int) -> Iterator[slice]:
    step = max(1, CELLS_AT_ONCE // max(rows, 1))
    return (slice(start, min(start + step, levels)) for start in range(0, levels, step))


def _settling_greeks(
    book: Book, live: LiveRows, ratios: FloatArray, dynamics: SmileDynamicsLike, shift: float, ahead_ns: int, quote_move: float
) -> FloatArray:
    """Averaged greeks (8, g, r) of rows inside the settlement window: spot jumps now and stays, so the average fills up at the new level."""
    from tailwag.kernels.settlement import averaged_greeks

    rows, levels = live.settling, ratios.size
    spot = np.repeat(book.spot_usd * ratios, rows.size)
    vol = np.maximum(moved_vols(book, rows, np.log(ratios) - quote_move, dynamics) + shift, VOL_FLOOR)
    elapsed_now = np.maximum(SETTLEMENT_WINDOW_NS - (book.chain.expiry_ns[rows] - np.int64(book.at_ns)), 0).astype(np.float64)
    elapsed_then = np.maximum(SETTLEMENT_WINDOW_YEARS - live.settling_years, 0.0) * NS_PER_YEAR
    seen = np.tile(elapsed_now / np.maximum(elapsed_then, 1.0), levels) if ahead_ns else np.ones(levels * rows.size)
    known = np.tile(np.where(elapsed_now > 0.0, book.chain.estimated_delivery_usd[rows], book.spot_usd), levels)
    average = seen * known + (1.0 - seen) * spot
    repeated = [np.tile(column, levels) for column in (book.chain.right[rows], book.chain.strike_usd[rows], live.settling_years)]
    greeks = averaged_greeks(repeated[0], spot, repeated[1], repeated[2], vol.ravel(), average, SETTLEMENT_WINDOW_YEARS)
    return np.asarray(greeks).reshape(8, levels, rows.size)
