"""Accessible HTML tables of the measure document: every text escaped, every number with its unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from tailwag.experiments.report_view import Document, coins, column, known_laws, level_rows, records
from tailwag.figures.labels import moment, short_date
from tailwag.figures.numbers import UNKNOWN, compact, gain_text, known, money, percent, price

LONGEST_TEXT = 160
LONGEST_TABLE = 400
_UNITS = (
    ("_usd_per_pct", " per 1 %"),
    ("_usd_per_volpt", " per vol point"),
    ("_usd_per_day", " per day"),
    ("_usd", ""),
)
_LEVELS = ("strike_usd", "spot_usd", "forward_usd", "call_wall_usd", "put_wall_usd", "price_usd", "index_usd")


def safe(text: Any, *, most: int = LONGEST_TEXT) -> str:
    """Text ready for HTML: escaped, bounded, without control or direction-changing characters.

    >>> safe("<b>\\x1b[31m")
    '&lt;b&gt;[31m'
    """
    shown = "".join(letter for letter in str(text) if letter.isprintable())
    return escape(shown if len(shown) <= most else f"{shown[: most - 1]}…")


def heading(key: str) -> str:
    """A column's heading from its key, its unit left to the cells.

    >>> heading("gross_gex_usd_per_pct"), heading("open_interest_coin")
    ('gross GEX', 'open interest')
    """
    name = str(key)
    for ending in ("_usd_per_pct", "_usd_per_volpt", "_usd_per_day", "_usd", "_coin", "_pct", "_volpt"):
        name = name.removesuffix(ending)
    return " ".join("GEX" if word == "gex" else "IV" if word == "iv" else "OI" if word == "oi" else word for word in name.split("_"))


def quantity(key: str, value: Any, *, currency: Any = "") -> str:
    """A value with the unit that its key carries, as plain text.

    >>> quantity("gex_usd_per_pct", -5.7e7), quantity("strike_usd", 90000.0), quantity("atm_iv", 0.5), quantity("flip_stability", None)
    ('−$57.0m per 1 %', '$90,000', '50.0 %', 'n/a')
    """
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not known(value):
        return short_date(value, year=True) if moment(value) else str(value)
    if key in _LEVELS:
        return price(value)
    for ending, unit in _UNITS:
        if key.endswith(ending):
            return money(value, signed="gross" not in key and "depth" not in key) + unit
    return _unitless(key, value, currency)


def _unitless(key: str, value: float, currency: Any) -> str:
    if key.endswith("_coin"):
        return coins(value, currency, signed="position" in key or "buy" in key or "delta" in key)
    if key.endswith(("_iv", "_share", "_concentration")) or key in ("iv", "hedge_share"):
        return percent(value)
    if key.endswith(("_move_pct", "_move_volpt")):
        return compact(value, signed=True) + (" %" if key.endswith("pct") else " points")
    if key.endswith("_pct"):
        return f"{compact(value)} %"
    if key.endswith("_volpt"):
        return f"{compact(value)} vol points"
    if key in ("value", "gain", "with_vanna", "low", "high") or key.endswith("gain"):
        return gain_text(value)
    if isinstance(value, int):
        return f"{value:,}"
    return compact(value)


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[Any]], *, text_columns: int = 1) -> str:
    """A table with caption and column headings; the first ``text_columns`` columns are text, the others numbers.

    >>> table("a", ["b"], [["<i>"]])
    '<div class="scroll"><table><caption>a</caption><thead><tr><th scope="col">b</th></tr></thead><tbody><tr><th scope="row">&lt;i&gt;</th></tr></tbody></table></div>'
    """
    if not rows:
        return f'<p class="none">{safe(caption)}: nothing to show.</p>'
    cut = "" if len(rows) <= LONGEST_TABLE else f" (first {LONGEST_TABLE} of {len(rows):,} rows)"
    top = "".join(f'<th scope="col"{_kind(place, text_columns)}>{safe(name)}</th>' for place, name in enumerate(head))
    body = "".join(f"<tr>{_cells(row, text_columns)}</tr>" for row in rows[:LONGEST_TABLE])
    return f'<div class="scroll"><table><caption>{safe(caption)}{cut}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _kind(place: int, text_columns: int) -> str:
    return "" if place < text_columns else ' class="number"'


def _cells(row: Sequence[Any], text_columns: int) -> str:
    first = f'<th scope="row">{safe(row[0])}</th>'
    return first + "".join(f"<td{_kind(place, text_columns)}>{safe(cell)}</td>" for place, cell in enumerate(row) if place > 0)


def rows_table(
    caption: str, rows: Sequence[Mapping[str, Any]], *, currency: Any = "", text_columns: int = 1, keys: Sequence[str] = ()
) -> str:
    """A table of like records, a column for each key (``keys``, or whatever the first record has)."""
    chosen = list(keys) or [key for key in (rows[0] if rows else {}) if not key.endswith("_reason")]
    cells = [[quantity(key, row.get(key), currency=currency) for key in chosen] for row in rows]
    return table(caption, [heading(key) for key in chosen], cells, text_columns=text_columns)


def mapping_blocks(caption: str, mapping: Mapping[str, Any], *, currency: Any = "") -> str:
    """Whatever a mapping holds: its plain values as one table, its lists of records as one table each."""
    plain = [
        [heading(key), quantity(key, value, currency=currency)] for key, value in mapping.items() if not isinstance(value, Mapping | list)
    ]
    found = [table(caption, ["quantity", "value"], plain)] if plain else []
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value:
            found.append(_nested(heading(key), value, currency))
        elif isinstance(value, list) and value:
            rows = [row if isinstance(row, Mapping) else {heading(key): row} for row in value]
            found.append(rows_table(heading(key), rows, currency=currency))
    return "".join(found)


def _nested(caption: str, mapping: Mapping[str, Any], currency: Any) -> str:
    """A mapping of columns as a table of its rows; any other mapping by its own blocks."""
    lists = [value for value in mapping.values() if isinstance(value, list)]
    if len(lists) == len(mapping) and len({len(value) for value in lists}) == 1 and lists[0] and not isinstance(lists[0][0], Mapping):
        rows = [dict(zip(mapping, cells, strict=True)) for cells in zip(*lists, strict=True)]
        return rows_table(caption, rows, currency=currency)
    return mapping_blocks(caption, mapping, currency=currency)


def levels_table(document: Document) -> str:
    """Every level of interest, and how far from spot it lies."""
    return table("Levels", ["level", "price", "from spot"], level_rows(document))


def flows_table(document: Document) -> str:
    """Every scenario of the hedge-flow map with its split by cause."""
    rows = [
        [
            quantity("spot_move_pct", row.get("spot_move_pct")),
            quantity("vol_move_volpt", row.get("vol_move_volpt")),
            f"{row['hours']:g} h" if known(row.get("hours")) else UNKNOWN,
            *(money(row.get(key), signed=True) for key in ("buy_usd", "gamma_usd", "vanna_usd", "charm_usd", "residual_usd")),
            coins(row.get("buy_coin"), document.get("currency"), signed=True),
        ]
        for row in records(document, "flows")
    ]
    head = ["spot", "vol", "after", "hedgers buy", "from gamma", "from vanna", "from charm", "unexplained", "in coin"]
    return table("Hedge flows: + buy, − sell; USD at the current spot", head, rows, text_columns=0)


def expiry_table(document: Document) -> str:
    """Exposure, open interest, forward and vol by expiry, with its share of the gain."""
    gains = {str(row.get("expiry")): row.get("value") for row in records(document, "gain", "by_expiry")}
    rows = [
        [
            short_date(row.get("expiry"), year=True),
            money(row.get("gex_usd_per_pct"), signed=True),
            money(row.get("gross_gex_usd_per_pct")),
            gain_text(gains.get(str(row.get("expiry")))),
            coins(row.get("open_interest_coin"), document.get("currency")),
            price(row.get("forward_usd")),
            percent(row.get("atm_iv")),
        ]
        for row in records(document, "exposure", "by_expiry")
    ]
    return table(
        "By expiry", ["expiry", "net GEX per 1 %", "gross GEX per 1 %", "gain G", "open interest", "forward", "at-the-money vol"], rows
    )


def strike_table(document: Document) -> str:
    """The strikes that carry most exposure, in order of strike."""
    rows = records(document, "exposure", "by_strike")
    size = abs(column(rows, "call_gex_usd_per_pct")) + abs(column(rows, "put_gex_usd_per_pct"))
    largest = sorted((index for index in range(len(rows)) if size[index] > 0), key=lambda index: -size[index])[:30]
    cells = [
        [
            price(rows[k].get("strike_usd")),
            *(money(rows[k].get(key), signed=True) for key in ("call_gex_usd_per_pct", "put_gex_usd_per_pct", "gex_usd_per_pct")),
        ]
        for k in sorted(largest)
    ]
    return table("Largest strikes, per 1 % move", ["strike", "calls", "puts", "net"], cells)


def law_table(document: Document) -> str:
    """Each law of liquidity: gain, depth, both sides, how far it reaches, where it comes from."""
    rows = [
        [
            row.get("law") or UNKNOWN,
            gain_text(row.get("value")),
            money(row.get("depth_usd_per_pct")),
            f"{money(row.get('bid_usd_per_pct'))} / {money(row.get('ask_usd_per_pct'))}",
            f"{compact(row.get('reach_pct'))} %" if known(row.get("reach_pct")) else UNKNOWN,
            " ".join(str(row[key]) for key in ("source", "reason", "value_reason") if row.get(key)),
        ]
        for row in known_laws(document)
    ]
    return table("Laws of liquidity", ["law", "gain G", "depth per 1 %", "bid / ask side", "reach", "source"], rows)
