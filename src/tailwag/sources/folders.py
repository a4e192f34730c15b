"""Folders: pieces of one moment become one snapshot, files of one kind are a timeline, several venues are merged."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from tailwag.errors import EmptyChainError, FileFormatError
from tailwag.market.clock import epoch_ns, format_time
from tailwag.market.snapshot import Snapshot, Source
from tailwag.sources.deribit import snapshot_from_records
from tailwag.sources.deribit_records import Record, Records, as_number, gathered_records
from tailwag.sources.files import kind_of_file, read_snapshot_file
from tailwag.sources.listing import OPTION, kind_of
from tailwag.sources.opening import RawFile, bare_name, links_in, list_folder, read_member
from tailwag.sources.strict_json import parse_json
from tailwag.units import NS_PER_MINUTE

ONE_MOMENT_NS = 10 * NS_PER_MINUTE
"""Replies further apart than this are two moments of a timeline, not pieces of one."""
_READ = (".json", ".csv", ".parquet", ".gz", ".zst", ".zip", ".txt")
_SKIPPED_KINDS = ("csv", "parquet", "unknown")


def load_folder(path: str, *, currency: str, at_ns: int | None) -> Snapshot:
    """The market in a folder's files at or before ``at_ns`` (or the last): one snapshot per venue, merged.

    Files of no known kind are left out and named in ``notes``; a damaged file of a known kind stops the reading, nothing is skipped
    in silence.

    Raises FileFormatError, UnitError, TimeError, EmptyChainError.
    """
    sorted_out = _sorted_out(path)
    found: list[Snapshot] = []
    refusals: list[str] = []
    for timeline in (sorted_out.chain_parquet, sorted_out.chain_csv):
        _gather_latest(path, timeline, found, refusals, currency=currency, at_ns=at_ns)
    for raw in sorted_out.others:
        _gather(raw, found, refusals, currency=currency, at_ns=at_ns)
    if sorted_out.pieces:
        _gather_pieces(sorted_out.pieces, found, refusals, currency=currency, at_ns=at_ns, folder=bare_name(path))
    if not found:
        raise _nothing_found(path, refusals, [*sorted_out.trades, *sorted_out.skipped])
    return _with_trades(_with_notes(_one_snapshot(found), sorted_out.skipped), path, sorted_out.trades)


@dataclass(slots=True)
class _SortedOut:
    """A folder's files by what is done with them; timelines hold (start in ns, name)."""

    chain_parquet: list[tuple[int, str]] = field(default_factory=list)
    chain_csv: list[tuple[int, str]] = field(default_factory=list)
    pieces: list[_Piece] = field(default_factory=list)
    others: list[RawFile] = field(default_factory=list)
    trades: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def _sorted_out(path: str) -> _SortedOut:
    done = _SortedOut()
    for name in list_folder(path):
        start_ns = _parquet_start(path, name)
        if start_ns is not None:
            done.chain_parquet.append((start_ns, name))
        elif name.lower().endswith(_READ):
            _sort_read(read_member(path, name), name, done)
        else:
            done.skipped.append(bare_name(name))
    return done


def _parquet_start(path: str, name: str) -> int | None:
    """When a chain Parquet starts, by its footer alone: a year of months costs one month's reading."""
    if not name.lower().endswith(".parquet"):
        return None
    from tailwag.sources.deribit_table import parquet_span_ns

    span = parquet_span_ns(path, name)
    return None if span is None else span[0]


def _sort_read(raw: RawFile, name: str, done: _SortedOut) -> None:
    kind = kind_of_file(raw)
    if kind == "deribit-rest":
        records = gathered_records(parse_json(raw), name=raw.name)
        if records.recognised:
            done.pieces.append(_piece(raw, records))
        else:
            done.skipped.append(raw.name)
    elif kind == "deribit-chain-csv":
        from tailwag.sources.deribit_table import csv_start_ns

        done.chain_csv.append((csv_start_ns(raw), name))
    elif kind == "trades":
        done.trades.append(name)
    elif kind in _SKIPPED_KINDS:
        done.skipped.append(raw.name)
    else:
        done.others.append(raw)


def _gather_latest(
    path: str, timeline: list[tuple[int, str]], found: list[Snapshot], refusals: list[str], *, currency: str, at_ns: int | None
) -> None:
    """Of files that are a timeline, read from the latest back until one has the currency."""
    for start_ns, name in sorted(timeline, reverse=True):
        if at_ns is not None and start_ns > at_ns:
            continue
        before = len(found)
        _gather(read_member(path, name), found, refusals, currency=currency, at_ns=at_ns)
        if len(found) > before:
            return
    if timeline and not refusals:
        refusals.append(f"{bare_name(path)}: no snapshot at or before {format_time(at_ns or 0)}; give a later --at")


@dataclass(frozen=True, slots=True)
class _Piece:
    """One Deribit reply of a folder: its records, and when its quotes were made (0 where it does not say)."""

    raw: RawFile
    records: Records
    at_ns: int
    options: frozenset[str]


def _piece(raw: RawFile, records: Records) -> _Piece:
    said = [record.get("timestamp", record.get("creation_timestamp")) for record in (*records.summaries, *records.tickers, *records.books)]
    times = epoch_ns(np.array([as_number(value) for value in said], dtype=np.float64))
    valid = np.sort(times[times > 0])
    at_ns = int(valid[valid.size // 2]) if valid.size else records.reply_ns
    names = frozenset(str(record.get("instrument_name")) for record in records.summaries)
    return _Piece(raw, records, at_ns, names)


def _gather(raw: RawFile, found: list[Snapshot], refusals: list[str], *, currency: str, at_ns: int | None) -> None:
    """Read one file; one that holds nothing of the wanted currency or time is no fault of a folder that holds others."""
    try:
        found.append(read_snapshot_file(raw, currency=currency, at_ns=at_ns))
    except EmptyChainError as nothing:
        refusals.append(str(nothing))


def _gather_pieces(
    pieces: list[_Piece], found: list[Snapshot], refusals: list[str], *, currency: str, at_ns: int | None, folder: str
) -> None:
    """Of the moments that Deribit's replies make, read the latest with options of the currency at or before ``at_ns``."""
    timeless = [piece for piece in pieces if not piece.at_ns]
    moments = [moment for moment in _moments([piece for piece in pieces if piece.at_ns]) if _has_options(moment, currency)]
    if timeless and not moments:
        moments = [[]] if any(piece.records.quotes for piece in timeless) else []
    allowed = [moment for moment in moments if at_ns is None or not moment or min(piece.at_ns for piece in moment) <= at_ns]
    if not allowed:
        refusals.append(
            f"{folder}: no Deribit reply with {currency} options" + (f" at or before {format_time(at_ns)}" if at_ns and moments else "")
        )
        return
    chosen = [*allowed[-1], *timeless]
    records = Records()
    for piece in chosen:
        records = records.joined(piece.records)
    if len(chosen) > 1:
        records = _listed_then(records, min((piece.at_ns for piece in allowed[-1]), default=0) or (at_ns or 0))
    found.append(snapshot_from_records(records, currency=currency, at_ns=at_ns, source=_source(chosen)))


def _moments(pieces: list[_Piece]) -> list[list[_Piece]]:
    """Replies in time order, cut where the gap is long or where one repeats instruments that the moment already has."""
    moments: list[list[_Piece]] = []
    for piece in sorted(pieces, key=lambda piece: (piece.at_ns, piece.raw.name)):
        last = moments[-1] if moments else []
        if last and piece.at_ns - last[0].at_ns <= ONE_MOMENT_NS and not any(piece.options & other.options for other in last):
            last.append(piece)
        else:
            moments.append([piece])
    return moments


def _has_options(moment: list[_Piece], currency: str) -> bool:
    records = [record for piece in moment for record in (*piece.records.summaries, *piece.records.tickers)]
    return not records or any(kind_of(record.get("instrument_name"), currency) == OPTION for record in records)


def _listed_then(records: Records, moment_ns: int) -> Records:
    """Of instrument lists kept in other files, what was listed at this moment: a list of another day names other contracts."""

    def listed(record: Record) -> bool:
        born, dies = (as_number(record.get(key)) * 1e6 for key in ("creation_timestamp", "expiration_timestamp"))
        return not (born > moment_ns or dies < moment_ns)

    return replace(records, instruments=[record for record in records.instruments if listed(record)])


def _source(pieces: list[_Piece]) -> Source:
    from hashlib import sha256

    names = [piece.raw.name for piece in pieces]
    if len(pieces) == 1:
        return Source("deribit-rest", names[0], pieces[0].raw.sha256)
    together = sha256("\n".join(sorted(piece.raw.sha256 for piece in pieces)).encode()).hexdigest()
    return Source("deribit-rest", " + ".join(names), together)


def _one_snapshot(found: list[Snapshot]) -> Snapshot:
    """The latest snapshot of each set of venues, merged where they are several."""
    latest: dict[tuple[str, ...], Snapshot] = {}
    for snapshot in sorted(found, key=lambda snapshot: snapshot.as_of_ns):
        latest[snapshot.venues] = snapshot
    chosen = list(latest.values())
    if len(chosen) == 1:
        return chosen[0]
    from tailwag.sources.merge import merge

    return merge(_without_overlap(chosen))


def _without_overlap(snapshots: list[Snapshot]) -> list[Snapshot]:
    """From the latest back, those whose venues none before had: a venue counts once."""
    kept: list[Snapshot] = []
    taken: set[str] = set()
    for snapshot in sorted(snapshots, key=lambda snapshot: -snapshot.as_of_ns):
        if not taken & set(snapshot.venues):
            kept.append(snapshot)
            taken |= set(snapshot.venues)
    return kept


def _with_notes(snapshot: Snapshot, skipped: list[str]) -> Snapshot:
    if not skipped:
        return snapshot
    return snapshot.with_parts(
        notes=(*snapshot.notes, f"left out, of no known kind: {', '.join(skipped[:8])}{' ...' if len(skipped) > 8 else ''}")
    )


def _with_trades(snapshot: Snapshot, path: str, names: list[str]) -> Snapshot:
    """The snapshot with the trades that the folder holds up to its time; several files of trades are left to ``flow:FILE``."""
    if not names or snapshot.trades is not None:
        return snapshot
    if len(names) > 1:
        note = f"{len(names)} files of trades left out: give the one to use as --rule flow:FILE"
        return snapshot.with_parts(notes=(*snapshot.notes, note))
    from tailwag.sources.trades_files import load_trades

    trades = load_trades(f"{path}/{names[0]}")
    return snapshot.with_parts(trades=trades.select(trades.time_ns <= snapshot.as_of_ns))


def _nothing_found(path: str, refusals: list[str], skipped: list[str]) -> FileFormatError | EmptyChainError:
    if refusals:
        return EmptyChainError("; ".join(refusals[:3]))
    seen = f"only {', '.join(skipped[:5])}" if skipped else "nothing"
    return FileFormatError(
        f"{bare_name(path)}: expected a folder with chain files (JSON, CSV, Parquet), found {seen}{links_in(path)}; give another"
    )
