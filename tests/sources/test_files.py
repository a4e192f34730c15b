"""Files and folders: kinds are told by content, timelines by their times, and every damaged file by its place."""

from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.sources.chain_files import ALL_NAMES, SCHEMA, csv_bytes, parquet_bytes, rows, timeline
from tests.sources.deribit_replies import AS_OF, AS_OF_MS, AS_OF_NS, INDEX_USD, instrument, perpetual, reply, summaries

from tailwag.errors import EmptyChainError, FileFormatError, InputError, TimeError
from tailwag.market.codes import RowCode
from tailwag.sources import load

HOUR_NS = 3_600 * 10**9


def _write(tmp_path: Path, data: bytes, name: str = "chain.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def _json(tmp_path: Path, value: Any, name: str = "chain.json") -> Path:
    return _write(tmp_path, json.dumps(value).encode(), name)


# one file


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(csv_bytes(rows()), id="csv"),
        pytest.param(parquet_bytes(rows()), id="parquet"),
        pytest.param(gzip.compress(csv_bytes(rows())), id="packed-csv"),
        pytest.param(parquet_bytes(rows(), compression="zstd", use_dictionary=False), id="zstd-parquet"),
    ],
)
def test_a_chain_table_is_one_snapshot(data: bytes, tmp_path: Path) -> None:
    snapshot = load(_write(tmp_path, data, "any.name"))
    assert snapshot.as_of_ns == AS_OF_NS
    assert snapshot.chain.instrument.tolist() == ALL_NAMES
    assert not snapshot.chain.codes.any()
    assert snapshot.chain.iv.tolist() == pytest.approx([row["mark_iv"] / 100 for row in summaries()], rel=1e-15)
    assert snapshot.chain.index_usd[3] == INDEX_USD + 3
    assert snapshot.spot_usd == INDEX_USD + 26.5
    assert snapshot.chain.underlying_name[0] == "SYN.BTC-21MAR26"
    assert snapshot.source.kind == "deribit-chain"


def test_missing_numbers_stay_missing(tmp_path: Path) -> None:
    made = rows()
    made[3]["bid_price"] = None
    made[4]["open_interest"] = None
    for data in (parquet_bytes(made), csv_bytes(made)):
        chain = load(_write(tmp_path, data)).chain
        assert [code.code for code in RowCode if chain.has(code)[3]] == ["one_sided"]
        assert [code.code for code in RowCode if chain.has(code)[4]] == ["oi_missing"]


@pytest.mark.parametrize("make", [parquet_bytes, lambda made: csv_bytes(made, leave_out=())], ids=["parquet", "csv"])
@pytest.mark.parametrize(("later_hours", "expected_hours"), [(None, 2), (0, 0), (0.5, 0), (1, 1), (1.99, 1), (50, 2)])
def test_the_latest_snapshot_at_or_before_the_time(make: Any, later_hours: float | None, expected_hours: int, tmp_path: Path) -> None:
    path = _write(tmp_path, make(timeline()), "chain.any")
    at_ns = None if later_hours is None else AS_OF_NS + int(later_hours * HOUR_NS)
    for currency in ("BTC", "ETH"):
        snapshot = load(path, currency=currency, at_ns=at_ns)
        assert snapshot.as_of_ns == AS_OF_NS + expected_hours * HOUR_NS
        assert len(snapshot.chain) == len(ALL_NAMES)
        assert set(snapshot.chain.instrument) == {name.replace("BTC", currency) for name in ALL_NAMES}


def test_nothing_at_or_before_the_time(tmp_path: Path) -> None:
    for data in (parquet_bytes(timeline()), csv_bytes(rows())):
        with pytest.raises(EmptyChainError, match="at or before"):
            load(_write(tmp_path, data), at_ns=AS_OF_NS - 1)


def test_another_currency_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmptyChainError, match=r"no SOL option.*BTC"):
        load(_write(tmp_path, parquet_bytes(rows())), currency="SOL")


def test_item_14_a_table_without_rows_is_empty(tmp_path: Path) -> None:
    header = csv_bytes(rows()).split(b"\n")[0] + b"\n"
    for data in (parquet_bytes([]), header):
        snapshot = load(_write(tmp_path, data))
        assert len(snapshot.chain) == 0
        assert snapshot.notes[0].startswith("empty")


def test_a_book_summary_saved_as_csv(tmp_path: Path) -> None:
    made = summaries()
    keys = list(made[0])
    lines = [",".join(["", *keys, "option_type"])]
    lines += [
        ",".join([str(place), *("" if row[key] is None else str(row[key]) for key in keys), row["instrument_name"][-1]])
        for place, row in enumerate(made)
    ]
    snapshot = load(_write(tmp_path, ("\n".join(lines) + "\n").encode()))
    assert snapshot.chain.instrument.tolist() == ALL_NAMES
    assert not snapshot.chain.codes.any()
    assert snapshot.chain.iv[0] == pytest.approx(made[0]["mark_iv"] / 100)
    assert (snapshot.as_of_ns, snapshot.spot_usd) == (AS_OF_NS, INDEX_USD)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"strike": 1e308}, "strike_invalid", id="item-20-strike-1e308"),
        pytest.param({"strike": -1.0}, "strike_invalid", id="item-20-strike-negative"),
        pytest.param({"strike": 66_000.0}, "strike_invalid", id="item-20-strike-contradicts-the-name"),
        pytest.param({"implied_volatility": 0.0}, "iv_nonpositive", id="item-04-iv-zero"),
        pytest.param({"implied_volatility": float("nan")}, "iv_missing", id="item-06-iv-nan"),
        pytest.param({"open_interest": -1.0}, "oi_negative", id="item-13-oi-negative"),
        pytest.param({"option_type": "straddle"}, "right_invalid", id="right-unknown"),
        pytest.param({"expiry_datetime": AS_OF - timedelta(days=1)}, "time_invalid", id="expiry-contradicts-the-name"),
        pytest.param({"instrument_name": "=cmd|'/c calc'!A1"}, "name_invalid", id="item-34-formula"),
        pytest.param({"instrument_name": "'; ATTACH 'x' AS y; --"}, "name_invalid", id="item-41-sql-in-a-cell"),
    ],
)
def test_a_damaged_row_is_masked_in_parquet_and_csv(changes: dict[str, Any], expected: str, tmp_path: Path) -> None:
    made = rows()
    made[40].update(changes)
    for data in (parquet_bytes(made), csv_bytes(made)):
        chain = load(_write(tmp_path, data)).chain
        assert len(chain) == len(made)
        assert expected in [code.code for code in RowCode if chain.has(code)[40]]
        assert sum(chain.codes != 0) == 1


def test_item_20_exponents_in_a_strikes_text_are_refused(tmp_path: Path) -> None:
    text = csv_bytes(rows()).replace(b",65000.0,", b",6.5e4,")
    assert load(_write(tmp_path, text)).chain.has(RowCode.STRIKE_INVALID).sum() == 6


def test_item_26_a_time_without_a_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TimeError, match=r"chain\.csv:2:1.*no offset"):
        load(_write(tmp_path, csv_bytes(rows()).replace(b"+00:00", b"")))
    naive = pa.schema([pa.field(field.name, pa.timestamp("us")) if field.name == "timestamp" else field for field in SCHEMA])
    made = [{**row, "timestamp": AS_OF.replace(tzinfo=None)} for row in rows()]
    with pytest.raises(TimeError, match="no zone"):
        load(_write(tmp_path, parquet_bytes(made, schema=naive)))


# damaged CSV

GOOD = csv_bytes(rows())
HEADER, FIRST = GOOD.split(b"\n")[:2]


@pytest.mark.parametrize(
    ("data", "place"),
    [
        pytest.param(b"", "1:1", id="item-35-0-bytes"),
        pytest.param(b"\n\n", "1:1", id="item-35-blank"),
        pytest.param(GOOD[: len(GOOD) // 2], "28:", id="item-35-cut-off"),
        pytest.param(b"\xef\xbb\xbf" + GOOD, "1:1", id="item-35-byte-order-mark"),
        pytest.param(GOOD.decode().encode("utf-16"), "1:1", id="item-35-utf-16"),
        pytest.param(GOOD.replace(b"\n", b"\r\n"), f"1:{len(HEADER) + 1}", id="item-35-crlf"),
        pytest.param(GOOD.replace(b"BTC-21MAR26-50000-P", b'"BTC-21MAR26-50000-P', 1), "", id="item-35-lone-quote"),
        pytest.param(GOOD.replace(b"BTC-21MAR26-50000-P", b'"BTC"-21MAR26-50000-P', 1), "3:", id="item-35-quote-inside"),
        pytest.param(GOOD.replace(b"call", b"ca\xffll", 1), "2:", id="item-35-not-utf-8"),
        pytest.param(GOOD.replace(b"call", b"ca\0ll", 1), "2:", id="item-35-nul"),
        pytest.param(GOOD.replace(b",volume,", b",strike,", 1), "1:15", id="item-36-header-twice"),
        pytest.param(GOOD.replace(b",mark_price,", b",price,", 1), "1:", id="item-36-header-missing"),
        pytest.param(GOOD.replace(b",call,", b",call,,", 1), "2:19", id="item-36-a-row-with-a-cell-too-many"),
        pytest.param(GOOD.replace(b",call,", b",", 1), "2:17", id="item-36-a-row-with-a-cell-too-few"),
        pytest.param(GOOD.split(b"\n", 1)[1], "", id="item-36-no-header"),
    ],
)
def test_items_35_and_36_a_damaged_csv_is_refused_with_its_place(data: bytes, place: str, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError) as refusal:
        load(_write(tmp_path, data))
    assert str(refusal.value).startswith(f"chain.csv:{place}")
    assert len(str(refusal.value)) < 400


def test_item_36_extra_columns_are_ignored(tmp_path: Path) -> None:
    lines = GOOD.decode().rstrip("\n").split("\n")
    wider = "\n".join([lines[0] + ",colour", *(f"{line},blue" for line in lines[1:])]) + "\n"
    assert not load(_write(tmp_path, wider.encode())).chain.codes.any()


def test_a_last_line_without_an_end_is_doubted(tmp_path: Path) -> None:
    assert "cut short" in load(_write(tmp_path, GOOD.rstrip(b"\n"))).degraded[-1]


# damaged Parquet


def test_item_38_page_checksums_are_verified(tmp_path: Path) -> None:
    data = bytearray(parquet_bytes(rows(), compression="none", use_dictionary=False))
    place = data.find(struct.pack("<d", summaries()[20]["open_interest"]))
    assert place > 0
    data[place] ^= 0x01
    with pytest.raises(FileFormatError, match="damaged"):
        load(_write(tmp_path, bytes(data)))


def test_item_38_a_footer_that_promises_too_much_is_refused(tmp_path: Path) -> None:
    data = parquet_bytes(rows())
    for size in (2**31 - 1, 2**20, 0):
        with pytest.raises(FileFormatError, match=r"chain\.csv"):
            load(_write(tmp_path, data[:-8] + struct.pack("<I", size) + b"PAR1"))


def test_item_38_two_hundred_million_cells_from_a_few_kilobytes_stop_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "bomb.parquet"
    columns = {name: pa.nulls(0, SCHEMA.field(name).type) for name in SCHEMA.names}
    with pq.ParquetWriter(path, SCHEMA) as writer:
        for _ in range(3):
            writer.write_table(
                pa.table({name: pa.repeat(pa.scalar(None, SCHEMA.field(name).type), 4_000_000) for name in columns}, schema=SCHEMA),
                row_group_size=4_000_000,
            )
    assert path.stat().st_size < 500_000
    start = time.process_time()
    with pytest.raises(FileFormatError, match="beyond the limit"):
        load(path)
    assert time.process_time() - start < 2.0


def test_item_40_extension_types_are_refused(tmp_path: Path) -> None:
    marked = pa.schema(
        [
            field.with_metadata({b"ARROW:extension:name": b"evil", b"ARROW:extension:metadata": b"\x80\x04."})
            if field.name == "strike"
            else field
            for field in SCHEMA
        ]
    )
    with pytest.raises(FileFormatError, match="extension type"):
        load(_write(tmp_path, parquet_bytes(rows(), schema=marked)))


@pytest.mark.parametrize(
    ("column", "kind", "value"),
    [
        ("strike", pa.string(), "60000"),
        ("instrument_name", pa.int64(), 5),
        ("timestamp", pa.int64(), 5),
        ("mark_price", pa.list_(pa.float64()), [1.0]),
    ],
)
def test_a_column_of_another_type_is_refused(column: str, kind: Any, value: Any, tmp_path: Path) -> None:
    schema = pa.schema([pa.field(field.name, kind) if field.name == column else field for field in SCHEMA])
    with pytest.raises(FileFormatError, match=column):
        load(_write(tmp_path, parquet_bytes([{**row, column: value} for row in rows()], schema=schema)))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    schema = pa.schema([field for field in SCHEMA if field.name != "mark_price"])
    with pytest.raises(FileFormatError, match="lacks the column mark_price"):
        load(_write(tmp_path, parquet_bytes(rows(), schema=schema)))


@pytest.mark.parametrize("data", [b"hello\n", b"\x7fELF\x02\x01\x01", b"%PDF-1.7\n", b"PAR1", b"a,b\n1,2\n", b"<html></html>\n"])
def test_an_unknown_kind_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"chain\.csv"):
        load(_write(tmp_path, data))


@pytest.mark.parametrize("name", ["'; ATTACH 'x' AS y; --.json", "read_csv('etc').json", "$(id).json", "a b;c.json"])
def test_item_41_a_name_is_only_a_name(name: str, tmp_path: Path) -> None:
    assert load(_json(tmp_path, summaries(), name)).source.name == name


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "/etc",
        "file:///etc/passwd",
        "\\\\server\\share",
        "a\0b",
        "",
        "/dev/null",
        "/nonexistent",
        "x" * 5_000,
        "\udcff",
    ],
    ids=lambda path: f"item-39-{ascii(path)[:20]}",
)
def test_item_39_what_is_no_market_file_is_refused(path: str) -> None:
    with pytest.raises(FileFormatError) as refusal:
        load(path)
    assert str(refusal.value).isprintable()
    assert "root:" not in str(refusal.value)


def test_a_csv_whose_header_is_quoted_is_a_csv(tmp_path: Path) -> None:
    quoted = ",".join(f'"{cell}"' for cell in HEADER.decode().split(",")).encode()
    assert len(load(_write(tmp_path, quoted + GOOD[len(HEADER) :])).chain) == len(ALL_NAMES)


def test_loading_json_imports_nothing_heavy(tmp_path: Path) -> None:
    path = _json(tmp_path, reply(summaries()))
    program = (
        "import sys, tailwag; tailwag.load(sys.argv[1]);"
        "print([name for name in ('polars', 'pyarrow', 'pandas', 'scipy', 'ccxt', 'numba', 'plotly', 'matplotlib') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# folders


def test_pieces_of_one_moment_become_one_snapshot(tmp_path: Path) -> None:
    _json(tmp_path, reply([instrument(name) for name in ALL_NAMES]), "instruments.json")
    _json(tmp_path, reply(summaries()), "options.json")
    _json(tmp_path, reply([perpetual()]), "futures.json")
    (tmp_path / "INDEX.md").write_text("notes")
    (tmp_path / "settings.json").write_text('{"a": 1}')
    snapshot = load(tmp_path)
    assert snapshot.chain.instrument.tolist() == ALL_NAMES
    assert snapshot.futures.instrument.tolist() == ["BTC-PERPETUAL"]
    assert "INDEX.md" in snapshot.notes[-1]
    assert "settings.json" in snapshot.notes[-1]
    assert snapshot.source.name == "futures.json + options.json + instruments.json"


def test_a_perps_order_book_becomes_a_book(tmp_path: Path) -> None:
    _json(tmp_path, reply(summaries()), "options.json")
    book = {
        **perpetual(),
        "timestamp": AS_OF_MS,
        "bids": [[70_000.0, 70_000.0], [69_999.5, 10.0]],
        "asks": [[70_000.5, 35_000.25]],
        "best_bid_price": 70_000.0,
        "best_ask_price": 70_000.5,
        "change_id": 1,
    }
    _json(tmp_path, reply(book), "book.json")
    snapshot = load(tmp_path)
    (found,) = snapshot.books
    assert found.instrument == "BTC-PERPETUAL"
    assert found.bid_coin[0] == 1.0
    assert found.ask_coin[0] == pytest.approx(35_000.25 / 70_000.5)
    assert len(snapshot.futures) == 1


def test_replies_of_several_moments_are_a_timeline(tmp_path: Path) -> None:
    for hours in (0, 1, 2):
        made = [{**row, "creation_timestamp": AS_OF_MS + hours * 3_600_000} for row in summaries()]
        _json(tmp_path, reply(made), f"chain{hours}.json")
    assert load(tmp_path).as_of_ns == AS_OF_NS + 2 * HOUR_NS
    assert load(tmp_path, at_ns=AS_OF_NS + HOUR_NS).as_of_ns == AS_OF_NS + HOUR_NS
    assert load(tmp_path, at_ns=AS_OF_NS + HOUR_NS).source.name == "chain1.json"
    with pytest.raises(EmptyChainError, match="at or before"):
        load(tmp_path, at_ns=AS_OF_NS - 1)


def test_the_same_reply_saved_twice_in_a_minute_is_not_counted_twice(tmp_path: Path) -> None:
    _json(tmp_path, summaries(), "a.json")
    _json(tmp_path, [{**row, "creation_timestamp": AS_OF_MS + 60_000} for row in summaries()], "b.json")
    snapshot = load(tmp_path)
    assert snapshot.as_of_ns == AS_OF_NS + 60 * 10**9
    assert not snapshot.chain.codes.any()


def test_a_list_of_another_day_adds_no_contracts(tmp_path: Path) -> None:
    _json(tmp_path, reply(summaries()[:4]), "options.json")
    expired = instrument("BTC-21MAR26-60000-C", expiration_timestamp=AS_OF_MS - 1)
    unborn = instrument("BTC-27MAR26-60000-C", creation_timestamp=AS_OF_MS + 1)
    listed = instrument("BTC-26JUN26-60000-C")
    _json(tmp_path, {"result": [expired, unborn, listed]}, "instruments.json")
    assert load(tmp_path).chain.instrument.tolist() == [*ALL_NAMES[:4], "BTC-26JUN26-60000-C"]


def test_monthly_parquet_files_are_one_timeline_and_only_one_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for months in range(4):
        at = AS_OF - timedelta(days=30 * months)
        _write(tmp_path, parquet_bytes(rows(at=at, snapshot=f"s{months}")), f"chain_{9 - months}.parquet")
    read: list[str] = []
    from tailwag.sources import folders

    original = folders.read_member
    monkeypatch.setattr(folders, "read_member", lambda folder, name: (read.append(name), original(folder, name))[1])
    assert load(tmp_path).as_of_ns == AS_OF_NS
    assert load(tmp_path, at_ns=AS_OF_NS - 35 * 24 * HOUR_NS).as_of_ns == AS_OF_NS - 60 * 24 * HOUR_NS
    assert read == ["chain_9.parquet", "chain_7.parquet"]


def test_a_month_without_the_currency_is_passed_over(tmp_path: Path) -> None:
    _write(tmp_path, parquet_bytes(rows(currency="ETH")), "b.parquet")
    _write(tmp_path, parquet_bytes(rows(at=AS_OF - timedelta(hours=1))), "a.parquet")
    assert load(tmp_path).as_of_ns == AS_OF_NS - HOUR_NS


def test_csv_crawls_are_a_timeline(tmp_path: Path) -> None:
    for hours in (0, 1):
        _write(tmp_path, csv_bytes(rows(at=AS_OF + timedelta(hours=hours))), f"crawl{1 - hours}.csv")
    assert load(tmp_path).as_of_ns == AS_OF_NS + HOUR_NS
    assert load(tmp_path, at_ns=AS_OF_NS).as_of_ns == AS_OF_NS


def test_a_damaged_file_of_a_known_kind_is_not_passed_over(tmp_path: Path) -> None:
    _json(tmp_path, summaries(), "a.json")
    _write(tmp_path, json.dumps(summaries()).encode()[:-20], "b.json")
    with pytest.raises(FileFormatError, match=r"b\.json:1:"):
        load(tmp_path)


def test_an_empty_or_foreign_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="found nothing"):
        load(tmp_path)
    (tmp_path / "notes.md").write_text("x")
    with pytest.raises(FileFormatError, match=r"only notes\.md"):
        load(tmp_path)


def test_item_39_a_folder_never_follows_links(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "chain.json").symlink_to(_json(tmp_path, summaries()))
    with pytest.raises(InputError, match="found nothing"):
        load(tmp_path / "inner")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(FileFormatError, match="link"):
        load(tmp_path / "link")


# real data: read where TAILWAG_DATA is set, never copied


@pytest.fixture
def data_folder() -> Path:
    if not os.environ.get("TAILWAG_DATA"):
        pytest.skip("TAILWAG_DATA names no folder of real market data")
    return Path(os.environ["TAILWAG_DATA"])


@pytest.mark.realdata
class TestRealData:
    def test_the_rest_file_of_2025_11_19(self, data_folder: Path) -> None:
        snapshot = load(data_folder / "deribit-rest" / "gamma-data-btc-2025-11-19T11-21-13-295Z.json")
        assert (len(snapshot.chain), len(set(snapshot.chain.expiry_ns.tolist()))) == (760, 11)
        assert round(float(snapshot.chain.open_interest_coin.sum())) == 453_737
        assert snapshot.spot_usd == 91_630.07
        assert snapshot.as_of_ns == 1_763_551_236_870 * 10**6

    def test_every_file_of_the_rest_folder_is_read_or_refused_with_a_reason(self, data_folder: Path) -> None:
        lengths: dict[tuple[str, str], int] = {}
        refusals: list[bool] = []
        for path in sorted((data_folder / "deribit-rest").iterdir()):
            for currency in ("BTC", "ETH"):
                try:
                    lengths[path.name, currency] = len(load(path, currency=currency).chain)
                except (EmptyChainError, FileFormatError) as refusal:
                    refusals.append(str(refusal).startswith(path.name))
        assert sorted(lengths.values()) == [5, 9, 684, 760, 878]
        assert all(refusals)

    def test_the_pieces_of_2026_05_22_belong_together(self, data_folder: Path) -> None:
        snapshot = load(data_folder / "deribit-rest", at_ns=1_779_460_500 * 10**9)
        assert (len(snapshot.chain), len(snapshot.futures)) == (5, 13)
        assert not snapshot.chain.has(RowCode.OI_MISSING).any()

    @pytest.mark.parametrize(
        ("at", "minimum"), [("2026-02-05T16:00:00Z", 700), ("2026-03-27T07:59:00Z", 800), ("2026-01-15T00:00:00Z", 500)]
    )
    def test_the_chain_folder_at_any_time(self, data_folder: Path, at: str, minimum: int) -> None:
        from tailwag.market.clock import parse_time_ns

        for currency in ("BTC", "ETH"):
            snapshot = load(data_folder / "deribit-chains", currency=currency, at_ns=parse_time_ns(at))
            assert len(snapshot.chain) >= minimum
            assert 0 <= parse_time_ns(at) - snapshot.as_of_ns < 24 * HOUR_NS
            assert snapshot.chain.usable.all()

    def test_csv_and_parquet_of_one_crawl_agree(self, data_folder: Path) -> None:
        raw = load(data_folder / "deribit-chains" / "raw" / "deribit_options_snapshot_20260205T155132Z.csv")
        packed = load(data_folder / "deribit-chains" / "deribit_chain_2026-02.parquet", at_ns=raw.as_of_ns)
        assert packed.as_of_ns == raw.as_of_ns
        assert sorted(packed.chain.instrument) == sorted(raw.chain.instrument)
        assert packed.chain.open_interest_coin.sum() == pytest.approx(raw.chain.open_interest_coin.sum(), rel=1e-12)
