"""No free lunch from impact: does a law of impact let somebody earn by buying and selling back, paying only his own impact?

Price: S_t = S_0 + integral of f(v_s) G(t - s) ds, with f(v) = sign(v) |v|^delta for a rate of trading v and G the share of impact left after
an age.  A round trip (total traded 0) costs C = integral of v_t (S_t - S_0) dt; a law under which some round trip has C < 0 is a money
machine, and a simulation with it would pay the agent that finds it.  Sources: Huberman and Stanzl 2004 (what stays must be linear),
Gatheral 2010 (exponents), Gatheral, Schied and Slynko 2012 (linear impact: positive definite kernels).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tailwag.errors import RuleError
from tailwag.kernels.arrays import FloatArray, frozen
from tailwag.liquidity.decay import Decay, ExponentialDecay, GivenDecay, NoDecay, PowerDecay

__all__ = [
    "LEAST_POWER_DECAY",
    "ArbitrageReport",
    "Decay",
    "ExponentialDecay",
    "GivenDecay",
    "NoDecay",
    "PowerDecay",
    "RoundTrip",
    "round_trip_cost",
    "scan_for_arbitrage",
    "square_root_warning",
    "two_phase_cost",
]

LEAST_POWER_DECAY = 2.0 - math.log2(3.0)
"""Gatheral's bound on the decay exponent under concave impact, 2 - log2 3 = 0.41504."""
SEARCH_STEPS = 400
CELLS = 16


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A strategy that ends flat: trade at ``rates`` (phases,) for ``durations`` (phases,), + buys; sum of rate times duration is 0."""

    rates: FloatArray
    durations: FloatArray

    def __str__(self) -> str:
        if self.rates.size > 4:
            return f"{self.rates.size} phases of buying and selling over {self.durations.sum():.3g}"
        legs = ", ".join(f"{rate:+.3g} for {duration:.3g}" for rate, duration in zip(self.rates, self.durations))
        return f"trade at {legs}"


@dataclass(frozen=True, slots=True)
class ArbitrageReport:
    """Whether a law of impact is safe to simulate, and the best round trip found against it.

    ``least_cost`` is the cost of ``strategy`` as a share of what its phases would pay if they did not feel one another; below 0 the round
    trip earns.  ``sentence`` is the verdict with its reason.
    """

    admissible: bool
    least_cost: float
    strategy: RoundTrip
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def round_trip_cost(decay: Decay, exponent: float, strategy: RoundTrip) -> float:
    """What a strategy pays through its own impact, C = sum over phases i >= j of v_i f(v_j) K_ij; below 0 it earns.

    >>> trip = RoundTrip(np.array([1.0, -1e4]), np.array([1.0, 1e-4]))
    >>> round(round_trip_cost(PowerDecay(0.3), 0.5, trip), 5)
    -0.45377
    """
    cross = _phase_costs(decay, strategy.durations)
    rates = strategy.rates
    return float(rates @ cross @ (np.sign(rates) * np.abs(rates) ** exponent))


def scan_for_arbitrage(decay: Decay, exponent: float = 1.0) -> ArbitrageReport:
    """Is there a round trip that earns against this law?  ``exponent`` is delta of f(v) = |v|^delta, 1 for linear impact.

    Linear impact: the quadratic form of cost, on grids of phases at every relevant time scale (exact on each grid; for a kernel that is a
    mixture of exponentials the theorem decides).  Otherwise: first buying at one rate and selling at another, over ratios of rate 1e-4 to
    1e4; then any piecewise constant rates over 16 phases; and Gatheral's two conditions for powers, gamma + delta >= 1 and
    gamma >= 2 - log2 3.  RuleError for an exponent that is not above 0.

    >>> print(scan_for_arbitrage(ExponentialDecay(30.0)))
    admissible: with linear impact and exponentially fading impact no round trip earns (a mixture of exponentials is positive definite)
    >>> scan_for_arbitrage(ExponentialDecay(30.0), 0.5).admissible
    False
    """
    if not (math.isfinite(exponent) and exponent > 0.0):
        raise RuleError(f"expected an exponent of the rate above 0, got {exponent}; 1 is linear impact")
    if exponent == 1.0:
        return _linear_report(decay)
    least, strategy = _least_two_phase(decay, exponent)
    if least >= -decay.accuracy:
        searched, found = _least_of_many_phases(decay, exponent)
        least, strategy = (searched, found) if searched < least else (least, strategy)
    return _report(decay, exponent, least, strategy)


def square_root_warning() -> str:
    """What to know before simulating a square-root law that stays: one sentence for the report.

    >>> "one step" in square_root_warning()
    True
    """
    return (
        "the square-root law is applied to the net flow of one step and its move stays: cutting an order into steps makes it dearer, and "
        "buying slowly while selling at once would earn on paper, so use it with hedgers that follow a rule and never to optimise execution"
    )


def two_phase_cost(decay: Decay, exponent: float, *, sell_rate: FloatArray, buy_time: FloatArray) -> FloatArray:
    """Cost of buying at rate 1 for ``buy_time`` and selling all of it at ``sell_rate``; arrays broadcast.

    C = H(T1) + v^(1+delta) H(T2) - v (H(T1 + T2) - H(T1) - H(T2)), T2 = T1 / v.  Below 0 the round trip earns.
    """
    sell_time = buy_time / sell_rate
    bought, sold = decay.twice_integrated(buy_time), decay.twice_integrated(sell_time)
    felt = decay.twice_integrated(buy_time + sell_time) - bought - sold
    return np.asarray(bought + sell_rate ** (1.0 + exponent) * sold - sell_rate * felt)


def _least_two_phase(decay: Decay, exponent: float) -> tuple[float, RoundTrip]:
    sell_rate = np.geomspace(1e-4, 1e4, 1601)
    buy_time = _time_scales(decay)[:, None]
    cost = two_phase_cost(decay, exponent, sell_rate=sell_rate, buy_time=buy_time)
    alone = decay.twice_integrated(buy_time) + sell_rate ** (1.0 + exponent) * decay.twice_integrated(buy_time / sell_rate)
    share = cost / alone
    row, column = np.unravel_index(int(share.argmin()), share.shape)
    rate, time = float(sell_rate[column]), float(buy_time[row, 0])
    return float(share[row, column]), RoundTrip(frozen([1.0, -rate]), frozen([time, time / rate]))


def _time_scales(decay: Decay) -> FloatArray:
    return np.ones(1) if decay.scale is None else decay.scale * np.geomspace(1e-2, 1e2, 9)


def _phase_costs(decay: Decay, durations: FloatArray) -> FloatArray:
    """K_ij, the integral of G over phase i (paying) and phase j (pushing), 0 for a push that comes later."""
    ends = np.cumsum(durations)
    starts = ends - durations
    gap = [np.maximum(np.subtract.outer(a, b), 0.0) for a, b in ((ends, starts), (starts, starts), (ends, ends), (starts, ends))]
    outer, same_start, same_end, inner = (decay.twice_integrated(values) for values in gap)
    later = np.tril(outer - same_start - same_end + inner, -1)
    return later + np.diag(decay.twice_integrated(durations))


def _phase_grids(decay: Decay) -> list[FloatArray]:
    """Even phases, and phases that shorten towards the end (slow in, fast out), at every time scale."""
    graded = 0.6 ** np.arange(CELLS)
    shapes = [np.full(CELLS, 1.0 / CELLS), graded / graded.sum()]
    return [total * shape for total in _time_scales(decay) for shape in shapes]


def _linear_report(decay: Decay) -> ArbitrageReport:
    least, strategy = min((_least_quadratic(decay, durations) for durations in _phase_grids(decay)), key=lambda found: found[0])
    if decay.fades_evenly:
        sentence = f"admissible: with linear impact and {decay.name} no round trip earns (a mixture of exponentials is positive definite)"
        return ArbitrageReport(True, max(least, 0.0), strategy, sentence)
    return _report(decay, 1.0, least, strategy)


def _least_quadratic(decay: Decay, durations: FloatArray) -> tuple[float, RoundTrip]:
    """The least of v K v / sum K_ii v_i^2 over rates that end flat: the lowest eigenvalue of the cost on the flat subspace."""
    cross = _phase_costs(decay, durations)
    alone = np.sqrt(np.diag(cross))
    scaled = 0.5 * (cross + cross.T) / np.outer(alone, alone)
    flat = np.linalg.svd((durations / alone)[None, :])[2][1:].T
    values, vectors = np.linalg.eigh(flat.T @ scaled @ flat)
    rates = (flat @ vectors[:, 0]) / alone
    return float(values[0]), RoundTrip(frozen(rates / np.abs(rates).max()), frozen(durations))


def _least_of_many_phases(decay: Decay, exponent: float) -> tuple[float, RoundTrip]:
    found = [_descend(_phase_costs(decay, durations), durations, exponent) for durations in _phase_grids(decay)]
    best = min(range(len(found)), key=lambda position: found[position][0])
    least, rates = found[best]
    return least, RoundTrip(frozen(rates / np.abs(rates).max()), frozen(_phase_grids(decay)[best]))


def _descend(cross: FloatArray, durations: FloatArray, exponent: float) -> tuple[float, FloatArray]:
    """Steepest descent with momentum from fixed starts (starts, phases) on cost over stand-alone cost, kept flat by projection."""
    rates = _starts(durations)
    momentum, spread = np.zeros_like(rates), np.zeros_like(rates)
    best, best_rates = np.inf, rates[0]
    for step in range(1, SEARCH_STEPS + 1):
        share, slope = _share_and_slope(cross, rates, exponent)
        lowest = int(share.argmin())
        if share[lowest] < best:
            best, best_rates = float(share[lowest]), rates[lowest].copy()
        slope = _flat(slope, durations)
        momentum, spread = 0.9 * momentum + 0.1 * slope, 0.99 * spread + 0.01 * slope**2
        size = 0.05 / (1.0 + 0.01 * step)
        rates = rates - size * (momentum / (1.0 - 0.9**step)) / (np.sqrt(spread / (1.0 - 0.99**step)) + 1e-12)
        rates = _flat(rates, durations)
        rates = rates / np.abs(rates).max(axis=1, keepdims=True)
    return best, best_rates


def _starts(durations: FloatArray) -> FloatArray:
    """Buy slowly and sell in the last phases, the reverse, and waves of every length, all flat (starts, phases)."""
    phases = durations.size
    place = np.arange(phases)
    late = [np.where(place < cut, 1.0, -1.0) for cut in range(1, phases)]
    waves = [np.cos(np.pi * wave * (place + 0.5) / phases) for wave in range(1, phases)]
    starts = np.array(late + waves)
    bought = np.maximum(starts, 0.0) @ durations
    sold = np.maximum(-starts, 0.0) @ durations
    level = np.where(starts > 0.0, starts / bought[:, None], starts / sold[:, None])
    return np.asarray(level / np.abs(level).max(axis=1, keepdims=True))


def _flat(rates: FloatArray, durations: FloatArray) -> FloatArray:
    return rates - np.outer(rates @ durations / float(durations @ durations), durations)


def _share_and_slope(cross: FloatArray, rates: FloatArray, exponent: float) -> tuple[FloatArray, FloatArray]:
    size = np.maximum(np.abs(rates), 1e-9)
    pushed = np.sign(rates) * size**exponent
    own = np.diag(cross)
    alone = (size ** (1.0 + exponent)) @ own
    felt = pushed @ cross.T
    share = (rates * felt).sum(axis=1) / alone
    cost_slope = felt + exponent * size ** (exponent - 1.0) * (rates @ cross)
    alone_slope = (1.0 + exponent) * pushed * own
    return share, (cost_slope - share[:, None] * alone_slope) / alone[:, None]


def _report(decay: Decay, exponent: float, least: float, strategy: RoundTrip) -> ArbitrageReport:
    law = "linear impact" if exponent == 1.0 else f"impact growing with power {exponent:g} of the rate"
    if least < -decay.accuracy:
        sentence = (
            f"refused: with {law} and {decay.name} a round trip earns: {strategy}; take linear impact with a kernel that fades evenly"
        )
        return ArbitrageReport(False, least, strategy, sentence)
    broken = _broken_condition(decay, exponent)
    if broken:
        return ArbitrageReport(False, least, strategy, f"refused: with {law} and {decay.name}, {broken}")
    return ArbitrageReport(True, least, strategy, f"admissible: with {law} and {decay.name} the search found no round trip that earns")


def _broken_condition(decay: Decay, exponent: float) -> str | None:
    """Gatheral's necessary conditions for a power in the rate below 1 and a power in age, None where they hold or do not speak."""
    if not isinstance(decay, PowerDecay) or exponent >= 1.0:
        return None
    if decay.exponent + exponent < 1.0:
        return f"the exponents add to {decay.exponent + exponent:g}, below 1, so a fast enough sale earns; raise one of them"
    if decay.exponent < LEAST_POWER_DECAY:
        return f"decay is slower than the power {LEAST_POWER_DECAY:.4f} = 2 - log2 3 that concave impact needs (Gatheral 2010)"
    return None
