"""Large answers travel packed where the client says that it reads gzip."""

from __future__ import annotations

import gzip

from fastapi import Request, Response

SMALLEST_BYTES = 16_384


def packed(request: Request, answer: Response) -> Response:
    """The answer, packed if it is large and the client takes gzip."""
    body = bytes(answer.body)
    if not takes_gzip(request) or len(body) < SMALLEST_BYTES:
        return answer
    headers = {name: value for name, value in answer.headers.items() if name not in ("content-length", "content-type")}
    return Response(
        gzip.compress(body, 1, mtime=0),
        answer.status_code,
        headers={**headers, "content-encoding": "gzip", "vary": "accept-encoding"},
        media_type=answer.media_type or answer.headers.get("content-type"),
    )


def takes_gzip(request: Request) -> bool:
    """Whether a client says that it reads gzip."""
    return any(part.partition(";")[0].strip() == "gzip" for part in request.headers.get("accept-encoding", "").split(","))
