"""CBOE downloads: every spelling of the header, New York time, and the published S&P 500 numbers of 2024-01-07."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailwag.errors import EmptyChainError, FileFormatError, InputError, InstrumentNameError, TimeError
from tailwag.market.clock import format_time, parse_time_ns, years_to_expiry
from tailwag.market.codes import RowCode
from tailwag.market.snapshot import Snapshot
from tailwag.sources.cboe import parse_occ, read_cboe
from tailwag.sources.files import load
from tailwag.sources.opening import RawFile

COLUMNS = "Expiration Date,Calls,Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest,Strike,Puts,Last Sale,Net,Bid,Ask,Volume,IV,Delta,Gamma,Open Interest"
LINE = "Mon Jan 08 2024,SPXW240108C04700000,12,1,11.5,12.5,100,0.0661,0.5,0.0142,10,4700.00,SPXW240108P04700000,9,0,8.5,9.5,50,0.0667,-0.5,0.0141,20"


def text_of(*lines: str, blank: bool = True, day: str = '"Date: January 7, 2024 at 10:52 AM EST"', last: str = "Last: 4697.2402") -> str:
    top = [""] if blank else []
    return (
        "\n".join(
            [*top, f"S&P 500 INDEX,{last},Change:  8.5602", f"{day},Bid: 4645.23,Ask: 4753.8999,Size: 1*1,Volume: 0", COLUMNS, *lines]
        )
        + "\n"
    )


def read(text: str, currency: str = "SPX") -> Snapshot:
    return read_cboe(text, raw=RawFile("quotes.csv", text.encode(), "ab"), currency=currency)


def test_a_line_becomes_a_call_and_a_put() -> None:
    snapshot = read(text_of(LINE))
    chain = snapshot.chain
    assert chain.instrument.tolist() == ["SPXW240108C04700000", "SPXW240108P04700000"]
    assert chain.right.tolist() == [1, -1]
    assert chain.strike_usd.tolist() == [4700.0, 4700.0]
    assert chain.open_interest_contracts.tolist() == [10.0, 20.0]
    assert chain.open_interest_coin.tolist() == [1000.0, 2000.0]
    assert (chain.iv.tolist(), chain.delta_published.tolist(), chain.gamma_published.tolist()) == (
        [0.0661, 0.0667],
        [0.5, -0.5],
        [0.0142, 0.0141],
    )
    assert (chain.bid_quoted.tolist(), chain.ask_quoted.tolist(), chain.volume_contracts.tolist()) == (
        [11.5, 8.5],
        [12.5, 9.5],
        [100.0, 50.0],
    )
    assert snapshot.spot_usd == 4697.2402
    assert set(chain.index_usd.tolist()) == {4697.2402}
    assert np.isnan(chain.underlying_usd).all()
    assert set(chain.settlement.tolist()) == {"linear"}


@pytest.mark.parametrize("blank", [True, False])
@pytest.mark.parametrize(
    ("day", "utc"),
    [
        ('"Date: January 7, 2024 at 10:52 AM EST"', "2024-01-07T15:52:00Z"),
        ('"Date: February 5 2022, 8:09 PM EST"', "2022-02-06T01:09:00Z"),
        ('"Date: September 25, 2025 at 9:05 PM EDT"', "2025-09-26T01:05:00Z"),
        ('"Date: July 1, 2024 at 12:00 AM EDT"', "2024-07-01T04:00:00Z"),
        ('"Date: Jul 1, 2024 at 12:30 PM ET"', "2024-07-01T16:30:00Z"),
        ('"Date: December 1, 2024 at 12:30 PM ET"', "2024-12-01T17:30:00Z"),
    ],
)
def test_every_spelling_of_the_date_with_and_without_the_blank_line(blank: bool, day: str, utc: str) -> None:
    line = LINE.replace("240108", "280103").replace("Mon Jan 08 2024", "Mon Jan 03 2028")
    assert read(text_of(line, blank=blank, day=day)).as_of_ns == parse_time_ns(utc)


def test_trailing_commas_blank_lines_and_quoted_thousands() -> None:
    line = LINE.replace(",100,", ',"1,100",') + ",,,"
    assert read(text_of(line, "", ",,,")).chain.volume_contracts.tolist() == [1100.0, 50.0]


def test_zero_volatility_is_kept_and_masked() -> None:
    chain = read(text_of(LINE.replace("0.0661", "0"))).chain
    assert chain.has(RowCode.IV_NONPOSITIVE).tolist() == [True, False]


def test_the_floor_of_the_file_is_no_volatility() -> None:
    chain = read(text_of(LINE.replace("0.0661", "0.001"))).chain
    assert chain.has(RowCode.IV_MISSING).tolist() == [True, False]


def test_a_bid_of_zero_is_no_quote() -> None:
    chain = read(text_of(LINE.replace("11.5", "0"))).chain
    assert np.isnan(chain.bid_quoted[0])
    assert chain.has(RowCode.ONE_SIDED)[0]


def test_expired_rows_stay_and_are_masked() -> None:
    chain = read(text_of(LINE.replace("240108", "240105").replace("Mon Jan 08", "Fri Jan 05"), LINE)).chain
    assert chain.has(RowCode.EXPIRED).tolist() == [True, True, False, False]
    assert len(chain) == 4


@pytest.mark.parametrize(
    ("name", "utc"),
    [
        ("SPXW240108C04700000", "2024-01-08T21:00:00Z"),
        ("SPXW240708C04700000", "2024-07-08T20:00:00Z"),
        ("SPX240119C04700000", "2024-01-19T14:30:00Z"),
        ("SPX240719C04700000", "2024-07-19T13:30:00Z"),
        ("SPY251001P00657500", "2025-10-01T20:00:00Z"),
        ("IBIT251121C00052000", "2025-11-21T21:00:00Z"),
    ],
)
def test_expiry_is_the_close_or_the_opening_in_new_york(name: str, utc: str) -> None:
    assert format_time(parse_occ(name).expiry_ns) == utc


def test_funds_are_american_and_indices_european() -> None:
    assert [parse_occ(name).style for name in ("SPY251001P00657500", "IBIT251121C00052000", "SPX240119C04700000")] == [
        "american",
        "american",
        "european",
    ]
    assert parse_occ("SPY251001P00657500").strike_usd == 657.5


@pytest.mark.parametrize(
    "name",
    [
        "SPXW240108C0470000",
        "XYZ240108C04700000",
        "SPXW241308C04700000",
        "SPXW240108X04700000",
        "SPXW240108C00000000",
        "SPXW240108C04700000\n",
        "",
        "٣",
    ],
)
def test_anything_else_is_no_symbol(name: str) -> None:
    with pytest.raises(InstrumentNameError):
        parse_occ(name)


def test_american_exercise_and_closed_hours_are_said() -> None:
    line = LINE.replace("SPXW", "SPY")
    snapshot = read(text_of(line), currency="SPY")
    assert snapshot.chain.has(RowCode.AMERICAN).all()
    assert any("American" in note for note in snapshot.notes)
    assert any("closed (Sun 10:52 New York)" in note for note in snapshot.notes)
    open_hours = read(text_of(LINE, day='"Date: January 8, 2024 at 10:52 AM EST"'))
    assert not any("closed (" in note for note in open_hours.notes)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("SPXW240108C04700000", "<script>"), RowCode.NAME_INVALID),
        (("4700.00", "4710.00"), RowCode.STRIKE_INVALID),
        (("Mon Jan 08 2024", "Mon Jan 15 2024"), RowCode.TIME_INVALID),
        (("Mon Jan 08 2024", "someday"), RowCode.TIME_INVALID),
        (("SPXW240108C", "SPY240108C"), RowCode.UNKNOWN_CURRENCY),
        ((",10,4700", ",,4700"), RowCode.OI_MISSING),
        ((",10,4700", ",-1,4700"), RowCode.OI_NEGATIVE),
    ],
)
def test_what_contradicts_itself_is_masked_not_mended(change: tuple[str, str], code: RowCode) -> None:
    chain = read(text_of(LINE.replace(*change), LINE.replace("04700000", "04800000").replace("4700.00", "4800.00"))).chain
    assert chain.has(code)[0]
    assert chain.usable.tolist()[2:] == [True, True]


def test_the_wrong_currency_is_named() -> None:
    with pytest.raises(EmptyChainError, match="holds SPX options, not BTC; choose --currency SPX"):
        read(text_of(LINE), currency="BTC")


@pytest.mark.parametrize(
    ("text", "error", "what"),
    [
        (text_of(LINE, day="no date"), TimeError, "expected a line such as"),
        (text_of(LINE, day='"Date: February 30, 2024 at 10:52 AM EST"'), TimeError, "no date and time"),
        (text_of(LINE, day='"Date: January 7, 2024 at 10:52 AM"'), TimeError, "expected a line such as"),
        (text_of(LINE, last="Close: 1"), FileFormatError, "Last:"),
        (text_of(LINE, last="Last: 0"), FileFormatError, "Last:"),
        (text_of(), EmptyChainError, "no lines"),
        (text_of(LINE.rpartition(",")[0]), FileFormatError, r"quotes.csv:5:1: expected 22 cells, got 21"),
        (text_of(LINE + ",7"), FileFormatError, "expected 22 cells, got 23"),
        (text_of(LINE, '"Mon Jan'), FileFormatError, "unexpected end of data"),
        (text_of(LINE).replace("Gamma", "Gmma"), FileFormatError, "expected the columns"),
        ("just text\n", FileFormatError, "Expiration Date"),
        ("", FileFormatError, "Expiration Date"),
    ],
)
def test_damaged_files_are_named(text: str, error: type[InputError], what: str) -> None:
    with pytest.raises(error, match=what):
        read(text)


@pytest.fixture
def real_quotes() -> Path:
    if not os.environ.get("TAILWAG_DATA"):
        pytest.skip("TAILWAG_DATA is not set: no real CBOE files here")
    return Path(os.environ["TAILWAG_DATA"]) / "spx-gex"


def black_scholes_gamma(chain: Any, spot_usd: float, years: Any) -> Any:
    """Own arithmetic: no rates, no dividends; rows without volatility have none."""
    usable = (chain.iv > 0.0) & (years > 0.0)
    root = np.where(usable, chain.iv * np.sqrt(np.abs(years)), 1.0)
    d1 = np.log(spot_usd / chain.strike_usd) / root + root / 2.0
    return np.where(usable, np.exp(-d1 * d1 / 2.0) / np.sqrt(2.0 * np.pi) / (spot_usd * root), 0.0)


@pytest.mark.realdata
class TestRealQuotes:
    @pytest.mark.parametrize(
        ("name", "currency", "rows", "as_of", "spot_usd"),
        [
            ("spx_20220205_lucacastelli.csv", "SPX", 20_514, "2022-02-06T01:09:00Z", 4500.5298),
            ("spx_20240107_phammings.csv", "SPX", 21_038, "2024-01-07T15:52:00Z", 4697.2402),
            ("spy_20250925_ralpheboy.csv", "SPY", 3_716, "2025-09-26T01:05:00Z", 658.05),
        ],
    )
    def test_every_row_of_every_file_is_kept_and_named(
        self, real_quotes: Path, name: str, currency: str, rows: int, as_of: str, spot_usd: float
    ) -> None:
        snapshot = load(real_quotes / name, currency=currency)
        assert (len(snapshot.chain), format_time(snapshot.as_of_ns), snapshot.spot_usd) == (rows, as_of, spot_usd)
        wrong = (
            RowCode.NAME_INVALID
            | RowCode.STRIKE_INVALID
            | RowCode.TIME_INVALID
            | RowCode.UNKNOWN_CURRENCY
            | RowCode.DUPLICATE
            | RowCode.ALIAS
        )
        assert not ((snapshot.chain.codes & int(wrong)) != 0).any()

    def test_the_published_totals_and_flip_of_2024_01_07(self, real_quotes: Path) -> None:
        """-11.00 Bn per 1 % with the file's gamma; -20.85 Bn and a flip at 4,734.5 repriced over weekdays / 262 without rates."""
        chain = load(real_quotes / "spx_20240107_phammings.csv", currency="SPX").chain
        spot_usd = 4697.2402
        signed = chain.right * chain.open_interest_contracts * chain.coin_per_contract
        years = years_to_expiry(chain.expiry_ns, chain.as_of_ns, day_count="busdays-262")
        per_pct = spot_usd**2 / 100.0
        assert float((signed * chain.gamma_published).sum() * per_pct) == pytest.approx(-11.00e9, abs=0.005e9)
        assert float((signed * black_scholes_gamma(chain, spot_usd, years)).sum() * per_pct) == pytest.approx(-20.85e9, abs=0.005e9)
        levels = np.linspace(0.8 * spot_usd, 1.2 * spot_usd, 60)
        profile = np.array([float((signed * black_scholes_gamma(chain, level, years)).sum() * level**2 / 100.0) for level in levels])
        (place,) = np.flatnonzero(np.diff(np.sign(profile)))
        flip = levels[place] - profile[place] * (levels[place + 1] - levels[place]) / (profile[place + 1] - profile[place])
        assert flip == pytest.approx(4734.5, abs=0.5)

    def test_the_gap_between_the_two_totals_is_carry(self, real_quotes: Path) -> None:
        """Gross gamma agrees within 0.5 %; the same Black-Scholes on parity forwards and discounts comes within 0.5 Bn of the file's net."""
        chain = load(real_quotes / "spx_20240107_phammings.csv", currency="SPX").chain
        spot_usd, amount = 4697.2402, chain.open_interest_contracts * 100.0
        per_pct = spot_usd**2 / 100.0
        years = years_to_expiry(chain.expiry_ns, chain.as_of_ns, day_count="busdays-262")
        plain = black_scholes_gamma(chain, spot_usd, years)
        assert float((amount * chain.gamma_published).sum()) == pytest.approx(float((amount * plain).sum()), rel=0.005)
        middle = (chain.bid_quoted + chain.ask_quoted) / 2.0
        carried = np.zeros(len(chain))
        for expiry in np.unique(chain.expiry_ns):
            rows = np.flatnonzero(chain.expiry_ns == expiry)
            calls, puts = rows[0::2], rows[1::2]
            parity = middle[calls] - middle[puts]
            near = np.isfinite(parity) & (np.abs(chain.strike_usd[calls] / spot_usd - 1.0) < 0.1)
            forward, discount = spot_usd, 1.0
            if near.sum() >= 4:
                slope, level = np.polyfit(chain.strike_usd[calls][near], parity[near], 1)
                forward, discount = -level / slope, -slope
            carried[rows] = discount * (forward / spot_usd) ** 2 * black_scholes_gamma(chain.select(rows), forward, years[rows])
        signed = chain.right * amount
        assert float((signed * carried).sum() * per_pct) == pytest.approx(-11.0e9, abs=0.5e9)
