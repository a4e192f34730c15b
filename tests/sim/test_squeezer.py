"""The gamma squeezer: the contract, a twin in dicts, the closed form of a squeeze, no free lunch without options, and what stops it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.contracts.agent import SPOT, AgentContract, market
from tests.sim.squeeze_twin import option, play

from tailwag.errors import InputError, RuleError
from tailwag.hedging.policies import EveryStep, NoHedge
from tailwag.sim.agents.block_seller import BlockSeller
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.quoting_dealer import QuotingDealer
from tailwag.sim.agents.squeezer import GammaSqueezer
from tailwag.sim.dynamics import Gbm, Replay
from tailwag.sim.engine import init, plan_run, step
from tailwag.sim.gain_bump import Bump, measure_gain
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.option_market import OptionTerms
from tailwag.sim.quoting import QuoteRule
from tailwag.sim.scenario import Costs, Scenario
from tailwag.sim.squeeze import Squeeze

IV, STEPS, MINUTES = 0.6, 40, 15.0
GRID = TimeGrid.uniform(horizon_days=STEPS * MINUTES / 1440, step_minutes=MINUTES)
SQUEEZER = GammaSqueezer(
    "squeezer",
    0,
    2e6,
    8e7,
    30.0,
    (0.0, 1.0),
    (1.0, 3.0),
    (5.0, 8.0),
    sells_options_hours=(3.5, 5.0),
    strike_delta=0.3,
    most_over_model=0.15,
)
DEALER = QuotingDealer("desk", QuoteRule(half_spread_volpt=1.2, size_coin=1e6), EveryStep(), 0)
PER_COIN = 2.5e-11 * SPOT


class TestContract(AgentContract):
    """With a desk in the market it would trade; alone it pushes nothing, for nobody sells it options."""

    agent = replace(SQUEEZER, expiry_hours=9.0, sells_spot_hours=(5.0, 6.0))

    def test_plays_without_options(self) -> None:
        """No budget: 80 million in four half-hour slices from 1 to 3 hours, the coin sold in two."""
        agent = replace(self.agent, premium_usd=0.0)
        contract = _Alone(agent)
        coin = 2e7 / SPOT
        contract.plays(prices=[SPOT] * 13, expected_coin=[0.0] * 2 + [coin] * 4 + [0.0] * 4 + [-2 * coin] * 2)


class _Alone(AgentContract):
    __test__ = False

    def __init__(self, agent: GammaSqueezer) -> None:
        self.agent = agent


class TestLatePushDown(AgentContract):
    """Pushes down without options, two steps late."""

    agent = replace(
        SQUEEZER, premium_usd=0.0, right=-1, delay_steps=2, sells_options_hours=None, expiry_hours=40.0, sells_spot_hours=(5.0, 6.0)
    )
    decays = True


class TestBlockSeller(AgentContract):
    """Far enough away to rest in a market that stands still."""

    agent = BlockSeller("block", 1, 3e7, 0.004, slices=2)

    def test_plays(self) -> None:
        """It sees 0.5 % after step 2, and sells in steps 3 and 4, whatever comes then."""
        self.plays(prices=[100.0, 100.2, 100.5, 99.0, 98.0, 101.0, 103.0], expected_usd=[0.0, 0.0, -1.5e7, -1.5e7, 0.0, 0.0])


class TestBlockBuyer(AgentContract):
    agent = BlockSeller("block", 0, 3e7, -0.004)


def squeezed(*agents: Any, moves: Any = None, **changes: Any) -> Scenario:
    given: dict[str, Any] = {
        "grid": GRID,
        "price": Replay(np.zeros(STEPS) if moves is None else np.asarray(moves)),
        "impact": ImpactModel(permanent_per_coin=PER_COIN),
        "costs": Costs(),
        "options": OptionTerms(IV, averaged=False),
        "stop_log_move": 2.0,
    }
    return market(*agents, **{**given, **changes})


def played(scenario: Scenario, paths: int = 1, seed: int = 3) -> tuple[np.ndarray, dict[str, Any]]:
    """Prices by step, and every seat at the end by name."""
    plan = plan_run(scenario, seed=seed)
    state, prices = init(plan, 0, paths), [np.full(paths, scenario.spot_usd)]
    for _ in range(scenario.grid.steps):
        state = step(plan, state)
        prices.append(scenario.spot_usd * np.exp(state.log_price))
    return np.array(prices), {seat.agent.name: own for seat, own in zip(plan.seats, state.seats)} | {"": state}


def profit(seats: dict[str, Any], name: str = "squeezer") -> float:
    return float(seats[name].holding.pnl_usd.sum(axis=0)[0])


def world(agent: GammaSqueezer = SQUEEZER, **changes: Any) -> dict:
    """The same market for the twin; steps of a quarter of an hour, hours (a, b] are steps 4 a + 1 to 4 b."""

    def steps(hours: tuple[float, float] | None) -> tuple[int, int]:
        return (1, 0) if hours is None else (round(4 * hours[0]) + 1, round(4 * hours[1]))

    given = {
        "spot": SPOT,
        "per_coin": PER_COIN,
        "right": agent.right,
        "moves": [0.0] * STEPS,
        "expiry_step": round(4 * agent.expiry_hours),
        "step_hours": 0.25,
        "iv": IV,
        "delta": agent.strike_delta,
        "over": agent.most_over_model,
        "half_volpt": 1.2,
        "premium": agent.premium_usd,
        "push": agent.push_usd,
        "target": agent.target_log,
        "strike_limit": math.inf,
        "hedges": True,
        "block": 0.0,
        "block_at": 0.0,
        "block_slices": 1,
        "fee_bps": 0.0,
    }
    windows = {name: steps(getattr(agent, f"{name}_hours")) for name in ("buys", "pushes", "sells_options", "sells_spot")}
    return {**given, **windows, **changes}


MOVES = list(0.003 * np.sin(np.arange(STEPS) ** 1.3))


@pytest.mark.parametrize(
    ("agent", "dealer", "block", "twin"),
    [
        (SQUEEZER, DEALER, None, {"moves": MOVES}),
        (replace(SQUEEZER, right=-1, strike_delta=0.4), DEALER, None, {"moves": MOVES, "fee_bps": 3.0}),
        (SQUEEZER, replace(DEALER, policy=NoHedge()), None, {"hedges": False, "moves": MOVES}),
        (SQUEEZER, replace(DEALER, rule=replace(DEALER.rule, strike_limit_coin=700.0)), None, {"strike_limit": 700.0}),
        (SQUEEZER, DEALER, BlockSeller("block", 0, 6e7, 0.006, slices=3), {"block": 6e7, "block_at": 0.006, "block_slices": 3}),
        (replace(SQUEEZER, target_log=0.007), DEALER, None, {"fee_bps": 2.0}),
        (replace(SQUEEZER, most_over_model=0.01), DEALER, None, {}),
        (replace(SQUEEZER, sells_options_hours=None), DEALER, None, {"moves": MOVES}),
    ],
)
def test_a_twin_in_dicts_gives_every_price_and_every_profit(agent: GammaSqueezer, dealer: QuotingDealer, block: Any, twin: dict) -> None:
    told = play(world(agent, **twin))
    others = () if block is None else (block,)
    costs = Costs(fee_bps=twin.get("fee_bps", 0.0))
    prices, seats = played(squeezed(agent, dealer, *others, moves=twin.get("moves"), costs=costs))
    assert prices[:, 0] == pytest.approx(np.array(told["prices"]), rel=1e-9)
    for place, name in (("squeezer", "squeezer"), ("dealer", "desk"), *((("block", "block"),) if block else ())):
        scale = 1e-8 * (abs(told["profit"][place]) + 1e5)
        assert profit(seats, name) == pytest.approx(told["profit"][place], abs=scale)
    assert seats["squeezer"].memory.holding.slots.coin[0, 0] == pytest.approx(told["calls"], rel=1e-8, abs=1e-8)


def test_it_never_pays_more_than_its_budget_and_the_desk_sells_no_more_than_its_limit() -> None:
    moves = np.full(STEPS, 0.001)
    for limit in (None, 300.0):
        desk = replace(DEALER, rule=replace(DEALER.rule, strike_limit_coin=limit))
        still = replace(SQUEEZER, sells_options_hours=None)
        _, seats = played(squeezed(still, desk, moves=moves))
        held = seats["squeezer"].memory
        assert 0.5 * 2e6 < held.holding.premium_usd[0] <= 2e6 or limit
        assert limit is None or held.holding.slots.coin[0, 0] == pytest.approx(limit)
        share = 1.0 if limit is None else limit * float(held.used_usd[0] / held.holding.slots.coin[0, 0]) / 2e6
        assert seats["squeezer"].memory.used_usd[0] == pytest.approx(2e6 * share)


# the closed form

SHORT_YEARS, FINE = 1.0 / 365, 1e-6
"""Calls of a day, and a clock so slow that nothing decays while the squeeze lasts."""


def small(
    own: float, others: float, push_share: float, *, hedge: bool = True, half_volpt: float = 0.0
) -> tuple[float, np.ndarray, Squeeze, float]:
    """A squeeze whose own gain is ``own``, beside a dealer of constant gamma of gain ``others``, with a push of so many deltas."""
    strike = SPOT * 1.01
    one = option(1, SPOT, strike, IV, SHORT_YEARS)
    width = 1e-6 * SPOT
    up, down = (option(1, SPOT + side * width, strike, IV, SHORT_YEARS)["delta"] for side in (1, -1))
    coin, gamma = 2_000.0, (up - down) / (2 * width)
    delta_usd, gamma_usd = coin * one["delta"] * SPOT, coin * gamma * SPOT**2
    per_coin = own * SPOT / gamma_usd
    hours = {"buys": (0.0, 0.25), "pushes": (0.25, 0.5), "sells_options": (0.5, 0.75), "sells_spot": (0.75, 1.0)}
    slow = {f"{name}_hours": tuple(hour * FINE for hour in both) for name, both in hours.items()}
    over = 0.2 if half_volpt else 0.0
    agent = GammaSqueezer(
        "squeezer",
        0,
        coin * one["price"] * (1 + over),
        push_share * delta_usd,
        24.0,
        strike_delta=one["delta"],
        most_over_model=over,
        **slow,
    )
    desk = replace(DEALER, rule=QuoteRule(half_volpt, 1e9), policy=EveryStep() if hedge else NoHedge())
    gamma_others = others * SPOT / per_coin
    others_short = (Dealer("others", EveryStep(), 0, gamma_usd=-gamma_others, iv=IV),) if others else ()
    grid = TimeGrid.uniform(horizon_days=FINE / 24, step_minutes=15.0 * FINE)
    scenario = squeezed(agent, desk, *others_short, moves=np.zeros(4), grid=grid, impact=ImpactModel(permanent_per_coin=per_coin))
    prices, seats = played(scenario)
    known = Squeeze.under(
        ImpactModel(permanent_per_coin=per_coin),
        SPOT,
        delta_usd=delta_usd,
        gamma_usd=gamma_usd,
        hedge_share=float(hedge),
        others_gamma_usd=gamma_others,
    )
    return profit(seats), prices[:, 0], known, 2.0 * coin * half_volpt / 100 * one["vega"]


@pytest.mark.parametrize(("own", "others"), [(0.003, 0.0), (0.004, 0.35), (0.002, 0.7)])
@pytest.mark.parametrize("pushes", [0.0, 0.7, 2.0])
def test_a_push_moves_price_by_lambda_q_over_one_less_g_and_earns_the_closed_form(own: float, others: float, pushes: float) -> None:
    earned, prices, known, _ = small(own, others, pushes)
    g, g0, lam = own + others, others, known.per_usd
    d, q = known.delta_usd, pushes * known.delta_usd
    assert known.gain == pytest.approx(g, rel=1e-12)
    assert math.log(prices[1] / SPOT) == pytest.approx(lam * d / (1 - g), rel=0.02)
    assert math.log(prices[2] / prices[1]) == pytest.approx(lam * q / (1 - g), rel=0.02, abs=1e-12)
    assert math.log(prices[3] / SPOT) == pytest.approx(lam * q / (1 - g0), rel=0.02, abs=2e-3 * known.move_log(q))
    assert prices[4] == pytest.approx(SPOT, abs=2e-3 * (prices[2] - SPOT)), "impact that stays goes as it came"
    x = lam * (d + q) / (1 - g)
    by_hand = d * x + known.gamma_usd * x * x / 2 - lam * q / 2 * ((2 * d + q) / (1 - g) - q / (1 - g0))
    assert known.profit_usd(q) == pytest.approx(by_hand, rel=1e-9)
    assert 0.0 < earned == pytest.approx(by_hand, rel=0.03)
    if others == 0.0:
        whole = lam * ((2 - g) * d * d + 2 * g * d * q + g * g * q * q) / (2 * (1 - g) ** 2)
        assert known.profit_usd(q) == pytest.approx(whole, rel=1e-9)


def test_what_the_push_adds_it_adds_through_the_gamma_of_its_own_calls() -> None:
    """P(q) - P(0): terms of lambda D q cancel between the legs, g lambda D q is left; of dealers who do not hedge, D x + G x^2 / 2 alone."""
    (with_push, _, known, _), (without, *_) = (small(0.004, 0.0, pushes) for pushes in (1.0, 0.0))
    g, d = known.gain, known.delta_usd
    assert with_push - without == pytest.approx(known.per_usd * (2 * g + g * g) * d * d / (2 * (1 - g) ** 2), rel=0.05)
    earned, prices, still, _ = small(0.004, 0.0, 1.0, hedge=False)
    x = known.per_usd * d
    assert math.log(prices[2] / SPOT) == pytest.approx(x, rel=1e-3)
    assert still.spot_usd(d) == 0.0
    assert earned == pytest.approx(d * x + 0.5 * known.gamma_usd * x * x, rel=0.01)


def test_the_map_of_where_the_attack_pays_is_the_theorys() -> None:
    """Own gain by push, at a half-spread of 0.1 vol points: it pays beyond a line, and that line is the closed form's."""
    gains, pushes, signs = (0.001, 0.0025, 0.006, 0.01), (0.0, 4.0, 12.0), []
    for own in gains:
        for share in pushes:
            earned, _, known, spread_usd = small(own, 0.3, share, half_volpt=0.1)
            told = known.profit_usd(share * known.delta_usd, cost_usd=spread_usd)
            signs.append((earned > 0.0, told > 0.0, abs(told) / spread_usd))
    clear = [(one, other) for one, other, size in signs if size > 0.1]
    assert len(clear) >= 9
    assert all(one == other for one, other in clear)
    assert {one for one, _ in clear} == {True, False}, "the map has both sides"


@pytest.mark.parametrize(
    "impact",
    [ImpactModel(permanent_per_coin=3e-6), ImpactModel(permanent_per_coin=1e-6, transient_per_coin=4e-6, transient_half_life_minutes=40.0)],
)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_free_lunch_without_options(impact: ImpactModel, seed: int) -> None:
    """A round trip alone: exactly its fees where impact stays, less where it passes; in as many slices, in either direction."""
    rng = np.random.default_rng(seed)
    first, length, wait = (float(rng.integers(1, 12)) / 4 for _ in range(3))
    agent = replace(
        SQUEEZER,
        premium_usd=0.0,
        push_usd=float(rng.uniform(1e7, 3e8)),
        right=int(rng.choice([1, -1])),
        pushes_hours=(first, first + length),
        sells_spot_hours=(first + length + wait, first + 2 * length + wait),
        sells_options_hours=None,
    )
    _, seats = played(squeezed(agent, impact=impact, costs=Costs(fee_bps=2.0)))
    _, free = played(squeezed(agent, impact=impact))
    paid = float(seats["squeezer"].holding.pnl_usd[6][0])
    scale = 1e-9 * agent.push_usd
    if not impact.passes:
        assert profit(free) == pytest.approx(0.0, abs=scale)
        assert profit(seats) == pytest.approx(paid, abs=scale)
        assert paid < 0.0
    else:
        assert profit(free) < -1e-5 * agent.push_usd
        assert profit(seats) < paid


# what stops it


def in_slices(count: int) -> GammaSqueezer:
    """A larger squeeze, each of its four parts in so many slices."""
    hours = 0.25 * count
    parts = {name: (place * hours, (place + 1) * hours) for place, name in enumerate(("buys", "pushes", "sells_options", "sells_spot"))}
    return replace(SQUEEZER, premium_usd=6e6, **{f"{name}_hours": part for name, part in parts.items()})


def test_a_block_a_halt_and_limits_take_the_profit() -> None:
    """At once, and at a gain of about a quarter, the attack pays; a block into it, or a desk that sells little, and it does not."""
    base = profit(played(squeezed(in_slices(1), DEALER))[1])
    assert base == pytest.approx(1.7267e6, rel=1e-3)
    block = BlockSeller("block", 0, 3e8, 0.004)
    assert profit(played(squeezed(in_slices(1), DEALER, block))[1]) < 0.0
    limited = replace(DEALER, rule=replace(DEALER.rule, strike_limit_coin=1000.0))
    assert profit(played(squeezed(in_slices(1), limited))[1]) < 0.0
    _, halted = played(squeezed(in_slices(1), DEALER, halt_log_move=0.005))
    held = halted["squeezer"]
    assert held.memory.holding.slots.coin[0, 0] > 0.0, "it is left with its calls, marked where trading ended"


def test_it_pays_through_the_jumps_that_dealers_cannot_hedge() -> None:
    """Cut into more slices the same squeeze earns ever less and then pays theta and spread; what it earns the desk loses; late desks lose more."""
    earned = {}
    for count in (1, 2, 4, 8):
        _, seats = played(squeezed(in_slices(count), DEALER))
        earned[count] = profit(seats)
        assert profit(seats, "desk") == pytest.approx(-earned[count], abs=0.003 * abs(earned[count]) + 1e3), "liquidity providers are even"
    assert earned[1] > earned[2] > 0.0 > earned[4] > earned[8]
    late = profit(played(squeezed(in_slices(2), replace(DEALER, delay_steps=1)))[1])
    assert late > 3.0 * earned[2]


def test_it_pushes_the_part_that_it_could_buy() -> None:
    for limit, over in ((200.0, 0.15), (None, 0.15), (None, 0.001)):
        desk = replace(DEALER, rule=replace(DEALER.rule, strike_limit_coin=limit))
        agent = replace(SQUEEZER, most_over_model=over)
        _, seats = played(squeezed(agent, desk, impact=ImpactModel()))
        pushed = seats["squeezer"].holding.turnover_usd[0] / 2
        used = float(seats["squeezer"].memory.used_usd[0]) / 2e6
        assert pushed == pytest.approx(8e7 * used, rel=1e-6, abs=1e-6)
        assert used == pytest.approx(1.0 if limit is None and over > 0.1 else used)
    assert used == 0.0, "a desk that asks more than it pays sells it nothing"


def test_everything_is_conserved_with_random_prices() -> None:
    agents = (
        replace(SQUEEZER, delay_steps=1),
        replace(DEALER, delay_steps=1),
        BlockSeller("block", 2, 5e7, 0.01),
        BlockSeller("buyer", 1, 5e7, -0.01),
    )
    costs = Costs(fee_bps=2.0, half_spread_bps=1.0, gas_usd=3.0)
    scenario = squeezed(*agents, price=Gbm(vol=0.8), costs=costs)
    _, seats = played(scenario, paths=40)
    state = seats.pop("")
    coin = sum(own.holding.position_coin for own in seats.values()) + state.liquidity_coin
    cash = sum(own.holding.cash_usd for own in seats.values()) + state.liquidity_usd + state.venue_usd + state.holders_usd
    scale = sum(own.holding.turnover_usd for own in seats.values()).max()
    assert np.abs(coin).max() * SPOT < 1e-9 * scale
    assert np.abs(cash).max() < 1e-9 * scale
    one, other = (seats[name].memory.holding for name in ("squeezer", "desk"))
    assert one.premium_usd == pytest.approx(-other.premium_usd, rel=1e-12)
    assert one.value_usd == pytest.approx(-other.value_usd, abs=1e-6)


@pytest.mark.parametrize(
    "agent", [replace(SQUEEZER, premium_usd=0.0), BlockSeller("block", 0, 3e7, 0.05), BlockSeller("block", 1, 3e7, -0.05)]
)
def test_a_bump_finds_the_flow_response_that_is_stated(agent: Any) -> None:
    desk = Dealer("dealers", EveryStep(), agent.delay_steps, gamma_usd=-1e10, iv=0.6)
    grid = TimeGrid.uniform(horizon_days=1 / 24 * 10, step_minutes=15.0)
    scenario = squeezed(agent, desk, price=Gbm(vol=0.5), grid=grid, impact=ImpactModel(permanent_per_usd=2e-11))
    found = measure_gain(scenario, paths=16, seed=2, bump=Bump(size_log=1e-3, clock="running"))
    mine = next(one for one in found.agents if one.name == agent.name)
    assert mine.stated_usd == agent.starting_flow_response_usd(SPOT) == 0.0
    assert mine.response_usd.value == pytest.approx(0.0, abs=1e-3)


# refusals


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"right": 0}, "right"),
        ({"delay_steps": -1}, "delay_steps"),
        ({"premium_usd": -1.0}, "premium_usd"),
        ({"push_usd": math.nan}, "push_usd"),
        ({"strike_delta": 1.0}, "strike_delta"),
        ({"most_over_model": 11.0}, "most_over_model"),
        ({"target_log": 0.0}, "target_log"),
        ({"buys_hours": (2.0, 1.0)}, "buys_hours"),
        ({"sells_spot_hours": (2.0, 4.0)}, "after it has bought"),
        ({"sells_options_hours": (0.5, 4.0)}, "after it has bought"),
        ({"expiry_hours": 5.0}, "expiry_hours"),
    ],
)
def test_what_is_no_squeezer_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        replace(SQUEEZER, **changes)


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"block_usd": 0.0}, "block_usd"), ({"at_log": 0.0}, "at_log"), ({"slices": 0}, "slices"), ({"delay_steps": -1}, "delay")],
)
def test_what_is_no_block_seller_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        replace(BlockSeller("block", 0, 1e7, 0.02), **changes)


def test_runs_that_cannot_hold_it_are_refused() -> None:
    with pytest.raises(InputError, match=r"squeezer.*option"):
        squeezed(SQUEEZER, options=None)
    for changes, told in (
        ({"sells_spot_hours": (5.0, 11.0)}, "lengthen"),
        ({"buys_hours": (0.05, 0.1)}, "shorten step_minutes"),
    ):
        scenario = squeezed(replace(SQUEEZER, **changes))
        with pytest.raises(InputError, match=told):
            plan_run(scenario, seed=1)
    with pytest.raises(RuleError, match="impact that stays"):
        Squeeze.under(
            ImpactModel(permanent_per_usd=1e-11, transient_per_usd=1e-11, transient_half_life_minutes=5.0),
            SPOT,
            delta_usd=1.0,
            gamma_usd=1.0,
        )
    with pytest.raises(InputError, match="gain"):
        Squeeze(1e-11, 1e7, 1.2e11)
