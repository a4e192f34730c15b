"""The document of one measurement, put together in the order in which people read it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tailwag.experiments.document import (
    SCHEMA,
    book_block,
    chain_block,
    exposure_block,
    flows_block,
    levels_block,
    number,
    profile_block,
    source_block,
)
from tailwag.experiments.headline import headline
from tailwag.experiments.laws import NO_LAW
from tailwag.experiments.masked import masked_sentence, unpriced_sentence, without_nan
from tailwag.market.clock import format_time

if TYPE_CHECKING:
    from tailwag.experiments.measure import Measurement

SPOT_MOVES_PCT = (-10.0, -5.0, -3.0, -1.0, 0.0, 1.0, 3.0, 5.0, 10.0)
VOL_MOVES_VOLPT = (-5.0, 0.0, 5.0)
HORIZONS_HOURS = (0.0, 1.0, 24.0)


def measurement_document(measurement: Measurement) -> dict[str, Any]:
    """The document of one measurement, in the order in which people read it."""
    from tailwag.exposure import by_expiry, by_right, by_strike, by_venue, exposure_bands, hedge_flows, scenario_grid

    snapshot, profile, gain = measurement.snapshot, measurement.profiles[0], measurement.gain
    groups = {
        "expiry": by_expiry(profile.book, numeraire=profile.numeraire),
        "strike": by_strike(profile.book, numeraire=profile.numeraire),
        "venue": by_venue(profile.book, numeraire=profile.numeraire),
        "right": by_right(profile.book, numeraire=profile.numeraire),
    }
    flow = hedge_flows(profile, **scenario_grid(SPOT_MOVES_PCT, VOL_MOVES_VOLPT, HORIZONS_HOURS))
    why = masked_sentence(profile.book)
    degraded = [*snapshot.degraded, *filter(None, [f"{why}." if why else "", unpriced_sentence(profile.book)])]
    # an empty reply states no spot and has nothing that could flow; of a chain masked whole nobody knows what could
    known = math.isfinite(snapshot.spot_usd) and not profile.book.is_unpriced
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "status": "degraded" if degraded else "ok",
        "degraded": degraded,
        "headline": [],
        "as_of": format_time(snapshot.as_of_ns) if snapshot.as_of_ns else None,
        "currency": snapshot.currency,
        "spot_usd": number(snapshot.spot_usd),
        "source": source_block(snapshot),
        "notes": _notes(measurement),
        "positioning": [
            {"rule": held.rule, "citation": held.citation, "assumption": held.assumption, "notes": list(held.notes)}
            for held in measurement.positions
        ],
        "assumptions": _assumptions(measurement),
        "chain": chain_block(snapshot, profile.book),
        "exposure": {**exposure_block(profile.totals, groups), **({"reason": why} if why else {})},
        "profile": profile_block(profile, gain.gain_over_spot),
        "levels": {**levels_block(profile.levels), **({"flips_reason": why} if why else {})},
        "flows": flows_block(flow) if known else [],
        "gain": _gain_block(measurement),
        "bands": _bands_block(exposure_bands(profile)) if known else None,
        "forward": _forward(measurement) if known else [],
        "calendar": _calendar(measurement),
        "surface": measurement.surface.document(),
        **_own_blocks(measurement),
        "book": book_block(profile.book, numeraire=profile.numeraire),
    }
    document["headline"] = headline(document)
    return document


def _notes(measurement: Measurement) -> list[str]:
    """What a reader must know to compare the numbers: the source's notes, each rule's, and what the options make of them."""
    notes = [*measurement.snapshot.notes, *(f"{held.rule}: {note}" for held in measurement.positions for note in held.notes)]
    if measurement.options.gamma == "file":
        notes.append(
            "gamma of the file's column counts at the current spot only; profile, flips, flows and forward view are repriced by the model"
        )
    return notes


def _assumptions(measurement: Measurement) -> dict[str, Any]:
    from tailwag.liquidity import UnknownImpact

    options, gain = measurement.options, measurement.gain
    origin = {"given": "given", "book": "books", "square-root": "volume"}
    law = measurement.laws[0]
    # of a chain masked whole no flow is known and so no depth for it: what was stated about liquidity stands all the same
    hidden = measurement.profiles[0].book.is_unknown
    known = not isinstance(law, UnknownImpact) if hidden else gain.depth_usd_per_pct is not None
    return {
        "rules": [profile.book.rule for profile in measurement.profiles],
        "dynamics": options.dynamics,
        "vol": options.vol,
        "gamma": options.gamma,
        "day_count": options.day_count,
        "forward": sorted({str(source) for source in measurement.surface.forwards.source}),
        "numeraire": options.numeraire,
        "hedge_share": options.hedge_share,
        "move_pct": options.move_pct,
        "spot_vol_beta": options.spot_vol_beta,
        "liquidity": {
            "law": gain.law,
            "from": origin.get(gain.law, "none") if known else "none",
            "source": law.source if hidden else gain.headline.source,
        },
    }


def _gain_block(measurement: Measurement) -> dict[str, Any]:
    from tailwag.liquidity import BookImpact, SquareRootImpact, hedged_open_interest_usd, liquidity_ratios

    gain, profile = measurement.gain, measurement.profiles[0]
    laws = measurement.laws
    book = next((law for law in laws if isinstance(law, BookImpact)), None)
    root = next((law for law in laws if isinstance(law, SquareRootImpact)), None)
    hedged = hedged_open_interest_usd(
        profile.book.greeks[1], profile.book.open_interest_coin, spot_usd=profile.book.spot_usd, hedge_share=gain.hedge_share
    )
    ratios = liquidity_ratios(hedged, book=book, daily_volume_usd=None if root is None else root.daily_volume_usd, within_pct=gain.move_pct)
    document = gain.document()
    block = {
        **document,
        "by_law": [law for law in document["by_law"] if law["law"] != NO_LAW],
        "hedged_open_interest_usd": hedged,
        "hedged_open_interest_to_liquidity": [ratio.document() for ratio in ratios],
    }
    return _unknown_block(block, masked_sentence(profile.book) or unpriced_sentence(profile.book)) if profile.book.is_unpriced else block


def _unknown_block(block: dict[str, Any], why: str) -> dict[str, Any]:
    """The gain block of a book that cannot be repriced: no hedge of it is known, and no share of anything that would be."""
    ratios = [{**ratio, "ratio": None, "reason": why} for ratio in block["hedged_open_interest_to_liquidity"]]
    said = [f"Loop gain unknown: {why}"] if block["value"] is None else block["sentences"]
    found: dict[str, Any] = without_nan({**block, "sentences": said, "hedged_open_interest_usd": None})
    return {**found, "hedged_open_interest_to_liquidity": ratios}


def _bands_block(bands: Any) -> dict[str, Any] | None:
    if bands is None:
        return None
    low, middle, high = bands.gex_quantiles_usd_per_pct
    flips = bands.flip_quantiles_usd
    return {
        "draws": len(bands),
        "gex_usd_per_pct": {"p05": low, "p50": middle, "p95": high},
        "nearest_flip_usd": None if flips is None else {"p05": flips[0], "p50": flips[1], "p95": flips[2]},
        "no_flip_share": bands.no_flip_share,
        "short_gamma_share": bands.short_gamma_share,
    }


def _forward(measurement: Measurement) -> list[dict[str, Any]]:
    from tailwag.exposure import forward_view

    return [
        {
            "hours": item.hours,
            "at": format_time(item.at_ns),
            "event": item.event,
            "gex_usd_per_pct": number(item.gex_usd_per_pct),
            "gross_gex_usd_per_pct": number(item.gross_gex_usd_per_pct),
            "gain": number(measurement.gain.gain_at(item.gex_usd_per_pct)),
            "flip_status": item.flip_status,
            "flips_usd": list(item.flips_usd),
        }
        for item in forward_view(measurement.profiles[0]).projections
    ]


def _calendar(measurement: Measurement) -> list[dict[str, Any]]:
    from tailwag.exposure import flow_calendar

    return [
        {
            "at": format_time(event.at_ns),
            "until": format_time(event.until_ns),
            "event": event.event,
            "gross_gex_removed_usd_per_pct": number(event.gross_gex_removed_usd_per_pct),
            "gex_removed_usd_per_pct": number(event.gex_removed_usd_per_pct),
            "open_interest_removed_coin": number(event.open_interest_removed_coin),
        }
        for event in flow_calendar(measurement.profiles[0], measurement.snapshot.futures).events
    ]


def _own_blocks(measurement: Measurement) -> dict[str, Any]:
    from tailwag.experiments.own_blocks import my_book_block, trade_blocks

    return {"my_book": my_book_block(measurement), "trade": trade_blocks(measurement)}
