"""What every price model refuses at construction, and the one stream of random numbers that exogenous prices draw from."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from tailwag.errors import InputError, RuleError, UnitError
from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.random import MOST, stream_key

Drift = float | Literal["martingale"]
"""Drift of ln S per year; "martingale" is the one that keeps E[S] where it is."""

PRICE_STREAM = 0
"""Stream of the exogenous price; agents draw from others."""

MOST_VOL = 10.0
MOST_JUMP = 3.0
MOST_DRIFT = 100.0
MOST_JUMPS_PER_STEP = 1e6


def check_vol(name: str, value: float) -> None:
    """Refuse a volatility that is no decimal from 0 to 10.

    >>> check_vol("vol", 60.0)
    Traceback (most recent call last):
    ...
    tailwag.errors.UnitError: expected vol as a decimal a year from 0 to 10, got 60; write 60 % as 0.60
    """
    if not 0.0 <= value <= MOST_VOL:
        kind = UnitError if value > MOST_VOL else InputError
        raise kind(f"expected {name} as a decimal a year from 0 to {MOST_VOL:g}, got {value:g}; write 60 % as 0.60")


def check_variance(name: str, value: float, *, above_zero: bool) -> None:
    """Refuse a yearly variance below (or, if `above_zero`, at) 0, or above 100."""
    if not (0.0 <= value <= MOST_VOL**2) or (above_zero and value == 0.0):
        kind = UnitError if value > MOST_VOL**2 else InputError
        least = "above 0" if above_zero else "from 0"
        raise kind(f"expected {name} as a variance a year {least} to {MOST_VOL**2:g}, got {value:g}; a vol of 60 % is 0.36")


def check_drift(value: Drift) -> None:
    """Refuse a drift that is neither a number of ln S per year nor "martingale"."""
    if isinstance(value, str):
        if value != "martingale":
            raise RuleError(f'expected drift_per_year as a number or "martingale", got {value[:40]!a}; 0.0 lets ln S go nowhere on average')
    elif not abs(value) <= MOST_DRIFT:
        raise UnitError(f"expected drift_per_year of ln S within +-{MOST_DRIFT:g}, got {value:g}; 0.05 is 5 % a year")


def check_least(name: str, value: float, least: float, *, advice: str, beyond: bool = False) -> None:
    """Refuse a number below `least` (at it too, if `beyond`) and anything that is not finite."""
    if not math.isfinite(value) or value < least or (beyond and value == least):
        words = f"above {least:g}" if beyond else f"of {least:g} or more"
        raise InputError(f"expected {name} {words}, got {value:g}; {advice}")


def check_jump_size(*, jump_mean: float, jump_std: float) -> None:
    """Refuse log jump sizes that can only be per cent."""
    if not abs(jump_mean) <= MOST_JUMP:
        raise UnitError(f"expected jump_mean as a log move within +-{MOST_JUMP:g}, got {jump_mean:g}; write -2 % as -0.02")
    if not 0.0 <= jump_std <= MOST_JUMP:
        raise UnitError(f"expected jump_std as a log move from 0 to {MOST_JUMP:g}, got {jump_std:g}; write 6 % as 0.06")


def check_step(step: int, step_years: float) -> None:
    """Refuse a step that is not a whole number from 0, or that does not last."""
    if not 0 <= step < MOST["step"]:
        raise InputError(f"expected step as a whole number from 0 to {MOST['step'] - 1}, got {step}; count steps from 1")
    if not (math.isfinite(step_years) and step_years > 0.0):
        raise InputError(f"expected step_years above 0, got {step_years:g}; time cannot stand still or run backwards")


def check_jump_count(expected: float) -> None:
    """Refuse more jumps a step than anybody could wait for."""
    if expected > MOST_JUMPS_PER_STEP:
        raise InputError(
            f"expected at most {MOST_JUMPS_PER_STEP:g} jumps a step, got {expected:g} on average; lower the rate or shorten the steps"
        )


def price_key(seed: int) -> np.uint64:
    """Key of the exogenous price's random numbers."""
    return stream_key(seed, PRICE_STREAM)


def no_state(paths: int) -> tuple[FloatArray]:
    """State of a model that remembers nothing: a row of zeros that says how many paths there are and takes no memory."""
    if paths < 0:
        raise InputError(f"expected a number of paths of 0 or more, got {paths}; ask for at least one")
    return (np.broadcast_to(np.float64(0.0), (paths,)),)


def same_start(value: float, paths: int) -> FloatArray:
    """The same starting value on each path."""
    return np.full(no_state(paths)[0].size, value)
