"""How deep the market is, from outside the option chain: a depth that follows volume, and what returns against signed flow say of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tailwag.errors import InputError
from tailwag.experiments.study.known import Known
from tailwag.experiments.study.returns import Returns, realised_vol
from tailwag.kernels.arrays import FloatArray
from tailwag.units import NS_PER_DAY, PCT

VOLUME_DAYS = 30
LEAST_SHARE = 0.9
LEAST_WINDOWS = 100


def volume_depth(known: Known, returns: Returns, volume_usd: FloatArray, *, mean_usd_per_pct: float) -> FloatArray:
    """USD that move the price 1 % at each row, (rows,): in proportion to 30 days' volume over their vol; NaN where 27 of those days are not there.

    ``volume_usd`` (candles,) stands beside the returns. The mean over the rows is the one given: volume says how depth changes, not how large it is.
    InputError where no row has a depth.
    """
    end = known.known_ns // returns.step_ns * returns.step_ns
    start = end - VOLUME_DAYS * NS_PER_DAY
    there = np.isfinite(volume_usd) & np.isfinite(returns.log_return)
    traded = np.concatenate([[0.0], np.cumsum(np.where(there, volume_usd, 0.0))])
    count = np.concatenate([[0], np.cumsum(there)])
    first = np.searchsorted(returns.end_ns, start, side="right")
    last = np.maximum(np.searchsorted(returns.end_ns, end, side="right"), first)
    held = count[last] - count[first]
    enough = held >= LEAST_SHARE * VOLUME_DAYS * NS_PER_DAY / returns.step_ns
    mean_volume = (traded[last] - traded[first]) / np.maximum(held, 1)
    relative = np.where(enough, mean_volume / realised_vol(returns, start, end, least_share=LEAST_SHARE), np.nan)
    if not (np.isfinite(relative).any() and np.nanmean(relative) > 0.0):
        raise InputError(
            "expected candles with volume over 30 days before a snapshot at least, got none; take a longer file with a volume column"
        )
    return np.asarray(mean_usd_per_pct * relative / np.nanmean(relative))


def with_depth(known: Known, scale: FloatArray) -> Known:
    """The same rows in a market ``scale`` times as deep, (rows,): every gain is divided by it."""
    gains = ("gain", "gross_gain", "expiring_gain", "expiring_gross_gain")
    parts = {name: part / scale for name, part in known.parts.items()}
    return replace(known, parts=parts, **{name: getattr(known, name) / scale for name in gains})


@dataclass(frozen=True, slots=True)
class FlowDepth:
    """USD of signed flow that move the price 1 %, by least squares and with the hedgers' own flow taken out; ``windows`` of candles used.

    ``naive``: from the regression of returns on flow.  ``cleaned``: with flow less what hedgers of the book buy by the rule as the instrument, were all of
    them to trade there.  None where the sum is not above 0.
    """

    naive_usd_per_pct: float | None
    cleaned_usd_per_pct: float | None
    windows: int


def flow_depth(log_return: FloatArray, flow_usd: FloatArray, hedge_usd: FloatArray) -> FlowDepth:
    """Depth from returns and signed flow of the same windows, (windows,) each; ``hedge_usd``: USD that hedgers buy per unit of log return (short gamma buys rises).

    r = e + lambda q and q = h r + u at once: least squares of r on q gives (h var e + lambda var u) / (h^2 var e + var u), too much impact where hedgers
    buy rises.  With h known, u = q - h r is an instrument: lambda = sum u r / sum u q.  Depth per 1 % = 0.01 / lambda.
    Source: the closed form of two simultaneous equations; docs/evidence.

    >>> import numpy as np
    >>> shock, own = np.random.default_rng(3).normal(0.0, 1.0, (2, 200_000)) * np.array([[1.0], [0.5]])
    >>> r = (shock + own) / (1.0 - 0.3)
    >>> told = flow_depth(r, 0.3 * r + own, np.full(r.size, 0.3))
    >>> round(0.01 / told.naive_usd_per_pct, 2), round(0.01 / told.cleaned_usd_per_pct, 2)
    (1.62, 1.0)
    """
    there = np.isfinite(log_return) & np.isfinite(flow_usd) & np.isfinite(hedge_usd)
    if there.sum() < LEAST_WINDOWS:
        raise InputError(
            f"expected returns and signed flow of {LEAST_WINDOWS} candles at least, got {int(there.sum())}; take candles with taker volume"
        )
    r, q = (column[there] - column[there].mean() for column in (log_return, flow_usd))
    own = q - hedge_usd[there] * r
    return FlowDepth(_depth(q @ r, q @ q), _depth(own @ r, own @ q), int(there.sum()))


def _depth(moved: float, flowed: float) -> float | None:
    """1 % over the impact of a USD; None where the price does not move with the flow."""
    impact = moved / flowed if flowed > 0.0 else 0.0
    return float(PCT / impact) if impact > 0.0 else None
