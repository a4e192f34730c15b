"""What ``tailwag hedge`` prints: the answer in sentences, what was assumed, then one table for each world within 100 columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from tailwag.experiments.answer_terminal import print_answer, small_table
from tailwag.experiments.frontier_sentences import percent_added
from tailwag.figures.numbers import money
from tailwag.sim.metrics_sentences import span

if TYPE_CHECKING:
    from rich.console import Group

Document = dict[str, Any]
ROUNDING_USD = 1e-2


def print_frontier(document: Document, *, file: IO[str] | None = None) -> None:
    """Print a comparison on ``file`` (standard output if None)."""
    print_answer(document["headline"], assumed(document), _tables(document), file=file)


def assumed(document: Document) -> Iterator[str]:
    """Every assumption as a sentence: market, clock, costs, who hedges, instrument, and where the book came from."""
    said = document["assumptions"]
    step = "steps of unequal length" if said["step_minutes"] is None else f"steps of {span(said['step_minutes'] / 60.0)}"
    yield (
        f"Assumed: {said['clearing']} clearing, {said['price_model']} price with a fundamental vol of {100 * said['price_vol']:.1f} % a year, "
        f"{said['steps']:,} {step} over {span(said['hours'])}, {document['paths']:,} paths, seed {document['seed']}"
    )
    depth = (
        f"{money(0.01 / said['impact_per_usd'])} moves the price 1 % at first"
        if said["impact_per_usd"] > 0.0
        else "no flow moves the price"
    )
    lasts = said["lasting_impact_per_usd"] / said["impact_per_usd"] if said["impact_per_usd"] > 0.0 else 0.0
    yield f"Impact: {depth}, {lasts:.0%} of that stays; loop gain {said['starting_gain']:+.3f} at the start when all hedge every step"
    costs, held = said["costs"], said["instrument"]
    gas = f", gas {money(costs['gas_usd'])} a trade" if costs["gas_usd"] else ""
    gas += ", opposite orders crossed first" if costs.get("internal_crossing") else ""
    yield (
        f"Costs: fee {costs['fee_bps']:g} bps, half-spread {costs['half_spread_bps']:g} bps of the value traded{gas}; hedged in {held['kind']}, margin "
        f"{held['margin_share']:.3g} of the position, funding {100 * held['funding_per_year']:g} % a year"
    )
    share = said["market_share"]
    crowd = "the whole market hedges" if share == 1.0 else f"{share:.3g} of the market hedges"
    alike = f"{crowd} by the policy compared" + ("" if share == 1.0 else ", the rest every step")
    yield f"Book: dollar gamma {money(said['dollar_gamma_usd'], signed=True)} hedged by the policy at the start; {alike}"
    for dealer in said["dealers"]:
        role = "compared" if dealer["compared"] else "the market around it"
        held_share = "" if dealer["hedge_share"] == 1.0 else f", {dealer['hedge_share']:.0%} of its book hedged, and that part counted"
        yield f"{dealer['name']}: {role}, {dealer['execution']}, delay {dealer['delay_steps']} steps{held_share}"
    yield from said["notes"]


def _tables(document: Document) -> Iterator[Group]:
    rows = document["policies"]
    drawn = (
        small_table("With everybody's hedging moving the price", HEADS, [row_cells(row, "together") for row in rows]),
        small_table("Were hedging to move nothing (same shocks)", HEADS, [row_cells(row, "alone") for row in rows]),
        small_table("What hedging by each rule adds to market vol", VOL_HEADS, [vol_cells(row) for row in rows]),
    )
    yield from filter(None, drawn)


HEADS = ("policy", "cost", "of it paid", "risk", "mis-hedge", "ES 99 %", "traded/d", "margin")
VOL_HEADS = ("policy", "over a step", "over the run", "realised vol", "stopped early")


def vol_cells(row: Document) -> list[str]:
    """What one policy adds to market vol, in the order of ``VOL_HEADS``."""
    found = row["together"]
    vol = found["realised_vol"]["value"]
    stopped = 1.0 - found["finished"]["value"]
    return [
        row["policy"],
        percent_added(found["amplification"]),
        percent_added(found["amplification_horizon"]),
        "unknown" if vol is None else f"{100.0 * vol:.1f} %",
        f"{100.0 * stopped:.2g} %" if stopped else "none",
    ]


def row_cells(row: Document, world: str) -> list[str]:
    """One policy in one world, in the order of ``HEADS``."""
    found = row[world]
    paid = sum(found[name]["value"] for name in ("fees_usd", "spread_usd", "gas_usd", "funding_usd"))
    tail = next((one["loss_usd"] for one in found["expected_shortfall"] if one["level"] == 0.99), {"value": None})
    return [
        row["policy"],
        _money(found["cost_usd"]),
        money(paid if abs(paid) >= ROUNDING_USD else 0.0),
        _money(found["risk_usd"]),
        _money(found["mishedge_rms_usd"]),
        "unknown" if tail["value"] is None else _money(tail),
        _money(found["turnover_usd_per_day"]),
        _money(found["margin_usd"]),
    ]


def _money(estimate: Document) -> str:
    value = estimate["value"]
    return "unknown" if value is None else money(value if abs(value) >= ROUNDING_USD else 0.0)
