"""What a desk wants to be told, how, and how often: ``alerts.toml``, read strictly."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from tailwag.errors import FileFormatError, InputError
from tailwag.experiments.scenario_tables import Table
from tailwag.service.alerts.alert import SEVERITIES, Severity
from tailwag.service.alerts.channels import Channel, read_channels
from tailwag.sources.opening import RawFile, read_file
from tailwag.units import NS_PER_MINUTE

LIMIT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """One rule: its on and off levels in the unit that their keys in the file name, and how it speaks.

    ``severity`` None leaves the word to the rule.  ``extra`` holds what only this rule has, by its key in the file.
    """

    on: float
    off: float
    enabled: bool = True
    severity: Severity | None = None
    cool_down_ns: int = 15 * NS_PER_MINUTE
    tell_cleared: bool = True
    extra: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """How messages leave: attempts before a message is given up, waits between them, and what may be waiting at most."""

    attempts: int = 10
    backoff_seconds: float = 2.0
    longest_backoff_seconds: float = 600.0
    timeout_seconds: float = 10.0
    queue_limit: int = 256
    history: int = 1000


@dataclass(frozen=True, slots=True)
class NoteSettings:
    """The daily note after the 08:00 UTC expiry: how long to let the data settle, and until when it is still worth sending."""

    enabled: bool = True
    delay_minutes: float = 5.0
    window_hours: float = 3.0


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Everything that ``alerts.toml`` says."""

    rules: Mapping[str, RuleSettings]
    delivery: DeliverySettings = DeliverySettings()
    note: NoteSettings = NoteSettings()
    channels: tuple[Channel, ...] = ()


@dataclass(frozen=True, slots=True)
class _Level:
    """Keys, defaults and bounds of a rule's two levels; ``falling``: it fires below its on level (a distance), not above it."""

    on_key: str
    off_key: str
    on: float
    off: float
    least: float
    most: float
    hint: str
    falling: bool = False
    enabled: bool = True
    extra: tuple[tuple[str, float | None, float, float, str], ...] = ()
    """Key, default (None: required), least, most, hint."""


_PCT = "per cent, 1 is 1 %"
_GAIN = "loop gain, a bare number; 1 is runaway"
LEVELS: Mapping[str, _Level] = {
    "regime": _Level("margin_gain", "margin_gain", 0.02, 0.02, 0.0, 1.0, _GAIN),
    "sign": _Level("on_share_pct", "off_share_pct", 0.05, 0.02, 0.001, 100.0, f"of gross gamma, {_PCT}"),
    "flip": _Level("on_pct", "off_pct", 1.0, 1.5, 0.05, 50.0, f"distance from spot in {_PCT}", falling=True),
    "gain": _Level("on_gain", "off_gain", 0.5, 0.4, 0.001, 1e4, _GAIN),
    "jump": _Level(
        "on_gain", "off_gain", 0.3, 0.2, 0.001, 1e4, _GAIN, extra=(("window_minutes", 15.0, 0.1, 1440.0, "minutes, a day has 1440"),)
    ),
    "wall": _Level("on_pct", "off_pct", 0.1, 0.3, 0.0, 20.0, f"beyond the wall, and back inside it, in {_PCT}"),
    "expiry": _Level("on_gain", "off_gain", 0.3, 0.2, 0.0, 1e4, _GAIN, extra=(("within_hours", 4.0, 0.05, 240.0, "hours, a day has 24"),)),
    "limit": _Level("on_used_pct", "off_used_pct", 80.0, 70.0, 1.0, 1000.0, "per cent of the limit, 80 is 80 %"),
    "vol": _Level(
        "on_volpt",
        "off_volpt",
        8.0,
        5.0,
        0.1,
        500.0,
        "vol points, 5 is 5 %",
        enabled=False,
        extra=(
            ("usual_volpt", None, -200.0, 200.0, "the spread ETH - BTC that you hold to be usual, in vol points"),
            ("tenor_days", 14.0, 0.5, 365.0, "days"),
        ),
    ),
    "stale": _Level("on_seconds", "off_seconds", 180.0, 90.0, 1.0, 7 * 86400.0, "seconds"),
}
"""Every rule with its levels; the reference page lists the same."""
_SHARED = ("enabled", "severity", "cool_down_minutes", "tell_cleared")
_APART = ("wall",)
"""Rules whose two levels lie on different sides, so that neither need be the larger."""


def default_settings(channels: tuple[Channel, ...] = ()) -> AlertSettings:
    """Every rule at its default levels; the vol rule, which has no default for what is usual, is off.

    >>> default_settings().rules["flip"].on, default_settings().rules["vol"].enabled
    (1.0, False)
    """
    empty = Table("alerts.toml", {})
    rules = {name: _rule(empty, name, NS_PER_MINUTE * 15) for name in LEVELS}
    return AlertSettings(rules, channels=channels)


def read_settings(path: str | PathLike[str]) -> AlertSettings:
    """The settings of a file.

    Raises InputError (FileFormatError where it is no TOML): the file, the table, the key, what was expected, what came and what to do.
    """
    return settings_from(read_file(path, limit_bytes=LIMIT_BYTES), path=path)


def settings_from(raw: RawFile, *, path: str | PathLike[str] | None = None) -> AlertSettings:
    """As :func:`read_settings`; ``path`` is where the file lies, None where it lies nowhere that others could read."""
    try:
        values = tomllib.loads(raw.data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise FileFormatError(f"{raw.name}: expected UTF-8 text, got other bytes; save it as UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        # what stands around the mistake may be an address, so only its place is named
        place = str(error).rsplit("(", 1)[-1].rstrip(")") if "(at " in str(error) else "somewhere"
        raise FileFormatError(f"{raw.name}: no TOML {place[:60]}; a key twice, a missing quote or bracket?") from None
    top = Table(raw.name, values)
    top.only("cool_down_minutes", "rules", "delivery", "note", "channel")
    shared_ns = _minutes_ns(top, "cool_down_minutes", 15.0)
    rules = top.table("rules", {})
    rules.only(*LEVELS)
    return AlertSettings(
        rules={name: _rule(rules, name, shared_ns) for name in LEVELS},
        delivery=_delivery(top.table("delivery", {})),
        note=_note(top.table("note", {})),
        channels=read_channels(top, path),
    )


def _rule(rules: Table, name: str, cool_down_ns: int) -> RuleSettings:
    level, given = LEVELS[name], name in rules
    table = rules.table(name, {})
    table.only(*dict.fromkeys((level.on_key, level.off_key)), *(key for key, *_ in level.extra), *_SHARED)
    enabled = table.truth("enabled", level.enabled or given)
    on = table.number(level.on_key, level.on, least=level.least, most=level.most, hint=level.hint)
    # without an off level of its own a rule keeps the gap, in proportion, that it has by default
    kept = level.off if name in _APART or level.on == 0.0 else min(level.most, level.off * on / level.on)
    off = table.number(level.off_key, kept, least=level.least, most=level.most, hint=level.hint)
    _refuse_levels(table, name, on, off)
    severity = table.text("severity", "", choices=SEVERITIES) if "severity" in table else None
    return RuleSettings(
        on=on,
        off=off,
        enabled=enabled,
        severity=severity,  # type: ignore[arg-type]  # one of the choices
        cool_down_ns=_minutes_ns(table, "cool_down_minutes", cool_down_ns / NS_PER_MINUTE),
        tell_cleared=table.truth("tell_cleared", True),
        extra={
            key: table.number(key, default if enabled else default or 0.0, least=least, most=most, hint=hint)
            for key, default, least, most, hint in level.extra
        },
    )


def _refuse_levels(table: Table, name: str, on: float, off: float) -> None:
    level = LEVELS[name]
    if level.on_key == level.off_key or name in _APART:
        return
    if (off <= on) if level.falling else (off >= on):
        side = "above" if level.falling else "below"
        raise table.refuse(
            f"expected {level.off_key} {side} {level.on_key}, got {off:g} and {on:g}; the gap between them keeps the alert from flapping"
        )


def _delivery(table: Table) -> DeliverySettings:
    table.only(*DeliverySettings.__slots__)
    first = table.number("backoff_seconds", 2.0, least=0.01, most=3600.0, hint="seconds")
    longest = table.number("longest_backoff_seconds", max(600.0, first), least=0.01, most=86400.0, hint="seconds")
    if longest < first:
        raise table.refuse(f"expected longest_backoff_seconds of at least backoff_seconds, got {longest:g} and {first:g}")
    return DeliverySettings(
        attempts=table.whole("attempts", 10, least=1, most=1000),
        backoff_seconds=first,
        longest_backoff_seconds=longest,
        timeout_seconds=table.number("timeout_seconds", 10.0, least=0.1, most=300.0, hint="seconds"),
        queue_limit=table.whole("queue_limit", 256, least=8, most=100_000, hint="messages that may wait for one channel"),
        history=table.whole("history", 1000, least=10, most=100_000, hint="alerts that are kept to be looked at"),
    )


def _note(table: Table) -> NoteSettings:
    table.only(*NoteSettings.__slots__)
    return NoteSettings(
        enabled=table.truth("enabled", True),
        delay_minutes=table.number("delay_minutes", 5.0, least=0.0, most=120.0, hint="minutes"),
        window_hours=table.number("window_hours", 3.0, least=0.25, most=23.0, hint="hours"),
    )


def _minutes_ns(table: Table, key: str, default: float) -> int:
    return round(table.number(key, default, least=0.0, most=7 * 1440.0, hint="minutes, a day has 1440") * NS_PER_MINUTE)


def settings_document(settings: AlertSettings) -> dict[str, Any]:
    """The settings without any address, as the interface may show them."""
    return {
        "rules": {
            name: {
                "enabled": rule.enabled,
                **dict.fromkeys((LEVELS[name].off_key,), rule.off),
                **dict.fromkeys((LEVELS[name].on_key,), rule.on),
                **rule.extra,
                "severity": rule.severity,
                "cool_down_minutes": rule.cool_down_ns / NS_PER_MINUTE,
                "tell_cleared": rule.tell_cleared,
            }
            for name, rule in settings.rules.items()
        },
        "delivery": {name: getattr(settings.delivery, name) for name in DeliverySettings.__slots__},
        "note": {name: getattr(settings.note, name) for name in NoteSettings.__slots__},
        "channels": [{"name": channel.name, "least_severity": channel.least_severity} for channel in settings.channels],
    }


def need_channels(settings: AlertSettings, name: str) -> None:
    """Refuse settings that say what to tell and nobody to tell it to."""
    if not settings.channels:
        raise InputError(f"{name}: expected at least one [[channel]] with a name and url, url_env or url_file; got none, so nobody is told")
