"""Policies compared: closed forms of the loop in every number, errors against plain statistics, and the same bits however it is run."""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tailwag.errors import InputError, MissingPackageError
from tailwag.experiments.frontier import Progressed, compare_policies
from tailwag.experiments.frontier_books import Prepared, Terms, prepare_book
from tailwag.experiments.frontier_card import frontier_card
from tailwag.experiments.frontier_document import frontier_document
from tailwag.experiments.frontier_files import SumsFile, TrialsFile, fingerprint
from tailwag.experiments.frontier_optimise import Objective, optimise_policy
from tailwag.experiments.frontier_report import frontier_html
from tailwag.experiments.frontier_results import differences, policy_results
from tailwag.experiments.frontier_worlds import Question, policies_from_text, word
from tailwag.experiments.report_json import strict_json
from tailwag.figures.numbers import money
from tailwag.hedging.policies import AtTimes, Band, EveryStep, policy_from_text, policy_to_mapping
from tailwag.sim.agents.dealer import Dealer, HedgeInstrument
from tailwag.sim.blocks import run_block
from tailwag.sim.dynamics import Gbm
from tailwag.sim.engine import plan_run
from tailwag.sim.grid import TimeGrid as Clock
from tailwag.sim.impact import ImpactModel
from tailwag.sim.option_book import OptionBook
from tailwag.sim.scenario import Costs, Scenario

DOCS = Path(__file__).resolve().parents[2] / "docs"
SPOT, VOL, STEP_MINUTES = 60_000.0, 0.6, 5.0
STEP_YEARS = STEP_MINUTES / (365 * 24 * 60)


def market(gain: float, *, steps: int = 288, gamma_usd: float = -4e9, fee_bps: float = 6.0, iv: float = VOL) -> Scenario:
    """A dealer of constant dollar gamma whose loop gain is ``gain``."""
    return Scenario(
        SPOT,
        Clock.uniform(horizon_days=steps * STEP_MINUTES / 1440, step_minutes=STEP_MINUTES),
        Gbm(VOL),
        ImpactModel(permanent_per_usd=gain / -gamma_usd),
        (Dealer("dealers", EveryStep(), 0, gamma_usd=gamma_usd, iv=iv),),
        "implicit",
        costs=Costs(fee_bps=fee_bps),
        stop_log_move=4.0,
    )


def compared(scenario: Scenario, *texts: str, paths: int = 1024, seed: int = 7, **options):
    terms = {name: options.pop(name) for name in ("market_share", "desk", "instrument") if name in options}
    return compare_policies(Question(scenario, **terms), policies_from_text(texts), paths=paths, seed=seed, **options)


def rows(frontier):
    return {row["policy"]: row for row in policy_results(frontier)}


def step_band(scenario: Scenario, widths: float) -> float:
    """Half-width in USD: that many standard deviations of one step's change of the hedge."""
    return widths * abs(scenario.agents[0].gamma_usd) * VOL * STEP_YEARS**0.5


# What theory says of a constant gamma


@pytest.mark.parametrize(("gain", "gamma_usd"), [(0.5, -4e9), (0.3, -9e8), (-0.8, 2.5e9)])
def test_every_step_amplifies_by_one_over_one_less_gain(gain, gamma_usd):
    found = rows(compared(market(gain, gamma_usd=gamma_usd), "every-step", paths=256))["every-step"]
    assert found["together"]["amplification"]["value"] == pytest.approx(1 / (1 - gain), rel=1e-9)
    assert found["together"]["amplification_horizon"]["value"] == pytest.approx(1 / (1 - gain), rel=1e-9)
    assert found["alone"]["amplification"] == {"value": 1.0, "standard_error": 0.0}
    assert found["together"]["mishedge_rms_usd"]["value"] < 1e-3


@pytest.mark.parametrize("gain", [0.5, -0.5])
def test_a_band_trades_more_in_the_closed_loop_by_one_over_one_less_gain(gain):
    """Turnover a^2/(2 H (1 - g)); without feedback a^2/(2 H), H corrected for looking only once a step (0.5826 of a step's move)."""
    scenario = market(gain, steps=2000, gamma_usd=math.copysign(4e9, -gain))
    width = step_band(scenario, 8.0)
    found = rows(compared(scenario, f"band:{width!r}usd, every-step", paths=512))
    band, always = found[word(Band(half_width_usd=width))], found["every-step"]
    assert band["together"]["turnover_usd_per_day"]["value"] == pytest.approx(
        band["alone"]["turnover_usd_per_day"]["value"] / (1 - gain), rel=1e-9
    )
    assert band["together"]["turnover_usd_per_day"]["value"] < 0.1 * always["together"]["turnover_usd_per_day"]["value"]
    a = 4e9 * VOL
    corrected = width + 0.5826 * a * STEP_YEARS**0.5
    theory = a * a / (2 * corrected) / 365
    turnover = band["alone"]["turnover_usd_per_day"]
    # the hedge starts in the middle of the band: E m^2 grows from 0 to H^2/3, which takes H/6 off the turnover once
    first = corrected / 6 / (2000 * STEP_YEARS * 365)
    assert turnover["standard_error"] < 0.01 * theory
    assert abs(turnover["value"] + first - theory) < 4 * turnover["standard_error"]
    for wrong in (2 * theory, theory / 2, theory * (1 + 0.5826 / 8)):  # a factor dropped, or the correction
        assert abs(turnover["value"] + first - wrong) > 4 * turnover["standard_error"]


def test_a_band_moves_the_feedback_to_long_horizons_and_removes_none():
    gain = 0.5
    scenario = market(gain, steps=4000)
    width = step_band(scenario, 4.0)
    found = rows(compared(scenario, f"band:{width!r}usd", "every-step", paths=256))
    band, always = found[word(Band(half_width_usd=width))]["together"], found["every-step"]["together"]
    # (1 - g) x = F - impact of what is still to be bought, which the band bounds: pathwise, so no error is needed
    reach = scenario.impact.permanent_per_usd * width / (VOL * (4000 * STEP_YEARS) ** 0.5)
    assert abs((1 - gain) * band["amplification_horizon"]["value"] - 1) < 1.2 * reach
    assert 1.05 < band["amplification"]["value"] < 0.7 * always["amplification"]["value"]
    signature = [row["amplification"]["value"] for row in band["horizons"]]
    assert signature[0] < signature[3] < signature[-1]


@pytest.mark.parametrize(("gain", "gamma_usd"), [(0.5, -4e9), (0.2, -1.5e9), (-0.6, 2e9)])
def test_what_feedback_costs_a_constant_gamma(gain, gamma_usd):
    """Break-even variance moves from vol^2 to vol^2/(1 - g): feedback costs -Gamma$/2 vol^2 T g/(1 - g) when everybody hedges every step."""
    found = rows(compared(market(gain, gamma_usd=gamma_usd), "every-step", paths=1024))["every-step"]["together"]
    years = 288 * STEP_YEARS
    theory = -gamma_usd / 2 * VOL**2 * years * gain / (1 - gain)
    feedback = found["feedback_usd"]
    assert feedback["standard_error"] < 0.01 * abs(theory)
    assert abs(feedback["value"] - theory) < 4 * feedback["standard_error"]
    for wrong in (theory * (1 - gain), theory / (1 - gain), -theory):
        assert abs(feedback["value"] - wrong) > 10 * feedback["standard_error"]


def test_costs_without_feedback_are_what_is_paid():
    found = rows(compared(market(0.5), "every-step, grid:60min, none", paths=128))
    days = 288 * STEP_MINUTES / 1440
    for name in ("every-step", "grid:60min"):
        paid = found[name]["alone"]
        assert paid["cost_usd"]["value"] == pytest.approx(6e-4 * paid["turnover_usd_per_day"]["value"] * days, rel=1e-12)
        assert paid["fees_usd"]["value"] == pytest.approx(paid["cost_usd"]["value"], rel=1e-12)
        assert paid["feedback_usd"] == {"value": 0.0, "standard_error": 0.0}
    assert found["none"]["together"]["cost_usd"]["value"] == 0.0
    assert found["none"]["together"]["amplification"]["value"] == 1.0


def test_funding_is_part_of_the_cost_and_margin_a_share_of_the_position():
    scenario = replace(
        market(0.0, steps=24),
        agents=(Dealer("d", EveryStep(), 0, options=OptionBook.single(strike_usd=SPOT, expiry_years=0.1, contracts_coin=-50.0, iv=VOL)),),
    )
    perp = HedgeInstrument("perp", funding_per_year=0.5, margin_share=0.05)
    found = rows(compared(scenario, "every-step", paths=64, instrument=perp))["every-step"]["alone"]
    held = found["peak_position_usd"]["value"]
    assert found["margin_usd"]["value"] == pytest.approx(0.05 * held, rel=1e-12)
    assert found["funding_usd"]["value"] == pytest.approx(0.5 * 24 * STEP_YEARS * held, rel=0.05)
    assert found["cost_usd"]["value"] == pytest.approx(found["funding_usd"]["value"] + found["fees_usd"]["value"], rel=1e-9)


# Errors against plain statistics over the same paths


@pytest.fixture(scope="module")
def by_hand():
    """Two policies compared, and the same paths through the plain engine, path by path."""
    scenario = market(0.4, steps=48)
    question = Question(scenario)
    policies = policies_from_text(["every-step, grid:60min"])
    frontier = compare_policies(question, policies, paths=300, seed=11)
    blocks = {
        (place, world): run_block(plan_run(question.world(policy, world), seed=11), 0, 300)
        for place, policy in enumerate(policies)
        for world in ("alone", "together")
    }
    return frontier, blocks


def pnl(block):
    return block.agents[0].pnl_usd.sum(axis=0)


def paid(block):
    return 6e-4 * block.agents[0].turnover_usd


def error(sample):
    return sample.std(ddof=1) / math.sqrt(sample.size)


def test_costs_and_their_differences_are_paired(by_hand):
    frontier, blocks = by_hand
    cost = {}
    for place in (0, 1):
        off, on = blocks[place, "alone"], blocks[place, "together"]
        feedback = pnl(off) + paid(off) - pnl(on) - paid(on)
        cost[place] = paid(on) + feedback
        found = policy_results(frontier)[place]["together"]
        assert found["feedback_usd"]["value"] == pytest.approx(feedback.mean(), rel=1e-8)
        assert found["feedback_usd"]["standard_error"] == pytest.approx(error(feedback), rel=1e-6)
    (pair,) = differences(frontier)
    assert (pair["policy"], pair["less"]) == ("every-step", "grid:60min")
    gap = cost[0] - cost[1]
    assert pair["together"]["cost_usd"]["value"] == pytest.approx(gap.mean(), rel=1e-8)
    assert pair["together"]["cost_usd"]["standard_error"] == pytest.approx(error(gap), rel=1e-6)
    gap = paid(blocks[0, "alone"]) - paid(blocks[1, "alone"])
    assert pair["alone"]["cost_usd"]["standard_error"] == pytest.approx(error(gap), rel=1e-6)
    assert pair["alone"]["turnover_usd"]["value"] == pytest.approx(gap.mean() / 6e-4, rel=1e-8)


def test_risk_and_vol_differences_agree_with_a_jackknife(by_hand):
    frontier, blocks = by_hand
    (pair,) = differences(frontier)

    def jackknife(statistic):
        count = 300
        left_out = np.array([statistic(np.delete(np.arange(count), one)) for one in range(count)])
        return statistic(np.arange(count)), math.sqrt((count - 1) * left_out.var())

    on = [blocks[place, "together"] for place in (0, 1)]
    value, spread = jackknife(lambda keep: pnl(on[0])[keep].std() - pnl(on[1])[keep].std())
    assert pair["together"]["risk_usd"]["value"] == pytest.approx(value, rel=1e-8)
    assert pair["together"]["risk_usd"]["standard_error"] == pytest.approx(spread, rel=0.05)
    plain = on[0].fundamental_log[:, -1] ** 2
    ends = [block.log_price[:, -1] ** 2 for block in on]
    value, spread = jackknife(
        lambda keep: math.sqrt(ends[0][keep].mean() / plain[keep].mean()) - math.sqrt(ends[1][keep].mean() / plain[keep].mean())
    )
    assert pair["together"]["amplification_horizon"]["value"] == pytest.approx(value, rel=1e-6, abs=1e-9)
    squares = [(np.diff(block.log_price, axis=1) ** 2).sum(axis=1) for block in on]
    still = (np.diff(on[0].fundamental_log, axis=1) ** 2).sum(axis=1)
    value, spread = jackknife(
        lambda keep: math.sqrt(squares[0][keep].mean() / still[keep].mean()) - math.sqrt(squares[1][keep].mean() / still[keep].mean())
    )
    assert pair["together"]["amplification"]["value"] == pytest.approx(value, rel=1e-8)
    assert pair["together"]["amplification"]["standard_error"] == pytest.approx(spread, rel=0.05)


# The same bits however it is run


def two_books(first: str = "a", second: str = "b") -> Scenario:
    book = OptionBook.single("put", strike_usd=58_000.0, expiry_years=0.02, contracts_coin=-700.0, iv=0.65)
    return replace(
        market(0.2, steps=12),
        agents=(
            Dealer(first, EveryStep(), 0, gamma_usd=-4e9, iv=VOL),
            Dealer(second, EveryStep(), 0, options=book, hedge_share=0.7),
        ),
    )


def bytes_of(frontier) -> bytes:
    return strict_json([policy_results(frontier), differences(frontier)])


def test_threads_names_and_order_change_no_bit():
    scenario = two_books()
    once = bytes_of(compared(scenario, "every-step, band:2e6usd", paths=1100))
    assert bytes_of(compared(scenario, "every-step, band:2e6usd", paths=1100, threads=2)) == once
    renamed = two_books("z", "c")
    turned = replace(renamed, agents=renamed.agents[::-1])
    assert bytes_of(compared(turned, "every-step, band:2e6usd", paths=1100)) == once
    assert bytes_of(compared(scenario, "every-step, band:2e6usd", paths=1100, seed=8)) != once


class Killed(Exception):
    pass


def test_a_killed_comparison_goes_on_to_the_same_bits(tmp_path):
    scenario, policies = two_books(), policies_from_text(["every-step, band:2e6usd"])
    question = Question(scenario)
    whole = bytes_of(compare_policies(question, policies, paths=2100, seed=7))
    keeper = SumsFile(tmp_path / "out.json.partial", fingerprint(question, policies, paths=2100, seed=7))

    def kill(done: int, total: int) -> None:
        if done > 4 * 1024 + 1500:
            raise Killed

    with pytest.raises(Killed):
        compare_policies(question, policies, paths=2100, seed=7, keeper=keeper, progress=kill, threads=2)
    assert keeper.load().blocks == 1
    seen = []
    again = compare_policies(question, policies, paths=2100, seed=7, keeper=keeper, progress=lambda done, total: seen.append((done, total)))
    assert bytes_of(again) == whole
    assert seen[0] == (4 * 1024 + 1024, 4 * 2100)
    assert seen[-1] == (4 * 2100, 4 * 2100)


def test_a_part_of_another_comparison_or_a_broken_one_counts_for_nothing(tmp_path):
    question, policies = Question(market(0.2, steps=12)), policies_from_text(["every-step"])
    first = fingerprint(question, policies, paths=64, seed=7)
    others = [
        fingerprint(question, policies, paths=65, seed=7),
        fingerprint(question, policies, paths=64, seed=8),
        fingerprint(question, policies_from_text(["grid:10min"]), paths=64, seed=7),
        fingerprint(Question(market(0.3, steps=12)), policies, paths=64, seed=7),
        fingerprint(Question(market(0.2, steps=13)), policies, paths=64, seed=7),
    ]
    assert len({first, *others}) == 6
    assert fingerprint(Question(market(0.2, steps=12)), policies, paths=64, seed=7) == first
    path = tmp_path / "part"
    kept: list[Progressed] = []

    class Memory:
        def load(self):
            return None

        def save(self, progressed):
            kept.append(progressed)

    compare_policies(question, policies, paths=1100, seed=7, keeper=Memory())
    SumsFile(path, first).save(kept[0])
    assert SumsFile(path, first).load().joint.paths == 1024
    assert SumsFile(path, others[0]).load() is None
    data = path.read_bytes()
    for broken in (b"", data[:-40], data[:200] + b"\x00" * 50 + data[250:], b"not an archive"):
        path.write_bytes(broken)
        assert SumsFile(path, first).load() is None
    SumsFile(path, first).remove()
    assert not path.exists()


# Who hedges by the policy


def test_a_share_of_the_market_hedges_by_the_policy_and_the_rest_every_step():
    scenario = market(0.5, steps=48)
    all_of_it = rows(compared(scenario, "every-step, none", paths=128))
    quarter = rows(compared(scenario, "every-step, none", paths=128, market_share=0.25))
    assert quarter["every-step"]["together"]["amplification"]["value"] == pytest.approx(2.0, rel=1e-9)
    assert quarter["none"]["together"]["amplification"]["value"] == pytest.approx(1 / (1 - 0.375), rel=1e-9)
    assert all_of_it["none"]["together"]["amplification"]["value"] == 1.0
    ratio = quarter["every-step"]["alone"]["cost_usd"]["value"] / all_of_it["every-step"]["alone"]["cost_usd"]["value"]
    assert ratio == pytest.approx(0.25, rel=1e-9)


def test_a_desk_is_compared_in_the_crowd_around_it():
    desk = Dealer("desk", EveryStep(), 0, gamma_usd=-1e8, iv=VOL)
    scenario = replace(market(0.5, steps=48), agents=(*market(0.5).agents, desk))
    frontier = compared(scenario, "every-step, none", paths=128, desk=("desk",), market_share=0.0)
    found = rows(frontier)
    gain = 0.5 * (1 + 1e8 / 4e9)
    assert found["every-step"]["together"]["amplification"]["value"] == pytest.approx(1 / (1 - gain), rel=1e-9)
    assert found["none"]["together"]["amplification"]["value"] == pytest.approx(2.0, rel=1e-9)
    assert found["none"]["alone"]["amplification"]["value"] == 1.0
    assert found["every-step"]["alone"]["turnover_usd_per_day"]["value"] < 1e9


def test_only_the_hedged_part_of_a_book_is_counted():
    whole = market(0.2, steps=24)
    half = replace(whole, agents=(replace(whole.agents[0], hedge_share=0.5),), impact=ImpactModel(permanent_per_usd=2 * 0.2 / 4e9))
    smaller = rows(compared(half, "every-step", paths=64))["every-step"]["together"]
    full = rows(compared(whole, "every-step", paths=64))["every-step"]["together"]
    assert smaller["amplification"]["value"] == pytest.approx(full["amplification"]["value"], rel=1e-9)
    assert smaller["cost_usd"]["value"] == pytest.approx(0.5 * full["cost_usd"]["value"], rel=1e-9)


# The best numbers


def test_the_best_band_without_feedback_is_whalley_and_wilmotts():
    """H^3 = 3/2 c Gamma$^2/a; looking once a step, the band that acts is wider by 0.5826 of a step's move."""
    scenario = market(0.4, steps=576)
    averse, cost = 4e-7, 6e-4
    best = (1.5 * cost * 4e9**2 / averse) ** (1 / 3)
    question = Question(scenario)
    alone, together = optimise_policy(question, "band", Objective("variance", averse), paths=256, seed=3)
    width = alone.policy.half_width_usd + 0.5826 * step_band(scenario, 1.0)
    assert width == pytest.approx(best, rel=0.15)
    assert not alone.at_edge
    assert len(alone.trials) >= 8
    values = {trial.policy.half_width_usd: trial.alone for trial in alone.trials}
    assert alone.value_usd == min(values.values())
    assert together.value_usd == min(trial.together for trial in together.trials)
    # the same search with another aversion finds another band: the test can fail
    wider, _ = optimise_policy(question, "band", Objective("variance", averse / 27), paths=256, seed=3)
    assert wider.policy.half_width_usd > 1.8 * alone.policy.half_width_usd


def test_the_best_interval_is_whole_steps_and_two_numbers_are_searched_together():
    options = OptionBook.single(strike_usd=SPOT, expiry_years=7 / 365, contracts_coin=-300.0, iv=VOL)
    scenario = replace(market(0.1, steps=24), agents=(Dealer("d", EveryStep(), 0, options=options),))
    question = Question(scenario)
    alone, _ = optimise_policy(question, "grid", Objective("variance", 1e-6), paths=64, seed=3)
    assert alone.policy.every_minutes % STEP_MINUTES == 0
    found = optimise_policy(question, "leland", Objective("variance", 1e-6), paths=8, seed=3)
    assert {trial.policy.every_minutes % STEP_MINUTES for trial in found[0].trials} == {0.0}
    assert len({trial.policy.cost_bps for trial in found[0].trials}) > 3
    averse = optimise_policy(question, "whalley-wilmott", Objective("mean-es"), paths=200, seed=3)
    assert averse[1].policy.cost_bps == 6.0
    assert "expected shortfall" in str(averse[1])


def test_a_search_that_was_killed_goes_on(tmp_path):
    question = Question(market(0.3, steps=24))
    keeper = TrialsFile(tmp_path / "trials", "mine")
    tried = []

    def count(done: int, total: int) -> None:
        tried.append(done)
        if len(tried) == 5:
            raise Killed

    with pytest.raises(Killed):
        optimise_policy(question, "band", Objective("variance", 1e-6), paths=32, seed=3, keeper=keeper, progress=count)
    assert len(keeper.load()) == 4
    again = optimise_policy(question, "band", Objective("variance", 1e-6), paths=32, seed=3, keeper=keeper)
    fresh = optimise_policy(question, "band", Objective("variance", 1e-6), paths=32, seed=3)
    assert [one.document() for one in again] == [one.document() for one in fresh]
    assert TrialsFile(keeper.path, "another").load() == {}
    keeper.path.write_text("[1")
    assert keeper.load() == {}


def test_without_scipy_the_search_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(MissingPackageError, match=r"tailwag\[optimise\]"):
        optimise_policy(Question(market(0.3, steps=12)), "band", Objective("variance", 1e-6), paths=8, seed=3)


# Words, mistakes, and what is written


def test_policies_are_listed_by_commas_and_numbers_keep_theirs():
    texts = ["every-step, grid:60min,30min, band:5coin:centre", "whalley-wilmott:1e-6,5bps,leland:5bps,60min", "every-step"]
    found = [word(policy) for policy in policies_from_text(texts)]
    assert found == ["every-step", "grid:60min,30min", "band:5coin:centre", "whalley-wilmott:1e-6,5bps", "leland:5bps,60min"]
    assert policies_from_text(found) == policies_from_text(texts)


@pytest.mark.parametrize("width", [1.0, 2e6, 57e6, 1.674e6, 123456.789, 0.05, 7.4023321e7, 1e-9, 3.3e11, 1 / 3])
def test_a_shown_word_is_the_very_policy(width):
    policy = Band(half_width_usd=width)
    assert policy_from_text(word(policy)) == policy


@pytest.mark.parametrize(
    ("policies", "options", "says"),
    [
        ((), {}, "a policy at least"),
        ((EveryStep(),), {"paths": 0}, "1 to 100,000,000 paths"),
        ((EveryStep(),), {"threads": 0}, "1 to 1,024 threads"),
        ((policy_from_text("predictive"),), {}, "policy predictive: agent 'dealers': predictive hedging wants delay_steps"),
        ((policy_from_text("charm-only"),), {}, "policy charm-only"),
        ((policy_from_text("leland:5bps,60min"),), {}, "policy leland:5bps,60min"),
    ],
)
def test_what_cannot_run_is_refused_with_the_policys_name(policies, options, says):
    with pytest.raises(InputError, match=says):
        compare_policies(Question(market(0.3, steps=12)), policies, **{"paths": 8, "seed": 7, **options})


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        ({"market_share": 1.5}, "market share from 0 to 1"),
        ({"market_share": 0.0}, "market share above 0"),
        ({"desk": ("nobody",)}, "desks among the dealers"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(terms, says):
    with pytest.raises(InputError, match=says):
        Question(market(0.3, steps=12), **terms)
    with pytest.raises(InputError, match="a dealer at least"):
        Question(replace(market(0.3, steps=12), agents=()))


@pytest.mark.parametrize(
    ("kind", "objective", "says"),
    [("every-step", ("variance", 1e-6), "have a number to choose"), ("band", ("mean-es", None), "200 paths")],
)
def test_a_search_that_makes_no_sense_is_refused(kind, objective, says):
    with pytest.raises(InputError, match=says):
        optimise_policy(Question(market(0.3, steps=12)), kind, Objective(*objective), paths=8, seed=3)


def test_an_objective_is_weighed_by_a_number():
    with pytest.raises(InputError, match="--risk-aversion-per-usd"):
        Objective("variance")
    with pytest.raises(InputError, match="variance, mean-es"):
        Objective("sharpe")
    with pytest.raises(InputError, match="cost of trading"):
        optimise_policy(Question(market(0.3, steps=12, fee_bps=0.0)), "whalley-wilmott", Objective("variance", 1e-6), paths=8, seed=3)


@pytest.fixture(scope="module")
def document():
    scenario = market(0.5, steps=48)
    frontier = compared(scenario, "every-step, grid:60min, band:2e7usd, none", paths=1100)
    book = Prepared(frontier.question, 1100, 7, "scenario", "<b>mine</b>.toml", "0" * 64, "fundamental", ("a note",))
    return frontier_document(frontier, book)


def test_the_answer_names_the_cheapest_and_what_each_adds(document):
    assert document["schema"] == "tailwag.frontier/1"
    first = document["headline"][0]
    assert first.startswith(f"With hedging moving the market, {document['cheapest']['together']} costs least: ")
    assert document["cheapest"]["together"] != "none"
    assert any("every-step +100.0 % and +100.0 %" in line for line in document["headline"])
    assert document["assumptions"]["starting_gain"] == pytest.approx(0.5)
    assert json.loads(strict_json(document)) == json.loads(json.dumps(document))
    assert len(document["differences"]) == 6


def test_the_report_is_one_page_that_loads_nothing(document):
    page = frontier_html(document)
    assert page.startswith("<!doctype html>")
    assert "<b>mine" not in page
    body = page.split("<main>")[1].split("</main>")[0]
    assert "src=" not in body
    assert "https://" not in body
    for row in document["policies"]:
        assert row["policy"] in body
    assert body.count('class="figure"') == 2
    assert "prefers-color-scheme: dark" in page


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_picture_is_drawn(document, theme):
    assert frontier_card(document, theme=theme)[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_runaway_is_a_stated_outcome_not_a_number_made_up():
    calm = market(0.5, steps=48)
    agents = tuple(replace(agent, delay_steps=1, gamma_usd=-1.1e10) for agent in calm.agents)
    scenario = replace(calm, clearing="lagged", stop_log_move=0.05, agents=agents)
    found = rows(compared(scenario, "every-step, grid:60min", paths=64))
    wild = found["every-step"]["together"]
    assert wild["runaway"]["value"] > 0.5
    assert found["every-step"]["alone"]["finished"]["value"] > 0.9
    pair = differences(compared(scenario, "every-step, grid:60min", paths=64))[0]
    assert pair["together"]["amplification"]["value"] is None
    assert "stopped early" in pair["together"]["amplification"]["reason"]


def test_a_policy_that_only_the_plain_engine_steps_is_compared_too():
    calm = market(0.2, steps=12)
    scenario = replace(calm, clearing="lagged", agents=(replace(calm.agents[0], delay_steps=1),))
    frontier = compared(scenario, "every-step, predictive, grid:10min,5min", paths=32)
    assert frontier.engine == "fast and plain"
    plain = compared(scenario, "every-step, predictive, grid:10min,5min", paths=32, engine="plain")
    for one, other in zip(policy_results(frontier), policy_results(plain), strict=True):
        assert one["together"]["cost_usd"]["value"] == pytest.approx(other["together"]["cost_usd"]["value"], rel=1e-9)


def test_time_grid_prints_its_word():
    assert word(AtTimes(60.0)) == "grid:60min"


# The pages


def keys_of(value):
    if isinstance(value, dict):
        return set(value) | {key for item in value.values() for key in keys_of(item)}
    return {key for item in value for key in keys_of(item)} if isinstance(value, list) else set()


def test_the_page_of_the_json_names_every_key(document):
    optima = optimise_policy(Question(market(0.3, steps=12)), "band", Objective("variance", 1e-6), paths=8, seed=3)
    whole = {**document, "optimised": [one.document() for one in optima]}
    text = (DOCS / "reference" / "frontier-json.md").read_text(encoding="utf-8")
    named = keys_of(whole) | {
        key for text in ("grid:60min,30min", "zakamouline:1e-6,5bps") for key in policy_to_mapping(policy_from_text(text))
    }
    assert {key for key in named if not re.search(rf"[`{{\"]{key}[`\"]", text)} == set()


@pytest.mark.realdata
def test_what_the_page_says_of_a_real_chain_is_what_comes_out(tmp_path):
    """The figures of the how-to, computed again; the sign of the feedback's effect on risk must be beyond doubt."""
    folder = os.environ.get("TAILWAG_DATA")
    if not folder or not (Path(folder) / "INDEX.md").is_file():
        pytest.skip("set TAILWAG_DATA to the folder of real market data to run this")
    from tailwag.experiments.measure import MeasureOptions, measure
    from tailwag.positioning import LongCallsShortPuts
    from tailwag.sources import load

    chain = load(Path(folder) / "deribit-rest" / "gamma-data-btc-2025-11-19T11-21-13-295Z.json", currency="BTC")
    options = MeasureOptions(dynamics="sticky-strike", rules=(LongCallsShortPuts(),), liquidity="given", depth_usd_per_pct=400e6)
    path = tmp_path / "measure.json"
    path.write_bytes(strict_json(measure(chain, options).document()))
    book = prepare_book(str(path), Terms(paths=4096, seed=7))
    texts = ["every-step, grid:60min, band:72e6usd, whalley-wilmott:1e-7,6bps, band:220e6usd"]
    frontier = compare_policies(book.question, policies_from_text(texts), paths=4096, seed=7, threads=2)
    document = frontier_document(frontier, book)
    page = re.sub(r"\s+", " ", (DOCS / "how-to" / "compare-hedging-policies.md").read_text(encoding="utf-8"))
    said = document["assumptions"]
    assert f"the loop gain is {said['starting_gain']:+.3f}" in page
    assert f"{100 * said['price_vol']:.1f} %. |" in page
    for row in document["policies"]:
        off, on = row["alone"], row["together"]
        cells = [row["policy"], *(money(world[key]["value"]) for world in (off, on) for key in ("cost_usd", "risk_usd"))]
        cells += [f"{100 * (on[name]['value'] - 1):+.1f} %" for name in ("amplification", "amplification_horizon")]
        line = "| " + " | ".join(cells) + " |"
        assert line.replace(".0k", "k").replace("$84.2k", "$84k") in page, line
    assert len(document["efficient"]["alone"]) == 5
    assert document["efficient"]["together"] == ["band:72e6usd", "whalley-wilmott:1e-7,6bps", "band:220e6usd"]
    pair = next(row for row in document["differences"] if (row["policy"], row["less"]) == ("every-step", "band:72e6usd"))
    on, off = pair["together"]["risk_usd"], pair["alone"]["risk_usd"]
    assert on["value"] > 6 * on["standard_error"]
    assert off["value"] < -6 * off["standard_error"]
    assert f"${on['value'] / 1e3:.0f}k +- ${on['standard_error'] / 1e3:.0f}k *more* risk" in page
    assert f"${-off['value'] / 1e3:.0f}k +- ${off['standard_error'] / 1e3:.0f}k less" in page
    feedback = [row["together"]["feedback_usd"]["value"] / 1e6 for row in document["policies"]]
    assert f"between ${min(feedback):.2f}m and ${max(feedback):.2f}m" in page
