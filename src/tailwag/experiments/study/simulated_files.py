"""A simulated market as the files that a study reads: a history and candles whose answer is known, to try the study on before real ones."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.experiments.study.panel_measure import EXPIRING_FLOWS
from tailwag.experiments.study.panel_snapshot import CONTRASTS
from tailwag.experiments.study.panel_view import HISTORY, PANEL, SCHEMA, SNAPSHOTS
from tailwag.experiments.study.returns import last_price_log
from tailwag.experiments.study.simulated import SimulatedHistory, gain_path, simulated_moves, stretched
from tailwag.kernels.arrays import FloatArray

if TYPE_CHECKING:
    import polars as pl

DEPTH_USD_PER_PCT = 5e8
STEPS = 48
"""Candles of 15 minutes in a stretch: half a day, with one snapshot as it begins."""
PARTS = (0.2, 0.3, 0.35, 0.15)


def write_market(folder: str | os.PathLike[str], *, half_days: int = 180, late: bool = True, seed: int = 8) -> SimulatedHistory:
    """Write history.json, snapshots.parquet, panel.parquet and candles.csv of a market in which hedging moves the price; ``folder`` must exist.

    Its gain by long-calls-short-puts is the one at work, half of it stands under customers-sell-otm, and all gamma under short-all.  ``late``: hedges come
    one candle after the move, so that the study's primary coefficient is 1; otherwise in the same candle.
    """
    gains = gain_path(half_days, np.random.default_rng(seed), persistence=0.5)
    made = stretched(simulated_moves(gains, STEPS, late=late, seed=seed), gains, gap=False)
    place = Path(folder)
    told: dict[str, Any] = {}
    for name, frame in {SNAPSHOTS: _snapshots(made), PANEL: _panel(made)}.items():
        data = io.BytesIO()
        frame.write_parquet(data)
        (place / name).write_bytes(data.getvalue())
        told[name] = {"rows": frame.height, "sha256": hashlib.sha256(data.getvalue()).hexdigest()}
    (place / HISTORY).write_text(json.dumps({"schema": SCHEMA, "tables": told}), encoding="utf-8")
    (place / "candles.csv").write_text(_candles(made), encoding="utf-8")
    return made


def _snapshots(made: SimulatedHistory) -> pl.DataFrame:
    import polars as pl

    known = made.known
    count = np.arange(known.gain.size)
    parts = {
        name: DEPTH_USD_PER_PCT * known.gross_gain * (share + 0.1 * np.cos((0.3 + rank) * count))
        for rank, (name, share) in enumerate(zip(CONTRASTS, PARTS, strict=True))
    }
    return pl.DataFrame(
        {
            "snapshot": [f"simulated-{place:04d}" for place in count],
            "currency": "BTC",
            "status": "ok",
            "known_ns": known.known_ns,
            "masked_share": 0.0,
            "gross_gamma_usd_per_pct": DEPTH_USD_PER_PCT * known.gross_gain,
            **parts,
            "next_expiry_gross_gamma_usd_per_pct": DEPTH_USD_PER_PCT * known.expiring_gross_gain,
            "next_expiry_ns": known.next_expiry_ns,
            "spot_usd": np.exp(last_price_log(made.returns, known.known_ns)),
            "atm_iv_1d": known.atm_iv_1d,
            "atm_iv_7d": known.atm_iv_7d,
            "near_strike_usd": known.near_strike_usd,
        }
    )


def _panel(made: SimulatedHistory) -> pl.DataFrame:
    import polars as pl

    known = made.known
    gains = {
        "long-calls-short-puts": (known.gain, known.expiring_gain),
        "customers-sell-otm": (0.5 * known.gain, 0.5 * known.expiring_gain),
        "short-all": (known.gross_gain, known.expiring_gross_gain),
    }
    return pl.concat(
        _panel_rows(rule, dynamics, DEPTH_USD_PER_PCT * whole, DEPTH_USD_PER_PCT * expiring)
        for rule, (whole, expiring) in gains.items()
        for dynamics in ("sticky-strike", "sticky-moneyness")
    )


def _panel_rows(rule: str, dynamics: str, bought: FloatArray, expiring: FloatArray) -> pl.DataFrame:
    """What hedgers buy per 1 % that spot rises, as the panel states it: as gamma, and as flows of 1 % down and up."""
    import polars as pl

    return pl.DataFrame(
        {
            "snapshot": [f"simulated-{place:04d}" for place in range(bought.size)],
            "currency": "BTC",
            "rule": rule,
            "law": "given",
            "dynamics": dynamics,
            "gex_usd_per_pct": -bought,
            "expiring_gamma_usd_per_pct": -expiring,
            "flow_down_1pct_usd": -bought,
            "flow_up_1pct_usd": bought,
            EXPIRING_FLOWS[0]: -expiring,
            EXPIRING_FLOWS[1]: expiring,
        }
    )


def _candles(made: SimulatedHistory) -> str:
    """Candles by the time at which they open, with a volume and what takers bought of it, in coin."""
    there = np.isfinite(made.returns.log_price)
    opened = (made.returns.end_ns - made.returns.step_ns)[there] // 1_000_000
    price, moved = np.exp(made.returns.log_price[there]), np.nan_to_num(made.returns.log_return[there])
    volume = 1_000.0 * (1.2 + np.sin(np.arange(price.size) / 2_000.0))
    bought = volume * (0.5 + 0.4 * np.tanh(100.0 * moved))
    rows = (f"{at},{close!r},{size!r},{buys!r}" for at, close, size, buys in zip(opened, price.tolist(), volume.tolist(), bought.tolist()))
    return "timestamp,close,volume,taker_base_vol\n" + "\n".join(rows) + "\n"
