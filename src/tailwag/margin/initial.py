"""What a position ties up when it is opened: initial margin by a venue's dated table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.margin.maintenance import Maintenance, SizeSlope
from tailwag.margin.rulebook import maintenance_rule
from tailwag.sources.rules import RuleTable


@dataclass(frozen=True, slots=True)
class MarginShare:
    """Margin as a share of a position's value, and which one it is: "initial", or "maintenance" where the table has no initial one."""

    share: float
    kind: str


@dataclass(frozen=True, slots=True)
class LeverageTiers:
    """Binance's initial margin: one over the most leverage of the tier that the whole position falls in; beyond the last tier, its.

    >>> tiers = LeverageTiers((50_000.0, 600_000.0), (125.0, 100.0))
    >>> float(tiers.margin_usd(5.0, price_usd=60_000.0))
    3000.0
    """

    up_to_usd: tuple[float, ...]
    most_leverage: tuple[float, ...]

    def __post_init__(self) -> None:
        rising = all(low < high for low, high in zip(self.up_to_usd, self.up_to_usd[1:]))
        if not self.up_to_usd or len(self.up_to_usd) != len(self.most_leverage) or not rising or min(self.most_leverage) <= 0.0:
            raise InputError(
                f"expected tiers with rising upper edges and one most leverage above 0 each, got {self.up_to_usd} and {self.most_leverage}"
            )

    def margin_usd(self, size_coin: ArrayLike, *, price_usd: ArrayLike) -> FloatArray:
        """Initial margin, USD."""
        notional = np.abs(np.asarray(size_coin) * np.asarray(price_usd))
        place = np.minimum(np.searchsorted(np.asarray(self.up_to_usd), notional, side="left"), len(self.up_to_usd) - 1)
        return np.asarray(notional / np.asarray(self.most_leverage)[place])


@dataclass(frozen=True, slots=True)
class InitialMargin:
    """What a venue asks for a position when it is opened; ``kind``: "initial", or "maintenance" where its table has no initial one."""

    rule: Maintenance
    kind: str = "initial"

    def margin_usd(self, notional_usd: ArrayLike, *, price_usd: float) -> FloatArray:
        """Margin of positions of these values, never more than the value itself; USD.

        >>> InitialMargin(SizeSlope(0.02, 0.00005)).margin_usd([0.0, 7e6], price_usd=70_000.0).tolist()
        [0.0, 175000.0]
        """
        notional = np.abs(np.asarray(notional_usd, dtype=np.float64))
        return np.asarray(np.minimum(self.rule.margin_usd(notional / price_usd, price_usd=price_usd), notional))


def initial_margin(table: RuleTable, at_ns: int) -> InitialMargin:
    """The rule of a venue's table on a day: base + per_coin x size, or 1 / most leverage of the tier; else the maintenance margin.

    Raises InputError for a time before the table's figures.
    """
    tiers = sorted(
        name.removesuffix("_most_leverage") for name in table.rows if name.startswith("tier_") and name.endswith("_most_leverage")
    )
    if tiers:
        edges, leverage = (
            tuple(table.in_force(f"{tier}_{figure}", at_ns).value for tier in tiers) for figure in ("up_to_usd", "most_leverage")
        )
        return InitialMargin(LeverageTiers(edges, leverage))
    if "initial_base_share" not in table.rows:
        return InitialMargin(maintenance_rule(table, at_ns), "maintenance")
    return InitialMargin(SizeSlope(*(table.in_force(f"initial_{name}", at_ns).value for name in ("base_share", "share_per_coin"))))


def margin_share(table: RuleTable, notional_usd: float, *, price_usd: float, at_ns: int) -> MarginShare:
    """Initial margin of a position of this value as a share of it.

    >>> from tailwag.market.clock import parse_time_ns
    >>> from tailwag.sources.rules import load_rules
    >>> margin_share(load_rules("margin_deribit_btc"), 7e6, price_usd=70_000.0, at_ns=parse_time_ns("2026-02-05T00:00:00Z"))
    MarginShare(share=0.025, kind='initial')

    Raises InputError for a notional of 0 or less, or a time before the table's figures.
    """
    if not (notional_usd > 0.0 and price_usd > 0.0):
        raise InputError(f"expected a notional and a price above 0, got {notional_usd:g} and {price_usd:g}")
    asked = initial_margin(table, at_ns)
    return MarginShare(float(asked.margin_usd(notional_usd, price_usd=price_usd)) / notional_usd, asked.kind)
