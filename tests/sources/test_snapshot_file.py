"""Our own snapshot file: exact round trips, no partial file, and no bit flip that goes unseen."""

from __future__ import annotations

import math
import os
from dataclasses import fields, is_dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailwag.errors import FileFormatError
from tailwag.market.book import OrderBook
from tailwag.market.chain import Chain
from tailwag.market.liquidations import Liquidations
from tailwag.market.snapshot import Futures, Snapshot, Source
from tailwag.market.trades import Trades
from tailwag.sources.opening import read_file
from tailwag.sources.snapshot_file import encoded_snapshot, is_snapshot, read_snapshot, save

ODD = np.array([0x7FF8000000000001, 0xFFF8000000000ABC, 0x8000000000000000, 0x0000000000000001, 0x7FF0000000000000], dtype=np.uint64).view(
    np.float64
)
"""Two NaNs with different payloads, minus zero, the smallest number, infinity: what a careless file format folds or loses."""


def full_snapshot(rows: int = 40) -> Snapshot:
    rng = np.random.default_rng(11)
    iv = rng.uniform(0.2, 1.0, rows)
    iv[:5] = ODD
    chain = Chain.from_columns(
        currency="BTC",
        as_of_ns=1_774_598_400_000_000_001,
        instrument=[f"BTC-27MAR26-{60_000 + 500 * row}-{'CP'[row % 2]}" for row in range(rows)],
        venue=["deribit"] * rows,
        right=[1, -1] * (rows // 2),
        strike_usd=60_000.0 + 500.0 * np.arange(rows),
        expiry_ns=np.full(rows, 1_774_598_400_000_000_000),
        iv=iv,
        codes=np.arange(rows) << 33,
        underlying_name=["", "SYN.BTC-27MAR26", "index_price", "é\u202e\n"] * (rows // 4),
    )
    futures = Futures.from_columns(instrument=["BTC-PERPETUAL"], venue=["deribit"], kind=["perp"], mark_usd=[70_000.1], funding_8h=[ODD[1]])
    books = tuple(
        OrderBook.from_levels(
            venue="binance",
            instrument=name,
            kind="perp",
            as_of_ns=5,
            bids=np.array([[99.5, 1.0], [99.0, 2.5]])[:size],
            asks=np.array([[100.5, 3.0]]),
            complete=size == 0,
        )
        for name, size in (("BTCUSDT", 2), ("BTCUSD_PERP", 0))
    )
    trades = Trades.from_columns(
        trade_id=["1", "2"], instrument=["A", "B"], is_block=[True, False], liquidated=["", "MT"], iv=[ODD[0], 0.5], repeats_removed=3
    )
    return Snapshot(
        "BTC",
        1_774_598_400_000_000_001,
        0.1 + 0.2,
        chain,
        futures,
        Source("deribit-rest", "näme.json", "ab" * 32, True),
        books,
        trades,
        ("one doubt",),
        ("a note", ""),
    )


def with_liquidations(rows: int = 40) -> Snapshot:
    forced = Liquidations.from_columns(
        instrument=["BTC-PERPETUAL", "BTCUSDT"], venue=["deribit", "binance"], time_ns=[1, 2], order_sign=[1, -1], amount_usd=[ODD[1], 5e5]
    )
    return full_snapshot(rows).with_parts(liquidations=forced)


def bits(value: Any) -> Any:
    """Everything a noun holds, down to the bits of its numbers, in plain types that compare."""
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tolist() if value.dtype == object else value.tobytes())
    if is_dataclass(value):
        return (type(value).__name__, {field.name: bits(getattr(value, field.name)) for field in fields(value)})
    if isinstance(value, tuple):
        return tuple(bits(item) for item in value)
    return (type(value).__name__, value.hex()) if isinstance(value, float) else value


def saved(snapshot: Snapshot, folder: Path) -> bytes:
    save(snapshot, folder / "snapshot.parquet")
    return (folder / "snapshot.parquet").read_bytes()


def opened(path: Path) -> Snapshot:
    return read_snapshot(read_file(path))


@pytest.mark.parametrize("drop", ["nothing", "trades", "liquidations", "all liquidations", "everything"])
def test_a_round_trip_is_exact_to_the_bit(tmp_path: Path, drop: str) -> None:
    snapshot = with_liquidations()
    if drop == "liquidations":
        snapshot = full_snapshot()
    if drop == "all liquidations":
        snapshot = snapshot.with_parts(liquidations=Liquidations.from_columns())
    if drop == "trades":
        snapshot = snapshot.with_parts(trades=None, books=(), futures=Futures.from_columns())
    if drop == "everything":
        empty = Chain.from_columns(currency="BTC", as_of_ns=1, instrument=[])
        snapshot = Snapshot(
            "BTC", 1, math.nan, empty, Futures.from_columns(), Source("x", "y"), trades=Trades.from_columns(trade_id=[], instrument=[])
        )
    save(snapshot, tmp_path / "s.parquet")
    assert bits(opened(tmp_path / "s.parquet")) == bits(snapshot)


def test_a_file_written_before_liquidations_reads_bit_for_bit_and_is_still_written_so() -> None:
    """The file was made by the version that knew no liquidations; its digest is over the decoded content, whatever packed it."""
    import pyarrow.parquet as pq

    old = Path(__file__).parent / "payloads" / "snapshot-before-liquidations.parquet"
    again = opened(old)
    assert again.liquidations is None
    assert bits(again) == bits(full_snapshot(8))
    header = pq.read_metadata(old).metadata[b"tailwag.snapshot"]
    assert pq.read_metadata(BytesIO(encoded_snapshot(again))).metadata[b"tailwag.snapshot"] == header


def test_the_same_snapshot_gives_the_same_bytes(tmp_path: Path) -> None:
    assert saved(full_snapshot(), tmp_path) == saved(full_snapshot(), tmp_path)


def test_any_parquet_reader_opens_the_chain(tmp_path: Path) -> None:
    import polars as pl

    save(full_snapshot(), tmp_path / "s.parquet")
    chain = pl.read_parquet(tmp_path / "s.parquet").filter(pl.col("part") == "chain")
    assert chain["strike_usd"].to_list() == full_snapshot().chain.strike_usd.tolist()


def test_no_bit_flip_is_ever_silently_wrong(tmp_path: Path) -> None:
    """300 flips anywhere, footer and header included: the same snapshot, or a clear refusal."""
    data = saved(full_snapshot(), tmp_path)
    wanted = bits(full_snapshot())
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(300):
        damaged = bytearray(data)
        damaged[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        (tmp_path / "flipped.parquet").write_bytes(damaged)
        try:
            assert bits(opened(tmp_path / "flipped.parquet")) == wanted
        except FileFormatError:
            refused += 1
    assert refused > 200


def test_a_flip_in_every_part_of_the_header_is_seen(tmp_path: Path) -> None:
    """Parquet does not checksum its footer: what stands there is covered by the content digest."""
    data = saved(full_snapshot(), tmp_path)
    for word in (
        b'"as_of_ns":1774598400000000001',
        b'"one doubt"',
        b'"complete":true',
        b'"repeats_removed":3',
        b'"synthetic":true',
        b'"currency":"BTC"',
        b'"digest":"',
    ):
        place = data.index(word) + len(word) - 2
        damaged = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        (tmp_path / "flipped.parquet").write_bytes(damaged)
        with pytest.raises(FileFormatError, match=r"flipped.parquet"):
            opened(tmp_path / "flipped.parquet")


@pytest.mark.parametrize("keep", [0, 4, 12, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_refused(tmp_path: Path, keep: float) -> None:
    data = saved(full_snapshot(), tmp_path)
    (tmp_path / "cut.parquet").write_bytes(data[: int(keep if keep >= 1 else keep * len(data))])
    with pytest.raises(FileFormatError, match="damaged"):
        opened(tmp_path / "cut.parquet")


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    data = saved(full_snapshot(), tmp_path).replace(b"tailwag.snapshot/1", b"tailwag.snapshot/9")
    (tmp_path / "newer.parquet").write_bytes(data)
    with pytest.raises(FileFormatError, match=r"tailwag\.snapshot/9"):
        opened(tmp_path / "newer.parquet")


def test_a_failed_write_leaves_the_old_file_and_no_scrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved(full_snapshot(), tmp_path)

    def broken(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="disk full"):
        save(full_snapshot(8), tmp_path / "snapshot.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["snapshot.parquet"]
    assert (tmp_path / "snapshot.parquet").read_bytes() == before


def test_the_file_is_on_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real_sync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (order.append("sync"), real_sync(descriptor))[1])
    monkeypatch.setattr(os, "replace", lambda *names: (order.append("rename"), real_replace(*names))[1])
    save(full_snapshot(), tmp_path / "s.parquet")
    assert order == ["sync", "rename", "sync"]


def test_text_that_is_no_unicode_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="UTF-8"):
        save(full_snapshot().with_parts(notes=("\ud800",)), tmp_path / "s.parquet")


def test_only_our_own_metadata_counts() -> None:
    assert is_snapshot({b"tailwag.snapshot": b"{}"})
    assert not is_snapshot({b"tailwag": b"{}"})
    assert not is_snapshot(None)
