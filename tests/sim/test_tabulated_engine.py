"""Agents of every kind with large books read from tables: the engine of mixed markets against the one that sums every option."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.sim.anchors import SPOT
from tests.sim.test_leveraged import MIX, rules

from tailwag.hedging.policies import Band, EveryStep
from tailwag.margin.contract import Contract
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.blocks import run_block
from tailwag.sim.book_trader import TABLE_ROWS
from tailwag.sim.dynamics import Gbm
from tailwag.sim.engine import plan_run
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.net_delta import TabulatedNetDelta
from tailwag.sim.option_book import OptionBook
from tailwag.sim.run import simulate
from tailwag.sim.scenario import Scenario, VolDynamics


def large_book(rows: int) -> OptionBook:
    rng = np.random.default_rng(5)
    days = rng.choice([0.04, 1.0, 3.0, 9.0], rows) / 365
    strike = SPOT * np.exp(0.5 * np.sqrt(days) * rng.normal(size=rows))
    ones = np.ones(rows)
    return OptionBook(rng.choice([-1, 1], rows), strike, days, rng.normal(-1.0, 5.0, rows), 0.6 * ones, ones, 0.0 * ones, ones > 0.0)


def mixed(rows: int, steps: int = 90) -> Scenario:
    book = large_book(rows)
    dealers = (Dealer("late", Band(half_width_coin=2.0), 1, options=book), Dealer("at once", EveryStep(), 0, options=book, stream=1))
    few = tuple(replace(bucket, notional_usd=0.2 * bucket.notional_usd) for bucket in MIX)
    traders = LeveragedTraders("traders", 0, few, rules(Contract.LINEAR), fund_usd=1e6)
    impact = ImpactModel(permanent_per_usd=1e-11)
    grid = TimeGrid.uniform(horizon_days=steps / 1440, step_minutes=1.0)
    return Scenario(SPOT, grid, Gbm(0.9), impact, (*dealers, traders), "implicit", vol=VolDynamics(spot_vol_beta=-0.5))


def test_tables_give_the_prices_and_profits_of_every_option() -> None:
    """Through an expiry and its settlement window: prices to 1e-7 of log price, profits to 1e-6 of the positions carried."""
    one = mixed(TABLE_ROWS + 16)
    table, summed = (plan_run(one, seed=2, tabulate=tabulate, full_pnl=False) for tabulate in (True, False))
    assert sum(isinstance(getattr(seat.trader, "net_delta", None), TabulatedNetDelta) for seat in table.seats) == 2
    read, exact = (run_block(plan, 0, 8) for plan in (table, summed))
    assert read.log_price == pytest.approx(exact.log_price, abs=1e-7)
    for mine, theirs in zip(read.agents, exact.agents):
        assert mine.pnl_usd.sum(axis=0) == pytest.approx(theirs.pnl_usd.sum(axis=0), abs=1e-5 * theirs.peak_position_usd.max() + 1.0)


def test_the_engine_is_chosen_by_the_largest_book() -> None:
    small = mixed(TABLE_ROWS, steps=3)
    assert simulate(small, paths=2, seed=1).engine == "plain"
    large = mixed(TABLE_ROWS + 1, steps=3)
    assert simulate(large, paths=2, seed=1).engine == "tabulated"
    assert simulate(large, paths=2, seed=1, engine="plain").engine == "plain"
