"""The primary question where only the snapshots' own prices give outcomes: from one snapshot to the next.  Descriptive."""

from __future__ import annotations

import numpy as np

from tailwag.experiments.study.inference import Design
from tailwag.experiments.study.known import Known
from tailwag.experiments.study.returns import Returns
from tailwag.experiments.study.reversal import GAIN, GROSS, WINSORISED_AT
from tailwag.experiments.study.rows import centred, kept_rows
from tailwag.kernels.arrays import FloatArray
from tailwag.units import NS_PER_HOUR, NS_PER_YEAR


def spacing_design(known: Known, *, most_gap_hours: float) -> Design:
    """The index price's move to the next snapshot on its move from the one before times the gain known between; both over implied vol and the root of time.

    Its first column is the one that matters; a gap longer than ``most_gap_hours`` on either side leaves a snapshot out.  The price that a snapshot carries
    is of its crawl, up to the publication delay before the row counts as known.
    """
    price, at_ns, last = np.log(known.spot_usd), known.known_ns, known.gain.size - 1
    here = np.arange(1, max(last, 1))
    gap = np.diff(at_ns)
    scale = known.atm_iv_7d[here] * np.sqrt(np.stack([gap[here - 1], gap[here]]) / NS_PER_YEAR)
    x, y = np.diff(price)[here - 1] / scale[0], np.diff(price)[here] / scale[1]
    gain, gross = known.gain[here], known.gross_gain[here]
    kept, left_out = kept_rows(
        {
            "a longer gap beside it": (gap[here - 1] <= most_gap_hours * NS_PER_HOUR) & (gap[here] <= most_gap_hours * NS_PER_HOUR),
            "no gain": np.isfinite(gain) & np.isfinite(gross),
            "no implied vol at 7 days": np.isfinite(scale[0]) & np.isfinite(scale[1]),
            "no price": np.isfinite(x) & np.isfinite(y),
        }
    )
    clipped = np.clip(np.stack([x, y])[:, kept], -WINSORISED_AT, WINSORISED_AT)
    columns = {
        GAIN: gain[kept] * clipped[0],
        "constant": np.ones(clipped.shape[1]),
        GROSS: centred(gross[kept]) * clipped[0],
        "return": clipped[0],
    }
    return Design(clipped[1], np.column_stack(list(columns.values())), tuple(columns), at_ns[here][kept], left_out)


def hedge_usd(known: Known, returns: Returns, *, depth_usd_per_pct: float, most_age_hours: float) -> FloatArray:
    """USD that hedgers buy per unit of log return in each candle, (candles,), by the row known as it opens; NaN where there is none."""
    row = known.row_at(returns.end_ns - returns.step_ns, most_age_hours=most_age_hours)
    bought = known.gain[np.maximum(row, 0)] * depth_usd_per_pct * 100.0
    return np.where(row >= 0, bought, np.nan)
