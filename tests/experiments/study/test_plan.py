"""The analysis plan: what the page says of it is what the file says, and its digest is its name."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path

import tailwag

FILE = Path(tailwag.__file__).parent / "experiments" / "study" / "plan.toml"
PAGE = Path(__file__).parents[3] / "docs" / "evidence" / "analysis-plan.md"


def test_the_page_names_the_plan_by_its_digest() -> None:
    found = re.findall(r"\b[0-9a-f]{64}\b", PAGE.read_text())
    assert found == [hashlib.sha256(FILE.read_bytes()).hexdigest()]


def test_the_page_has_every_hypothesis_of_the_plan() -> None:
    plan, page = tomllib.loads(FILE.read_text()), PAGE.read_text()
    names = [row["name"] for row in plan["secondary"]]
    assert all(f"| `{name}` |" in page for name in (*names, "out-of-sample"))
    assert re.findall(r"^\| `([a-z0-9-]+)` \|", page, re.M) == [*names, "out-of-sample"]
    assert plan["assumptions"]["rule"] in page


def test_estimands_are_kept_apart() -> None:
    plan = tomllib.loads(FILE.read_text())
    assert {row["estimand"] for row in (plan["primary"], *plan["secondary"])} == {"mechanism", "forecast"}
    assert plan["primary"]["estimand"] == "mechanism"
