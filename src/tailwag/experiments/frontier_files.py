"""A comparison kept on disk while it runs: written whole after every block of paths, read back only by the same comparison."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tailwag.experiments.frontier import Progressed
from tailwag.experiments.frontier_sums import Joint
from tailwag.experiments.frontier_worlds import WORLDS, Question
from tailwag.experiments.run_files import write_whole
from tailwag.hedging.policies import Policy
from tailwag.sim.histogram import FINAL_BINS, LOG_BINS, MONEY_BINS, SHARE_BINS, Histogram
from tailwag.sim.metrics import BlockSums
from tailwag.sim.scenario import Scenario

BINS = {"fan": LOG_BINS, "final": FINAL_BINS, "drawdown": SHARE_BINS, "money": MONEY_BINS}


def fingerprint(question: Question, policies: Sequence[Policy], *, paths: int, seed: int) -> str:
    """Digest of everything that decides a comparison: market, books, policies, paths, seed and the versions that compute it."""
    worlds = [_content(question.world(policy, world)) for policy in policies for world in WORLDS]
    said = [version("tailwag"), np.__version__, version("numba"), worlds, list(question.compared), paths, seed]
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _content(value: Any) -> Any:
    """What a value is, as plain text all the way down; arrays by the digest of their bytes."""
    if isinstance(value, np.ndarray):
        return hashlib.sha256(repr((value.shape, str(value.dtype))).encode() + np.ascontiguousarray(value).tobytes()).hexdigest()
    if isinstance(value, Scenario):
        return [_content(getattr(value, entry.name)) for entry in fields(value) if entry.name != "agents"] + [
            agent.content() for agent in value.agents
        ]
    if is_dataclass(value):
        return [type(value).__name__, *(_content(getattr(value, entry.name)) for entry in fields(value))]
    return [_content(one) for one in value] if isinstance(value, tuple | list) else repr(value)


@dataclass(frozen=True, slots=True)
class SumsFile:
    """Sums of the blocks that are in; a file of another comparison, or a broken one, counts as none."""

    path: Path
    fingerprint: str

    def load(self) -> Progressed | None:
        """What was kept for this very comparison."""
        try:
            with np.load(io.BytesIO(self.path.read_bytes()), allow_pickle=False) as kept:
                return _read({name: kept[name] for name in kept.files}) if str(kept["fingerprint"]) == self.fingerprint else None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None

    def save(self, progressed: Progressed) -> None:
        """Write all of it beside the file, then put it in its place."""
        packed = io.BytesIO()
        np.savez_compressed(packed, fingerprint=np.array(self.fingerprint), **_written(progressed))
        write_whole(self.path, packed.getvalue())

    def remove(self) -> None:
        """Nothing is left to go on with."""
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class TrialsFile:
    """Objectives of policies that were tried; a file of another search, or a broken one, counts as none."""

    path: Path
    fingerprint: str

    def load(self) -> dict[str, tuple[float, float]]:
        """What was kept for this very search."""
        try:
            kept = json.loads(self.path.read_bytes())
            return {str(word): (float(pair[0]), float(pair[1])) for word, pair in kept[self.fingerprint].items()}
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
            return {}

    def save(self, values: Mapping[str, tuple[float, float]]) -> None:
        """Write all of it beside the file, then put it in its place."""
        write_whole(self.path, json.dumps({self.fingerprint: values}).encode())

    def remove(self) -> None:
        """Nothing is left to go on with."""
        self.path.unlink(missing_ok=True)


def _written(progressed: Progressed) -> dict[str, Any]:
    joint = progressed.joint
    columns: dict[str, Any] = {
        "blocks": np.array(progressed.blocks),
        "names": np.array(joint.names),
        "paths": np.array(joint.paths),
        "sums": joint.sums,
        "products": joint.products,
        "runs": np.array(len(progressed.runs)),
    }
    for place, run in enumerate(progressed.runs):
        columns |= {f"{place}.{name}": getattr(run, name) for name in ("outcomes", "pinned", "sums")}
        columns[f"{place}.agents"] = np.array(run.agents)
        for name in BINS:
            columns |= {f"{place}.{name}.{part}": getattr(getattr(run, name), part) for part in ("counts", "lowest", "highest")}
    return columns


def _read(columns: Mapping[str, Any]) -> Progressed:
    joint = Joint(tuple(map(str, columns["names"])), int(columns["paths"]), columns["sums"], columns["products"])
    runs = []
    for place in range(int(columns["runs"])):
        histograms = {
            name: Histogram(bins, *(columns[f"{place}.{name}.{part}"] for part in ("counts", "lowest", "highest")))
            for name, bins in BINS.items()
        }
        outcomes, pinned, sums = (columns[f"{place}.{name}"] for name in ("outcomes", "pinned", "sums"))
        runs.append(BlockSums(tuple(map(str, columns[f"{place}.agents"])), outcomes, pinned, sums, **histograms))
    return Progressed(int(columns["blocks"]), tuple(runs), joint)
