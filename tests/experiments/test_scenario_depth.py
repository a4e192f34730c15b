"""Which of a measurement's depths a simulated day takes: what is stated, else the law that answers for hours, else the headline's own."""

from __future__ import annotations

import copy
import tomllib
from typing import Any

import pytest
from tests.experiments.sample_document import sample_document

from tailwag.errors import InputError
from tailwag.experiments.scenario_files import Overrides
from tailwag.experiments.scenario_from_measurement import Stated, scenario_from_measurement


def impact(document: dict[str, Any], *, stated: float | None = None) -> tuple[dict[str, Any], str]:
    text = scenario_from_measurement(document, name="m.json", overrides=Overrides(), stated=Stated(depth_usd_per_pct=stated))
    return tomllib.loads(text)["impact"], text


def with_laws(law: str, **depths: float | None) -> dict[str, Any]:
    document = copy.deepcopy(sample_document())
    document["gain"]["law"] = law
    document["gain"]["depth_usd_per_pct"] = depths[law]
    document["gain"]["by_law"] = [{"law": name, "depth_usd_per_pct": depth, "source": "test"} for name, depth in depths.items()]
    return document


def test_a_book_answers_for_minutes_so_the_law_of_hours_is_taken() -> None:
    found, text = impact(with_laws("book", **{"book": 65e6, "square-root": 776e6}))
    assert found == {"permanent_per_usd": pytest.approx(0.01 / 776e6, rel=1e-12)}
    assert "answers for hours" in text


@pytest.mark.parametrize("law", ["book", "given"])
def test_where_no_other_law_is_known_the_measured_depth_is_taken(law: str) -> None:
    found, text = impact(with_laws(law, **{law: 65e6, "square-root": None}))
    assert found == {"permanent_per_usd": pytest.approx(0.01 / 65e6, rel=1e-12)}
    assert ("upper bound" in text) == (law == "book")


def test_a_stated_depth_stands_over_every_law() -> None:
    found, _ = impact(with_laws("book", **{"book": 65e6, "square-root": 776e6}), stated=2e8)
    assert found == {"permanent_per_usd": pytest.approx(0.01 / 2e8, rel=1e-12)}


def test_without_a_headline_depth_the_law_of_hours_still_speaks() -> None:
    document = with_laws("book", **{"book": None, "square-root": 776e6})
    found, text = impact(document)
    assert found == {"permanent_per_usd": pytest.approx(0.01 / 776e6, rel=1e-12)}
    assert "order book's" not in text


def test_no_depth_at_all_asks_for_one() -> None:
    with pytest.raises(InputError, match="--depth-usd-per-pct"):
        impact(with_laws("book", **{"book": None, "square-root": None}))
