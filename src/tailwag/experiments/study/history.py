"""A history: every snapshot of some sources measured under several assumptions into one panel that knows nothing of what came later."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any

from tailwag.errors import EmptyChainError
from tailwag.experiments.study.history_maps import ChunkMap, here
from tailwag.experiments.study.history_options import HistoryOptions
from tailwag.experiments.study.history_sources import Moment, SourceFile, check_currencies, listed
from tailwag.experiments.study.history_store import PANEL, SCHEMA, SNAPSHOTS, HistoryStore
from tailwag.experiments.study.history_tables import PANEL_COLUMNS, SNAPSHOT_COLUMNS, refusals, table_bytes, tables
from tailwag.experiments.study.history_task import Chunk, chunks, code_versions
from tailwag.experiments.study.panel_snapshot import Row
from tailwag.market.clock import EARLIEST_NS, LATEST_NS, format_time

SNAPSHOTS_AT_ONCE = 8
"""Snapshots of one chunk: enough to keep a worker from waiting, few enough that a kill costs little."""
Progress = Callable[[int, int], None]
ALWAYS = (EARLIEST_NS, LATEST_NS)


@dataclass(frozen=True, slots=True)
class History:
    """A finished history: its document of plain values, and both tables as Parquet bytes."""

    document: dict[str, Any]
    snapshots: bytes
    panel: bytes


def build_history(
    sources: Sequence[str],
    store: str | os.PathLike[str],
    options: HistoryOptions,
    *,
    currencies: Sequence[str] = ("BTC",),
    span_ns: tuple[int, int] = ALWAYS,
    run: ChunkMap = here,
    progress: Progress | None = None,
) -> History:
    """Measure what is not measured yet of the sources' snapshots, and write the tables and the document into the folder ``store``.

    The same bytes wherever and in whatever order it runs; a build that was killed goes on, a finished one is extended by more sources.
    ``span_ns``: snapshots whose crawl began in it, both ends included.  ``progress`` is told how many are done, and of how many.

    Raises InputError where ``store`` holds another history, EmptyChainError where no source holds a snapshot of the currencies.
    """
    wanted, files, made = check_currencies(currencies), listed(sources), code_versions()
    fingerprint = sha256(repr((options.digest, made)).encode()).hexdigest()
    kept = HistoryStore.opened(store, fingerprint, [{"name": file.name, "kind": file.kind, "sha256": file.sha256} for file in files])
    try:
        left = _Left(files, wanted, span_ns, kept, progress)
        if progress is not None:
            left.expected = sum(file.expected(wanted) for file in files)
        for results in run(_chunks(left.moments(), options, span_ns)):
            kept.save(results)
            left.told(len(results))
        if not kept.results:
            raise EmptyChainError(f"no snapshot of {', '.join(wanted)} in {', '.join(file.name for file in files)[:200]} in that span")
        snapshots, panel = tables(kept.results.values())
        found = _history(snapshots, panel, options, fingerprint, kept.sources)
        kept.finish({SNAPSHOTS: found.snapshots, PANEL: found.panel}, found.document)
    finally:
        kept.close()
    return found


@dataclass(slots=True)
class _Left:
    """What is left to measure: the snapshots of one file after another, those that are done passed over."""

    files: Sequence[SourceFile]
    currencies: Sequence[str]
    span_ns: tuple[int, int]
    kept: HistoryStore
    progress: Progress | None
    done: int = 0
    met: int = 0
    expected: int = 0

    def moments(self) -> Iterator[Moment]:
        """Snapshots that no earlier build has measured."""
        seen = set(self.kept.results)
        for file in self.files:
            for moment in file.moments(self.currencies):
                if not self._inside(moment):
                    continue
                self.met += 1
                if moment.key in seen:
                    self.told(1)
                    continue
                seen.add(moment.key)
                yield moment

    def _inside(self, moment: Moment) -> bool:
        return moment.start_ns is None or self.span_ns[0] <= moment.start_ns <= self.span_ns[1]

    def told(self, count: int) -> None:
        """Count snapshots that are done."""
        self.done += count
        if self.progress is not None:
            self.progress(self.done, max(self.met, self.done, self.expected))


def _chunks(moments: Iterator[Moment], options: HistoryOptions, span_ns: tuple[int, int]) -> Iterator[Chunk]:
    while some := list(islice(moments, SNAPSHOTS_AT_ONCE)):
        yield chunks(some, options, span_ns)


def _history(snapshots: list[Row], panel: list[Row], options: HistoryOptions, fingerprint: str, sources: list[dict[str, Any]]) -> History:
    data = {
        SNAPSHOTS: table_bytes(snapshots, SNAPSHOT_COLUMNS, SCHEMA),
        PANEL: table_bytes(panel, PANEL_COLUMNS, SCHEMA),
    }
    counts = {SNAPSHOTS: len(snapshots), PANEL: len(panel)}
    document = {
        "schema": SCHEMA,
        "headline": _headline(snapshots, panel),
        "currencies": [_currency(snapshots, name) for name in sorted({row["currency"] for row in snapshots})],
        "assumptions": options.document(),
        "tables": {name: {"rows": counts[name], "sha256": sha256(data[name]).hexdigest()} for name in data},
        "sources": sources,
        "versions": dict(code_versions()),
        "fingerprint": fingerprint,
    }
    return History(document, data[SNAPSHOTS], data[PANEL])


def _headline(snapshots: list[Row], panel: list[Row]) -> list[str]:
    ok = sum(row["status"] == "ok" for row in snapshots)
    refused = ", ".join(f"{count} {reason}" for reason, count in refusals(snapshots).items())
    combinations = len({(row["rule"], row["law"], row["dynamics"]) for row in panel})
    sentences = [
        f"{ok} snapshots measured under {combinations} combination{'' if combinations == 1 else 's'} of assumptions: {len(panel)} rows.",
        f"{len(snapshots) - ok} refused ({refused})." if refused else "None refused.",
    ]
    if ok and all(row["gain"] is None for row in panel):
        sentences.append("No gain: no liquidity is known; state --depth-usd-per-pct or --daily-volume-usd.")
    return sentences


def _currency(snapshots: list[Row], currency: str) -> dict[str, Any]:
    """Counts, span, gaps and masks of one currency."""
    mine = [row for row in snapshots if row["currency"] == currency]
    ok = [row for row in mine if row["status"] == "ok"]
    gaps = [row["gap_before_s"] for row in ok if row["gap_before_s"] is not None]
    masked = sorted(row["masked_share"] for row in ok)
    return {
        "currency": currency,
        "snapshots": len(mine),
        "measured": len(ok),
        "refused": refusals(mine),
        "first": format_time(ok[0]["crawl_start_ns"]) if ok else None,
        "last": format_time(ok[-1]["crawl_start_ns"]) if ok else None,
        "longest_gap_hours": max(gaps) / 3600.0 if gaps else None,
        "median_gap_hours": sorted(gaps)[len(gaps) // 2] / 3600.0 if gaps else None,
        "median_masked_share": masked[len(masked) // 2] if masked else None,
        "largest_masked_share": masked[-1] if masked else None,
    }
