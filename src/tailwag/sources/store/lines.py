"""Small sealed texts (segment heads, mark, epoch): one JSON line that a person can read and that carries its own SHA-256."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import orjson


def sealed_line(fields: dict[str, Any]) -> bytes:
    """One line of JSON, keys in order, with a ``check`` over all the others.

    >>> opened_line(sealed_line({"b": 1, "a": "x"}))
    {'a': 'x', 'b': 1}
    """
    text = _canonical(fields)
    return _canonical({**fields, "check": sha256(text).hexdigest()}) + b"\n"


def opened_line(line: bytes) -> dict[str, Any] | None:
    """The fields of a sealed line, or None where any byte of it differs from what was written."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or "check" not in fields:
        return None
    del fields["check"]
    return fields if sealed_line(fields) == line else None


def sealed_row(fields: dict[str, Any]) -> bytes:
    """A line of thousands of numbers: the first 32 hex digits of the SHA-256 of its JSON, a blank, the JSON.

    >>> opened_row(sealed_row({"b": 0.1, "a": "x"}))
    {'b': 0.1, 'a': 'x'}
    """
    body = orjson.dumps(fields)
    return sha256(body).hexdigest()[:32].encode() + b" " + body + b"\n"


def opened_row(line: bytes) -> dict[str, Any] | None:
    """The fields of a sealed row, or None where any byte of it differs from what was written."""
    seal, _, body = line.partition(b" ")
    if not body.endswith(b"\n") or seal != sha256(body[:-1]).hexdigest()[:32].encode():
        return None
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return fields if isinstance(fields, dict) else None


def _canonical(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
