"""Scenario files for tests: a small one that runs, and how to change a line of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

BASE = """\
[run]
horizon_days = 0.25
step_minutes = 15
start = 2026-03-01T00:00:00Z
paths = 64
seed = 7
clearing = "implicit"

[price]
model = "gbm"
spot_usd = 60000
vol = 0.6

[impact]
permanent_per_usd = 3e-11

[[agent]]
kind = "dealer"
name = "desk"
gamma_usd = -5e9
iv = 0.6
policy = {kind = "every-step"}
delay_steps = 0
"""

OPTION = '{right = "call", strike_usd = 60000, days = 7, contracts = -100, iv = 0.6}'


def changed(*swaps: tuple[str, str], text: str = BASE) -> str:
    """The text with each old part replaced once; an old part that is not there is a mistake of the test."""
    for old, new in swaps:
        assert text.count(old) >= 1, old
        text = text.replace(old, new, 1)
    return text


def with_options(*rows: str) -> str:
    return changed(("gamma_usd = -5e9\niv = 0.6", f"options = [{', '.join(rows)}]"))


def saved(folder: Path, text: str, name: str = "scenario.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def measurement(**changes: Any) -> dict[str, Any]:
    """A measurement of three options by hand, with only what a simulation reads."""
    document: dict[str, Any] = {
        "schema": "tailwag.measure/1",
        "as_of": "2026-03-01T00:00:00Z",
        "spot_usd": 60000.0,
        "headline": ["Hedging feeds moves."],
        "source": {"synthetic": False},
        "assumptions": {"rules": ["short-all"], "dynamics": "sticky-strike", "hedge_share": 0.8, "spot_vol_beta": None},
        "exposure": {
            "by_expiry": [
                {"expiry": "2026-03-01T08:00:00Z", "atm_iv": 0.7},
                {"expiry": "2026-03-06T08:00:00Z", "atm_iv": 0.55},
                {"expiry": "2026-03-27T08:00:00Z", "atm_iv": 0.5},
            ]
        },
        "gain": {"regime": "amplifying", "law": "given", "source": "stated", "depth_usd_per_pct": 40e6},
        "surface": {"smiles": []},
        "book": {
            "right": ["call", "put", "call", "put"],
            "strike_usd": [60000.0, 58000.0, 65000.0, 50000.0],
            "expiry": ["2026-03-06T08:00:00Z"] * 4,
            "position_coin": [-100.0, -50.0, 25.0, None],
            "iv": [0.55, 0.6, 0.5, 0.7],
            "forward_usd": [60060.0] * 4,
            "settlement": ["inverse"] * 4,
            "venue": ["deribit"] * 4,
        },
    }
    return {**document, **changes}


def saved_measurement(folder: Path, name: str = "measure.json", **changes: Any) -> Path:
    return saved(folder, json.dumps(measurement(**changes)), name)
