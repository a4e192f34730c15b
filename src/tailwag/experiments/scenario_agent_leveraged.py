"""Kind leveraged-traders of a scenario file: open interest on margin, split by leverage, under a venue's dated rules."""

from __future__ import annotations

from tailwag.errors import InputError
from tailwag.experiments.scenario_agent_rules import OWN_RULES, with_own
from tailwag.experiments.scenario_agent_setting import Read, Setting
from tailwag.experiments.scenario_tables import Table
from tailwag.figures.numbers import money
from tailwag.margin.initial import InitialMargin, initial_margin
from tailwag.margin.maintenance import maintenance_share
from tailwag.margin.rulebook import Rulebook, rulebook
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.leverage_buckets import LeverageBucket, buckets_from_open_interest
from tailwag.sources.rules import load_rules

TERMS = (
    "kind",
    "name",
    "venue",
    "rules_at",
    OWN_RULES,
    "delay_steps",
    "open_interest_usd",
    "longs",
    "shorts",
    "account_usd",
    "entry_width_log",
    "accounts",
    "coin_collateral",
    "fund_usd",
    "premium_share",
    "entries",
    "stream",
)
VENUES = ("deribit-btc", "deribit-eth", "deribit-btc-usdc", "deribit-sol-usdc", "binance-btcusdt")
"""Contracts whose rules of margin and liquidation are known: one dated table each."""
MOST_USD = 9e14
"""No market is larger; a larger number is in cents or coins."""
LEAST_LEVERAGE = 0.01
"""An account of a hundred times its position is never liquidated: such open interest is held without leverage."""


def read_leveraged(table: Table, name: str, setting: Setting) -> Read:
    """Leveraged longs and shorts, their accounts, and the insurance fund of their venue."""
    table.only(*TERMS)
    rules, initial, own = with_own(table, *_rules(table, setting))
    with table.named():
        agent = LeveragedTraders(
            name=name,
            delay_steps=table.whole("delay_steps", least=0, hint="steps between a liquidation price and the order; 0 cascades at once"),
            buckets=_buckets(table),
            rules=rules,
            fund_usd=table.number("fund_usd", least=0.0, most=MOST_USD, hint="the venue's insurance fund at the start, USD"),
            premium_share=table.maybe("premium_share", hint="the perp's premium over its index, 0.001 is 0.1 %; it decides funding"),
            entries=table.text("entries", "even", choices=("even", "drawn")),
            stream=table.whole("stream", 0, least=0, most=2**31 - 1),
            initial=initial,
        )
        agent.starting_dollar_gamma_usd(setting.spot_usd)
        _margins_agree(rules, initial, agent.buckets[0].account_usd, setting.spot_usd)
    unsaid = () if "premium_share" in table else (f"{table.place}: premium_share is not stated; no funding is charged",)
    return agent, (*own, *_beyond(table, agent, initial, setting.spot_usd), *unsaid)


def _margins_agree(rules: Rulebook, initial: InitialMargin, account_usd: float, spot_usd: float) -> None:
    """Refuse rules under which an account of this size is opened with less than the margin that liquidates it."""
    asked = float(initial.margin_usd(account_usd, price_usd=spot_usd)) / account_usd
    kept = float(maintenance_share(rules.maintenance, account_usd, price_usd=spot_usd))
    if kept > asked:
        raise InputError(
            f"expected initial margin of at least the maintenance margin, got {100 * asked:.3g} % and {100 * kept:.3g} % for an account of "
            f"{money(account_usd)}; state the initial margin too, or lower the maintenance margin"
        )


def _beyond(table: Table, agent: LeveragedTraders, initial: InitialMargin, spot_usd: float) -> tuple[str, ...]:
    """Said where positions stand at more leverage than the venue opens for accounts of their size: they are taken as they are."""
    account = agent.buckets[0].account_usd
    most = account / float(initial.margin_usd(account, price_usd=spot_usd))
    higher = max(bucket.leverage for bucket in agent.buckets)
    if higher <= most * (1.0 + 1e-9):
        return ()
    return (
        f"{table.place}: {higher:g} x is more than the venue's initial margin opens for an account of {money(account)} ({most:.4g} x at most); "
        "positions are taken as stated",
    )


def _buckets(table: Table) -> tuple[LeverageBucket, ...]:
    sides = {side: _mix(table, side) for side in ("longs", "shorts")}
    if not any(share > 0.0 for mix in sides.values() for share in mix.values()):
        raise table.refuse(
            "expected leverage on one side at least, got longs and shorts that hold no share; leave the agent out for a market without it"
        )
    open_interest = table.number(
        "open_interest_usd", least=0.0, above=True, most=MOST_USD, hint="USD of open contracts; each has a long and a short"
    )
    return buckets_from_open_interest(
        open_interest,
        longs=sides["longs"],
        shorts=sides["shorts"],
        account_usd=table.number(
            "account_usd", least=0.0, above=True, most=open_interest, hint="size of one account; it decides the margin tier"
        ),
        entry_width_log=table.number("entry_width_log", 0.02, least=1e-6, most=5.0, hint="0.02 scatters entry prices by 2 %"),
        accounts=table.whole("accounts", 25, least=1, most=1000, hint="accounts told apart in each leverage"),
        coin_shares=_coin_shares(table),
    )


def _mix(table: Table, side: str) -> dict[float, float]:
    """Share of a side by leverage; leverage that is named twice is one too many."""
    mix: dict[float, float] = {}
    table.needed(side, f"state {side} = [{{leverage = 10, share = 0.3}}], or [] for none on margin")
    for row in table.tables(side):
        row.only("leverage", "share")
        leverage = row.number("leverage", least=LEAST_LEVERAGE, most=1000.0, hint="10 is ten times the margin")
        if leverage in mix:
            raise row.refuse(f"leverage {leverage:g} is named twice; join the two shares")
        mix[leverage] = row.number("share", least=0.0, most=1.0, hint="part of the open interest's side, 0.3 is 30 %")
    return mix


def _coin_shares(table: Table) -> dict[str, float]:
    """Part of each side whose collateral is coin: cross margin."""
    if "coin_collateral" not in table:
        return {}
    told = Table(f"{table.place} coin_collateral", table.table("coin_collateral").values)
    told.only("longs", "shorts")
    return {side[:-1]: told.number(side, 0.0, least=0.0, most=1.0, hint="part of the side, 0.3 is 30 %") for side in ("longs", "shorts")}


def _rules(table: Table, setting: Setting) -> tuple[Rulebook, InitialMargin]:
    """The venue's rules, and its initial margin, on the day of ``rules_at``, else of the start of the run."""
    venue = table.text("venue", choices=VENUES)
    at_ns = table.time_ns("rules_at") if "rules_at" in table else setting.start_ns
    if at_ns is None:
        raise table.refuse("rules change with time: state rules_at = 2026-02-05T00:00:00Z, or [run] start")
    with table.named():
        found = load_rules(f"margin_{venue.replace('-', '_')}")
        return rulebook(found, at_ns), initial_margin(found, at_ns)
