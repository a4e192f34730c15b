"""Kind quoting-dealer of a scenario file: a dealer who quotes options to other agents during the run and hedges what it holds."""

from __future__ import annotations

from tailwag.experiments.scenario_agent_dealer import read_options, read_policy
from tailwag.experiments.scenario_agent_setting import Read, Setting
from tailwag.experiments.scenario_tables import Table
from tailwag.sim.agents.quoting_dealer import QuotingDealer
from tailwag.sim.option_book import OptionBook
from tailwag.sim.option_slots import MOST_SLOTS
from tailwag.sim.quoting import QuoteRule

OF_RULE = (
    "half_spread_volpt",
    "size_coin",
    "vega_skew_volpt",
    "gamma_skew_volpt",
    "least_half_spread_bps",
    "strike_limit_coin",
    "expiry_limit_coin",
)
TERMS = ("kind", "name", "policy", "delay_steps", *OF_RULE, "options", "hedge_share", "speed", "slots", "watch_steps", "stream")
MOST_COIN = 1e12


def read_quoting(table: Table, name: str, setting: Setting) -> Read:
    """A quoting dealer; what it holds at the start besides, if anything, is a list of options as a dealer's."""
    table.only(*TERMS)
    book, notes = _book(table, setting)
    with table.named():
        agent = QuotingDealer(
            name,
            _rule(table),
            read_policy(table),
            table.whole("delay_steps", least=0, hint="steps between seeing a move and trading on it; 0 trades in the same step"),
            options=book,
            hedge_share=table.number("hedge_share", 1.0, least=0.0, most=1.0, hint="0.8 is 80 %"),
            speed=table.number("speed", 1.0),
            slots=table.whole("slots", MOST_SLOTS, least=1, most=MOST_SLOTS),
            watch_steps=table.whole("watch_steps", 12, least=1, most=10_000, hint="steps after which a fill's price is looked at again"),
            stream=table.whole("stream", 0, least=0, most=2**31 - 1),
        )
    return agent, notes


def _rule(table: Table) -> QuoteRule:
    return QuoteRule(
        half_spread_volpt=table.number("half_spread_volpt", least=0.0, most=100.0, hint="half of bid to ask in vol points; 1.5"),
        size_coin=table.number("size_coin", least=0.0, most=MOST_COIN, hint="the most coin for one order"),
        vega_skew_volpt=table.number(
            "vega_skew_volpt", 0.0, least=0.0, most=1e9, hint="vol points per million USD of vega (per 1.00 of vol)"
        ),
        gamma_skew_volpt=table.number("gamma_skew_volpt", 0.0, least=0.0, most=1e9, hint="vol points per million USD of S^2 Gamma"),
        least_half_spread_bps=table.number("least_half_spread_bps", 0.0, least=0.0, most=1e4),
        strike_limit_coin=table.maybe("strike_limit_coin", least=0.0, above=True, most=MOST_COIN),
        expiry_limit_coin=table.maybe("expiry_limit_coin", least=0.0, above=True, most=MOST_COIN),
    )


def _book(table: Table, setting: Setting) -> tuple[OptionBook | None, tuple[str, ...]]:
    return (None, ()) if "options" not in table else read_options(table, setting)
