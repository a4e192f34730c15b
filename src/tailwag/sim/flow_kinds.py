"""Who trades options without quoting them, and on which side, by what is published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tailwag.errors import InputError


@dataclass(frozen=True, slots=True)
class FlowLeg:
    """One kind of order: ``right`` +1 call or -1 put, ``side`` +1 buys or -1 sells, strike of ``delta`` (without sign), ``share`` of the orders.

    >>> FlowLeg(+1, +1, 0.25).share
    1.0
    """

    right: int
    side: int
    delta: float
    share: float = 1.0

    def __post_init__(self) -> None:
        if self.right not in (1, -1) or self.side not in (1, -1):
            raise InputError(f"expected right and side of a leg as +1 or -1, got {self.right!r} and {self.side!r}")
        if not 0.0 < self.delta <= 0.5:
            raise InputError(
                f"expected the delta of a leg above 0 and at most 0.5 (out of the money), got {self.delta:g}; 0.25 is 25 delta"
            )
        if not 0.0 <= self.share <= 1.0:
            raise InputError(f"expected the share of a leg from 0 to 1, got {self.share:g}")


@dataclass(frozen=True, slots=True)
class FlowKind:
    """What a ``who`` stands for: its legs where none are stated, where its side is from, how far its expiries are at least, and whether its legs trade
    together or wait for a vol."""

    legs: tuple[FlowLeg, ...]
    words: str
    source: str
    least_hours: float = 24.0
    together: bool = False
    above_vol: bool = False


FLOW_KINDS: Mapping[str, FlowKind] = {
    "retail-call-buyers": FlowKind(
        (FlowLeg(+1, +1, 0.25),),
        "buy short-dated calls out of the money",
        "discount customers are net long calls, and hold about four times as many calls as puts (Lakonishok, Lee, Pearson and Poteshman, Option Market "
        "Activity, RFS 2007, CBOE 1990-2001)",
    ),
    "overwriters": FlowKind(
        (FlowLeg(+1, -1, 0.2),),
        "sell calls out of the money against what they hold",
        "written calls 0.282 % of shares outstanding against 0.232 % bought, the most frequent strategy (Lakonishok, Lee, Pearson and Poteshman, Option "
        "Market Activity, RFS 2007)",
        least_hours=120.0,
    ),
    "protection-buyers": FlowKind(
        (FlowLeg(-1, +1, 0.2),),
        "buy puts out of the money",
        "end users are net long index options, out-of-the-money puts above all (Garleanu, Pedersen and Poteshman, Demand-Based Option Pricing, RFS 2009)",
        least_hours=120.0,
    ),
    "end-users": FlowKind(
        (FlowLeg(-1, +1, 0.2, 0.5), FlowLeg(+1, -1, 0.2, 0.5)),
        "buy puts and sell calls",
        "puts: Garleanu, Pedersen and Poteshman, RFS 2009, of index options; calls: Lakonishok, Lee, Pearson and Poteshman, RFS 2007, of single shares; "
        "half of each is an assumption",
        least_hours=120.0,
    ),
    "vol-sellers": FlowKind(
        (FlowLeg(+1, -1, 0.5), FlowLeg(-1, -1, 0.5)),
        "sell straddles while vol is above a threshold",
        "a rule, not a measurement",
        together=True,
        above_vol=True,
    ),
    "zero-dte-buyers": FlowKind(
        (FlowLeg(+1, +1, 0.4, 0.5), FlowLeg(-1, +1, 0.4, 0.5)),
        "buy calls and puts near the money that expire the same day",
        "an assumption: for same-day index options Dim, Eraker and Vilkov (2024) find makers' inventory gamma positive on average, which is the other side",
        least_hours=0.0,
    ),
}
"""Every ``who`` of an option flow."""
