"""Closed forms of those who hedge or follow by a policy: dealers and margined books, copied puts and constant proportions, trends."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tailwag.experiments.scenario_gain_setting import SAME_TIME, Law, Setting, beyond, dead_zone, silent, to_edge
from tailwag.hedging.policies import CharmOnly, NoHedge
from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.black_plain import normal_cdf, normal_density
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.insurer import ConstantProportion, PortfolioInsurer, SyntheticPut
from tailwag.sim.agents.margined_book import MarginedBook
from tailwag.sim.agents.momentum import TrendFollower
from tailwag.sim.agents.quoting_dealer import QuotingDealer
from tailwag.sim.option_book import SKEW_REACH_LOG, VOL_FLOOR, WINDOW_YEARS, OptionBook

DAYS_PER_YEAR = 365.0


def dealer_law(agent: Dealer | QuotingDealer | MarginedBook, setting: Setting) -> tuple[Law, str] | None:
    """-hedge_share (Delta(x) - Delta(0)) coin of a list of options, -hedge_share Gamma$ x USD of a constant gamma."""
    if isinstance(agent.policy, NoHedge | CharmOnly):
        return None if isinstance(agent.policy, CharmOnly) else (silent, "never hedges")
    width = dead_zone(agent.policy, setting)
    if width is None:
        return None
    if agent.options is None:
        gamma = agent.hedge_share * float(getattr(agent, "gamma_usd", None) or 0.0)
        return (lambda x, exogenous: (beyond(-gamma * x, width), 0.0 * x)), "-Gamma$"
    delta = black_delta(agent.options, setting)
    if delta is None:
        return None
    start, share = float(delta(np.zeros(1), 0.0)[0]), agent.hedge_share

    def law(x: FloatArray, exogenous: FloatArray) -> tuple[FloatArray, FloatArray]:
        wanted, seen = (-share * (delta(at, setting.now_years) - start) for at in (x, exogenous))
        return 0.0 * x, to_edge(wanted, seen, width, setting.spot_usd * np.exp(x), setting.spot_usd * np.exp(exogenous))

    return law, "-Gamma$ (Black)" if setting.spot_vol_beta == 0.0 else "-(Gamma$ + beta vanna) (Black)"


def margined_book_law(agent: MarginedBook, setting: Setting) -> tuple[Law, str] | None:
    """A dealer's, as long as the account has its initial margin, which it does at the start."""
    found = dealer_law(agent, setting)
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


def insurer_law(agent: PortfolioInsurer, setting: Setting) -> tuple[Law, str] | None:
    """holding (N(d1(x)) - N(d1(0))) of a copied put; m (V - F) of a constant proportion."""
    width = dead_zone(agent.policy, setting)
    if width is None:
        return None
    proportion = isinstance(agent.rule, ConstantProportion)
    bought = _proportion(agent.rule, agent) if isinstance(agent.rule, ConstantProportion) else _copied_put(agent.rule, agent, setting)

    def law(x: FloatArray, exogenous: FloatArray) -> tuple[FloatArray, FloatArray]:
        price, before = setting.spot_usd * np.exp(x), setting.spot_usd * np.exp(exogenous)
        wanted, seen = (bought(at, exogenous) / setting.spot_usd for at in (x, exogenous))
        return 0.0 * x, to_edge(wanted, seen, width, price, before)

    return law, "+m (m - 1) cushion" if proportion else "+Gamma$ of the copied put"


def trend_law(agent: TrendFollower, setting: Setting) -> tuple[Law, str] | None:
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
