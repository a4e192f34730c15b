"""The types of every answer, as JSON Schema: a client generator makes records of them, a contract test holds each answer against them."""

from __future__ import annotations

from typing import Any

Shape = Any
"""A mapping of keys to shapes (a key that ends in ``?`` may be left out), a list of one shape, a component's name, or a schema."""

TEXT = {"type": "string"}
TEXT_OR_NULL = {"type": ["string", "null"]}
TIME = {"type": "string", "format": "date-time"}
TIME_OR_NULL = {"type": ["string", "null"], "format": "date-time"}
NUMBER = {"type": "number"}
NUMBER_OR_NULL = {"type": ["number", "null"]}
COUNT = {"type": "integer", "minimum": 0}
YES_NO = {"type": "boolean"}
SHARE = {"type": "number", "minimum": 0.0, "maximum": 1.0}
OBJECT = {"type": "object"}


def one_of(*words: str) -> dict[str, Any]:
    """A text of a few."""
    return {"type": "string", "enum": list(words)}


def maybe(shape: Shape) -> dict[str, Any]:
    """The shape, or null."""
    return {"anyOf": [schema_of(shape), {"type": "null"}]}


def schema_of(shape: Shape) -> dict[str, Any]:
    """The JSON Schema of a shape; objects may gain keys, never lose one that is not marked.

    >>> schema_of({"seq": COUNT, "note?": TEXT})["required"]
    ['seq']
    """
    if isinstance(shape, str):
        return {"$ref": f"#/components/schemas/{shape}"}
    if isinstance(shape, list):
        return {"type": "array", "items": schema_of(shape[0])}
    if "anyOf" in shape or isinstance(shape.get("type"), (str, list)):
        return dict(shape)
    properties = {key.removesuffix("?"): schema_of(value) for key, value in shape.items()}
    return {"type": "object", "required": [key for key in shape if not key.endswith("?")], "properties": properties}


def _numbers(*keys: str) -> dict[str, Any]:
    return dict.fromkeys(keys, NUMBER_OR_NULL)


_EXPOSURE = _numbers(
    "gex_usd_per_pct", "gross_gex_usd_per_pct", "vanna_usd_per_volpt", "charm_usd_per_day", "delta_usd", "vega_usd_per_volpt"
)
_FLOW = _numbers(
    *("spot_move_pct", "vol_move_volpt", "hours", "buy_coin", "buy_usd"),
    *("gamma_usd", "vanna_usd", "charm_usd", "residual_usd", "expiry_usd"),
)
_QUANTILES = _numbers("p05", "p50", "p95")
_MASKED = {"code": TEXT, "instruments": COUNT, "open_interest_share": SHARE}
_REGIME = one_of("damping", "amplifying", "runaway", "undetermined")
_FLIP_STATUS = maybe(one_of("none", "one", "many", "edge"))
_FLIP = {"spot_usd": NUMBER, "crossing": one_of("negative-to-positive", "positive-to-negative")}
_STATE = one_of("ok", "degraded", "stale")

DOCUMENT: dict[str, Shape] = {
    "schema": {"type": "string", "const": "tailwag.measure/1"},
    "status": one_of("ok", "degraded"),
    "degraded": [TEXT],
    "headline": [TEXT],
    "as_of": TIME_OR_NULL,
    "currency": TEXT,
    "spot_usd": NUMBER_OR_NULL,
    "source": {"kind": TEXT, "name": TEXT, "sha256": TEXT, "synthetic": YES_NO},
    "notes": [TEXT],
    "positioning": [{"rule": TEXT, "citation": TEXT, "assumption": TEXT, "notes": [TEXT]}],
    "assumptions": "Assumptions",
    "chain": "Chain",
    "exposure": "Exposure",
    "profile": [_numbers("spot_usd", "gex_usd_per_pct", "gain")],
    "levels": "Levels",
    "flows": ["Flow"],
    "gain": "Gain",
    "bands": maybe("Bands"),
    "forward": ["Projection"],
    "calendar": ["CalendarEvent"],
    "surface": "Surface",
    "my_book": maybe("OwnBook"),
    "trade": maybe(["TradeEffect"]),
    "book": "DealersBook",
}
_LIVENESS: dict[str, Shape] = {
    "age_s": NUMBER_OR_NULL,
    "max_age_s": NUMBER,
    "source_state": _STATE,
    "reasons": [TEXT],
    "skipped": COUNT,
    "quarantined": "Counted",
    "silent": "Counted",
}
_ORIGIN: dict[str, Shape] = {"seq": COUNT, "monitor_source": TEXT, "code_hash": TEXT}
_ENVELOPE: dict[str, Shape] = {**_ORIGIN, **_LIVENESS, "received_at": TIME}
_ENVELOPE_OF_ANY_TIME: dict[str, Shape] = {**_ORIGIN, **{f"{key}?": shape for key, shape in {**_LIVENESS, "received_at": TIME}.items()}}
_FRAME: dict[str, Shape] = {
    "type": one_of("measure", "heartbeat", "alert"),
    "source": TEXT,
    "currency": TEXT_OR_NULL,
    "seq": COUNT,
    "as_of": TIME_OR_NULL,
    **_LIVENESS,
    "code_hash": TEXT,
    "published_at": TIME,
}
_ALERT: dict[str, Shape] = {"at": TIME, "key": TEXT, "severity": one_of("info", "warning", "critical"), "sentence": TEXT}

COMPONENTS: dict[str, Shape] = {
    "Error": {"error": TEXT},
    "Health": {"status": one_of("ok"), "source_state": _STATE},
    "Counted": {"instruments": COUNT, "open_interest_share": SHARE},
    "Source": {key: shape for key, shape in _FRAME.items() if key not in ("type", "published_at")},
    "Sources": {"sources": ["Source"]},
    "Alert": {
        **_ALERT,
        "id?": TEXT,
        "rule?": TEXT,
        "phase?": TEXT,
        "currency?": TEXT,
        "evidence?": OBJECT,
        "deliveries?": {"type": "object", "additionalProperties": schema_of("Delivery")},
    },
    "Delivery": {"status": TEXT, "attempts": COUNT, "reason": TEXT_OR_NULL, "done": TIME_OR_NULL},
    "Alerts": {"alerts": ["Alert"]},
    "Frame": {**_FRAME, "summary?": "Summary", **{f"{key}?": shape for key, shape in _ALERT.items()}},
    "Summary": {
        "status": one_of("ok", "degraded"),
        "headline": [TEXT],
        "spot_usd": NUMBER_OR_NULL,
        "synthetic": YES_NO,
        "rules": [TEXT],
        "exposure": _numbers("gex_usd_per_pct", "gross_gex_usd_per_pct", "vanna_usd_per_volpt", "charm_usd_per_day"),
        "gain": {
            **_numbers("value", "depth_usd_per_pct", "with_vanna", "low", "high", "break_even_depth_usd_per_pct"),
            **_numbers("amplification", "runaway_distance_pct"),
            "reason": TEXT_OR_NULL,
            "law": TEXT_OR_NULL,
            "regime": _REGIME,
        },
        "by_rule": ["RuleGain"],
        "levels": {
            "flip_status": _FLIP_STATUS,
            "nearest_flip": maybe({**_FLIP, "distance_pct": NUMBER}),
            **_numbers("call_wall_usd", "put_wall_usd"),
        },
        "flows": [_numbers("spot_move_pct", "buy_usd", "buy_coin")],
        "next_expiry": maybe("CalendarEvent"),
    },
    "DailyIndex": {"definition": OBJECT, "currency": TEXT, "source": TEXT, "days": ["IndexDay"], "next": TIME_OR_NULL},
    "IndexDay": {
        "date": {"type": "string", "format": "date"},
        "currency": TEXT,
        **_numbers("loop_gain", "hedged_oi_ratio", "loop_gain_before_expiry", "expiry_step"),
        "regime": maybe(_REGIME),
        "reason": TEXT_OR_NULL,
        "hedged_oi_reason": TEXT_OR_NULL,
        "sources": [TEXT],
        "synthetic": YES_NO,
        "before_expiry": "IndexWindow",
        "after_expiry": "IndexWindow",
    },
    "IndexWindow": {
        "from": TIME,
        "to": TIME,
        "marks": COUNT,
        "measured": COUNT,
        "left_out": COUNT,
        **_numbers("loop_gain", "hedged_oi_ratio", "hedged_open_interest_usd", "daily_volume_usd", "spot_usd"),
        "regime": maybe(_REGIME),
        "reason": TEXT_OR_NULL,
        "hedged_oi_reason": TEXT_OR_NULL,
        "by_rule": [{"rule": TEXT, **_numbers("gex_usd_per_pct", "loop_gain")}],
    },
    "History": {
        "thinned?": {"every_s": NUMBER_OR_NULL, "measured": COUNT},
        "field": TEXT,
        "source": TEXT,
        "points": [{"as_of": TIME, "value": {"type": ["number", "string", "boolean", "null"]}, "seq": COUNT}],
        "next": TIME_OR_NULL,
    },
    "LatestMeasurement": {**DOCUMENT, **_ENVELOPE},
    "Measurement": {**DOCUMENT, **_ENVELOPE_OF_ANY_TIME},
    "WhatIfMeasurement": {**DOCUMENT, **_ENVELOPE_OF_ANY_TIME, "what_if": OBJECT},
    "BookMeasurement": {"as_of": TIME, "spot_usd": NUMBER_OR_NULL, **_ENVELOPE_OF_ANY_TIME, "my_book": "OwnBook"},
    "Assumptions": {
        "rules": [TEXT],
        **dict.fromkeys(("dynamics", "vol", "gamma", "day_count", "numeraire"), TEXT),
        "forward": [TEXT],
        "hedge_share": SHARE,
        "move_pct": NUMBER,
        "spot_vol_beta": NUMBER_OR_NULL,
        "liquidity": {"law": TEXT, "from": one_of("books", "volume", "given", "none"), "source": TEXT},
    },
    "Chain": {
        "instruments": COUNT,
        "expiries": COUNT,
        "venues": [TEXT],
        "open_interest_coin": NUMBER,
        "open_interest_coin_by_venue": {"type": "object", "additionalProperties": NUMBER},
        "masked_open_interest_share": SHARE,
        "masked": [_MASKED],
        "warnings": [_MASKED],
    },
    "Exposure": {
        **_EXPOSURE,
        "empty": YES_NO,
        "reason?": TEXT,
        "by_expiry": [{"expiry": TIME, **_EXPOSURE, **_numbers("open_interest_coin", "forward_usd", "atm_iv")}],
        "by_strike": [{"strike_usd": NUMBER, **_EXPOSURE, **_numbers("call_gex_usd_per_pct", "put_gex_usd_per_pct", "open_interest_coin")}],
        "by_venue": [{"venue": TEXT, **_EXPOSURE, **_numbers("open_interest_coin")}],
        "by_right": [{"right": TEXT, **_EXPOSURE, **_numbers("open_interest_coin")}],
    },
    "Levels": {
        "flip_status": _FLIP_STATUS,
        "flips_reason?": TEXT,
        "flips": [_FLIP],
        **_numbers("flip_stability", "call_wall_usd", "put_wall_usd", "absolute_gamma_strike_usd", "zero_dte_share"),
        "max_pain": [{"expiry": TIME, "strike_usd": NUMBER_OR_NULL}],
        "oi_concentration": {**_numbers("herfindahl", "top5_share"), "strikes": COUNT},
    },
    "Flow": _FLOW,
    "RuleGain": {"rule": TEXT, **_numbers("gex_usd_per_pct", "value"), "reason": TEXT_OR_NULL},
    "Gain": {
        **_numbers("value", "depth_usd_per_pct", "move_pct", "hedge_share", "flow_usd", "value_repriced_up", "value_repriced_down"),
        **_numbers("with_vanna", "low", "high", "break_even_depth_usd_per_pct", "amplification", "runaway_distance_pct"),
        **dict.fromkeys(("reason", "repriced_reason", "vanna_reason", "band_reason", "amplification_reason"), TEXT_OR_NULL),
        "law": TEXT,
        "source": TEXT,
        "regime": _REGIME,
        "by_law": [
            {
                "law": TEXT,
                "source": TEXT,
                **_numbers("value", "depth_usd_per_pct", "bid_usd_per_pct", "ask_usd_per_pct", "bid_within_usd", "ask_within_usd"),
                "reach_pct": NUMBER_OR_NULL,
                "extrapolated": YES_NO,
                "reason": TEXT_OR_NULL,
            }
        ],
        "by_rule": ["RuleGain"],
        "by_expiry": [{"expiry": TIME, **_numbers("gex_usd_per_pct", "value")}],
        "by_strike": [_numbers("strike_usd", "gex_usd_per_pct", "value")],
        "runaway_zones_usd": [[NUMBER_OR_NULL]],
        "sentences": [TEXT],
        "hedged_open_interest_usd": NUMBER_OR_NULL,
        "hedged_open_interest_to_liquidity": [
            {"window": TEXT, **_numbers("liquidity_usd", "ratio"), "source": TEXT, "reason": TEXT_OR_NULL}
        ],
    },
    "Bands": {
        "draws": COUNT,
        "gex_usd_per_pct": _QUANTILES,
        "nearest_flip_usd": maybe(_QUANTILES),
        **_numbers("no_flip_share", "short_gamma_share"),
    },
    "Projection": {
        "hours": NUMBER,
        "at": TIME,
        "event": TEXT,
        **_numbers("gex_usd_per_pct", "gross_gex_usd_per_pct", "gain"),
        "flip_status": _FLIP_STATUS,
        "flips_usd": [NUMBER],
    },
    "CalendarEvent": {
        "at": TIME,
        "until": TIME,
        "event": one_of("expiry", "settlement-average", "funding"),
        **_numbers("gross_gex_removed_usd_per_pct", "gex_removed_usd_per_pct", "open_interest_removed_coin"),
    },
    "Surface": {
        "forwards": [{"venue": TEXT, "expiry": TIME, "forward_usd": NUMBER_OR_NULL, "source": TEXT_OR_NULL}],
        "smiles": ["Smile"],
        "ssvi": maybe(
            {
                "venue": TEXT,
                **_numbers("rho", "eta", "gamma"),
                "expiries": [{"expiry": TIME, **_numbers("theta", "rmse_volpt"), "free_of_butterflies": YES_NO}],
            }
        ),
        "calendar_violations": [
            {
                "venue": TEXT,
                "near_expiry": TIME,
                "far_expiry": TIME,
                **_numbers("log_moneyness", "depth_volpt", "from_log_moneyness", "to_log_moneyness"),
            }
        ],
    },
    "Smile": {
        "venue": TEXT,
        "expiry": TIME,
        "years": NUMBER,
        "forward_usd": NUMBER_OR_NULL,
        "model": TEXT,
        "parameters": {"type": "object", "additionalProperties": NUMBER_OR_NULL},
        **_numbers("rmse_volpt", "inside_share", "butterfly_min_g"),
        "notes": [TEXT],
        "points": [
            {"right": TEXT, "source": TEXT, **_numbers("strike_usd", "log_moneyness", "bid_iv", "ask_iv", "mark_iv", "fit_iv")},
        ],
        "curve": [_numbers("log_moneyness", "strike_usd", "iv")],
    },
    "OwnBook": {
        "greeks": {
            **_numbers("value_usd", "value_coin", "delta_usd", "delta_coin", "net_delta_coin", "gamma_coin_per_usd"),
            **_numbers("gex_usd_per_pct", "gex_coin_per_pct", "vega_usd_per_volpt", "vega_coin_per_volpt"),
            **_numbers("vanna_usd_per_volpt", "vanna_coin_per_volpt", "charm_usd_per_day", "charm_coin_per_day"),
        },
        "flows": [{**_FLOW, "market_buy_usd": NUMBER_OR_NULL}],
        "options": [{"instrument": TEXT, **_numbers("position_coin", "iv"), "priced_from": TEXT}],
        "futures": [TEXT],
        "unpriced": [{"instrument": TEXT, "reason": TEXT}],
        "limits": [{"by": TEXT, "key": TEXT, **_numbers("gex_usd_per_pct", "share", "limit_usd_per_pct"), "breached": YES_NO}],
    },
    "TradeEffect": {
        "trade": TEXT,
        "assumption": TEXT,
        "own_before": maybe("OwnBook"),
        "own_after": "OwnBook",
        **_numbers("market_gex_before_usd_per_pct", "market_gex_after_usd_per_pct", "market_gain_before", "market_gain_after"),
        "market_flips_after_usd": [NUMBER],
    },
    "DealersBook": {
        **{key: [TEXT] for key in ("instrument", "settlement", "venue")},
        **{key: [TEXT_OR_NULL] for key in ("right", "iv_source")},
        "expiry": [TIME_OR_NULL],
        **{key: [NUMBER_OR_NULL] for key in ("strike_usd", "position_coin", "iv", "forward_usd", "gex_usd_per_pct")},
    },
}


def components() -> dict[str, dict[str, Any]]:
    """Every named schema of the description."""
    return {name: schema_of(shape) for name, shape in COMPONENTS.items()}
