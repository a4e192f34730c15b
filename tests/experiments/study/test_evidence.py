"""What is published is what the study said: every figure of the pages comes from results.json, and results.json from the recordings."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "tools"))
import draw_evidence as drawn  # noqa: E402
import make_evidence as made  # noqa: E402  (a script of the repository, no module of the package)

RESULTS: dict[str, Any] = json.loads(made.RESULTS.read_text())


@pytest.mark.parametrize("page", [made.PAGE, made.README], ids=lambda page: page.name)
def test_every_figure_of_the_pages_is_that_of_the_results(page: Path) -> None:
    text = page.read_text()
    assert made.with_tables(text, RESULTS) == text
    begun = re.findall(r"<!-- ([a-z ]+): made by tools/make_evidence.py -->", text)
    assert set(begun) <= set(made.TABLES)
    assert len(begun) == text.count(made.END) == (len(made.TABLES) - 1 if page == made.PAGE else 1)


def test_a_changed_result_changes_the_pages() -> None:
    other = json.loads(json.dumps(RESULTS))
    other["hypotheses"][0]["estimates"][0]["value"] += 0.01
    assert made.with_tables(made.PAGE.read_text(), other) != made.PAGE.read_text()
    assert made.with_tables(made.README.read_text(), other) != made.README.read_text()
    assert len(made.differences(RESULTS, other, "results")) == 1


def test_the_picture_is_that_of_the_results() -> None:
    assert (ROOT / "docs" / "images" / "study.svg").read_text() == drawn.results(RESULTS)
    shown = json.loads(json.dumps(RESULTS))
    shown["rejected"]["secondary"]["expiry"] = True
    assert "shown: expiry" in drawn.results(shown)


def test_the_results_are_those_of_the_plan_and_the_readme_says_them_early() -> None:
    plan = ROOT / "src" / "tailwag" / "experiments" / "study" / "plan.toml"
    assert RESULTS["plan"]["sha256"] == hashlib.sha256(plan.read_bytes()).hexdigest()
    told = made.README.read_text()
    assert "**All nulls.**" in told[: told.index("## Ten lines of Python")]
    assert not any(RESULTS["rejected"]["secondary"].values())
    assert not RESULTS["rejected"]["primary"]["reversal"]


@pytest.mark.realdata
def test_the_candles_are_those_of_the_results() -> None:
    candles = Path(_data()) / made.CANDLES
    assert hashlib.sha256(candles.read_bytes()).hexdigest() == RESULTS["candles"]["sha256"]


@pytest.mark.realdata
@pytest.mark.slow
def test_the_recordings_say_it_again(tmp_path: Path) -> None:
    found = json.loads(json.dumps(made.short(made.evidence(Path(_data()), tmp_path / "history", workers=2))))
    assert made.differences(RESULTS, found, "results") == []


def _data() -> str:
    folder = os.environ.get("TAILWAG_DATA")
    if not folder:
        pytest.skip("set TAILWAG_DATA to the folder of real market data")
    return folder
