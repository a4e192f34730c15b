"""Option vaults among others: conservation, what buyers become, independent times, switches, scenario files, and an auction's price."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.contracts.agent import SPOT, market
from tests.experiments.scenario_texts import BASE, saved
from tests.sim.test_vault import BIDDERS, CALLS, PUTS, SHORT, TERMS

from tailwag.errors import InputError
from tailwag.experiments.run_vaults import vault_sentences, vaults
from tailwag.experiments.scenario_files import load_scenario
from tailwag.experiments.scenario_switches import chosen_switch
from tailwag.hedging.policies import EveryStep
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.quoting_dealer import QuotingDealer
from tailwag.sim.agents.vault import OptionVault
from tailwag.sim.dynamics import Replay
from tailwag.sim.engine import init, plan_run, step
from tailwag.sim.gain_bump import measure_gain
from tailwag.sim.ledger import PART
from tailwag.sim.option_market import Contract, OptionOrder, Quote, matched
from tailwag.sim.quoting import QuoteRule
from tailwag.sim.run import simulate
from tailwag.sim.scenario import Costs, Scenario
from tailwag.sim.vault_record import record_vaults

DEALERS = (
    QuotingDealer("near", QuoteRule(1.0, 700.0), EveryStep(), 0),
    QuotingDealer("far", QuoteRule(2.0, 400.0), EveryStep(), 0),
)


def crowded(**changes: Any) -> Scenario:
    """Calls and puts in parts and strikes, quoting dealers who hedge, bidders who do not, and a dealer short gamma; costs and impact."""
    many = replace(CALLS, name="many", epochs=replace(SHORT, jitter_hours=0.5, tranches=2, tranche_hours=0.5), most_strike_share=0.5)
    short = Dealer("short", EveryStep(), 0, gamma_usd=-4e8, iv=0.6)
    return market(CALLS, PUTS, many, *DEALERS, *BIDDERS, short, **{"options": TERMS, "clearing": "implicit", **changes})


def test_everything_is_conserved_in_every_step() -> None:
    """Coin, cash and every option contract sum to what they were, over all accounts; fees went to the vaults' managers."""
    plan = plan_run(crowded(), seed=8)
    state = init(plan, 0, 32)
    coins = sum(own.holding.position_coin for own in state.seats) + state.liquidity_coin
    traded = 0.0
    for _ in range(plan.scenario.grid.steps):
        state = step(plan, state)
        coin = sum(own.holding.position_coin for own in state.seats) + state.liquidity_coin
        cash = sum(own.holding.cash_usd for own in state.seats) + state.liquidity_usd + state.venue_usd + state.holders_usd
        held = [getattr(own.memory, "holding", own.memory) for own in state.seats]
        options = [one.slots.held for one in held if hasattr(one, "slots")]
        value = sum(one.value_usd for one in held if hasattr(one, "slots"))
        assert np.abs(coin - coins).max() <= 1e-9
        assert np.abs(cash).max() <= 1e-4
        assert np.abs(value).max() <= 1e-4, "one model for both sides"
        for path in (0, 31):
            net: dict[tuple[float, float, int], float] = {}
            for one in options:
                for slot in range(len(one.coin)):
                    if one.coin[slot, path]:
                        key = (one.right[slot, path], one.strike_usd[slot, path], int(one.expiry_step[slot, path]))
                        net[key] = net.get(key, 0.0) + one.coin[slot, path]
                        traded = max(traded, abs(one.coin[slot, path]))
            assert all(abs(coin) < 1e-9 for coin in net.values())
    fees = sum(own.memory.books.fee_usd for own in state.seats if hasattr(own.memory, "books"))
    assert traded > 100.0
    assert (fees > 0.0).any()
    assert state.holders_usd == pytest.approx(fees, abs=1e-4)


def test_the_account_of_a_vault_explains_its_profit_and_its_fees_stand_under_fees() -> None:
    records, window = record_vaults(crowded(), seed=8, paths=32)
    assert [record.agent.name for record in records] == ["calls", "puts", "many"]
    for record in records:
        assert np.abs(record.residual_usd).max() < 1e-6
        assert (record.premium_usd > 0.0).all()
        assert ((record.unsold_share >= -1e-12) & (record.unsold_share < 1.0)).all()
    assert window is not None
    assert (window.gain_after < window.gain_before).all(), "buyers become long gamma"


def test_a_flat_week_earns_the_premium_less_the_fees() -> None:
    """Nothing moves, nothing costs: premium p in coin is the gain, and 10 % of it and 2 % a year of the assets go."""
    calm = {
        "price": Replay(np.zeros(12)),
        "impact": replace(market().impact, permanent_per_usd=0.0, transient_per_usd=0.0),
        "costs": Costs(),
    }
    vault = replace(CALLS, epochs=replace(SHORT, length_hours=5.4))
    scenario = market(vault, *BIDDERS, options=TERMS, **calm)
    (record,), _ = record_vaults(scenario, seed=1, paths=2)
    gain = record.premium_usd / SPOT
    fee = 0.1 * gain + 0.02 * 5.4 / 8760.0 * (1000.0 + gain)
    assert record.payoff_usd.tolist() == [0.0, 0.0]
    assert record.fee_usd == pytest.approx(fee * SPOT, rel=1e-12)
    assert record.assets == pytest.approx(1000.0 + gain - fee, rel=1e-12)
    assert record.against_holding_usd == pytest.approx(record.premium_usd - record.fee_usd, rel=1e-9)
    assert record.sold_coin.tolist() == [700.0, 700.0]
    assert record.premium_usd == pytest.approx(0.7 * record.model_usd, rel=1e-12), "one price for all, that of the last bid needed"


@pytest.mark.parametrize("jump", [0.0, 0.05])
def test_a_call_vault_rolls_in_coin(jump: float) -> None:
    """Premium is turned into coin, payoff and fee are paid by selling coin; where nothing costs, coin is what its books say, and no cash is left."""
    moves = np.zeros(12)
    moves[7] = jump
    calm = {"price": Replay(moves), "impact": replace(market().impact, permanent_per_usd=0.0, transient_per_usd=0.0), "costs": Costs()}
    vault = replace(CALLS, epochs=replace(SHORT, length_hours=4.4, auction_after_hours=1.2))
    plan = plan_run(market(vault, *BIDDERS, options=TERMS, **calm), seed=1)
    state = init(plan, 0, 2)
    for _ in range(12):
        state = step(plan, state)
    own = next(own for seat, own in zip(plan.seats, state.seats) if seat.agent.name == "calls")
    books = own.memory.books
    assert own.holding.cash_usd == pytest.approx([0.0, 0.0], abs=1e-6)
    assert own.holding.position_coin == pytest.approx(books.assets, rel=1e-12)
    assert (books.payoff_usd > 0.0).all() == (jump > 0.0)
    assert (books.fee_usd > 0.0).all() == (jump == 0.0)
    assert own.holding.pnl_usd[PART["fees_usd"]] == pytest.approx(-books.fee_usd, abs=1e-9)


def test_a_reserve_above_all_bids_sells_nothing() -> None:
    (record,), _ = record_vaults(market(replace(CALLS, reserve_share=0.95), *BIDDERS, options=TERMS), seed=1, paths=3)
    assert not record.sold_coin.any()
    assert record.unsold_share.tolist() == [1.0] * 3
    assert np.abs(record.against_holding_usd).max() < 1e-6


def test_times_drawn_by_chance_know_nothing_of_the_market() -> None:
    """The same hours whoever else is there and whatever price does; like vaults draw alike unless their streams differ."""
    lone = replace(CALLS, epochs=replace(SHORT, jitter_hours=1.0), name="drawn")

    def hours(*agents: Any, **changes: Any) -> dict[str, Any]:
        plan = plan_run(market(*agents, options=TERMS, **changes), seed=4)
        state = init(plan, 0, 64)
        return {
            seat.agent.name: own.memory.auction_step for seat, own in zip(plan.seats, state.seats) if isinstance(seat.agent, OptionVault)
        }

    alone = hours(lone)["drawn"]
    twins = hours(lone, replace(lone, name="like"), replace(lone, name="own", stream=3), PUTS, *DEALERS, clearing="implicit")
    assert (twins["drawn"] == alone).all()
    assert (twins["like"] == alone).all()
    assert (twins["own"] != alone).any()
    assert len(np.unique(alone[0])) > 1


def test_a_move_makes_a_vault_trade_nothing() -> None:
    """Stated and measured by bumping a step of the engine, before an auction and with options sold."""
    assert CALLS.starting_flow_response_usd(SPOT) == PUTS.starting_dollar_gamma_usd(SPOT) == 0.0
    told = measure_gain(market(CALLS, PUTS, options=TERMS, clearing="implicit", costs=Costs()), seed=1, paths=8)
    assert abs(told.total.value or 0.0) < 1e-9


def test_switches_change_vaults_and_nothing_else() -> None:
    """Like vaults get streams of their own; limits and parts stay within the slots; without vaults nothing is made anew."""
    scenario = market(CALLS, replace(CALLS, name="like"), *DEALERS, options=TERMS, clearing="implicit")
    first, second, *others = chosen_switch("epoch-randomisation:jitter_hours=1")(scenario).agents
    assert isinstance(first, OptionVault)
    assert isinstance(second, OptionVault)
    assert first.epochs.jitter_hours == second.epochs.jitter_hours == 0.75, "half an epoch of 2.5 hours, less the pause of half an hour"
    assert first.content() != second.content()
    assert tuple(others) == DEALERS
    parts = chosen_switch("epoch-tranches:tranches=40")(chosen_switch("strike-limit:share=0.3")(scenario)).agents[0]
    assert isinstance(parts, OptionVault)
    assert (parts.strikes, parts.epochs.tranches, parts.slots) == (4, 4, 16)
    bare = market(*DEALERS, options=TERMS, clearing="implicit")
    for word in ("epoch-randomisation", "epoch-tranches", "strike-limit"):
        assert chosen_switch(word)(bare) is bare


def test_a_rest_of_rounding_does_not_set_an_auctions_price() -> None:
    """184.39... coin of a quote for 300: the worse quote is not needed, and its price is not paid."""
    strike = np.array([54_500.0])
    quotes = [Quote(*(np.array([one]) for one in (bid, 9e4, size, 0.0))) for bid, size in ((692.0, 300.0), (538.0, 400.0))]
    for coin in np.linspace(100.0, 299.0, 400):
        taken, price = matched(OptionOrder(Contract(-1, 9, strike), np.array([-coin]), auction=True), quotes)
        assert taken[1, 0] == 0.0
        assert price[0, 0] == 692.0


VAULT = """
[options]
iv = 0.6
[[agent]]
kind = "vault"
name = "calls"
sells = "covered-calls"
assets_coin = 500
delay_steps = 1
"""


def test_a_file_says_as_much_as_it_must(tmp_path: Path) -> None:
    """Defaults are the dated rules: weekly, 0.1 delta, 2.25 hours after the next Friday 08:00, from Sunday 1 March 2026 5 days and 8 hours on."""
    file = load_scenario(saved(tmp_path, BASE + VAULT))
    vault = file.scenario.agents[1]
    assert isinstance(vault, OptionVault)
    assert (vault.strike_delta, vault.strike_step_usd, vault.reserve_share) == (0.1, 1000.0, 0.2)
    assert (vault.fees.performance_share, vault.fees.management_per_year) == (0.1, 0.02)
    assert (vault.epochs.first_hours, vault.epochs.length_hours) == (128.0, 168.0)
    assert vault.epochs.auction_after_hours == pytest.approx(2.25)
    assert any("sells nothing in this run" in note for note in file.notes)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("assets_coin = 500", "assets_usd = 500", "state assets_coin, not assets_usd"),
        ("assets_coin = 500", "", "assets_coin"),
        ('sells = "covered-calls"', 'sells = "straddles"', "expected sells as one of"),
        ("delay_steps = 1\n", "delay_steps = 1\nfirst_epoch = 2026-02-01T08:00:00Z\n", "at or after the start"),
        ("delay_steps = 1\n", "delay_steps = 1\nfirst_epoch_hours = 1\nfirst_epoch = 2026-03-02T08:00:00Z\n", "first_epoch"),
        ("delay_steps = 1\n", "delay_steps = 1\nrules_at = 2020-01-01T00:00:00Z\n", "known from"),
        ("delay_steps = 1\n", "delay_steps = 1\nstrike_delta = 10\n", "strike_delta"),
        ("delay_steps = 1\n", "delay_steps = 1\njitter_hours = 170\n", "before its expiry"),
        ("[options]\niv = 0.6\n", "", "option market"),
    ],
)
def test_files_that_cannot_be_are_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load_scenario(saved(tmp_path, BASE + VAULT.replace(old, new, 1)))


def test_a_run_tells_of_its_vaults() -> None:
    run = simulate(crowded(), paths=16, seed=2, threads=1)
    told = vaults(run)
    assert [entry["agent"] for entry in told] == ["calls", "puts", "many"]
    assert set(told[0]["epoch_window"]) == {"gain_before", "gain_after", "largest_flow_usd", "flow_usd", "pin", "nearest_strike_bps"}
    sentences = vault_sentences(told)
    assert len(sentences) == 4
    assert all(word in sentences[0] for word in ("calls: took $", "by the model", "against holding", "mean of 16 paths"))
    assert "loop gain from" in sentences[-1]
    nothing, half = {"value": 0.0, "standard_error": None}, {"value": 0.5, "standard_error": None}
    for change, said in (
        ({"sold_coin": nothing}, "sold nothing, for nobody bid"),
        ({"sold_coin": nothing, "offered_coin": nothing}, "no auction of its own lies in the run"),
        ({"open_usd": {"value": -2.5e6, "standard_error": None}}, "owes $2.50m on options that are still open"),
        ({"unsold_share": half}, "50 % of what it offered found no bid"),
        ({"unsold_share": {"value": 0.9997, "standard_error": None}}, "nearly all of what it offered found no bid"),
        ({"paths": 1}, "(one path)"),
    ):
        assert said in vault_sentences([{**told[1], **change}])[0]


def test_strikes_of_another_coin_are_refused_or_said(tmp_path: Path) -> None:
    text = BASE + VAULT
    for change, words in (("", "got 1,000 of rules ribbon-btc"), ("strike_step_usd = 976", "got 976; state")):
        with pytest.raises(InputError, match=f"at most a quarter of spot_usd = 3,900, {words}"):
            load_scenario(saved(tmp_path, text.replace("spot_usd = 60000", "spot_usd = 3900") + change))
    noted = load_scenario(saved(tmp_path, text.replace("spot_usd = 60000", "spot_usd = 4800"))).notes
    assert any("strikes are 1,000 USD apart, by the rules, at a price of 4,800" in note for note in noted)
    assert not any("USD apart" in note for note in load_scenario(saved(tmp_path, text)).notes)
