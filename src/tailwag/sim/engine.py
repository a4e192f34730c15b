"""The closed loop, one step at a time: exogenous move, orders, clearing, accounts.

``init`` and ``step`` are pure transitions over a block of paths.  Agents see a public view and their own account, never each other; they
are summed, and draw their random numbers, in an order that depends on what they are and not on their names.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from tailwag.errors import InputError
from tailwag.hedging.execution import Maker
from tailwag.hedging.policies import Predictive
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.kernels.booking import zero_row
from tailwag.kernels.random import uniforms
from tailwag.sim.agents.protocol import (
    TO_FILL,
    Account,
    Agent,
    Draws,
    Market,
    Move,
    Orders,
    Trader,
    View,
    checked_orders,
    missing_words,
)
from tailwag.sim.clearing import Cleared, clear
from tailwag.sim.demands import Demands, chosen_paths, only_where
from tailwag.sim.impact import ImpactState
from tailwag.sim.ledger import Booked, Fill, Holding, Terms, book_step, open_shares, with_gap
from tailwag.sim.option_model import OptionModel
from tailwag.sim.option_trading import OptionDesk, trade_options
from tailwag.sim.orders import Flight, sum_in_order
from tailwag.sim.scenario import Scenario
from tailwag.sim.sight import sees_others, with_sight
from tailwag.sim.state import Outcome
from tailwag.sim.vega_loop import VegaDesk, VegaMarket
from tailwag.sim.vol_reach import vol_reach
from tailwag.sim.walked import Market as SearchedMarket

AGENT_STREAMS = 1 << 62
"""Streams of agents start here; those below belong to the price."""
LEAST_VOL = 1e-4
DAYS_PER_YEAR = 365.0


@dataclass(frozen=True, slots=True)
class Seat:
    """An agent at its place in the market: ready to work, with its own stream of random numbers and what it pays."""

    agent: Agent
    trader: Trader
    stream: int
    terms: Terms
    weights: FloatArray
    fill_probability: float | None
    position: int
    hedges_vega: bool
    reads_gain: bool = False


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What all blocks of a run share; ``seats`` are in the order of content.  ``walks``: compiled code searches prices if it knows all demands."""

    scenario: Scenario
    seats: tuple[Seat, ...]
    seed: int
    needs_gain: bool
    option_model: OptionModel | None = None
    walks: bool = False


@dataclass(frozen=True, slots=True)
class SeatState:
    """One agent's account, orders on their way, its own memory, and its vega hedge where it has one."""

    holding: Holding
    flight: Flight
    memory: Any
    desk: VegaDesk | None = None


@dataclass(frozen=True, slots=True)
class State:
    """A block of paths between two steps.  Shapes: (paths,).  ``recent_usd``: prices of the last 30 minutes, where options trade."""

    step: int
    first_path: int
    log_price: FloatArray
    fundamental_log: FloatArray
    vol_shift: FloatArray
    price: tuple[FloatArray, ...]
    impact: ImpactState
    seats: tuple[SeatState, ...]
    liquidity_coin: FloatArray
    liquidity_usd: FloatArray
    venue_usd: FloatArray
    holders_usd: FloatArray
    net_flow_usd: FloatArray
    fills_usd: tuple[FloatArray, ...]
    outcome: IntArray
    stopped_step: IntArray
    recent_usd: tuple[FloatArray, ...] = ()

    @property
    def live(self) -> BoolArray:
        """Paths that still trade."""
        return np.asarray(self.outcome == int(Outcome.FINISHED))


def plan_run(scenario: Scenario, *, seed: int, tabulate: bool = False, full_pnl: bool = True) -> RunPlan:
    """Put every agent in its seat, in the order of what they are."""
    model = None if scenario.options is None else OptionModel(scenario.options, scenario.grid, scenario.spot_usd)
    reach = vol_reach(scenario) if tabulate else math.inf
    market = Market(scenario.spot_usd, scenario.grid, tabulate=tabulate, full_pnl=full_pnl, option_model=model, vol_reach=reach)
    seats = [_seat(scenario, agent, market, position) for position, agent in enumerate(scenario.agents)]
    predicted = any(isinstance(getattr(agent, "policy", None), Predictive) for agent in scenario.agents)
    in_order = tuple(sorted(seats, key=lambda seat: seat.agent.content()))
    return RunPlan(scenario, in_order, seed, predicted or scenario.clearing == "damped", model, tabulate)


def _seat(scenario: Scenario, agent: Agent, market: Market, position: int) -> Seat:
    digest = hashlib.sha256(agent.content().encode()).digest()
    execution = getattr(agent, "execution", None)
    makes = isinstance(execution, Maker)
    instrument = getattr(agent, "instrument", None)
    trader = agent.at_work(market)
    missing = missing_words(trader, Trader)
    if missing:
        raise InputError(f"agent {agent.name!r}: expected at_work() to hand over a trader, got one without {missing}")
    if (hasattr(trader, "option_orders") or hasattr(trader, "quote")) and not hasattr(trader, "traded"):
        raise InputError(
            f"agent {agent.name!r}: expected a trader of options to have traded(fill, state), got one without; its options would be lost"
        )
    return Seat(
        agent,
        trader,
        AGENT_STREAMS + int.from_bytes(digest[:7], "big"),
        Terms(scenario.costs, makes, 0.0 if instrument is None else instrument.funding_per_year),
        np.ones(1) if execution is None else execution.weights(),
        execution.fill_probability if isinstance(execution, Maker) else None,
        position,
        getattr(agent, "vega_hedge_share", 0.0) > 0.0,
        bool(getattr(agent, "reads_gain", False)),
    )


def init(plan: RunPlan, first_path: int, paths: int) -> State:
    """The start of a block: everybody hedged, nothing traded."""
    scenario = plan.scenario
    nothing = np.zeros(paths)
    seats = []
    for seat in plan.seats:
        memory = seat.trader.init(paths, _draws(plan, seat, first_path, paths))
        slots = max(seat.agent.delay_steps - 1 + seat.weights.size, 1)
        desk = (
            VegaDesk.opened(seat.trader.hedged_vega_usd(0, nothing, nothing, memory), seat.agent.delay_steps) if seat.hedges_vega else None
        )
        holding = Holding.opened(seat.trader.start_coin(memory), scenario.spot_usd, cost_usd=opening_cost_usd(seat))
        seats.append(SeatState(holding, Flight.empty(slots, paths), memory, desk))
    return State(
        step=0,
        first_path=first_path,
        log_price=nothing,
        fundamental_log=nothing,
        vol_shift=nothing,
        price=scenario.price.init(paths),
        impact=scenario.impact.init(paths),
        seats=tuple(seats),
        liquidity_coin=nothing,
        liquidity_usd=nothing + math.fsum(opening_cost_usd(seat) for seat in plan.seats),
        venue_usd=nothing,
        holders_usd=nothing,
        net_flow_usd=nothing,
        fills_usd=tuple(nothing for _ in seats),
        outcome=np.full(paths, int(Outcome.FINISHED)),
        stopped_step=np.full(paths, scenario.grid.steps),
        recent_usd=() if plan.option_model is None else (np.full(paths, scenario.spot_usd),),
    )


def opening_cost_usd(seat: Seat) -> float:
    """What an agent paid liquidity providers in spreads for options it starts with."""
    return float(getattr(seat.agent, "opening_cost_usd", 0.0))


@dataclass(frozen=True, slots=True)
class Exogenous:
    """The part of a step that nobody trades: prices before trading and the vol shift's own course."""

    step: int
    step_years: float
    log_pre: FloatArray
    spot_pre_usd: FloatArray
    fundamental_log: FloatArray
    shift_base: FloatArray
    price: tuple[FloatArray, ...]
    impact: ImpactState


def step(plan: RunPlan, state: State) -> State:
    """One step of the loop for a block of paths."""
    before = _exogenous(plan, state)
    if plan.option_model is not None:
        state = _trade_options(plan, plan.option_model, state, before)
    market_orders, same_step, flights = _collect(plan, state, before)
    log_price, fills, found = _clear(plan, state, before, market_orders, same_step)
    net_usd = sum_in_order([fill.usd for fill in fills], state.live.shape)
    calm = _vol_rests(plan, state, before, log_price)
    stopped, stop = _stopping(plan, state, before, log_price, net_usd, found & calm), plan.scenario.stop_log_move
    edge = np.where(calm, np.copysign(stop, log_price), np.clip(before.log_pre, -stop, stop))  # where vol runs away nobody trades
    log_price = np.where(stopped == int(Outcome.RUNAWAY), edge, log_price)
    log_price = np.where(stopped == int(Outcome.DEPTH_EXHAUSTED), before.log_pre, log_price)
    trading = state.live & (stopped == int(Outcome.FINISHED))
    if not trading.all():
        fills = [Fill(np.where(trading, fill.usd, 0.0), np.where(trading, fill.coin, 0.0)) for fill in fills]
    after = _book(plan, state, before, log_price, fills, flights, trading, same_step)
    return _submit(plan, state, _stop(plan, state, after, stopped))


def _exogenous(plan: RunPlan, state: State) -> Exogenous:
    """Random move and decay of passing impact; paths that stopped stay where they are."""
    scenario, now = plan.scenario, state.step + 1
    years = float(scenario.grid.years[now] - scenario.grid.years[now - 1])
    increments, price = scenario.price.increments(state.price, step=now, step_years=years, seed=plan.seed, first_path=state.first_path)
    if scenario.vol.couple_price_vol:
        own = scenario.price.annual_vol
        increments = increments * np.maximum(own + state.vol_shift, LEAST_VOL) / own
    pull, impact = scenario.impact.pull(state.impact, years)
    live = state.live
    log_pre = state.log_price + np.where(live, increments + pull, 0.0)
    base = state.vol_shift * np.exp(-scenario.vol.mean_reversion_per_day * DAYS_PER_YEAR * years)
    return Exogenous(
        now,
        years,
        log_pre,
        scenario.spot_usd * np.exp(log_pre),
        state.fundamental_log + increments,
        np.where(live, base, state.vol_shift),
        price,
        impact,
    )


def _trade_options(plan: RunPlan, model: OptionModel, state: State, before: Exogenous) -> State:
    """Agents trade options with each other at the price before trading; premium goes from one account to another."""
    view = _view_before(plan, state, before)
    desks = [
        OptionDesk(
            seat.agent.name,
            seat.trader,
            _account(own, own.flight),
            _draws(plan, seat, state.first_path, state.log_price.size),
            own.memory,
        )
        for seat, own in zip(plan.seats, state.seats)
    ]
    if not any(desk.trades for desk in desks):
        return state
    after = trade_options(model, view, state.recent_usd, desks)
    nothing = np.zeros(state.log_price.shape)
    seats = [
        replace(own, memory=desk.memory, holding=own.holding.earning("spread_usd", nothing + desk.edge_usd, -(nothing + desk.premium_usd)))
        if desk.trades
        else own
        for own, desk in zip(state.seats, after)
    ]
    return replace(state, seats=tuple(seats))


def _view_before(plan: RunPlan, state: State, before: Exogenous) -> View:
    """What everybody sees at the price before trading."""
    shift = before.shift_base + plan.scenario.vol.spot_vol_beta * (before.log_pre - state.log_price)
    return _view(plan, state, before.step, before.step_years, before.log_pre, shift)


def _collect(plan: RunPlan, state: State, before: Exogenous) -> tuple[list[Fill], list[Orders | None], list[Flight]]:
    """Orders that arrive now (USD and coin at the price before trading), same-step demands, and what is still on its way."""
    arrived: list[Fill] = []
    same_step: list[Orders | None] = []
    flights: list[Flight] = []
    clearing_now = clears(plan.scenario, before.step)
    at_once = any(seat.agent.delay_steps == 0 for seat in plan.seats)
    view = _view_before(plan, state, before) if at_once else None
    for seat, own in zip(plan.seats, state.seats):
        prompt = seat.agent.delay_steps == 0 and plan.scenario.batch_steps == 1  # nothing is ever on its way
        usd, coin, flight = (own.flight.usd[0], own.flight.coin[0], own.flight) if prompt else own.flight.arrive()
        orders = None
        if not clearing_now:
            usd, coin, flight = np.zeros(usd.shape), np.zeros(coin.shape), own.flight.hold()
        if view is not None and seat.agent.delay_steps == 0:
            orders = _orders(plan, state, seat, own.memory, _seeing(plan, state, seat, view), _account(own, own.flight))
            if clearing_now:
                usd, coin = (orders.usd, orders.coin) if prompt else (usd + orders.usd, coin + orders.coin)
            else:
                flight, orders = _waiting(flight, orders), None
        if seat.fill_probability is not None:
            filled = _draws(plan, seat, state.first_path, state.log_price.size)(TO_FILL, before.step) < seat.fill_probability
            usd, coin = np.where(filled, usd, 0.0), np.where(filled, coin, 0.0)
            orders = None if orders is None else only_where(orders, filled)
        arrived.append(Fill(usd, coin))
        same_step.append(orders)
        flights.append(flight)
    return arrived, same_step, flights


def _waiting(flight: Flight, orders: Orders) -> Flight:
    """What waits for the auction with an order that was decided between two; one that answers the price is sized anew in the auction."""
    return flight if orders.demand is not None else flight.submit(orders.usd, orders.coin, 1, np.ones(1))


def clears(scenario: Scenario, step: int) -> bool:
    """Whether orders clear in a step: in every one, or in an auction and in the last."""
    return step % scenario.batch_steps == 0 or step == scenario.grid.steps


def _orders(plan: RunPlan, state: State, seat: Seat, memory: Any, view: View, account: Account) -> Orders:
    """What one agent wants to buy; an agent of a user's own may answer anything, so the answer is looked at."""
    paths = state.log_price.size
    return checked_orders(seat.agent.name, seat.trader.act(view, account, memory, _draws(plan, seat, state.first_path, paths)), paths)


def _clear(
    plan: RunPlan, state: State, before: Exogenous, arrived: Sequence[Fill], same_step: Sequence[Orders | None]
) -> tuple[FloatArray, list[Fill], BoolArray]:
    """Clearing log price, everybody's fills (USD and coin orders, not yet in one unit), and which paths found a price."""
    spot, impact, vols = before.spot_pre_usd, plan.scenario.impact, _vol_market(plan, state, before, state.live)
    beta = plan.scenario.vol.spot_vol_beta
    demands = Demands([orders for orders in same_step if orders is not None], spot.size)
    found = np.ones(spot.shape, dtype=bool)
    log_price = before.log_pre
    if demands.orders:
        fixed = (sum_in_order([fill.usd for fill in arrived], spot.shape), sum_in_order([fill.coin for fill in arrived], spot.shape))
        scales = [orders.scale_log for orders in same_step if orders is not None and orders.scale_log is not None]
        scale = reduce(np.minimum, scales) if scales else np.full(spot.shape, np.inf)
        jumps = any(orders is not None and hasattr(seat.trader, "liquidation_usd") for seat, orders in zip(plan.seats, same_step))
        walks = plan.walks and not vols.holders and impact.is_linear and demands.known
        walked = demands.walk(_searched(plan, state, before, fixed, vols, (scale, jumps))) if walks else None
        hard = None if walked is None else walked.hard
        if walked is None or hard is not None:
            cleared = _clear_plainly(plan, state, before, demands, fixed, vols, (scale, jumps), hard)
            log_price, found = cleared.log_price, cleared.found
        if walked is not None:
            log_price = walked.log_price if hard is None else np.where(hard, log_price, walked.log_price)
            found = walked.found if hard is None else np.where(hard, found, walked.found)
    if not demands.settled:
        demands.settle(log_price, vols.shift(log_price, beta * (log_price - state.log_price))[0])
    fills = [demands.added(fill, orders) for fill, orders in zip(arrived, same_step)]
    usd = sum_in_order([fill.usd for fill in fills], spot.shape)
    coin = sum_in_order([fill.coin for fill in fills], spot.shape)
    moved = impact.move(before.impact, usd + coin * spot, coin + usd / spot)[0]
    log_price = np.where(found, before.log_pre + np.where(state.live, moved, 0.0), log_price)
    middle = 0.5 * (spot + plan.scenario.spot_usd * np.exp(np.where(found, log_price, before.log_pre)))
    return log_price, [Fill(fill.usd + fill.coin * spot, fill.usd / middle + fill.coin) for fill in fills], found


def _clear_plainly(
    plan: RunPlan,
    state: State,
    before: Exogenous,
    demands: Demands,
    arrived: tuple[FloatArray, FloatArray],
    vols: VegaMarket,
    scan: tuple[FloatArray, bool],
    wanted: BoolArray | None,
) -> Cleared:
    """The search that asks the agents themselves; ``wanted``: only on these paths."""
    spot, impact, beta = before.spot_pre_usd, plan.scenario.impact, plan.scenario.vol.spot_vol_beta
    fixed, out = np.stack(arrived), np.zeros((2, spot.size))
    market, everybody = np.stack((spot, before.log_pre, np.exp(-before.impact.depth_log))), np.arange(spot.size)

    def excess(price: FloatArray, asked: BoolArray) -> tuple[FloatArray, FloatArray]:
        chosen = chosen_paths(asked) if wanted is None else np.flatnonzero(asked)
        answers = demands.ask(price, vols.shift(price, beta * (price - state.log_price))[0], chosen)
        impact.excess(answers, everybody if chosen is None else chosen, fixed, market, price, out)
        return out[0], out[1]

    scale, jumps = scan
    return clear(excess, before.log_pre, bound_log=plan.scenario.stop_log_move, scale_log=scale, jumps=jumps, wanted=wanted)


def _searched(
    plan: RunPlan,
    state: State,
    before: Exogenous,
    arrived: tuple[FloatArray, FloatArray],
    vols: VegaMarket,
    scan: tuple[FloatArray, bool],
) -> SearchedMarket:
    """The market of a step as compiled code reads it."""
    paths, (per_usd, per_coin), thin = state.log_price.size, plan.scenario.impact.full_depth, np.exp(-before.impact.depth_log)
    pushed = vols.impact_per_usd * vols.arrived_usd
    columns = (before.log_pre, before.spot_pre_usd, thin, *arrived, vols.base, pushed, state.log_price, scan[0])
    rows = np.empty((len(columns), paths))
    for row, column in zip(rows, columns):
        row[:] = column
    return SearchedMarket(rows, per_usd, per_coin, float(plan.scenario.vol.spot_vol_beta), float(plan.scenario.stop_log_move), scan[1])


def _vol_rests(plan: RunPlan, state: State, before: Exogenous, log_price: FloatArray) -> BoolArray:
    """Paths whose vol comes to rest at a price; all of them where nobody hedges vega."""
    if not any(seat.hedges_vega for seat in plan.seats):
        return np.ones(log_price.shape, dtype=bool)
    tilt = plan.scenario.vol.spot_vol_beta * (log_price - state.log_price)
    return _vol_market(plan, state, before, state.live).rests(log_price, tilt) | ~state.live


def _vol_market(plan: RunPlan, state: State, before: Exogenous, trading: BoolArray) -> VegaMarket:
    """Where vol stands before vega trades, and who trades vega in this step."""
    arrived = np.zeros(state.log_price.shape)
    holders = []
    for seat, own in zip(plan.seats, state.seats):
        if own.desk is None:
            continue
        arrived = arrived + own.desk.arrive()[0] * trading
        if seat.agent.delay_steps == 0:
            holders.append((seat.trader, own.desk.held_usd, own.memory))
    return VegaMarket(before.shift_base, plan.scenario.vol.vega_impact_per_usd, arrived, holders, before.step, trading.astype(np.float64))


def _stopping(plan: RunPlan, state: State, before: Exogenous, log_price: FloatArray, net_usd: FloatArray, found: BoolArray) -> IntArray:
    """Which paths stop in this step and why; nobody trades in the step that stops a path."""
    stopped = np.full(log_price.shape, int(Outcome.FINISHED))
    stopped[plan.scenario.impact.exhausted(net_usd)] = int(Outcome.DEPTH_EXHAUSTED)
    stopped[~found | ~(np.abs(log_price) <= plan.scenario.stop_log_move)] = int(Outcome.RUNAWAY)
    return np.where(state.live, stopped, int(Outcome.FINISHED))


def _book(
    plan: RunPlan,
    state: State,
    before: Exogenous,
    log_price: FloatArray,
    fills: Sequence[Fill],
    flights: Sequence[Flight],
    trading: BoolArray,
    same_step: Sequence[Orders | None],
) -> State:
    """Accounts, impact and vol after the trades; liquidity providers are the other side of every fill."""
    scenario = plan.scenario
    vols = _vol_market(plan, state, before, trading)
    shift, bought_vega = vols.shift(log_price, scenario.vol.spot_vol_beta * (log_price - state.log_price))
    spot_before, spot = scenario.spot_usd * np.exp(state.log_price), scenario.spot_usd * np.exp(log_price)
    live = state.live
    gain = market_gain(plan, state, before.step, log_price, shift) if any(seat.reads_gain for seat in plan.seats) else None
    move = Move(
        before.step,
        before.step_years,
        spot_before,
        spot,
        0.5 * (before.spot_pre_usd + spot),
        state.log_price,
        log_price,
        state.vol_shift,
        np.where(live, shift, state.vol_shift),
        live,
        gain,
        trading if clears(scenario, before.step) else np.zeros(trading.shape, dtype=np.bool_),
    )
    seats, booked, paid = [], [], []
    shares = open_shares([fill.coin for fill in fills], crossing=scenario.costs.internal_crossing)
    for seat, own, fill, flight, share, orders in zip(plan.seats, state.seats, fills, flights, shares, same_step):
        told = orders is not None and orders.walked is not None and orders.walked.told is not None
        option, memory = seat.trader.options(replace(move, orders=orders) if told else move, own.memory)
        entry = book_step(own.holding, fill, option, move, seat.terms, open_share=share)
        seats.append(SeatState(_with_gap(seat, entry, move, memory), flight, memory, own.desk))
        booked.append(entry)
        paid.append(zero_row(spot.size) if option is None else option.paid_usd)
    seats, vega_gain = _vega_books(plan, seats, bought_vega, move, vols)
    net_usd = sum_in_order([fill.usd for fill in fills], spot.shape)
    net_coin = sum_in_order([fill.coin for fill in fills], spot.shape)
    flow_coin = net_usd / before.spot_pre_usd
    return replace(
        state,
        step=before.step,
        log_price=log_price,
        fundamental_log=before.fundamental_log,
        vol_shift=move.vol_shift,
        price=before.price,
        impact=scenario.impact.absorb(before.impact, net_usd, flow_coin, log_price - state.log_price, before.step_years),
        seats=tuple(seats),
        liquidity_coin=state.liquidity_coin - net_coin,
        liquidity_usd=state.liquidity_usd + sum_in_order([entry.to_liquidity_usd for entry in booked], spot.shape) - vega_gain,
        venue_usd=state.venue_usd + sum_in_order([entry.to_venue_usd for entry in booked], spot.shape),
        holders_usd=state.holders_usd - sum_in_order(paid, spot.shape),
        net_flow_usd=net_usd,
        fills_usd=tuple(fill.usd for fill in fills),
        recent_usd=_recent(plan, state, before.step, spot),
    )


def _recent(plan: RunPlan, state: State, now: int, spot_usd: FloatArray) -> tuple[FloatArray, ...]:
    """Prices that a settlement average may still need."""
    if plan.option_model is None:
        return ()
    return (*state.recent_usd, spot_usd)[-plan.option_model.counted_prices(now) :]


def _vega_books(
    plan: RunPlan, seats: list[SeatState], bought: Sequence[FloatArray], move: Move, vols: VegaMarket
) -> tuple[list[SeatState], FloatArray]:
    """Vega hedges after the step, paid and marked at once against liquidity providers; and what all of them gained."""
    gained = np.zeros(move.spot_usd.shape)
    if all(own.desk is None for own in seats):
        return seats, gained
    vol_move = move.vol_shift - move.shift_before
    total, same_step = vols.arrived_usd + sum_in_order(bought, gained.shape), iter(bought)
    after = []
    for seat, own in zip(plan.seats, seats):
        if own.desk is None:
            after.append(own)
            continue
        arrived, later = own.desk.arrive()
        purchase = arrived * vols.live + (next(same_step) if seat.agent.delay_steps == 0 else 0.0)
        gain = own.desk.held_usd * vol_move + 0.5 * vols.impact_per_usd * total * purchase
        after.append(replace(own, holding=own.holding.earning("vega_usd", gain), desk=VegaDesk(own.desk.held_usd + purchase, later)))
        gained = gained + gain
    return after, gained


def _with_gap(seat: Seat, entry: Booked, move: Move, memory: Any) -> Holding:
    account = _account(SeatState(entry.holding, _NO_FLIGHT, memory), _NO_FLIGHT)
    gap = seat.trader.gap_usd(move.step, move.log_price, move.spot_usd, move.vol_shift, account, memory)
    return with_gap(entry.holding, gap, move)


def _stop(plan: RunPlan, state: State, after: State, stopped: IntArray) -> State:
    """Mark the paths that stopped in this step, halts included (their trades of the step stand)."""
    halt = plan.scenario.halt_log_move
    if halt is not None:
        halted = state.live & (stopped == int(Outcome.FINISHED)) & (np.abs(after.log_price) > halt)
        stopped = np.where(halted, int(Outcome.HALTED), stopped)
    newly = stopped != int(Outcome.FINISHED)
    return replace(
        after,
        outcome=np.where(newly, stopped, state.outcome),
        stopped_step=np.where(newly, after.step, state.stopped_step),
    )


def _submit(plan: RunPlan, before: State, state: State) -> State:
    """Late agents see the cleared price and send the orders that will arrive."""
    if not any(seat.agent.delay_steps for seat in plan.seats):
        return state
    years = float(plan.scenario.grid.years[state.step] - plan.scenario.grid.years[state.step - 1])
    view = _view(plan, replace(state, log_price=before.log_price), state.step, years, state.log_price, state.vol_shift)
    factor, folded = np.ones(state.log_price.shape), np.zeros(state.log_price.shape, dtype=bool)
    if plan.scenario.clearing == "damped":
        folded = state.live & (view.market_gain >= 1.0)
        factor = 1.0 / np.where(folded, 1.0, 1.0 - view.market_gain)
    seats = []
    for seat, own in zip(plan.seats, state.seats):
        if seat.agent.delay_steps == 0:
            seats.append(own)
            continue
        orders = _orders(plan, state, seat, own.memory, _seeing(plan, state, seat, view), _account(own, own.flight))
        flight = own.flight.submit(orders.usd * factor, orders.coin * factor, seat.agent.delay_steps, seat.weights)
        desk = own.desk
        if desk is not None:
            vega = seat.trader.hedged_vega_usd(state.step, state.log_price, state.vol_shift, own.memory)
            desk = desk.submit(np.where(state.live, -(vega + desk.held_usd + desk.flight_usd.sum(axis=0)), 0.0), seat.agent.delay_steps)
        seats.append(replace(own, flight=flight, desk=desk))
    return replace(
        state,
        seats=tuple(seats),
        outcome=np.where(folded, int(Outcome.RUNAWAY), state.outcome),
        stopped_step=np.where(folded, state.step, state.stopped_step),
    )


def _view(plan: RunPlan, state: State, now: int, step_years: float, log_price: FloatArray, vol_shift: FloatArray) -> View:
    scenario = plan.scenario
    gain = market_gain(plan, state, now, log_price, vol_shift) if plan.needs_gain else np.zeros(log_price.shape)
    spot = scenario.spot_usd * np.exp(log_price)
    return View(now, float(scenario.grid.years[now]), step_years, log_price, spot, vol_shift, state.log_price, gain, state.live)


def _seeing(plan: RunPlan, state: State, seat: Seat, view: View) -> View:
    """The view with what this agent may see of others."""
    if not sees_others(seat.agent):
        return view
    flights = [own.flight for one, own in zip(plan.seats, state.seats) if one is not seat]
    told = [(one.trader.liquidation_usd, own.memory) for one, own in zip(plan.seats, state.seats) if hasattr(one.trader, "liquidation_usd")]
    return with_sight(seat.agent, view, flights=flights, liquidations=told)


def market_gain(plan: RunPlan, state: State, now: int, log_price: FloatArray, vol_shift: FloatArray) -> FloatArray:
    """Everybody's loop gain at a price: -(impact of one USD there) times the dollar gamma that is hedged, (paths,)."""
    spot = plan.scenario.spot_usd * np.exp(log_price)
    gammas = [seat.trader.dollar_gamma_usd(now, log_price, vol_shift, own.memory) for seat, own in zip(plan.seats, state.seats)]
    nothing = np.zeros(spot.shape)
    _, per_usd, per_coin = plan.scenario.impact.move(state.impact, nothing, nothing)
    return np.asarray(-(per_usd + per_coin / spot) * sum_in_order(gammas, spot.shape))


def _account(own: SeatState, flight: Flight) -> Account:
    holding = own.holding
    return Account(holding.position_coin, holding.cash_usd, holding.bought_usd, flight.total_usd, flight.total_coin)


def _draws(plan: RunPlan, seat: Seat, first_path: int, paths: int) -> Draws:
    def draw(kind: int, count: int) -> FloatArray:
        return np.asarray(uniforms(plan.seed, seat.stream, first_path, paths, count, kind + 1)[kind])

    return draw


_NO_FLIGHT = Flight(np.zeros((1, 1)), np.zeros((1, 1)))
