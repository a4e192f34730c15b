"""Candles: what a volume says, and only where it is asked."""

from __future__ import annotations

import pytest

from tailwag.errors import FileFormatError
from tailwag.experiments.candles import read_candles
from tailwag.sources.opening import RawFile

HEAD = "timestamp,open,close,volume\n"


def raw(cells: list[str], head: str = HEAD) -> RawFile:
    rows = [f"{1_756_630_800_000 + 900_000 * place},1,{100 + place},{cell}" for place, cell in enumerate(cells)]
    return RawFile("candles.csv", (head + "\n".join(rows) + "\n").encode(), "0" * 64)


def test_a_candle_without_volume_did_not_trade() -> None:
    cells = ["1", "0", "2.5", "", "0.0", *["3"] * 7]
    assert read_candles(raw(cells), volumes=True).traded.tolist() == [True, False, True, True, False, *[True] * 7]
    assert read_candles(raw(cells)).traded.all(), "nobody asked"
    assert read_candles(raw(cells, "timestamp,open,close,amount\n"), volumes=True).traded.all(), "the file says none"


@pytest.mark.parametrize("cell", ["-1", "nan", "many"])
def test_a_volume_that_is_none_is_refused_where_it_is_asked(cell: str) -> None:
    with pytest.raises(FileFormatError, match=r"candles.csv:3: expected a volume of 0 or more"):
        read_candles(raw(["1", cell, *["1"] * 9]), volumes=True)
    assert read_candles(raw(["1", cell, *["1"] * 9])).close_usd.size == 11
