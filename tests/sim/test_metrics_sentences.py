"""Sentences say what hedging does, and nothing that chance alone does."""

from typing import Any

import pytest

from tailwag.sim.metrics_sentences import _momentum, _outcomes, _pins, _signature, _tail, _volatility
from tailwag.sim.moved_by import HEDGING


def estimate(value: float | None, error: float | None = None) -> dict[str, Any]:
    return {"value": value, "standard_error": error}


def slopes(hedged: float, alone: float, error: float = 0.008) -> dict[str, Any]:
    return {"momentum_slope": {"hedged": estimate(hedged, error), "fundamental": estimate(alone, error)}}


def pins(*excess: tuple[float, float]) -> dict[str, Any]:
    return {
        "pins": [
            {
                "strike_usd": 90_000.0 + 1_000.0 * number,
                "half_width_bps": 5.02,
                "hours": 17.5,
                "hedged": estimate(0.02 + value, error),
                "fundamental": estimate(0.02, error),
                "excess": estimate(value, error),
            }
            for number, (value, error) in enumerate(excess)
        ]
    }


def test_a_slope_that_both_markets_share_is_chance() -> None:
    assert _momentum(slopes(-0.0300, -0.0290)) == ""
    assert _momentum(slopes(-0.0100, 0.0100)) == ""
    said = _momentum(slopes(0.1800, 0.0010))
    assert said.startswith("The last window of each 24 h runs on: 0.1800 +- 0.0080")
    assert "0.0010 +- 0.0080 with nobody hedging" in said


def test_a_slope_that_nobody_knows_is_not_said() -> None:
    unknown = {"momentum_slope": {"hedged": estimate(None), "fundamental": estimate(None)}}
    assert _momentum(unknown) == ""


@pytest.mark.parametrize("errors", [2.9, 0.5])
def test_the_largest_of_many_differences_is_no_pin(errors: float) -> None:
    said = _pins(pins((0.001, 0.001), (errors * 0.002, 0.002), (-0.001, 0.001)))
    assert said.startswith("Whether price pins at any of the 3 strikes")


def test_a_pin_beyond_chance_is_said_with_both_shares() -> None:
    said = _pins(pins((0.001, 0.001), (0.05, 0.004)))
    assert said.startswith("Price stands within 5 bps of 91,000 USD after 17.5 h on 7.00 +- 0.40 % of paths, 2.00 +- 0.40 %")
    assert _pins({"pins": []}) == ""


def test_one_strike_is_named_as_one() -> None:
    assert "at the strike expiring" in _pins(pins((0.001, 0.001)))


@pytest.mark.parametrize(
    ("change", "words"), [(0.0236, "adds 2.360 +- 0.070 % to"), (-0.12, "takes 12.000 +- 0.070 % off"), (0.0, "adds 0.000 +- 0.070 % to")]
)
def test_a_vol_says_of_which_returns_it_is(change: float, words: str) -> None:
    """Late long gamma adds to the vol of 5 minutes and takes off that of a day; a headline without its returns is read as the other."""
    document = {
        "amplification": estimate(1.0 + change, 0.0007),
        "realised_vol": {"hedged": estimate(0.5), "fundamental": estimate(0.5)},
        "horizons": [{"hours": 1 / 12}],
        "hours": 24.0,
        "amplification_conditional": False,
    }
    assert f"{words} realised vol of 5 min returns over the next 24 h:" in _volatility(document, HEDGING)
    assert f"{words} realised vol over the next 24 h:" in _volatility({**document, "horizons": []}, HEDGING)


@pytest.mark.parametrize("runaways", [0, 3])
def test_a_loss_read_off_runaways_is_a_lower_bound(runaways: int) -> None:
    both = {"hedged": estimate(0.5034), "fundamental": estimate(0.04)}
    document = {"exposure_long": [{"level": 0.99, "value_at_risk": both, "expected_shortfall": both}], "runaway": {"count": runaways}}
    assert _tail(document).endswith("lower bounds.") == (runaways > 0)


SURVIVORS = {
    "amplification": estimate(24.1, 0.4),
    "realised_vol": {"hedged": estimate(7.47, 0.1), "fundamental": estimate(0.31, 0.001)},
    "fundamental_vol_all_paths": estimate(0.5, 0.0004),
    "horizons": [{"hours": 1 / 12}],
    "hours": 24.0,
    "amplification_conditional": True,
}


def test_survivors_are_called_survivors() -> None:
    """Paths that did not run away are the calm ones: a vol of 31 % of theirs is not what nobody hedging shows."""
    said = _volatility(SURVIVORS, HEDGING)
    assert said.startswith(
        "On the paths that reached the horizon realised vol of 5 min returns is 747.0 % a year, 24.10 +- 0.40 times that of the same"
    )
    assert "nobody hedging (31.0 %); nobody hedging shows 50.000 +- 0.040 % over all paths." in said
    assert "The ratio is conditional" in said
    row = {"amplification": estimate(2.0, 0.1), "hours": 1.0}
    assert _signature({**SURVIVORS, "horizons": [row, row]}).startswith("On these paths, measured over 1 h")


def test_one_path_has_no_standard_error() -> None:
    assert _outcomes({"paths": 1, "finished": {"count": 1}, "hours": 6.0}) == (
        "The one path reached the horizon of 6 h; one path has no standard error."
    )
    assert _outcomes({"paths": 2, "finished": {"count": 2}, "hours": 6.0}) == "All 2 paths reached the horizon of 6 h."
