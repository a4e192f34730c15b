"""What can be seen before a run is refused before it, in one sentence."""

import pytest

from tailwag.errors import InputError
from tailwag.hedging.policies import EveryStep, NoHedge
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.dynamics import Gbm
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.scenario import Scenario, same_step_gain, starting_gain


def scenario(*agents: Dealer, clearing: str = "implicit", **more: float) -> Scenario:
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
