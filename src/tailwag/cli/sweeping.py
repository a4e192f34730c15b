"""What ``tailwag sweep`` does once its words are parsed: read the grid, run what is left, write, draw."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tailwag.errors import InputError

if TYPE_CHECKING:
    from tailwag.experiments.sweep import Sweep
    from tailwag.experiments.sweep_maps import TaskMap
    from tailwag.experiments.sweep_slice import Slice

TABLE_NAME, DOCUMENT_NAME, PAGE_NAME, CARD_NAME = "sweep.parquet", "sweep.json", "phase.html", "phase.png"
Say = Callable[[str], None]
Count = Callable[[int, int], None] | None


@dataclass(frozen=True, slots=True)
class Request:
    """The words of one ``tailwag sweep`` call, as typed."""

    grid: str
    out: str
    workers: int | None
    scheduler: str | None
    x: str | None
    y: str | None
    value: str
    where: tuple[str, ...]
    json_file: str | None


def run_sweep_command(request: Request) -> None:
    """Read a sweep file, run it, and write DIR; the summary goes to the terminal unless JSON has it."""
    from tailwag.experiments.sweep import run_sweep
    from tailwag.experiments.sweep_document import axes_of, figures_of
    from tailwag.experiments.sweep_grid import load_grid
    from tailwag.experiments.sweep_slice import Asked, chosen, sliced

    where = _where(request)
    asked = Asked(request.x, request.y, request.value, request.where)
    if request.json_file and request.json_file != "-" and not Path(request.json_file).parent.is_dir():
        raise InputError(f"cannot write {request.json_file}: its folder is not there; make it, or name another")
    with _progress() as (say, count):
        say("reading the grid")
        grid = load_grid(request.grid, checked=count)
        chosen(asked, axes_of(grid), figures_of(grid))
        _warn_cold()
        say("sweeping")
        done = run_sweep(grid, request.out, run=where, progress=count)
        say("drawing")
        found = sliced(done.document, asked)
        text = _write(Path(request.out), done, found)
    _tell(request, done, found, text)


def _where(request: Request) -> TaskMap:
    """Where the tasks run: this machine's processes, or a cluster."""
    from tailwag.experiments.sweep_maps import MOST_WORKERS, Dask, Processes, all_cores

    if request.scheduler is not None:
        if request.workers is not None:
            raise InputError("--workers is for this machine and --scheduler for a cluster, which has its own workers; leave one out")
        return Dask(request.scheduler)
    workers = all_cores() if request.workers is None else request.workers
    if not 1 <= workers <= MOST_WORKERS:
        raise InputError(f"--workers expects 1 to {MOST_WORKERS:,}, got {workers}; the result is the same for any number")
    return Processes(workers)


def _warn_cold() -> None:
    from tailwag.cli.measuring import _kernels_are_cold

    if _kernels_are_cold("loop*"):
        sys.stderr.write("tailwag: compiling the numerical kernels, once after installation (about half a minute)\n")


def _write(folder: Path, done: Sweep, found: Slice) -> bytes:
    from tailwag.experiments.report_json import strict_json
    from tailwag.experiments.run_files import write_whole
    from tailwag.experiments.sweep_card import sweep_card
    from tailwag.experiments.sweep_page import sweep_html

    text = strict_json(done.document) + b"\n"
    write_whole(folder / TABLE_NAME, done.table)
    write_whole(folder / DOCUMENT_NAME, text)
    write_whole(folder / PAGE_NAME, sweep_html(done.document, found).encode())
    write_whole(folder / CARD_NAME, sweep_card(done.document, found))
    return text


def _tell(request: Request, done: Sweep, found: Slice, text: bytes) -> None:
    from tailwag.experiments.run_files import write_whole
    from tailwag.experiments.sweep_terminal import print_sweep

    if request.json_file == "-":
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
        return
    if request.json_file:
        write_whole(Path(request.json_file), text)
    print_sweep(done.document, found)
    for name in (TABLE_NAME, DOCUMENT_NAME, PAGE_NAME, CARD_NAME):
        sys.stdout.write(f"wrote {Path(request.out) / name}\n")
    if request.json_file:
        sys.stdout.write(f"wrote {request.json_file}\n")


@contextmanager
def _progress() -> Iterator[tuple[Say, Count]]:
    """A bar with the time left on a terminal's stderr; silent where nobody looks."""
    if not sys.stderr.isatty():
        yield (lambda text: None), None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def say(text: str) -> None:
            bar.reset(task, description=text, total=None)

        yield say, (lambda done, total: bar.update(task, completed=done, total=total))
