"""Mechanism: at 08:00 UTC a known part of the gamma expires, whatever else happens; does vol change by it?"""

from __future__ import annotations

import numpy as np

from tailwag.experiments.study.inference import Design
from tailwag.experiments.study.known import Known
from tailwag.experiments.study.realised import amplification
from tailwag.experiments.study.returns import Returns, realised_vol
from tailwag.experiments.study.rows import centred, kept_rows, varies, weekday
from tailwag.kernels.arrays import IntArray
from tailwag.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE

CHANGE = "what expires changes in -log(1 - gain)"
EXPIRY_HOUR = 8
KNOWN_MINUTES_BEFORE = 30
BEFORE_HOURS, AFTER_HOURS = 4, 4
WHOLE = 1.0


def expiry_days(returns: Returns, *, hour: int = EXPIRY_HOUR) -> IntArray:
    """Every day's time at an hour (UTC), from the first day that the candles hold whole to the last."""
    first, last = returns.end_ns[0] // NS_PER_DAY + 1, returns.end_ns[-1] // NS_PER_DAY
    return np.arange(first, last, dtype=np.int64) * NS_PER_DAY + hour * NS_PER_HOUR


def expiry_design(known: Known, returns: Returns, *, most_age_hours: float, gain_below: float, hour: int = EXPIRY_HOUR) -> Design:
    """Logarithm of vol in the four hours from the expiry less that in the four before (without the half hour of the settlement average), by day.

    On what the expiring options change in -log(1 - gain) as the last snapshot known half an hour before says it: 0 less what amplification loses.  With
    another ``hour``: a placebo, with the same regressor against an expiry that does not exist.
    """
    days = expiry_days(returns, hour=hour)
    real = days + (EXPIRY_HOUR - hour) * NS_PER_HOUR
    settled = days - KNOWN_MINUTES_BEFORE * NS_PER_MINUTE
    row = known.row_at(real - KNOWN_MINUTES_BEFORE * NS_PER_MINUTE, most_age_hours=most_age_hours)
    safe = np.maximum(row, 0)
    before = realised_vol(returns, days - BEFORE_HOURS * NS_PER_HOUR, settled, least_share=WHOLE)
    after = realised_vol(returns, days, days + AFTER_HOURS * NS_PER_HOUR, least_share=WHOLE)
    gain, left = known.gain[safe], known.gain[safe] - known.expiring_gain[safe]
    share = known.expiring_gross_gain[safe] / known.gross_gain[safe]
    kept, left_out = kept_rows(
        {
            "no candles around it": np.isfinite(before) & np.isfinite(after),
            "no snapshot, or too old": row >= 0,
            "its snapshot's next expiry is another": known.next_expiry_ns[safe] == real,
            "no gain": np.isfinite(gain) & np.isfinite(left) & np.isfinite(share),
            f"a gain of {gain_below:g} and more": ~((gain >= gain_below) | (left >= gain_below)),
        }
    )
    day = weekday(days[kept])
    columns = {
        CHANGE: amplification(gain[kept]) - amplification(left[kept]),
        "constant": np.ones(day.size),
        "Friday": (day == 4).astype(np.float64),
        "Saturday or Sunday": (day >= 5).astype(np.float64),
        "share of gross gamma that expires": centred(share[kept]),
    }
    columns = {name: column for name, column in columns.items() if name in (CHANGE, "constant") or varies(column)}
    return Design(np.log(after[kept] / before[kept]), np.column_stack(list(columns.values())), tuple(columns), days[kept], left_out)
