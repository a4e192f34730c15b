"""The scenario library: documented scenarios that come with the package, read by name, with the real data that some of them need."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from tailwag.errors import InputError
from tailwag.experiments.scenario_files import NOTHING_SAID, Overrides, ScenarioFile, read_scenario
from tailwag.experiments.scenario_story import RealData, Story, read_story
from tailwag.experiments.scenario_tables import nearest, shown
from tailwag.experiments.sweep_grid import point_text
from tailwag.sources.opening import RawFile, read_file

BOOK_NAME, CANDLES_NAME = "measure.json", "candles.csv"
DATA_VARIABLE = "TAILWAG_DATA"


def library_names() -> tuple[str, ...]:
    """The scenarios of the library, in the order of their names.

    >>> "quiet-pin" in library_names()
    True
    """
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in _folder().iterdir() if entry.name.endswith(".toml")))


def library_story(name: str) -> Story:
    """One scenario of the library; InputError names the nearest where there is none of that name."""
    known = library_names()
    if name not in known:
        raise InputError(f"expected a scenario of the library ({', '.join(known)}), got {shown(name)}{nearest(name, known)}")
    return read_story(name, tomllib.loads((_folder() / f"{name}.toml").read_text(encoding="utf-8")))


def library() -> Iterator[Story]:
    """Every scenario of the library."""
    return map(library_story, library_names())


def story_text(story: Story) -> str:
    """The scenario of a story as a scenario file of its own; ``tailwag simulate`` runs it beside the files of :func:`story_files`."""
    return f"# {story.sentence}.\n# Written by tailwag scenario run {story.name}.\n\n{point_text(story.scenario)}"


def story_files(story: Story, environment: Mapping[str, str] | None = None) -> dict[str, RawFile]:
    """The files that a story's scenario names, made from real market data; none for a story that needs none.

    InputError where the data are not there: it names the file and TAILWAG_DATA.
    """
    if story.data is None:
        return {}
    chain, candles = (_real_file(story, path, os.environ if environment is None else environment) for path in story.needs)
    return {BOOK_NAME: _measured(story.data, chain), CANDLES_NAME: _renamed(read_file(candles), CANDLES_NAME)}


def open_story(story: Story, *, overrides: Overrides = NOTHING_SAID, given: Mapping[str, RawFile]) -> ScenarioFile:
    """The scenario of a story, read and checked as any scenario file; ``given``: the files of :func:`story_files`."""
    data = story_text(story).encode()
    raw = RawFile(f"{story.name}.toml", data, hashlib.sha256(data).hexdigest())
    return read_scenario(raw, os.curdir, overrides=overrides, given=given)


def _folder() -> Any:
    return files("tailwag.experiments.library")


def _real_file(story: Story, path: str, environment: Mapping[str, str]) -> Path:
    folder = environment.get(DATA_VARIABLE)
    if not folder:
        raise InputError(
            f"scenario {story.name} needs real market data: {path}; set {DATA_VARIABLE} to the folder that holds it, or take a scenario that needs none"
        )
    found = Path(folder) / path
    if not found.is_file():
        raise InputError(
            f"scenario {story.name} needs real market data: expected {path} in the folder that {DATA_VARIABLE} names, got no such file; put it there"
        )
    return found


def _measured(data: RealData, chain: Path) -> RawFile:
    """The chain measured as it stands: the document that tailwag measure --json writes."""
    from tailwag.experiments.measure import MeasureOptions, measure
    from tailwag.experiments.report_json import strict_json
    from tailwag.market.clock import parse_time_ns
    from tailwag.positioning.spelling import parse_rule
    from tailwag.sources.files import load

    snapshot = load(chain, currency=data.currency, at_ns=parse_time_ns(data.at))
    options = MeasureOptions(
        dynamics="sticky-strike", rules=(parse_rule(data.rule),), daily_volume_usd=data.daily_volume_usd, daily_vol=data.daily_vol
    )
    document = measure(snapshot, options).document()
    return _renamed(RawFile(BOOK_NAME, strict_json(json.loads(strict_json(document))), ""), BOOK_NAME)


def _renamed(raw: RawFile, name: str) -> RawFile:
    return RawFile(name, raw.data, hashlib.sha256(raw.data).hexdigest())
