"""The step of several venues: blocks, funding and marks before it, every venue's own engine, and the arbitrageurs' orders after it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.margin.funding import Funding
from tailwag.sim import engine
from tailwag.sim.agents.arbitrageur import ArbitrageLeg, Arbitrageur, FundingYear, LegView, decide
from tailwag.sim.engine import RunPlan, State
from tailwag.sim.ledger import BPS
from tailwag.sim.state import Outcome
from tailwag.sim.venues import Venues
from tailwag.sim.venues_chain import Waiting, gate, with_room
from tailwag.sim.venues_funding import charged, marked, premium_after
from tailwag.sim.venues_price import Expiry, index_usd
from tailwag.sim.venues_settlement import Settling, rested, settle
from tailwag.units import HOURS_PER_YEAR

ONE_SLICE = np.ones(1)


@dataclass(frozen=True, slots=True)
class VenuesPlan:
    """What all blocks of a run share: the venues and a plan of each; ``legs``: for every arbitrageur, (place, seat) of both legs; ``expiries``: of venues that settle."""

    venues: Venues
    plans: tuple[RunPlan, ...]
    legs: tuple[tuple[tuple[int, int], tuple[int, int]], ...]
    expiries: tuple[Expiry | None, ...]


@dataclass(frozen=True, slots=True)
class VenuesState:
    """All venues between two steps.  ``premium_share``: each venue's averaged premium over the index, (paths,); ``waiting``: chains' queues."""

    states: tuple[State, ...]
    premium_share: tuple[FloatArray, ...]
    waiting: tuple[Waiting | None, ...]
    last_move: tuple[FloatArray, ...]
    settling: tuple[Settling | None, ...]


def plan_venues(venues: Venues, *, seed: int, full_pnl: bool = True) -> VenuesPlan:
    """Put every venue's agents, and the arbitrageurs' legs, in their seats."""
    plans = tuple(engine.plan_run(venues.scenario(place), seed=seed, full_pnl=full_pnl) for place in range(len(venues.venues)))
    names = [venue.name for venue in venues.venues]
    legs = []
    for arbitrageur in venues.arbitrageurs:
        first, second = (names.index(name) for name in arbitrageur.legs)
        legs.append(((first, _seat(plans[first], arbitrageur)), (second, _seat(plans[second], arbitrageur))))
    return VenuesPlan(venues, plans, tuple(legs), tuple(venue.settles for venue in venues.venues))


def _seat(plan: RunPlan, arbitrageur: Arbitrageur) -> int:
    return next(
        place for place, seat in enumerate(plan.seats) if isinstance(seat.agent, ArbitrageLeg) and seat.agent.arbitrageur is arbitrageur
    )


def init(plan: VenuesPlan, first_path: int, paths: int) -> VenuesState:
    """The start of a block on every venue."""
    nothing = np.zeros(paths)
    states = [engine.init(one, first_path, paths) for one in plan.plans]
    for place, venue in enumerate(plan.venues.venues):
        if venue.chain is not None:
            seats = tuple(replace(own, flight=with_room(own.flight)) for own in states[place].seats)
            states[place] = replace(states[place], seats=seats)
    return VenuesState(
        tuple(states),
        tuple(nothing for _ in states),
        tuple(None if venue.chain is None else Waiting.nobody(paths) for venue in plan.venues.venues),
        tuple(nothing for _ in states),
        tuple(None if expiry is None else Settling.nothing(paths) for expiry in plan.expiries),
    )


def step(plan: VenuesPlan, state: VenuesState) -> VenuesState:
    """One step of all venues for a block of paths."""
    before, waiting = _ready(plan, state)
    after = _together([_stepped(*venue) for venue in zip(plan.plans, before, plan.expiries)])
    after, settling = _settled(plan, state, after)
    premium = _premiums(plan, state, after)
    moves = tuple(new.log_price - old.log_price for new, old in zip(after, state.states))
    reached = VenuesState(tuple(after), premium, waiting, moves, settling)
    return replace(reached, states=_traded(plan, reached)) if plan.legs else reached


def _stepped(plan: RunPlan, state: State, expiry: Expiry | None) -> State:
    """A venue after its own step; one that has settled is closed."""
    return engine.step(plan, state) if expiry is None or state.step < expiry.step else rested(state)


def _settled(plan: VenuesPlan, state: VenuesState, after: list[State]) -> tuple[list[State], tuple[Settling | None, ...]]:
    """Futures in their settlement window note the index, and at its end all their positions are closed."""
    if all(expiry is None for expiry in plan.expiries):
        return after, state.settling
    index, states, settling = _index(plan.venues, _prices(plan, after)), list(after), list(state.settling)
    for place, (expiry, told) in enumerate(zip(plan.expiries, state.settling)):
        if expiry is None or told is None:
            continue
        told = told.seen(index, expiry, states[place].step)
        if states[place].step == expiry.step:
            states[place], told = settle(plan.plans[place], states[place], told)
        settling[place] = told
    return states, tuple(settling)


def _ready(plan: VenuesPlan, state: VenuesState) -> tuple[list[State], tuple[Waiting | None, ...]]:
    """Every venue before its step: funding of the step charged, marks told, blocks filled."""
    states = list(state.states)
    for place, (venue, one) in enumerate(zip(plan.venues.venues, plan.plans)):
        if venue.funding is not None:
            years = _step_years(one, states[place])
            rate = venue.funding.rate(state.premium_share[place]) * (years * HOURS_PER_YEAR / venue.funding.hours)
            states[place] = charged(one, states[place], rate)
    if any(venue.mark != "last" for venue in plan.venues.venues):
        states = _with_marks(plan, state, states)
    waiting = list(state.waiting)
    for place, venue in enumerate(plan.venues.venues):
        queue = waiting[place]
        if venue.chain is None or queue is None:
            continue
        if not engine.clears(plan.plans[place].scenario, states[place].step + 1):
            continue  # between auctions nothing is executed, in blocks or otherwise
        own, times = states[place], plan.plans[place].scenario.grid.years
        blocks = venue.chain.blocks(float(times[own.step]), float(times[own.step + 1]))
        spot = plan.plans[place].scenario.spot_usd * np.exp(own.log_price)
        flights, waiting[place] = gate(
            [seat.flight for seat in own.seats],
            queue,
            room_usd=venue.chain.room_usd(blocks, state.last_move[place]),
            spot_usd=spot,
            step_years=_step_years(plan.plans[place], own),
        )
        states[place] = replace(own, seats=tuple(replace(seat, flight=flight) for seat, flight in zip(own.seats, flights)))
    return states, tuple(waiting)


def _step_years(plan: RunPlan, state: State) -> float:
    years = plan.scenario.grid.years
    return float(years[state.step + 1] - years[state.step])


def _with_marks(plan: VenuesPlan, state: VenuesState, states: list[State]) -> list[State]:
    """Tell venues their mark: the index of this step's prices before trading, and where they add it the premium averaged so far."""
    before = [engine._exogenous(one, own).spot_pre_usd for one, own in zip(plan.plans, states)]
    index = _index(plan.venues, before)
    return [
        own if venue.mark == "last" else marked(one, own, index * (1.0 + premium) if venue.mark == "mark" else index)
        for venue, one, own, premium in zip(plan.venues.venues, plan.plans, states, state.premium_share)
    ]


def _index(venues: Venues, prices_usd: Sequence[FloatArray]) -> FloatArray:
    return index_usd([price for venue, price in zip(venues.venues, prices_usd) if venue.counts_in_index], cap_share=venues.index_cap_share)


def _together(states: list[State]) -> list[State]:
    """A path that stops on one venue stops on all of them; what the others filled in that step stands, half of a pair too."""
    outcome = states[0].outcome
    for other in states[1:]:
        outcome = np.where(outcome == int(Outcome.FINISHED), other.outcome, outcome)
    if not outcome.any():
        return states
    stopped = [
        replace(
            own,
            outcome=np.where(own.live, outcome, own.outcome),
            stopped_step=np.where(own.live & (outcome != int(Outcome.FINISHED)), own.step, own.stopped_step),
        )
        for own in states
    ]
    return stopped


def _premiums(plan: VenuesPlan, state: VenuesState, after: Sequence[State]) -> tuple[FloatArray, ...]:
    """Averaged premium over the index after a step; nothing to know where no venue reads it."""
    venues = plan.venues
    if not any(venue.funding is not None or venue.mark == "mark" for venue in venues.venues):
        return state.premium_share
    prices = _prices(plan, after)
    index, years = _index(venues, prices), _step_years(plan.plans[0], state.states[0])
    return tuple(
        premium_after(old, price / index - 1.0, years=years, ema_seconds=venue.mark_seconds)
        for venue, old, price in zip(venues.venues, state.premium_share, prices)
    )


def _prices(plan: VenuesPlan, states: Sequence[State]) -> list[FloatArray]:
    return [one.scenario.spot_usd * np.exp(own.log_price) for one, own in zip(plan.plans, states)]


def _traded(plan: VenuesPlan, state: VenuesState) -> tuple[State, ...]:
    """The venues with all arbitrageurs' new orders on their way; everybody decided on the same prices."""
    prices = _prices(plan, state.states)
    states = list(state.states)
    for arbitrageur, legs in zip(plan.venues.arbitrageurs, plan.legs):
        first, second = (_leg_view(plan, state, prices, leg) for leg in legs)
        live = state.states[legs[0][0]].live
        coin = np.where(live, decide(arbitrageur, first, second), 0.0)
        for (place, seat), bought in zip(legs, _leg_orders(plan, state, legs, (first, second), coin)):
            states[place] = _submitted(plan.plans[place], states[place], seat, bought)
    return tuple(states)


def _leg_orders(
    plan: VenuesPlan, state: VenuesState, legs: tuple[tuple[int, int], tuple[int, int]], views: tuple[LegView, LegView], coin: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Coins to buy on both venues, (paths,) each: as many as are sold, but where one leg settles, the other keeps only what still moves with the index.

    So a carry trade sells its coin evenly over the 30 minutes of the mean, which is the price that its future settles at.
    """
    expiries = [plan.expiries[place] for place, _ in legs]
    steps = [math.inf if expiry is None else expiry.step for expiry in expiries]
    if steps[0] == steps[1]:
        return coin, -coin
    which = 0 if steps[0] < steps[1] else 1
    expiry = expiries[which]
    assert expiry is not None
    now, delays = state.states[0].step, [plan.plans[place].seats[seat].agent.delay_steps for place, seat in legs]
    share = expiry.share_left(now + delays[1 - which])
    if share == 1.0:
        return coin, -coin
    settles = (coin if which == 0 else -coin) * (1.0 if now + delays[which] <= expiry.step else 0.0)
    kept = -share * (views[which].held_coin + settles)
    other = np.where(state.states[0].live, kept - views[1 - which].held_coin, 0.0)
    return (settles, other) if which == 0 else (other, settles)


def _submitted(plan: RunPlan, state: State, seat: int, coin: FloatArray) -> State:
    own = state.seats[seat]
    flight = own.flight.submit(np.zeros(coin.shape), coin, plan.seats[seat].agent.delay_steps, ONE_SLICE)
    return replace(state, seats=(*state.seats[:seat], replace(own, flight=flight), *state.seats[seat + 1 :]))


def _leg_view(plan: VenuesPlan, state: VenuesState, prices: Sequence[FloatArray], leg: tuple[int, int]) -> LegView:
    place, seat = leg
    venue, one, own, spot = plan.venues.venues[place], plan.plans[place], state.states[place], prices[place]
    time_years = float(one.scenario.grid.years[own.step])
    impact, costs, flight = one.scenario.impact, one.scenario.costs, own.seats[seat].flight

    def log_move(coin: FloatArray) -> tuple[FloatArray, FloatArray]:
        moved, per_usd, per_coin = impact.move(own.impact, coin * spot, coin)
        return moved, per_usd * spot + per_coin

    return LegView(
        fair_log=np.log(spot) - venue.fair_basis_log(time_years) - _window_log(plan, state, prices, place),
        spot_usd=spot,
        held_coin=own.seats[seat].holding.position_coin + flight.total_coin,
        flight_coin=flight.total_coin,
        log_move=log_move,
        cost_share=(costs.fee_bps + costs.half_spread_bps) * BPS,
        gas_usd=costs.gas_usd,
        premium_share=state.premium_share[place] if venue.funding is not None else None,
        funding=None if venue.funding is None else _yearly(venue.funding),
        index_weight=1.0 / len(plan.venues.index_venues) if venue.counts_in_index else 0.0,
    )


def _window_log(plan: VenuesPlan, state: VenuesState, prices: Sequence[FloatArray], place: int) -> FloatArray | float:
    """What the known part of a settlement mean makes of a future's fair price, in log of the index; 0 outside a window."""
    expiry, told = plan.expiries[place], state.settling[place]
    if expiry is None or told is None or told.known == 0:
        return 0.0
    return told.expected_log(_index(plan.venues, prices), expiry)


def _yearly(rule: Funding) -> FundingYear:
    return lambda premium: rule.rate(premium) * (HOURS_PER_YEAR / rule.hours)
