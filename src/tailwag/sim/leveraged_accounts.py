"""Leveraged accounts as columns: who holds what at which leverage, where each is liquidated, and how a venue closes it.

Shapes: accounts by paths, (accounts, paths); amounts of money in the unit of margin (USD for linear contracts, coin for inverse ones),
sizes in coin (linear) or USD (inverse).  Every function answers with new arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.kernels.leverage import BRINK_SHARE
from tailwag.margin.contract import Contract
from tailwag.margin.deleveraging import deleveraged, leverage_pnl
from tailwag.margin.insurance import cover, socialised
from tailwag.margin.rulebook import Rulebook

LEAST_COLLATERAL = 1e-9
"""Least collateral in a rank, in the unit of margin, where the venue states none."""
DUST_SHARE = 1e-12
"""A position that a round leaves smaller than this part of what it was is closed."""


def account_sum(amounts: FloatArray) -> FloatArray:
    """Sum over accounts, one after another: the same bits for a path alone as among others."""
    return np.asarray(np.cumsum(amounts, axis=0)[-1])


@dataclass(frozen=True, slots=True)
class Accounts:
    """Open positions, their margin, and the venue's own purse.

    (accounts, 1): ``side`` (+1 long), ``share`` (maintenance; (accounts, paths) where it moves).  (accounts, paths): ``entry`` (value of one unit at entry), ``size`` (0 =
    closed), ``wallet``.  (paths,): ``fund``, ``bad_debt`` (unpaid, 0 or more), ``outside`` (funding that came from the rest of the market); what the other
    side bore so far: ``deleveraged_usd`` closed against it at bankruptcy prices, ``shared`` losses taken from its profits.
    """

    side: FloatArray
    share: FloatArray
    entry: FloatArray
    size: FloatArray
    wallet: FloatArray
    fund: FloatArray
    bad_debt: FloatArray
    outside: FloatArray
    deleveraged_usd: FloatArray
    shared: FloatArray

    def column(self, paths: BoolArray) -> Accounts:
        """Some of the paths."""
        return Accounts(
            self.side,
            self.share if self.share.shape[1] == 1 else self.share[:, paths],
            self.entry[:, paths],
            self.size[:, paths],
            self.wallet[:, paths],
            self.fund[paths],
            self.bad_debt[paths],
            self.outside[paths],
            self.deleveraged_usd[paths],
            self.shared[paths],
        )

    def with_column(self, paths: BoolArray, some: Accounts) -> Accounts:
        """These accounts with some of the paths in place of theirs."""
        size, wallet = self.size.copy(), self.wallet.copy()
        size[:, paths], wallet[:, paths] = some.size, some.wallet
        purse = {}
        for name in ("fund", "bad_debt", "outside", "deleveraged_usd", "shared"):
            purse[name] = getattr(self, name).copy()
            purse[name][paths] = getattr(some, name)
        return replace(self, size=size, wallet=wallet, **purse)

    def profit(self, unit_value: FloatArray) -> FloatArray:
        """Unrealised profit at a value of one unit, (accounts, paths)."""
        return np.asarray(self.side * self.size * (unit_value - self.entry))

    def total(self, unit_value: FloatArray) -> FloatArray:
        """Everything that the accounts, the fund and the bad debt hold together at a value of one unit, (paths,)."""
        held = account_sum(self.wallet + self.profit(unit_value))
        return np.asarray(held + self.fund - self.bad_debt + self.outside)


@dataclass(frozen=True, slots=True)
class Closing:
    """What a venue closes in one step: ``sold`` at the market, ``taken`` at the bankruptcy price by the other side; (accounts, paths)."""

    sold: FloatArray
    taken: FloatArray


def trigger_prices(accounts: Accounts, contract: Contract) -> tuple[FloatArray, FloatArray]:
    """The first price below at which a long, and above at which a short, is liquidated, (paths,); 0 and infinity where there is none."""
    open_size = accounts.size > 0.0
    bankrupt = accounts.entry - accounts.side * accounts.wallet / np.where(open_size, accounts.size, 1.0)
    price = contract.price_usd(bankrupt)
    tilt = accounts.side * accounts.share
    trigger = price / (1.0 - tilt) if contract is Contract.LINEAR else price * (1.0 + tilt)
    longs = np.where(open_size & (accounts.side > 0.0), trigger, 0.0).max(axis=0, initial=0.0)
    shorts = np.where(open_size & (accounts.side < 0.0), trigger, np.inf).min(axis=0, initial=np.inf)
    return np.asarray(longs), np.asarray(shorts)


def wanted(accounts: Accounts, rules: Rulebook, mark_usd: FloatArray) -> FloatArray:
    """Size that the venue's engine closes of each account at a mark price, (accounts, paths).

    The whole of an account whose equity is below its maintenance margin; in rounds, only what brings it back: size - equity / (m |v|).
    """
    value = rules.contract.unit_value(mark_usd)
    equity = accounts.wallet + accounts.profit(value)
    needed = accounts.share * np.abs(value)
    below = (accounts.size > 0.0) & (equity <= needed * accounts.size)
    if not rules.rounds:
        return np.where(below, accounts.size, 0.0)
    keeps = np.maximum(equity, 0.0) / np.where(needed > 0.0, needed, 1.0)
    keeps = np.where(keeps < DUST_SHARE * accounts.size, 0.0, keeps)
    return np.where(below, accounts.size - keeps, 0.0)


def wanted_slope(accounts: Accounts, rules: Rulebook, mark_usd: FloatArray) -> FloatArray:
    """Change of the size closed per unit of log price, signed like an order (+ bought), summed over accounts, (paths,)."""
    if not rules.rounds:
        return np.zeros(accounts.fund.shape)
    value = rules.contract.unit_value(mark_usd)
    equity = accounts.wallet + accounts.profit(value)
    inside = (accounts.size > 0.0) & (equity > 0.0) & (equity <= accounts.share * np.abs(value) * accounts.size)
    grows = 1.0 if rules.contract is Contract.LINEAR else -1.0
    per_log = accounts.side * accounts.size - grows * equity / np.abs(value)
    return account_sum(np.where(inside, accounts.side * per_log / accounts.share, 0.0))


def closing(
    accounts: Accounts, rules: Rulebook, wants: FloatArray, *, mark_usd: FloatArray, fill_usd: FloatArray, sent: FloatArray | float = 0.0
) -> Closing:
    """How much is sold at the market and how much the other side must take, where the fund could not pay for a sale of all of it.

    With deleveraging, the part of the bankrupt sizes whose loss the fund cannot pay is closed at the bankruptcy price against the most
    profitable of the other side, as far as there are any.  A position on the brink of bankruptcy is taken in part.  What is ``sent`` to the market
    already takes nothing over: (accounts, paths), sizes whose order is on its way.
    """
    taken = np.zeros(wants.shape)
    if not rules.deleverages:
        return Closing(wants, taken)
    lack, near = _lack(accounts, rules.contract, wants, fill_usd)
    total = account_sum(lack)
    unpaid = np.maximum(total - np.maximum(accounts.fund, 0.0), 0.0)
    if not unpaid.any():
        return Closing(wants, taken)
    part = unpaid / np.where(total > 0.0, total, 1.0)
    for side in (1.0, -1.0):
        bankrupt = np.where(accounts.side == side, near * wants, 0.0)
        asked = account_sum(bankrupt) * part
        ranked = _ranks(accounts, rules, bankrupt, side, mark_usd) > 0.0
        ready = account_sum(np.where(ranked, np.maximum(accounts.size - wants - sent, 0.0), 0.0))
        met = np.minimum(asked, ready) / np.where(asked > 0.0, asked, 1.0)
        taken = taken + bankrupt * part * met
    return Closing(wants - taken, taken)


def taken_slope(accounts: Accounts, rules: Rulebook, closed: Closing, *, mark_usd: FloatArray, fill_usd: FloatArray) -> FloatArray:
    """Change of what the other side takes off the market's hands per unit of log price, signed like an order (+ bought), (paths,).

    part = 1 - fund / lack grows with the lack, and with it how near to bankruptcy a position is; the fill lies half way between the price before
    trading and the mark, so it moves by mark / 2.  Where nobody of the other side is left it does not change.
    """
    if not closed.taken.any():
        return np.zeros(mark_usd.shape)
    whole, fund = closed.sold + closed.taken, np.maximum(accounts.fund, 0.0)
    lack, near = _lack(accounts, rules.contract, whole, fill_usd)
    total = account_sum(lack)
    some = np.where(total > 0.0, total, 1.0)
    left_per_log = accounts.side * whole * (0.5 * mark_usd * (1.0 if rules.contract is Contract.LINEAR else fill_usd**-2.0))
    brink = BRINK_SHARE * whole * np.abs(rules.contract.unit_value(fill_usd))
    nearer = np.where((near > 0.0) & (near < 1.0), -left_per_log / np.where(brink > 0.0, brink, 1.0), 0.0)
    lacks = np.where(lack > 0.5 * brink * near**2, -left_per_log, brink * near * nearer)
    part, grows = np.maximum(1.0 - fund / some, 0.0), fund * account_sum(lacks) / some**2
    asked = account_sum(near * whole) * part
    met = (asked > 0.0) & (account_sum(closed.taken) >= asked * (1.0 - 1e-9))
    return np.where(met, account_sum(accounts.side * whole * (near * grows + nearer * part)), 0.0)


def market_order(
    accounts: Accounts, rules: Rulebook, *, own_usd: FloatArray, before_usd: FloatArray, mark_usd: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """What the venue buys at the market if a step cleared at its own price, and its change per unit of log price, (paths,) each.

    ``before_usd``: the price before trading.  ``mark_usd``: the price that it liquidates on (None: its own), which stays where it is.
    """
    mark, fill = own_usd if mark_usd is None else mark_usd, 0.5 * (before_usd + own_usd)
    closed = closing(accounts, rules, wanted(accounts, rules, mark), mark_usd=mark, fill_usd=fill)
    follows = wanted_slope(accounts, rules, mark) if mark_usd is None else 0.0
    slope = follows + taken_slope(accounts, rules, closed, mark_usd=own_usd, fill_usd=fill)
    return -account_sum(accounts.side * closed.sold), slope


def settle(
    accounts: Accounts, rules: Rulebook, closed: Closing, *, mark_usd: FloatArray, fill_usd: FloatArray, sent: FloatArray | float = 0.0
) -> tuple[Accounts, FloatArray]:
    """The accounts after a closing, and the sizes of the other side that were deleveraged, (accounts, paths).

    Sold sizes are paid at the fill, taken ones at the bankruptcy price; what is left of a liquidated margin pays the fee; what is lacking is
    paid by the fund, then shared among the winners where the venue does that, and is bad debt otherwise.  What is ``sent`` to the market already is
    not deleveraged.
    """
    contract, fill = rules.contract, rules.contract.unit_value(fill_usd)
    bankrupt_value = _bankrupt_value(accounts)
    against = np.zeros(accounts.size.shape)
    wallet, deleveraged_usd = accounts.wallet.copy(), accounts.deleveraged_usd
    for side in (1.0, -1.0):
        taken = np.where(accounts.side == side, closed.taken, 0.0)
        amount = account_sum(taken)
        if not amount.any():
            continue
        ranks = _ranks(accounts, rules, taken, side, mark_usd)
        part = deleveraged(np.maximum(accounts.size - closed.sold - sent, 0.0), ranks, amount)
        price = account_sum(taken * bankrupt_value) / np.where(amount > 0.0, amount, 1.0)
        wallet = wallet + np.where(part > 0.0, accounts.side * part * (price - accounts.entry), 0.0)
        against = against + part
        deleveraged_usd = deleveraged_usd + (amount * price if contract is Contract.LINEAR else amount)
    wallet = wallet + accounts.side * closed.sold * (fill - accounts.entry)
    wallet = wallet + np.where(closed.taken > 0.0, accounts.side * closed.taken * (bankrupt_value - accounts.entry), 0.0)
    size = accounts.size - closed.sold - closed.taken - against
    size = np.where(size <= DUST_SHARE * accounts.size, 0.0, size)
    hit = closed.sold + closed.taken > 0.0
    fee = np.where(hit, np.clip(rules.liquidation_fee_share * closed.sold * np.abs(fill), 0.0, np.maximum(wallet, 0.0)), 0.0)
    if rules.rounds:  # a fee never eats into the margin of what stays open beyond its equity
        equity = wallet + accounts.side * size * (contract.unit_value(mark_usd) - accounts.entry)
        fee = np.where(size > 0.0, np.minimum(fee, np.maximum(equity, 0.0)), fee)
    lacking = np.where(hit & (size == 0.0), np.maximum(-wallet, 0.0), 0.0)
    paid = cover(accounts.fund, fees=account_sum(fee), shortfall=account_sum(lacking))
    after = replace(accounts, size=size, wallet=wallet - fee + lacking, fund=paid.fund, deleveraged_usd=deleveraged_usd)
    if rules.deleverages or not paid.unpaid.any():
        return replace(after, bad_debt=accounts.bad_debt + paid.unpaid), against
    shared = socialised(paid.unpaid, after.profit(contract.unit_value(mark_usd)))
    borne = account_sum(shared)
    bad_debt = accounts.bad_debt + paid.unpaid - borne
    return replace(after, wallet=after.wallet - shared, bad_debt=bad_debt, shared=accounts.shared + borne), against


def funded(accounts: Accounts, rules: Rulebook, *, rate: float | FloatArray, spot_usd: FloatArray, live: BoolArray) -> Accounts:
    """The accounts after longs paid ``rate`` of their value to shorts; what does not net out comes from outside."""
    paid = accounts.side * accounts.size * np.abs(rules.contract.unit_value(spot_usd)) * rate * live
    return replace(accounts, wallet=accounts.wallet - paid, outside=accounts.outside + account_sum(paid))


def _bankrupt_value(accounts: Accounts) -> FloatArray:
    open_size = np.where(accounts.size > 0.0, accounts.size, 1.0)
    return np.asarray(accounts.entry - accounts.side * accounts.wallet / open_size)


def _lack(accounts: Accounts, contract: Contract, wants: FloatArray, fill_usd: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What a sale of the whole position at the fill would leave unpaid, and how far it counts as bankrupt, 0 to 1, (accounts, paths) each.

    Nothing where only part is closed.  From `BRINK_SHARE` of the position's value down it counts more and more, at 0 in full.
    """
    whole = (wants > 0.0) & (wants >= accounts.size)
    fill = contract.unit_value(fill_usd)
    left = accounts.wallet + accounts.side * wants * (fill - accounts.entry)
    brink = np.where(whole, BRINK_SHARE * wants * np.abs(fill), 1.0)
    near = np.where(whole, np.clip(1.0 - left / brink, 0.0, 1.0), 0.0)
    return np.where(whole, np.maximum(-left, 0.5 * brink * near * near), 0.0), near


def _ranks(accounts: Accounts, rules: Rulebook, bankrupt: FloatArray, side: float, mark_usd: FloatArray) -> FloatArray:
    """Rank of the side opposite to the bankrupt sizes; 0 where it would itself be ruined by closing at their bankruptcy price."""
    value = rules.contract.unit_value(mark_usd)
    amount = account_sum(bankrupt)
    price = account_sum(bankrupt * _bankrupt_value(accounts)) / np.where(amount > 0.0, amount, 1.0)
    rank = leverage_pnl(
        unrealised=accounts.profit(value),
        wallet=accounts.wallet,
        maintenance=accounts.share * accounts.size * np.abs(value),
        floor=max(rules.collateral_floor, LEAST_COLLATERAL),
    )
    sound = accounts.wallet + accounts.side * accounts.size * (price - accounts.entry) >= 0.0
    return np.where((accounts.side == -side) & sound & (amount > 0.0), rank, 0.0)
