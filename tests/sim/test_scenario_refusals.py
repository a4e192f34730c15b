"""What can be seen before a run is refused before it, in one sentence."""

import math
from dataclasses import replace
from typing import Any

import pytest

from tailwag.errors import InputError
from tailwag.hedging.policies import EveryStep, NoHedge
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.dynamics import Gbm
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.option_book import OptionBook
from tailwag.sim.run import simulate
from tailwag.sim.scenario import Scenario, VolDynamics, gain_with_vanna, same_step_gain, starting_gain


def scenario(*agents: Dealer, clearing: str = "implicit", **more: Any) -> Scenario:
    grid = TimeGrid.uniform(horizon_days=1.0, step_minutes=60.0)
    return Scenario(60_000.0, grid, Gbm(vol=0.6), ImpactModel(permanent_per_usd=1e-11), agents, clearing, **more)


def dealer(speed: float, delay: int = 0, gamma_usd: float = -7e10) -> Dealer:
    return Dealer(f"at {speed:g}", EveryStep(), delay, gamma_usd=gamma_usd, iv=0.6, speed=speed)


def test_a_same_step_order_larger_than_its_gap_counts_with_its_speed() -> None:
    """x = e + speed g x has a solution in the direction of the flow below 1 only: 1.8 x 0.7 has none."""
    assert starting_gain(scenario(dealer(1.0))) == pytest.approx(0.7)
    assert same_step_gain(scenario(dealer(1.4))) == pytest.approx(0.98)
    for speed in (1.43, 1.8):
        with pytest.raises(InputError, match="gain times speed"):
            scenario(dealer(speed))


def test_speed_of_late_orders_and_of_long_gamma_is_free() -> None:
    assert same_step_gain(scenario(dealer(1.8, delay=1))) == 0.0
    assert same_step_gain(scenario(dealer(2.0, gamma_usd=7e10))) == pytest.approx(-1.4)
    assert same_step_gain(scenario(Dealer("idle", NoHedge(), 0, gamma_usd=-7e10, speed=2.0))) == 0.0


@pytest.mark.parametrize(("halt", "stop"), [(0.7, 0.7), (0.9, 0.7), (0.06, 0.05)])
def test_a_halt_that_no_path_reaches_is_refused(halt: float, stop: float) -> None:
    with pytest.raises(InputError, match="halt_log_move below stop_log_move"):
        scenario(halt_log_move=halt, stop_log_move=stop)
    assert scenario(halt_log_move=0.9 * stop, stop_log_move=stop).halt_log_move == 0.9 * stop


def call_book(contracts: float) -> OptionBook:
    return OptionBook.single("call", strike_usd=63_000.0, expiry_years=20 / 365, contracts_coin=contracts, iv=0.55)


def gamma_and_vanna_usd(contracts: float, beta: float) -> tuple[float, float]:
    """S^2 Gamma, and S times beta d(delta)/d(vol), of the call by Black's formula in plain arithmetic."""
    root = 0.55 * math.sqrt(20 / 365)
    d1 = math.log(60 / 63) / root + root / 2
    density = math.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi)
    return contracts * 60_000 * density / root, -contracts * 60_000 * beta * density * (d1 - root) / 0.55


@pytest.mark.parametrize("contracts", [-9e4, 4e4])
@pytest.mark.parametrize("beta", [-2.0, 0.0, 0.8])
def test_vol_that_follows_spot_is_part_of_the_gain(contracts: float, beta: float) -> None:
    desk = Dealer("desk", EveryStep(), 1, options=call_book(contracts), hedge_share=0.5, speed=0.9)
    made = scenario(desk, clearing="lagged", vol=VolDynamics(spot_vol_beta=beta))
    gamma, vanna = gamma_and_vanna_usd(contracts, beta)
    assert starting_gain(made) == pytest.approx(-1e-11 * 0.5 * gamma, rel=1e-9)
    assert gain_with_vanna(made) == pytest.approx(-1e-11 * 0.5 * (gamma + vanna), rel=1e-7)
    quick = replace(made, agents=(replace(desk, delay_steps=0),), clearing="implicit") if gain_with_vanna(made) < 1.0 else None
    if quick is not None:
        assert same_step_gain(quick) == pytest.approx(-1e-11 * 0.5 * 0.9 * (gamma + vanna), rel=1e-7)


def test_a_gain_that_vanna_takes_to_one_is_refused_with_both_numbers() -> None:
    gamma, vanna = gamma_and_vanna_usd(-1.0, 2.0)
    assert vanna < 0.0
    contracts = -1.02e11 / -(gamma + vanna)
    g = 1.02 * gamma / (gamma + vanna)
    assert g < 0.95
    for clearing, delay in (("implicit", 0), ("damped", 1)):
        desk = Dealer("desk", EveryStep(), delay, options=call_book(contracts))
        assert scenario(desk, clearing=clearing).vol.spot_vol_beta == 0.0
        with pytest.raises(InputError, match=rf"got 1\.02 at the start \({g:.3g} of gamma, 1\.02 with vanna"):
            scenario(desk, clearing=clearing, vol=VolDynamics(spot_vol_beta=2.0))
    late = Dealer("desk", EveryStep(), 1, options=call_book(contracts))
    assert gain_with_vanna(scenario(late, clearing="lagged", vol=VolDynamics(spot_vol_beta=2.0))) == pytest.approx(1.02, rel=1e-6)


def test_vanna_that_damps_lets_a_price_clear_but_gives_a_damped_market_no_speed() -> None:
    """Implicit clearing meets the whole slope; the damped market's speed 1/(1 - g) knows gamma alone."""
    gamma, vanna = gamma_and_vanna_usd(-1.0, -3.0)
    contracts = -1.1e11 / -gamma
    vol = VolDynamics(spot_vol_beta=-3.0)
    whole = 1.1 * (gamma + vanna) / gamma
    assert 0.0 < whole < 1.0
    assert gain_with_vanna(scenario(Dealer("desk", EveryStep(), 0, options=call_book(contracts)), vol=vol)) == pytest.approx(
        whole, rel=1e-6
    )
    with pytest.raises(InputError, match=r"got 1\.1 at the start"):
        scenario(Dealer("desk", EveryStep(), 1, options=call_book(contracts)), clearing="damped", vol=vol)


@pytest.mark.parametrize("engine", ["plain", "fast"])
@pytest.mark.parametrize("held", [{"gamma_usd": -9e10, "iv": 0.6}, {"options": call_book(-9e4)}])
def test_who_never_hedges_does_not_hurry_a_damped_market(engine: str, held: dict[str, Any]) -> None:
    alone = (dealer(1.0, delay=1, gamma_usd=-5e10),)
    vols = [
        simulate(scenario(*agents, clearing="damped"), paths=8, seed=3, engine=engine).metrics.realised_vol.hedged.value
        for agents in (alone, (*alone, Dealer("idle", NoHedge(), 1, **held)))
    ]
    assert vols[0] == vols[1]
    hurried = simulate(scenario(*alone, dealer(0.5, delay=1, gamma_usd=-1e10), clearing="damped"), paths=8, seed=3, engine=engine)
    assert hurried.metrics.realised_vol.hedged.value != vols[0]
