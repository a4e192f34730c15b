"""The journal: one sealed line for each thing decided, tried and done; on the device before anything follows from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

from tailwag.errors import StoreBusyError, StoreError
from tailwag.sources.store.disk import Disk, SystemDisk, disk_trouble, write_whole
from tailwag.sources.store.lines import opened_line, sealed_line
from tailwag.sources.store.lock import LOCK_NAME, take_lock

NAME = "alerts.journal"
REWRITE_BYTES = 8 << 20
Say = Callable[[str], None]
Line = dict[str, Any]


class Journal:
    """The only writer of a folder's journal.

    Every line carries its number and its own checksum.  A last line that a crash tore is cut off: nothing followed from it.  Any other
    damage is told, the damaged file is kept beside the new one, and the lines that are whole count.
    """

    def __init__(self, folder: str | os.PathLike[str], *, disk: Disk | None = None, say: Say | None = None) -> None:
        self.folder = Path(folder)
        self._disk = disk or SystemDisk()
        self._say = say or _silent
        self._descriptor: int | None = None
        self._sound = True
        self._next, self._end, self._rewrite_at = 1, 0, REWRITE_BYTES
        self.damaged = 0
        """Lines that could not be read, or are missing, when the journal was opened."""
        with disk_trouble(self.folder, "open the alert journal"):
            self._disk.make_folder(self.folder)
            self._disk.sync_folder(self.folder.resolve().parent)
            try:
                self._lock = take_lock(self.folder, self._disk)
            except StoreBusyError:
                raise StoreBusyError(
                    f"{self.folder}: another process sends alerts from this folder; stop it, or give another folder"
                ) from None
            try:
                self.lines = self._read()
            except BaseException:
                self._disk.close(self._lock)
                raise

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / NAME

    def append(self, fields: Mapping[str, Any]) -> None:
        """Make a line durable; it is when this returns, and only then.

        Raises StoreError where the disk refuses, or the folder is gone; the journal must then be written anew before the next line, see
        :attr:`sound`.
        """
        line = sealed_line({**fields, "n": self._next})
        self._refuse_if_gone()
        with disk_trouble(self.folder, "write down an alert"):
            self._sound = False  # until the sync has come back nobody knows what is on the device
            if self._descriptor is None:
                self._open()
            assert self._descriptor is not None
            self._disk.write_at(self._descriptor, line, self._end)
            self._disk.sync(self._descriptor)
        self._end, self._next, self._sound = self._end + len(line), self._next + 1, True

    @property
    def sound(self) -> bool:
        """Whether the last line is surely on the device and a further one may follow it."""
        return self._sound

    @property
    def large(self) -> bool:
        """Whether it is time to write the journal anew."""
        return self._end > self._rewrite_at

    def rewrite(self, fields: Mapping[str, Any]) -> None:
        """Replace the whole journal, at once or not at all, by one line that says all that counts; raises as :meth:`append` does."""
        line = sealed_line({**fields, "n": self._next})
        self._refuse_if_not_ours()
        self._sound = False
        with disk_trouble(self.folder, "write the alert journal anew"):
            self._close_file()
            try:
                write_whole(self._disk, self.path, line)
            except OSError:
                with suppress(OSError):  # half a file would hold the little room that is left
                    self._disk.remove(self.path.with_name(f".{NAME}.part"))
                raise
        self._end, self._next, self._sound = len(line), self._next + 1, True
        self._rewrite_at = max(REWRITE_BYTES, 4 * len(line))

    def close(self) -> None:
        """Give the folder back."""
        self._close_file()
        self._disk.close(self._lock)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _read(self) -> list[Line]:
        data = self.path.read_bytes() if self.path.exists() else b""
        whole = data.rfind(b"\n") + 1
        torn = data[whole:]
        opened = [opened_line(line + b"\n") for line in data[:whole].split(b"\n")[:-1]]
        if opened and opened[-1] is None:
            # the last line may be torn behind its newline too: blocks of one write reach the device in any order
            opened.pop()
            torn = b"last line"
        lines = [line for line in opened if line is not None and isinstance(line.get("n"), int)]
        numbers = [int(line["n"]) for line in lines]
        missing = sum(max(0, after - before - 1) for before, after in pairwise(numbers))
        self.damaged = max(len(opened) - len(lines), missing)
        self._next = (max(numbers) if numbers else 0) + 1 + (1 if torn else 0)
        self._end = len(data)
        if self.damaged:
            self._keep_damaged(data)
        elif torn:
            self._say(f"{self.path}: the last line was torn by a crash and is cut off; nothing had followed from it")
        self._sound = not torn and not self.damaged
        return lines

    def _keep_damaged(self, data: bytes) -> None:
        number = 1 + sum(1 for _ in self.folder.glob(f"{NAME}.damaged-*"))
        kept = self.folder / f"{NAME}.damaged-{number}"
        write_whole(self._disk, kept, data)
        self._say(f"{self.path}: {self.damaged} lines are damaged or missing; the file is kept as {kept.name}, the whole lines count")

    def _refuse_if_gone(self) -> None:
        """A file without a name takes every line and keeps none."""
        self._refuse_if_not_ours()
        if self._descriptor is not None and not _same(self._descriptor, self.path):
            self._sound = False
            raise StoreError(f"{self.path}: the alert journal was taken away; it is written anew")

    def _refuse_if_not_ours(self) -> None:
        """A folder that is gone may be a disk that is not there, one that was made anew another process's."""
        if not _same(self._lock, self.folder / LOCK_NAME):
            self._sound = False
            raise StoreError(f"{self.folder}: the alert journal is gone from under its writer; put the folder back, or start anew")

    def _open(self) -> None:
        fresh = not self.path.exists()
        self._descriptor = self._disk.open(self.path, os.O_WRONLY | os.O_CREAT)
        if fresh:
            self._disk.sync_folder(self.folder)

    def _close_file(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            self._disk.close(descriptor)


def _same(descriptor: int, path: Path) -> bool:
    """Whether this is still the file of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _silent(_text: str) -> None:
    """Nobody asked to be told."""
