"""Every key of every example with every odd value in its place: it is read, or refused in one sentence; nothing else can happen."""

from __future__ import annotations

import copy
import math
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.experiments.scenario_texts import saved, saved_measurement
from tests.experiments.test_scenario_docs import EXAMPLES, in_a_whole_file

from tailwag.errors import InputError
from tailwag.experiments.report_json import strict_json
from tailwag.experiments.scenario_files import Overrides, load_scenario
from tailwag.experiments.scenario_writer import toml_value
from tailwag.experiments.simulate import simulate_file

ODD: tuple[Any, ...] = (
    -1,
    0,
    2.5,
    1e300,
    -1e300,
    1e-300,
    1e17,
    1e-17,
    10**30,
    math.nan,
    math.inf,
    True,
    "",
    "odd \u20ac\n",
    [],
    [1],
    [[]],
    {},
    {"odd": 1},
)

FEW: tuple[Any, ...] = (-1, 1e300, math.nan, True, "", [], {"odd": 1})


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield from places(part, (*path, key))


def replaced(top: dict[str, Any], path: tuple[Any, ...], odd: Any) -> dict[str, Any]:
    made = copy.deepcopy(top)
    inside: Any = made
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = odd
    return made


def word(value: Any) -> str:
    """TOML of anything on one line."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {word(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(word(part) for part in value) + "]"
    return value.isoformat() if hasattr(value, "isoformat") else toml_value(value)


def said_of(folder: Path, top: dict[str, Any]) -> str:
    """What is said against a scenario; "" where it is read."""
    try:
        load_scenario(saved(folder, "".join(f"{name} = {word(value)}\n" for name, value in top.items())))
    except InputError as refusal:
        return str(refusal)
    return ""


def files(folder: Path) -> None:
    saved_measurement(folder)
    rows = [f"{1772323200 + 900 * place},{60000 * math.exp(0.001 * math.sin(place))}" for place in range(40)]
    saved(folder, "\n".join(["unix,close", *rows]) + "\n", "candles.csv")


def refusals(folder: Path, number: int, odd_values: tuple[Any, ...]) -> int:
    """How often one example was refused; each time in one sentence."""
    files(folder)
    top = tomllib.loads(in_a_whole_file(EXAMPLES[number]))
    assert said_of(folder, top) == ""
    shown = set(tomllib.loads(EXAMPLES[number]))
    refused = 0
    for path in places({name: table for name, table in top.items() if name in shown}):
        for odd in odd_values:
            said = said_of(folder, replaced(top, path, odd))
            refused += bool(said)
            assert "\n" not in said, (path, odd, said)
            assert len(said) < 600, (path, odd, said)
    return refused


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_odd_values(tmp_path: Path, number: int) -> None:
    assert refusals(tmp_path, number, FEW) > 10


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_more_odd_values(tmp_path: Path, number: int) -> None:
    assert refusals(tmp_path, number, ODD) > 30


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_whatever_is_read_also_runs(tmp_path: Path, number: int) -> None:
    """A scenario that is not refused ends in strict JSON, without a warning, however odd its numbers."""
    files(tmp_path)
    top = tomllib.loads(in_a_whole_file(EXAMPLES[number]))
    shown = set(tomllib.loads(EXAMPLES[number]))
    ran = 0
    for path in places({name: table for name, table in top.items() if name in shown}):
        for odd in ODD:
            changed = replaced(top, path, odd)
            if said_of(tmp_path, changed):
                continue
            file = load_scenario(tmp_path / "scenario.toml", overrides=Overrides(paths=4))
            if file.scenario.grid.steps <= 2000:
                strict_json(simulate_file(file).document)
                ran += 1
    assert ran > 0
