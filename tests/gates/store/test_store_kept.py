"""Damage to what is kept beside the records (series journals, inventories, days of the index, alert journals): no number is ever wrong."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.gates.sizes import gate_seed, gate_size
from tests.gates.store.store_damage import KINDS, torn

from tailwag.service.alerts.journal import Journal
from tailwag.service.index_days import FOLDER, IndexDays, IndexOf
from tailwag.service.publish import Publication
from tailwag.service.series import Series
from tailwag.sources.demo_moving import moving_demo
from tailwag.sources.store import History, Recorder
from tailwag.sources.store.inventory import StoreFlow
from tailwag.sources.store.series_files import damaged_series

FAR = 1 << 62
DAY_NS = 86_400_000_000_000
START_NS = 1_789_482_600_000_000_000 // DAY_NS * DAY_NS + 511 * 60_000_000_000
"""In a window of the daily index, so that one snapshot of it makes a day."""
ROWS = 12
LINES = [{"kind": "decided", "text": f"alert {number}", "value": number / 7.0} for number in range(6)]
"""What the journal of alerts is given."""


@dataclass(frozen=True)
class World:
    """A store with everything that is kept beside its records, and what an undamaged one says."""

    folder: Path
    flow: dict[str, Any]
    days: list[dict[str, Any]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("kept") / "store"
    snapshots = [moving_demo(START_NS + number * 60_000_000_000) for number in range(3)]
    snapshots.append(moving_demo(START_NS + DAY_NS).with_parts(trades=None))
    with Recorder(folder) as recorder:
        for snapshot in snapshots:
            recorder.append(snapshot, received_ns=snapshot.as_of_ns)
    inventory = StoreFlow(folder)
    flow = said(inventory, snapshots[-1].as_of_ns)
    inventory.close()
    days, _ = IndexDays(IndexOf("BTC"), keep=folder / FOLDER).days(History.open(folder), 0, FAR)
    with closing(Series(folder / "series" / "00ff")) as series:
        for seq in range(1, ROWS + 1):
            series.append(published(seq))
    with Journal(folder / "alerts") as journal:
        for line in LINES:
            journal.append(line)
    return World(folder, flow, json.loads(json.dumps(days)))


def published(seq: int) -> Publication:
    document = {"gain": {"value": seq / 3.0, "regime": "damping", "sign": seq % 2 == 0}}
    return Publication("demo", "BTC", seq, START_NS + seq, 0, document, None, 0, "abc")


def said(inventory: StoreFlow, as_of_ns: int) -> dict[str, Any]:
    flow = inventory.flow("BTC", as_of_ns)
    rows = zip(*(getattr(flow, name).tolist() for name in ("venue", "instrument", "is_block", "liquidated", "taker_coin", "trades")))
    return {"rows": sorted(rows), "whole": sorted(flow.whole_life), "coverage": asdict(flow.coverage)}


def check_series(world: World, copy: Path, before: bytes, after: bytes) -> None:
    named = damaged_series(copy)
    with closing(Series(copy / "series" / "00ff")) as series:
        for field in ("gain.value", "gain.regime", "gain.sign"):
            found = {point.seq: point for point in series.points(field, source="demo", from_ns=0, to_ns=FAR, limit=100)[0]}
            truth: dict[str, Callable[[int], object]] = {
                "gain.value": lambda seq: seq / 3.0,
                "gain.regime": lambda _: "damping",
                "gain.sign": lambda seq: seq % 2 == 0,
            }
            assert all((one.value, one.as_of_ns) == (truth[field](seq), START_NS + seq) for seq, one in found.items()), "silently wrong"
            assert set(found) == series.seqs()
        missing = set(range(1, ROWS + 1)) - series.seqs()
        assert named or not missing or is_shorter(before, after), "rows are gone and nothing says so"
        for seq in missing:
            series.append(published(seq))
    assert damaged_series(copy) == []
    with closing(Series(copy / "series" / "00ff")) as again:
        assert again.seqs() == set(range(1, ROWS + 1))


def check_inventory(world: World, copy: Path, before: bytes, after: bytes) -> None:
    words: list[str] = []
    assert said(StoreFlow(copy, say=words.append), START_NS + DAY_NS) == world.flow, "silently wrong"
    assert words or after.startswith(before)  # bytes behind the end of a whole state are not read


def check_index(world: World, copy: Path, before: bytes, after: bytes) -> None:
    """Only what is kept is asked for: a damaged day is not there, and has to be measured again."""
    kept, following = IndexDays(IndexOf("BTC"), keep=copy / FOLDER).days(History.open(copy), 0, FAR, worked_out=0)
    found = json.loads(json.dumps(kept))
    assert found == world.days[: len(found)], "silently wrong"
    assert (following is None) == (after == before)


def check_alerts(world: World, copy: Path, before: bytes, after: bytes) -> None:
    words: list[str] = []
    with Journal(copy / "alerts", say=words.append) as journal:
        found = [{name: line[name] for name in ("kind", "text", "value")} for line in journal.lines]
    assert all(line in LINES for line in found), "silently wrong"
    assert words or found == LINES or is_shorter(before, after), "lines are gone and nothing says so"


def is_shorter(before: bytes, after: bytes) -> bool:
    """Whole last lines are gone: a file of an earlier moment, which nothing in it can tell from damage."""
    return before.startswith(after) and (not after or after.endswith(b"\n"))


CHECKS: dict[str, Callable[[World, Path, bytes, bytes], None]] = {
    "series/*/newest.jsonl": check_series,
    "inventory/*.state": check_inventory,
    "index/*.json": check_index,
    "alerts/alerts.journal": check_alerts,
}


def damage(world: World, place: Path, pattern: str, numbers: range) -> None:
    for number in numbers:
        draw = random.Random(f"{gate_seed()}-{pattern}-{number}")
        copy = place / str(number)
        shutil.copytree(world.folder, copy)
        path = draw.choice(sorted(copy.glob(pattern)))
        kind, before = draw.choice([kind for kind in KINDS if kind not in ("stale", "other-file")]), path.read_bytes()
        if kind == "gone":
            path.unlink()
        else:
            path.write_bytes(torn(kind, before, draw))
        try:
            if kind != "gone":
                CHECKS[pattern](world, copy, before, path.read_bytes())
            with Recorder(copy) as recorder:
                assert recorder.append_payload(b"", as_of_ns=FAR, received_ns=1).seq == 5
        except Exception as error:
            raise AssertionError(f"mutation {number}: {kind} of {path.name}: {error}") from error
        shutil.rmtree(copy)


@pytest.mark.parametrize("pattern", sorted(CHECKS))
def test_what_is_kept_beside_the_records_is_never_silently_wrong(world: World, tmp_path: Path, pattern: str) -> None:
    damage(world, tmp_path, pattern, range(gate_size(small=5, full=100)))


@pytest.mark.parametrize(
    ("broken", "pattern"),
    [
        (("tailwag.service.series.opened_row", "tailwag.sources.store.series_files.opened_row"), "series/*/newest.jsonl"),
        (("tailwag.service.alerts.journal.opened_line",), "alerts/alerts.journal"),
    ],
)
def test_the_gate_finds_a_reader_that_believes_any_json(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: tuple[str, ...], pattern: str
) -> None:
    def believed(line: bytes) -> Any:
        try:
            found = json.loads(line[line.index(b"{") :])
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    for name in broken:
        monkeypatch.setattr(name, believed)
    with pytest.raises(AssertionError, match=r"silently wrong|nothing says so"):
        damage(world, tmp_path, pattern, range(100))
