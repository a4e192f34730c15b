"""Scenario files: every key reaches the scenario as written, and every mistake is one sentence that names its place."""

from __future__ import annotations

import hashlib
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
from tests.experiments.scenario_texts import BASE, OPTION, changed, measurement, saved, saved_measurement, with_options

from tailwag.errors import FileFormatError, InputError, TimeError, UnitError
from tailwag.experiments.scenario_files import Overrides, ScenarioFile, load_scenario
from tailwag.hedging.execution import AlmgrenChriss, Maker, ObizhaevaWang, Twap
from tailwag.hedging.policies import Band, EveryStep
from tailwag.sim.agents.dealer import HedgeInstrument
from tailwag.sim.agents.ladder import LiquidationLadder
from tailwag.sim.dynamics import Bates, Bootstrap, Gbm, HawkesJumps, Heston, Kou, Merton, Replay, StudentT


def read(folder: Path, text: str, **said: object) -> ScenarioFile:
    return load_scenario(saved(folder, text), overrides=Overrides(**said))  # type: ignore[arg-type]


def test_the_base_file_is_read_as_written(tmp_path):
    file = read(tmp_path, BASE)
    scenario, (desk,) = file.scenario, file.scenario.agents
    assert (file.paths, file.seed, file.write_paths, file.vol_is, file.files) == (64, 7, False, "fundamental", {})
    assert file.sha256 == hashlib.sha256(BASE.encode()).hexdigest()
    assert (scenario.spot_usd, scenario.clearing, scenario.grid.steps) == (60000.0, "implicit", 24)
    assert scenario.grid.horizon_years == pytest.approx(0.25 / 365, rel=1e-15)
    assert scenario.price == Gbm(vol=0.6)
    assert scenario.start_ns == 1772323200 * 10**9
    assert (scenario.stop_log_move, scenario.halt_log_move) == (0.7, None)
    assert scenario.impact.permanent_per_usd == 3e-11
    assert (desk.name, desk.gamma_usd, desk.iv, desk.delay_steps, desk.speed, desk.hedge_share) == ("desk", -5e9, 0.6, 0, 1.0, 1.0)
    assert desk.policy == EveryStep()


def test_what_is_not_stated_is_said(tmp_path):
    file = read(tmp_path, changed(("iv = 0.6\n", "")))
    assert file.scenario.agents[0].iv == 0.6
    assert len(file.notes) == 1
    assert "iv is not stated" in file.notes[0]
    assert read(tmp_path, BASE).notes == ()


def test_a_graded_grid(tmp_path):
    text = changed(("step_minutes = 15", 'time_grid = {kind = "graded", steps = 50, exponent = 4}'))
    years = read(tmp_path, text).scenario.grid.years
    left = 1.0 - years / years[-1]
    assert np.allclose(left, (1.0 - np.arange(51) / 50) ** 4, atol=1e-15)


@pytest.mark.parametrize(
    ("table", "model"),
    [
        ('model = "gbm"\nvol = 0.6\ndrift_per_year = "martingale"', Gbm(0.6, "martingale")),
        ('model = "student-t"\nvol = 0.6\ndegrees_of_freedom = 4', StudentT(0.6, 4.0)),
        ('model = "heston"\nv0 = 0.36\nkappa = 3\ntheta = 0.45\nxi = 1.2\nrho = -0.25', Heston(0.36, 3.0, 0.45, 1.2, -0.25)),
        ('model = "merton"\nvol = 0.5\njumps_per_year = 20\njump_mean = -0.02\njump_std = 0.06', Merton(0.5, 20.0, -0.02, 0.06)),
        (
            'model = "kou"\nvol = 0.5\njumps_per_year = 20\nup_probability = 0.4\nup_rate = 30\ndown_rate = 20',
            Kou(0.5, 20.0, 0.4, 30.0, 20.0),
        ),
        (
            'model = "bates"\nv0 = 0.36\nkappa = 3\ntheta = 0.45\nxi = 1.2\nrho = -0.25\njumps_per_year = 20\njump_mean = -0.02\njump_std = 0.06',
            Bates(0.36, 3.0, 0.45, 1.2, -0.25, 20.0, -0.02, 0.06),
        ),
        (
            'model = "hawkes"\nvol = 0.5\nbase_jumps_per_year = 10\nbranching_ratio = 0.6\ndecay_per_year = 2000\njump_mean = -0.01\njump_std = 0.02',
            HawkesJumps(0.5, 10.0, 0.6, 2000.0, -0.01, 0.02),
        ),
    ],
)
def test_every_price_model(tmp_path, table, model):
    file = read(tmp_path, changed(('model = "gbm"\nspot_usd = 60000\nvol = 0.6', f"spot_usd = 60000\n{table}")))
    assert file.scenario.price == model


def candles(folder: Path, closes: list[float], *, header: str = "timestamp,open,close", newest_first: bool = False) -> None:
    rows = [f"{1772323200000 + 900_000 * place},1,{close!r}" for place, close in enumerate(closes)]
    saved(folder, "\n".join([header, *(reversed(rows) if newest_first else rows)]) + "\n", "candles.csv")


CLOSES = [60000.0 * math.exp(0.001 * math.sin(1.7 * place)) for place in range(40)]
FROM_FILE = ('model = "gbm"\nspot_usd = 60000\nvol = 0.6', 'model = "bootstrap"\nspot_usd = 60000\nfile = "candles.csv"\nblock_hours = 2')


@pytest.mark.parametrize("newest_first", [False, True])
def test_bootstrap_of_candles(tmp_path, newest_first):
    candles(tmp_path, CLOSES, newest_first=newest_first)
    file = read(tmp_path, changed(FROM_FILE))
    model = file.scenario.price
    assert isinstance(model, Bootstrap)
    assert np.allclose(model.log_returns, np.diff(np.log(CLOSES)), rtol=1e-14)
    assert model.candle_years == pytest.approx(15 / (365 * 24 * 60), rel=1e-15)
    assert file.files == {"candles.csv": hashlib.sha256((tmp_path / "candles.csv").read_bytes()).hexdigest()}


def test_returns_over_a_gap_are_left_out_and_counted(tmp_path):
    candles(tmp_path, CLOSES)
    lines = (tmp_path / "candles.csv").read_text().splitlines()
    saved(tmp_path, "\n".join(lines[:11] + lines[14:]) + "\n", "candles.csv")
    file = read(tmp_path, changed(FROM_FILE))
    assert file.scenario.price.log_returns.size == 39 - 4
    assert "1 returns over gaps are left out" in file.notes[0]


def test_a_replay_starts_at_the_start(tmp_path):
    candles(tmp_path, CLOSES)
    text = changed((FROM_FILE[0], 'model = "replay"\nspot_usd = 60000\nfile = "candles.csv"'), ("00:00:00Z", "01:00:00Z"))
    model = read(tmp_path, text).scenario.price
    assert isinstance(model, Replay)
    assert np.allclose(model.log_returns, np.diff(np.log(CLOSES))[4:28], rtol=1e-14)


def test_impact_in_full(tmp_path):
    text = changed(
        (
            "permanent_per_usd = 3e-11",
            "permanent_per_coin = 1e-6\ntransient_per_usd = 2e-11\ntransient_half_life_minutes = 20\nlimit_usd_per_step = 1e9\n"
            "depth_reacts = {vol_sensitivity = 5, flow_sensitivity_per_usd = 1e-9, half_life_minutes = 30, floor = 0.2}",
        )
    )
    impact = read(tmp_path, text).scenario.impact
    assert (impact.permanent_per_usd, impact.permanent_per_coin, impact.transient_per_usd, impact.limit_usd_per_step) == (
        0.0,
        1e-6,
        2e-11,
        1e9,
    )
    assert impact.rates_per_minute.tolist() == pytest.approx([math.log(2) / 20])
    assert (impact.depth_reacts.vol_sensitivity, impact.depth_reacts.floor) == (5.0, 0.2)


def test_a_power_kernel_counts_age_in_steps_unless_told(tmp_path):
    power = 'transient_per_usd = 2e-11\nkernel = "power"\nexponent = 0.5'
    impact = read(tmp_path, changed(("permanent_per_usd = 3e-11", power))).scenario.impact
    assert (impact.power_exponent, impact.power_unit_minutes, impact.power_horizon_minutes) == (
        0.5,
        pytest.approx(15.0),
        pytest.approx(360.0),
    )
    stated = f"{power}\npower_unit_minutes = 1\npower_horizon_minutes = 1000"
    told = read(tmp_path, changed(("permanent_per_usd = 3e-11", stated))).scenario.impact
    assert (told.power_unit_minutes, told.power_horizon_minutes) == (1.0, 1000.0)


def test_the_square_root_law_with_its_warning(tmp_path):
    text = changed(("permanent_per_usd = 3e-11", 'law = "square-root"\ndaily_volume_usd = 10e9\ndaily_vol = 0.031\ncrossover_usd = 1e8'))
    file = read(tmp_path, text)
    law = file.scenario.impact.square_root
    assert (law.daily_volume_usd, law.daily_vol, law.crossover_usd, law.y) == (10e9, 0.031, 1e8, 1.0)
    assert "square-root law" in file.notes[-1]


def test_vol_costs_and_limits(tmp_path):
    text = BASE + (
        "\n[vol]\nspot_vol_beta = -0.8\nmean_reversion_per_day = 0.5\nvega_impact_per_usd = 1e-9\ncouple_price_vol = true\n"
        "\n[costs]\nfee_bps = 3\nhalf_spread_bps = 1.5\ngas_usd = 2\n"
    )
    scenario = read(tmp_path, changed(("seed = 7", "seed = 7\nstop_log_move = 0.5\nhalt_log_move = 0.1"), text=text)).scenario
    assert (scenario.vol.spot_vol_beta, scenario.vol.mean_reversion_per_day, scenario.vol.vega_impact_per_usd) == (-0.8, 0.5, 1e-9)
    assert scenario.vol.couple_price_vol is True
    assert (scenario.costs.fee_bps, scenario.costs.half_spread_bps, scenario.costs.gas_usd) == (3.0, 1.5, 2.0)
    assert (scenario.stop_log_move, scenario.halt_log_move) == (0.5, 0.1)


def test_options_by_days_and_by_expiry(tmp_path):
    dated = '{right = "put", strike_usd = 55000, expiry = 2026-03-08T08:00:00Z, contracts = 12.5, iv = 0.7, settlement = "average-30min", skew = -0.1, forward_ratio = 1.01}'
    book = read(tmp_path, with_options(OPTION, dated)).scenario.agents[0].options
    assert book.right.tolist() == [1, -1]
    assert book.expiry_years.tolist() == pytest.approx([7 / 365, (7 + 8 / 24) / 365], rel=1e-15)
    assert book.contracts_coin.tolist() == [-100.0, 12.5]
    assert book.averaged.tolist() == [False, True]
    assert (book.skew.tolist(), book.forward_ratio.tolist()) == ([0.0, -0.1], [1.0, 1.01])


@pytest.mark.parametrize(
    ("words", "made"),
    [
        ('{kind = "twap", slices = 4}', Twap(4)),
        ('{kind = "almgren-chriss", slices = 5, urgency = 3}', AlmgrenChriss(5, 3.0)),
        ('{kind = "obizhaeva-wang", slices = 6, decays = 2.2}', ObizhaevaWang(6, 2.2)),
        ('{kind = "maker", fill_probability = 0.3}', Maker(0.3)),
    ],
)
def test_every_execution(tmp_path, words, made):
    text = changed(("delay_steps = 0", f"delay_steps = 1\nexecution = {words}"), ('clearing = "implicit"', 'clearing = "lagged"'))
    assert read(tmp_path, text).scenario.agents[0].execution == made


def test_the_rest_of_an_agent(tmp_path):
    text = (
        changed(
            ("delay_steps = 0", 'delay_steps = 2\nspeed = 0.5\nhedge_share = 0.3\nafter_expiry = "hold"\nstream = 3'),
            ('{kind = "every-step"}', '{kind = "band", half_width_usd = 2e6, target = "centre"}'),
        )
        + 'instrument = {kind = "perp", funding_per_year = 0.1, margin_share = 0.05}\n'
    )
    desk = read(tmp_path, text).scenario.agents[0]
    assert (desk.delay_steps, desk.speed, desk.hedge_share, desk.after_expiry, desk.stream) == (2, 0.5, 0.3, "hold", 3)
    assert desk.policy == Band(half_width_usd=2e6, target="centre")
    assert desk.instrument == HedgeInstrument("perp", 0.1, 0.05)


def test_a_policy_in_one_word(tmp_path):
    assert read(tmp_path, changed(('{kind = "every-step"}', '"band:2e6usd"'))).scenario.agents[0].policy == Band(half_width_usd=2e6)


def test_nobody_hedges_and_no_impact_is_asked_for(tmp_path):
    scenario = read(tmp_path, BASE[: BASE.index("[impact]")]).scenario
    assert scenario.agents == ()
    assert scenario.impact.small_signal_per_usd(60000.0) == 0.0


def test_a_scalper_is_a_dealer_long_its_options(tmp_path):
    scalper = changed(('"dealer"', '"scalper"'), ("-5e9", "5e9"))
    assert read(tmp_path, scalper).scenario.agents[0].gamma_usd == 5e9
    unnamed = read(tmp_path, changed(('name = "desk"\n', ""), text=scalper)).scenario.agents[0]
    assert unnamed.name == "scalper-1"


def test_overrides_take_the_place_of_the_files_words(tmp_path):
    text = changed(("seed = 7\n", ""), ("delay_steps = 0", "delay_steps = 1"))
    file = read(tmp_path, text, hours=3.0, paths=10, seed=5, clearing="lagged")
    assert (file.paths, file.seed, file.scenario.clearing, file.scenario.grid.steps) == (10, 5, "lagged", 12)
    assert file.overrides.stated == {"hours": 3.0, "paths": 10, "seed": 5, "clearing": "lagged"}


# A measured book

MEASURED = changed(("gamma_usd = -5e9\niv = 0.6", 'book = "measure.json"'))


def test_a_measured_book(tmp_path):
    path = saved_measurement(tmp_path)
    file = read(tmp_path, MEASURED)
    book = file.scenario.agents[0].options
    assert book.right.tolist() == [1, -1, 1]
    assert book.strike_usd.tolist() == [60000.0, 58000.0, 65000.0]
    assert book.contracts_coin.tolist() == [-100.0, -50.0, 25.0]
    assert book.expiry_years.tolist() == pytest.approx([(5 + 8 / 24) / 365] * 3, rel=1e-15)
    assert book.forward_ratio.tolist() == pytest.approx([1.001] * 3)
    assert book.skew.tolist() == [0.0] * 3
    assert book.averaged.tolist() == [True] * 3
    assert file.files == {"measure.json": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert any("1 of 4 rows are masked" in note for note in file.notes)


def smile_slope(a: float, b: float, rho: float, m: float, sigma: float, years: float, k: float) -> float:
    """d vol / dk of a raw SVI slice by hand."""
    root = math.sqrt((k - m) ** 2 + sigma**2)
    variance = a + b * (rho * (k - m) + root)
    return b * (rho + (k - m) / root) / (2.0 * math.sqrt(variance * years))


@pytest.mark.parametrize(("dynamics", "ratio"), [("sticky-moneyness", 0.0), ("ssr:1.5", 1.5)])
def test_vols_follow_spot_by_the_measured_smile(tmp_path, dynamics, ratio):
    raw = {"a": 0.002, "b": 0.02, "rho": -0.4, "m": 0.01, "sigma": 0.05}
    years = 0.0146
    smile = {"venue": "deribit", "expiry": "2026-03-06T08:00:00Z", "years": years, "parameters": raw, "curve": []}
    assumptions = {**measurement()["assumptions"], "dynamics": dynamics}
    saved_measurement(tmp_path, surface={"smiles": [smile]}, assumptions=assumptions)
    book = read(tmp_path, MEASURED).scenario.agents[0].options
    wanted = [(ratio - 1.0) * smile_slope(**raw, years=years, k=math.log(strike / 60060.0)) for strike in book.strike_usd]
    assert book.skew.tolist() == pytest.approx(wanted, rel=1e-12)


def test_a_smile_without_parameters_gives_the_slope_of_its_curve(tmp_path):
    curve = [{"log_moneyness": k, "iv": 0.6 - 0.3 * k} for k in (-0.2, -0.1, 0.0, 0.1, 0.2)]
    smile = {"venue": "deribit", "expiry": "2026-03-06T08:00:00Z", "years": 0.0146, "parameters": {"knots": 5.0}, "curve": curve}
    saved_measurement(tmp_path, surface={"smiles": [smile]}, assumptions={**measurement()["assumptions"], "dynamics": "sticky-moneyness"})
    assert read(tmp_path, MEASURED).scenario.agents[0].options.skew.tolist() == pytest.approx([0.3] * 3)


def test_rows_that_have_settled_leave_and_are_counted(tmp_path):
    book = measurement()["book"]
    book["expiry"][1] = "2026-02-28T08:00:00Z"
    saved_measurement(tmp_path, book=book)
    file = read(tmp_path, MEASURED)
    assert file.scenario.agents[0].options.rows == 2
    assert any("1 of 4 rows expire at or before the start" in note for note in file.notes)


def test_rows_whose_settlement_average_is_running_leave_and_are_counted(tmp_path):
    book = measurement()["book"]
    book["expiry"][0] = "2026-03-01T00:20:00Z"  # averaged, in its window
    book["expiry"][1] = "2026-03-01T00:20:00Z"
    book["settlement"][1], book["venue"][1] = "linear", "cboe"  # settles at once
    saved_measurement(tmp_path, book=book)
    file = read(tmp_path, MEASURED)
    assert file.scenario.agents[0].options.averaged.tolist() == [False, True]
    assert any("the settlement average of 1 rows is running at the start" in note for note in file.notes)
    assert not any("expire at or before" in note for note in file.notes)


def test_an_undetermined_sign_and_synthetic_data_are_said(tmp_path):
    gain = {**measurement()["gain"], "regime": "undetermined"}
    saved_measurement(tmp_path, gain=gain, source={"synthetic": True})
    notes = " ".join(read(tmp_path, MEASURED).notes)
    assert "sign of the book is undetermined" in notes
    assert "SYNTHETIC" in notes


def test_a_book_in_a_folder_below(tmp_path):
    (tmp_path / "books").mkdir()
    saved_measurement(tmp_path / "books")
    file = read(tmp_path, changed(('"measure.json"', '"books/measure.json"'), text=MEASURED))
    assert list(file.files) == ["books/measure.json"]


# What is refused, and in which words

RUN = "horizon_days = 0.25"
BAND = changed(('{kind = "every-step"}', '{kind = "band", half_width_usd = 1}'))
AGENT = "gamma_usd = -5e9\niv = 0.6"
REFUSED = {
    "unknown table": (changed(("[price]", "[prices]")), InputError, r"unknown table 'prices' \(did you mean price\?"),
    "unknown key": (changed((RUN, "horizon_day = 1")), InputError, r"\[run\]: unknown key 'horizon_day' \(did you mean horizon_days\?"),
    "threads are no part of a scenario": (changed((RUN, f"{RUN}\nthreads = 2")), InputError, r"\[run\]: unknown key 'threads'"),
    "no horizon": (changed((RUN, "")), InputError, r"\[run\]: horizon_days is missing"),
    "negative horizon": (changed((RUN, "horizon_days = -1")), InputError, r"\[run\]: expected horizon_days from 1e-05.*got -1"),
    "zero horizon": (changed((RUN, "horizon_days = 0")), InputError, r"\[run\]: expected horizon_days from 1e-05.*got 0"),
    "infinite horizon": (changed((RUN, "horizon_days = inf")), InputError, r"horizon_days as a finite number"),
    "a horizon in text": (changed((RUN, 'horizon_days = "1"')), InputError, r"horizon_days as a number, got '1'"),
    "a horizon that is true": (changed((RUN, "horizon_days = true")), InputError, r"horizon_days as a number, got True"),
    "no step": (changed(("step_minutes = 15", "")), InputError, r"\[run\]: step_minutes is missing"),
    "negative step": (changed(("step_minutes = 15", "step_minutes = -5")), InputError, r"step_minutes above 0.*got -5"),
    "an uneven step": (changed(("step_minutes = 15", "step_minutes = 7")), InputError, r"a whole number of steps.*51\.4"),
    "two grids": (
        changed(("step_minutes = 15", 'step_minutes = 15\ntime_grid = {kind = "graded", steps = 9, exponent = 4}')),
        InputError,
        r"\[run\]: expected one of step_minutes, time_grid",
    ),
    "unknown grid": (changed(("step_minutes = 15", 'time_grid = {kind = "finer", steps = 9, exponent = 4}')), InputError, r"\[run\] time_grid: .*graded"),
    "a grid without an exponent": (changed(("step_minutes = 15", 'time_grid = {kind = "graded", steps = 9}')), InputError, r"time_grid: exponent is missing"),
    "a grid of no steps": (changed(("step_minutes = 15", 'time_grid = {kind = "graded", steps = 0, exponent = 4}')), InputError, r"expected steps from 1"),
    "a grid too steep": (changed(("step_minutes = 15", 'time_grid = {kind = "graded", steps = 9, exponent = 40}')), InputError, r"grading exponent"),
    "too many steps": (changed((RUN, "horizon_days = 36500")), InputError, r"\d steps would take|expected 1 to"),
    "no paths": (changed(("paths = 64", "")), InputError, r"\[run\]: paths is missing"),
    "zero paths": (changed(("paths = 64", "paths = 0")), InputError, r"expected paths from 1"),
    "half a path": (changed(("paths = 64", "paths = 2.5")), InputError, r"paths as a whole number, got 2\.5"),
    "too many paths": (changed(("paths = 64", "paths = 1e12")), InputError, r"expected paths from 1 to 100,000,000"),
    "no seed": (changed(("seed = 7", "")), InputError, r"\[run\]: seed is missing"),
    "negative seed": (changed(("seed = 7", "seed = -1")), InputError, r"expected seed from 0"),
    "no clearing": (changed(('clearing = "implicit"', "")), InputError, r"\[run\]: clearing is missing"),
    "unknown clearing": (changed(('"implicit"', '"implict"')), InputError, r"clearing as one of implicit, damped, lagged.*did you mean implicit"),
    "lagged without a delay": (changed(('"implicit"', '"lagged"')), InputError, r"agent 'desk': lagged clearing wants delay_steps >= 1, got 0"),
    "damped without a delay": (changed(('"implicit"', '"damped"')), InputError, r"agent 'desk': damped clearing wants delay_steps = 1, got 0"),
    "a naive start": (changed(("00:00:00Z", "00:00:00")), TimeError, r"\[run\]: .*offset"),
    "a start that is a date": (changed(("2026-03-01T00:00:00Z", "2026-03-01")), InputError, r"start as a time"),
    "a start in another age": (changed(("2026-03-01T", "1826-03-01T")), TimeError, r"outside 2009 to 2100"),
    "a bound of zero": (changed(("seed = 7", "seed = 7\nstop_log_move = 0")), InputError, r"stop_log_move above 0"),
    "a bound in per cent": (changed(("seed = 7", "seed = 7\nhalt_log_move = 10")), InputError, r"halt_log_move above 0 and at most 5"),
    "vol in per cent": (changed(("vol = 0.6", "vol = 60")), UnitError, r"\[price\]: expected vol as a decimal.*got 60; write"),
    "negative vol": (changed(("vol = 0.6", "vol = -0.6")), InputError, r"\[price\]: expected vol.*-0\.6"),
    "no vol": (changed(("vol = 0.6", "")), InputError, r"\[price\]: vol is missing"),
    "vol that is no number": (changed(("vol = 0.6", "vol = nan")), InputError, r"vol as a finite number"),
    "no model": (changed(('model = "gbm"', "")), InputError, r"\[price\]: model is missing"),
    "unknown model": (changed(('"gbm"', '"gmb"')), InputError, r"model as one of gbm.*did you mean gbm"),
    "a key of another model": (changed(("vol = 0.6", "vol = 0.6\nkappa = 3")), InputError, r"\[price\]: unknown key 'kappa'"),
    "no spot": (changed(("spot_usd = 60000", "")), InputError, r"\[price\]: spot_usd is missing"),
    "negative spot": (changed(("spot_usd = 60000", "spot_usd = -1")), InputError, r"spot_usd above 0"),
    "unknown drift": (changed(("vol = 0.6", 'vol = 0.6\ndrift_per_year = "up"')), InputError, r"drift_per_year.*martingale"),
    "drift in per cent": (changed(("vol = 0.6", "vol = 0.6\ndrift_per_year = 500")), UnitError, r"drift_per_year.*got 500"),
    "what the vol is": (changed(("vol = 0.6", 'vol = 0.6\nvol_is = "implied"')), InputError, r"vol_is as one of fundamental, observed, uncalibrated"),
    "branching of one": (
        changed(
            ('"gbm"', '"hawkes"'),
            ("vol = 0.6", "vol = 0.6\nbase_jumps_per_year = 10\nbranching_ratio = 1\ndecay_per_year = 2000\njump_mean = 0\njump_std = 0.02"),
        ),
        InputError,
        r"branching_ratio from 0 to below 1",
    ),
    "jumps without end": (
        changed(('"gbm"', '"merton"'), ("vol = 0.6", "vol = 0.6\njumps_per_year = 1e14\njump_mean = 0\njump_std = 0")),
        InputError,
        r"expected jumps_per_year from 0 to 1e\+08",
    ),
    "no impact": (changed(("[impact]\npermanent_per_usd = 3e-11", "")), InputError, r"\[impact\] is missing"),
    "an empty impact": (changed(("permanent_per_usd = 3e-11", "")), InputError, r"\[impact\]: expected permanent_per_usd.*got none"),
    "negative impact": (changed(("= 3e-11", "= -3e-11")), InputError, r"permanent_per_usd of 0 or more|permanent_per_usd from 0"),
    "a depth for an impact": (changed(("= 3e-11", "= 40e6")), InputError, r"permanent_per_usd.*got 4e\+07.*0\.01 / depth"),
    "impact per USD and per coin": (
        changed(("= 3e-11", "= 3e-11\npermanent_per_coin = 1e-6")),
        InputError,
        r"\[impact\]: expected one of permanent_per_usd, permanent_per_coin",
    ),
    "passing impact that never passes": (
        changed(("= 3e-11", "= 3e-11\ntransient_per_usd = 1e-11")),
        InputError,
        r"transient_half_life_minutes is missing",
    ),
    "a half-life of nothing": (
        changed(("= 3e-11", "= 3e-11\ntransient_half_life_minutes = 30")),
        InputError,
        r"transient_half_life_minutes is read with transient_per_usd",
    ),
    "a kernel without its exponent": (
        changed(("= 3e-11", '= 3e-11\ntransient_per_usd = 1e-11\nkernel = "power"')),
        InputError,
        r"\[impact\]: exponent is missing",
    ),
    "an exponent without its kernel": (
        changed(("= 3e-11", "= 3e-11\ntransient_per_usd = 1e-11\ntransient_half_life_minutes = 9\nexponent = 0.5")),
        InputError,
        r"exponent is read with kernel = 'power'",
    ),
    "a kernel that cannot be followed": (
        changed(("= 3e-11", '= 3e-11\ntransient_per_usd = 1e-11\nkernel = "power"\nexponent = 9')),
        InputError,
        r"power exponent from",
    ),
    "a square root without a crossover": (
        changed(("permanent_per_usd = 3e-11", 'law = "square-root"\ndaily_volume_usd = 1e10\ndaily_vol = 0.03')),
        InputError,
        r"crossover_usd is missing",
    ),
    "a square root in per cent": (
        changed(("permanent_per_usd = 3e-11", 'law = "square-root"\ndaily_volume_usd = 1e10\ndaily_vol = 30\ncrossover_usd = 1e6')),
        UnitError,
        r"daily_vol as a decimal, got 30; write 0\.3",
    ),
    "a volume that no law reads": (changed(("= 3e-11", "= 3e-11\ndaily_volume_usd = 1e10")), InputError, r"daily_volume_usd is read with law"),
    "depth without a floor": (
        changed(("= 3e-11", "= 3e-11\ndepth_reacts = {vol_sensitivity = 5, flow_sensitivity_per_usd = 0, half_life_minutes = 5}")),
        InputError,
        r"\[impact\] depth_reacts: floor is missing",
    ),
    "depth that goes below zero": (
        changed(("= 3e-11", "= 3e-11\ndepth_reacts = {vol_sensitivity = 5, flow_sensitivity_per_usd = 0, half_life_minutes = 5, floor = 0}")),
        InputError,
        r"floor above 0",
    ),
    "no room in a step": (changed(("= 3e-11", "= 3e-11\nlimit_usd_per_step = 0")), InputError, r"limit_usd_per_step above 0"),
    "a gain of one": (changed(("= 3e-11", "= 2e-10")), InputError, r"loop gain below 1 under implicit clearing, got 1 "),
    "a gain above one, damped": (
        changed(("= 3e-11", "= 4e-10"), ('"implicit"', '"damped"'), ("delay_steps = 0", "delay_steps = 1")),
        InputError,
        r"loop gain below 1 under damped clearing, got 2 ",
    ),
    "an unknown fee": (BASE + "[costs]\nfees_bps = 3\n", InputError, r"\[costs\]: unknown key 'fees_bps' \(did you mean fee_bps"),
    "a fee of everything": (BASE + "[costs]\nfee_bps = 1e6\n", UnitError, r"\[costs\]: expected fee_bps"),
    "a negative spread": (BASE + "[costs]\nhalf_spread_bps = -1\n", InputError, r"half_spread_bps of 0 or more"),
    "a beta in points": (BASE + "[vol]\nspot_vol_beta = -800\n", InputError, r"\[vol\]: expected a spot_vol_beta"),
    "a negative mean reversion": (BASE + "[vol]\nmean_reversion_per_day = -1\n", InputError, r"mean_reversion_per_day of 0 or more"),
    "a truth in quotes": (BASE + '[vol]\ncouple_price_vol = "true"\n', InputError, r"couple_price_vol as true or false"),
    "an agent without brackets": (changed(("[[agent]]", "[agent]")), InputError, r"write \[\[agent\]\] \(two brackets\)"),
    "no kind": (changed(('kind = "dealer"\n', "")), InputError, r"\[\[agent\]\] 1: kind is missing"),
    "an unknown kind": (changed(('"dealer"', '"daeler"')), InputError, r"kind as one of dealer, scalper.*did you mean dealer"),
    "a name that is none": (changed(('"desk"', '"../desk"')), InputError, r"expected a name of 1 to 60 letters"),
    "an empty name": (changed(('"desk"', '""')), InputError, r"expected a name"),
    "two agents of one name": (BASE + BASE[BASE.index("[[agent]]") :], InputError, r"agents of different names"),
    "an agent with a strange key": (changed(("delay_steps = 0", "delay_steps = 0\nlag = 1")), InputError, r"agent 'desk': unknown key 'lag'"),
    "no book": (changed((AGENT, "")), InputError, r"agent 'desk': expected one of gamma_usd, options, book, got none"),
    "two books": (changed((AGENT, f"gamma_usd = -5e9\noptions = [{OPTION}]")), InputError, r"agent 'desk': expected one of gamma_usd, options, book, got gamma_usd and options"),
    "iv of a list": (changed((AGENT, f"iv = 0.6\noptions = [{OPTION}]")), InputError, r"iv goes with gamma_usd"),
    "iv in per cent": (changed(("iv = 0.6", "iv = 60")), UnitError, r"agent 'desk': expected iv as a decimal, got 60; write 0\.6"),
    "no policy": (changed(('policy = {kind = "every-step"}', "")), InputError, r"agent 'desk': policy is missing"),
    "an unknown policy": (changed(('"every-step"', '"every-stop"')), InputError, r"agent 'desk': .*did you mean every-step"),
    "a band in both units": (
        changed(('{kind = "every-step"}', '{kind = "band", half_width_usd = 1, half_width_coin = 1}')),
        InputError,
        r"agent 'desk': policy band",
    ),
    "a policy that is a number": (changed(('{kind = "every-step"}', "3")), InputError, r"agent 'desk': expected policy as a table"),
    "no delay": (changed(("delay_steps = 0", "")), InputError, r"agent 'desk': delay_steps is missing"),
    "a negative delay": (changed(("delay_steps = 0", "delay_steps = -1")), InputError, r"expected delay_steps from 0"),
    "a delay beyond the run": (changed(("delay_steps = 0", "delay_steps = 25")), InputError, r"delay_steps from 0 to the 24 steps"),
    "a speed of zero": (changed(("delay_steps = 0", "delay_steps = 0\nspeed = 0")), InputError, r"agent 'desk': expected speed above 0"),
    "a share in per cent": (changed(("delay_steps = 0", "delay_steps = 0\nhedge_share = 80")), InputError, r"hedge_share from 0 to 1, got 80"),
    "after expiry, what": (changed(("delay_steps = 0", 'delay_steps = 0\nafter_expiry = "sell"')), InputError, r"after_expiry as one of unwind, hold"),
    "an unknown instrument": (changed(("delay_steps = 0", 'delay_steps = 0\ninstrument = {kind = "swap"}')), InputError, r"agent 'desk' instrument: .*spot, perp, future"),
    "slices in no time": (
        changed(("delay_steps = 0", 'delay_steps = 0\nexecution = {kind = "twap", slices = 4}')),
        InputError,
        r"orders in slices want delay_steps of 1",
    ),
    "an unknown execution": (changed(("delay_steps = 0", 'delay_steps = 1\nexecution = {kind = "vwap"}')), InputError, r"did you mean twap"),
    "a maker that is never filled": (
        changed(("delay_steps = 0", 'delay_steps = 1\nexecution = {kind = "maker", fill_probability = 0}')),
        InputError,
        r"fill probability above 0",
    ),
    "a scalper that is short": (changed(('"dealer"', '"scalper"')), InputError, r"a scalper is long its options"),
    "options in an empty list": (changed((AGENT, "options = []")), InputError, r"expected one option at least"),
    "options that are no tables": (changed((AGENT, "options = [1]")), InputError, r"options as a list of tables"),
    "an option of neither kind": (with_options(OPTION.replace('"call"', '"straddle"')), InputError, r"options 1: expected right as one of call, put"),
    "an option without a strike": (with_options(OPTION.replace("strike_usd = 60000, ", "")), InputError, r"options 1: strike_usd is missing"),
    "a strike of zero": (with_options(OPTION.replace("60000", "0")), InputError, r"options 1: expected strike_usd above 0"),
    "an option's iv in per cent": (with_options(OPTION.replace("0.6", "60")), UnitError, r"options 1: expected iv as a decimal, got 60"),
    "an option's iv of nothing": (with_options(OPTION.replace("0.6", "0")), InputError, r"expected iv of 0\.01 or more"),
    "an option that never ends": (with_options(OPTION.replace("days = 7, ", "")), InputError, r"options 1: expected days .* or expiry"),
    "an option that ends twice": (
        with_options(OPTION.replace("days = 7", "days = 7, expiry = 2026-03-08T08:00:00Z")),
        InputError,
        r"options 1: expected one of days, expiry",
    ),
    "the second option": (with_options(OPTION, OPTION.replace("contracts", "contract")), InputError, r"options 2: unknown key 'contract' \(did you mean contracts"),
    "contracts beyond any market": (with_options(OPTION.replace("-100", "1e15")), InputError, r"expected contracts from -1e\+12 to 1e\+12"),
    "a book that has expired in full": (with_options(OPTION.replace("days = 7", "days = -7")), InputError, r"agent 'desk': every option has expired, the last 7 days before"),
    "an expiry without a start": (
        changed(("start = 2026-03-01T00:00:00Z\n", ""), text=with_options(OPTION.replace("days = 7", "expiry = 2026-03-08T08:00:00Z"))),
        InputError,
        r"expiry is a time, so \[run\] start is needed",
    ),
    "a settlement that is running": (
        with_options(OPTION.replace("days = 7", "days = 0.01").replace("}", ', settlement = "average-30min"}')),
        InputError,
        r"agent 'desk': option 1 expires in less than 30 minutes, so its settlement average is running",
    ),
    "an observed vol of nothing": (changed(("vol = 0.6", 'vol = 0\nvol_is = "observed"')), InputError, r"expected a vol above 0 where it is observed"),
    "a number of no market": (changed(("half_width_usd = 1", "half_width_usd = 1e200"), text=BAND), InputError, r"agent 'desk' policy: expected half_width_usd of a size"),
    "a speed of no market": (changed(("delay_steps = 0", "delay_steps = 0\nspeed = 1e-200")), InputError, r"expected speed of a size from 1e-18 to 1e\+18"),
    "a variance that never reverts": (
        changed(('"gbm"', '"heston"'), ("vol = 0.6", "v0 = 0.36\ntheta = 0.36\nkappa = 1e9\nxi = 1\nrho = 0")),
        InputError,
        r"expected kappa from 1e-06 to 100000",
    ),
    "an unknown settlement": (with_options(OPTION.replace("}", ', settlement = "cash"}')), InputError, r"settlement as one of spot, average-30min"),
    "paths that would not fit": (
        changed(("paths = 64", "paths = 10_000_000")) + "[output]\npaths = true\n",
        InputError,
        r"\[output\]: paths = true would hold 5\.6 GiB.*limit is 2 GiB; lower paths",
    ),
    "an unknown output": (BASE + "[output]\npath = true\n", InputError, r"\[output\]: unknown key 'path' \(did you mean paths"),
    "no TOML": ("[run\n", FileFormatError, r"expected TOML.*line 1"),
    "a key twice": (changed(("seed = 7", "seed = 7\nseed = 8")), FileFormatError, r"expected TOML"),
    "brackets without end": ("x = " + "[" * 100_000, FileFormatError, r"nested too deeply|expected TOML"),
    "a number without end": (changed(("seed = 7", "seed = " + "7" * 5000)), InputError, r"too many digits|thousands of digits|expected seed"),
    "a table that is a number": ("costs = 3\n" + BASE, InputError, r"\[costs\]: expected a table"),
    "nothing": ("", InputError, r"\[run\] is missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_sentence(tmp_path, name):
    text, kind, words = REFUSED[name]
    with pytest.raises(kind, match=words) as refusal:
        read(tmp_path, text)
    said = str(refusal.value)
    assert said.startswith("scenario.toml: ")
    assert "\n" not in said
    assert len(said) < 500


def refused(folder: Path, text: str) -> str:
    with pytest.raises(InputError) as refusal:
        read(folder, text)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/etc/passwd", "beside the scenario or in a folder below"),
        ("../measure.json", "beside the scenario or in a folder below"),
        ("books/../../measure.json", "beside the scenario or in a folder below"),
        ("C:\\\\measure.json", "beside the scenario or in a folder below"),
        ("https://example.org/measure.json", "beside the scenario or in a folder below"),
        ("", "beside the scenario or in a folder below"),
        ("none.json", "no such file"),
        ("linked.json", "link"),
        ("linked/measure.json", "leads out of the scenario's folder"),
        ("fifo", "folder, device or pipe"),
        ("pickle.pkl", "can run code"),
    ],
)
def test_files_are_read_from_the_scenarios_own_folder_only(tmp_path, path, words):
    here, outside = tmp_path / "here", tmp_path / "outside"
    here.mkdir()
    outside.mkdir()
    saved_measurement(outside)
    saved_measurement(tmp_path)
    (here / "linked.json").symlink_to(outside / "measure.json")
    (here / "linked").symlink_to(outside)
    (here / "pickle.pkl").write_bytes(b"\x80\x04")
    os.mkfifo(here / "fifo")
    assert words in refused(here, changed(('"measure.json"', f'"{path}"'), text=MEASURED))


def broken_book(key: str, value: object) -> dict:
    return {"book": {**measurement()["book"], key: value}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": "tailwag.measure/2"}, "expected a measurement of schema tailwag.measure/1, got 'tailwag.measure/2'"),
        ({"schema": None}, "got None"),
        ({"spot_usd": None}, "expected spot_usd above 0"),
        ({"book": None}, "expected a book of columns"),
        (broken_book("iv", [0.5]), "of one length"),
        (broken_book("iv", [60.0] * 4), "all 4 rows of the measured book are masked"),
        (broken_book("position_coin", [None] * 4), "all 4 rows of the measured book are masked"),
        (broken_book("position_coin", [0.0, 0.0, 0.0, None]), "position of 0"),
        (broken_book("expiry", ["2026-02-01T08:00:00Z"] * 4), "has expired at the start"),
        (broken_book("right", ["straddle"] * 4), "all 4 rows"),
        ({"assumptions": {"dynamics": "sticky-delta"}}, "smile dynamics 'sticky-delta' are unknown"),
    ],
)
def test_books_that_cannot_be_held(tmp_path, changes, words):
    saved_measurement(tmp_path, **changes)
    assert words in refused(tmp_path, MEASURED)


def test_a_measured_book_wants_a_start(tmp_path):
    saved_measurement(tmp_path)
    assert "[run] start is needed" in refused(tmp_path, changed(("start = 2026-03-01T00:00:00Z\n", ""), text=MEASURED))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("time,open\n1,2\n", "expected a header with close"),
        ("time,close\n1,2\n", "expected 10 candles"),
        ("time,close\n" + "x,2\n" * 12, "expected a time"),
        ("time,close\n" + "1772323200000,-2\n" * 12, "expected a close above 0"),
        ("time,close\n" + "1772323200000,2\n" * 12, "different times"),
        (
            "time,close\n" + "".join(f"{1772323200 + 60 * place},{place + 1}\n" for place in range(12)) + "1772323200,7\n",
            "different closes",
        ),
        ("time,close\n" + "".join(f"{1772323200 + 60 * place},2,3\n" for place in range(12)), "expected 2 cells, got 3"),
        ("time,close\n" + "".join(f"{1772323200 + 420 * place},{place + 1}\n" for place in range(12)), "whole number of candles"),
    ],
)
def test_candles_that_cannot_be_read(tmp_path, rows, words):
    saved(tmp_path, rows, "candles.csv")
    said = refused(tmp_path, changed(FROM_FILE))
    assert words in said
    assert "\n" not in said


def test_a_replay_of_other_steps_or_too_few(tmp_path):
    candles(tmp_path, CLOSES[:20])
    replay = changed((FROM_FILE[0], 'model = "replay"\nspot_usd = 60000\nfile = "candles.csv"'))
    assert "expected 25 candles from the start on, one more than steps, got 20" in refused(tmp_path, replay)
    assert "expected step_minutes = 15" in refused(tmp_path, changed(("step_minutes = 15", "step_minutes = 30"), text=replay))


def test_a_giant_file_is_refused_unread(tmp_path):
    path = tmp_path / "scenario.toml"
    with path.open("wb") as handle:
        handle.truncate(17 * 1024 * 1024)
    with pytest.raises(FileFormatError, match="at most"):
        load_scenario(path)


def test_a_scenario_in_latin_letters_is_refused(tmp_path):
    (tmp_path / "scenario.toml").write_bytes(BASE.replace("desk", "b\xfcro").encode("latin-1"))
    with pytest.raises(FileFormatError, match="expected UTF-8"):
        load_scenario(tmp_path / "scenario.toml")


def test_a_mutation_is_seen_by_the_digest_and_by_nothing_else(tmp_path):
    plain, remarked = read(tmp_path, BASE), read(tmp_path, "# a remark\n" + BASE)
    assert plain.sha256 != remarked.sha256
    assert plain.scenario.price == remarked.scenario.price


MARKET = """
[run]
horizon_days = 0.25
step_minutes = 15
paths = 10
seed = 1
clearing = "implicit"
[price]
model = "gbm"
spot_usd = 60000
vol = 0.6
[impact]
permanent_per_usd = 3e-11
"""


def test_agents_may_hold_one_book_by_shares_and_neutralise_theirs(tmp_path: Path) -> None:
    """Shares scale contracts; a gamma-neutral agent starts without gamma and pays its spreads."""
    options = 'options = [{right = "put", strike_usd = 55000, days = 14, contracts = -400, iv = 0.6}, {right = "call", strike_usd = 60000, days = 30, contracts = 100, iv = 0.6}]'
    agents = "".join(
        f'''
[[agent]]
kind = "dealer"
name = "{name}"
{options}
book_share = {share}
policy = "every-step"
delay_steps = 0
{extra}
'''
        for name, share, extra in (
            ("quarter", 0.25, ""),
            ("rest", 0.75, 'option_hedge = {rule = "gamma-neutral", half_spread_volpt = 0.5}'),
        )
    )
    path = tmp_path / "shares.toml"
    path.write_text(MARKET + agents, encoding="utf-8")
    file = load_scenario(path)
    quarter, rest = file.scenario.agents
    assert quarter.options.contracts_coin.tolist() == [-100.0, 25.0]
    assert abs(rest.starting_dollar_gamma_usd(60_000.0)) < 1e-6 * abs(quarter.starting_dollar_gamma_usd(60_000.0))
    assert rest.opening_cost_usd > 0.0
    assert any("gamma-neutral" in note for note in file.notes)


def test_a_ladder_of_liquidations_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ladder.toml"
    ladder = """
[[agent]]
kind = "liquidation-ladder"
name = "leverage"
delay_steps = 0
density_usd = 2e9
clusters = [{distance_log = -0.05, width_log = 0.01, notional_usd = 8e8}]
"""
    path.write_text(MARKET + ladder, encoding="utf-8")
    (found,) = load_scenario(path).scenario.agents
    assert isinstance(found, LiquidationLadder)
    assert (found.density_usd, found.clusters[0].notional_usd) == (2e9, 8e8)
    for wrong, words in (("density_usd = -1", "density_usd"), ("width_log = 0.0", "width_log"), ("distanse_log = 1", "distanse_log")):
        key = wrong.split(" =")[0].replace("distanse", "distance")
        path.write_text(MARKET + re.sub(rf"{key} = [-0-9.e]+", wrong, ladder), encoding="utf-8")
        with pytest.raises(InputError, match=words):
            load_scenario(path)
