"""Trading costs: vols, prices and hedging errors against quadrature, QuantLib, brute-force replication, and the printed anchors."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tailwag.errors import InputError
from tailwag.hedging.transaction_costs import (
    boyle_vorst_price_usd,
    boyle_vorst_vol,
    hedging_error_rule_usd,
    hedging_error_usd,
    leland_number,
    leland_price_usd,
    leland_vol,
)
from tailwag.kernels.black import black_price

ANSWERS = json.loads((Path(__file__).parent.parent / "answers" / "hedging.json").read_text())
ANCHOR_T10 = {
    12: (0.13820, 0.213373, 0.185667, 0.216629, 8.49622, 7.39640, 8.62539),
    52: (0.28768, 0.226952, 0.168798, 0.233286, 9.03468, 6.72608, 9.28569),
    250: (0.63078, 0.255404, 0.121526, 0.267624, 10.16153, 4.84522, 10.64489),
}


@pytest.mark.parametrize("row", ANSWERS["vols_with_costs"])
def test_vols_and_prices_against_quadrature_and_quantlib(row: dict[str, float]) -> None:
    terms = {"cost_share": row["cost_share"], "interval_years": row["interval_years"]}
    assert float(leland_number(row["vol"], **terms)) == pytest.approx(row["leland_number"], rel=1e-12)
    for side, sign in (("short", -1), ("long", 1)):
        assert float(leland_vol(row["vol"], sign, **terms)) == pytest.approx(row[f"vol_{side}"], rel=1e-12)
        assert float(boyle_vorst_vol(row["vol"], sign, **terms)) == pytest.approx(row[f"vol_binomial_{side}"], rel=1e-12)
        price = leland_price_usd(+1, 100.0, 100.0, 1.0, row["vol"], gamma_sign=sign, **terms)
        assert float(price[0]) == pytest.approx(row[f"price_{side}"], rel=1e-10)


@pytest.mark.parametrize("times", [12, 52, 250])
def test_anchor_t10_printed_table(times: int) -> None:
    terms = {"cost_share": 0.005, "interval_years": 1 / times}
    number, short, long, binomial, price_short, price_long, price_binomial = ANCHOR_T10[times]
    assert float(leland_number(0.2, **terms)) == pytest.approx(number, abs=5e-6)
    assert leland_vol(0.2, [-1, 1], **terms).tolist() == pytest.approx([short, long], abs=6e-7)
    assert float(boyle_vorst_vol(0.2, -1, **terms)) == pytest.approx(binomial, abs=6e-7)
    found = [float(leland_price_usd(+1, 100.0, 100.0, 1.0, 0.2, gamma_sign=sign, **terms)[0]) for sign in (-1, 1)]
    assert found == pytest.approx([price_short, price_long], abs=6e-6)
    assert float(black_price(+1, 100.0, 100.0, 1.0, boyle_vorst_vol(0.2, -1, **terms))[0]) == pytest.approx(price_binomial, abs=6e-6)


def test_hoggard_whalley_wilmott_is_leland_in_other_words() -> None:
    """sigma^2 +- sqrt(8/pi) kappa sigma/sqrt(dt), kappa one-way."""
    for vol, cost, interval in ((0.2, 0.005, 1 / 52), (0.8, 0.0004, 1 / 365)):
        for sign in (-1, 1):
            variance = vol**2 - sign * math.sqrt(8 / math.pi) * cost * vol / math.sqrt(interval)
            assert float(leland_vol(vol, sign, cost_share=cost, interval_years=interval)) == pytest.approx(math.sqrt(variance), rel=1e-12)


def test_mutation_one_way_for_round_trip_is_seen() -> None:
    assert float(leland_number(0.2, cost_share=0.01, interval_years=1 / 52)) != pytest.approx(ANCHOR_T10[52][0], rel=0.4)


def test_hedged_too_often_a_long_option_is_worth_its_exercise_value() -> None:
    terms = {"gamma_sign": 1, "cost_share": 0.005, "interval_years": 1e-4}
    assert leland_price_usd(+1, 110.0, 100.0, 1.0, 0.2, **terms).tolist() == [10.0]


@pytest.mark.parametrize("row", ANSWERS["binomial_prices"])
def test_binomial_replication_against_brute_force(row: dict[str, float]) -> None:
    """The maker tries all signs of the two trades at every node and asserts that one answer fits."""
    found = boyle_vorst_price_usd(
        100.0,
        row["strike_usd"],
        1.0,
        0.2,
        gamma_sign=int(row["gamma_sign"]),
        cost_share=row["cost_share"],
        steps=int(row["steps"]),
        rate=row["rate"],
    )
    assert found == pytest.approx(row["price_usd"], rel=1e-10)


@pytest.mark.parametrize(("steps", "exact", "closed"), [(13, 13.9639, 13.8510), (52, 14.3739, 14.3979), (250, 15.5902, 15.5913)])
def test_anchor_t10_binomial_and_its_closed_form(steps: int, exact: float, closed: float) -> None:
    found = boyle_vorst_price_usd(100.0, 100.0, 1.0, 0.2, gamma_sign=-1, cost_share=0.005, steps=steps, rate=0.1)
    assert found == pytest.approx(exact, abs=6e-5)
    vol = boyle_vorst_vol(0.2, -1, cost_share=0.005, interval_years=1 / steps)
    forward = 100.0 * math.exp(0.1)
    assert math.exp(-0.1) * float(black_price(+1, forward, 100.0, 1.0, vol)[0]) == pytest.approx(closed, abs=6e-5)


def test_costs_larger_than_a_step_are_refused() -> None:
    with pytest.raises(InputError, match=r"one-way cost.*fewer steps"):
        boyle_vorst_price_usd(100.0, 100.0, 1.0, 0.2, gamma_sign=1, cost_share=0.01, steps=1_000)
    with pytest.raises(InputError, match="interest"):
        boyle_vorst_price_usd(100.0, 100.0, 1.0, 0.2, gamma_sign=-1, cost_share=0.01, steps=2, rate=0.5)


@pytest.mark.parametrize("row", ANSWERS["discrete_errors"])
def test_hedging_error_against_double_integration(row: dict[str, float]) -> None:
    found = hedging_error_usd(100.0, row["strike_usd"], row["years"], row["vol"], trades=int(row["trades"]))
    assert found == pytest.approx(row["std_usd"], rel=1e-8)


@pytest.mark.parametrize(("trades", "printed"), [(21, 0.4452), (84, 0.2226), (336, 0.1113)])
def test_anchor_t8_rule_of_thumb(trades: int, printed: float) -> None:
    assert float(hedging_error_rule_usd(11.5117, 0.2, trades=trades)) == pytest.approx(printed, abs=6e-5)
    assert hedging_error_usd(100.0, 100.0, 1 / 12, 0.2, trades=trades) == pytest.approx(printed, rel=1e-3)
