"""What a rule finds, and what a person is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

from tailwag.market.clock import format_time

Severity = Literal["info", "warning", "critical"]
Phase = Literal["raised", "cleared", "event"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says of one thing at one moment.

    ``active``: True beyond the on level, False beyond the off level, None between the two or unknown; ``unknown`` says why, and is empty
    where the value is known.  ``key`` names the thing that is watched and stays the same for as long as it is watched.
    """

    key: str
    rule: str
    currency: str
    active: bool | None
    severity: Severity
    raised: str
    """The sentence of the alert."""
    cleared: str = ""
    """The sentence once it is over; empty: an event, which is never over."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """One message to people: ``id`` is its idempotency key, the same for every attempt to deliver it."""

    id: str
    key: str
    rule: str
    phase: Phase
    severity: Severity
    currency: str
    at_ns: int
    sentence: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The line that a phone shows."""
        about = f" {self.currency}" if self.currency else ""
        told = "over: " if self.phase == "cleared" else ""
        return f"tailwag{about}: {told}{self.rule} ({self.severity})"

    def document(self) -> dict[str, Any]:
        """As the interface and ``--json`` write it."""
        return {
            "id": self.id,
            "key": self.key,
            "rule": self.rule,
            "phase": self.phase,
            "severity": self.severity,
            "currency": self.currency,
            "at": format_time(self.at_ns),
            "sentence": self.sentence,
            "evidence": dict(self.evidence),
        }

    def record(self) -> dict[str, Any]:
        """As the journal writes it: the same, to the nanosecond."""
        return {**self.document(), "at_ns": self.at_ns}


def alert_from(document: Mapping[str, Any]) -> Alert:
    """The alert that :meth:`Alert.record` wrote.

    >>> alert = Alert(alert_id("BTC/gain", "raised", 5, 1), "BTC/gain", "gain", "raised", "warning", "BTC", 5, "Gain is 0.7.")
    >>> alert_from(alert.record()) == alert
    True
    """
    return Alert(**{name: document[name] for name in Alert.__slots__})


def alert_id(key: str, phase: str, at_ns: int, serial: int) -> str:
    """The idempotency key of one alert: the same alert has the same, and no other alert has it.

    >>> alert_id("BTC/gain", "raised", 5, 1) == alert_id("BTC/gain", "raised", 5, 1) != alert_id("BTC/gain", "raised", 5, 2)
    True
    """
    return sha256(f"{key}|{phase}|{at_ns}|{serial}".encode()).hexdigest()[:32]
