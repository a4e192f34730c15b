"""The card and the page of a scenario over several assets: what they show is what was run, and nothing in a file can break them."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.experiments.test_scenario_assets import TEXT, read

from tailwag.experiments.report_json import strict_json
from tailwag.experiments.scenario_assets_card import assets_card
from tailwag.experiments.scenario_assets_play import asset_twins, play_assets
from tailwag.experiments.scenario_assets_report import assets_html
from tailwag.experiments.scenario_assets_view import (
    EVERYBODY,
    answer_of,
    correlation_changes,
    crossing,
    gain_grid,
    pushes,
    switched,
    told_switches,
    vol_changes,
)

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "scenario-library.md"
HOSTILE = TEXT.replace('"own"', '"<script>alert(1)</script>"').replace('"proxy"', '"$x^$ a very long name that goes on beyond every edge"')
FOUR = (
    TEXT.replace('["A", "B"]', '["A", "B", "C", "D"]').replace("[100, 10]", "[100, 10, 1, 5]").replace("[0.5, 0.8]", "[0.5, 0.8, 0.4, 0.6]")
)
FOUR = FOUR.replace("[[2e-10, 1e-10], [1e-10, 6e-10]]", "[[2e-10, 1e-10, 0, 0], [1e-10, 6e-10, 0, 0], [0, 0, 2e-10, 0], [0, 0, 0, 3e-10]]")
FOUR = FOUR.replace("[-4e8, 0]", "[-4e8, 0, 2e8, 0]").replace("[[0, 0], [0, -3e8]]", "[0, -3e8, 0, 0]")


def played(text: str, *, switches: bool = True, paths: int = 40) -> dict[str, Any]:
    file = read(text)
    return play_assets(file, asset_twins(file.scenario) if switches else (), paths=paths, seed=4)


def test_a_shown_path_is_that_path_stepped_by_hand() -> None:
    """Two assets, constant gammas, same-step hedges: x = (I - G)^-1 F on every step, and each desk has bought -B Gamma x."""
    file = read(TEXT)
    document = play_assets(file, (), paths=25, seed=4)
    assert [path["which"] for path in document["shown_paths"]] == ["furthest", "median"]
    (a, b), (c, d) = (
        (1.0 - file.scenario.gain[0, 0], -file.scenario.gain[0, 1]),
        (-file.scenario.gain[1, 0], 1.0 - file.scenario.gain[1, 1]),
    )
    determinant = a * d - b * c
    pushed = []
    for path in document["shown_paths"]:
        first, second = path["assets"]
        largest = 0.0
        for step in range(25):
            alone = [math.log(one["fundamental_usd"][step] / one["fundamental_usd"][0]) for one in (first, second)]
            moved = [math.log(one["price_usd"][step] / one["price_usd"][0]) for one in (first, second)]
            wanted = [(d * alone[0] - b * alone[1]) / determinant, (a * alone[1] - c * alone[0]) / determinant]
            assert moved == pytest.approx(wanted, abs=1e-12)
            assert path["bought_usd"]["own"]["A"][step] == pytest.approx(4e8 * moved[0], abs=1e-3)
            assert path["bought_usd"]["proxy"]["A"][step] == pytest.approx(0.7 * 3e8 * moved[1], abs=1e-3)
            largest = max(largest, *(abs(x - f) for x, f in zip(moved, alone)))
        assert "B" not in path["bought_usd"]["own"], "what a desk never trades is left out"
        assert path["hours"] == pytest.approx([float(step) for step in range(25)])
        pushed.append(largest)
    means = {row["outcome"]: row["value"] for row in document["outcomes"]}
    assert pushed[0] > pushed[1]
    assert pushed[0] > max(means["push:A"], means["push:B"])


def test_the_figures_rows_are_the_documents_numbers() -> None:
    document = played(TEXT)
    values = {row["outcome"]: row["value"] for row in document["outcomes"]}
    vols, pairs = vol_changes(document), correlation_changes(document)
    assert vols.after == (100.0 * values["vol:A"], 100.0 * values["vol:B"])
    assert (pairs.labels, pairs.before) == (("A and B",), (values["correlation_alone:A,B"],))
    grid, gain = gain_grid(document), np.array(document["gain"])
    assert grid.rows == (EVERYBODY, "own", "proxy")
    assert grid.columns == ("A itself", "A moves B", "B moves A", "B itself")
    assert [float(text.replace("−", "-")) for text in grid.text[0]] == pytest.approx(gain.T.ravel(), abs=5e-4)
    assert sum((np.array(desk["gain"]) for desk in document["desks"]), np.zeros((2, 2))) == pytest.approx(gain)
    assert all(shade is not None and shade < 0.0 for shade in grid.shades[0]), "short gamma adds to every move: orange"
    flipped = gain_grid({**document, "gain": (-gain).tolist(), "desks": []})
    assert all(shade is not None and shade > 0.0 for shade in flipped.shades[0])
    assert crossing(document).startswith(f"When B moves 1 %, hedges of the proxy move A {0.7 * 3e8 * 2e-10:.3f} % the same way")
    changes = {one.title: one for one in switched(document)}
    assert set(changes) == {"Realised vol of A", "Realised vol of B", "Correlation"}
    assert changes["Realised vol of A"].labels == ("own-hedge", "flip-gamma", "without own", "without proxy")
    row = document["comparisons"][1]["outcomes"][1]
    assert (row["outcome"], changes["Realised vol of A"].values[1]) == ("vol:A", 100.0 * row["difference"]["value"])
    assert next(told_switches(document)).startswith("own-hedge: vol of A −")


def test_the_answer_says_both_vols_and_what_moves_nothing_is_said_as_that() -> None:
    document = played(TEXT, switches=False)
    told = answer_of(document)
    for changed in (vol_changes(document), correlation_changes(document)):
        digits = 1 if changed.before[0] > 1.0 else 3
        assert all(f"from {before:.{digits}f} to {after:.{digits}f}" in told for before, after in zip(changed.before, changed.after))
    assert "their correlation" in told
    assert "run away" not in pushes(document)
    alone = read(
        TEXT.replace('hedge = {of = "B", in = "A", beta = 0.7}\n', "").replace("[2e-10, 1e-10], [1e-10, 6e-10]", "[2e-10, 0], [0, 6e-10]")
    )
    assert crossing(play_assets(alone, (), paths=4, seed=1)) == "No hedge crosses from one asset into another."


@pytest.mark.parametrize(
    "text",
    [TEXT, pytest.param(HOSTILE, marks=pytest.mark.slow), pytest.param(FOUR, marks=pytest.mark.slow)],
    ids=["two", "hostile", "four"],
)
def test_every_document_makes_a_card_and_a_page(text: str) -> None:
    document = played(text, paths=6)
    strict_json(document)
    for shown in (document, {**document, "comparisons": []}):
        card = assets_card(shown)
        assert struct.unpack(">II", card[16:24]) == (1200, 675)
    page = assets_html(document)
    assert "<script>alert(1)</script>" not in page
    assert page.count('class="figure"') == 2 + 1 + 2 + len(switched(document))


def test_one_path_is_shown_once_and_a_runaway_ends_where_it_was_stopped() -> None:
    assert [path["which"] for path in play_assets(read(TEXT), (), paths=2, seed=4)["shown_paths"]] == ["furthest", "median"]
    wild = read(
        TEXT.replace('clearing = "implicit"', 'clearing = "lagged"\nstop_log_move = 0.05').replace("delay_steps = 0", "delay_steps = 1")
    )
    document = play_assets(wild, (), paths=8, seed=4)
    ended = [path for path in document["shown_paths"] if path["outcome"]]
    assert ended
    assert all(len(path["hours"]) == len(path["assets"][0]["price_usd"]) < 25 for path in ended)
    assert "run away" in pushes(document)
    assert "ran away after" in assets_html(document)


def test_the_keys_are_documented() -> None:
    document, text = played(TEXT, switches=False, paths=2), DOCS.read_text(encoding="utf-8")
    for key in (*document, *document["desks"][0], *document["shown_paths"][0], *document["market"]):
        assert f"`{key}`" in text, key
