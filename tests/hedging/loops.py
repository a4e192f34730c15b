"""Small loops that play a policy: an option replicated path by path, and a constant-gamma dealer in a market that it moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr
from scipy.stats import norm
from tests.contracts.policy import view_of

from tailwag.hedging.policies import Policy


def option_delta(spot: Any, strike: float, vol: Any, years: float) -> Any:
    return ndtr(np.log(spot / strike) / (vol * np.sqrt(years)) + 0.5 * vol * np.sqrt(years))


def option_gamma(spot: Any, strike: float, vol: Any, years: float) -> Any:
    width = vol * np.sqrt(years)
    return norm.pdf(np.log(spot / strike) / width + 0.5 * width) / (spot * width)


def option_price(spot: Any, strike: float, vol: Any, years: float) -> Any:
    width = vol * np.sqrt(years)
    d1 = np.log(spot / strike) / width + 0.5 * width
    return spot * ndtr(d1) - strike * ndtr(d1 - width)


@dataclass(frozen=True)
class Replication:
    """Profit of an option position with its hedge, (paths,), the gamma/theta sum along each path, and the coin traded on the way."""

    profit: Any
    gamma_theta: Any
    traded_coin: Any


def replicate(
    policy: Policy,
    *,
    position: float,
    spot: float,
    years: float,
    vol: float,
    realised: float,
    steps: int,
    paths: int,
    seed: int,
    cost: float = 0.0,
    charge_at: str = "policy vol",
) -> Replication:
    """Hold `position` (+1 long, -1 short) of an at-the-money call and hedge it by `policy`; the first and last trades are free of cost.

    `charge_at`: the option changes hands at the policy's own vol, or at the book's.
    """
    rng = np.random.default_rng(seed)
    step_years, now, start = years / steps, np.full(paths, spot), spot

    def seen(k: int, price: Any, gap: Any) -> Any:
        left = years - k * step_years
        gamma = position * option_gamma(price, start, vol, left) * price**2
        clock = {"step": k, "time_years": k * step_years, "step_years": step_years, "years_left": left}
        return view_of(gap, unit="coin", spot_usd=price, dollar_gamma_usd=gamma, vol=vol, **clock)

    blank = np.zeros(paths)
    shift = policy.vol_shift(seen(0, now, blank))
    held = -position * option_delta(now, start, vol + shift, years)
    cash = -position * option_price(now, start, vol + (shift if charge_at == "policy vol" else 0.0), years) - held * now
    gamma_theta, traded = np.zeros(paths), np.zeros(paths)
    for k in range(1, steps + 1):
        before, left = now, years - (k - 1) * step_years
        now = before * np.exp(-0.5 * realised**2 * step_years + realised * np.sqrt(step_years) * rng.standard_normal(paths))
        gamma_theta += position * 0.5 * option_gamma(before, start, vol, left) * ((now - before) ** 2 - vol**2 * before**2 * step_years)
        if k == steps:
            break
        shift = policy.vol_shift(seen(k, now, blank))
        gap = -position * option_delta(now, start, vol + shift, years - k * step_years) - held
        decision = policy.decide(seen(k, now, gap))
        trade = np.where(decision.active, decision.speed * (gap - decision.offset), 0.0)
        held, traded = held + trade, traded + np.abs(trade)
        cash = cash - trade * now - cost * np.abs(trade) * now
    return Replication(cash + held * now + position * np.maximum(now - start, 0.0), gamma_theta, traded)


@dataclass(frozen=True)
class Market:
    """A constant-gamma dealer in a market that it moves: prices and gaps (paths, steps + 1), dollars traded (paths,)."""

    log_price: Any
    fundamental: Any
    gap: Any
    turnover: Any


def play(
    policy: Policy,
    *,
    gain: float,
    steps: int,
    paths: int,
    seed: int,
    dollar_gamma: float = -1.0,
    delay: int = 0,
    speed: float = 1.0,
    start_gap: Any = None,
) -> Market:
    """Unit shocks; delay 0 clears in the step (decided before, sized at the clearing price), delay 1 trades at the next step's price."""
    rng = np.random.default_rng(seed)
    impact = -gain / dollar_gamma
    x = np.zeros((paths, steps + 1))
    fundamental, gaps = np.zeros((paths, steps + 1)), np.zeros((paths, steps + 1))
    gap = np.zeros(paths) if start_gap is None else np.array(start_gap, dtype=np.float64)
    gaps[:, 0] = gap
    turnover, waiting = np.zeros(paths), np.zeros(paths)
    for k in range(1, steps + 1):
        shock = rng.standard_normal(paths)
        fundamental[:, k] = fundamental[:, k - 1] + shock
        arrived = waiting
        moved = shock + impact * arrived
        gap = gap - dollar_gamma * moved - arrived
        decision = policy.decide(view_of(gap, spot_usd=1.0, dollar_gamma_usd=dollar_gamma, market_gain=gain, step=k))
        open_gap = np.where(decision.active, decision.speed * speed * (gap - decision.offset), 0.0)
        same_step = open_gap / (1.0 - gain) if delay == 0 else np.zeros(paths)
        waiting = np.zeros(paths) if delay == 0 else open_gap
        gap = gap - dollar_gamma * impact * same_step - same_step
        x[:, k] = x[:, k - 1] + moved + impact * same_step
        gaps[:, k] = gap
        turnover += np.abs(same_step + arrived)
    return Market(x, fundamental, gaps, turnover)
