"""What ``tailwag scenario`` does once its words are parsed: read the library, play, write, tell."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailwag.errors import InputError

if TYPE_CHECKING:
    from tailwag.experiments.scenario_assets import AssetFile
    from tailwag.experiments.scenario_own import OpenStory
    from tailwag.experiments.scenario_play import Played
    from tailwag.experiments.scenario_story import Story
    from tailwag.experiments.scenario_switches import Chosen
    from tailwag.sim.scenario import Scenario

SCENARIO_NAME, DOCUMENT_NAME, OUTCOMES_NAME = "scenario.toml", "scenario.json", "outcomes.npz"
LIST_SCHEMA = "tailwag.scenario-list/1"


@dataclass(frozen=True, slots=True)
class Request:
    """The words of one ``tailwag scenario run`` or ``compare`` call, as typed; ``switches`` None runs, () compares all that apply."""

    name: str
    switches: tuple[str, ...] | None
    paths: int | None
    seed: int | None
    out: str | None
    threads: int | None
    json_file: str | None
    html: str | None
    png: str | None


def run_list(json_file: str | None) -> None:
    """Print the library, or write it as JSON."""
    from tailwag.experiments.report_json import strict_json
    from tailwag.experiments.run_files import write_whole
    from tailwag.experiments.scenario_assets import asset_library
    from tailwag.experiments.scenario_library import library
    from tailwag.experiments.scenario_switches import SWITCHES
    from tailwag.experiments.scenario_terminal import print_library

    stories, several = list(library()), [{"name": one.name, "sentence": one.sentence, "question": one.question} for one in asset_library()]
    if json_file is None:
        print_library(stories, SWITCHES, [(one["name"], one["sentence"]) for one in several])
        return
    switches = [
        {"name": one.name, "sentence": one.sentence, "kind": one.kind, "asks": one.asks, "parameters": dict(one.parameters)}
        for one in SWITCHES
    ]
    told = {"scenarios": [story.to_document() for story in stories], "asset_scenarios": several, "switches": switches}
    text = strict_json({"schema": LIST_SCHEMA, **told}) + b"\n"
    if json_file == "-":
        sys.stdout.buffer.write(text)
        return
    write_whole(Path(json_file), text)
    sys.stdout.write(f"wrote {json_file}\n")


def run_scenario(request: Request) -> None:
    """Play a scenario of the library or of a file, with its switches where they are compared, and write what was asked for."""
    from tailwag.experiments.scenario_assets import asset_library_names, open_assets
    from tailwag.experiments.scenario_own import is_file, story_of

    several = open_assets(request.name) if request.name in asset_library_names() or is_file(request.name) else None
    if several is not None:
        _run_assets(request, several)
        return
    from tailwag.cli.measuring import _kernels_are_cold
    from tailwag.cli.simulating import LOOP_KERNELS, _progress, _threads
    from tailwag.experiments.run_files import output_folder
    from tailwag.experiments.scenario_files import Overrides
    from tailwag.experiments.scenario_play import Stage, play
    from tailwag.experiments.scenario_terminal import print_scenario

    threads = _threads(request.threads)
    _refuse_nowhere(request)
    _known(request)
    opened = story_of(request.name, overrides=Overrides(paths=request.paths, seed=request.seed))
    story, file = opened.story, opened.file
    switches = _switches(request.switches, story, file.scenario)
    if _kernels_are_cold(LOOP_KERNELS):
        sys.stderr.write("tailwag: compiling the numerical kernels, once after installation (about half a minute)\n")
    with _progress() as (say, progress):
        folder = None if request.out is None else output_folder(request.out)
        stage = Stage(threads, folder, say, progress)
        played = play(story, file, switches, stage=stage, lenient=not request.switches)
        wrote = () if folder is None else _write(folder, opened, played)
        _draw(request, played, say)
    _tell(request, played.document, wrote, print_scenario)


def _run_assets(request: Request, file: AssetFile) -> None:
    """Play a scenario over several assets, write what was asked for, tell it."""
    from tailwag.cli.simulating import _threads
    from tailwag.experiments.report_json import strict_json
    from tailwag.experiments.run_files import output_folder, write_whole
    from tailwag.experiments.scenario_assets_play import asset_twins, play_assets
    from tailwag.experiments.scenario_assets_terminal import print_assets

    _refuse_nowhere(request)
    twins = () if request.switches is None else asset_twins(file.scenario, request.switches)
    seed, threads = file.seed if request.seed is None else request.seed, _threads(request.threads)
    document = play_assets(file, twins, paths=request.paths or file.paths, seed=seed, threads=threads)
    wrote: tuple[str, ...] = ()
    if request.out is not None:
        folder = output_folder(request.out)
        written = {SCENARIO_NAME: _assets_text(request.name), DOCUMENT_NAME: strict_json(document) + b"\n"}
        for name, data in written.items():
            write_whole(folder / name, data)
        wrote = tuple(str(folder / name) for name in written)
    _draw_assets(request, document)
    _tell(request, document, wrote, print_assets)


def _assets_text(name: str) -> bytes:
    from tailwag.experiments.scenario_assets import asset_library_names, asset_library_text

    return asset_library_text(name) if name in asset_library_names() else Path(name).read_bytes()


def _draw_assets(request: Request, document: dict[str, Any]) -> None:
    from tailwag.experiments.run_files import write_whole

    if request.html:
        from tailwag.experiments.scenario_assets_report import assets_html

        write_whole(Path(request.html), assets_html(document).encode())
    if request.png:
        from tailwag.experiments.scenario_assets_card import assets_card

        write_whole(Path(request.png), assets_card(document))


def _known(request: Request) -> None:
    """A misspelt switch is refused before any real data are read."""
    from tailwag.experiments.scenario_switches import chosen_switch

    for word in request.switches or ():
        chosen_switch(word)


def _switches(words: tuple[str, ...] | None, story: Story, scenario: Scenario) -> list[Chosen]:
    from tailwag.experiments.scenario_switches import chosen_switch, for_agents

    if words is None:
        return []
    found = [one for word in words or story.switches for one in for_agents(chosen_switch(word, story.switch_parameters), scenario)]
    labels = [one.label for one in found]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise InputError(f"expected each switch once, got {twice} twice; leave one out, or give it other numbers")
    return found


def _refuse_nowhere(request: Request) -> None:
    """Refuse a file that cannot be written before anything runs, not after."""
    for name, path in (("--html", request.html), ("--png", request.png), ("--json", request.json_file)):
        if path is not None and path != "-" and (not Path(path).parent.is_dir() or Path(path).is_dir()):
            raise InputError(f"{name} expects a file in a folder that exists, got {path[:80]!a}; make the folder or name another")


def _write(folder: Path, opened: OpenStory, played: Played) -> tuple[str, ...]:
    """The scenario with the files it names, the document, and every arm's outcomes by path."""
    from tailwag.experiments.report_json import strict_json
    from tailwag.experiments.run_files import packed_arrays, write_whole

    arrays = {f"{arm.label}|{name}": values for arm in played.arms for name, values in arm.columns.items()}
    written = {
        **{name: raw.data for name, raw in opened.given.items()},
        SCENARIO_NAME: opened.file.text.encode(),
        DOCUMENT_NAME: strict_json(played.document) + b"\n",
        OUTCOMES_NAME: packed_arrays(arrays),
    }
    for name, data in written.items():
        write_whole(folder / name, data)
    return tuple(str(folder / name) for name in written)


def _draw(request: Request, played: Played, say: Callable[[str], None]) -> None:
    from tailwag.experiments.run_files import write_whole

    if request.html:
        from tailwag.experiments.scenario_report import scenario_html

        say("drawing the report")
        write_whole(Path(request.html), scenario_html(played.document).encode())
    if request.png:
        from tailwag.experiments.scenario_report_card import scenario_card

        say("drawing the card")
        write_whole(Path(request.png), scenario_card(played.document))


def _tell(request: Request, document: dict[str, Any], wrote: tuple[str, ...], show: Callable[[dict[str, Any]], None]) -> None:
    from tailwag.experiments.report_json import strict_json
    from tailwag.experiments.run_files import write_whole

    text = strict_json(document) + b"\n"
    if request.json_file == "-":
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
        return
    if request.json_file:
        write_whole(Path(request.json_file), text)
    show(document)
    for path in (*wrote, request.json_file, request.html, request.png):
        if path:
            sys.stdout.write(f"wrote {path}\n")
