"""The daily note after the 08:00 UTC expiry: where the market stands, what the expiry took away, what comes next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

from tailwag.experiments.report_view import Document, Tile, answer, column, expiry_tile, flip_tile, gain_tile, records
from tailwag.figures.numbers import gain_text, money, percent, price
from tailwag.market.clock import format_time
from tailwag.service.alerts.reading import Reading
from tailwag.service.alerts.settings import NoteSettings
from tailwag.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE

EXPIRY_HOUR_UTC = 8
MOST_PROFILE_POINTS = 101

Due = Literal["send", "late", "wait", "no"]


def expiry_before(as_of_ns: int) -> int:
    """The last 08:00 UTC at or before a time.

    >>> from tailwag.market.clock import parse_time_ns
    >>> format_time(expiry_before(parse_time_ns("2026-03-27T07:59:59Z"))), format_time(expiry_before(parse_time_ns("2026-03-27T08:00:00Z")))
    ('2026-03-26T08:00:00Z', '2026-03-27T08:00:00Z')
    """
    offset_ns = EXPIRY_HOUR_UTC * NS_PER_HOUR
    return (as_of_ns - offset_ns) // NS_PER_DAY * NS_PER_DAY + offset_ns


def note_due(noted_ns: int, as_of_ns: int, settings: NoteSettings) -> Due:
    """Whether the note of the last 08:00 UTC is to be sent now: 'wait' while the data settle, 'late' when nobody wants it any more."""
    expiry_ns = expiry_before(as_of_ns)
    if noted_ns >= expiry_ns:
        return "no"
    if as_of_ns - expiry_ns < settings.delay_minutes * NS_PER_MINUTE:
        return "wait"
    return "send" if as_of_ns - expiry_ns <= settings.window_hours * NS_PER_HOUR else "late"


def daily_note(last: Mapping[str, Any], reading: Reading, document: Document, *, expiry_ns: int) -> dict[str, Any]:
    """All that the card and its sentence need, so that a note can be drawn long after its measurement is gone.

    ``last`` is the reading before the expiry as the memory kept it; without one from the day before, what was removed is unknown.
    """
    before = last if last and expiry_ns - NS_PER_DAY <= (last.get("as_of_ns") or 0) < expiry_ns else {}
    removed = _removed(before, expiry_ns)
    first = answer(document)
    return {
        "expiry": format_time(expiry_ns),
        "title": f"{reading.currency} after the 08:00 UTC expiry, {reading.as_of[:16].replace('T', ' ')} UTC, spot {price(reading.spot_usd)}",
        "headline": first.headline,
        "regime": first.regime,
        "degraded": list(first.degraded),
        "source": str(document.get("source", {}).get("name") or "unknown") if isinstance(document.get("source"), Mapping) else "unknown",
        "assumptions": [list(pair) for pair in first.assumptions],
        "removed": removed,
        "before": {name: before.get(name) for name in ("regime", "gain", "gex_usd_per_pct", "nearest_flip_usd", "spot_usd")},
        "after": {
            "regime": reading.regime,
            "gain": reading.gain,
            "gex_usd_per_pct": reading.gex_usd_per_pct,
            "nearest_flip_usd": reading.nearest_flip_usd,
            "spot_usd": reading.spot_usd,
        },
        "tiles": [
            asdict(tile)
            for tile in (gain_tile(document), flip_tile(document), removed_tile(removed, reading.currency), expiry_tile(document))
        ],
        "flips_usd": list(reading.flips_usd),
        "spot_usd": reading.spot_usd,
        "profile": _profile(document),
        "sentence": _sentence(reading, before, removed),
    }


def _removed(before: Mapping[str, Any], expiry_ns: int) -> dict[str, Any]:
    if not before:
        return {"known": False, "reason": "no measurement from before the expiry"}
    row = next((row for row in before.get("expiries", ()) if row["at_ns"] == expiry_ns), None)
    if row is None:
        return {"known": True, "gross_gex_usd_per_pct": 0.0, "gex_usd_per_pct": 0.0, "open_interest_coin": 0.0, "share": 0.0}
    gross, whole = row["gross_gex_usd_per_pct"], before.get("gross_gex_usd_per_pct")
    names = ("gross_gex_usd_per_pct", "gex_usd_per_pct", "open_interest_coin")
    return {"known": True, **{name: row[name] for name in names}, "share": gross / whole if gross is not None and whole else None}


def removed_tile(removed: Mapping[str, Any], currency: str) -> Tile:
    """What the expiry took away, as one figure of the card."""
    if not removed.get("known"):
        return Tile("Expiry removed", "n/a", str(removed.get("reason") or "not known"))
    gross = removed["gross_gex_usd_per_pct"]
    if gross == 0.0:
        return Tile("Expiry removed", "nothing", "no option expired")
    share = (
        f"{percent(removed['share'])} of gross GEX as last measured" if removed.get("share") is not None else "gross GEX as last measured"
    )
    coins = removed["open_interest_coin"]
    held = f"; {coins:,.0f} {currency} of open interest" if coins is not None else ""
    return Tile("Expiry removed", money(gross), f"{share}{held}")


def _sentence(reading: Reading, before: Mapping[str, Any], removed: Mapping[str, Any]) -> str:
    if not removed.get("known"):
        took = "what the expiry took away was not measured"
    elif removed["gross_gex_usd_per_pct"] == 0.0:
        took = "no option expired"
    else:
        took = f"the expiry took away {money(removed['gross_gex_usd_per_pct'])} of gross gamma per 1 %"
    was = f" (before: {gain_text(before.get('gain'))})" if before.get("gain") is not None else ""
    gain = f"loop gain {gain_text(reading.gain)}{was}" if reading.gain is not None else "loop gain unknown"
    flip = f"nearest flip {price(reading.nearest_flip_usd)}" if reading.nearest_flip_usd is not None else "no flip known"
    return f"After 08:00 UTC: {took}. Regime {reading.regime or 'unknown'}, {gain}, {flip}, spot {price(reading.spot_usd)}."


def _profile(document: Document) -> dict[str, list[float | None]]:
    """The profile, thinned to what a picture shows."""
    rows = records(document, "profile")
    step = max(1, -(-len(rows) // MOST_PROFILE_POINTS))
    thin = rows[::step]
    return {
        name: [None if value != value else float(value) for value in column(thin, name)]  # NaN, the only value that differs from itself
        for name in ("spot_usd", "gex_usd_per_pct")
    }
