"""What a gain does to volatility: the closed forms of the feedback literature, as plain functions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tailwag.errors import RuleError


def frey_volatility(vol: float, gain: float) -> float:
    """Volatility with hedgers in the market: sigma / (1 - g).  RuleError for g >= 1, where no finite volatility exists.

    Source: Frey and Stremme 1997, Frey 1998 (docs/explanation/loop-gain).

    >>> round(frey_volatility(0.6, 0.18078712142147907), 6)
    0.73241
    """
    _below_one(gain)
    return vol / (1.0 - gain)


def sircar_papanicolaou_volatility(vol: float, *, program_share: float, holding: float, holding_slope: float) -> float:
    """The same under linear demand: sigma (1 - rho phi) / (1 - rho phi - rho S phi_S).

    ``program_share`` is rho (signed: negative when dealers are long), ``holding`` phi the hedger's coins per option, ``holding_slope`` S
    times its derivative in spot.  RuleError where the market cannot clear.  Source: Sircar and Papanicolaou 1998.

    >>> round(sircar_papanicolaou_volatility(0.2, program_share=0.05, holding=0.519939, holding_slope=3.984439), 6)
    0.251427
    """
    left = 1.0 - program_share * holding
    cleared = left - program_share * holding_slope
    if not (left > 0.0 and cleared > 0.0):
        raise RuleError(
            f"expected 1 - rho phi - rho S phi_S above 0, got {cleared}; the programme traders are too large for the market to clear"
        )
    return vol * left / cleared


def realised_variance_ratio(gain: float) -> float:
    """Realised over fundamental variance with same-step hedging: 1 / (1 - g)^2.  RuleError for g >= 1.  Source: Loeper 2018.

    >>> round(realised_variance_ratio(0.3), 6)
    2.040816
    """
    _below_one(gain)
    return 1.0 / (1.0 - gain) ** 2


def break_even_variance_ratio(gain: float) -> float:
    """Variance that the hedger actually pays over fundamental variance: 1 / (1 - g), less than what the tape realises when g > 0.

    The difference is the execution term: each hedge fills half-way through the move that it makes itself.  RuleError for g >= 1.  Source: Loeper 2018.

    >>> round(break_even_variance_ratio(0.3), 6)
    1.428571
    """
    _below_one(gain)
    return 1.0 / (1.0 - gain)


@dataclass(frozen=True, slots=True)
class SquareRootLoop:
    """A shock that hedgers answer into the square-root law: where it ends and what the gain is there.  Units: fractions of the price."""

    shock: float
    move: float
    amplification: float | None
    local_gain: float
    floor: float

    def __str__(self) -> str:
        return f"a shock of {self.shock:.4%} ends as {self.move:.4%}; the loop alone sustains {self.floor:.4%}"


def square_root_loop(shock: float, *, dollar_gamma_usd: float, daily_volume_usd: float, daily_vol: float, y: float = 1.0) -> SquareRootLoop:
    """Short gamma against the pure square-root law: r = eps + c sqrt(r) with c = Y sigma sqrt(|Gamma$| / V).

    r = ((c + sqrt(c^2 + 4 eps)) / 2)^2; the gain is infinite at zero, so a move of c^2 sustains itself without any shock.  That is the
    law's artefact for small moves: use a crossover there.  RuleError unless dollar gamma is negative (short) and the shock 0 or more.
    Source: docs/explanation/loop-gain.

    >>> round(square_root_loop(1e-3, dollar_gamma_usd=-1e9, daily_volume_usd=1e9, daily_vol=0.03).amplification, 4)
    2.5
    """
    if not (dollar_gamma_usd < 0.0 and shock >= 0.0):
        raise RuleError(f"expected short gamma (below 0) and a shock of 0 or more, got {dollar_gamma_usd} and {shock}; long gamma damps")
    strength = y * daily_vol * math.sqrt(-dollar_gamma_usd / daily_volume_usd)
    move = ((strength + math.sqrt(strength**2 + 4.0 * shock)) / 2.0) ** 2
    return SquareRootLoop(shock, move, move / shock if shock > 0.0 else None, strength / (2.0 * math.sqrt(move)), strength**2)


def _below_one(gain: float) -> None:
    if not gain < 1.0:
        raise RuleError(f"expected a gain below 1, got {gain}; at 1 the loop runs away and no such number exists")
