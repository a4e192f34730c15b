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
from tailwag.experiments.study.depths import volume_depth
from tailwag.experiments.study.estimates import regression
from tailwag.experiments.study.inputs import candle_market, read_inputs
from tailwag.experiments.study.plan import analysis_plan
from tailwag.experiments.study.returns import last_price_log
from tailwag.experiments.study.run import NAMES, StudyRequest, study
from tailwag.experiments.study.simulated import SimulatedHistory, gain_path, simulated_moves, stretched
from tailwag.experiments.study.words import study_sentences
from tailwag.units import NS_PER_MINUTE

DEPTH = 5e8


def market() -> SimulatedHistory:
    gains = gain_path(180, np.random.default_rng(8), persistence=0.5)
    return stretched(simulated_moves(gains, 48, late=True, seed=8), gains, gap=True)


RULES = {"long-calls-short-puts": 1.0, "customers-sell-otm": 0.5}
PARTS = {"calls_below": 0.2, "calls_above": 0.3, "puts_below": 0.35, "puts_above": 0.15}


def as_files(made: SimulatedHistory, folder: Path, *, coins: tuple[str, ...] = ("BTC",)) -> tuple[Path, Path]:
    """The panel as ``tailwag history build`` writes it, and the candles as a venue gives them."""
    snapshots, panel = ([frame for coin in coins for frame in frames(made, coin)] for frames in (_snapshots, _panel))
    told: dict[str, Any] = {}
    for name, frame in {"snapshots.parquet": pl.concat(snapshots), "panel.parquet": pl.concat(panel)}.items():
        data = io.BytesIO()
        frame.write_parquet(data)
        (folder / name).write_bytes(data.getvalue())
        told[name] = {"rows": frame.height, "sha256": hashlib.sha256(data.getvalue()).hexdigest()}
    (folder / "history.json").write_text(json.dumps({"schema": "tailwag.history/1", "tables": told}))
    return folder, _candles(made, folder / "candles.csv")


def _snapshots(made: SimulatedHistory, coin: str) -> list[pl.DataFrame]:
    known, count = made.known, made.known.gain.size
    return [
        pl.DataFrame(
            {
                "snapshot": [f"{coin}-{place:03d}" for place in range(count)],
                "currency": [coin] * count,
                "status": ["ok"] * count,
                "known_ns": known.known_ns,
                "masked_share": np.zeros(count),
                "gross_gamma_usd_per_pct": DEPTH * known.gross_gain,
                **{
                    f"gross_gamma_{name}_usd_per_pct": DEPTH * known.gross_gain * (share + 0.1 * np.cos((0.3 + place) * np.arange(count)))
                    for place, (name, share) in enumerate(PARTS.items())
                },
                "next_expiry_gross_gamma_usd_per_pct": DEPTH * known.expiring_gross_gain,
                "next_expiry_ns": known.next_expiry_ns,
                "spot_usd": np.exp(last_price_log(made.returns, known.known_ns)) * np.exp(0.01 * np.sin(1.7 * np.arange(count))),
                "atm_iv_1d": known.atm_iv_1d,
                "atm_iv_7d": known.atm_iv_7d,
                "near_strike_usd": known.near_strike_usd,
            }
        )
    ]


def _panel(made: SimulatedHistory, coin: str) -> list[pl.DataFrame]:
    """The given gain under the plan's rule and, half as large, under another; where the smile moves, a tenth more than at its strikes."""
    known, count = made.known, made.known.gain.size
    return [
        pl.DataFrame(
            {
                "snapshot": [f"{coin}-{place:03d}" for place in range(count)],
                "currency": [coin] * count,
                "rule": [rule] * count,
                "law": ["given"] * count,
                "dynamics": [dynamics] * count,
                "gex_usd_per_pct": -DEPTH * size * known.gain,
                "expiring_gamma_usd_per_pct": -DEPTH * size * known.expiring_gain,
                "flow_down_1pct_usd": -1.2 * DEPTH * size * known.gain,
                "flow_up_1pct_usd": 1.0 * DEPTH * size * known.gain,
                "expiring_flow_down_1pct_usd": -1.2 * DEPTH * size * known.expiring_gain,
                "expiring_flow_up_1pct_usd": 1.0 * DEPTH * size * known.expiring_gain,
            }
        )
        for rule, size in RULES.items()
        for dynamics in ("sticky-strike", "sticky-moneyness")
    ]


def _candles(made: SimulatedHistory, path: Path) -> Path:
    there = np.isfinite(made.returns.log_price)
    opened = (made.returns.end_ns - made.returns.step_ns)[there] // 1_000_000
    price, moved = np.exp(made.returns.log_price[there]), np.nan_to_num(made.returns.log_return[there])
    volume = 1_000.0 * (1.2 + np.sin(np.arange(price.size) / 2_000.0))
    bought = volume * (0.5 + 0.4 * np.tanh(100.0 * moved))
    rows = [f"{at},{close!r},{size!r},{buys!r}" for at, close, size, buys in zip(opened, price.tolist(), volume.tolist(), bought.tolist())]
    path.write_text("timestamp,close,volume,taker_base_vol\n" + "\n".join(rows) + "\n")
    return path


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
    assert said[0].startswith("Shown: 15-minute returns are continued where hedgers are short gamma")
    assert [line for line in said if line.startswith("reversal: Shown: 0 is rejected. gain x return: ")]
    assert plan.digest in said[-1]
    done = tailwag("study", "reversal", "--panel", folder, "--candles", candles, "--seed", "3", "--json", "-")
    assert done.document == json.loads(json.dumps(document))
    page, card = tmp_path / "pinning.html", tmp_path / "pinning.png"
    shown = tailwag("study", "pinning", "--panel", folder, "--candles", candles, "--html", page, "--png", card)
    assert shown.code == 0, shown.err
    assert "No estimate" in shown.out.decode(), "no strike lies beside the spot here"
    assert f"tailwag study pinning --panel {folder} --candles {candles} --currency BTC --seed 7</pre>" in page.read_text(encoding="utf-8")
    assert card.read_bytes()[:4] == b"\x89PNG"
    assert "folder that exists" in tailwag("study", "pinning", "--panel", folder, "--candles", candles, "--html", "/nowhere/x.html").err


def test_all_of_it_stands_in_one_document(tmp_path: Path) -> None:
    gains = gain_path(300, np.random.default_rng(8), persistence=0.8)
    made = stretched(simulated_moves(gains, 48, late=True, seed=8), gains, gap=False)
    folder, candles = as_files(made, tmp_path, coins=("BTC", "ETH"))
    document = study(StudyRequest("all", str(folder), str(candles), seed=3))
    named = {entry["name"]: entry for entry in document["hypotheses"]}
    own = named["reversal"]["estimates"][0]
    others = {(one["rule"], one["dynamics"], one["depth"]): one for one in named["reversal"]["other_assumptions"]}
    half = others["customers-sell-otm", "sticky-strike", "given"]["estimate"]
    assert half["value"] == pytest.approx(2.0 * own["value"], rel=1e-9), "half the gain, twice the coefficient"
    assert half["p_value"] == pytest.approx(own["p_value"], rel=1e-6)
    moved = others["long-calls-short-puts", "sticky-moneyness", "given"]["estimate"]
    assert moved["value"] == pytest.approx(own["value"] / 1.1, rel=1e-9), "what hedgers buy for 1 % each way, not the gamma at the strikes"
    assert others["short-all", "sticky-strike", "given"]["refused"].endswith("build the history under them too")
    assert others["long-calls-short-puts", "sticky-strike", "by volume"]["estimate"]["rows"] < own["rows"], "30 days have no volume yet"
    assert [one["later_minutes"] for one in named["pinning"]["other_assumptions"]] == [20.0], (
        "whoever is short and however deep, but not whenever"
    )
    p_values = document["rejected"]["p_values"]
    assert set(p_values) == {"realised-vol", "realised-vol-1h", "shocks", "expiry", "pinning", "out-of-sample"}
    assert p_values["expiry"] == 1.0, "nothing expires here: no estimate is no rejection"
    assert p_values["out-of-sample"] == document["out_of_sample"]["clark_west"]["p_value"]
    assert document["rejected"]["primary"] == {"reversal": True}
    assert document["out_of_sample"]["rows"] > 100
    parts = document["identification"]
    assert [one["name"] for one in parts["signs"]] == ["calls below spot", "calls above spot", "puts below spot", "puts above spot"]
    assert sum(one["information"] for one in parts["contrasts"]) == pytest.approx(1.0)
    assert parts["depth_from_flow"]["naive_usd_per_pct"] > 0.0
    assert {one["currency"]: one["refused"] for one in document["replication"]} == {"BTC": None, "ETH": None}
    json.dumps(document, allow_nan=False)
    inputs = read_inputs(str(folder), str(candles), currency="BTC")
    late = inputs.variants[-1].known
    assert late is not None
    assert set((late.known_ns - inputs.view.known.known_ns).tolist()) == {20 * NS_PER_MINUTE}
    (deep,) = [one.known for one in inputs.variants if one.depth == "by volume"]
    assert deep is not None
    depth = volume_depth(inputs.view.known, inputs.market.returns, inputs.market.volume_usd, mean_usd_per_pct=DEPTH)
    there = np.isfinite(depth)
    assert 100 < there.sum() < depth.size, "30 days have no volume yet"
    np.testing.assert_array_equal(np.isfinite(deep.gain), there)
    np.testing.assert_allclose((deep.gain * depth)[there], inputs.view.known.gain[there] * DEPTH, rtol=1e-12)
    own = document["out_of_sample"]
    assert set(own["beside_implied"]) == {"with", "without", "held at 1", "past day's vol"}
    assert own["beside_implied"]["with"]["value"] == pytest.approx(own["qlike"]["with"] - own["qlike"]["implied vol"])


def test_what_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a study of reversal, realised-vol, expiry, pinning, all"):
        StudyRequest("momentum", "x", "y")
    off = tmp_path / "off.csv"
    off.write_text("timestamp,close\n" + "\n".join(f"{1_767_225_600 + 900 * step + 450},1" for step in range(20)) + "\n")
    with pytest.raises(InputError, match="open on whole quarters of an hour"):
        candle_market(off)
    path = tmp_path / "hours.csv"
    path.write_text("timestamp,close\n" + "\n".join(f"{1_767_225_600 + 3600 * hour},1" for hour in range(20)) + "\n")
    with pytest.raises(InputError, match="expected candles of 15 minutes, as the plan has them, got 60"):
        candle_market(path)
    told = tailwag("study", "reversal", "--panel", tmp_path, "--candles", path)
    assert told.code == 2
    assert "build it first" in told.err
