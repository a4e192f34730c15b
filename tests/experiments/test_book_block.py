"""The option-by-option columns of the document add up to the groups that stand beside them."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import pytest

from tailwag import demo, measure
from tailwag.experiments.options import MeasureOptions


@pytest.fixture(scope="module", params=["usd", "coin"])
def document(request: pytest.FixtureRequest) -> dict[str, Any]:
    return measure(demo(), MeasureOptions(dynamics="sticky-strike", numeraire=request.param)).document()


@pytest.mark.parametrize(("column", "group", "label"), [("strike_usd", "by_strike", "strike_usd"), ("expiry", "by_expiry", "expiry")])
def test_the_options_of_a_group_add_up_to_it(document: dict[str, Any], column: str, group: str, label: str) -> None:
    book, sums = document["book"], defaultdict(list)
    for key, gex in zip(book[column], book["gex_usd_per_pct"], strict=True):
        if gex is not None:
            sums[key].append(gex)
    stated = {row[label]: row["gex_usd_per_pct"] for row in document["exposure"][group] if row["gex_usd_per_pct"] is not None}
    assert {key: math.fsum(parts) for key, parts in sums.items()} == pytest.approx(stated, rel=1e-9, abs=1e-3)


def test_an_option_without_a_position_has_no_exposure(document: dict[str, Any]) -> None:
    book = document["book"]
    for position, gex in zip(book["position_coin"], book["gex_usd_per_pct"], strict=True):
        assert (gex is None) >= (position is None)
