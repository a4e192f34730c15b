"""The few numbers of a measurement that a frame carries: enough for the top of the page, every one of them also in the document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GAIN_KEYS = (
    "value",
    "reason",
    "law",
    "depth_usd_per_pct",
    "with_vanna",
    "low",
    "high",
    "break_even_depth_usd_per_pct",
    "amplification",
    "regime",
    "runaway_distance_pct",
)
EXPOSURE_KEYS = ("gex_usd_per_pct", "gross_gex_usd_per_pct", "vanna_usd_per_volpt", "charm_usd_per_day")
MOVES_PCT = (-5.0, -3.0, -1.0, 1.0, 3.0, 5.0)


def summary(document: Mapping[str, Any]) -> dict[str, Any]:
    """Regime, strength, nearest flip, flows for 1, 3 and 5 %, and the next expiry of one ``tailwag.measure/1`` document."""
    gain, levels, exposure = document["gain"], document["levels"], document["exposure"]
    return {
        "status": document["status"],
        "headline": document["headline"],
        "spot_usd": document["spot_usd"],
        "synthetic": document["source"]["synthetic"],
        "rules": document["assumptions"]["rules"],
        "exposure": {key: exposure[key] for key in EXPOSURE_KEYS},
        "gain": {key: gain.get(key) for key in GAIN_KEYS},
        "by_rule": gain["by_rule"],
        "levels": {
            "flip_status": levels["flip_status"],
            "nearest_flip": nearest_flip(document),
            "call_wall_usd": levels["call_wall_usd"],
            "put_wall_usd": levels["put_wall_usd"],
        },
        "flows": [
            {"spot_move_pct": row["spot_move_pct"], "buy_usd": row["buy_usd"], "buy_coin": row["buy_coin"]}
            for row in document["flows"]
            if row["spot_move_pct"] in MOVES_PCT and row["vol_move_volpt"] == 0.0 and row["hours"] == 0.0
        ],
        "next_expiry": next((event for event in document["calendar"] if event["event"] == "expiry"), None),
    }


def nearest_flip(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """The flip nearest to spot and how far it is, or None where there is none.

    >>> nearest_flip({"spot_usd": 100.0, "levels": {"flips": [{"spot_usd": 90.0, "crossing": "negative-to-positive"}]}})
    {'spot_usd': 90.0, 'crossing': 'negative-to-positive', 'distance_pct': -10.0}
    """
    spot, flips = document["spot_usd"], document["levels"]["flips"]
    if spot is None or not flips:
        return None
    near = min(flips, key=lambda flip: abs(flip["spot_usd"] - spot))
    return {**near, "distance_pct": round(100.0 * (near["spot_usd"] / spot - 1.0), 9)}
