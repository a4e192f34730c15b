"""The assumptions of one measurement: what a user may state, and what no market has."""

from __future__ import annotations

from dataclasses import dataclass, field

from tailwag.errors import RuleError
from tailwag.positioning import Rule

LEAST_STATED, MOST_STATED = 1e-6, 1e18
"""No volume, vol, prefactor or limit of any market lies outside."""
MOST_BETA = 100.0


@dataclass(frozen=True, slots=True)
class MeasureOptions:
    """Every assumption of one measurement; the document prints them all.

    ``rules`` empty: the cited rules run side by side (and signed inventory where the snapshot holds trades).  ``liquidity`` None: the best
    law the snapshot allows (a stated depth, else books that reach the move, else the square-root law), named in the result.
    """

    dynamics: str
    rules: tuple[Rule, ...] = ()
    vol: str = "venue"
    gamma: str = "model"
    day_count: str = "act-365"
    forward: str | None = None
    numeraire: str = "usd"
    spot_range: tuple[float, float] | None = None
    spot_levels: int | None = None
    liquidity: str | None = None
    depth_usd_per_pct: float | None = None
    daily_volume_usd: float | None = None
    daily_vol: float | None = None
    impact_y: float = 1.0
    crossover_usd: float | None = None
    permanent_share: float | None = None
    move_pct: float = 1.0
    hedge_share: float = 1.0
    spot_vol_beta: float | None = None
    own_book: str | None = None
    trades: tuple[str, ...] = ()
    strike_limit_usd: float | None = None
    expiry_limit_usd: float | None = None
    recorded_flow: Rule | None = field(default=None, repr=False, compare=False)
    """Signed inventory over everything recorded: used instead of the snapshot's own trades where ``rules`` is empty."""


def refuse_impossible(options: MeasureOptions) -> None:
    """RuleError for a stated number that no market has: what the user says is used or refused, never passed over."""
    for name in ("daily_volume_usd", "daily_vol", "impact_y", "crossover_usd", "strike_limit_usd", "expiry_limit_usd"):
        value = getattr(options, name)
        if value is not None and not LEAST_STATED <= value <= MOST_STATED:
            raise RuleError(
                f"expected {name} above 0 ({LEAST_STATED:g} to {MOST_STATED:g}), got {value}; leave it out where it is not known"
            )
    beta = options.spot_vol_beta
    if beta is not None and not abs(beta) <= MOST_BETA:
        raise RuleError(
            f"expected a spot_vol_beta between -{MOST_BETA:g} and {MOST_BETA:g}, got {beta}; -0.8: vol rises 0.8 points when spot falls 1 %"
        )
