"""Forecasts of days that were not used to make them: does -log(1 - gain) make the forecast of realised vol better?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tailwag.errors import InputError
from tailwag.experiments.study.inference import Design, Estimate, robust_fit
from tailwag.experiments.study.realised import AMPLIFICATION
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.units import NS_PER_DAY

FIRST_FIT_DAYS = 60
BLOCK_DAYS = 5
IMPLIED, PAST = "log implied vol, 1 day", "log realised vol, past 1 day"


@dataclass(frozen=True, slots=True)
class OutOfSample:
    """How well each forecast did on the days after the first fit.

    ``r2``: 1 less the squared errors with -log(1 - gain) over those without it.  ``clark_west``: the mean of their adjusted difference, above 0 where it
    helps; its p-value is one-sided.  ``qlike``: mean loss by forecast, lower is better; ``qlike_corrected``: with the mean of exponentiated residuals of the
    fit taken into the fitted ones.  ``beside_implied``: each forecast's loss less that of implied vol as it is.  ``rows``: forecasts made.
    """

    r2: float
    clark_west: Estimate
    qlike: dict[str, float]
    qlike_corrected: dict[str, float]
    beside_implied: dict[str, Estimate]
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
    corrections = {name: np.zeros(y.size) for name in forecasts}
    held = x[:, gain]
    fitted = {"with": (x, 0.0 * held), "without": (x[:, others], 0.0 * held), "held at 1": (x[:, others], held)}
    for rows, before in _days(design, horizon_ns):
        for name, (columns, taken) in fitted.items():
            beta = _fitted(columns[before], y[before] - taken[before])
            forecasts[name][rows] = columns[rows] @ beta + taken[rows]
            left = y[before] - taken[before] - columns[before] @ beta
            corrections[name][rows] = 0.5 * np.log(np.mean(np.exp(2.0 * left)))
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
        clark_west=_one_sided(_mean_of(better, design.time_ns[made])),
        qlike={name: float(_losses(one).mean()) for name, one in wrong.items()},
        qlike_corrected={name: float(_losses(wrong[name] - corrections[name][made]).mean()) for name in corrections},
        beside_implied={
            name: robust_fit(
                _mean_of(_losses(one) - _losses(wrong["implied vol"]), design.time_ns[made]), block_ns=BLOCK_DAYS * NS_PER_DAY
            )[0]
            for name, one in wrong.items()
            if name != "implied vol"
        },
        rows=int(made.sum()),
    )


def _days(design: Design, horizon_ns: int) -> list[tuple[BoolArray, BoolArray]]:
    """For each day after the first fit its rows, and the earlier rows whose outcome was over as it began."""
    time_ns = np.asarray(design.time_ns, dtype=np.int64)
    if not time_ns.size:
        return []
    first = time_ns[0] + FIRST_FIT_DAYS * NS_PER_DAY
    found = []
    for start in range(int(-(-first // NS_PER_DAY)) * NS_PER_DAY, int(time_ns[-1]) + 1, NS_PER_DAY):
        rows, before = (time_ns >= start) & (time_ns < start + NS_PER_DAY), time_ns + horizon_ns <= start
        if rows.any() and before.sum() > 2 * len(design.names):
            found.append((rows, before))
    return found


def _losses(wrong: FloatArray) -> FloatArray:
    """QLIKE of variances, from errors in log vol: e^(2 error) - 2 error - 1."""
    return np.asarray(np.exp(2.0 * wrong) - 2.0 * wrong - 1.0)


def _mean_of(values: FloatArray, time_ns: IntArray) -> Design:
    return Design(values, np.ones((values.size, 1)), ("mean",), time_ns, {})


def _fitted(x: FloatArray, y: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.lstsq(x, y, rcond=None)[0], dtype=np.float64)


def _one_sided(design: Design) -> Estimate:
    """The mean, with half the two-sided p-value above 0 and the rest below."""
    one = robust_fit(design, block_ns=BLOCK_DAYS * NS_PER_DAY)[0]
    half = 0.5 * one.p_value
    return replace(one, p_value=half if one.value > 0.0 else 1.0 - half)
