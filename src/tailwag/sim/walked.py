"""Demands that compiled code can ask by itself, and the search for clearing prices among nothing but them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.kernels.clearing_walk import Market, search
from tailwag.kernels.demands import FIRST_SLOT, NUMBERS, SLOTS, Known

__all__ = ["Found", "Market", "Walked", "searched"]


@dataclass(frozen=True, slots=True)
class Walked:
    """A same-step demand as compiled code reads it: its kind, what stands in its slots (arrays or whole numbers) and its numbers.

    ``begin`` is called right before; ``band``: where it trades, and the ends of a band at which it stops, (paths,) each.  The kinds and their slots are
    those of :class:`tailwag.kernels.demands.Known`.  ``told`` (4, paths), one of the slots, is written to: log price, vol shift, and a book's delta and
    slope, where it was asked about last.
    """

    kind: int
    slots: tuple[Any, ...]
    numbers: tuple[float, ...]
    begin: Callable[[], object] | None = None
    band: tuple[BoolArray, FloatArray, FloatArray] | None = None
    told: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Clearing prices, which paths have one, and which (None: none) are to be searched with the agents' own demands, (paths,); which demands are in coin."""

    log_price: FloatArray
    found: BoolArray
    hard: BoolArray | None
    in_coin: BoolArray


def searched(walked: Sequence[Walked], market: Market, answers: FloatArray) -> Found:
    """First clearing prices among these demands; everybody's answers there are written to ``answers`` (demands, 4, paths)."""
    paths = market.rows.shape[1]
    slots, numbers, kept = np.zeros((len(walked), SLOTS), dtype=np.int64), np.zeros((len(walked), NUMBERS)), []
    for place, one in enumerate(walked):
        numbers[place, : len(one.numbers)] = one.numbers
        if one.begin is not None:
            one.begin()
        for slot, value in enumerate((*(one.band or ()), *one.slots), start=0 if one.band else FIRST_SLOT):
            if isinstance(value, np.ndarray):
                value = np.ascontiguousarray(value)
                kept.append(value)  # or what stands at its address would be gone
                value = value.__array_interface__["data"][0]  # what `ctypes.data` says, without its detours
            slots[place, slot] = value
    known = Known(np.array([one.kind for one in walked], dtype=np.int64), slots, numbers, paths)
    log_price, found, hard = np.empty(paths), np.empty(paths, dtype=np.bool_), np.empty(paths, dtype=np.bool_)
    coins = np.empty(len(walked), dtype=np.bool_)
    some = search(known, market, answers, coins, log_price, found, hard)
    kept.clear()
    return Found(log_price, found, hard if some else None, coins)
