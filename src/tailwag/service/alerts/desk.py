"""The alert desk: evaluates, writes down, delivers; a kill at any instant loses no alert and sends none again that is known to be sent."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from hashlib import sha256
from types import TracebackType
from typing import Any

from tailwag.errors import StoreError, TailwagError
from tailwag.experiments.report_view import Document
from tailwag.market.clock import format_time
from tailwag.service.alerts.alert import Alert, alert_id
from tailwag.service.alerts.channels import Channel
from tailwag.service.alerts.delivery import Message, Outcome, Send, send_with_apprise
from tailwag.service.alerts.evaluate import evaluate
from tailwag.service.alerts.journal import Journal, Say
from tailwag.service.alerts.ledger import Ledger, ledger_of
from tailwag.service.alerts.settings import AlertSettings, DeliverySettings
from tailwag.service.alerts.state import AlertState, Condition
from tailwag.sources.store.disk import Disk
from tailwag.units import NS_PER_SECOND


class AlertDesk:
    """One folder's alerts.  Safe to use from several threads; nothing is held while a message is on its way.

    An alert exists from the moment that :meth:`observe` returns it: it and what the rules then remember are one line on the device.
    ``sending`` is on the device before an attempt and ``sent`` after it.  A crash between the two leaves the outcome unknown; the alert
    is then sent again under the same id.  So each alert is delivered at least once, and exactly once where the receiver honours the id.
    While the disk refuses, alerts go out all the same, once in this process, and say that a restart may send them again.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        settings: AlertSettings,
        *,
        send: Send = send_with_apprise,
        say: Say | None = None,
        disk: Disk | None = None,
    ) -> None:
        self.settings = settings
        self._send, self._say = send, say or (lambda _text: None)
        self._lock = threading.RLock()
        self._journal = Journal(folder, disk=disk, say=say)
        self._ledger: Ledger = ledger_of(self._journal.lines)
        self._journal.lines = []
        self._behind = False
        """Whether the ledger knows what the journal does not."""
        self._held: tuple[str, ...] = ()

    # looking

    @property
    def state(self) -> AlertState:
        """What the rules remember."""
        return self._ledger.state

    @property
    def held(self) -> tuple[str, ...]:
        """What the last step could not judge, and why."""
        return self._held

    def history(self, *, most: int = 100) -> list[dict[str, Any]]:
        """The newest alerts first, each with how far it has come on each channel."""
        with self._lock:
            chosen = list(self._ledger.alerts.values())[::-1][:most]
            ways: dict[str, dict[str, Any]] = {alert.id: {} for alert in chosen}
            for (channel, name), item in self._ledger.deliveries.items():
                if name in ways:
                    ways[name][channel] = {
                        "status": item.status,
                        "attempts": item.attempts,
                        "reason": item.reason or None,
                        "done": format_time(item.done_ns) if item.done_ns else None,
                    }
        return [{**alert.document(), "deliveries": ways[alert.id]} for alert in chosen]

    def waiting(self, channel: str) -> int:
        """Alerts that a channel has not finished with."""
        with self._lock:
            return len(self._ledger.open_for(channel))

    # deciding

    def observe(
        self,
        documents: Mapping[str, Document],
        *,
        at_ns: int,
        age_seconds: Mapping[str, float] | None = None,
        stale: Mapping[str, str] | None = None,
    ) -> tuple[Alert, ...]:
        """Hold the newest measurements against the rules; what is returned is on the device.

        Where the disk refuses it is decided all the same and will be delivered; it is written down as soon as the disk takes it.
        """
        with self._lock:
            self._catch_up()
            step = evaluate(self._ledger.state, documents, self.settings, at_ns=at_ns, age_seconds=age_seconds, stale=stale)
            if step.held != self._held:
                for sentence in set(step.held) - set(self._held):
                    self._say(f"alerts: {sentence}")
                self._held = step.held
            if step.alerts or step.state != self._ledger.state:
                self._decide(step.alerts, step.state, at_ns)
            return step.alerts

    def _decide(self, alerts: Sequence[Alert], state: AlertState, at_ns: int, *, without: str = "") -> None:
        """One line: what was decided, for whom, and what the rules remember from now on."""
        to = {
            alert.id: [way.name for way in self.settings.channels if way.wants(alert.severity) and way.name != without] for alert in alerts
        }
        line = {"kind": "decided", "at_ns": at_ns, "state": state.document(), "alerts": [alert.record() for alert in alerts], "to": to}
        self._write(line)
        for channel in self.settings.channels:
            self._make_room(channel, at_ns)

    def _make_room(self, channel: Channel, at_ns: int) -> None:
        """A queue has a limit: what is least severe and oldest is given up, on the record."""
        given_up = 0
        while len(self._ledger.open_for(channel.name)) > self.settings.delivery.queue_limit:
            name = self._ledger.least_wanted(channel.name)
            if name is None:
                break
            self._write({"kind": "dead", "id": name, "channel": channel.name, "at_ns": at_ns, "reason": "the queue was full"})
            given_up += 1
        if given_up:
            self._channel_trouble(channel.name, at_ns, f"its queue of {self.settings.delivery.queue_limit} was full")

    # delivering

    def deliver(self, channel: Channel, *, at_ns: int) -> int | None:
        """Try the oldest alert that a channel has not finished with, if its time has come.

        Returns when to call again (UTC ns; ``at_ns`` where more is waiting now), or None where nothing is waiting.
        """
        with self._lock:
            self._catch_up()
            found = self._ledger.next_for(channel.name)
            if found is None:
                return None
            name, delivery = found
            limits = self.settings.delivery
            # a clock that was set back must not keep an alert for longer than the longest wait
            due_ns = min(delivery.next_ns, at_ns + round(limits.longest_backoff_seconds * NS_PER_SECOND))
            if delivery.status == "waiting" and due_ns > at_ns:
                return due_ns
            if delivery.attempts >= limits.attempts:
                self._give_up(channel, name, delivery.reason or "the outcome of the last attempt is not known", at_ns)
                return at_ns
            attempt, alert = delivery.attempts + 1, self._ledger.alerts[name]
            self._write({"kind": "sending", "id": name, "channel": channel.name, "attempt": attempt, "at_ns": at_ns})
            written = not self._behind
        outcome = self._attempt(channel, alert, written=written)
        with self._lock:
            self._record(channel, name, attempt, outcome, at_ns)
            return at_ns if outcome.taken else self._ledger.deliveries[(channel.name, name)].next_ns or at_ns

    def _attempt(self, channel: Channel, alert: Alert, *, written: bool) -> Outcome:
        try:
            address = channel.address()
        except TailwagError as error:
            return Outcome(False, str(error))
        except OSError as error:
            return Outcome(False, f"the address cannot be read ({type(error).__name__})")
        return self._send(message_of(alert, written=written), address, self.settings.delivery.timeout_seconds)

    def _record(self, channel: Channel, name: str, attempt: int, outcome: Outcome, at_ns: int) -> None:
        limits = self.settings.delivery
        if outcome.taken:
            self._write({"kind": "sent", "id": name, "channel": channel.name, "attempt": attempt, "at_ns": at_ns})
            self._channel_well(channel.name, at_ns)
        elif attempt >= limits.attempts:
            self._give_up(channel, name, outcome.reason, at_ns)
        else:
            next_ns = at_ns + round(backoff_seconds(name, attempt, limits) * NS_PER_SECOND)
            self._say(f"alerts: channel {channel.name}: attempt {attempt} failed, {outcome.reason}; next at {format_time(next_ns)}")
            self._write(
                {
                    "kind": "failed",
                    "id": name,
                    "channel": channel.name,
                    "attempt": attempt,
                    "at_ns": at_ns,
                    "reason": outcome.reason,
                    "next_ns": next_ns,
                }
            )

    def _give_up(self, channel: Channel, name: str, reason: str, at_ns: int) -> None:
        """The dead letter: kept in the history, and told through the other channels."""
        self._write({"kind": "dead", "id": name, "channel": channel.name, "at_ns": at_ns, "reason": reason})
        self._channel_trouble(channel.name, at_ns, f"{self.settings.delivery.attempts} attempts failed, {reason}")

    def _channel_trouble(self, channel: str, at_ns: int, why: str) -> None:
        """Say once that a channel loses alerts, through every other channel; it is over when the channel delivers again."""
        sentence = f"Channel {channel} loses alerts: {why}. They are in the history."
        self._say(f"alerts: {sentence}")
        key, state = f"channel/{channel}", self._ledger.state
        if not state.conditions.get(key, Condition()).on:
            self._tell_of_channel(channel, sentence, Condition(True, True, at_ns), at_ns)

    def _channel_well(self, channel: str, at_ns: int) -> None:
        if self._ledger.state.conditions.get(f"channel/{channel}", Condition()).on:
            self._tell_of_channel(channel, f"Channel {channel} delivers again.", None, at_ns)

    def _tell_of_channel(self, channel: str, sentence: str, condition: Condition | None, at_ns: int) -> None:
        state, key = self._ledger.state, f"channel/{channel}"
        conditions = {name: value for name, value in state.conditions.items() if name != key}
        if condition is not None:
            conditions[key] = condition
        serial = state.serial + 1
        phase = "raised" if condition is not None else "cleared"
        alert = Alert(
            id=alert_id(key, phase, at_ns, serial),
            key=key,
            rule="channel",
            phase="raised" if condition is not None else "cleared",
            severity="critical" if condition is not None else "info",
            currency="",
            at_ns=at_ns,
            sentence=sentence,
            evidence={"channel": channel},
        )
        self._decide([alert], AlertState(conditions, state.memories, serial), at_ns, without=channel)

    def begin(self, *, at_ns: int) -> None:
        """Tell of damage found in the journal, and give up what waits for channels that the settings no longer name."""
        with self._lock:
            for channel in sorted(self._ledger.channels() - {way.name for way in self.settings.channels}):
                for name in self._ledger.open_for(channel):
                    self._write(
                        {"kind": "dead", "id": name, "channel": channel, "at_ns": at_ns, "reason": "the settings name no such channel"}
                    )
            if self._journal.damaged:
                self._tell_of_damage(self._journal.damaged, at_ns)
                self._journal.damaged = 0

    def _tell_of_damage(self, lines: int, at_ns: int) -> None:
        state = self._ledger.state
        sentence = (
            f"The alert journal was damaged: {lines} lines are lost, and with them perhaps alerts or the record that they were sent; some may"
            " come twice, under the same id. The damaged file is kept beside the new one."
        )
        name = alert_id("journal", "event", at_ns, state.serial + 1)
        alert = Alert(name, "journal", "journal", "event", "critical", "", at_ns, sentence, {"lines": lines})
        self._decide([alert], AlertState(state.conditions, state.memories, state.serial + 1), at_ns)

    # writing

    def _write(self, line: dict[str, Any]) -> None:
        """On the device first, then true; where the disk refuses it is true all the same, for as long as this process lives."""
        try:
            self._settle_up()
            self._journal.append(line)
        except StoreError as error:
            self._fall_behind(error)
        self._ledger.apply(line)

    def _fall_behind(self, error: StoreError) -> None:
        if not self._behind:
            self._say(f"alerts: {error}; alerts go out all the same, and are written down as soon as the disk takes them")
        self._behind = True

    def _catch_up(self) -> None:
        """Write what is owed, if the disk takes it now."""
        if self._behind:
            try:
                self._settle_up()
            except StoreError as error:
                self._fall_behind(error)

    def _settle_up(self) -> None:
        """The journal as it must be before a further line: whole, of one piece with what has happened, and not too large."""
        if not (self._behind or self._journal.large or not self._journal.sound):
            return
        self._ledger.forget(self.settings.delivery.history)
        self._journal.rewrite(self._ledger.base())
        if self._behind:
            self._say("alerts: the journal is written again, nothing is missing from it")
        self._behind = False

    def close(self) -> None:
        """Give the folder back; everything decided is safe, unless the disk refuses to the last."""
        with self._lock:
            self._catch_up()
            self._journal.close()

    def __enter__(self) -> AlertDesk:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def backoff_seconds(name: str, attempt: int, limits: DeliverySettings) -> float:
    """The wait after a failed attempt: doubling, with a spread that depends on the alert alone, so that a restart finds the same.

    >>> [round(backoff_seconds("a", attempt, DeliverySettings())) <= 2**attempt for attempt in (1, 2, 3)]
    [True, True, True]
    """
    whole = min(limits.longest_backoff_seconds, limits.backoff_seconds * 2.0 ** min(attempt - 1, 60))
    spread = int.from_bytes(sha256(f"{name}|{attempt}".encode()).digest()[:4], "big") / 2**32
    return whole * (0.5 + 0.5 * spread)


UNWRITTEN = "This alert could not be written down: it may come again after a restart."


def message_of(alert: Alert, *, written: bool = True) -> Message:
    """The message of an alert; a daily note comes with its card.  One that is not ``written`` down says so."""
    sentence = alert.sentence if written else f"{alert.sentence}\n{UNWRITTEN}"
    body = f"{sentence}\n\n{format_time(alert.at_ns)[:19]}Z  {alert.key}  id {alert.id}"
    picture = None
    if alert.rule == "note":
        from tailwag.service.alerts.card import note_card

        try:
            picture = note_card(alert.evidence)
        except Exception as error:  # the numbers must go out also where a picture of them cannot be drawn
            body = f"{body}\n(The card could not be drawn: {type(error).__name__}.)"
    name = f"tailwag-{alert.currency.lower()}-{format_time(alert.at_ns)[:10]}.png"
    return Message(alert.id, alert.title, body, alert.severity, picture, name)
