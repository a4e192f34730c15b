"""The three smile dynamics by name, and the smile delta each implies."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tailwag.errors import RuleError
from tailwag.kernels.black import black_greeks
from tailwag.surface import STICKY_MONEYNESS, SmileDynamics, parse_dynamics

SMILE_DELTA = json.loads((Path(__file__).parents[1] / "answers" / "svi.json").read_text())["smile_delta"]


@pytest.mark.parametrize(
    ("text", "ratio"), [("sticky-strike", 1.0), ("sticky-moneyness", 0.0), ("ssr:1.4", 1.4), ("ssr:-1", -1.0), ("ssr:0", 0.0)]
)
def test_names(text: str, ratio: float) -> None:
    dynamics = parse_dynamics(text)
    assert (dynamics.name, dynamics.ratio) == (text, ratio)
    assert str(dynamics).startswith(text)


def test_dynamics_pass_through() -> None:
    assert parse_dynamics(STICKY_MONEYNESS) is STICKY_MONEYNESS
    assert parse_dynamics(SmileDynamics("mine", 0.7)).ratio == 0.7


@pytest.mark.parametrize("text", ["", "sticky", "ssr", "ssr:", "ssr:nan", "ssr:inf", "ssr:9", "ssr:1;rm", "STICKY-STRIKE", "ssr:\u0661x"])
def test_anything_else_is_refused_with_the_choices(text: str) -> None:
    with pytest.raises(RuleError, match="ssr:VALUE"):
        parse_dynamics(text)


@pytest.mark.parametrize("name", ["sticky-strike", "sticky-moneyness", "ssr:2"])
def test_smile_delta_of_a_call(name: str) -> None:
    """delta + vega * (R - 1) * skew / F against differentiation of the price itself."""
    greeks = black_greeks(+1, 60000.0, 65000.0, 30 / 365, 0.65)
    delta, vega = float(greeks[1, 0]), float(greeks[3, 0])
    per_log_move = (parse_dynamics(name).ratio - 1.0) * -0.15
    assert delta + vega * per_log_move / 60000.0 == pytest.approx(SMILE_DELTA[name], rel=1e-12)
    assert np.sign(per_log_move) == {"sticky-strike": 0, "sticky-moneyness": 1, "ssr:2": -1}[name]
