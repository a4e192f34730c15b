"""Both engines against a slow simulator that shares nothing with them, on scenarios drawn at random (see `oracle`)."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from tests.sim.oracle import Hedger, Market, Row, Told, run_path

from tailwag.errors import InputError
from tailwag.hedging.policies import AtTimes, Band, EveryStep, NoHedge, Policy
from tailwag.sim import blocks, fast
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.dynamics import Replay
from tailwag.sim.engine import plan_run
from tailwag.sim.grid import TimeGrid as Grid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.option_book import OptionBook
from tailwag.sim.scenario import Costs, Scenario, VolDynamics
from tailwag.sim.state import PNL_PARTS, BlockPaths, Outcome

SPOT = 60_000.0
SAME = 1e-9
SEEDS = 80


@dataclass(frozen=True)
class Drawn:
    """One random world, said twice: for the oracle and for the product, with the increments that both are fed."""

    market: Market
    scenario: Scenario
    increments: tuple[float, ...]


def drawn_row(dice: random.Random, horizon: float) -> Row:
    return Row(
        call=dice.random() < 0.5,
        strike=SPOT * math.exp(dice.gauss(0.0, 0.03)),
        expiry_years=horizon * dice.choice((0.31, 0.5, 0.77, 1.0, 2.0, 20.0)),
        contracts=dice.gauss(0.0, 1500.0),
        iv=dice.uniform(0.4, 0.9),
        skew=dice.choice((0.0, dice.gauss(0.0, 0.2))),
        ratio=dice.choice((1.0, dice.uniform(0.98, 1.03))),
    )


def drawn_hedger(dice: random.Random, clearing: str, steps: int, horizon: float) -> Hedger:
    rule = dice.choice(("every-step", "every-step", "grid", "band", "band", "none"))
    every = dice.choice((2, 3, 5))
    width_unit = dice.choice(("usd", "coin"))
    hedger = Hedger(
        delay={"implicit": dice.choice((0, 0, 0, 1, 3)), "lagged": dice.randint(1, 4), "damped": 1}[clearing],
        policy=rule,
        grid_steps=set(range(every, steps + 1, every)) if rule == "grid" else set(),
        half_width=10 ** (dice.uniform(5.0, 7.5) if width_unit == "usd" else dice.uniform(0.5, 2.5)),
        width_unit=width_unit,
        centre=dice.random() < 0.5,
        speed=dice.choice((1.0, 1.0, 0.4, 1.3)),
        share=dice.choice((1.0, 0.6)),
        hold=dice.random() < 0.3,
    )
    if dice.random() < 0.5:
        hedger.rows = [drawn_row(dice, horizon) for _ in range(dice.randint(1, 4))]
    else:
        hedger.gamma_usd, hedger.iv = dice.gauss(-2e9, 8e9), dice.uniform(0.3, 0.9)
    return hedger


def drawn_market(dice: random.Random, steps: int) -> Market:
    clearing = dice.choice(("implicit", "implicit", "lagged", "damped"))
    horizon = dice.choice((0.5, 2.0)) / 365
    graded = dice.random() < 0.3
    by_coin, passes = dice.random() < 0.4, dice.random() < 0.5
    scale = SPOT if by_coin else 1.0
    lasting, passing = scale * 10 ** dice.uniform(-11.5, -10.3), scale * 10 ** dice.uniform(-11.5, -10.3) * passes
    moves = dice.random() < 0.5
    hedgers = [drawn_hedger(dice, clearing, steps, horizon) for _ in range(dice.randint(1, 4))]
    return Market(
        spot=SPOT,
        years=[horizon * (1.0 - (1.0 - i / steps) ** 3 if graded else i / steps) for i in range(steps + 1)],
        clearing=clearing,
        hedgers=hedgers,
        **{("permanent_coin" if by_coin else "permanent_usd"): lasting, ("transient_coin" if by_coin else "transient_usd"): passing},
        half_life_years=dice.choice((5.0, 60.0, 600.0)) / 525_600,
        limit_usd=dice.choice((None, None, 3e8)),
        stop=dice.choice((0.7, 0.7, 0.06)),
        halt=dice.choice((None, None, 0.04)),
        beta=dice.choice((-0.8, 0.5)) if moves else 0.0,
        reversion_per_day=2.0,
        fee_bps=dice.choice((0.0, 3.0, -1.0)),
        half_spread_bps=dice.choice((0.0, 2.0)),
        gas_usd=4.0 if all(hedger.gamma_usd for hedger in hedgers) else 0.0,
    )


def as_policy(hedger: Hedger, market: Market) -> Policy:
    if hedger.policy == "grid":
        step_minutes = market.years[1] * 525_600
        return AtTimes(every_minutes=step_minutes * min(hedger.grid_steps))
    if hedger.policy == "band":
        return Band(**{f"half_width_{hedger.width_unit}": hedger.half_width}, target="centre" if hedger.centre else "edge")
    return NoHedge() if hedger.policy == "none" else EveryStep()


def as_book(rows: list[Row]) -> OptionBook:
    columns = [
        [1 if row.call else -1 for row in rows],
        *([getattr(row, name) for row in rows] for name in ("strike", "expiry_years", "contracts", "iv", "ratio", "skew")),
        [False] * len(rows),
    ]
    return OptionBook(*(np.array(column) for column in columns))


def as_dealer(number: int, hedger: Hedger, market: Market) -> Dealer:
    held = {"options": as_book(hedger.rows)} if hedger.rows else {"gamma_usd": hedger.gamma_usd, "iv": hedger.iv}
    return Dealer(
        f"dealer {number}",
        as_policy(hedger, market),
        hedger.delay,
        speed=hedger.speed,
        hedge_share=hedger.share,
        after_expiry="hold" if hedger.hold else "unwind",
        **held,
    )


def as_scenario(market: Market, increments: list[float]) -> Scenario:
    passes = market.transient_usd or market.transient_coin
    return Scenario(
        market.spot,
        Grid(np.array(market.years)),
        Replay(increments, years=market.years[-1]),
        ImpactModel(
            permanent_per_usd=market.permanent_usd,
            permanent_per_coin=market.permanent_coin,
            transient_per_usd=market.transient_usd,
            transient_per_coin=market.transient_coin,
            transient_half_life_minutes=market.half_life_years * 525_600 if passes else None,
            limit_usd_per_step=market.limit_usd,
        ),
        tuple(as_dealer(number, hedger, market) for number, hedger in enumerate(market.hedgers)),
        market.clearing,
        vol=VolDynamics(spot_vol_beta=market.beta, mean_reversion_per_day=market.reversion_per_day),
        costs=Costs(fee_bps=market.fee_bps, half_spread_bps=market.half_spread_bps, gas_usd=market.gas_usd),
        stop_log_move=market.stop,
        halt_log_move=market.halt,
    )


def drawn(seed: int, steps: int = 16) -> Drawn | None:
    """The world of a seed; None where the product refuses it (a gain of 1 and more has no clearing price)."""
    dice = random.Random(seed)
    market = drawn_market(dice, steps)
    if any(hedger.policy == "grid" for hedger in market.hedgers):
        market.years = [market.years[-1] * i / steps for i in range(steps + 1)]
    lengths = [after - before for before, after in zip(market.years[:-1], market.years[1:], strict=True)]
    increments = [dice.gauss(0.0, dice.choice((0.6, 0.6, 2.0)) * math.sqrt(length)) for length in lengths]
    try:
        return Drawn(market, as_scenario(market, increments), tuple(increments))
    except InputError:
        return None


def differences(told: Told, block: BlockPaths, market: Market) -> dict[str, float]:
    """Largest difference by what it is of: log price absolute, the rest relative to what passed through the account."""
    worst = {
        "log price": max(abs(a - b) for a, b in zip(told.log_price, block.log_price[0], strict=True)),
        "fundamental": max(abs(a - b) for a, b in zip(told.fundamental, block.fundamental_log[0], strict=True)),
    }
    for index, agent in enumerate(block.agents):
        coins, flows = [row[index] for row in told.coin], [row[index] for row in told.flow_usd][1:]
        size = max(1.0, *(abs(coin) for coin in coins), *(abs(row.contracts) for row in market.hedgers[index].rows))
        size = max(size, abs(market.hedgers[index].gamma_usd or 0.0) / SPOT * 0.01)
        assert agent.position_coin is not None
        assert agent.flow_usd is not None
        here = {
            "position": max(abs(a - b) for a, b in zip(coins, agent.position_coin[0], strict=True)) / size,
            "flow": max(abs(a - b) for a, b in zip(flows, agent.flow_usd[0], strict=True)) / (size * SPOT),
            "cash": abs(told.cash[-1][index] - agent.final_cash_usd[0]) / (size * SPOT),
            "pnl": abs(told.pnl[index] - agent.pnl_usd[:, 0].sum()) / (size * SPOT),
        }
        worst |= {name: max(value, worst.get(name, 0.0)) for name, value in here.items()}
    return worst


def played(scenario: Scenario, *, full_pnl: bool = True) -> dict[str, BlockPaths]:
    """The scenario by every engine that takes it."""
    plan = plan_run(scenario, seed=1, full_pnl=full_pnl)
    played = {"plain": blocks.run_block(plan, 0, 1, keep_agents=True)}
    if fast.supports(scenario) is None:
        played["fast"] = fast.run_block(fast.prepare(plan), 0, 1, keep_agents=True)
    return played


def apart(world: Drawn, told: Told, played_out: Sequence[BlockPaths]) -> float:
    """The largest difference between what was told and what the engines played; infinite where a path ends in another way."""
    worst = 0.0
    for block in played_out:
        if Outcome(block.outcome[0]).name.lower() != told.outcome:
            return math.inf
        worst = max(worst, *differences(told, block, world.market).values())
    return worst


def all_played(world: Drawn) -> list[BlockPaths]:
    """By every engine, profit split at every step and at the ends."""
    return [*played(world.scenario).values(), *played(world.scenario, full_pnl=False).values()]


@cache
def few_worlds() -> list[tuple[Drawn, list[BlockPaths]]]:
    """The worlds of the fast suite, played once."""
    worlds = [world for world in map(drawn, range(SEEDS)) if world is not None]
    return [(world, all_played(world)) for world in worlds]


def told(world: Drawn) -> Told:
    return run_path(world.market, list(world.increments))


def test_engines_are_the_oracle() -> None:
    for number, (world, played_out) in enumerate(few_worlds()):
        assert apart(world, told(world), played_out) <= SAME, number


@pytest.mark.slow
@pytest.mark.parametrize("hundred", range(1, 6))
def test_engines_are_the_oracle_over_long_runs(hundred: int) -> None:
    for seed in range(100 * hundred, 100 * hundred + 100):
        world = drawn(seed, steps=16 + 6 * hundred)
        if world is not None and max(map(abs, world.increments)) > world.market.stop:
            continue  # FAST_GIVES_UP
        assert world is None or apart(world, told(world), all_played(world)) <= SAME, seed


def test_the_worlds_hold_everything() -> None:
    """Seeds that draw nothing but quiet paths would prove little."""
    worlds = [world for world, _ in few_worlds()]
    ends = [told(world).outcome for world in worlds]
    assert len(worlds) >= 0.9 * SEEDS
    assert sum(fast.supports(world.scenario) is None for world in worlds) >= 0.5 * SEEDS
    assert all(ends.count(end) >= 2 for end in ("finished", "runaway", "halted", "depth_exhausted"))
    assert all(sum(world.scenario.clearing == name for world in worlds) / SEEDS >= 0.15 for name in ("implicit", "lagged", "damped"))


MUTATIONS = {
    "a sign of beta": lambda market: replace(market, beta=-market.beta),
    "a share": lambda market: replace(market, hedgers=[replace(hedger, share=0.99 * hedger.share) for hedger in market.hedgers]),
    "an edge for a centre": lambda market: replace(market, hedgers=[replace(one, centre=not one.centre) for one in market.hedgers]),
    "a step of delay": lambda market: replace(market, hedgers=[replace(one, delay=one.delay + 1) for one in market.hedgers]),
    "unwinding for holding": lambda market: replace(market, hedgers=[replace(one, hold=not one.hold) for one in market.hedgers]),
    "a half-life": lambda market: replace(market, half_life_years=1.01 * market.half_life_years),
    "passing for staying": lambda market: replace(market, permanent_usd=market.transient_usd, transient_usd=market.permanent_usd),
    "a fee": lambda market: replace(market, fee_bps=market.fee_bps + 0.01),
    "the clearing": lambda market: replace(market, clearing="lagged"),
    "a stop": lambda market: replace(market, stop=0.9 * market.stop),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_another_rule_shows(mutation: str) -> None:
    wrong = MUTATIONS[mutation]
    differ = [apart(world, run_path(wrong(world.market), list(world.increments)), played_out) for world, played_out in few_worlds()]
    assert sum(difference > 1e3 * SAME for difference in differ) >= 3


@pytest.mark.parametrize("engine", ["plain", "fast"])
@pytest.mark.parametrize("jump", [0.10, 0.12])
def test_long_gamma_brings_a_jump_back_inside_the_bound(jump: float, engine: str) -> None:
    """The jump alone is beyond stop_log_move; the price at which it clears is not, so nothing runs away."""
    day = 1 / 365
    market = Market(
        spot=SPOT,
        years=[0.0, day / 24, day / 12],
        clearing="implicit",
        hedgers=[Hedger(delay=0, rows=[Row(True, 62_400.0, day, 2000.0, 0.6)])],
        permanent_coin=6e-5,
        stop=0.06,
    )
    world = Drawn(market, as_scenario(market, [jump, 0.01]), (jump, 0.01))
    said = told(world)
    assert said.outcome == "finished"
    assert 0.04 < said.log_price[1] < 0.06
    block = played(world.scenario)[engine]
    assert Outcome(block.outcome[0]) is Outcome.FINISHED
    assert max(differences(said, block, market).values()) <= SAME


@pytest.mark.slow
@pytest.mark.xfail(reason="20,000 strides, each a quarter of an option's last second, do not reach the price", strict=True)
@pytest.mark.parametrize("engine", ["plain", "fast"])
def test_a_far_price_at_an_expiry_is_found(engine: str) -> None:
    """The only clearing price lies half a unit of log price away in the step that fixes an option."""
    world = drawn(822, steps=64)
    assert world is not None
    assert apart(world, told(world), [played(world.scenario)[engine]]) <= SAME


@pytest.mark.parametrize("delay", [1, 3])
def test_a_late_hedger_holds_an_expired_hedge_once(delay: int) -> None:
    """`after_expiry = "hold"`: the last hedge stays as it is; ordered twice, it would be bought and sold again."""
    day = 1 / 365
    market = Market(
        spot=SPOT,
        years=[day * step / 8 for step in range(17)],
        clearing="lagged",
        hedgers=[Hedger(delay=delay, rows=[Row(True, 50_000.0, day, -1000.0, 0.6)], hold=True)],
        permanent_coin=1e-9,
    )
    increments = [0.004, -0.003] * 8
    world = Drawn(market, as_scenario(market, increments), tuple(increments))
    assert apart(world, told(world), all_played(world)) <= SAME
    positions = played(world.scenario)["plain"].agents[0].position_coin
    assert positions is not None
    assert np.abs(positions[0] - 1000.0).max() < 1.0


def test_what_a_hedge_earns_after_its_options_have_settled_is_carry() -> None:
    """Between the fixing and the unwinding the hedge is naked: delta, no residual."""
    day = 1 / 365
    market = Market(
        spot=SPOT,
        years=[day * step / 4 for step in range(9)],
        clearing="implicit",
        hedgers=[Hedger(delay=0, rows=[Row(True, 50_000.0, day, -1000.0, 0.6)])],
        permanent_coin=1e-9,
    )
    increments = [0.002, -0.002, 0.002, -0.002, -0.01, 0.002, -0.002, 0.002]
    for block in played(as_scenario(market, increments)).values():
        parts = dict(zip(PNL_PARTS, block.agents[0].pnl_usd[:, 0], strict=True))
        assert parts["delta_usd"] == pytest.approx(1000.0 * SPOT * (math.exp(-0.01) - 1.0), rel=1e-3)
        assert abs(parts["residual_usd"]) < 1.0
