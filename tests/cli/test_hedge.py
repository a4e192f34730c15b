"""The hedge command as a user types it: from a book to policies compared, the same bytes again, and mistakes answered in a sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.command import refused, strict, tailwag
from tests.experiments.scenario_texts import BASE, changed, measurement, saved, saved_measurement

FEW = ("--hours", "3", "--paths", "48")
DESK = "instrument,contracts,amount_usd\nBTC-6MAR26-60000-C,-40,\nBTC-6MAR26-59000-P,25,\nBTC-PERPETUAL,,100000\n"


def listed() -> dict:
    """The measurement by hand with names, as tailwag measure writes it."""
    book = measurement()["book"]
    names = ["BTC-6MAR26-60000-C", "BTC-6MAR26-58000-P", "BTC-6MAR26-65000-C", "BTC-6MAR26-50000-P"]
    return measurement(currency="BTC", book={**book, "instrument": names})


def hedged(*words: str | Path) -> dict:
    outcome = tailwag("hedge", *words, "--json", "-")
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    return strict(outcome.out)


def test_one_command_compares_policies_on_the_demo(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tailwag", "hedge", "demo", *FEW, "--json", "out.json", "--html", "out.html", "--png", "out.png"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    for words in (
        "With hedging moving the market,",
        "Were hedging to move nothing,",
        "What hedging adds to market vol",
        "SYNTHETIC",
        "fee 5 bps",
        "seed 7",
    ):
        assert words in said, words
    assert all(len(line) <= 100 for line in done.stdout.splitlines())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.html", "out.json", "out.png"]
    assert (tmp_path / "out.png").read_bytes()[:4] == b"\x89PNG"
    assert "SYNTHETIC" in (tmp_path / "out.html").read_text()
    document = strict((tmp_path / "out.json").read_bytes())
    assert document["schema"] == "tailwag.frontier/1"
    assert [row["policy"] for row in document["policies"]][:2] == ["every-step", "grid:60min"]
    assert document["paths"] == 48


def test_a_measured_book_gives_the_same_bytes_for_any_threads(tmp_path):
    book = saved_measurement(tmp_path, "mine.json")
    words = (book, "--policies", "every-step, grid:60min, whalley-wilmott:1e-6,5bps", *FEW)
    one = tailwag("hedge", *words, "--threads", "1", "--json", "-")
    two = tailwag("hedge", *words, "--threads", "2", "--json", "-")
    assert one.code == 0, one.err
    assert one.out == two.out
    document = strict(one.out)
    assert document["source"]["name"] == "mine.json"
    assert document["assumptions"]["vol_is"] == "observed"
    assert document["assumptions"]["dealers"][0]["hedge_share"] == 0.8
    assert any(note.startswith("mine.json: dealers hold the book of short-all") for note in document["assumptions"]["notes"])


def test_what_is_stated_is_what_runs(tmp_path):
    scenario = saved(tmp_path, BASE)
    document = hedged(
        scenario, "--policies", "every-step", "--policies", "grid:30min", "--hours", "4", "--step-minutes", "10", "--paths", "16", "--seed", "3",
        "--clearing", "lagged", "--delay-steps", "2", "--fee-bps", "2", "--half-spread-bps", "3", "--market-share", "0.5",
        "--hedge-share", "0.6", "--instrument", "perp", "--margin-share", "0.1", "--funding-per-year", "-0.2",
    )  # fmt: skip
    said = document["assumptions"]
    assert (document["paths"], document["seed"]) == (16, 3)
    assert (said["hours"], said["steps"], said["step_minutes"]) == (pytest.approx(4.0), 24, pytest.approx(10.0))
    assert (said["clearing"], said["dealers"][0]["delay_steps"]) == ("lagged", 2)
    assert said["costs"].items() >= {"fee_bps": 2.0, "half_spread_bps": 3.0, "gas_usd": 0.0}.items()
    assert said["instrument"] == {"kind": "perp", "funding_per_year": -0.2, "margin_share": 0.1}
    assert said["market_share"] == 0.5
    assert said["rest"] == ["desk (rest)"]
    assert said["dollar_gamma_usd"] == pytest.approx(-5e9 * 0.5 * 0.6)
    assert said["starting_gain"] == pytest.approx(3e-11 * 5e9 * 0.6)
    assert [row["policy"] for row in document["policies"]] == ["every-step", "grid:30min"]


def test_a_scenario_keeps_its_own_costs(tmp_path):
    scenario = saved(tmp_path, BASE + "\n[costs]\nfee_bps = 7.5\nhalf_spread_bps = 0.25\ngas_usd = 2\n")
    document = hedged(scenario, "--policies", "grid:60min")
    assert document["assumptions"]["costs"].items() >= {"fee_bps": 7.5, "half_spread_bps": 0.25, "gas_usd": 2.0}.items()
    assert document["paths"] == 64
    assert document["policies"][0]["alone"]["gas_usd"]["value"] > 0.0


def test_positions_are_hedged_in_the_crowd_of_a_measurement(tmp_path):
    desk, market = saved(tmp_path, DESK, "desk.csv"), saved(tmp_path, json.dumps(listed()), "market.json")
    document = hedged(desk, "--measurement", market, "--policies", "every-step, none", "--market-share", "0", *FEW)
    said = document["assumptions"]
    assert [(dealer["name"], dealer["compared"]) for dealer in said["dealers"]] == [("dealers", False), ("desk", True)]
    assert "not listed, and priced between the strikes of their expiry: BTC-6MAR26-59000-P" in said["notes"]
    assert "futures are left out, the hedge is built anew: BTC-PERPETUAL" in said["notes"]
    vols = {row["policy"]: row["together"]["amplification"]["value"] for row in document["policies"]}
    assert vols["every-step"] > vols["none"] > 1.0


def test_positions_alone_need_only_a_price_a_vol_a_time_and_a_depth(tmp_path):
    desk = saved(tmp_path, DESK, "desk.csv")
    words = ("--spot-usd", "60000", "--vol", "0.5", "--at", "2026-03-01T00:00:00Z", "--depth-usd-per-pct", "40e6", *FEW)
    document = hedged(desk, "--policies", "every-step", *words)
    assert document["source"]["kind"] == "positions"
    assert document["assumptions"]["price_vol"] == 0.5
    assert document["assumptions"]["impact_per_usd"] == pytest.approx(2.5e-10)


def test_the_best_number_is_found_and_compared(tmp_path):
    scenario = saved(tmp_path, BASE)
    out = tmp_path / "out.json"
    words = ("--policies", "every-step", "--optimise", "band", "--risk-aversion-per-usd", "1e-6", "--fee-bps", "5", "--json", out)
    outcome = tailwag("hedge", scenario, *words)
    assert outcome.code == 0, outcome.err
    document = strict(out.read_bytes())
    assert [(one["kind"], one["world"], one["objective"]) for one in document["optimised"]] == [
        ("band", "alone", "variance"), ("band", "together", "variance"),
    ]  # fmt: skip
    best = document["optimised"][1]
    assert best["value_usd"] == min(one["together_usd"] for one in best["trials"])
    assert best["policy"] in [row["policy"] for row in document["policies"]]
    assert "Best band with hedging moving the market: " in outcome.out.decode()
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_a_stopped_run_goes_on_beside_its_file(tmp_path, monkeypatch):
    from tailwag.experiments import frontier

    scenario, out = (
        saved(tmp_path, changed(("paths = 64", "paths = 2100"), ("step_minutes = 15", "step_minutes = 60"))),
        tmp_path / "out.json",
    )
    words = ("hedge", scenario, "--policies", "every-step, grid:120min", "--threads", "1", "--json", out)
    assert tailwag(*words).code == 0
    whole = out.read_bytes()
    out.unlink()
    fold, calls = frontier.fold, []

    def killed(block, plan):
        calls.append(block.first_path)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return fold(block, plan)

    monkeypatch.setattr(frontier, "fold", killed)
    with pytest.raises(BaseException):  # noqa: B017 - whatever a kill looks like by the time it arrives here
        raise SystemExit(tailwag(*words).code or 1)
    assert (tmp_path / "out.json.partial").exists()
    assert not out.exists()
    monkeypatch.setattr(frontier, "fold", lambda block, plan: calls.append(block.first_path) or fold(block, plan))
    calls.clear()
    assert tailwag(*words).code == 0
    assert out.read_bytes() == whole
    assert 0 not in calls  # the first block was not run again
    assert not (tmp_path / "out.json.partial").exists()


HELD = ("--spot-usd", "60000", "--vol", "0.5", "--at", "2026-03-01T00:00:00Z", "--depth-usd-per-pct", "40e6")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nowhere.toml",), "nowhere.toml"),
        (("demo", "--policies", "every-stepp"), "did you mean every-step?"),
        (("demo", "--policies", " , "), "a policy at least"),
        (("demo", "--policies", "band:2e6"), "half-width with its unit"),
        (("demo", "--threads", "0"), "--threads expects 1 to 1,024"),
        (("demo", "--optimise", "every-step"), "have a number to choose"),
        (("demo", "--optimise", "band:sharpe"), "variance, mean-es"),
        (("demo", "--optimise", "band:variance"), "--risk-aversion-per-usd"),
        (("demo", "--optimise", "band", "--risk-aversion-per-usd", "0"), "risk aversion per USD above 0"),
        (("demo", "--json", "no/such/folder/out.json"), "a folder that exists"),
        (("demo", "--html", "."), "a file in a folder"),
        (("demo", "--measurement", "x.json"), "--measurement does not go with this book"),
        (("s.toml", "--vol", "0.6"), "--vol does not go with this book"),
        (("s.toml", "--depth-usd-per-pct", "1e6"), "--depth-usd-per-pct does not go"),
        (("s.toml", "--paths", "0"), "paths"),
        (("s.toml", "--hours", "0"), "horizon_days"),
        (("s.toml", "--hours", "-3"), "horizon_days"),
        (("s.toml", "--step-minutes", "7"), "whole number of steps"),
        (("s.toml", "--step-minutes", "nan"), "step_minutes"),
        (("s.toml", "--seed", "-1"), "seed"),
        (("s.toml", "--clearing", "magic"), "implicit, damped, lagged"),
        (("s.toml", "--clearing", "lagged"), "delay_steps >= 1"),
        (("s.toml", "--delay-steps", "-1"), "delay_steps"),
        (("s.toml", "--fee-bps", "5000"), "fee_bps"),
        (("s.toml", "--half-spread-bps", "-1"), "half_spread_bps"),
        (("s.toml", "--market-share", "2"), "market share from 0 to 1"),
        (("s.toml", "--market-share", "nan"), "market share from 0 to 1"),
        (("s.toml", "--market-share", "0"), "market share above 0"),
        (("s.toml", "--hedge-share", "0"), "--hedge-share"),
        (("s.toml", "--instrument", "gold"), "spot, perp, future"),
        (("s.toml", "--margin-share", "5"), "margin_share from 0 to 1"),
        (("s.toml", "--funding-per-year", "30"), "funding_per_year"),
        (("s.toml", "--policies", "predictive"), "policy predictive"),
        (("s.toml", "--policies", "leland:5bps,60min"), "policy leland:5bps,60min"),
        (("wild.toml",), "loop gain below 1"),
        (("empty.toml",), "a dealer at least"),
        (("m.json", "--at", "2026-03-01T00:00:00Z"), "--at does not go with this book"),
        (("m.json", "--depth-usd-per-pct", "-4"), "depth"),
        (("m.json", "--vol", "60"), "vol"),
        (("m.json", "--hours", "0"), "hours above 0"),
        (("other.json",), "tailwag.measure/1"),
        (("desk.csv",), "--measurement FILE"),
        (("desk.csv", "--spot-usd", "60000", "--vol", "0.5"), "--at, --depth-usd-per-pct"),
        (("desk.csv", *HELD, "--market-share", "0.5"), "--market-share"),
        (("desk.csv", *HELD[:-1], "0"), "a depth from 1"),
        (("desk.csv", "--spot-usd", "60000", "--vol", "0.5", "--at", "2027-03-01T00:00:00Z", "--depth-usd-per-pct", "40e6"), "expired"),
        (("desk.csv", "--spot-usd", "60000", "--vol", "0.5", "--at", "yesterday", "--depth-usd-per-pct", "40e6"), "time"),
        (("desk.csv", "--measurement", "m.json", "--at", "2026-03-01T00:00:00Z"), "the measurement states its own"),
        (("strange.csv", *HELD), "an option or a future"),
        (("perps.csv", *HELD), "futures only"),
        (("eth.csv", "--measurement", "market.json"), "market.json is about BTC"),
        (("late.csv", "--measurement", "market.json"), "no option there expires"),
        (("blank.csv", *HELD), "own book"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(words, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path, BASE, "s.toml")
    saved(tmp_path, changed(("gamma_usd = -5e9", "gamma_usd = -5e10")), "wild.toml")
    saved(tmp_path, BASE[: BASE.index("[[agent]]")], "empty.toml")
    saved_measurement(tmp_path, "m.json")
    saved(tmp_path, '{"schema": "mine"}', "other.json")
    saved(tmp_path, json.dumps(listed()), "market.json")
    saved(tmp_path, DESK, "desk.csv")
    saved(tmp_path, "instrument,contracts\nBTC-MOON,3\n", "strange.csv")
    saved(tmp_path, "instrument,amount_usd\nBTC-PERPETUAL,3\n", "perps.csv")
    saved(tmp_path, "instrument,contracts\nETH-6MAR26-3000-C,3\n", "eth.csv")
    saved(tmp_path, "instrument,contracts\nBTC-27MAR26-60000-C,3\n", "late.csv")
    saved(tmp_path, "", "blank.csv")
    before = sorted(path.name for path in tmp_path.iterdir())
    said = refused("hedge", *words)
    assert says in " ".join(said.split())
    assert said.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before
