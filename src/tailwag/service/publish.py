"""Publishing: the newest measurement of each source, the frames that tell of it, and who wants to hear."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import orjson

from tailwag.market.clock import format_time
from tailwag.service.staleness import Health
from tailwag.service.summary import summary

ALERTS_KEPT = 1_000
NOTHING: Mapping[str, Any] = MappingProxyType({})
Listener = Callable[[str, str, bytes], None]
"""Told the kind (measure, heartbeat, alert), the source, and the frame as JSON."""


@dataclass(frozen=True, slots=True)
class Publication:
    """One measurement as it goes out; ``skipped`` snapshots of the source were recorded but not measured since the one before."""

    source: str
    currency: str
    seq: int
    as_of_ns: int
    received_ns: int
    document: Mapping[str, Any]
    measurement: Any
    skipped: int
    code_hash: str

    @property
    def quarantined(self) -> dict[str, Any]:
        """Options that count in no sum, and their share of open interest."""
        chain = self.document["chain"]
        return {
            "instruments": sum(one["instruments"] for one in chain["masked"]),
            "open_interest_share": chain["masked_open_interest_share"],
        }


def nothing_from(source: str) -> Publication:
    """What stands for a source that has published nothing: numbered 0, with an empty document."""
    return Publication(source, "", 0, 0, 0, NOTHING, None, 0, "")


def frame(kind: str, publication: Publication | None, health: Health, **more: Any) -> dict[str, Any]:
    """What every frame and every answer says of where it comes from and how far it may be trusted."""
    empty = {"instruments": 0, "open_interest_share": 0.0}
    return {
        "type": kind,
        "source": None if publication is None else publication.source,
        "currency": None if publication is None else publication.currency,
        "seq": 0 if publication is None else publication.seq,
        "as_of": None if publication is None else format_time(publication.as_of_ns),
        "age_s": None if health.age_seconds is None else round(health.age_seconds, 3),
        "max_age_s": health.max_age_seconds,
        "source_state": str(health.state),
        "reasons": list(health.reasons),
        "skipped": 0 if publication is None else publication.skipped,
        "quarantined": empty if publication is None else publication.quarantined,
        "silent": {"instruments": health.silent_instruments, "open_interest_share": health.silent_open_interest_share},
        "code_hash": "" if publication is None else publication.code_hash,
        **more,
    }


class Board:
    """The newest of everything, safe to read from any thread; listeners are called in the publishing thread and must return at once."""

    def __init__(self, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._latest: dict[str, Publication] = {}
        self._health: dict[str, Health] = {}
        self._alerts: deque[dict[str, Any]] = deque(maxlen=ALERTS_KEPT)
        self._listeners: list[Listener] = []

    def sources(self) -> dict[str, tuple[Publication | None, Health]]:
        """Every source with its newest publication and its health, the first one first."""
        with self._lock:
            return {name: (self._latest.get(name), health) for name, health in self._health.items()}

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts raised since the start, oldest first."""
        with self._lock:
            return list(self._alerts)

    def publish(self, publication: Publication, health: Health) -> None:
        """Make a measurement the newest of its source and tell everybody."""
        with self._lock:
            self._latest[publication.source] = publication
            self._health[publication.source] = health
        self._tell("measure", publication.source, self._framed("measure", publication, health, summary=summary(publication.document)))

    def beat(self, source: str, health: Health) -> None:
        """Tell how a source stands, without a new measurement."""
        with self._lock:
            self._health[source] = health
            newest = self._latest.get(source)
        self._tell("heartbeat", source, self._framed("heartbeat", newest, health, of=source))

    def alert(self, source: str, alert: Mapping[str, Any]) -> None:
        """Pass an alert on: its ``at``, ``key``, ``severity`` and ``sentence``, and whatever else it carries."""
        with self._lock:
            self._alerts.append(dict(alert))
            newest, health = self._latest.get(source), self._health.get(source)
        if health is not None:
            self._tell(
                "alert", source, self._framed("alert", newest, health, of=source, **{k: v for k, v in alert.items() if k != "source"})
            )

    def first_frame(self, source: str) -> bytes:
        """What somebody who has just come is told at once."""
        with self._lock:
            newest, health = self._latest.get(source), self._health[source]
        if newest is None:
            return self._framed("heartbeat", None, health, of=source)
        return self._framed("measure", newest, health, summary=summary(newest.document))

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` from now on; returns how to stop."""
        with self._lock:
            self._listeners.append(listener)

        def stop() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return stop

    def _framed(self, kind: str, publication: Publication | None, health: Health, *, of: str | None = None, **more: Any) -> bytes:
        text = frame(kind, publication, health, published_at=format_time(self._clock()), **more)
        if of is not None:
            text["source"] = of
        return orjson.dumps(text)

    def _tell(self, kind: str, source: str, text: bytes) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(kind, source, text)
