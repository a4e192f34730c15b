"""Random worlds of venues against their twin of dictionaries and loops: every price, position, dollar and queue of every step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.sim import venues_twin

from tailwag.hedging.policies import EveryStep
from tailwag.margin.funding import ClampFunding, DeadBandFunding, HourlyFunding
from tailwag.sim.agents.arbitrageur import Arbitrageur
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.dynamics import Replay
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.scenario import Costs, Scenario
from tailwag.sim.venues import Venue, Venues, future_scenario
from tailwag.sim.venues_chain import Chain
from tailwag.sim.venues_engine import init, plan_venues, step

SPOT, STEPS, MINUTES = 3_100.0, 60, 10.0
YEARS = MINUTES / 525_600.0
RULES = (DeadBandFunding(0.0002, 0.004, 8.0), ClampFunding(0.0001, 0.0005, 0.003, 8.0), HourlyFunding(8.0, 1e-5, 4e-4))


def by_hand(rule: Any) -> Any:
    """The funding formulas again, a year."""
    if isinstance(rule, DeadBandFunding):
        band, cap = rule.dead_band_share, rule.cap_share
        return lambda p: max(-cap, min(cap, max(band, p) + min(-band, p))) * 8760.0 / rule.hours
    if isinstance(rule, ClampFunding):
        interest, clamp, cap = rule.interest_share, rule.clamp_share, rule.cap_share
        return lambda p: max(-cap, min(cap, p + max(-clamp, min(clamp, interest - p)))) * 8760.0 / rule.hours
    return lambda p: max(-rule.cap_share, min(rule.cap_share, p / rule.premium_hours + rule.static_share)) * 8760.0


def world(seed: int) -> tuple[dict[str, Any], Venues]:
    """The same random world twice: spot, a second spot, a perp, a future, a chain."""
    rng = np.random.default_rng(seed)
    shocks = 0.004 * rng.standard_normal(STEPS)
    grid, rule, carry, expiry = TimeGrid.uniform(horizon_days=STEPS * MINUTES / 1440, step_minutes=MINUTES), RULES[seed % 3], 0.07, 0.2
    names = ("spot", "other", "perp", "future", "chain")
    twins, venues = [], []
    for name in names:
        per_usd, per_coin = (rng.uniform(2e-11, 9e-11), 0.0) if rng.random() < 0.5 else (0.0, rng.uniform(6e-8, 3e-7))
        passing, half = rng.uniform(0.0, 3e-11) + 1e-13, rng.uniform(20.0, 90.0)
        fee, gas, gamma = rng.uniform(0.0, 3.0), (20.0 if name == "chain" else 0.0), float(rng.normal(0.0, 2e9))
        impact = ImpactModel(
            permanent_per_usd=per_usd, permanent_per_coin=per_coin, transient_per_usd=passing, transient_half_life_minutes=half
        )
        dealer = Dealer(f"dealer of {name}", EveryStep(), 1, gamma_usd=gamma, iv=0.6)
        market = Scenario(SPOT, grid, Replay(shocks), impact, (dealer,), "lagged", costs=Costs(fee_bps=fee, gas_usd=gas))
        room, message = float(rng.uniform(5e5, 2e6)), int(rng.integers(0, 2))
        extra: dict[str, Any] = {"message_delay_steps": message}
        if name == "perp":
            extra |= {"instrument": "perp", "funding": rule, "mark_seconds": 1200.0}
        if name == "future":
            market = future_scenario(market, carry_per_year=carry, expiry_years=expiry)
            extra |= {"instrument": "future", "carry_per_year": carry, "expiry_years": expiry}
        if name == "chain":
            extra |= {"chain": Chain(700.0, room), "in_index": False}
        venues.append(Venue(name, market, **extra))
        twins.append(
            {
                "name": name,
                "s0": SPOT * math.exp(carry * expiry) if name == "future" else SPOT,
                "per_usd": per_usd,
                "per_coin": per_coin,
                "passing": (passing, half / 525_600.0),
                "drift": -carry if name == "future" else 0.0,
                "fee": fee * 1e-4,
                "gas": gas,
                "gamma": gamma,
                "funding": by_hand(rule) if name == "perp" else None,
                "ema_years": 1200.0 / 31_536_000.0 if name == "perp" else 0.0,
                "index": name in ("spot", "other"),
                "block_seconds": 700.0 if name == "chain" else None,
                "room": room,
                "message": message,
                "fair": (lambda t: carry * (expiry - t)) if name == "future" else (lambda t: 0.0),
            }
        )
    pairs = (("spot", "other"), ("spot", "perp"), ("perp", "other"), ("spot", "future"), ("chain", "other"))
    arbs, ours = [], []
    for first, second in pairs:
        capital, latency, speed = float(rng.uniform(1e7, 9e7)), int(rng.integers(1, 4)), float(rng.uniform(0.2, 0.9))
        days = 6.0 if "perp" in (first, second) and rng.random() < 0.7 else 0.0
        wanted, margin, name = (0.05 if days else 0.0), float(rng.uniform(0.0, 2.0)), f"{first} {second}"
        ours.append(Arbitrageur(name, first, second, capital, latency, speed, margin, days, wanted))
        arbs.append(
            {
                "name": name,
                "first": first,
                "second": second,
                "capital": capital,
                "latency": latency,
                "speed": speed,
                "margin": margin * 1e-4,
                "years": days / 365.0,
                "wanted": wanted,
            }
        )
    told = {"dt": YEARS, "shocks": shocks.tolist(), "cap": 0.003, "venues": twins, "arbs": arbs}
    return told, Venues(tuple(venues), tuple(ours), index_cap_share=0.003)


@pytest.mark.parametrize("seed", [0, 4, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3, 5, 6, 7, 8))])
def test_every_number_of_every_step_is_the_twins(seed: int) -> None:
    twin, venues = world(seed)
    told = venues_twin.play(twin)
    plan = plan_venues(venues, seed=1)
    state = init(plan, 0, 2)
    traded = {arbitrageur.name: 0.0 for arbitrageur in venues.arbitrageurs}
    for now in range(STEPS):
        state = step(plan, state)
        for place, venue in enumerate(venues.venues):
            own, theirs = state.states[place], told[now][venue.name]
            assert own.log_price[0] == pytest.approx(theirs["x"], abs=1e-11), (venue.name, now)
            assert state.premium_share[place][0] == pytest.approx(theirs["premium"], abs=1e-11)
            for seat, mine in zip(plan.plans[place].seats, own.seats):
                book = theirs["books"]["dealer" if seat.agent.name.startswith("dealer") else seat.agent.name]
                assert mine.holding.position_coin[0] == pytest.approx(book["coin"], rel=1e-8, abs=1e-5)
                assert mine.holding.cash_usd[0] == pytest.approx(book["cash"], rel=1e-8, abs=0.05)
                assert mine.holding.pnl_usd[8, 0] == pytest.approx(book["funding"], rel=1e-7, abs=1e-4)
                if seat.agent.name in traded:
                    traded[seat.agent.name] = max(traded[seat.agent.name], float(mine.holding.turnover_usd[0]))
            waiting = state.waiting[place]
            if waiting is not None:
                assert waiting.queue_usd[0] == pytest.approx(theirs["queue"], rel=1e-7, abs=0.05)
                assert waiting.waited_usd_years[0] == pytest.approx(theirs["waited"], rel=1e-7, abs=1e-6)
                assert waiting.served_usd[0] == pytest.approx(theirs["served"], rel=1e-7, abs=0.05)
    assert sum(amount > 1e6 for amount in traded.values()) >= 3, traded
