"""The closed loop over several assets, one step at a time: correlated moves, hedges that cross assets, cross-impact, accounts.

One step: x_pre = x + eps, then x' = x_pre + impact @ (all flows).  A dealer's gap is -hedge_ratio @ gamma_usd @ x less what it has bought and
what is on its way; those without delay are sized at x', so x' = (I - G)^-1 (x_pre + impact @ (late orders - bought)), G their gain.
Sums over assets and dealers are written out in a fixed order: no bit depends on how the paths are split.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray, zero_row
from tailwag.kernels.random import normals
from tailwag.sim.agents.protocol import Move, OptionStep
from tailwag.sim.assets_scenario import AssetDealer, AssetScenario
from tailwag.sim.ledger import Fill, Holding, Terms, book_step
from tailwag.sim.prices_checks import PRICE_STREAM
from tailwag.sim.state import Outcome


@dataclass(frozen=True, slots=True)
class AssetPlan:
    """What all blocks share; ``dealers`` in the order of content, ``positions`` their places in the scenario."""

    scenario: AssetScenario
    dealers: tuple[AssetDealer, ...]
    positions: tuple[int, ...]
    factor: FloatArray
    answer: FloatArray
    seed: int


@dataclass(frozen=True, slots=True)
class DealerState:
    """One dealer: an account per asset, its options' deltas in coin (assets, paths), and orders on their way (slots, assets, paths) in USD."""

    holdings: tuple[Holding, ...]
    option_coin: FloatArray
    flight_usd: FloatArray

    @property
    def bought_usd(self) -> FloatArray:
        """USD bought so far, (assets, paths)."""
        return np.stack([holding.bought_usd for holding in self.holdings])


@dataclass(frozen=True, slots=True)
class AssetState:
    """A block of paths between two steps.  Shapes: (assets, paths); cash, outcome and stopped_step (paths,)."""

    step: int
    first_path: int
    log_price: FloatArray
    fundamental_log: FloatArray
    dealers: tuple[DealerState, ...]
    liquidity_coin: FloatArray
    liquidity_usd: FloatArray
    venue_usd: FloatArray
    outcome: IntArray
    stopped_step: IntArray

    @property
    def live(self) -> BoolArray:
        """Paths that still trade."""
        return np.asarray(self.outcome == int(Outcome.FINISHED))


def plan_assets(scenario: AssetScenario, *, seed: int) -> AssetPlan:
    """Order the dealers by what they are, and solve once for how same-step hedgers answer."""
    order = sorted(range(len(scenario.dealers)), key=lambda place: scenario.dealers[place].content())
    size = len(scenario.assets)
    return AssetPlan(
        scenario,
        tuple(scenario.dealers[place] for place in order),
        tuple(order),
        _factor(scenario.covariance),
        np.asarray(np.linalg.inv(np.eye(size) - scenario.same_step_gain)),
        seed,
    )


def init_assets(plan: AssetPlan, first_path: int, paths: int) -> AssetState:
    """The start of a block: nothing traded."""
    size = len(plan.scenario.assets)
    nothing, blank = np.zeros(paths), np.zeros((size, paths))
    dealers = []
    for dealer in plan.dealers:
        holdings = tuple(Holding.opened(nothing, float(spot)) for spot in plan.scenario.spot_usd)
        dealers.append(DealerState(holdings, blank, np.zeros((max(dealer.delay_steps, 1), size, paths))))
    finished = np.full(paths, int(Outcome.FINISHED))
    stopped = np.full(paths, plan.scenario.grid.steps)
    return AssetState(0, first_path, blank, blank, tuple(dealers), blank, nothing, nothing, finished, stopped)


def step_assets(plan: AssetPlan, state: AssetState) -> AssetState:
    """One step of the loop for a block of paths; writes into nothing it was given."""
    now, live = state.step + 1, state.live
    years = float(plan.scenario.grid.years[now] - plan.scenario.grid.years[now - 1])
    increments = _increments(plan, state, now, years)
    log_pre = state.log_price + np.where(live, increments, 0.0)
    log_price, flows = _clear(plan, state, log_pre)
    bound = plan.scenario.stop_log_move
    runaway = live & ~(np.abs(log_price) <= bound).all(axis=0)
    log_price = np.where(live, np.clip(log_price, -bound, bound), state.log_price)
    flows = [np.where(live & ~runaway, flow, 0.0) for flow in flows]
    after = _book(plan, state, years, log_pre, log_price, flows)
    after = replace(
        after,
        fundamental_log=state.fundamental_log + increments,
        outcome=np.where(runaway, int(Outcome.RUNAWAY), state.outcome),
        stopped_step=np.where(runaway, now, state.stopped_step),
    )
    return replace(after, dealers=tuple(_submit(dealer, own, after) for dealer, own in zip(plan.dealers, after.dealers)))


def times(matrix: FloatArray, values: FloatArray) -> FloatArray:
    """matrix @ values, (rows, paths), summed column by column so that no bit depends on how many paths there are."""
    total = np.zeros((matrix.shape[0], values.shape[1]))
    for column in range(matrix.shape[1]):
        total = total + matrix[:, column, None] * values[column]
    return total


def _factor(covariance: FloatArray) -> FloatArray:
    """Lower triangle L with L L' = covariance; a row of an asset that follows others exactly has no shock of its own."""
    size = len(covariance)
    factor = np.zeros((size, size))
    for row in range(size):
        for column in range(row + 1):
            left = covariance[row, column] - float(factor[row, :column] @ factor[column, :column])
            if row == column:
                factor[row, row] = np.sqrt(left) if left > 1e-14 * covariance[row, row] else 0.0
            elif factor[column, column] > 0.0:
                factor[row, column] = left / factor[column, column]
    return factor


def _increments(plan: AssetPlan, state: AssetState, now: int, years: float) -> FloatArray:
    size, paths = state.log_price.shape
    shocks = normals(plan.seed, PRICE_STREAM, state.first_path, paths, now, size)
    return times(plan.factor * np.sqrt(years), shocks)


def _clear(plan: AssetPlan, state: AssetState, log_pre: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
    """Clearing log prices and every dealer's flow in USD, each (assets, paths)."""
    impact, blank = plan.scenario.impact_per_usd, np.zeros(log_pre.shape)
    fixed = blank
    for dealer, own in zip(plan.dealers, state.dealers):
        fixed = fixed + (own.flight_usd[0] if dealer.delay_steps else -own.bought_usd)
    log_price = times(plan.answer, log_pre + times(impact, fixed))
    flows = [
        own.flight_usd[0] if dealer.delay_steps else times(-dealer.hedged_gamma_usd, log_price) - own.bought_usd
        for dealer, own in zip(plan.dealers, state.dealers)
    ]
    total = blank
    for flow in flows:
        total = total + flow
    return log_pre + times(impact, total), flows


def _submit(dealer: AssetDealer, own: DealerState, state: AssetState) -> DealerState:
    """A late dealer sees the cleared prices and sends the order that arrives ``delay_steps`` steps later."""
    if dealer.delay_steps == 0:
        return own
    gap = times(-dealer.hedged_gamma_usd, state.log_price) - own.bought_usd - own.flight_usd.sum(axis=0)
    later = own.flight_usd.copy()
    later[dealer.delay_steps - 1] += np.where(state.live, gap, 0.0)
    return replace(own, flight_usd=later)


def _book(
    plan: AssetPlan, state: AssetState, years: float, log_pre: FloatArray, log_price: FloatArray, flows: list[FloatArray]
) -> AssetState:
    """Accounts after the trades: for every asset, liquidity providers are the other side of every fill."""
    moves = [_move(plan, state, years, log_pre[asset], log_price[asset], asset) for asset in range(len(log_price))]
    coin, cash, venue = state.liquidity_coin, state.liquidity_usd, state.venue_usd
    dealers = []
    for dealer, own, flow in zip(plan.dealers, state.dealers, flows):
        curved = times(dealer.gamma_usd, log_price - state.log_price)
        holdings, bought = [], []
        for asset, move in enumerate(moves):
            fill = Fill(flow[asset], flow[asset] / move.fill_usd)
            booked = book_step(
                own.holdings[asset], fill, _option_step(dealer, own, move, curved, asset), move, Terms(plan.scenario.costs, False, 0.0)
            )
            holdings.append(booked.holding)
            bought.append(fill.coin)
            cash, venue = cash + booked.to_liquidity_usd, venue + booked.to_venue_usd
        coin = coin - np.stack(bought)
        option_coin = own.option_coin + curved / np.stack([move.fill_usd for move in moves])
        dealers.append(DealerState(tuple(holdings), option_coin, _arrived(own.flight_usd)))
    return replace(
        state, step=state.step + 1, log_price=log_price, dealers=tuple(dealers), liquidity_coin=coin, liquidity_usd=cash, venue_usd=venue
    )


def _move(plan: AssetPlan, state: AssetState, years: float, log_pre: FloatArray, log_price: FloatArray, asset: int) -> Move:
    start, before, nothing = float(plan.scenario.spot_usd[asset]), state.log_price[asset], np.zeros(log_price.shape)
    spot = start * np.exp(log_price)
    middle = 0.5 * (start * np.exp(log_pre) + spot)
    return Move(state.step + 1, years, start * np.exp(before), spot, middle, before, log_price, nothing, nothing, state.live)


def _option_step(dealer: AssetDealer, own: DealerState, move: Move, curved: FloatArray, asset: int) -> OptionStep:
    """What the options earn through one asset: their delta carried, and gamma (cross-gamma by halves) against theta."""
    assert dealer.implied_covariance is not None
    delta = own.option_coin[asset] * (move.spot_usd - move.spot_before_usd)
    theta = float((dealer.gamma_usd[asset] * dealer.implied_covariance[asset]).sum()) * move.step_years
    gamma_theta = 0.5 * ((move.log_price - move.log_before) * curved[asset] - theta) * move.live
    nothing = zero_row(delta.size)
    return OptionStep(delta, gamma_theta, nothing, nothing, delta + gamma_theta, nothing)


def _arrived(flight: FloatArray) -> FloatArray:
    return np.concatenate((flight[1:], np.zeros((1, *flight.shape[1:]))))
