"""Sending one message through one address with apprise, without ever showing the address."""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from tailwag.errors import InputError, MissingPackageError

KEY_HEADER = "Idempotency-Key"
_STATUS = re.compile(r"error=(\d{3})\b")
_here = threading.local()
_ways: dict[str, threading.Thread] = {}
_prepared = threading.Lock()
_LOGGERS = ("apprise", "urllib3", "urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry", "requests", "charset_normalizer")


@dataclass(frozen=True, slots=True)
class Message:
    """What goes out: ``key`` is the same for every attempt, so that a receiver that honours it takes the message once."""

    key: str
    title: str
    body: str
    severity: str
    picture: bytes | None = None
    picture_name: str = "tailwag.png"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether the other side took it; ``reason`` never holds any part of the address."""

    taken: bool
    reason: str = ""


Send = Callable[[Message, str, float], Outcome]


def check_address(address: str, *, channel: str) -> None:
    """Refuse an address that apprise cannot use, without showing it.

    Raises InputError, or MissingPackageError without apprise.
    """
    with _Quiet():
        service = _service(address, timeout_seconds=10.0)
    if service is None:
        raise InputError(
            f"channel {channel}: expected an address that apprise knows, such as json://host/path, mailto://..., tgram://..., slack://...; "
            "what came is none (it is not shown, it may hold a secret)"
        )


def send_with_apprise(message: Message, address: str, timeout_seconds: float) -> Outcome:
    """One attempt; comes back after ``timeout_seconds`` whatever the other side does.

    An attempt that is still under way then is left to end by itself, and its channel is busy until it has: it may yet arrive.  Redirects
    are not followed.  What apprise and the layers below it would log is read for a status code and withheld.
    """
    busy = _ways.get(address)
    if busy is not None and busy.is_alive():
        return Outcome(False, "the attempt before has not ended yet")
    try:
        with _Quiet():
            _load()  # takes a second the first time, which is not the other side's
    except MissingPackageError as error:
        return Outcome(False, str(error))
    except Exception as error:  # a plugin that breaks while it is loaded must not end the courier
        return Outcome(False, _broken(error))
    outcomes: list[Outcome] = []
    worker = threading.Thread(
        target=lambda: outcomes.append(_attempt(message, address, timeout_seconds)), daemon=True, name="tailwag-alert"
    )
    _ways[address] = worker
    worker.start()
    worker.join(timeout_seconds)
    if worker.is_alive():
        return Outcome(False, f"no answer within {timeout_seconds:g} s")
    _ways.pop(address, None)
    return outcomes[0] if outcomes else Outcome(False, "the attempt ended without an outcome")


def _attempt(message: Message, address: str, timeout_seconds: float) -> Outcome:
    with _Quiet() as heard:
        try:
            return _sent(message, address, timeout_seconds, heard)
        except Exception as error:
            return Outcome(False, _broken(error))


def _broken(error: Exception) -> str:
    """A plugin's error text may hold the address, so only its kind is told."""
    return f"the notifier failed ({type(error).__name__})"


def _sent(message: Message, address: str, timeout_seconds: float, heard: _Quiet) -> Outcome:
    from apprise import NotifyFormat, NotifyType
    from apprise.attachment.memory import AttachMemory

    service = _service(address, timeout_seconds=timeout_seconds)
    if service is None:
        return Outcome(False, "apprise does not know this kind of address")
    headers = getattr(service, "headers", None)
    if isinstance(headers, dict):  # json://, xml:// and form:// let the receiver see the key where it is looked for
        headers[KEY_HEADER] = message.key
    pictures: list[Any] = []
    if message.picture is not None:
        memory: Any = AttachMemory
        pictures = [memory(content=message.picture, name=message.picture_name, mimetype="image/png")]
    kind = {"critical": NotifyType.FAILURE, "warning": NotifyType.WARNING}.get(message.severity, NotifyType.INFO)
    taken = service.notify(
        body=message.body,
        title=message.title,
        notify_type=kind,
        body_format=NotifyFormat.TEXT,
        **({"attach": pictures} if pictures else {}),
    )
    return Outcome(True) if taken else Outcome(False, heard.reason())


def _service(address: str, *, timeout_seconds: float) -> Any:
    _load()
    from apprise import Apprise, AppriseAsset

    asset = AppriseAsset(app_id="tailwag", app_desc="tailwag alerts", http_redirects=False, secure_logging=True, storage_mode="memory")
    service = Apprise.instantiate(address, asset=asset, suppress_exceptions=True)
    if service is not None:
        service.socket_connect_timeout = service.socket_read_timeout = timeout_seconds
        service.redirects = False
    return service


@cache
def _load() -> None:
    """Import apprise and its plugins, once; what they use of the standard library's old modules is not the reader's to mend."""
    with _prepared, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            from apprise import Apprise
        except ImportError:
            raise MissingPackageError('alerts are delivered by apprise, which is not installed; pip install "tailwag[service]"') from None
        Apprise.instantiate("json://localhost/")


class _Quiet:
    """While it is entered, what this thread's notifier logs is heard here and nowhere else: those lines may hold addresses."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def __enter__(self) -> _Quiet:
        with _prepared:
            for name in _LOGGERS:
                logger = logging.getLogger(name)
                if not any(isinstance(item, _Withheld) for item in logger.filters):
                    logger.addFilter(_Withheld())
        _here.heard = self._texts
        return self

    def __exit__(self, *_: object) -> None:
        _here.heard = None

    def reason(self) -> str:
        """What went wrong, in words of ours."""
        status = next((found[1] for text in self._texts if (found := _STATUS.search(text))), None)
        if status is not None:
            return f"the other side answered {status}"
        if any("onnection error" in text for text in self._texts):
            return "no connection, or no answer in time"
        return "the other side did not take it"


class _Withheld(logging.Filter):
    """Keeps log records of a thread that is sending from every handler."""

    def filter(self, record: logging.LogRecord) -> bool:
        heard = getattr(_here, "heard", None)
        if heard is None:
            return True
        if record.levelno >= logging.WARNING:
            heard.append(record.getMessage())
        return False
