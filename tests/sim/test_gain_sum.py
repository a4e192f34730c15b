"""The sum rule: the gain that a bump measures is the sum of what closed forms say of every agent, within two standard errors."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from tests.sim.gain_markets import LASTING, PASSING, PUTS, SPOT, constant, crab, everybody, leveraged, market

from tailwag.errors import InputError
from tailwag.experiments.scenario_gain import RESOLUTION, gain_document
from tailwag.experiments.scenario_gain_law import predict_gain
from tailwag.experiments.scenario_library import library_story, open_story
from tailwag.feedback.law import law_gain
from tailwag.hedging.policies import AtTimes, Band, EveryStep
from tailwag.liquidity import LinearImpact
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.ladder import LiquidationLadder
from tailwag.sim.agents.margined import MarginedHedger
from tailwag.sim.agents.price_band import PriceBand
from tailwag.sim.gain_bump import Bump, measure_gain
from tailwag.sim.impact import ImpactModel, ReactiveDepth, SquareRootLaw
from tailwag.sim.margin_rules import IntegralControl
from tailwag.sim.scenario import Scenario

LIBRARY = ("quiet-pin", "short-gamma-weekend", "spot-down-vol-up", "zero-dte", "expiry-unwind", "cascade-long-gamma", "cascade-short-gamma")
SEEDS = range(1, 21)


def of_library(name: str) -> tuple[Scenario, int]:
    file = open_story(library_story(name), given={})
    return file.scenario, file.seed


def z_scores(world: Scenario, bump: Bump, *, paths: int, seeds: range | tuple[int, ...]) -> np.ndarray:
    """(measured - predicted) over the standard error for each seed: of the total, then of every agent, last of a sum that is a tenth off."""
    predicted, found = predict_gain(world, bump), []
    for seed in seeds:
        measured = measure_gain(world, paths=paths, seed=seed, bump=bump)
        assert measured.reason == ""
        assert measured.summed == pytest.approx(measured.total.value, abs=1e-12)
        pairs = [(measured.total, predicted.total), *((one.gain, part.gain) for one, part in zip(measured.agents, predicted.agents))]
        pairs.append((measured.total, 0.9 * predicted.total))
        found.append([(one.value - said) / math.hypot(one.standard_error, RESOLUTION) for one, said in pairs])
    return np.array(found)


@pytest.mark.parametrize("name", ["quiet-pin", "short-gamma-weekend", "zero-dte", "cascade-short-gamma", "spot-down-vol-up"])
def test_the_sum_rule_on_five_scenarios_of_the_library(name: str) -> None:
    world, seed = of_library(name)
    found = z_scores(world, Bump(), paths=512, seeds=(seed,))
    assert (np.abs(found[:, :-1]) < 2.0).all()
    assert abs(found[0, -1]) > 5.0, "a sum that is a tenth off must not pass"


def test_the_sum_rule_with_everybody_in_one_market() -> None:
    found = z_scores(everybody(), Bump(), paths=512, seeds=(7,))
    assert found.shape == (1, 10)
    assert (np.abs(found[:, :-1]) < 2.0).all()


MARKETS = {
    "everybody at once": (everybody(), Bump()),
    "everybody late": (everybody((1, 2, 3, 1, 2, 1)), Bump()),
    "some late": (everybody((0, 1, 0, 2, 1, 0)), Bump()),
    "everybody, a bump of 1 %": (everybody(), Bump(size_log=0.01)),
    "leverage": (market(leveraged()), Bump(size_log=0.005)),
    "leverage late, dealers": (market(leveraged(2), constant(0.09, delay_steps=1), clearing="lagged"), Bump(size_log=0.005)),
    "leverage, even accounts": (market(replace(leveraged(accounts=50), entries="even")), Bump(size_log=0.01)),
    "crab and dealers": (market(crab(), constant(0.09, delay_steps=1), clearing="lagged"), Bump(size_log=0.02, noise_log=1e-3)),
    "a weekend, 2 %": (of_library("short-gamma-weekend")[0], Bump(size_log=0.02)),
    "a cascade, 2 %": (of_library("cascade-short-gamma")[0], Bump(size_log=0.02)),
    **{name: (of_library(name)[0], Bump()) for name in LIBRARY},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MARKETS)
def test_the_sum_rule_over_twenty_seeds(name: str) -> None:
    """Mean z within 4 standard errors of 0, its spread that of a standard error: neither a bias nor errors that say too much."""
    world, bump = MARKETS[name]
    found = z_scores(world, bump, paths=1024, seeds=SEEDS)[:, 0]
    print(f"{name}: mean z {found.mean():+.2f}, sd {found.std(ddof=1):.2f}, largest {np.abs(found).max():.2f}")
    assert abs(found.mean()) < 4.0 / math.sqrt(len(SEEDS))
    assert 0.5 < found.std(ddof=1) < 1.6
    assert (np.abs(found) < 2.0).mean() >= 0.8


def test_closed_forms_agree_with_the_gain_of_a_measured_book() -> None:
    """-Gamma$ lambda, the dealers' part, against the analytic gain code that simulation never reads."""
    gex = -45e6
    depth = 0.01 / (LASTING + PASSING)
    world = market(Dealer("dealers", EveryStep(), 0, gamma_usd=100.0 * gex, iv=0.6, hedge_share=0.8))
    said = law_gain(gex, LinearImpact(depth), move_pct=0.1, hedge_share=0.8).value
    assert predict_gain(world, Bump()).total == pytest.approx(said, abs=1e-9)
    book = market(Dealer("dealers", EveryStep(), 0, options=PUTS))
    gamma = Dealer("d", EveryStep(), 0, options=PUTS).starting_dollar_gamma_usd(SPOT)
    small = predict_gain(book, Bump(size_log=1e-4, noise_log=0.0)).total
    assert small == pytest.approx(law_gain(gamma / 100.0, LinearImpact(depth), move_pct=0.01, hedge_share=1.0).value, rel=2e-3)


def test_a_fold_is_told_and_not_averaged_over() -> None:
    ladder = LiquidationLadder("ladder", 0, density_usd=1e10)
    runaway = market(replace(ladder, delay_steps=1), clearing="lagged", impact=ImpactModel(permanent_per_usd=1.2e-10))
    with pytest.raises(InputError, match="runs away"):
        predict_gain(runaway, Bump())


def test_the_square_root_law_shares_its_gain_by_flow() -> None:
    impact = ImpactModel(square_root=SquareRootLaw(2e10, 0.03, crossover_usd=1e6))
    agents = (constant(0.1, name="a", per_usd=2e-11), constant(-0.3, name="b", per_usd=2e-11), constant(0.15, name="c", per_usd=2e-11))
    world = market(*agents, impact=impact)
    bump = Bump(size_log=0.01, noise_log=1e-3)
    found = z_scores(world, bump, paths=512, seeds=(3,))
    assert (np.abs(found[:, :-1]) < 4.0).all()
    with pytest.raises(InputError, match="linear impact"):
        predict_gain(market(constant(0.1, delay_steps=1), impact=impact, clearing="lagged"), bump)


def test_what_no_closed_form_knows_is_refused_or_taken_at_its_word() -> None:
    with pytest.raises(InputError, match="at the start"):
        predict_gain(market(constant(0.2)), Bump(after_steps=5))
    with pytest.raises(InputError, match="does not react"):
        predict_gain(
            market(constant(0.2), impact=ImpactModel(permanent_per_usd=3e-11, depth_reacts=ReactiveDepth(1.0, 0.0, 30.0, 0.3))), Bump()
        )
    stated = predict_gain(market(Dealer("by chance", AtTimes(60.0, jitter_minutes=5.0), 0, options=PUTS)), Bump())
    assert stated.agents[0].by == "as stated"
    banded = predict_gain(market(Dealer("band", Band(half_width_usd=1e9), 0, gamma_usd=-5e9, iv=0.6)), Bump())
    assert banded.total == pytest.approx(0.0, abs=1e-12)


def test_the_running_clock_leaves_what_lasts() -> None:
    world = market(constant(0.24), LiquidationLadder("ladder", 0, density_usd=2e9))
    bump = Bump(clock="running")
    assert predict_gain(world, bump).total == pytest.approx((0.24 / 3e-11 + 2e9) * LASTING, abs=1e-6)


def test_the_document_says_what_was_found() -> None:
    file = open_story(library_story("cascade-short-gamma"), given={})
    document = gain_document("cascade-short-gamma", file, paths=256, seed=file.seed)
    assert document["schema"] == "tailwag.gain/1"
    assert "they agree" in document["headline"][0]
    assert [row["name"] for row in document["gain_by_agent"]] == ["leveraged longs", "dealers"]
    assert sum(row["gain"]["predicted"] for row in document["gain_by_agent"]) == pytest.approx(document["total"]["predicted"])
    assert document["total"]["stated"] == pytest.approx(0.154, abs=1e-3)
    assert sum(row["share"] for row in document["gain_by_agent"]) == pytest.approx(1.0)
    nothing = replace(file, scenario=replace(file.scenario, agents=()))
    empty = gain_document("nobody", nothing, paths=8, seed=1)
    assert empty["total"]["measured"]["value"] == pytest.approx(0.0, abs=1e-12)
    assert empty["gain_by_agent"] == []


def test_wrapped_agents_have_the_law_of_what_they_wrap() -> None:
    inner = constant(0.4, delay_steps=1)
    world = market(MarginedHedger(inner, IntegralControl(target=0.3, integral=2.0, every_steps=1)), clearing="lagged")
    bump = Bump(noise_log=0.0)
    assert predict_gain(world, bump).total == pytest.approx(0.4, abs=1e-8)
    assert measure_gain(world, paths=2, seed=1, bump=bump).total.value == pytest.approx(0.4, abs=1e-6)  # a margin slows it, no more
    banded = market(PriceBand(LiquidationLadder("ladder", 0, density_usd=1e10), 0.01, 30.0, 300.0))
    large = Bump(size_log=0.02, noise_log=0.0)
    assert predict_gain(banded, large).total == pytest.approx(measure_gain(banded, paths=2, seed=1, bump=large).total.value, abs=1e-6)
