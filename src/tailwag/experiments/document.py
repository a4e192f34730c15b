"""The measure document: nouns in, plain values out, names and units as published (schema ``tailwag.measure/1``)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.market.clock import format_time
from tailwag.market.codes import NO_VENUE_VOL, QUARANTINE, RowCode

if TYPE_CHECKING:
    from tailwag.exposure import Book, Breakdown, Exposure, HedgeFlow, Levels, Profile
    from tailwag.exposure.totals import Numeraire
    from tailwag.market.snapshot import Snapshot

SCHEMA = "tailwag.measure/1"


def number(value: Any) -> float | None:
    """A float that JSON can carry, or None.

    >>> number(float("nan")), number(2)
    (None, 2.0)
    """
    if value is None:
        return None
    real = float(value)
    return real if math.isfinite(real) else None


def numbers(values: Any) -> list[float | None]:
    """A list of floats, None where not finite."""
    return [number(value) for value in np.asarray(values, dtype=np.float64).tolist()]


def source_block(snapshot: Snapshot) -> dict[str, Any]:
    """Where the numbers come from."""
    source = snapshot.source
    return {"kind": source.kind, "name": source.name, "sha256": source.sha256, "synthetic": source.synthetic}


def chain_block(snapshot: Snapshot, book: Book) -> dict[str, Any]:
    """What was listed, and what each mask took out of the sums."""
    chain = snapshot.chain
    notes = ~(QUARANTINE | NO_VENUE_VOL)
    return {
        "instruments": len(chain),
        "expiries": int(np.unique(chain.expiry_ns[chain.usable]).size),
        "venues": list(snapshot.venues),
        "open_interest_coin": math.fsum(chain.live_open_interest_coin.tolist()),
        "open_interest_coin_by_venue": {
            venue: math.fsum(chain.live_open_interest_coin[chain.venue == venue].tolist()) for venue in snapshot.venues
        },
        "masked_open_interest_share": book.masked_open_interest_share,
        "masked": [_share(share) for share in book.masked],
        "warnings": [_share(share) for share in chain.shares(book.codes, within=RowCode(notes))],
    }


def _share(share: Any) -> dict[str, Any]:
    return {"code": share.code, "instruments": share.instruments, "open_interest_share": share.open_interest_share}


def exposure_block(exposure: Exposure, groups: dict[str, Breakdown]) -> dict[str, Any]:
    """Totals and their splits by expiry, strike, venue and right."""
    totals = {name: number(getattr(exposure, name)) for name in EXPOSURE_KEYS}
    expiry, strike = groups["expiry"], groups["strike"]
    return {
        **totals,
        "empty": exposure.empty,
        "by_expiry": list(_rows(expiry, "expiry", (*EXPOSURE_KEYS, "open_interest_coin", "forward_usd", "atm_iv"))),
        "by_strike": list(
            _rows(strike, "strike_usd", (*EXPOSURE_KEYS, "call_gex_usd_per_pct", "put_gex_usd_per_pct", "open_interest_coin"))
        ),
        "by_venue": list(_rows(groups["venue"], "venue", (*EXPOSURE_KEYS, "open_interest_coin"))),
        "by_right": list(_rows(groups["right"], "right", (*EXPOSURE_KEYS, "open_interest_coin"))),
    }


EXPOSURE_KEYS = (
    "gex_usd_per_pct",
    "gross_gex_usd_per_pct",
    "vanna_usd_per_volpt",
    "charm_usd_per_day",
    "delta_usd",
    "vega_usd_per_volpt",
)


def _rows(group: Breakdown, label: str, kept: Iterable[str]) -> Iterable[dict[str, Any]]:
    columns = {name: numbers(getattr(group, name)) for name in kept}
    for row in range(len(group)):
        key = group.key[row]
        shown: Any = format_time(int(key)) if label == "expiry" else float(key) if label == "strike_usd" else str(key)
        yield {label: shown, **{name: column[row] for name, column in columns.items()}}


def profile_block(profile: Profile, gains: Any) -> list[dict[str, Any]]:
    """One row per spot level, none where spot (an empty reply) or the book (masked whole) is unknown; gain is null where no depth is known."""
    if profile.book.is_unpriced or not np.isfinite(profile.spot_usd).all():
        return []
    known = [None] * len(profile.spot_usd) if gains is None else numbers(gains)
    return [
        {"spot_usd": spot, "gex_usd_per_pct": gex, "gain": gain}
        for spot, gex, gain in zip(numbers(profile.spot_usd), numbers(profile.gex_usd_per_pct), known, strict=True)
    ]


def levels_block(levels: Levels) -> dict[str, Any]:
    """Flips, walls, pins and how concentrated the open interest is."""
    spread = levels.oi_concentration
    return {
        "flip_status": levels.flip_status,
        "flips": [{"spot_usd": flip.spot_usd, "crossing": flip.crossing} for flip in levels.flips],
        "flip_stability": number(levels.flip_stability),
        "call_wall_usd": number(levels.call_wall_usd),
        "put_wall_usd": number(levels.put_wall_usd),
        "absolute_gamma_strike_usd": number(levels.absolute_gamma_strike_usd),
        "max_pain": [{"expiry": format_time(pain.expiry_ns), "strike_usd": number(pain.strike_usd)} for pain in levels.max_pain],
        "oi_concentration": {"herfindahl": number(spread.herfindahl), "top5_share": number(spread.top5_share), "strikes": spread.strikes},
        "zero_dte_share": number(levels.zero_dte_share),
    }


def flows_block(flow: HedgeFlow) -> list[dict[str, Any]]:
    """One row per scenario: what the holders buy, split by cause, and what the split does not explain."""
    names = (
        "spot_move_pct",
        "vol_move_volpt",
        "hours",
        "buy_coin",
        "buy_usd",
        "gamma_usd",
        "vanna_usd",
        "charm_usd",
        "residual_usd",
        "expiry_usd",
    )
    columns = {name: numbers(getattr(flow, "move_pct" if name == "spot_move_pct" and not hasattr(flow, name) else name)) for name in names}
    return [{name: column[row] for name, column in columns.items()} for row in range(len(columns["buy_usd"]))]


def book_block(book: Book, *, numeraire: Numeraire = "usd") -> dict[str, Any]:
    """The dealers' rows under the first rule, long +; a masked row keeps its place with a null position and a null exposure."""
    from tailwag.exposure.totals import row_exposures

    chain = book.chain
    gex = np.where(book.counted, row_exposures(book, numeraire=numeraire)[0], np.nan)
    rights = {1: "call", -1: "put"}
    return {
        "instrument": [str(name) for name in chain.instrument],
        "right": [rights.get(int(value)) for value in chain.right],
        "strike_usd": numbers(chain.strike_usd),
        "expiry": [format_time(int(value)) if value else None for value in chain.expiry_ns],
        "position_coin": numbers(book.position_coin),
        "gex_usd_per_pct": numbers(gex),
        "iv": numbers(book.iv),
        "iv_source": [str(value) or None for value in book.iv_source],
        "forward_usd": numbers(book.forward_usd),
        "settlement": [str(value) for value in chain.settlement],
        "venue": [str(value) for value in chain.venue],
    }
