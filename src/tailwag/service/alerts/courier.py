"""The courier: one thread a channel, so that a slow channel delays no other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from tailwag.service.alerts.channels import Channel
from tailwag.service.alerts.desk import AlertDesk
from tailwag.service.alerts.journal import Say
from tailwag.units import NS_PER_SECOND

LONGEST_NAP_SECONDS = 1.0
"""New alerts are seen at the latest after this, without being woken."""


class Courier:
    """Delivers a desk's alerts in the background until it is stopped; ``clock`` gives UTC nanoseconds."""

    def __init__(self, desk: AlertDesk, *, clock: Callable[[], int], say: Say | None = None) -> None:
        self._desk, self._clock, self._say = desk, clock, say or (lambda _text: None)
        self._stopped = threading.Event()
        self._woken = {channel.name: threading.Event() for channel in desk.settings.channels}
        self._threads = [
            threading.Thread(target=self._run, args=(channel,), name=f"tailwag-alerts-{channel.name}", daemon=True)
            for channel in desk.settings.channels
        ]

    def start(self) -> Courier:
        """Begin with what a run before has left over."""
        self._desk.begin(at_ns=self._clock())
        for thread in self._threads:
            thread.start()
        return self

    def wake(self) -> None:
        """Something new may be waiting."""
        for event in self._woken.values():
            event.set()

    def stop(self, *, timeout_seconds: float = 15.0) -> None:
        """Stop after the attempts under way; what waits is on the device, and goes out after the next start."""
        self._stopped.set()
        self.wake()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout_seconds)

    def _run(self, channel: Channel) -> None:
        while not self._stopped.is_set():
            self._woken[channel.name].clear()
            self._woken[channel.name].wait(self._nap(channel))

    def _nap(self, channel: Channel) -> float:
        next_ns = self._desk.deliver(channel, at_ns=self._clock())
        if next_ns is None:
            return LONGEST_NAP_SECONDS
        return min(LONGEST_NAP_SECONDS, max(0.0, (next_ns - self._clock()) / NS_PER_SECOND))

    def __enter__(self) -> Courier:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
