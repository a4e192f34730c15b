"""Strict JSON: what leaves the package holds no NaN, no infinity, and no number whose unit stands elsewhere."""

from __future__ import annotations

import math
from typing import Any

from tailwag.errors import TailwagError


class NotFiniteError(TailwagError):
    """A NaN or an infinity was about to leave: a fault of ours, named by its place."""


def strict_json(document: dict[str, Any]) -> bytes:
    """The document as UTF-8 JSON, refusing any number that JSON cannot carry.

    >>> strict_json({"a": None, "b": [1.5]})
    b'{\\n  "a": null,\\n  "b": [\\n    1.5\\n  ]\\n}'

    Raises NotFiniteError naming the place of a NaN or an infinity.
    """
    import orjson

    found = _not_finite(document, "")
    if found:
        raise NotFiniteError(f"the measurement holds a number that is not finite at {found}; please report this with the input file")
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY)


def _not_finite(value: Any, place: str) -> str:
    if isinstance(value, float):
        return "" if math.isfinite(value) else place or "the top"
    if isinstance(value, dict):
        return next((found for key, part in value.items() if (found := _not_finite(part, f"{place}.{key}"))), "")
    if isinstance(value, (list, tuple)):
        return next((found for row, part in enumerate(value) if (found := _not_finite(part, f"{place}[{row}]"))), "")
    return ""
