"""Every liquidation of a block of paths: when, who, how much, at which price, against whom, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.margin.contract import Contract
from tailwag.sim.leveraged_accounts import Accounts, Closing, account_sum


class Against(IntEnum):
    """Who stood on the other side.

    MARKET: the order book.  FUND: the position was bankrupt, so the insurance fund bears what the sale lacked.  OTHER_SIDE: profitable
    traders of the other side, closed at the bankruptcy price.  BANKRUPT: their own rows, closed against a bankrupt position.  EMPTY_FUND: as FUND,
    with nothing in it: what the sale lacked is shared among the winners where the venue does that, and is bad debt otherwise.
    """

    MARKET = 0
    FUND = 1
    OTHER_SIDE = 2
    BANKRUPT = 3
    EMPTY_FUND = 4

    @property
    def words(self) -> str:
        """The counterparty in a report."""
        return _WORDS[int(self)]

    @property
    def reason(self) -> str:
        """Why this position was closed this way."""
        return _REASONS[int(self)]


_REASONS = (
    "equity fell to the maintenance margin",
    "sold beyond its bankruptcy price",
    "bankrupt with the insurance fund empty",
    "deleveraged: first in rank by profit and leverage",
    "sold beyond its bankruptcy price with the insurance fund empty",
)
_WORDS = ("market", "fund", "deleveraged side", "bankrupt side", "empty fund")


@dataclass(frozen=True, slots=True)
class Liquidations:
    """Liquidations as columns, in the order in which they happened.  ``usd`` is their value at ``price_usd``; ``side`` +1: a long was sold."""

    step: IntArray
    path: IntArray
    account: IntArray
    side: FloatArray
    usd: FloatArray
    price_usd: FloatArray
    against: IntArray

    @property
    def rows(self) -> int:
        """How many there were."""
        return int(self.step.size)

    @classmethod
    def joined(cls, parts: tuple[Liquidations, ...]) -> Liquidations:
        """Several lists as one."""
        if not parts:
            whole, real = np.zeros(0, dtype=np.int64), np.zeros(0)
            return cls(whole, whole, whole, real, real, real, whole)
        names = ("step", "path", "account", "side", "usd", "price_usd", "against")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def written_down(
    accounts: Accounts, what: tuple[Closing, FloatArray, FloatArray], contract: Contract, when: tuple[int, IntArray, FloatArray]
) -> tuple[Liquidations, ...]:
    """What one settlement closed of these accounts, as rows: sold at the fill, deleveraged at the bankruptcy price on both sides.

    ``what``: closed, deleveraged of the other side, and the fund after it, (paths,).  ``when``: step, numbers of the paths, and their fill.
    """
    (closed, against, fund_after), (step, paths, fill) = what, when
    whole = closed.sold + closed.taken
    left = accounts.wallet + accounts.side * whole * (contract.unit_value(fill) - accounts.entry)
    ruined = (whole >= accounts.size) & (left < 0.0)
    beyond = np.where((accounts.fund > 0.0) | (fund_after > 0.0), int(Against.FUND), int(Against.EMPTY_FUND))
    open_size = np.where(accounts.size > 0.0, accounts.size, 1.0)
    bankrupt = contract.price_usd(accounts.entry - accounts.side * accounts.wallet / open_size)
    amount = account_sum(closed.taken)
    met = account_sum(closed.taken * np.where(closed.taken > 0.0, bankrupt, 0.0)) / np.where(amount > 0.0, amount, 1.0)
    rows = (
        (closed.sold, np.broadcast_to(fill, closed.sold.shape), np.where(ruined, beyond, int(Against.MARKET))),
        (closed.taken, bankrupt, np.full(closed.taken.shape, int(Against.OTHER_SIDE))),
        (against, np.broadcast_to(met, against.shape), np.full(against.shape, int(Against.BANKRUPT))),
    )
    made = []
    for size, price, party in rows:
        account, path = np.nonzero(size > 0.0)
        if not account.size:
            continue
        at = price[account, path]
        usd = size[account, path] * (at if contract is Contract.LINEAR else 1.0)
        made.append(
            Liquidations(np.full(account.size, step), paths[path], account, accounts.side[account, 0], usd, at, party[account, path])
        )
    return tuple(made)
