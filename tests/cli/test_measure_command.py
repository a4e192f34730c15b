"""The measure command as a user types it: exit codes, strict JSON alone on stdout, and one clear sentence for every mistake."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.command import measured

from tailwag.cli import main


def tailwag(*words: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tailwag", *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1", **environment},
        check=False,
    )


def refuse_constant(text: str) -> float:
    raise AssertionError(f"{text} is not JSON")


CONTRACT = {
    "schema", "as_of", "currency", "spot_usd", "source", "assumptions", "chain", "exposure", "profile", "levels", "flows", "gain", "forward",
    "calendar", "book",
}  # fmt: skip


@pytest.fixture(scope="module")
def demo() -> dict:
    run = tailwag("measure", "demo", "--json", "-")
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout, parse_constant=refuse_constant)


def test_demo_writes_every_key_of_the_schema(demo):
    assert set(demo) >= CONTRACT
    assert demo["schema"] == "tailwag.measure/1"
    assert demo["source"]["synthetic"] is True
    assert "SYNTHETIC" in demo["headline"][0]
    assert {"law", "from"} <= set(demo["assumptions"]["liquidity"])
    assert len({len(column) for column in demo["book"].values()}) == 1


def test_demo_totals_follow_from_its_own_book(demo):
    """GEX recomputed from the published book block alone, by the plain formula."""
    seconds = {expiry: _seconds(expiry) - _seconds(demo["as_of"]) for expiry in set(demo["book"]["expiry"])}
    spot, total = demo["spot_usd"], 0.0
    for held, forward, strike, iv, expiry in zip(
        *(demo["book"][name] for name in ("position_coin", "forward_usd", "strike_usd", "iv", "expiry")), strict=True
    ):
        if held is None:
            continue
        deviation = iv * math.sqrt(seconds[expiry] / (365 * 86400))
        d1 = math.log(forward / strike) / deviation + 0.5 * deviation
        total += held * math.exp(-0.5 * d1 * d1) / math.sqrt(2 * math.pi) / (forward * deviation) * spot**2 / 100
    assert total == pytest.approx(demo["exposure"]["gex_usd_per_pct"], rel=1e-9)


def _seconds(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def test_parts_sum_to_the_whole(demo):
    exposure = demo["exposure"]
    for by in ("by_expiry", "by_strike", "by_venue", "by_right"):
        assert math.fsum(row["gex_usd_per_pct"] for row in exposure[by]) == pytest.approx(exposure["gex_usd_per_pct"], rel=1e-9)
    for row in demo["flows"]:
        parts = row["gamma_usd"] + row["vanna_usd"] + row["charm_usd"] + row["residual_usd"]
        assert parts == pytest.approx(row["buy_usd"], rel=1e-9, abs=1e-3)
    assert len(demo["flows"]) == 9 * 3 * 3


def test_gain_is_minus_gex_over_depth():
    found = measured(
        "demo",
        "--rule",
        "short-all",
        "--liquidity",
        "given",
        "--depth-usd-per-pct",
        "5e8",
        "--hedge-share",
        "0.5",
        "--dynamics",
        "sticky-strike",
    )
    gain = found["gain"]
    assert gain["value"] == pytest.approx(-found["exposure"]["gex_usd_per_pct"] * 0.5 / 5e8, rel=1e-12)
    assert gain["with_vanna"] == pytest.approx(gain["value"], rel=1e-12)
    assert gain["break_even_depth_usd_per_pct"] == pytest.approx(abs(found["exposure"]["gex_usd_per_pct"]) * 0.5, rel=1e-12)
    assert gain["regime"] in ("amplifying", "runaway")
    assert (gain["amplification"] is None) == (gain["value"] >= 1.0)


def test_short_buys_rises_and_long_sells_them():
    short, long = (measured("demo", "--rule", rule) for rule in ("short-all", "long-all"))
    for found, sign in ((short, 1), (long, -1)):
        up, down = (
            next(r for r in found["flows"] if (r["spot_move_pct"], r["vol_move_volpt"], r["hours"]) == (move, 0, 0)) for move in (1, -1)
        )
        assert sign * up["buy_usd"] > 0 > sign * down["buy_usd"]
    assert short["exposure"]["gex_usd_per_pct"] == pytest.approx(-long["exposure"]["gex_usd_per_pct"], rel=1e-12)
    assert short["exposure"]["vega_usd_per_volpt"] < 0


def test_the_same_words_give_the_same_bytes():
    first, again = (tailwag("measure", "demo", "--rule", "mixture:short-all@0.6+long-all@0.4", "--json", "-").stdout for _ in range(2))
    assert first == again
    assert json.loads(first)["bands"]["draws"] == 400


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.json"], "nowhere.json"),
        (["demo", "--rule", "naive"], "long-calls-short-puts"),
        (["demo", "--dynamics", "sticky"], "sticky-strike"),
        (["demo", "--liquidity", "deep"], "square-root"),
        (["demo", "--liquidity", "given"], "--depth-usd-per-pct"),
        (["demo", "--liquidity", "given", "--depth-usd-per-pct", "nan"], "depth"),
        (["demo", "--depth-usd-per-pct", "-5"], "depth"),
        (["demo", "--move-pct", "0"], "move"),
        (["demo", "--hedge-share", "1.5"], "hedge"),
        (["demo", "--spot-range", "1.2:0.8"], "spot"),
        (["demo", "--spot-range", "wide"], "0.8:1.2"),
        (["demo", "--spot-levels", "1"], "levels"),
        (["demo", "--vol", "mine"], "vol"),
        (["demo", "--gamma", "best"], "gamma"),
        (["demo", "--day-count", "act-360"], "act-365"),
        (["demo", "--numeraire", "eur"], "numeraire"),
        (["demo", "--forward", "mine"], "index"),
        (["demo", "--add", "lots"], "trade"),
        (["demo", "--at", "2026-02-05T16:00:00"], "offset"),
        (["demo", "--coins-per-share", "0.5"], "VALUE@DATE"),
        (["demo", "--book", "nowhere.csv"], "nowhere.csv"),
        (["demo", "--rule", "flow:nowhere.json"], "nowhere.json"),
        (["demo", "--json", "/nowhere/at/all.json"], "all.json"),
        (["demo", "--draws", "x"], "draws"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_costs_one_sentence_and_exit_2(words, said, capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as stopped:
        main(["measure", *words])
    shown = capfd.readouterr()
    assert stopped.value.code == 2, shown.err
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert "Error" not in shown.err.replace("│ Error", "").replace("─ Error ─", "")
    assert shown.out == ""


def test_own_book_and_trade_on_the_command_line(tmp_path, demo):
    names = [name for name, held in zip(demo["book"]["instrument"], demo["book"]["position_coin"], strict=True) if held]
    (tmp_path / "book.csv").write_text(f"instrument,contracts\n{names[0]},-10\nBTC-PERPETUAL,1000\n")
    found = measured("demo", "--book", str(tmp_path / "book.csv"), "--add", f"-500 {names[1]}")
    assert found["my_book"]["options"][0]["position_coin"] == -10
    assert found["my_book"]["greeks"]["gex_usd_per_pct"] < 0
    effect = found["trade"][0]
    # the desk sells, dealers buy: their gamma grows
    assert effect["market_gex_after_usd_per_pct"] > effect["market_gex_before_usd_per_pct"]


def test_html_and_png_are_written(tmp_path):
    run = tailwag("measure", "demo", "--html", str(tmp_path / "r.html"), "--png", str(tmp_path / "r.png"))
    assert run.returncode == 0, run.stderr
    assert "SYNTHETIC" in run.stdout
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "r.html").stat().st_size > 1_000_000


def test_help_has_examples_and_version_prints():
    shown = tailwag("measure", "--help").stdout
    for word in ("--rule", "--book", "Examples", "tailwag measure demo", "--depth-usd-per-pct"):
        assert word in shown
    assert tailwag("--version").stdout.startswith("tailwag ")
    assert tailwag().returncode in (0, 2)


def test_import_brings_no_heavy_package():
    code = "import sys, tailwag; print([m for m in ('numpy','numba','polars','pyarrow','scipy','ccxt','fastapi','plotly','matplotlib','typer') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_json_of_a_json_file_brings_no_table_package(tmp_path):
    code = (
        "import sys; from tailwag.cli import main\n"
        "try: main(['measure', 'demo', '--json', '-'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('polars','pyarrow','ccxt','plotly','matplotlib') if m in sys.modules], file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stderr.strip() == "[]"
