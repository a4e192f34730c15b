"""Numbers of a run in words: every estimate with its error, and what cannot be told from nothing said as that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tailwag.figures.numbers import MINUS, UNKNOWN, known
from tailwag.sim.metrics_sentences import usd, with_error

Estimate = Mapping[str, Any]
TELLING = 2.0
"""An estimate this many standard errors from nothing is told; a smaller one is not distinguishable."""


def value_of(estimate: Estimate) -> float | None:
    """The value, None where unknown."""
    value = estimate.get("value")
    return float(value) if known(value) else None


def error_of(estimate: Estimate) -> float:
    """The standard error, 0 where it is exact or unknown."""
    error = estimate.get("standard_error")
    return float(error) if known(error) else 0.0


def tells(estimate: Estimate, *, nothing: float = 0.0, errors: float = TELLING) -> bool:
    """Whether a known estimate lies further from ``nothing`` than so many of its errors.

    >>> tells({"value": 0.3, "standard_error": 0.1}), tells({"value": 0.1, "standard_error": 0.1}), tells({"value": 0.0, "standard_error": 0.0})
    (True, False, False)
    """
    value = value_of(estimate)
    return value is not None and abs(value - nothing) > max(errors * error_of(estimate), 1e-9)


def number(estimate: Estimate, *, signed: bool = False) -> str:
    """A number to the digits that its error allows.

    >>> number({"value": 1.59321, "standard_error": 0.0036}), number({"value": None})
    ('1.5932 ± 0.0036', 'n/a')
    """
    value = value_of(estimate)
    return UNKNOWN if value is None else _typeset(with_error(value, error_of(estimate) or None), value, signed)


def percent(estimate: Estimate, *, signed: bool = False, unit: str = " %") -> str:
    """A fraction as per cent.

    >>> percent({"value": 0.5936, "standard_error": 0.0036}), percent({"value": -0.01, "standard_error": 0.002}, signed=True)
    ('59.36 ± 0.36 %', '−1.00 ± 0.20 %')
    """
    value = value_of(estimate)
    if value is None:
        return UNKNOWN
    scaled = 100.0 * value
    return _typeset(with_error(scaled, 100.0 * error_of(estimate) or None), scaled, signed) + unit


def dollars(estimate: Estimate, *, signed: bool = False) -> str:
    """USD with its error in one unit.

    >>> dollars({"value": -2.9e6, "standard_error": 1.7e6}), dollars({"value": 1e-9, "standard_error": 1e-12}, signed=True)
    ('−$2.9m ± $1.7m', '$0')
    """
    value = value_of(estimate)
    if value is None:
        return UNKNOWN
    said = usd({"value": value, "standard_error": error_of(estimate)})
    return "$0" if said == "$0" else _typeset(said, value, signed)


def _typeset(said: str, value: float, signed: bool) -> str:
    body = said.removeprefix("-").replace("+-", "±")
    return f"{MINUS if value < 0 else '+' if signed and value > 0 else ''}{body}"


def share(share_of_paths: Estimate) -> str:
    """A share of paths as per cent in two figures; 100 only for all of them.

    >>> share({"value": 0.0025}), share({"value": 0.9975}), share({"value": 0.0}), share({"value": 1.0})
    ('0.25 %', '99.75 %', '0 %', '100 %')
    """
    value = value_of(share_of_paths)
    if value is None:
        return UNKNOWN
    scaled = 100.0 * value
    return f"{scaled:.2g} %" if scaled < 99.0 else f"{scaled:.4g} %"
