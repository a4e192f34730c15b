"""Leveraged traders: longs and shorts on margin, liquidated by their venue's rules, with its insurance fund and deleveraging."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from tailwag.errors import InputError
from tailwag.figures.numbers import money
from tailwag.kernels.arrays import FloatArray
from tailwag.margin.funding import funding_per_year
from tailwag.margin.initial import InitialMargin
from tailwag.margin.rulebook import Rulebook
from tailwag.sim.agents.protocol import Market, Trader
from tailwag.sim.leverage_buckets import SIDES, LeverageBucket
from tailwag.sim.leveraged_columns import ColumnTrader
from tailwag.sim.leveraged_trader import RowTrader
from tailwag.sim.margin_rules import DynamicMargin

MOST_ACCOUNTS = 5_000
EDGE_LOG = 1e-12


@dataclass(frozen=True, slots=True)
class LeveragedTraders:
    """Longs and shorts in leverage ``buckets``, liquidated by ``rules``; the venue's insurance fund starts with ``fund_usd``.

    With ``delay_steps = 0`` a cascade is solved in its step, to the smallest fixed point: liquidations move the price into further
    liquidations until it rests.  Else the venue's order of a step arrives that many steps later.
    ``premium_share``: the perp's premium over its index, which decides funding by the venue's formula.
    ``margin``: maintenance margin that follows the measured gain, after notice; None leaves it to the venue's table.  ``initial``: what the venue asks
    for when a position is opened; nobody opens one in a run, so that it changes nothing by itself.
    Buckets whose collateral is coin are cross-margined: position and coin are one net exposure, liquidated by the account's equity.
    ``entries``: "even" puts the accounts at even quantiles of their entry prices, the same on every path; "drawn" draws them for each path.
    """

    name: str
    delay_steps: int
    buckets: tuple[LeverageBucket, ...]
    rules: Rulebook
    fund_usd: float = 0.0
    premium_share: float | None = None
    entries: str = "even"
    stream: int = 0
    margin: DynamicMargin | None = None
    initial: InitialMargin | None = None

    def __post_init__(self) -> None:
        if self.delay_steps < 0 or int(self.delay_steps) != self.delay_steps:
            raise InputError(f"agent {self.name!r}: expected delay_steps as a whole number of 0 or more, got {self.delay_steps}")
        if not self.buckets or sum(bucket.accounts for bucket in self.buckets) > MOST_ACCOUNTS:
            raise InputError(f"agent {self.name!r}: expected 1 to {MOST_ACCOUNTS:,} accounts in all buckets together")
        if not 0.0 <= self.fund_usd < 1e15:
            raise InputError(f"agent {self.name!r}: expected fund_usd of 0 or more, got {self.fund_usd:g}")
        if self.premium_share is not None and not abs(self.premium_share) <= 0.5:
            raise InputError(f"agent {self.name!r}: expected premium_share within +-0.5, got {self.premium_share:g}; 0.001 is 0.1 %")
        if self.premium_share is not None and self.holds_coin:
            raise InputError(
                f"agent {self.name!r}: expected no premium_share where coin is collateral, got one: funding is charged on a position, and these accounts "
                "are kept as position and coin together; leave one out"
            )
        if self.entries not in ("even", "drawn"):
            raise InputError(f"agent {self.name!r}: expected entries 'even' or 'drawn', got {self.entries!r}")

    def __str__(self) -> str:
        rules = f"{self.rules.contract.value} contracts, {'liquidated in rounds' if self.rules.rounds else 'liquidated whole'}"
        return f"{'; '.join(part for part in (self._held('long'), self._held('short')) if part)}; {rules}"

    def _held(self, side: str) -> str:
        mine = [bucket for bucket in self.buckets if bucket.side == side]
        if not mine:
            return ""
        low, high = min(bucket.leverage for bucket in mine), max(bucket.leverage for bucket in mine)
        coin = math.fsum(bucket.notional_usd for bucket in mine if bucket.collateral == "coin")
        held = f" ({money(coin)} of it with coin as collateral)" if coin else ""
        return f"{money(notional_usd(self, side))} {side}{held} at {f'{low:g} to ' if low < high else ''}{high:g} x"

    @property
    def whole_orders(self) -> bool:
        """The venue's orders are filled whole or the books would not close: no damped clearing."""
        return True

    @property
    def holds_coin(self) -> bool:
        """Whether some accounts have coin as collateral."""
        return any(bucket.collateral == "coin" for bucket in self.buckets)

    @property
    def reads_gain(self) -> bool:
        """Whether its venue looks at the market's gain."""
        return self.margin is not None

    def content(self) -> str:
        """Everything but the name."""
        said = [getattr(self, entry.name) for entry in fields(self) if entry.name not in ("name", "margin", "initial")]
        said += [tuple(bucket.collateral for bucket in self.buckets)] if self.holds_coin else []
        return repr(said if self.margin is None else [*said, self.margin])

    def density_usd(self, log_price: FloatArray, spot_usd: float) -> FloatArray:
        """l(x): notional liquidated per unit of log price at the price, (paths,)."""
        total = np.zeros(log_price.shape)
        for bucket in self.buckets:
            total = total + bucket.density_usd(log_price, self.rules, spot_usd)
        return total

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """Minus the notional that the next unit of log price liquidates (on the denser side): g_total = g_dealers + impact x l(x)."""
        edges = np.array([-EDGE_LOG, EDGE_LOG])
        return -float(self.density_usd(edges, spot_usd).max())

    def starting_flow_response_usd(self, spot_usd: float) -> float:
        """USD bought per unit of log price of a small move from the start, the mean of both sides: half of the bumps go each way."""
        return float(self.density_usd(np.array([-EDGE_LOG, EDGE_LOG]), spot_usd).mean())

    def at_work(self, market: Market) -> Trader:
        """Ready to be liquidated."""
        for bucket in self.buckets:
            bucket.level_log(self.rules, market.spot_usd)
            share = bucket.maintenance(self.rules, market.spot_usd)
            if self.margin is not None and share * self.margin.most >= 1.0:
                raise InputError(
                    f"agent {self.name!r}: expected a largest maintenance margin below 100 %, got {100 * share:.3g} % times {self.margin.most:g}"
                )
        return trader_of(self, market.spot_usd)


def trader_of(agent: LeveragedTraders, spot_usd: float, *, compiled: bool = True, records: bool = False) -> RowTrader | ColumnTrader:
    """The agent at work: rows that compiled code walks; columns where that is not wanted, liquidations are recorded, or the venue's orders are late."""
    rate = 0.0 if agent.premium_share is None else funding_per_year(agent.rules.funding, agent.premium_share)
    if compiled and not records and not agent.delay_steps:
        return RowTrader(agent, spot_usd, rate)
    return ColumnTrader(agent, spot_usd, rate, records)


def notional_usd(agent: LeveragedTraders, side: str) -> float:
    """Notional of one side at the start.

    Raises InputError for a side that is neither long nor short.
    """
    if side not in SIDES:
        raise InputError(f"expected side 'long' or 'short', got {side!r}")
    return math.fsum(bucket.notional_usd for bucket in agent.buckets if bucket.side == side)
