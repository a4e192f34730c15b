"""Rules of margin of one's own in a scenario file: a venue's dated table, with some of its figures replaced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tailwag.experiments.scenario_tables import Table
from tailwag.margin.contract import Contract
from tailwag.margin.initial import InitialMargin, LeverageTiers
from tailwag.margin.maintenance import Maintenance, NotionalTiers, SizeSlope
from tailwag.margin.rulebook import Rulebook

OWN_RULES = "own_rules"
OWN_TERMS = (
    "contract",
    "tiers",
    "maintenance_base_share",
    "maintenance_share_per_coin",
    "initial_base_share",
    "initial_share_per_coin",
    "liquidation_fee_share",
    "liquidates",
    "unpaid",
)
"""Figures that may be one's own; funding stays the venue's."""
TIER_TERMS = ("up_to_usd", "maintenance_share", "most_leverage")
LIQUIDATES, UNPAID = ("whole", "rounds"), ("deleveraging", "winners")


def with_own(table: Table, rules: Rulebook, initial: InitialMargin) -> tuple[Rulebook, InitialMargin, tuple[str, ...]]:
    """The venue's rules with the figures of ``own_rules`` in place of its own, and a sentence that says which these are.

    InputError for an unknown or contradictory figure, and for a table that replaces nothing.
    """
    if OWN_RULES not in table:
        return rules, initial, ()
    told = table.table(OWN_RULES)
    told.only(*OWN_TERMS)
    if not told.values:
        raise told.refuse(f"expected one of {', '.join(OWN_TERMS)}, got none; leave {OWN_RULES} out for the venue's own")
    tiers = _tiers(told)
    with told.named():
        changed = replace(
            rules, name=f"{rules.name} with own figures", maintenance=_maintenance(told, tiers) or rules.maintenance, **_ways(told, rules)
        )
        asked = _initial(told, tiers) or initial
    note = f"{table.place}: {', '.join(told.values)} are figures of your own in place of {table.text('venue')}'s"
    return changed, asked, (note,)


def _ways(told: Table, rules: Rulebook) -> dict[str, Any]:
    """Contract, fee, how the venue closes and who bears what its fund cannot pay: those that are stated."""
    readers: tuple[tuple[str, Callable[[], dict[str, Any]]], ...] = (
        ("contract", lambda: _contract(told, rules)),
        ("liquidation_fee_share", lambda: {"liquidation_fee_share": told.number("liquidation_fee_share", least=0.0, most=0.5)}),
        ("liquidates", lambda: {"rounds": told.text("liquidates", choices=LIQUIDATES) == "rounds"}),
        ("unpaid", lambda: {"deleverages": told.text("unpaid", choices=UNPAID) == "deleveraging"}),
    )
    return {name: value for key, read in readers if key in told for name, value in read().items()}


def _contract(told: Table, rules: Rulebook) -> dict[str, Any]:
    """The contract; the least collateral in the rank is in the unit of margin, so that it does not go over to another contract."""
    chosen = Contract(told.text("contract", choices=tuple(one.value for one in Contract)))
    return {"contract": chosen, "collateral_floor": rules.collateral_floor if chosen is rules.contract else 0.0}


def _tiers(told: Table) -> list[Table]:
    if "tiers" not in told:
        return []
    for key in ("maintenance_base_share", "initial_base_share"):
        told.exclusive("tiers", key)
    rows = told.tables("tiers")
    for row in rows:
        row.only(*TIER_TERMS)
    if not rows:
        raise told.refuse("expected a tier at least, got none; write tiers = [{up_to_usd = 50000, maintenance_share = 0.004}]")
    return rows


def _maintenance(told: Table, tiers: list[Table]) -> Maintenance | None:
    """Tiers, or a share that grows with size; None where neither is stated."""
    if tiers:
        edges = [row.number("up_to_usd", least=0.0, above=True, hint="upper edge of the tier, USD of a position") for row in tiers]
        shares = [row.number("maintenance_share", least=0.0, most=0.99, above=True, hint="0.005 is 0.5 % of the position") for row in tiers]
        return NotionalTiers(tuple(edges), tuple(shares))
    return _slope(told, "maintenance")


def _initial(told: Table, tiers: list[Table]) -> InitialMargin | None:
    """One over the most leverage of the tier, or a share that grows with size; None where neither is stated."""
    leverage = [row.maybe("most_leverage", least=1.0, most=1000.0, hint="125 is 0.8 % of initial margin") for row in tiers]
    given = [one for one in leverage if one is not None]
    if given and len(given) < len(tiers):
        raise told.refuse("expected most_leverage in every tier or in none, got it in some")
    if given:
        return InitialMargin(LeverageTiers(tuple(float(row.values["up_to_usd"]) for row in tiers), tuple(given)))
    slope = _slope(told, "initial")
    return None if slope is None else InitialMargin(slope)


def _slope(told: Table, which: str) -> SizeSlope | None:
    base, grows = f"{which}_base_share", f"{which}_share_per_coin"
    if grows in told:
        told.needed(base, f"it goes with {grows}")
    if base not in told:
        return None
    per_coin = told.number(grows, 0.0, least=0.0, most=0.1, hint="0.00005 is 0.005 % more for every coin")
    return SizeSlope(told.number(base, least=0.0, most=0.99, above=True, hint="0.01 is 1 % of the position"), per_coin)
