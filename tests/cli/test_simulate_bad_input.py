"""Every mistake with ``tailwag simulate`` is one sentence on stderr, exit status 2, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.command import refused, tailwag
from tests.experiments.scenario_texts import BASE, changed, measurement, saved, saved_measurement


def said(*words: str | Path) -> str:
    text = refused("simulate", *words)
    assert text.startswith("tailwag: ")
    assert text.count("\n") == 1
    return text


OPTIONS = [
    (("--hours", "0"), "hours above 0|expected horizon_days from"),
    (("--hours", "-5"), "above 0|expected horizon_days from"),
    (("--hours", "nan"), "finite|above 0"),
    (("--paths", "0"), "expected paths from 1"),
    (("--paths", "-3"), "expected paths from 1"),
    (("--paths", "1000000000"), "expected paths from 1 to 100,000,000"),
    (("--seed", "-1"), "expected seed from 0"),
    (("--threads", "0"), "--threads expects 1 to 1,024"),
    (("--threads", "5000"), "--threads expects 1 to 1,024"),
    (("--clearing", "instant"), "clearing"),
]


@pytest.mark.parametrize("kind", ["scenario", "measurement"])
@pytest.mark.parametrize(("words", "expected"), OPTIONS, ids=lambda value: "-".join(value) if isinstance(value, tuple) else "")
def test_options(tmp_path, kind, words, expected):
    import re

    source = saved(tmp_path, BASE) if kind == "scenario" else saved_measurement(tmp_path)
    assert re.search(expected, said(source, "--out", tmp_path / "run", *words))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"schema": "tailwag.run/1"}, "expected a measurement of schema tailwag.measure/1, got 'tailwag.run/1'"),
        (
            {"gain": {"depth_usd_per_pct": None}},
            "knows no depth, and how far a dollar moves the price decides the answer; give --depth-usd-per-pct",
        ),
        ({"gain": None}, "give --depth-usd-per-pct"),
        ({"gain": {"depth_usd_per_pct": 0.0}}, "give --depth-usd-per-pct"),
        ({"as_of": None}, "states no time"),
        ({"spot_usd": None}, "states no price"),
        ({"exposure": {"by_expiry": []}}, "knows no at-the-money vol; give --vol"),
        ({"exposure": {"by_expiry": [{"expiry": "2026-03-06T08:00:00Z", "atm_iv": None}]}}, "knows no at-the-money vol"),
        ({"book": {name: [] for name in measurement()["book"]}}, "the measured book is empty"),
        ({"book": {**measurement()["book"], "position_coin": [-1e5] * 4}}, "expected a loop gain below 1 under implicit clearing"),
        ({"assumptions": {**measurement()["assumptions"], "hedge_share": 3.0}}, "hedge_share from 0 to 1"),
    ],
)
def test_measurements_that_cannot_be_simulated(tmp_path, changes, expected):
    assert expected in said(saved_measurement(tmp_path, **changes), "--out", tmp_path / "run", "--hours", "1", "--paths", "4")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--depth-usd-per-pct", "-1"), "depth from 1"),
        (("--depth-usd-per-pct", "nan"), "depth from 1"),
        (("--vol", "60"), "vol as a decimal"),
        (("--vol", "nan"), "vol"),
    ],
)
def test_stated_numbers_that_no_market_has(tmp_path, words, expected):
    assert expected in said(saved_measurement(tmp_path), "--out", tmp_path / "run", "--hours", "1", "--paths", "4", *words)


@pytest.mark.parametrize("words", [("--depth-usd-per-pct", "4e7"), ("--vol", "0.5")])
def test_a_scenario_states_its_own_market(tmp_path, words):
    assert f"{words[0]} goes with a measurement" in said(saved(tmp_path, BASE), "--out", tmp_path / "run", *words)


def test_files_that_are_neither(tmp_path):
    assert "no such file" in said(tmp_path / "none.toml", "--out", tmp_path / "run")
    assert "folder, device or pipe" in said(tmp_path, "--out", tmp_path / "run")
    assert "folder, device or pipe" in said("/dev/zero", "--out", tmp_path / "run")
    assert "expected TOML" in said(saved(tmp_path, "hello\n", "notes.txt"), "--out", tmp_path / "run")
    assert "not strict JSON" in said(saved(tmp_path, '{"schema": NaN}', "m.json"), "--out", tmp_path / "run")
    assert "got None" in said(saved(tmp_path, "{}", "m.json"), "--out", tmp_path / "run")
    assert "is missing" in said(saved(tmp_path, "", "empty.toml"), "--out", tmp_path / "run")
    (tmp_path / "linked.toml").symlink_to(saved(tmp_path, BASE))
    assert "symbolic link" in said(tmp_path / "linked.toml", "--out", tmp_path / "run")


def test_folders_that_cannot_be(tmp_path):
    source = saved(tmp_path, BASE)
    (tmp_path / "file").write_text("x")
    assert "--out expects a folder" in said(source, "--out", tmp_path / "file")
    assert "--out expects a folder" in said(source, "--out", tmp_path / "file" / "below")


def test_what_is_missing_on_the_command_line(tmp_path):
    for words in (
        ("simulate",),
        ("simulate", str(saved(tmp_path, BASE))),
        ("simulate", "--out", "run"),
        ("simulate", "a", "--out", "b", "--lag", "1"),
    ):
        outcome = tailwag(*words)
        assert outcome.code == 2
        assert outcome.out == b""
        assert "Traceback" not in outcome.err


def test_a_gain_above_one_says_how_to_watch_it_run_away(tmp_path):
    text = said(saved(tmp_path, changed(("3e-11", "3e-10"))), "--out", tmp_path / "run")
    assert "expected a loop gain below 1 under implicit clearing, got 1.5" in text
    assert "clearing = 'lagged'" in text


def test_a_calibration_without_an_answer_is_refused_in_a_scenario(tmp_path):
    text = changed(
        ("vol = 0.6", 'vol = 0.6\nvol_is = "observed"'),
        ("3e-11", "1e-9"),
        ('"implicit"', '"lagged"'),
        ("delay_steps = 0", "delay_steps = 1"),
    )
    assert "give the fundamental vol yourself" in said(saved(tmp_path, text), "--out", tmp_path / "run")
