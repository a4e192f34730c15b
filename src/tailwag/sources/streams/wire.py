"""What a stream session says to its socket, and what the thread around it may ask: messages in, actions out, never a socket in sight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tailwag.market.snapshot import Snapshot

GOING_AWAY, NOT_TEXT, INVALID_DATA, TOO_LARGE = 1001, 1003, 1007, 1009
"""Close codes of RFC 6455 that a session uses."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send one text message."""

    text: str


@dataclass(frozen=True, slots=True)
class Close:
    """End this connection; the next one is made no earlier than ``wait_seconds`` from now, and never earlier than the back-off allows."""

    code: int
    reason: str
    wait_seconds: float = 0.0


Action = Send | Close


class StreamSession(Protocol):
    """One venue's protocol over any number of connections in turn.

    ``now`` is monotonic seconds, ``wall_ns`` UTC nanoseconds; a session has no clock, no thread and no socket of its own.  Nothing that it
    raises is expected: a message that is no good is counted and dropped, or answered with :class:`Close`.
    """

    def opened(self, now: float) -> list[Action]:
        """A connection is open."""
        ...

    def received(self, message: str | bytes, now: float, wall_ns: int) -> list[Action]:
        """A whole message arrived; bytes where it was a binary one."""
        ...

    def tick(self, now: float, wall_ns: int) -> list[Action]:
        """Time has passed; called several times a second, busy or not."""
        ...

    def closed(self, now: float) -> None:
        """The connection is gone, whoever ended it: nothing held is live any more."""
        ...

    def live(self, now: float) -> bool:
        """Whether what is held may be published as good."""
        ...

    def snapshot(self, now: float, wall_ns: int) -> Snapshot | None:
        """What is held as one snapshot; None while it is not live.  Trades are given again until :meth:`kept`."""
        ...

    def kept(self) -> None:
        """The last snapshot is on disk: its trades and liquidations are not given again."""
        ...

    def doubts(self, now: float) -> tuple[str, ...]:
        """One sentence for each reason why the session is not live, or not wholly."""
        ...

    def counters(self) -> Mapping[str, int]:
        """How often each kind of trouble was met since the start."""
        ...
