"""The fast engine is the plain engine's twin: same prices, same decisions, same accounts, on scenarios drawn at random."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from functools import cache

import numpy as np
import pytest

from tailwag.errors import InputError
from tailwag.hedging.execution import Maker, Twap
from tailwag.hedging.policies import AtTimes, Band, EveryStep, Leland, NoHedge, Predictive, WhalleyWilmott, Zakamouline
from tailwag.sim import blocks, fast
from tailwag.sim.agents.dealer import Dealer, HedgeInstrument
from tailwag.sim.dynamics import Gbm, Heston, Merton
from tailwag.sim.engine import plan_run
from tailwag.sim.grid import TimeGrid as Grid
from tailwag.sim.impact import ImpactModel, ReactiveDepth, SquareRootLaw
from tailwag.sim.option_book import OptionBook
from tailwag.sim.run import simulate
from tailwag.sim.scenario import Costs, Scenario, VolDynamics
from tailwag.sim.state import Outcome

SPOT = 60_000.0
PATHS = 150
SAME_LOG = 1e-12
SAME_ACCOUNT = 1e-9
DUST_USD = 1e-4
"""A book without options left still trades the last digit of its position, which is another in each engine."""
PRICES = (
    Gbm(vol=0.6),
    Heston(v0=0.36, kappa=3.0, theta=0.4, xi=1.0, rho=-0.3),
    Merton(vol=0.5, jumps_per_year=100.0, jump_mean=-0.02, jump_std=0.05),
)
IMPACTS = (
    ImpactModel(permanent_per_usd=1e-11),
    ImpactModel(permanent_per_coin=6e-7, transient_per_coin=6e-7, transient_half_life_minutes=40.0),
    ImpactModel(permanent_per_usd=4e-12, transient_per_usd=1e-11, transient_half_life_minutes=25.0)
    + ImpactModel(transient_per_coin=2e-7, transient_half_life_minutes=240.0),
    ImpactModel(transient_per_usd=2e-11, kernel="power", power_exponent=0.5, power_unit_minutes=5.0, power_horizon_minutes=3000.0),
)


def drawn_policy(rng, *, by_coin):
    usd, coin = float(10 ** rng.uniform(5.5, 7.5)), float(10 ** rng.uniform(1.0, 2.6))
    choices = (
        EveryStep(),
        EveryStep(),
        AtTimes(float(rng.choice([30.0, 45.0, 120.0]))),
        Band(half_width_usd=usd),
        Band(half_width_coin=coin, target="centre"),
        Band(half_width_coin=coin),
        WhalleyWilmott(1e-7, 5.0),
        NoHedge(),
    )
    return choices[int(rng.integers(len(choices)))]


def small_book(rng, steps, horizon_days, *, scale=2500.0):
    """Up to six options, some that expire within the run, some settled on an average."""
    count = int(rng.integers(1, 7))
    days = rng.choice([0.5, 0.8, 1.0, 3.0, 30.0], count) * horizon_days
    averaged = rng.random(count) < 0.5
    days = np.where(averaged & (days < 0.9 * horizon_days), 0.5 * horizon_days, days)
    return OptionBook(
        right=rng.choice([-1, 1], count),
        strike_usd=SPOT * np.exp(0.03 * rng.normal(size=count)),
        expiry_years=days / 365,
        contracts_coin=scale * rng.normal(size=count),
        iv=rng.uniform(0.4, 0.8, count),
        forward_ratio=rng.uniform(0.99, 1.02, count),
        skew=rng.normal(0.0, 0.2, count),
        averaged=averaged,
    )


def drawn_scenario(seed, *, books):
    """A scenario from one number: every option of the fast engine turns up in some of them."""
    rng = np.random.default_rng(seed)
    clearing = ("implicit", "implicit", "lagged", "damped")[int(rng.integers(4))]
    steps, days = (72, 0.5) if books else (48, 2.0)
    grid = Grid.uniform(horizon_days=days, step_minutes=days * 1440 / steps)
    if rng.random() < 0.2:
        grid = Grid.graded(horizon_days=days, steps=steps, exponent=2.0)
    dealers = []
    for number in range(int(rng.integers(1, 4))):
        by_coin = books and (number == 0 or rng.random() < 0.6)
        delay = {"implicit": int(rng.choice([0, 0, 1, 3])), "damped": 1, "lagged": int(rng.integers(1, 5))}[clearing]
        holding = {"options": small_book(rng, steps, days)} if by_coin else {"gamma_usd": float(rng.normal(-3e9, 6e9)), "iv": 0.6}
        dealers.append(
            Dealer(
                f"dealer {number}",
                drawn_policy(rng, by_coin=by_coin),
                delay,
                speed=float(rng.choice([1.0, 0.5, 1.3])),
                hedge_share=float(rng.choice([1.0, 0.7])),
                execution=Twap(3)
                if delay and clearing == "lagged" and rng.random() < 0.3
                else Dealer.__dataclass_fields__["execution"].default_factory(),
                instrument=HedgeInstrument("perp", funding_per_year=float(rng.choice([0.0, 0.2]))),
                **holding,
            )
        )
    moving = rng.random() < 0.6
    return Scenario(
        SPOT,
        grid,
        PRICES[int(rng.integers(len(PRICES)))],
        IMPACTS[int(rng.integers(len(IMPACTS)))],
        tuple(dealers),
        clearing,
        vol=VolDynamics(
            spot_vol_beta=-0.9 if moving else 0.0, mean_reversion_per_day=3.0, couple_price_vol=bool(moving and rng.random() < 0.5)
        ),
        costs=Costs(fee_bps=3.0, half_spread_bps=1.5, gas_usd=2.0),
        stop_log_move=float(rng.choice([0.7, 0.05])),
        halt_log_move=[None, None, 0.03][int(rng.integers(3))],
    )


def possible(seeds, *, books):
    """The first of these seeds whose scenarios are not refused (a gain of one and more has no clearing price)."""
    kept = []
    for seed in seeds:
        try:
            kept.append((seed, drawn_scenario(seed, books=books)))
        except InputError:
            continue
    return kept


def both(scenario, *, paths=PATHS, seed=5, full_pnl=True):
    plan = plan_run(scenario, seed=seed, full_pnl=full_pnl)
    assert fast.supports(scenario) is None
    return (
        fast.run_block(fast.prepare(plan), 0, paths, keep_agents=True),
        blocks.run_block(plan, 0, paths, keep_agents=True),
    )


def far_apart(ours, theirs):
    """Largest difference in log price, and the largest relative difference of any account, with its name."""
    worst, name = 0.0, ""
    pairs = [
        (f"{theirs_of.name}.{entry.name}", getattr(ours_of, entry.name), getattr(theirs_of, entry.name))
        for ours_of, theirs_of in zip(ours.agents, theirs.agents)
        for entry in fields(theirs_of)
        if entry.name not in ("name", "trades") and getattr(theirs_of, entry.name) is not None
    ]
    assert all(
        getattr(ours_of, entry.name) is None
        for ours_of, theirs_of in zip(ours.agents, theirs.agents)
        for entry in fields(theirs_of)
        if getattr(theirs_of, entry.name) is None
    )
    pairs += [(name, getattr(ours, name), getattr(theirs, name)) for name in BLOCK_ACCOUNTS]
    scale = 1e-3 * max(np.abs(agent.turnover_usd).max() for agent in theirs.agents) if theirs.agents else 0.0
    for pair_name, mine, his in pairs:
        size = max(np.abs(his).max(), scale if "usd" in pair_name and "squared" not in pair_name else 1e-3)
        off = np.abs(mine - his).max() / max(size, 1e-300)
        worst, name = (off, pair_name) if off > worst else (worst, name)
    return np.abs(ours.log_price - theirs.log_price).max(), worst, name


BLOCK_ACCOUNTS = ("net_flow_usd", "liquidity_cash_usd", "liquidity_position_coin", "venue_cash_usd", "holders_cash_usd")


def steady(scenario, theirs):
    """Whether trading stayed within bounds: a loop that runs away, or is damped at a gain near 1, multiplies the last digit by as much."""
    near_one = scenario.clearing == "damped" and int(Outcome.RUNAWAY) in theirs.outcome
    return not near_one and all(agent.peak_position_usd.max() < 1e12 for agent in theirs.agents)


@cache
def compared(books):
    return [
        (seed, scenario, *both(scenario, full_pnl=True))
        for seed, scenario in possible(range(40 if books else 60), books=books)[: 22 if books else 40]
    ]


@pytest.mark.parametrize("books", [False, True])
def test_prices_decisions_and_accounts_are_the_plain_engines(books):
    steady_ones, outcomes, clearings = 0, set(), set()
    for seed, scenario, ours, theirs in compared(books):
        assert ours.outcome.tolist() == theirs.outcome.tolist(), seed
        assert ours.stopped_step.tolist() == theirs.stopped_step.tolist(), seed
        outcomes |= set(theirs.outcome.tolist())
        assert np.abs(ours.fundamental_log - theirs.fundamental_log).max() < SAME_LOG, seed
        if not steady(scenario, theirs):
            continue
        steady_ones += 1
        clearings.add(scenario.clearing)
        for mine, his in zip(ours.agents, theirs.agents):
            assert ((np.abs(mine.flow_usd) > DUST_USD) == (np.abs(his.flow_usd) > DUST_USD)).all(), (seed, mine.name)
            assert mine.trades.tolist() == his.trades.tolist(), (seed, mine.name)
        log_price, account, name = far_apart(ours, theirs)
        assert log_price < SAME_LOG, seed
        assert account < SAME_ACCOUNT, (seed, name)
    assert steady_ones >= 15
    assert clearings == {"implicit", "lagged", "damped"}
    assert {int(Outcome.FINISHED), int(Outcome.RUNAWAY), int(Outcome.HALTED)} <= outcomes


def test_a_wrong_impact_or_beta_is_noticed():
    """The comparison can fail: one parameter of the columns is spoiled."""
    from tailwag.kernels.loop_rows import BETA, PER_USD

    scenario = next(one for _, one in possible(range(40), books=True) if one.vol.moves and one.clearing == "implicit")
    plan = plan_run(scenario, seed=5)
    theirs = blocks.run_block(plan, 0, 20)
    for entry, factor in ((PER_USD, 1.01), (BETA, -1.0)):
        spoiled = fast.prepare(plan)
        spoiled.loop.numbers[entry] = spoiled.loop.numbers[entry] * factor + (1e-12 if entry == PER_USD else 0.0)
        assert np.abs(fast.run_block(spoiled, 0, 20).log_price - theirs.log_price).max() > 1e3 * SAME_LOG


def test_books_valued_only_where_they_end_have_the_plain_engines_total():
    """Per cause the same as the plain engine's on paths that finished; and in total as if split at every step, on paths that stopped too."""
    for seed, scenario in possible(range(14), books=True)[:8]:
        plan = plan_run(scenario, seed=5, full_pnl=False)
        ours, theirs = fast.run_block(fast.prepare(plan), 0, 60), blocks.run_block(plan, 0, 60)
        if not steady(scenario, theirs):
            continue
        split = blocks.run_block(plan_run(scenario, seed=5, full_pnl=True), 0, 60)
        finished = theirs.outcome == int(Outcome.FINISHED)
        for mine, his, by_step in zip(ours.agents, theirs.agents, split.agents):
            scale = 1.0 + np.abs(by_step.pnl_usd).max()
            assert np.abs(mine.pnl_usd.sum(axis=0) - by_step.pnl_usd.sum(axis=0)).max() / scale < SAME_ACCOUNT, seed
            assert np.abs(mine.pnl_usd - his.pnl_usd)[:, finished].max(initial=0.0) / scale < SAME_ACCOUNT, seed


def test_an_exhausted_book_stops_the_path():
    scenario = Scenario(
        SPOT,
        Grid.uniform(horizon_days=1.0, step_minutes=60.0),
        Gbm(vol=0.8),
        ImpactModel(permanent_per_usd=1e-11, limit_usd_per_step=6e7),
        (Dealer("one", EveryStep(), 0, gamma_usd=-5e9),),
        "implicit",
    )
    ours, theirs = both(scenario)
    assert int(Outcome.DEPTH_EXHAUSTED) in theirs.outcome
    assert ours.outcome.tolist() == theirs.outcome.tolist()
    assert np.abs(ours.log_price - theirs.log_price).max() < SAME_LOG


def test_coin_and_cash_sum_to_what_they_were():
    for seed, scenario, ours, theirs in compared(True):
        if not steady(scenario, theirs):
            continue
        start = sum(agent.position_coin[0, 0] for agent in ours.agents)
        coin = sum(agent.final_position_coin for agent in ours.agents) + ours.liquidity_position_coin
        cash = sum(agent.final_cash_usd for agent in ours.agents) + ours.liquidity_cash_usd + ours.venue_cash_usd + ours.holders_cash_usd
        scale = 1.0 + sum(agent.turnover_usd.max() for agent in ours.agents)
        assert np.abs(coin - start).max() * SPOT / scale < 1e-10, seed
        assert np.abs(cash).max() / scale < 1e-10, seed


def test_bits_do_not_depend_on_blocks_threads_names_or_order():
    _, scenario = next(pair for pair in possible(range(40), books=True) if len(pair[1].agents) > 2)
    prepared = fast.prepare(plan_run(scenario, seed=9))
    whole = fast.run_block(prepared, 0, 300)
    renamed = replace(scenario, agents=tuple(replace(agent, name=f"z{9 - n}") for n, agent in enumerate(scenario.agents))[::-1])
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda cut: fast.run_block(prepared, *cut), [(250, 50), (0, 1), (1, 130), (131, 119)]))
    for part in [*parts, fast.run_block(fast.prepare(plan_run(renamed, seed=9)), 0, 300)]:
        cut = slice(part.first_path, part.first_path + part.paths)
        assert part.log_price.tobytes() == whole.log_price[cut].tobytes()
        assert part.net_flow_usd.tobytes() == whole.net_flow_usd[cut].tobytes()
    for mine, other in zip(whole.agents, fast.run_block(fast.prepare(plan_run(renamed, seed=9)), 0, 300).agents[::-1]):
        assert mine.pnl_usd.tobytes() == other.pnl_usd.tobytes()


def test_a_table_gives_the_same_trajectories():
    check_table(many_options(120, days=1.0), 40)


@pytest.mark.slow
def test_a_table_gives_the_same_trajectories_over_a_week():
    check_table(many_options(800, days=7.0), 100)


def many_options(count, *, days, policy=None):
    """Three dealers, net short gamma, hedging in bands of a few coin; vol falls as price rises."""
    rng = np.random.default_rng(3)
    left = rng.choice([0.5, 1.0, 2.0, 4.0, 7.0, 30.0, 90.0], count) / 365
    strike = SPOT * np.exp(np.round(0.9 * np.sqrt(left) * rng.normal(size=count), 3))
    dealers = []
    for number in range(3):
        book = OptionBook(
            right=rng.choice([-1, 1], count),
            strike_usd=strike,
            expiry_years=left,
            contracts_coin=rng.normal(-4.0, 8.0, count) * 120 / count,
            iv=0.55 + 0.2 * np.abs(np.log(strike / SPOT)),
            forward_ratio=np.ones(count),
            skew=np.zeros(count),
            averaged=left > 0.7 / 365,
        )
        dealers.append(Dealer(f"dealer {number}", policy or Band(half_width_coin=2.0), 0, options=book))
    return Scenario(
        SPOT,
        Grid.uniform(horizon_days=days, step_minutes=5.0),
        Gbm(vol=0.6),
        ImpactModel(permanent_per_usd=2e-10, transient_per_usd=4e-10, transient_half_life_minutes=30.0),
        tuple(dealers),
        "implicit",
        vol=VolDynamics(spot_vol_beta=-0.8, mean_reversion_per_day=1.0),
    )


def check_table(scenario, paths):
    """Against sums option by option: hardly a decision differs, and a path on which one does is soon back."""
    plan = plan_run(scenario, seed=4, full_pnl=False)
    read = fast.run_block(fast.prepare(plan), 0, paths, keep_agents=True)
    summed = fast.run_block(fast.prepare(plan, table_rows=10**9), 0, paths, keep_agents=True)
    differ = np.array(
        [(np.abs(mine.flow_usd) > DUST_USD) != (np.abs(his.flow_usd) > DUST_USD) for mine, his in zip(read.agents, summed.agents)]
    )
    moved = np.std(summed.log_price[:, -1] - summed.fundamental_log[:, -1])
    off = np.abs(read.log_price - summed.log_price)
    assert moved > 3e-4  # hedging does something
    assert differ.mean() < 2e-4
    assert off[~differ.any(axis=(0, 2))].max() < 1e-4 * moved
    assert off.max() < 1e-2 * moved
    assert np.median(off[:, -1]) < 1e-5 * moved


def test_both_engines_through_the_front_door():
    scenario = drawn_scenario(possible(range(20), books=False)[0][0], books=False)
    fast_run = simulate(scenario, paths=300, seed=2, engine="auto", keep_paths=True)
    again = simulate(scenario, paths=300, seed=2, engine="fast", threads=3, keep_paths=True)
    plain_run = simulate(scenario, paths=300, seed=2, engine="plain", keep_paths=True)
    assert (fast_run.engine, plain_run.engine) == ("fast", "plain")
    assert fast_run.kept.log_price.tobytes() == again.kept.log_price.tobytes()
    assert fast_run.metrics == again.metrics
    assert np.abs(fast_run.kept.log_price - plain_run.kept.log_price).max() < SAME_LOG


REFUSED = {
    "policy": Dealer("x", Predictive(), 1, gamma_usd=1.0),
    "leland": Dealer("x", Leland(5.0, 60.0), 1, options=OptionBook.single(strike_usd=SPOT, expiry_years=0.1, contracts_coin=1.0, iv=0.6)),
    "zakamouline": Dealer(
        "x", Zakamouline(1e-6, 5.0), 1, options=OptionBook.single(strike_usd=SPOT, expiry_years=0.1, contracts_coin=1.0, iv=0.6)
    ),
    "jitter": Dealer("x", AtTimes(60.0, jitter_minutes=10.0), 1, gamma_usd=1.0),
    "maker": Dealer("x", EveryStep(), 1, gamma_usd=1.0, execution=Maker(fill_probability=0.5)),
    "hold": Dealer(
        "x", EveryStep(), 1, options=OptionBook.single(strike_usd=SPOT, expiry_years=0.1, contracts_coin=1.0, iv=0.6), after_expiry="hold"
    ),
}


@pytest.mark.parametrize("dealer", REFUSED.values(), ids=REFUSED)
def test_what_it_cannot_step_it_names_and_leaves_to_the_plain_engine(dealer):
    scenario = Scenario(
        SPOT, Grid.uniform(horizon_days=0.5, step_minutes=60.0), Gbm(vol=0.6), ImpactModel(permanent_per_usd=1e-12), (dealer,), "lagged"
    )
    assert "agent 'x'" in fast.supports(scenario)
    assert simulate(scenario, paths=5, seed=1).engine == "plain"
    with pytest.raises(InputError, match="take engine 'plain' or 'auto'"):
        simulate(scenario, paths=5, seed=1, engine="fast")


@pytest.mark.parametrize(
    "impact",
    [
        ImpactModel(square_root=SquareRootLaw(daily_volume_usd=1e10, daily_vol=0.03, crossover_usd=1e6)),
        ImpactModel(permanent_per_usd=1e-12, depth_reacts=ReactiveDepth(1.0, 1e-9, 30.0, 0.2)),
    ],
)
def test_impact_that_bends_or_reacts_is_left_to_the_plain_engine(impact):
    scenario = Scenario(SPOT, Grid.uniform(horizon_days=0.5, step_minutes=60.0), Gbm(vol=0.6), impact, (), "lagged")
    assert fast.supports(scenario).startswith("the fast engine steps")


def test_nobody_there_is_the_exogenous_price():
    scenario = Scenario(SPOT, Grid.uniform(horizon_days=0.5, step_minutes=60.0), Gbm(vol=0.6), IMPACTS[1], (), "lagged")
    ours, theirs = both(scenario)
    assert np.abs(ours.log_price - theirs.log_price).max() < SAME_LOG
    assert (ours.log_price == ours.fundamental_log).all()


@pytest.mark.parametrize("engine", ["plain", "fast"])
def test_the_last_digit_of_a_position_is_no_trade(engine):
    """Two equal and opposite books that nobody moves: rounding leaves 1e-17 coin to trade, which costs no gas."""
    book = OptionBook(
        np.array([1, 1]),
        np.full(2, SPOT),
        np.array([0.2, 0.5]) / 365,
        np.array([3.0, -1.7]),
        *np.array([[0.6], [1.0], [0.0]]).repeat(2, 1),
        np.zeros(2, bool),
    )
    dealer = Dealer("long", EveryStep(), 1, options=book)
    other = Dealer("short", EveryStep(), 1, options=replace(book, contracts_coin=-book.contracts_coin))
    scenario = Scenario(
        SPOT,
        Grid.uniform(horizon_days=1.0, step_minutes=15.0),
        Gbm(0.6),
        ImpactModel(permanent_per_usd=1e-11),
        (dealer, other),
        "lagged",
        costs=Costs(gas_usd=1.0),
    )
    plan = plan_run(scenario, seed=2)
    block = (
        fast.run_block(fast.prepare(plan), 0, 20, keep_agents=True) if engine == "fast" else blocks.run_block(plan, 0, 20, keep_agents=True)
    )
    for agent in block.agents:
        assert agent.trades.max() <= 50 + 1  # 48 steps until the last option has fixed, and one more to unwind
        assert agent.trades.tolist() == (np.abs(agent.flow_usd) > DUST_USD).sum(axis=1).tolist()
