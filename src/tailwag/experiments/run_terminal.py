"""What ``tailwag simulate`` prints: the answer in sentences, then small tables within 100 columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from tailwag.experiments.answer_terminal import print_answer, small_table
from tailwag.experiments.scenario_source import LAW_WORDS
from tailwag.figures.numbers import money
from tailwag.liquidity.money import dollars
from tailwag.sim.metrics_sentences import RESIDUAL, part_words, parts_shown, span, with_error

if TYPE_CHECKING:
    from rich.console import Group

Document = dict[str, Any]
MOST_PINS = 8
MOST_EVENTS = 8
ROUNDING_USD = 1e-4


def print_run(document: Document, *, file: IO[str] | None = None) -> None:
    """Print the summary of a run on ``file`` (standard output if None)."""
    tables = (table for drawn in (_outcomes, _horizons, _profits, _pins, _events) if (table := drawn(document)) is not None)
    print_answer(document["headline"], _assumed(document), tables, file=file)


def _assumed(document: Document) -> Iterator[str]:
    assumed = document["assumptions"]
    gain, whole = assumed["starting_gain"], assumed["starting_gain_with_vanna"]
    vanna = "" if whole == gain else f" ({whole:+.3f} with vanna)"
    yield (
        f"Assumed: {assumed['clearing']} clearing, {assumed['price_model']} price with a vol of {100 * assumed['price_vol']:.1f} % a year, "
        f"{_depth(document)}, loop gain {gain:+.3f} at the start{vanna}, {assumed['steps']:,} steps, seed {document['seed']}"
    )
    for agent in assumed["agents"]:
        held = f"hedges {agent['hedge_share']:.0%} of its book, " if agent["kind"] == "dealer" else ""
        yield f"{agent['name']}: {held}{agent['policy']}, {agent['execution']}, delay {agent['delay_steps']} steps"
    yield from assumed["notes"]


def _depth(document: Document) -> str:
    """The depth that moves the price 1 %, and whose law gives it."""
    source = document["source"]
    depth, law = source["depth_usd_per_pct"], source["depth_law"]
    if depth is None:
        return "no trade moves the price"
    return f"depth {dollars(depth)} per 1 % ({LAW_WORDS.get(law, law).partition(',')[0]})"


def _outcomes(document: Document) -> Group | None:
    """Only where a path ended otherwise than at the horizon."""
    rows = [row for row in document["outcomes"] if row["paths"]]
    if all(row["outcome"] == "finished" for row in rows):
        return None
    cells = [[row["outcome"].replace("_", " "), f"{row['paths']:,}", _percent(row["share"]), row["sentence"]] for row in rows]
    return small_table("How paths ended", ["outcome", "paths", "share", "what it means"], cells, text=(0, 3))


def _horizons(document: Document) -> Group | None:
    rows = [
        [span(row["hours"]), _percent(row["vol"]["hedged"]), _percent(row["vol"]["fundamental"]), _number(row["amplification"])]
        for row in document["metrics"]["horizons"]
    ]
    whose = ", paths that reached the horizon" if document["metrics"]["amplification_conditional"] else ""
    return small_table(f"Vol a year by horizon of the return{whose}", ["horizon", "hedged", "nobody hedging", "ratio"], rows)


def _profits(document: Document) -> Group | None:
    """Mean profit in parts; parts that are 0 for everybody have no row, but the residual has one where the split leaves any."""
    agents, split = document["pnl"], document["pnl_split"]
    if not agents:
        return None
    names = parts_shown(agents, split, least_usd=ROUNDING_USD)
    kept = [name for name in names if name == RESIDUAL or any(_size(agent["parts_usd"][name]) for agent in agents)]
    rows = [[part_words(name, split), *(_money(agent["parts_usd"][name]) for agent in agents)] for name in kept]
    rows.append(["total", *(_money(agent["total_usd"]) for agent in agents)])
    return small_table("Mean profit and loss, USD (+- standard error)", ["part", *(agent["agent"] for agent in agents)], rows)


def _pins(document: Document) -> Group | None:
    rows = [
        [
            f"{row['strike_usd']:,.6g}",
            f"{row['half_width_bps']:.0f} bps",
            span(row["hours"]),
            _percent(row["hedged"]),
            _percent(row["fundamental"]),
        ]
        for row in sorted(document["metrics"]["pins"], key=lambda row: -abs(row["excess"]["value"]))[:MOST_PINS]
    ]
    return small_table("Where price stands at an expiry", ["strike", "within", "after", "hedged", "nobody hedging"], rows)


def _events(document: Document) -> Group | None:
    rows = [
        [row["event"], row["at"] or span(row["hours"]), row["agent"], f"{row['options']:,}", f"{row['contracts_coin']:,.6g}"]
        for row in document["events"][:MOST_EVENTS]
    ]
    return small_table("Inside the run", ["event", "at", "agent", "options", "contracts, coin"], rows, text=(0, 1, 2))


def _number(estimate: Document) -> str:
    return "unknown" if estimate["value"] is None else with_error(estimate["value"], estimate["standard_error"])


def _percent(estimate: Document) -> str:
    if estimate["value"] is None:
        return "unknown"
    error = estimate["standard_error"]
    return f"{with_error(100.0 * estimate['value'], 100.0 * error if error else None)} %"


def _size(estimate: Document) -> float:
    """Size in USD; below a hundredth of a cent it is the rounding of sums, and 0."""
    value = abs(estimate["value"] or 0.0)
    return value if value >= ROUNDING_USD else 0.0


def _money(estimate: Document) -> str:
    if estimate["value"] is None:
        return "unknown"
    error = estimate["standard_error"]
    return money(estimate["value"] if _size(estimate) else 0.0, signed=bool(_size(estimate))) + (
        f" +- {money(error)}" if error and error >= ROUNDING_USD else ""
    )
