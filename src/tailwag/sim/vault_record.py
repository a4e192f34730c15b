"""Run the first paths of a scenario once more and write down what its option vaults sold, paid and kept, and what an epoch did to the market."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.vault import OptionVault, VaultState, VaultTrader
from tailwag.sim.engine import RunPlan, State, market_gain
from tailwag.sim.home_steps import home_steps
from tailwag.sim.scenario import Scenario
from tailwag.units import HOURS_PER_YEAR

WINDOW_HOURS = 48.0
"""Flows are looked at, and gains compared, from the first auction on for so long: the same hours whether auctions are spread or not."""
LAST_HOURS = 24.0
"""The pin is looked for in so many hours before an expiry."""


@dataclass(frozen=True, slots=True)
class VaultRecord:
    """One vault over the first paths of a run.  Shapes: (paths,), USD at the last price unless named.

    profit_usd = holding_usd + premium_usd - payoff_usd - fee_usd + open_usd + coin_usd + residual_usd, with ``holding_usd`` what its assets alone
    would have made, ``open_usd`` the value of what is sold and not expired (negative) and ``coin_usd`` what coin bought with premium and sold for
    payoffs made since, costs included.  ``assets`` in the vault's unit by its own books.
    """

    agent: OptionVault
    offered_coin: FloatArray
    sold_coin: FloatArray
    premium_usd: FloatArray
    model_usd: FloatArray
    payoff_usd: FloatArray
    fee_usd: FloatArray
    open_usd: FloatArray
    holding_usd: FloatArray
    coin_usd: FloatArray
    profit_usd: FloatArray
    assets: FloatArray

    @property
    def unsold_share(self) -> FloatArray:
        """The part of what was offered that nobody took at the reserve; 0 where nothing was offered."""
        return 1.0 - np.where(self.offered_coin > 0.0, self.sold_coin / np.where(self.offered_coin > 0.0, self.offered_coin, 1.0), 1.0)

    @property
    def against_holding_usd(self) -> FloatArray:
        """What selling options made against holding the assets; negative is a loss."""
        return self.profit_usd - self.holding_usd

    @property
    def residual_usd(self) -> FloatArray:
        """What the account does not explain; rounding."""
        told = self.holding_usd + self.premium_usd - self.payoff_usd - self.fee_usd + self.open_usd + self.coin_usd
        return self.profit_usd - told


@dataclass(frozen=True, slots=True)
class EpochWindow:
    """What the first epoch that is sold and expires inside the run did to the market, all vaults together.  Shapes: (paths,).

    ``gain_before``, ``gain_after``: the market's loop gain (short gamma > 0) before the first auction and 48 hours after it; ``largest_flow_usd``
    and ``flow_usd``: the largest net flow of one step between the two, and the sum of their sizes; ``pin``: realised vol of the last 24 hours before
    the expiry over that of the fundamental price (below 1: the strike holds it); ``nearest_strike_bps``: how far price expires from the nearest
    strike sold, at most 10,000 (nothing was sold).
    """

    gain_before: FloatArray
    gain_after: FloatArray
    largest_flow_usd: FloatArray
    flow_usd: FloatArray
    pin: FloatArray
    nearest_strike_bps: FloatArray


def record_vaults(scenario: Scenario, *, seed: int, paths: int) -> tuple[tuple[VaultRecord, ...], EpochWindow | None]:
    """Every vault of the scenario on the first ``paths`` paths, in the order of the scenario's agents, and its first whole epoch.

    The same paths as those of the run, by the plain engine.  No records where there are no vaults; no window where no epoch is sold and expires in
    the run.  With several venues: home's vaults, and gains and flows at home.
    """
    plan, states = home_steps(scenario, seed=seed, paths=paths)
    places = [place for place, seat in enumerate(plan.seats) if isinstance(seat.trader, VaultTrader)]
    if not places:
        return (), None
    spans = [span for place in places if (span := _span(plan, place)) is not None]
    span = None if not spans else (min(one[0] for one in spans), min(one[1] for one in spans), min(one[2] for one in spans))
    state = next(states)
    seen = _Seen(plan, span, places)
    for state in states:
        seen.note(state)
    in_order = sorted(places, key=lambda place: plan.seats[place].position)
    return tuple(_record(plan, place, state) for place in in_order), seen.window()


def _span(plan: RunPlan, place: int) -> tuple[int, int, int] | None:
    """Steps of a vault's first auction, of the end of its window, and of the first expiry; None where that comes after the run."""
    trader = plan.seats[place].trader
    assert isinstance(trader, VaultTrader)
    grid, epochs = plan.scenario.grid, trader.vault.epochs
    if trader.found.epochs == 0:
        return None
    expiry = int(trader.found.expiry_step[0])
    if expiry > grid.steps:
        return None
    hours = grid.years * HOURS_PER_YEAR
    first = epochs.first_hours + epochs.auction_after_hours
    return int(np.searchsorted(hours, first - 1e-8)), min(int(np.searchsorted(hours, first + WINDOW_HOURS - 1e-8)), expiry - 1), expiry


@dataclass(slots=True)
class _Seen:
    """What is written down of the market as it goes on; ``span``: first auction, end of the window and expiry of the epoch, in steps."""

    plan: RunPlan
    span: tuple[int, int, int] | None
    places: list[int]
    flows: list[FloatArray] = field(default_factory=list)
    prices: list[tuple[FloatArray, FloatArray]] = field(default_factory=list)
    gains: list[FloatArray] = field(default_factory=list)
    strikes: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    nearest_bps: FloatArray = field(default_factory=lambda: np.zeros(0))

    def note(self, state: State) -> None:
        """Keep what counts of a step."""
        if self.span is None:
            return
        first, last, expiry = self.span
        years = self.plan.scenario.grid.years
        if state.step in (first - 1, last):
            self.gains.append(market_gain(self.plan, state, state.step, state.log_price, state.vol_shift))
        if first <= state.step <= last:
            self.flows.append(np.abs(state.net_flow_usd))
        if years[expiry] - LAST_HOURS / HOURS_PER_YEAR <= years[state.step] <= years[expiry]:
            self.prices.append((state.log_price, state.fundamental_log))
        if state.step == expiry - 1:
            self.strikes = self._sold(state)
        if state.step == expiry:
            away = np.abs(np.log(self.strikes / self.plan.scenario.spot_usd) - state.log_price)
            self.nearest_bps = np.minimum(away.min(axis=0), 1.0) * 1e4

    def _sold(self, state: State) -> FloatArray:
        """Strikes with sold coin, (slots, paths); far away where a slot is free."""
        found = []
        for place in self.places:
            own: VaultState = state.seats[place].memory
            held = own.holding.slots.held
            found.append(np.where(held.coin != 0.0, held.strike_usd, 1e300))
        return np.concatenate(found)

    def window(self) -> EpochWindow | None:
        """The whole window, or None."""
        if self.span is None or len(self.gains) < 2:
            return None
        flows, (price, fundamental) = np.stack(self.flows), (np.stack(rows) for rows in zip(*self.prices))
        moved, alone = (np.sqrt((np.diff(logs, axis=0) ** 2).sum(axis=0)) for logs in (price, fundamental))
        pin = np.where(alone > 0.0, moved / np.where(alone > 0.0, alone, 1.0), 1.0)
        return EpochWindow(self.gains[0], self.gains[1], flows.max(axis=0), flows.sum(axis=0), pin, self.nearest_bps)


def _record(plan: RunPlan, place: int, state: State) -> VaultRecord:
    seat, own = plan.seats[place], state.seats[place]
    agent, memory = seat.agent, own.memory
    assert isinstance(agent, OptionVault)
    books, spot = memory.books, plan.scenario.spot_usd * np.exp(state.log_price)
    coins = agent.assets if agent.right > 0 else 0.0
    cash = own.holding.cash_usd - (books.premium_usd - books.payoff_usd - books.fee_usd)
    return VaultRecord(
        agent,
        books.offered_coin,
        books.sold_coin,
        books.premium_usd,
        books.model_usd,
        books.payoff_usd,
        books.fee_usd,
        memory.holding.value_usd,
        coins * (spot - plan.scenario.spot_usd),
        (own.holding.position_coin - coins) * spot + cash,
        own.holding.pnl_usd.sum(axis=0),
        books.assets,
    )
