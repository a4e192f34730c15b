"""The options of a margined account at one price: what they are worth, what of it counts as margin, what they need, and their delta."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.margin.options import OptionMargin
from tailwag.sim.option_book import OptionBook, book_greeks

VALUE, DELTA = 0, 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where a book is looked at: time in years, log price, vol shift and running settlement average, (paths,)."""

    years: float
    log_price: FloatArray
    vol_shift: FloatArray
    average_usd: FloatArray


@dataclass(frozen=True, slots=True)
class Marks:
    """The whole book there, USD (paths,): its value, what of it counts as margin, the maintenance margin beyond the shorts' value; slopes by log price."""

    spot_usd: FloatArray
    value_usd: FloatArray
    counts_usd: FloatArray
    counts_slope_usd: FloatArray
    needed_usd: FloatArray
    needed_slope_usd: FloatArray


@dataclass(frozen=True, slots=True, init=False)
class MarkedBook:
    """A book of options ready to be marked; ``fixing_step`` (rows,) says in which step each is paid out."""

    shorts: OptionBook
    longs: OptionBook
    rule: OptionMargin
    spot_usd: float
    short_fixing: IntArray
    long_fixing: IntArray

    def __init__(self, book: OptionBook, rule: OptionMargin, *, spot_usd: float, fixing_step: IntArray) -> None:
        short = book.contracts_coin < 0.0
        for name, value in (
            ("shorts", book.where(short)),
            ("longs", book.where(~short)),
            ("rule", rule),
            ("spot_usd", spot_usd),
            ("short_fixing", fixing_step[short]),
            ("long_fixing", fixing_step[~short]),
        ):
            object.__setattr__(self, name, value)

    def after(self, step: int) -> MarkedBook:
        """What is left once the options of a step have been paid out."""
        stay, held = self.short_fixing > step, self.long_fixing > step
        if stay.all() and held.all():
            return self
        left = self.shorts.where(stay).merged(self.longs.where(held))
        fixing = np.concatenate((self.short_fixing[stay], self.long_fixing[held]))
        return MarkedBook(left, self.rule, spot_usd=self.spot_usd, fixing_step=fixing)

    @property
    def rows(self) -> int:
        """How many options there are."""
        return self.shorts.rows + self.longs.rows

    @property
    def gross_coin(self) -> float:
        """Coin of all options, long and short alike."""
        return self.shorts.gross_coin + self.longs.gross_coin

    def marks(self, place: Place) -> Marks:
        """Value and margin there."""
        spot = self.spot_usd * np.exp(place.log_price)
        short, long = (self._greeks(book, place) for book in (self.shorts, self.longs))
        counts = short + long if self.rule.long_lends else short
        needed, slope = self._needed(place, spot)
        return Marks(spot, short[VALUE] + long[VALUE], counts[VALUE], counts[DELTA] * spot, needed, slope)

    def initial_usd(self, place: Place) -> FloatArray:
        """Initial margin of the shorts beyond their value, (paths,)."""
        spot, total = self.spot_usd * np.exp(place.log_price), np.zeros(place.log_price.shape)
        for row in range(self.shorts.rows):
            right, strike, coin = int(self.shorts.right[row]), self.shorts.strike_usd[row], -self.shorts.contracts_coin[row]
            mark = self._own_mark(row, place, spot)[0] if right < 0 else np.zeros(spot.shape)
            total = total + coin * self.rule.initial_beyond_usd(right, strike, mark_usd=mark, spot_usd=spot)
        return total

    def _needed(self, place: Place, spot: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Maintenance margin of the shorts beyond their value, and its slope by log price: share x (S, or a put's own value where that is more)."""
        share, total, slope = self.rule.maintenance_share, np.zeros(spot.shape), np.zeros(spot.shape)
        for row in range(self.shorts.rows):
            right, coin = int(self.shorts.right[row]), -self.shorts.contracts_coin[row]
            mark, delta = self._own_mark(row, place, spot) if right < 0 else (np.zeros(spot.shape), spot)
            total = total + coin * self.rule.maintenance_beyond_usd(right, mark_usd=mark, spot_usd=spot)
            slope = slope + coin * share * spot * np.where(mark > spot, delta, 1.0)
        return total, slope

    def _own_mark(self, row: int, place: Place, spot: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Value and delta of one coin of a short option; zero where it cannot be worth more than a coin, which is all that its margin asks."""
        coin = self.shorts.contracts_coin[row]
        if not (self.shorts.strike_usd[row] > spot).any():
            return np.zeros(spot.shape), np.zeros(spot.shape)
        one = np.arange(self.shorts.rows) == row
        found = self._greeks(self.shorts.where(one), place) / coin
        return found[VALUE], found[DELTA]

    def _greeks(self, book: OptionBook, place: Place) -> FloatArray:
        if not book.rows:
            return np.zeros((2, place.log_price.size))
        found = book_greeks(book, place.years, self.spot_usd, place.log_price, place.vol_shift, running_average_usd=place.average_usd)
        return found[:2]
