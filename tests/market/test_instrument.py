"""Names: what every venue prints is read exactly, and nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tailwag.errors import InstrumentNameError
from tailwag.market.instrument import collateral, is_combo, parse_future, parse_option


def _ns(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp()) * 1_000_000_000


@pytest.mark.parametrize(
    ("name", "currency", "expiry_ns", "strike_usd", "right", "settlement"),
    [
        ("BTC-27MAR26-60000-C", "BTC", _ns(2026, 3, 27, 8), 60_000.0, "call", "inverse"),
        ("ETH-5JUN26-2050-P", "ETH", _ns(2026, 6, 5, 8), 2_050.0, "put", "inverse"),
        ("BTC_USDC-27MAR26-60000-C", "BTC", _ns(2026, 3, 27, 8), 60_000.0, "call", "linear"),
        ("MATIC_USDC-9MAR24-1d02-C", "MATIC", _ns(2024, 3, 9, 8), 1.02, "call", "linear"),
        ("XRP_USDC-9MAR24-0d5-P", "XRP", _ns(2024, 3, 9, 8), 0.5, "put", "linear"),
        ("XRP_USDC-9MAR24-0_5-P", "XRP", _ns(2024, 3, 9, 8), 0.5, "put", "linear"),
        ("BTC-27MAR26-60000-C-USDT", "BTC", _ns(2026, 3, 27, 8), 60_000.0, "call", "linear"),
        ("BTC-USD-260327-60000-P", "BTC", _ns(2026, 3, 27, 8), 60_000.0, "put", "inverse"),
        ("BTC-260327-60000-C", "BTC", _ns(2026, 3, 27, 8), 60_000.0, "call", "linear"),
    ],
)
def test_option_names(name: str, currency: str, expiry_ns: int, strike_usd: float, right: str, settlement: str) -> None:
    option = parse_option(name)
    assert (option.currency, option.expiry_ns, option.strike_usd, option.right, option.settlement) == (
        currency,
        expiry_ns,
        strike_usd,
        right,
        settlement,
    )


HOSTILE = {
    "item-34-script": "<script>alert(1)</script>",
    "item-34-formula": "=cmd|'/c calc'!A1",
    "item-34-minus": "-1+1",
    "item-34-tab": "\tBTC-27MAR26-60000-C",
    "item-34-carriage-return": "\rBTC-27MAR26-60000-C",
    "item-34-newline-at-end": "BTC-27MAR26-60000-C\n",
    "item-34-newline-inside": "BTC-27MAR26-60000-C\nBTC-27MAR26-70000-C",
    "item-34-right-to-left": "\u202eBTC-27MAR26-60000-C",
    "item-34-nul": "BTC-27MAR26-60000-C\0",
    "item-34-10-kB": "BTC-27MAR26-" + "9" * 10_000 + "-C",
    "item-34-arabic-digits": "BTC-27MAR26-٦٠٠٠٠-C",
    "item-34-full-width": "ＢＴＣ-27MAR26-60000-C",
    "item-34-lower-case": "btc-27mar26-60000-c",
    "item-20-exponent": "BTC-27MAR26-6e4-C",
    "item-20-strike-1e308": "BTC-27MAR26-1e308-C",
    "item-20-strike-0": "BTC-27MAR26-0-C",
    "item-20-strike-negative": "BTC-27MAR26--60000-C",
    "item-20-strike-nan": "BTC-27MAR26-NaN-C",
    "item-20-two-points": "BTC-27MAR26-1d0d2-C",
    "no-such-day": "BTC-31FEB26-60000-C",
    "no-such-month": "BTC-27XYZ26-60000-C",
    "no-such-right": "BTC-27MAR26-60000-X",
    "combo": "BTC-CS-27MAR26-60000_70000",
    "future": "BTC-27MAR26",
    "empty": "",
}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_anything_else_is_refused_and_shown_harmless(name: str) -> None:
    with pytest.raises(InstrumentNameError) as refusal:
        parse_option(name)
    said = str(refusal.value)
    assert said.isascii()
    assert said.isprintable()
    assert len(said) < 250


@pytest.mark.parametrize(
    ("name", "kind", "settlement", "expiry_ns"),
    [
        pytest.param("BTC-PERPETUAL", "perp", "inverse", 0, id="item-33-perpetual"),
        pytest.param("BTC-PERP", "perp", "inverse", 0, id="item-33-perp"),
        pytest.param("BTC_USDC-PERPETUAL", "perp", "linear", 0, id="item-33-usdc-perpetual"),
        pytest.param("BTC-USD-SWAP", "perp", "inverse", 0, id="okx-swap"),
        pytest.param("BTC-USDT-SWAP", "perp", "linear", 0, id="okx-usdt-swap"),
        pytest.param("BTCUSD_PERP", "perp", "inverse", 0, id="binance-coin-perp"),
        pytest.param("BTC-27MAR26", "future", "inverse", _ns(2026, 3, 27, 8), id="dated"),
        pytest.param("BTC_USDC-27MAR26", "future", "linear", _ns(2026, 3, 27, 8), id="dated-usdc"),
        pytest.param("BTC-USD-260327", "future", "inverse", _ns(2026, 3, 27, 8), id="okx-dated"),
        pytest.param("BTCUSD_260327", "future", "inverse", _ns(2026, 3, 27, 8), id="binance-dated"),
    ],
)
def test_future_names(name: str, kind: str, settlement: str, expiry_ns: int) -> None:
    future = parse_future(name)
    assert (future.currency, future.kind, future.settlement, future.expiry_ns) == ("BTC", kind, settlement, expiry_ns)


@pytest.mark.parametrize("name", ["BTC-FS-30SEP22_PERP", "BTC-FS-27MAR26_26JUN26", "BTC-27MAR26-60000-C", "BTC-PERPETUAL\n", "PERP", ""])
def test_item_33_a_perp_inside_a_combo_is_no_perp(name: str) -> None:
    with pytest.raises(InstrumentNameError):
        parse_future(name)


@pytest.mark.parametrize(
    "name", ["BTC-CS-27MAR26-60000_70000", "BTC-FS-30SEP22_PERP", "BTC-STRD-30SEP22-20000", "ETH-CSR12-16SEP22-2100_2300"]
)
def test_combos_are_known(name: str) -> None:
    assert is_combo(name)


@pytest.mark.parametrize("name", ["BTC-27MAR26-60000-C", "BTC-27MAR26", "BTC-PERPETUAL", "BTC-USD-260327-60000-C", "<script>"])
def test_listed_contracts_are_no_combos(name: str) -> None:
    assert not is_combo(name)


def test_two_spellings_are_one_contract() -> None:
    assert parse_option("BTC-7MAR26-60000-C").canonical == parse_option("BTC-07MAR26-60000-C").canonical
    assert parse_option("BTC-27MAR26-60000-C").canonical != parse_option("BTC_USDC-27MAR26-60000-C").canonical


def test_collateral_tells_linear_contracts_apart() -> None:
    assert collateral("BTC-27MAR26-60000-C-USDT") != collateral("BTC-27MAR26-60000-C")
