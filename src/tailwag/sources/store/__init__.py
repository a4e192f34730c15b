"""The store: every snapshot ever recorded, in append-only segments that prove what they hold.

A folder with

====================  ==================================================================================================
``segment-NNN.tws``   records, each with its own SHA-256 and the hash of the record before it: the truth
``segment-N-M.tws``   a run of closed segments, compacted into one file: every record as it was, payloads compressed together
``mark``              the last acknowledged record: a segment that ends before it has lost something
``epoch``             how often the store was opened for writing: an old writer that wakes up finds a newer number
``lock``              held by the one writer; empty
``quarantine/``       what recovery cut off or replaced; nothing is deleted
====================  ==================================================================================================

One :class:`~tailwag.sources.store.recorder.Recorder` writes, any number of :class:`~tailwag.sources.store.history.History` read at the
same time.  Tables for other programs are made from the segments and can be thrown away (:mod:`~tailwag.sources.store.projection`).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "Acknowledgement": "tailwag.sources.store.recorder",
    "Recorder": "tailwag.sources.store.recorder",
    "Compaction": "tailwag.sources.store.compaction",
    "compact_store": "tailwag.sources.store.compaction",
    "History": "tailwag.sources.store.history",
    "Verification": "tailwag.sources.store.verify",
    "verify_store": "tailwag.sources.store.verify",
    "export_snapshots": "tailwag.sources.store.projection",
    "export_table": "tailwag.sources.store.projection",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import a part on first use: reading a store must not pay for writing tables."""
    if name not in _HOME:
        raise AttributeError(f"module 'tailwag.sources.store' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
