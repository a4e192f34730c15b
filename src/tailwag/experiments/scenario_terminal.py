"""What ``tailwag scenario`` prints: the library as a list, a played scenario in sentences and small tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

from tailwag.experiments.answer_terminal import print_answer, small_table
from tailwag.experiments.run_report_view import notes
from tailwag.experiments.run_report_words import dollars, percent, share
from tailwag.experiments.scenario_hedging import HEADS, hedging_cells
from tailwag.experiments.scenario_sentences import EVENT_WORDS, estimate_words, plain_number, verdict_for
from tailwag.figures.numbers import money
from tailwag.sim.metrics_sentences import span

if TYPE_CHECKING:
    from rich.console import Group

    from tailwag.experiments.scenario_story import Story
    from tailwag.experiments.scenario_switches import Switch

Document = dict[str, Any]


def print_library(
    stories: Sequence[Story], switches: Sequence[Switch], several: Sequence[tuple[str, str]] = (), *, file: IO[str] | None = None
) -> None:
    """Print every scenario with its sentence, what it needs, and every switch; ``several``: name and sentence of those over several assets."""
    rows = [[story.name, story.sentence, "real data" if story.needs else "nothing"] for story in stories]
    rows = sorted([*rows, *([name, sentence, "nothing"] for name, sentence in several)])
    known = [[switch.name, switch.sentence, ", ".join(f"{key}={value}" for key, value in switch.parameters.items())] for switch in switches]
    tables = (
        small_table("Scenarios", ["name", "what happens", "needs"], rows, text=(0, 1, 2)),
        small_table("Switches", ["name", "what it changes", "numbers"], known, text=(0, 1, 2)),
    )
    said = (
        f"{len(rows)} scenarios. Run one: tailwag scenario run {stories[0].name}. Compare: tailwag scenario compare {stories[0].name} --with batch",
    )
    print_answer(said, (), filter(None, tables), file=file)


def print_scenario(document: Document, *, file: IO[str] | None = None) -> None:
    """Print a played scenario."""
    print_answer(document["headline"], _assumed(document), filter(None, _tables(document)), file=file)


def _assumed(document: Document) -> Iterator[str]:
    yield f"{document['story']['question']}"
    for source in document["story"]["sources"]:
        yield f"{source['figure']}: {source['said']}"
    for row in document["refused"]:
        yield f"left out: {row['reason']}"
    yield from notes(document["run"])


def _tables(document: Document) -> Iterator[Group | None]:
    yield small_table("Outcomes", ["outcome", "mean"], [[row["words"], estimate_words(row)] for row in document["outcomes"]])
    yield small_table("What happens, and when first", EVENT_HEADS, [event_cells(row) for row in document["first_events"] if row["paths"]])
    yield small_table("Who pushed price from fundamental", LINK_HEADS, [link_cells(row) for row in document["links"]])
    yield small_table("Who gained and lost", ACCOUNT_HEADS, [account_cells(row) for row in document["accounts"]])
    yield small_table("Where to hedge: the same dealers on each venue, on the same shocks", HEADS, hedging_cells(document))
    for row in document["comparisons"]:
        told = [difference_cells(document, one) for one in row["outcomes"] if one["verdict"] != "nothing"]
        title = f"{row['switch']} against base, same seeds" + (
            "" if len(told) == len(row["outcomes"]) else "; what it does not change is left out"
        )
        yield small_table(title, DIFFERENCE_HEADS, told) or small_table(title, ["outcome"], [["every outcome is the same on every path"]])


EVENT_HEADS = ["event", "on paths", "first quartile", "median", "first of all on"]
LINK_HEADS = ["flow of", "pushed", "share"]
ACCOUNT_HEADS = ["account", "mean profit", "worst 5 % of paths"]
DIFFERENCE_HEADS = ["outcome", "base", "switched", "difference", "z", "verdict"]


def event_cells(row: Document) -> list[str]:
    """One kind of event, in the order of ``EVENT_HEADS``."""
    quartiles = row["hours_quartiles"]
    first, median = ("never", "never") if quartiles is None else (span(quartiles[0]), span(quartiles[1]))
    return [EVENT_WORDS[row["event"]], share({"value": row["share"]}), first, median, share({"value": row["first_share"]})]


def link_cells(row: Document) -> list[str]:
    """Who moved the price, in the order of ``LINK_HEADS``."""
    return [row["agent"], percent(row["moved_log"], signed=True), "n/a" if row["share"] is None else f"{100.0 * row['share']:.0f} %"]


def account_cells(row: Document) -> list[str]:
    """One account, in the order of ``ACCOUNT_HEADS``."""
    return [row["agent"], dollars(row["pnl_usd"], signed=True), money(row["worst_usd"], signed=True)]


def difference_cells(document: Document, row: Document) -> list[str]:
    """One outcome under one switch, in the order of ``DIFFERENCE_HEADS``."""
    return [
        row["words"],
        estimate_words(row, row["base"]),
        estimate_words(row, row["switched"]),
        estimate_words(row, row["difference"], signed=True),
        plain_number(row["z"]),
        verdict_for(document, row),
    ]
