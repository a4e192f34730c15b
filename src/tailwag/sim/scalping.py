"""Gamma scalping: a dealer that is long its options, pays theta, and earns by hedging the moves.

Against a vol it bought at, its profit is the integral of (S^2 Gamma)(realised variance - implied variance) / 2.  Its own hedging damps the
price (g = -lambda S^2 Gamma < 0): realised variance falls to sigma^2 / (1 - g)^2, but it sells at prices that it moved on average only half
way, so that it breaks even at sigma^2 / (1 - g).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tailwag.errors import InputError
from tailwag.hedging.policies import Policy
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.option_book import OptionBook

__all__ = ["break_even_vol", "scalper"]


def scalper(name: str, options: OptionBook | float, policy: Policy, *, delay_steps: int, **terms: Any) -> Dealer:
    """A dealer long every option of its book (or long a constant dollar gamma, given as a number with ``iv``) that hedges by ``policy``.

    ``terms``: any other field of :class:`~tailwag.sim.agents.dealer.Dealer`.

    >>> from tailwag.hedging.policies import EveryStep
    >>> call = OptionBook.single(strike_usd=6e4, expiry_years=30 / 365, contracts_coin=10.0, iv=0.6)
    >>> scalper("scalper", call, EveryStep(), delay_steps=0).starting_dollar_gamma_usd(6e4) > 0.0
    True

    Raises InputError for a book with a short position, or without any.
    """
    if isinstance(options, OptionBook):
        short = options.contracts_coin < 0.0
        if short.any():
            row = int(np.flatnonzero(short)[0])
            raise InputError(
                f"agent {name!r}: a scalper is long its options, got {options.contracts_coin[row]:g} in row {row + 1}; "
                "take a Dealer for a book that is short or mixed"
            )
        if not options.contracts_coin.any():
            raise InputError(f"agent {name!r}: expected a scalper to hold an option at least, got none")
        return Dealer(name, policy, delay_steps, options=options, **terms)
    if not options > 0.0:
        raise InputError(f"agent {name!r}: a scalper is long gamma, got {options:g} USD; take a Dealer for short gamma")
    return Dealer(name, policy, delay_steps, gamma_usd=float(options), **terms)


def break_even_vol(vol: float, gain: float) -> float:
    """The implied vol at which delta-hedged options neither earn nor lose: vol / sqrt(1 - gain), vol being that of the price if nobody hedged.

    ``gain``: the loop gain of everybody who hedges in the same step, long gamma negative; hedges fill at the mid of each move.

    >>> round(break_even_vol(0.6, -0.5), 6), round(break_even_vol(0.6, 0.3), 6)
    (0.489898, 0.717137)

    Raises InputError for a gain of 1 or more: there is no price.  Source: Loeper 2018.
    """
    if not gain < 1.0:
        raise InputError(f"expected a loop gain below 1, got {gain:g}; at 1 and above there is no clearing price")
    return vol / math.sqrt(1.0 - gain)
