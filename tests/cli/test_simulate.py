"""The simulate command as a user types it: one command from a measured book to a run, and the same bytes again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from tests.cli.command import strict, tailwag
from tests.experiments.scenario_texts import BASE, changed, measurement, saved, saved_measurement


def shell(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tailwag", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=300,
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"},
        check=False,
    )


def simulated(*words: str | Path) -> bytes:
    outcome = tailwag("simulate", *words)
    assert outcome.code == 0, outcome.err
    return outcome.out


@pytest.fixture(scope="module")
def demo_run(tmp_path_factory):
    """The issue's two commands, in a shell, on the demo market; few paths of three hours."""
    folder = tmp_path_factory.mktemp("demo")
    measured = shell("measure", "demo", "--liquidity", "given", "--depth-usd-per-pct", "400e6", "--json", "demo.json", cwd=folder)
    assert measured.returncode == 0, measured.stderr
    run = shell("simulate", "demo.json", "--out", "run", "--hours", "3", "--paths", "16", cwd=folder)
    assert run.returncode == 0, run.stderr
    return folder, run


def test_two_commands_from_a_chain_to_a_run(demo_run):
    folder, run = demo_run
    assert sorted(path.name for path in (folder / "run").iterdir()) == ["measure.json", "run.json", "scenario.toml"]
    assert (folder / "run" / "measure.json").read_bytes() == (folder / "demo.json").read_bytes()
    document = strict((folder / "run" / "run.json").read_bytes())
    measured = strict((folder / "demo.json").read_bytes())
    assert document["schema"] == "tailwag.run/1"
    assert document["paths"] == 16
    # the loop gain of the simulation and of the measurement are computed by separate code
    assert document["assumptions"]["starting_gain"] == pytest.approx(measured["gain"]["value"], rel=0.02)
    assert document["assumptions"]["spot_usd"] == measured["spot_usd"]
    assert run.stderr == ""
    assert "wrote run/run.json" in run.stdout
    for said in ("sign of the book is undetermined", "SYNTHETIC demo data", "Hedging takes", "realised vol"):
        assert said in " ".join(run.stdout.split())


def test_the_written_scenario_reruns_to_the_same_bytes_anywhere(demo_run, tmp_path):
    folder, _ = demo_run
    again = shell("simulate", folder / "run" / "scenario.toml", "--out", "elsewhere", "--threads", "1", "--json", "-", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    first = (folder / "run" / "run.json").read_bytes()
    assert (tmp_path / "elsewhere" / "run.json").read_bytes() == first
    assert again.stdout.encode() == first
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["run.json"]


def test_what_the_written_scenario_says(tmp_path):
    simulated(saved_measurement(tmp_path, "mine.json"), "--out", tmp_path / "run", "--hours", "6", "--paths", "8", "--seed", "3")
    text = (tmp_path / "run" / "scenario.toml").read_text()
    scenario = tomllib.loads(text)
    assert scenario["run"] == {
        "start": "2026-03-01T00:00:00Z", "horizon_days": 0.25, "step_minutes": 5.0, "paths": 8, "seed": 3, "clearing": "implicit",
    }  # fmt: skip
    # 6 hours end before the expiry of 08:00, whose at-the-money vol is 0.7
    assert scenario["price"] == {"model": "gbm", "spot_usd": 60000.0, "vol": 0.7, "vol_is": "observed"}
    assert scenario["impact"] == {"permanent_per_usd": 0.01 / 40e6}
    (agent,) = scenario["agent"]
    assert agent == {
        "kind": "dealer", "name": "dealers", "book": "measure.json", "hedge_share": 0.8, "policy": {"kind": "every-step"}, "delay_steps": 0,
    }  # fmt: skip
    for remark in (
        "Hedging feeds moves.",
        "the measurement's as_of",
        "at-the-money vol of 2026-03-01T08:00:00Z",
        "depth $40",
        "short-all, an assumption",
    ):
        assert remark in text


@pytest.mark.parametrize(("hours", "vol"), [("7.9", 0.7), ("8", 0.7), ("8.1", 0.55), ("600", 0.5), ("2000", 0.5)])
def test_the_vol_is_that_of_the_nearest_expiry_beyond_the_horizon(hours, vol):
    from tailwag.experiments.scenario_files import Overrides
    from tailwag.experiments.scenario_from_measurement import Stated, scenario_from_measurement

    text = scenario_from_measurement(measurement(), name="m.json", overrides=Overrides(hours=float(hours)), stated=Stated())
    assert tomllib.loads(text)["price"]["vol"] == vol
    assert ("the last expiry, all end before the horizon" in text) == (hours == "2000")


def test_stated_depth_vol_and_clearing_take_the_measurements_place(tmp_path):
    words = ("--hours", "3", "--paths", "8", "--depth-usd-per-pct", "80e6", "--vol", "0.5", "--clearing", "lagged")
    simulated(saved_measurement(tmp_path, gain={"depth_usd_per_pct": None}), "--out", tmp_path / "run", *words)
    scenario = tomllib.loads((tmp_path / "run" / "scenario.toml").read_text())
    assert scenario["impact"] == {"permanent_per_usd": 0.01 / 80e6}
    assert scenario["price"]["vol"] == 0.5
    assert (scenario["run"]["clearing"], scenario["agent"][0]["delay_steps"]) == ("lagged", 1)


def test_a_spot_vol_beta_of_the_measurement_is_kept(tmp_path):
    assumptions = {**measurement()["assumptions"], "spot_vol_beta": -0.8}
    simulated(saved_measurement(tmp_path, assumptions=assumptions), "--out", tmp_path / "run", "--hours", "1", "--paths", "4")
    assert tomllib.loads((tmp_path / "run" / "scenario.toml").read_text())["vol"] == {"spot_vol_beta": -0.8}


def test_where_no_vol_closes_the_loop_the_scenario_says_so(tmp_path):
    """Deeply short and thin: no fundamental vol explains the observed one; the run goes on with the observed one and says it."""
    book = measurement()["book"]
    book["position_coin"] = [-20000.0, -20000.0, 0.0, None]
    source = saved_measurement(tmp_path, book=book)
    words = ("--hours", "24", "--paths", "64", "--depth-usd-per-pct", "60e6", "--clearing", "lagged")
    simulated(source, "--out", tmp_path / "run", *words)
    text = (tmp_path / "run" / "scenario.toml").read_text()
    assert tomllib.loads(text)["price"]["vol_is"] == "uncalibrated"
    assert "counted twice" in text
    document = json.loads((tmp_path / "run" / "run.json").read_bytes())
    (note,) = [note for note in document["assumptions"]["notes"] if "taken as fundamental without calibration" in note]
    assert "no fundamental vol explains it: " in note
    assert "expected a fundamental vol whose closed loop shows" in note
    simulated(tmp_path / "run" / "scenario.toml", "--out", tmp_path / "again")
    assert (tmp_path / "again" / "run.json").read_bytes() == (tmp_path / "run" / "run.json").read_bytes()


def test_an_edited_scenario_is_not_overwritten(tmp_path):
    source, out = saved_measurement(tmp_path), tmp_path / "run"
    words = ("--out", out, "--hours", "1", "--paths", "4")
    simulated(source, *words)
    simulated(source, *words, "--seed", "9")  # ours and untouched: replaced
    assert tomllib.loads((out / "scenario.toml").read_text())["run"]["seed"] == 9
    edited = (out / "scenario.toml").read_text().replace("every-step", "none")
    (out / "scenario.toml").write_text(edited)
    outcome = tailwag("simulate", source, *words)
    assert outcome.code == 2
    assert "scenario.toml in --out is edited" in outcome.err
    assert (out / "scenario.toml").read_text() == edited
    simulated(out / "scenario.toml", "--out", out)


def test_paths_are_written_where_the_scenario_asks(tmp_path):
    text = changed(("paths = 64", "paths = 6")) + "[output]\npaths = true\n"
    said = simulated(saved(tmp_path, text), "--out", tmp_path / "a", "--threads", "1").decode()
    simulated(saved(tmp_path, text), "--out", tmp_path / "b", "--threads", "2")
    assert f"wrote {tmp_path / 'a' / 'paths.npz'}" in said
    assert (tmp_path / "a" / "paths.npz").read_bytes() == (tmp_path / "b" / "paths.npz").read_bytes()
    assert (tmp_path / "a" / "run.json").read_bytes() == (tmp_path / "b" / "run.json").read_bytes()
    with np.load(tmp_path / "a" / "paths.npz") as read:
        assert read["price_usd"].shape == (6, 25)


def test_agents_renamed_or_reordered_change_no_number(tmp_path):
    block = BASE[BASE.index("[[agent]]") :]
    other = changed(("desk", "alpha"), ("-5e9", "2e9"), ("delay_steps = 0", "delay_steps = 1"), text=block)
    renamed = changed(("desk", "zulu"), text=block)
    head = BASE[: BASE.index("[[agent]]")]
    documents = []
    for number, agents in enumerate((block + other, other + renamed)):
        simulated(saved(tmp_path, head + agents), "--out", tmp_path / str(number))
        documents.append(json.loads((tmp_path / str(number) / "run.json").read_bytes()))
    one, two = (document["metrics"] for document in documents)
    by_name = {agent["name"]: agent for agent in two.pop("agents")}
    first = {agent["name"]: agent for agent in one.pop("agents")}
    assert one == two
    assert {**first["desk"], "name": "zulu"} == by_name["zulu"]
    assert first["alpha"] == by_name["alpha"]


def test_overrides_of_a_scenario_are_stated_in_the_run(tmp_path):
    simulated(saved(tmp_path, BASE), "--out", tmp_path / "run", "--hours", "1", "--paths", "4", "--seed", "5")
    document = json.loads((tmp_path / "run" / "run.json").read_bytes())
    assert document["scenario"]["overrides"] == {"hours": 1.0, "paths": 4, "seed": 5}
    assert (document["paths"], document["seed"], document["assumptions"]["hours"]) == (4, 5, pytest.approx(1.0))


def test_the_summary_in_full(tmp_path):
    text = changed(("3e-11", "1e-9"), ('"implicit"', '"lagged"'), ("delay_steps = 0", "delay_steps = 1"))
    said = " ".join(simulated(saved(tmp_path, text), "--out", tmp_path / "run").decode().split())
    for words in (
        "64 ran away",
        "How paths ended",
        "Mean profit and loss",
        "residual",
        "total",
        "Assumed: lagged clearing",
        "loop gain +5.000",
        "desk: hedges 100%",
    ):
        assert words in said


def test_json_beside_the_folder(tmp_path):
    said = simulated(saved(tmp_path, BASE), "--out", tmp_path / "run", "--json", tmp_path / "copy.json").decode()
    assert (tmp_path / "copy.json").read_bytes() == (tmp_path / "run" / "run.json").read_bytes()
    assert f"wrote {tmp_path / 'copy.json'}" in said


def test_help_shows_examples():
    out = tailwag("simulate", "--help").out.decode()
    assert "tailwag simulate measure.json --out run --hours 24" in " ".join(out.split())


def test_a_packed_measurement_is_unpacked_beside_the_scenario(tmp_path):
    import gzip

    plain = saved_measurement(tmp_path).read_bytes()
    (tmp_path / "measure.json.gz").write_bytes(gzip.compress(plain))
    simulated(tmp_path / "measure.json.gz", "--out", tmp_path / "run", "--hours", "1", "--paths", "4")
    assert (tmp_path / "run" / "measure.json").read_bytes() == plain


def test_a_bar_on_a_terminal_and_nothing_elsewhere(tmp_path):
    """Standard error of a pseudo-terminal shows paths and time left; a pipe stays empty (the demo run asserts that)."""
    import pty

    ours, theirs = pty.openpty()
    run = subprocess.Popen(
        [sys.executable, "-m", "tailwag", "simulate", str(saved(tmp_path, BASE)), "--out", str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "COLUMNS": "100", "TERM": "xterm"},
    )
    os.close(theirs)
    shown = b""
    try:  # read while it runs: a terminal that nobody reads is full after some redraws, and the command would wait
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # a pseudo-terminal whose other end is closed
        pass
    out, _ = run.communicate(timeout=300)
    os.close(ours)
    assert run.returncode == 0
    assert b"paths" in shown
    assert b"64/64" in shown
    assert b"wrote" in out
