"""A price band with a pause: the contract of every agent, the edge, the rest, and what is liquidated afterwards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.contracts.agent import SPOT, AgentContract, market
from tests.sim.price_band_plain import plain_edges, plain_step
from tests.sim.test_walked import traders

from tailwag.errors import InputError
from tailwag.hedging.policies import EveryStep
from tailwag.kernels.price_band import Times, edges, stepped
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.ladder import LiquidationLadder
from tailwag.sim.agents.price_band import PriceBand
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Replay
from tailwag.sim.engine import init, plan_run, step
from tailwag.sim.impact import ImpactModel

LADDER = LiquidationLadder("ladder", 0, density_usd=4e9)
TRADERS = traders(1e9)
DEALER = Dealer("dealer", EveryStep(), 0, gamma_usd=-2e8, iv=0.6)


def banded(agent, *, band: float = 0.02, pause: float = 60.0, window: float = 1e5) -> PriceBand:  # type: ignore[no-untyped-def]
    return PriceBand(agent, band, pause, window)


class TestBandedDealer(AgentContract):
    agent = banded(DEALER, band=0.004, pause=45.0)

    def renamed(self, agent, name):  # type: ignore[no-untyped-def]
        from dataclasses import replace

        return replace(agent, inner=replace(agent.inner, name=name)) if isinstance(agent, PriceBand) else replace(agent, name=name)


class TestBandedLadder(TestBandedDealer):
    agent = banded(LADDER, band=0.004, pause=45.0)


class TestBandedLateLadder(TestBandedDealer):
    agent = banded(LiquidationLadder("ladder", 1, density_usd=4e9), band=0.004, pause=45.0)


def flows(agent, moves: list[float], *, impact: float = 0.0) -> np.ndarray:  # type: ignore[no-untyped-def]
    """What the agent buys in each step of half an hour, the price moving as told before its own trades."""
    padded = np.zeros(12)
    padded[: len(moves)] = moves
    scenario = market(agent, price=Replay(padded), impact=ImpactModel(permanent_per_usd=impact))
    return np.asarray(run_block(plan_run(scenario, seed=1), 0, 1, keep_agents=True).agents[0].flow_usd)[0]


def test_what_options_earn_does_not_hang_on_which_move_is_tried_first() -> None:
    """Behind a band of 0.02 % that every first step meets, a dealer's book earns what the price did."""
    inner = Dealer("dealer", EveryStep(), 1, gamma_usd=-1e9, iv=0.6)
    plan = plan_run(market(PriceBand(inner, 0.0002, 1.0, 5.0), price=Replay(np.full(12, 0.01))), seed=1)
    alone = plan_run(market(inner, price=Replay(np.full(12, 0.01))), seed=1)
    earned = []
    for guess in (False, True):
        start = init(plan, 0, 3)
        own = start.seats[0]
        tried = replace(start, seats=(replace(own, memory=replace(own.memory, earns=guess)),))
        earned.append(step(plan, tried).seats[0].holding.pnl_usd)
    assert np.array_equal(*earned)
    assert np.allclose(earned[0][:2], step(alone, init(alone, 0, 3)).seats[0].holding.pnl_usd[:2], rtol=1e-12)


def test_agents_whose_venue_keeps_accounts_cannot_rest() -> None:
    with pytest.raises(InputError, match="expected an agent that can rest behind a price band, got LeveragedTraders"):
        banded(TRADERS)


def test_no_more_is_liquidated_than_at_the_edge_and_the_rest_after_the_pause_if_still_passed() -> None:
    """3 % down, band 2 %, pause one hour (two steps): 2 % of the ladder at once; afterwards the third per cent, only where price stays there."""
    found = flows(banded(LADDER), [-0.03])
    assert found[:4] == pytest.approx([-0.02 * 4e9, 0.0, 0.0, -0.01 * 4e9], rel=1e-9)
    spared = flows(banded(LADDER), [-0.03, 0.02])
    assert spared.sum() == pytest.approx(-0.02 * 4e9), "levels that price left during the pause are spared"
    assert flows(LADDER, [-0.03]).sum() == pytest.approx(-0.03 * 4e9)


def test_a_wide_band_changes_no_bit_of_the_price() -> None:
    for agent in (LADDER, DEALER):
        assert flows(banded(agent, band=0.9), [-0.03, 0.01], impact=2e-11) == pytest.approx(
            flows(agent, [-0.03, 0.01], impact=2e-11), rel=1e-9
        )


def test_hedges_rest_and_catch_up() -> None:
    found = flows(banded(DEALER), [-0.03])
    assert found[:4] == pytest.approx([-0.02 * 2e8, 0.0, 0.0, -0.01 * 2e8], rel=1e-9)


def test_the_reference_follows_price_in_calm_times() -> None:
    """1.5 % and again 1.5 %: beyond the band from the start, within it from a reference renewed every half hour."""
    slow, quick = flows(banded(LADDER), [-0.015, -0.015]), flows(banded(LADDER, window=30.0), [-0.015, -0.015])
    assert slow[1] == pytest.approx(-0.005 * 4e9)
    assert quick[1] == pytest.approx(-0.015 * 4e9)


def test_a_cascade_is_cut_at_the_edge() -> None:
    """Gain 0.6: a move of 1.5 % would become 3.75 %; with the band the ladder sells its first 2 % and no more in that step."""
    assert flows(LADDER, [-0.015], impact=1.5e-10)[0] == pytest.approx(-0.0375 * 4e9)
    assert flows(banded(LADDER), [-0.015], impact=1.5e-10)[0] == pytest.approx(-0.02 * 4e9)


@pytest.mark.parametrize(("band", "pause", "window"), [(0.0, 1.0, 1.0), (0.1, -1.0, 1.0), (0.1, 1.0, float("nan"))])
def test_a_band_that_is_none_is_refused(band: float, pause: float, window: float) -> None:
    with pytest.raises(InputError, match="above 0"):
        PriceBand(LADDER, band, pause, window)


def test_the_inner_agent_answers_for_the_rest() -> None:
    assert (banded(DEALER).gamma_usd, banded(DEALER).name) == (DEALER.gamma_usd, "dealer")
    assert banded(DEALER).starting_dollar_gamma_usd(SPOT) == DEALER.starting_dollar_gamma_usd(SPOT)


def test_a_late_ladder_waits_and_loses_no_level() -> None:
    """One step late: what the pause keeps back is ordered after it, whole."""
    late = LiquidationLadder("ladder", 1, density_usd=4e9)
    found = flows(banded(late), [-0.03])
    assert not found[:3].any()
    assert found.sum() == pytest.approx(-0.03 * 4e9)
    assert flows(banded(late), [-0.03, 0.01, 0.015]).sum() == pytest.approx(-0.005 * 4e9, rel=1e-9), "levels that price left are spared"


def on_edges(rng: np.random.Generator, paths: int) -> tuple[np.ndarray, ...]:  # type: ignore[type-arg]
    """Prices on, inside and beyond a band of 1/64; references due and fresh; pauses over, ending now, running and none; some paths stopped."""
    reference = rng.integers(-4, 5, paths) / 32.0
    price = reference + rng.choice([-1.0, 0.0, 1.0, 0.5, -1.5, 3.0, 0.999999], paths) / 64.0
    since = rng.choice([0.0, 1.0, 1.5, 1.75, 2.0], paths)
    return price, reference, since, rng.choice([-1.0, 0.0, 1.5, 2.0, 2.0 - 1e-12, 2.0 + 2e-12, 2.5], paths), rng.random(paths) < 0.8


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("paths", [1, 7, 2000])
def test_the_band_in_one_pass_is_its_plain_twin_to_the_bit(late: bool, paths: int) -> None:
    rng, times, band = np.random.default_rng(paths), Times(2.0, 0.5, 0.25), 1.0 / 64.0
    price, reference, since, until, live = on_edges(rng, paths)
    scale = np.where(rng.random(paths) < 0.3, np.inf, rng.random(paths) / 128.0)
    trading, (low, high, finest) = np.empty(paths, dtype=np.bool_), np.empty((3, paths))
    everybody = edges(2.0, band, reference, until, scale, (trading, low, high, finest))
    told = plain_edges(2.0, band, reference, until, scale)
    assert all((one == other).all() for one, other in zip((trading, low, high, finest), told))
    assert everybody == bool(told[0].all())
    (*after, seen), moving = tuple(np.empty((4, paths))), np.empty(paths, dtype=np.bool_)
    differs = stepped(times, band, late, (reference, since, until), price, live, tuple(after), (seen, moving))
    told_after = plain_step(times, band, late, (reference, since, until), price, live)
    for one, other in zip((*after, seen, moving), told_after):
        assert one.tobytes() == other.tobytes()
    assert differs == bool((seen != price).any() or (moving != live).any())


def test_a_quiet_band_leaves_the_move_as_it_is() -> None:
    quiet, nothing = np.full(3, 1e-4), np.zeros(3)
    (*after, seen), moving = tuple(np.empty((4, 3))), np.empty(3, dtype=np.bool_)
    state = (nothing, nothing, nothing - 1.0)
    assert not stepped(Times(1.0, 5.0, 1.0), 0.01, True, state, quiet, np.array([True, False, True]), tuple(after), (seen, moving))
