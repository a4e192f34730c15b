"""Checks of a policy's numbers, and how its sentence writes them."""

from __future__ import annotations

import math
import sys

from tailwag.errors import InputError

_SCALES = ((1e9, "bn"), (1e6, "M"), (1e3, "k"))


def positive(name: str, value: object) -> None:
    """Refuse anything but a finite number above 0."""
    if not (_is_number(value) and value > 0.0):  # type: ignore[operator]
        raise InputError(f"expected {name} as a finite number above 0, got {value!a}")


def at_least_zero(name: str, value: object) -> None:
    """Refuse anything but a finite number of 0 or more."""
    if not (_is_number(value) and value >= 0.0):  # type: ignore[operator]
        raise InputError(f"expected {name} as a finite number of 0 or more, got {value!a}")


def cost_in_bps(name: str, value: object) -> None:
    """Refuse a cost below 0 or above 10,000 bps (the whole value traded)."""
    at_least_zero(name, value)
    if value > 10_000:  # type: ignore[operator]
        raise InputError(f"expected {name} in basis points of the traded value, one way, up to 10000, got {value!a}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -sys.float_info.max <= value <= sys.float_info.max


def plain_usd(amount_usd: float) -> str:
    """2e6 as '2.0 M USD'."""
    for scale, name in _SCALES:
        if amount_usd >= scale:
            return f"{_digits(amount_usd / scale)} {name} USD"
    return f"{_digits(amount_usd)} USD"


def plain_coin(amount_coin: float) -> str:
    """5 as '5.0 coin'."""
    return f"{_digits(amount_coin)} coin"


def plain_minutes(minutes: float) -> str:
    """1440 as '1 day', 60 as '60 minutes'."""
    days = minutes / 1440.0
    if days >= 1.0 and days == int(days):
        return "1 day" if days == 1.0 else f"{days:g} days"
    return "1 minute" if minutes == 1.0 else f"{minutes:g} minutes"


def _digits(value: float) -> str:
    short = f"{value:,.1f}"
    return short if math.isclose(float(short.replace(",", "")), value, rel_tol=1e-12) else f"{value:g}"
