"""When does the loop settle: closed forms for late, partial, decaying and banded hedging (docs/explanation/loop-gain).

All moves are log moves, ``gain`` is g = -lambda Gamma$ (short gamma > 0), variance ratios are over the fundamental variance of one step.
A simulation must reproduce these without sharing a line with them.  The loop with frequencies is this project's own result.
"""

from __future__ import annotations

import math

import numpy as np

from tailwag.errors import RuleError
from tailwag.kernels.arrays import FloatArray

BISECTIONS = 60
LARGEST_GAIN = 64.0


# Permanent impact, hedges d steps late


def is_stable_lagged(gain: float, delay_steps: int) -> bool:
    """Hedges ``delay_steps`` late settle if |g| < 1, whatever the delay; in the same step (0) they settle if g < 1.

    >>> is_stable_lagged(-1.5, 0), is_stable_lagged(-1.5, 1)
    (True, False)
    """
    return gain < 1.0 if delay_steps == 0 else abs(gain) < 1.0


def one_step_variance_ratio(gain: float, delay_steps: int = 1) -> float:
    """Variance of one step: 1 / (1 - g^2) with any delay, 1 / (1 - g)^2 in the same step.  RuleError where the loop does not settle.

    >>> round(one_step_variance_ratio(0.5), 4)
    1.3333
    """
    _settles(is_stable_lagged(gain, delay_steps), gain)
    return 1.0 / (1.0 - gain) ** 2 if delay_steps == 0 else 1.0 / (1.0 - gain**2)


def long_run_variance_ratio(gain: float) -> float:
    """Variance per step over long horizons: 1 / (1 - g)^2, whatever the delay, the speed or the band.  RuleError for g >= 1.

    >>> long_run_variance_ratio(0.5)
    4.0
    """
    _settles(gain < 1.0, gain)
    return 1.0 / (1.0 - gain) ** 2


def autocorrelation(gain: float, lag_steps: int, delay_steps: int = 1) -> float:
    """Correlation of returns ``lag_steps`` apart: g^(lag / delay) at multiples of the delay, else 0.

    >>> autocorrelation(0.5, 6, 3), autocorrelation(0.5, 4, 3)
    (0.25, 0.0)
    """
    _settles(is_stable_lagged(gain, delay_steps), gain)
    if lag_steps == 0:
        return 1.0
    return 0.0 if delay_steps == 0 or lag_steps % delay_steps else gain ** (lag_steps // delay_steps)


def horizon_variance_ratio(gain: float, horizon_steps: int, delay_steps: int = 1) -> float:
    """Variance per step over a horizon: rises with it for short gamma (momentum), falls for long gamma (reversal).

    Var_h / h = Var_1 (1 + 2 sum_{j d < h} (1 - j d / h) g^j).

    >>> round(horizon_variance_ratio(0.5, 10), 5)
    3.46719
    """
    single = one_step_variance_ratio(gain, delay_steps)
    if delay_steps == 0:
        return single
    count = (horizon_steps - 1) // delay_steps
    return single * (1.0 + 2.0 * math.fsum((1.0 - j * delay_steps / horizon_steps) * gain**j for j in range(1, count + 1)))


def gain_standard_error(gain: float, steps: int) -> float:
    """Standard error of a gain estimated by regressing returns on those one delay before: sqrt((1 - g^2) / N).

    >>> round(gain_standard_error(0.0, 10_000), 3)
    0.01
    """
    return math.sqrt((1.0 - gain**2) / steps)


# Partial execution: a fraction `speed` of the gap each step, one step late


def partial_gain_bounds(speed: float) -> tuple[float, float]:
    """Gains between which hedging a fraction ``speed`` of the gap settles: 1 - 2/a < g < 1.

    >>> partial_gain_bounds(0.5)
    (-3.0, 1.0)
    """
    _share("speed", speed)
    return 1.0 - 2.0 / speed, 1.0


def partial_variance_ratio(gain: float, speed: float) -> float:
    """Variance of one step: 1 + a^2 g^2 / (1 - (1 - a (1 - g))^2).  RuleError where the loop does not settle.

    >>> round(partial_variance_ratio(0.5, 0.25), 4)
    1.0667
    """
    low, high = partial_gain_bounds(speed)
    _settles(low < gain < high, gain)
    kept = 1.0 - speed * (1.0 - gain)
    return 1.0 + (speed * gain) ** 2 / (1.0 - kept**2)


def deadbeat_speed(gain: float) -> float:
    """Speed of the whole market that closes the gap in one step without overshoot: 1 / (1 - g).  RuleError for g >= 1.

    Above 1 for short gamma: the gap must be overfilled, because the fill itself moves the target.

    >>> deadbeat_speed(-1.0)
    0.5
    """
    _settles(gain < 1.0, gain)
    return 1.0 / (1.0 - gain)


def hayes_delay_bound(gain: float) -> float:
    """Largest delay times smoothing rate at which a smoothed, late hedger still settles (Hayes 1950).

    theta tau < arccos(1/g) / sqrt(g^2 - 1) for g < -1; infinite for -1 <= g < 1 (always settles); 0 for g >= 1 (never).

    >>> round(hayes_delay_bound(-2.0), 5), hayes_delay_bound(0.9), hayes_delay_bound(1.0)
    (1.2092, inf, 0.0)
    """
    if gain >= 1.0:
        return 0.0
    return math.inf if gain >= -1.0 else math.acos(1.0 / gain) / math.sqrt(gain**2 - 1.0)


# A part of the impact stays (g_P), a part decays (g_T, kept share rho a step); hedges in the same step


def transient_gain_bound(permanent_gain: float, retention: float) -> float:
    """Largest transient gain that settles with same-step hedging: (1 - g_P)(1 + rho) / 2, which tends to 1 - g_P for short steps.

    RuleError for g_P >= 1.

    >>> round(transient_gain_bound(0.1, 0.5), 3)
    0.675
    """
    _settles(permanent_gain < 1.0, permanent_gain)
    _retention(retention)
    return (1.0 - permanent_gain) * (1.0 + retention) / 2.0


def is_stable_transient(permanent_gain: float, transient_gain: float, retention: float) -> bool:
    """Same-step hedging settles if g_P < 1, g_P + g_T < 1 and g_P + 2 g_T / (1 + rho) < 1.

    >>> is_stable_transient(0.0, 0.94, 0.9), is_stable_transient(0.0, 0.96, 0.9)
    (True, False)
    """
    _retention(retention)
    return (
        permanent_gain < 1.0 and permanent_gain + transient_gain < 1.0 and permanent_gain + 2.0 * transient_gain / (1.0 + retention) < 1.0
    )


def transient_memory(permanent_gain: float, transient_gain: float, retention: float) -> float:
    """Share of the decaying displacement that one step keeps once hedgers answer: mu = rho - g_T (1 - rho) / (1 - g_P - g_T).

    >>> round(transient_memory(0.0, 0.9, 0.9), 3)
    0.0
    """
    room = 1.0 - permanent_gain - transient_gain
    _settles(room > 0.0, permanent_gain + transient_gain)
    return retention - transient_gain * (1.0 - retention) / room


def transient_variance_ratio(permanent_gain: float, transient_gain: float, retention: float) -> float:
    """Variance of one step, (1 + (1 - rho)^2 (g_T/a)^2 / (1 - mu^2)) / a^2 with a = 1 - g_P - g_T; the long run is 1 / (1 - g_P)^2.

    So decaying impact raises the variance of short horizons only.  RuleError where the loop does not settle.

    >>> round(transient_variance_ratio(0.1, 0.4, 0.9), 4)
    4.0781
    """
    _settles(is_stable_transient(permanent_gain, transient_gain, retention), permanent_gain + transient_gain)
    room = 1.0 - permanent_gain - transient_gain
    memory = transient_memory(permanent_gain, transient_gain, retention)
    return (1.0 + (1.0 - retention) ** 2 * (transient_gain / room) ** 2 / (1.0 - memory**2)) / room**2


# The same, hedges d steps late


def lagged_transient_root(permanent_gain: float, transient_gain: float, retention: float, delay_steps: int) -> float:
    """Largest root modulus of z^d (z - rho) - g_P (z - rho) - g_T (z - 1); below 1 the loop settles.

    >>> lagged_transient_root(0.0, 0.8, 0.8, 3) < 1.0 < lagged_transient_root(0.0, 0.95, 0.8, 3)
    True
    """
    powers = np.zeros(delay_steps + 2)
    powers[-1] += 1.0
    powers[-2] -= retention
    powers[1] -= permanent_gain + transient_gain
    powers[0] += permanent_gain * retention + transient_gain
    return float(np.abs(np.roots(powers[::-1])).max())


def is_stable_lagged_transient(permanent_gain: float, transient_gain: float, retention: float) -> bool:
    """Jury's conditions for hedges one step late: |rho g_P + g_T| < 1, g_P < 1, (1 + rho)(1 + g_P) + 2 g_T > 0.

    >>> is_stable_lagged_transient(0.0, -0.85, 0.8), is_stable_lagged_transient(0.0, -0.95, 0.8)
    (True, False)
    """
    _retention(retention)
    product = retention * permanent_gain + transient_gain
    return abs(product) < 1.0 and permanent_gain < 1.0 and (1.0 + retention) * (1.0 + permanent_gain) + 2.0 * transient_gain > 0.0


def small_gain(permanent_gain: float, transient_gain: float, retention: float) -> float:
    """The feedback severity that no delay can worsen: max(|g_P|, |g_P + 2 g_T / (1 + rho)|); below 1 every delay settles.

    It is the largest loop gain over all frequencies (at zero and at the fastest).

    >>> small_gain(0.2, 0.4, 0.6)
    0.7
    """
    _retention(retention)
    return max(abs(permanent_gain), abs(permanent_gain + 2.0 * transient_gain / (1.0 + retention)))


def critical_transient_gains(retention: float, delay_steps: int) -> tuple[float, float]:
    """Transient gains, long and short side, at which hedging ``delay_steps`` late stops settling (no permanent part).

    >>> [round(float(g), 3) for g in critical_transient_gains(0.8, 2)]
    [-0.905, 0.9]
    """
    _retention(retention)

    def edge(sign: float) -> float:
        settled, wild = 0.0, LARGEST_GAIN
        for _ in range(BISECTIONS):
            middle = 0.5 * (settled + wild)
            stable = lagged_transient_root(0.0, sign * middle, retention, delay_steps) < 1.0
            settled, wild = (middle, wild) if stable else (settled, middle)
        return sign * settled

    return edge(-1.0), edge(1.0)


def power_law_small_gain(exponent: float) -> float:
    """Largest loop gain per unit of transient gain when impact decays as (1 + k)^-exponent: 2 eta(exponent), at the fastest frequency.

    eta is Dirichlet's alternating zeta.  Its inverse bounds the gains that settle at every delay.  RuleError unless 0 < exponent < 1.

    >>> round(power_law_small_gain(0.5), 4)
    1.2098
    """
    if not 0.0 < exponent < 1.0:
        raise RuleError(f"expected an exponent between 0 and 1, got {exponent}; use the exponential kernel otherwise")
    return 2.0 * _alternating_zeta(exponent)


# A band around the hedge, traded to its edge


def band_crossover_steps(half_width_usd: float, *, dollar_gamma_usd: float, step_vol: float) -> float:
    """Steps after which a band no longer hides the feedback: (H / (|Gamma$| sigma))^2; before, variance is fundamental, after 1/(1-g)^2.

    >>> round(band_crossover_steps(10.0, dollar_gamma_usd=-0.5, step_vol=1.0), 6)
    400.0
    """
    return (half_width_usd / (abs(dollar_gamma_usd) * step_vol)) ** 2


def band_turnover_usd(half_width_usd: float, *, dollar_gamma_usd: float, step_vol: float, gain: float) -> float:
    """USD traded a step by a band traded to its edge in a market that it moves: (Gamma$ sigma)^2 / (2 H (1 - g)).

    >>> round(band_turnover_usd(10.0, dollar_gamma_usd=-0.5, step_vol=1.0, gain=0.5), 6)
    0.025
    """
    _settles(gain < 1.0, gain)
    return (dollar_gamma_usd * step_vol) ** 2 / (2.0 * half_width_usd * (1.0 - gain))


def band_threshold_move(half_width_usd: float, *, dollar_gamma_usd: float) -> float:
    """Log move that a band swallows before anybody trades, H / |Gamma$|: with g > 1 the market is quiet below it and unstable above.

    >>> band_threshold_move(2e6, dollar_gamma_usd=-1e9)
    0.002
    """
    return half_width_usd / abs(dollar_gamma_usd)


# Hedging once a day


def closing_momentum_slope(gain: float, *, delay_steps: int = 0) -> float:
    """Slope of the closing window's return on the day's, when dealers hedge the day there: g / (1 - g), or g if their flow comes late.

    >>> round(closing_momentum_slope(0.155), 5)
    0.18343
    """
    _settles(is_stable_lagged(gain, delay_steps), gain)
    return gain / (1.0 - gain) if delay_steps == 0 else gain


def loop_spectrum(permanent_gain: float, transient_gain: float, retention: float, frequencies: FloatArray) -> FloatArray:
    """|L0| at each frequency in radians a step (f,): g_P + g_T (1 - z) / (1 - rho z), z = exp(-i w); its maximum is :func:`small_gain`.

    >>> loop_spectrum(0.2, 0.4, 0.6, np.array([0.0, np.pi])).round(3)
    array([0.2, 0.7])
    """
    turned = np.exp(-1j * np.asarray(frequencies, dtype=np.float64))
    modulus: FloatArray = np.abs(permanent_gain + transient_gain * (1.0 - turned) / (1.0 - retention * turned))
    return modulus


def _alternating_zeta(exponent: float, terms: int = 30) -> float:
    """sum (-1)^k (1 + k)^-s by the convergence acceleration of Cohen, Rodriguez Villegas and Zagier 2000 (error below 5.8^-terms)."""
    scale = (3.0 + math.sqrt(8.0)) ** terms
    scale = 0.5 * (scale + 1.0 / scale)
    weight, left, total = -1.0, -scale, 0.0
    for k in range(terms):
        left = weight - left
        total += left * (1.0 + k) ** -exponent
        weight *= (k + terms) * (k - terms) / ((k + 0.5) * (k + 1.0))
    return total / scale


def _settles(stable: bool, gain: float) -> None:
    if not stable:
        raise RuleError(f"expected a loop that settles, got a gain of {gain}; it grows without bound and has no variance")


def _share(name: str, value: float) -> None:
    if not 0.0 < value <= 1.0:
        raise RuleError(f"expected {name} above 0 and up to 1, got {value}; it is the fraction of the gap closed each step")


def _retention(value: float) -> None:
    if not 0.0 <= value < 1.0:
        raise RuleError(f"expected retention from 0 to below 1, got {value}; it is the share of decaying impact that a step keeps")
