"""The daily index: one loop gain and one hedged-interest ratio a day for each currency, by a rule that anybody can apply to the same data.

Pure: it takes what single snapshots measured and says which of them count, and what the day's values are.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tailwag.units import NS_PER_DAY, NS_PER_MINUTE, NS_PER_SECOND

SCHEMA = "tailwag.index/1"
DIGITS = 9
RUNAWAY = 1.0


@dataclass(frozen=True, slots=True)
class IndexDefinition:
    """What version 1 of the index fixes; a change of any of it is another version.  Times are minutes after 00:00 UTC."""

    schema: str = SCHEMA
    rules: tuple[str, str] = ("long-calls-short-puts", "customers-sell-otm")
    """Who is short what; the value is the first one's, and both must agree on its sign."""
    dynamics: str = "sticky-strike"
    vol: str = "venue"
    gamma: str = "model"
    day_count: str = "act-365"
    forward: str = "market"
    law: str = "square-root"
    impact_y: float = 1.0
    move_pct: float = 1.0
    hedge_share: float = 1.0
    before_minutes: tuple[int, int] = (390, 450)
    """06:30 to 07:30: the last hour before the expiring options begin to settle on an average."""
    after_minutes: tuple[int, int] = (510, 570)
    """08:30 to 09:30: the expired options have left the chain; the day's value is this window's."""
    mark_minutes: int = 5
    least_marks: int = 6
    """Of the twelve five-minute marks of a window."""
    most_masked_share: float = 0.1
    """A snapshot that masks a larger share of its open interest does not count."""

    @property
    def marks(self) -> int:
        """Five-minute marks of a window."""
        return (self.after_minutes[1] - self.after_minutes[0]) // self.mark_minutes

    def document(self) -> dict[str, Any]:
        """Plain values for strict JSON."""
        return {
            "schema": self.schema,
            "rules": list(self.rules),
            "dynamics": self.dynamics,
            "vol": self.vol,
            "gamma": self.gamma,
            "day_count": self.day_count,
            "forward": self.forward,
            "law": self.law,
            "impact_y": self.impact_y,
            "move_pct": self.move_pct,
            "hedge_share": self.hedge_share,
            "before_expiry_utc": [_clock(minute) for minute in self.before_minutes],
            "after_expiry_utc": [_clock(minute) for minute in self.after_minutes],
            "mark_minutes": self.mark_minutes,
            "least_marks": self.least_marks,
            "most_masked_share": self.most_masked_share,
        }


DEFINITION = IndexDefinition()


@dataclass(frozen=True, slots=True)
class Observation:
    """What one snapshot contributes: its time, and per rule (in the definition's order) GEX and gain; None where it is not known."""

    at_ns: int
    gex_usd_per_pct: tuple[float, ...]
    loop_gain: tuple[float | None, ...]
    gain_reason: str | None
    hedged_open_interest_usd: float
    daily_volume_usd: float | None
    masked_share: float
    spot_usd: float
    source: str = ""
    synthetic: bool = False

    @property
    def hedged_oi_ratio(self) -> float | None:
        """Hedged open interest over the volume of 24 hours; None where no volume is known."""
        volume = self.daily_volume_usd
        return None if volume is None or volume <= 0.0 else self.hedged_open_interest_usd / volume


@dataclass(frozen=True, slots=True)
class IndexWindow:
    """One window of one day: medians over its marks, and why a value is missing.  Units in the names; G > 0 amplifies."""

    from_ns: int
    to_ns: int
    marks: int
    measured: int
    left_out: int
    loop_gain: float | None
    regime: str | None
    reason: str | None
    gex_usd_per_pct: tuple[float | None, ...]
    gain_by_rule: tuple[float | None, ...]
    hedged_oi_ratio: float | None
    hedged_oi_reason: str | None
    hedged_open_interest_usd: float | None
    daily_volume_usd: float | None
    spot_usd: float | None

    def document(self, definition: IndexDefinition) -> dict[str, Any]:
        """Plain values for strict JSON, numbers to nine significant digits."""
        rules = zip(definition.rules, self.gex_usd_per_pct, self.gain_by_rule, strict=True)
        return {
            "from": _time(self.from_ns),
            "to": _time(self.to_ns),
            "marks": self.marks,
            "measured": self.measured,
            "left_out": self.left_out,
            "loop_gain": quoted(self.loop_gain),
            "regime": self.regime,
            "reason": self.reason,
            "by_rule": [{"rule": rule, "gex_usd_per_pct": quoted(gex), "loop_gain": quoted(gain)} for rule, gex, gain in rules],
            "hedged_oi_ratio": quoted(self.hedged_oi_ratio),
            "hedged_oi_reason": self.hedged_oi_reason,
            "hedged_open_interest_usd": quoted(self.hedged_open_interest_usd),
            "daily_volume_usd": quoted(self.daily_volume_usd),
            "spot_usd": quoted(self.spot_usd),
        }


@dataclass(frozen=True, slots=True)
class IndexDay:
    """One day of the index: the values after the expiry, what they were before it, and the step between the two."""

    day_ns: int
    currency: str
    before: IndexWindow
    after: IndexWindow
    sources: tuple[str, ...] = ()
    synthetic: bool = False
    definition: IndexDefinition = DEFINITION

    @property
    def date(self) -> str:
        """The day in UTC, YYYY-MM-DD."""
        return _time(self.day_ns)[:10]

    @property
    def expiry_step(self) -> float | None:
        """What the morning's expiry changed: gain after minus gain before."""
        before, after = self.before.loop_gain, self.after.loop_gain
        return None if before is None or after is None else after - before

    def document(self) -> dict[str, Any]:
        """Plain values for strict JSON."""
        return {
            "date": self.date,
            "currency": self.currency,
            "loop_gain": quoted(self.after.loop_gain),
            "regime": self.after.regime,
            "reason": self.after.reason,
            "hedged_oi_ratio": quoted(self.after.hedged_oi_ratio),
            "hedged_oi_reason": self.after.hedged_oi_reason,
            "loop_gain_before_expiry": quoted(self.before.loop_gain),
            "expiry_step": quoted(self.expiry_step),
            "sources": list(self.sources),
            "synthetic": self.synthetic,
            "before_expiry": self.before.document(self.definition),
            "after_expiry": self.after.document(self.definition),
        }

    def __str__(self) -> str:
        gain, ratio = self.after.loop_gain, self.after.hedged_oi_ratio
        shown = f"{gain:+.3f} ({self.after.regime})" if gain is not None else f"none, {self.after.reason}"
        return (
            f"{self.date} {self.currency}: loop gain {shown}; hedged OI {'unknown' if ratio is None else f'{ratio:.3f}'} of a day's volume"
        )


def mark_of(at_ns: int, window: tuple[int, int], definition: IndexDefinition = DEFINITION) -> int | None:
    """The number of the five-minute mark that a time falls in, None outside the window: [start, end), end not included.

    >>> mark_of(510 * 60_000_000_000, (510, 570)), mark_of(570 * 60_000_000_000, (510, 570))
    (0, None)
    """
    minute = at_ns % NS_PER_DAY // NS_PER_MINUTE
    return int(minute - window[0]) // definition.mark_minutes if window[0] <= minute < window[1] else None


def index_day(day_ns: int, currency: str, observations: Iterable[Observation], definition: IndexDefinition = DEFINITION) -> IndexDay:
    """The day's index from what its snapshots measured, in any order; ``day_ns`` is 00:00 UTC.

    In each window every five-minute mark counts once, with its last snapshot that masks at most 10 % of its open interest.  With six marks
    or more the values are medians over the marks.  The gain of the first rule is given where both rules' median GEX have one sign, else it
    is None, the regime is 'undetermined', and both rules' gains stand beside it.  Source: docs/explanation/the-index.

    >>> index_day(0, "BTC", []).after.reason
    '0 of 12 five-minute marks were measured, 6 are needed'
    """
    mine = [one for one in observations if day_ns <= one.at_ns < day_ns + NS_PER_DAY]
    before, after = (_window(day_ns, window, mine, definition) for window in (definition.before_minutes, definition.after_minutes))
    inside = [one for one in mine if any(mark_of(one.at_ns, w, definition) is not None for w in _windows(definition))]
    sources = tuple(sorted({one.source for one in inside} - {""}))
    return IndexDay(day_ns, currency, before, after, sources, any(one.synthetic for one in inside), definition)


def quoted(value: float | None) -> float | None:
    """A value as the index states it: nine significant digits, so that another machine's last bits change nothing.

    >>> quoted(0.12345678949), quoted(None)
    (0.123456789, None)
    """
    return None if value is None or not math.isfinite(value) else float(f"{value:.{DIGITS}g}") + 0.0


def _windows(definition: IndexDefinition) -> tuple[tuple[int, int], tuple[int, int]]:
    return definition.before_minutes, definition.after_minutes


def _window(day_ns: int, window: tuple[int, int], observations: Sequence[Observation], definition: IndexDefinition) -> IndexWindow:
    inside = [one for one in observations if mark_of(one.at_ns, window, definition) is not None]
    fit = [one for one in inside if one.masked_share <= definition.most_masked_share]
    last = {mark_of(one.at_ns, window, definition): one for one in sorted(fit, key=lambda one: one.at_ns)}
    counted = list(last.values())
    enough = len(counted) >= definition.least_marks
    short = f"{len(counted)} of {definition.marks} five-minute marks were measured, {definition.least_marks} are needed"
    gex: tuple[float | None, ...] = (None, None)
    if enough:
        gex = tuple(statistics.median(column) for column in zip(*(one.gex_usd_per_pct for one in counted), strict=True))
    gains = tuple(_of_enough(list(column), definition) for column in zip(*(one.loop_gain for one in counted), strict=True)) or (None, None)
    value, regime, reason = (
        _judged(gex, gains, next((one.gain_reason for one in counted if one.gain_reason), None)) if enough else (None, None, short)
    )
    ratio = _of_enough([one.hedged_oi_ratio for one in counted], definition)
    return IndexWindow(
        from_ns=day_ns + window[0] * NS_PER_MINUTE,
        to_ns=day_ns + window[1] * NS_PER_MINUTE,
        marks=definition.marks,
        measured=len(counted),
        left_out=len(inside) - len(fit),
        loop_gain=value,
        regime=regime,
        reason=reason,
        gex_usd_per_pct=gex,
        gain_by_rule=gains if enough else (None, None),
        hedged_oi_ratio=ratio,
        hedged_oi_reason=None if ratio is not None else short if not enough else "no 24 h volume in the source",
        hedged_open_interest_usd=_of_enough([one.hedged_open_interest_usd for one in counted], definition),
        daily_volume_usd=_of_enough([one.daily_volume_usd for one in counted], definition),
        spot_usd=_of_enough([one.spot_usd for one in counted], definition),
    )


def _judged(gex: Sequence[float | None], gains: Sequence[float | None], reason: str | None) -> tuple[float | None, str | None, str | None]:
    """Value, regime and reason of a window that holds enough marks."""
    signs = {math.copysign(1.0, one) for one in gex if one}
    if len(signs) != 1:
        return (
            None,
            "undetermined",
            "the rules disagree about the sign of net GEX; each one's gain is under by_rule" if signs else "net GEX is zero",
        )
    value = gains[0]
    regime = "damping" if signs == {1.0} else "runaway" if value is not None and value >= RUNAWAY else "amplifying"
    return value, regime, None if value is not None else reason or "no depth is known in enough marks"


def _of_enough(values: Sequence[float | None], definition: IndexDefinition) -> float | None:
    """Median of the marks that know the number, None where too few do."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if len(known) >= definition.least_marks else None


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _time(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // NS_PER_SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
