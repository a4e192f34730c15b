"""The rules about levels, expiries, the desk's own limits, two markets at once, and the age of the data.  Pure, like all rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tailwag.figures.labels import waiting
from tailwag.figures.numbers import gain_text, money, percent, price
from tailwag.market.clock import format_time
from tailwag.service.alerts.alert import Finding
from tailwag.service.alerts.reading import ExpiryReading, LimitReading, Reading, vol_at_tenor
from tailwag.service.alerts.rules import View, between, no_gain, unknown
from tailwag.service.alerts.settings import RuleSettings
from tailwag.units import NS_PER_HOUR, NS_PER_SECOND

FUTURE_SECONDS = 60.0
"""Data from further ahead than this say nothing about their age: one of the clocks is wrong."""
BREACHED_PCT, BREACH_OVER_PCT = 100.0, 95.0


@dataclass(frozen=True, slots=True)
class Wall:
    """One side's wall: ``sign`` +1 for the call wall, which breaks upwards, -1 for the put wall."""

    name: str
    sign: int
    armed_usd: float | None
    """The wall that spot has not crossed, or the broken one."""
    stated_usd: float | None
    """The wall that this document names."""

    def beyond_pct(self, spot_usd: float, wall_usd: float) -> float:
        """How far spot is beyond a wall, per cent of the wall; negative inside it."""
        return self.sign * (spot_usd / wall_usd - 1.0) * 100.0


def walls(view: View) -> tuple[Wall, Wall]:
    """The call wall and the put wall, as armed and as stated."""
    memory, reading = view.memory, view.reading
    return (
        Wall("call", 1, memory.call_wall_usd, reading.call_wall_usd),
        Wall("put", -1, memory.put_wall_usd, reading.put_wall_usd),
    )


def wall_rule(view: View) -> Iterator[Finding]:
    """Spot went through the strike where one side's gamma is largest."""
    for wall in walls(view):
        key, spot, level = f"{view.reading.name}/{wall.name}-wall", view.reading.spot_usd, wall.armed_usd
        if spot is None or (level is None and wall.stated_usd is None):
            yield unknown(view, key, "wall", "spot is unknown" if spot is None else f"the {wall.name} wall is unknown")
        elif level is not None:
            yield _wall_finding(view, wall, key, spot, level)


def _wall_finding(view: View, wall: Wall, key: str, spot: float, level: float) -> Finding:
    beyond = wall.beyond_pct(spot, level)
    renewed = view.on(key) and new_wall_usd(wall, spot, view.rule) not in (None, level)
    active = False if renewed or beyond <= -view.rule.off else True if beyond >= view.rule.on else None
    way, side = ("above", "rose") if wall.sign > 0 else ("below", "fell")
    cleared = (
        f"The {wall.name} wall now stands at {price(wall.stated_usd)}; {price(level)} was broken, spot is {price(spot)}."
        if renewed
        else f"Spot is back inside the {wall.name} wall of {price(level)}: {price(spot)}."
    )
    return Finding(
        key,
        "wall",
        view.reading.currency,
        active,
        "warning",
        f"Spot {side} through the {wall.name} wall: {price(spot)} is {beyond:.2f} % {way} {price(level)}, the strike with the largest"
        f" {wall.name} gamma.",
        cleared,
        {"wall_usd": level, "spot_usd": spot, "beyond_pct": beyond, "stated_wall_usd": wall.stated_usd},
    )


def new_wall_usd(wall: Wall, spot_usd: float, rule: RuleSettings) -> float | None:
    """The stated wall where spot is clearly inside it, else None."""
    stated = wall.stated_usd
    return stated if stated is not None and wall.beyond_pct(spot_usd, stated) < -rule.off else None


def armed_wall_usd(wall: Wall, spot_usd: float | None, *, broken: bool) -> float | None:
    """The wall to watch from now on.

    A broken wall stays until it is whole again.  Else the stated wall, while spot is inside it.  A wall that lies behind spot without
    having been crossed is none: it moved there.
    """
    if broken or spot_usd is None or wall.stated_usd is None:
        return wall.armed_usd
    inside = wall.beyond_pct(spot_usd, wall.stated_usd) < 0.0
    return wall.stated_usd if inside or wall.stated_usd == wall.armed_usd else None


def expiry_rule(view: View) -> Iterator[Finding]:
    """An expiry is near while the gain is large."""
    reading, hours = view.reading, view.rule.extra["within_hours"]
    for row in reading.expiries:
        left = (row.at_ns - view.at_ns) / NS_PER_HOUR
        if 0.0 < left <= hours:
            yield _expiry_finding(view, row, left)
    listed = {expiry_key(reading.name, row.at): row.at_ns for row in reading.expiries}
    for key in list(view.conditions):
        # time alone ends this condition, also where the expiry is no longer listed
        if key.startswith(f"{reading.name}/expiry/") and view.on(key) and (key not in listed or listed[key] <= view.at_ns):
            yield Finding(key, "expiry", reading.currency, False, "info", "", f"The expiry of {key.rsplit('/', 1)[-1]} is over.")


def expiry_key(name: str, at: str) -> str:
    """Which condition watches an expiry."""
    return f"{name}/expiry/{at}"


def _expiry_finding(view: View, row: ExpiryReading, hours: float) -> Finding:
    reading, key = view.reading, expiry_key(view.reading.name, row.at)
    if reading.gain is None:
        return unknown(view, key, "expiry", no_gain(reading))
    gross, whole = row.gross_gex_usd_per_pct, reading.gross_gex_usd_per_pct
    share = f" ({percent(gross / whole)} of all)" if gross is not None and whole is not None else ""
    return Finding(
        key,
        "expiry",
        reading.currency,
        view.active(abs(reading.gain)),
        "warning",
        f"The expiry of {row.at} is {waiting(hours)} away with loop gain at {gain_text(reading.gain)}: it takes away {money(gross)} of gross"
        f" gamma per 1 %{share}.",
        f"Loop gain is {gain_text(reading.gain)} before the expiry of {row.at}, within {view.rule.off:g} again.",
        {"expiry": row.at, "hours": hours, "gain": reading.gain, "gross_gex_usd_per_pct": gross, "gex_usd_per_pct": row.gex_usd_per_pct},
    )


def limit_rule(view: View) -> Iterator[Finding]:
    """The desk's own book uses much of a limit, or exceeds it."""
    reading = view.reading
    start = f"{reading.name}/limit/"
    if reading.limits is None:
        for key in view.conditions:
            if key.startswith(start) and view.on(key):
                yield unknown(view, key, "limit", "the document holds no book of the desk")
        return
    seen = set()
    for row in reading.limits:
        for finding in _limit_findings(view, row, f"{start}{row.by}/{row.key}"):
            seen.add(finding.key)
            yield finding
    for key in view.conditions:
        if key.startswith(start) and key not in seen and view.on(key):
            yield Finding(
                key, "limit", reading.currency, False, "info", "", f"The own book holds nothing at {key.removeprefix(start)} any more."
            )


def _limit_findings(view: View, row: LimitReading, key: str) -> Iterator[Finding]:
    currency, what = view.reading.currency, f"The own limit at {row.by} {row.key}"
    if row.gex_usd_per_pct is None:
        yield unknown(view, f"{key}/used", "limit", f"the own gamma at {row.by} {row.key} is unknown")
        return
    evidence = {"by": row.by, "key": row.key, "gex_usd_per_pct": row.gex_usd_per_pct, "limit_usd_per_pct": row.limit_usd_per_pct}
    if row.used_pct is None:
        if row.breached is not None:
            yield Finding(
                f"{key}/breached", "limit", currency, row.breached, "critical", f"{what} is exceeded.", f"{what} is kept.", evidence
            )
        return
    told = f"{row.used_pct:.0f} % used: net GEX {money(row.gex_usd_per_pct, signed=True)} per 1 % against {money(row.limit_usd_per_pct)}."
    evidence["used_pct"] = row.used_pct
    yield Finding(
        f"{key}/used", "limit", currency, view.active(row.used_pct), "warning", f"{what} is {told}", f"{what} is {told}", evidence
    )
    over = between(row.used_pct, BREACHED_PCT, BREACH_OVER_PCT)
    if row.used_pct == BREACHED_PCT:
        over = None  # a limit that is just met is not exceeded
    yield Finding(
        f"{key}/breached", "limit", currency, over, "critical", f"{what} is exceeded, {told}", f"{what} is kept, {told}", evidence
    )


def vol_rule(first: Reading, second: Reading, rule: RuleSettings, *, at_ns: int, apart_seconds: float) -> Finding:
    """The spread of two coins' implied vols left what the desk holds to be usual."""
    key, days = f"{first.currency}-{second.currency}/vol", rule.extra["tenor_days"]
    pair = f"{first.currency}-{second.currency}"
    vols = tuple(vol_at_tenor(reading, at_ns=reading.as_of_ns or at_ns, tenor_days=days) for reading in (first, second))
    if vols[0] is None or vols[1] is None:
        missing = first.currency if vols[0] is None else second.currency
        return Finding(key, "vol", pair, None, "info", "", unknown=f"{missing} has no at-the-money vol on both sides of {days:g} days")
    apart = abs((first.as_of_ns or 0) - (second.as_of_ns or 0)) / NS_PER_SECOND
    if apart > apart_seconds:
        return Finding(key, "vol", pair, None, "info", "", unknown=f"the two measurements are {apart:.0f} s apart")
    usual = rule.extra["usual_volpt"]
    spread = (vols[1] - vols[0]) * 100.0
    told = (
        f"{days:g}-day implied vol of {second.currency} {vols[1]:.1%} less {first.currency} {vols[0]:.1%} is {spread:+.1f} vol points, "
        f"{spread - usual:+.1f} from the usual {usual:+g}"
    ).replace("%", " %")
    evidence = {"iv": {first.currency: vols[0], second.currency: vols[1]}, "spread_volpt": spread, "usual_volpt": usual, "tenor_days": days}
    return Finding(
        key,
        "vol",
        pair,
        between(abs(spread - usual), rule.on, rule.off),
        "warning",
        f"{told} (alert from {rule.on:g}).",
        f"{told}.",
        evidence,
    )


def stale_rule(view: View, *, age_seconds: float | None, because: str = "") -> Finding:
    """The data are old: every number shown from them is of the past.

    ``age_seconds`` is the age by the clock of whoever received the data; without it, the time since the document's own time.  ``because``:
    the receiver does not vouch for the data, whatever their age, and this is why.
    """
    reading, key = view.reading, f"{view.reading.name}/stale"
    age = age_seconds
    if age is None and reading.as_of_ns is not None:
        age = (view.at_ns - reading.as_of_ns) / NS_PER_SECOND
    if age is None and not because:
        return unknown(view, key, "stale", "the document has no time")
    if age is not None and age < -FUTURE_SECONDS and not because:
        return unknown(view, key, "stale", f"the data are dated {-age:.0f} s ahead of this clock; set the clock")
    age = 0.0 if age is None else max(0.0, age)
    why = because or f"{age:.0f} s old (limit {view.rule.on:g} s)"
    dated = f"the last are of {reading.as_of}" if reading.as_of_ns is not None else "none have come yet"
    return Finding(
        key,
        "stale",
        reading.currency,
        True if because else between(age, view.rule.on, view.rule.off),
        "critical",
        f"Data are stale: {why}, {dated}; numbers shown are of the past, the other rules wait.",
        f"Data flow again: {age:.0f} s old, of {reading.as_of}.",
        {"age_seconds": age, "as_of": None if reading.as_of_ns is None else format_time(reading.as_of_ns)},
    )
