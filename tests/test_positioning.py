"""Positioning: the sign of every rule, bounds by open interest, and how uncertainty is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailwag.errors import RuleError
from tailwag.market.chain import Chain
from tailwag.market.codes import RowCode
from tailwag.market.trades import Trades
from tailwag.positioning import (
    CustomersBuy,
    CustomersSellOtm,
    FlowRule,
    LongAll,
    LongCallsShortPuts,
    Mixture,
    PositionsFile,
    ShortAll,
    infer_positions,
    parse_rule,
)

NAMES = ["C-low", "C-high", "P-low", "P-high", "masked"]


def chain() -> Chain:
    return Chain.from_columns(
        currency="BTC",
        as_of_ns=1_000,
        instrument=NAMES,
        right=[1, 1, -1, -1, 1],
        strike_usd=[90.0, 110.0, 90.0, 110.0, 100.0],
        underlying_usd=[100.0] * 5,
        open_interest_contracts=[10.0, 20.0, 30.0, 40.0, 50.0],
        coin_per_contract=[0.1, 0.1, 0.1, 0.1, 0.1],
        codes=[0, 0, 0, 0, int(RowCode.OI_NEGATIVE)],
    )


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (LongCallsShortPuts(), [1, 2, -3, -4]),
        (ShortAll(), [-1, -2, -3, -4]),
        (LongAll(), [1, 2, 3, 4]),
        (CustomersBuy(0.75), [-0.5, -1.0, -1.5, -2.0]),
        # C-low and P-high are in the money at a forward of 100
        (CustomersSellOtm(), [-1, 2, 3, -4]),
        (PositionsFile({"C-low": 7.0, "P-high": -2.5}), [7.0, 0.0, 0.0, -2.5]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_every_rule_gives_the_dealers_side_and_masks_quarantined_rows(rule, expected):
    positions = infer_positions(chain(), rule=rule)
    np.testing.assert_allclose(positions.position_coin[:4], expected)
    assert np.isnan(positions.position_coin[4])
    assert positions.citation
    assert positions.assumption
    assert positions.rule == rule.name


def test_at_the_money_is_bought_by_customers():
    at = chain().with_columns(strike_usd=[100.0] * 5)
    assert (CustomersSellOtm().infer(at).position_coin[:4] < 0).all()


def test_sell_otm_moves_with_the_forward_given():
    moved = CustomersSellOtm().infer(chain(), forward_usd=np.full(5, 120.0)).position_coin
    np.testing.assert_allclose(moved[:4], [-1, -2, 3, 4])


def test_sell_otm_without_a_forward_refuses():
    with pytest.raises(RuleError, match="forward"):
        CustomersSellOtm().infer(chain().with_columns(underlying_usd=[np.nan] * 5))


def trades(**changes) -> Trades:
    columns = {
        "trade_id": ["1", "2", "3", "4", "5", "6", "7"],
        "instrument": ["C-low", "C-low", "C-high", "P-low", "P-low", "P-high", "elsewhere"],
        "time_ns": [1, 2, 3, 4, 5, 6, 7],
        "taker_sign": [1, -1, 1, 1, 1, 1, 1],
        "amount_coin": [0.5, 0.2, 9.0, 1.0, 0.5, 2.0, 1.0],
        "is_block": [False, False, False, False, True, False, False],
        "liquidated": ["", "", "", "M", "", "MT", ""],
    }
    return Trades.from_columns(**{**columns, **changes})


def test_flow_is_the_other_side_of_takers_within_open_interest():
    positions = FlowRule(trades()).infer(chain())
    # C-low: takers bought 0.5 and sold 0.2 -> dealers -0.3; C-high: -9 held at its open interest of 2;
    # P-low: the maker was liquidated, so the dealer was the taker: +1, block left out; P-high: both liquidated, no dealer.
    np.testing.assert_allclose(positions.position_coin[:4], [-0.3, -2.0, 1.0, 0.0])
    assert "1 instruments held at their open interest" in positions.notes[0]


def test_blocks_count_on_the_makers_side_only_when_asked():
    positions = FlowRule(trades(), blocks="maker-side").infer(chain())
    np.testing.assert_allclose(positions.position_coin[2], 1.5)


def test_trades_after_the_snapshot_do_not_count():
    late = trades(time_ns=[1, 2_000, 3, 4, 5, 6, 7])
    np.testing.assert_allclose(FlowRule(late).infer(chain()).position_coin[0], -0.5)


def test_flow_of_another_market_is_refused():
    with pytest.raises(RuleError, match="none of its 7 trades"):
        FlowRule(trades(instrument=["X"] * 7)).infer(chain())
    with pytest.raises(RuleError, match="up to this time"):
        FlowRule(trades(time_ns=[2_000] * 7)).infer(chain())


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([-1, 1]), st.floats(0.0, 1e6)), min_size=1, max_size=60))
def test_flow_never_exceeds_open_interest(prints):
    rule = FlowRule(
        Trades.from_columns(
            trade_id=[str(i) for i in range(len(prints))],
            instrument=[NAMES[row] for row, _, _ in prints],
            taker_sign=[sign for _, sign, _ in prints],
            amount_coin=[amount for _, _, amount in prints],
        )
    )
    held = rule.infer(chain()).position_coin[:4]
    assert (np.abs(held) <= chain().open_interest_coin[:4]).all()


def test_positions_file_names_what_is_not_listed():
    with pytest.raises(RuleError, match="BTC-XX"):
        PositionsFile({"BTC-XX": 1.0}).infer(chain())
    with pytest.raises(RuleError, match="finite"):
        PositionsFile({"C-low": float("nan")}).infer(chain())


def test_mixture_mean_and_draws_agree_with_their_probabilities():
    rule = Mixture(((ShortAll(), 0.7), (LongAll(), 0.3)), draws=4_000, seed=3)
    positions = rule.infer(chain())
    np.testing.assert_allclose(positions.position_coin[:4], -0.4 * chain().open_interest_coin[:4])
    short = (positions.draws[:, :4] < 0).mean(axis=0)
    assert (np.abs(short - 0.7) < 4 * np.sqrt(0.21 / 4_000)).all()
    apart = np.corrcoef(positions.draws[:, 0], positions.draws[:, 1])[0, 1]
    assert abs(apart) < 4 / np.sqrt(4_000)


def test_mixture_drawn_together_moves_every_instrument_at_once():
    drawn = Mixture(((ShortAll(), 0.5), (LongAll(), 0.5)), draws=200, seed=1, correlation=1.0).infer(chain()).draws
    signs = np.sign(drawn[:, :4])
    assert (signs == signs[:, :1]).all()
    assert set(signs[:, 0]) == {-1.0, 1.0}


def test_mixture_is_reproducible_from_its_seed():
    first = Mixture(((ShortAll(), 0.5), (LongAll(), 0.5)), draws=50, seed=9).infer(chain()).draws
    again = Mixture(((ShortAll(), 0.5), (LongAll(), 0.5)), draws=50, seed=9).infer(chain()).draws
    other = Mixture(((ShortAll(), 0.5), (LongAll(), 0.5)), draws=50, seed=10).infer(chain()).draws
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[:, :4], other[:, :4])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "naive",
        "customers-buy",
        "customers-buy:x",
        "customers-buy:1.5",
        "mixture:",
        "mixture:short-all",
        "mixture:short-all@0.5",
        "flow:",
        "flow:x",
        "mixture:short-all@0.5+long-all@0.6",
        "mixture:short-all@0.5+@0.5",
        "mixture:short-all@nan+long-all@0.5",
        "LONG-ALL",
    ],
)
def test_malformed_rules_are_refused_in_one_sentence(text):
    with pytest.raises(RuleError) as caught:
        parse_rule(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["long-calls-short-puts", "short-all", "long-all", "customers-sell-otm", "customers-buy:0.25"])
def test_spelling_survives_a_round_trip(text):
    assert parse_rule(text).name == text


def test_a_position_in_a_name_that_two_venues_list_is_refused():
    """It would count twice, and which of the two is meant is unknown."""
    both = Chain.from_columns(
        currency="BTC",
        as_of_ns=0,
        instrument=["BTC-27MAR26-70000-C"] * 2,
        venue=["bybit", "deribit"],
        right=[1, 1],
        open_interest_contracts=[5.0, 3.0],
        coin_per_contract=[1.0, 1.0],
    )
    with pytest.raises(RuleError, match="bybit and deribit"):
        PositionsFile({"BTC-27MAR26-70000-C": 2.0}).infer(both)


def test_draws_belong_to_contracts_and_not_to_rows():
    """A permuted chain draws the same books."""
    rule = Mixture(((ShortAll(), 0.5), (LongAll(), 0.5)), draws=20, seed=3)
    order = np.array([3, 0, 4, 1, 2])
    straight, turned = rule.infer(chain()), rule.infer(chain().select(order))
    np.testing.assert_array_equal(straight.draws[:, order], turned.draws)
