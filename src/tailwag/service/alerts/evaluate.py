"""One step of the rules: what they remember and the newest measurements in, alerts and what they remember next out.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tailwag.experiments.report_view import Document
from tailwag.market.clock import format_time
from tailwag.service.alerts.alert import Alert, Finding, Phase, alert_id
from tailwag.service.alerts.note import daily_note, expiry_before, note_due
from tailwag.service.alerts.reading import Reading, read_measurement
from tailwag.service.alerts.rules import View, flip_rule, gain_rule, jump_rule, regime_rule, sign_rule
from tailwag.service.alerts.rules_levels import (
    armed_wall_usd,
    expiry_rule,
    limit_rule,
    stale_rule,
    vol_rule,
    wall_rule,
    walls,
)
from tailwag.service.alerts.settings import AlertSettings
from tailwag.service.alerts.state import MOST_GAINS, AlertState, Condition, Memory, idle, reading_left, stepped
from tailwag.units import NS_PER_MINUTE

RULES: Mapping[str, Callable[[View], Iterator[Finding]]] = {
    "regime": regime_rule,
    "sign": sign_rule,
    "flip": flip_rule,
    "gain": gain_rule,
    "jump": jump_rule,
    "wall": wall_rule,
    "expiry": expiry_rule,
    "limit": limit_rule,
}
"""The rules about one measurement, in the order in which their alerts are told; vol looks at two, stale at the age."""
PAIRS = (("BTC", "ETH"),)
SYNTHETIC = "SYNTHETIC demo data: "


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one step came to: alerts to tell, every finding behind them, what was held for want of knowledge, and the next state."""

    alerts: tuple[Alert, ...]
    findings: tuple[Finding, ...]
    held: tuple[str, ...]
    state: AlertState


class _Step:
    """The state while one step is made of it; nothing outside this module sees it change."""

    def __init__(self, state: AlertState, settings: AlertSettings, at_ns: int) -> None:
        self.settings, self.at_ns = settings, at_ns
        self.conditions: dict[str, Condition] = dict(state.conditions)
        self.memories: dict[str, Memory] = dict(state.memories)
        self.serial = state.serial
        self.alerts: list[Alert] = []
        self.findings: list[Finding] = []
        self.held: list[str] = []

    def take(self, finding: Finding, reading: Reading | None) -> Phase | None:
        """Step the condition that a finding is about; tell people where they must be told."""
        before = self.conditions.get(finding.key, Condition())
        rule = self.settings.rules[finding.rule]
        self.conditions[finding.key], phase, untold = stepped(before, finding, rule, at_ns=self.at_ns)
        self.findings.append(finding)
        if finding.unknown:
            self.held.append(f"{finding.key} stays {'on' if before.on else 'off'}: {finding.unknown}")
        if phase is not None:
            sentence = finding.cleared if phase == "cleared" else finding.raised
            times = "once" if untold == 1 else f"{untold} times"
            more = f" It came and went {times} since the last alert." if untold else ""
            severity = "info" if phase == "cleared" else rule.severity or finding.severity
            self.tell(replace(finding, raised=sentence + more, severity=severity), phase, reading)
        return phase

    def tell(self, finding: Finding, phase: Phase, reading: Reading | None) -> None:
        """An alert, numbered, with what must be known of its data."""
        self.serial += 1
        evidence: dict[str, Any] = dict(finding.evidence)
        sentence = finding.raised
        if reading is not None:
            evidence = {"as_of": None if reading.as_of_ns is None else reading.as_of, "synthetic": reading.synthetic, **evidence}
            if reading.degraded:
                evidence["degraded"] = list(reading.degraded)
                sentence = f"{sentence} Data are degraded: {reading.degraded[0]}"
            sentence = f"{SYNTHETIC if reading.synthetic else ''}{sentence}"
        name = alert_id(finding.key, phase, self.at_ns, self.serial)
        alert = Alert(name, finding.key, finding.rule, phase, finding.severity, finding.currency, self.at_ns, sentence, evidence)
        self.alerts.append(alert)

    def view(self, reading: Reading, rule: str) -> View:
        """What a rule may look at."""
        return View(reading, self.memories.get(reading.name, Memory()), self.conditions, self.settings.rules[rule], self.at_ns)

    def done(self) -> Evaluation:
        """The outcome; conditions with nothing to remember are forgotten."""
        kept = {key: condition for key, condition in self.conditions.items() if not idle(condition, at_ns=self.at_ns)}
        return Evaluation(tuple(self.alerts), tuple(self.findings), tuple(self.held), AlertState(kept, self.memories, self.serial))


def evaluate(
    state: AlertState,
    documents: Mapping[str, Document],
    settings: AlertSettings,
    *,
    at_ns: int,
    age_seconds: Mapping[str, float] | None = None,
    stale: Mapping[str, str] | None = None,
) -> Evaluation:
    """Hold the newest measurement of each source against the rules.

    ``documents``: ``tailwag.measure/1`` by source or currency; an empty one says that it is watched and nothing has come yet.
    ``at_ns``: the time it is.  ``age_seconds``: ages by the receiver's clock, where it knows better than the documents' own times.
    ``stale``: sources that their receiver does not vouch for, and why.
    Calling it again with the same documents and a later time changes nothing but ages and hours: a step may be repeated safely.

    >>> from tailwag.service.alerts.settings import default_settings
    >>> step = evaluate(AlertState(), {"BTC": {"currency": "BTC", "gain": {"value": 0.7}}}, default_settings(), at_ns=10**18)
    >>> [alert.sentence for alert in step.alerts]
    ['Loop gain is +0.70 (alert from 0.5 either way): hedging amplifies moves, the hedging of a 1 % move pushes the price 0.70 % further.']
    """
    step = _Step(state, settings, at_ns)
    fresh: dict[str, Reading] = {}
    for name in sorted(documents):
        reading = read_measurement(documents[name], name=name)
        vouched = _fresh(step, reading, (age_seconds or {}).get(name), (stale or {}).get(name, ""))
        if vouched and _newest(step, reading):
            fresh.setdefault(reading.currency, reading)
            _measured(step, reading, documents[name])
    _pairs(step, fresh)
    return step.done()


def _fresh(step: _Step, reading: Reading, age_seconds: float | None, because: str) -> bool:
    """Judge the age first: the other rules wait while data are stale."""
    if not step.settings.rules["stale"].enabled:
        return not because
    finding = stale_rule(step.view(reading, "stale"), age_seconds=age_seconds, because=because)
    step.take(finding, reading)
    if step.conditions[finding.key].on:
        step.held.append(f"{reading.name}: the other rules wait while data are stale")
        return False
    return True


def _newest(step: _Step, reading: Reading) -> bool:
    """A document from before the one that the rules have seen tells nothing new."""
    seen_ns = step.memories.get(reading.name, Memory()).as_of_ns
    if reading.as_of_ns is not None and reading.as_of_ns < seen_ns:
        step.held.append(f"{reading.name}: the measurement of {reading.as_of} is older than one of {format_time(seen_ns)}, left out")
        return False
    return True


def _measured(step: _Step, reading: Reading, document: Document) -> None:
    memory = step.memories.get(reading.name, Memory())
    told: set[str] = set()
    for name, rule in RULES.items():
        if not step.settings.rules[name].enabled:
            continue
        for finding in rule(step.view(reading, name)):
            if step.take(finding, reading) == "event":
                told.add(name)
    memory = _note(step, reading, memory, document)
    step.memories[reading.name] = _remembered(step, reading, memory, regime_told="regime" in told)


def _remembered(step: _Step, reading: Reading, memory: Memory, *, regime_told: bool) -> Memory:
    call, put = (
        armed_wall_usd(wall, reading.spot_usd, broken=step.conditions.get(f"{reading.name}/{wall.name}-wall", Condition()).on)
        for wall in walls(step.view(reading, "wall"))
    )
    # without the rule nobody is told, so the newest regime is the one to compare with
    follow = regime_told or memory.regime is None or not step.settings.rules["regime"].enabled
    return replace(
        memory,
        as_of_ns=max(memory.as_of_ns, reading.as_of_ns or 0),
        regime=reading.regime if follow and reading.regime is not None else memory.regime,
        gains=_gains(step, reading, memory),
        call_wall_usd=call,
        put_wall_usd=put,
    )


def _gains(step: _Step, reading: Reading, memory: Memory) -> tuple[tuple[int, float], ...]:
    """Samples within the window, no closer together than it needs: a fast source does not fill the memory."""
    if reading.gain is None or reading.as_of_ns is None:
        return memory.gains
    window_ns = round(step.settings.rules["jump"].extra["window_minutes"] * NS_PER_MINUTE)
    kept = tuple(pair for pair in memory.gains if 0 <= reading.as_of_ns - pair[0] <= window_ns)
    near = kept and reading.as_of_ns - kept[-1][0] < window_ns // MOST_GAINS
    return kept if near else (*kept, (reading.as_of_ns, reading.gain))[-MOST_GAINS - 1 :]


def _note(step: _Step, reading: Reading, memory: Memory, document: Document) -> Memory:
    """The daily note, once for each 08:00 UTC, and what the next one will compare with."""
    if reading.as_of_ns is None or not step.settings.note.enabled:
        return memory
    expiry_ns = expiry_before(reading.as_of_ns)
    due = note_due(memory.noted_ns, reading.as_of_ns, step.settings.note)
    if due == "wait":
        return memory
    if due == "send":
        note = daily_note(memory.last, reading, document, expiry_ns=expiry_ns)
        key = f"{reading.name}/note/{format_time(expiry_ns)}"
        step.tell(Finding(key, "note", reading.currency, True, "info", str(note["sentence"]), evidence=note), "event", reading)
    noted_ns = expiry_ns if due in ("send", "late") else memory.noted_ns
    return replace(memory, last=reading_left(reading), noted_ns=noted_ns)


def _pairs(step: _Step, fresh: Mapping[str, Reading]) -> None:
    rule = step.settings.rules["vol"]
    for first, second in PAIRS:
        if not rule.enabled:
            continue
        if first in fresh and second in fresh:
            apart = step.settings.rules["stale"].on
            step.take(
                vol_rule(fresh[first], fresh[second], rule, at_ns=step.at_ns, apart_seconds=apart), _both(fresh[first], fresh[second])
            )
        else:
            missing = " and ".join(name for name in (first, second) if name not in fresh)
            step.held.append(f"{first}-{second}/vol is not judged: no fresh measurement of {missing}")


def _both(first: Reading, second: Reading) -> Reading:
    """Of two readings, what an alert about both must say of its data."""
    degraded = (*first.degraded, *second.degraded)
    return replace(first, synthetic=first.synthetic or second.synthetic, degraded=degraded)
