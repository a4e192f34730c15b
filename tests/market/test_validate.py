"""Row codes: each fault of the numerical list, on an otherwise healthy chain, gets exactly its code and touches no other row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.sources.deribit_replies import AS_OF_NS, EXPIRIES, INDEX_USD, STRIKES, summary

from tailwag.errors import UnitError
from tailwag.market.chain import Chain
from tailwag.market.codes import QUARANTINE, RowCode
from tailwag.market.validate import chain_doubts, validated

NAN = math.nan


def _columns() -> dict[str, list[Any]]:
    rows = [summary(expiry, strike, letter) for expiry in EXPIRIES for strike in STRIKES for letter in "CP"]
    size = len(rows)
    return {
        "instrument": [row["instrument_name"] for row in rows],
        "venue": ["deribit"] * size,
        "right": [1 if row["instrument_name"].endswith("C") else -1 for row in rows],
        "strike_usd": [float(strike) for _ in EXPIRIES for strike in STRIKES for _ in "CP"],
        "expiry_ns": [int(moment.timestamp()) * 1_000_000_000 for moment in EXPIRIES.values() for _ in range(2 * len(STRIKES))],
        "settlement": ["inverse"] * size,
        "coin_per_contract": [1.0] * size,
        "open_interest_contracts": [row["open_interest"] for row in rows],
        "bid_quoted": [row["bid_price"] for row in rows],
        "ask_quoted": [row["ask_price"] for row in rows],
        "mark_quoted": [row["mark_price"] for row in rows],
        "iv": [row["mark_iv"] / 100 for row in rows],
        "underlying_usd": [row["underlying_price"] for row in rows],
        "index_usd": [INDEX_USD] * size,
    }


def _chain(changes: dict[str, Any] | None = None, *, row: int = 40, as_of_ns: int = AS_OF_NS) -> Chain:
    columns = _columns()
    for name, value in (changes or {}).items():
        columns[name][row] = value
    return Chain.from_columns(currency="BTC", as_of_ns=as_of_ns, **columns)


def _codes(chain: Chain, row: int = 40) -> set[str]:
    return {code.code for code in RowCode if chain.has(code)[row]}


ROW = 40
"""BTC-26JUN26-65000-C: deep enough in time that no price bound is near."""
HEALTHY = validated(_chain())


def test_a_healthy_chain_has_no_code_at_all() -> None:
    assert HEALTHY.instrument[ROW] == "BTC-26JUN26-65000-C"
    assert not (HEALTHY.codes & int(QUARANTINE)).any()
    assert _codes(HEALTHY) == set()
    assert chain_doubts(HEALTHY) == ()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"expiry_ns": AS_OF_NS - 1}, {"expired"}, id="item-01-expiry-in-the-past"),
        pytest.param({"iv": 0.0}, {"iv_nonpositive"}, id="item-04-iv-zero"),
        pytest.param({"iv": -0.5}, {"iv_nonpositive"}, id="item-05-iv-negative"),
        pytest.param({"iv": NAN}, {"iv_missing"}, id="item-06-iv-nan"),
        pytest.param({"iv": math.inf}, {"iv_missing", "iv_extreme"}, id="item-06-iv-infinite"),
        pytest.param({"iv": 10.0}, {"iv_extreme"}, id="item-07-iv-1000-percent"),
        pytest.param({"bid_quoted": 0.2, "ask_quoted": 0.1}, {"crossed"}, id="item-09-crossed"),
        pytest.param({"bid_quoted": NAN}, {"one_sided"}, id="item-10-no-bid"),
        pytest.param({"bid_quoted": 0.0}, {"one_sided"}, id="item-10-bid-zero-is-no-quote"),
        pytest.param({"ask_quoted": NAN}, {"one_sided"}, id="item-10-no-ask"),
        pytest.param({"bid_quoted": NAN, "ask_quoted": 0.0}, {"no_quotes"}, id="item-10-empty"),
        pytest.param({"mark_quoted": NAN}, {"mark_missing"}, id="item-10-no-mark"),
        pytest.param({"bid_quoted": -1.0}, {"quote_invalid", "one_sided"}, id="item-10-minus-one-stands-for-missing"),
        pytest.param({"mark_quoted": 0.01}, {"unresolvable_below_intrinsic"}, id="item-11-below-intrinsic"),
        pytest.param({"mark_quoted": 1.01}, {"above_cap"}, id="item-12-inverse-call-above-one-coin"),
        pytest.param({"mark_quoted": NAN, "bid_quoted": 1.5, "ask_quoted": 1.6}, {"above_cap", "mark_missing"}, id="item-12-bid-above-cap"),
        pytest.param(
            {"settlement": "linear", "mark_quoted": 80_000.0, "bid_quoted": 1.0, "ask_quoted": 2.0},
            {"above_cap"},
            id="item-12-linear-call-above-forward",
        ),
        pytest.param(
            {"settlement": "linear", "mark_quoted": 9_000.0, "bid_quoted": 1.0, "ask_quoted": 2.0}, set(), id="item-12-linear-call-in-usd"
        ),
        pytest.param({"open_interest_contracts": 0.0}, set(), id="item-13-oi-zero-is-kept"),
        pytest.param({"open_interest_contracts": NAN}, {"oi_missing"}, id="item-13-oi-missing-is-not-zero"),
        pytest.param({"open_interest_contracts": -3.0}, {"oi_negative"}, id="item-13-oi-negative"),
        pytest.param({"open_interest_contracts": math.inf}, {"oi_missing"}, id="item-13-oi-infinite"),
        pytest.param({"open_interest_contracts": 1e300}, {"oi_missing"}, id="item-13-oi-that-would-swamp-every-sum"),
        pytest.param({"coin_per_contract": NAN}, {"multiplier_missing"}, id="item-18-no-contract-size"),
        pytest.param({"coin_per_contract": 0.0}, {"multiplier_missing"}, id="item-18-contract-size-zero"),
        pytest.param({"strike_usd": 1e308}, {"strike_invalid"}, id="item-20-strike-1e308"),
        pytest.param({"strike_usd": 0.0}, {"strike_invalid"}, id="item-20-strike-zero"),
        pytest.param({"strike_usd": -65_000.0}, {"strike_invalid"}, id="item-20-strike-negative"),
        pytest.param({"strike_usd": NAN}, {"strike_invalid"}, id="item-20-strike-nan"),
        pytest.param({"underlying_usd": 61_000.0}, {"forward_disagrees"}, id="item-21-forward-13-percent-off"),
        pytest.param({"underlying_usd": 73_200.0}, set(), id="item-21-a-basis-of-4.6-percent-is-ordinary"),
        pytest.param({"index_usd": 0.0}, set(), id="item-22-index-zero-in-one-row"),
        pytest.param({"underlying_usd": -1.0}, set(), id="item-22-forward-negative-is-missing"),
        pytest.param({"expiry_ns": 1_774_598_400_000}, {"time_invalid"}, id="item-29-expiry-in-milliseconds"),
        pytest.param({"expiry_ns": 0}, {"time_invalid"}, id="item-29-expiry-zero"),
        pytest.param({"right": 0}, {"right_invalid"}, id="right-unknown"),
    ],
)
def test_each_fault_gets_its_code(changes: dict[str, Any], expected: set[str]) -> None:
    chain = validated(_chain(changes))
    assert _codes(chain) == expected
    others = np.arange(len(chain)) != ROW
    assert (chain.codes[others] == HEALTHY.codes[others]).all()
    assert len(chain) == len(HEALTHY)


@pytest.mark.parametrize(
    ("strike", "mark", "above"),
    [
        pytest.param(100_000.0, 1.3, False, id="item-12-an-inverse-put-may-cost-more-than-a-coin"),
        pytest.param(100_000.0, 1.5, True, id="item-12-inverse-put-above-strike-over-forward"),
    ],
)
def test_item_12_an_inverse_puts_cap_is_strike_over_forward(strike: float, mark: float, above: bool) -> None:
    columns = _columns()
    put = columns["instrument"].index("BTC-26JUN26-100000-P")
    assert columns["strike_usd"][put] == strike
    chain = validated(_chain({"mark_quoted": mark, "bid_quoted": 1.2, "ask_quoted": 1.6}, row=put))
    assert chain.has(RowCode.ABOVE_CAP)[put] == above


def test_item_02_at_the_second_of_expiry_the_row_stays_and_says_so() -> None:
    at = int(EXPIRIES["21MAR26"].timestamp()) * 1_000_000_000
    chain = validated(_chain(as_of_ns=at))
    first_expiry = chain.expiry_ns == at
    assert first_expiry.sum() == 2 * len(STRIKES)
    assert (chain.has(RowCode.AT_EXPIRY) == first_expiry).all()
    assert chain.usable[first_expiry].all()
    assert not chain.has(RowCode.EXPIRED).any()


def test_item_03_one_second_before_expiry_is_an_ordinary_row() -> None:
    at = int(EXPIRIES["21MAR26"].timestamp()) * 1_000_000_000
    chain = validated(_chain(as_of_ns=at - 1_000_000_000))
    assert not chain.has(RowCode.AT_EXPIRY | RowCode.EXPIRED).any()


@pytest.mark.parametrize(
    "scale",
    [
        pytest.param(np.full(54, 100.0), id="item-08-percent-for-decimals"),
        pytest.param(np.full(54, 0.01), id="item-08-decimals-divided-once-more"),
        pytest.param(np.where(np.arange(54) % 2, 100.0, 1.0), id="item-08-half-and-half"),
        pytest.param(np.where(np.arange(54) % 10 == 0, 100.0, 1.0), id="item-08-one-in-ten"),
        pytest.param(np.where(np.arange(54) == 7, 100.0, 1.0), id="item-08-a-single-row"),
        pytest.param(np.where(np.arange(54) == 7, 0.01, 1.0), id="item-08-a-single-row-too-small"),
    ],
)
def test_item_08_iv_unit_confusion_refuses_the_whole_chain(scale: Any) -> None:
    columns = _columns()
    chain = Chain.from_columns(currency="BTC", as_of_ns=AS_OF_NS, **{**columns, "iv": np.array(columns["iv"]) * scale})
    with pytest.raises(UnitError, match="volatilities"):
        validated(chain)


def test_item_08_wide_wings_are_no_unit_confusion() -> None:
    columns = _columns()
    wings = np.array(columns["iv"])
    wings[::5] *= 8.0
    wings[1::5] /= 8.0
    chain = validated(Chain.from_columns(currency="BTC", as_of_ns=AS_OF_NS, **{**columns, "iv": wings}))
    assert not chain.has(RowCode.IV_MISSING | RowCode.IV_NONPOSITIVE).any()


def _with_extra(changes: dict[str, Any]) -> Chain:
    columns = _columns()
    for name, values in columns.items():
        values.append(changes.get(name, values[ROW]))
    return validated(Chain.from_columns(currency="BTC", as_of_ns=AS_OF_NS, **columns))


def test_item_15_an_identical_repeat_counts_once() -> None:
    chain = _with_extra({})
    assert _codes(chain, ROW) == set()
    assert _codes(chain, -1) == {"duplicate"}
    assert chain.counted_open_interest_coin().sum() == pytest.approx(HEALTHY.counted_open_interest_coin().sum())
    assert chain_doubts(chain) == ()


@pytest.mark.parametrize("changes", [{"open_interest_contracts": 1.0}, {"iv": 0.9}, {"mark_quoted": NAN}], ids=["oi", "iv", "mark"])
def test_item_15_repeats_that_contradict_each_other_are_both_masked(changes: dict[str, Any]) -> None:
    chain = _with_extra(changes)
    assert "duplicate_conflict" in _codes(chain, ROW)
    assert "duplicate_conflict" in _codes(chain, -1)
    assert not chain.usable[[ROW, -1]].any()
    assert any("contradict" in doubt for doubt in chain_doubts(chain))


def test_item_15_the_same_instrument_on_two_venues_is_no_repeat() -> None:
    assert _codes(_with_extra({"venue": "elsewhere", "open_interest_contracts": 7.0}), -1) == set()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("BTC-26JUN26-065000-C", id="item-16-leading-zero"),
        pytest.param("BTC-USD-260626-65000-C", id="item-16-another-spelling"),
    ],
)
def test_item_16_a_second_name_of_a_contract_counts_once(name: str) -> None:
    chain = _with_extra({"instrument": name})
    assert _codes(chain, ROW) == set()
    assert _codes(chain, -1) == {"alias"}


def test_item_16_two_collaterals_are_two_contracts() -> None:
    columns = _columns()
    columns["settlement"] = ["linear"] * 54
    columns["mark_quoted"] = [NAN] * 54
    columns["bid_quoted"] = [NAN] * 54
    for name, values in columns.items():
        values.append("BTC-26JUN26-65000-C-USDT" if name == "instrument" else values[ROW])
    chain = validated(Chain.from_columns(currency="BTC", as_of_ns=AS_OF_NS, **columns))
    assert not chain.has(RowCode.ALIAS).any()


def test_item_16_an_index_options_two_roots_are_two_contracts() -> None:
    chain = _with_extra({"instrument": "SPXW260626C00065000"})
    assert "alias" not in _codes(chain, -1)


@pytest.mark.parametrize("code", [RowCode.NAME_INVALID, RowCode.UNKNOWN_CURRENCY])
def test_items_17_and_34_a_row_that_is_no_contract_carries_that_one_code(code: RowCode) -> None:
    columns = _columns()
    codes = np.zeros(54, dtype=np.int64)
    codes[ROW] = int(code)
    columns["expiry_ns"][ROW] = 0
    columns["strike_usd"][ROW] = NAN
    chain = validated(Chain.from_columns(currency="BTC", as_of_ns=AS_OF_NS, **columns, codes=codes))
    assert _codes(chain) == {code.code}
    assert any("masked" in doubt for doubt in chain_doubts(chain))


def test_item_23_a_missing_number_is_reported_with_its_open_interest() -> None:
    chain = validated(_chain({"iv": NAN}))
    (share,) = (share for share in chain.shares(within=RowCode.IV_MISSING))
    amount = chain.counted_open_interest_coin()
    assert share.instruments == 1
    assert share.open_interest_share == pytest.approx(amount[ROW] / amount.sum(), rel=1e-12)


def test_american_rows_say_so() -> None:
    columns = {**_columns(), "style": ["american"] * 54}
    assert validated(Chain.from_columns(currency="BTC", as_of_ns=AS_OF_NS, **columns)).has(RowCode.AMERICAN).all()


def test_numbers_that_are_none_never_survive() -> None:
    chain = validated(_chain({"open_interest_contracts": 1e300, "iv": 1e300, "bid_quoted": 1e300, "underlying_usd": math.inf}))
    for name in ("open_interest_contracts", "iv", "bid_quoted", "underlying_usd"):
        assert math.isnan(getattr(chain, name)[ROW])


def test_validating_twice_changes_nothing() -> None:
    once = _with_extra({"open_interest_contracts": 1.0, "iv": -1.0})
    twice = validated(once)
    assert (twice.codes == once.codes).all()


def test_an_empty_chain_stays_empty() -> None:
    empty = Chain.from_columns(currency="BTC", as_of_ns=AS_OF_NS, instrument=[])
    assert len(validated(empty)) == 0
    assert chain_doubts(empty) == ()
