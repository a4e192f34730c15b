"""SQL over a store: the rows are the records', what is damaged or old is made anew, and no statement reaches anything else."""

from __future__ import annotations

import csv
import io
import json
import math
import random
import shutil
from collections import defaultdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tailwag.cli import main
from tailwag.errors import InputError
from tailwag.market.snapshot import Snapshot
from tailwag.sources.demo import DEFAULT_AS_OF_NS, demo
from tailwag.sources.store import History, Recorder, series_files
from tailwag.sources.store.lines import sealed_row
from tailwag.sources.store.periods import periods_of, stale_periods, updated_tables
from tailwag.sources.store.sql import Limits, Queries, _run
from tailwag.units import NS_PER_HOUR

pytest.importorskip("duckdb")


@pytest.fixture(scope="module")
def hours() -> list[Snapshot]:
    """Six snapshots over two days."""
    return [demo(seed=seed, as_of_ns=DEFAULT_AS_OF_NS + seed * 5 * NS_PER_HOUR) for seed in range(6)]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, hours: list[Snapshot]) -> Path:
    folder = tmp_path_factory.mktemp("query") / "market"
    with Recorder(folder) as recorder:
        for snapshot in hours:
            recorder.append(snapshot, received_ns=snapshot.as_of_ns + 1)
    updated_tables(History.open(folder))
    return folder


@pytest.fixture
def store(recorded: Path, tmp_path: Path) -> Path:
    shutil.copytree(recorded, tmp_path / "market")
    return tmp_path / "market"


def ask(folder: Path, sql: str) -> list[tuple[object, ...]]:
    return Queries(folder).ask(sql).rows


def test_rows_are_those_of_the_records(recorded: Path, hours: list[Snapshot]) -> None:
    found = ask(recorded, "select seq, instrument, iv, open_interest_coin from options order by seq, instrument")
    expected = []
    for seq, snapshot in enumerate(hours, 1):
        chain = snapshot.chain
        rows = zip(chain.instrument.tolist(), chain.iv.tolist(), (chain.open_interest_contracts * chain.coin_per_contract).tolist())
        expected += sorted((seq, name, None if math.isnan(iv) else iv, coin) for name, iv, coin in rows)
    assert found == expected
    assert ask(recorded, "select count(*) from futures") == [(sum(len(snapshot.futures) for snapshot in hours),)]


def test_gross_gex_by_expiry_is_black_gamma_times_interest(recorded: Path, hours: list[Snapshot]) -> None:
    truth: dict[tuple[int, int], float] = defaultdict(float)
    for seq, snapshot in enumerate(hours, 1):
        chain = snapshot.chain
        for place in range(len(chain)):
            years = (int(chain.expiry_ns[place]) - snapshot.as_of_ns) / (365 * 86_400e9)
            forward, strike, vol = float(chain.underlying_usd[place]), float(chain.strike_usd[place]), float(chain.iv[place])
            wide = vol * math.sqrt(years)
            first = (math.log(forward / strike) + wide * wide / 2) / wide
            gamma = math.exp(-first * first / 2) / math.sqrt(2 * math.pi) / (forward * wide)
            coin = float(chain.open_interest_contracts[place] * chain.coin_per_contract[place])
            truth[seq, int(chain.expiry_ns[place])] += coin * gamma * snapshot.spot_usd**2 / 100
    sums = "select seq, expiry_ns, sum(gross_gex_usd_per_pct) from options group by all"
    found = {(seq, expiry): value for seq, expiry, value in ask(recorded, sums)}
    assert found == pytest.approx(dict(truth), rel=1e-9)


def test_depth_is_what_rests_within_the_distance(recorded: Path, hours: list[Snapshot]) -> None:
    found = ask(recorded, "select seq, instrument, bid_0p5_pct_usd, ask_0p5_pct_usd from depth")
    assert len(found) == sum(len(snapshot.books) for snapshot in hours)
    for seq, instrument, bid, asked in found:
        book = next(book for book in hours[int(str(seq)) - 1].books if book.instrument == instrument)
        bids, asks = list(zip(book.bid_price_usd, book.bid_coin)), list(zip(book.ask_price_usd, book.ask_coin))
        mid = (bids[0][0] + asks[0][0]) / 2
        assert bid is None or bid == pytest.approx(sum(price * coin for price, coin in bids if price >= mid * 0.995))
        assert asked is None or asked == pytest.approx(sum(price * coin for price, coin in asks if price <= mid * 1.005))


def test_a_print_that_several_snapshots_hold_counts_once(recorded: Path, hours: list[Snapshot]) -> None:
    prints = {
        (trades.venue[place], trades.instrument[place], trades.trade_id[place], int(trades.time_ns[place]))
        for snapshot in hours
        if (trades := snapshot.trades) is not None
        for place in range(len(trades))
    }
    assert ask(recorded, "select count(*) from trades") == [(len(prints),)]


REFUSED = (
    "select * from read_csv('/etc/passwd')",
    "select * from read_text('/etc/passwd')",
    "select * from read_parquet('/etc/passwd')",
    "select * from '/etc/passwd'",
    "select * from glob('/etc/*')",
    "attach '/tmp/x.db'",
    "copy options to '/tmp/x.csv'",
    "copy (select 1) to '/tmp/x.csv'",
    "export database '/tmp/x'",
    "install httpfs",
    "load httpfs",
    "pragma database_list",
    "set threads = 9",
    "reset memory_limit",
    "create table t as select 1",
    "create or replace view options as select 1",
    "insert into options select * from options",
    "delete from options",
    "drop view options",
    "call pragma_version()",
    "select * from duckdb_settings()",
    "select * from pragma_table_info('options')",
    "select * from information_schema.tables",
    "select * from pg_class",
    "select * from sqlite_master",
    "with pg_class as (select 1) select * from (select 1), pg_class",
    "select * from query('select 1')",
    "select * from query_table(['options'])",
    "select getenv('HOME')",
    "select current_setting('secret_directory')",
    "select * from trades_recorded",
    "select * from memory.main.options",
    "show tables",
    "select 1; select 2",
    "select 1; attach '/tmp/x.db'",
    "explain select 1",
    "prepare x as select 1",
    "select",
    "",
    "select " + "1," * 20_000 + "1",
    "select * from hidden",
    "select * from options where exists (select * from read_csv('/etc/passwd'))",
    "with x as (select * from read_csv('/etc/passwd')) select * from x",
    "select (select max(column0) from read_csv('/etc/passwd'))",
)


@pytest.mark.parametrize("sql", REFUSED, ids=range(len(REFUSED)))
def test_a_statement_that_reaches_for_more_is_refused_in_words(recorded: Path, sql: str) -> None:
    hidden = [1]
    with pytest.raises(InputError) as refused:
        Queries(recorded).ask(sql)
    assert hidden
    assert "Traceback" not in str(refused.value)
    assert len(str(refused.value)) < 500


def test_too_many_rows_and_too_long_a_time_are_cut_off(recorded: Path) -> None:
    few = Queries(recorded, limits=Limits(rows=10)).ask("select * from options")
    assert (len(few.rows), few.more) == (10, True)
    with pytest.raises(InputError, match=r"took longer than 0\.2 s"):
        Queries(recorded, limits=Limits(seconds=0.2)).ask("select sum(a.range * b.range) from range(1000000) a, range(1000000) b")


def test_only_what_is_new_is_made(store: Path, hours: list[Snapshot]) -> None:
    made: list[str] = []
    queries = Queries(store, progress=made.append)
    assert queries.ask("select count(*) from snapshots").rows == [(6,)]
    assert made == []
    with Recorder(store) as recorder:
        recorder.append(hours[0].with_parts(as_of_ns=hours[-1].as_of_ns + 60), received_ns=1)
    assert queries.ask("select count(*) from snapshots").rows == [(7,)]
    assert len(made) == 1


def test_a_day_that_is_over_becomes_one_period(store: Path, hours: list[Snapshot]) -> None:
    names = {path.name for path in (store / "tables").iterdir() if path.is_dir()}
    assert any("T" in name for name in names)
    later = hours[0].with_parts(as_of_ns=hours[-1].as_of_ns + 48 * NS_PER_HOUR)
    with Recorder(store) as recorder:
        recorder.append(later, received_ns=1)
    assert ask(store, "select count(*) from snapshots") == [(7,)]
    names = {path.name for path in (store / "tables").iterdir() if path.is_dir()}
    assert sum("T" in name for name in names) == 1
    assert [period.name for period in periods_of(History.open(store).entries)] == sorted(names)


EVERYTHING = "select * from {} order by all"


def test_damaged_and_stale_tables_are_made_anew_and_never_trusted(store: Path, recorded: Path) -> None:
    truth = {view: ask(recorded, EVERYTHING.format(view)) for view in ("options", "depth", "snapshots")}
    files = sorted(path for path in (store / "tables").rglob("*") if path.is_file() and path.name != "lock")
    draw = random.Random(9)
    for _ in range(6):
        path = draw.choice(files)
        data = path.read_bytes()
        place = draw.randrange(len(data))
        kind = draw.choice(("flip", "cut", "zero", "gone", "other"))
        torn = {
            "flip": data[:place] + bytes([data[place] ^ (1 << draw.randrange(8))]) + data[place + 1 :],
            "cut": data[:place],
            "zero": data[:place] + bytes(len(data) - place),
            "gone": b"",
            "other": draw.choice(files).read_bytes(),
        }[kind]
        if kind == "gone":
            path.unlink()
        else:
            path.write_bytes(torn)
        if torn != data:
            assert stale_periods(store, History.open(store)) == [path.parent.name], (kind, path)
        for view, rows in truth.items():
            assert ask(store, EVERYTHING.format(view)) == rows, (kind, path, view)
        if view_of(path) not in truth:
            updated_tables(History.open(store), distrusted=frozenset({path.parent.name}))
        assert stale_periods(store, History.open(store)) == []


def view_of(path: Path) -> str:
    return "options" if path.name == "seal" else path.stem


def test_tables_of_other_records_are_stale(store: Path, recorded: Path, hours: list[Snapshot]) -> None:
    other = store.parent / "other"
    with Recorder(other) as recorder:
        for snapshot in hours:
            recorder.append(snapshot.with_parts(spot_usd=1.0), received_ns=1)
    shutil.rmtree(store / "tables")
    shutil.copytree(recorded / "tables", other / "tables")
    assert ask(other, "select distinct spot_usd from snapshots") == [(1.0,)]


def test_a_damaged_record_gives_no_rows_and_is_named(store: Path) -> None:
    history = History.open(store)
    entry = history.entries[2]
    path = next(store.glob("segment*"))
    data = bytearray(path.read_bytes())
    data[entry.end - 50] ^= 1
    path.write_bytes(bytes(data))
    shutil.rmtree(store / "tables")
    answer = Queries(store).ask("select seq from snapshots order by 1")
    assert ([row[0] for row in answer.rows], answer.left_out) == ([1, 2, 4, 5, 6], (3,))


def test_the_series_of_a_service_is_a_view(store: Path) -> None:
    folder = store / "series" / "abcd"
    folder.mkdir(parents=True)
    row = {
        "seq": 1,
        "as_of_ns": DEFAULT_AS_OF_NS,
        "source": "demo",
        "code_hash": "x",
        "fields": {"gain.value": 0.25, "gain.regime": "damping"},
    }
    sql, line = 'select assumptions, seq, "gain.value", "gain.regime" from series', sealed_row(row)
    (folder / "newest.jsonl").write_bytes(line)
    answer = Queries(store).ask(sql)
    assert (answer.rows, answer.damaged_series) == ([("abcd", 1, 0.25, "damping")], ())
    for other in (line[:40], json.dumps(row).encode() + b"\n", line.replace(b"0.25", b"0.75")):
        (folder / "newest.jsonl").write_bytes(line + other)
        answer = Queries(store).ask(sql)
        assert (answer.rows, answer.damaged_series) == ([("abcd", 1, 0.25, "damping")], ("abcd/newest.jsonl",))


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(ended.value.code or 0)


def test_the_command_writes_json_csv_and_a_table(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sql = "select seq, as_of, spot_usd, '=1+1' as text, 'nan'::double as none from snapshots order by seq"
    assert run("query", str(recorded), sql, "--json", "-") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["columns"] == ["seq", "as_of", "spot_usd", "text", "none"]
    assert document["rows"][0]["as_of"] == "2026-09-15T14:30:00Z"
    assert document["rows"][0]["none"] is None
    out = tmp_path / "rows.csv"
    assert run("query", str(recorded), sql, "--csv", str(out)) == 0
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["text"] for row in rows] == ["'=1+1"] * 6
    assert [float(row["spot_usd"]) for row in rows] == [row["spot_usd"] for row in document["rows"]]
    capsys.readouterr()
    assert run("query", str(recorded), "--views") == 0
    assert "gross_gex_usd_per_pct  DOUBLE" in capsys.readouterr().out
    assert run("query", str(recorded), "select 1", "--rows", "1") == 0
    assert run("query", str(recorded)) == 2
    assert run("query", str(recorded), "attach 'x'") == 2
    assert "expected one SELECT" in capsys.readouterr().err


def test_compact_says_what_it_saved(store: Path, hours: list[Snapshot], capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        with Recorder(store) as recorder:
            recorder.append(hours[0], received_ns=1)
    assert run("compact", str(store), "--json", "-") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["files_before"], document["files_after"], document["left_damaged"]) == (
        "tailwag.compact/1",
        3,
        2,
        [],
    )
    assert document["bytes_after"] < document["bytes_before"]
    assert run("compact", str(store)) == 0
    assert "every one read back" in capsys.readouterr().out
    assert stale_periods(store, History.open(store)) != [], "the new records are in no table yet"


def test_recording_compacts_as_it_goes(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    assert run("record", "demo", "--store", str(folder), "--every", "0.001", "--count", "8", "--segment-mib", "0.2", "--compact") == 0
    assert len(list(folder.glob("segment*"))) == 2
    assert len(History.open(folder)) == 8


# what a service wrote, and what a measurement says


def _with_own_forwards(snapshot: Snapshot) -> Snapshot:
    """Rows of one expiry that were crawled moments apart: each with an underlying of its own."""
    import numpy as np

    chain = snapshot.chain
    jitter = np.random.default_rng(5).uniform(-2.5e-4, 2.5e-4, len(chain))
    return snapshot.with_parts(chain=chain.with_columns(underlying_usd=chain.underlying_usd * (1.0 + jitter)))


def test_gross_and_signed_gex_are_those_of_the_measurement(tmp_path: Path) -> None:
    from tailwag import MeasureOptions, measure
    from tailwag.positioning import parse_rule

    snapshot = _with_own_forwards(demo(seed=3))
    with Recorder(tmp_path / "market") as recorder:
        recorder.append(snapshot, received_ns=1)
    totals = measure(snapshot, MeasureOptions(rules=(parse_rule("long-calls-short-puts"),), dynamics="sticky-strike")).profiles[0].totals
    [(gross,)] = ask(tmp_path / "market", "select gross_gex_usd_per_pct from snapshots")
    [(signed,)] = ask(tmp_path / "market", 'select sum(gross_gex_usd_per_pct * "right") from options')
    assert gross == pytest.approx(totals.gross_gex_usd_per_pct, rel=1e-9)
    assert signed == pytest.approx(totals.gex_usd_per_pct, rel=1e-9)


def test_a_snapshot_of_masked_rows_only_has_an_unknown_gex(tmp_path: Path) -> None:
    import numpy as np

    snapshot = demo(seed=3)
    chain = snapshot.chain
    masked = chain.with_columns(iv=np.full(len(chain), np.nan))
    with Recorder(tmp_path / "market") as recorder:
        recorder.append(snapshot.with_parts(chain=masked), received_ns=1)
    assert ask(tmp_path / "market", "select gross_gex_usd_per_pct from snapshots") == [(None,)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store as a service leaves it: its series sealed into files and in the journal, a field that has had three kinds among them."""
    from contextlib import closing

    from tests.service.live_service import NOON_NS, OPTIONS, SECOND_NS, market

    from tailwag.experiments.measure import measure
    from tailwag.service.publish import Publication
    from tailwag.service.series import Series, assumptions_digest

    folder = tmp_path_factory.mktemp("served") / "market"
    with Recorder(folder) as recorder:
        recorder.append(market(), received_ns=1)
    document = measure(market(), OPTIONS).document()
    assert document["as_of"]
    with closing(Series(folder / "series" / assumptions_digest(OPTIONS), rows_in_a_file=2)) as series:
        for number, odd in enumerate(("text", 2.5, True, 4.0, "late"), 1):
            when = NOON_NS + number * SECOND_NS
            series.append(Publication("one", "BTC", number, when, when, {**document, "odd": odd}, None, 0, "abc"))
    return folder


def test_the_series_of_a_service_is_asked_with_its_times(served: Path) -> None:
    from datetime import datetime

    rows = ask(served, 'select seq, as_of, "gain.value", odd, "odd:t", "odd:b" from series order by seq')
    assert [row[0] for row in rows] == [1, 2, 3, 4, 5]
    assert all(isinstance(row[1], datetime) for row in rows)
    assert len({row[2] for row in rows}) == 1
    assert [row[3:] for row in rows] == [
        (None, "text", None),
        (2.5, None, None),
        (None, None, True),
        (4.0, None, None),
        (None, "late", None),
    ]
    assert ask(served, 'select "odd:t" from series where seq = 5') == [("late",)]
    everything = Queries(served).ask("select * from series order by seq")
    assert len({name.lower() for name in everything.columns}) == len(everything.columns)
    assert [row[everything.columns.index("as_of")] for row in everything.rows] == [row[1] for row in rows]
    with pytest.raises(SystemExit, match="0"):
        main(["query", str(served), "--views"])


@pytest.mark.parametrize("number", ["ENOSPC", "EROFS"])
def test_where_the_disk_takes_no_tables_they_are_made_for_the_question(
    store: Path, recorded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: str
) -> None:
    import errno
    import os

    from tailwag.errors import StoreError
    from tailwag.sources.store import periods
    from tailwag.sources.store.disk import SystemDisk

    shutil.rmtree(store / "tables")
    code = getattr(errno, number)

    def refuses(_disk: SystemDisk, _path: Path) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(SystemDisk, "make_folder", refuses)
    for view in ("snapshots", "options", "trades", "depth"):
        assert ask(store, EVERYTHING.format(view)) == ask(recorded, EVERYTHING.format(view))
    with pytest.raises(SystemExit, match="0"):
        main(["query", str(store), "select count(*) from snapshots"])
    said = capsys.readouterr().err
    assert f"could not be kept ({os.strerror(code)})" in said
    assert not (store / "tables").exists()
    monkeypatch.setattr("tailwag.sources.store.sql.frames_in_memory", lambda history, **span: periods.frames_in_memory(history, limit=5))
    with pytest.raises(StoreError) as told:
        ask(store, "select * from snapshots")
    assert "acknowledged" not in str(told.value)
    assert "--from and --to" in str(told.value)
    assert "the records are untouched" in str(told.value)


# beside others


def test_a_table_that_is_made_anew_under_a_query_is_read_again(store: Path, hours: list[Snapshot], monkeypatch: pytest.MonkeyPatch) -> None:
    disturbed = list[str]()

    def taken_away_first(connection: Any, statement: str, limits: Limits) -> Any:
        if not disturbed:
            period = max(path for path in (store / "tables").iterdir() if path.is_dir())
            shutil.rmtree(period)
            disturbed.append(period.name)
        return _run(connection, statement, limits)

    monkeypatch.setattr("tailwag.sources.store.sql._run", taken_away_first)
    assert ask(store, "select count(*) from options") == [(sum(len(snapshot.chain) for snapshot in hours),)]
    assert disturbed


def test_a_query_beside_one_of_a_newer_index_answers_from_one_moment(
    store: Path, hours: list[Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = demo(seed=9, as_of_ns=hours[-1].as_of_ns + 1)

    def recorded_first(connection: Any, statement: str, limits: Limits) -> Any:
        if len(History.open(store)) == len(hours):
            with Recorder(store) as recorder:
                recorder.append(newer, received_ns=newer.as_of_ns)
            updated_tables(History.open(store))
        return _run(connection, statement, limits)

    monkeypatch.setattr("tailwag.sources.store.sql._run", recorded_first)
    rows = ask(store, "select count(*), count(distinct seq) from options")
    assert rows == [(sum(len(snapshot.chain) for snapshot in [*hours, newer]), len(hours) + 1)]


def test_tables_of_newer_records_than_an_index_has_are_not_stale(store: Path, hours: list[Snapshot]) -> None:
    before = History.open(store)
    with Recorder(store) as recorder:
        recorder.append(hours[-1], received_ns=1)
    updated_tables(History.open(store))
    assert stale_periods(store, before) == []


@pytest.fixture
def series_rows() -> list[dict[str, Any]]:
    return [{"seq": seq, "as_of_ns": DEFAULT_AS_OF_NS + seq, "source": "demo", "fields": {"gain.value": seq / 8}} for seq in (1, 2, 3)]


def filed(place: Path, rows: list[dict[str, Any]]) -> None:
    """As a service files the rows of its journal."""
    columns = {name: [row[name] for row in rows] for name in ("seq", "as_of_ns", "source")}
    sink = io.BytesIO()
    pl.DataFrame({**columns, "n:gain.value": [row["fields"]["gain.value"] for row in rows]}).write_parquet(sink)
    (place / f"rows-1-2-2-{sha256(sink.getvalue()).hexdigest()[:32]}.parquet").write_bytes(sink.getvalue())


def test_rows_of_the_series_that_are_filed_but_still_in_the_journal_count_once(store: Path, series_rows: list[dict[str, Any]]) -> None:
    place = store / "series" / "00ff"
    place.mkdir(parents=True)
    (place / "newest.jsonl").write_bytes(b"".join(sealed_row(row) for row in series_rows))
    filed(place, series_rows[:2])
    assert ask(store, 'select seq, "gain.value" from series order by all') == [(1, 0.125), (2, 0.25), (3, 0.375)]


def test_rows_of_the_series_that_are_filed_while_they_are_read_are_not_lost(
    store: Path, series_rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, read = store / "series" / "00ff", series_files._journal_rows
    place.mkdir(parents=True)
    (place / "newest.jsonl").write_bytes(b"".join(sealed_row(row) for row in series_rows))

    def filed_first(path: Path) -> Any:
        if path.stat().st_size:
            filed(place, series_rows)
            path.write_bytes(b"")
        return read(path)

    monkeypatch.setattr(series_files, "_journal_rows", filed_first)
    assert ask(store, "select seq from series order by all") == [(1,), (2,), (3,)]


def test_a_row_of_the_series_that_is_just_being_written_is_no_damage(
    store: Path, series_rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, read = store / "series" / "00ff", series_files._bytes_of
    place.mkdir(parents=True)
    whole = b"".join(sealed_row(row) for row in series_rows)
    (place / "newest.jsonl").write_bytes(whole[:-9])
    assert series_files.damaged_series(store) == ["00ff/newest.jsonl"]

    def then_whole(path: Path) -> bytes:
        found = read(path)
        path.write_bytes(whole)
        return found

    monkeypatch.setattr(series_files, "_bytes_of", then_whole)
    assert series_files.damaged_series(store) == []
