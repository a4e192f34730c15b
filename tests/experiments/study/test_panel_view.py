"""A folder of tailwag history build as a study reads it: signs, depths, exclusions with their counts, and folders that are none."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tailwag.errors import FileFormatError, InputError
from tailwag.experiments.study.estimates import REGRESSIONS, pinned, regression
from tailwag.experiments.study.panel_view import Assumptions, panel_view
from tailwag.experiments.study.plan import analysis_plan
from tailwag.experiments.study.simulated import gain_path, simulated_moves, stretched
from tailwag.units import NS_PER_HOUR

RULES = ("long-calls-short-puts", "short-all")
DEPTH = 5e8
PARTS = {"calls_below": 0.2, "calls_above": 0.9, "puts_below": 1.1, "puts_above": 0.8}


def snapshots(currency: str = "BTC") -> list[dict[str, object]]:
    """Five crawls, six hours apart, the third refused and the fourth mostly masked, not in order."""
    rows = []
    for place in (4, 0, 1, 2, 3):
        known = place != 2
        rows.append(
            {
                "snapshot": f"{currency}-{place}",
                "currency": currency,
                "status": "ok" if known else "refused",
                "known_ns": place * 6 * NS_PER_HOUR,
                "masked_share": (0.5 if place == 3 else 0.01) if known else None,
                "gross_gamma_usd_per_pct": 3e8 + place * 1e7 if known else None,
                "next_expiry_gross_gamma_usd_per_pct": 5e7 if known else None,
                "next_expiry_ns": 8 * NS_PER_HOUR if known else None,
                "spot_usd": 60_000.0 if known else None,
                "atm_iv_1d": None if place == 4 else 0.5,
                "atm_iv_7d": 0.6 if known else None,
                "near_strike_usd": 61_000.0 if known else None,
                **{f"gross_gamma_{part}_usd_per_pct": share * 1e8 if known else None for part, share in PARTS.items()},
            }
        )
    return rows


def panel(currency: str = "BTC") -> list[dict[str, object]]:
    rows = []
    for rule, sign in zip(RULES, (1.0, -1.0)):
        for place in (4, 0, 1, 3):
            for law in ("given", "square-root"):
                rows.extend(
                    {
                        "snapshot": f"{currency}-{place}",
                        "currency": currency,
                        "rule": rule,
                        "law": law,
                        "dynamics": dynamics,
                        "gex_usd_per_pct": sign * (1e8 + 1e7 * place),
                        "expiring_gamma_usd_per_pct": sign * 2e7,
                        "flow_down_1pct_usd": sign * 1.3e8,
                        "flow_up_1pct_usd": -sign * 1.1e8,
                        "expiring_flow_down_1pct_usd": sign * 4e7,
                        "expiring_flow_up_1pct_usd": -sign * 1e7,
                    }
                    for dynamics in ("sticky-strike", "sticky-moneyness")
                )
    return rows


def written(folder: Path, *, currency: str = "BTC") -> Path:
    tables = {"snapshots.parquet": snapshots(currency), "panel.parquet": panel(currency)}
    told = {}
    for name, rows in tables.items():
        data = io.BytesIO()
        pl.DataFrame(rows).write_parquet(data)
        (folder / name).write_bytes(data.getvalue())
        told[name] = {"rows": len(rows), "sha256": hashlib.sha256(data.getvalue()).hexdigest()}
    (folder / "history.json").write_text(json.dumps({"schema": "tailwag.history/1", "tables": told}))
    return folder


def test_long_gamma_has_a_gain_below_zero_and_depth_divides(tmp_path: Path) -> None:
    folder = written(tmp_path)
    long = panel_view(folder, Assumptions("long-calls-short-puts", "sticky-strike", DEPTH), currency="BTC", most_masked_share=0.2)
    assert (long.known.known_ns // NS_PER_HOUR).tolist() == [0, 6, 24], "in order of time, without the refused and the masked one"
    assert long.known.gain.tolist() == pytest.approx([-0.2, -0.22, -0.28])
    assert long.known.gross_gain.tolist() == pytest.approx([0.6, 0.62, 0.68])
    assert long.known.expiring_gain.tolist() == pytest.approx([-0.04] * 3)
    assert np.isnan(long.known.atm_iv_1d).tolist() == [False, False, True]
    assert long.left_out == {"refused": 1, "more than 20 % of open interest masked": 1}
    assert {name: part.tolist() for name, part in long.known.parts.items()} == {
        "calls below spot": pytest.approx([0.04] * 3),
        "calls above spot": pytest.approx([0.18] * 3),
        "puts below spot": pytest.approx([0.22] * 3),
        "puts above spot": pytest.approx([0.16] * 3),
    }
    moving = panel_view(folder, Assumptions("long-calls-short-puts", "sticky-moneyness", DEPTH), currency="BTC", most_masked_share=0.2)
    assert moving.known.gain.tolist() == pytest.approx([-0.24] * 3), "what is bought from 1 % down to 1 % up, by half"
    assert moving.known.expiring_gain.tolist() == pytest.approx([-0.05] * 3)
    short = panel_view(folder, Assumptions("short-all", "sticky-strike", 2.0 * DEPTH), currency="BTC", most_masked_share=0.6)
    assert short.known.gain.tolist() == pytest.approx([0.1, 0.11, 0.13, 0.14])


@pytest.mark.parametrize(
    ("rule", "currency", "words"),
    [("customers-sell-otm", "BTC", "build the history under them too"), ("short-all", "ETH", "expected snapshots of ETH, got BTC")],
)
def test_what_was_not_built_is_refused(tmp_path: Path, rule: str, currency: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        panel_view(written(tmp_path), Assumptions(rule, "sticky-strike", DEPTH), currency=currency, most_masked_share=0.2)


def test_another_table_than_the_named_one_is_refused(tmp_path: Path) -> None:
    assumptions = Assumptions("short-all", "sticky-strike", DEPTH)
    with pytest.raises(InputError, match="build it first"):
        panel_view(tmp_path, assumptions, currency="BTC", most_masked_share=0.2)
    folder = written(tmp_path)
    path = folder / "panel.parquet"
    pl.read_parquet(path).with_columns(pl.col("gex_usd_per_pct") * 2).write_parquet(path)
    with pytest.raises(FileFormatError, match="another SHA-256"):
        panel_view(folder, assumptions, currency="BTC", most_masked_share=0.2)


@pytest.mark.slow
def test_every_hypothesis_of_the_plan_is_estimated() -> None:
    """On half a year of a simulated market whose hedgers trade in the step of the move: vol follows the gain, and no return follows another."""
    plan = analysis_plan()
    gains = gain_path(180, np.random.default_rng(3), persistence=0.8)
    made = stretched(simulated_moves(gains, 96, late=False, seed=3), gains, gap=False)
    found = {name: regression(name, made.known, made.returns, plan, seed=1) for name in REGRESSIONS}
    found["pinning"] = pinned(made.known, made.returns, plan, seed=1)
    assert set(found) == {plan.content["primary"]["name"], *(row["name"] for row in plan.content["secondary"])}
    vol, primary = found["realised-vol"].estimate, found["reversal"].estimate
    assert vol is not None
    assert primary is not None
    assert vol.value == pytest.approx(1.0, abs=0.35)
    assert vol.rejects_zero
    assert not primary.rejects_zero
    assert primary.block_low is not None
    assert found["expiry"].refused is not None, "nothing expires here: its columns say the same"
    assert found["pinning"].estimate is None
