"""Accessible HTML tables of the measure document: every text escaped, every number with its unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from tailwag.experiments.report_view import Document, coins, column, greek_rows, known_laws, level_rows, part, records, texts
from tailwag.figures.labels import moment, short_date, short_dates
from tailwag.figures.numbers import MINUS, UNKNOWN, compact, gain_text, known, money, percent, price

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
    if key.endswith(("_iv", "_share", "_concentration")) or key in ("iv", "hedge_share", "share"):
        return percent(value)
    if key.endswith(("_move_pct", "_move_volpt")):
        sign = MINUS if value < 0 else "+" if value > 0 else ""
        return f"{sign}{abs(value):g}" + (" %" if key.endswith("pct") else " points")
    if key.endswith("_pct"):
        return f"{compact(value)} %"
    if key.endswith("_volpt"):
        return f"{compact(value)} vol points"
    if key in ("value", "gain", "with_vanna", "low", "high") or key.endswith("gain"):
        return gain_text(value)
    if isinstance(value, int):
        return f"{value:,}"
    return compact(value)


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table with caption, column headings and row headings; columns of numbers are set flush right.

    >>> table("a", ["b"], [["<i>"]])
    '<div class="scroll"><table><caption>a</caption><thead><tr><th scope="col">b</th></tr></thead><tbody><tr><th scope="row">&lt;i&gt;</th></tr></tbody></table></div>'
    """
    if not rows:
        return f'<p class="none">{safe(caption)}: nothing to show.</p>'
    cut = "" if len(rows) <= LONGEST_TABLE else f" (first {LONGEST_TABLE} of {len(rows):,} rows)"
    kinds = [' class="number"' if _all_numbers([row[place] for row in rows]) and place else "" for place in range(len(head))]
    top = "".join(f'<th scope="col"{kind}>{safe(name)}</th>' for name, kind in zip(head, kinds, strict=True))
    body = "".join(f"<tr>{_cells(row, kinds)}</tr>" for row in rows[:LONGEST_TABLE])
    return f'<div class="scroll"><table><caption>{safe(caption)}{cut}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _all_numbers(cells: Sequence[Any]) -> bool:
    """Whether a column reads as numbers: signs, currency and digits first, blanks and unknowns aside."""
    return all(not (text := str(cell)) or text == UNKNOWN or text[0] in f"0123456789+-<${MINUS}" for cell in cells)


def _cells(row: Sequence[Any], kinds: Sequence[str]) -> str:
    first = f'<th scope="row">{safe(row[0])}</th>'
    return first + "".join(f"<td{kind}>{safe(cell)}</td>" for cell, kind in zip(row[1:], kinds[1:], strict=True))


def rows_table(caption: str, rows: Sequence[Mapping[str, Any]], *, currency: Any = "", keys: Sequence[str] = ()) -> str:
    """A table of like records, a column for each key (``keys``, or whatever the first record has)."""
    chosen = list(keys) or [key for key in (rows[0] if rows else {}) if not key.endswith("_reason")]
    cells = [[quantity(key, row.get(key), currency=currency) for key in chosen] for row in rows]
    return table(caption, [heading(key) for key in chosen], cells)


def _card(span: int, *parts: str) -> str:
    return f'<div class="card block span-{span}">{"".join(parts)}</div>'


def own_book_html(document: Document) -> str:
    """The desk's own book beside the market's, and the effect of each priced trade; empty where neither was asked for."""
    own, currency = part(document, "my_book"), document.get("currency")
    cards = []
    if own:
        greeks = greek_rows(part(own, "greeks"), currency)
        cards.append(_card(6, table("Greeks of my book", ["greek", "USD", "coin"], greeks)))
        cards.append(_card(6, _own_flows(own, currency)))
        futures = [{"futures and perps": text} for text in own.get("futures") or []]
        lists: list[tuple[str, Sequence[Mapping[str, Any]]]] = [
            ("Options held", records(own, "options")),
            ("Futures and perps held", futures),
            ("Limits in use", records(own, "limits")),
            ("Could not be priced", records(own, "unpriced")),
        ]
        cards.append(_card(12, *(rows_table(title, rows, currency=currency) for title, rows in lists if rows)))
    cards.extend(_card(12, _trade_table(row, currency)) for row in records(document, "trade"))
    return "".join(cards)


def _own_flows(own: Mapping[str, Any], currency: Any) -> str:
    at_once = [row for row in records(own, "flows") if row.get("hours") == 0 and row.get("vol_move_volpt") == 0]
    rows = [
        [
            quantity("spot_move_pct", row.get("spot_move_pct")),
            money(row.get("buy_usd"), signed=True),
            coins(row.get("buy_coin"), currency, signed=True),
            money(row.get("market_buy_usd"), signed=True),
        ]
        for row in at_once
    ]
    return table("I must trade at once: + buy, − sell", ["spot", "I", "in coin", "the market's dealers"], rows)


def _trade_table(row: Mapping[str, Any], currency: Any) -> str:
    before, after = (greek_rows(part(row, side, "greeks"), currency) for side in ("own_before", "own_after"))
    cells = [
        [f"my {name}", old or old_coin, new or new_coin] for (name, old, old_coin), (_, new, new_coin) in zip(before, after, strict=True)
    ]
    gex, gain = "market_gex_{}_usd_per_pct", "market_gain_{}"
    cells.append(["market's net GEX per 1 %", *(money(row.get(gex.format(when)), signed=True) for when in ("before", "after"))])
    cells.append(["market's gain G", *(gain_text(row.get(gain.format(when))) for when in ("before", "after"))])
    flips = row.get("market_flips_after_usd")
    if isinstance(flips, list):
        cells.append(["market's flips", "", ", ".join(price(level) for level in flips[:4]) or "none"])
    note = f'<p class="reading">{safe(row["assumption"], most=400)}</p>' if row.get("assumption") else ""
    return table(f"Trade: {row.get('trade')}", ["quantity", "before", "after"], cells) + note


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
            *(money(row.get(key), signed=True) for key in ("buy_usd", "gamma_usd", "vanna_usd", "charm_usd", "expiry_usd", "residual_usd")),
            coins(row.get("buy_coin"), document.get("currency"), signed=True),
        ]
        for row in records(document, "flows")
    ]
    head = ["spot", "vol", "after", "hedgers buy", "from gamma", "from vanna", "from charm", "from expiry", "unexplained", "in coin"]
    return table("Hedge flows: + buy, − sell; USD at the current spot", head, rows)


def expiry_table(document: Document) -> str:
    """Exposure, open interest, forward and vol by expiry, with its share of the gain."""
    gains = {str(row.get("expiry")): row.get("value") for row in records(document, "gain", "by_expiry")}
    listed = records(document, "exposure", "by_expiry")
    rows = [
        [
            day,
            money(row.get("gex_usd_per_pct"), signed=True),
            money(row.get("gross_gex_usd_per_pct")),
            gain_text(gains.get(str(row.get("expiry")))),
            coins(row.get("open_interest_coin"), document.get("currency")),
            price(row.get("forward_usd")),
            percent(row.get("atm_iv")),
        ]
        for day, row in zip(short_dates(texts(listed, "expiry")), listed, strict=True)
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


def gain_table(document: Document) -> str:
    """The loop gain and everything beside it, each unknown with its reason."""
    gain = part(document, "gain")
    named = (
        ("gain G, gamma only", "value", "reason"),
        ("with vanna", "with_vanna", "vanna_reason"),
        ("by full repricing, spot up", "value_repriced_up", "repriced_reason"),
        ("by full repricing, spot down", "value_repriced_down", "repriced_reason"),
        ("low, over rules and laws", "low", "band_reason"),
        ("high, over rules and laws", "high", "band_reason"),
    )
    rows = [[name, gain_text(gain.get(key)), "" if known(gain.get(key)) else gain.get(why) or ""] for name, key, why in named]
    grown = gain.get("amplification")
    rows.append(["an outside move is multiplied by", f"{grown:.2f}" if known(grown) else UNKNOWN, gain.get("amplification_reason") or ""])
    rows.append(["break-even depth per 1 %", money(gain.get("break_even_depth_usd_per_pct")), ""])
    return table("Loop gain", ["figure", "value", "why unknown"], rows)


def ratio_table(document: Document) -> str:
    """How large the hedged open interest is against what each window can absorb."""
    rows = [
        [
            row.get("window") or UNKNOWN,
            money(row.get("liquidity_usd")),
            compact(row.get("ratio")),
            row.get("reason") or row.get("source") or "",
        ]
        for row in records(document, "gain", "hedged_open_interest_to_liquidity")
    ]
    hedged = money(part(document, "gain").get("hedged_open_interest_usd"))
    return table(f"Hedged open interest ({hedged}) against liquidity", ["window", "liquidity", "ratio", "source"], rows) if rows else ""
