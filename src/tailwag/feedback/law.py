"""One law, one gain: the flow that a move forces, against what the law says that this flow does to the price."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tailwag.liquidity import Impact, depth_usd_per_pct, doubt_at_move, unknown_reason


@dataclass(frozen=True, slots=True)
class LawGain:
    """The loop gain under one liquidity law.

    ``value`` = -GEX * hedge share / depth, depth the secant of the law at the flow that the move forces (mean of both sides of a book):
    G(m) = impact(flow(m)) / m.  ``bid`` and ``ask`` are those secants side by side, ``bid_within_usd`` and ``ask_within_usd`` what rests
    within the move; all four only where the law has sides.  None where unknown, with ``reason``.
    """

    law: str
    source: str
    value: float | None = None
    depth_usd_per_pct: float | None = None
    bid_usd_per_pct: float | None = None
    ask_usd_per_pct: float | None = None
    bid_within_usd: float | None = None
    ask_within_usd: float | None = None
    reach_pct: float | None = None
    extrapolated: bool = False
    reason: str | None = None

    def document(self) -> dict[str, Any]:
        """Plain values for strict JSON (an entry of ``by_law``)."""
        return {name: getattr(self, name) for name in self.__slots__}

    def __str__(self) -> str:
        return f"{self.law}: unknown, {self.reason}" if self.value is None else f"{self.law}: G = {self.value:+.3f} ({self.source})"


def law_gain(gex_usd_per_pct: float, impact: Impact, *, move_pct: float, hedge_share: float) -> LawGain:
    """Gain of a book with this GEX under one law at one move size.

    >>> from tailwag.liquidity import LinearImpact
    >>> law_gain(-50e6, LinearImpact(200e6), move_pct=1.0, hedge_share=1.0).value
    0.25
    """
    flow = abs(gex_usd_per_pct) * hedge_share * move_pct
    sides = _sides(impact, move_pct)
    doubt = doubt_at_move(impact, move_pct)
    if doubt is not None:
        return LawGain(impact.name, impact.source, reason=doubt, **sides)
    ask, bid = depth_usd_per_pct(impact, flow), depth_usd_per_pct(impact, -flow)
    if sides:
        sides |= {"bid_usd_per_pct": bid, "ask_usd_per_pct": ask, "extrapolated": _extrapolated(impact, flow, move_pct)}
    if ask is None or bid is None:
        blocked = flow if ask is None else -flow
        value = 0.0 if flow == 0.0 and impact.price_move_pct(0.0) == 0.0 else None
        return LawGain(impact.name, impact.source, value=value, reason=_no_depth(impact, blocked), **sides)
    depth = 0.5 * (bid + ask)
    return LawGain(impact.name, impact.source, value=-gex_usd_per_pct * hedge_share / depth + 0.0, depth_usd_per_pct=depth, **sides)


def repriced_gain(flow_usd: float, impact: Impact, *, move_pct: float) -> float | None:
    """G(m) of a fully repriced flow: price move that it makes over the move that forced it; > 0 where it pushes the same way.

    >>> from tailwag.liquidity import LinearImpact
    >>> repriced_gain(-50e6, LinearImpact(200e6), move_pct=-1.0)
    0.25
    """
    if doubt_at_move(impact, abs(move_pct)) is not None or not math.isfinite(flow_usd):
        return None
    moved = impact.price_move_pct(flow_usd)
    return None if moved is None else math.copysign(moved, flow_usd) / move_pct


def _no_depth(impact: Impact, flow_usd: float) -> str:
    if flow_usd == 0.0 and getattr(impact, "reason", None) is None:
        return "no flow is forced, so no depth is asked for"
    return unknown_reason(impact, flow_usd)


def _sides(impact: Impact, move_pct: float) -> dict[str, Any]:
    """What a law with two sides shows of itself; nothing for the others."""
    reach, within = getattr(impact, "reach_pct", None), getattr(impact, "depth_usd", None)
    if reach is None or within is None:
        return {}
    bid, ask = within(move_pct)
    return {"reach_pct": float(min(reach)), "bid_within_usd": bid, "ask_within_usd": ask}


def _extrapolated(impact: Impact, flow_usd: float, move_pct: float) -> bool:
    leans = getattr(impact, "is_extrapolated", None)
    return bool(callable(leans) and (leans(flow_usd, move_pct) or leans(-flow_usd, move_pct)))
