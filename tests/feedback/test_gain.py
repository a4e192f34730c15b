"""The loop gain: signs, units, laws, bands, attribution and what is said when nothing is known."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tailwag.errors import RuleError
from tailwag.feedback import GainInputs, loop_gain
from tailwag.liquidity import BookImpact, LinearImpact, SquareRootImpact, UnknownImpact, lasting_impact
from tailwag.market.book import OrderBook

ANSWERS = json.loads((Path(__file__).parent.parent / "answers" / "gain.json").read_text())
NONE = UnknownImpact("square-root", "the snapshot holds no 24 h volume")


def book(gex: float = -50e6, **more: Any) -> GainInputs:
    return GainInputs(spot_usd=60000.0, gex_usd_per_pct=gex, rule=more.pop("rule", "stated"), **more)


def order_book(bid_coin: float = 20.0, ask_coin: float = 10.0, levels: int = 40) -> OrderBook:
    """Levels every 0.05 %: two levels' worth per 0.1 %, asks half as deep as bids."""
    away = 0.0005 * np.arange(1, levels + 1)
    return OrderBook("x", "BTC", "perp", 0, 60000 * (1 - away), np.full(levels, bid_coin), 60000 * (1 + away), np.full(levels, ask_coin))


class TestSignAndUnit:
    @pytest.mark.parametrize(("gex", "sign"), [(-50e6, +1), (+50e6, -1)])
    def test_short_gamma_amplifies_and_long_gamma_damps(self, gex: float, sign: int) -> None:
        gain = loop_gain(book(gex), LinearImpact(200e6), move_pct=1)
        assert gain.value == sign * 0.25
        assert math.copysign(1, gain.flow_usd) == sign
        assert gain.regime == ("amplifying" if sign > 0 else "damping")
        assert gain.amplification == pytest.approx(1 / (1 - sign * 0.25), rel=1e-15)

    def test_gain_is_lambda_times_dollar_gamma(self) -> None:
        """g = -lambda Gamma$ with GEX = Gamma$ / 100 and depth = 0.01 / lambda: the factors of 100 cancel."""
        per_usd, dollar_gamma = 3.1405435e-11, -5.756555e9
        gain = loop_gain(book(dollar_gamma / 100), LinearImpact(0.01 / per_usd), move_pct=1)
        assert gain.value == pytest.approx(-per_usd * dollar_gamma, rel=1e-14)

    def test_hedge_share_scales_gain_and_break_even(self) -> None:
        gain = loop_gain(book(), LinearImpact(200e6), move_pct=1, hedge_share=0.4)
        assert gain.value == pytest.approx(0.1, rel=1e-15)
        assert gain.break_even_depth_usd_per_pct == 20e6

    def test_at_the_break_even_depth_the_gain_is_one(self) -> None:
        found = loop_gain(book(), NONE, move_pct=1, hedge_share=0.7).break_even_depth_usd_per_pct
        assert loop_gain(book(), LinearImpact(found), move_pct=1, hedge_share=0.7).value == pytest.approx(1.0, rel=1e-15)

    @pytest.mark.parametrize("bad", [{"move_pct": 0.0}, {"move_pct": -1.0}, {"move_pct": 100.0}, {"move_pct": math.nan}])
    def test_moves_that_are_none_are_refused(self, bad: dict[str, float]) -> None:
        with pytest.raises(RuleError, match="move_pct"):
            loop_gain(book(), LinearImpact(1e8), **bad)

    @pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
    def test_hedge_share_is_a_fraction(self, share: float) -> None:
        with pytest.raises(RuleError, match="hedge_share"):
            loop_gain(book(), LinearImpact(1e8), move_pct=1, hedge_share=share)

    def test_unknown_exposure_is_refused(self) -> None:
        with pytest.raises(RuleError, match="known GEX"):
            loop_gain(book(math.nan), LinearImpact(1e8), move_pct=1)


class TestLaws:
    @pytest.mark.parametrize("row", ANSWERS["crypto_example"])
    def test_square_root_gain_is_the_impact_of_the_forced_flow(self, row: dict[str, float]) -> None:
        law = SquareRootImpact(row["daily_volume_usd"], row["daily_vol"], y=row["y"])
        inputs = book(row["gex_usd_per_pct"])
        assert loop_gain(inputs, law, move_pct=1).value == pytest.approx(row["gain_forced_flow"], rel=1e-12)
        assert loop_gain(inputs, law, move_pct=3).value == pytest.approx(row["gain_forced_flow_3pct"], rel=1e-12)
        secant = LinearImpact(100e6 / law.price_move_pct(100e6))
        assert loop_gain(inputs, secant, move_pct=1).value == pytest.approx(row["gain_secant_100m"], rel=1e-12)

    def test_printed_three_meanings_of_one_gain(self) -> None:
        """.0568 by the flow that moves 1 %, .1808 at $100m, .2383 for the flow that a 1 % move forces."""
        row = ANSWERS["crypto_example"][0]
        assert row["gain_flow_that_moves_1pct"] == pytest.approx(0.0568, abs=5e-5)
        law = SquareRootImpact(10e9, 0.6 / math.sqrt(365))
        gain = loop_gain(book(-57.565551751e6), law, move_pct=1)
        assert gain.value == pytest.approx(0.2383, abs=5e-5)
        assert gain.depth_usd_per_pct == pytest.approx(241.6e6, abs=5e4)
        assert gain.value != pytest.approx(0.1808, abs=1e-2)

    def test_half_the_hedgers_move_a_square_root_market_more_than_half_as_far(self) -> None:
        """A quarter of the flow makes half the move: the secant belongs to the hedged flow."""
        law = SquareRootImpact(10e9, 0.03)
        whole, quarter = (loop_gain(book(), law, move_pct=1, hedge_share=share).value for share in (1.0, 0.25))
        assert quarter == pytest.approx(0.5 * whole, rel=1e-12)

    def test_every_law_keeps_its_own_depth_source_and_reason(self) -> None:
        root = SquareRootImpact(10e9, 0.03)
        laws = [root, lasting_impact(root, permanent_share=0.5), LinearImpact(200e6), UnknownImpact("book", "no order book")]
        gain = loop_gain(book(), laws[0], move_pct=1, other_laws=laws[1:])
        assert [law.law for law in gain.by_law] == ["square-root", "long-run", "given", "book"]
        for law in gain.by_law[:3]:
            assert law.value == pytest.approx(50e6 / law.depth_usd_per_pct, rel=1e-14)
            assert law.reason is None
        assert (gain.by_law[3].value, gain.by_law[3].reason) == (None, "no order book")
        assert gain.by_law[1].value < gain.by_law[0].value

    def test_book_gain_uses_the_mean_of_both_sides(self) -> None:
        """A flow of $8m: asks hold $0.6m a level (14 levels, 0.7 %), bids $1.2m (7 levels, 0.35 %)."""
        law = BookImpact.from_books([order_book()])
        part = loop_gain(book(-8e6), law, move_pct=1).by_law[0]
        assert part.ask_usd_per_pct == pytest.approx(8e6 / 0.7, rel=1e-9)
        assert part.bid_usd_per_pct == pytest.approx(8e6 / 0.35, rel=1e-9)
        assert part.depth_usd_per_pct == pytest.approx(0.5 * (8e6 / 0.7 + 8e6 / 0.35), rel=1e-9)
        assert part.reach_pct == pytest.approx(2.0)
        assert part.ask_within_usd == pytest.approx(sum(60000 * (1 + 0.0005 * k) * 10 for k in range(1, 21)), rel=1e-12)

    def test_book_that_reaches_less_than_the_move_gives_null_with_a_reason(self) -> None:
        law = BookImpact.from_books([order_book(levels=5)])
        gain = loop_gain(book(-1e6), law, move_pct=1)
        assert gain.value is None
        assert gain.depth_usd_per_pct is None
        assert gain.by_law[0].bid_within_usd is None
        assert gain.by_law[0].reach_pct == pytest.approx(0.25)
        assert "reaches 0.25 %" in str(gain.reason)
        assert loop_gain(book(-1e6), law, move_pct=0.2).value is not None

    def test_extrapolated_book_is_labelled(self) -> None:
        law = BookImpact.from_books([order_book(levels=5)], extrapolation="linear")
        part = loop_gain(book(-1e6), law, move_pct=1).by_law[0]
        assert part.extrapolated
        assert part.value is not None
        assert "EXTRAPOLATED" in part.source

    def test_flow_beyond_the_visible_book_is_unknown(self) -> None:
        gain = loop_gain(book(-50e6), BookImpact.from_books([order_book()]), move_pct=1)
        assert gain.value is None
        assert "takes more than" in str(gain.reason)


class TestUnknownLiquidity:
    def test_break_even_is_the_headline_and_no_gain_is_printed(self) -> None:
        gain = loop_gain(book(-57.6e6), NONE, move_pct=1)
        assert (gain.value, gain.amplification, gain.with_vanna, gain.low, gain.high) == (None,) * 5
        assert gain.regime == "amplifying"
        assert str(gain).startswith("Break-even depth $57.6m per 1 %")
        assert "no 24 h volume" in str(gain)
        assert "G =" not in str(gain)

    def test_document_is_strict_json_with_reasons_beside_null(self) -> None:
        text = json.dumps(loop_gain(book(), NONE, move_pct=1).document(), allow_nan=False)
        found = json.loads(text)
        assert found["value"] is None
        assert found["reason"]
        assert found["amplification_reason"]
        assert found["band_reason"]
        assert found["vanna_reason"]
        assert found["by_law"][0]["reason"]

    def test_empty_book_has_zero_gain_not_nan(self) -> None:
        for law in (LinearImpact(2e8), SquareRootImpact(1e10, 0.03), BookImpact.from_books([order_book()])):
            gain = loop_gain(book(0.0), law, move_pct=1)
            assert gain.value == 0.0
            assert math.copysign(1.0, gain.value) == 1.0
            assert gain.regime == "undetermined"
            json.dumps(gain.document(), allow_nan=False)


class TestRegime:
    def test_gain_of_one_runs_away_and_has_no_amplification(self) -> None:
        for depth in (50e6, 40e6):
            gain = loop_gain(book(), LinearImpact(depth), move_pct=1)
            assert gain.regime == "runaway"
            assert gain.amplification is None
            assert "no meaning" in str(gain.amplification_reason)

    def test_just_below_one_it_amplifies(self) -> None:
        gain = loop_gain(book(), LinearImpact(50.0001e6), move_pct=1)
        assert gain.regime == "amplifying"
        assert gain.amplification == pytest.approx(500001, rel=1e-3)

    def test_rules_that_disagree_on_the_sign_leave_it_undetermined(self) -> None:
        gain = loop_gain(book(-20e6, rule="A"), LinearImpact(2e8), move_pct=1, other_rules=[book(30e6, rule="B")])
        assert gain.regime == "undetermined"
        assert gain.sentences()[0] == "Sign undetermined: A amplifying, B damping"
        assert [(rule.rule, rule.value) for rule in gain.by_rule] == [("A", 0.1), ("B", -0.15)]

    def test_draws_on_both_sides_of_zero_leave_it_undetermined(self) -> None:
        draws = np.linspace(-40e6, 20e6, 401)
        gain = loop_gain(book(-10e6, draws_gex_usd_per_pct=draws), LinearImpact(2e8), move_pct=1)
        assert gain.regime == "undetermined"
        assert "in some draws" in gain.sentences()[0]
        assert loop_gain(book(-30e6, draws_gex_usd_per_pct=draws - 30e6), LinearImpact(2e8), move_pct=1).regime == "amplifying"


class TestBand:
    def test_no_stated_doubt_no_band(self) -> None:
        gain = loop_gain(book(), LinearImpact(2e8), move_pct=1)
        assert (gain.low, gain.high) == (None, None)
        assert "no uncertainty was stated" in str(gain.band_reason)

    def test_positioning_and_liquidity_together(self) -> None:
        """Rules -20m and +30m, depths 100m and 400m: the corners are +0.2 and -0.3."""
        gain = loop_gain(
            book(-20e6), LinearImpact(2e8), move_pct=1, other_rules=[book(30e6)], band_laws=[LinearImpact(1e8), LinearImpact(4e8)]
        )
        assert (gain.low, gain.high) == (pytest.approx(-0.3), pytest.approx(0.2))

    def test_draws_give_their_central_95_per_cent(self) -> None:
        draws = np.linspace(-100e6, -60e6, 4001)
        gain = loop_gain(book(-80e6, draws_gex_usd_per_pct=draws), LinearImpact(2e8), move_pct=1)
        assert (gain.low, gain.high) == (pytest.approx(0.305), pytest.approx(0.495))

    def test_a_books_sides_are_a_band(self) -> None:
        gain = loop_gain(book(-8e6), BookImpact.from_books([order_book()]), move_pct=1)
        assert gain.low == pytest.approx(0.35, rel=1e-9)
        assert gain.high == pytest.approx(0.70, rel=1e-9)
        assert gain.low < gain.value < gain.high

    def test_band_holds_the_value_under_a_nonlinear_law(self) -> None:
        root = SquareRootImpact(1e10, 0.03)
        gain = loop_gain(book(-50e6), root, move_pct=1, other_rules=[book(-20e6)], band_laws=[SquareRootImpact(1e10, 0.03, y=0.5)])
        assert gain.low == pytest.approx(0.5 * root.price_move_pct(20e6), rel=1e-12)
        assert gain.high == pytest.approx(root.price_move_pct(50e6), rel=1e-12) == gain.value


class TestAttribution:
    PARTS = (("2026-01-30", -30e6), ("2026-03-27", 12e6), ("2026-06-26", -32e6))

    @pytest.mark.parametrize("law", [LinearImpact(2e8), SquareRootImpact(1e10, 0.03)], ids=["linear", "square-root"])
    def test_parts_sum_to_the_value(self, law: Any) -> None:
        strikes = ((50000.0, -45e6), (70000.0, -5e6))
        gain = loop_gain(book(-50e6, by_expiry=self.PARTS, by_strike=strikes), law, move_pct=1)
        assert sum(part.value for part in gain.by_expiry) == pytest.approx(gain.value, rel=1e-14)
        assert sum(part.value for part in gain.by_strike) == pytest.approx(gain.value, rel=1e-14)
        assert gain.by_expiry[1].value < 0 < gain.by_expiry[0].value
        assert gain.by_expiry[0].value / gain.value == pytest.approx(30 / 50, rel=1e-14)

    def test_linear_parts_are_each_ones_own_gain(self) -> None:
        gain = loop_gain(book(-50e6, by_expiry=self.PARTS), LinearImpact(2e8), move_pct=1)
        for part in gain.by_expiry:
            assert part.value == pytest.approx(loop_gain(book(part.gex_usd_per_pct), LinearImpact(2e8), move_pct=1).value, rel=1e-14)

    def test_document_rows(self) -> None:
        found = loop_gain(book(-50e6, by_expiry=self.PARTS), NONE, move_pct=1).document()
        assert found["by_expiry"][0] == {"expiry": "2026-01-30", "gex_usd_per_pct": -30e6, "value": None}


class TestVanna:
    def test_one_stated_beta(self) -> None:
        """GEX -50m, vanna +10m per vol point, beta -0.8: 1 % up takes 0.8 vol points off, and 8m more must be bought."""
        gain = loop_gain(book(-50e6, vanna_usd_per_volpt=10e6), LinearImpact(2e8), move_pct=1, spot_vol_beta=-0.8)
        assert gain.with_vanna == pytest.approx(58 / 200, rel=1e-14)
        assert gain.value == 0.25

    def test_beta_implied_row_by_row(self) -> None:
        gain = loop_gain(book(-50e6, smile_gex_usd_per_pct=-8e6, dynamics="sticky-moneyness"), LinearImpact(2e8), move_pct=1)
        assert gain.with_vanna == pytest.approx(58 / 200, rel=1e-14)
        assert any("sticky-moneyness smile" in sentence for sentence in gain.sentences())

    def test_a_stated_beta_replaces_the_implied_one(self) -> None:
        inputs = book(-50e6, smile_gex_usd_per_pct=-8e6, vanna_usd_per_volpt=10e6)
        assert loop_gain(inputs, LinearImpact(2e8), move_pct=1, spot_vol_beta=0.0).with_vanna == 0.25

    def test_unknown_vanna_says_so(self) -> None:
        gain = loop_gain(book(), LinearImpact(2e8), move_pct=1)
        assert gain.with_vanna is None
        assert "no smile dynamic" in str(gain.vanna_reason)


class TestOverSpot:
    SPOT = np.array([40e3, 50e3, 60e3, 70e3, 80e3])
    GEX = np.array([-300e6, -100e6, -50e6, -250e6, 100e6])

    def gain(self, **more: Any) -> Any:
        return loop_gain(book(-50e6, profile_spot_usd=self.SPOT, profile_gex_usd_per_pct=self.GEX, **more), LinearImpact(200e6), move_pct=1)

    def test_gain_over_spot_holds_the_depth(self) -> None:
        assert self.gain().gain_over_spot.tolist() == [1.5, 0.5, 0.25, 1.25, -0.5]

    def test_zones_are_interpolated_and_open_at_the_profiles_end(self) -> None:
        low, high = self.gain().runaway_zones
        assert (low.low_usd, low.high_usd, low.low_open, low.high_open) == (40e3, 45e3, True, False)
        assert (high.low_usd, high.high_usd) == (pytest.approx(67.5e3), pytest.approx(70e3 + 10e3 * 0.25 / 1.75))

    def test_distance_to_the_nearest_edge(self) -> None:
        assert self.gain().runaway_distance_pct == pytest.approx(12.5)

    def test_no_zone_no_distance(self) -> None:
        deep = loop_gain(book(-50e6, profile_spot_usd=self.SPOT, profile_gex_usd_per_pct=self.GEX), LinearImpact(1e12), move_pct=1)
        assert deep.runaway_zones == ()
        assert deep.runaway_distance_pct is None
        assert any("No spot from 40,000 to 80,000" in sentence for sentence in deep.sentences())


def test_repriced_gain_takes_the_flow_of_the_whole_move() -> None:
    """Hedgers buy 80m on the way up and sell 30m on the way down; both push, and only the hedged half trades."""
    inputs = book(-50e6, repriced_flow_usd=lambda moves: np.where(moves > 0, 80e6, -30e6))
    gain = loop_gain(inputs, LinearImpact(200e6), move_pct=1, hedge_share=0.5)
    assert (gain.gain_up, gain.gain_down) == (pytest.approx(0.2), pytest.approx(0.075))
    damped = loop_gain(book(50e6, repriced_flow_usd=lambda moves: -50e6 * moves), LinearImpact(200e6), move_pct=2)
    assert (damped.gain_up, damped.gain_down) == (pytest.approx(-0.25), pytest.approx(-0.25))


def test_the_sentence_is_one_a_trader_understands() -> None:
    gain = loop_gain(book(-57.565551751e6), SquareRootImpact(10e9, 0.6 / math.sqrt(365)), move_pct=1)
    assert str(gain).startswith(
        "G = +0.24: a 1 % rise makes dealers buy $57.6m, which moves the price 0.24 % further; "
        "depth assumed $241.6m per 1 % (square-root law, ADV $10bn, daily vol 3.14 %, Y=1"
    )
    assert "takes 0.25 % of it back" in str(loop_gain(book(50e6), LinearImpact(2e8), move_pct=1))


def test_strong_damping_warns_of_late_hedges() -> None:
    """T13-A: |g| > 1 settles in the same step and hunts one step late."""
    strong, mild = (loop_gain(book(gex), LinearImpact(1e8), move_pct=1) for gex in (150e6, 90e6))
    assert any("price hunts" in sentence for sentence in strong.sentences())
    assert not any("price hunts" in sentence for sentence in mild.sentences())


def test_gain_falls_as_the_market_deepens() -> None:
    values = [loop_gain(book(), LinearImpact(depth), move_pct=1).value for depth in (1e8, 2e8, 5e8, 1e9)]
    assert all(shallow > deep for shallow, deep in pairwise(values))


def test_frame_has_one_row_per_law() -> None:
    frame = loop_gain(book(), LinearImpact(2e8), move_pct=1, other_laws=[NONE]).to_frame()
    assert frame["law"].to_list() == ["given", "square-root"]
    assert frame["value"].to_list() == [0.25, None]
