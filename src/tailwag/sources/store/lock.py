"""One writer: a lock that dies with its holder, and an epoch that tells a writer that lost the lock without noticing."""

from __future__ import annotations

import os
from pathlib import Path

from tailwag.errors import StoreBusyError, StoreError
from tailwag.sources.store.disk import Disk, write_whole
from tailwag.sources.store.lines import opened_line, sealed_line

LOCK_NAME = "lock"
EPOCH_NAME = "epoch"


def take_lock(folder: Path, disk: Disk) -> int:
    """The descriptor that holds the store's lock; the system frees it when the process ends, however it ends.

    Raises StoreBusyError where another process holds it.
    """
    try:
        import fcntl
    except ImportError:
        raise StoreError("recording needs a system with file locks (Linux, macOS); run it there") from None
    descriptor = disk.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        disk.close(descriptor)
        raise StoreBusyError(f"{folder}: another process records to this store; stop it, or give another --store") from None
    return descriptor


def read_epoch(folder: Path) -> tuple[int, str | None]:
    """The epoch (0 where there is none to read), and a code where the file is missing or damaged."""
    try:
        fields = opened_line((folder / EPOCH_NAME).read_bytes())
    except FileNotFoundError:
        return 0, "epoch_missing"
    except OSError:
        return 0, "epoch_damaged"
    return (int(fields["epoch"]), None) if fields and set(fields) == {"epoch"} else (0, "epoch_damaged")


def write_epoch(folder: Path, disk: Disk, epoch: int) -> None:
    """Make ``epoch`` the store's, on the device."""
    write_whole(disk, folder / EPOCH_NAME, sealed_line({"epoch": epoch}))


def refuse_if_fenced(folder: Path, epoch: int) -> None:
    """Go on only while no newer writer has opened the store.

    Raises StoreBusyError where one has: its segments are the store now, and what this writer appended is not acknowledged; StoreError
    where the store is no longer there: what is written to files without a name is lost with the process.
    """
    now, code = read_epoch(folder)
    if code == "epoch_missing":
        raise StoreError(f"{folder}: the store is gone from under its recorder; put the folder back, or start anew with another --store")
    if code is None and now > epoch:
        raise StoreBusyError(f"{folder}: another recorder (epoch {now}) has taken this store over from epoch {epoch}; this one stops")
