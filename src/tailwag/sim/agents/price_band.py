"""A price band with a pause: forced and hedging trades stop at the edge of a band around a reference price, rest for a while, and go on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.kernels.booking import row
from tailwag.kernels.price_band import SAME_TIME_YEARS, Times, edges, stepped
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.agents.margined_book import MarginedBook
from tailwag.sim.agents.protocol import Account, Agent, Demand, Draws, Market, Move, OptionStep, Orders, Trader, View
from tailwag.units import HOURS_PER_YEAR

MINUTES_PER_YEAR = 60.0 * HOURS_PER_YEAR


@dataclass(frozen=True, slots=True)
class PriceBand:
    """Any agent on a venue with a price band: it buys and sells at prices within ``band_log`` of the reference only, then pauses.

    In a step that would clear beyond the band, no more is traded than at its edge.  From then on the agent rests for ``pause_minutes`` (orders on
    their way still arrive), while the fundamental price goes on elsewhere; afterwards the reference is the price that is found then.  It is renewed every
    ``window_minutes`` in calm times too.  Positions that would have been liquidated during the pause are liquidated afterwards only if their level is
    still passed.  InputError for a band, pause or window of 0 or less, and for leveraged traders and margined books: whom their venue liquidates stands in
    accounts of their own, which no band pauses.
    """

    inner: Agent
    band_log: float
    pause_minutes: float
    window_minutes: float

    def __post_init__(self) -> None:
        for name in ("band_log", "pause_minutes", "window_minutes"):
            if not 0.0 < getattr(self, name) < 1e6:
                raise InputError(f"agent {self.name!r}: expected {name} above 0, got {getattr(self, name):g}; 0.05 is a band of 5 %")
        if isinstance(self.inner, LeveragedTraders | MarginedBook):
            raise InputError(
                f"agent {self.name!r}: expected an agent that can rest behind a price band, got {type(self.inner).__name__}, whose venue keeps accounts "
                "of its own; take a liquidation ladder"
            )

    @property
    def name(self) -> str:
        """The inner agent's."""
        return self.inner.name

    @property
    def delay_steps(self) -> int:
        """The inner agent's."""
        return self.inner.delay_steps

    def __getattr__(self, word: str) -> Any:
        """What else the market asks of an agent (its book, instrument, execution) is the inner agent's."""
        if word.startswith("__") or word in ("inner", "band_log", "pause_minutes", "window_minutes"):
            raise AttributeError(word)
        return getattr(self.inner, word)

    def __str__(self) -> str:
        return f"{self.inner}, within {100 * self.band_log:g} % of a reference, else paused {self.pause_minutes:g} minutes"

    def content(self) -> str:
        """The inner agent's and the band."""
        return f"{self.inner.content()} price band {self.band_log!r} {self.pause_minutes!r} {self.window_minutes!r}"

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """The inner agent's."""
        return self.inner.starting_dollar_gamma_usd(spot_usd)

    def at_work(self, market: Market) -> Trader:
        """The inner agent at work behind the band."""
        return BandTrader(self, self.inner.at_work(market), market)


@dataclass(frozen=True, slots=True)
class BandState:
    """The inner agent's memory, the reference price and its time, and until when the path is paused.  Shapes: (paths,).

    ``earns``: the inner agent had options to tell of in the last step.
    """

    inner: Any
    reference_log: FloatArray
    since_years: FloatArray
    until_years: FloatArray
    earns: bool = False


@dataclass(frozen=True, slots=True)
class BandTrader:
    """The agent behind the band at work."""

    band: PriceBand
    trader: Trader
    market: Market

    def init(self, paths: int, draw: Draws) -> BandState:
        """The first price is the first reference; nothing is paused."""
        nothing = np.zeros(paths)
        return BandState(self.trader.init(paths, draw), nothing, nothing, np.full(paths, -1.0))

    def start_coin(self, state: BandState) -> FloatArray:
        """The inner agent's."""
        return self.trader.start_coin(state.inner)

    def act(self, view: View, account: Account, state: BandState, draw: Draws) -> Orders:
        """The inner agent's orders: none in a pause, and no more than at the edge of the band."""
        orders = self.trader.act(view, account, state.inner, draw)
        paths, inner, chosen = state.until_years.size, orders.demand, orders.some
        trading, (low, high, scale) = np.empty(paths, dtype=np.bool_), np.empty((3, paths))
        smooth = row(np.inf if orders.scale_log is None else orders.scale_log, paths)
        all_trade = edges(view.time_years, self.band.band_log, state.reference_log, state.until_years, smooth, (trading, low, high, scale))
        usd = orders.usd if all_trade else np.where(trading, orders.usd, 0.0)
        coin = orders.coin if all_trade else usd if orders.coin is orders.usd else np.where(trading, orders.coin, 0.0)
        if inner is None:
            return replace(orders, usd=usd, coin=coin)

        def some(paths: IntArray) -> Demand:
            assert chosen is not None
            return self._within(chosen(paths), (trading[paths], low[paths], high[paths]))

        walked, band = orders.walked, (trading, low, high)
        return Orders(
            usd=usd,
            coin=coin,
            demand=self._within(inner, band),
            scale_log=scale,
            some=None if chosen is None else some,
            # of two bands, one in the other, the agents are asked themselves
            walked=None if walked is None or walked.band is not None else replace(walked, band=band),
        )

    def _within(self, inner: Demand, band: tuple[BoolArray, FloatArray, FloatArray]) -> Demand:
        """The inner demand where it trades, held at the edges of the band."""
        trading, low, high = band

        def demand(log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
            usd, coin, slope_usd, slope_coin = inner(np.minimum(np.maximum(log_price, low), high), vol_shift)
            moving = trading & (log_price > low) & (log_price < high)
            return (
                np.where(trading, usd, 0.0),
                np.where(trading, coin, 0.0),
                np.where(moving, slope_usd, 0.0),
                np.where(moving, slope_coin, 0.0),
            )

        return demand

    def liquidation_usd(self, log_price: FloatArray, view: View, state: BandState) -> FloatArray:
        """What the inner agent would liquidate inside the band, (paths,); nothing in a pause, or of an agent that liquidates nobody."""
        would = getattr(self.trader, "liquidation_usd", None)
        if would is None:
            return np.zeros(log_price.shape)
        edge = np.clip(log_price, state.reference_log - self.band.band_log, state.reference_log + self.band.band_log)
        return np.where(self._paused(view.time_years, state), 0.0, would(edge, view, state.inner))

    def dollar_gamma_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: BandState) -> FloatArray:
        """The inner agent's; none while it rests."""
        answered = self.trader.dollar_gamma_usd(step, log_price, vol_shift, state.inner)
        return np.where(self._paused(float(self.market.grid.years[step]), state), 0.0, answered)

    def hedged_vega_usd(self, step: int, log_price: FloatArray, vol_shift: FloatArray, state: BandState) -> FloatArray:
        """The inner agent's."""
        return self.trader.hedged_vega_usd(step, log_price, vol_shift, state.inner)

    def options(self, move: Move, state: BandState) -> tuple[OptionStep | None, BandState]:
        """What the options earned; and whether the band was met in this step, or the reference renewed."""
        band, paths = self.band, state.until_years.size
        times = Times(
            float(self.market.grid.years[move.step]), band.window_minutes / MINUTES_PER_YEAR, band.pause_minutes / MINUTES_PER_YEAR
        )
        (reference, since, until, seen), moving = np.empty((4, paths)), np.empty(paths, dtype=np.bool_)
        before = (state.reference_log, state.since_years, state.until_years)
        log_price, late = row(move.log_price, paths), band.delay_steps > 0
        differs = stepped(times, band.band_log, late, before, log_price, move.live, (reference, since, until), (seen, moving))
        earned, inner = self._inner(move, replace(move, log_price=seen, live=moving) if differs else move, state)
        return earned, BandState(inner, reference, since, until, earned is not None)

    def gap_usd(
        self, step: int, log_price: FloatArray, spot_usd: FloatArray, vol_shift: FloatArray, account: Account, state: BandState
    ) -> FloatArray:
        """The inner agent's: a hedge that may not be traded is missing all the same."""
        return self.trader.gap_usd(step, log_price, spot_usd, vol_shift, account, state.inner)

    def _inner(self, move: Move, held: Move, state: BandState) -> tuple[OptionStep | None, Any]:
        """Options earn what the price did.  An agent without any remembers how far the price has been: it must not take a price for reached at which
        nobody could trade, so it sees the move ``held`` within the band.  Which it is, is known when it has answered: the likelier is asked first."""
        earned, inner = self.trader.options(move if state.earns else held, state.inner)
        if held is move or (earned is not None) == state.earns:
            return earned, inner
        return self.trader.options(held if state.earns else move, state.inner)

    def _paused(self, now_years: float, state: BandState) -> BoolArray:
        return np.asarray(now_years <= state.until_years + SAME_TIME_YEARS)
