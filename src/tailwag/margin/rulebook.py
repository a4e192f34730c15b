"""A venue's rules of margin on one day, read from its dated table: nothing here knows a figure."""

from __future__ import annotations

from dataclasses import dataclass

from tailwag.errors import InputError
from tailwag.margin.contract import Contract
from tailwag.margin.funding import ClampFunding, DeadBandFunding, Funding, HourlyFunding
from tailwag.margin.maintenance import Maintenance, NotionalTiers, SizeSlope
from tailwag.sources.rules import RuleTable
from tailwag.units import HOURS_PER_YEAR


@dataclass(frozen=True, slots=True)
class Rulebook:
    """How one venue keeps one contract solvent.

    ``rounds``: it closes only as much at a time as brings the account back to its maintenance margin (else the whole account).
    ``deleverages``: what the fund cannot pay is closed against the opposite side by rank (else shared among the winners).
    ``collateral_floor``: least collateral in the rank, in the unit of margin.
    """

    name: str
    contract: Contract
    maintenance: Maintenance
    funding: Funding
    liquidation_fee_share: float
    rounds: bool
    deleverages: bool
    collateral_floor: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.liquidation_fee_share < 1.0 or self.collateral_floor < 0.0:
            raise InputError(f"rules {self.name}: expected liquidation_fee_share from 0 to below 1, got {self.liquidation_fee_share:g}")


def rulebook(table: RuleTable, at_ns: int) -> Rulebook:
    """The rules of margin of a venue's table that were in force at a time.

    >>> from tailwag.market.clock import parse_time_ns
    >>> from tailwag.sources.rules import load_rules
    >>> rules = rulebook(load_rules("margin_deribit_btc"), parse_time_ns("2026-02-05T00:00:00Z"))
    >>> rules.contract, rules.rounds, rules.liquidation_fee_share
    (<Contract.INVERSE: 'inverse'>, True, 0.0075)

    Raises InputError for a table that lacks a figure, or a time before its first one.
    """
    return Rulebook(
        name=table.name,
        contract=Contract.INVERSE if _figure(table, "inverse", at_ns) else Contract.LINEAR,
        maintenance=maintenance_rule(table, at_ns),
        funding=funding_rule(table, at_ns),
        liquidation_fee_share=_figure(table, "liquidation_fee_share", at_ns),
        rounds=bool(_figure(table, "liquidates_in_rounds", at_ns)),
        deleverages=bool(_figure(table, "deleverages", at_ns)),
        collateral_floor=_figure(table, "collateral_floor", at_ns) if "collateral_floor" in table.rows else 0.0,
    )


def maintenance_rule(table: RuleTable, at_ns: int) -> Maintenance:
    """Tiers where the table has them, else the share that grows with size."""
    tiers = sorted(name.removesuffix("_up_to_usd") for name in table.rows if name.startswith("tier_") and name.endswith("_up_to_usd"))
    if tiers:
        edges = tuple(_figure(table, f"{tier}_up_to_usd", at_ns) for tier in tiers)
        return NotionalTiers(edges, tuple(_figure(table, f"{tier}_maintenance_share", at_ns) for tier in tiers))
    return SizeSlope(_figure(table, "maintenance_base_share", at_ns), _figure(table, "maintenance_share_per_coin", at_ns))


def funding_rule(table: RuleTable, at_ns: int) -> Funding:
    """The funding formula that the table's figures belong to."""
    if "funding_dead_band_share" in table.rows:
        return DeadBandFunding(*(_figure(table, f"funding_{name}", at_ns) for name in ("dead_band_share", "cap_share", "hours")))
    if "funding_clamp_share" in table.rows:
        first = _figure(table, "tier_01_maintenance_share", at_ns)
        interest, clamp, hours = (_figure(table, f"funding_{name}", at_ns) for name in ("interest_share", "clamp_share", "hours"))
        return ClampFunding(interest, clamp, first, hours)
    cap = _figure(table, "funding_cap_share_per_year", at_ns) / HOURS_PER_YEAR
    return HourlyFunding(_figure(table, "funding_premium_hours", at_ns), _figure(table, "funding_static_share", at_ns), cap)


def _figure(table: RuleTable, name: str, at_ns: int) -> float:
    return table.in_force(name, at_ns).value
