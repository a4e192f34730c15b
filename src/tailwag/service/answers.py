"""What the description of the API says of each route: its answers, its errors, and the parameters that several routes share."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import Query

from tailwag.service.schemas import schema_of

AnySource = Annotated[
    str | None, Query(max_length=200, description="Name of a source as /api/v1/sources gives it; the first one if left out.")
]

_ERROR = schema_of("Error")
_ALWAYS = {
    400: "not a request of HTTP",
    401: "a token is needed, or this one is not known",
    403: "this host, origin or role may not",
    405: "method not allowed",
    408: "the body came too slowly",
    413: "the body is too large",
    414: "the address is too long",
    415: "packed bodies are not read",
    422: "a parameter cannot be used",
    429: "too many requests",
    431: "the headers are too large",
    500: "an error of ours",
    503: "too busy, or the disk refuses",
}
_MORE = {304: "unchanged", 404: "there is none"}


def answers(summary: str, *more: int, kind: str = "application/json", shape: str | None = None) -> dict[str, Any]:
    """Keyword arguments of a route: a summary, its good answer (``shape`` names its type), and every status it may give."""
    schema = schema_of(shape) if shape else {"type": "object"} if kind == "application/json" else {"type": "string"}
    found: dict[int | str, dict[str, Any]] = {200: {"description": summary, "content": {kind: {"schema": schema}}}}
    for status in sorted({*_ALWAYS, *more}):
        if status == 304:
            found[status] = {"description": _MORE[status]}
            continue
        words = _ALWAYS.get(status) or _MORE[status]
        found[status] = {"description": words, "content": {"application/json": {"schema": _ERROR}}}
    return {"summary": summary, "responses": found}


def error_body(sentence: str) -> bytes:
    """How every error looks; angle brackets are escaped, so that what a client wrote is markup nowhere."""
    return orjson.dumps({"error": sentence}).replace(b"<", b"\\u003c").replace(b">", b"\\u003e")
