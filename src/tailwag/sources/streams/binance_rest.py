"""Binance's REST side of a live feed: what to ask when, within the venue's request weights and its wish to be left alone; and who asks.

:class:`RestDesk` decides and never waits; :func:`fetch_json_bytes` is the only thing here that opens a connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tailwag.sources.streams.binance_markets import RestPath

if TYPE_CHECKING:
    from email.message import Message

WINDOW_SECONDS = 60.0
LONGEST_PATIENCE_SECONDS = 3_600.0
"""A wish to wait for longer is asked about again after this."""
SHORTEST_PATIENCE_SECONDS = 1.0
BANNED_SECONDS, LIMITED_SECONDS, FAILED_SECONDS = 120.0, 30.0, 2.0
"""Patience after 418, after 429, and after any other failure, where the answer names none."""
MOST_WAITING = 16
BODY_BYTES = 8 << 20
TIMEOUT_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """One request that a session wants answered; ``number`` tells its answer from that of an earlier one."""

    number: int
    what: str
    path: RestPath


@dataclass(frozen=True, slots=True)
class Reply:
    """What came: HTTP status (0: nothing came), headers in lower case, and the body as sent."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


Fetch = Callable[[str], Reply]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one wanted request; ``body`` is None where it failed, and ``trouble`` says why."""

    number: int
    what: str
    body: bytes | None
    trouble: str = ""


@dataclass(slots=True)
class Mailbox:
    """Requests of one session on their way out and answers on their way back, between two threads; bounded both ways."""

    out: deque[Wanted] = field(default_factory=lambda: deque(maxlen=MOST_WAITING))
    back: deque[Answer] = field(default_factory=lambda: deque(maxlen=MOST_WAITING))


@dataclass(slots=True)
class _Host:
    spent: deque[tuple[float, int]] = field(default_factory=deque)
    not_before: float = float("-inf")


class RestDesk:
    """Which request may go out now; on a monotonic clock in seconds.

    >>> desk = RestDesk()
    >>> depth = RestPath("https://fapi.binance.com", "/fapi/v1/depth?symbol=BTCUSDT&limit=1000", 20)
    >>> desk.may_ask(depth, 0.0)
    True
    >>> desk.asked(depth, 0.0); desk.answered(depth, Reply(429, {"retry-after": "7"}), 0.5)
    'too many requests (HTTP 429): the next one in 7 s'
    >>> desk.may_ask(depth, 7.4), desk.may_ask(depth, 7.6)
    (False, True)
    """

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}

    def may_ask(self, path: RestPath, now: float) -> bool:
        """Whether the host's patience and the minute's weight allow this request."""
        host = self._hosts.setdefault(path.base, _Host())
        while host.spent and host.spent[0][0] <= now - WINDOW_SECONDS:
            host.spent.popleft()
        return now >= host.not_before and sum(weight for _, weight in host.spent) + path.weight <= path.weight_a_minute

    def asked(self, path: RestPath, now: float) -> None:
        """The request goes out."""
        self._hosts.setdefault(path.base, _Host()).spent.append((now, path.weight))

    def answered(self, path: RestPath, reply: Reply, now: float) -> str:
        """Take note of the answer; why it is of no use, '' where it is of use."""
        if reply.status == 200:
            return "" if reply.body.lstrip()[:1] in (b"{", b"[") else "got a web page or nothing where data were expected"
        usual = {418: BANNED_SECONDS, 429: LIMITED_SECONDS}.get(reply.status, FAILED_SECONDS)
        patience = _patience(reply.headers, usual) if reply.status in (418, 429, 503) else usual
        host = self._hosts.setdefault(path.base, _Host())
        host.not_before = max(host.not_before, now + patience)
        return f"{_briefly(reply.status)}: the next one in {patience:,.0f} s"


def _briefly(status: int) -> str:
    if status in (418, 429):
        return f"too many requests (HTTP {status})"
    if 300 <= status < 400:
        return f"a redirect (HTTP {status}), which is refused"
    return f"HTTP {status}" if status else "no answer"


def _patience(headers: Mapping[str, str], usual: float) -> float:
    from tailwag.sources.venue_client import retry_after_seconds

    asked = retry_after_seconds({"Retry-After": headers.get("retry-after", ""), "Date": headers.get("date", "")})
    return usual if asked is None else min(max(asked, SHORTEST_PATIENCE_SECONDS), LONGEST_PATIENCE_SECONDS)


def serve_one(boxes: list[Mailbox], desk: RestDesk, fetch: Fetch, monotonic: Callable[[], float]) -> bool:
    """Ask for the first request that may go out and put its answer back; False where there was none."""
    for box in boxes:
        if not box.out or not desk.may_ask(box.out[0].path, monotonic()):
            continue
        wanted = box.out.popleft()
        desk.asked(wanted.path, monotonic())
        reply = fetch(wanted.path.base + wanted.path.path)
        trouble = desk.answered(wanted.path, reply, monotonic())
        box.back.append(Answer(wanted.number, wanted.what, None if trouble else reply.body, trouble))
        return True
    return False


def fetch_json_bytes(url: str) -> Reply:
    """GET one address: no redirects, no cookies, a bounded body, a bounded time; status 0 where nothing came."""
    from urllib.error import HTTPError, URLError
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class Straight(HTTPRedirectHandler):
        def redirect_request(self, *_: object, **__: object) -> None:
            return None

    asked = Request(url, headers={"Accept": "application/json", "User-Agent": "tailwag"})
    try:
        with build_opener(Straight).open(asked, timeout=TIMEOUT_SECONDS) as response:
            body = response.read(BODY_BYTES + 1)
            return Reply(response.status if len(body) <= BODY_BYTES else 0, _lowered(response.headers), body[:BODY_BYTES])
    except HTTPError as answer:
        with answer:
            return Reply(answer.code, _lowered(answer.headers))
    except (URLError, OSError, ValueError):
        return Reply(0)


def _lowered(headers: Message) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in headers.items()}
