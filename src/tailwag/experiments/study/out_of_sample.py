"""Forecasts of days that were not used to make them: does -log(1 - gain) make the forecast of realised vol better?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tailwag.errors import InputError
from tailwag.experiments.study.inference import Design, Estimate, robust_fit
from tailwag.experiments.study.realised import AMPLIFICATION
from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.units import NS_PER_DAY

FIRST_FIT_DAYS = 60
BLOCK_DAYS = 5
IMPLIED, PAST = "log implied vol, 1 day", "log realised vol, past 1 day"


@dataclass(frozen=True, slots=True)
class OutOfSample:
    """How well each forecast did on the days after the first fit.

    ``r2``: 1 less the squared errors with -log(1 - gain) over those without it.  ``clark_west``: the mean of their adjusted difference, above 0 where it
    helps; its p-value is one-sided.  ``qlike``: mean loss by forecast, lower is better.  ``rows``: forecasts made.
    """

    r2: float
    clark_west: Estimate
    qlike: dict[str, float]
    rows: int


def out_of_sample(design: Design, *, horizon_ns: int) -> OutOfSample:
    """Forecast each row of a realised-vol design from the rows whose outcome was over when it was known, refitted once a day.

    Forecasts: with the controls, with -log(1 - gain) besides, with its coefficient held at 1 (sigma / (1 - gain)), implied vol as it is, and the past
    day's vol as it is.  InputError where fewer than 60 days come before the first forecast.
    Source: Clark and West (2007), Journal of Econometrics 138, 291-311; QLIKE: Patton (2011), Journal of Econometrics 160, 246-256.
    """
    place = {name: column for column, name in enumerate(design.names)}
    gain = place[AMPLIFICATION]
    others = [column for column in range(len(design.names)) if column != gain]
    x, y = design.regressors, design.outcome
    forecasts = {name: np.full(y.size, np.nan) for name in ("with", "without", "held at 1")}
    for rows, before in _days(design, horizon_ns):
        forecasts["with"][rows] = x[rows] @ _fitted(x[before], y[before])
        forecasts["without"][rows] = x[rows][:, others] @ _fitted(x[before][:, others], y[before])
        own = _fitted(x[before][:, others], y[before] - x[before][:, gain])
        forecasts["held at 1"][rows] = x[rows][:, others] @ own + x[rows][:, gain]
    made = np.isfinite(forecasts["with"])
    if made.sum() < 20:
        raise InputError(
            f"expected at least 20 forecasts after {FIRST_FIT_DAYS} days of history, got {int(made.sum())}; take a longer history"
        )
    forecasts |= {"implied vol": x[:, place[IMPLIED]], "past day's vol": x[:, place[PAST]]}
    wrong = {name: y[made] - told[made] for name, told in forecasts.items()}
    better = wrong["without"] ** 2 - (wrong["with"] ** 2 - (forecasts["without"] - forecasts["with"])[made] ** 2)
    return OutOfSample(
        r2=1.0 - float((wrong["with"] ** 2).sum() / (wrong["without"] ** 2).sum()),
        clark_west=_one_sided(Design(better, np.ones((better.size, 1)), ("mean",), design.time_ns[made], {})),
        qlike={name: float(np.mean(np.exp(2.0 * one) - 2.0 * one - 1.0)) for name, one in wrong.items()},
        rows=int(made.sum()),
    )


def _days(design: Design, horizon_ns: int) -> list[tuple[BoolArray, BoolArray]]:
    """For each day after the first fit its rows, and the earlier rows whose outcome was over as it began."""
    time_ns = np.asarray(design.time_ns, dtype=np.int64)
    first = time_ns[0] + FIRST_FIT_DAYS * NS_PER_DAY
    found = []
    for start in range(int(-(-first // NS_PER_DAY)) * NS_PER_DAY, int(time_ns[-1]) + 1, NS_PER_DAY):
        rows, before = (time_ns >= start) & (time_ns < start + NS_PER_DAY), time_ns + horizon_ns <= start
        if rows.any() and before.sum() > 2 * len(design.names):
            found.append((rows, before))
    return found


def _fitted(x: FloatArray, y: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.lstsq(x, y, rcond=None)[0], dtype=np.float64)


def _one_sided(design: Design) -> Estimate:
    """The mean, with half the two-sided p-value above 0 and the rest below."""
    one = robust_fit(design, block_ns=BLOCK_DAYS * NS_PER_DAY)[0]
    half = 0.5 * one.p_value
    return replace(one, p_value=half if one.value > 0.0 else 1.0 - half)
