"""How much one client may ask: sizes, rates and patience, each with a number."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The numbers; the defaults leave room for a desk and its scripts on one machine."""

    url_bytes: int = 2_048
    header_count: int = 64
    header_bytes: int = 16_384
    body_bytes: int = 262_144
    body_seconds: float = 5.0
    requests_per_second: float = 400.0
    request_burst: float = 2_000.0
    heavy_per_second: float = 8.0
    """For what-if, own book and the past: each costs a measurement."""
    heavy_burst: float = 40.0
    heavy_at_once: int = 2
    failures_per_second: float = 0.2
    """Wrong tokens; beyond this a client waits."""
    failure_burst: float = 20.0
    streams: int = 2_048
    connections: int = 4_096
    send_seconds: float = 10.0
    """A stream client that takes longer to take one frame is disconnected."""
    message_bytes: int = 1_024
    messages_per_second: float = 2.0
    message_burst: float = 20.0


class Buckets:
    """Token buckets by client, at most ``size`` of them, the longest unused forgotten first.

    >>> now = [0.0]
    >>> buckets = Buckets(rate_per_second=1.0, burst=2.0, monotonic=lambda: now[0])
    >>> [buckets.wait_seconds("a") for _ in range(3)]
    [0.0, 0.0, 1.0]
    """

    def __init__(self, *, rate_per_second: float, burst: float, monotonic: Callable[[], float], size: int = 4_096) -> None:
        self._rate, self._burst, self._monotonic, self._size = rate_per_second, burst, monotonic, size
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_seconds(self, client: str) -> float:
        """0 where the client may go on (and one is taken from its bucket), else the seconds until it may."""
        left = self._now(client)
        if left < 1.0:
            return (1.0 - left) / self._rate
        self._put(client, left - 1.0)
        return 0.0

    def is_empty(self, client: str) -> bool:
        """Whether the client would have to wait; takes nothing."""
        return self._now(client) < 1.0

    def _now(self, client: str) -> float:
        now = self._monotonic()
        left, at = self._left.get(client, (self._burst, now))
        left = min(left + (now - at) * self._rate, self._burst)
        self._put(client, left)
        return left

    def _put(self, client: str, left: float) -> None:
        self._left[client] = (left, self._monotonic())
        self._left.move_to_end(client)
        while len(self._left) > self._size:
            self._left.popitem(last=False)
