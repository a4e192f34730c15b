"""The scenario library: every file runs and is documented, differences are paired and exact, and the same seeds give the same bytes."""

from __future__ import annotations

import io
import math
import os
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tailwag.experiments.library
from tailwag.errors import InputError
from tailwag.experiments.report_json import strict_json
from tailwag.experiments.run_files import paths_archive
from tailwag.experiments.scenario_arms import Arm, PartialArm, run_arm, step_block
from tailwag.experiments.scenario_compare import compared, first_events, links, mean_of, verdict
from tailwag.experiments.scenario_files import Overrides, ScenarioFile
from tailwag.experiments.scenario_library import library, library_names, library_story, open_story, story_files, story_text
from tailwag.experiments.scenario_outcomes import LIQUIDITY, MEASURES, settlement_steps
from tailwag.experiments.scenario_play import Stage, play, switched, watch_of
from tailwag.experiments.scenario_report import scenario_html
from tailwag.experiments.scenario_report_card import scenario_card
from tailwag.experiments.scenario_story import Story, read_story
from tailwag.experiments.scenario_switches import SWITCHES, chosen_switch, for_agents, kept_share
from tailwag.sim.impact import ImpactModel
from tailwag.sim.option_book import OptionBook
from tailwag.sim.run import simulate
from tailwag.sim.scenario import Scenario
from tailwag.sim.state import Outcome

DOCS = Path(__file__).parents[2] / "docs"
FILES = sorted(Path(tailwag.experiments.library.__file__).parent.glob("*.toml"), key=lambda path: path.stem)
WITHOUT_DATA = [story.name for story in library() if not story.needs]


def opened(name: str, *, paths: int = 48, seed: int | None = None) -> tuple[Story, ScenarioFile]:
    story = library_story(name)
    return story, open_story(story, overrides=Overrides(paths=paths, seed=seed), given={})


def short(scenario: Scenario, hours: float) -> Scenario:
    """The first hours of a scenario."""
    years = scenario.grid.years
    return replace(scenario, grid=replace(scenario.grid, years=years[years <= hours / 8760.0 * (1.0 + 1e-12)]))


def arm(name: str, switch: str = "", *, paths: int = 64, engine: str = "plain") -> Arm:
    story, file = opened(name, paths=paths)
    scenario = chosen_switch(switch)(file.scenario) if switch else file.scenario
    return run_arm(switch or "base", short(scenario, 6.0), watch_of(story), paths=paths, seed=file.seed, engine=engine)


# the files


def test_the_library_is_the_folder() -> None:
    assert [path.stem for path in FILES] == list(library_names())
    assert len(FILES) >= 8


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_has_its_story_its_sources_and_its_entry_in_the_docs(path: Path) -> None:
    story = read_story(path.stem, tomllib.loads(path.read_text()))
    assert len(story.story) > 150
    assert story.question.endswith("?")
    assert len(story.look_at) >= 2
    assert len(story.sources) >= 2
    assert {"without"} <= set(story.switches) <= {switch.name for switch in SWITCHES}
    text = (DOCS / "reference" / "scenario-library.md").read_text()
    assert f"## {path.stem}\n" in text
    assert story.question in " ".join(text.split())


def test_every_switch_and_outcome_has_its_row_in_the_docs() -> None:
    text = (DOCS / "reference" / "scenario-library.md").read_text()
    for name in (*(switch.name for switch in SWITCHES), *(measure.name for measure in MEASURES)):
        assert f"| `{name}` |" in text


@pytest.mark.parametrize("name", WITHOUT_DATA)
def test_every_scenario_runs_small_with_each_of_its_switches(name: str) -> None:
    story, file = opened(name, paths=4)
    brief = replace(file, scenario=short(file.scenario, 1.0))
    chosen = [one for word in story.switches for one in for_agents(chosen_switch(word, story.switch_parameters), brief.scenario)]
    twins, refused = switched(brief.scenario, chosen, lenient=False)
    assert not refused
    arms = [run_arm(one.label, twin, watch_of(story), paths=4, seed=1) for one, twin in twins]
    assert all(np.isfinite(arms[0].columns[measure]).all() for measure in ("largest_excess", "largest_fall", "realised_vol"))


def test_the_written_scenario_is_the_one_that_ran() -> None:
    story, file = opened("quiet-pin", paths=7)
    assert tomllib.loads(story_text(story)) == dict(story.scenario)
    assert file.paths == 7


@pytest.mark.parametrize("environment", [{}, {"TAILWAG_DATA": "/nowhere"}])
def test_missing_real_data_are_named(environment: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"deribit-chains/deribit_chain_2026-02\.parquet.*TAILWAG_DATA"):
        story_files(library_story("february-2026"), environment)


def test_a_story_is_read_strictly() -> None:
    top = tomllib.loads(FILES[0].read_text())
    with pytest.raises(InputError, match=r"unknown key 'sentense'.*sentence"):
        read_story("x", {**top, "story": {**top["story"], "sentense": "a"}})
    with pytest.raises(InputError, match="switches"):
        read_story("x", {**top, "story": {**top["story"], "switches": ["nonsense"]}})
    with pytest.raises(InputError, match=r"\[\[source\]\]"):
        read_story("x", {key: value for key, value in top.items() if key != "source"})


# outcomes and differences


def test_paired_errors_against_paths_on_disk() -> None:
    """Outcomes and their paired standard error, again from paths.npz alone."""
    story, file = opened("cascade-short-gamma", paths=80)
    base = short(file.scenario, 6.0)
    other = chosen_switch("lower-leverage")(base)
    found = []
    for scenario in (base, other):
        archive = paths_archive(simulate(scenario, paths=80, seed=5, engine="plain", keep_paths=True).kept)  # type: ignore[arg-type]
        with np.load(io.BytesIO(archive)) as kept:
            price, alone = kept["price_usd"], kept["fundamental_usd"]
            sold = np.abs(np.diff(kept["leveraged longs_position_coin"], axis=1))
        excess, falls = np.empty(80), np.empty(80)
        for path in range(80):
            highest, worst, widest = 0.0, 0.0, 0.0
            for at, fundamental in zip(price[path], alone[path]):
                highest = max(highest, at)
                worst = max(worst, 1.0 - at / highest)
                widest = max(widest, abs(math.log(at / fundamental)))
            excess[path], falls[path] = widest, worst
        found.append({"largest_excess": excess, "largest_fall": falls, "coins": sold.sum(axis=1)})
    arms = [run_arm(name, scenario, watch_of(story), paths=80, seed=5) for name, scenario in (("base", base), ("other", other))]
    row = compared(arms[0], arms[1], chosen_switch("lower-leverage"))
    for outcome in row["outcomes"]:
        if outcome["outcome"] not in found[0]:
            continue
        change = found[1][outcome["outcome"]] - found[0][outcome["outcome"]]
        error = np.std(change, ddof=1) / math.sqrt(80)
        assert outcome["difference"]["value"] == pytest.approx(change.mean(), rel=1e-9, abs=1e-13)
        assert outcome["difference"]["standard_error"] == pytest.approx(error, rel=1e-9)
        assert outcome["z"] == pytest.approx(change.mean() / error, rel=1e-8)
        unpaired = math.sqrt(sum(np.var(one[outcome["outcome"]], ddof=1) / 80 for one in found))
        assert error < 0.8 * unpaired, "common shocks must take noise out"
    liquidated = arms[0].columns["liquidated_usd"] / file.scenario.spot_usd
    assert liquidated == pytest.approx(found[0]["coins"], rel=0.15)


@pytest.mark.parametrize("name", ["zero-dte", "cascade-long-gamma", "short-gamma-weekend"])
def test_a_switch_that_changes_nothing_differs_by_exactly_nothing(name: str) -> None:
    chosen = chosen_switch("circuit-breaker:log_move=0.5")
    row = compared(arm(name), arm(name, chosen.label), chosen)
    assert row["changes_nothing"]
    assert all(one["difference"]["value"] == 0.0 and one["verdict"] == "nothing" and one["z"] is None for one in row["outcomes"])
    crossing = chosen_switch("internal-crossing")
    same = compared(arm("zero-dte"), arm("zero-dte", "internal-crossing"), crossing)
    assert same["changes_nothing"], "one agent has nobody to cross with"


def test_a_switch_without_the_fast_engine_is_compared_within_one_engine() -> None:
    """Crossing takes the plain engine, whose roundings are not the fast one's: the base runs there too, and nothing differs."""
    story, file = opened("quiet-pin", paths=8)
    brief = replace(file, scenario=short(file.scenario, 2.0))
    played = play(story, brief, [chosen_switch("internal-crossing")])
    assert played.arms[0].engine == "fast"
    assert played.arms[1].engine == "plain"
    assert played.document["comparisons"][0]["changes_nothing"]


def test_the_same_seeds_give_the_same_bytes(tmp_path: Path) -> None:
    story, file = opened("cascade-short-gamma", paths=70)
    brief = replace(file, scenario=short(file.scenario, 3.0))
    switches = [chosen_switch("circuit-breaker:log_move=0.02"), chosen_switch("price-band-pause")]
    documents = [strict_json(play(story, brief, switches).document) for _ in range(2)]
    assert documents[0] == documents[1]
    other = strict_json(play(story, replace(brief, seed=99), switches).document)
    assert other != documents[0]


def test_blocks_and_threads_change_no_bit_and_a_part_is_not_run_again(tmp_path: Path) -> None:
    story, file = opened("expiry-unwind", paths=1100)
    scenario = short(file.scenario, 0.5)
    whole = run_arm("base", scenario, watch_of(story), paths=1100, seed=3)
    part = PartialArm.opened(tmp_path, {"arm": "base"}, every_seconds=0.0, clock=lambda: 1.0)
    run_arm("base", scenario, watch_of(story), paths=1100, seed=3, threads=2, part=part)
    again = PartialArm.opened(tmp_path, {"arm": "base"})
    assert sorted(again.done) == [0, 1024]
    told: list[int] = []
    resumed = run_arm("base", scenario, watch_of(story), paths=1100, seed=3, part=again, progress=lambda done, _: told.append(done))
    assert not told, "finished blocks were run again"
    assert all((resumed.columns[name] == values).all() for name, values in whole.columns.items())
    assert not PartialArm.opened(tmp_path, {"arm": "other"}).done
    path = part.path
    assert path is not None
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert not PartialArm.opened(tmp_path, {"arm": "base"}).done, "a damaged part counts for nothing"


def test_links_sum_to_the_distance_and_profits_close() -> None:
    base = arm("short-gamma-weekend", paths=40)
    moved = sum(values for name, values in base.columns.items() if name.startswith("moved:"))
    assert moved == pytest.approx(np.abs(base.columns["peak_excess"]), abs=1e-12)
    assert sum(row["moved_log"]["value"] for row in links(base.columns)) == pytest.approx(
        np.abs(base.columns["peak_excess"]).mean(), abs=1e-12
    )
    assert (base.columns["largest_excess"] == np.abs(base.columns["peak_excess"])).all()
    assert f"pnl:{LIQUIDITY}" in base.columns


def test_linear_impact_leaves_the_market_nothing_to_answer() -> None:
    base = arm("spot-down-vol-up", paths=30)
    assert base.columns["moved:the market's own answer"] == pytest.approx(np.zeros(30), abs=1e-13)
    assert base.columns["moved:dealers"] == pytest.approx(base.columns["largest_excess"], abs=1e-13)


def test_the_step_that_gives_up_is_no_move_of_the_price() -> None:
    """A runaway's last price is the stated bound: it is no distance, no fall and no vol."""
    story, file = opened("zero-dte", paths=16)
    wild = replace(file.scenario, impact=ImpactModel(permanent_per_usd=4e-10), stop_log_move=0.03)
    base = run_arm("wild", wild, watch_of(story), paths=16, seed=1, engine="plain").columns
    ran = base["outcome"] == float(Outcome.RUNAWAY)
    assert ran.any()
    assert (base["stopped"] == ran).all()
    block = step_block(wild, seed=1, engine="plain")(0, 16, keep_agents=True)
    for path in np.flatnonzero(ran):
        stop = block.stopped_step[path]
        assert abs(block.log_price[path, stop]) == wild.stop_log_move
        before = np.abs(block.log_price[path, :stop] - block.fundamental_log[path, :stop]).max()
        assert base["largest_excess"][path] == before
        squares = (np.diff(block.log_price[path, :stop]) ** 2).sum() / wild.grid.horizon_years
        assert base["realised_vol"][path] == pytest.approx(math.sqrt(squares), rel=1e-12)


def test_first_events_are_counted_once_a_path() -> None:
    hours = {
        "event:liquidation": np.array([2.0, np.inf, 1.0, np.inf]),
        "event:dislocation": np.array([2.0, 5.0, 0.5, np.inf]),
        "event:depth_exhausted": np.full(4, np.inf),
        "event:runaway": np.array([np.inf, 6.0, np.inf, np.inf]),
        "event:halted": np.full(4, np.inf),
    }
    rows = {row["event"]: row for row in first_events(hours)}
    assert [rows[kind]["first_on"] for kind in ("liquidation", "dislocation", "runaway", "halted")] == [1, 2, 0, 0]
    assert rows["liquidation"]["hours_quartiles"] == [1.25, 1.5, 1.75]
    assert rows["halted"]["hours_quartiles"] is None


def test_the_settlement_window_is_found() -> None:
    _, file = opened("quiet-pin")
    opens, expires = settlement_steps(file.scenario)
    assert (opens, expires) == (282, 288), "30 minutes are six steps of five minutes"


# physics on common seeds


def test_long_gamma_reduces_and_short_gamma_increases_the_cascade() -> None:
    story, file = opened("cascade-short-gamma")
    arms = {}
    for label in ("base", "flip-gamma", "without:agent=dealers"):
        scenario = file.scenario if label == "base" else chosen_switch(label)(file.scenario)
        arms[label] = run_arm(label, scenario, watch_of(story), paths=120, seed=file.seed, engine="plain")
    nobody = arms["without:agent=dealers"]
    for label, side in (("base", +1.0), ("flip-gamma", -1.0)):
        row = compared(nobody, arms[label], chosen_switch("flip-gamma"))
        for outcome in ("liquidated_usd", "largest_fall"):
            z = next(one["z"] for one in row["outcomes"] if one["outcome"] == outcome)
            assert side * z > 4.0
    _, twin = opened("cascade-long-gamma")
    again = run_arm("twin", twin.scenario, watch_of(story), paths=120, seed=twin.seed, engine="plain")
    assert (again.columns["liquidated_usd"] == arms["flip-gamma"].columns["liquidated_usd"]).all(), "the twins must be twins"


# switches


def test_limits_cut_what_is_over_them_and_nothing_else() -> None:
    rows = [("call", 60_000.0, 0.01, -10.0), ("put", 60_000.0, 0.01, -20.0), ("call", 66_000.0, 0.04, 5.0)]
    book = OptionBook(
        *(np.array(column) for column in ([1, -1, 1], *zip(*(row[1:] for row in rows)), [0.5] * 3, [1.0] * 3, [0.0] * 3, [False] * 3))
    )
    gamma = [abs(size) * strike / (0.5 * math.sqrt(years)) for _, strike, years, size in rows]
    expected = 0.4 * sum(gamma) / (gamma[0] + gamma[1])
    assert kept_share(book, "strike_usd", 0.4) == pytest.approx([expected, expected, 1.0])
    assert kept_share(book, "expiry_years", 0.99).tolist() == [1.0, 1.0, 1.0]


def test_switch_words() -> None:
    chosen = chosen_switch("strike-limit:share=0.1")
    assert (chosen.label, chosen.parameters) == ("strike-limit:share=0.1", {"share": 0.1})
    assert chosen_switch("batch", {"batch": {"every_minutes": 30.0}}).label == "batch:every_minutes=30"
    for wrong in ("batsh", "batch:minutes=3", "batch:every_minutes=x", "batch:every_minutes=-3", "batch:every_minutes"):
        with pytest.raises(InputError, match="batch"):
            chosen_switch(wrong)
    _, file = opened("cascade-short-gamma")
    assert [one.label for one in for_agents(chosen_switch("without"), file.scenario)] == [
        "without:agent=leveraged longs",
        "without:agent=dealers",
    ]
    with pytest.raises(InputError, match=r"switch without:agent=dealer: .*did you mean dealers"):
        chosen_switch("without:agent=dealer")(file.scenario)


def test_lower_leverage_moves_levels_and_keeps_their_notional() -> None:
    _, file = opened("cascade-short-gamma")
    ladder: Any = chosen_switch("lower-leverage:factor=3")(file.scenario).agents[0]
    before: Any = file.scenario.agents[0]
    assert ladder.density_usd * 3.0 == before.density_usd
    assert [one.notional_usd for one in ladder.clusters] == [one.notional_usd for one in before.clusters]
    assert [one.distance_log for one in ladder.clusters] == pytest.approx([3.0 * one.distance_log for one in before.clusters])


def test_verdicts() -> None:
    harm, good = MEASURES[0], replace(MEASURES[0], more_is="good")
    assert [verdict(one, 0.2, 5.0, differs=True) for one in (harm, good)] == ["worse", "better"]
    assert verdict(harm, 0.2, 2.0, differs=True) == "unclear"
    assert verdict(harm, 0.2, None, differs=True) == "higher"
    assert verdict(harm, 1e-15, 9.0, differs=True) == "nothing", "rounding is no effect"
    assert mean_of(np.array([4.0])).standard_error is None


# reports


def test_pages_and_cards_are_whole() -> None:
    story, file = opened("zero-dte", paths=30)
    played = play(story, file, [chosen_switch("strike-limit:share=0.05"), chosen_switch("still-vol")])
    page = scenario_html(played.document)
    for words in (
        story.question,
        "What broke first?",
        "Through which link?",
        "Who lost?",
        "What would have helped",
        "strike-limit:share=0.05",
    ):
        assert words in page
    assert " src=" not in page
    assert scenario_card(played.document)[:4] == b"\x89PNG"
    alone = play(story, file).document
    assert "What would have helped" not in scenario_html(alone)
    assert scenario_card(alone)[:4] == b"\x89PNG"


@pytest.mark.realdata
def test_february_replays_its_candles_and_the_loop_is_inverted_first() -> None:
    if not os.environ.get("TAILWAG_DATA"):
        pytest.skip("set TAILWAG_DATA to the folder of real market data to run this")
    story = library_story("february-2026")
    file = open_story(story, given=story_files(story))
    played = play(story, file, [chosen_switch("without:agent=dealers")])
    observed = np.asarray(file.scenario.price.log_returns)  # type: ignore[attr-defined]
    path = played.document["shown_paths"][0]
    assert np.diff(np.log(path["price_usd"])) == pytest.approx(observed, abs=1e-7), "net deltas are read from a table"
    assert np.abs(np.diff(np.log(path["fundamental_usd"])) - observed).max() > 1e-3
    fall = next(row for row in played.document["comparisons"][0]["outcomes"] if row["outcome"] == "largest_fall")
    assert fall["difference"]["standard_error"] is None
    assert -0.03 < fall["difference"]["value"] < -0.005


@pytest.mark.slow
@pytest.mark.parametrize("name", WITHOUT_DATA)
def test_the_docs_say_what_the_scenario_says(name: str) -> None:
    """The answers of the reference are those of the default paths and seed."""
    story = library_story(name)
    said = play(story, open_story(story, given={}), stage=Stage(threads=2)).document["headline"]
    text = " ".join((DOCS / "reference" / "scenario-library.md").read_text().replace("+-", "±").split())
    for sentence in said:
        assert sentence.replace("\u2212", "-").removesuffix(".") in text
