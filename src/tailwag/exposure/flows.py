"""Hedge flow: what the holders of a book must buy when spot, vol or time moves."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.errors import InputError, ProfileRangeError
from tailwag.exposure.book import Book
from tailwag.exposure.greeks import CHARM, DELTA, GAMMA, VANNA
from tailwag.exposure.profile import Profile
from tailwag.exposure.reprice import VOL_FLOOR, SmileDynamicsLike, hours_to_ns, live_rows, moved_vols, net_on_grid
from tailwag.exposure.sums import exact_sum
from tailwag.kernels.arrays import FloatArray, frozen
from tailwag.units import HOURS_PER_YEAR, PCT, VOLPT

if TYPE_CHECKING:
    import polars
    from plotly.graph_objects import Figure

    from tailwag.figures.palette import Theme

SPOT_MOVES_PCT = (-10.0, -5.0, -3.0, -1.0, 0.0, 1.0, 3.0, 5.0, 10.0)
VOL_MOVES_VOLPT = (-5.0, 0.0, 5.0)
HOURS = (0.0, 1.0, 24.0)
MOST_HOURS = 20 * HOURS_PER_YEAR


@dataclass(frozen=True, slots=True)
class HedgeFlow:
    """What delta hedgers of a book buy after each scenario, split by cause.  Sign: + they buy, - they sell.

    Shapes: every array (s,).  Units: coin, and USD at the current spot.  buy_usd = gamma + vanna + charm + residual:

    * ``gamma_usd``: - sum position * gamma * S^2 * (spot move), the flow that GEX promises;
    * ``vanna_usd``: - sum position * vanna * S * (change of the row's volatility: what the smile dynamics give at the moved spot, plus
      the vol move, floored at 1e-4);
    * ``charm_usd``: - (delta that the book gains per year with nothing moving) * hours / 8760;
    * ``residual_usd``: what these first-order terms, at today's greeks, do not explain: everything of second order, and expiries.

    ``expiry_usd`` is the part of ``buy_usd`` that comes from options which expire within the hours: after settlement no hedge is needed,
    so the hedge that is held today is unwound.
    """

    spot_move_pct: FloatArray
    vol_move_volpt: FloatArray
    hours: FloatArray
    buy_coin: FloatArray
    buy_usd: FloatArray
    gamma_usd: FloatArray
    vanna_usd: FloatArray
    charm_usd: FloatArray
    residual_usd: FloatArray
    expiry_usd: FloatArray

    def __len__(self) -> int:
        return int(self.buy_usd.size)

    def __str__(self) -> str:
        if not len(self):
            return "no scenarios"
        if len(self) == 1:
            deed = "buy" if self.buy_usd[0] >= 0 else "sell"
            return (
                f"spot {self.spot_move_pct[0]:+g} %, vol {self.vol_move_volpt[0]:+g} points, {self.hours[0]:g} h: hedgers {deed} "
                f"{abs(self.buy_usd[0]) / 1e6:,.1f} M USD ({abs(self.buy_coin[0]):,.0f} coin)"
            )
        most, least = int(np.argmax(self.buy_usd)), int(np.argmin(self.buy_usd))
        return f"{len(self)} scenarios: from {self.at(least)} to {self.at(most)}"

    def at(self, index: int) -> HedgeFlow:
        """One scenario of them."""
        return HedgeFlow(**{name: frozen(getattr(self, name)[index]) for name in self.__dataclass_fields__})

    def plot(self, *, hours: float = 0.0, theme: Theme = "light") -> Figure:
        """The hedge-flow map (spot move by vol move) at one horizon of the scenarios, as an interactive figure."""
        from tailwag.figures import hedge_flow_map

        rows = self.hours == hours
        return hedge_flow_map(self.spot_move_pct[rows], self.vol_move_volpt[rows], self.buy_usd[rows], theme=theme)

    def to_frame(self) -> polars.DataFrame:
        """One row per scenario."""
        import polars as pl

        return pl.DataFrame({name: getattr(self, name) for name in self.__dataclass_fields__})


def scenario_grid(
    spot_moves_pct: Any = SPOT_MOVES_PCT, vol_moves_volpt: Any = VOL_MOVES_VOLPT, hours: Any = HOURS
) -> dict[str, FloatArray]:
    """Every combination of spot move, vol move and hours, as the arguments of :func:`hedge_flows`.

    >>> {name: values.tolist() for name, values in scenario_grid([1.0, 2.0], [0.0], [0.0, 24.0]).items()}
    {'move_pct': [1.0, 1.0, 2.0, 2.0], 'vol_move_volpt': [0.0, 0.0, 0.0, 0.0], 'hours': [0.0, 24.0, 0.0, 24.0]}
    """
    rows = np.array(list(itertools.product(spot_moves_pct, vol_moves_volpt, hours)), dtype=np.float64).reshape(-1, 3)
    return {"move_pct": rows[:, 0], "vol_move_volpt": rows[:, 1], "hours": rows[:, 2]}


def hedge_flows(profile: Profile, *, move_pct: Any, vol_move_volpt: Any = 0.0, hours: Any = 0.0) -> HedgeFlow:
    """What the profile's hedgers must buy after each (spot, vol, time) move, by full repricing under the profile's smile dynamics.

    buy = -(delta(S (1 + m), sigma moved by the dynamics + v, t + h) - delta(S, sigma, t)).  The three arguments broadcast.  Spot and vol
    move at once, then time passes; an option that has expired needs no hedge.  Short gamma buys rises.

    Raises ProfileRangeError for a spot move outside -95 % to +1900 %, InputError for hours below 0 or beyond 20 years.
    Source: docs/explanation/loop-gain.
    """
    return book_flows(profile.book, dynamics=profile.dynamics, move_pct=move_pct, vol_move_volpt=vol_move_volpt, hours=hours)


def book_flows(book: Book, *, dynamics: SmileDynamicsLike, move_pct: Any, vol_move_volpt: Any = 0.0, hours: Any = 0.0) -> HedgeFlow:
    """Hedge flows of any priced book; see :func:`hedge_flows`."""
    moves, shifts, ahead = (
        np.array(column, dtype=np.float64) for column in np.broadcast_arrays(*np.atleast_1d(move_pct, vol_move_volpt, hours))
    )
    _check(moves, shifts, ahead)
    spot = book.spot_usd
    before = float(net_on_grid(book, np.ones(1), dynamics=dynamics)[0, 0, DELTA])
    buy_coin, expiry_usd, vanna = np.zeros(moves.size), np.zeros(moves.size), np.zeros(moves.size)
    for when in np.unique(ahead):
        chosen = np.flatnonzero(ahead == when)
        ratios, of_ratio = np.unique(1.0 + PCT * moves[chosen], return_inverse=True)
        levels, of_level = np.unique(VOLPT * shifts[chosen], return_inverse=True)
        ahead_ns = hours_to_ns(float(when))
        after = net_on_grid(book, ratios, dynamics=dynamics, vol_shifts=levels, ahead_ns=ahead_ns)[:, :, DELTA]
        buy_coin[chosen] = -(after[of_level, of_ratio] - before)
        vanna[chosen] = _vanna_delta(book, dynamics, ratios, levels)[of_level, of_ratio]
        expiry_usd[chosen] = _delta_expiring(book, ahead_ns) * spot
    net_gamma, net_charm = (exact_sum(np.nan_to_num(book.position_coin * book.greeks[greek])) for greek in (GAMMA, CHARM))
    parts = {
        "gamma_usd": -net_gamma * spot**2 * PCT * moves,
        "vanna_usd": -vanna * spot,
        "charm_usd": -net_charm * spot * ahead / HOURS_PER_YEAR,
    }
    if book.is_unpriced:
        buy_coin[:] = expiry_usd[:] = np.nan
        parts = {name: np.full_like(moves, np.nan) for name in parts}
    buy_usd = buy_coin * spot
    residual = buy_usd - (parts["gamma_usd"] + parts["vanna_usd"] + parts["charm_usd"])
    columns = {"spot_move_pct": moves, "vol_move_volpt": shifts, "hours": ahead, "buy_coin": buy_coin, "buy_usd": buy_usd, **parts}
    columns |= {"residual_usd": residual, "expiry_usd": expiry_usd}
    return HedgeFlow(**{name: frozen(values + 0.0) for name, values in columns.items()})


def _vanna_delta(book: Book, dynamics: SmileDynamicsLike, ratios: FloatArray, shifts: FloatArray) -> FloatArray:
    """Delta in coin that the change of each row's volatility adds at today's vanna: (v, g)."""
    live = live_rows(book)
    rows = np.concatenate([live.plain, live.settling])
    weight = np.nan_to_num(book.position_coin[rows] * book.greeks[VANNA, rows])
    moved = moved_vols(book, rows, np.log(ratios), dynamics)
    return np.array(
        [[exact_sum(weight * (np.maximum(at_spot + shift, VOL_FLOOR) - book.iv[rows])) for at_spot in moved] for shift in shifts]
    )


def _delta_expiring(book: Book, ahead_ns: int) -> float:
    """Delta in coin, today, of the options that are gone ``ahead_ns`` from now."""
    gone = (book.chain.expiry_ns <= np.int64(book.at_ns + ahead_ns)) if ahead_ns > 0 else np.zeros(len(book), dtype=bool)
    return exact_sum(np.nan_to_num(book.position_coin * book.greeks[DELTA])[gone & book.usable])


def _check(moves: FloatArray, shifts: FloatArray, ahead: FloatArray) -> None:
    if not bool(np.all((moves >= -95.0) & (moves <= 1900.0))):
        raise ProfileRangeError(f"spot moves expect -95 to +1900 %, got {moves[~((moves >= -95.0) & (moves <= 1900.0))][0]:g} %")
    if not bool(np.all(np.isfinite(shifts))):
        raise InputError("vol moves expect finite vol points (5 = from 60 % to 65 %)")
    if not bool(np.all((ahead >= 0.0) & (ahead <= MOST_HOURS))):
        raise InputError(f"hours expect 0 to {MOST_HOURS} (20 years), got {ahead[~((ahead >= 0.0) & (ahead <= MOST_HOURS))][0]:g}")
