"""Dealers' inventory from signed trades, day by day: what takers bought turned round, and how much of it rests on an assumption."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tailwag.errors import EmptyChainError, InstrumentNameError
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.kernels.black import GREEKS, black_greeks
from tailwag.market.chain import Chain
from tailwag.market.instrument import CALL, PUT, Option, parse_option
from tailwag.market.trades import Trades
from tailwag.positioning import Rule
from tailwag.positioning.flow import dealer_coin
from tailwag.units import NS_PER_DAY, NS_PER_YEAR

FLAT_COIN = 1e-6
"""Inventories below it are flat: venues trade tenths of a coin, sums of floats miss by less."""
_GAMMA = GREEKS.index("gamma")


@dataclass(frozen=True, slots=True)
class Prints:
    """Trades in options of one currency, as they count.  Shapes: all (trades,), in the order of time; ``option`` points into ``options``.

    ``known_coin``: what dealers bought where the customer's side is known; ``block_coin``: what they bought in blocks if the printed side is theirs.
    ``assumed_coin``: contracts whose customer is not known (blocks, both sides liquidated, no direction); the others are in ``counted_coin``.
    """

    currency: str
    options: tuple[Option, ...]
    option: IntArray
    time_ns: IntArray
    known_coin: FloatArray
    block_coin: FloatArray
    assumed_coin: FloatArray
    counted_coin: FloatArray
    iv: FloatArray
    index_usd: FloatArray
    left_out: dict[str, int]


def option_prints(trades: Trades, *, currency: str) -> Prints:
    """The trades of ``currency`` options with a side for the dealers: makers, but for what a liquidation tells; what cannot count is counted by reason.

    EmptyChainError where none is left.
    """
    known = {name: found for name in set(trades.instrument.tolist()) if (found := _option(name, currency)) is not None}
    listed = np.array([name in known for name in trades.instrument.tolist()], dtype=np.bool_)
    expiry_ns = np.array([known[name].expiry_ns if name in known else 0 for name in trades.instrument.tolist()], dtype=np.int64)
    sized, alive = np.isfinite(trades.amount_coin), trades.time_ns < expiry_ns
    left_out = {
        f"no option of {currency}": int((~listed).sum()),
        "no amount": int((listed & ~sized).sum()),
        "after its expiry": int((listed & sized & ~alive).sum()),
    }
    kept = trades.select(listed & sized & alive)
    if not len(kept):
        raise EmptyChainError(f"expected trades in options of {currency}, got none of {len(trades):,}; name the currency of these trades")
    names = sorted(set(kept.instrument.tolist()))
    place = {name: rank for rank, name in enumerate(names)}
    option = np.array([place[name] for name in kept.instrument.tolist()], dtype=np.int64)
    return _prints(kept, tuple(known[name] for name in names), option, left_out)


def _option(name: str, currency: str) -> Option | None:
    try:
        found = parse_option(name)
    except InstrumentNameError:
        return None
    return found if found.currency == currency else None


def _prints(kept: Trades, options: tuple[Option, ...], option: IntArray, left_out: dict[str, int]) -> Prints:
    taker = kept.taker_sign * kept.amount_coin
    known = dealer_coin(taker, kept.is_block, kept.liquidated, blocks="exclude")
    printed = dealer_coin(taker, kept.is_block, kept.liquidated, blocks="maker-side")
    assumed = kept.is_block | (kept.liquidated == "MT") | (kept.taker_sign == 0)
    return Prints(
        options[0].currency,
        options,
        option,
        kept.time_ns,
        np.where(assumed, 0.0, known),
        np.where(kept.is_block, printed, 0.0),
        np.where(assumed, kept.amount_coin, 0.0),
        np.where(assumed, 0.0, kept.amount_coin),
        kept.iv,
        kept.index_usd,
        left_out,
    )


@dataclass(frozen=True, slots=True)
class DailyBook:
    """What dealers hold of each option at the end of each UTC day, from flow alone.  Shapes: (days, options), ``end_ns`` and ``index_usd`` (days,).

    ``open``: traded by then and not expired.  ``held_coin``: + long, from trades whose customer is known; ``block_coin`` adds to it if blocks' printed side
    is the dealers'; ``assumed_coin`` is how far it could be off whoever was the customer in the rest.  ``gamma_usd_per_pct``: of one coin of the option,
    at the last index price and the option's last volatility that printed, the forward at the index; NaN where none has printed.
    """

    prints: Prints
    end_ns: IntArray
    index_usd: FloatArray
    open: BoolArray
    held_coin: FloatArray
    block_coin: FloatArray
    assumed_coin: FloatArray
    counted_coin: FloatArray
    gamma_usd_per_pct: FloatArray

    def held_with(self, dealers_coin: FloatArray) -> FloatArray:
        """The same book from other sides: what dealers bought in each print (trades,), accumulated to (days, options)."""
        return _accumulated(self.prints, dealers_coin)

    def rule_signs(self, rule: Rule) -> FloatArray:
        """The sign that a positioning rule gives each open option at each day's end, (days, options); 0 where not open, NaN where it cannot tell."""
        signs = np.zeros(self.open.shape)
        for day in range(len(self.end_ns)):
            rows = np.flatnonzero(self.open[day])
            if rows.size:
                signs[day, rows] = np.sign(rule.infer(self._chain(day, rows)).position_coin)
        return signs

    def _chain(self, day: int, rows: IntArray) -> Chain:
        """The day's open options with one coin of open interest each: rules then say nothing but signs."""
        options = [self.prints.options[row] for row in rows]
        return Chain.from_columns(
            currency=self.prints.currency,
            as_of_ns=int(self.end_ns[day]),
            instrument=[option.name for option in options],
            right=[_side(option) for option in options],
            strike_usd=[option.strike_usd for option in options],
            expiry_ns=[option.expiry_ns for option in options],
            coin_per_contract=np.ones(rows.size),
            open_interest_contracts=np.ones(rows.size),
            underlying_usd=np.full(rows.size, self.index_usd[day]),
        )


def daily_book(prints: Prints) -> DailyBook:
    """The book at the end of each UTC day, from the day of the first print to that of the last."""
    first, days = _days(prints)
    end_ns = (first + 1 + np.arange(days, dtype=np.int64)) * NS_PER_DAY
    counted, assumed = (_accumulated(prints, column) for column in (prints.counted_coin, prints.assumed_coin))
    expiry_ns = np.array([option.expiry_ns for option in prints.options], dtype=np.int64)
    is_open = (counted + assumed > 0.0) & (expiry_ns[None, :] > end_ns[:, None])
    index = _last_known(prints, prints.index_usd, np.zeros(prints.option.size, dtype=np.int64), 1)[:, 0]
    iv = _last_known(prints, prints.iv, prints.option, len(prints.options))
    return DailyBook(
        prints,
        end_ns,
        index,
        is_open,
        _accumulated(prints, prints.known_coin),
        _accumulated(prints, prints.block_coin),
        assumed,
        counted,
        _gamma(prints.options, is_open, end_ns, index, iv),
    )


def _side(option: Option) -> int:
    return CALL if option.right == "call" else PUT


def _days(prints: Prints) -> tuple[int, int]:
    day = prints.time_ns // NS_PER_DAY
    return int(day[0]), int(day[-1] - day[0]) + 1


def _accumulated(prints: Prints, coin: FloatArray) -> FloatArray:
    first, days = _days(prints)
    cells = (prints.time_ns // NS_PER_DAY - first) * len(prints.options) + prints.option
    by_day = np.bincount(cells, weights=coin, minlength=days * len(prints.options)).reshape(days, -1)
    total: FloatArray = np.cumsum(by_day, axis=0)
    return total


def _last_known(prints: Prints, values: FloatArray, column: IntArray, columns: int) -> FloatArray:
    """The last finite value above 0 printed in each column by each day's end, (days, columns); NaN before any."""
    first, days = _days(prints)
    there = np.flatnonzero(np.isfinite(values) & (values > 0.0))
    row = np.full((days, columns), -1, dtype=np.int64)
    np.maximum.at(row, (prints.time_ns[there] // NS_PER_DAY - first, column[there]), there)
    row = np.maximum.accumulate(row, axis=0)
    return np.where(row >= 0, values[np.maximum(row, 0)], np.nan)


def _gamma(options: tuple[Option, ...], is_open: BoolArray, end_ns: IntArray, index_usd: FloatArray, iv: FloatArray) -> FloatArray:
    day, option = np.nonzero(is_open & np.isfinite(iv) & np.isfinite(index_usd)[:, None])
    right, strike, expiry = (_column(options, name)[option] for name in ("right", "strike_usd", "expiry_ns"))
    years = (expiry - end_ns[day]) / NS_PER_YEAR
    gamma = black_greeks(right, index_usd[day], strike, years, iv[day, option])[_GAMMA]
    found = np.full(is_open.shape, np.nan)
    found[day, option] = 0.01 * gamma * index_usd[day] ** 2
    return found


def _column(options: tuple[Option, ...], name: str) -> Any:
    return np.array([_side(option) if name == "right" else getattr(option, name) for option in options])
