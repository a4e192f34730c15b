"""What ``tailwag hedge`` does once its words are parsed: read the book, search, compare, write."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailwag.errors import InputError

if TYPE_CHECKING:
    from tailwag.experiments.frontier_books import Prepared, Terms
    from tailwag.experiments.frontier_optimise import Objective, Optimum
    from tailwag.hedging.policies import Policy

Say = Callable[[str], None]
Count = Callable[[int, int], None] | None
PARTIAL, TRIALS = ".partial", ".trials.partial"


@dataclass(frozen=True, slots=True)
class Request:
    """The words of one ``tailwag hedge`` call, as typed."""

    book: str
    policies: list[str] | None
    hours: float | None
    step_minutes: float | None
    paths: int | None
    seed: int | None
    threads: int | None
    clearing: str | None
    delay_steps: int | None
    fee_bps: float | None
    half_spread_bps: float | None
    depth_usd_per_pct: float | None
    hedge_share: float | None
    market_share: float
    instrument: str
    margin_share: float
    funding_per_year: float
    measurement: str | None
    spot_usd: float | None
    vol: float | None
    at: str | None
    optimise: list[str] | None
    risk_aversion_per_usd: float | None
    json_file: str | None
    html: str | None
    png: str | None

    @property
    def kept(self) -> Path | None:
        """The first file that is written: what is half done lies beside it."""
        named = [name for name in (self.json_file, self.html, self.png) if name and name != "-"]
        return Path(named[0]) if named else None


def run_hedge(request: Request) -> None:
    """Compare the policies and write what was asked for; the summary goes to the terminal unless JSON has it."""
    from tailwag.cli.measuring import _kernels_are_cold
    from tailwag.cli.simulating import _threads
    from tailwag.experiments.frontier_books import prepare_book
    from tailwag.experiments.frontier_worlds import policies_from_text

    threads = _threads(request.threads)
    stated = policies_from_text(request.policies) if request.policies else ()
    wanted = _objectives(request)
    _refuse_outputs(request)
    with _progress() as (say, count):
        say("reading")
        if _kernels_are_cold():
            sys.stderr.write("tailwag: compiling the numerical kernels, once after installation (about half a minute)\n")
        book = prepare_book(request.book, _terms(request))
        optima = _optima(request, book, wanted, threads=threads, progress=(say, count))
        policies = _with_optima(stated or _usual(book), optima)
        say("comparing")
        document = _compared(request, book, policies, optima, threads=threads, count=count)
        written = _write(request, document, say)
    if request.json_file != "-":
        from tailwag.experiments.frontier_terminal import print_frontier

        print_frontier(document)
        for path in written:
            sys.stdout.write(f"wrote {path}\n")


def _terms(request: Request) -> Terms:
    from tailwag.experiments.frontier_books import Terms

    return Terms(**{entry.name: getattr(request, entry.name) for entry in fields(Terms)})


def _objectives(request: Request) -> list[tuple[str, Objective]]:
    """Which kinds to optimise, by which objective: the stated one, else variance where a risk aversion is given."""
    from tailwag.experiments.frontier_optimise import KINDS, Objective

    usual = "mean-es" if request.risk_aversion_per_usd is None else "variance"
    found = []
    for word in request.optimise or []:
        kind, _, objective = word.strip().partition(":")
        if kind not in KINDS:
            raise InputError(f"--optimise expects one of {', '.join(KINDS)}, which have a number to choose, got {kind[:40]!a}")
        found.append((kind, Objective(objective or usual, request.risk_aversion_per_usd)))
    return found


def _refuse_outputs(request: Request) -> None:
    for path in (request.json_file, request.html, request.png):
        if path and path != "-" and (not Path(path).parent.is_dir() or Path(path).is_dir()):
            raise InputError(f"cannot write {path[:200]!a}: expected a file in a folder that exists; name another")


def _usual(book: Prepared) -> tuple[Policy, ...]:
    """What is compared where nothing is named: every step, every hour, and bands that a move of 0.5 % and of 1.5 % fills."""
    from tailwag.hedging.policies import AtTimes, Band, EveryStep

    gamma = abs(book.question.starting_dollar_gamma_usd())
    bands = tuple(Band(half_width_usd=float(f"{gamma * move:.2g}")) for move in (0.005, 0.015) if gamma > 0.0)
    return (EveryStep(), AtTimes(60.0), *bands)


def _optima(
    request: Request, book: Prepared, wanted: list[tuple[str, Objective]], *, threads: int, progress: tuple[Say, Count]
) -> tuple[Optimum, ...]:
    from tailwag.experiments.frontier_files import TrialsFile, fingerprint
    from tailwag.experiments.frontier_optimise import optimise_policy
    from tailwag.hedging.policies import EveryStep

    say, count = progress
    found: list[Optimum] = []
    for number, (kind, objective) in enumerate(wanted):
        say(f"optimising {kind}")
        digest = fingerprint(book.question, (EveryStep(),), paths=book.paths, seed=book.seed)
        keeper = None if request.kept is None else TrialsFile(_beside(request.kept, f".{number}{TRIALS}"), f"{digest} {kind} {objective}")
        found += optimise_policy(
            book.question, kind, objective, paths=book.paths, seed=book.seed, threads=threads, keeper=keeper, progress=count
        )
    return tuple(found)


def _with_optima(policies: tuple[Policy, ...], optima: tuple[Optimum, ...]) -> tuple[Policy, ...]:
    """The policies stated and those found, each once."""
    return tuple(dict.fromkeys((*policies, *(optimum.policy for optimum in optima))))


def _compared(
    request: Request, book: Prepared, policies: tuple[Policy, ...], optima: tuple[Optimum, ...], *, threads: int, count: Count
) -> dict[str, Any]:
    from tailwag.experiments.frontier import compare_policies
    from tailwag.experiments.frontier_document import frontier_document
    from tailwag.experiments.frontier_files import SumsFile, fingerprint

    keeper = None
    if request.kept is not None:
        digest = fingerprint(book.question, policies, paths=book.paths, seed=book.seed)
        keeper = SumsFile(_beside(request.kept, PARTIAL), digest)
    frontier = compare_policies(book.question, policies, paths=book.paths, seed=book.seed, threads=threads, keeper=keeper, progress=count)
    return frontier_document(frontier, book, optima)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _write(request: Request, document: dict[str, Any], say: Say) -> list[str]:
    """Write every file that was asked for; then nothing half done is left."""
    from tailwag.experiments.report_json import strict_json
    from tailwag.experiments.run_files import write_whole

    written = []
    if request.json_file == "-":
        sys.stdout.buffer.write(strict_json(document) + b"\n")
        sys.stdout.buffer.flush()
    elif request.json_file:
        write_whole(Path(request.json_file), strict_json(document) + b"\n")
        written.append(request.json_file)
    if request.html:
        from tailwag.experiments.frontier_report import frontier_html

        say("drawing the report")
        write_whole(Path(request.html), frontier_html(document).encode())
        written.append(request.html)
    if request.png:
        from tailwag.experiments.frontier_card import frontier_card

        say("drawing the picture")
        write_whole(Path(request.png), frontier_card(document))
        written.append(request.png)
    if request.kept is not None:
        _beside(request.kept, PARTIAL).unlink(missing_ok=True)
        for number in range(len(request.optimise or [])):
            _beside(request.kept, f".{number}{TRIALS}").unlink(missing_ok=True)
    return written


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
