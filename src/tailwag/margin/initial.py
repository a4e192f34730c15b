"""What a position ties up when it is opened: initial margin by a venue's dated table."""

from __future__ import annotations

from dataclasses import dataclass

from tailwag.errors import InputError
from tailwag.margin.maintenance import maintenance_share
from tailwag.margin.rulebook import maintenance_rule
from tailwag.sources.rules import RuleTable


@dataclass(frozen=True, slots=True)
class MarginShare:
    """Margin as a share of a position's value, and which one it is: "initial", or "maintenance" where the table has no initial one."""

    share: float
    kind: str


def margin_share(table: RuleTable, notional_usd: float, *, price_usd: float, at_ns: int) -> MarginShare:
    """Initial margin of a position of this value: base + per_coin x size, or 1 / most leverage of its tier; else the maintenance margin.

    >>> from tailwag.market.clock import parse_time_ns
    >>> from tailwag.sources.rules import load_rules
    >>> margin_share(load_rules("margin_deribit_btc"), 7e6, price_usd=70_000.0, at_ns=parse_time_ns("2026-02-05T00:00:00Z"))
    MarginShare(share=0.025, kind='initial')

    Raises InputError for a notional of 0 or less, or a time before the table's figures.
    """
    if not (notional_usd > 0.0 and price_usd > 0.0):
        raise InputError(f"expected a notional and a price above 0, got {notional_usd:g} and {price_usd:g}")
    if "tier_01_most_leverage" in table.rows:
        return MarginShare(1.0 / _most_leverage(table, notional_usd, at_ns), "initial")
    if "initial_base_share" not in table.rows:
        found = maintenance_share(maintenance_rule(table, at_ns), notional_usd, price_usd=price_usd)
        return MarginShare(float(found), "maintenance")
    base, per_coin = (table.in_force(f"initial_{name}", at_ns).value for name in ("base_share", "share_per_coin"))
    return MarginShare(min(base + per_coin * notional_usd / price_usd, 1.0), "initial")


def _most_leverage(table: RuleTable, notional_usd: float, at_ns: int) -> float:
    """Of the tier that the notional falls in; beyond the last one, its."""
    tiers = sorted(name.removesuffix("_up_to_usd") for name in table.rows if name.startswith("tier_") and name.endswith("_up_to_usd"))
    held = [tier for tier in tiers if table.in_force(f"{tier}_up_to_usd", at_ns).value >= notional_usd]
    return table.in_force(f"{(held or tiers[-1:])[0]}_most_leverage", at_ns).value
