"""A measurement as the rules read it: the few numbers they need, None wherever the document does not know."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tailwag.errors import TimeError
from tailwag.experiments.report_view import Document, part, reason, records, sentences
from tailwag.figures.numbers import known
from tailwag.market.clock import format_time, parse_time_ns
from tailwag.units import NS_PER_DAY


@dataclass(frozen=True, slots=True)
class ExpiryReading:
    """One listed expiry: time in UTC ns, what it holds (USD per 1 %, coin), at-the-money volatility (decimal)."""

    at_ns: int
    gex_usd_per_pct: float | None
    gross_gex_usd_per_pct: float | None
    open_interest_coin: float | None
    atm_iv: float | None

    @property
    def at(self) -> str:
        """ISO time."""
        return format_time(self.at_ns)


@dataclass(frozen=True, slots=True)
class LimitReading:
    """One limit of the desk's own book: how much of it is used (per cent; None without a limit in USD), and whether it is exceeded."""

    by: str
    key: str
    gex_usd_per_pct: float | None
    limit_usd_per_pct: float | None
    used_pct: float | None
    breached: bool | None


@dataclass(frozen=True, slots=True)
class Reading:
    """One measurement, read.  None and empty mean that the document does not know; ``limits`` is None where no book was given.

    ``name`` is what alerts are kept by: the source, or the currency where there is one source only.
    """

    name: str
    currency: str
    as_of_ns: int | None
    synthetic: bool
    degraded: tuple[str, ...]
    spot_usd: float | None
    regime: str | None
    gain: float | None
    gain_reason: str
    gex_usd_per_pct: float | None
    gross_gex_usd_per_pct: float | None
    rule_gex_usd_per_pct: tuple[tuple[str, float | None], ...]
    flip_status: str
    flips_usd: tuple[float, ...]
    call_wall_usd: float | None
    put_wall_usd: float | None
    expiries: tuple[ExpiryReading, ...]
    limits: tuple[LimitReading, ...] | None

    @property
    def as_of(self) -> str:
        """ISO time, or 'unknown time'."""
        return format_time(self.as_of_ns) if self.as_of_ns is not None else "unknown time"

    @property
    def nearest_flip_usd(self) -> float | None:
        """The flip nearest to spot; None where there is none or spot is unknown."""
        spot = self.spot_usd
        return None if spot is None or not self.flips_usd else min(self.flips_usd, key=lambda flip: abs(flip - spot))


def read_measurement(document: Document, *, name: str = "") -> Reading:
    """The numbers of a ``tailwag.measure/1`` document that rules look at; what is missing or malformed is unknown, never zero.

    >>> read_measurement({"currency": "BTC", "spot_usd": None}).spot_usd is None
    True
    """
    gain, levels, exposure = part(document, "gain"), part(document, "levels"), part(document, "exposure")
    regime = gain.get("regime")
    currency = str(document.get("currency") or "")
    return Reading(
        name=name or currency,
        currency=currency,
        as_of_ns=_time(document.get("as_of")),
        synthetic=part(document, "source").get("synthetic") is True,
        degraded=tuple(sentences(document, "degraded"))
        or (("the measurement is degraded",) if document.get("status") == "degraded" else ()),
        spot_usd=_positive(document.get("spot_usd")),
        regime=regime if isinstance(regime, str) else None,
        gain=_number(gain.get("value")),
        gain_reason=reason(gain, "value"),
        gex_usd_per_pct=_number(exposure.get("gex_usd_per_pct")),
        gross_gex_usd_per_pct=_positive(exposure.get("gross_gex_usd_per_pct")),
        rule_gex_usd_per_pct=tuple(
            (str(row.get("rule")), _number(row.get("gex_usd_per_pct"))) for row in records(document, "gain", "by_rule")
        ),
        flip_status=str(levels.get("flip_status") or "unknown"),
        flips_usd=tuple(flip for row in records(document, "levels", "flips") if (flip := _positive(row.get("spot_usd"))) is not None),
        call_wall_usd=_positive(levels.get("call_wall_usd")),
        put_wall_usd=_positive(levels.get("put_wall_usd")),
        expiries=_expiries(document),
        limits=_limits(document),
    )


def vol_at_tenor(reading: Reading, *, at_ns: int, tenor_days: float) -> float | None:
    """At-the-money volatility (decimal) at a tenor, total variance linear between the expiries around it; None where none are around it.

    w(T) = sigma^2 T is linear between two expiries: sigma = sqrt(w(T) / T).
    """
    points = sorted(
        ((row.at_ns - at_ns) / NS_PER_DAY, row.atm_iv) for row in reading.expiries if row.atm_iv is not None and row.at_ns > at_ns
    )
    below = [point for point in points if point[0] <= tenor_days]
    above = [point for point in points if point[0] >= tenor_days]
    if not below or not above:
        return None
    (near, first), (far, last) = below[-1], above[0]
    weight = 0.0 if far == near else (tenor_days - near) / (far - near)
    return math.sqrt(((1.0 - weight) * first**2 * near + weight * last**2 * far) / tenor_days)


def _expiries(document: Document) -> tuple[ExpiryReading, ...]:
    found = [
        ExpiryReading(
            at_ns,
            _number(row.get("gex_usd_per_pct")),
            _number(row.get("gross_gex_usd_per_pct")),
            _number(row.get("open_interest_coin")),
            _positive(row.get("atm_iv")),
        )
        for row in records(document, "exposure", "by_expiry")
        if (at_ns := _time(row.get("expiry"))) is not None
    ]
    return tuple(sorted(found, key=lambda row: row.at_ns))


def _limits(document: Document) -> tuple[LimitReading, ...] | None:
    if not isinstance(document.get("my_book"), Mapping):
        return None
    return tuple(_limit(row) for row in records(document, "my_book", "limits"))


def _limit(row: Mapping[str, Any]) -> LimitReading:
    gex, limit, breached = _number(row.get("gex_usd_per_pct")), _positive(row.get("limit_usd_per_pct")), row.get("breached")
    used = None if gex is None or limit is None else abs(gex) / limit * 100.0
    return LimitReading(str(row.get("by")), str(row.get("key")), gex, limit, used, breached if isinstance(breached, bool) else None)


def _number(value: Any) -> float | None:
    return float(value) if known(value) else None


def _positive(value: Any) -> float | None:
    return float(value) if known(value) and value > 0 else None


def _time(value: Any) -> int | None:
    try:
        return parse_time_ns(value) if isinstance(value, str) else None
    except TimeError:
        return None
