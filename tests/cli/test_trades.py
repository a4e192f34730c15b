"""``tailwag trades backfill`` and a store as a source, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tailwag.cli import main
from tailwag.errors import StoreError
from tailwag.sources.demo_moving import moving_demo
from tailwag.sources.store.history import History
from tailwag.sources.store.recorder import Recorder

START_NS = 1_770_308_580 * 10**9
HOUR_NS = 3_600 * 10**9


def tailwag(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    code = ended.value.code
    return code if isinstance(code, int) else 0


def prints(folder: Path, count: int = 5) -> Path:
    rows = [
        {
            "trade_id": str(k),
            "timestamp": 1_770_300_000_000 + k,
            "instrument_name": "BTC-27MAR26-90000-C",
            "direction": "buy" if k % 2 else "sell",
            "amount": 1.5,
            "price": 0.05,
        }
        for k in range(count)
    ]
    path = folder / "prints.json"
    path.write_text(json.dumps({"trades": rows}))
    return path


def test_a_file_twice_is_once_and_its_trades_come_out_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import polars as pl

    store = str(tmp_path / "store")
    assert tailwag("trades", "backfill", str(prints(tmp_path, 3)), "--store", store) == 0
    assert "3 new trades" in capsys.readouterr().out
    assert tailwag("trades", "backfill", str(prints(tmp_path, 5)), "--store", store) == 0
    assert "2 new trades" in capsys.readouterr().out
    assert tailwag("trades", "backfill", str(prints(tmp_path, 5)), "--store", store) == 0
    assert "nothing new" in capsys.readouterr().out
    assert tailwag("export", store, "--as", "trades", "--out", str(tmp_path / "out.parquet")) == 0
    assert pl.read_parquet(tmp_path / "out.parquet")["trade_id"].to_list() == ["0", "1", "2", "3", "4"]
    assert tailwag("verify", store) == 0


def test_beside_a_recorder_it_is_refused_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Recorder(tmp_path / "store"):
        assert tailwag("trades", "backfill", str(prints(tmp_path)), "--store", str(tmp_path / "store")) == 1
    said = capsys.readouterr().err
    assert "another process records to this store" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fill", "deribit:BTC", "--from", "2026-02-01T00:00:00Z"], "expects backfill"),
        (["backfill", "deribit:BTC"], "needs --from"),
        (["backfill", "okx:BTC", "--from", "2026-02-01T00:00:00Z"], "expected deribit:CURRENCY or a file"),
        (["backfill", "nowhere.json"], "expected deribit:CURRENCY or a file"),
        (["backfill", "deribit:BTC", "--from", "yesterday"], "yesterday"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert tailwag("trades", *words, "--store", str(tmp_path / "store")) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def measured(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert tailwag("measure", *words, "--json", "-") == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


@pytest.mark.slow
def test_a_store_is_a_source_at_any_time_and_its_own_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(tmp_path / "market")
    with Recorder(store) as recorder:
        for hour in range(3):
            recorder.append(moving_demo(START_NS + hour * HOUR_NS), received_ns=hour)
        recorder.append(moving_demo(START_NS + 9 * HOUR_NS, currency="ETH"), received_ns=9)
    assert measured(capsys, store, "--rule", "short-all")["as_of"] == "2026-02-05T18:23:00Z"
    past = measured(capsys, store, "--at", "2026-02-05T18:22:59Z", "--rule", f"flow:{store}", "--rule", "short-all")
    assert past["as_of"] == "2026-02-05T17:23:00Z"
    assert past["assumptions"]["rules"] == ["flow:market", "short-all"]
    own = measured(capsys, store, "--at", "2026-02-05T17:23:00Z")
    flows = [
        rule["gex_usd_per_pct"] for document in (past, own) for rule in document["gain"]["by_rule"] if rule["rule"].startswith("flow:")
    ]
    assert flows[0] == pytest.approx(flows[1], rel=1e-9)
    assert measured(capsys, store, "--currency", "ETH", "--rule", "short-all")["currency"] == "ETH"
    assert tailwag("measure", store, "--at", "2026-02-05T10:00:00Z") == 2
    assert "no snapshot at or before" in capsys.readouterr().err


def test_a_store_that_holds_trades_only_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(tmp_path / "store")
    assert tailwag("trades", "backfill", str(prints(tmp_path)), "--store", store) == 0
    assert tailwag("measure", store) == 2
    assert "no snapshot in this store" in capsys.readouterr().err
    assert len(History.open(store).trades()) == 5


def test_a_damaged_snapshot_is_told_and_not_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Recorder(tmp_path / "m") as recorder:
        recorder.append(moving_demo(START_NS), received_ns=1)
    segment = tmp_path / "m" / "segment-00000001.tws"
    data = bytearray(segment.read_bytes())
    data[-50] ^= 1
    segment.write_bytes(bytes(data))
    assert tailwag("measure", str(tmp_path / "m"), "--rule", "short-all") in (1, 2)
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert issubclass(StoreError, Exception)
