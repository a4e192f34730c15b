"""The price journal: the index price of every recorded snapshot, measured or not, so that realised vol is that of what was recorded.

A projection: thrown away, it is read again from the store.  One file for each UTC day, rows of 40 bytes that each carry their own seal.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from tailwag.kernels.arrays import IntArray
from tailwag.units import NS_PER_DAY

NOT_BELIEVED = 0.0
"""Stands for the price of a snapshot that was recorded and not believed: its number is known, its price counts nowhere."""
DAYS_HELD = 4
_ROW = np.dtype([("seq", "<i8"), ("as_of_ns", "<i8"), ("spot_usd", "<f8"), ("source", "<u8"), ("seal", "<u8")])
_SEALED_BYTES = _ROW.itemsize - 8
_LATEST_NS = (1 << 63) - 1
Rows = np.ndarray[Any, np.dtype[np.void]]


class Prices:
    """Index prices by record number and source; safe from several threads of one process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._held: OrderedDict[Path, tuple[int, Rows]] = OrderedDict()
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("prices-*.rows"):
            _without_torn_end(path)

    def record(self, source: str, *, seq: int, as_of_ns: int, spot_usd: float) -> None:
        """Keep the price of one recorded snapshot; one that is no positive number counts nowhere."""
        price = spot_usd if np.isfinite(spot_usd) and spot_usd > 0.0 else NOT_BELIEVED
        row = np.array([(seq, as_of_ns, price, _name(source), 0)], dtype=_ROW)
        row["seal"] = _seal(row.tobytes())
        with self._lock, open(self._path(as_of_ns // NS_PER_DAY), "ab", buffering=0) as stream:
            stream.write(row.tobytes())

    def seqs(self, from_ns: int = 0) -> IntArray:
        """The numbers of the records since the day of a time whose price is known, or is known not to count."""
        return np.unique(self._between(from_ns // NS_PER_DAY, _LATEST_NS // NS_PER_DAY)["seq"]).astype(np.int64)

    def not_believed(self, from_ns: int = 0) -> IntArray:
        """The numbers of those whose price does not count."""
        rows = self._between(from_ns // NS_PER_DAY, _LATEST_NS // NS_PER_DAY)
        return np.unique(rows["seq"][rows["spot_usd"] == NOT_BELIEVED]).astype(np.int64)

    def source_of(self, seq: int, *, as_of_ns: int, names: tuple[str, ...]) -> str | None:
        """Which of the sources a record came from; None where its price is not known, or was kept for none of them."""
        day = as_of_ns // NS_PER_DAY
        rows = self._between(day, day)
        kept = set(rows["source"][rows["seq"] == seq].tolist())
        return next((name for name in names if _name(name) in kept), None)

    def of(self, source: str, *, from_ns: int, to_ns: int, limit: int) -> tuple[Rows, int | None]:
        """Rows (``seq``, ``as_of_ns``, ``spot_usd``) of a source at times in [from, to] in order, at most ``limit``; the time of the next.

        Of equal times the one recorded last counts; a price of 0 stands where it was not believed.
        """
        rows = self._between(from_ns // NS_PER_DAY, to_ns // NS_PER_DAY)
        rows = rows[(rows["source"] == _name(source)) & (rows["as_of_ns"] >= from_ns) & (rows["as_of_ns"] <= to_ns)]
        rows = rows[np.lexsort((rows["seq"], rows["as_of_ns"]))]
        last = np.append(rows["as_of_ns"][1:] != rows["as_of_ns"][:-1], True)[: len(rows)]
        rows = rows[last | (rows["spot_usd"] == NOT_BELIEVED)]
        return rows[:limit], int(rows["as_of_ns"][limit]) if len(rows) > limit else None

    def _path(self, day: int) -> Path:
        return self._folder / f"prices-{day:06d}.rows"

    def _between(self, first_day: int, last_day: int) -> Rows:
        paths = sorted(self._folder.glob("prices-*.rows"))
        wanted = [path for path in paths if first_day <= int(path.stem.removeprefix("prices-")) <= last_day]
        with self._lock:
            return np.concatenate([np.empty(0, dtype=_ROW), *(self._read(path) for path in wanted)])

    def _read(self, path: Path) -> Rows:
        """The rows of a day that are what was written; only what is new since the last read is verified."""
        at, known = self._held.pop(path, (0, np.empty(0, dtype=_ROW)))
        with open(path, "rb") as stream:
            stream.seek(at)
            data = stream.read()
        data = data[: len(data) - len(data) % _ROW.itemsize]
        rows = np.frombuffer(data, dtype=_ROW)
        seals = rows["seal"].tolist()
        good = [_seal(data[rank * _ROW.itemsize : (rank + 1) * _ROW.itemsize]) == seal for rank, seal in enumerate(seals)]
        found: Rows = np.concatenate([known, rows[np.array(good, dtype=bool)]])
        self._held[path] = at + len(data), found
        while len(self._held) > DAYS_HELD:
            self._held.popitem(last=False)
        return found


def _name(source: str) -> int:
    return int.from_bytes(sha256(source.encode()).digest()[:8], "little")


def _seal(row: bytes) -> int:
    return int.from_bytes(sha256(row[:_SEALED_BYTES]).digest()[:8], "little")


def _without_torn_end(path: Path) -> None:
    """A process that was killed may have left part of a row."""
    torn = path.stat().st_size % _ROW.itemsize
    if torn:
        with open(path, "r+b") as stream:
            stream.truncate(path.stat().st_size - torn)
