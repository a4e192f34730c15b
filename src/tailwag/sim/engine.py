"""The closed loop, one step at a time: exogenous move, orders, clearing, accounts.

``init`` and ``step`` are pure transitions over a block of paths.  Agents see a public view and their own account, never each other; they
are summed, and draw their random numbers, in an order that depends on what they are and not on their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray, zero_row
from tailwag.sim.agents.protocol import TO_FILL, Account, Move, Orders, View, checked_orders
from tailwag.sim.demands import only_where
from tailwag.sim.engine_clearing import Collected, clear_step, vol_market, vol_rests
from tailwag.sim.engine_state import Exogenous, SeatState, State, account_of, init
from tailwag.sim.ledger import Booked, Fill, Holding, book_step, open_shares, with_gap
from tailwag.sim.option_model import OptionModel
from tailwag.sim.option_trading import OptionDesk, trade_options
from tailwag.sim.orders import Flight, sum_in_order
from tailwag.sim.scenario import Scenario
from tailwag.sim.seats import AGENT_STREAMS, RunPlan, Seat, draws_of, opening_cost_usd, plan_run
from tailwag.sim.sight import sees_others, with_sight
from tailwag.sim.state import Outcome
from tailwag.sim.vega_loop import VegaDesk, VegaMarket

__all__ = [
    "AGENT_STREAMS",
    "Exogenous",
    "RunPlan",
    "Seat",
    "SeatState",
    "State",
    "clears",
    "init",
    "market_gain",
    "opening_cost_usd",
    "plan_run",
    "step",
]
"""Whoever steps a market finds all it takes here: seats from `seats`, states from `engine_state`."""

LEAST_VOL = 1e-4
DAYS_PER_YEAR = 365.0


def step(plan: RunPlan, state: State) -> State:
    """One step of the loop for a block of paths."""
    before = _exogenous(plan, state)
    if plan.option_model is not None:
        state = _trade_options(plan, plan.option_model, state, before)
    collected = _collect(plan, state, before)
    log_price, fills, found = clear_step(plan, state, before, collected)
    net_usd = sum_in_order([fill.usd for fill in fills], state.live.shape)
    calm = vol_rests(plan, state, before, log_price)
    stopped, stop = _stopping(plan, state, before, log_price, net_usd, found & calm), plan.scenario.stop_log_move
    edge = np.where(calm, np.copysign(stop, log_price), np.clip(before.log_pre, -stop, stop))  # where vol runs away nobody trades
    log_price = np.where(stopped == int(Outcome.RUNAWAY), edge, log_price)
    log_price = np.where(stopped == int(Outcome.DEPTH_EXHAUSTED), before.log_pre, log_price)
    trading = state.live & (stopped == int(Outcome.FINISHED))
    if not trading.all():
        fills = [Fill(np.where(trading, fill.usd, 0.0), np.where(trading, fill.coin, 0.0)) for fill in fills]
    after = _book(plan, state, before, log_price, collected._replace(fills=fills), trading)
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
            account_of(own, own.flight),
            draws_of(plan, seat, state.first_path, state.log_price.size),
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


def _collect(plan: RunPlan, state: State, before: Exogenous) -> Collected:
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
            usd, coin, flight = zero_row(usd.size), zero_row(coin.size), own.flight.hold()
        if view is not None and seat.agent.delay_steps == 0:
            orders = _orders(plan, state, seat, own.memory, _seeing(plan, state, seat, view), account_of(own, own.flight))
            if clearing_now:
                usd, coin = (orders.usd, orders.coin) if prompt else (usd + orders.usd, coin + orders.coin)
            else:
                flight, orders = _waiting(flight, orders), None
        if seat.fill_probability is not None:
            filled = draws_of(plan, seat, state.first_path, state.log_price.size)(TO_FILL, before.step) < seat.fill_probability
            usd, coin = np.where(filled, usd, 0.0), np.where(filled, coin, 0.0)
            orders = None if orders is None else only_where(orders, filled)
        arrived.append(Fill(usd, coin))
        same_step.append(orders)
        flights.append(flight)
    return Collected(arrived, same_step, flights)


def _waiting(flight: Flight, orders: Orders) -> Flight:
    """What waits for the auction with an order that was decided between two; one that answers the price is sized anew in the auction."""
    return flight if orders.demand is not None else flight.submit(orders.usd, orders.coin, 1, np.ones(1))


def clears(scenario: Scenario, step: int) -> bool:
    """Whether orders clear in a step: in every one, or in an auction and in the last."""
    return step % scenario.batch_steps == 0 or step == scenario.grid.steps


def _orders(plan: RunPlan, state: State, seat: Seat, memory: Any, view: View, account: Account) -> Orders:
    """What one agent wants to buy; an agent of a user's own may answer anything, so the answer is looked at."""
    paths = state.log_price.size
    return checked_orders(seat.agent.name, seat.trader.act(view, account, memory, draws_of(plan, seat, state.first_path, paths)), paths)


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
    collected: Collected,
    trading: BoolArray,
) -> State:
    """Accounts, impact and vol after the trades; liquidity providers are the other side of every fill."""
    scenario = plan.scenario
    vols = vol_market(plan, state, before, trading)
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
    fills, same_step, flights = collected
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
    account = account_of(SeatState(entry.holding, _NO_FLIGHT, memory), _NO_FLIGHT)
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
    damped, folded = plan.scenario.clearing == "damped", np.zeros(state.log_price.shape, dtype=bool)
    if damped:
        folded = state.live & (view.market_gain >= 1.0)
    factor = 1.0 / np.where(folded, 1.0, 1.0 - view.market_gain) if damped else 1.0
    seats = []
    for seat, own in zip(plan.seats, state.seats):
        if seat.agent.delay_steps == 0:
            seats.append(own)
            continue
        orders = _orders(plan, state, seat, own.memory, _seeing(plan, state, seat, view), account_of(own, own.flight))
        usd, coin = (orders.usd * factor, orders.coin * factor) if damped else (orders.usd, orders.coin)
        flight = own.flight.submit(usd, coin, seat.agent.delay_steps, seat.weights)
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


_NO_FLIGHT = Flight(np.zeros((1, 1)), np.zeros((1, 1)))
