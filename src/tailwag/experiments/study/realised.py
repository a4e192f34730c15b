"""Forecast: is realised vol after a snapshot higher the more hedging amplifies, beyond implied vol and past realised vol?"""

from __future__ import annotations

import numpy as np

from tailwag.experiments.study.inference import Design
from tailwag.experiments.study.known import Known
from tailwag.experiments.study.returns import Returns, past_return, realised_vol
from tailwag.experiments.study.rows import HOUR_BLOCKS, hour_block, kept_rows, varies, weekend_share
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.units import NS_PER_HOUR

AMPLIFICATION = "-log(1 - gain)"
DAY_SHARE, PAST_SHARE = 90 / 96, 0.9
PAST_HOURS = {"1 day": 24, "7 days": 168, "30 days": 720}


def realised_design(known: Known, returns: Returns, *, hours: int, gain_below: float, implied: bool = True) -> Design:
    """Logarithm of realised vol of the ``hours`` after each snapshot is known, on -log(1 - gain) and what was known besides.

    ``implied`` False leaves implied vol out, which may price the hedging.  A gain of ``gain_below`` and more has no such logarithm worth
    using and is left out, counted.
    """
    start = known.known_ns
    opened, closed = _window(returns, start, hours)
    outcome = realised_vol(returns, opened, closed, least_share=DAY_SHARE if hours >= 24 else 1.0)
    controls = _past(returns, known, hours)
    if implied:
        controls = {"log implied vol, 1 day": np.log(known.atm_iv_1d), "log implied vol, 7 days": np.log(known.atm_iv_7d)} | controls
    demands: dict[str, BoolArray] = {
        "no candles after it": np.isfinite(outcome),
        "no gain": np.isfinite(known.gain),
        f"a gain of {gain_below:g} and more": ~(known.gain >= gain_below),
    }
    demands |= {f"no {name}": np.isfinite(column) for name, column in controls.items()}
    kept, left_out = kept_rows(demands)
    columns = {AMPLIFICATION: amplification(known.gain[kept]), "constant": np.ones(int(kept.sum()))}
    columns |= {name: column[kept] for name, column in controls.items()}
    columns |= _clock(start[kept], hours)
    return Design(np.log(outcome[kept]), np.column_stack(list(columns.values())), tuple(columns), start[kept], left_out)


def amplification(gain: FloatArray) -> FloatArray:
    """-log(1 - gain): how much same-step hedging adds to the logarithm of vol.

    >>> import numpy as np
    >>> amplification(np.array([0.0, 0.5, -1.0])).round(4).tolist()
    [0.0, 0.6931, -0.6931]
    """
    return -np.log1p(-gain)


def _window(returns: Returns, start: IntArray, hours: int) -> tuple[IntArray, IntArray]:
    """From the first candle that opens once a snapshot is known."""
    opened = -(-start // returns.step_ns) * returns.step_ns
    return opened, opened + hours * NS_PER_HOUR


def _past(returns: Returns, known: Known, hours: int) -> dict[str, FloatArray]:
    """Returns and logarithms of realised vol of windows that end as a snapshot is known: vol rises after falls, and so does gamma by most rules."""
    end = known.known_ns // returns.step_ns * returns.step_ns
    windows = dict(PAST_HOURS) if hours >= 24 else {"1 hour": 1, **PAST_HOURS}
    moved = {f"return, past {name}": past_return(returns, end, length // 24) for name, length in PAST_HOURS.items()}
    return moved | {
        f"log realised vol, past {name}": np.log(
            realised_vol(returns, end - length * NS_PER_HOUR, end, least_share=1.0 if length == 1 else PAST_SHARE)
        )
        for name, length in windows.items()
    }


def _clock(start: IntArray, hours: int) -> dict[str, FloatArray]:
    if hours >= 24:
        share = weekend_share(start, hours)
        return {"weekend share": share} if varies(share) else {}
    block = hour_block(start)
    present = [one for one in range(HOUR_BLOCKS) if (block == one).any()]
    told = {f"{4 * one:02d} to {4 * one + 4:02d} UTC": (block == one).astype(np.float64) for one in present[1:]}
    share = weekend_share(start, 1)
    return told | ({"weekend share": share} if varies(share) else {})
