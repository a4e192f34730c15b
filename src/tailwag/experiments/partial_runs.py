"""Runs that go on after a crash: the blocks that are done, added up and kept on disk, and only for the very same run."""

from __future__ import annotations

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tailwag.errors import InputError
from tailwag.experiments.run_document import versions
from tailwag.experiments.run_files import packed_arrays, write_whole
from tailwag.experiments.scenario_files import ScenarioFile
from tailwag.sim.block_sums import BlockSums, merge
from tailwag.sim.histogram import FINAL_BINS, LOG_BINS, MONEY_BINS, SHARE_BINS, Histogram

FOLDER = ".partial"
EVERY_SECONDS = 20.0
DIGEST_BYTES = 32
HISTOGRAMS = {"fan": LOG_BINS, "final": FINAL_BINS, "drawdown": SHARE_BINS, "money": MONEY_BINS}


def fingerprint(file: ScenarioFile) -> str:
    """What a finished part may be used for: one scenario, its files, the words said over it, and the versions that compute it."""
    said = {
        "sha256": file.sha256,
        "files": file.files,
        "overrides": file.overrides.stated,
        "seed": file.seed,
        "paths": file.paths,
        "vol_is": file.vol_is,
        "versions": versions(),
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


@dataclass(slots=True)
class PartialRun:
    """The blocks of one run that are done, by first path, with their sum; written at most every ``every_seconds``.

    Sums of blocks are exact, so that the run that goes on gives the same bits as one that never stopped.  ``clock`` gives seconds.
    """

    folder: Path
    agents: tuple[str, ...]
    name: str
    every_seconds: float = EVERY_SECONDS
    clock: Callable[[], float] = time.monotonic
    done: dict[int, int] = field(default_factory=dict)
    sums: BlockSums | None = None
    written: float = 0.0

    @classmethod
    def opened(
        cls, out: Path, file: ScenarioFile, *, every_seconds: float = EVERY_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> PartialRun:
        """What is left of this very run in ``out``, or an empty beginning; a damaged part or one of another run counts for nothing."""
        agents = tuple(agent.name for agent in file.scenario.agents)
        found = cls(out / FOLDER, agents, fingerprint(file), every_seconds, clock, written=clock())
        try:
            data = found.path.read_bytes()
        except OSError:
            return found
        read = _read(data, agents)
        if read is not None:
            found.done, found.sums = read
        return found

    @property
    def path(self) -> Path:
        """The file of this run."""
        return self.folder / f"{self.name}.npz"

    def add(self, first_path: int, sums: BlockSums) -> None:
        """One more block; on disk when it is time."""
        self.done[first_path] = sums.paths
        self.sums = sums if self.sums is None else merge([self.sums, sums])
        if self.clock() - self.written >= self.every_seconds:
            self.write()

    def write(self) -> None:
        """Put what is done on disk, whole."""
        if self.sums is None:
            return
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write {FOLDER} in --out ({error.strerror}); name a folder that may be written") from None
        write_whole(self.path, _packed(self.done, self.sums))
        self.written = self.clock()

    def finish(self) -> None:
        """The run is complete: parts of runs that wrote here are of no more use."""
        for path in self.folder.glob("*.npz"):
            path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()


def _packed(done: dict[int, int], sums: BlockSums) -> bytes:
    arrays = {"first_path": np.array(list(done)), "block_paths": np.array(list(done.values()))}
    arrays |= {name: getattr(sums, name) for name in ("outcomes", "pinned", "sums")}
    for name in HISTOGRAMS:
        histogram = getattr(sums, name)
        arrays |= {f"{name}_{part}": getattr(histogram, part) for part in ("counts", "lowest", "highest")}
    data = packed_arrays(arrays)
    return hashlib.sha256(data).digest() + data


def _read(data: bytes, agents: tuple[str, ...]) -> tuple[dict[int, int], BlockSums] | None:
    """What a part holds; None where it is damaged."""
    digest, packed = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
    if hashlib.sha256(packed).digest() != digest:
        return None
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as read:
            arrays = {name: read[name] for name in read}
        histograms = {
            name: Histogram(bins, *(arrays[f"{name}_{part}"] for part in ("counts", "lowest", "highest")))
            for name, bins in HISTOGRAMS.items()
        }
        sums = BlockSums(agents=agents, outcomes=arrays["outcomes"], pinned=arrays["pinned"], sums=arrays["sums"], **histograms)
        return dict(zip(arrays["first_path"].tolist(), arrays["block_paths"].tolist(), strict=True)), sums
    except (KeyError, ValueError, OSError, zipfile.BadZipFile):
        return None
