"""What ``tailwag scenario gain`` does once its words are parsed: read, bump, predict, write, tell."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailwag.errors import InputError

if TYPE_CHECKING:
    from tailwag.experiments.scenario_files import ScenarioFile

DEFAULT_PATHS = 2_000


@dataclass(frozen=True, slots=True)
class GainRequest:
    """The words of one ``tailwag scenario gain`` call, as typed; ``move_pct`` in per cent, ``noise_pct`` None = one step of the scenario."""

    scenario: str
    move_pct: float
    noise_pct: float | None
    clock: str
    paths: int | None
    seed: int | None
    json_file: str | None
    png: str | None


def run_gain(request: GainRequest) -> None:
    """Bump a scenario of the library or of a file, set the closed forms beside it, and write what was asked for."""
    from tailwag.experiments.report_json import strict_json
    from tailwag.experiments.run_files import write_whole
    from tailwag.experiments.scenario_gain_terminal import gain_card

    _refuse_nowhere(request)
    document, tell = _bumped(request)
    if request.png:
        write_whole(Path(request.png), gain_card(document))
    text = strict_json(document) + b"\n"
    if request.json_file == "-":
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
        return
    if request.json_file:
        write_whole(Path(request.json_file), text)
    tell(document)
    for path in (request.json_file, request.png):
        if path:
            sys.stdout.write(f"wrote {path}\n")


def _bumped(request: GainRequest) -> tuple[dict[str, Any], Callable[[dict[str, Any]], None]]:
    """The document, and how it is printed: a number for one market, a matrix for several assets."""
    from tailwag.experiments.scenario_assets import open_assets
    from tailwag.experiments.scenario_gain import gain_document
    from tailwag.experiments.scenario_gain_matrix import gain_matrix_document, print_gain_matrix
    from tailwag.experiments.scenario_gain_terminal import print_gain
    from tailwag.sim.gain_bump import Bump

    noise = None if request.noise_pct is None else request.noise_pct / 100.0
    bump = Bump(size_log=request.move_pct / 100.0, noise_log=noise, clock=request.clock)
    several = open_assets(request.scenario)
    if several is not None:
        seed = several.seed if request.seed is None else request.seed
        return gain_matrix_document(several, paths=request.paths or several.paths, seed=seed, size_log=bump.size_log), print_gain_matrix
    name, file = _opened(request.scenario)
    seed = file.seed if request.seed is None else request.seed
    return gain_document(name, file, paths=request.paths or DEFAULT_PATHS, seed=seed, bump=bump), print_gain


def _opened(word: str) -> tuple[str, ScenarioFile]:
    """A scenario by the name of the library, or by the name of a file."""
    from tailwag.experiments.scenario_files import load_scenario
    from tailwag.experiments.scenario_library import library_names, library_story, open_story, story_files

    if word not in library_names() and (os.path.isfile(word) or word.endswith(".toml")):
        return os.path.basename(word).removesuffix(".toml"), load_scenario(word)
    story = library_story(word)
    return story.name, open_story(story, given=story_files(story))


def _refuse_nowhere(request: GainRequest) -> None:
    """Refuse a file that cannot be written before anything runs, not after."""
    named: tuple[tuple[str, Any], ...] = (("--png", request.png), ("--json", request.json_file))
    for name, path in named:
        if path is not None and path != "-" and (not Path(path).parent.is_dir() or Path(path).is_dir()):
            raise InputError(f"{name} expects a file in a folder that exists, got {path[:80]!a}; make the folder or name another")
