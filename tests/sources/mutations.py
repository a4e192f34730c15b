"""Mutations of rows and files, drawn from a seeded stream: what careless savers, torn downloads and hostile hands do to market data."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from typing import Any

from tests.sources.chain_files import csv_bytes, parquet_bytes, rows
from tests.sources.deribit_replies import reply, summaries

NUMBERS: list[Any] = [
    0, -0.0, 1, -1, 0.5, -0.5, 10.0, 55.1, 0.551, 1e-300, 5e-324, 1e-9, 1e15, 1e300, 1.7976931348623157e308, -1e308,
    2**31, 2**53 + 1, 2**63 - 1, -(2**63), 1774008000, 1774008000250, 1774008000250000, 86_400_000,
]  # fmt: skip
TEXTS: list[str] = [
    "", " ", "nan", "NaN", "inf", "-inf", "null", "None", "1e5", "0x10", "1_000", "1,5", "-1.0", "\u0661\u0662", "=1+1", "<b>", "\t", "\r\n", "\0", "\u202e",
    "BTC-PERPETUAL", "BTC-27MAR26", "BTC-27MAR26-60000-C", "BTC-27MAR26-0-C", "BTC-27MAR26-1e308-C", "BTC-31FEB26-60000-C", "XYZ-27MAR26-5-P",
    "BTC-CS-27MAR26-60000_70000", "2026-03-27T08:00:00", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "a" * 10_000,
]  # fmt: skip
ODD: list[Any] = [None, True, False, [], {}, [1], {"a": 1}, [[]], {"instrument_name": 5}]


def mutated_row(row: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """The row with one to three of its values replaced, scaled, removed or renamed."""
    changed = dict(row)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        key = draw.choice(list(changed) or ["instrument_name"])
        kind = draw.randrange(6)
        if kind == 0:
            changed.pop(key, None)
        elif kind == 1:
            changed[key] = draw.choice(ODD)
        elif kind == 2:
            changed[key] = draw.choice(TEXTS)
        elif kind == 3 and isinstance(changed.get(key), (int, float)):
            changed[key] = changed[key] * draw.choice((-1, 0, 0.01, 100, 1e-3, 1e3, 1e9, 1e-9, 1 + 1e-9))
        elif kind == 4:
            changed[f"{key}_{draw.randrange(3)}"] = changed.pop(key, None)
        else:
            changed[key] = draw.choice(NUMBERS)
    return changed


def mutated_bytes(data: bytes, draw: random.Random) -> bytes:
    """The bytes cut, flipped, zeroed, repeated, swapped or spliced."""
    torn = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4))):
        size = len(torn)
        if not size:
            break
        start, length = draw.randrange(size), draw.choice((1, 2, 8, 64, 1024))
        kind = draw.randrange(8)
        if kind == 0:
            del torn[start:]
        elif kind == 1:
            torn[start] ^= 1 << draw.randrange(8)
        elif kind == 2:
            torn[start : start + length] = bytes(len(torn[start : start + length]))
        elif kind == 3:
            torn[start:start] = torn[start : start + length]
        elif kind == 4:
            del torn[start : start + length]
        elif kind == 5:
            torn[start:start] = draw.randbytes(length)
        elif kind == 6:
            torn[start:start] = draw.choice(
                (b'"', b",", b"{", b"]", b"\n", b"\r", b"\xff", b"NaN", b"1e999", b"9" * 30, b'"a":1,"a":2,', b"[" * 2_000)
            )
        else:
            torn[:] = torn[start:] + torn[:start]
    return bytes(torn)


def _json_file(draw: random.Random) -> bytes:
    made = [mutated_row(row, draw) if draw.random() < 0.05 else row for row in summaries()]
    value: Any = draw.choice((made, reply(made), {"indexPrice": draw.choice(NUMBERS), "rawData": {"bookSummary": made}}))
    return json.dumps(value).encode()


def _csv_file(draw: random.Random) -> bytes:
    made = rows()
    for row in draw.sample(made, 3):
        row[draw.choice(list(row))] = draw.choice([*NUMBERS, *TEXTS])
    return csv_bytes(made, leave_out=draw.choice(((), ("snapshot",))))


GOOD_PARQUET = [parquet_bytes(rows()), parquet_bytes(rows(), compression="none", use_dictionary=False)]
MAKERS: dict[str, Callable[[random.Random], bytes]] = {
    "json-rows": _json_file,
    "json-bytes": lambda draw: mutated_bytes(_json_file(draw), draw),
    "csv-rows": _csv_file,
    "csv-bytes": lambda draw: mutated_bytes(_csv_file(draw), draw),
    "parquet-bytes": lambda draw: mutated_bytes(draw.choice(GOOD_PARQUET), draw),
    "parquet-footer": lambda draw: _torn_footer(draw.choice(GOOD_PARQUET), draw),
    "gzip-of-damage": lambda draw: gzip.compress(mutated_bytes(_csv_file(draw), draw), 1),
    "damaged-gzip": lambda draw: mutated_bytes(gzip.compress(_json_file(draw), 1), draw),
}


def _torn_footer(data: bytes, draw: random.Random) -> bytes:
    """Damage in the last kilobytes only, where a Parquet file says what is inside."""
    start = len(data) - 3_000
    torn = bytearray(data)
    for _ in range(draw.choice((1, 3, 9))):
        torn[draw.randrange(start, len(torn))] = draw.randrange(256)
    return bytes(torn)
