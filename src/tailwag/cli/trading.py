"""What ``tailwag trades backfill`` does once its words are parsed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tailwag.errors import InputError

if TYPE_CHECKING:
    from tailwag.sources.store.recorder import Recorder
    from tailwag.sources.trade_backfill import Filled

FIRST_NS, LAST_NS = 0, (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class BackfillRequest:
    """The words of one ``tailwag trades backfill`` call, as typed."""

    source: tuple[str, ...]
    store: str
    start: str | None
    end: str | None


def run_trades(action: str, request: BackfillRequest) -> None:
    """Fill the store from each source in turn, and say what was new.

    Raises InputError, StoreBusyError where a recorder runs on the store, VenueError where the venue does not answer.
    """
    from tailwag.cli.recording import _complain
    from tailwag.market.clock import parse_time_ns
    from tailwag.sources.opening import checked_path_text
    from tailwag.sources.store.recorder import Recorder

    if action != "backfill":
        raise InputError(f"trades expects backfill, got {action[:20]!a}; see tailwag trades --help")
    span = tuple(None if text is None else parse_time_ns(text) for text in (request.start, request.end))
    for source in request.source:
        _check(source, request)
    store = Path(checked_path_text(request.store))
    if store.exists() and not store.is_dir():
        raise InputError(f"--store expects a folder, {request.store} is a file; give another")
    with Recorder(store, say=_complain) as recorder:
        for source in request.source:
            _tell(source, request.store, _filled(source, recorder, span[0], span[1]))


def _check(source: str, request: BackfillRequest) -> None:
    """Refuse before anything is asked or written."""
    kind, colon, currency = source.partition(":")
    if Path(source).is_file():
        return
    if not (colon and kind == "deribit" and currency):
        raise InputError(f"expected deribit:CURRENCY or a file of trades, got {source[:80]!a}; check the name")
    if request.start is None:
        raise InputError(f"{source} needs --from TIME, such as 2026-02-01T00:00:00Z; it may have years of trades")


def _filled(source: str, recorder: Recorder, start_ns: int | None, end_ns: int | None) -> Filled:
    from tailwag.sources.store.history import History
    from tailwag.sources.trade_backfill import World, backfill_from_file, backfill_from_venue

    history = History.open(recorder.folder)
    if Path(source).is_file():
        span = (FIRST_NS if start_ns is None else start_ns, LAST_NS if end_ns is None else end_ns)
        return backfill_from_file(recorder, history, source, received_ns=time.time_ns(), span=span)
    from tailwag.sources.venue_client import open_exchange

    currency = source.partition(":")[2]
    with _progress(source) as (progress, say):
        world = World(open_exchange("deribit"), time.time_ns, time.sleep, say)
        to_ns = time.time_ns() if end_ns is None else end_ns
        return backfill_from_venue(recorder, history, currency, from_ns=start_ns or 0, to_ns=to_ns, world=world, progress=progress)


@contextmanager
def _progress(source: str) -> Iterator[tuple[Callable[[float], None], Callable[[str], None]]]:
    """A bar on a terminal; silent where nobody looks."""
    if not sys.stderr.isatty():
        yield (lambda share: None), (lambda text: None)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(source, total=1.0)
        yield (lambda share: bar.update(task, completed=share)), (lambda text: bar.update(task, description=text))


def _tell(source: str, store: str, done: Filled) -> None:
    from tailwag.market.clock import format_time

    name = Path(source).name
    sys.stdout.write(f"{name}: {done.trades:,} new trades in {store}\n" if done.trades else f"{name}: nothing new for {store}\n")
    if done.unclaimed:
        first, last = done.unclaimed[0][0], done.unclaimed[-1][1]
        sys.stdout.write(
            f"  {len(done.unclaimed)} spans between {format_time(first)} and {format_time(last)} came back without a single trade: "
            "the venue may keep none that old, so nothing is claimed for them\n"
        )
