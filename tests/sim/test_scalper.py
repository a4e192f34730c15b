"""Gamma scalping through the engine: expectation in an open market, and the break-even that a scalper's own impact leaves."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from tests.sim.anchors import LAMBDA, SPOT, agrees

from tailwag.errors import InputError
from tailwag.hedging.policies import Band, EveryStep
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm
from tailwag.sim.engine import plan_run
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.ledger import PART
from tailwag.sim.option_book import OptionBook
from tailwag.sim.run import simulate
from tailwag.sim.scalping import break_even_vol, scalper
from tailwag.sim.scenario import Scenario
from tailwag.sim.state import BlockPaths


def price(spot: float, strike: float, vol: float, years: float) -> float:
    """Black's call at zero rates, by SciPy."""
    spread = vol * math.sqrt(years)
    d1 = math.log(spot / strike) / spread + 0.5 * spread
    return float(spot * norm.cdf(d1) - strike * norm.cdf(d1 - spread))


def dollar_gamma(x: np.ndarray, *, spot: float, strike: float, vol: float, left: np.ndarray) -> np.ndarray:
    """S^2 Gamma of one coin at log moves ``x``."""
    spread = vol * np.sqrt(left)
    return spot * np.exp(x) * norm.pdf((math.log(spot / strike) + x) / spread + 0.5 * spread) / spread


def alone(dealer: Dealer, vol: float, *, days: float, hours: float, spot: float, impact: ImpactModel | None = None) -> Scenario:
    return Scenario(
        spot_usd=spot,
        grid=TimeGrid.uniform(horizon_days=days, step_minutes=60.0 * hours),
        price=Gbm(vol=vol, drift_per_year="martingale"),
        impact=impact or ImpactModel(),
        agents=(dealer,),
        clearing="implicit",
        stop_log_move=5.0,
    )


def profits(scenario: Scenario, paths: int, *, seed: int = 9) -> tuple[np.ndarray, list[BlockPaths]]:
    plan = plan_run(scenario, seed=seed, full_pnl=False)
    blocks = [run_block(plan, first, min(500, paths - first)) for first in range(0, paths, 500)]
    return np.concatenate([block.agents[0].pnl_usd.sum(axis=0) for block in blocks]), blocks


def sharpened(profit: np.ndarray, *controls: np.ndarray) -> tuple[float, float]:
    """Mean and standard error after taking out controls of mean zero."""
    known = np.column_stack([np.ones(profit.size), *controls])
    found, *_ = np.linalg.lstsq(known, profit, rcond=None)
    left = profit - known[:, 1:] @ found[1:]
    return float(left.mean()), float(left.std(ddof=known.shape[1]) / math.sqrt(profit.size))


CASES = [
    pytest.param(60_000.0, 60_000.0, 0.6, 0.8, 30.0, 2.0, id="printed"),
    pytest.param(3_000.0, 3_100.0, 0.9, 0.6, 14.0, 1.0, id="a loss", marks=pytest.mark.slow),
    pytest.param(3_000.0, 3_100.0, 0.9, 0.6, 7.0, 1.0, id="a loss within a week"),
]


@pytest.mark.parametrize(("spot", "strike", "implied", "realised", "days", "hours"), CASES)
def test_t9_expectation_is_the_difference_of_two_prices(
    spot: float, strike: float, implied: float, realised: float, days: float, hours: float
) -> None:
    """E = BS(realised) - BS(implied).  Control: sums of gamma times (squared return - its expectation), whose mean is zero."""
    years = days / 365.0
    theory = price(spot, strike, realised, years) - price(spot, strike, implied, years)
    if (spot, days) == (60_000.0, 30.0):
        assert theory == pytest.approx(1365.54, abs=0.005)
    call = OptionBook.single("call", strike_usd=strike, expiry_years=years, contracts_coin=1.0, iv=implied)
    desk = scalper("scalper", call, EveryStep(), delay_steps=0)
    profit, blocks = profits(alone(desk, realised, days=days, hours=hours, spot=spot), 1_000)
    x = np.concatenate([block.log_price for block in blocks])
    left = years - blocks[0].time_years[:-1]
    gamma = dollar_gamma(x[:, :-1], spot=spot, strike=strike, vol=implied, left=left)
    step = np.diff(blocks[0].time_years)
    surprise = np.expm1(np.diff(x, axis=1)) ** 2 - np.expm1(realised**2 * step)
    carried = gamma / (spot * np.exp(x[:, :-1]))
    controls = [(gamma * surprise).sum(axis=1), (carried * surprise * spot).sum(axis=1), np.expm1(x[:, -1])]
    spread = [(gamma * np.sign(x[:, :-1]) * surprise).sum(axis=1), x[:, -1] + 0.5 * realised**2 * years]
    spread += [(x[:, -1] + 0.5 * realised**2 * years) ** 2 - realised**2 * years, np.maximum(spot * np.exp(x[:, -1]) - strike, 0.0)]
    spread[-1] = spread[-1] - price(spot, strike, realised, years)
    mean, error = sharpened(profit, *controls, *spread)
    assert agrees(mean, theory, error)
    assert abs(mean + theory) > 4.0 * error
    short = Dealer("short", EveryStep(), 0, options=replace(call, contracts_coin=-call.contracts_coin))
    other, _ = profits(alone(short, realised, days=days, hours=hours, spot=spot), 500)
    assert other == pytest.approx(-profit[:500], rel=1e-6, abs=1e-6 * abs(theory))


@pytest.mark.slow
def test_t9_path_by_path_profit_is_gamma_times_the_variance_gap() -> None:
    """Sum of S^2 Gamma (return^2 - implied^2 dt) / 2 along the path: correlation .999, rms gap 25.4 of 622.4 at hourly steps (30 days)."""
    years = 30 / 365
    call = OptionBook.single("call", strike_usd=SPOT, expiry_years=years, contracts_coin=1.0, iv=0.6)
    profit, blocks = profits(alone(scalper("s", call, EveryStep(), delay_steps=0), 0.8, days=30.0, hours=1.0, spot=SPOT), 500)
    x, time = np.concatenate([block.log_price for block in blocks]), blocks[0].time_years
    gamma = dollar_gamma(x[:, :-1], spot=SPOT, strike=SPOT, vol=0.6, left=years - time[:-1])
    along = 0.5 * (gamma * (np.expm1(np.diff(x, axis=1)) ** 2 - 0.36 * np.diff(time))).sum(axis=1)
    assert np.corrcoef(profit, along)[0, 1] > 0.998
    assert float(np.sqrt(np.mean((profit - along) ** 2))) == pytest.approx(25.4, rel=0.25)
    assert float(profit.std()) == pytest.approx(622.4, rel=0.12)


@pytest.mark.parametrize("gain", [-0.5, -0.2, -2.0])
def test_a_scalper_that_moves_the_price_breaks_even_at_less_than_it_sees_moving(gain: float) -> None:
    """Break-even variance sigma^2 / (1 - g): more than the realised sigma^2 / (1 - g)^2, less than sigma^2."""
    desk = scalper("scalper", -gain / LAMBDA, EveryStep(), delay_steps=0, iv=0.5)
    scenario = alone(desk, 0.6, days=1.0, hours=1 / 12, spot=SPOT, impact=ImpactModel(permanent_per_usd=LAMBDA))
    profit, blocks = profits(scenario, 500)
    gamma, years = -gain / LAMBDA, scenario.grid.horizon_years
    shocks = np.concatenate([np.diff(block.fundamental_log, axis=1) for block in blocks])
    control = (shocks**2).sum(axis=1) - 0.36 * years
    mean, error = sharpened(profit, control)
    variance = 0.25 + 2.0 * mean / (gamma * years)
    assert 2.0 * error / (gamma * years) < 1e-8  # the shocks explain all: what is left is of the fourth order in a step's move
    assert variance == pytest.approx(break_even_vol(0.6, gain) ** 2, rel=1e-6)
    raw = 0.25 + 2.0 * profit / (gamma * years)
    assert agrees(float(raw.mean()), 0.36 / (1.0 - gain), float(raw.std() / math.sqrt(raw.size)))
    assert abs(float(raw.mean()) - 0.36 / (1.0 - gain) ** 2) > 10.0 * float(raw.std() / math.sqrt(raw.size))
    seen = np.concatenate([block.agents[0].pnl_usd[PART["gamma_theta_usd"]] for block in blocks])
    assert float((0.25 + 2.0 * seen / (gamma * years)).mean()) == pytest.approx(0.36 / (1.0 - gain) ** 2, rel=0.02)


@pytest.mark.slow
def test_at_the_break_even_vol_a_scalper_neither_earns_nor_loses() -> None:
    gain = -0.8
    told = {}
    for implied in (break_even_vol(0.6, gain), 0.6 / (1.0 - gain), 0.6):
        desk = scalper("scalper", -gain / LAMBDA, EveryStep(), delay_steps=0, iv=implied)
        profit, _ = profits(alone(desk, 0.6, days=1.0, hours=1 / 12, spot=SPOT, impact=ImpactModel(permanent_per_usd=LAMBDA)), 500)
        told[implied] = float(profit.mean() / (profit.std() / math.sqrt(profit.size)))
    z = list(told.values())
    assert abs(z[0]) < 4.0
    assert z[1] > 10.0
    assert z[2] < -10.0


def test_a_long_book_in_the_loop_earns_by_its_own_gain_along_the_path() -> None:
    """A straddle with impact per coin: expected profit of a step = S^2 Gamma (sigma^2 / (1 - g) - iv^2) dt / 2, g read along the path."""
    years, contracts, implied, vol = 30 / 365, 8_000.0, 0.55, 0.6
    straddle = OptionBook(
        np.array([1, -1]),
        np.full(2, SPOT),
        np.full(2, years),
        np.full(2, contracts),
        np.full(2, implied),
        np.ones(2),
        np.zeros(2),
        np.zeros(2),
    )
    desk = scalper("scalper", straddle, EveryStep(), delay_steps=0)
    per_usd = 2e-10
    scenario = alone(desk, vol, days=1.0, hours=1 / 6, spot=SPOT, impact=ImpactModel(permanent_per_usd=per_usd))
    profit, blocks = profits(replace(scenario, price=Gbm(vol=vol)), 1_500)
    x, time = np.concatenate([block.log_price for block in blocks]), blocks[0].time_years
    gamma = 2.0 * contracts * dollar_gamma(x[:, :-1], spot=SPOT, strike=SPOT, vol=implied, left=years - time[:-1])
    gain, step = -per_usd * gamma, np.diff(time)
    assert -0.9 < gain[:, 0].mean() < -0.1
    expected = 0.5 * (gamma * (vol**2 / (1.0 - gain) - implied**2) * step).sum(axis=1)
    shocks = np.concatenate([np.diff(block.fundamental_log, axis=1) for block in blocks])
    control = 0.5 * (gamma / (1.0 - gain) * (shocks**2 - vol**2 * step)).sum(axis=1)
    mean, error = sharpened(profit - expected, control, shocks.sum(axis=1), (gamma * shocks).sum(axis=1))
    scale = 0.5 * float(gamma.mean()) * vol**2 / (1.0 - float(gain.mean())) / 365.0
    assert abs(mean) < 4.0 * error + 1e-4 * scale  # ten minutes of moves leave terms of the third order
    assert error < 0.01 * scale
    wrong = 0.5 * (gamma * (vol**2 / (1.0 - gain) ** 2 - implied**2) * step).sum(axis=1)
    assert abs(float((profit - wrong).mean())) > 0.1 * scale


def test_both_engines_scalp_alike() -> None:
    call = OptionBook.single("call", strike_usd=SPOT, expiry_years=30 / 365, contracts_coin=1_000.0, iv=0.6)
    scenario = alone(scalper("s", call, EveryStep(), delay_steps=0), 0.8, days=5.0, hours=1.0, spot=SPOT, impact=ImpactModel(2e-11))
    runs = [simulate(scenario, paths=64, seed=3, engine=engine) for engine in ("plain", "fast")]
    assert runs[0].metrics.agents[0].pnl_usd.value == pytest.approx(runs[1].metrics.agents[0].pnl_usd.value, rel=1e-6)


def test_a_scalper_is_long() -> None:
    long = OptionBook.single("call", strike_usd=SPOT, expiry_years=0.1, contracts_coin=2.0, iv=0.6)
    made = scalper("s", long, Band(half_width_usd=1e5), delay_steps=1, speed=0.5)
    assert made == Dealer("s", Band(half_width_usd=1e5), 1, options=long, speed=0.5)
    mixed = long.merged(replace(long, contracts_coin=-long.contracts_coin))
    with pytest.raises(InputError, match="agent 's': a scalper is long its options, got -2 in row 2"):
        scalper("s", mixed, EveryStep(), delay_steps=0)
    with pytest.raises(InputError, match="an option at least"):
        scalper("s", replace(long, contracts_coin=0.0 * long.contracts_coin), EveryStep(), delay_steps=0)
    with pytest.raises(InputError, match="long gamma"):
        scalper("s", -1e9, EveryStep(), delay_steps=0)
    with pytest.raises(InputError, match="below 1"):
        break_even_vol(0.6, 1.0)


def test_rows_count_from_one() -> None:
    long = OptionBook.single("call", strike_usd=SPOT, expiry_years=0.1, contracts_coin=2.0, iv=0.5)
    with pytest.raises(InputError, match="got -1 in row 2; mend"):
        replace(long.merged(long), iv=np.array([0.5, -1.0]))
