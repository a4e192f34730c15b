"""What a scenario says that does nothing, or hardly what was meant, is said or refused before a run."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from tests.experiments.scenario_texts import BASE, changed, measurement, saved, saved_measurement, with_options

from tailwag.errors import InputError
from tailwag.experiments.scenario_files import Overrides, ScenarioFile, load_scenario
from tailwag.experiments.scenario_from_measurement import Stated, scenario_from_measurement
from tailwag.sim.grid import TimeGrid

MEASURED = changed(("gamma_usd = -5e9\niv = 0.6", 'book = "measure.json"'))


def read(folder: Path, text: str) -> ScenarioFile:
    return load_scenario(saved(folder, text))


def refused(folder: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, text)
    return str(caught.value)


def at_spot(spot: float, text: str = MEASURED) -> str:
    return changed(("spot_usd = 60000", f"spot_usd = {spot}"), text=text)


@pytest.mark.parametrize(
    ("spot", "said"), [(60_000.0, ""), (60_290.0, ""), (60_310.0, "+0.52 %"), (52_000.0, "-13 %"), (71_900.0, "+20 %")]
)
def test_a_first_price_beside_the_measured_one_is_said(tmp_path: Path, spot: float, said: str) -> None:
    saved_measurement(tmp_path)
    found = [note for note in read(tmp_path, at_spot(spot)).notes if "measured at" in note]
    assert [said in note for note in found] == ([True] if said else [])


@pytest.mark.parametrize("spot", [72_100.0, 47_900.0, 96_700.0])
def test_a_first_price_far_from_the_measured_one_is_refused(tmp_path: Path, spot: float) -> None:
    saved_measurement(tmp_path)
    assert f"[price] spot_usd = {spot:,.10g}, but measure.json was measured at 60,000" in refused(tmp_path, at_spot(spot))


@pytest.mark.parametrize(("strike", "fits"), [(299_000.0, True), (12_100.0, True), (301_000.0, False), (11_900.0, False), (6.0, False)])
def test_no_strike_near_the_first_price_is_another_unit(tmp_path: Path, strike: float, fits: bool) -> None:
    text = with_options(f'{{right = "call", strike_usd = {strike}, days = 7, contracts = -1, iv = 0.6}}')
    if fits:
        assert read(tmp_path, text).scenario.agents
    else:
        assert f"the nearest strike is {strike:,.10g}; expected one within a factor of 5" in refused(tmp_path, text)
    both = with_options(*(f'{{right = "call", strike_usd = {k}, days = 7, contracts = -1, iv = 0.6}}' for k in (strike, 60_000)))
    assert read(tmp_path, both).scenario.agents


def test_vega_impact_without_a_vega_hedger_moves_nothing(tmp_path: Path) -> None:
    row = '{right = "call", strike_usd = 60000, days = 7, contracts = -100, iv = 0.6}'
    text = with_options(row) + "\n[vol]\nvega_impact_per_usd = 1e-10\n"
    assert any("vega_impact_per_usd moves nothing" in note for note in read(tmp_path, text).notes)
    hedged = changed(("delay_steps = 0", "delay_steps = 0\nvega_hedge_share = 0.5"), text=text)
    assert not any("vega_impact_per_usd" in note for note in read(tmp_path, hedged).notes)


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("{kind = 'grid', every_minutes = 361}", "longer than the run of 360 minutes: it never trades"),
        ("{kind = 'grid', every_minutes = 400, jitter_minutes = 30}", "never trades but for the chance of its first period"),
        ("{kind = 'grid', every_minutes = 5}", "finer than the step of 15 minutes: it trades once a step there"),
        (
            "{kind = 'grid', every_minutes = 40}",
            "no multiple of the step of 15 minutes: it trades in the step that holds each time, 2 or 3 steps apart",
        ),
        ("{kind = 'grid', every_minutes = 30}", ""),
        ("{kind = 'grid', every_minutes = 360}", ""),
        ("{kind = 'every-step'}", ""),
    ],
)
def test_times_that_the_steps_cannot_meet_are_said(tmp_path: Path, policy: str, words: str) -> None:
    found = [note for note in read(tmp_path, changed(('{kind = "every-step"}', policy.replace("'", '"')))).notes if "trades" in note]
    assert [words in note for note in found] == ([True] if words else [])


def test_options_that_settle_on_spot_unsaid_are_said_where_they_expire_inside(tmp_path: Path) -> None:
    inside, beyond = (f'{{right = "call", strike_usd = 60000, days = {days}, contracts = -10, iv = 0.6}}' for days in (0.2, 0.3))
    said = inside.replace("}", ', settlement = "spot"}')
    assert [note for note in read(tmp_path, with_options(inside, said, beyond)).notes if "Deribit" in note] == [
        "agent 'desk': 1 option that expires inside the run settles on spot; venues such as Deribit settle on a 30-minute average: "
        "settlement = 'average-30min'"
    ]
    assert not any("Deribit" in note for note in read(tmp_path, with_options(said, beyond)).notes)


def test_a_replay_counts_the_gaps_of_its_own_candles_only(tmp_path: Path) -> None:
    times = [*range(25), *range(40, 60)]
    rows = "".join(f"{1772323200 + 900 * place},{60000 * math.exp(0.001 * math.sin(place))}\n" for place in times)
    saved(tmp_path, "time,close\n" + rows, "candles.csv")
    text = changed(('model = "gbm"\nspot_usd = 60000\nvol = 0.6', 'model = "replay"\nspot_usd = 60000\nfile = "candles.csv"'))
    assert read(tmp_path, text).scenario.grid.steps == 24
    assert "without gaps, got 1" in refused(tmp_path, changed(("horizon_days = 0.25", "horizon_days = 0.375"), text=text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (changed(("start = 2026-03-01T00:00:00Z", "start = 2026-03-01")), "got 2026-03-01; give day, hour and offset"),
        (changed(("seed = 7", "seed = [2026-03-01, 10:00:00]")), "got ['2026-03-01', '10:00:00']"),
        (changed(("permanent_per_usd = 3e-11", "depth_usd_per_pct = 40e6")), "write permanent_per_usd = 2.5e-10, which is 0.01 / depth"),
        (changed(("delay_steps = 0", "delay_steps = 0\nhedge_share = 80")), "got 80; 0.8 is 80 %"),
        (changed(("delay_steps = 0", "delay_steps = 0\nbook_share = 80")), "0.8 is 80 %"),
        (changed(('kind = "dealer"', 'kind = "leveraged-traders"')), "unknown key"),
        (changed(("gamma_usd = -5e9\n", 'gamma_usd = "5"\n')), "100 x GEX per 1 %"),
        (changed(("horizon_days = 0.25", "horizon_days = 1"), ("step_minutes = 15", "step_minutes = 7")), "take step_minutes = 7.2"),
        (changed(("vol = 0.6", 'vol = 0.6\nuncalibrated_because = "why"')), "goes with vol_is = 'uncalibrated'"),
    ],
)
def test_refusals_say_what_to_write(tmp_path: Path, text: str, words: str) -> None:
    said = refused(tmp_path, text)
    assert words in said, said
    assert "datetime" not in said


@pytest.mark.parametrize(("days", "minutes"), [(1.0, 7.0), (1.0, 11.0), (7.0, 13.0), (0.3, 1.7), (365.0, 999.0), (1.0, 0.7), (0.01, 14.0)])
def test_the_proposed_step_divides_the_run(days: float, minutes: float) -> None:
    with pytest.raises(InputError) as caught:
        TimeGrid.uniform(horizon_days=days, step_minutes=minutes)
    proposed = float(str(caught.value).rpartition("= ")[2])
    assert TimeGrid.uniform(horizon_days=days, step_minutes=proposed).steps == round(days * 1440 / proposed)
    assert proposed == pytest.approx(minutes, rel=0.101) or round(days * 1440 / proposed) == 1


def test_why_a_vol_is_uncalibrated_is_in_the_scenario_and_said(tmp_path: Path) -> None:
    text = scenario_from_measurement(measurement(), name="m.json", overrides=Overrides(), stated=Stated(uncalibrated='paths stop "early"'))
    saved_measurement(tmp_path)
    (note,) = [note for note in read(tmp_path, text).notes if "without calibration" in note]
    assert note.endswith('no fundamental vol explains it: paths stop "early"')
    assert "uncalibrated_because" not in scenario_from_measurement(measurement(), name="m.json", overrides=Overrides(), stated=Stated())


# Where the numbers come from


def with_laws(**gain: object) -> dict[str, object]:
    rows = [{"law": "book", "depth_usd_per_pct": 65e6}, {"law": "square-root", "depth_usd_per_pct": 777e6}]
    return {**measurement()["gain"], "law": "book", "depth_usd_per_pct": 65e6, "value": -1.721, "by_law": rows, **gain}


def impact(depth: float) -> str:
    return changed(("permanent_per_usd = 3e-11", f"permanent_per_usd = {0.01 / depth!r}"), text=MEASURED)


def test_the_source_names_the_law_of_the_depth(tmp_path: Path) -> None:
    path = saved_measurement(tmp_path, gain=with_laws(), currency="BTC", source={"synthetic": True})
    for depth, law in ((777e6, "square-root"), (65e6, "book"), (70e6, "stated")):
        file = read(tmp_path, impact(depth))
        found = file.source.to_document()
        assert (found["kind"], found["name"], found["sha256"]) == ("measurement", "measure.json", file.files["measure.json"])
        assert (found["currency"], found["synthetic"], found["sign_undetermined"], found["rule"]) == ("BTC", True, False, "short-all")
        assert (found["depth_law"], found["depth_usd_per_pct"]) == (law, pytest.approx(depth))
        assert (found["headline_gain"], found["headline_law"], found["headline_depth_usd_per_pct"]) == (-1.721, "book", 65e6)
        said = [note for note in file.notes if "headline G" in note]
        assert len(said) == (law != "book")
    assert path.name == "measure.json"
    (note,) = [note for note in read(tmp_path, impact(777e6)).notes if "headline G" in note]
    assert note == (
        "measure.json: this run's depth is $777m per 1 % (the square-root law, which answers for hours); the measurement's headline "
        "G = -1.72 takes $65m (the order book, which answers for minutes and only as far as it reaches)"
    )


def test_an_undetermined_sign_is_a_flag(tmp_path: Path) -> None:
    saved_measurement(tmp_path, gain=with_laws(regime="undetermined"))
    assert read(tmp_path, MEASURED).source.sign_undetermined


def test_a_scenario_by_hand_is_its_own_source(tmp_path: Path) -> None:
    file = read(tmp_path, BASE)
    found = file.source
    assert (found.kind, found.name, found.sha256, found.depth_law, found.currency) == (
        "scenario",
        "scenario.toml",
        file.sha256,
        "stated",
        None,
    )
    assert found.depth_usd_per_pct == pytest.approx(0.01 / 3e-11)
    alone = read(tmp_path, BASE[: BASE.index("[[agent]]")].replace("3e-11", "0")).source
    assert (alone.depth_law, alone.depth_usd_per_pct) == ("none", None)
