"""Every mitigation against every scenario: numbers of a comparison, verdicts that count how many were tried, the same bytes however it is run."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.experiments.test_library import WITHOUT_DATA, opened

import tailwag.experiments.scenario_matrix as matrix_module
from tailwag.errors import InputError
from tailwag.experiments.report_json import strict_json
from tailwag.experiments.scenario_compare import mean_of
from tailwag.experiments.scenario_matrix import MatrixRequest, mitigations, scenario_matrix
from tailwag.experiments.scenario_matrix_picture import matrix_card, matrix_html, matrix_map
from tailwag.experiments.scenario_matrix_twins import alike, twins
from tailwag.experiments.scenario_matrix_words import NEEDS, THERE, matrix_headline, matrix_markdown
from tailwag.experiments.scenario_play import Stage, play
from tailwag.experiments.scenario_switches import SWITCHES, chosen_switch, for_agents
from tailwag.experiments.scenario_verdicts import FAMILY_ERROR, holm, judged
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.dynamics import Replay

QUICK = ("short-gamma-weekend", "zero-dte")
SOME = ("circuit-breaker", "strike-limit:share=0.1", "internal-crossing", "window-ban")


@pytest.fixture(scope="module")
def small() -> dict[str, Any]:
    return scenario_matrix(MatrixRequest(QUICK, SOME, paths=24))


def cell(document: dict[str, Any], scenario: str, switch: str) -> dict[str, Any]:
    return next(one for one in document["cells"] if (one["scenario"], one["switch"]) == (scenario, switch))


# numbers


def same_as_compared(document: dict[str, Any], name: str, paths: int) -> int:
    """Every cell of a scenario is the row of ``play``'s comparison on the same seeds; how many there were."""
    story, file = opened(name, paths=paths)
    mine = [one for one in document["cells"] if one["scenario"] == name]
    for one in mine:
        asked = for_agents(chosen_switch(one["asked"], story.switch_parameters), file.scenario)
        row = play(story, file, [chosen for chosen in asked if chosen.label == one["switch"]]).document["comparisons"][0]
        outcome = next(entry for entry in row["outcomes"] if entry["outcome"] == story.answer)
        assert {key: one[key] for key in ("base", "switched", "difference", "z", "paths_that_differ")} == {
            key: outcome[key] for key in ("base", "switched", "difference", "z", "paths_that_differ")
        }
        for cost in one["costs"]:
            entry = next(entry for entry in row["outcomes"] if entry["outcome"] == cost["outcome"])
            assert entry["verdict"] == "worse"
            assert cost["difference"] == entry["difference"]
    return len(mine)


def test_a_cell_is_the_comparison_on_the_same_seeds(small: dict[str, Any]) -> None:
    assert same_as_compared(small, "zero-dte", 24) == 3
    one = cell(small, "short-gamma-weekend", "strike-limit:share=0.1")
    assert one["relative"]["value"] == pytest.approx(one["difference"]["value"] / one["base"]["value"])
    assert one["relative"]["standard_error"] == pytest.approx(one["difference"]["standard_error"] / one["base"]["value"])
    assert one["z"] == pytest.approx(one["difference"]["value"] / one["difference"]["standard_error"])


def test_every_pair_is_a_cell_or_has_a_reason(small: dict[str, Any]) -> None:
    pairs = [(row["scenario"], row["switch"]) for row in (*small["cells"], *small["does_not_apply"])]
    assert sorted(pairs) == sorted((name, switch) for name in QUICK for switch in SOME)
    assert [(row["scenario"], row["switch"]) for row in small["does_not_apply"]] == [(name, "window-ban") for name in QUICK]
    assert all("pushes a settlement window" in row["reason"] for row in small["does_not_apply"])
    crossing = cell(small, "zero-dte", "internal-crossing")
    assert (crossing["difference"]["value"], crossing["effect"], crossing["p"]) == (0.0, "nothing", 1.0), (
        "one agent has nobody to cross with"
    )
    assert small["tried"] == 6
    rows = {row["switch"]: row for row in small["switches"]}
    assert list(rows) == list(SOME)
    for row in rows.values():
        assert sorted(name for word in ("helps", "nothing", "harms", "does_not_apply") for name in row[word]) == sorted(QUICK)


def test_a_scenario_keeps_its_own_numbers_in_the_row_of_the_switch() -> None:
    story, file = opened("portfolio-insurance-1987", paths=4)
    found = {twin.chosen.label: twin for twin in twins(story, file.scenario, ["circuit-breaker", "circuit-breaker:log_move=0.04"])}
    assert sorted((twin.asked, twin.row) for twin in found.values()) == [
        (word, word) for word in ("circuit-breaker", "circuit-breaker:log_move=0.04")
    ]
    own = (story.switch_parameters or {})["circuit-breaker"]["log_move"]
    assert sorted(twin.scenario.halt_log_move for twin in found.values() if twin.scenario) == sorted([own, 0.04])


def test_venues_are_one_row_each_and_where_the_dealers_are_already_nothing_changes() -> None:
    story, file = opened("cascade-across-venues", paths=4)
    found = {twin.row: twin for twin in twins(story, file.scenario, ["hedge-on", "liquidate-on-index"])}
    assert set(found) == {"hedge-on:venue=spot", "hedge-on:venue=perp", "liquidate-on-index"}
    assert found["hedge-on:venue=spot"].scenario is None
    assert found["hedge-on:venue=spot"].reason == "finds every dealer there already"
    assert found["hedge-on:venue=perp"].scenario is not None


def test_scenarios_are_alike_in_any_order_of_agents_and_differ_by_any_number() -> None:
    _, file = opened("cascade-short-gamma", paths=4)
    base = file.scenario
    assert alike(replace(base, agents=base.agents[::-1]), base)
    assert not alike(replace(base, halt_log_move=0.3), base)
    assert not alike(replace(base, batch_steps=2), base)
    assert not alike(replace(base, costs=replace(base.costs, internal_crossing=True)), base)
    bigger = tuple(replace(agent, hedge_share=0.999) if isinstance(agent, Dealer) else agent for agent in base.agents)
    assert not alike(replace(base, agents=bigger), base)


def test_what_those_lose_whom_a_switch_is_against_is_no_cost() -> None:
    ban = cell(scenario_matrix(MatrixRequest(("settlement-window",), ("window-ban",), paths=256)), "settlement-window", "window-ban")
    assert (ban["effect"], ban["relative"]["value"]) == ("helps", pytest.approx(-1.0))
    assert ban["costs"] == [], "who pushed the window earns less, clear of his error, and nobody else does"


# many at once


def test_holm_against_its_definition() -> None:
    """Adjusted p of the k-th smallest is max over j <= k of (m - j + 1) p_j; real where that is at most the family error."""
    values = np.random.default_rng(5).random(60) ** 6
    order = np.argsort(values)
    adjusted = np.maximum.accumulate((values.size - np.arange(values.size)) * values[order])
    expected = np.empty(values.size, dtype=bool)
    expected[order] = adjusted <= FAMILY_ERROR
    assert holm(values.tolist()) == expected.tolist()
    assert 0 < expected.sum() < values.size


def test_verdicts_want_three_errors_and_the_count_takes_some_back() -> None:
    def row(z: float | None, change: float, harm: str = "more") -> dict[str, Any]:
        return {"unit": "share", "harm": harm, "z": z, "difference": {"value": change}, "paths_that_differ": 5}

    cells = [row(-3.1, -0.1), row(2.9, 0.1), row(3.1, 0.1), row(9.0, 0.1), row(9.0, 1e-12), row(-9.0, -0.1, "less")]
    cells += [row(0.5, 0.1) for _ in range(60)]
    judged(cells)
    assert [one["effect"] for one in cells[:6]] == ["helps", "nothing", "harms", "harms", "nothing", "harms"]
    assert [one["stays"] for one in cells[:6]] == [False, False, False, True, False, True], "66 were tried: 3.1 errors are not enough"


def test_many_switches_that_do_nothing_are_called_by_chance_as_often_as_stated() -> None:
    """Pure noise: a share of 0.27 % beyond 3 errors, and next to none that stays."""
    draw = np.random.default_rng(11).standard_normal((4000, 64))
    cells = []
    for change in draw:
        found = mean_of(change)
        assert found.value is not None
        assert found.standard_error
        difference = {"value": found.value}
        cells.append(
            {"unit": "share", "harm": "more", "z": found.value / found.standard_error, "difference": difference, "paths_that_differ": 64}
        )
    judged(cells)
    called = sum(one["effect"] != "nothing" for one in cells)
    expected = 4000 * math.erfc(3.0 / math.sqrt(2.0))
    assert 0.5 * expected < called < 3.0 * expected, "a few more than of a normal: errors are estimated from 64 paths"
    assert sum(one["stays"] for one in cells) <= 1


# the same however it is run


def test_threads_and_a_stop_change_no_byte(tmp_path: Path) -> None:
    request = MatrixRequest(QUICK[1:], SOME, paths=8)
    fresh: list[tuple[int, int]] = []
    expected = strict_json(scenario_matrix(request, stage=Stage(threads=2, progress=lambda done, paths: fresh.append((done, paths)))))
    said: list[str] = []

    def stops(text: str) -> None:
        said.append(text)
        if len(said) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scenario_matrix(request, stage=Stage(out=tmp_path, say=stops))
    told: list[tuple[int, int]] = []
    again = Stage(out=tmp_path, progress=lambda done, paths: told.append((done, paths)))
    assert strict_json(scenario_matrix(request, stage=again)) == expected
    assert len(told) == len(fresh) - 3, "three arms were finished before the stop"


def test_more_switches_change_nothing_of_those_that_are_there(small: dict[str, Any]) -> None:
    more = scenario_matrix(MatrixRequest(QUICK[1:], ("batch", *SOME), paths=24))
    for one in small["cells"]:
        if one["scenario"] == "zero-dte":
            twin = cell(more, "zero-dte", one["switch"])
            assert {key: one[key] for key in one if key != "stays"} == {key: twin[key] for key in twin if key != "stays"}


# what is left out, refused


def test_one_path_is_left_out_with_its_reason() -> None:
    document = scenario_matrix(MatrixRequest(("quiet-pin",), ("batch",), paths=1))
    assert document["cells"] == []
    assert "no standard error" in document["left_out"][0]["reason"]
    assert "0 pairs" in document["headline"][0]


def test_missing_real_data_are_left_out_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAILWAG_DATA", raising=False)
    document = scenario_matrix(MatrixRequest(("february-2026",), ("batch",)))
    assert "TAILWAG_DATA" in document["left_out"][0]["reason"]


@pytest.mark.parametrize(
    ("names", "switches", "said"),
    [
        (("quiet-pinn",), (), "did you mean quiet-pin"),
        ((), ("bath",), "did you mean batch"),
        (("quiet-pin", "quiet-pin"), ("batch",), "quiet-pin twice"),
        (("quiet-pin",), ("batch", "batch:every_minutes=60"), "batch twice"),
        (("quiet-pin",), ("batch:every=5",), r"expected every_minutes=\.\.\."),
    ],
)
def test_wrong_requests_are_refused_before_anything_runs(names: tuple[str, ...], switches: tuple[str, ...], said: str) -> None:
    started: list[str] = []
    with pytest.raises(InputError, match=said):
        scenario_matrix(MatrixRequest(names, switches), stage=Stage(say=started.append))
    assert not started


def test_reasons_are_of_switches_that_exist() -> None:
    names = {switch.name for switch in SWITCHES}
    assert set(NEEDS) | set(THERE) <= names
    assert {"without", "flip-gamma", "still-vol", "without-arbitrage"}.isdisjoint(mitigations()), "links are no mitigations"


# what is shown


def test_tables_pages_and_cards_are_whole(small: dict[str, Any]) -> None:
    text = matrix_markdown(small)
    for one in small["cells"]:
        assert f"| {one['scenario']} |" in text
    assert all(f"### `{switch}`" in text for switch in SOME)
    assert "6 differences tried" in text
    assert "### Scenario by scenario" in text
    assert "Does not apply to short-gamma-weekend, zero-dte" in text
    found = matrix_map(small)
    assert (len(found.switches), len(found.scenarios)) == (3, 2), "a switch that applies nowhere has no row"
    page = matrix_html(small)
    assert all(f"<h2>{switch}</h2>" in page for switch in SOME)
    assert " src=" not in page
    assert matrix_card(small)[:4] == b"\x89PNG"


# the sign of dealers' gamma, on common seeds


@pytest.mark.slow
def test_dealers_long_gamma_shrink_a_cascade_and_dealers_short_gamma_grow_it() -> None:
    """The same book, shocks and ladder: two scenarios of the library are one another's twin, and both agree to the bit."""
    rows = scenario_matrix(MatrixRequest(("cascade-long-gamma", "cascade-short-gamma"), ("window-ban",), paths=64))["dealer_gamma"]
    assert [(row["scenario"], row["outcome"]) for row in rows] == [
        (f"cascade-{side}-gamma", outcome) for side in ("long", "short") for outcome in ("largest_fall", "liquidated_usd")
    ]
    for row in rows:
        assert row["long"]["z"] < -4.0 < 4.0 < row["short"]["z"], row
        for sign in ("long", "short"):
            assert row[sign]["mean"]["value"] - row["none"]["value"] == pytest.approx(row[sign]["difference"]["value"], rel=1e-9)
    for mine, twin in zip(rows[:2], rows[2:]):
        assert mine["gamma_usd"] == -twin["gamma_usd"] > 0.0
        assert [mine[key] for key in ("none", "long", "short")] == [twin[key] for key in ("none", "long", "short")]


# all of it


@pytest.mark.slow
@pytest.mark.parametrize("name", WITHOUT_DATA)
def test_every_scenario_of_the_library_has_its_column(name: str) -> None:
    """Every mitigation on every scenario, few paths: each pair has a cell or a reason, and a comparison says the same."""
    document = scenario_matrix(MatrixRequest((name,), paths=4))
    seen = {row["asked"] for row in (*document["cells"], *document["does_not_apply"])}
    assert seen == set(mitigations())
    assert len(document["cells"]) == same_as_compared(document, name, 4) > 0
    assert matrix_card(document)[:4] == b"\x89PNG"
    assert strict_json(scenario_matrix(MatrixRequest((name,), paths=4), stage=Stage(threads=2))) == strict_json(document)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cascade-long-gamma", "cascade-short-gamma", "cascade-across-venues"])
def test_the_sign_of_gamma_at_full_size(name: str) -> None:
    """At the paths of the library every difference from the market without dealers is beyond ten standard errors."""
    rows = scenario_matrix(MatrixRequest((name,), ("window-ban",)), stage=Stage(threads=2))["dealer_gamma"]
    assert len(rows) == 2
    for row in rows:
        assert row["long"]["z"] < -10.0 < 10.0 < row["short"]["z"], row


# one history


@pytest.fixture(scope="module")
def with_history() -> dict[str, Any]:
    """The small matrix with one of its scenarios turned into the replay of one history."""
    real = matrix_module.open_story

    def replayed(story: Any, **given: Any) -> Any:
        file = real(story, **given)
        if story.name != "short-gamma-weekend":
            return file
        moves = 0.004 * np.sin(np.arange(file.scenario.grid.steps) ** 1.3) - 0.0006
        return replace(file, scenario=replace(file.scenario, price=Replay(moves)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrix_module, "open_story", replayed)
        return scenario_matrix(MatrixRequest(QUICK, (*SOME, "slower-hedging"), paths=8))


class TestOneHistory:
    """A replay stands beside the matrix: its differences are those of its one path, and nothing is counted as a verdict."""

    def test_it_is_one_path_whatever_number_was_asked_for(self, with_history: dict[str, Any]) -> None:
        (history,) = with_history["histories"]
        assert (history["name"], history["paths"], history["base"]["standard_error"]) == ("short-gamma-weekend", 1, None)
        assert [row["name"] for row in with_history["scenarios"]] == ["zero-dte"]
        assert {one["scenario"] for one in with_history["cells"]} == {"zero-dte"}
        assert with_history["tried"] == len(with_history["cells"]), "what has no error takes no part in counting"

    def test_its_differences_are_those_of_the_path(self, with_history: dict[str, Any]) -> None:
        (history,) = with_history["histories"]
        assert [one["switch"] for one in history["cells"]] == [
            "circuit-breaker",
            "strike-limit:share=0.1",
            "internal-crossing",
            "slower-hedging",
        ]
        for one in history["cells"]:
            assert one["difference"]["value"] == one["switched"]["value"] - one["base"]["value"]
            assert one["difference"]["standard_error"] is None
            assert "effect" not in one
        changed = {one["switch"]: one for one in history["cells"]}
        assert changed["strike-limit:share=0.1"]["difference"]["value"] < 0.0
        assert changed["internal-crossing"]["paths_that_differ"] == 0
        for one in history["cells"]:
            for cost in one["costs"]:
                rises = cost["difference"]["value"] > 0.0
                assert rises != cost["outcome"].startswith("pnl:"), "an account that earns more is no cost"

    def test_it_is_told_in_words_and_on_the_page(self, with_history: dict[str, Any]) -> None:
        (told,) = [line for line in with_history["headline"] if line.startswith("short-gamma-weekend, one history")]
        assert "no errors and no verdicts" in told
        assert "±" not in told
        text, page = matrix_markdown(with_history), matrix_html(with_history)
        assert "; one history: short-gamma-weekend." in text
        assert "### One history: short-gamma-weekend" in text
        assert text.index("One history") < text.index("### In short")
        assert 'id="history-short-gamma-weekend"' in page
        assert strict_json(with_history)

    def test_alone_it_is_the_whole_answer(self, with_history: dict[str, Any]) -> None:
        alone = {**with_history, "cells": [], "scenarios": [], "dealer_gamma": []}
        assert [line.partition(",")[0] for line in matrix_headline(alone)] == ["short-gamma-weekend"]
        shown = matrix_map(with_history)
        assert shown.scenarios == ("zero-dte", "short-gamma-weekend")
        assert [row[1] for row in shown.shades if row[1] is not None] == [0.0] * 4, "pale: no verdict"
        assert matrix_map(alone).scenarios == ("short-gamma-weekend",)
        assert matrix_card({**alone, "headline": matrix_headline(alone)})[:4] == b"\x89PNG"
