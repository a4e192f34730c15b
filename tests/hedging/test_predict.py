"""Predictions: linear by hand, curved responses against a fine search, and which of several prices the market meets first."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import ndtr

from tailwag.errors import InputError
from tailwag.hedging.predict import predict_clearing, predict_linear

CURVED: dict[str, Any] = {"spot_usd": 100.0, "stop_log_move": 0.7}


def nobody(x: float) -> float:
    return 0.0


class TestLinear:
    @pytest.mark.parametrize("gammas", [(-5e9, 0.0), (-1e9, -3e9), (2e9, 4e9), (6e9, -2e9), (0.0, 0.0)])
    @pytest.mark.parametrize("move", [0.01, -0.03])
    def test_price_is_the_fixed_point(self, gammas: tuple[float, float], move: float) -> None:
        found = predict_linear(spot_usd=60_000.0, log_move=move, own_gamma_usd=gammas[0], others_gamma_usd=gammas[1], impact_per_usd=3e-11)
        x = move
        for _ in range(2_000):  # everybody answers, the price moves, everybody answers again
            x = move + 3e-11 * -(gammas[0] + gammas[1]) * x
        assert found.final_log_move == pytest.approx(x, rel=1e-12)
        assert found.own_flow_usd == pytest.approx(-gammas[0] * x)
        assert found.others_flow_usd == pytest.approx(-gammas[1] * x)
        assert found.final_spot_usd == pytest.approx(60_000.0 * math.exp(x))

    def test_short_gamma_amplifies_and_buys_rises(self) -> None:
        found = predict_linear(spot_usd=60_000.0, log_move=0.01, own_gamma_usd=-5e9, others_gamma_usd=0.0, impact_per_usd=3e-11)
        assert found.amplification == pytest.approx(1 / (1 - 0.15))
        assert found.own_flow_usd is not None
        assert found.own_flow_usd > 0
        assert str(found) == "a +1.00% move becomes +1.18%, to 60,710.05 USD: own hedge buys $58.8m, others buys $0"

    def test_gain_of_one_runs_away_from_any_move(self) -> None:
        terms: dict[str, Any] = {"spot_usd": 1.0, "own_gamma_usd": -1.0, "others_gamma_usd": -1.0, "impact_per_usd": 0.5}
        found = predict_linear(log_move=-0.01, **terms)
        assert found.status == "runaway"
        assert (found.final_log_move, found.final_spot_usd, found.amplification) == (None, None, None)
        assert "runs away" in str(found)
        still = predict_linear(log_move=0.0, **terms)
        assert (still.status, still.final_log_move, still.amplification) == ("cleared", 0.0, None)

    @pytest.mark.parametrize("bad", [{"spot_usd": 0.0}, {"log_move": math.nan}, {"own_gamma_usd": math.inf}])
    def test_refuses_what_is_no_market(self, bad: dict[str, float]) -> None:
        terms = {"spot_usd": 1.0, "log_move": 0.0, "own_gamma_usd": 0.0, "others_gamma_usd": 0.0, "impact_per_usd": 0.0, **bad}
        with pytest.raises(InputError, match=f"expected {next(iter(bad))}"):
            predict_linear(**terms)


def short_call(coins: float, width: float) -> Any:
    """USD that the seller of `coins` at-the-money calls buys once the log price stands at x; `width` = vol sqrt(time left)."""
    return lambda x: coins * 100.0 * (ndtr(x / width) - 0.5)


def searched(move: float, flow: Any, impact: Any, stop: float) -> float | None:
    """First sign change on a grid of a hundred thousand points, polished by Brent."""
    direction = math.copysign(1.0, impact(flow(move)))
    grid = np.linspace(move, direction * stop, 100_001)
    left = grid - move - impact(flow(grid))
    turned = np.flatnonzero(direction * left >= 0.0)
    if not len(turned):
        return None
    return float(brentq(lambda x: x - move - impact(flow(x)), grid[turned[0] - 1], grid[turned[0]], xtol=1e-15, rtol=1e-14))


class TestCurved:
    @pytest.mark.parametrize("move", [0.004, -0.02, 0.05])
    @pytest.mark.parametrize(("own", "others"), [(500.0, 200.0), (-800.0, 100.0), (0.0, 900.0), (3_000.0, -2_500.0)])
    def test_options_near_expiry_against_a_fine_search(self, move: float, own: float, others: float) -> None:
        mine, theirs = short_call(own, 0.02), short_call(others, 0.05)
        found = predict_clearing(log_move=move, own_flow_usd=mine, others_flow_usd=theirs, impact_log=lambda q: 4e-7 * q, **CURVED)
        expected = searched(move, lambda x: mine(x) + theirs(x), lambda q: 4e-7 * q, 0.7)
        assert expected is not None
        assert found.status == "cleared"
        assert found.final_log_move == pytest.approx(expected, abs=1e-13)
        assert found.own_flow_usd == pytest.approx(mine(expected), abs=1e-6)
        assert found.others_flow_usd == pytest.approx(theirs(expected), abs=1e-6)

    def test_linear_is_a_special_case(self) -> None:
        straight = predict_linear(spot_usd=100.0, log_move=0.02, own_gamma_usd=-1e6, others_gamma_usd=4e5, impact_per_usd=1e-6)
        found = predict_clearing(
            log_move=0.02, own_flow_usd=lambda x: 1e6 * x, others_flow_usd=lambda x: -4e5 * x, impact_log=lambda q: 1e-6 * q, **CURVED
        )
        assert found.final_log_move == pytest.approx(straight.final_log_move, rel=1e-12)

    @pytest.mark.parametrize(("shock", "amplification"), [(1e-4, 10.908), (1e-3, 2.5), (1e-2, 1.3484), (3e-2, 1.1889)])
    def test_anchor_t12_square_root_impact(self, shock: float, amplification: float) -> None:
        """r = ((c + sqrt(c^2 + 4 e))/2)^2 with c^2 = 9e-4."""

        def root(q: float) -> float:
            return math.copysign(math.sqrt(9e-4 * abs(q)), q)

        found = predict_clearing(log_move=shock, own_flow_usd=lambda x: x, others_flow_usd=nobody, impact_log=root, **CURVED)
        assert found.amplification == pytest.approx(amplification, rel=5e-5)
        assert found.final_log_move == pytest.approx(((0.03 + math.sqrt(9e-4 + 4 * shock)) / 2) ** 2, rel=1e-12)

    def test_of_three_prices_the_first_on_the_way_is_met(self) -> None:
        """A short book near expiry, pushed down through the strike: it stops at the first root, not at the one across the strike."""
        flow, impact, move = short_call(1_000.0, 0.003), (lambda q: 4e-7 * q), 0.001
        found = predict_clearing(log_move=move, own_flow_usd=flow, others_flow_usd=nobody, impact_log=impact, **CURVED)
        grid = np.linspace(-0.1, 0.1, 200_001)
        left = grid - move - 4e-7 * flow(grid)
        roots = grid[:-1][left[:-1] * left[1:] < 0.0]
        assert len(roots) == 3
        assert found.final_log_move == pytest.approx(roots[-1], abs=2e-6)  # the flow at the moved price buys, so the way leads up
        down = predict_clearing(log_move=-move, own_flow_usd=flow, others_flow_usd=nobody, impact_log=impact, **CURVED)
        assert down.final_log_move == pytest.approx(-(found.final_log_move or 0.0), abs=1e-12)

    def test_a_response_without_end_is_a_runaway(self) -> None:
        found = predict_clearing(
            log_move=0.01, own_flow_usd=lambda x: 2e6 * x, others_flow_usd=nobody, impact_log=lambda q: 1e-6 * q, **CURVED
        )
        assert (found.status, found.final_log_move, found.own_flow_usd) == ("runaway", None, None)

    def test_nobody_answers(self) -> None:
        found = predict_clearing(log_move=0.01, own_flow_usd=nobody, others_flow_usd=nobody, impact_log=lambda q: q, **CURVED)
        assert (found.status, found.final_log_move) == ("cleared", 0.01)

    @pytest.mark.parametrize(("widths_beyond", "clears"), [(1.01, True), (1.02, False), (2.0, False), (2.98, False), (3.02, True)])
    def test_a_band_to_the_centre_that_looks_again_has_no_price(self, widths_beyond: float, clears: bool) -> None:
        """g = -2: between one and three half-widths no price clears; settled at the moved price and sized at the clearing price, one does."""
        width = 0.01

        def looks_again(x: float) -> float:
            return -2e6 * x if abs(x) > width else 0.0

        move = widths_beyond * width
        terms: dict[str, Any] = {"others_flow_usd": nobody, "impact_log": lambda q: 1e-6 * q, **CURVED}
        again = predict_clearing(log_move=move, own_flow_usd=looks_again, **terms)
        settled = predict_clearing(log_move=move, own_flow_usd=lambda x: -2e6 * x, **terms)
        assert settled.final_log_move == pytest.approx(move / 3.0, rel=1e-12)
        if widths_beyond > 3.0:
            assert clears
            assert again.final_log_move == pytest.approx(move / 3.0, rel=1e-12)
        else:
            assert again.status == "no-price"
            assert "settle who trades" in str(again)

    @pytest.mark.parametrize(
        ("bad", "words"),
        [
            ({"log_move": 0.8}, "stop_log_move above the move"),
            ({"log_move": math.nan}, "log_move as a finite"),
            ({"impact_log": lambda q: math.nan}, "finite flows and impact"),
            ({"spot_usd": -1.0}, "spot_usd"),
        ],
    )
    def test_refusals(self, bad: dict[str, Any], words: str) -> None:
        terms: dict[str, Any] = {"log_move": 0.01, "own_flow_usd": nobody, "others_flow_usd": nobody, "impact_log": lambda q: q, **CURVED}
        with pytest.raises(InputError, match=words):
            predict_clearing(**{**terms, **bad})
