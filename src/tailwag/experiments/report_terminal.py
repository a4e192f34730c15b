"""The terminal summary: plain sentences first, then compact tables within 100 columns; plain ASCII, with or without colour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from tailwag.experiments.answer_terminal import console_on, folded, small_table
from tailwag.experiments.report_view import (
    Answer,
    Document,
    answer,
    flow_row,
    greek_rows,
    known_laws,
    level_rows,
    part,
    records,
    released_usd,
    texts,
)
from tailwag.figures.labels import short_dates
from tailwag.figures.numbers import compact, gain_text, known, money, percent, price

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult

MOST_EXPIRIES = 8
_STYLES = {"damping": "bold green", "amplifying": "bold yellow", "runaway": "bold red", "undetermined": "bold magenta", "unknown": "bold"}
_MOVES = (-5, -3, -1, 1, 3, 5)
_CASES = ((0, 0, "at once"), (1, 0, "in 1 h"), (24, 0, "in 24 h"), (0, -5, "vol -5 pts"), (0, 5, "vol +5 pts"))


@dataclass(frozen=True, slots=True)
class TerminalSummary:
    """A measurement as rich draws it: ``console.print(TerminalSummary(document))``."""

    document: Document

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from _parts(self.document)


def terminal_summary(document: Document) -> TerminalSummary:
    """What the command prints: the answer in sentences, then flows, levels, expiries, rules, laws of liquidity and masks.

    >>> from rich.console import Console
    >>> console = Console(width=100, record=True, file=__import__("io").StringIO())
    >>> console.print(terminal_summary({"headline": ["Hedging damps moves."]}))
    >>> "Hedging damps moves." in console.export_text()
    True
    """
    return TerminalSummary(document)


def print_summary(document: Document, *, file: IO[str] | None = None, width: int | None = None) -> None:
    """Print the summary on ``file`` (standard output if None), in colour only where the terminal has it."""
    console_on(file, width=width).print(terminal_summary(document))


def _parts(document: Document) -> Iterator[RenderableType]:
    first = answer(document)
    yield from _sentences(first)
    yield from _own_book(document)
    for drawn in (_flows, _levels, _expiries, _rules, _laws, _ratios, _masks):
        table = drawn(document)
        if table is not None:
            yield table


def _sentences(first: Answer) -> Iterator[RenderableType]:
    from rich.text import Text

    yield folded(first.title, "bold")
    if first.synthetic:
        yield folded("SYNTHETIC market: made by a seeded generator, no real quote in it.", "magenta")
    for line in first.degraded:
        yield folded(f"DEGRADED: {line}", "yellow")
    yield Text("")
    yield folded(first.headline, _STYLES[first.regime])
    for line in first.more:
        yield folded(line)
    yield folded("Assumed: " + "; ".join(f"{name} {value}" for name, value in first.assumptions), "dim")
    yield Text("")


def _own_book(document: Document) -> Iterator[RenderableType]:
    greeks = part(document, "my_book", "greeks")
    own = {
        row.get("spot_move_pct"): row
        for row in records(document, "my_book", "flows")
        if row.get("vol_move_volpt") == 0 and row.get("hours") == 0
    }
    if greeks:
        yield from filter(None, [small_table("My book", ["greek", "USD", "coin"], greek_rows(greeks, document.get("currency")))])
        moves = [
            [f"{move:+d} %", money(own[move].get("buy_usd"), signed=True), money(own[move].get("market_buy_usd"), signed=True)]
            for move in _MOVES
            if move in own
        ]
        yield from filter(
            None, [small_table("My flows beside the market's: + buy, - sell", ["spot", "I must trade", "dealers must trade"], moves)]
        )
    for row in records(document, "trade"):
        before, after = (
            money(row.get("market_gex_before_usd_per_pct"), signed=True),
            money(row.get("market_gex_after_usd_per_pct"), signed=True),
        )
        yield folded(
            f"Trade {row.get('trade')}: the market's net GEX goes from {before} to {after} per 1 %, gain from {gain_text(row.get('market_gain_before'))} to {gain_text(row.get('market_gain_after'))}."
        )


def _flows(document: Document) -> Group | None:
    if not records(document, "flows"):
        return None
    rows = [
        [f"{move:+d} %", *(money(flow_row(document, move, vol, hours).get("buy_usd"), signed=True) for hours, vol, _ in _CASES)]
        for move in _MOVES
    ]
    rule = (part(document, "assumptions").get("rules") or ["the first rule"])[0]
    released = released_usd(document, 24)
    freed = f"; 24 h includes {money(released, signed=True)} as options expire" if released else ""
    return small_table(f"Hedgers must trade (+ buy, - sell), under {rule}{freed}", ["spot", *(name for *_, name in _CASES)], rows)


def _levels(document: Document) -> Group | None:
    return small_table("Levels", ["level", "price", "from spot"], level_rows(document)) if part(document, "levels") else None


def _expiries(document: Document) -> Group | None:
    rows = records(document, "exposure", "by_expiry")
    gains = {str(row.get("expiry")): row.get("value") for row in records(document, "gain", "by_expiry")}
    size = {index: abs(row["gross_gex_usd_per_pct"]) if known(row.get("gross_gex_usd_per_pct")) else 0.0 for index, row in enumerate(rows)}
    days = short_dates(texts(rows, "expiry"))
    chosen = sorted(sorted(size, key=lambda index: -size[index])[:MOST_EXPIRIES])
    cells = [
        [
            days[k],
            money(rows[k].get("gex_usd_per_pct"), signed=True),
            money(rows[k].get("gross_gex_usd_per_pct")),
            gain_text(gains.get(str(rows[k].get("expiry")))),
            compact(rows[k].get("open_interest_coin")),
            price(rows[k].get("forward_usd")),
            percent(rows[k].get("atm_iv")),
        ]
        for k in chosen
    ]
    title = "By expiry" if len(rows) <= MOST_EXPIRIES else f"By expiry: the {MOST_EXPIRIES} largest of {len(rows)}"
    return small_table(
        title,
        ["expiry", "net GEX per 1 %", "gross GEX", "gain G", f"OI, {document.get('currency') or 'coin'}", "forward", "ATM vol"],
        cells,
    )


def _rules(document: Document) -> Group | None:
    def side(gex: Any) -> str:
        return "unknown" if not known(gex) else "damping" if gex > 0 else "amplifying" if gex < 0 else "neutral"

    rows = [
        [
            row.get("rule") or "n/a",
            money(row.get("gex_usd_per_pct"), signed=True),
            gain_text(row.get("value")),
            side(row.get("gex_usd_per_pct")),
        ]
        for row in records(document, "gain", "by_rule")
    ]
    return small_table("Who is short: the rules compared", ["rule", "net GEX per 1 %", "gain G", "says"], rows, text=(0, 3))


def _laws(document: Document) -> Group | None:
    rows = []
    for row in known_laws(document):
        reach = f"{compact(row.get('reach_pct'))} %" if known(row.get("reach_pct")) else "n/a"
        source = row.get("source") if known(row.get("value")) else row.get("reason") or row.get("source")
        rows.append([row.get("law") or "n/a", gain_text(row.get("value")), money(row.get("depth_usd_per_pct")), reach, source or ""])
    even = part(document, "gain").get("break_even_depth_usd_per_pct")
    title = f"Laws of liquidity (break-even depth {money(even)} per 1 %)" if known(even) else "Laws of liquidity"
    return small_table(title, ["law", "gain G", "depth per 1 %", "reach", "source"], rows, text=(0, 4))


def _ratios(document: Document) -> Group | None:
    rows = [
        [row.get("window") or "n/a", money(row.get("liquidity_usd")), compact(row.get("ratio")), row.get("source") or ""]
        for row in records(document, "gain", "hedged_open_interest_to_liquidity")
        if known(row.get("ratio"))
    ]
    hedged = money(part(document, "gain").get("hedged_open_interest_usd"))
    return small_table(f"Hedged open interest ({hedged}) against liquidity", ["window", "liquidity", "ratio", "source"], rows, text=(0, 3))


def _masks(document: Document) -> Group | None:
    kinds = (("masked", "left out of sums"), ("warnings", "noted, counted"))
    rows = [
        [
            str(row.get("code") or "n/a").replace("_", " "),
            f"{row['instruments']:,}" if known(row.get("instruments")) else "n/a",
            percent(row.get("open_interest_share")),
            meaning,
        ]
        for key, meaning in kinds
        for row in records(document, "chain", key)
    ]
    return small_table("Data quality", ["reason", "instruments", "share of OI", "effect"], rows, text=(0, 3))
