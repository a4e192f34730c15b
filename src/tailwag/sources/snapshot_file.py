"""Our own snapshot file: one Parquet file that gives back, bit for bit, what was put in.

Why one table with a ``part`` column, and not blobs of other tables in metadata: every number of every part (chain, futures, order-book
levels, trades, liquidations) then lies in typed column pages that carry a checksum each, any Parquet reader opens the file
(``filter(part == "chain")``), and absent cells compress to nothing.  Parquet's checksums do not cover the footer, so the header carries a
SHA-256 over the *decoded* content, header included: whatever bit flips, the file either gives the same snapshot or is refused.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.errors import FileFormatError
from tailwag.market.book import OrderBook
from tailwag.market.chain import Chain
from tailwag.market.liquidations import Liquidations
from tailwag.market.snapshot import Futures, Snapshot, Source
from tailwag.market.trades import Covered, Trades

if TYPE_CHECKING:
    from tailwag.sources.opening import RawFile

SCHEMA = "tailwag.snapshot/1"
METADATA_KEY = b"tailwag.snapshot"
_PARTS = ("chain", "futures", "books", "trades", "liquidations")
"""In the order of their rows.  A part that a snapshot does not have leaves no word in its file: what was written before a part was
thought of reads as it did, and what has none of it is written as it was."""
_HEADER_LIMIT_BYTES = 16 << 20
_CONTAINER_LIMIT = 1_000_000
Columns = dict[str, Any]


def is_snapshot(schema_metadata: dict[bytes, bytes] | None) -> bool:
    """Whether a Parquet file says that it is a tailwag snapshot.

    >>> is_snapshot({b"tailwag.snapshot": b"{}"}), is_snapshot({b"pandas": b"{}"}), is_snapshot(None)
    (True, False, False)
    """
    return schema_metadata is not None and METADATA_KEY in schema_metadata


def save(snapshot: Snapshot, path: str | os.PathLike[str]) -> None:
    """Write a snapshot so that :func:`read_snapshot` gives it back bit for bit; the file appears whole or not at all.

    Written beside the target, synced, then renamed over it, and the folder synced: a crash leaves the old file or the new one.
    Raises FileFormatError if a text cannot be stored as UTF-8.
    """
    _write_atomically(Path(path), encoded_snapshot(snapshot))


def encoded_snapshot(snapshot: Snapshot) -> bytes:
    """The bytes of a snapshot file, for whoever keeps them elsewhere than in a file of its own.

    Raises FileFormatError if a text cannot be stored as UTF-8.
    """
    try:
        return _encoded(snapshot)
    except UnicodeEncodeError as error:
        raise FileFormatError(f"cannot save: {error.object[:60]!a} is no valid UTF-8 text; mend that name first") from None


def read_snapshot(raw: RawFile) -> Snapshot:
    """The snapshot that a tailwag Parquet file holds, checksums and content digest verified.

    Raises FileFormatError if anything in the file differs from what was written, or if a newer tailwag wrote it.
    """
    try:
        header, columns = _decoded(raw.data)
    except FileFormatError as error:
        raise FileFormatError(f"{raw.name}: {error}") from None
    except Exception as error:  # a damaged Parquet file fails in a dozen ways inside the library: all mean the same to the user
        reason = ascii(str(error).partition("\n")[0][:120])
        raise FileFormatError(
            f"{raw.name}: expected an intact tailwag snapshot, but the file is damaged ({reason}); take another copy"
        ) from None
    return _assembled(header, columns)


# writing


def _encoded(snapshot: Snapshot) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = _columns(snapshot)
    header = _header(snapshot)
    header["digest"] = _digest(header, parts)
    schema = _schema(parts)
    text_columns = [field.name for field in schema if pa.types.is_string(field.type)]
    sink = pa.BufferOutputStream()
    # dictionaries only for text: numbers hardly repeat, and plain pages keep every bit, whatever a NaN carries
    settings = {"use_dictionary": text_columns, "compression": "zstd", "store_schema": False, "write_statistics": False}
    with pq.ParquetWriter(sink, schema, write_page_checksum=True, **settings) as writer:
        for name in _PARTS:
            size = header["rows"].get(name, 0)
            if size:
                writer.write_table(_table(schema, name, parts[name], size), row_group_size=size)
        writer.add_key_value_metadata({METADATA_KEY.decode(): _json(header).decode()})
    return bytes(sink.getvalue().to_pybytes())


def _columns(snapshot: Snapshot) -> dict[str, Columns]:
    parts = {"chain": _arrays(snapshot.chain), "futures": _arrays(snapshot.futures), "books": _book_levels(snapshot.books)}
    if snapshot.trades is not None:
        parts["trades"] = _arrays(snapshot.trades)
    if snapshot.liquidations is not None:
        parts["liquidations"] = _arrays(snapshot.liquidations)
    return parts


def _arrays(noun: Any) -> Columns:
    values = {field.name: getattr(noun, field.name) for field in fields(noun)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def _book_levels(books: tuple[OrderBook, ...]) -> Columns:
    sides = [(number, side, price, coin) for number, book in enumerate(books) for side, price, coin in _sides(book)]
    none = np.zeros(0)
    return {
        "book": np.repeat(np.array([side[0] for side in sides], dtype=np.int64), [side[2].size for side in sides]),
        "is_bid": np.repeat(np.array([side[1] for side in sides], dtype=np.bool_), [side[2].size for side in sides]),
        "price_usd": np.concatenate([none, *(side[2] for side in sides)]),
        "amount_coin": np.concatenate([none, *(side[3] for side in sides)]),
    }


def _sides(book: OrderBook) -> tuple[tuple[bool, Any, Any], tuple[bool, Any, Any]]:
    return (True, book.bid_price_usd, book.bid_coin), (False, book.ask_price_usd, book.ask_coin)


def _header(snapshot: Snapshot) -> dict[str, Any]:
    header = _header_before_liquidations(snapshot)
    if snapshot.liquidations is not None:
        header["rows"]["liquidations"] = len(snapshot.liquidations)
    return header


def _header_before_liquidations(snapshot: Snapshot) -> dict[str, Any]:
    trades = snapshot.trades
    return {
        "schema": SCHEMA,
        "currency": snapshot.currency,
        "as_of_ns": int(snapshot.as_of_ns),
        "spot_usd": float(snapshot.spot_usd).hex(),
        "source": {field.name: getattr(snapshot.source, field.name) for field in fields(Source)},
        "degraded": list(snapshot.degraded),
        "notes": list(snapshot.notes),
        "chain": {"currency": snapshot.chain.currency, "as_of_ns": int(snapshot.chain.as_of_ns)},
        "trades": None if trades is None else _trades_header(trades),
        "books": [_book_header(book) for book in snapshot.books],
        "rows": {
            "chain": len(snapshot.chain),
            "futures": len(snapshot.futures),
            "books": sum(book.bid_coin.size + book.ask_coin.size for book in snapshot.books),
            "trades": 0 if trades is None else len(trades),
        },
    }


def _trades_header(trades: Trades) -> dict[str, Any]:
    covered = [[span.venue, int(span.from_ns), int(span.to_ns)] for span in trades.covered]
    return {"repeats_removed": trades.repeats_removed, **({"covered": covered} if covered else {})}


def _book_header(book: OrderBook) -> dict[str, Any]:
    return {field.name: getattr(book, field.name) for field in fields(book) if not isinstance(getattr(book, field.name), np.ndarray)}


def _json(header: dict[str, Any]) -> bytes:
    return json.dumps(header, ensure_ascii=False, sort_keys=True, allow_nan=False, separators=(",", ":")).encode()


def _digest(header: dict[str, Any], parts: dict[str, Columns]) -> str:
    """SHA-256 of the header without the digest, then of every column's name, type, length and bits, in a fixed order."""
    sealed = sha256(_json({key: value for key, value in header.items() if key != "digest"}))
    for part in sorted(parts):
        for name in sorted(parts[part]):
            column = parts[part][name]
            sealed.update(f"\n{part}.{name}:{column.dtype.kind}:{column.size}\n".encode())
            sealed.update(_bits(column))
    return sealed.hexdigest()


def _bits(column: np.ndarray[Any, Any]) -> bytes:
    if column.dtype != object:
        return column.astype(column.dtype.newbyteorder("<"), copy=False).tobytes()
    texts = [text.encode() for text in column.tolist()]
    lengths = np.array([len(text) for text in texts], dtype="<i8")
    return lengths.tobytes() + b"".join(texts)


def _schema(parts: dict[str, Columns]) -> Any:
    import pyarrow as pa

    types = {"O": pa.string(), "f": pa.float64(), "i": pa.int64(), "b": pa.bool_()}
    found: dict[str, Any] = {"part": pa.string()}
    for columns in parts.values():
        for name, column in columns.items():
            if found.setdefault(name, types[column.dtype.kind]) != types[column.dtype.kind]:
                raise TypeError(f"column {name} has two types in two parts of a snapshot; rename one")
    return pa.schema(list(found.items()))


def _table(schema: Any, part: str, columns: Columns, size: int) -> Any:
    import pyarrow as pa

    filled = [_arrow_column(field, part, columns, size) for field in schema]
    return pa.Table.from_arrays(filled, schema=schema)


def _arrow_column(field: Any, part: str, columns: Columns, size: int) -> Any:
    import pyarrow as pa

    if field.name == "part":
        return pa.array([part] * size, field.type)
    if field.name not in columns:
        return pa.nulls(size, field.type)
    column = columns[field.name]
    return pa.array(column.tolist() if column.dtype == object else column, field.type, from_pandas=False)


def _write_atomically(target: Path, data: bytes) -> None:
    beside = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        with open(beside, "xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
    if os.name == "posix":
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


# reading


def _decoded(data: bytes) -> tuple[dict[str, Any], dict[str, Columns]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    limits = {"thrift_string_size_limit": _HEADER_LIMIT_BYTES, "thrift_container_size_limit": _CONTAINER_LIMIT}
    with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True, **limits) as file:
        header = _checked_header(file.schema_arrow.metadata)
        sizes = {name: header["rows"][name] for name in _PARTS if name != "liquidations" or name in header["rows"]}
        if file.metadata.num_rows != sum(sizes.values()):
            raise FileFormatError(
                f"holds {file.metadata.num_rows} rows where its header says {sum(sizes.values())}: damaged; take another copy"
            )
        table = file.read(use_threads=False)
    parts = _split(table, sizes)
    if header["trades"] is None:
        parts.pop("trades")
    if _digest(header, parts) != header["digest"]:
        raise FileFormatError("its content does not match its own digest: damaged or altered; take another copy")
    return header, parts


def _checked_header(metadata: dict[bytes, bytes] | None) -> dict[str, Any]:
    if metadata is None or METADATA_KEY not in metadata:
        raise FileFormatError("expected a tailwag snapshot, got a Parquet file without its header; use tailwag.save to write one")
    header: dict[str, Any] = json.loads(metadata[METADATA_KEY].decode())
    if header["schema"] != SCHEMA:
        raise FileFormatError(
            f"expected schema {SCHEMA}, got {ascii(header['schema'])[:60]}; read it with the version of tailwag that wrote it"
        )
    return header


def _split(table: Any, sizes: dict[str, int]) -> dict[str, Columns]:
    parts: dict[str, Columns] = {}
    start = 0
    for name, size in sizes.items():
        rows = table.slice(start, size)
        start += size
        if rows.column("part").to_pylist() != [name] * size:
            raise FileFormatError(f"its rows are not in the order {', '.join(_PARTS)}: damaged; take another copy")
        parts[name] = {column: _numpy(rows.column(column)) for column in _present(name, rows)}
    return parts


def _present(part: str, rows: Any) -> list[str]:
    """The columns that belong to a part: those its noun has, if the file holds them."""
    if part == "books":
        return ["book", "is_bid", "price_usd", "amount_coin"]
    noun = {"chain": Chain, "futures": Futures, "trades": Trades, "liquidations": Liquidations}[part]
    outside = {"currency", "as_of_ns", "repeats_removed", "covered"}
    return [field.name for field in fields(noun) if field.name in rows.column_names and field.name not in outside]


def _numpy(column: Any) -> np.ndarray[Any, Any]:
    import pyarrow as pa

    if column.null_count:
        raise FileFormatError("a column has holes where it was written whole: damaged; take another copy")
    if pa.types.is_string(column.type):
        return np.array([*column.to_pylist(), None], dtype=object)[:-1]
    return np.asarray(column.combine_chunks().to_numpy(zero_copy_only=False))


def _assembled(header: dict[str, Any], parts: dict[str, Columns]) -> Snapshot:
    trades = None if header["trades"] is None else _trades(header["trades"], parts["trades"])
    return Snapshot(
        currency=header["currency"],
        as_of_ns=header["as_of_ns"],
        spot_usd=float.fromhex(header["spot_usd"]),
        chain=Chain.from_columns(**header["chain"], **parts["chain"]),
        futures=Futures.from_columns(**parts["futures"]),
        source=Source(**header["source"]),
        books=tuple(_book(number, fields_, parts["books"]) for number, fields_ in enumerate(header["books"])),
        trades=trades,
        degraded=tuple(header["degraded"]),
        notes=tuple(header["notes"]),
        liquidations=Liquidations.from_columns(**parts["liquidations"]) if "liquidations" in parts else None,
    )


def _trades(plain: dict[str, Any], columns: Columns) -> Trades:
    covered = tuple(Covered(*span) for span in plain.get("covered", ()))
    return Trades.from_columns(**columns, repeats_removed=plain["repeats_removed"], covered=covered)


def _book(number: int, plain: dict[str, Any], levels: Columns) -> OrderBook:
    from tailwag.kernels.arrays import frozen

    bids = (levels["book"] == number) & levels["is_bid"]
    asks = (levels["book"] == number) & ~levels["is_bid"]
    return OrderBook(
        **plain,
        bid_price_usd=frozen(levels["price_usd"][bids]),
        bid_coin=frozen(levels["amount_coin"][bids]),
        ask_price_usd=frozen(levels["price_usd"][asks]),
        ask_coin=frozen(levels["amount_coin"][asks]),
    )
