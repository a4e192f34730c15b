"""The loop gain of everything, predicted: what each agent answers a move with by its own closed form, and where price comes to rest.

Nothing here steps a market.  Each law says what an agent has bought once price rests at ln(S / S0) = x; price rests where
x = F + impact(everybody's purchases at x), F being the exogenous move; the first such price outward from the start counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import NormalDist
from typing import Any

import numpy as np

from tailwag.errors import InputError
from tailwag.experiments.scenario_gain_public import due_at_rest, only_public, public_law, public_rounds
from tailwag.hedging.policies import AtTimes, Band, CharmOnly, EveryStep, NoHedge, Predictive
from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.black_plain import normal_cdf, normal_density
from tailwag.margin.contract import Contract
from tailwag.margin.maintenance import maintenance_share
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.insurer import ConstantProportion, PortfolioInsurer, SyntheticPut
from tailwag.sim.agents.ladder import LiquidationLadder
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.agents.lp_hedger import LpHedger
from tailwag.sim.agents.margined import MarginedHedger
from tailwag.sim.agents.margined_book import MarginedBook
from tailwag.sim.agents.momentum import TrendFollower
from tailwag.sim.agents.pool import PoolArbitrage
from tailwag.sim.agents.power_perp import Crab
from tailwag.sim.agents.predator import Predator
from tailwag.sim.agents.price_band import PriceBand
from tailwag.sim.agents.quoting_dealer import QuotingDealer
from tailwag.sim.gain_bump import Bump, stated_response_usd
from tailwag.sim.leverage_buckets import LeverageBucket
from tailwag.sim.option_book import SKEW_REACH_LOG, VOL_FLOOR, WINDOW_YEARS, OptionBook
from tailwag.sim.scenario import Scenario
from tailwag.units import HOURS_PER_YEAR

MINUTES_PER_YEAR = 60.0 * HOURS_PER_YEAR
DAYS_PER_YEAR = 365.0
POINTS = 12_001
MOST_ROUNDS = 60
NO_REST = 1e-6
"""Rounds that still differ by so much of log price after the last one go back and forth: price does not rest there."""
NOISE_POINTS = 1_601
NOISE_REACH = 7.0
SAME_TIME = 1e-9

Law = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]
"""``law(x, exogenous)`` -> (usd, coin): what an agent has bought once price rests at x after an exogenous move, (points,) each."""


@dataclass(frozen=True, slots=True)
class PredictedPart:
    """One agent's predicted part: flow response in USD per unit of log price, its gain, where the law comes from, and the gain's deviation.

    ``deviation``: how far one path's gain lies from the mean (standard deviation over the bumped step's own move).
    """

    name: str
    response_usd: float
    gain: float
    by: str
    deviation: float = 0.0


@dataclass(frozen=True, slots=True)
class PredictedGain:
    """The total gain that closed forms predict for a bump, and its parts, which sum to it; ``deviation`` as of a part.

    Over n paths the mean lies within about deviation / sqrt(n): where a bump is seldom answered, paths that answer may all be missed.
    ``due_again``: on which share of moves a public rule is due once more where price rests, after the one hedge that is counted here.
    """

    total: float
    amplification: float
    agents: tuple[PredictedPart, ...]
    deviation: float = 0.0
    due_again: float = 0.0


@dataclass(frozen=True, slots=True)
class Setting:
    """What a law may read: the price at the start, the end of the bumped step and its length, how vol follows spot,
    whether everybody is late, and whether time goes on after the bump; ``first_seen(exogenous)``: what same-step agents make of a move at once."""

    spot_usd: float
    now_years: float
    step_years: float
    spot_vol_beta: float
    late: bool
    fades: bool
    first_seen: Callable[[FloatArray], FloatArray] | None = None


def predict_gain(scenario: Scenario, bump: Bump) -> PredictedGain:
    """G = 1 - 2 h / E[x(F + h) - x(F - h)], F normal with the bump's noise; an agent's part is its share of the flow.

    x(F): the first price outward from the start at which x = F + impact(flow(x)).
    InputError where no closed form holds: a bump after the start, depth that reacts, vega hedges that move vol.
    """
    _refuse(scenario, bump)
    noise = bump.noise_of(scenario)
    exogenous = noise * np.linspace(-NOISE_REACH, NOISE_REACH, NOISE_POINTS) if noise > 0.0 else np.zeros(1)
    weights = np.exp(-0.5 * (exogenous / noise) ** 2) if noise > 0.0 else np.ones(1)
    weights = weights / weights.sum()
    setting = _seeing(scenario, bump, reach=float(exogenous[-1]) + bump.size_log)
    laws = [law_of(agent, setting) for agent in scenario.agents]
    only, moves = [law for law, _ in laws], (exogenous + bump.size_log, exogenous - bump.size_log)
    whole_rounds = only_public(scenario.agents, only, setting)
    answers = _rounds(scenario, bump, setting, moves) if whole_rounds else _rests(scenario, bump, only, moves)
    (up, rises), (down, falls) = answers
    answer = float(weights @ (up - down))
    bought = [float(weights @ (rise - fall)) for rise, fall in zip(rises, falls)]
    due_again = 0.0 if whole_rounds else _due_again(scenario, setting, weights, answers, moves)
    total, whole = 1.0 - 2.0 * bump.size_log / answer, math.fsum(bought)
    apart = (2.0 * bump.size_log / answer**2) * math.sqrt(max(float(weights @ (up - down - answer) ** 2), 0.0))
    shares = [0.0 if whole == 0.0 else flow / whole for flow in bought]
    agents = tuple(
        PredictedPart(agent.name, flow / answer, total * share, by, apart * abs(share))
        for agent, flow, share, (_, by) in zip(scenario.agents, bought, shares, laws)
    )
    return PredictedGain(total, answer / (2.0 * bump.size_log), agents, apart, due_again)


Answer = tuple[FloatArray, list[FloatArray]]
"""Where price rests and what everybody has bought by then in USD, (points,) each."""


def _seeing(scenario: Scenario, bump: Bump, *, reach: float) -> Setting:
    """The setting, with what same-step agents make of a move at once where somebody late looks at that."""
    setting = _setting(scenario, bump)
    if setting.late or not any(isinstance(getattr(agent, "inner", agent), Crab) for agent in scenario.agents):
        return setting
    at_once = [law_of(agent, setting)[0] for agent in scenario.agents if not agent.delay_steps and not isinstance(agent, Predator)]
    grid, shocks, _ = _curve(scenario, bump, at_once, reach=reach)
    return replace(setting, first_seen=lambda exogenous: np.interp(exogenous, shocks, grid))


def _rests(scenario: Scenario, bump: Bump, laws: Sequence[Law], moves: tuple[FloatArray, FloatArray]) -> tuple[Answer, Answer]:
    """The market's answer to each of two rows of exogenous moves, where price comes to rest."""
    reach = float(max(np.abs(move).max() for move in moves))
    grid, shocks, flows = _curve(scenario, bump, laws, reach=reach)
    rests = [np.interp(move, shocks, grid) for move in moves]
    first, second = ((rest, [np.interp(rest, grid, flow) for flow in flows]) for rest in rests)
    return first, second


def _rounds(scenario: Scenario, bump: Bump, setting: Setting, moves: tuple[FloatArray, FloatArray]) -> tuple[Answer, Answer]:
    """The same where strategies of public rules alone answer: round after round of their hedges."""
    moved, bound = partial(_impact_log, scenario, bump), scenario.stop_log_move
    first, second = (public_rounds(scenario.agents, setting, moved, move, bound_log=bound) for move in moves)
    if not all((np.abs(rest) <= bound).all() for rest, _ in (first, second)):
        raise InputError("expected a price at which hedges of public rules come to rest, got none: each makes others due without end")
    return first, second


def _due_again(
    scenario: Scenario,
    setting: Setting,
    weights: FloatArray,
    answers: tuple[Answer, Answer],
    moves: tuple[FloatArray, FloatArray],
) -> float:
    """On which share of moves a public rule is due once more where price rests."""
    total = 0.0
    for (rest, _), move in zip(answers, moves):
        due = [due_at_rest(agent, setting, rest=rest, exogenous=move) for agent in scenario.agents]
        total += 0.5 * float(weights @ np.any(due, axis=0)) if due else 0.0
    return total


def law_of(agent: Any, setting: Setting) -> tuple[Law, str]:
    """An agent's closed form and what it is; an agent without one is taken at its word."""
    for kind, maker in _LAWS:
        if isinstance(agent, kind):
            made = maker(agent, setting)
            if made is not None:
                return made
    stated = stated_response_usd(agent, setting.spot_usd)
    return (lambda x, exogenous: (stated * x, 0.0 * x)), "as stated"


def _refuse(scenario: Scenario, bump: Bump) -> None:
    if bump.after_steps:
        raise InputError("expected a bump at the start: closed forms know the books there; a later one can be measured, not predicted")
    if scenario.impact.depth_reacts is not None:
        raise InputError("expected depth that does not react to trading: there is no closed form for it; leave depth_reacts out")
    if scenario.vol.vega_impact_per_usd > 0.0 and any(getattr(agent, "vega_hedge_share", 0.0) > 0.0 for agent in scenario.agents):
        raise InputError("expected no vega hedges that move vol: their gain is a matrix of its own; set vega_impact_per_usd = 0")
    if scenario.impact.square_root is not None and any(agent.delay_steps for agent in scenario.agents):
        raise InputError("expected linear impact where hedges are late: several small orders move a square-root market further than one")


def _setting(scenario: Scenario, bump: Bump) -> Setting:
    years = scenario.grid.years
    now = float(years[1] if bump.clock == "still" else years[-1])
    late = all(agent.delay_steps > 0 or isinstance(agent, Predator) for agent in scenario.agents)  # who answers orders answers no price
    return Setting(scenario.spot_usd, now, now - float(years[0]), scenario.vol.spot_vol_beta, late, bump.clock == "running")


def _curve(scenario: Scenario, bump: Bump, laws: Sequence[Law], *, reach: float) -> tuple[FloatArray, FloatArray, list[FloatArray]]:
    """Resting prices x, the exogenous move that leads to each, and everybody's purchases there in USD: first outward from the start."""
    bound, width = scenario.stop_log_move, reach
    while True:
        grid = np.linspace(-width, width, POINTS)
        shocks, flows = _led_to(scenario, bump, laws, grid)
        middle = POINTS // 2
        shocks = np.where(np.isnan(shocks), np.where(np.arange(POINTS) < middle, math.inf, -math.inf), shocks)
        outward = np.concatenate((np.minimum.accumulate(shocks[: middle + 1][::-1])[::-1], np.maximum.accumulate(shocks[middle:])[1:]))
        if outward[0] <= -reach and outward[-1] >= reach:
            return grid, outward, flows
        if width >= bound:
            raise InputError(f"expected a price at which a move of {100 * reach:.3g} % comes to rest, got none: the loop runs away from it")
        width = min(2.0 * width, bound)


def _led_to(scenario: Scenario, bump: Bump, laws: Sequence[Law], grid: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
    """Solve F = x - impact(flow(x, F)) on the grid; orders in coin are worth S0 exp(F), the price before they trade.

    NaN where no exogenous move comes to rest at x: a rule that calls at a threshold throws price across such a gap.
    """
    shocks = grid.copy()
    flows: list[FloatArray] = []
    for round_number in range(MOST_ROUNDS):
        price = scenario.spot_usd * np.exp(shocks)
        bought = [law(grid, shocks) for law in laws]
        flows = [usd + coin * price for usd, coin in bought]
        total = np.sum(flows, axis=0) if flows else np.zeros(grid.shape)
        after = grid - _impact_log(scenario, bump, total, total / price)
        apart = np.abs(after - shocks)
        if float(apart.max()) < 1e-13:
            break
        # whole steps may hop to and fro over a threshold that half of them come to rest beside
        shocks = after if round_number < MOST_ROUNDS // 2 else 0.5 * (shocks + after)
    return np.where(apart < NO_REST, shocks, math.nan), flows


def _impact_log(scenario: Scenario, bump: Bump, usd: FloatArray, coin: FloatArray) -> FloatArray:
    """Log move of buying so much: all of it while the clock stands still, what lasts when it has run."""
    impact = scenario.impact
    per_usd, per_coin = impact.permanent_per_usd, impact.permanent_per_coin
    if bump.clock == "still":
        per_usd, per_coin = per_usd + float(impact.passing_per_usd.sum()), per_coin + float(impact.passing_per_coin.sum())
    root = 0.0 if impact.square_root is None else impact.square_root.log_move(usd)
    return np.asarray(per_usd * usd + per_coin * coin + root)


def _dealer(agent: Dealer | QuotingDealer | MarginedBook, setting: Setting) -> tuple[Law, str] | None:
    """-hedge_share (Delta(x) - Delta(0)) coin of a list of options, -hedge_share Gamma$ x USD of a constant gamma."""
    if isinstance(agent.policy, NoHedge | CharmOnly):
        return None if isinstance(agent.policy, CharmOnly) else (_silent, "never hedges")
    width = _dead_zone(agent.policy, setting)
    if width is None:
        return None
    if agent.options is None:
        gamma = agent.hedge_share * float(getattr(agent, "gamma_usd", None) or 0.0)
        return (lambda x, exogenous: (_beyond(-gamma * x, width), 0.0 * x)), "-Gamma$"
    delta = black_delta(agent.options, setting)
    if delta is None:
        return None
    start, share = float(delta(np.zeros(1), 0.0)[0]), agent.hedge_share

    def law(x: FloatArray, exogenous: FloatArray) -> tuple[FloatArray, FloatArray]:
        wanted, seen = (-share * (delta(at, setting.now_years) - start) for at in (x, exogenous))
        return 0.0 * x, _to_edge(wanted, seen, width, setting.spot_usd * np.exp(x), setting.spot_usd * np.exp(exogenous))

    return law, "-Gamma$ (Black)" if setting.spot_vol_beta == 0.0 else "-(Gamma$ + beta vanna) (Black)"


def _margined_book(agent: MarginedBook, setting: Setting) -> tuple[Law, str] | None:
    """A dealer's, as long as the account has its initial margin, which it does at the start."""
    found = _dealer(agent, setting)
    return None if found is None else (found[0], f"{found[1]}, nobody called")


def black_delta(book: OptionBook, setting: Setting) -> Callable[[FloatArray, float], FloatArray] | None:
    """Net delta in coin at (x, years from the start), vol following spot; None for books that settle meanwhile."""
    alive = book.expiry_years > 0.0
    window = np.where(book.averaged, WINDOW_YEARS, 0.0)[alive]
    if (book.expiry_years[alive] - window <= setting.now_years * (1.0 + SAME_TIME)).any():
        return None

    def delta(x: FloatArray, years: float) -> FloatArray:
        total = np.zeros(x.shape)
        for row in np.flatnonzero(alive):
            left = book.expiry_years[row] - years - (2.0 / 3.0) * (WINDOW_YEARS if book.averaged[row] else 0.0)
            vol = np.maximum(
                book.iv[row] + book.skew[row] * np.clip(x, -SKEW_REACH_LOG, SKEW_REACH_LOG) + setting.spot_vol_beta * x, VOL_FLOOR
            )
            ratio, root = book.forward_ratio[row], math.sqrt(left)
            d1 = (math.log(ratio * setting.spot_usd / book.strike_usd[row]) + x) / (vol * root) + 0.5 * vol * root
            side = book.right[row]
            own = side * ratio * normal_cdf(side * d1) + ratio * normal_density(d1) * root * book.skew[row]
            total = total + book.contracts_coin[row] * own
        return total

    return delta


def _dead_zone(policy: Any, setting: Setting) -> float | None:
    """How many USD of gap a policy leaves open; None for a rule without a closed form."""
    if isinstance(policy, EveryStep | Predictive):
        return 0.0
    if isinstance(policy, Band) and policy.target == "edge":
        return float(policy.half_width_usd if policy.half_width_usd is not None else (policy.half_width_coin or 0.0) * setting.spot_usd)
    if isinstance(policy, AtTimes) and policy.jitter_minutes == 0.0:
        now, before = (
            years * MINUTES_PER_YEAR / policy.every_minutes for years in (setting.now_years, setting.now_years - setting.step_years)
        )
        return 0.0 if math.floor(now + SAME_TIME) > math.floor(before + SAME_TIME) else math.inf
    return None


def _beyond(wanted: FloatArray, width: FloatArray | float) -> FloatArray:
    """What is traded of a gap that is closed to the edge of a band."""
    return np.asarray(np.copysign(np.maximum(np.abs(wanted) - width, 0.0), wanted))


def _to_edge(wanted: FloatArray, seen: FloatArray, width: float, price: FloatArray, before: FloatArray) -> FloatArray:
    """A gap in coin closed to the edge of a band in USD, which is narrowest at the highest price at which its owner saw itself outside."""
    if width in (0.0, math.inf):
        return wanted if width == 0.0 else 0.0 * wanted
    outside = np.abs(seen) * before > width
    return _beyond(wanted, width / np.where(outside, np.maximum(price, before), price))


def _silent(x: FloatArray, exogenous: FloatArray) -> tuple[FloatArray, FloatArray]:
    return 0.0 * x, 0.0 * x


def _ladder(agent: LiquidationLadder, setting: Setting) -> tuple[Law, str]:
    """Notional of the levels passed: shorts bought in above the start, longs sold below it."""

    def law(x: FloatArray, exogenous: FloatArray) -> tuple[FloatArray, FloatArray]:
        usd = (agent.density_usd + agent.levels_per_log * agent.level_usd) * x
        for cluster in agent.clusters:
            side, center = math.copysign(1.0, cluster.distance_log), abs(cluster.distance_log)
            passed = normal_cdf((np.maximum(side * x, 0.0) - center) / cluster.width_log) - normal_cdf(
                np.asarray(-center / cluster.width_log)
            )
            usd = usd + side * cluster.notional_usd * passed
        return usd, 0.0 * x

    return law, "+liquidated notional"


def _leveraged(agent: LeveragedTraders, setting: Setting) -> tuple[Law, str] | None:
    """The same from leverage: entry prices scatter, accounts liquidated before the start are left out; whole positions only."""
    if agent.rules.rounds:
        return None
    linear = agent.rules.contract is Contract.LINEAR

    def law(x: FloatArray, exogenous: FloatArray) -> tuple[FloatArray, FloatArray]:
        usd = np.zeros(x.shape)
        for bucket in agent.buckets:
            kept = float(maintenance_share(agent.rules.maintenance, bucket.account_usd, price_usd=setting.spot_usd))
            side = 1.0 if bucket.side == "long" else -1.0
            net = 1.0 + side / bucket.leverage if bucket.collateral == "coin" else 1.0
            level = bucket.entry_log + _level_log(side, bucket.leverage * net, kept / net, linear=linear)
            share = _even(bucket, side, level, x) if agent.entries == "even" else _drawn(bucket, side, level, x)
            usd = usd - side * net * bucket.notional_usd * share
        return (0.0 * x, usd / setting.spot_usd) if linear else (usd, 0.0 * x)

    return law, "+liquidated notional (leverage)"


def _drawn(bucket: LeverageBucket, side: float, level: float, x: FloatArray) -> FloatArray:
    """Expected share of the accounts whose level lies between the start and x."""
    width = bucket.entry_width_log
    alive = float(normal_cdf(np.asarray(-side * level / width)))
    passed = normal_cdf((np.maximum(-side * x, 0.0) + side * level) / width) - normal_cdf(np.asarray(side * level / width))
    return np.asarray(passed / alive)


def _even(bucket: LeverageBucket, side: float, level: float, x: FloatArray) -> FloatArray:
    """Share of the accounts whose level is reached at x, one account after another at even quantiles."""
    normal, width = NormalDist(), bucket.entry_width_log
    alive = normal.cdf(-side * level / width)
    ranks = (np.arange(bucket.accounts) + 0.5) / bucket.accounts
    distances = np.sort([-(side * level + width * normal.inv_cdf(rank * alive)) for rank in ranks])
    return np.asarray(np.searchsorted(distances, -side * x, side="right") / bucket.accounts)


def _level_log(side: float, leverage: float, kept: float, *, linear: bool) -> float:
    """Liquidation price over entry price, in logs: (1 - side / l) / (1 - side m), inverse (1 + side m) / (1 + side / l)."""
    if linear:
        return math.log((1.0 - side / leverage) / (1.0 - side * kept)) if leverage != 1.0 or side < 0.0 else -math.inf
    return math.log((1.0 + side * kept) / (1.0 + side / leverage)) if leverage != 1.0 or side > 0.0 else math.inf


def _lp_hedger(agent: LpHedger, setting: Setting) -> tuple[Law, str] | None:
    """+hedge_share (coin in the pool at the start less coin at x): V / 4 of a constant product, L sqrt P / 2 inside a range."""
    width = math.inf if isinstance(agent.policy, NoHedge) else _dead_zone(agent.policy, setting)
    if width is None:
        return None
    pool, start = agent.terms.pool, agent.terms.pool.coin(np.asarray(setting.spot_usd))

    def law(x: FloatArray, exogenous: FloatArray) -> tuple[FloatArray, FloatArray]:
        price, before = setting.spot_usd * np.exp(x), setting.spot_usd * np.exp(exogenous)
        wanted, seen = (-agent.hedge_share * (pool.coin(at) - start) for at in (price, before))
        return 0.0 * x, _to_edge(wanted, seen, width, price, before)

    return law, "+P^2 |V''|"


def _pool(agent: PoolArbitrage, setting: Setting) -> tuple[Law, str] | None:
    """Coin that leaves the pool is sold: depth, not gain.  Inside the fee nothing trades; on a chain nothing before a block falls."""
    fee, terms = agent.terms.fee, agent.terms
    if fee.bps_per_vol:
        return None
    if terms.block_minutes:
        now, before = (
            years * MINUTES_PER_YEAR / terms.block_minutes for years in (setting.now_years, setting.now_years - setting.step_years)
        )
        if math.floor(now + SAME_TIME) == math.floor(before + SAME_TIME):
            return _silent, "no block falls"
    start = terms.pool.coin(np.asarray(setting.spot_usd))

    def law(x: FloatArray, exogenous: FloatArray) -> tuple[FloatArray, FloatArray]:
        reached = _beyond(x, 1e-4 * fee.base_bps)
        return 0.0 * x, terms.pool.coin(setting.spot_usd * np.exp(reached)) - start

    return law, "-P^2 |V''| (depth)"


def _insurer(agent: PortfolioInsurer, setting: Setting) -> tuple[Law, str] | None:
    """holding (N(d1(x)) - N(d1(0))) of a copied put; m (V - F) of a constant proportion."""
    width = _dead_zone(agent.policy, setting)
    if width is None:
        return None
    proportion = isinstance(agent.rule, ConstantProportion)
    bought = _proportion(agent.rule, agent) if isinstance(agent.rule, ConstantProportion) else _copied_put(agent.rule, agent, setting)

    def law(x: FloatArray, exogenous: FloatArray) -> tuple[FloatArray, FloatArray]:
        price, before = setting.spot_usd * np.exp(x), setting.spot_usd * np.exp(exogenous)
        wanted, seen = (bought(at, exogenous) / setting.spot_usd for at in (x, exogenous))
        return 0.0 * x, _to_edge(wanted, seen, width, price, before)

    return law, "+m (m - 1) cushion" if proportion else "+Gamma$ of the copied put"


def _trend(agent: TrendFollower, setting: Setting) -> tuple[Law, str] | None:
    """usd_per_log x while no trend has faded, up to the cap."""
    if setting.fades:
        return None
    most = agent.most_usd
    return (lambda x, exogenous: (np.clip(agent.usd_per_log * x, -most, most), 0.0 * x)), "+USD per log of trend"


def _copied_put(rule: SyntheticPut, agent: PortfolioInsurer, setting: Setting) -> Callable[[FloatArray, FloatArray], FloatArray]:
    def share(x: FloatArray, years: float) -> FloatArray:
        root = rule.iv * math.sqrt(rule.days / DAYS_PER_YEAR - years)
        return np.asarray(normal_cdf((x - math.log(rule.floor_share)) / root + 0.5 * root))

    start = float(share(np.zeros(1), 0.0)[0])
    return lambda x, exogenous: agent.holding_usd * (share(x, setting.now_years) - start)


def _proportion(rule: ConstantProportion, agent: PortfolioInsurer) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """m (V - F) / S less what was held; V counts what its own purchases have gained, which were filled half-way between F and x."""
    held = min(rule.multiplier * (1.0 - rule.floor_share), rule.most_share)

    def bought(x: FloatArray, exogenous: FloatArray) -> FloatArray:
        wealth, half_way = 1.0 + held * np.expm1(x), -0.5 * np.expm1(exogenous - x)
        cushion, whole = rule.multiplier * (wealth - rule.floor_share), rule.most_share * wealth
        capped = cushion > whole
        slope = np.where(capped, rule.most_share, rule.multiplier)
        target = np.where(capped, whole, cushion) * np.exp(-x)
        return np.asarray(agent.holding_usd * np.maximum((target - held) / (1.0 - slope * half_way), -held))

    return bought


def _banded(agent: PriceBand, setting: Setting) -> tuple[Law, str]:
    """The inner agent's, no further than the edge of the band."""
    inner, by = law_of(agent.inner, setting)
    edge = agent.band_log

    def law(x: FloatArray, exogenous: FloatArray) -> tuple[FloatArray, FloatArray]:
        return inner(np.clip(x, -edge, edge), np.clip(exogenous, -edge, edge))

    return law, f"{by}, within the band"


def _margined(agent: MarginedHedger, setting: Setting) -> tuple[Law, str]:
    """The inner agent's: a margin slows its orders, and all of them arrive in the end."""
    return law_of(agent.inner, setting)


_LAWS: tuple[tuple[type, Callable[[Any, Setting], tuple[Law, str] | None]], ...] = (
    (Dealer, _dealer),
    (LiquidationLadder, _ladder),
    (LeveragedTraders, _leveraged),
    (LpHedger, _lp_hedger),
    (PoolArbitrage, _pool),
    (Crab, public_law),
    (PortfolioInsurer, _insurer),
    (QuotingDealer, _dealer),
    (MarginedBook, _margined_book),
    (TrendFollower, _trend),
    (PriceBand, _banded),
    (MarginedHedger, _margined),
)
