"""Dated rule tables: the figure in force on a day, with its source, and never one before the first known day."""

from __future__ import annotations

import pytest

from tailwag.errors import InputError
from tailwag.market.clock import parse_time_ns
from tailwag.sources.rules import load_rules, parse_rules

TWO_ROWS = """
unit = "coin per contract"
[[BTC]]
value = 0.1
valid_from = "2021-01-01T00:00:00Z"
source = "the list of that day"
[[BTC]]
value = 0.01
valid_from = "2022-05-26T08:00:00Z"
source = "announcement"
"""


@pytest.mark.parametrize(
    ("day", "value"),
    [("2021-01-01T00:00:00Z", 0.1), ("2022-05-26T07:59:59Z", 0.1), ("2022-05-26T08:00:00Z", 0.01), ("2030-01-01T00:00:00Z", 0.01)],
)
def test_a_change_holds_from_its_very_second(day: str, value: float) -> None:
    assert parse_rules(TWO_ROWS, name="t").in_force("BTC", parse_time_ns(day)).value == value


def test_before_the_first_date_nothing_is_known() -> None:
    with pytest.raises(InputError, match=r"known from 2021-01-01T00:00:00Z, asked for 2020-12-31"):
        parse_rules(TWO_ROWS, name="t").in_force("BTC", parse_time_ns("2020-12-31T23:59:59Z"))


def test_an_unknown_subject_is_named() -> None:
    with pytest.raises(InputError, match="not 'DOGE'"):
        parse_rules(TWO_ROWS, name="t").in_force("DOGE", parse_time_ns("2024-01-01T00:00:00Z"))


def test_a_star_stands_for_the_rest() -> None:
    table = load_rules("binance_coin_margined_contracts")
    at = parse_time_ns("2024-08-08T00:00:00Z")
    assert table.in_force("BTCUSD", at).value == 100.0
    assert table.in_force("ETHUSD", at).value == 10.0


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('[[BTC]]\nvalue = 0.1\nvalid_from = "2021-01-01T00:00:00Z"', "needs a number value"),
        ('[[BTC]]\nvalue = 0.1\nvalid_from = "2021-01-01T00:00:00Z"\nsource = ""', "needs a number value"),
        ('[[BTC]]\nvalue = "0.1"\nvalid_from = "2021-01-01T00:00:00Z"\nsource = "x"', "needs a number value"),
        ('[[BTC]]\nvalue = 0.1\nvalid_from = "2021-01-01T00:00:00"\nsource = "x"', "no offset"),
        ("[[BTC]\n", "mend the TOML"),
        (TWO_ROWS.replace("2021", "2023"), "not in time order"),
    ],
)
def test_an_undated_or_unsourced_row_is_refused(text: str, what: str) -> None:
    with pytest.raises(InputError, match=what):
        parse_rules(text, name="t")


@pytest.mark.parametrize("name", ["../secrets", "no_such_table", "a/b", ""])
def test_only_tables_of_the_package_are_read(name: str) -> None:
    with pytest.raises(InputError):
        load_rules(name)


@pytest.mark.parametrize(
    "name", ["okx_option_multipliers", "binance_coin_margined_contracts", "deribit_inverse_futures", "linear_perp_contracts"]
)
def test_every_shipped_row_has_a_source(name: str) -> None:
    table = load_rules(name)
    assert table.unit
    assert all(len(rule.source) > 20 and rule.value > 0.0 for rules in table.rows.values() for rule in rules)


def test_okx_contracts_became_ten_times_smaller_in_may_2022() -> None:
    table = load_rules("okx_option_multipliers")
    before, after = parse_time_ns("2022-05-13T16:00:00Z"), parse_time_ns("2022-05-27T00:00:00Z")
    assert [table.in_force(coin, before).value for coin in ("BTC", "ETH")] == [0.1, 1.0]
    assert [table.in_force(coin, after).value for coin in ("BTC", "ETH")] == [0.01, 0.1]
