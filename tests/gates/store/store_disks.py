"""Disks that misbehave on purpose: one that stops at the n-th call, one that refuses, and one that forgets what was never synced."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

from tailwag.sources.store.disk import SystemDisk

SECTOR = 512


class Stopped(BaseException):
    """The process ended here (not an Exception: nothing may catch it and tidy up)."""


class WatchedDisk(SystemDisk):
    """The real disk, with every call noted by name and file; ``before`` is asked first and may raise."""

    def __init__(self, before: Callable[[str, str], None] | None = None) -> None:
        self.calls: list[tuple[str, str]] = []
        self.names: dict[int, Path] = {}
        self.before = before or (lambda call, name: None)

    def _note(self, call: str, path: Path) -> None:
        self.before(call, path.name)
        self.calls.append((call, path.name))

    def make_folder(self, path: Path) -> None:
        self._note("make_folder", path)
        super().make_folder(path)

    def open(self, path: Path, flags: int) -> int:
        self._note("open", path)
        descriptor = super().open(path, flags)
        self.names[descriptor] = path
        return descriptor

    def close(self, descriptor: int) -> None:
        self.names.pop(descriptor, None)
        super().close(descriptor)

    def write_at(self, descriptor: int, data: bytes, offset: int) -> None:
        self._note("write", self.names[descriptor])
        super().write_at(descriptor, data, offset)

    def cut(self, descriptor: int, size: int) -> None:
        self._note("cut", self.names[descriptor])
        super().cut(descriptor, size)

    def sync(self, descriptor: int) -> None:
        self._note("sync", self.names[descriptor])
        super().sync(descriptor)

    def replace(self, beside: Path, target: Path) -> None:
        self._note("replace", target)
        super().replace(beside, target)

    def remove(self, path: Path) -> None:
        self._note("remove", path)
        super().remove(path)

    def sync_folder(self, path: Path) -> None:
        self._note("sync_folder", path)
        super().sync_folder(path)

    def abandon(self) -> None:
        """What the system does when a process dies: close all it had open."""
        for descriptor in list(self.names):
            os.close(descriptor)
        self.names.clear()


def stopping_at(call: int) -> Callable[[str, str], None]:
    """End the process before its n-th call."""
    left = [call]

    def before(_call: str, _name: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Stopped

    return before


def refusing(call: str, *, start: str, code: int = errno.ENOSPC, times: int = 1) -> Callable[[str, str], None]:
    """Answer a call on files of these names with an error, so many times."""
    left = [times]

    def before(asked: str, name: str) -> None:
        if asked == call and name.lstrip(".").startswith(start) and left[0] > 0:
            left[0] -= 1
            raise OSError(code, os.strerror(code))

    return before


class ForgetfulDisk(WatchedDisk):
    """Keeps what a device would keep in a power cut: synced bytes for sure, of all later writes any part, of unsynced names any."""

    def __init__(self, before: Callable[[str, str], None] | None = None) -> None:
        super().__init__(before)
        self._durable: dict[int, bytes] = {}
        self._pending: dict[int, list[tuple[int, bytes | None]]] = {}
        self._files: dict[int, Path] = {}
        self._renamed: list[tuple[Path, bytes | None]] = []
        """Names given or taken away, with what stood under them before."""

    def open(self, path: Path, flags: int) -> int:
        descriptor = super().open(path, flags)
        inode = os.fstat(descriptor).st_ino
        if inode not in self._durable or flags & os.O_TRUNC:
            self._durable[inode], self._pending[inode] = b"" if flags & os.O_TRUNC else path.read_bytes(), []
        self._files[inode] = path
        return descriptor

    def _inode(self, descriptor: int) -> int:
        return os.fstat(descriptor).st_ino

    def write_at(self, descriptor: int, data: bytes, offset: int) -> None:
        # the call is noted first: where it stops the process, part of it may have gone to the device all the same
        self._pending[self._inode(descriptor)].append((offset, data))
        super().write_at(descriptor, data, offset)

    def cut(self, descriptor: int, size: int) -> None:
        super().cut(descriptor, size)
        self._pending[self._inode(descriptor)].append((size, None))

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        inode = self._inode(descriptor)
        self._durable[inode], self._pending[inode] = self._files[inode].read_bytes(), []

    def replace(self, beside: Path, target: Path) -> None:
        old = target.read_bytes() if target.exists() else None
        inode = beside.stat().st_ino
        super().replace(beside, target)
        self._files[inode] = target
        self._renamed.append((target, old))

    def remove(self, path: Path) -> None:
        old = path.read_bytes() if path.exists() else None
        super().remove(path)
        if old is not None:
            self._renamed.append((path, old))

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        self._renamed = [(target, old) for target, old in self._renamed if target.parent.resolve() != path.resolve()]

    def power_cut(self, draw: random.Random) -> None:
        """Leave on disk what a device might hold now."""
        self.abandon()
        for inode, path in self._files.items():
            if self._pending.get(inode) and path.exists() and path.stat().st_ino == inode:
                path.write_bytes(_partly(self._durable[inode], self._pending[inode], draw))
        for target, old in reversed(self._renamed):
            if draw.random() < 0.5:
                target.unlink(missing_ok=True) if old is None else target.write_bytes(old)


def _partly(durable: bytes, writes: list[tuple[int, bytes | None]], draw: random.Random) -> bytes:
    """Any of the sectors of any of the writes."""
    data = bytearray(durable)
    for offset, written in writes:
        if written is None:
            if draw.random() < 0.5:
                del data[offset:]
            continue
        for start in range(0, len(written), SECTOR):
            if draw.random() < 0.5:
                part, place = written[start : start + SECTOR], offset + start
                data.extend(bytes(max(place + len(part) - len(data), 0)))
                data[place : place + len(part)] = part
    return bytes(data)
