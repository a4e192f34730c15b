"""The folder of a history: a journal of results while it is built, so that a kill loses nothing, and the finished tables."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from tailwag.errors import InputError
from tailwag.experiments.report_json import strict_json
from tailwag.experiments.run_files import output_folder, write_whole
from tailwag.experiments.study.history_task import Result
from tailwag.sources.store.lines import opened_row, sealed_row

PARTS, JOURNAL, LOCK = "parts", "journal.jsonl", ".history-lock"
SNAPSHOTS, PANEL, DOCUMENT = "snapshots.parquet", "panel.parquet", "history.json"
SCHEMA = "tailwag.history/1"


@dataclass(slots=True)
class HistoryStore:
    """DIR of a history, held open while it is built: ``results`` by key."""

    folder: Path
    fingerprint: str
    lock: IO[bytes] | None
    journal: IO[bytes]
    results: dict[str, Result]
    sources: list[dict[str, Any]]
    """Every file that this and earlier builds in the folder read."""

    @classmethod
    def opened(cls, path: str | os.PathLike[str], fingerprint: str, sources: Sequence[dict[str, Any]]) -> HistoryStore:
        """A folder that is new, was left by a build that stopped, or holds a finished history under the same assumptions and code.

        ``sources``: what this build reads (name, kind, sha256), kept beside what earlier ones read.

        InputError where it holds another history, something else, or is being built by another process.
        """
        folder = output_folder(path)
        lock = _locked(folder)
        try:
            kept, before = _kept(folder, fingerprint)
            known = {(row["name"], row["sha256"]): row for row in (*before, *sources)}
            everything = [known[key] for key in sorted(known)]
            output_folder(folder / PARTS)
            # the journal is the truth from here on: a kill while the tables are written anew must not lose what the old ones held
            lines = [sealed_row({"fingerprint": fingerprint, "sources": everything}), *(sealed_row(result) for result in kept.values())]
            write_whole(folder / PARTS / JOURNAL, b"".join(lines))
            return cls(folder, fingerprint, lock, open(folder / PARTS / JOURNAL, "ab", buffering=0), kept, everything)
        except BaseException:
            _unlock(lock)
            raise

    def save(self, results: list[Result]) -> None:
        """Put results on disk for good: a crash after this loses nothing of them.

        Raises InputError where a snapshot of the same name and other contents is there, and keeps none of these results.
        """
        named = {one["snapshot"]["snapshot"]: one["snapshot"]["content_sha256"] for one in self.results.values()}
        for result in results:
            row = result["snapshot"]
            if named.setdefault(row["snapshot"], row["content_sha256"]) != row["content_sha256"]:
                raise InputError(
                    f"two snapshots are called {row['snapshot']} and differ: a source was rewritten, or two files share a name; rename one, or "
                    "build another folder"
                )
        self.journal.write(b"".join(sealed_row(result) for result in results))
        os.fsync(self.journal.fileno())
        self.results |= {result["key"]: result for result in results}

    def finish(self, tables: dict[str, bytes], document: dict[str, Any]) -> None:
        """Write the tables, then the document that names their digests, and clear the journal away."""
        for name, data in tables.items():
            write_whole(self.folder / name, data)
        write_whole(self.folder / DOCUMENT, strict_json(document) + b"\n")
        self.journal.close()
        shutil.rmtree(self.folder / PARTS, ignore_errors=True)

    def close(self) -> None:
        """Let the next build in."""
        self.journal.close()
        _unlock(self.lock)


def _kept(folder: Path, fingerprint: str) -> tuple[dict[str, Result], list[dict[str, Any]]]:
    """What earlier builds in this folder left: the journal of one that stopped, else the tables of one that finished."""
    journal = folder / PARTS / JOURNAL
    if journal.exists():
        found = _journal(journal, fingerprint)
        if found is not None:
            return found
    if (folder / DOCUMENT).exists():
        return _finished(folder, fingerprint)
    strange = [name for name in (SNAPSHOTS, PANEL) if (folder / name).exists()]
    if strange:
        raise InputError(f"--store holds {strange[0]} of something else, which would be overwritten; name another folder")
    return {}, []


def _journal(path: Path, fingerprint: str) -> tuple[dict[str, Result], list[dict[str, Any]]] | None:
    rows = [row for row in map(opened_row, path.read_bytes().splitlines(keepends=True)) if row is not None]
    if len(rows) < 2 or "fingerprint" not in rows[0]:  # stopped before anything was measured
        return None
    if rows[0]["fingerprint"] != fingerprint:
        raise _other(f"delete {PARTS} in it to begin anew")
    return {row["key"]: row for row in rows[1:] if "key" in row}, rows[0]["sources"]


def _other(remedy: str) -> InputError:
    return InputError(
        f"--store holds another history (other assumptions, or other versions of the packages); name another folder, or {remedy}"
    )


def _finished(folder: Path, fingerprint: str) -> tuple[dict[str, Result], list[dict[str, Any]]]:
    try:
        document = json.loads((folder / DOCUMENT).read_bytes())
        stated = {name: document["tables"][name]["sha256"] for name in (SNAPSHOTS, PANEL)}
        data = {name: (folder / name).read_bytes() for name in stated}
        same, schema = document["fingerprint"] == fingerprint, document["schema"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"--store holds a {DOCUMENT} that is no finished history, or lacks its tables; name another folder") from None
    if schema != SCHEMA or not same:
        raise _other(f"delete {SNAPSHOTS}, {PANEL} and {DOCUMENT} in it to begin anew")
    for name, digest in stated.items():
        if sha256(data[name]).hexdigest() != digest:
            raise InputError(f"--store: {name} is not what {DOCUMENT} names; delete both tables and {DOCUMENT} and build them again")
    return _results(data[SNAPSHOTS], data[PANEL]), list(document["sources"])


def _results(snapshots: bytes, panel: bytes) -> dict[str, Result]:
    """The results that finished tables were made of."""
    import pyarrow.parquet as pq

    rows: dict[str, Result] = {}
    for row in pq.read_table(io.BytesIO(snapshots)).to_pylist():
        key = row.pop("key")
        rows[row["snapshot"]] = {"key": key, "snapshot": row, "panel": []}
    for row in pq.read_table(io.BytesIO(panel)).to_pylist():
        rows[row["snapshot"]]["panel"].append(row)
    return {result["key"]: result for result in rows.values()}


def _locked(folder: Path) -> IO[bytes] | None:
    """The lock of a folder; the system frees it when this process ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # a system without such locks
        return None
    handle = (folder / LOCK).open("wb")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise InputError("--store is being built by another tailwag history build; wait for it, or name another folder") from None
    return handle


def _unlock(lock: IO[bytes] | None) -> None:
    if lock is not None:
        lock.close()
