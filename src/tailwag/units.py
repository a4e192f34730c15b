"""Units and signs: the year, the clock's unit, and THE sign table that code, tests and docs share.

The sign law of the whole package:

========================  =====================================================
quantity                  sign
========================  =====================================================
position                  + long, - short
flow                      + the holder buys, - the holder sells
short gamma               buys rises, sells falls (amplifies); loop gain > 0
long gamma                sells rises, buys falls (damps); loop gain < 0
short options             short gamma, short vega, long theta
GEX                       + when dealers are long gamma
========================  =====================================================

A hedger with dollar gamma ``dollar_gamma_usd`` (S^2 times its gamma) answers a log move ``dx`` with this flow:

>>> hedge_flow_usd(dollar_gamma_usd=-5e9, log_move=+0.01) > 0    # short gamma buys a rise
True
>>> hedge_flow_usd(dollar_gamma_usd=-5e9, log_move=-0.01) < 0    # short gamma sells a fall
True
>>> hedge_flow_usd(dollar_gamma_usd=+5e9, log_move=+0.01) < 0    # long gamma sells a rise
True

A year is 365 days of 24 hours, time is UTC in integer nanoseconds, volatility is a decimal (0.60), and every other unit stands in a
name's ending: ``_usd _coin _contracts _years _days _pct _volpt _bps _ns``.
"""

from __future__ import annotations

NS_PER_SECOND = 1_000_000_000
NS_PER_MINUTE = 60 * NS_PER_SECOND
NS_PER_HOUR = 60 * NS_PER_MINUTE
NS_PER_DAY = 24 * NS_PER_HOUR
DAYS_PER_YEAR = 365
HOURS_PER_YEAR = 24 * DAYS_PER_YEAR
NS_PER_YEAR = DAYS_PER_YEAR * NS_PER_DAY

VOLPT = 0.01
"""One vol point: 0.01 of decimal volatility."""
PCT = 0.01
"""One per cent as a fraction."""


def hedge_flow_usd(*, dollar_gamma_usd: float, log_move: float) -> float:
    """USD that a delta hedger must buy after the price moves by ``log_move``.

    flow = -(S^2 Gamma) dx, + buys.  ``dollar_gamma_usd`` is signed: long gamma +, short gamma -.
    Source: the definition of delta hedging; Frey and Stremme 1997 for its feedback.

    >>> round(hedge_flow_usd(dollar_gamma_usd=-5.756555e9, log_move=0.01))
    57565550
    """
    return -dollar_gamma_usd * log_move
