"""A study's document with made numbers, each of them another, so that a page that mixes two of them up is found out."""

from __future__ import annotations

from typing import Any

from tailwag.experiments.study.plan import analysis_plan

ROWS = {
    "reversal": ("gain x return", 1, 0.412, 0.071),
    "realised-vol": ("-log(1 - gain)", 0, -0.0831, 0.052),
    "realised-vol-1h": ("-log(1 - gain)", 0, 0.317, 0.131),
    "shocks": ("gain x size of the shock", 0, 1.23, 0.87),
    "expiry": ("what expires changes in -log(1 - gain)", -1, -0.153, 0.49),
    "pinning": ("mean", 0, 0.0642, 0.0391),
}
PARTS = ("calls below spot", "calls above spot", "puts below spot", "puts above spot")


def estimate(name: str, value: float, error: float, *, rows: int = 1_200, p_value: float = 0.31, block: bool = True) -> dict[str, Any]:
    low, high = value - 2.1 * error, value + 2.2 * error
    return {
        "name": name,
        "value": value,
        "error": error,
        "low": low,
        "high": high,
        "p_value": p_value,
        "rows": rows,
        "blocks": 17,
        "seen_at": 3.01 * error,
        "block_low": low - 0.01 * error if block else None,
        "block_high": high + 0.01 * error if block else None,
        "rejects_zero": low > 0.0 or high < 0.0,
    }


def hypothesis(place: int, name: str) -> dict[str, Any]:
    coefficient, predicted, value, error = ROWS[name]
    p_value = 0.0004 if name == "reversal" else 0.021 if name == "realised-vol-1h" else 0.1 + 0.031 * place
    first = estimate(coefficient, value, error, rows=1_000 + place, p_value=p_value, block=name != "pinning")
    made: dict[str, Any] = {
        "name": name,
        "estimates": [first, estimate("constant", 0.011 * (place + 1), 0.02)],
        "left_out": {"no gain": 3 + place, "no price": 0},
        "refused": None,
        "predicted": predicted,
        "hypothesis": f"what {name} asks",
        "placebos": [],
        "other_assumptions": [],
    }
    if name.startswith("realised"):
        other = estimate(coefficient, value + 0.04, error, rows=1_000 + place)
        made["without_implied_vol"] = {"name": name, "estimates": [other], "left_out": {}, "refused": None}
    if name != "pinning":
        made["placebos"] = [placebo("signs", value, 9), placebo("dates", value, 4)]
        made["other_assumptions"] = [
            assumed(rule="short-all") | {"estimate": None, "refused": "x/panel: expected rows under short-all, got none"},
            assumed(rule="customers-sell-otm") | {"estimate": estimate(coefficient, 2 * value, 2 * error), "refused": None},
            assumed(later=20.0) | {"estimate": estimate(coefficient, 0.93 * value, error), "refused": None},
        ]
    return made


def placebo(name: str, true: float, count: int) -> dict[str, Any]:
    values = [true * (1.5 if draw == 0 else 0.1 * draw / count) for draw in range(count)]
    return {"name": name, "true": true, "placebos": count, "share_as_far": 2 / (count + 1), "values": values}


def assumed(*, rule: str = "long-calls-short-puts", later: float = 0.0) -> dict[str, Any]:
    return {"rule": rule, "dynamics": "sticky-strike", "depth": "given", "later_minutes": later}


def forecast(shift: float) -> dict[str, Any]:
    losses = ("with", "without", "held at 1", "implied vol", "past day's vol")
    return {
        "refused": None,
        "r2": 0.0123 + shift,
        "clark_west": estimate("mean", 0.00021 + shift, 0.0003, p_value=0.27, block=False),
        "qlike": {name: 0.0131 + 0.0017 * place + shift for place, name in enumerate(losses)},
        "rows": 211,
    }


def identification() -> dict[str, Any]:
    contrasts = [
        {"weights": dict.fromkeys(PARTS, 0.5), "information": 0.913, "estimate": estimate("sum of signs", -0.21, 0.19, block=False)},
        {
            "weights": dict(zip(PARTS, (0.5, -0.5, 0.5, -0.5))),
            "information": 0.087,
            "estimate": estimate("sum of signs", 1.4, 5.2, block=False),
        },
    ]
    return {
        "depth_from_flow": {"naive_usd_per_pct": 1.23e8, "cleaned_usd_per_pct": 1.57e8, "windows": 9_876, "refused": None},
        "refused": None,
        "signs": [estimate(part, 0.7 - 0.9 * place, 0.2 + place, block=False) for place, part in enumerate(PARTS)],
        "contrasts": contrasts,
        "correlation": [[1.0 if row == column else 0.1 * (row + column) for column in range(4)] for row in range(4)],
    }


def study_document(name: str = "all", hypotheses: tuple[str, ...] = tuple(ROWS)) -> dict[str, Any]:
    """All of it, or with other ``hypotheses`` what a study of these alone would hold."""
    plan = analysis_plan()
    document: dict[str, Any] = {
        "schema": "tailwag.study/1",
        "study": name,
        "plan": {"sha256": plan.digest, "version": plan.content["plan"]["version"]},
        "currency": "BTC",
        "assumptions": {"rule": "long-calls-short-puts", "dynamics": "sticky-strike", "depth_usd_per_pct": 5e8},
        "history": {"tables": {"snapshots.parquet": "a1" * 32, "panel.parquet": "b2" * 32}, "rows": 654, "left_out": {"refused": 7}},
        "candles": {"name": "BTCUSDT_15m.csv", "sha256": "c3" * 32, "candles": 14_321, "without_volume": 5},
        "seed": 11,
        "hypotheses": [hypothesis(place, one) for place, one in enumerate(hypotheses)],
    }
    if name != "all":
        return document
    p_values = {one["name"]: one["estimates"][0]["p_value"] for one in document["hypotheses"][1:]} | {"out-of-sample": 0.27}
    return document | {
        "out_of_sample": assumed() | forecast(0.0) | {"other_assumptions": [assumed(rule="customers-sell-otm") | forecast(0.005)]},
        "identification": identification(),
        "rejected": {"primary": {"reversal": True}, "secondary": dict.fromkeys(p_values, False), "p_values": p_values},
        "replication": [
            {
                "currency": "BTC",
                "refused": None,
                "estimates": [estimate("gain x return", 0.19, 0.3, rows=333)],
                "left_out": {"no price": 2},
            },
            {"currency": "ETH", "refused": "no snapshots of ETH"},
        ],
    }
