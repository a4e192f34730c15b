"""Hedged open interest against liquidity: how much of a window's trading the hedge of the whole book would be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.errors import RuleError
from tailwag.liquidity.money import dollars

if TYPE_CHECKING:
    from tailwag.liquidity.ladder import BookImpact

MINUTES = "minutes"


@dataclass(frozen=True, slots=True)
class LiquidityRatio:
    """Hedged open interest over the liquidity of one window; ``ratio`` is None with a ``reason`` where that liquidity is unknown."""

    window: str
    liquidity_usd: float | None
    ratio: float | None
    source: str
    reason: str | None = None

    def document(self) -> dict[str, Any]:
        """Plain values for strict JSON."""
        return {
            "window": self.window,
            "liquidity_usd": self.liquidity_usd,
            "ratio": self.ratio,
            "source": self.source,
            "reason": self.reason,
        }

    def __str__(self) -> str:
        if self.ratio is None or self.liquidity_usd is None:
            return f"{self.window}: unknown, {self.reason}"
        return (
            f"{self.window}: the hedges of the open interest are {self.ratio:.3g} times the {dollars(self.liquidity_usd)} of {self.source}"
        )


def hedged_open_interest_usd(delta: Any, open_interest_coin: Any, *, spot_usd: float, hedge_share: float) -> float:
    """Dollars of underlying that delta hedges of the whole open interest hold: hedge_share * sum |delta| * OI * S, unsigned.

    Shapes: delta, open_interest_coin (n,); rows where either is missing count nothing (their share is the chain's to report).

    >>> hedged_open_interest_usd([0.5, -0.5], [100.0, 100.0], spot_usd=60000.0, hedge_share=1.0)
    6000000.0
    """
    held = np.abs(np.asarray(delta, dtype=np.float64)) * np.asarray(open_interest_coin, dtype=np.float64)
    coins = math.fsum(held[np.isfinite(held)])
    return hedge_share * spot_usd * coins if coins > 0.0 else 0.0


def liquidity_ratios(
    hedged_usd: float,
    *,
    book: BookImpact | None,
    daily_volume_usd: float | None,
    within_pct: float,
    windows_hours: tuple[float, ...] = (1.0, 8.0, 24.0),
) -> tuple[LiquidityRatio, ...]:
    """Hedged open interest over what the market can absorb: in minutes the book within ``within_pct`` (mean of both sides), then the volume
    of each window, ADV * hours / 24.  A ratio above 1 says that the hedges could not be unwound within that window at all.

    RuleError if ``hedged_usd`` is negative or not a number.
    """
    if not (math.isfinite(hedged_usd) and hedged_usd >= 0.0):
        raise RuleError(f"expected hedged open interest in USD, 0 or more, got {hedged_usd}; pass sum |delta| * OI * spot")
    resting = _resting(book, within_pct)
    volumes = [_traded(daily_volume_usd, hours) for hours in windows_hours]
    return tuple(_ratio(hedged_usd, part) for part in (resting, *volumes))


def _ratio(hedged_usd: float, part: LiquidityRatio) -> LiquidityRatio:
    if part.liquidity_usd is None or part.liquidity_usd <= 0.0:
        return LiquidityRatio(part.window, None, None, part.source, part.reason or "no liquidity there")
    return LiquidityRatio(part.window, part.liquidity_usd, hedged_usd / part.liquidity_usd, part.source)


def _resting(book: BookImpact | None, within_pct: float) -> LiquidityRatio:
    source = f"orders resting within {within_pct:g} % of the mid, mean of both sides"
    if book is None:
        return LiquidityRatio(MINUTES, None, None, source, "no order book in the source")
    bid, ask = book.depth_usd(within_pct)
    if bid is None or ask is None:
        return LiquidityRatio(MINUTES, None, None, source, f"the book reaches {min(book.reach_pct):.2f} %, less than {within_pct:g} %")
    return LiquidityRatio(MINUTES, 0.5 * (bid + ask), None, source)


def _traded(daily_volume_usd: float | None, hours: float) -> LiquidityRatio:
    window = "day" if hours == 24.0 else f"{hours:g} h"
    source = "average daily volume" if hours == 24.0 else f"volume of {hours:g} h (average daily volume * {hours:g}/24)"
    if daily_volume_usd is None:
        return LiquidityRatio(window, None, None, source, "no 24 h volume in the source")
    return LiquidityRatio(window, daily_volume_usd * hours / 24.0, None, source)
