"""Damage to what is made from the records (tables, series): named by verify, never believed by a query, no hindrance to the recorder."""

from __future__ import annotations

import io
import json
import random
import shutil
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest
from tests.gates.sizes import gate_seed, gate_size

from tailwag.cli import main
from tailwag.sources.demo import DEFAULT_AS_OF_NS, demo
from tailwag.sources.store import History, Recorder
from tailwag.sources.store.periods import updated_tables
from tailwag.sources.store.sql import Queries

pytest.importorskip("duckdb")
QUERIES = (
    "select * from options order by all",
    "select * from depth order by all",
    "select * from futures order by all",
    "select * from trades order by all",
    "select * from snapshots order by all",
)
SERIES = 'select seq, "gain.value" from series order by all'


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("derived") / "store"
    with Recorder(folder) as recorder:
        for number in range(3):
            recorder.append(demo(seed=number, as_of_ns=DEFAULT_AS_OF_NS + number * 20 * 3_600_000_000_000), received_ns=1)
    updated_tables(History.open(folder))
    place = folder / "series" / "00ff"
    place.mkdir(parents=True)
    rows = pl.DataFrame(
        {"seq": [1, 2], "as_of_ns": [DEFAULT_AS_OF_NS, DEFAULT_AS_OF_NS + 1], "source": ["demo"] * 2, "n:gain.value": [0.1, 0.2]}
    )
    sink = io.BytesIO()
    rows.write_parquet(sink)
    (place / f"rows-1-2-2-{sha256(sink.getvalue()).hexdigest()[:32]}.parquet").write_bytes(sink.getvalue())
    return folder


def torn(data: bytes, kind: str, draw: random.Random) -> bytes:
    place = draw.randrange(len(data))
    if kind == "flip":
        return data[:place] + bytes([data[place] ^ (1 << draw.randrange(8))]) + data[place + 1 :]
    return {"cut": data[:place], "zeros": data[:place] + bytes(len(data) - place), "emptied": b"", "added": data + b"\0" * 9}[kind]


def verified(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(folder), "--json", "-"])
    assert not ended.value.code
    document: dict[str, list[str]] = json.loads(capsys.readouterr().out)
    return document


@pytest.mark.parametrize("part", range(2))
def test_damaged_tables_and_series_are_named_and_never_believed(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], part: int
) -> None:
    truth = {sql: Queries(store).ask(sql).rows for sql in QUERIES}
    measured = Queries(store).ask(SERIES).rows
    for number in range(gate_size(small=8, full=100) // 2):
        draw = random.Random(f"{gate_seed()}-{part}-{number}")
        copy = tmp_path / str(number)
        shutil.copytree(store, copy)
        files = sorted(path for path in copy.glob("*/*/*") if path.is_file())
        path, kind = draw.choice(files), draw.choice(("flip", "flip", "cut", "zeros", "emptied", "added"))
        before = path.read_bytes()
        path.write_bytes(torn(before, kind, draw))
        if path.read_bytes() != before:
            found = verified(copy, capsys)
            names = [path.parent.name] if path.parent.parent.name == "tables" else [f"00ff/{path.name}"]
            assert found["stale_tables"] + found["damaged_series"] == names, (number, kind, path)
        sql = draw.choice(QUERIES)
        assert Queries(copy).ask(sql).rows == truth[sql], (number, kind, path)
        if path.parent.parent.name == "tables" or path.read_bytes() == before:
            assert Queries(copy).ask(SERIES).rows == measured, (number, kind, path)
        else:
            answer = Queries(copy).ask("select seq from series")
            assert (answer.rows, answer.damaged_series) == ([], (f"00ff/{path.name}",))
        with Recorder(copy) as recorder:
            recorder.append_payload(b"", as_of_ns=DEFAULT_AS_OF_NS, received_ns=1)
        shutil.rmtree(copy)
