"""The few things a recorder does to a disk, in one place, so that a test can watch their order and make any of them fail."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tailwag.errors import StoreError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Disk(Protocol):
    """Every call that changes a store, and every call that makes a change last."""

    def make_folder(self, path: Path) -> None: ...
    def open(self, path: Path, flags: int) -> int: ...
    def close(self, descriptor: int) -> None: ...
    def write_at(self, descriptor: int, data: bytes, offset: int) -> None: ...
    def cut(self, descriptor: int, size: int) -> None: ...
    def sync(self, descriptor: int) -> None: ...
    def replace(self, beside: Path, target: Path) -> None: ...
    def remove(self, path: Path) -> None: ...
    def sync_folder(self, path: Path) -> None: ...


class SystemDisk:
    """The real disk."""

    def make_folder(self, path: Path) -> None:
        """Make a folder and those above it; one that exists is fine."""
        path.mkdir(parents=True, exist_ok=True)

    def open(self, path: Path, flags: int) -> int:
        """A descriptor; links are not followed and children do not inherit it."""
        return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0), 0o644)

    def close(self, descriptor: int) -> None:
        """Give a descriptor back."""
        os.close(descriptor)

    def write_at(self, descriptor: int, data: bytes, offset: int) -> None:
        """All of the data, at this place."""
        rest = memoryview(data)
        while rest:
            written = os.pwrite(descriptor, rest, offset)
            rest, offset = rest[written:], offset + written

    def cut(self, descriptor: int, size: int) -> None:
        """Shorten a file."""
        os.ftruncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        """Return only when the file's bytes and length are on the device."""
        getattr(os, "fdatasync", os.fsync)(descriptor)

    def replace(self, beside: Path, target: Path) -> None:
        """Give a finished file its name, at once or not at all."""
        os.replace(beside, target)

    def remove(self, path: Path) -> None:
        """Take a name away; who has the file open can go on reading it."""
        path.unlink(missing_ok=True)

    def sync_folder(self, path: Path) -> None:
        """Return only when the names in a folder are on the device."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_whole(disk: Disk, target: Path, data: bytes) -> None:
    """A file that appears whole or not at all, and is on the device when this returns."""
    beside = target.with_name(f".{target.name}.part")
    descriptor = disk.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        disk.write_at(descriptor, data, 0)
        disk.sync(descriptor)
    finally:
        disk.close(descriptor)
    disk.replace(beside, target)
    disk.sync_folder(target.parent)


@contextmanager
def disk_trouble(folder: Path, doing: str, so: str = "") -> Iterator[None]:
    """Say in one sentence what the disk refused, and ``so`` what that means for whoever asked."""
    try:
        yield
    except OSError as trouble:
        reason = trouble.strerror or str(trouble)
        remedy = "free some space" if trouble.errno in _FULL else "check the disk, its permissions and that it is not mounted read-only"
        raise StoreError(f"{folder}: could not {doing} ({reason}){f', so {so}' if so else ''}; {remedy}") from trouble
