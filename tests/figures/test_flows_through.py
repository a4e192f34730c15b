"""The picture of one path: who trades nothing is not drawn, and no two lines look alike."""

from __future__ import annotations

from tailwag.experiments.scenario_report import _flows
from tailwag.figures.stories import flows_through


def test_only_those_who_trade_are_drawn_and_no_two_alike() -> None:
    bought = {f"agent {number}": [0.0, float(number) * 1e6] for number in range(15)}
    lines = flows_through([0, 1], [6e4, 5.9e4], [6e4, 5.95e4], bought).data[2:]
    assert [line.name for line in lines] == [f"agent {number}" for number in range(1, 15)]
    assert len({(line.line.color, line.line.dash) for line in lines}) == 14


def test_a_path_on_which_nobody_trades_is_its_prices() -> None:
    drawn = flows_through([0, 1], [6e4, 5.9e4], [6e4, 5.95e4], {"vault": [0.0, 0.0]})
    assert [line.name for line in drawn.data] == ["price", "with nobody trading"]


def test_who_is_not_drawn_is_named() -> None:
    path = {"which": "median", "path": 3, "hours": [0, 1], "price_usd": [6e4, 5.9e4], "fundamental_usd": [6e4, 5.95e4]}
    document = {"paths": 1, "shown_paths": [{**path, "bought_usd": {"dealers": [0.0, 2e6], "vault": [0.0, 0.0]}}]}
    assert next(iter(_flows(document))).reading.endswith("Not drawn, as they trade nothing here: vault.")
