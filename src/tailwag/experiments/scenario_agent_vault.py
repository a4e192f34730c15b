"""Kind vault of a scenario file: a covered-call or cash-secured-put vault, by a protocol's dated rules where the file does not say otherwise."""

from __future__ import annotations

from collections.abc import Mapping

from tailwag.experiments.scenario_agent_setting import Read, Setting
from tailwag.experiments.scenario_market import MOST_HOURS, MOST_USD
from tailwag.experiments.scenario_tables import Table
from tailwag.market.clock import parse_time_ns
from tailwag.sim.agents.vault import OptionVault
from tailwag.sim.vault_account import VaultFees
from tailwag.sim.vault_epochs import MOST_TRANCHES, VaultEpochs
from tailwag.sources.rules import load_rules
from tailwag.units import HOURS_PER_YEAR

TERMS = (
    "kind",
    "name",
    "delay_steps",
    "sells",
    "assets_coin",
    "assets_usd",
    "rules",
    "rules_at",
    "strike_delta",
    "strike_step_usd",
    "reserve_share",
    "performance_fee_share",
    "management_fee_per_year",
    "first_epoch",
    "first_epoch_hours",
    "epoch_hours",
    "auction_after_hours",
    "jitter_hours",
    "tranches",
    "tranche_hours",
    "most_strike_share",
    "stream",
)
RULES = ("ribbon-btc", "ribbon-eth")
"""Protocols whose vaults' rules are known: one dated table each."""
SELLS = {"covered-calls": 1, "cash-secured-puts": -1}
UNDATED = "2026-01-01T00:00:00Z"
"""The day whose rules hold for a run without a start."""
NS_PER_HOUR, HOURS_PER_WEEK = 3_600_000_000_000, 168
FIRST_MONDAY_NS = 4 * 24 * NS_PER_HOUR
"""1970-01-05 was a Monday."""
MOST_STEP_SHARE, NOTED_STEP_SHARE = 0.25, 0.05
"""Strikes further apart than these shares of the first price are refused, and said where the file does not state them."""
Figures = Mapping[str, float]


def read_vault(table: Table, name: str, setting: Setting) -> Read:
    """A vault that sells options by auction, once an epoch."""
    table.only(*TERMS)
    figures = _figures(table, setting)
    right = SELLS[table.text("sells", choices=tuple(SELLS))]
    with table.named():
        agent = OptionVault(
            name=name,
            right=right,
            assets=_assets(table, right, setting.spot_usd),
            strike_delta=table.number("strike_delta", figures["strike_delta"], least=0.0, most=0.5, above=True, hint="0.1 is 10 delta"),
            strike_step_usd=_strike_step_usd(table, figures, setting.spot_usd),
            epochs=_epochs(table, setting, figures),
            reserve_share=table.number(
                "reserve_share", figures["reserve_share"], least=0.0, hint="0.2 sells no option below 20 % of its model price"
            ),
            fees=VaultFees(
                table.number("performance_fee_share", figures["performance_fee_share"], least=0.0, hint="0.1 is 10 % of an epoch's gain"),
                table.number("management_fee_per_year", figures["management_fee_per_year"], least=0.0, hint="0.02 is 2 % a year"),
            ),
            most_strike_share=table.number(
                "most_strike_share", 1.0, least=0.0, most=1.0, above=True, hint="0.25 spreads an auction over four strikes"
            ),
            delay_steps=table.whole("delay_steps", least=0, hint="steps between a premium or a payoff and the coin bought or sold with it"),
            stream=table.whole("stream", 0, least=0, most=2**31 - 1),
        )
    return agent, _notes(table, agent, setting)


def _figures(table: Table, setting: Setting) -> Figures:
    """The protocol's figures on the day of ``rules_at``, else of the start of the run."""
    name = table.text("rules", RULES[0], choices=RULES)
    given = table.time_ns("rules_at") if "rules_at" in table else setting.start_ns
    at_ns = parse_time_ns(UNDATED) if given is None else given
    with table.named():
        rules = load_rules(f"vault_{name.replace('-', '_')}")
        return {key: rules.in_force(key, at_ns).value for key in rules.rows}


def _assets(table: Table, right: int, spot_usd: float) -> float:
    """Coin of a call vault, USD of a put vault: what stands behind the options it sells."""
    own, other = ("assets_coin", "assets_usd") if right > 0 else ("assets_usd", "assets_coin")
    if other in table:
        raise table.refuse(
            f"{'covered calls are sold against coin' if right > 0 else 'puts are secured by cash'}: state {own}, not {other}"
        )
    most = MOST_USD / spot_usd if right > 0 else MOST_USD
    return table.number(own, least=0.0, most=most, above=True, hint="what stands behind the options that are sold, all of it")


def _strike_step_usd(table: Table, figures: Figures, spot_usd: float) -> float:
    """Distance of listed strikes; one of another coin's protocol would sell far from the delta that was meant, or deep in the money."""
    step_usd = table.number("strike_step_usd", figures["strike_step_usd"], least=0.0, above=True)
    if step_usd > MOST_STEP_SHARE * spot_usd:
        told = "" if "strike_step_usd" in table else f" of rules {table.text('rules', RULES[0])}"
        raise table.refuse(
            f"expected strike_step_usd of at most a quarter of spot_usd = {spot_usd:,.10g}, got {step_usd:,.10g}{told}; state strike_step_usd, "
            "or the rules of this coin"
        )
    return step_usd


def _epochs(table: Table, setting: Setting, figures: Figures) -> VaultEpochs:
    pause = (figures["dispute_seconds"] + figures["lock_seconds"] + figures["auction_seconds"]) / 3600.0
    return VaultEpochs(
        first_hours=_first_hours(table, setting, figures),
        length_hours=table.number("epoch_hours", figures["epoch_hours"], least=0.0, most=MOST_HOURS, above=True, hint="168 is a week"),
        auction_after_hours=table.number("auction_after_hours", pause, least=0.0, hint="hours from an expiry to the next auction"),
        jitter_hours=table.number("jitter_hours", 0.0, least=0.0, hint="each auction comes later by a draw between 0 and this"),
        tranches=table.whole("tranches", 1, least=1, most=MOST_TRANCHES, hint="parts of an epoch that are sold one after another"),
        tranche_hours=table.number("tranche_hours", 0.0, least=0.0, hint="hours between the parts"),
    )


def _first_hours(table: Table, setting: Setting, figures: Figures) -> float:
    """Hours from the start of the run to the start of the first epoch: as stated, else the next expiry of the week."""
    table.exclusive("first_epoch", "first_epoch_hours")
    if "first_epoch_hours" in table:
        hint = "hours from the start of the run to the start of the first epoch"
        return table.number("first_epoch_hours", least=0.0, most=MOST_HOURS, hint=hint)
    if setting.start_ns is None:
        raise table.refuse("epochs start at a time of the week: state first_epoch_hours, or [run] start")
    stated = table.time_ns("first_epoch")
    if stated is not None:
        if stated < setting.start_ns:
            raise table.refuse("expected first_epoch at or after the start of the run; a vault starts with nothing sold")
        return (stated - setting.start_ns) / NS_PER_HOUR
    weekly = figures["expiry_weekday"] * 24.0 + figures["expiry_hour"]
    return (weekly - (setting.start_ns - FIRST_MONDAY_NS) / NS_PER_HOUR) % HOURS_PER_WEEK


def _notes(table: Table, agent: OptionVault, setting: Setting) -> tuple[str, ...]:
    """What was assumed of the first epoch, and that nothing is sold where the run ends before."""
    epochs, ends = agent.epochs, setting.horizon_years * HOURS_PER_YEAR
    sells = epochs.first_hours + epochs.auction_after_hours
    late: tuple[str, ...] = (
        () if sells <= ends else (f"{table.place}: sells nothing in this run: it ends after {ends:g} hours, before the first auction",)
    )
    late += _coarse(table, agent, setting.spot_usd)
    if "first_epoch" in table or "first_epoch_hours" in table:
        return late
    return (
        f"{table.place}: first_epoch is not stated; the first epoch starts {epochs.first_hours:g} hours into the run, at the weekly expiry, "
        f"and sells {epochs.auction_after_hours:g} hours later",
        *late,
    )


def _coarse(table: Table, agent: OptionVault, spot_usd: float) -> tuple[str, ...]:
    """That strikes of the rules are far apart for this coin."""
    if "strike_step_usd" in table or agent.strike_step_usd <= NOTED_STEP_SHARE * spot_usd:
        return ()
    return (
        f"{table.place}: strike_step_usd is not stated; strikes are {agent.strike_step_usd:,.10g} USD apart, by the rules, at a price of "
        f"{spot_usd:,.10g}: deltas may be far from {agent.strike_delta:g}",
    )
