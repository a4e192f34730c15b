"""A book of options as columns: what a simulated dealer holds, what it is worth along a path, and what it pays at expiry."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray, frozen
from tailwag.kernels.netdelta import LEAST_YEARS, SETTLED_YEARS, SKEW_REACH_LOG, VOL_FLOOR, greeks_kernel
from tailwag.kernels.netgreeks import NET_GREEKS
from tailwag.kernels.settlement import averaged_greeks

__all__ = [
    "LEAST_YEARS",
    "SETTLED_YEARS",
    "SKEW_REACH_LOG",
    "VOL_FLOOR",
    "WINDOW_YEARS",
    "OptionBook",
    "book_greeks",
    "settlement_value",
]

WINDOW_YEARS = 30 / (365 * 24 * 60)
"""Length of the settlement average of `averaged` rows: Deribit settles on the mean index of the last 30 minutes."""

_LEAST = {"strike_usd": 0.0, "forward_ratio": 0.0, "iv": VOL_FLOOR}
_KINDS: dict[str, Any] = {"right": np.int64, "averaged": np.bool_}


@dataclass(frozen=True, slots=True)
class OptionBook:
    """Options held by one dealer, one row each; + contracts are long, - are short.

    `right` +1 call, -1 put; `strike_usd`; `expiry_years` from the start of the run (rows at or below 0 have settled and count for
    nothing); `contracts_coin`, one coin of underlying each; `iv` decimal; `forward_ratio` F/S, kept as spot moves; `skew`
    d(vol)/d(ln spot) of the row as spot moves (0: its vol stays with the strike); `averaged`: settles on the mean index of the last
    30 minutes. The vol of a row at log move x and vol shift s is max(iv + skew * x + s, VOL_FLOOR), with x held at +-0.5 beyond.
    All columns are (n,) and read-only. Raises InputError if a column has another length or a value that no option has.

    >>> book = OptionBook.single("put", strike_usd=60000.0, expiry_years=7 / 365, contracts_coin=-20.0, iv=0.6)
    >>> book.rows, book.right.tolist(), book.forward_ratio.tolist()
    (1, [-1], [1.0])
    """

    right: IntArray
    strike_usd: FloatArray
    expiry_years: FloatArray
    contracts_coin: FloatArray
    iv: FloatArray
    forward_ratio: FloatArray
    skew: FloatArray
    averaged: BoolArray

    def __post_init__(self) -> None:
        count = np.size(self.right)
        for field in fields(self):
            object.__setattr__(self, field.name, _column(field.name, getattr(self, field.name), count))
        _refuse_impossible(self)

    @classmethod
    def single(
        cls,
        right: str | int = "call",
        *,
        strike_usd: float,
        expiry_years: float,
        contracts_coin: float,
        iv: float,
        forward_ratio: float = 1.0,
        skew: float = 0.0,
        averaged: bool = False,
    ) -> OptionBook:
        """A book of one option; `right` is "call", "put", +1 or -1."""
        side = {"call": 1, "put": -1}.get(right, 0) if isinstance(right, str) else int(right)
        row = (side, strike_usd, expiry_years, contracts_coin, iv, forward_ratio, skew, averaged)
        return cls(*(np.array([value]) for value in row))

    @property
    def rows(self) -> int:
        """How many rows the book has, settled ones included."""
        return int(self.right.size)

    def __len__(self) -> int:
        return self.rows

    @property
    def gross_coin(self) -> float:
        """Sum of |contracts|: what errors of a net delta are measured against.

        >>> OptionBook.single(strike_usd=1.0, expiry_years=1.0, contracts_coin=-3.0, iv=0.5).gross_coin
        3.0
        """
        return float(np.abs(self.contracts_coin).sum())

    def where(self, rows: BoolArray) -> OptionBook:
        """The chosen rows as a book of their own."""
        return OptionBook(*(getattr(self, field.name)[rows] for field in fields(self)))

    def digest(self) -> str:
        """SHA-256 of all columns: two books of one digest are the same book.

        >>> one = OptionBook.single(strike_usd=1.0, expiry_years=1.0, contracts_coin=-3.0, iv=0.5)
        >>> one.digest() == one.where(np.array([True])).digest()
        True
        """
        columns = b"".join(np.ascontiguousarray(getattr(self, field.name)).tobytes() for field in fields(self))
        return hashlib.sha256(columns).hexdigest()

    def merged(self, other: OptionBook) -> OptionBook:
        """Both books as one, this one's rows first.

        >>> one = OptionBook.single(strike_usd=1.0, expiry_years=1.0, contracts_coin=-3.0, iv=0.5)
        >>> one.merged(one).gross_coin
        6.0
        """
        return OptionBook(*(np.concatenate((getattr(self, field.name), getattr(other, field.name))) for field in fields(self)))


def book_greeks(
    book: OptionBook,
    time_years: float,
    spot_usd: float,
    log_price: FloatArray,
    vol_shift: FloatArray,
    *,
    running_average_usd: FloatArray | None = None,
) -> FloatArray:
    """Value and greeks of the whole book on every path: (8, paths) in the order of `NET_GREEKS`, in USD (undiscounted).

    `spot_usd` is the price at the start, `log_price` and `vol_shift` (paths,) the moves since. F = forward_ratio * S. Derivatives are by spot S,
    by the common vol shift (vega 0 where a row's vol is floored) and by calendar time, with the row's vol following spot by its skew: delta =
    dV/dS exactly, that is, ratio * N(d1) + vega * skew/S. Rows inside their settlement window need `running_average_usd` (paths,).

    >>> book = OptionBook.single(strike_usd=65000, expiry_years=30 / 365, contracts_coin=1.0, iv=0.65)
    >>> book_greeks(book, 0.0, 60000.0, np.zeros(1), np.zeros(1))[:2, 0].round(8).tolist()
    [2559.74182777, 0.36830117]
    """
    moves, shifts = np.ascontiguousarray(log_price, dtype=np.float64), np.ascontiguousarray(vol_shift, dtype=np.float64)
    out = np.zeros((len(NET_GREEKS), moves.size))
    left, alive, inside = time_left(book, time_years)
    live = alive & ~inside
    ratio, strike = book.forward_ratio[live] * spot_usd, book.strike_usd[live]
    columns = (book.right[live], strike, ratio, left[live], book.iv[live], book.skew[live], book.contracts_coin[live])
    greeks_kernel(np.array(columns, dtype=np.float64), spot_usd, moves, shifts, out)
    for row in np.flatnonzero(inside):
        out += _inside_window(
            book, int(row), left[row], spot_usd * np.exp(moves), moves, shifts, needed_average(running_average_usd, moves.size)
        )
    return out


def settlement_value(book: OptionBook, rows: BoolArray, settle_price_usd: FloatArray) -> FloatArray:
    """What the holder of the masked rows receives when they settle at `settle_price_usd` (paths,): USD, negative for short options.

    sum of contracts * max(right * (price - strike), 0).

    >>> book = OptionBook.single("put", strike_usd=100.0, expiry_years=0.1, contracts_coin=-2.0, iv=0.5)
    >>> settlement_value(book, np.array([True]), np.array([90.0, 110.0])).tolist()
    [-20.0, 0.0]
    """
    price = np.asarray(settle_price_usd, dtype=np.float64)
    paid = np.zeros(price.shape)
    for row in np.flatnonzero(rows):
        paid += book.contracts_coin[row] * np.maximum(book.right[row] * (price - book.strike_usd[row]), 0.0)
    return paid


def time_left(book: OptionBook, time_years: float) -> tuple[FloatArray, BoolArray, BoolArray]:
    """Years that each row's vol still has to act, which rows are alive, and which of them are inside their settlement window.

    An averaged row before its window counts tau - 2/3 of the window: the mean over it has the variance of that much time. Inside it, and
    for plain rows, the years are those to expiry, a second at least.
    """
    tau = book.expiry_years - time_years
    alive = (tau > SETTLED_YEARS) & (book.expiry_years > 0.0)
    inside = alive & book.averaged & (tau < WINDOW_YEARS + SETTLED_YEARS)
    left = np.where(book.averaged & ~inside, tau - WINDOW_YEARS * (2 / 3), tau)
    return np.maximum(left, LEAST_YEARS), alive, inside


def needed_average(running_average_usd: FloatArray | None, paths: int) -> FloatArray:
    """The running average of the index, refused where a row needs it and it is missing."""
    if running_average_usd is None:
        raise InputError(
            "expected the running average of the index inside an option's 30-minute settlement window, got none; "
            "pass running_average_usd, the mean index of each path since the window opened"
        )
    average = np.ascontiguousarray(running_average_usd, dtype=np.float64)
    if average.shape != (paths,) or not np.all(average > 0.0):
        raise InputError(
            f"expected a running average above 0 for each of {paths} paths, got shape {average.shape}; give one price per path"
        )
    return average


def _inside_window(
    book: OptionBook, row: int, left: float, spot: FloatArray, moves: FloatArray, shifts: FloatArray, average: FloatArray
) -> FloatArray:
    """One row's greeks while its settlement average runs, by spot with the row's skew."""
    raw = book.iv[row] + book.skew[row] * np.clip(moves, -SKEW_REACH_LOG, SKEW_REACH_LOG) + shifts
    free = (raw > VOL_FLOOR).astype(np.float64)
    vol = np.maximum(raw, VOL_FLOOR)
    ratio, left = book.forward_ratio[row], min(left, WINDOW_YEARS * (1.0 - 1e-12))
    # the forward's ratio is kept here, too, so that nothing jumps as the window opens
    greeks = averaged_greeks(int(book.right[row]), spot, book.strike_usd[row] / ratio, left, vol, average, WINDOW_YEARS)
    price, delta, gamma, vega, theta, vanna, charm, vomma = ratio * greeks
    vega, vanna, vomma = vega * free, vanna * free, vomma * free
    per_usd = book.skew[row] / spot * (np.abs(moves) < SKEW_REACH_LOG)
    ageing = -1.5 / left * vega - 1.5 / left * vomma * vol  # d vega/dt: the sd falls as left^1.5, and vega with it
    total = (
        price,
        delta + vega * per_usd,
        gamma + 2.0 * vanna * per_usd + vomma * per_usd**2 - vega * per_usd / spot,
        vega,
        theta,
        vanna + vomma * per_usd,
        charm + ageing * per_usd,
        vomma,
    )
    held: FloatArray = book.contracts_coin[row] * np.array(total)
    return held


def _column(name: str, values: Any, count: int) -> Any:
    array = np.asarray(values)
    if array.ndim != 1 or array.size != count:
        raise InputError(
            f"expected {name} to have one entry for each of {count} options, got shape {array.shape}; give columns of one length"
        )
    return frozen(array, _KINDS.get(name, np.float64))


def _refuse_impossible(book: OptionBook) -> None:
    sides = ~np.isin(book.right, (1, -1))
    if sides.any():
        raise InputError(f"expected right +1 (call) or -1 (put), got {book.right[sides][0]}; use the words call and put, or these numbers")
    for name in ("strike_usd", "expiry_years", "contracts_coin", "iv", "forward_ratio", "skew"):
        values, least = getattr(book, name), _LEAST.get(name, -np.inf)
        bad = ~np.isfinite(values) | (values < least) | ((values == 0.0) & (least == 0.0))
        if bad.any():
            bound = f"{name} of {least:g} or more" if name == "iv" else f"{name} above {least:g}" if least == 0.0 else f"a finite {name}"
            raise InputError(
                f"expected {bound}, got {values[bad][0]:g} in row {int(np.flatnonzero(bad)[0]) + 1}; mend or leave out that option"
            )
    if (book.iv > 10.0).any():
        raise InputError(f"expected iv as a decimal (0.60), got {book.iv.max():g}; divide percent by 100")
