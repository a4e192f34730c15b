"""Impact laws: each against a hand-worked number or an identity that a wrong law breaks."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest

from tailwag.errors import RuleError, UnitError
from tailwag.liquidity import (
    Impact,
    LinearImpact,
    SquareRootImpact,
    SumImpact,
    UnknownImpact,
    depth_usd_per_pct,
    doubt_at_move,
    lasting_impact,
    permanent_impact,
    unknown_reason,
)
from tailwag.liquidity.money import dollars

ANSWERS = json.loads((Path(__file__).parent.parent / "answers" / "gain.json").read_text())
LAWS = [
    LinearImpact(2e8),
    SquareRootImpact(1e10, 0.03),
    SquareRootImpact(1e10, 0.03, crossover_usd=1e7),
    LinearImpact(2e8) + SquareRootImpact(1e10, 0.03),
]


@pytest.mark.parametrize("row", ANSWERS["crypto_example"])
def test_square_root_law_in_basis_points(row: dict[str, float]) -> None:
    law = SquareRootImpact(row["daily_volume_usd"], row["daily_vol"], y=row["y"])
    assert 100 * law.price_move_pct(100e6) == pytest.approx(row["impact_100m_bps"], rel=1e-12)
    assert 100 * law.price_move_pct(-1e9) == pytest.approx(row["impact_1bn_bps"], rel=1e-12)


def test_printed_square_root_numbers() -> None:
    law = SquareRootImpact(10e9, 0.6 / math.sqrt(365))
    assert 100 * law.price_move_pct(100e6) == pytest.approx(31.405, abs=5e-4)
    assert 100 * law.price_move_pct(1e9) == pytest.approx(99.313, abs=5e-4)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
class TestEveryLaw:
    """What any impact must do, whatever its shape."""

    def test_is_an_impact_with_name_and_source(self, law: Impact) -> None:
        assert isinstance(law, Impact)
        assert law.name
        assert len(law.source) > 5

    def test_no_flow_moves_nothing_and_more_flow_moves_more(self, law: Impact) -> None:
        moves = [law.price_move_pct(flow) for flow in (0.0, 1e5, 1e7, 1e8, 1e10)]
        assert moves[0] == 0.0
        assert all(low < high for low, high in pairwise(moves))

    def test_move_has_no_sign(self, law: Impact) -> None:
        assert law.price_move_pct(-3e7) == law.price_move_pct(3e7) > 0

    def test_secant_depth_gives_back_the_move(self, law: Impact) -> None:
        depth = depth_usd_per_pct(law, 4e7)
        assert 4e7 / depth == pytest.approx(law.price_move_pct(4e7), rel=1e-14)
        assert law.depth_usd_per_pct(4e7) == depth

    def test_adding_adds_the_moves(self, law: Impact) -> None:
        total = law + LinearImpact(1e9)
        assert total.price_move_pct(5e7) == pytest.approx(law.price_move_pct(5e7) + 0.05, rel=1e-14)


def test_linear_depth_does_not_depend_on_the_flow() -> None:
    law = LinearImpact(241.6e6, source="desk")
    assert [law.depth_usd_per_pct(flow) for flow in (0.0, 1.0, -9e9)] == [241.6e6] * 3
    assert law.price_move_pct(241.6e6) == 1.0


def test_square_root_depth_falls_with_the_flow() -> None:
    """Four times the flow moves the price twice as far, so the secant depth doubles."""
    law = SquareRootImpact(8e9, 0.025, y=0.8)
    assert law.price_move_pct(4e7) == pytest.approx(2 * law.price_move_pct(1e7), rel=1e-14)
    assert law.depth_usd_per_pct(4e7) == pytest.approx(2 * law.depth_usd_per_pct(1e7), rel=1e-14)


def test_pure_square_root_has_no_depth_at_zero_and_says_why() -> None:
    law = SquareRootImpact(8e9, 0.025)
    assert law.depth_usd_per_pct(0.0) is None
    assert "crossover" in unknown_reason(law, 0.0)


def test_crossover_is_continuous_linear_below_and_root_above() -> None:
    pure, law = SquareRootImpact(1e10, 0.03), SquareRootImpact(1e10, 0.03, crossover_usd=2e7)
    assert law.price_move_pct(2e7) == pure.price_move_pct(2e7)
    assert law.price_move_pct(2e7 * (1 - 1e-9)) == pytest.approx(law.price_move_pct(2e7), rel=2e-9)
    assert law.price_move_pct(1e7) == pytest.approx(0.5 * law.price_move_pct(2e7), rel=1e-14)
    assert law.price_move_pct(9e7) == pure.price_move_pct(9e7)
    assert law.depth_usd_per_pct(0.0) == pytest.approx(law.depth_usd_per_pct(1e6), rel=1e-14)
    assert "linear below $20m" in law.source


def test_sum_keeps_every_part_and_its_source() -> None:
    total = LinearImpact(1e8, source="fast") + LinearImpact(3e8, source="slow") + LinearImpact(1e9, source="last")
    assert isinstance(total, SumImpact)
    assert len(total.parts) == 3
    assert all(word in total.source for word in ("fast", "slow", "last"))
    assert total.depth_usd_per_pct(0.0) == pytest.approx(1 / (1 / 1e8 + 1 / 3e8 + 1 / 1e9), rel=1e-14)


def test_sum_with_an_unknown_part_is_unknown_with_that_parts_reason() -> None:
    total = LinearImpact(1e8) + UnknownImpact("book", "no order book in the source")
    assert total.price_move_pct(1e6) is None
    assert total.depth_usd_per_pct(1e6) is None
    assert total.depth_usd_per_pct(0.0) is None
    assert unknown_reason(total, 1e6) == "no order book in the source"
    assert doubt_at_move(total, 1.0) is None


def test_permanent_impact_is_lambda() -> None:
    """3.1e-11 per USD: 1 % takes 0.01 / 3.1e-11 dollars."""
    law = permanent_impact(3.1e-11, source="event study")
    assert law.price_move_pct(322_580_645.16129) == pytest.approx(1.0, rel=1e-12)
    assert law.name == "long-run"
    assert "event study" in law.source


def test_lasting_impact_meets_the_square_root_at_one_days_volume() -> None:
    law = SquareRootImpact(1e10, 0.03, y=0.9)
    half = lasting_impact(law, permanent_share=0.5)
    assert half.price_move_pct(1e10) == pytest.approx(0.5 * law.price_move_pct(1e10), rel=1e-14)
    assert half.price_move_pct(2e10) == pytest.approx(2 * half.price_move_pct(1e10), rel=1e-14)
    assert "50%" in half.source


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01, math.nan])
def test_no_share_is_assumed(share: float) -> None:
    with pytest.raises(RuleError, match="permanent_share"):
        lasting_impact(SquareRootImpact(1e10, 0.03), permanent_share=share)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_laws_refuse_what_is_no_depth(bad: float) -> None:
    with pytest.raises(RuleError, match="depth_usd_per_pct"):
        LinearImpact(bad)
    with pytest.raises(RuleError, match="daily_volume_usd"):
        SquareRootImpact(bad, 0.03)
    with pytest.raises(RuleError, match="daily_vol"):
        SquareRootImpact(1e9, bad)
    with pytest.raises(RuleError, match="y above 0"):
        SquareRootImpact(1e9, 0.03, y=bad)
    with pytest.raises(RuleError, match="crossover"):
        SquareRootImpact(1e9, 0.03, crossover_usd=bad)
    with pytest.raises(RuleError, match="permanent_per_usd"):
        permanent_impact(bad, source="x")


def test_percent_for_decimal_is_a_unit_error() -> None:
    with pytest.raises(UnitError, match=r"decimal of one day"):
        SquareRootImpact(1e9, 3.1)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (57565551.75, "$57.6m"),
        (0.0, "$0"),
        (999.6e6, "$1bn"),
        (999.4e6, "$999.4m"),
        (1.25e12, "$1.25tn"),
        (-241.6e6, "-$241.6m"),
        (1234.0, "$1.23k"),
    ],
)
def test_dollars_as_traders_write_them(amount: float, text: str) -> None:
    assert dollars(amount) == text
