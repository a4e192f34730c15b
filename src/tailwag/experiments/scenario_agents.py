"""The agents of a scenario file: who holds which book, how it is hedged, how late, and at what size."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tailwag.errors import InputError
from tailwag.experiments.scenario_doubts import refuse_far_strikes
from tailwag.experiments.scenario_tables import Table, nearest, shown
from tailwag.hedging.execution import MOST_SLICES, AlmgrenChriss, AtOnce, Execution, Maker, ObizhaevaWang, Twap
from tailwag.hedging.policies import Policy, policy_from_mapping, policy_from_text
from tailwag.market.clock import format_time
from tailwag.sim.agents.dealer import Dealer, HedgeInstrument
from tailwag.sim.agents.ladder import Cluster, LiquidationLadder
from tailwag.sim.option_book import WINDOW_YEARS, OptionBook
from tailwag.sim.option_hedge import NEUTRALITIES, ListedOptions, neutral_dealer
from tailwag.units import NS_PER_YEAR

KINDS = ("dealer", "scalper", "liquidation-ladder")
LEVERAGED = "leveraged-traders"
LATER = ("vault", "options-amm", "cpmm", "squeezer", "arbitrageur", "insurer")
"""Kinds that scenario files will name and this version does not simulate."""
BOOKS = ("gamma_usd", "options", "book")
TERMS = (
    "kind",
    "name",
    "policy",
    "delay_steps",
    "speed",
    "after_expiry",
    "book_share",
    "hedge_share",
    "vega_hedge_share",
    "option_hedge",
    "execution",
    "instrument",
    "stream",
)
LADDER_TERMS = ("kind", "name", "delay_steps", "density_usd", "clusters", "levels_per_log", "level_usd", "reach_log", "stream")
EXECUTIONS: dict[str, tuple[str, ...]] = {
    "at-once": (),
    "twap": ("slices",),
    "almgren-chriss": ("slices", "urgency"),
    "obizhaeva-wang": ("slices", "decays"),
    "maker": ("fill_probability",),
}
SHARE = "0.8 is 80 %"
MOST_AGENTS = 100
MOST_OPTIONS = 100_000
MOST_DAYS = 36_500.0
MOST_CONTRACTS = 1e12
MOST_STRIKE_USD = 1e12
_NAME = re.compile(r"[\w][\w .@+-]{0,59}")


@dataclass(frozen=True, slots=True)
class Setting:
    """What an agent's table may need to know of the rest of the file: start, first price, the vol an unstated iv stands for, how to read books, when it ends."""

    start_ns: int | None
    spot_usd: float
    vol: float
    read_book: Callable[[Table, str, int], tuple[OptionBook, tuple[str, ...]]]
    horizon_years: float


def read_agents(tables: list[Table], setting: Setting) -> tuple[tuple[Dealer | LiquidationLadder, ...], tuple[str, ...]]:
    """Every [[agent]] in the order of the file, and sentences that say what was assumed for them."""
    if len(tables) > MOST_AGENTS:
        raise InputError(f"expected at most {MOST_AGENTS} agents, got {len(tables)}; join those that hedge alike")
    made = [_agent(table, number, setting) for number, table in enumerate(tables, start=1)]
    return tuple(agent for agent, _ in made), tuple(note for _, notes in made for note in notes)


def _agent(table: Table, number: int, setting: Setting) -> tuple[Dealer | LiquidationLadder, tuple[str, ...]]:
    kind = _kind(table)
    name = table.text("name", f"{kind}-{number}")
    if not _NAME.fullmatch(name):
        raise table.refuse(
            f"expected a name of 1 to 60 letters, digits, spaces and . _ - + @ that starts with a letter or digit, got {shown(name)}"
        )
    named = Table(f"agent {shown(name)}", table.values)
    if kind == "liquidation-ladder":
        return _ladder(named, name), ()
    named.only(*TERMS, *BOOKS, "iv")
    named.exclusive(*BOOKS)
    book, notes = _shared(named, *_book(named, setting))
    if kind == "scalper":
        _refuse_short(named, book)
    with named.named():
        dealer = Dealer(
            name=name,
            policy=_policy(named),
            delay_steps=named.whole(
                "delay_steps", least=0, hint="steps between seeing a move and trading on it; 0 trades in the same step"
            ),
            speed=named.number("speed", 1.0),
            hedge_share=named.number("hedge_share", 1.0, least=0.0, most=1.0, hint=SHARE),
            vega_hedge_share=named.number("vega_hedge_share", 0.0, least=0.0, most=1.0, hint=SHARE),
            after_expiry=named.text("after_expiry", "unwind", choices=("unwind", "hold")),
            instrument=_instrument(named),
            stream=named.whole("stream", 0, least=0, most=2**31 - 1),
            execution=_execution(named),
            **book,
        )
        return _neutral(named, dealer, notes, setting.spot_usd)


def _shared(table: Table, book: dict[str, Any], notes: tuple[str, ...]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The part of a book that this agent holds: several agents may hold one book by shares."""
    share = table.number("book_share", 1.0, least=0.0, most=1.0, above=True, hint=f"the part of the book that this agent holds, {SHARE}")
    if share == 1.0:
        return book, notes
    options = book.get("options")
    if options is None:
        return {**book, "gamma_usd": share * book["gamma_usd"]}, notes
    return {**book, "options": replace(options, contracts_coin=share * options.contracts_coin)}, notes


def _neutral(table: Table, dealer: Dealer, notes: tuple[str, ...], spot_usd: float) -> tuple[Dealer, tuple[str, ...]]:
    """The dealer with its gamma or vega neutralised at the start, by options of its own book's strikes and expiries."""
    if "option_hedge" not in table:
        return dealer, notes
    hedge = table.table("option_hedge")
    hedge.only("rule", "half_spread_volpt")
    rule = hedge.text("rule", choices=tuple(NEUTRALITIES))
    spread = hedge.number("half_spread_volpt", least=0.0, most=100.0, hint="half of the bid-ask spread in vol points; 0.5 is half a point")
    if dealer.options is None:
        raise table.refuse("option_hedge wants a list of options or a book, got a constant gamma")
    hedged, neutral = neutral_dealer(
        dealer, ListedOptions.from_book(dealer.options, half_spread_volpt=spread), spot_usd=spot_usd, rule=rule
    )
    return hedged, (*notes, f"{table.place}: {neutral}")


def _ladder(table: Table, name: str) -> LiquidationLadder:
    """Leveraged positions that are closed at the market when price reaches their levels."""
    table.only(*LADDER_TERMS)
    clusters = []
    for row in table.tables("clusters") if "clusters" in table else []:
        row.only("distance_log", "width_log", "notional_usd")
        with row.named():
            clusters.append(Cluster(row.number("distance_log"), row.number("width_log"), row.number("notional_usd")))
    with table.named():
        return LiquidationLadder(
            name=name,
            delay_steps=table.whole(
                "delay_steps", least=0, hint="steps between a level that is reached and its liquidation; 0 cascades at once"
            ),
            density_usd=table.number("density_usd", 0.0),
            clusters=tuple(clusters),
            levels_per_log=table.number("levels_per_log", 0.0),
            level_usd=table.number("level_usd", 0.0),
            reach_log=table.number("reach_log", 0.7),
            stream=table.whole("stream", 0, least=0, most=2**31 - 1),
        )


def _kind(table: Table) -> str:
    kind = table.text("kind", hint=f"expected one of {', '.join(KINDS)}")
    if kind == LEVERAGED:
        raise table.refuse(
            f"expected kind = 'liquidation-ladder' for leveraged positions, got {shown(kind)}; give its density_usd or its clusters"
        )
    if kind in LATER:
        raise table.refuse(f"kind {shown(kind)} arrives in a later version; this one simulates {' and '.join(KINDS)}")
    if kind not in KINDS:
        raise table.refuse(f"expected kind as one of {', '.join(KINDS)}, got {shown(kind)}{nearest(kind, (*KINDS, *LATER))}")
    return kind


def _book(table: Table, setting: Setting) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The keywords of a dealer's book: a constant dollar gamma, a list of options, or the book of a measurement."""
    if "gamma_usd" in table:
        gamma = table.number("gamma_usd", hint="S^2 Gamma in USD: USD of hedge per unit of log move, 100 x GEX per 1 %, negative = short")
        notes: tuple[str, ...] = (
            ()
            if "iv" in table
            else (f"{table.place}: iv is not stated; its options are taken to be priced at {setting.vol:g}, the vol of [price]",)
        )
        return {"gamma_usd": gamma, "iv": table.vol("iv", setting.vol)}, notes
    if "iv" in table:
        raise table.refuse("iv goes with gamma_usd; options state theirs row by row, a measured book brings its own")
    if "options" in table:
        options = _options(table, setting.start_ns)
        refuse_far_strikes(table, options, setting.spot_usd)
        return {"options": options}, _settle_on_spot(table, options, setting.horizon_years)
    if "book" not in table:
        raise table.refuse(f"expected one of {', '.join(BOOKS)}, got none; say what this agent holds")
    if setting.start_ns is None:
        raise table.refuse("a measured book has expiry dates, so [run] start is needed; take the measurement's as_of")
    book, notes = setting.read_book(table, table.text("book"), setting.start_ns)
    refuse_far_strikes(table, book, setting.spot_usd)
    return {"options": book}, notes


def _settle_on_spot(table: Table, book: OptionBook, horizon_years: float) -> tuple[str, ...]:
    """That options which expire inside the run settle on spot where nobody said on what: a pin depends on it."""
    unsaid = np.array(["settlement" not in row for row in table.tables("options")])
    count = int((unsaid & (book.expiry_years > 0.0) & (book.expiry_years <= horizon_years)).sum())
    if not count:
        return ()
    whose = f"{count} option that expires inside the run settles" if count == 1 else f"{count} options that expire inside the run settle"
    return (f"{table.place}: {whose} on spot; venues such as Deribit settle on a 30-minute average: settlement = 'average-30min'",)


def _refuse_short(table: Table, book: dict[str, Any]) -> None:
    options = book.get("options")
    short = book["gamma_usd"] < 0.0 if options is None else bool((options.contracts_coin < 0.0).any())
    if short:
        raise table.refuse("a scalper is long its options, got a short position; use kind = 'dealer' for a book that is short or mixed")


def _policy(table: Table) -> Policy:
    given = table.needed("policy", 'state how it hedges, such as policy = {kind = "every-step"}')
    if isinstance(given, str):
        return policy_from_text(given)
    if isinstance(given, Mapping):
        stated = Table(f"{table.place} policy", given)
        for key in (key for key, value in given.items() if isinstance(value, float)):
            stated.number(key)
    return policy_from_mapping(given)


def _instrument(table: Table) -> HedgeInstrument:
    if "instrument" not in table:
        return HedgeInstrument()
    held = table.table("instrument")
    held.only("kind", "funding_per_year", "margin_share")
    with held.named():
        return HedgeInstrument(
            kind=held.text("kind", "spot"),
            funding_per_year=held.number("funding_per_year", 0.0),
            margin_share=held.number("margin_share", 1.0),
        )


def _execution(table: Table) -> Execution:
    if "execution" not in table:
        return AtOnce()
    way = table.table("execution")
    kind = way.text("kind", choices=EXECUTIONS)
    keys = EXECUTIONS[kind]
    way.only("kind", *keys)
    with way.named():
        if kind == "twap":
            return Twap(_slices(way))
        if kind == "almgren-chriss":
            return AlmgrenChriss(_slices(way), way.number("urgency", hint="0 is even slices, 3 trades nearly half in the first fifth"))
        if kind == "obizhaeva-wang":
            return ObizhaevaWang(_slices(way), way.number("decays", hint="how often the book refills during the order"))
        return Maker(way.number("fill_probability", hint="the chance of a fill in one step")) if kind == "maker" else AtOnce()


def _slices(way: Table) -> int:
    return way.whole("slices", least=1, most=MOST_SLICES, hint="in how many steps an order is traded")


def _options(table: Table, start_ns: int | None) -> OptionBook:
    rows = [_option(row, start_ns) for row in table.tables("options")]
    if not rows:
        raise table.refuse("expected one option at least, got an empty list; leave the agent out if it holds nothing")
    if len(rows) > MOST_OPTIONS:
        raise table.refuse(f"expected at most {MOST_OPTIONS:,} options, got {len(rows):,}; net those of one strike and expiry")
    with table.named():
        book = OptionBook(*(np.array(column) for column in zip(*rows, strict=True)))
    refuse_expired(table, book, start_ns)
    return book


def _option(row: Table, start_ns: int | None) -> tuple[float, ...]:
    row.only("right", "strike_usd", "days", "expiry", "contracts", "iv", "settlement", "skew", "forward_ratio")
    side = 1 if row.text("right", choices=("call", "put")) == "call" else -1
    settlement = row.text("settlement", "spot", choices=("spot", "average-30min"))
    return (
        side,
        row.number("strike_usd", least=0.0, most=MOST_STRIKE_USD, above=True),
        _expiry_years(row, start_ns),
        row.number("contracts", least=-MOST_CONTRACTS, most=MOST_CONTRACTS, hint="coin of underlying, long +, short -"),
        row.vol("iv"),
        row.number("forward_ratio", 1.0, least=0.01, most=100.0, hint="forward over spot"),
        row.number("skew", 0.0, least=-100.0, most=100.0, hint="change of this row's vol per unit of ln spot"),
        settlement == "average-30min",
    )


def _expiry_years(row: Table, start_ns: int | None) -> float:
    row.exclusive("days", "expiry")
    if "days" in row:
        return row.number("days", most=MOST_DAYS, hint="days from the start of the run to this option's expiry") / 365.0
    if "expiry" not in row:
        raise row.refuse("expected days (from the start) or expiry (a time), got neither")
    expiry_ns = row.time_ns("expiry")
    if start_ns is None:
        raise row.refuse("expiry is a time, so [run] start is needed; add it, or give days from the start")
    return (int(expiry_ns or 0) - start_ns) / NS_PER_YEAR


def refuse_expired(table: Table, book: OptionBook, start_ns: int | None) -> None:
    """Refuse a book that has expired in full at the start, and rows whose settlement average is already running, which nobody states."""
    running = book.averaged & (book.expiry_years > 0.0) & (book.expiry_years < WINDOW_YEARS)
    if bool(running.any()):
        raise table.refuse(
            f"option {int(np.flatnonzero(running)[0]) + 1} expires in less than 30 minutes, so its settlement average is running and unknown; "
            "start earlier, or settle it on spot"
        )
    if bool((book.expiry_years > 0.0).any()):
        return
    last = float(book.expiry_years.max()) * 365.0
    start = "the start" if start_ns is None else f"the start, {format_time(start_ns)}"
    raise table.refuse(f"every option has expired, the last {-last:g} days before {start}; move the start back or take a later book")
