"""Strict JSON: no NaN, no Infinity, no number beyond a double or a 64-bit integer, no key twice, no bottomless nesting."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import orjson

from tailwag.errors import FileFormatError
from tailwag.sources.opening import RawFile

LARGEST_INTEGER = 2**63 - 1


class _KeyTwice(ValueError):
    """An object names one key twice; ``args`` is the key."""


class _TooLarge(ValueError):
    """An integer beyond 64 bits; ``args`` is its digits."""


def parse_json(raw: RawFile) -> Any:
    """The value that a JSON file holds, read strictly.

    Two passes: a fast one that knows places and refuses what JSON does not allow, and one that sees keys named twice, which the first
    would silently drop, and integers beyond 64 bits, which it would round.

    Raises FileFormatError as ``name:line:column``.
    """
    _refuse_byte_order_mark(raw)
    try:
        orjson.loads(raw.data)
        return json.loads(raw.data.decode("utf-8"), object_pairs_hook=_once, parse_int=_integer)
    except orjson.JSONDecodeError as trouble:
        place = f"{trouble.lineno}:{trouble.colno}"
        raise FileFormatError(f"{raw.name}:{place}: not strict JSON ({trouble.msg[:100]}); save the venue's reply unchanged") from None
    except _KeyTwice as trouble:
        _refuse_key_twice(raw, str(trouble))
    except _TooLarge as trouble:
        _refuse_integer(raw, str(trouble))
    except RecursionError:
        raise FileFormatError(f"{raw.name}:1:1: nested too deeply to be a venue's reply; save the reply unchanged") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _KeyTwice(key)
            seen.add(key)
    return found


def _integer(digits: str) -> int:
    if len(digits) > 18 and (len(digits) > 20 or not -LARGEST_INTEGER - 1 <= int(digits) <= LARGEST_INTEGER):
        raise _TooLarge(digits)
    return int(digits)


def _refuse_byte_order_mark(raw: RawFile) -> None:
    if raw.data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise FileFormatError(f"{raw.name}:1:1: starts with a byte-order mark; JSON is plain UTF-8, save it without one")


def _refuse_key_twice(raw: RawFile, key: str) -> NoReturn:
    quoted = re.escape(orjson.dumps(key))
    places = [found.start() for found in re.finditer(quoted + rb"\s*:", raw.data)]
    place = f":{line_and_column(raw.data, places[1])}" if len(places) == 2 else ""
    raise FileFormatError(f"{raw.name}{place}: an object has the key {key[:60]!a} twice, so its value is unknown; save the reply unchanged")


def _refuse_integer(raw: RawFile, digits: str) -> NoReturn:
    place = line_and_column(raw.data, max(raw.data.find(digits.encode()), 0))
    raise FileFormatError(f"{raw.name}:{place}: the integer {digits[:30]} is beyond 64 bits; save the reply unchanged")


def line_and_column(data: bytes, offset: int) -> str:
    """The place of a byte as ``line:column``, both from 1.

    >>> line_and_column(b"ab\\ncd", 4)
    '2:2'
    """
    before = data[:offset]
    return f"{before.count(10) + 1}:{offset - (before.rfind(10) + 1) + 1}"
