"""Numbers as a trader reads them: three figures, a unit, a sign where it matters, and 'n/a' where nothing is known."""

from __future__ import annotations

import math
from typing import Any, TypeGuard

import numpy as np

from tailwag.kernels.arrays import FloatArray

UNKNOWN = "n/a"
MINUS = "\u2212"
_STEPS = ((1e12, "tn"), (1e9, "bn"), (1e6, "m"), (1e3, "k"), (1.0, ""))


def known(value: Any) -> TypeGuard[float]:
    """Whether ``value`` is a finite number (None, NaN, infinities and text are not).

    >>> known(1.5), known(None), known(float("nan"))
    (True, False, False)
    """
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool) and math.isfinite(value)


def compact(value: Any, *, signed: bool = False, prefix: str = "") -> str:
    """Three significant figures with k, m, bn or tn.

    >>> compact(57_566_550, prefix="$"), compact(-1_234, signed=True), compact(999_950), compact(None)
    ('$57.6m', '−1.23k', '1.00m', 'n/a')
    """
    if not known(value):
        return UNKNOWN
    size = abs(float(value))
    divisor, suffix = next(((step, name) for step, name in _STEPS if size >= step * 0.9995), (1.0, ""))
    body = _three_figures(size / divisor)
    sign = MINUS if value < 0 and float(body) != 0 else "+" if signed and float(body) != 0 else ""
    return f"{sign}{prefix}{body}{suffix}"


def _three_figures(size: float) -> str:
    if size == 0:
        return "0"
    decimals = max(0, min(6, 2 - math.floor(math.log10(size) + 1e-9)))
    if size >= 0.9995:
        decimals = 0 if size >= 99.95 else 1 if size >= 9.995 else 2
    return f"{size:.{decimals}f}"


def money(value: Any, *, signed: bool = False) -> str:
    """USD in three figures.

    >>> money(-57_566_550, signed=True), money(0.0)
    ('−$57.6m', '$0')
    """
    return compact(value, signed=signed, prefix="$")


def price(value: Any) -> str:
    """A price level in USD, in full.

    >>> price(91630.07), price(0.4312)
    ('$91,630', '$0.4312')
    """
    if not known(value):
        return UNKNOWN
    size = abs(float(value))
    decimals = 0 if size >= 1_000 else 2 if size >= 10 else 4
    return f"{MINUS if value < 0 else ''}${size:,.{decimals}f}"


def percent(fraction: Any, *, signed: bool = False, decimals: int = 1) -> str:
    """A fraction as per cent; a small share never rounds to nothing.

    >>> percent(0.0281, signed=True), percent(0.0002), percent(0)
    ('+2.8 %', '<0.1 %', '0 %')
    """
    if not known(fraction):
        return UNKNOWN
    size = abs(float(fraction)) * 100
    if size == 0:
        return "0 %"
    least = 10.0**-decimals
    sign = MINUS if fraction < 0 else "+" if signed else ""
    return f"{sign if signed or fraction < 0 else ''}<{least:g} %" if size < least / 2 else f"{sign}{size:.{decimals}f} %"


def plain(value: Any, *, signed: bool = False) -> str:
    """A bare number such as a gain, in three figures.

    >>> plain(-0.18079), plain(0.18079, signed=True), plain(None)
    ('−0.181', '+0.181', 'n/a')
    """
    return compact(value, signed=signed)


def gain_text(value: Any) -> str:
    """A loop gain with its sign and two decimals (three below 0.1).

    >>> gain_text(0.18079), gain_text(-2.3), gain_text(0.034)
    ('+0.18', '−2.30', '+0.034')
    """
    if not known(value):
        return UNKNOWN
    body = f"{abs(float(value)):.{3 if abs(value) < 0.1 else 2}f}"
    return body if float(body) == 0 else f"{MINUS if value < 0 else '+'}{body}"


def money_scale(*values: FloatArray) -> tuple[float, str]:
    """The divisor and axis unit that keep the largest of ``values`` readable.

    >>> money_scale(np.array([3.0e6, -2.1e8]))
    (1000000.0, '$m')
    >>> money_scale(np.array([np.nan]))
    (1.0, '$')
    """
    finite = [float(np.nanmax(np.abs(array))) for array in values if np.isfinite(array).any()]
    size = max(finite, default=0.0)
    divisor, suffix = next(((step, name) for step, name in _STEPS if size >= step * 2), (1.0, ""))
    return divisor, f"${suffix}"
