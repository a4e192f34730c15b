"""The picture of one path: who trades nothing is not drawn, and no two lines look alike."""

from __future__ import annotations

from tailwag.figures.stories import flows_through


def test_only_those_who_trade_are_drawn_and_no_two_alike() -> None:
    bought = {f"agent {number}": [0.0, float(number) * 1e6] for number in range(15)}
    lines = flows_through([0, 1], [6e4, 5.9e4], [6e4, 5.95e4], bought).data[2:]
    assert [line.name for line in lines] == [f"agent {number}" for number in range(1, 15)]
    assert len({(line.line.color, line.line.dash) for line in lines}) == 14


def test_a_path_on_which_nobody_trades_is_its_prices() -> None:
    drawn = flows_through([0, 1], [6e4, 5.9e4], [6e4, 5.95e4], {"vault": [0.0, 0.0]})
    assert [line.name for line in drawn.data] == ["price", "with nobody trading"]
