"""Candles on a whole grid of time: returns, their trailing scale, and realised vol of any window, with gaps as NaN and never bridged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_YEAR

MOST_CELLS = 20_000_000


@dataclass(frozen=True, slots=True)
class Returns:
    """Log returns between neighbouring candles.  Shapes: all (candles,), oldest first, one cell for each step of the clock.

    ``end_ns``: when the return is over and known.  ``log_price``: of its close.  NaN where a candle is missing, or the one before it.
    """

    end_ns: IntArray
    log_return: FloatArray
    log_price: FloatArray
    step_ns: int

    def at(self, time_ns: IntArray) -> IntArray:
        """Index of the last return over by each time, -1 where none is."""
        return np.searchsorted(self.end_ns, time_ns, side="right") - 1

    def price_log(self, time_ns: IntArray) -> FloatArray:
        """Log price at candle ends; NaN for a time that is none, or whose candle is missing."""
        place = self.at(time_ns)
        found = self.log_price[np.maximum(place, 0)]
        return np.where((place >= 0) & (self.end_ns[np.maximum(place, 0)] == time_ns), found, np.nan)


def on_grid(open_ns: IntArray, values: FloatArray, step_ns: int) -> FloatArray:
    """A column of candles, (candles,), on the cells of their :func:`grid_returns`, (cells,); NaN where a candle is missing.

    >>> import numpy as np
    >>> on_grid(np.array([0, 20]), np.array([1.0, 2.0]), 10).tolist()
    [1.0, nan, 2.0]
    """
    place = (open_ns - open_ns[0]) // step_ns
    column = np.full(int(place[-1]) + 1, np.nan)
    column[place] = values
    return column


def grid_returns(open_ns: IntArray, close_usd: FloatArray, step_ns: int, *, traded: BoolArray | None = None) -> Returns:
    """Returns of candles by the time they open: (candles,) each, times rising; ``traded`` False leaves a candle out.

    A return needs two candles one step apart.  InputError for times that are not whole steps apart, or that span too long.

    >>> import numpy as np
    >>> found = grid_returns(np.array([0, 10, 30, 40]), np.array([1.0, 2.0, 2.0, 4.0]), 10)
    >>> found.end_ns.tolist(), found.log_return.round(3).tolist()
    ([10, 20, 30, 40, 50], [nan, 0.693, nan, nan, 0.693])
    """
    offset = open_ns - open_ns[0]
    if (offset % step_ns).any():
        raise InputError(f"expected candles whole steps of {step_ns / 1e9:g} s apart, got others; take a clean copy")
    cells = int(offset[-1] // step_ns) + 1
    if cells > MOST_CELLS:
        raise InputError(f"expected at most {MOST_CELLS:,} steps between the first and the last candle, got {cells:,}; cut the history")
    price = np.full(cells, np.nan)
    price[offset // step_ns] = np.log(close_usd) if traded is None else np.where(traded, np.log(close_usd), np.nan)
    moves = np.concatenate([[np.nan], np.diff(price)])
    end_ns = open_ns[0] + step_ns * np.arange(1, cells + 1, dtype=np.int64)
    return Returns(end_ns, moves, price, step_ns)


def trailing_scale(returns: Returns, window: int, *, least: int) -> FloatArray:
    """Root mean square of the ``window`` returns before each, (candles,); NaN where fewer than ``least`` of them are there.

    >>> import numpy as np
    >>> r = Returns(np.arange(4), np.array([3.0, 4.0, 1.0, 9.0]), np.zeros(4), 1)
    >>> trailing_scale(r, 2, least=2).tolist()[2:]
    [3.5355339059327378, 2.9154759474226504]
    """
    squares, there = sums(returns)
    last = np.arange(returns.log_return.size)
    first = np.maximum(last - window, 0)
    count = there[last] - there[first]
    mean = (squares[last] - squares[first]) / np.maximum(count, 1)
    return np.where((count >= least) & (mean > 0.0), np.sqrt(mean), np.nan)


def realised_vol(returns: Returns, start_ns: IntArray, end_ns: IntArray, *, least_share: float) -> FloatArray:
    """Annualised root mean square of the returns that lie whole in each window, (windows,).

    NaN where less than ``least_share`` of the window's steps are there, where it reaches beyond the candles, and where nothing moved.
    """
    squares, there = sums(returns)
    opened = returns.end_ns - returns.step_ns
    first = np.searchsorted(opened, start_ns, side="left")
    last = np.maximum(returns.at(end_ns) + 1, first)
    count = there[last] - there[first]
    whole = np.maximum((end_ns - start_ns) // returns.step_ns, 1)
    mean = (squares[last] - squares[first]) / np.maximum(count, 1)
    inside = (start_ns >= opened[0]) & (end_ns <= returns.end_ns[-1])
    vol = np.sqrt(np.maximum(mean, 0.0) * NS_PER_YEAR / returns.step_ns)
    return np.where(inside & (count >= np.ceil(least_share * whole - 1e-9)) & (mean > 0.0), vol, np.nan)


def past_return(returns: Returns, end_ns: IntArray, days: int) -> FloatArray:
    """Log return of the ``days`` before each time, (times,), between the last prices known then; NaN where one is older than an hour, or there is none.

    >>> import numpy as np
    >>> r = Returns(np.arange(1, 4) * NS_PER_DAY, np.zeros(3), np.array([1.0, 1.5, np.nan]), NS_PER_DAY)
    >>> past_return(r, np.arange(4) * NS_PER_DAY, 1).tolist()
    [nan, nan, 0.5, nan]
    """
    return last_price_log(returns, end_ns) - last_price_log(returns, end_ns - days * NS_PER_DAY)


def last_price_log(returns: Returns, time_ns: IntArray) -> FloatArray:
    """Log of the last price known by each time, (times,); NaN where it is older than an hour, or there is none."""
    cells = np.arange(returns.log_price.size)
    last = np.maximum.accumulate(np.where(np.isfinite(returns.log_price), cells, -1))[np.maximum(returns.at(time_ns), 0)]
    known = (returns.at(time_ns) >= 0) & (last >= 0)
    fresh = time_ns - returns.end_ns[np.maximum(last, 0)] < NS_PER_HOUR
    return np.where(known & fresh, returns.log_price[np.maximum(last, 0)], np.nan)


def sums(returns: Returns) -> tuple[FloatArray, IntArray]:
    """Running sums of squared returns and of how many there are, each (candles + 1,), from 0."""
    there = np.isfinite(returns.log_return)
    squares = np.where(there, returns.log_return, 0.0) ** 2
    return np.concatenate([[0.0], np.cumsum(squares)]), np.concatenate([[0], np.cumsum(there)])


def hourly(returns: Returns, steps: int) -> Returns:
    """Returns over ``steps`` neighbouring steps that end on whole multiples of their length since 1970; NaN where one of them is missing.

    >>> import numpy as np
    >>> r = Returns(np.arange(1, 6), np.array([1.0, 1.0, 1.0, np.nan, 1.0]), np.arange(5.0), 1)
    >>> found = hourly(r, 2)
    >>> found.end_ns.tolist(), found.log_return.tolist()
    ([2, 4], [2.0, nan])
    """
    length = steps * returns.step_ns
    ends = np.flatnonzero(returns.end_ns % length == 0)
    ends = ends[ends >= steps - 1]
    total = sum((returns.log_return[ends - back] for back in range(steps)), start=np.zeros(ends.size))
    return Returns(returns.end_ns[ends], total, returns.log_price[ends], length)
