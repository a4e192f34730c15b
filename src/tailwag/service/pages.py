"""The page's files: exactly those that lie in the dashboard folder, and the plotting library of the installed plotly package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

DASHBOARD = Path(__file__).parent / "dashboard"
PLOTLY = "plotly.min.js"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_NAME = re.compile(r"\A(?:[A-Za-z0-9_-]+/){0,3}[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){1,3}\Z")
FALLBACK = b"<!doctype html><html lang=en><title>tailwag</title><p>The service runs. Its numbers are at <a href=/api/v1/measure/latest>/api/v1/measure/latest</a>.</html>"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent."""

    body: bytes
    kind: str
    tag: str


def page() -> Asset:
    """The page itself; a line of HTML where this build has none."""
    return asset("index.html") or _made(FALLBACK, ".html")


def asset(name: str) -> Asset | None:
    """A file of the page by its name below ``/static/``, None for any other name: links and other folders are never followed."""
    if not _NAME.match(name):
        return None
    path = _plotly() if name == PLOTLY else DASHBOARD / name
    if path.suffix not in TYPES or path.is_symlink() or not path.is_file():
        return None
    if name != PLOTLY and not path.resolve().is_relative_to(DASHBOARD.resolve()):
        return None
    status = path.stat()
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _read(path: Path, _changed_ns: int, _size: int) -> Asset:
    return _made(path.read_bytes(), path.suffix)


def _made(body: bytes, suffix: str) -> Asset:
    return Asset(body, TYPES[suffix], f'"{sha256(body).hexdigest()[:32]}"')


@lru_cache
def _plotly() -> Path:
    import importlib.util

    spec = importlib.util.find_spec("plotly")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "package_data" / PLOTLY
