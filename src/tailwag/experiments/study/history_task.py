"""A few snapshots measured as one pure task: their rows in, results out, the same wherever it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

import numpy as np

from tailwag.errors import EmptyChainError, FileFormatError, InputError, TailwagError, TimeError, UnitError
from tailwag.experiments.run_document import versions
from tailwag.experiments.study.history_options import HistoryOptions
from tailwag.experiments.study.history_sources import Moment, named
from tailwag.experiments.sweep_task import _said, _sources
from tailwag.market.clock import valid_time
from tailwag.market.snapshot import Snapshot

Result = dict[str, Any]
ROOMS = ("exposure", "feedback", "kernels", "liquidity", "market", "positioning", "sources", "surface")
MODULES = ("laws.py", "masked.py", "measure.py", "options.py")
"""Beside the rooms that compute, the modules of experiments that decide what a row says."""
REASONS: tuple[tuple[type[InputError], str], ...] = (
    (UnitError, "wrong_unit"),
    (TimeError, "no_time"),
    (EmptyChainError, "nothing_known"),
    (FileFormatError, "unreadable"),
)
"""Why a snapshot was refused, by the error that its reading or measuring raised."""
OTHER_REASON = "refused"


@cache
def code_versions() -> tuple[tuple[str, str], ...]:
    """What this process computes with: versions of the packages and a digest of the source that decides a row."""
    root = files("tailwag")
    rows = [row for room in ROOMS for row in _sources(root / room, room)]
    rows += [(name, data) for name, data in _sources(root / "experiments", "") if name[1:] in MODULES]
    rows += [
        (name, data)
        for name, data in _sources(root / "experiments" / "study", "study")
        if name.startswith(("study/history", "study/panel"))
    ]
    digest = sha256(b"".join(name.encode() + sha256(data).digest() for name, data in rows)).hexdigest()
    return (*sorted(versions().items()), ("source", digest))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some snapshots to be measured, the span of times that is wanted, and what they must be measured with."""

    moments: tuple[Moment, ...]
    options: HistoryOptions
    span_ns: tuple[int, int]
    versions: tuple[tuple[str, str], ...]


def run_chunk(chunk: Chunk) -> list[Result]:
    """The results of a chunk's snapshots, those outside the span left out; a snapshot that cannot be measured has its reason instead.

    Raises TailwagError where this process has other code.
    """
    if chunk.versions != code_versions():
        raise TailwagError(
            f"expected a worker with {_said(chunk.versions)}, got {_said(code_versions())}; install the same packages everywhere"
        )
    results = [result_of(moment, chunk.options) for moment in chunk.moments]
    low, high = chunk.span_ns
    return [
        result for result in results if result["snapshot"]["crawl_start_ns"] is None or low <= result["snapshot"]["crawl_start_ns"] <= high
    ]


def result_of(moment: Moment, options: HistoryOptions) -> Result:
    """One snapshot read and measured: its row of the snapshots and its rows of the panel."""
    from tailwag.experiments.study.panel_measure import measured

    snapshot: Snapshot | None = None
    try:
        snapshot = moment.read()
        if _start_ns(moment, snapshot) is None:
            raise TimeError("no row states a time in 2009 to 2100, so nobody knows when this was known")
        found = measured(snapshot, options)
    except InputError as trouble:
        reason = next((code for kind, code in REASONS if isinstance(trouble, kind)), OTHER_REASON)
        row = {**_head(moment, snapshot, options), "status": "refused", "reason": reason, "detail": str(trouble)[:400]}
        return {"key": moment.key, "snapshot": row, "panel": []}
    except TailwagError:
        raise
    except Exception as trouble:
        name = named(moment, moment.start_ns)
        raise TailwagError(
            f"{name} could not be measured ({type(trouble).__name__}: {trouble}); please report this with the file"
        ) from trouble
    row = {**_head(moment, snapshot, options), "status": "ok", "reason": None, "detail": None, **found.snapshot}
    return {"key": moment.key, "snapshot": row, "panel": list(found.panel)}


def _head(moment: Moment, snapshot: Snapshot | None, options: HistoryOptions) -> Result:
    """What names a snapshot and says when it could be used first: when its crawl had ended, else some time after it began."""
    start_ns = _start_ns(moment, snapshot)
    known_ns = moment.end_ns if moment.end_ns is not None else None if start_ns is None else start_ns + options.publication_delay_ns
    return {
        "snapshot": named(moment, start_ns),
        "currency": moment.currency,
        "source": moment.source,
        "source_kind": moment.kind,
        "content_sha256": moment.sha256,
        "crawl_start_ns": start_ns,
        "crawl_end_ns": moment.end_ns,
        "known_ns": known_ns,
    }


def _start_ns(moment: Moment, snapshot: Snapshot | None) -> int | None:
    """When the crawl began: what the source says, else the snapshot's own time; None where neither is a time."""
    if moment.start_ns is not None or snapshot is None:
        return moment.start_ns
    return snapshot.as_of_ns if bool(valid_time(np.array([snapshot.as_of_ns]))[0]) else None


def chunks(moments: Sequence[Moment], options: HistoryOptions, span_ns: tuple[int, int]) -> Chunk:
    """A chunk of these snapshots for this code."""
    return Chunk(tuple(moments), options, span_ns, code_versions())
