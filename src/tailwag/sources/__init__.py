"""The edge: the only files and sockets. Each reader turns one format into a Snapshot, whole, with codes instead of silence."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

_HOME = {
    "load": "tailwag.sources.files",
    "load_trades": "tailwag.sources.trades_files",
    "load_books": "tailwag.sources.order_books",
    "fetch": "tailwag.sources.venues",
    "demo": "tailwag.sources.demo",
    "merge": "tailwag.sources.merge",
    "save": "tailwag.sources.snapshot_file",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import a reader on first use: a JSON file must not pay for polars, pyarrow or ccxt."""
    if name not in _HOME:
        raise AttributeError(f"module 'tailwag.sources' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


class _Verbs(ModuleType):
    """This package: importing the module ``demo`` or ``merge`` must not hide the verb of the same name."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, getattr(value, name, value) if name in _HOME and isinstance(value, ModuleType) else value)


sys.modules[__name__].__class__ = _Verbs
