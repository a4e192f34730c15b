"""What ``tailwag alerts`` does once its words are parsed."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tailwag.errors import InputError, TailwagError

if TYPE_CHECKING:
    from tailwag.service.alerts import AlertSettings, Channel, Evaluation
    from tailwag.service.alerts.delivery import Outcome

ACTIONS = ("test", "check")


@dataclass(frozen=True, slots=True)
class AlertRequest:
    """The words of one ``tailwag alerts`` call, as typed."""

    action: str
    documents: tuple[str, ...]
    settings: str | None
    channel: str | None
    other: str | None
    at: str | None
    json_file: str | None


def run_alerts(request: AlertRequest) -> None:
    """Do what the first word says."""
    if request.action not in ACTIONS:
        raise InputError(f"expected tailwag alerts test or tailwag alerts check, got {request.action[:40]!a}")
    if request.action == "test":
        _run_test(request)
    else:
        _run_check(request)


def _settings(request: AlertRequest) -> AlertSettings:
    from tailwag.service.alerts import default_settings, read_settings

    return default_settings() if request.settings is None else read_settings(request.settings)


# test


def _run_test(request: AlertRequest) -> None:
    """Exit status 1 where any channel did not take the message."""
    from tailwag.service.alerts.settings import need_channels

    _refuse(request, "test", documents=bool(request.documents), other=request.other, at=request.at)
    if request.settings is None:
        raise InputError("expected --settings FILE with the channels to test, got none")
    settings = _settings(request)
    need_channels(settings, "alerts.toml")
    channels = [way for way in settings.channels if request.channel in (None, way.name)]
    if not channels:
        names = ", ".join(way.name for way in settings.channels)
        raise InputError(f"expected --channel as one of {names}, got {(request.channel or '')[:40]!a}")
    outcomes = [(way, _tested(way, settings)) for way in channels]
    rows = [{"channel": way.name, "taken": outcome.taken, "reason": outcome.reason or None} for way, outcome in outcomes]
    if request.json_file != "-":
        for way, outcome in outcomes:
            sys.stdout.write(f"{way.name}: {'taken' if outcome.taken else f'NOT taken, {outcome.reason}'}\n")
    _write_json(request, {"schema": "tailwag.alerts-test/1", "channels": rows})
    if not all(outcome.taken for _, outcome in outcomes):
        sys.exit(1)


def _tested(channel: Channel, settings: AlertSettings) -> Outcome:
    from tailwag.market.clock import format_time
    from tailwag.service.alerts.delivery import Message, Outcome, check_address, send_with_apprise

    try:
        address = channel.address()
        check_address(address, channel=channel.name)
    except TailwagError as error:
        return Outcome(False, str(error))
    body = f"This is a test of channel {channel.name}, sent {format_time(time.time_ns())[:19]}Z. No rule fired."
    message = Message(uuid.uuid4().hex, "tailwag: test alert", body, "info")
    return send_with_apprise(message, address, settings.delivery.timeout_seconds)


# check


def _run_check(request: AlertRequest) -> None:
    from tailwag.service.alerts import AlertState, evaluate

    _refuse(request, "check", channel=request.channel)
    if not 1 <= len(request.documents) <= 2:
        raise InputError(f"expected MEASURE.json and perhaps PREVIOUS.json (tailwag measure --json), got {len(request.documents)} files")
    settings = _settings(request)
    current = _document(request.documents[0])
    currency, as_of_ns = _known_time(current, request.documents[0])
    state = AlertState()
    if len(request.documents) == 2:
        previous = _document(request.documents[1])
        its_currency, its_ns = _known_time(previous, request.documents[1])
        if its_currency != currency or its_ns > as_of_ns:
            raise InputError(
                f"expected PREVIOUS.json of {currency} from before MEASURE.json, got {its_currency} of {previous.get('as_of')}"
            )
        state = evaluate(state, {currency: previous}, settings, at_ns=its_ns).state
    documents = {currency: current}
    if request.other is not None:
        other = _document(request.other)
        documents[_known_time(other, request.other)[0]] = other
    outcome = evaluate(state, documents, settings, at_ns=_at_ns(request, as_of_ns))
    if request.json_file != "-":
        sys.stdout.write("\n".join(_lines(outcome, settings)) + "\n")
    _write_json(request, _outcome_document(outcome))


def _document(path: str) -> dict[str, Any]:
    from tailwag.sources.opening import read_file
    from tailwag.sources.strict_json import parse_json

    raw = read_file(path)
    value = parse_json(raw)
    if not isinstance(value, dict) or value.get("schema") != "tailwag.measure/1":
        raise InputError(
            f"{raw.name}: expected a document of tailwag measure --json (schema tailwag.measure/1), got another; measure it first"
        )
    return value


def _known_time(document: Mapping[str, Any], path: str) -> tuple[str, int]:
    from tailwag.service.alerts.reading import read_measurement
    from tailwag.sources.opening import bare_name

    reading = read_measurement(document)
    if not reading.currency or reading.as_of_ns is None:
        raise InputError(f"{bare_name(path)}: expected a measurement with a currency and a time, got one without; nothing can be judged")
    return reading.currency, reading.as_of_ns


def _at_ns(request: AlertRequest, as_of_ns: int) -> int:
    from tailwag.market.clock import parse_time_ns

    return as_of_ns if request.at is None else parse_time_ns(request.at)


def _lines(outcome: Evaluation, settings: AlertSettings) -> list[str]:
    """Alerts first, then what is on without a new alert, what cannot be judged, and which rules are silent."""
    on = {key for key, condition in outcome.state.conditions.items() if condition.on}
    told = {alert.key for alert in outcome.alerts}
    lines = [f"{alert.phase.upper():8} {alert.severity:8} {alert.key}: {alert.sentence}" for alert in outcome.alerts]
    lines += [
        f"{'ON':8} {finding.severity:8} {finding.key}: {finding.raised}"
        for finding in outcome.findings
        if finding.key in on - told and finding.raised
    ]
    lines += [f"{'UNKNOWN':17} {sentence}" for sentence in outcome.held]
    quiet = [finding.key for finding in outcome.findings if finding.key not in on | told and not finding.unknown]
    lines.append(f"{'QUIET':17} {', '.join(quiet) or 'none'}")
    off = [name for name, rule in settings.rules.items() if not rule.enabled]
    return [*lines, f"{'OFF':17} {', '.join(off) or 'none'}"]


def _outcome_document(outcome: Evaluation) -> dict[str, Any]:
    return {
        "schema": "tailwag.alerts-check/1",
        "alerts": [alert.document() for alert in outcome.alerts],
        "on": sorted(key for key, condition in outcome.state.conditions.items() if condition.on),
        "unknown": list(outcome.held),
        "findings": [{"key": finding.key, "rule": finding.rule, "active": finding.active} for finding in outcome.findings],
    }


def _refuse(request: AlertRequest, action: str, **given: object) -> None:
    for name, value in given.items():
        if value:
            raise InputError(f"tailwag alerts {action} takes no {'files' if name == 'documents' else f'--{name}'}; leave it out")


def _write_json(request: AlertRequest, document: dict[str, Any]) -> None:
    from tailwag.cli.recording import _write_json as write_json

    if request.json_file is not None:
        write_json(request.json_file, document)
