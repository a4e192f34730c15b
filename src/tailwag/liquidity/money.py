"""Dollars as traders write them."""

from __future__ import annotations

_STEPS = ((1e12, "tn"), (1e9, "bn"), (1e6, "m"), (1e3, "k"))


def dollars(amount_usd: float) -> str:
    """A dollar amount in three or four digits with its scale, for sentences only.

    >>> dollars(57565551.75), dollars(-10e9), dollars(1_013_920_000), dollars(12.3)
    ('$57.6m', '-$10bn', '$1.01bn', '$12.3')
    """
    sign, size = ("-" if amount_usd < 0.0 else ""), abs(amount_usd)
    for scale, name in _STEPS:
        if size >= 0.9995 * scale:
            return f"{sign}${_digits(size / scale)}{name}"
    return f"{sign}${_digits(size)}"


def _digits(value: float) -> str:
    places = 0 if value >= 1000 else 1 if value >= 10 else 2
    text = f"{value:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
