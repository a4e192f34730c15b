"""Smile dynamics: what the smile does while spot moves, as one number R, the skew stickiness."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tailwag.errors import RuleError


@dataclass(frozen=True, slots=True)
class SmileDynamics:
    """How fixed-strike volatilities answer a move of spot: d vol_K / d ln S = (R - 1) * skew, skew = d vol / d ln K.

    R = 1 keeps every strike's volatility, R = 0 carries the smile along with spot, R = 2 is what local volatility does near the money.
    """

    name: str
    ratio: float

    def __str__(self) -> str:
        if self.ratio == 1.0:
            return f"{self.name}: each strike keeps its volatility while spot moves"
        if self.ratio == 0.0:
            return f"{self.name}: the smile moves along with spot, so each moneyness keeps its volatility"
        return f"{self.name}: at-the-money volatility moves {self.ratio:g} times the skew's slope per unit of ln spot"


STICKY_STRIKE = SmileDynamics("sticky-strike", 1.0)
STICKY_MONEYNESS = SmileDynamics("sticky-moneyness", 0.0)


def parse_dynamics(text: str | SmileDynamics) -> SmileDynamics:
    """The dynamics that ``sticky-strike``, ``sticky-moneyness`` or ``ssr:VALUE`` names.

    >>> parse_dynamics("ssr:1.5").ratio, parse_dynamics("sticky-moneyness").ratio
    (1.5, 0.0)

    Raises RuleError for anything else, and for a VALUE that is no number between -5 and 5.
    """
    if isinstance(text, SmileDynamics):
        return text
    for known in (STICKY_STRIKE, STICKY_MONEYNESS):
        if text == known.name:
            return known
    kind, _, value = text.partition(":")
    if kind != "ssr":
        raise RuleError(f"smile dynamics {text[:40]!a} are unknown; use sticky-strike, sticky-moneyness or ssr:VALUE such as ssr:1.5")
    try:
        ratio = float(value)
    except ValueError:
        ratio = math.nan
    if not abs(ratio) <= 5.0:
        raise RuleError(f"expected ssr:VALUE with a VALUE between -5 and 5, got {text[:40]!a}; 1 is sticky-strike, 0 sticky-moneyness")
    return SmileDynamics(text, ratio)
