"""Who is closed against a bankrupt position once the insurance fund is empty: the most profitable and most leveraged opposite side first."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray


def leverage_pnl(*, unrealised: ArrayLike, wallet: ArrayLike, maintenance: ArrayLike, floor: float) -> FloatArray:
    """Binance's rank: profit per collateral times margin ratio; a higher number is deleveraged earlier.

    max(0, profit) / max(floor, wallet) x maintenance / (wallet + profit), and 0 where the margin balance is 0 or less.
    All in the unit of margin; ``floor`` is the venue's 1 USDT.

    >>> round(float(leverage_pnl(unrealised=40.2, wallet=4.27, maintenance=0.1342 * 44.47, floor=1.0)), 4)
    1.2634

    Source: Binance's formula as quoted at dev.binance.vision/t/17801, whose numbers these are.
    """
    profit, held = np.asarray(unrealised, dtype=np.float64), np.asarray(wallet, dtype=np.float64)
    balance = held + profit
    ratio = np.where(balance > 0.0, np.asarray(maintenance) / np.where(balance > 0.0, balance, 1.0), 0.0)
    return np.asarray(np.maximum(profit, 0.0) / np.maximum(held, floor) * ratio)


def deleveraged(sizes: ArrayLike, ranks: ArrayLike, wanted: ArrayLike) -> FloatArray:
    """How much of each position is closed so that ``wanted`` is met, highest rank first; rank 0 is never closed.

    Shapes: ``sizes`` and ``ranks`` (positions, paths), ``wanted`` (paths,); the answer (positions, paths).
    Where all that ranks is less than ``wanted``, all of it is closed.

    >>> deleveraged([[2.0], [3.0], [4.0]], [[0.5], [0.9], [0.0]], [4.0]).tolist()
    [[1.0], [3.0], [0.0]]
    """
    given, rank = np.asarray(sizes, dtype=np.float64), np.asarray(ranks, dtype=np.float64)
    if given.shape != rank.shape or given.ndim != 2 or (given < 0.0).any():
        raise InputError(f"expected sizes of 0 or more and as many ranks, (positions, paths), got {given.shape} and {rank.shape}")
    open_size = np.where(rank > 0.0, given, 0.0)
    order = np.argsort(-rank, axis=0, kind="stable")
    sorted_size = np.take_along_axis(open_size, order, axis=0)
    before = np.cumsum(sorted_size, axis=0) - sorted_size
    taken = np.clip(np.asarray(wanted) - before, 0.0, sorted_size)
    out = np.zeros_like(given)
    np.put_along_axis(out, order, taken, axis=0)
    return out
