"""What an operator's Prometheus may scrape: counts, ages and times; labels are names of sources, routes and error classes, never data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tailwag.service.publish import Publication
from tailwag.service.staleness import Health, SourceState

_SECONDS = (0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


ORDINARY = frozenset({"connects", "opened", "messages", "trades_fetched", "trades_repeated", "liquidations", "events", "snapshots"})
"""Kinds of events that are no trouble."""


class Metrics:
    """The counters of one running service, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        made: dict[str, Any] = {"registry": self.registry}
        self._recorded = Counter("tailwag_snapshots_recorded", "Snapshots made durable.", ["source"], **made)
        self._doubted = Counter("tailwag_snapshots_doubted", "Snapshots recorded but not believed.", ["source"], **made)
        self._measured = Counter("tailwag_measurements", "Measurements published.", ["source"], **made)
        self._skipped = Counter(
            "tailwag_snapshots_skipped", "Snapshots recorded but not measured, a newer one was there.", ["source"], **made
        )
        self._failed = Counter("tailwag_failures", "Turns that failed, by class of error.", ["source", "error"], **made)
        self._stale = Gauge("tailwag_source_stale", "1 while a source is stale.", ["source"], **made)
        self._degraded = Gauge("tailwag_source_degraded", "1 while a source is degraded.", ["source"], **made)
        self._age = Gauge("tailwag_snapshot_age_seconds", "Since the last believed snapshot arrived.", ["source"], **made)
        self._silent = Gauge("tailwag_silent_open_interest_share", "Share of open interest whose options went silent.", ["source"], **made)
        self._gain = Gauge("tailwag_loop_gain", "Loop gain of the newest measurement.", ["source", "currency"], **made)
        self._gex = Gauge("tailwag_gex_usd_per_pct", "Net gamma exposure of the newest measurement.", ["source", "currency"], **made)
        self._events = Counter(
            "tailwag_source_events",
            "What the connections of a streamed source have met: connects, closes, gaps, frames dropped.",
            ["source", "connection", "kind"],
            **made,
        )
        self._events_seen: dict[tuple[str, str, str], int] = {}
        self._seconds = Histogram("tailwag_measure_seconds", "Snapshot to document.", buckets=_SECONDS, **made)
        self.clients = Gauge("tailwag_stream_clients", "WebSocket clients connected.", **made)
        self.conflated = Counter("tailwag_stream_conflated", "Frames that a slow client was spared because a newer one was there.", **made)
        self.evicted = Counter("tailwag_stream_evicted", "Clients disconnected because they did not read.", **made)
        self.requests = Counter("tailwag_http_requests", "Answers by route and status.", ["route", "status"], **made)
        self.refused = Counter("tailwag_http_refused", "Requests refused before their route ran, by reason.", ["reason"], **made)

    def recorded(self, source: str) -> None:
        self._recorded.labels(source).inc()

    def doubted(self, source: str) -> None:
        self._doubted.labels(source).inc()

    def failed(self, source: str, error: str) -> None:
        self._failed.labels(source, error).inc()

    def streamed(self, source: str, counters: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
        """Take over a feed's own counts; the troubles among them that are new, by kind, for the log."""
        new: dict[str, int] = {}
        for connection, counts in counters.items():
            for kind, count in _by_kind(counts).items():
                seen = self._events_seen.get((source, connection, kind), 0)
                more = count - seen if count >= seen else count  # a feed that was opened again counts from 0
                self._events_seen[source, connection, kind] = count
                self._events.labels(source, connection, kind).inc(more)
                if more and kind not in ORDINARY:
                    new[kind] = new.get(kind, 0) + more
        return new

    def measuring(self) -> AbstractContextManager[Any]:
        """Time what happens inside."""
        return self._seconds.time()

    def published(self, publication: Publication, health: Health) -> None:
        """Count a publication and keep its two headline numbers."""
        source, currency = publication.source, publication.currency
        self._measured.labels(source).inc()
        self._skipped.labels(source).inc(publication.skipped)
        self._gain.labels(source, currency).set(_number(publication.document["gain"]["value"]))
        self._gex.labels(source, currency).set(_number(publication.document["exposure"]["gex_usd_per_pct"]))
        self.health(source, health)

    def health(self, source: str, health: Health) -> None:
        """How a source stands."""
        self._stale.labels(source).set(health.state is SourceState.STALE)
        self._degraded.labels(source).set(health.state is SourceState.DEGRADED)
        self._age.labels(source).set(_number(health.age_seconds))
        self._silent.labels(source).set(health.silent_open_interest_share)

    def text(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry)


def _by_kind(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts without the numbers that a venue may choose, so that there are never more kinds than the code knows."""
    found: dict[str, int] = {}
    for name, count in counts.items():
        kind = re.sub(r"_-?[0-9]+$", "", name)
        found[kind] = found.get(kind, 0) + count
    return found


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
