"""A slow account of recorded trades in plain dicts and Fractions: what the product's signed inventory must equal, to the bit.

Imports nothing of the product.  A trade is (id, instrument, time, sign, amount, is_block, liquidated); a record is either a list of trades
(a batch) or (as_of, {instrument: open interest}, trades).
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple


class Print(NamedTuple):
    trade_id: str
    instrument: str
    time: int
    sign: int
    amount: float
    is_block: bool
    liquidated: str


class Shown(NamedTuple):
    """A snapshot: its time and the open interest of what is listed; None where unknown."""

    as_of: int
    interest: dict[str, float | None]
    trades: list[Print]


def exact(amount: float) -> Fraction:
    """Whole billionths."""
    return Fraction(round(Decimal(repr(amount)) * 10**9), 10**9)


def dealer_sign(trade: Print, *, maker_side: bool) -> int:
    if trade.is_block:
        return trade.sign if maker_side else 0
    if trade.liquidated == "MT":
        return 0
    return trade.sign if trade.liquidated == "M" else -trade.sign


def inventory(trades: list[Print], expiry: dict[str, int], at: int, *, maker_side: bool = False) -> dict[str, Fraction]:
    """Dealers' coin per instrument that is alive at a time: every distinct trade up to then."""
    seen: set[str] = set()
    held: dict[str, Fraction] = {}
    for trade in trades:
        if trade.trade_id in seen:
            continue
        seen.add(trade.trade_id)
        if trade.time <= at < expiry[trade.instrument]:
            held[trade.instrument] = held.get(trade.instrument, Fraction(0)) + dealer_sign(trade, maker_side=maker_side) * exact(
                trade.amount
            )
    return held


def unexplained(shown: list[Shown], trades: list[Print]) -> tuple[Fraction, Fraction]:
    """(sum of |change of open interest|, the part of it beyond what was traded between the two snapshots), snapshots in time order.

    What was not listed by the snapshot before had no open interest then.
    """
    once = list({trade.trade_id: trade for trade in reversed(trades)}.values())
    change = missing = Fraction(0)
    last: dict[str, tuple[int, Fraction]] = {}
    listed: set[str] = set()
    before: int | None = None
    for one in sorted(shown, key=lambda found: found.as_of):
        for name, coin in one.interest.items():
            if coin is not None:
                now = exact(coin)
                start = last.get(name)
                if start is None and name not in listed and before is not None:
                    start = (before, Fraction(0))
                if start is not None:
                    volume = sum((exact(t.amount) for t in once if t.instrument == name and start[0] < t.time <= one.as_of), Fraction(0))
                    change += abs(now - start[1])
                    missing += max(abs(now - start[1]) - volume, Fraction(0))
                last[name] = (one.as_of, now)
            listed.add(name)
        before = one.as_of
    return change, missing
