"""Tables and files made from a store: for other programs, and always makeable again from the segments, which stay the truth."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tailwag.errors import InputError
from tailwag.market.clock import format_time
from tailwag.market.snapshot import Snapshot
from tailwag.sources.store.disk import SystemDisk, disk_trouble, write_whole
from tailwag.sources.store.history import History
from tailwag.sources.store.segments import Entry


def export_snapshots(history: History, entries: Iterable[Entry], out: Path) -> list[Path]:
    """One snapshot file for each record, byte for byte what was acknowledged: its SHA-256 is the acknowledgement's.

    Raises StoreError for a damaged record or a disk that refuses.
    """
    disk, written = SystemDisk(), []
    with disk_trouble(out, "write the snapshots", "the export is not complete"):
        disk.make_folder(out)
        for entry in entries:
            stamp = format_time(entry.record.as_of_ns).replace(":", "").replace("-", "")
            target = out / f"{entry.record.seq:08d}-{stamp}.parquet"
            write_whole(disk, target, history.payload(entry))
            written.append(target)
    return written


def export_table(history: History, entries: Iterable[Entry], out: Path) -> int:
    """Every option row of the records as one Parquet table, page checksums on, a row group for each record; the number of rows.

    Columns: seq, as_of (UTC), currency, spot_usd, source, synthetic, then those of ``Chain.to_frame()``; unknown is null.  The file
    appears whole or not at all.  Raises InputError where there is no record, StoreError for a damaged one or a disk that refuses.
    """
    import pyarrow.parquet as pq

    beside = out.with_name(f".{out.name}.part")
    writer, rows = None, 0
    with disk_trouble(out, "write the table", "there is none"):
        try:
            for table in _tables(history, entries):
                writer = writer or pq.ParquetWriter(beside, table.schema, compression="zstd", write_page_checksum=True)
                writer.write_table(table, row_group_size=max(table.num_rows, 1))
                rows += table.num_rows
            if writer is None:
                raise InputError(f"{history.folder}: no snapshot in this range; see tailwag verify for what the store holds")
            writer.close()
            _named(beside, out)
        finally:
            if writer is not None:
                writer.close()
            beside.unlink(missing_ok=True)
    return rows


def _named(beside: Path, out: Path) -> None:
    disk = SystemDisk()
    descriptor = disk.open(beside, os.O_RDWR)
    try:
        disk.sync(descriptor)
    finally:
        disk.close(descriptor)
    disk.replace(beside, out)
    disk.sync_folder(out.resolve().parent)


def _tables(history: History, entries: Iterable[Entry]) -> Iterator[Any]:
    for entry in entries:
        yield _rows(entry, history.snapshot(entry)).to_arrow()


def _rows(entry: Entry, snapshot: Snapshot) -> Any:
    import polars as pl

    as_of = pl.from_epoch(pl.lit(entry.record.as_of_ns), time_unit="ns").dt.replace_time_zone("UTC")
    beside = {
        "seq": pl.lit(entry.record.seq, pl.Int64),
        "as_of": as_of,
        "currency": pl.lit(snapshot.currency),
        "spot_usd": pl.lit(snapshot.spot_usd, pl.Float64),
        "source": pl.lit(snapshot.source.name),
        "synthetic": pl.lit(snapshot.source.synthetic),
    }
    chain = snapshot.chain.to_frame()
    return chain.select([column.alias(name) for name, column in beside.items()] + [pl.all()])
