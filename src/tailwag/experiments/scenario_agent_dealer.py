"""Kinds dealer and scalper of a scenario file: who holds which book, how it is hedged, how late, and at what size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tailwag.experiments.scenario_agent_setting import Read, Setting
from tailwag.experiments.scenario_doubts import refuse_far_strikes
from tailwag.experiments.scenario_tables import Table
from tailwag.hedging.execution import MOST_SLICES, AlmgrenChriss, AtOnce, Execution, Maker, ObizhaevaWang, Twap
from tailwag.hedging.policies import Policy, policy_from_mapping, policy_from_text
from tailwag.market.clock import format_time
from tailwag.sim.agents.dealer import Dealer, HedgeInstrument
from tailwag.sim.option_book import WINDOW_YEARS, OptionBook
from tailwag.sim.option_hedge import NEUTRALITIES, ListedOptions, neutral_dealer
from tailwag.units import NS_PER_YEAR

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
EXECUTIONS: dict[str, tuple[str, ...]] = {
    "at-once": (),
    "twap": ("slices",),
    "almgren-chriss": ("slices", "urgency"),
    "obizhaeva-wang": ("slices", "decays"),
    "maker": ("fill_probability",),
}
SHARE = "0.8 is 80 %"
MOST_OPTIONS = 100_000
MOST_DAYS = 36_500.0
MOST_CONTRACTS = 1e12
MOST_STRIKE_USD = 1e12


def read_dealer(table: Table, name: str, setting: Setting) -> Read:
    """A dealer of options (or a constant gamma) and its hedge; a scalper is one that must be long."""
    table.only(*TERMS, *BOOKS, "iv")
    table.exclusive(*BOOKS)
    book, notes = _shared(table, *_book(table, setting))
    if table.text("kind") == "scalper":
        _refuse_short(table, book)
    with table.named():
        dealer = Dealer(
            name=name,
            policy=read_policy(table),
            delay_steps=table.whole(
                "delay_steps", least=0, hint="steps between seeing a move and trading on it; 0 trades in the same step"
            ),
            speed=table.number("speed", 1.0),
            hedge_share=table.number("hedge_share", 1.0, least=0.0, most=1.0, hint=SHARE),
            vega_hedge_share=table.number("vega_hedge_share", 0.0, least=0.0, most=1.0, hint=SHARE),
            after_expiry=table.text("after_expiry", "unwind", choices=("unwind", "hold")),
            instrument=_instrument(table),
            stream=table.whole("stream", 0, least=0, most=2**31 - 1),
            execution=_execution(table),
            **book,
        )
        return _neutral(table, dealer, notes, setting.spot_usd)


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
        options, notes = read_options(table, setting)
        return {"options": options}, notes
    if "book" not in table:
        raise table.refuse(f"expected one of {', '.join(BOOKS)}, got none; say what this agent holds")
    if setting.start_ns is None:
        raise table.refuse("a measured book has expiry dates, so [run] start is needed; take the measurement's as_of")
    book, notes = setting.read_book(table, table.text("book"), setting.start_ns)
    refuse_far_strikes(table, book, setting.spot_usd)
    return {"options": book}, notes


def read_options(table: Table, setting: Setting) -> tuple[OptionBook, tuple[str, ...]]:
    """The rows of ``options`` as a book, and what was assumed of their settlement."""
    options = _options(table, setting.start_ns)
    refuse_far_strikes(table, options, setting.spot_usd)
    return options, _settle_on_spot(table, options, setting.horizon_years)


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


def read_policy(table: Table) -> Policy:
    """The hedging policy of an agent's table: a word, or a table of its kind and numbers."""
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
