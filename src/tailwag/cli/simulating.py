"""What ``tailwag simulate`` does once its words are parsed: read, write the scenario, run, write."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailwag.errors import InputError

if TYPE_CHECKING:
    from tailwag.experiments.scenario_files import Overrides, ScenarioFile
    from tailwag.experiments.scenario_from_measurement import Stated
    from tailwag.experiments.simulate import Simulated
    from tailwag.sim.calibrate import Calibration
    from tailwag.sources.opening import RawFile

SCENARIO_NAME, RUN_NAME, PATHS_NAME = "scenario.toml", "run.json", "paths.npz"
LOOP_KERNELS = "loop.advance*"
MARK = "# sha256 of the lines above: "
"""Last line of a scenario that was written for the user: where it no longer fits, the user has edited the file, and it is left alone."""


@dataclass(frozen=True, slots=True)
class Request:
    """The words of one ``tailwag simulate`` call, as typed."""

    source: str
    out: str
    hours: float | None
    paths: int | None
    seed: int | None
    threads: int | None
    clearing: str | None
    depth_usd_per_pct: float | None
    vol: float | None
    json_file: str | None
    html: str | None = None
    png: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A scenario ready to run: its calibration where one is done already, its folder where it lies there, and what was written."""

    file: ScenarioFile
    calibration: Calibration | None = None
    folder: Path | None = None
    wrote: tuple[str, ...] = ()


def run_simulate(request: Request) -> None:
    """Read a scenario or a measurement, run it, and write DIR; the summary goes to the terminal unless JSON has it."""
    from tailwag.experiments.partial_runs import PartialRun
    from tailwag.experiments.report_json import strict_json
    from tailwag.experiments.run_files import output_folder, paths_archive, write_whole
    from tailwag.experiments.simulate import calibration_of, simulate_file

    threads = _threads(request.threads)
    _refuse_nowhere(request)
    with _progress() as (say, progress):
        ready = _prepared(request, say)
        folder = ready.folder or output_folder(request.out)
        say("calibrating" if ready.file.vol_is == "observed" else "simulating")
        calibration = ready.calibration or calibration_of(ready.file)
        say("simulating")
        part = PartialRun.opened(folder, ready.file)
        done = simulate_file(ready.file, threads=threads, calibration=calibration, part=part, progress=progress)
        text = strict_json(done.document) + b"\n"
        if done.kept is not None:
            say("writing the paths")
            write_whole(folder / PATHS_NAME, paths_archive(done.kept))
        write_whole(folder / RUN_NAME, text)
        part.finish()
        _draw(request, done, say)
    _tell(request, done.document, text, folder, (*ready.wrote, *((PATHS_NAME,) if done.kept else ()), RUN_NAME))


def _tell(request: Request, document: dict[str, Any], text: bytes, folder: Path, wrote: tuple[str, ...]) -> None:
    from tailwag.experiments.run_files import write_whole
    from tailwag.experiments.run_terminal import print_run

    if request.json_file == "-":
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
        return
    if request.json_file:
        write_whole(Path(request.json_file), text)
    print_run(document)
    for name in wrote:
        sys.stdout.write(f"wrote {folder / name}\n")
    for path in (request.json_file, request.html, request.png):
        if path:
            sys.stdout.write(f"wrote {path}\n")


def _refuse_nowhere(request: Request) -> None:
    """Refuse a file that cannot be written before anything runs, not after."""
    for name, path in (("--html", request.html), ("--png", request.png)):
        if path is not None and (not Path(path).parent.is_dir() or Path(path).is_dir()):
            raise InputError(f"{name} expects a file in a folder that exists, got {path[:80]!a}; make the folder or name another")


def _draw(request: Request, done: Simulated, say: Callable[[str], None]) -> None:
    from tailwag.experiments.run_files import write_whole

    if request.html:
        from tailwag.experiments.run_report import write_run_report

        say("drawing the report")
        write_run_report(done.run, done.document, Path(request.html))
    if request.png:
        from tailwag.experiments.run_report_card import run_card

        say("drawing the card")
        write_whole(Path(request.png), run_card(done.document))


def _threads(stated: int | None) -> int:
    if stated is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not 1 <= stated <= 1024:
        raise InputError(f"--threads expects 1 to 1,024, got {stated}; the result is the same for any number")
    return stated


def _prepared(request: Request, say: Callable[[str], None]) -> Prepared:
    from tailwag.cli.measuring import _kernels_are_cold
    from tailwag.experiments.scenario_files import LIMIT_BYTES, Overrides, load_scenario
    from tailwag.sources.opening import read_file

    overrides = Overrides(hours=request.hours, paths=request.paths, seed=request.seed, clearing=request.clearing)
    raw = read_file(request.source)
    if _kernels_are_cold(LOOP_KERNELS):
        sys.stderr.write("tailwag: compiling the numerical kernels, once after installation (about half a minute)\n")
    if raw.data.lstrip()[:1] == b"{":
        return _from_measurement(request, raw, overrides, say)
    for name, value in (("--depth-usd-per-pct", request.depth_usd_per_pct), ("--vol", request.vol)):
        if value is not None:
            raise InputError(f"{name} goes with a measurement; a scenario states its own, edit [impact] or [price] of {raw.name}")
    if len(raw.data) > LIMIT_BYTES:
        raise InputError(f"{raw.name}: {len(raw.data):,} bytes, a scenario has at most {LIMIT_BYTES:,}; keep large books in a measurement")
    return Prepared(load_scenario(request.source, overrides=overrides))


def _from_measurement(request: Request, raw: RawFile, overrides: Overrides, say: Callable[[str], None]) -> Prepared:
    """Write DIR/scenario.toml and the measurement beside it, once the scenario is known to be one that runs."""
    from tailwag.experiments.run_files import output_folder, write_whole
    from tailwag.experiments.scenario_from_measurement import BOOK_NAME, Stated
    from tailwag.experiments.simulate import calibration_of

    stated = Stated(request.depth_usd_per_pct, request.vol)
    data, file = _written_out(raw, overrides, stated)
    folder = output_folder(request.out)
    say("calibrating")
    try:
        calibration = calibration_of(file)
    except InputError as error:
        calibration = None
        data, file = _written_out(raw, overrides, replace(stated, uncalibrated=str(error)))
    _refuse_edited(folder / SCENARIO_NAME, data)
    write_whole(folder / BOOK_NAME, raw.data)
    write_whole(folder / SCENARIO_NAME, data)
    return Prepared(file, calibration, folder, (BOOK_NAME, SCENARIO_NAME))


def _written_out(raw: RawFile, overrides: Overrides, stated: Stated) -> tuple[bytes, ScenarioFile]:
    """The bytes of scenario.toml, and the scenario that reading them back gives."""
    from tailwag.experiments.scenario_files import read_scenario
    from tailwag.experiments.scenario_from_measurement import BOOK_NAME, scenario_from_measurement
    from tailwag.sources.opening import RawFile
    from tailwag.sources.strict_json import parse_json

    text = scenario_from_measurement(parse_json(raw), name=raw.name, overrides=overrides, stated=stated)
    data = _marked(text)
    book = RawFile(BOOK_NAME, raw.data, hashlib.sha256(raw.data).hexdigest())
    scenario = RawFile(f"{raw.name} as a scenario", data, hashlib.sha256(data).hexdigest())
    return data, read_scenario(scenario, ".", given={BOOK_NAME: book})


def _marked(text: str) -> bytes:
    return f"{text}\n{MARK}{hashlib.sha256(text.encode()).hexdigest()}\n".encode()


def _refuse_edited(path: Path, data: bytes) -> None:
    """Refuse to overwrite a scenario that the user has edited or written himself."""
    if not path.exists():
        return
    try:
        there = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path.name} in --out ({error.strerror}); name another folder") from None
    text, mark, digest = there.decode("utf-8", "replace").rpartition(f"\n{MARK}")
    if there != data and not (mark and hashlib.sha256(text.encode()).hexdigest() == digest.strip()):
        raise InputError(
            f"{path.name} in --out is edited or not ours, and would be overwritten; run it (tailwag simulate {path} --out DIR), or name another folder"
        )


@contextmanager
def _progress() -> Iterator[tuple[Callable[[str], None], Callable[[int, int], None] | None]]:
    """A bar with the time left on a terminal's stderr; silent where nobody looks."""
    if not sys.stderr.isatty():
        yield (lambda text: None), None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("paths"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)
        yield (lambda text: bar.update(task, description=text)), (lambda done, total: bar.update(task, completed=done, total=total))
