"""What a simulated block of paths leaves behind: prices, flows, outcomes and every agent's account."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from tailwag.kernels.arrays import FloatArray, IntArray

PNL_PARTS = (
    "gamma_theta_usd",
    "delta_usd",
    "vanna_usd",
    "vega_usd",
    "execution_usd",
    "spread_usd",
    "fees_usd",
    "gas_usd",
    "funding_usd",
    "residual_usd",
)
"""The parts of an agent's profit and loss, in this order; they sum to its total, the residual included."""


class Outcome(IntEnum):
    """How a path ended; each member is a sentence with what to look at.

    >>> Outcome.RUNAWAY.sentence.startswith("the price ran away")
    True
    """

    FINISHED = 0
    RUNAWAY = 1
    DEPTH_EXHAUSTED = 2
    HALTED = 3

    @property
    def sentence(self) -> str:
        """What happened and what to look at, for reports."""
        return _SENTENCES[int(self)]


_SENTENCES = (
    "the path reached the horizon",
    "the price ran away: hedging moved it further than the stated bound, or no clearing price (or no vol at which vega hedges rest) was left; "
    "lower the gain (more depth, less gamma, slower hedging) or raise stop_log_move",
    "depth was exhausted: one step's flow was larger than the market can absorb; raise limit_usd_per_step or slice the orders",
    "trading was halted: the price moved by more than halt_log_move from the start; the price is held from there on",
)


class Borne(NamedTuple):
    """Who bore what accounts on margin lacked, (paths,) each, USD; money at the last price where it is coin.

    ``fund_paid_usd`` by the insurance fund, less the fees that it took; ``bad_debt_usd`` by nobody.  By the other side: ``deleveraged_usd``, positions closed
    against it at bankruptcy prices (their value, no loss by itself), and ``shared_usd``, losses taken from its profits; None where a venue does not do that.
    """

    fund_paid_usd: FloatArray
    bad_debt_usd: FloatArray
    deleveraged_usd: FloatArray | None = None
    shared_usd: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class AgentPaths:
    """One agent over a block of paths: what it traded and what it earned.

    Shapes: (paths,) unless named.  ``pnl_usd`` (len(PNL_PARTS), paths) sums to the total over its first axis.
    ``forced_usd`` (what its venue closed of its hedge) and ``taken_share`` (of its options) only of margined books; ``borne`` only of
    accounts on margin.
    ``position_coin`` (paths, steps + 1) and ``flow_usd`` (paths, steps; + buys) only where they were asked for.
    ``gap_squared_usd`` is the time average of the squared mis-hedge in USD, ``peak_position_usd`` the largest value of the hedge.
    """

    name: str
    turnover_usd: FloatArray
    trades: IntArray
    pnl_usd: FloatArray
    gap_squared_usd: FloatArray
    final_position_coin: FloatArray
    final_cash_usd: FloatArray
    peak_position_usd: FloatArray
    position_coin: FloatArray | None = None
    flow_usd: FloatArray | None = None
    forced_usd: FloatArray | None = None
    taken_share: FloatArray | None = None
    borne: Borne | None = None


@dataclass(frozen=True, slots=True)
class BlockPaths:
    """A block of simulated paths: log prices from the start, the same shocks with nobody hedging, flows, and how each path ended.

    Shapes: ``time_years`` (steps + 1,); ``log_price``, ``fundamental_log`` (paths, steps + 1); ``net_flow_usd`` (paths, steps), + buys;
    ``outcome`` (paths,) of :class:`Outcome`; ``stopped_step`` (paths,), the number of steps where the path finished.
    After a stop the last price is held, so that nothing is NaN.  ``others``: of home's block, the same paths on the other venues.
    """

    first_path: int
    time_years: FloatArray
    log_price: FloatArray
    fundamental_log: FloatArray
    net_flow_usd: FloatArray
    vol_shift: FloatArray | None
    outcome: IntArray
    stopped_step: IntArray
    agents: tuple[AgentPaths, ...]
    liquidity_cash_usd: FloatArray
    liquidity_position_coin: FloatArray
    venue_cash_usd: FloatArray
    holders_cash_usd: FloatArray
    others: tuple[BlockPaths, ...] = ()

    @property
    def paths(self) -> int:
        """How many paths the block holds."""
        return int(self.log_price.shape[0])
