"""Every kind of agent in one market on several venues: nothing is lost on any path in any step, and neither threads, blocks, order nor names matter."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.cli.command import tailwag
from tests.sim.everything import at_random, everything, prompt, shuffled
from tests.sim.everything_audit import Findings, audited
from tests.sim.test_leveraged import NO_FUNDING, scenario

from tailwag.errors import InputError
from tailwag.experiments.scenario_agents import READERS
from tailwag.experiments.scenario_files import ScenarioFile, load_scenario
from tailwag.experiments.scenario_switches import SWITCHES, Chosen, chosen_switch, for_agents
from tailwag.liquidity.pools import WeightedPool
from tailwag.margin.contract import Contract
from tailwag.margin.maintenance import SizeSlope
from tailwag.margin.rulebook import Rulebook
from tailwag.sim import engine_clearing, venues_engine
from tailwag.sim.agents.block_seller import BlockSeller
from tailwag.sim.agents.ladder import Cluster, LiquidationLadder
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.agents.pool import PoolArbitrage
from tailwag.sim.blocks import run_block
from tailwag.sim.clearing import clear
from tailwag.sim.engine import plan_run
from tailwag.sim.impact import ImpactModel
from tailwag.sim.leverage_buckets import LeverageBucket
from tailwag.sim.liquidation_events import Against
from tailwag.sim.pool_state import PoolFee, PoolTerms
from tailwag.sim.run import simulate
from tailwag.sim.scenario import Scenario
from tailwag.sim.venues_home import everybody, run_home_block, venues_of

WORDS = {
    "coin", "cash", "profit without options", "profit with options", "option coin", "options' premium_usd", "options' settled_usd",
    "options' value_usd", "options' edge_usd", "a vault's premium", "a vault's payoff", "an options pool's edge", "an options pool's coin", "leveraged positions", "margin, fund and debt",
    "both legs of an arbitrage", "liquidations are what was traded", "both sides of a deleveraging",
    "a liquidation has a price and a size", "a liquidation has a counterparty", "only a fund that holds something bears a loss", "a liquidation has a reason", "an option that expired is gone",
    "margined purses", "margined perps", "a takeover has a price, a counterparty and a reason", "a forced hedge is priced by the market",
}  # fmt: skip


SHORT = {"hours": 3.0, "minutes": 15}
"""A run of few steps, in which options expire, vaults sell and somebody is deleveraged."""


def read(folder: Path, text: str) -> ScenarioFile:
    path = folder / "everything.toml"
    path.write_text(text)
    return load_scenario(path)


def sound(told: Findings) -> None:
    assert not told.wrong, "\n".join(told.wrong[:20])
    assert all(off <= 1e-9 for off in told.worst.values())


def same(one, other) -> None:
    for word in (
        "log_price",
        "fundamental_log",
        "net_flow_usd",
        "outcome",
        "stopped_step",
        "liquidity_cash_usd",
        "venue_cash_usd",
        "holders_cash_usd",
    ):
        assert np.array_equal(getattr(one, word), getattr(other, word)), word


class TestEverythingOn:
    def test_every_kind_that_a_scenario_file_knows_takes_part(self) -> None:
        kinds = set(re.findall(r'^kind = "([\w-]+)"', everything(), re.M))
        assert kinds >= {*READERS, "arbitrageur"}

    def test_nothing_is_lost_on_any_path_in_any_step(self, tmp_path: Path) -> None:
        told = audited(read(tmp_path, everything(**SHORT)).scenario, seed=11, paths=3)
        sound(told)
        assert set(told.looked) >= WORDS, WORDS - set(told.looked)

    @pytest.mark.slow
    def test_nothing_is_lost_where_a_future_settles_inside_the_run(self, tmp_path: Path) -> None:
        text = everything(**SHORT).replace("expiry_days = 50", f"expiry_days = {2 / 24}")
        sound(audited(read(tmp_path, text).scenario, seed=11, paths=4))

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("venues", [True, False])
    def test_nothing_is_lost_in_a_longer_run(self, seed: int, venues: bool, tmp_path: Path) -> None:
        told = audited(read(tmp_path, everything(venues=venues)).scenario, seed=seed, paths=8)
        sound(told)

    @pytest.mark.parametrize(
        "shape",
        [
            {"hours": 3.0, "minutes": 30, "venues": False},
            pytest.param({}, marks=pytest.mark.slow),
            pytest.param({"venues": False}, marks=pytest.mark.slow),
        ],
    )
    def test_neither_blocks_nor_order_nor_names_change_a_bit(self, shape: dict[str, Any], tmp_path: Path) -> None:
        text = everything(**shape)
        whole = read(tmp_path, text).scenario
        plan = plan_run(whole, seed=11)
        run = run_home_block if whole.elsewhere is not None else run_block
        together, first, second = run(plan, 0, 5), run(plan, 0, 2), run(plan, 2, 3)
        assert np.array_equal(together.log_price, np.concatenate([first.log_price, second.log_price]))
        cash = [np.concatenate([a.final_cash_usd, b.final_cash_usd]) for a, b in zip(first.agents, second.agents)]
        assert all(np.array_equal(agent.final_cash_usd, half) for agent, half in zip(together.agents, cash))
        other = run(plan_run(read(tmp_path, shuffled(text, 3)).scenario, seed=11), 0, 5)
        same(together, other)
        assert sorted(agent.final_cash_usd.tobytes() for agent in together.agents) == sorted(
            agent.final_cash_usd.tobytes() for agent in other.agents
        )

    @pytest.mark.slow
    def test_threads_change_no_bit_of_the_run(self, tmp_path: Path) -> None:
        world = read(tmp_path, everything()).scenario
        one, two = (simulate(world, paths=24, seed=11, threads=threads, keep_paths=True) for threads in (1, 2))
        assert one.metrics == two.metrics or str(one.metrics) == str(two.metrics)
        assert np.array_equal(one.kept.log_price, two.kept.log_price)
        assert all(np.array_equal(one.kept.position_coin[name], two.kept.position_coin[name]) for name in one.kept.position_coin)

    @pytest.mark.slow
    def test_the_command_line_says_what_everybody_earned_and_lists_liquidations_of_every_venue(self, tmp_path: Path) -> None:
        path = tmp_path / "everything.toml"
        path.write_text(everything(**SHORT))
        done = tailwag("simulate", str(path), "--out", str(tmp_path / "out"))
        assert done.code == 0, done.err
        document = json.loads((tmp_path / "out" / "run.json").read_text())
        names = re.findall(r'^name = "([^"]+)"', path.read_text().split("[[agent]]", 1)[1], re.M)
        assert {row["agent"] for row in document["pnl"]} == set(names)
        leveraged = {"whole", "rounds", "perp traders", "inverse traders"}
        assert {entry["agent"] for entry in document["liquidations"]} == leveraged
        parties = {party.words: party.reason for party in Against}
        for entry in document["liquidations"]:
            total = entry["liquidated_usd"]["value"]
            for parts in ("by_side", "by_counterparty"):
                assert sum(one["value"] for one in entry[parts].values()) == pytest.approx(total, rel=1e-12)
            assert entry["worst_path"]["events"], entry["agent"]
            for event in entry["worst_path"]["events"]:
                assert event["usd"] > 0.0
                assert 20_000.0 < event["price_usd"] < 180_000.0
                assert event["reason"] == parties[event["counterparty"]]
                assert event["side"] in ("long", "short")


class TestAtRandom:
    @pytest.mark.parametrize("number", [7, 12])
    def test_nothing_is_lost(self, number: int, tmp_path: Path) -> None:
        sound(audited(read(tmp_path, at_random(number)).scenario, seed=number, paths=2))

    @pytest.mark.slow
    @pytest.mark.parametrize("number", range(30))
    def test_nothing_is_lost_in_many_markets(self, number: int, tmp_path: Path) -> None:
        sound(audited(read(tmp_path, at_random(number)).scenario, seed=number, paths=6))

    @pytest.mark.slow
    def test_every_part_is_drawn(self) -> None:
        texts = "".join(at_random(number) for number in range(30))
        assert all(re.search(rf'^kind = "{kind}"', texts, re.M) for kind in READERS)


class TestOnTheBrinkOfBankruptcy:
    """A sale that would go beyond the bankruptcy price with the fund empty is made in part: market and accounts agree at every such price."""

    @staticmethod
    def world(move: float, fund: float = 0.0):
        rules = Rulebook("made", Contract.LINEAR, SizeSlope(0.004, 0.0), NO_FUNDING, 0.0, False, True)
        sides = (LeverageBucket("long", 20.0, 2e8, 2e8, 1e-6, accounts=1), LeverageBucket("short", 2.0, 2e8, 2e8, 1e-6, accounts=1))
        traders = LeveragedTraders("traders", 0, sides, rules, fund_usd=fund)
        return scenario(np.array([move, 0.0]), traders, impact=ImpactModel(permanent_per_usd=3e-11))

    @pytest.mark.parametrize("fund", [0.0, 1e-6, 1e5])
    @pytest.mark.parametrize("move", np.linspace(-0.056, -0.044, 13).tolist())
    def test_what_the_accounts_closed_is_what_the_market_bought(self, move: float, fund: float) -> None:
        sound(audited(self.world(move, fund), seed=0, paths=1))

    def test_in_between_a_part_is_sold_and_the_rest_taken_at_the_bankruptcy_price(self) -> None:
        """No price clears whole: a sale of it ends below bankruptcy, none above.  The part sold makes the fill the bankruptcy price itself."""
        move, size = -0.0495, 2e8
        found = run_block(plan_run(self.world(move), seed=0), 0, 1, keep_agents=True)
        before, after = (60000.0 * math.exp(value) for value in (move, found.log_price[0, 1]))
        sold = -float(found.net_flow_usd[0, 0])
        assert 0.0 < sold < 0.99 * size
        assert after < before
        assert 0.5 * (before + after) / 60000.0 == pytest.approx(0.95, abs=1.1e-4)

    def test_in_the_step_that_stops_a_path_nobody_is_liquidated(self) -> None:
        world = replace(self.world(-0.5), stop_log_move=0.3)
        found = run_block(plan_run(world, seed=0), 0, 1, keep_agents=True)
        assert found.net_flow_usd[0, 0] == 0.0
        assert found.agents[0].turnover_usd[0] == 0.0
        sound(audited(world, seed=0, paths=1))


class TestBetweenAuctions:
    """Nobody can trade between two auctions, so no level is reached there, whatever price the market shows meanwhile."""

    @staticmethod
    def play(*moves: float) -> dict[str, Any]:
        rules = Rulebook("made", Contract.LINEAR, SizeSlope(0.004, 0.0), NO_FUNDING, 0.0, False, True)
        longs = LeverageBucket("long", 20.0, 1e7, 1e6, 1e-3, accounts=10)
        agents = (
            LiquidationLadder("ladder", 0, clusters=(Cluster(-0.03, 0.002, 1e7),)),
            LiquidationLadder("late ladder", 1, clusters=(Cluster(-0.03, 0.002, 1e7),)),
            LeveragedTraders("traders", 0, (longs,), rules, fund_usd=1e5),
        )
        world = scenario(np.array(moves), *agents, impact=ImpactModel(permanent_per_usd=1e-11))
        world = replace(world, batch_steps=4)
        sound(audited(world, seed=0, paths=1))
        found = run_block(plan_run(world, seed=0), 0, 1, keep_agents=True)
        return {agent.name: float(agent.turnover_usd[0]) for agent in found.agents}

    def test_a_fall_that_is_over_when_orders_clear_liquidates_nobody(self) -> None:
        assert self.play(-0.06, 0.0, 0.06, 0.0, 0.0, 0.0, 0.0, 0.0) == {"ladder": 0.0, "late ladder": 0.0, "traders": 0.0}

    def test_one_that_lasts_liquidates_in_the_auction_and_the_late_ones_in_the_next(self) -> None:
        assert min(self.play(-0.06, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0).values()) > 0.9e7
        early = self.play(-0.06, 0.0, 0.0, 0.0)
        assert early["late ladder"] == 0.0
        assert min(early["ladder"], early["traders"]) > 0.9e7

    def test_an_order_that_is_decided_between_two_waits_and_is_not_lost(self, tmp_path: Path) -> None:
        """Those who follow a clock or their own chance trade as much as without auctions, in the step of the auction."""
        names = ("hawkes", "manipulator", "squeezer", "block-seller", "quoting-dealer")
        text = everything(**SHORT, venues=False, only=names).replace("delay_steps = 1", "delay_steps = 0")
        world = read(tmp_path, text).scenario
        auctions = run_block(plan_run(replace(world, batch_steps=4), seed=3), 0, 3, keep_agents=True)
        plain = run_block(plan_run(world, seed=3), 0, 3, keep_agents=True)
        assert not np.delete(auctions.net_flow_usd, (3, 7, 11), axis=1).any(), "nobody trades between auctions"
        coin = {agent.name: (agent.final_position_coin, other.final_position_coin) for agent, other in zip(plain.agents, auctions.agents)}
        assert np.allclose(*coin["order flow"], rtol=0.02, atol=5.0)
        assert np.allclose(*coin["block seller"], rtol=0.02)
        for unwound in ("pusher", "squeezer"):
            assert np.allclose(coin[unwound], 0.0, atol=1e-9)
        sound(audited(replace(world, batch_steps=4), seed=3, paths=2))


class TestTheSmallestFixedPoint:
    """Of several prices at which a step could rest it is the first on the way: nobody is liquidated at a level that the market does not reach."""

    @staticmethod
    def rests(leverage: float) -> tuple[float, float]:
        """A purchase carries price to an edge of a pool's fee, beyond which the pool leans against it; shorts of this leverage wait above."""
        shorts = LeverageBucket("short", leverage, 2e8, 2e8, 1e-6, accounts=1)
        rules = Rulebook("made", Contract.LINEAR, SizeSlope(0.004, 0.0), NO_FUNDING, 0.0, False, True)
        agents = (
            PoolArbitrage("pool", PoolTerms(WeightedPool.worth(4e10, price_usd=60000.0), PoolFee(50.0))),
            BlockSeller("buyer", 1, 1.5e8, -0.005),
            LeveragedTraders("shorts", 0, (shorts,), rules, fund_usd=1e9),
        )
        world = scenario(np.array([-0.006, 0.0, 0.0]), *agents, impact=ImpactModel(permanent_per_usd=1e-10))
        found = run_block(plan_run(world, seed=0), 0, 1, keep_agents=True)
        return float(found.log_price[0, 2]), float(found.agents[2].turnover_usd[0])

    @pytest.mark.parametrize("leverage", [75.0, 83.0])
    def test_a_price_rests_before_a_level_that_a_longer_stride_would_have_passed(self, leverage: float) -> None:
        assert 1.0 / leverage - 0.0041 > 0.007, "their level is above the price at which the market rests"
        price, liquidated = self.rests(leverage)
        assert (price, liquidated) == (pytest.approx(0.007, abs=1e-5), 0.0)

    def test_a_level_before_that_price_is_reached(self) -> None:
        price, liquidated = self.rests(200.0)
        assert price > 0.015
        assert liquidated > 1.9e8

    @pytest.mark.parametrize("level", [0.0051, 0.0062, 0.0068, 0.0071, 0.0085, 0.0099])
    @pytest.mark.parametrize("jump", [0.001, 0.0035, 0.02])
    @pytest.mark.parametrize("side", [1.0, -1.0])
    def test_by_hand(self, level: float, jump: float, side: float) -> None:
        """x = 0.009 - (x - 0.005)+ + J 1{x >= level}: 0.007 where the level is above it, else (0.014 + J) / 2."""

        def excess(x: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            up = side * x
            value = 0.009 - up - np.maximum(up - 0.005, 0.0) + jump * (up >= level)
            return side * value, np.where(up > 0.005, -2.0, -1.0)

        found = clear(excess, np.zeros(1), bound_log=0.7, scale_log=np.array([np.inf]), jumps=True)
        assert side * float(found.log_price[0]) == pytest.approx(0.007 if level > 0.007 else 0.007 + 0.5 * jump, abs=1e-12)

    @pytest.mark.slow
    @pytest.mark.parametrize("text", [everything(venues=False), everything(), *map(at_random, range(8))])
    def test_no_price_on_the_way_to_where_a_step_clears_would_have_done(
        self, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looked = []

        def watched(excess, start_log, **words):
            def copied(price):
                return excess(price, np.ones(price.shape, dtype=bool))[0].copy()

            found, side = clear(excess, start_log, **words), np.sign(copied(start_log))
            way = np.where(found.found, found.log_price - start_log, 0.0)
            for share in np.linspace(0.0, 1.0, 100, endpoint=False)[1:]:
                looked.append(float(np.where(np.abs(way) > 1e-7, side * copied(start_log + share * way), 0.0).min()))
            assert np.abs(np.where(found.found, copied(found.log_price), 0.0)).max() < 1e-13
            return found

        monkeypatch.setattr(engine_clearing, "clear", watched)
        audited(read(tmp_path, text).scenario, seed=11, paths=8)
        assert min(looked, default=0.0) > -1e-12


RESTING = ("dealer", "constant dealer", "maker", "patient", "scalper", "ladder", "insurer", "perp dealers", "chain hedger", "basis", "dex")
"""Who can rest behind a price band, and arbitrageurs."""
MARKETS = {
    "everything": everything(**SHORT),
    "one venue": everything(**SHORT, venues=False),
    "prompt": prompt(everything(**SHORT)),
    "resting": everything(**SHORT, only=RESTING),
}
REFUSALS = {
    ("everything", "price-band-pause"): "which can rest, got agent 'whole'",
    ("one venue", "price-band-pause"): "which can rest, got agent 'whole'",
    ("everything", "batch-auction"): "liquidated in the step of the move, got agent 'whole' with late orders",
    ("everything", "isolated-margin"): "of initial margin at the start",
    ("one venue", "isolated-margin"): "of initial margin at the start",
    ("one venue", "batch-auction"): "liquidated in the step of the move, got agent 'whole' with late orders",
}
"""What cannot be, and why."""
CASES = [
    *((market, switch.name) for market in ("everything", "one venue") for switch in SWITCHES),
    ("prompt", "batch-auction"),
    ("resting", "price-band-pause"),
    ("resting", "block-seller"),
]
MAYBE = {"hedge-on": ("states its own funding", "blocks make orders wait")}
"""Switches that take every venue in turn, some of which cannot be."""


class TestEverySwitch:
    """A switch on the market with everything in it conserves, or says in one sentence why it cannot be."""

    @pytest.mark.slow
    @pytest.mark.parametrize(("market", "name"), CASES)
    def test_it_conserves_or_is_refused_in_a_sentence(self, market: str, name: str, tmp_path: Path) -> None:
        world = read(tmp_path, MARKETS[market]).scenario
        for chosen in for_agents(chosen_switch(name), world):
            changed = self.switched(chosen, world)
            if isinstance(changed, str):
                assert re.fullmatch(rf"switch {name}.*: (expected|venue) [^\n]{{20,400}}", changed)
                assert any(words in changed for words in (REFUSALS.get((market, name)), *MAYBE.get(name, ())) if words), changed
                continue
            assert (market, name) not in REFUSALS
            if changed is not world:
                sound(audited(changed, seed=11, paths=2))

    @staticmethod
    def switched(chosen: Chosen, world: Scenario) -> Scenario | str:
        try:
            return chosen(world)
        except InputError as error:
            return str(error)

    def test_the_switches_that_are_refused_above_are_not_refused_everywhere(self, tmp_path: Path) -> None:
        resting = read(tmp_path, MARKETS["resting"]).scenario
        assert chosen_switch("price-band-pause")(resting) is not resting
        plain = read(tmp_path, MARKETS["prompt"]).scenario
        assert chosen_switch("batch-auction")(plain).batch_steps == 4

    def test_one_block_is_sold_at_home_however_many_venues_there_are(self, tmp_path: Path) -> None:
        world = read(tmp_path, MARKETS["resting"]).scenario
        sold = chosen_switch("block-seller:at_log=0.001")(world)
        assert sum(isinstance(agent, BlockSeller) for agent in everybody(sold)) == 1


def test_on_a_chain_with_auctions_what_is_served_is_what_is_traded(tmp_path: Path) -> None:
    """Orders that wait for an auction are not executed in the blocks before it."""
    world = read(tmp_path, prompt(everything(**SHORT, only=("chain hedger", "dex")))).scenario
    venues = venues_of(chosen_switch("batch-auction")(world))
    plan = venues_engine.plan_venues(venues, seed=3)
    now = venues_engine.init(plan, 0, 3)
    for _ in range(world.grid.steps):
        now = venues_engine.step(plan, now)
    (place,) = (number for number, venue in enumerate(venues.venues) if venue.chain is not None)
    traded = sum(own.holding.turnover_usd for own in now.states[place].seats)
    assert (traded > 1e5).all()
    assert now.waiting[place].served_usd == pytest.approx(traded, rel=0.01)
