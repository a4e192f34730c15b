"""Results of a sweep on disk while it runs: one small file for each task, whole or not there, and only for this very sweep."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tailwag.errors import InputError
from tailwag.experiments.report_json import strict_json
from tailwag.experiments.run_files import output_folder, write_whole
from tailwag.experiments.sweep_task import Result

FOLDER, MARK, LOCK = "tasks", "sweep.json", "lock"
OURS = ("sweep.json", "sweep.parquet", "phase.html", "phase.png")


@dataclass(slots=True)
class TaskStore:
    """DIR/tasks: results by the task's key; a damaged or missing one is run again.  Hold it open while the sweep runs."""

    out: Path
    lock: IO[bytes] | None = None

    @classmethod
    def opened(cls, out: str | os.PathLike[str], fingerprint: str) -> TaskStore:
        """The folder of this very sweep, new or left by an earlier run of it.

        InputError where it holds another sweep, files that are not ours to overwrite, or is in use by a sweep that still runs.
        """
        folder = output_folder(out)
        inside = folder / FOLDER
        there = _fingerprint_of(inside / MARK)
        if there is None and (found := [name for name in (*OURS, FOLDER) if (folder / name).exists() and not _is_empty(folder / name)]):
            raise InputError(f"--out holds {found[0]} of something else, which would be overwritten; name another folder")
        if there not in (None, fingerprint):
            raise InputError(
                "--out holds another sweep (other axes, seeds, scenario, files or versions of the packages); name another folder, or delete "
                f"{FOLDER} in it to begin anew"
            )
        output_folder(inside)
        store = cls(folder, _locked(inside / LOCK))
        write_whole(inside / MARK, strict_json({"fingerprint": fingerprint}))
        return store

    def load(self, keys: Sequence[str]) -> dict[str, Result]:
        """The results that are there and whole, by key."""
        found = {key: self._read(key) for key in keys}
        return {key: result for key, result in found.items() if result is not None}

    def save(self, key: str, result: Result) -> None:
        """Put one result on disk for good: nobody sees half of it, and a crash after this loses nothing."""
        write_whole(self._path(key), strict_json({"task": key, "sha256": _digest(result), "result": result}))

    def close(self) -> None:
        """Let the next sweep in; what broken runs left half written is swept away."""
        for path in (self.out / FOLDER).glob(".*.json.*"):
            path.unlink(missing_ok=True)
        if self.lock is not None:
            self.lock.close()

    def _path(self, key: str) -> Path:
        return self.out / FOLDER / f"{key}.json"

    def _read(self, key: str) -> Result | None:
        try:
            kept = json.loads(self._path(key).read_bytes())
            result: Result = kept["result"]
            return result if kept["task"] == key and kept["sha256"] == _digest(result) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _digest(result: Any) -> str:
    return hashlib.sha256(strict_json({"result": result})).hexdigest()


def _is_empty(path: Path) -> bool:
    """A folder in which a sweep stopped before it could leave its mark, and which holds no result."""
    return path.is_dir() and all(entry.name == LOCK or entry.name.startswith(f".{MARK}.") for entry in path.iterdir())


def _fingerprint_of(path: Path) -> str | None:
    try:
        return str(json.loads(path.read_bytes())["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _locked(path: Path) -> IO[bytes] | None:
    """The lock of a folder; the system frees it when this process ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # a system without such locks: two sweeps in one folder then do the same work twice
        return None
    try:
        handle = path.open("wb")
    except OSError as error:
        raise InputError(f"cannot write {path.name} in --out ({error.strerror}); name a folder that may be written") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise InputError("--out is in use by a sweep that still runs; wait for it, or name another folder") from None
    return handle
