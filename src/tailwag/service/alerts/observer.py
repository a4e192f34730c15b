"""The alert desk as the monitor's observer: it sees each publication and each change of health."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tailwag.service.alerts.courier import Courier
from tailwag.service.alerts.desk import AlertDesk

if TYPE_CHECKING:
    from tailwag.service.publish import Publication
    from tailwag.service.staleness import Health


class AlertObserver:
    """Hands what the monitor publishes to the desk, and the desk's alerts back; ``clock`` gives UTC nanoseconds.

    A source that the monitor calls stale is stale for the rules too, whatever its age.  One that is only starting is not judged at all: it
    is neither live nor late.
    """

    def __init__(self, desk: AlertDesk, courier: Courier, *, clock: Callable[[], int]) -> None:
        self._desk, self._courier, self._clock = desk, courier, clock
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[Publication, Health]] = {}

    def __call__(self, publication: Publication, health: Health) -> list[Mapping[str, Any]]:
        """The alerts of one publication, each on its way, and on the device where the disk takes it."""
        with self._lock:
            self._seen[publication.source] = (publication, health)
            judged = {name: pair for name, pair in self._seen.items() if not pair[1].starting}
            alerts = self._desk.observe(
                {name: seen.document for name, (seen, _) in judged.items()},
                at_ns=self._clock(),
                age_seconds={name: how.age_seconds for name, (_, how) in judged.items() if how.age_seconds is not None},
                stale={name: _why(how) for name, (_, how) in judged.items() if how.state == "stale"},
            )
        if alerts:
            self._courier.wake()
        return [alert.document() for alert in alerts]


def _why(health: Health) -> str:
    told = "; ".join(health.reasons) or "the source is silent"
    age = f", {health.age_seconds:.0f} s old" if health.age_seconds is not None else ""
    return f"{told}{age}"
