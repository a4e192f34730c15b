"""The measure document as a reader needs it: safe look-ups, and the answer that every report puts first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tailwag.figures.canvas import numbers
from tailwag.figures.labels import moment, short_date, short_dates, waiting
from tailwag.figures.numbers import compact, gain_text, known, money, percent, price
from tailwag.kernels.arrays import FloatArray

Document = Mapping[str, Any]
MOVES_PCT = (-5, -3, -1, 1, 3, 5)

REGIMES = {
    "damping": ("Damping", "dealers are long gamma: they sell rises and buy falls"),
    "amplifying": ("Amplifying", "dealers are short gamma: they buy rises and sell falls"),
    "runaway": ("Runaway", "hedging a move forces more of the same move: gain is 1 or more"),
    "undetermined": ("Sign undetermined", "the rules that say who is short disagree"),
}


def part(document: Document, *path: str) -> Mapping[str, Any]:
    """The mapping at ``path``, empty where the document has none.

    >>> part({"gain": None}, "gain")
    {}
    """
    here: Any = document
    for key in path:
        here = here.get(key) if isinstance(here, Mapping) else None
    return here if isinstance(here, Mapping) else {}


def records(document: Document, *path: str) -> list[Mapping[str, Any]]:
    """The rows at ``path``, none where the document has none.

    >>> records({"gain": {"by_law": [{"law": "book"}, None]}}, "gain", "by_law")
    [{'law': 'book'}]
    """
    rows = part(document, *path[:-1]).get(path[-1])
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, Sequence) and not isinstance(rows, str) else []


def column(rows: Sequence[Mapping[str, Any]], key: str) -> FloatArray:
    """One column of ``rows`` as floats, NaN where unknown."""
    return numbers([row.get(key) for row in rows])


def texts(rows: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    """One column of ``rows`` as text, 'n/a' where unknown."""
    return [str(row.get(key)) if row.get(key) is not None else "n/a" for row in rows]


def sentences(document: Document, key: str) -> list[str]:
    """The plain sentences under ``key``."""
    found = document.get(key)
    return [str(item) for item in found if item] if isinstance(found, Sequence) and not isinstance(found, str) else []


def reason(mapping: Mapping[str, Any], key: str) -> str:
    """Why ``mapping[key]`` is unknown, where the document says so."""
    for name in (f"{key}_reason", "reason"):
        if isinstance(mapping.get(name), str):
            return str(mapping[name])
    return ""


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of the first screen: what it is, its value, and what that means; tone names its colour."""

    label: str
    value: str
    detail: str
    tone: str = "plain"


@dataclass(frozen=True, slots=True)
class FlowCell:
    """What dealers must trade after one spot move, with nothing else moving."""

    move_pct: float
    buy_usd: float | None
    buy_coin: float | None

    @property
    def side(self) -> str:
        """'buy', 'sell', 'none' or 'unknown'."""
        if not known(self.buy_usd):
            return "unknown"
        return "buy" if float(self.buy_usd or 0) > 0 else "sell" if float(self.buy_usd or 0) < 0 else "none"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a trader must read in five seconds."""

    title: str
    headline: str
    more: tuple[str, ...]
    regime: str
    regime_name: str
    regime_meaning: str
    tiles: tuple[Tile, ...]
    flows: tuple[FlowCell, ...]
    flows_rule: str
    assumptions: tuple[tuple[str, str], ...]
    synthetic: bool
    degraded: tuple[str, ...]


def answer(document: Document) -> Answer:
    """The first screen of any report of ``document``.

    >>> answer({}).regime_name
    'Unknown'
    """
    lines = sentences(document, "headline")
    regime = str(part(document, "gain").get("regime") or "unknown")
    if part(document, "exposure").get("reason"):
        regime = "unknown"
    name, meaning = REGIMES.get(regime, ("Unknown", "exposure could not be measured"))
    if regime == "undetermined":
        meaning = undetermined_meaning(document)
    rules = sentences(part(document, "assumptions"), "rules")
    degraded = sentences(document, "degraded")
    if document.get("status") == "degraded" and not degraded:
        degraded = ["Some of the chain could not be used; see data quality."]
    return Answer(
        title=_title(document),
        headline=_first_sentence(lines),
        more=tuple(lines[1:]),
        regime=regime if regime in REGIMES else "unknown",
        regime_name=name,
        regime_meaning=meaning,
        tiles=(gain_tile(document), flip_tile(document), exposure_tile(document), expiry_tile(document)),
        flows=tuple(_flow_cell(document, move) for move in MOVES_PCT),
        flows_rule=rules[0] if rules else "an unnamed rule",
        assumptions=_assumptions(document, rules),
        synthetic=bool(part(document, "source").get("synthetic")),
        degraded=tuple(degraded),
    )


def undetermined_meaning(document: Document) -> str:
    """Why the sign is open: nobody holds or hedges anything, the rules disagree, or one rule's own draws do.

    >>> undetermined_meaning({"exposure": {"empty": True}})
    'nobody holds anything here: there is nothing to hedge'
    """
    if part(document, "exposure").get("empty") is True:
        return "nobody holds anything here: there is nothing to hedge"
    if part(document, "gain").get("hedge_share") == 0.0:
        return "nothing of the book is hedged: there is no loop"
    exposures = [row.get("gex_usd_per_pct") for row in records(document, "gain", "by_rule")]
    signs = {(gex > 0) - (gex < 0) for gex in exposures if known(gex)}
    if len(signs) == 1:
        return "net gamma is zero at this spot" if signs == {0} else "draws of one rule disagree on who is short"
    return REGIMES["undetermined"][1]


def _first_sentence(lines: Sequence[str]) -> str:
    """The answer itself, word for word, but for the label of synthetic data, which every report shows above it."""
    return lines[0].removeprefix("SYNTHETIC demo data: ") if lines else "Nothing could be measured."


def _title(document: Document) -> str:
    when = moment(document.get("as_of"))
    stamp = f"{when.day} {when:%b %Y %H:%M} UTC" if when else str(document.get("as_of") or "time unknown")
    return f"{document.get('currency') or 'currency unknown'} options at {stamp}, spot {price(document.get('spot_usd'))}"


def gain_tile(document: Document) -> Tile:
    """Loop gain where liquidity is known, else the depth at which gain would be 1."""
    gain = part(document, "gain")
    value, even = gain.get("value"), gain.get("break_even_depth_usd_per_pct")
    if not known(value):
        why = reason(gain, "value") or "no liquidity is known, so no gain is printed"
        gex = part(document, "exposure").get("gex_usd_per_pct")
        damps = known(gex) and gex > 0
        meaning = (
            "in a market this deep hedging halves an outside move (G = −1)"
            if damps
            else "hedging runs away if the market is thinner than this"
        )
        return Tile(
            "Break-even depth",
            f"{money(even)} per 1 %" if known(even) else "n/a",
            f"{meaning}; {why.split(':')[0]}" if known(even) else why,
        )
    span = (
        f"range {gain_text(gain.get('low'))} to {gain_text(gain.get('high'))}" if known(gain.get("low")) and known(gain.get("high")) else ""
    )
    at = f"{gain.get('law') or 'given'} law, {money(gain.get('depth_usd_per_pct'))} per 1 %"
    rules = records(document, "gain", "by_rule")
    by_rule = [row["value"] for row in rules if known(row.get("value"))]
    silent = f"unknown for {len(rules) - len(by_rule)} of {len(rules)} rules" if len(by_rule) < len(rules) else ""
    if gain.get("regime") == "undetermined" and len(by_rule) > 1:
        return Tile(
            "Loop gain G, by rule",
            f"{gain_text(min(by_rule))} to {gain_text(max(by_rule))}",
            "; ".join(filter(None, [at, span, silent])),
            "undetermined",
        )
    grown = gain.get("amplification")
    times = f"an outside move is multiplied by {grown:.2f}" if known(grown) else ""
    tone = "runaway" if value >= 1 else "amplifying" if value > 0 else "damping"
    return Tile("Loop gain G", gain_text(value), "; ".join(filter(None, [times, at, span])), tone)


def nearest_flip(document: Document) -> float | None:
    """The flip level nearest to spot, None where there is none."""
    spot = document.get("spot_usd")
    flips = [float(row["spot_usd"]) for row in records(document, "levels", "flips") if known(row.get("spot_usd"))]
    if not flips:
        return None
    return min(flips, key=lambda level: abs(level - spot)) if known(spot) else flips[0]


def flip_tile(document: Document) -> Tile:
    """Where the sign of exposure changes, and how far away that is."""
    flip, spot, status = nearest_flip(document), document.get("spot_usd"), part(document, "levels").get("flip_status")
    if flip is None:
        told = {"none": "one sign over the whole profile", "edge": "exposure nears zero at the edge of the profile"}
        why = told.get(str(status), reason(part(document, "levels"), "flips") or "not known")
        return Tile("Nearest flip", "none" if status in told else "n/a", why)
    away = flip / float(spot) - 1 if spot is not None and known(spot) and spot > 0 else None
    crossing = next((str(row.get("crossing") or "") for row in records(document, "levels", "flips") if row.get("spot_usd") == flip), "")
    sides = {"negative-to-positive": "amplifying below, damping above", "positive-to-negative": "damping below, amplifying above"}
    meaning = sides.get(crossing, "")
    count = len(records(document, "levels", "flips"))
    others = f"{count - 1} more" if count > 1 else ""
    return Tile("Nearest flip", price(flip), "; ".join(filter(None, [f"{percent(away, signed=True)} away", meaning, others])))


def exposure_tile(document: Document) -> Tile:
    """Net exposure by the first rule, and what part of the gross that is."""
    exposure = part(document, "exposure")
    net, gross = exposure.get("gex_usd_per_pct"), exposure.get("gross_gex_usd_per_pct")
    share = f"{percent(abs(net) / gross)} of the gross {money(gross)}" if known(net) and known(gross) and gross else f"gross {money(gross)}"
    tone = "plain" if not known(net) or net == 0 else "damping" if net > 0 else "amplifying"
    band = part(document, "bands", "gex_usd_per_pct")
    drawn = (
        f"; 90 % of draws {money(band['p05'], signed=True)} to {money(band['p95'], signed=True)}"
        if known(band.get("p05")) and known(band.get("p95"))
        else ""
    )
    return Tile("Net GEX per 1 %", money(net, signed=True), f"{share}, by the first rule{drawn}", tone)


def next_expiry(document: Document) -> Mapping[str, Any]:
    """The first expiry of the calendar, empty where none lies ahead."""
    ahead = [row for row in records(document, "calendar") if row.get("event") == "expiry"]
    return min(ahead, key=lambda row: str(row.get("at"))) if ahead else {}


def expiry_tile(document: Document) -> Tile:
    """What the next expiry takes away."""
    row = next_expiry(document)
    if not row:
        return Tile("Next expiry", "n/a", "no expiry lies ahead in the calendar")
    removed, gross = row.get("gross_gex_removed_usd_per_pct"), part(document, "exposure").get("gross_gex_usd_per_pct")
    now, then = moment(document.get("as_of")), moment(row.get("at"))
    away = f", in {waiting((then - now).total_seconds() / 3600)}" if now and then else ""
    share = f"takes {percent(removed / gross)} of gross GEX" if known(removed) and known(gross) and gross else "takes gross GEX"
    clock = f"{then:%H:%M} UTC" if then else ""
    return Tile("Next expiry", f"−{money(removed)}" if known(removed) else "n/a", f"{short_date(row.get('at'))} {clock}{away}; {share}")


def _flow_cell(document: Document, move: float) -> FlowCell:
    row = flow_row(document, move, 0, 0)
    usd, coin = row.get("buy_usd"), row.get("buy_coin")
    return FlowCell(move, usd if known(usd) else None, coin if known(coin) else None)


def _assumptions(document: Document, rules: Sequence[str]) -> tuple[tuple[str, str], ...]:
    taken = part(document, "assumptions")
    liquidity = part(document, "assumptions", "liquidity")
    law, origin = str(liquidity.get("law") or "none"), str(liquidity.get("from") or "none")
    depth = part(document, "gain").get("depth_usd_per_pct")
    deep = f", {money(depth)} per 1 %" if known(depth) else ""
    return (
        ("who is short", " | ".join(rules) or "unknown"),
        ("smile dynamics", str(taken.get("dynamics") or "unknown")),
        ("vol", str(taken.get("vol") or "unknown")),
        ("liquidity", "not known" if law == "none" else f"{law} (from {origin}){deep}"),
        ("hedged share", percent(taken.get("hedge_share"), decimals=0)),
        ("move", f"{taken['move_pct']:g} %" if known(taken.get("move_pct")) else "unknown"),
    )


def coins(value: Any, currency: Any, *, signed: bool = False) -> str:
    """An amount of coin.

    >>> coins(1234.5, "BTC")
    '1.23k BTC'
    """
    return f"{compact(value, signed=signed)} {currency or 'coin'}" if known(value) else "n/a"


def forward_labels(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """How the rows of the forward view are called: the expiry they follow, or the hours ahead.

    >>> forward_labels([{"event": "after expiry 2026-03-27T08:00:00Z"}, {"hours": 6.0, "event": "+6 h"}, {"hours": 0.5}])
    ['after 27 Mar', '+6 h', '+30 min']
    """
    before = "after expiry "
    events = [str(row.get("event") or "") for row in rows]
    days = iter(short_dates([event.removeprefix(before) for event in events if event.startswith(before)]))
    return [
        f"after {next(days)}" if event.startswith(before) else event or _hours_ahead(row) for event, row in zip(events, rows, strict=True)
    ]


def _hours_ahead(row: Mapping[str, Any]) -> str:
    return f"+{waiting(float(row['hours']))}" if known(row.get("hours")) else "later"


def flow_row(document: Document, move_pct: float, vol_volpt: float, hours: float) -> Mapping[str, Any]:
    """One scenario of the hedge-flow map, empty where the document does not hold it."""
    for row in records(document, "flows"):
        if row.get("spot_move_pct") == move_pct and row.get("vol_move_volpt") == vol_volpt and row.get("hours") == hours:
            return row
    return {}


def released_usd(document: Document, hours: float) -> float | None:
    """What hedgers buy within ``hours`` only because options expire and free their hedge; None where nothing does."""
    released = flow_row(document, 0, 0, hours).get("expiry_usd")
    return float(released) if known(released) and abs(released) >= 1.0 else None


def known_laws(document: Document) -> list[Mapping[str, Any]]:
    """The laws of liquidity that were tried, the placeholder for "none" left out where another one stands."""
    rows = records(document, "gain", "by_law")
    named = [row for row in rows if row.get("law") != "none"]
    return named or rows


def level_rows(document: Document) -> list[list[str]]:
    """Every level of interest as (name, price, distance from spot), then how concentrated the open interest is."""
    levels, spot = part(document, "levels"), document.get("spot_usd")
    named = [(f"flip ({row.get('crossing') or 'crossing unknown'})", row.get("spot_usd")) for row in records(document, "levels", "flips")]
    named += [
        ("call wall (largest call gamma)", levels.get("call_wall_usd")),
        ("put wall (largest put gamma)", levels.get("put_wall_usd")),
        ("absolute gamma strike", levels.get("absolute_gamma_strike_usd")),
    ]
    named += [
        (f"max pain {short_date(row.get('expiry'), year=True)}", row.get("strike_usd"))
        for row in records(document, "levels", "max_pain")[:3]
    ]
    rows = [[name, price(level), _away(level, spot)] for name, level in named]
    if known(part(document, "gain").get("runaway_distance_pct")):
        rows.append(["nearest runaway zone", "", percent(part(document, "gain")["runaway_distance_pct"] / 100, signed=True)])
    stability, spread = levels.get("flip_stability"), part(document, "levels", "oi_concentration")
    rows.append(["flip moves per $1 of spot", f"${stability:.2f}" if known(stability) else "n/a", ""])
    rows.append(["OI in the five largest strikes", percent(spread.get("top5_share")), ""])
    rows.append(["OI that expires within a day", percent(levels.get("zero_dte_share")), ""])
    return rows


def _away(level: Any, spot: Any) -> str:
    return percent(level / spot - 1, signed=True) if known(level) and known(spot) and spot > 0 else "n/a"


GREEKS = (
    ("value", "value_usd", "value_coin"),
    ("delta", "delta_usd", "delta_coin"),
    ("net delta, premium-adjusted", "", "net_delta_coin"),
    ("GEX per 1 % move", "gex_usd_per_pct", "gex_coin_per_pct"),
    ("vega per vol point", "vega_usd_per_volpt", "vega_coin_per_volpt"),
    ("vanna per vol point", "vanna_usd_per_volpt", "vanna_coin_per_volpt"),
    ("charm per day", "charm_usd_per_day", "charm_coin_per_day"),
)


def greek_rows(greeks: Mapping[str, Any], currency: Any) -> list[list[str]]:
    """A book's greeks as (name, in USD, in coin).

    >>> greek_rows({"delta_usd": -1e6, "delta_coin": -10.0}, "BTC")[1]
    ['delta', '−$1.00m', '−10.0 BTC']
    """
    return [
        [name, money(greeks.get(usd), signed=True) if usd else "", coins(greeks.get(coin), currency, signed=True)]
        for name, usd, coin in GREEKS
    ]
