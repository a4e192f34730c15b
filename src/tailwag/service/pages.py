"""The page's files as they are sent: exactly those that the dashboard lists, read and packed once."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent."""

    body: bytes
    packed: bytes
    kind: str
    tag: str


def page() -> Asset:
    """The page itself."""
    return _assets()["/"]


def asset(name: str) -> Asset | None:
    """A file of the page by its name below ``/static/``; None for any name that is not among its files."""
    return _assets().get(f"/static/{name}")


@lru_cache
def _assets() -> dict[str, Asset]:
    from tailwag.service.dashboard import static_files

    return {file.path: _made(file.content(), file.media_type) for file in static_files()}


def _made(body: bytes, kind: str) -> Asset:
    small = gzip.compress(body, 6, mtime=0)
    return Asset(body, small, kind, f'"{sha256(body).hexdigest()[:32]}"')
