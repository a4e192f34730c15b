"""The page over the API: static files without a build step and without numerics; every number in it comes from a measurement."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

PREFIX = "/static"
"""Under which address the page's own files lie; the page itself is ``/``."""
DRAWING_LIBRARY = "plotly.min.js"
_TYPES = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_NAMES = (
    "index.html",
    "style.css",
    "app.js",
    "api.js",
    "feed.js",
    "live.js",
    "answer.js",
    "daily.js",
    "figures.js",
    "exposures.js",
    "heatmap.js",
    "market.js",
    "history.js",
    "notices.js",
    "ownbook.js",
    "page.js",
    "whatif.js",
    "words.js",
)


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file of the page: the address under which it is served, its media type, and where it lies."""

    path: str
    media_type: str
    file: Traversable

    def content(self) -> bytes:
        """The file's bytes; OSError where the installation is incomplete."""
        return self.file.read_bytes()


def static_files() -> tuple[StaticFile, ...]:
    """Every file of the page, the page itself first, the drawing library of the ``plotly`` package last (about 5 MB: worth compressing).

    None holds data of a market, so all of them may be served to anybody.

    >>> [file.path for file in static_files()][:2], static_files()[-1].path
    (['/', '/static/style.css'], '/static/plotly.min.js')
    """
    own = tuple(StaticFile(_path(name), _TYPES[name.rpartition(".")[2]], files(__name__) / name) for name in _NAMES)
    return (*own, StaticFile(f"{PREFIX}/{DRAWING_LIBRARY}", _TYPES["js"], files("plotly") / "package_data" / DRAWING_LIBRARY))


def _path(name: str) -> str:
    return "/" if name == "index.html" else f"{PREFIX}/{name}"
