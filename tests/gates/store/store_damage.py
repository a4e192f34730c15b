"""Damage to the files of a store, drawn from a seeded stream, and an oracle that knows only what was acknowledged."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from tailwag.errors import StoreError
from tailwag.sources.store import History, Recorder, compact_store, verify_store

KINDS = ("flip", "flips", "cut", "cut-end", "zero-tail", "zeros", "stale", "gone", "added", "removed", "repeated", "other-file", "emptied")
SEGMENT_BYTES = 7_000
SESSIONS = (5, 1, 0, 7, 4)
"""How many records each recorder writes before it is closed: reopened, rotated, opened for nothing."""
COMPACTED_AFTER = 3
"""The session after which the store is compacted: from then on it holds compacted segments and segments as they were recorded."""


@dataclass(frozen=True)
class Original:
    """A store as it was left, an older copy of it, and every payload by its acknowledged number."""

    folder: Path
    older: tuple[Path, ...]
    payloads: dict[int, bytes]


def make_original(place: Path, draw: random.Random) -> Original:
    """A store of several segments and recorders, with copies taken on the way."""
    folder, payloads, older = place / "store", {}, []
    for session, records in enumerate(SESSIONS):
        with Recorder(folder, segment_bytes=SEGMENT_BYTES) as recorder:
            for _ in range(records):
                payload = draw.randbytes(draw.choice((0, 30, 600, 2_500)))
                done = recorder.append_payload(payload, as_of_ns=1_700_000_000_000_000_000 + session, received_ns=1)
                payloads[done.seq] = payload
                older.append(place / f"older-{done.seq}")
                shutil.copytree(folder, older[-1])
        if session == COMPACTED_AFTER:
            compact_store(folder)
    return Original(folder, tuple(older[:-2]), payloads)


def mutated(original: Original, copy: Path, draw: random.Random) -> tuple[str, str, bool]:
    """Copy the store and damage one file: its name, the kind of damage, and whether its bytes changed."""
    shutil.copytree(original.folder, copy)
    names = sorted(path.name for path in copy.iterdir() if path.is_file() and path.name != "lock")
    name, kind = draw.choice(names), draw.choice(KINDS)
    path = copy / name
    before = path.read_bytes()
    if kind == "gone":
        path.unlink()
        return name, kind, True
    after = _damaged(kind, before, draw, original, name, names)
    path.write_bytes(after)
    return name, kind, after != before


def _damaged(kind: str, before: bytes, draw: random.Random, original: Original, name: str, names: list[str]) -> bytes:
    if kind == "stale":
        copies = [copy / name for copy in original.older if (copy / name).exists()]
        return draw.choice(copies).read_bytes() if copies else before[:-1]
    if kind == "other-file":
        return (original.folder / draw.choice(names)).read_bytes()
    return torn(kind, before, draw)


def torn(kind: str, before: bytes, draw: random.Random) -> bytes:
    """The bytes of a file after damage that needs no other file."""
    start, length = draw.randrange(len(before)), draw.choice((1, 8, 130, 700))
    if kind in ("flip", "flips"):
        flipped = bytearray(before)
        for _ in range(1 if kind == "flip" else 9):
            flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
        return bytes(flipped)
    return {
        "cut": before[:start],
        "cut-end": before[: -min(length, len(before))],
        "zero-tail": before[:start] + bytes(len(before) - start),
        "zeros": before[:start] + bytes(len(before[start : start + length])) + before[start + length :],
        "added": before + draw.randbytes(length),
        "removed": before[:start] + before[start + length :],
        "repeated": before[:start] + before[start : start + length] + before[start:],
        "emptied": b"",
    }[kind]


def delivered(folder: Path) -> dict[int, bytes]:
    """What a reader is given, record by record."""
    history, found = History.open(folder), {}
    for entry in history.entries:
        try:
            found[entry.record.seq] = history.payload(entry)
        except StoreError:
            continue
    return found


def named(folder: Path) -> tuple[set[int], set[str]]:
    """The numbers that verify names as lost, and its codes."""
    damaged = verify_store(folder).damaged
    return {seq for one in damaged for seq in range(one.from_seq, one.to_seq + 1)}, {one.code for one in damaged}


def check_damaged_store(original: Original, copy: Path, *, name: str, changed: bool) -> None:
    """Nothing wrong is delivered, nothing lost is unnamed, and recording goes on under a number that was never used."""
    lost, codes = named(copy)
    _check_delivery(copy, original.payloads, lost)
    may_pass = name == "mark" and _is_one_behind(copy, max(original.payloads))
    unfinished = verify_store(copy).unacknowledged_bytes > 0
    assert codes or unfinished or not changed or may_pass, "damage that verify does not name"
    with Recorder(copy, segment_bytes=SEGMENT_BYTES) as recorder:
        done = recorder.append_payload(b"after the damage", as_of_ns=5, received_ns=5)
    assert done.seq > max(original.payloads), "a number that was used before"
    lost_after, _ = named(copy)
    assert lost <= lost_after, "recovery hid a loss"
    _check_delivery(copy, {**original.payloads, done.seq: b"after the damage"}, lost_after)
    assert done.seq not in lost_after
    with Recorder(copy) as again:
        assert again.append_payload(b"", as_of_ns=6, received_ns=6).seq == done.seq + 1


def _check_delivery(folder: Path, truth: dict[int, bytes], lost: set[int]) -> None:
    found = delivered(folder)
    assert {seq for seq, payload in found.items() if truth.get(seq) != payload} == set(), "silently wrong"
    assert set(truth) - set(found) <= lost, "silently lost"


def _is_one_behind(folder: Path, last: int) -> bool:
    """The mark of a moment ago is what a kill between two syncs leaves behind: it must be taken, and costs nothing."""
    from tailwag.sources.store.mark import read_mark

    found = read_mark(folder)
    return found.code is None and found.mark is not None and found.mark.seq >= last - 1
