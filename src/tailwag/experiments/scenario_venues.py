"""[[venue]] of a scenario file: the markets beside home, what ties them together, and the arbitrageurs between them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tailwag.errors import InputError
from tailwag.experiments.scenario_agent_leveraged import VENUES as CONTRACTS
from tailwag.experiments.scenario_agent_setting import Setting
from tailwag.experiments.scenario_agents import checked_name, read_agents
from tailwag.experiments.scenario_doubts import doubts
from tailwag.experiments.scenario_market import MOST_DAYS as MOST_EXPIRY_DAYS
from tailwag.experiments.scenario_market import costs, impact_model
from tailwag.experiments.scenario_tables import Table, nearest, shown
from tailwag.experiments.scenario_venues_chain import chain_of
from tailwag.margin.funding import Funding
from tailwag.margin.initial import initial_margin
from tailwag.margin.rulebook import funding_rule
from tailwag.sim.agents.arbitrageur import MOST_DAYS, Arbitrageur
from tailwag.sim.grid import TimeGrid
from tailwag.sim.scenario import Scenario
from tailwag.sim.venues import INSTRUMENTS, MARKS, Venue, Venues, future_scenario
from tailwag.sim.venues_home import home_scenario
from tailwag.sources.rules import RuleTable, load_rules
from tailwag.units import HOURS_PER_YEAR

VENUE_KEYS = (
    "name",
    "instrument",
    "rules",
    "rules_at",
    "mark",
    "in_index",
    "message_delay_steps",
    "carry_per_year",
    "expiry_days",
    "impact",
    "costs",
    "chain",
)
ARBITRAGEUR_KEYS = (
    "kind",
    "name",
    "between",
    "capital_usd",
    "latency_steps",
    "speed",
    "margin_bps",
    "holding_days",
    "return_per_year",
)
TRADES_ON = "trades_on"
OPTION_KINDS = ("vault", "quoting-dealer", "options-amm", "stale-taker", "option-flow", "squeezer")
"""Kinds that need the option market of [options]; the block seller sells coin and does not."""
ON_CHAIN = "derive-btc"
RULES = (*CONTRACTS, ON_CHAIN)
"""Perps whose funding, index and mark are known: one dated table each."""
DAYS_PER_YEAR = 365.0
NO_FUNDING = "no funding is charged"
"""The end of what is said of leveraged traders without a premium of their own; a venue with rules charges them by its premium."""


@dataclass(frozen=True, slots=True)
class Places:
    """The [[agent]] tables by venue, home's first, and those of arbitrageurs."""

    venues: tuple[Table, ...]
    agents: Mapping[str, list[Table]]
    arbitrageurs: tuple[Table, ...]

    @property
    def home(self) -> list[Table]:
        """Agents of the first venue."""
        return self.agents[_name(self.venues[0])]


def places(top: Mapping[str, Any], agents: Sequence[Table]) -> Places | None:
    """Who trades where; None for a file without [[venue]].

    InputError for ``trades_on`` or an arbitrageur in such a file, and for a venue that nobody named.
    """
    if "venue" not in top:
        for table in agents:
            if TRADES_ON in table or table.values.get("kind") == "arbitrageur":
                raise table.refuse("expected [[venue]] tables where agents trade on several venues; add them, home first")
        return None
    venues = _venue_tables(top["venue"])
    by_venue: dict[str, list[Table]] = {_name(table): [] for table in venues}
    arbitrageurs = tuple(table for table in agents if table.values.get("kind") == "arbitrageur")
    for table in agents:
        if table in arbitrageurs:
            continue
        on = table.text(TRADES_ON, _name(venues[0]))
        if on not in by_venue:
            raise table.refuse(f"expected {TRADES_ON} as one of {', '.join(by_venue)}, got {shown(on)}{nearest(on, by_venue)}")
        kind = table.values.get("kind")
        if kind in OPTION_KINDS and on != _name(venues[0]):
            raise table.refuse(
                f"a {kind} trades on the option market, which is at home ({_name(venues[0])}), got {TRADES_ON} = {shown(on)}; leave {TRADES_ON} out, or "
                f"name {on} the first venue; dealers with options of their own may hedge anywhere"
            )
        by_venue[on].append(Table(table.place, {key: value for key, value in table.values.items() if key != TRADES_ON}))
    return Places(venues, by_venue, arbitrageurs)


def _venue_tables(value: Any) -> tuple[Table, ...]:
    if not isinstance(value, list) or len(value) < 2 or not all(isinstance(part, Mapping) for part in value):
        raise InputError("venue: expected a list of two or more tables; write [[venue]] (two brackets) before each, home first")
    tables = tuple(Table(f"[[venue]] {number}", part) for number, part in enumerate(value, start=1))
    names = [_name(table) for table in tables]
    for table, name in zip(tables, names):
        table.only(*VENUE_KEYS)
        if names.count(name) > 1:
            raise table.refuse(f"name {shown(name)} is used twice; rename one of them")
    return tables


def _name(table: Table) -> str:
    return checked_name(table, table.text("name", hint="what agents call it in trades_on and between"))


def with_venues(home: Scenario, told: Places, setting: Setting, said: Sequence[str] = ()) -> tuple[Scenario, tuple[str, ...]]:
    """Home with the other venues beside it, and sentences that say what was assumed, those ``said`` of home's agents first."""
    made, caps = [], []
    notes = [note for note in said if not ("rules" in told.venues[0] and note.endswith(NO_FUNDING))]
    for place, table in enumerate(told.venues):
        rules = _rules(table, setting)
        if rules is not None and "index_cap_share" in rules[0].rows:
            caps.append(rules[0].in_force("index_cap_share", rules[1]).value)
        if place == 0:
            _refuse_of_home(table)
            scenario = home
        else:
            scenario, more = _elsewhere(home, table, told.agents[_name(table)], setting)
            notes += [note for note in more if not ("rules" in table and note.endswith(NO_FUNDING))]
        venue, more = _venue(table, scenario, rules)
        made.append(venue)
        notes += more
        notes += _two_rulebooks(table, told.agents[venue.name])
    names = [venue.name for venue in made]
    arbitrageurs = tuple(_arbitrageur(table, number, names) for number, table in enumerate(told.arbitrageurs, start=1))
    return home_scenario(Venues(tuple(made), arbitrageurs, index_cap_share=caps[0] if caps else 0.0)), tuple(notes)


def _two_rulebooks(table: Table, agents: Sequence[Table]) -> list[str]:
    """Said where leveraged traders are liquidated by another contract's rules than those that their venue charges funding by."""
    if "rules" not in table:
        return []
    found = [one for one in agents if one.values.get("kind") == "leveraged-traders" and one.values.get("venue") != table.values["rules"]]
    return [
        f"{one.place}: liquidated by the rules of {one.values['venue']}, and charged funding by those of {table.values['rules']}, which venue "
        f"{_name(table)} names; state one of the two in both places if that is not meant"
        for one in found
    ]


def _refuse_of_home(table: Table) -> None:
    for key in ("impact", "costs"):
        if key in table:
            raise table.refuse(f"{key} of the first venue stands in [{key}]; move it there")


def _elsewhere(home: Scenario, table: Table, agents: list[Table], setting: Setting) -> tuple[Scenario, list[str]]:
    """A venue's own market: home's clock, shocks and clearing, with its depth, costs and agents."""
    bare = replace(home, agents=(), options=None)
    if table.text("instrument", "spot", choices=INSTRUMENTS) == "future":
        with table.named():
            bare = future_scenario(bare, carry_per_year=_carry(table), expiry_years=_expiry_years(table, home.grid))
    table.needed("impact", "state impact = {permanent_per_usd = 0.01 / depth}; each venue has its own depth")
    read, notes = read_agents(agents, replace(setting, spot_usd=bare.spot_usd))
    scenario = replace(
        bare,
        impact=impact_model(Table(f"{table.place} impact", table.table("impact").values), home.grid),
        costs=costs(Table(f"{table.place} costs", table.table("costs", {}).values)),
        agents=read,
    )
    return scenario, [*notes, *(f"venue {_name(table)}: {note}" for note in (*doubts(scenario), *scenario.impact.warnings))]


def _venue(table: Table, scenario: Scenario, rules: tuple[RuleTable, int] | None) -> tuple[Venue, list[str]]:
    instrument = table.text("instrument", "spot", choices=INSTRUMENTS)
    notes = []
    if instrument == "perp" and rules is None:
        notes.append(f"{table.place}: rules are not stated; no funding follows the premium")
    if "chain" in table:
        chain, gas_usd = chain_of(table, scenario.start_ns)
        if gas_usd is not None:
            scenario = replace(scenario, costs=replace(scenario.costs, gas_usd=gas_usd))
    else:
        chain = None
    with table.named():
        venue = Venue(
            name=_name(table),
            scenario=scenario,
            instrument=instrument,
            funding=_funding(rules) if instrument == "perp" and rules is not None else None,
            mark=table.text("mark", "last", choices=MARKS),
            mark_seconds=_mark_seconds(rules),
            in_index=table.truth("in_index", True) if "in_index" in table else None,
            chain=chain,
            message_delay_steps=table.whole("message_delay_steps", 0, least=0, most=10_000),
            carry_per_year=_carry(table) if instrument == "future" else 0.0,
            expiry_years=_expiry_years(table, scenario.grid) if instrument == "future" else None,
            initial_margin=initial_margin(*rules) if instrument != "spot" and rules is not None else None,
        )
    if venue.settles is not None and venue.expiry_years is not None:
        notes.append(
            f"venue {venue.name}: settles in cash {venue.expiry_years * HOURS_PER_YEAR:.6g} h from the start, on the mean of the index over the last 30 minutes; "
            "who trades there is done then"
        )
    return venue, notes


def _carry(table: Table) -> float:
    return table.number("carry_per_year", least=-5.0, most=5.0, hint="the fair basis a year, 0.08: a future in a year costs 8 % more")


def _expiry_years(table: Table, grid: TimeGrid) -> float:
    """The expiry; inside the run it is the nearest step."""
    hint = "days from the start to the future's expiry"
    stated = table.number("expiry_days", least=0.0, most=MOST_EXPIRY_DAYS, above=True, hint=hint) / DAYS_PER_YEAR
    nearest_step = int(np.abs(grid.years - stated).argmin())
    return float(grid.years[nearest_step]) if stated <= grid.horizon_years * (1.0 + 1e-9) and nearest_step else stated


def _rules(table: Table, setting: Setting) -> tuple[RuleTable, int] | None:
    """The dated table of the perp's contract and the day that is asked for."""
    if "rules" not in table:
        return None
    name = table.text("rules", choices=RULES)
    at_ns = table.time_ns("rules_at") if "rules_at" in table else setting.start_ns
    if at_ns is None:
        raise table.refuse("rules change with time: state rules_at = 2026-02-05T00:00:00Z, or [run] start")
    with table.named():
        return load_rules(f"margin_{name.replace('-', '_')}"), at_ns


def _funding(rules: tuple[RuleTable, int]) -> Funding:
    return funding_rule(*rules)


def _mark_seconds(rules: tuple[RuleTable, int] | None) -> float:
    if rules is None or "mark_ema_seconds" not in rules[0].rows:
        return 0.0
    return rules[0].in_force("mark_ema_seconds", rules[1]).value


def _arbitrageur(table: Table, number: int, names: Sequence[str]) -> Arbitrageur:
    table.only(*ARBITRAGEUR_KEYS)
    name = checked_name(table, table.text("name", f"arbitrageur-{number}"))
    between = table.needed("between", 'state between = ["spot", "perp"], the two venues')
    if not isinstance(between, list) or len(between) != 2 or not all(isinstance(one, str) for one in between):
        raise table.refuse(f'expected between as two names of venues, ["spot", "perp"], got {shown(between)}')
    for one in between:
        if one not in names:
            raise table.refuse(f"expected between as two of {', '.join(names)}, got {shown(one)}{nearest(one, names)}")
    with table.named():
        return Arbitrageur(
            name=name,
            first=between[0],
            second=between[1],
            capital_usd=table.number("capital_usd", math.inf, least=0.0, hint="USD that both legs together may be worth"),
            latency_steps=table.whole("latency_steps", 1, least=1, most=10_000, hint="steps from seeing prices to trading"),
            speed=table.number("speed", 1.0, least=0.0, most=1.0, above=True),
            margin_bps=table.number("margin_bps", 0.0, least=0.0, most=1_000.0),
            holding_days=table.number("holding_days", 0.0, least=0.0, most=MOST_DAYS),
            return_per_year=table.number("return_per_year", 0.0, least=0.0, most=10.0),
        )
