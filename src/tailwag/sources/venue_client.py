"""Asking a venue: one request at a time through the exchange library, retried when it helps, refused when redirected, told in one sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from tailwag.errors import MissingPackageError, VenueError
from tailwag.sources.venue_replies import Request

TIMEOUT_MS = 10_000
TRIES_WHEN_NEEDED, TRIES_OTHERWISE = 3, 2
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 20.0
"""A venue that asks for more patience than this is not waited for: the answer says how long it wants."""
LIMIT_STATUS = (418, 429)
PASSING_STATUS = (408, *LIMIT_STATUS)
"""Statuses below 500 that pass when one waits; every other one stays."""

Say = Callable[[str], None]


def open_exchange(venue: str) -> Any:
    """The exchange library's client of one venue, with its rate limits on.

    Raises MissingPackageError where the library is not installed.
    """
    try:
        import ccxt
    except ImportError:
        raise MissingPackageError("live prices need ccxt, which is not installed; run: pip install tailwag[live]") from None
    return getattr(ccxt, venue)({"enableRateLimit": True, "timeout": TIMEOUT_MS})


@contextmanager
def no_redirects(exchange: Any) -> Iterator[None]:
    """While open, a redirect is an error: a public price never moves to another host, a login page does."""
    session = exchange.session
    allowed = session.max_redirects
    session.max_redirects = 0
    try:
        yield
    finally:
        session.max_redirects = allowed


def ask(exchange: Any, request: Request, *, title: str, say: Say, sleep: Callable[[float], None]) -> Any:
    """The reply to one request: a JSON object or list.

    Limits, timeouts and server errors are tried again after the wait that the venue asks for.

    Raises VenueError with one sentence: what was asked, what came, what to do.
    """
    tries = TRIES_WHEN_NEEDED if request.needed else TRIES_OTHERWISE
    for attempt in range(tries):
        exchange.last_response_headers = None
        try:
            return _checked(getattr(exchange, request.method)(dict(request.parameters)), request, title)
        except VenueError:
            raise
        except Exception as trouble:
            if not _is_library_error(trouble):
                raise
            wait = _wait_seconds(trouble, exchange.last_response_headers, attempt)
            if wait is None or wait > LONGEST_WAIT_SECONDS or attempt + 1 == tries:
                raise VenueError(_sentence(trouble, request, title=title, wait=wait)) from trouble
            say(f"{title}: {_briefly(trouble)}; asking again in {wait:.3g} s ({attempt + 1} of {tries - 1})")
            sleep(wait)
    raise AssertionError("every try returns or raises")


def _checked(reply: Any, request: Request, title: str) -> Any:
    if isinstance(reply, (dict, list)):
        return reply
    text = str(reply).strip()
    kind = "a web page" if text[:200].lower().lstrip("\ufeff").startswith(("<!doctype", "<html", "<?xml", "<")) else "no data"
    raise VenueError(
        f"{title}: asked for {request.what}, got {kind} ({text[:60]!a}); a block, a login page or an outage stands between: "
        "open the venue in a browser, then try again"
    )


def _is_library_error(trouble: BaseException) -> bool:
    import ccxt

    return isinstance(trouble, (ccxt.BaseError, ValueError))


def _wait_seconds(trouble: BaseException, headers: Any, attempt: int) -> float | None:
    """Seconds to wait before the next try, as the venue asks or doubling from half a second; None where trying again cannot help."""
    import ccxt

    if _broken_channel(trouble):
        return None
    status = _status(trouble)
    passing = status in PASSING_STATUS or (status is not None and status >= 500)
    if not passing and (status is not None or not isinstance(trouble, ccxt.OperationFailed)):
        return None
    asked = retry_after_seconds(headers)
    return FIRST_WAIT_SECONDS * 2.0**attempt if asked is None else asked


def retry_after_seconds(headers: Any) -> float | None:
    """Seconds in a Retry-After header: a count, or a date measured against the reply's own Date so that no local clock enters."""
    text = str(headers.get("Retry-After", "")).strip() if headers is not None else ""
    if not text:
        return None
    if re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,6})?", text, re.ASCII):
        return max(float(text), 0.0)
    until, now = _date(text), _date(str(headers.get("Date", "")))
    return max((until - now).total_seconds(), 0.0) if until is not None and now is not None else None


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo is not None else None


def _response(trouble: BaseException) -> Any:
    """The HTTP answer behind an error, None where there was none: the library keeps it as cause or context of its own error.

    Its error classes alone do not tell: a limit (429) with a JSON body is an ordinary error reply to some of its venues.
    """
    seen: BaseException | None = trouble
    while seen is not None:
        response = getattr(seen, "response", None)
        if response is not None:
            return response
        seen = seen.__cause__ or seen.__context__
    return None


def _status(trouble: BaseException) -> int | None:
    """The HTTP status where it says that something is wrong; None for an answer of 200 that was none, and for no answer."""
    code = getattr(_response(trouble), "status_code", None)
    return code if isinstance(code, int) and code >= 400 else None


def _redirect_target(trouble: BaseException) -> str | None:
    response = _response(trouble)
    if response is None or not getattr(response, "is_redirect", False):
        return None
    return str(response.headers.get("location", ""))[:100]


def _broken_channel(trouble: BaseException) -> bool:
    """True for a certificate or proxy that will be as wrong next time."""
    return type(trouble.__cause__).__name__ in ("SSLError", "ProxyError", "InvalidURL", "InvalidSchema")


def _briefly(trouble: BaseException) -> str:
    import ccxt

    status = _status(trouble)
    if status in LIMIT_STATUS or isinstance(trouble, (ccxt.RateLimitExceeded, ccxt.DDoSProtection)):
        return "too many requests" if status is None else f"too many requests (HTTP {status})"
    if isinstance(trouble, ccxt.OnMaintenance):
        return "under maintenance"
    if status is None and isinstance(trouble, ccxt.RequestTimeout):
        return "no answer in time"
    return f"HTTP {status}" if status is not None else "no connection"


def _sentence(trouble: BaseException, request: Request, *, title: str, wait: float | None) -> str:
    import ccxt

    asked = f"{title}: asked for {request.what}"
    target = _redirect_target(trouble)
    if target is not None:
        return f"{asked}, got a redirect to {target!a}, which is refused; a proxy or login page stands between: try from another network"
    if wait is not None and wait > LONGEST_WAIT_SECONDS:
        return f"{asked}, got {_briefly(trouble)} and the wish to wait {wait:,.0f} s; try again after that"
    if _broken_channel(trouble):
        kind = type(trouble.__cause__).__name__
        return f"{asked}, got no usable connection ({kind}); a proxy or a wrong certificate stands between: try from another network"
    status = _status(trouble)
    if isinstance(trouble, ccxt.NetworkError) or (status is not None and (status in PASSING_STATUS or status >= 500)):
        patience = _briefly(trouble).startswith(("too many requests", "under maintenance"))
        advice = "wait a minute" if patience else "check the network and the venue's status page"
        return f"{asked}, got {_briefly(trouble)}{'' if wait is None else ' also when asked again'}; {advice}, then try again"
    return f"{asked}, got an error reply ({_said(trouble)}); check the currency, then try again"


def _said(trouble: BaseException) -> str:
    """What the venue said, in ASCII and short: its bytes are never repeated as they came."""
    text = " ".join(str(trouble).split())
    return ascii(text[:140])[1:-1] or type(trouble).__name__
