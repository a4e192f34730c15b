"""The two-venue daily table: one schema, two conventions, both brought to ours."""

from __future__ import annotations

import os
from math import erf, log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailwag.errors import EmptyChainError, FileFormatError, InputError, TimeError, UnitError
from tailwag.market.clock import format_time, parse_time_ns
from tailwag.market.codes import RowCode
from tailwag.market.snapshot import Snapshot
from tailwag.sources.daily import read_daily
from tailwag.sources.files import load
from tailwag.sources.opening import RawFile

DERIBIT = {
    "snapshot_utc": "2026-07-04 12:24:07",
    "exchange": "deribit",
    "underlying": "BTC",
    "instrument": "BTC-28AUG26-105000-C",
    "expiry": "2026-08-28",
    "strike": 105_000,
    "type": "call",
    "mark_price": 0.002,
    "bid": 0.0015,
    "ask": None,
    "mark_iv": 45.5,
    "delta": None,
    "gamma": None,
    "vega": None,
    "open_interest": 161.3,
    "volume_24h": 1.5,
    "underlying_price": 62_800.2,
}
OKX = {
    **DERIBIT,
    "exchange": "okx",
    "instrument": "BTC-USD-260828-55000-P",
    "strike": 55_000,
    "type": "put",
    "mark_price": 0.03,
    "bid": 0.029,
    "mark_iv": 0.455,
    "delta": -0.33,
    "gamma": 1.7,
    "vega": 0.0007,
    "open_interest": 2909.0,
    "underlying_price": 62_512.6,
}


def read(*rows: dict[str, Any], currency: str = "BTC", at: str | None = None) -> Snapshot:
    import polars as pl

    frame = pl.DataFrame(list(rows), schema_overrides={"ask": pl.Float64, "delta": pl.Float64, "gamma": pl.Float64, "vega": pl.Float64})
    return read_daily(frame, raw=RawFile("daily.parquet", b"", "ab"), currency=currency, at_ns=None if at is None else parse_time_ns(at))


def test_deribit_is_per_cent_coin_and_a_forward_per_expiry() -> None:
    chain = read(DERIBIT).chain
    assert chain.iv[0] == pytest.approx(0.455)
    assert chain.open_interest_coin[0] == 161.3
    assert (chain.underlying_usd[0], np.isnan(chain.index_usd[0])) == (62_800.2, True)
    assert np.isnan(chain.delta_published[0])
    assert np.isnan(chain.ask_quoted[0])


def test_okx_is_decimal_contracts_and_one_index() -> None:
    """2,909 contracts of 0.01 BTC."""
    snapshot = read(OKX)
    chain = snapshot.chain
    assert chain.iv[0] == 0.455
    assert chain.open_interest_coin[0] == pytest.approx(29.09)
    assert (chain.index_usd[0], np.isnan(chain.underlying_usd[0])) == (62_512.6, True)
    assert snapshot.spot_usd == 62_512.6
    assert any("0.01 BTC" in note for note in snapshot.notes)


def test_okx_delta_per_coin_becomes_delta_and_its_other_greeks_stay_out() -> None:
    chain = read(OKX).chain
    assert chain.delta_published[0] == pytest.approx(-0.33 + 0.03)
    assert np.isnan(chain.gamma_published[0])
    assert np.isnan(chain.vega_published[0])


def test_a_date_expires_at_eight_utc() -> None:
    for row in (DERIBIT, OKX):
        assert format_time(int(read(row).chain.expiry_ns[0])) == "2026-08-28T08:00:00Z"


@pytest.mark.parametrize(
    ("at", "day"),
    [
        (None, "2026-07-06"),
        ("2026-07-05T04:31:54Z", "2026-07-05"),
        ("2026-07-05T04:31:53Z", "2026-07-04"),
        ("2030-01-01T00:00:00Z", "2026-07-06"),
    ],
)
def test_the_latest_snapshot_at_or_before_the_time(at: str | None, day: str) -> None:
    times = ("2026-07-04 12:24:07", "2026-07-06 04:41:43", "2026-07-05 04:31:54")
    snapshot = read(*({**DERIBIT, "snapshot_utc": time} for time in times), at=at)
    assert format_time(snapshot.as_of_ns).startswith(day)
    assert len(snapshot.chain) == 1


def test_two_venues_in_one_table_keep_their_own_units() -> None:
    chain = read(DERIBIT, OKX).chain
    assert chain.venue.tolist() == ["deribit", "okx"]
    assert chain.coin_per_contract.tolist() == [1.0, 0.01]
    assert chain.iv.tolist() == pytest.approx([0.455, 0.455])


def test_the_multiplier_is_the_one_of_the_day() -> None:
    old = {**OKX, "snapshot_utc": "2022-05-20 12:00:00", "instrument": "BTC-USD-220624-30000-P", "strike": 30_000, "expiry": "2022-06-24"}
    assert read(old).chain.coin_per_contract[0] == 0.1
    with pytest.raises(InputError, match="known from 2021"):
        read({**old, "snapshot_utc": "2020-05-20 12:00:00"})


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"strike": 56_000}, RowCode.STRIKE_INVALID),
        ({"expiry": "2026-08-29"}, RowCode.TIME_INVALID),
        ({"expiry": "soon"}, RowCode.TIME_INVALID),
        ({"type": "call"}, RowCode.RIGHT_INVALID),
        ({"instrument": "=cmd|' /C calc'!A0"}, RowCode.NAME_INVALID),
        ({"open_interest": None}, RowCode.OI_MISSING),
        ({"mark_iv": None}, RowCode.IV_MISSING),
    ],
)
def test_what_contradicts_itself_is_masked(change: dict[str, Any], code: RowCode) -> None:
    assert read({**OKX, **change}, {**OKX, "instrument": "BTC-USD-260828-50000-P", "strike": 50_000}).chain.has(code).tolist() == [
        True,
        False,
    ]


def test_okx_per_cent_volatilities_are_refused_for_the_whole_chain() -> None:
    with pytest.raises(UnitError, match="okx"):
        read(
            *(
                {**OKX, "mark_iv": 45.5, "instrument": f"BTC-USD-260828-{strike}-P", "strike": strike}
                for strike in range(50_000, 60_000, 1_000)
            )
        )


@pytest.mark.parametrize(
    ("change", "error", "what"),
    [
        ({"exchange": "ftx"}, FileFormatError, "units are not known"),
        ({"exchange": None}, FileFormatError, "units are not known"),
        ({"snapshot_utc": "yesterday"}, TimeError, "snapshot_utc"),
        ({"snapshot_utc": "2026-07-04 12:24:07+02:00"}, TimeError, "snapshot_utc"),
        ({"underlying": "ETH"}, EmptyChainError, "not BTC"),
        ({"mark_price": "x"}, FileFormatError, "holds text"),
    ],
)
def test_what_cannot_be_read_is_named(change: dict[str, Any], error: type[InputError], what: str) -> None:
    with pytest.raises(error, match=what):
        read({**OKX, **change})


def test_a_missing_column_is_named() -> None:
    with pytest.raises(FileFormatError, match="none named mark_iv"):
        read({key: value for key, value in OKX.items() if key != "mark_iv"})


def test_before_the_first_snapshot_there_is_none() -> None:
    with pytest.raises(EmptyChainError, match="later than"):
        read(OKX, at="2026-07-04T12:24:06Z")


@pytest.fixture
def real_daily() -> Path:
    if not os.environ.get("TAILWAG_DATA"):
        pytest.skip("TAILWAG_DATA is not set: no real daily files here")
    return Path(os.environ["TAILWAG_DATA"]) / "okx-deribit-daily"


def normal(x: float) -> float:
    return 0.5 * (1.0 + erf(x / sqrt(2.0)))


@pytest.mark.realdata
class TestRealDaily:
    @pytest.mark.parametrize(
        ("venue", "currency", "rows", "coin"),
        [
            ("deribit", "BTC", 1_078, 398_665.8),
            ("okx", "BTC", 972, 39_031.27),
            ("deribit", "ETH", 976, 1_797_413.0),
            ("okx", "ETH", 894, 369_717.3),
        ],
    )
    def test_open_interest_of_the_last_day(self, real_daily: Path, venue: str, currency: str, rows: int, coin: float) -> None:
        """OKX is about a tenth of Deribit in BTC: with the multiplier of 2022 it would equal it."""
        snapshot = load(real_daily / f"{venue}_daily_2026-07-04_2026-08-22.parquet", currency=currency)
        assert len(snapshot.chain) == rows
        assert float(snapshot.chain.counted_open_interest_coin().sum()) == pytest.approx(coin, rel=1e-6)
        assert snapshot.chain.usable.all()

    def test_okx_delta_is_black_delta_once_the_price_in_coin_is_added(self, real_daily: Path) -> None:
        """Own Black-76 delta on parity forwards: median difference below 5e-4 after, above 1e-2 before the conversion."""
        chain = load(real_daily / "okx_daily_2026-07-04_2026-08-22.parquet").chain
        gaps_after, gaps_before = [], []
        for expiry in np.unique(chain.expiry_ns):
            rows = np.flatnonzero(chain.expiry_ns == expiry)
            calls = {chain.strike_usd[row]: chain.mark_quoted[row] for row in rows if chain.right[row] > 0}
            puts = {chain.strike_usd[row]: chain.mark_quoted[row] for row in rows if chain.right[row] < 0}
            near = [strike for strike in calls if strike in puts and abs(strike / chain.index_usd[0] - 1.0) < 0.1]
            forward = float(np.median([strike / (1.0 - calls[strike] + puts[strike]) for strike in near]))
            years = (int(expiry) - chain.as_of_ns) / (365 * 86_400 * 1e9)
            for row in rows:
                root = chain.iv[row] * sqrt(years)
                delta = normal(log(forward / chain.strike_usd[row]) / root + root / 2.0) - (chain.right[row] < 0)
                gaps_after.append(abs(chain.delta_published[row] - delta))
                gaps_before.append(abs(chain.delta_published[row] - chain.mark_quoted[row] - delta))
        assert float(np.median(gaps_after)) < 5e-4
        assert float(np.median(gaps_before)) > 1e-2

    def test_days_are_chosen_by_time(self, real_daily: Path) -> None:
        path = real_daily / "okx_daily_2026-07-04_2026-08-22.parquet"
        days = [
            load(path, at_ns=parse_time_ns(f"2026-{month:02d}-{day:02d}T23:59:59Z")) for month, day in ((7, 4), (7, 20), (8, 1), (8, 22))
        ]
        assert [format_time(snapshot.as_of_ns)[:10] for snapshot in days] == ["2026-07-04", "2026-07-20", "2026-08-01", "2026-08-22"]
