"""[run] auction_every_minutes: whole steps or a refusal, the switch of the same minutes to the bit, on every venue, and said in the document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.experiments.scenario_texts import BASE, changed, saved
from tests.experiments.test_scenario_leveraged import WORLD

from tailwag.errors import InputError
from tailwag.experiments.run_report_view import run_answer
from tailwag.experiments.scenario_files import ScenarioFile, load_scenario
from tailwag.experiments.scenario_gain import gain_document
from tailwag.experiments.scenario_switches import chosen_switch
from tailwag.experiments.simulate import simulate_file
from tailwag.sim.blocks import run_block
from tailwag.sim.engine import plan_run

SEED = "seed = 7\n"
HOURLY = f"{SEED}auction_every_minutes = 60\n"
VENUES = """
[[venue]]
name = "spot"
[[venue]]
name = "perp"
impact = {permanent_per_usd = 4e-11}
[[agent]]
kind = "arbitrageur"
name = "carry"
between = ["spot", "perp"]
"""


def loaded(folder: Path, *swaps: tuple[str, str], text: str = BASE) -> ScenarioFile:
    return load_scenario(saved(folder, changed(*swaps, text=text)))


def test_the_key_is_the_switch_of_as_many_minutes(tmp_path: Path) -> None:
    plain, hourly = loaded(tmp_path), loaded(tmp_path, (SEED, HOURLY))
    assert (plain.scenario.batch_steps, hourly.scenario.batch_steps) == (1, 4)
    assert loaded(tmp_path, (SEED, f"{SEED}auction_every_minutes = 15\n")).scenario.batch_steps == 1
    switched = chosen_switch("batch-auction:every_minutes=60")(plain.scenario)
    blocks = [run_block(plan_run(scenario, seed=7), 0, 16) for scenario in (hourly.scenario, switched, plain.scenario)]
    assert blocks[0].log_price.tobytes() == blocks[1].log_price.tobytes() != blocks[2].log_price.tobytes()
    traded = blocks[0].net_flow_usd.any(axis=0)
    assert [place + 1 for place in range(24) if traded[place]] == [4, 8, 12, 16, 20, 24], "an auction every fourth step, nothing between"


def test_it_is_said_where_it_is_and_nowhere_else(tmp_path: Path) -> None:
    found: list[Any] = [simulate_file(loaded(tmp_path, *swaps)).document for swaps in ((), ((SEED, HOURLY),))]
    assert [document["assumptions"]["auction_every_minutes"] for document in found] == [None, 60.0]
    notes = [[note for note in document["assumptions"]["notes"] if "auction" in note] for document in found]
    assert notes == [
        [],
        ["[run]: orders clear in an auction every 60 minutes and at the end, at one price; those that arrive between wait"],
    ]
    told = [dict(run_answer(document).assumptions)["clearing"] for document in found]
    assert told == ["implicit", "implicit, in auctions every 60 minutes"]


def test_every_venue_holds_its_auctions_at_the_same_times(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, (SEED, HOURLY), text=BASE + VENUES).scenario
    assert scenario.elsewhere is not None
    assert [venue.scenario.batch_steps for venue in scenario.elsewhere.venues] == [4, 4]


def test_a_bump_is_answered_in_the_next_auction(tmp_path: Path) -> None:
    """g = 3e-11 x 5e9 = 0.15, however long everybody waits for it."""
    total = gain_document("x", loaded(tmp_path, (SEED, HOURLY)), paths=8, seed=1)["total"]
    assert total["measured"]["value"] == pytest.approx(0.15, abs=1e-9)
    assert abs(total["z"]) < 2.0


@pytest.mark.parametrize(
    ("swaps", "text", "words"),
    [
        (((SEED, f"{SEED}auction_every_minutes = 40\n"),), BASE, r"whole number of steps of 15 minutes, got 40; such as 45"),
        (((SEED, f"{SEED}auction_every_minutes = 5\n"),), BASE, r"whole number of steps of 15 minutes, got 5; such as 30"),
        (((SEED, f"{SEED}auction_every_minutes = 0\n"),), BASE, r"auction_every_minutes above 0"),
        (((SEED, f"{SEED}auction_every_minutes = 720\n"),), BASE, r"within the run of 360 minutes, got 720"),
        (((SEED, f"{SEED}auction_every_minute = 60\n"),), BASE, r"did you mean auction_every_minutes"),
        (((SEED, HOURLY), ("step_minutes = 15", 'time_grid = {kind = "graded", steps = 24, exponent = 2}')), BASE, "steps differ"),
        (
            ((SEED, HOURLY), ('clearing = "implicit"', 'clearing = "lagged"'), ("delay_steps = 0", "delay_steps = 1")),
            WORLD,
            "'perp' with late",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(tmp_path: Path, swaps: Any, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        loaded(tmp_path, *swaps, text=text)
    assert "\n" not in str(refused.value)
