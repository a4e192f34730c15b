"""Small sealed texts (segment heads, mark, epoch): one JSON line that a person can read and that carries its own SHA-256."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any


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


def _canonical(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
