"""The document of a run: plain strict values that say what ran, and the same for any threads."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from tests.experiments.scenario_texts import BASE, changed, saved, saved_measurement, with_options

from tailwag.errors import InputError
from tailwag.experiments.report_json import strict_json
from tailwag.experiments.run_document import events, run_document
from tailwag.experiments.run_files import output_folder, paths_archive, write_whole
from tailwag.experiments.scenario_files import load_scenario
from tailwag.experiments.scenario_writer import Line, Section, scenario_text, toml_value
from tailwag.experiments.simulate import calibration_of, simulate_file
from tailwag.sim.run import default_metric_plan, simulate
from tailwag.sim.state import PNL_PARTS

KEYS = [
    "schema", "headline", "scenario", "source", "seed", "paths", "versions", "engine", "pnl_split", "assumptions", "calibration", "outcomes", "pnl", "events", "gain_by_agent", "liquidations", "takeovers",
    "pools", "venues", "option_trades", "vaults", "options_pools", "metrics",
]  # fmt: skip

TWO_BOOKS = with_options(
    '{right = "call", strike_usd = 60000, days = 0.125, contracts = -40, iv = 0.6, settlement = "average-30min"}',
    '{right = "put", strike_usd = 59500, days = 0.125, contracts = 10, iv = 0.6}',
    '{right = "call", strike_usd = 61000, days = 7, contracts = -100, iv = 0.6}',
)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return simulate_file(load_scenario(saved(tmp_path_factory.mktemp("run"), TWO_BOOKS)))


def test_every_key_in_the_order_in_which_people_read(done):
    assert list(done.document) == KEYS
    assert done.document["schema"] == "tailwag.run/1"
    text = strict_json(done.document)
    assert json.loads(text) == json.loads(json.dumps(done.document))


def test_what_ran_is_stated(done):
    document = done.document
    assumed = document["assumptions"]
    assert document["scenario"] == {"sha256": done.file.sha256, "files": {}, "overrides": {}}
    assert (document["seed"], document["paths"]) == (7, 64)
    assert set(document["versions"]) == {"tailwag", "python", "numpy", "numba"}
    assert (assumed["start"], assumed["hours"], assumed["steps"]) == ("2026-03-01T00:00:00Z", pytest.approx(6.0), 24)
    assert assumed["step_minutes"] == pytest.approx(15.0)
    assert (assumed["clearing"], assumed["price_model"], assumed["price_vol"], assumed["vol_is"]) == ("implicit", "gbm", 0.6, "fundamental")
    assert assumed["impact_per_usd"] == 3e-11
    (desk,) = assumed["agents"]
    assert (desk["name"], desk["policy"], desk["options"], desk["delay_steps"]) == ("desk", "every step", 3, 0)


def black_gamma(strike: float, years: float, vol: float, spot: float) -> float:
    root = vol * math.sqrt(years)
    d1 = math.log(spot / strike) / root + root / 2
    return math.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi) / (spot * root)


def test_the_starting_gain_is_impact_times_dollar_gamma(done):
    plain = -100 * black_gamma(61000, 7 / 365, 0.6, 60000) + 10 * black_gamma(59500, 0.125 / 365, 0.6, 60000)
    window = 30 / (365 * 24 * 60)
    averaged = -40 * black_gamma(60000, 0.125 / 365 - window * 2 / 3, 0.6, 60000)
    gamma_usd = 60000**2 * (plain + averaged)
    assumed = done.document["assumptions"]
    assert assumed["agents"][0]["starting_dollar_gamma_usd"] == pytest.approx(gamma_usd, rel=1e-9)
    assert assumed["starting_gain"] == pytest.approx(-3e-11 * gamma_usd, rel=1e-9)


def test_outcomes_name_every_end_and_sum_to_the_paths(done):
    rows = done.document["outcomes"]
    assert [row["outcome"] for row in rows] == ["finished", "runaway", "depth_exhausted", "halted"]
    assert sum(row["paths"] for row in rows) == 64
    assert all(row["sentence"] and row["share"]["count"] == row["paths"] for row in rows)


def test_profit_closes_with_its_residual(done):
    (desk,) = done.document["pnl"]
    assert list(desk["parts_usd"]) == list(PNL_PARTS)
    total = math.fsum(part["value"] for part in desk["parts_usd"].values())
    turnover = done.document["metrics"]["agents"][0]["turnover_usd_per_day"]["value"]
    assert total == pytest.approx(desk["total_usd"]["value"], abs=1e-9 * turnover)


def test_events_are_the_expiries_inside_the_run(done):
    average, expiry = done.document["events"]
    assert (average["event"], average["at"], average["options"], average["contracts_coin"]) == (
        "settlement-average",
        "2026-03-01T02:30:00Z",
        2,
        50.0,
    )
    assert (expiry["event"], expiry["at"], expiry["options"], expiry["contracts_coin"]) == ("expiry", "2026-03-01T03:00:00Z", 2, 50.0)
    assert expiry["hours"] == pytest.approx(3.0)


def test_pins_stand_at_the_strikes_of_the_expiry_and_at_its_step(done):
    pins = default_metric_plan(done.file.scenario).pins
    assert [(pin.strike_usd, pin.step) for pin in pins] == [(59500.0, 12), (60000.0, 12)]
    assert pins[0].half_width_bps == pytest.approx(1e4 * 0.02 * 0.6 * math.sqrt(0.125 / 365))
    assert [row["strike_usd"] for row in done.document["metrics"]["pins"]] == [59500.0, 60000.0]


def test_threads_change_no_byte(done):
    assert strict_json(simulate_file(done.file, threads=2).document) == strict_json(done.document)


def test_another_seed_changes_the_numbers(done):
    other = simulate_file(replace(done.file, seed=8)).document
    assert other["metrics"]["realised_vol"] != done.document["metrics"]["realised_vol"]


def test_overrides_are_part_of_what_ran(tmp_path):
    from tailwag.experiments.scenario_files import Overrides

    file = load_scenario(saved(tmp_path, BASE), overrides=Overrides(hours=3.0, paths=5))
    document = simulate_file(file).document
    assert document["scenario"]["overrides"] == {"hours": 3.0, "paths": 5}
    assert document["paths"] == 5
    assert document["assumptions"]["steps"] == 12


def test_an_observed_vol_is_what_the_closed_loop_shows(tmp_path):
    """Constant gamma, same-step hedging: fundamental = observed (1 - g); fed in as it is, the loop would show observed / (1 - g)."""
    text = changed(("vol = 0.6", 'vol = 0.6\nvol_is = "observed"'), ("paths = 64", "paths = 256"))
    file = load_scenario(saved(tmp_path, text))
    found = calibration_of(file)
    gain = 3e-11 * 5e9
    assert found.fundamental_vol == pytest.approx(0.6 * (1 - gain), rel=1e-9)
    document = simulate_file(file, calibration=found).document
    assert document["metrics"]["realised_vol"]["hedged"]["value"] == pytest.approx(0.6, rel=0.05)
    assert document["calibration"] == {
        "observed_vol": 0.6,
        "fundamental_vol": found.fundamental_vol,
        "closed_vol": found.closed_vol,
        "double_counted_vol": found.double_counted_vol,
        "hours": pytest.approx(6.0),
        "paths": found.paths,
    }
    whole = next(row for row in document["metrics"]["horizons"] if row["hours"] == pytest.approx(6.0))["vol"]["hedged"]
    assert document["headline"][1].startswith("Over 6 h, the returns whose observed vol of 60.00 % was matched, vol is ")
    said = re.search(r"vol is ([\d.]+) \+- ([\d.]+) % a year", document["headline"][1])
    assert [float(said[1]), float(said[2])] == pytest.approx([100 * whole["value"], 100 * whole["standard_error"]], rel=0.03)
    assert "is realised vol" not in document["headline"][1]
    twice = simulate_file(replace(file, vol_is="fundamental")).document
    assert twice["calibration"] is None
    assert not any("was matched" in sentence for sentence in twice["headline"])
    assert twice["metrics"]["realised_vol"]["hedged"]["value"] == pytest.approx(0.6 / (1 - gain), rel=0.05)
    assert any("already contains hedging" in note for note in document["assumptions"]["notes"])
    assert document["assumptions"]["price_vol"] == pytest.approx(0.6 * (1 - gain))
    assert strict_json(document) == strict_json(simulate_file(file).document)


def test_nobody_hedging_needs_no_calibration(tmp_path):
    text = changed(("vol = 0.6", 'vol = 0.6\nvol_is = "observed"'))
    assert calibration_of(load_scenario(saved(tmp_path, text[: text.index("[[agent]]")]))) is None


def test_a_run_away_is_an_outcome_and_no_number_is_lost(tmp_path):
    text = changed(("3e-11", "1e-9"), ('"implicit"', '"lagged"'), ("delay_steps = 0", "delay_steps = 1"))
    document = simulate_file(load_scenario(saved(tmp_path, text))).document
    strict_json(document)
    runaway = next(row for row in document["outcomes"] if row["outcome"] == "runaway")
    assert runaway["paths"] == 64
    assert "ran away" in runaway["sentence"]


def test_a_graded_grid_has_no_step_length(tmp_path):
    text = changed(("step_minutes = 15", 'time_grid = {kind = "graded", steps = 20, exponent = 3}'))
    document = simulate_file(load_scenario(saved(tmp_path, text))).document
    assert document["assumptions"]["step_minutes"] is None
    assert document["metrics"]["horizons"] == []
    strict_json(document)


def test_no_start_means_no_times(tmp_path):
    file = load_scenario(saved(tmp_path, changed(("start = 2026-03-01T00:00:00Z\n", ""), text=TWO_BOOKS)))
    assert [event["at"] for event in events(file)] == [None, None]
    run = simulate(file.scenario, paths=4, seed=1)
    assert run_document(file, run)["assumptions"]["start"] is None


# Files


def test_paths_are_what_numpy_reads_back(tmp_path):
    text = changed(("paths = 64", "paths = 5")) + "[output]\npaths = true\n"
    done = simulate_file(load_scenario(saved(tmp_path, text)))
    packed = paths_archive(done.kept)
    (tmp_path / "paths.npz").write_bytes(packed)
    with np.load(tmp_path / "paths.npz", allow_pickle=False) as read:
        assert sorted(read) == ["desk_position_coin", "fundamental_usd", "price_usd", "time_years"]
        arrays = {name: read[name] for name in read}
    assert arrays["time_years"].shape == (25,)
    assert {arrays[name].shape for name in arrays if name != "time_years"} == {(5, 25)}
    assert arrays["price_usd"][:, 0].tolist() == [60000.0] * 5
    assert arrays["fundamental_usd"][:, 0].tolist() == [60000.0] * 5
    # constant gain, permanent impact: x = F / (1 - g) on every path at every step
    hedged, alone = np.log(arrays["price_usd"] / 60000), np.log(arrays["fundamental_usd"] / 60000)
    assert np.allclose(hedged, alone / (1 - 3e-11 * 5e9), atol=1e-12)
    assert arrays["desk_position_coin"][0, -1] != 0.0
    assert paths_archive(simulate_file(done.file, threads=2).kept) == packed


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    write_whole(path, b"old")

    def broken(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", broken)
    with pytest.raises(InputError, match=r"cannot write run\.json \(No space left on device\)"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.json"]


def test_folders_are_made_or_refused(tmp_path):
    assert output_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="expects a folder"):
        output_folder(tmp_path / "file")
    with pytest.raises(InputError, match="expects a folder"):
        output_folder("a\0b")


# Writing scenarios


@pytest.mark.parametrize(
    "value", [0.1 + 0.2, 1e-300, 1.533255523109522e-10, 2**62, True, 'a "quoted" \\ word', "caf\u00e9\t", {"a": [1, 2.5]}]
)
def test_values_come_back_to_the_last_bit(value):
    import tomllib

    assert tomllib.loads(f"x = {toml_value(value)}")["x"] == value


def test_remarks_stay_on_their_line():
    import tomllib

    text = scenario_text(["one\ntwo \x1b[31m\u20ac"], [Section("[run]", (Line("seed", 7, "said\nsecret = 1"),))])
    assert tomllib.loads(text) == {"run": {"seed": 7}}
    assert text.isascii()


def test_a_measured_book_names_its_digest(tmp_path):
    saved_measurement(tmp_path)
    file = load_scenario(saved(tmp_path, changed(("gamma_usd = -5e9\niv = 0.6", 'book = "measure.json"'), ("paths = 64", "paths = 8"))))
    document = simulate_file(file).document
    assert document["scenario"]["files"] == file.files
    assert list(file.files) == ["measure.json"]
