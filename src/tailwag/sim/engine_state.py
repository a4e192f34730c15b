"""A block of paths between two steps: where the market stands, and everybody's account, orders on their way and memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.sim.agents.protocol import Account
from tailwag.sim.impact import ImpactState
from tailwag.sim.ledger import Holding
from tailwag.sim.orders import Flight
from tailwag.sim.seats import RunPlan, draws_of, opening_cost_usd
from tailwag.sim.state import Outcome
from tailwag.sim.vega_loop import VegaDesk


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


def init(plan: RunPlan, first_path: int, paths: int) -> State:
    """The start of a block: everybody hedged, nothing traded."""
    scenario = plan.scenario
    nothing = np.zeros(paths)
    seats = []
    for seat in plan.seats:
        memory = seat.trader.init(paths, draws_of(plan, seat, first_path, paths))
        slots = max(seat.agent.delay_steps - 1 + seat.weights.size, 1)
        desk = (
            VegaDesk.opened(seat.trader.hedged_vega_usd(0, nothing, nothing, memory), seat.agent.delay_steps) if seat.hedges_vega else None
        )
        coin = np.asarray(seat.trader.start_coin(memory), dtype=np.float64)
        if coin.shape != (paths,) or not np.isfinite(coin).all():
            raise InputError(
                f"agent {seat.agent.name!r}: expected start_coin() to answer with one finite number for each of {paths} paths, got shape {coin.shape}"
            )
        holding = Holding.opened(coin, scenario.spot_usd, cost_usd=opening_cost_usd(seat))
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


def account_of(own: SeatState, flight: Flight) -> Account:
    holding = own.holding
    return Account(holding.position_coin, holding.cash_usd, holding.bought_usd, flight.total_usd, flight.total_coin)
