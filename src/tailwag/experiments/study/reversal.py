"""Mechanism: returns continue where hedgers are short gamma and reverse where they are long; over 15 minutes, and after hourly shocks."""

from __future__ import annotations

import numpy as np

from tailwag.experiments.study.inference import Design
from tailwag.experiments.study.known import Known
from tailwag.experiments.study.returns import Returns, hourly, past_return, trailing_scale
from tailwag.experiments.study.rows import HOUR_BLOCKS, centred, hour_block, kept_rows
from tailwag.kernels.arrays import FloatArray, IntArray

WINDOW, LEAST = 96, 90
WINSORISED_AT = 5.0
SHOCK = 2.0
TRENDS = {"past day's return": 1, "past 5 days' return": 5, "past 20 days' return": 20}
NO_PAST = "no price 1, 5 or 20 days before"
HOURS_WINDOW, LEAST_HOURS = 168, 150
GAIN = "gain x return"
GROSS = "gross gain x return"
GROSS_SHOCK = "gross gain x size of the shock"
SHOCK_GAIN = "gain x size of the shock"


def reversal_design(known: Known, returns: Returns, *, most_age_hours: float) -> Design:
    """The next return on the present one times the gain known at its end, with the plan's controls; both returns over the trailing scale.

    r' / s = a + gain * gamma * (r / s) + controls * (r / s) + e, with s the root mean square of the 96 returns before the present one; both sides
    winsorised at 5.  Its first column is the one that the plan is about.
    """
    scale = trailing_scale(returns, WINDOW, least=LEAST)[:-1]
    now, then, end_ns = returns.log_return[:-1], returns.log_return[1:], returns.end_ns[:-1]
    row = known.row_at(end_ns, most_age_hours=most_age_hours)
    safe, trends = np.maximum(row, 0), _trends(returns, end_ns)
    gain, gross, vol = known.gain[safe], known.gross_gain[safe], np.log(known.atm_iv_7d[safe])
    kept, left_out = kept_rows(
        {
            "no candle, or a gap beside it": np.isfinite(now) & np.isfinite(then),
            "too few returns before it for their scale": np.isfinite(scale),
            "no snapshot, or too old": row >= 0,
            "no gain": np.isfinite(gain) & np.isfinite(gross),
            "no implied vol at 7 days": np.isfinite(vol),
            NO_PAST: np.asarray(np.isfinite(np.stack(list(trends.values()))).all(axis=0)),
        }
    )
    x, y = _winsorised(now[kept] / scale[kept]), _winsorised(then[kept] / scale[kept])
    block = hour_block(end_ns[kept])
    columns = {
        GAIN: gain[kept] * x,
        "constant": np.ones(x.size),
        **_gross(GROSS, gain[kept], gross[kept], x),
        "log implied vol x return": centred(vol[kept]) * x,
        "log trailing scale x return": centred(np.log(scale[kept])) * x,
        **{f"{name} x return": centred(trend[kept]) * x for name, trend in trends.items()},
    }
    columns |= {f"return, {4 * one:02d} to {4 * one + 4:02d} UTC": x * (block == one) for one in range(HOUR_BLOCKS) if (block == one).any()}
    return Design(y, np.column_stack(list(columns.values())), tuple(columns), end_ns[kept], left_out)


def shocks_design(known: Known, returns: Returns, *, most_age_hours: float) -> Design:
    """What the hour after an hourly shock adds in the shock's direction, on its size times the gain known at its end; over the trailing scale.

    A shock is an hourly return above two root mean squares of the 168 hours before it.
    """
    hours = hourly(returns, round(3_600_000_000_000 / returns.step_ns))
    scale = trailing_scale(hours, HOURS_WINDOW, least=LEAST_HOURS)[:-1]
    now, then, end_ns = hours.log_return[:-1], hours.log_return[1:], hours.end_ns[:-1]
    row = known.row_at(end_ns, most_age_hours=most_age_hours)
    safe, trends = np.maximum(row, 0), _trends(returns, end_ns)
    gain, gross = known.gain[safe], known.gross_gain[safe]
    kept, left_out = kept_rows(
        {
            "no candle, or a gap beside it": np.isfinite(now) & np.isfinite(then),
            "too few hours before it for their scale": np.isfinite(scale),
            "no shock": np.abs(now) > SHOCK * np.where(np.isfinite(scale), scale, np.inf),
            "no snapshot, or too old": row >= 0,
            "no gain": np.isfinite(gain) & np.isfinite(gross),
            NO_PAST: np.asarray(np.isfinite(np.stack(list(trends.values()))).all(axis=0)),
        }
    )
    size = np.abs(now[kept]) / scale[kept]
    onwards = np.sign(now[kept]) * then[kept] / scale[kept]
    columns = {
        SHOCK_GAIN: gain[kept] * size,
        "constant": np.ones(size.size),
        "size of the shock": size,
        **_gross(GROSS_SHOCK, gain[kept], gross[kept], size),
        **{f"{name} x size of the shock": centred(trend[kept]) * size for name, trend in trends.items()},
    }
    return Design(onwards, np.column_stack(list(columns.values())), tuple(columns), end_ns[kept], left_out)


def _gross(name: str, gain: FloatArray, gross: FloatArray, x: FloatArray) -> dict[str, FloatArray]:
    """The control for the size of gamma; none under a rule that takes everybody for short, whose gain is that size."""
    return {} if np.allclose(np.abs(gain), gross, rtol=1e-9, atol=0.0) else {name: centred(gross) * x}


def _trends(returns: Returns, end_ns: IntArray) -> dict[str, FloatArray]:
    """Returns of the past days over the root of their number: dealers' gamma by most rules falls and rises with them, and so may momentum."""
    return {name: past_return(returns, end_ns, days) / np.sqrt(days) for name, days in TRENDS.items()}


def _winsorised(values: FloatArray) -> FloatArray:
    return np.clip(values, -WINSORISED_AT, WINSORISED_AT)
