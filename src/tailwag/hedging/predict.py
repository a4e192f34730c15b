"""Where the price ends once everybody's known hedging has answered a move, and what each side will have traded.

The price after the move solves x = x_pre + impact(own flow(x) + others' flow(x)); log prices count from the price before the move.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tailwag.errors import InputError
from tailwag.liquidity.money import dollars
from tailwag.units import hedge_flow_usd

CELLS = 4096
"""Roots closer together than 1/4096 of the searched range may be missed as a pair."""
BISECTIONS = 80
JUMP = 1e-9
"""A change of sign that leaves more than this log move open is a jump of the response, not a price at which it clears."""

Status = Literal["cleared", "runaway", "no-price"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The move after everybody's response, and the flows behind it.

    ``status``: "cleared"; "runaway" where the response feeds itself beyond the stated bound; "no-price" where a response that jumps (a band
    that looks again at every price) steps over the only clearing price.  The fields from ``final_log_move`` on are None unless cleared.
    ``log_move`` is the move before anybody answered, ``final_log_move`` the one after; flows in USD, + buys.
    """

    status: Status
    spot_usd: float
    log_move: float
    final_log_move: float | None
    own_flow_usd: float | None
    others_flow_usd: float | None

    @property
    def final_spot_usd(self) -> float | None:
        """The price after the response."""
        return None if self.final_log_move is None else self.spot_usd * math.exp(self.final_log_move)

    @property
    def amplification(self) -> float | None:
        """Final move over first move; None for no move or a runaway."""
        return None if self.final_log_move is None or self.log_move == 0.0 else self.final_log_move / self.log_move

    def __str__(self) -> str:
        if self.final_log_move is None or self.own_flow_usd is None or self.others_flow_usd is None:
            return f"a {self.log_move:+.2%} move {_NO_PRICE[self.status]}"
        price = self.spot_usd * math.exp(self.final_log_move)
        return (
            f"a {self.log_move:+.2%} move becomes {self.final_log_move:+.2%}, to {price:,.2f} USD: "
            f"own hedge {_side(self.own_flow_usd)}, others {_side(self.others_flow_usd)}"
        )


_NO_PRICE = {
    "runaway": "runs away: hedging feeds it faster than the market absorbs it",
    "no-price": "has no clearing price: the response jumps across it; settle who trades at the moved price, then size the trades",
}


def _side(flow_usd: float) -> str:
    return f"{'buys' if flow_usd >= 0.0 else 'sells'} {dollars(abs(flow_usd))}"


def predict_linear(*, spot_usd: float, log_move: float, own_gamma_usd: float, others_gamma_usd: float, impact_per_usd: float) -> Prediction:
    """The price after a move when everybody holds a constant dollar gamma and impact is linear.

    x = move/(1 - g), g = -lambda (own + others' dollar gamma); each side trades -gamma x.  Runaway for g >= 1, of any move but none at all.

    >>> str(predict_linear(spot_usd=60_000.0, log_move=0.01, own_gamma_usd=-1e9, others_gamma_usd=-4e9, impact_per_usd=4e-11))
    'a +1.00% move becomes +1.25%, to 60,754.71 USD: own hedge buys $12.5m, others buys $50m'
    """
    _positive_price(spot_usd)
    _finite(log_move=log_move, own_gamma_usd=own_gamma_usd, others_gamma_usd=others_gamma_usd, impact_per_usd=impact_per_usd)
    gain = -impact_per_usd * (own_gamma_usd + others_gamma_usd)
    if gain >= 1.0 and log_move != 0.0:
        return Prediction("runaway", spot_usd, log_move, None, None, None)
    final = log_move / (1.0 - gain) if log_move else 0.0
    own = hedge_flow_usd(dollar_gamma_usd=own_gamma_usd, log_move=final)
    others = hedge_flow_usd(dollar_gamma_usd=others_gamma_usd, log_move=final)
    return Prediction("cleared", spot_usd, log_move, final, own, others)


def predict_clearing(
    *,
    spot_usd: float,
    log_move: float,
    own_flow_usd: Callable[[float], float],
    others_flow_usd: Callable[[float], float],
    impact_log: Callable[[float], float],
    stop_log_move: float,
) -> Prediction:
    """The price after a move for any responses and any impact: the first clearing price in the direction of the flow.

    ``own_flow_usd(x)`` and ``others_flow_usd(x)``: USD bought once the log price stands at x (0 = before the move); ``impact_log(q)``: log
    move that a net flow of q USD makes.  Of several clearing prices the market meets the first on its way from the moved price; none within
    +-``stop_log_move`` is a runaway.  A response that jumps (a band) has to settle whether it trades at the moved price and only be sized here.

    >>> from math import copysign, sqrt
    >>> found = predict_clearing(spot_usd=100.0, log_move=0.01, own_flow_usd=lambda x: 1e9 * x, others_flow_usd=lambda x: 0.0,
    ...                          impact_log=lambda q: copysign(sqrt(abs(q) * 9e-13), q), stop_log_move=0.7)
    >>> f"{found.amplification:.4f}"    # r = e + c sqrt(r) with c^2 = 9e-4
    '1.3484'

    Raises InputError for a bound that the move already passed, and where a response is not a finite number.
    """
    _positive_price(spot_usd)
    _finite(log_move=log_move, stop_log_move=stop_log_move)
    if not abs(log_move) < stop_log_move:
        raise InputError(f"expected stop_log_move above the move itself ({abs(log_move):g}), got {stop_log_move:g}")

    def open_move(x: float) -> float:
        left = x - log_move - impact_log(own_flow_usd(x) + others_flow_usd(x))
        if not math.isfinite(left):
            raise InputError(f"expected finite flows and impact at log price {x:.6g}, got a response of {left}")
        return left

    status, final = _first_root(open_move, log_move, stop_log_move)
    if final is None:
        return Prediction(status, spot_usd, log_move, None, None, None)
    return Prediction("cleared", spot_usd, log_move, final, float(own_flow_usd(final)), float(others_flow_usd(final)))


def _first_root(open_move: Callable[[float], float], start: float, stop: float) -> tuple[Status, float | None]:
    """The first clearing price met from ``start`` in the direction that the flow there pushes; None up to the bound."""
    push = -open_move(start)
    if push == 0.0:
        return "cleared", start
    before, short = start, True
    status: Status = "runaway"
    for after in np.linspace(start, math.copysign(stop, push), CELLS + 1)[1:].tolist():
        was_short, short = short, push * open_move(after) < 0.0
        if was_short and not short:
            root = _bisect(open_move, before, after)
            if abs(open_move(root)) <= JUMP:
                return "cleared", root
            status = "no-price"
        before = after
    return status, None


def _bisect(open_move: Callable[[float], float], short: float, past: float) -> float:
    """Halve until the two ends, one short of clearing and one past it, meet."""
    sign = math.copysign(1.0, past - short)
    for _ in range(BISECTIONS):
        middle = 0.5 * (short + past)
        short, past = (middle, past) if sign * open_move(middle) < 0.0 else (short, middle)
    return past


def _positive_price(spot_usd: float) -> None:
    if not (math.isfinite(spot_usd) and spot_usd > 0.0):
        raise InputError(f"expected spot_usd as a finite price above 0, got {spot_usd!a}")


def _finite(**numbers: float) -> None:
    for name, number in numbers.items():
        if not math.isfinite(number):
            raise InputError(f"expected {name} as a finite number, got {number!a}")
