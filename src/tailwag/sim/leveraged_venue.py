"""What a venue of leveraged traders does in the same way whether its accounts are kept as rows or as columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.margin.contract import Contract
from tailwag.sim.agents.protocol import Draws, Move
from tailwag.sim.leverage_buckets import opened
from tailwag.sim.leveraged_accounts import Accounts, account_sum
from tailwag.sim.state import Borne

if TYPE_CHECKING:
    from tailwag.sim.agents.leveraged import LeveragedTraders

TO_ENTER = 2
"""Kind of draws that places entry prices, where they are drawn."""
SCAN_SHARE = 0.25
DUST_USD = 1e-6
"""Less bad debt than this is none."""


def accounts_at_start(agent: LeveragedTraders, spot_usd: float, paths: int, draw: Draws) -> Accounts:
    """Everybody's position at the start, (accounts, paths); one path stands for all where entries are even."""
    fund = _fund_at_start(agent, spot_usd)
    return opened(agent.buckets, agent.rules, spot_usd=spot_usd, fund=fund, quantiles=_quantiles(agent, paths, draw))


def _fund_at_start(agent: LeveragedTraders, spot_usd: float) -> float:
    """The insurance fund in the unit of margin."""
    return agent.fund_usd if agent.rules.contract is Contract.LINEAR else agent.fund_usd / spot_usd


def borne_at(
    agent: LeveragedTraders,
    spot_usd: tuple[float, FloatArray],
    purse: tuple[FloatArray, FloatArray],
    other_side: tuple[FloatArray, FloatArray],
) -> Borne:
    """Who bore what the accounts lacked, (paths,), USD at the last price.

    ``spot_usd``: at the start and now; ``purse``: fund and bad debt, ``other_side``: deleveraged in USD, and shared losses.
    """
    (start_usd, last_usd), (fund, bad_debt), (deleveraged_usd, shared) = spot_usd, purse, other_side
    in_usd = np.ones(last_usd.shape) if agent.rules.contract is Contract.LINEAR else last_usd
    paid, lost = (_fund_at_start(agent, start_usd) - fund) * in_usd, bad_debt * in_usd
    lost = np.where(lost < DUST_USD, 0.0, lost)  # a loss less what each winner bears of it leaves a rounding
    if agent.rules.deleverages:
        return Borne(paid, lost, deleveraged_usd=deleveraged_usd)
    return Borne(paid, lost, shared_usd=shared * in_usd)


def _quantiles(agent: LeveragedTraders, paths: int, draw: Draws) -> list[FloatArray]:
    """Where in its bucket's scatter each account entered, bucket by bucket, (accounts, paths)."""
    made, first = [], 0
    for bucket in agent.buckets:
        if agent.entries == "even":
            middle = (np.arange(bucket.accounts) + 0.5) / bucket.accounts
            made.append(np.repeat(middle[:, None], paths, axis=1))
        else:
            made.append(np.stack([draw(TO_ENTER, first + place) for place in range(bucket.accounts)]))
        first += bucket.accounts
    return made


def start_coin(accounts: Accounts, contract: Contract) -> FloatArray:
    """Longs less shorts at the start, (paths,): coins, or for inverse contracts USD over the entry price."""
    held = accounts.side * accounts.size
    return account_sum(held if contract is Contract.LINEAR else -held * accounts.entry)


def in_its_unit(
    contract: Contract, amount: FloatArray, slope: FloatArray, nothing: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """An amount of contracts and its slope as a demand says them: USD, coin, and the slopes of both."""
    return (nothing, amount, nothing, slope) if contract is Contract.LINEAR else (amount, nothing, slope, nothing)


def scan_scale_log(agent: LeveragedTraders, spot_usd: float, live: BoolArray) -> FloatArray | None:
    """Rounds close a position over a move as wide as its maintenance margin: a cascade is not scanned in longer strides."""
    if not agent.rules.rounds:
        return None
    least = min(bucket.maintenance(agent.rules, spot_usd) for bucket in agent.buckets)
    return np.where(live, SCAN_SHARE * least, np.inf)


def traded(move: Move) -> BoolArray:
    """Paths on which the venue's orders of the step were filled: in the step that stops a path nobody trades, so nobody is liquidated."""
    return move.live if move.traded is None else move.traded


def farthest(move: Move, lowest: FloatArray, highest: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The lowest and the highest log price of each path, (paths,), after a move; a stopped path stays where it was."""
    low, high = np.minimum(lowest, move.log_price), np.maximum(highest, move.log_price)
    if move.live.all():
        return low, high
    return np.where(move.live, low, lowest), np.where(move.live, high, highest)


def gamma_at_frontier_usd(
    agent: LeveragedTraders, spot_usd: float, log_price: FloatArray, been: tuple[FloatArray, FloatArray]
) -> FloatArray:
    """Minus the notional per unit of log price at the frontier that the price touches, entries by their distribution; ``been``: lowest and highest so far."""
    at_edge = (log_price <= been[0]) | (log_price >= been[1])
    return np.where(at_edge, -agent.density_usd(log_price, spot_usd), 0.0)


def announced_margin(agent: LeveragedTraders, waiting: FloatArray | None, gain: FloatArray | None) -> tuple[FloatArray, FloatArray] | None:
    """The margin's factor that the next step is held to, announced its notice ago, and what is announced; None where it never changes."""
    rule = agent.margin
    if rule is None or gain is None:
        return None
    return rule.announced(rule.silent(gain.size) if waiting is None else waiting, gain)
