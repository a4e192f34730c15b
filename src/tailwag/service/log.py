"""The structured log: JSON lines on stderr, with every known secret and every field that could hold one struck out."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any, TextIO

import structlog

STRUCK_OUT = "[struck out]"
_FIELDS = re.compile(r"token|secret|password|passwd|authorization|api[-_]?key|cookie|signature", re.IGNORECASE)
_IN_TEXT = re.compile(
    r"(?i)(bearer\s+|(?:token|secret|password|passwd|api[-_]?key|signature|\bsig|credential)s?\s*['\"]?\s*[=:]\s*['\"]?)[^\s'\"&,;}]+"
    r"|(?<=://)[^/\s@]+:[^/\s@]+(?=@)"
)


def make_log(*, stream: TextIO | None = None, secrets: Callable[[], Iterable[str]] = tuple) -> Any:
    """A logger that writes one JSON object a line; ``secrets`` gives what must never stand in one, asked each time."""

    def strike(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        known = [secret for secret in secrets() if secret]
        return {key: STRUCK_OUT if _FIELDS.search(key) else _struck(value, known) for key, value in event.items()}

    return structlog.wrap_logger(
        structlog.WriteLogger(stream or sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            strike,
            structlog.processors.JSONRenderer(),
        ],
    )


def without_secrets(text: str) -> str:
    """A sentence with whatever looks like a key, a token or a password struck out: other people's errors may echo one.

    >>> without_secrets("GET https://example.org/v2?api_key=abc&x=1 failed")
    'GET https://example.org/v2?api_key=[struck out]&x=1 failed'
    """
    return _IN_TEXT.sub(lambda found: f"{found[1] or ''}{STRUCK_OUT}", text)


def _struck(value: Any, known: list[str]) -> Any:
    if isinstance(value, str):
        for secret in known:
            value = value.replace(secret, STRUCK_OUT)
        return without_secrets(value)
    if isinstance(value, (list, tuple)):
        return [_struck(part, known) for part in value]
    if isinstance(value, dict):
        return {key: STRUCK_OUT if _FIELDS.search(str(key)) else _struck(part, known) for key, part in value.items()}
    return value
