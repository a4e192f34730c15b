"""What the journal's lines add up to: the rules' state, the alerts, and how far each has come on each channel.  Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from tailwag.service.alerts.alert import SEVERITIES, Alert, alert_from
from tailwag.service.alerts.state import AlertState, state_from

Status = Literal["waiting", "sending", "sent", "dead"]
OPEN = ("waiting", "sending")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One alert on its way through one channel.

    ``sending`` was written before the attempt and nothing after it: the outcome is not known, and only the alert's id can tell the
    receiver that a further attempt is the same alert.
    """

    status: Status = "waiting"
    attempts: int = 0
    next_ns: int = 0
    reason: str = ""
    done_ns: int = 0


@dataclass(slots=True)
class Ledger:
    """The sum of the lines so far; changes only by :meth:`apply`."""

    state: AlertState = field(default_factory=AlertState)
    alerts: OrderedDict[str, Alert] = field(default_factory=OrderedDict)
    deliveries: OrderedDict[tuple[str, str], Delivery] = field(default_factory=OrderedDict)
    """By channel and alert id, in the order in which they were decided."""

    def apply(self, line: Mapping[str, Any]) -> None:
        """Take in one line of the journal."""
        kind = line.get("kind")
        if kind == "base":
            self._base(line)
        elif kind == "decided":
            self._decided(line)
        elif (line.get("channel"), line.get("id")) in self.deliveries:
            key = (str(line["channel"]), str(line["id"]))
            self.deliveries[key] = _moved(self.deliveries[key], line)

    def _base(self, line: Mapping[str, Any]) -> None:
        self.state = state_from(line["state"])
        self.alerts = OrderedDict((item["id"], alert_from(item)) for item in line["alerts"])
        self.deliveries = OrderedDict(((item["channel"], item["id"]), Delivery(**item["delivery"])) for item in line["deliveries"])

    def _decided(self, line: Mapping[str, Any]) -> None:
        self.state = state_from(line["state"])
        for item in line["alerts"]:
            self.alerts[item["id"]] = alert_from(item)
            for channel in line["to"].get(item["id"], ()):
                self.deliveries.setdefault((channel, item["id"]), Delivery())

    def base(self) -> dict[str, Any]:
        """One line that says all of it."""
        return {
            "kind": "base",
            "state": self.state.document(),
            "alerts": [alert.record() for alert in self.alerts.values()],
            "deliveries": [
                {"channel": channel, "id": name, "delivery": asdict(delivery)} for (channel, name), delivery in self.deliveries.items()
            ],
        }

    def next_for(self, channel: str) -> tuple[str, Delivery] | None:
        """The oldest alert that this channel has not finished with; order is kept, so that 'over' never overtakes 'raised'."""
        return next(((name, item) for (way, name), item in self.deliveries.items() if way == channel and item.status in OPEN), None)

    def open_for(self, channel: str) -> list[str]:
        """Ids of the alerts that this channel has not finished with, oldest first."""
        return [name for (way, name), item in self.deliveries.items() if way == channel and item.status in OPEN]

    def least_wanted(self, channel: str) -> str | None:
        """Of the waiting alerts the least severe, of those the oldest; none that is being sent."""
        waiting = [name for name in self.open_for(channel) if self.deliveries[(channel, name)].status == "waiting"]
        return min(waiting, key=lambda name: SEVERITIES.index(self.alerts[name].severity), default=None)

    def channels(self) -> set[str]:
        """Channels with unfinished alerts."""
        return {channel for (channel, _), item in self.deliveries.items() if item.status in OPEN}

    def forget(self, keep: int) -> None:
        """Drop the oldest alerts that every channel has finished with, beyond ``keep``."""
        busy = {name for (_, name), item in self.deliveries.items() if item.status in OPEN}
        finished = [name for name in self.alerts if name not in busy]
        gone = set(finished[: max(0, len(finished) - keep)])
        for name in gone:
            del self.alerts[name]
        self.deliveries = OrderedDict((key, item) for key, item in self.deliveries.items() if key[1] not in gone)


def ledger_of(lines: Iterable[Mapping[str, Any]]) -> Ledger:
    """The sum of a journal's lines."""
    ledger = Ledger()
    for line in lines:
        ledger.apply(line)
    return ledger


def _moved(delivery: Delivery, line: Mapping[str, Any]) -> Delivery:
    """A delivery after one line about it; what was sent stays sent, whatever comes after."""
    if delivery.status == "sent":
        return delivery
    at_ns = int(line.get("at_ns", 0))
    if line["kind"] == "sending":
        return replace(delivery, status="sending", attempts=int(line["attempt"]))
    if line["kind"] == "sent":
        return replace(delivery, status="sent", done_ns=at_ns, reason="")
    if line["kind"] == "failed":
        return replace(delivery, status="waiting", next_ns=int(line["next_ns"]), reason=str(line["reason"]))
    if line["kind"] == "dead":
        return replace(delivery, status="dead", done_ns=at_ns, reason=str(line["reason"]))
    return delivery
