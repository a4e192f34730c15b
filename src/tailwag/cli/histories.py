"""What ``tailwag history build`` does once its words are parsed: read, measure what is left, write, tell."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailwag.errors import InputError

if TYPE_CHECKING:
    from tailwag.experiments.study.history_maps import ChunkMap
    from tailwag.experiments.study.history_options import HistoryOptions

Count = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Request:
    """The words of one ``tailwag history build`` call, as typed."""

    source: list[str]
    store: str
    currency: list[str] | None
    start: str | None
    end: str | None
    rule: list[str] | None
    law: list[str] | None
    dynamics: list[str] | None
    vol: str
    day_count: str
    forward: str | None
    depth_usd_per_pct: float | None
    daily_volume_usd: float | None
    daily_vol: float | None
    impact_y: float
    crossover_usd: float | None
    move_pct: float
    hedge_share: float
    draws: int
    draw_correlation: float
    seed: int
    publication_delay: float
    workers: int | None
    scheduler: str | None
    json_file: str | None


def run_build(request: Request) -> None:
    """Build or extend a history; the summary goes to the terminal unless JSON has it.

    Raises InputError for words that cannot be used, before anything is measured.
    """
    from tailwag.cli.measuring import _kernels_are_cold
    from tailwag.experiments.study.history import build_history

    options, where, span_ns = _options(request), _where(request), _span_ns(request)
    if request.json_file and request.json_file != "-" and not Path(request.json_file).parent.is_dir():
        raise InputError(f"cannot write {request.json_file[:80]!a}: its folder is not there; make it, or name another")
    if _kernels_are_cold():
        sys.stderr.write("tailwag: compiling the numerical kernels, once after installation (about half a minute)\n")
    with _progress() as count:
        found = build_history(
            request.source,
            request.store,
            options,
            currencies=tuple(request.currency or ("BTC",)),
            span_ns=span_ns,
            run=where,
            progress=count,
        )
    _tell(request, found.document)


def _options(request: Request) -> HistoryOptions:
    from tailwag.experiments.study.history_options import CITED_RULES, HistoryOptions

    return HistoryOptions(
        rules=tuple(request.rule or CITED_RULES),
        laws=tuple(request.law or ()),
        dynamics=tuple(request.dynamics or ("sticky-strike",)),
        vol=request.vol,
        day_count=request.day_count,
        forward=request.forward,
        depth_usd_per_pct=request.depth_usd_per_pct,
        daily_volume_usd=request.daily_volume_usd,
        daily_vol=request.daily_vol,
        impact_y=request.impact_y,
        crossover_usd=request.crossover_usd,
        move_pct=request.move_pct,
        hedge_share=request.hedge_share,
        draws=request.draws,
        draw_correlation=request.draw_correlation,
        seed=request.seed,
        publication_delay_minutes=request.publication_delay,
    )


def _where(request: Request) -> ChunkMap:
    """Where snapshots are measured: this machine's processes, or a cluster."""
    from tailwag.experiments.study.history_maps import Dask, Processes
    from tailwag.experiments.sweep_maps import MOST_WORKERS, all_cores

    if request.scheduler is not None:
        if request.workers is not None:
            raise InputError("--workers is for this machine and --scheduler for a cluster, which has its own workers; leave one out")
        return Dask(request.scheduler)
    workers = all_cores() if request.workers is None else request.workers
    if not 1 <= workers <= MOST_WORKERS:
        raise InputError(f"--workers expects 1 to {MOST_WORKERS:,}, got {workers}; the result is the same for any number")
    return Processes(workers)


def _span_ns(request: Request) -> tuple[int, int]:
    from tailwag.experiments.study.history import ALWAYS
    from tailwag.market.clock import parse_time_ns

    low = ALWAYS[0] if request.start is None else parse_time_ns(request.start)
    high = ALWAYS[1] if request.end is None else parse_time_ns(request.end)
    if low > high:
        raise InputError("--from lies after --to; give the earlier time first")
    return low, high


@contextmanager
def _progress() -> Iterator[Count | None]:
    """A bar with the time left on a terminal's stderr; silent where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("measuring snapshots"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _tell(request: Request, document: dict[str, Any]) -> None:
    from tailwag.experiments.report_json import strict_json
    from tailwag.experiments.run_files import write_whole
    from tailwag.experiments.study.history_store import DOCUMENT

    text = strict_json(document) + b"\n"
    if request.json_file == "-":
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
        return
    if request.json_file:
        write_whole(Path(request.json_file), text)
    sys.stdout.write("".join(f"{line}\n" for line in (*document["headline"], *_lines(document))))
    written = [str(Path(request.store) / name) for name in (*document["tables"], DOCUMENT)] + (
        [request.json_file] if request.json_file else []
    )
    sys.stdout.write("".join(f"wrote {name}\n" for name in written))


def _lines(document: dict[str, Any]) -> Iterator[str]:
    for one in document["currencies"]:
        if not one["measured"]:
            yield f"{one['currency']}: none of {one['snapshots']} could be measured."
            continue
        gap = (
            ""
            if one["median_gap_hours"] is None
            else (f", {one['median_gap_hours']:.1f} hours apart in the median and {one['longest_gap_hours']:.1f} at most")
        )
        masked = f"open interest masked: {one['median_masked_share']:.2%} in the median, {one['largest_masked_share']:.2%} at most"
        yield f"{one['currency']}: {one['measured']} from {one['first']} to {one['last']}{gap}; {masked}."
    delay = document["assumptions"]["publication_delay_minutes"]
    yield f"A crawl that states no end counts as known {delay:g} minutes after its start."
    for name, table in document["tables"].items():
        yield f"{name}: {table['rows']:,} rows, sha256 {table['sha256']}"
