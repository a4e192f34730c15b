"""Odd values that once got past the reader and ended the run: each is refused in one sentence when the file is read, or runs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.experiments.scenario_texts import saved
from tests.experiments.test_scenario_docs import EXAMPLES, in_a_whole_file
from tests.experiments.test_scenario_odd_values import said_of, word

from tailwag.errors import InputError
from tailwag.experiments.report_json import strict_json
from tailwag.experiments.scenario_files import load_scenario
from tailwag.experiments.simulate import simulate_file
from tailwag.liquidity.pools import WeightedPool
from tailwag.sim.amm_oracle import OracleRule
from tailwag.sim.grid import TimeGrid


def example_of(table: str, key: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first example of the reference with ``key`` in a table of that list: the whole file, and that table in it."""
    for example in EXAMPLES:
        if any(key in one for one in tomllib.loads(example).get(table, [])):
            top = tomllib.loads(in_a_whole_file(example))
            return top, next(one for one in top[table] if key in one)
    raise AssertionError((table, key))


REFUSED = [
    ("agent", "value_usd", 10**30, "value_usd of a size from 1e-18 to 1e+18 (or 0), got 1e+30"),
    ("agent", "value_usd", 2e15, "value_usd above 0 and at most 1e+15, got 2e+15"),
    ("agent", "two_way_usd_per_day", 2e15, "two_way_usd_per_day from 0 to 1e+15, got 2e+15"),
    ("agent", "weight", 1e17, "weight above 0 and below 1"),
    ("agent", "least_hours", 1e6, "least_hours from 0 to 876000, got 1e+06"),
    ("agent", "first_expiry_hours", 1e6, "first_expiry_hours above 0 and at most 876000"),
    ("agent", "expiry_every_hours", 1e6, "expiry_every_hours above 0 and at most 876000"),
    ("agent", "expiry_hours", 1e6, "expiry_hours above 0 and at most 876000"),
    ("agent", "epoch_hours", 1e6, "epoch_hours above 0 and at most 876000"),
    ("agent", "first_epoch_hours", 1e6, "first_epoch_hours from 0 to 876000"),
    ("agent", "assets_coin", 1e17, "assets_coin above 0 and at most 1.66667e+10"),
    ("agent", "longs", [{"leverage": 1e-17, "share": 0.5}], "leverage from 0.01 to 1000, got 1e-17"),
    ("agent", "collateral_usd", 2.5, "of initial margin at the start, got $2.50"),
    ("agent", "cutoff_hours", 0, "cutoff_hours of 0.5 or more where options settle on a 30-minute average, got 0"),
    ("agent", "unwind_minutes", 2.5, "holds steps of the settlement window and of the 2.5 minutes after it"),
    ("agent", "sells_spot_hours", [3, 1e6], "expected steps of the run from 3 to 1e+06 hours, got none"),
    ("venue", "expiry_days", 1e17, "expiry_days above 0 and at most 36500, got 1e+17"),
    ("venue", "expiry_days", 36_500, "carry to expiry of at most 5 in logs (148 times spot), got 0.06 a year for 100 years"),
    ("venue", "name", "odd \u20ac\n", "name of 1 to 60 letters, digits, spaces and . _ - + @ that starts with a letter or digit, got 'odd \\u20ac\\n'"),
    ("venue", "name", "two\nlines", "name of 1 to 60 letters"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "key", "odd", "words"), REFUSED)
def test_an_odd_value_is_refused_as_the_file_is_read(tmp_path: Path, table: str, key: str, odd: Any, words: str) -> None:
    top, inside = example_of(table, key)
    assert said_of(tmp_path, top) == ""
    inside[key] = odd
    said = said_of(tmp_path, top)
    assert words in said
    assert said.startswith("scenario.toml: ")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("key", "odd"), [("lag_seconds", 1e17), ("first_epoch_hours", 1000), ("least_hours", 876_000), ("value_usd", 10**12), ("stream", 3)]
)
def test_what_is_large_and_possible_runs(tmp_path: Path, key: str, odd: Any) -> None:
    top, inside = example_of("agent", key)
    inside[key] = odd
    path = saved(tmp_path, "".join(f"{name} = {word(value)}\n" for name, value in top.items()))
    assert strict_json(simulate_file(load_scenario(path)).document)


@pytest.mark.parametrize("key", ["first_expiry_hours", "expiry_every_hours", "least_hours"])
def test_the_hours_of_those_who_trade_at_random_end_too(tmp_path: Path, key: str) -> None:
    top, inside = example_of("agent", "orders_per_hour")
    inside[key] = 1e6
    assert re.search(rf"expected {key} .* 876000, got 1e\+06", said_of(tmp_path, top))


def test_an_arbitrageurs_name_stands_in_sentences_too(tmp_path: Path) -> None:
    top, inside = example_of("agent", "between")
    inside["name"] = "two\nlines"
    assert "expected a name of 1 to 60 letters" in said_of(tmp_path, top)


def test_a_seed_may_be_as_large_as_a_whole_number_gets(tmp_path: Path) -> None:
    top = tomllib.loads(in_a_whole_file(EXAMPLES[0]))
    top["run"]["seed"] = 2**63 - 1
    assert said_of(tmp_path, top) == ""


def test_a_weight_is_looked_at_before_the_price_is_raised_to_it() -> None:
    for weight in (1e17, 0.0, 1.0, -1.0):
        with pytest.raises(InputError, match="weight above 0 and below 1"):
            WeightedPool.worth(1e8, price_usd=6e4, weight=weight)


@pytest.mark.parametrize(("seconds", "steps"), [(0.0, 1), (90.0, 2), (60.0 * 59, 59), (60.0 * 60, 60), (60.0 * 60.5, 61), (1e300, 61)])
def test_a_report_comes_no_later_than_the_step_after_the_run(seconds: float, steps: int) -> None:
    assert OracleRule(lag_seconds=seconds).lag_steps(TimeGrid.uniform(horizon_days=1 / 24, step_minutes=1.0)) == steps
