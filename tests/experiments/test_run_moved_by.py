"""Whose trades a run's sentence on vol is of: hedging where only hedgers trade, and what is true where others are liquidated or trade."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.experiments.scenario_texts import BASE, saved

from tailwag.experiments.run_moved_by import NOBODY_HEDGING, moved_by
from tailwag.experiments.run_report_view import run_answer
from tailwag.experiments.scenario_files import load_scenario
from tailwag.experiments.simulate import simulate_file
from tailwag.sim.metrics_sentences import sentences

CASES = [
    (("dealer", "lp-hedger"), "Hedging", "adds"),
    (("leveraged-traders",), "Liquidations", "add"),
    (("dealer", "liquidation-ladder"), "Hedging and liquidations", "add"),
    (("dealer", "squeezer"), "Hedging and other trading", "add"),
    (("own",), "Trading", "adds"),
    (("own", "leveraged-traders"), "Liquidations and other trading", "add"),
    (("crab", "block-seller", "leveraged-traders"), "Hedging, liquidations and other trading", "add"),
]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return simulate_file(load_scenario(saved(tmp_path_factory.mktemp("run"), BASE, "run.toml"))).document


def with_kinds(document: dict[str, Any], *kinds: str, ratio: float = 1.43, error: float = 0.01) -> dict[str, Any]:
    """The same numbers of a market of agents of such kinds, each of which trades as the first one did."""
    told = copy.deepcopy(document)
    agent, measured = told["assumptions"]["agents"][0], told["metrics"]["agents"][0]
    told["assumptions"]["agents"] = [{**agent, "kind": kind, "name": kind} for kind in kinds]
    told["metrics"]["agents"] = [{**measured, "name": kind} for kind in kinds]
    told["metrics"]["amplification"].update(value=ratio, standard_error=error)
    return told


@pytest.mark.parametrize(("kinds", "subject", "verb"), CASES)
def test_the_headline_names_whose_trades_they_are(document: dict[str, Any], kinds: tuple[str, ...], subject: str, verb: str) -> None:
    told = with_kinds(document, *kinds)
    first = run_answer(told)
    assert first.headline.startswith(f"{subject} {verb} 43.0 ± 1.0 % to realised vol: ")
    assert sentences(told["metrics"], moved_by(told))[1].startswith(f"{subject} {verb} 43.0 +- 1.0 % to realised vol of ")
    alone = subject == "Hedging"
    assert (NOBODY_HEDGING in first.answers[0][1]) != alone
    assert first.answers[0][0] == ("How much vol do hedgers add?" if alone else "How much vol does trading add?")
    assert first.regime_meaning == f"{'hedgers' if alone else 'trades'} chase moves and make them larger"
    assert f"with nobody {'hedging' if alone else 'trading'}; " in first.tiles[0].detail
    assert first.tiles[0].label == f"Realised vol, everybody {'hedges' if alone else 'trades'}"


@pytest.mark.parametrize(("kinds", "subject", "verb"), CASES)
def test_damping_nothing_and_the_unknown_have_the_same_subject(
    document: dict[str, Any], kinds: tuple[str, ...], subject: str, verb: str
) -> None:
    take = verb.replace("add", "take")
    damped = with_kinds(document, *kinds, ratio=0.9)
    assert run_answer(damped).headline.startswith(f"{subject} {take} 10.0 ± 1.0 % off realised vol: ")
    assert sentences(damped["metrics"], moved_by(damped))[1].startswith(f"{subject} {take} 10.0 +- 1.0 % off realised vol of ")
    none = with_kinds(document, *kinds, ratio=1.001)
    assert run_answer(none).headline == f"{subject} {verb} 0.1 ± 1.0 % to realised vol: not distinguishable from none."
    assert sentences(none["metrics"], moved_by(none))[1].endswith("not distinguishable from none.")
    unknown = with_kinds(document, *kinds)
    unknown["metrics"]["amplification"].update(value=None, reason="one path")
    said = f"What {subject.lower()} {verb} to vol is unknown: one path."
    assert run_answer(unknown).headline == sentences(unknown["metrics"], moved_by(unknown))[1] == said


def test_who_never_trades_is_not_named(document: dict[str, Any]) -> None:
    told = with_kinds(document, "dealer", "leveraged-traders", "squeezer")
    for agent in told["metrics"]["agents"][1:]:
        agent["turnover_usd_per_day"] = {"value": 0.0, "standard_error": 0.0}
    assert str(moved_by(told)) == "Hedging"


def test_a_margined_book_hedges_and_is_liquidated_where_it_was_called(document: dict[str, Any]) -> None:
    told = with_kinds(document, "margined-book")
    assert str(moved_by(told)) == "Hedging"
    told["takeovers"] = [{"paths_called": 0}, {"paths_called": 3}]
    assert str(moved_by(told)) == "Hedging and liquidations"


def test_a_run_of_ladder_and_desk_says_it_at_once_and_dealers_alone_keep_their_words(tmp_path: Any, document: dict[str, Any]) -> None:
    ladder = """
[[agent]]
kind = "liquidation-ladder"
name = "longs"
delay_steps = 0
density_usd = 2e9
levels_per_log = 200
level_usd = 1e6
"""
    told = simulate_file(load_scenario(saved(tmp_path, BASE + ladder, "ladder.toml"))).document
    assert told["headline"][1].startswith("Hedging and liquidations ")
    assert told["headline"][2] == NOBODY_HEDGING
    assert document["headline"][1].startswith("Hedging adds ")
    assert NOBODY_HEDGING not in document["headline"]
