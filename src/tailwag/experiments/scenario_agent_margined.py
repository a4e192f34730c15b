"""Kind margined-book of a scenario file: options and their perp hedge on one account, by a venue's dated rules of margin."""

from __future__ import annotations

from tailwag.experiments.scenario_agent_dealer import SHARE, read_options
from tailwag.experiments.scenario_agent_leveraged import MOST_USD
from tailwag.experiments.scenario_agent_setting import Read, Setting
from tailwag.experiments.scenario_tables import Table
from tailwag.margin.initial import initial_margin
from tailwag.margin.options import option_margin
from tailwag.margin.rulebook import rulebook
from tailwag.sim.agents.margined_book import MarginedBook
from tailwag.sim.margined_terms import MARGINS, MarginTerms
from tailwag.sources.rules import load_rules

TERMS = (
    "kind",
    "name",
    "options",
    "venue",
    "rules_at",
    "margin",
    "collateral_usd",
    "hedge_collateral_share",
    "accounts",
    "delay_steps",
    "hedge_share",
    "backstop_hedge_share",
    "fund_usd",
    "stream",
)
VENUES = ("deribit-btc",)
"""Venues whose margin of options, perps and liquidations is known: one dated table each."""


def read_margined(table: Table, name: str, setting: Setting) -> Read:
    """An account of options and perp, what stands behind it, and who takes it over."""
    table.only(*TERMS)
    options, notes = read_options(table, setting)
    terms = _terms(table, setting)
    behind = "hedge_collateral_share"
    if terms.cross and behind in table:
        raise table.refuse(
            f"{behind} splits the collateral of margin = 'isolated', got margin = 'cross', where one purse stands behind both"
        )
    with table.named():
        agent = MarginedBook(
            name,
            options,
            terms,
            table.number(
                "collateral_usd", least=0.0, above=True, most=MOST_USD, hint="the account's own money in USD, premium not counted"
            ),
            table.whole(
                "delay_steps", least=0, hint="steps between a move and the perp order that answers it, calls included; 0 in the same step"
            ),
            table.number(
                "backstop_hedge_share", least=0.0, most=1.0, hint=f"part of the delta taken over that its new holder hedges, {SHARE}"
            ),
            hedge_share=table.number("hedge_share", 1.0, least=0.0, most=1.0, hint=SHARE),
            hedge_collateral_share=0.5
            if terms.cross
            else table.number(behind, least=0.0, most=1.0, hint=f"part of the collateral behind the perp, {SHARE}"),
            fund_usd=table.number("fund_usd", least=0.0, most=MOST_USD, hint="the venue's insurance fund at the start, USD"),
            stream=table.whole("stream", 0, least=0, most=2**31 - 1),
        )
    return agent, notes


def _terms(table: Table, setting: Setting) -> MarginTerms:
    """The venue's rules on the day of ``rules_at``, else of the start of the run."""
    venue = table.text("venue", choices=VENUES)
    at_ns = table.time_ns("rules_at") if "rules_at" in table else setting.start_ns
    if at_ns is None:
        raise table.refuse("rules change with time: state rules_at = 2026-02-05T00:00:00Z, or [run] start")
    margin, accounts = (
        table.text("margin", choices=MARGINS),
        table.whole("accounts", least=1, most=1_000_000, hint="equal accounts that share all of it"),
    )
    with table.named():
        found = load_rules(f"margin_{venue.replace('-', '_')}")
        rules = rulebook(found, at_ns)
        return MarginTerms(
            option_margin(found, at_ns), rules.maintenance, initial_margin(found, at_ns).rule, rules.liquidation_fee_share, margin, accounts
        )
