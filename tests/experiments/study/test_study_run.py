"""A whole study on a simulated market told as files: the document says what the estimates say, and the command prints it."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.cli.command import tailwag

from tailwag.errors import InputError
from tailwag.experiments.study.estimates import regression
from tailwag.experiments.study.plan import analysis_plan
from tailwag.experiments.study.run import NAMES, StudyRequest, candle_grid, study
from tailwag.experiments.study.simulated import SimulatedHistory, gain_path, simulated_moves, stretched
from tailwag.experiments.study.words import study_sentences

DEPTH = 5e8


def market() -> SimulatedHistory:
    gains = gain_path(120, np.random.default_rng(8), persistence=0.5)
    return stretched(simulated_moves(gains, 48, late=True, seed=8), gains, gap=True)


def as_files(made: SimulatedHistory, folder: Path) -> tuple[Path, Path]:
    """The panel as ``tailwag history build`` writes it, and the candles as a venue gives them."""
    known, count = made.known, made.known.gain.size
    names = [f"BTC-{place:03d}" for place in range(count)]
    snapshots = pl.DataFrame(
        {
            "snapshot": names,
            "currency": ["BTC"] * count,
            "status": ["ok"] * count,
            "known_ns": known.known_ns,
            "masked_share": np.zeros(count),
            "gross_gamma_usd_per_pct": DEPTH * known.gross_gain,
            "next_expiry_gross_gamma_usd_per_pct": DEPTH * known.expiring_gross_gain,
            "next_expiry_ns": known.next_expiry_ns,
            "spot_usd": known.spot_usd,
            "atm_iv_1d": known.atm_iv_1d,
            "atm_iv_7d": known.atm_iv_7d,
            "near_strike_usd": known.near_strike_usd,
        }
    )
    panel = pl.DataFrame(
        {
            "snapshot": names,
            "currency": ["BTC"] * count,
            "rule": ["long-calls-short-puts"] * count,
            "law": ["given"] * count,
            "dynamics": ["sticky-strike"] * count,
            "gex_usd_per_pct": -DEPTH * known.gain,
            "expiring_gamma_usd_per_pct": -DEPTH * known.expiring_gain,
        }
    )
    told: dict[str, Any] = {}
    for name, frame in {"snapshots.parquet": snapshots, "panel.parquet": panel}.items():
        data = io.BytesIO()
        frame.write_parquet(data)
        (folder / name).write_bytes(data.getvalue())
        told[name] = {"rows": frame.height, "sha256": hashlib.sha256(data.getvalue()).hexdigest()}
    (folder / "history.json").write_text(json.dumps({"schema": "tailwag.history/1", "tables": told}))
    there = np.isfinite(made.returns.log_price)
    opened = (made.returns.end_ns - made.returns.step_ns)[there] // 1_000_000
    rows = [f"{at},{float(np.exp(price))!r},1" for at, price in zip(opened, made.returns.log_price[there])]
    candles = folder / "candles.csv"
    candles.write_text("timestamp,close,volume\n" + "\n".join(rows) + "\n")
    return folder, candles


def test_the_document_says_what_the_estimates_say(tmp_path: Path) -> None:
    made = market()
    folder, candles = as_files(made, tmp_path)
    document = study(StudyRequest("reversal", str(folder), str(candles), seed=3))
    plan = analysis_plan()
    own = regression("reversal", made.known, made.returns, plan, seed=3).estimate
    first = document["hypotheses"][0]
    assert own is not None
    assert first["estimates"][0]["value"] == pytest.approx(own.value, rel=1e-6)
    assert first["estimates"][0]["rejects_zero"] is True
    assert document["plan"]["sha256"] == plan.digest
    assert [entry["name"] for entry in document["hypotheses"]] == list(NAMES["reversal"])
    assert {one["name"] for one in first["placebos"]} == {"signs", "dates"}
    said = study_sentences(document)
    assert "no effect is rejected at 5 %" in said[0]
    assert plan.digest in said[-1]
    done = tailwag("study", "reversal", "--panel", folder, "--candles", candles, "--seed", "3", "--json", "-")
    assert done.document == json.loads(json.dumps(document))
    shown = tailwag("study", "pinning", "--panel", folder, "--candles", candles)
    assert shown.code == 0, shown.err
    assert "no estimate" in shown.out.decode(), "no strike lies beside the spot here"


def test_what_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a study of reversal, realised-vol, expiry, pinning"):
        StudyRequest("momentum", "x", "y")
    path = tmp_path / "hours.csv"
    path.write_text("timestamp,close\n" + "\n".join(f"{1_767_225_600 + 3600 * hour},1" for hour in range(20)) + "\n")
    with pytest.raises(InputError, match="expected candles of 15 minutes, as the plan has them, got 60"):
        candle_grid(path)
    told = tailwag("study", "reversal", "--panel", tmp_path, "--candles", path)
    assert told.code == 2
    assert "build it first" in told.err
