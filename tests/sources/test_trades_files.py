"""Trades from files: each print once, units as declared, flags that decide whether a sign can be trusted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailwag.errors import FileFormatError, UnitError
from tailwag.sources.trades_files import load_trades

MS = 1_700_000_000_000


def trade(number: int, **more: Any) -> dict[str, Any]:
    plain = {
        "trade_seq": number,
        "trade_id": str(1000 + number),
        "timestamp": MS + number,
        "price": 0.05,
        "iv": 61.5,
        "instrument_name": "BTC-24NOV23-38000-C",
        "index_price": 37_000.0,
        "direction": "buy",
        "amount": 0.5,
    }
    return {**plain, **more}


def loaded(folder: Path, value: Any, name: str = "trades.json") -> Any:
    (folder / name).write_text(json.dumps(value))
    return load_trades(folder / name)


def test_plain_json_envelope_and_list_say_the_same(tmp_path: Path) -> None:
    rows = [trade(1), trade(2, direction="sell")]
    tables = [
        loaded(tmp_path, value) for value in ({"trades": rows}, {"jsonrpc": "2.0", "result": {"trades": rows, "has_more": True}}, rows)
    ]
    for table in tables:
        assert table.taker_sign.tolist() == [1, -1]
        assert table.iv.tolist() == [0.615, 0.615]
        assert table.time_ns.tolist() == [(MS + 1) * 1_000_000, (MS + 2) * 1_000_000]


def test_newest_first_is_turned_round_and_ties_go_by_trade_id(tmp_path: Path) -> None:
    rows = [trade(3), trade(2, timestamp=MS, trade_id="200"), trade(1, timestamp=MS, trade_id="99")]
    assert loaded(tmp_path, rows).trade_id.tolist() == ["99", "200", "1003"]


def test_a_volatility_of_zero_is_none(tmp_path: Path) -> None:
    iv = loaded(tmp_path, [trade(1, iv=0.0), trade(2, iv=None), trade(3)]).iv
    assert np.isnan(iv).tolist() == [True, True, False]


def test_block_combo_and_liquidation_are_flagged(tmp_path: Path) -> None:
    rows = [trade(1), trade(2, block_trade_id="77"), trade(3, combo_id="BTC-CS-X"), trade(4, liquidation="MT"), trade(5, block_trade_id="")]
    table = loaded(tmp_path, rows)
    assert table.is_block.tolist() == [False, True, False, False, False]
    assert table.is_combo.tolist() == [False, False, True, False, False]
    assert table.liquidated.tolist() == ["", "", "", "MT", ""]


def test_an_unknown_direction_has_no_sign(tmp_path: Path) -> None:
    assert loaded(tmp_path, [trade(1, direction=None), trade(2, direction="zap")]).taker_sign.tolist() == [0, 0]


def test_repeats_go_by_trade_id_and_are_counted(tmp_path: Path) -> None:
    table = loaded(tmp_path, [trade(1), trade(2), trade(1), trade(1)])
    assert (len(table), table.repeats_removed) == (2, 2)


def test_one_trade_id_for_two_trades_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="two different trades"):
        loaded(tmp_path, [trade(1), trade(1, amount=0.6)])


def test_a_combo_print_gives_its_legs_once(tmp_path: Path) -> None:
    legs = [trade(11, direction="sell"), trade(12, instrument_name="BTC-24NOV23-40000-C")]
    combo = trade(1, instrument_name="BTC-CS-24NOV23-38000_40000", legs=legs)
    table = loaded(tmp_path, [combo, legs[0]])
    assert table.instrument.tolist() == ["BTC-24NOV23-38000-C", "BTC-24NOV23-40000-C"]
    assert table.is_combo.tolist() == [True, True]
    assert table.repeats_removed == 1


def test_inverse_future_amounts_are_usd_and_become_coin(tmp_path: Path) -> None:
    """1,000 USD at 40,000 are 0.025 coin; an option's and a linear perp's amounts are coin already."""
    rows = [
        trade(1, instrument_name="BTC-PERPETUAL", amount=1000.0, price=40_000.0, iv=None),
        trade(2),
        trade(3, instrument_name="BTC_USDC-PERPETUAL", amount=0.2, price=40_000.0, iv=None),
    ]
    assert loaded(tmp_path, rows).amount_coin.tolist() == [0.025, 0.5, 0.2]


def test_single_letter_csv(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text(
        '"q","p","s","t","d","trade_seq","trade_id","tick_direction","iv","instrument_name","index_price","direction"\n'
        f'"0.6","0.0165","TRADE","{MS}","2023-11-14","234","197","3","61.54","BTC-24NOV23-38000-P","46786","sell"\n'
        f'"0.6","0.0165","TRADE","{MS}","2023-11-14","234","197","3","61.54","BTC-24NOV23-38000-P","46786","sell"\n'
    )
    table = load_trades(tmp_path / "old.csv")
    assert (len(table), table.repeats_removed) == (1, 1)
    assert (table.amount_coin[0], table.price_quoted[0], table.taker_sign[0]) == (0.6, 0.0165, -1)
    assert table.iv[0] == pytest.approx(0.6154)


def test_parquet_with_categories(tmp_path: Path) -> None:
    import polars as pl

    frame = pl.DataFrame([trade(1), trade(2, direction="sell")]).with_columns(pl.col("direction", "instrument_name").cast(pl.Categorical))
    frame.write_parquet(tmp_path / "t.parquet")
    table = load_trades(tmp_path / "t.parquet")
    assert table.taker_sign.tolist() == [1, -1]
    assert not table.is_block.any()


@pytest.mark.parametrize("factor", [1e-3, 1e3, 1e6])
def test_times_in_another_unit_are_refused(tmp_path: Path, factor: float) -> None:
    with pytest.raises(UnitError, match="milliseconds"):
        loaded(tmp_path, [trade(1, timestamp=int(MS * factor))])


def test_decimal_volatilities_are_refused_where_per_cent_is_declared(tmp_path: Path) -> None:
    with pytest.raises(UnitError, match="per cent"):
        loaded(tmp_path, [trade(number, iv=0.6) for number in range(12)])


@pytest.mark.parametrize("value", ["", {}, {"result": {"bids": []}}, [1, 2], 5])
def test_what_holds_no_trades_is_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(FileFormatError, match=r"trades\.json"):
        loaded(tmp_path, value)


def test_an_empty_reply_is_no_trades(tmp_path: Path) -> None:
    assert len(loaded(tmp_path, {"result": {"trades": [], "has_more": False}})) == 0


@pytest.mark.parametrize(
    "bad", [{"trade_id": None}, {"instrument_name": None}, {"amount": "<b>"}, {"price": [1]}, {"timestamp": "now"}, {"timestamp": None}]
)
def test_damaged_trades_are_refused_by_name(tmp_path: Path, bad: dict[str, Any]) -> None:
    with pytest.raises((FileFormatError, UnitError), match=r"trades\.json"):
        loaded(tmp_path, [trade(1), trade(2, **bad)])


@pytest.fixture
def real_trades() -> Path:
    if not os.environ.get("TAILWAG_DATA"):
        pytest.skip("TAILWAG_DATA is not set: no real trades here")
    return Path(os.environ["TAILWAG_DATA"]) / "deribit-trades"


@pytest.mark.realdata
class TestRealTrades:
    def test_the_2022_csv_is_two_thirds_repeats(self, real_trades: Path) -> None:
        table = load_trades(real_trades / "Deribit_20220101.csv")
        assert (len(table), table.repeats_removed) == (1350, 2369)
        assert (np.diff(table.time_ns) >= 0).all()

    @pytest.mark.parametrize(
        ("name", "rows"),
        [("25DEC20", 10_568), ("26MAR21", 90_903), ("29DEC17", 4_921), ("30DEC22", 104_171), ("31DEC21", 90_297), ("31MAR23", 82_202)],
    )
    def test_every_parquet_trade_is_kept(self, real_trades: Path, name: str, rows: int) -> None:
        import polars as pl

        path = real_trades / f"trades_BTC_{name}_calls.parquet"
        table, plain = load_trades(path), pl.read_parquet(path)
        assert (len(table), table.repeats_removed) == (rows, 0)
        assert table.is_block.sum() == plain["block_trade_id"].is_not_null().sum()
        assert (table.liquidated != "").sum() == plain["liquidation"].is_not_null().sum()
        assert np.isnan(table.iv).sum() == (plain["iv"] == 0.0).sum()
        assert float((table.amount_coin * table.taker_sign).sum()) == pytest.approx(
            float((plain["amount"] * plain["direction"].cast(pl.String).replace_strict({"buy": 1.0, "sell": -1.0})).sum()), rel=1e-12
        )

    def test_raw_json_agrees_with_the_parquet_of_its_expiry(self, real_trades: Path) -> None:
        raw = load_trades(real_trades / "raw" / "BTC-31MAR23-100000-C.json")
        whole = load_trades(real_trades / "trades_BTC_31MAR23_calls.parquet")
        same = whole.select(np.isin(whole.trade_id.astype(str), raw.trade_id.astype(str)))
        assert len(same) == len(raw) == 703
        assert same.amount_coin.tolist() == raw.amount_coin.tolist()

    def test_an_empty_download_is_named(self, real_trades: Path) -> None:
        with pytest.raises(FileFormatError, match="empty download"):
            load_trades(real_trades / "raw" / "BTC-26MAR21-90000-C.json")
