"""The reference of scenario files is true: every example runs, and every key, model, policy and outcome is named."""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.experiments.scenario_texts import BASE, saved, saved_measurement

from tailwag.experiments import (
    scenario_agent_dealer,
    scenario_agents,
    scenario_files,
    scenario_market,
    scenario_options,
    scenario_prices,
    scenario_venues,
    scenario_venues_chain,
)
from tailwag.experiments.scenario_files import Overrides, load_scenario
from tailwag.experiments.scenario_writer import toml_value
from tailwag.experiments.simulate import simulate_file
from tailwag.hedging.spelling import KINDS as POLICIES

DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference"
PAGE = (DOCS / "scenario-files.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def written(top: dict[str, Any]) -> str:
    listed = [(f"[[{name}]]", one) for name in ("venue", "agent") for one in top.get(name, [])]
    sections = [(f"[{name}]", table) for name, table in top.items() if name not in ("venue", "agent")] + listed
    return "".join(f"\n{head}\n" + "".join(f"{key} = {spelled(value)}\n" for key, value in table.items()) for head, table in sections)


def spelled(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {spelled(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(spelled(part) for part in value) + "]"
    return value.isoformat() if hasattr(value, "isoformat") else toml_value(value)


def in_a_whole_file(example: str) -> str:
    """The example's tables in place of those of a small file that runs; few paths and steps."""
    shown = tomllib.loads(example)
    top = tomllib.loads(BASE) | {"options": {"iv": 0.6}} | shown
    top["run"] = {**top["run"], "paths": 4, "start": tomllib.loads(BASE)["run"]["start"]}
    if "time_grid" in top["run"]:
        top["run"]["time_grid"]["steps"] = 24
    else:
        top["run"] |= {"horizon_days": 0.25, "step_minutes": 15}
    delays = [agent["delay_steps"] for agent in top["agent"] if "delay_steps" in agent]
    top["run"]["clearing"] = "lagged" if any(delays) and all(delays) else "implicit"
    return written(top)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_every_example_runs(tmp_path, number):
    saved_measurement(tmp_path)
    rows = [f"{1772323200 + 900 * place},{60000 * math.exp(0.001 * math.sin(place))}" for place in range(120)]
    saved(tmp_path, "\n".join(["unix,close", *rows]) + "\n", "candles.csv")
    document = simulate_file(load_scenario(saved(tmp_path, in_a_whole_file(EXAMPLES[number])))).document
    assert document["paths"] == 4


def test_the_first_example_is_whole(tmp_path):
    file = load_scenario(saved(tmp_path, EXAMPLES[0]))
    assert (file.paths, file.scenario.grid.steps, file.scenario.agents[0].options.rows) == (10_000, 288, 2)


def test_every_key_is_named_and_shown():
    fields_of = {name for made in (*scenario_prices.MODELS.values(), *POLICIES.values()) for name in (entry.name for entry in fields(made))}
    of_agents = {key for reader in scenario_agents.READERS.values() for key in import_module(reader.__module__).TERMS}
    keys = {*scenario_files.RUN_KEYS, *scenario_market.IMPACT_KEYS, *of_agents, *scenario_agent_dealer.BOOKS, *fields_of}
    keys |= {
        *scenario_venues.VENUE_KEYS,
        *scenario_venues.ARBITRAGEUR_KEYS,
        scenario_venues.TRADES_ON,
        *scenario_venues_chain.KEYS,
        *scenario_options.KEYS,
    }
    keys |= {key for table in scenario_agent_dealer.EXECUTIONS.values() for key in table}
    words = {*scenario_prices.MODELS, *scenario_prices.FROM_CANDLES, *POLICIES, *scenario_agent_dealer.EXECUTIONS, *scenario_agents.READERS}
    assert {word for word in keys | words if f"`{word}`" not in PAGE} == set()
    shown = " ".join(EXAMPLES)
    kinds = {*scenario_prices.MODELS, *scenario_prices.FROM_CANDLES, *POLICIES, *scenario_agent_dealer.EXECUTIONS, *scenario_agents.READERS}
    assert {word for word in kinds if f'"{word}' not in shown} == set()
    assert {key for key in keys - {"start"} if not re.search(rf"\b{key} = ", shown)} == set()


def test_the_page_of_run_json_names_every_key(tmp_path):
    page = (DOCS / "run-json.md").read_text(encoding="utf-8")
    saved_measurement(tmp_path)
    text = in_a_whole_file(EXAMPLES[0]).replace("lagged", "implicit")
    document = simulate_file(load_scenario(saved(tmp_path, text))).document

    def keys_of(value: Any) -> set[str]:
        if isinstance(value, dict):
            return set(value) | {key for part in value.values() for key in keys_of(part)}
        return {key for part in value for key in keys_of(part)} if isinstance(value, list) else set()

    assert {key for key in keys_of(document) if f"`{key}`" not in page and f'"{key}"' not in page} == set()


def test_the_example_scenario_runs():
    path = DOCS.parents[1] / "examples" / "short_gamma_day.toml"
    document = simulate_file(load_scenario(path, overrides=Overrides(paths=8, hours=1.0))).document
    assert [row["paths"] for row in document["outcomes"]] == [8, 0, 0, 0]
    assert [row["agent"] for row in document["pnl"]] == ["every step", "band"]
