"""The options that one agent trades during a run: few slots of signed coin on every path, their value, greeks, settlement and profit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.sim.agents.protocol import Move, OptionStep
from tailwag.sim.option_market import OptionFill
from tailwag.sim.option_model import DELTA, GAMMA, THETA, VALUE, VANNA, VEGA, VOMMA, Contract, OptionModel, Positions

MOST_SLOTS = 16
"""Different contracts that an agent can hold at a time; more would be a book, and a book is read from the net-delta table."""


@dataclass(frozen=True, slots=True)
class OptionSlots:
    """Contracts of one agent by slot and path: + is long.  A slot without coin is free; each path fills its own.

    Shapes: (slots, paths).  ``average_usd`` is the running settlement average of each (the last price before its window).
    """

    model: OptionModel
    held: Positions

    @classmethod
    def empty(cls, model: OptionModel, paths: int, slots: int = MOST_SLOTS) -> OptionSlots:
        """Nothing held.  InputError for fewer than 1 or more than 16 slots."""
        if not 1 <= slots <= MOST_SLOTS:
            raise InputError(f"expected 1 to {MOST_SLOTS} option slots, got {slots}")
        shape = (slots, paths)
        start = np.full(shape, model.spot_usd)
        return cls(model, Positions(np.zeros(shape), np.ones(shape), start, start, np.zeros(shape, dtype=np.int64)))

    @property
    def coin(self) -> FloatArray:
        """Signed coin by slot and path."""
        return self.held.coin

    def same(self, contract: Contract) -> BoolArray:
        """Slots that hold a contract, (slots, paths)."""
        held = self.held
        return np.asarray(
            (held.coin != 0.0)
            & (held.right == contract.right)
            & (held.expiry_step == contract.expiry_step)
            & (held.strike_usd == contract.strike_usd)
        )

    def of(self, contract: Contract) -> FloatArray:
        """Signed coin held of a contract, (paths,)."""
        return np.asarray(np.where(self.same(contract), self.held.coin, 0.0).sum(axis=0))

    def room(self, contract: Contract) -> BoolArray:
        """Paths that hold the contract already or have a free slot for it, (paths,)."""
        return np.asarray(self.same(contract).any(axis=0) | (self.held.coin == 0.0).any(axis=0))

    def add(self, fill: OptionFill) -> OptionSlots:
        """The slots after a trade; InputError where a path trades without room, as an option would be lost."""
        trades = fill.coin != 0.0
        if not trades.any():
            return self
        same, free, contract = self.same(fill.contract), self.held.coin == 0.0, fill.contract
        known = same.any(axis=0)
        if (trades & ~known & ~free.any(axis=0)).any():
            raise InputError(
                f"expected a free slot for a new contract, got {self.held.coin.shape[0]} slots in use; trade only where room() is true"
            )
        path = np.flatnonzero(trades)
        slot = np.where(known, same.argmax(axis=0), free.argmax(axis=0))[path]
        coin, right, strike, average = (
            column.copy() for column in (self.held.coin, self.held.right, self.held.strike_usd, self.held.average_usd)
        )
        expiry = self.held.expiry_step.copy()
        coin[slot, path] += fill.coin[path]
        right[slot, path], strike[slot, path] = float(contract.right), contract.strike_usd[path]
        average[slot, path], expiry[slot, path] = fill.mark.average_usd[path], contract.expiry_step
        return replace(self, held=Positions(coin, right, strike, average, expiry))

    def greeks(self, step: int, log_price: FloatArray, vol_shift: FloatArray) -> FloatArray:
        """Value and greeks by spot of all that is held, (8, paths)."""
        return self.model.greeks(self.held, step, log_price, vol_shift)

    def value(self, step: int, log_price: FloatArray, vol_shift: FloatArray) -> FloatArray:
        """Value in USD by the common model."""
        return np.asarray(self.greeks(step, log_price, vol_shift)[VALUE])

    def delta(self, step: int, log_price: FloatArray, vol_shift: FloatArray) -> FloatArray:
        """dV/dS in coin, vol following spot by the skew."""
        return np.asarray(self.greeks(step, log_price, vol_shift)[DELTA])

    def gamma(self, step: int, log_price: FloatArray, vol_shift: FloatArray) -> FloatArray:
        """d2V/dS2 in coin per USD."""
        return np.asarray(self.greeks(step, log_price, vol_shift)[GAMMA])

    def vega(self, step: int, log_price: FloatArray, vol_shift: FloatArray) -> FloatArray:
        """USD per 1.00 of vol."""
        return np.asarray(self.greeks(step, log_price, vol_shift)[VEGA])

    def hedge_delta(self, step: int, log_price: FloatArray, vol_shift: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Black delta in coin, what a hedger sells, and its slope per unit of log price."""
        return self.model.hedge_delta(self.held, step, log_price, vol_shift)

    def settle(self, move: Move) -> tuple[FloatArray, OptionSlots]:
        """USD that contracts of this step's expiry pay (negative for short ones), (paths,), and the slots without them; averages go on.

        An averaged contract pays against the mean of the grid prices of its last 30 minutes, another against the price of its expiry.
        """
        held, now = self.held, move.step
        average = self._averages(move)
        leaving = (held.coin != 0.0) & (held.expiry_step <= now) & move.live
        if not leaving.any():
            return np.zeros(move.spot_usd.shape), replace(self, held=replace(held, average_usd=average))
        pays = held.coin * np.maximum(held.right * (average - held.strike_usd), 0.0)
        coin = np.where(leaving, 0.0, held.coin)
        return np.where(leaving, pays, 0.0).sum(axis=0), replace(self, held=replace(held, average_usd=average, coin=coin))

    def _averages(self, move: Move) -> FloatArray:
        """Running means with this step's price in them; the price itself outside a window."""
        held = self.held
        inside = (held.expiry_step <= self.model.window_reach(move.step)) & (held.coin != 0.0)
        average = np.where(move.live, move.spot_usd, held.average_usd)
        if not inside.any():
            return average
        count = move.step - self.model.first_in_window(held.expiry_step)
        mean = (held.average_usd * count + move.spot_usd) / np.where(inside, count + 1, 1)
        return np.where(inside & move.live, mean, average)


@dataclass(frozen=True, slots=True)
class OptionHolding:
    """Slots with their account: what they were worth when last marked, and what each step earned.

    ``value_usd`` counts trades at the model's price of their moment; ``greeks`` are of what was held when prices last cleared, ``fresh`` of what was
    traded since, at ``fresh_spot_usd`` and ``fresh_shift``.  Sums since the start: ``traded_coin``, ``premium_usd`` (+ paid), ``edge_usd``
    (coin times model price less price), ``unfilled_coin``, ``refused_coin`` (of it for want of a slot), ``settled_usd`` (+ received).
    """

    slots: OptionSlots
    value_usd: FloatArray
    greeks: FloatArray
    fresh: FloatArray
    fresh_spot_usd: FloatArray
    fresh_shift: FloatArray
    traded_coin: FloatArray
    premium_usd: FloatArray
    edge_usd: FloatArray
    unfilled_coin: FloatArray
    refused_coin: FloatArray
    settled_usd: FloatArray

    @classmethod
    def opened(cls, model: OptionModel, paths: int, slots: int = MOST_SLOTS) -> OptionHolding:
        """Nothing held, nothing traded."""
        none, none8 = np.zeros(paths), np.zeros((8, paths))
        empty = OptionSlots.empty(model, paths, slots)
        return cls(empty, none, none8, none8, none, none, none, none, none, none, none, none)

    def traded(self, fill: OptionFill) -> OptionHolding:
        """The holding after a trade, which is booked at the model's price; what was paid above it is the cost of the trade."""
        return replace(
            self,
            slots=self.slots.add(fill),
            value_usd=self.value_usd + fill.coin * fill.model_price_usd,
            fresh=self.fresh + fill.coin * fill.mark.greeks,
            fresh_spot_usd=fill.mark.spot_usd,
            fresh_shift=fill.mark.vol_shift,
            traded_coin=self.traded_coin + np.abs(fill.coin),
            premium_usd=self.premium_usd + fill.coin * fill.price_usd,
            edge_usd=self.edge_usd + fill.edge_usd,
            unfilled_coin=self.unfilled_coin + fill.unfilled_coin,
            refused_coin=self.refused_coin + fill.refused_coin,
        )

    def stepped(self, move: Move) -> tuple[OptionStep, OptionHolding]:
        """What the options earned in a cleared step, split by greeks from where they were held or bought, and the holding after it."""
        paid, slots = self.slots.settle(move)
        after = slots.greeks(move.step, move.log_price, move.vol_shift)
        total = np.where(move.live, after[VALUE] + paid - self.value_usd, 0.0)
        parts = self._explained(move)
        greeks = np.where(move.live, after, self.greeks)
        return OptionStep(*parts, total, paid), replace(
            self,
            slots=slots,
            value_usd=np.where(move.live, after[VALUE], self.value_usd),
            greeks=greeks,
            fresh=np.zeros(self.fresh.shape),
            settled_usd=self.settled_usd + paid,
        )

    def _explained(self, move: Move) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Profit by delta, by gamma and theta, by vanna and by vega."""
        spot_move, vol_move = move.spot_usd - move.spot_before_usd, move.vol_shift - move.shift_before
        held = _by_greeks(self.greeks, spot_move, vol_move, move.step_years)
        if not self.fresh.any():
            legs = held
        else:
            new = _by_greeks(self.fresh, move.spot_usd - self.fresh_spot_usd, move.vol_shift - self.fresh_shift, 0.0)
            legs = tuple(one + other for one, other in zip(held, new))
        delta, gamma_theta, vanna, vega = (np.where(move.live, leg, 0.0) for leg in legs)
        return delta, gamma_theta, vanna, vega


def _by_greeks(greeks: FloatArray, spot_move: FloatArray, vol_move: FloatArray, years: float) -> tuple[FloatArray, ...]:
    return (
        greeks[DELTA] * spot_move,
        0.5 * greeks[GAMMA] * spot_move**2 + greeks[THETA] * years,
        greeks[VANNA] * spot_move * vol_move,
        greeks[VEGA] * vol_move + 0.5 * greeks[VOMMA] * vol_move**2,
    )
