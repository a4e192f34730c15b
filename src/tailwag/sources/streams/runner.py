"""The thread that gives a stream session its socket: connects, hands messages in, carries actions out, connects again."""

from __future__ import annotations

import importlib.util
import ipaddress
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tailwag.errors import InputError, MissingPackageError, VenueError
from tailwag.sources.streams.backoff import Backoff
from tailwag.sources.streams.wire import GOING_AWAY, Action, Close, Send, StreamSession

if TYPE_CHECKING:
    from tailwag.market.snapshot import Snapshot

STEADY_SECONDS = 30.0
"""A connection that was live for so long has proved itself: the back-off starts anew after it."""
SAID_FAILURES = 20
"""Before the first snapshot each failed connection is said, after so many only one of so many."""
REDIRECTS = (301, 302, 303, 307, 308)
BUSY = (429, 503)
BUSY_SECONDS, LONGEST_BUSY_SECONDS = 10.0, 60.0


@dataclass(frozen=True, slots=True)
class WireLimits:
    """What the socket may cost: bytes of one message, unpacked; messages waiting; seconds to open, to close, and between two ticks."""

    message_bytes: int = 8 << 20
    waiting_messages: int = 256
    open_seconds: float = 8.0
    close_seconds: float = 1.0
    tick_seconds: float = 0.25


def checked_address(address: str) -> str:
    """A WebSocket address that may be used: encrypted, or on this machine.

    >>> checked_address("wss://www.deribit.com/ws/api/v2")
    'wss://www.deribit.com/ws/api/v2'

    Raises InputError for anything else.
    """
    try:
        parts = urlsplit(address)
        usable = bool(parts.hostname) and parts.username is None and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if usable and (parts.scheme == "wss" or (parts.scheme == "ws" and _is_loopback(str(parts.hostname)))):
        return address
    raise InputError(
        f"expected an address such as wss://host/path (ws:// on this machine only) without a password, got {address[:80]!a}; mend it"
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class StreamRunner:
    """One session on one address, in a thread of its own from :meth:`start` to :meth:`stop`.

    The session is only ever touched under a lock; sending and closing happen outside it, so that a stuck socket cannot keep readers
    waiting.  ``monotonic`` and ``clock`` are the clocks that the session is given.

    Raises InputError for an address that is neither encrypted nor on this machine, MissingPackageError without the socket library.
    """

    def __init__(
        self,
        session: StreamSession,
        *,
        address: str,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], int] = time.time_ns,
        backoff: Backoff | None = None,
        limits: WireLimits = WireLimits(),
        say: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.address = checked_address(address)
        if importlib.util.find_spec("websockets") is None:
            raise MissingPackageError("a venue's stream needs websockets; pip install 'tailwag[live]'")
        self._session, self._monotonic, self._clock, self._limits = session, monotonic, clock, limits
        self._backoff, self._say, self._was_live, self._failed = backoff or Backoff(Random()), say, False, 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._counts: Counter[str] = Counter()
        self._trouble = "no connection has been made yet"

    def start(self) -> None:
        """Run until :meth:`stop`."""
        self._thread = threading.Thread(target=self._run, name="tailwag stream", daemon=True)
        self._thread.start()

    def stop(self, *, within_seconds: float = 5.0) -> None:
        """Close the socket and end the thread."""
        self._stopping.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(within_seconds)

    def snapshot(self) -> Snapshot | None:
        """What the session holds now; None while it is not live."""
        with self._lock:
            return self._session.snapshot(self._monotonic(), self._clock())

    def kept(self) -> None:
        """The last snapshot is on disk: its trades are not given again."""
        with self._lock:
            self._session.kept()

    def doubts(self) -> tuple[str, ...]:
        """Why it is not live, or not wholly; first what happened to the connection."""
        with self._lock:
            doubts = self._session.doubts(self._monotonic())
            return (self._trouble, *doubts) if self._trouble else doubts

    def counters(self) -> Mapping[str, int]:
        """Connections, how they ended, and the session's own counts."""
        with self._lock:
            return {**self._session.counters(), **self._counts}

    # the thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            wait = self._backoff.due(self._monotonic()) - self._monotonic()
            if wait > 0.0 and self._stopping.wait(min(wait, 1.0)):
                return
            if wait <= 0.0:
                self._connect_once()

    def _connect_once(self) -> None:
        self._backoff.connecting(self._monotonic())
        self._count("connects")
        wait_seconds = 0.0
        try:
            with self._connection() as connection:
                wait_seconds = self._converse(connection)
        except Exception as trouble:  # whatever a socket or a session does, the next connection is tried
            self._lost(trouble)
            wait_seconds = _asked_to_wait(trouble)
        with self._lock:
            self._session.closed(self._monotonic())
        self._backoff.lost(self._monotonic(), wait_seconds=wait_seconds)
        self._tell_wait()

    def _tell_wait(self) -> None:
        """Until it has been live once, each connection that failed: somebody may be waiting for the first snapshot."""
        self._failed += 1
        # a service without a network for a day fills no log
        if self._was_live or self._stopping.is_set() or (self._failed > SAID_FAILURES and self._failed % SAID_FAILURES):
            return
        wait_seconds = max(self._backoff.due(self._monotonic()) - self._monotonic(), 0.0)
        self._say(f"{self._trouble}; connecting again in {wait_seconds:.1f} s")

    def _connection(self) -> Any:
        from websockets.sync.client import connect

        secure = self.address.startswith("wss:")
        return connect(
            self.address,
            create_connection=_without_redirects(),
            proxy=True if secure else None,
            user_agent_header=None,
            open_timeout=self._limits.open_seconds,
            close_timeout=self._limits.close_seconds,
            ping_interval=10.0,
            ping_timeout=10.0,
            max_size=self._limits.message_bytes,
            max_queue=self._limits.waiting_messages,
        )

    def _converse(self, connection: Any) -> float:
        """Until either side ends it; the seconds that the session wants to wait before the next connection."""
        opened_at = self._monotonic()
        live_since: float | None = None
        ticked_at = opened_at
        with self._lock:
            self._trouble = ""
            actions = self._session.opened(opened_at)
        while True:
            ended = self._carry_out(actions, connection)
            if ended is not None:
                return ended
            message = self._next_message(connection)
            now = self._monotonic()
            actions = [] if message is None else self._hand_in(message, now)
            if now - ticked_at >= self._limits.tick_seconds or message is None:
                ticked_at = now
                actions = [*actions, *self._tick(now)]
                live_since = self._note_live(now, live_since)

    def _next_message(self, connection: Any) -> str | bytes | None:
        try:
            return connection.recv(timeout=self._limits.tick_seconds)  # type: ignore[no-any-return]
        except TimeoutError:
            return None

    def _hand_in(self, message: str | bytes, now: float) -> list[Action]:
        with self._lock:
            return self._session.received(message, now, self._clock())

    def _tick(self, now: float) -> list[Action]:
        if self._stopping.is_set():
            return [Close(GOING_AWAY, "stopping")]
        with self._lock:
            return self._session.tick(now, self._clock())

    def _note_live(self, now: float, since: float | None) -> float | None:
        with self._lock:
            live = self._session.live(now)
        if not live:
            return None
        self._was_live = True
        if since is not None and now - since >= STEADY_SECONDS:
            self._backoff.settled()
        return now if since is None else since

    def _carry_out(self, actions: list[Action], connection: Any) -> float | None:
        """None while the connection goes on."""
        for action in actions:
            if isinstance(action, Send):
                connection.send(action.text)
                continue
            with self._lock:  # before the slow goodbye: nothing is live from here on
                self._session.closed(self._monotonic())
                self._trouble = f"connection closed: {action.reason}"
            self._count(f"closed_{action.code}")
            connection.close(action.code, action.reason[:100])
            return action.wait_seconds
        return None

    def _lost(self, trouble: Exception) -> None:
        code = _close_code(trouble)
        self._count(f"lost_{code}" if code else f"lost_{type(trouble).__name__}")
        said = str(trouble) if isinstance(trouble, VenueError) else f"{type(trouble).__name__}{f' {code}' if code else ''}"
        with self._lock:
            self._trouble = f"connection lost: {said}"

    def _count(self, key: str) -> None:
        with self._lock:
            self._counts[key] += 1


def _close_code(trouble: Exception) -> int:
    """The close code that ended a connection, ours where we ended it; 0 where there was none."""
    for frame in (getattr(trouble, "sent", None), getattr(trouble, "rcvd", None)):
        code = getattr(frame, "code", None)
        if isinstance(code, int):
            return code
    return 0


def _asked_to_wait(trouble: Exception) -> float:
    """Seconds that a venue too busy to open a connection asks for, within reason; 0 where it asked for nothing."""
    response = getattr(trouble, "response", None)
    if getattr(response, "status_code", 0) not in BUSY:
        return 0.0
    asked = str(response.headers.get("Retry-After", "")).strip()  # type: ignore[union-attr]
    seconds = float(asked) if asked.isascii() and asked.isdigit() and len(asked) <= 12 else BUSY_SECONDS
    return min(seconds, LONGEST_BUSY_SECONDS)


def _without_redirects() -> Any:
    """The library's connection, which it would otherwise let itself be sent to another host with."""
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import ClientConnection

    class Straight(ClientConnection):
        def handshake(self, *arguments: Any, **named: Any) -> None:
            try:
                super().handshake(*arguments, **named)
            except InvalidStatus as answer:
                if answer.response.status_code not in REDIRECTS:
                    raise
                raise VenueError("the venue's address redirects elsewhere, which is refused; check the address") from None

    return Straight
