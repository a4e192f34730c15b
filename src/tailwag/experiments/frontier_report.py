"""The comparison as one HTML file that opens anywhere, offline: the answer, the frontier, vol by horizon, then every number."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from tailwag.experiments.frontier_sentences import percent_added
from tailwag.experiments.frontier_terminal import HEADS, VOL_HEADS, assumed, row_cells, vol_cells
from tailwag.experiments.report_figures import Block, Section
from tailwag.experiments.report_page import SYNTHETIC_BANNER, page_html, section_html
from tailwag.experiments.report_tables import safe, table
from tailwag.figures.choices import policy_frontier
from tailwag.figures.policies import vol_by_rule
from tailwag.sim.metrics_sentences import usd

Document = dict[str, Any]


def frontier_html(document: Document) -> str:
    """One self-contained page of a comparison, in the reader's light or dark; every text is escaped and nothing is loaded from anywhere."""
    return page_html(f"Hedging policies compared: {document['source']['name']}", _parts(document))


def _parts(document: Document) -> Iterator[str]:
    from tailwag import __version__

    first, *more = (sentence.replace("+-", "±") for sentence in document["headline"])
    facts = "".join(f"<p>{safe(note, most=400)}</p>" for note in assumed(document))
    yield f"""<header>
<p class="where"><strong>tailwag</strong><span>Hedging policies compared</span><span>book: {safe(document["source"]["name"])}</span></p>
{SYNTHETIC_BANNER if document["source"]["kind"] == "demo" else ""}
<div class="card answer plain"><h1>{safe(first, most=400)}</h1>{"".join(f'<p class="more">{safe(line, most=800)}</p>' for line in more)}</div>
</header>"""
    yield section_html(Section("frontier", "What each rule costs and leaves at risk", (_frontier(document), _vol(document))))
    rows = document["policies"]
    tables = [
        table("With everybody's hedging moving the price", HEADS, [row_cells(row, "together") for row in rows]),
        table("Were hedging to move nothing, on the same shocks", HEADS, [row_cells(row, "alone") for row in rows]),
        table("What hedging by each rule adds to market vol", VOL_HEADS, [vol_cells(row) for row in rows]),
        _parts_of_cost(rows),
        _differences(document),
        *_trials(document),
    ]
    yield _section("numbers", "The numbers", "".join(f'<div class="card block span-12">{one}</div>' for one in tables if one))
    yield _section("assumed", "Assumed", f'<div class="card block span-12">{facts}</div>')
    yield f"<footer><p>tailwag {escape(__version__)}, schema {safe(document['schema'])}, seed {document['seed']}, {document['paths']:,} paths. {_FINE_PRINT}</p></footer>"


def _section(name: str, title: str, inside: str) -> str:
    return f'<section id="{name}"><h2>{safe(title)}</h2><div class="grid">{inside}</div></section>'


def _frontier(document: Document) -> Block:
    rows = document["policies"]

    def column(world: str, key: str, what: str = "value") -> list[Any]:
        return [row[world][key][what] for row in rows]

    errors = {
        world: list(zip(column(world, "cost_usd", "standard_error"), column(world, "risk_usd", "standard_error"), strict=True))
        for world in ("alone", "together")
    }
    figure = policy_frontier(
        [row["policy"] for row in rows],
        column("alone", "cost_usd"),
        column("alone", "risk_usd"),
        column("together", "cost_usd"),
        column("together", "risk_usd"),
        alone_error_usd=errors["alone"],
        together_error_usd=errors["together"],
    )
    reading = (
        "Lower left is better. Each line leads from the cost and risk of a rule when hedging moves nothing to those when everybody's does."
    )
    return Block("frontier-picture", "Cost against the risk left", reading, figure)


def _vol(document: Document) -> Block:
    rows = document["policies"]
    grid = [row["together"]["horizons"] for row in rows]
    hours = [one["hours"] for one in grid[0]] if grid else []
    added = [[_less_one(one["amplification"]["value"]) for one in line] for line in grid]
    errors = [[one["amplification"]["standard_error"] for one in line] for line in grid]
    figure = vol_by_rule([row["policy"] for row in rows], hours, added, error=errors)
    reading = (
        "Hedged over unhedged vol of the market on the same shocks. A band takes little at short horizons and nearly all at long ones."
    )
    return Block("vol-by-rule", "What each rule adds to market vol, by horizon", reading, figure)


def _less_one(value: float | None) -> float | None:
    return None if value is None else value - 1.0


_COST = (
    ("fees", "fees_usd"),
    ("half-spread", "spread_usd"),
    ("gas", "gas_usd"),
    ("funding", "funding_usd"),
    ("feedback", "feedback_usd"),
    ("all", "cost_usd"),
    ("marks on fills", "execution_usd"),
)


def _parts_of_cost(rows: list[Document]) -> str:
    cells = [[row["policy"], *(_usd(row["together"][key]) for _, key in _COST)] for row in rows]
    return table("What the cost is made of, with everybody's hedging moving the price", ["policy", *(name for name, _ in _COST)], cells)


def _differences(document: Document) -> str:
    cells = [
        [
            f"{row['policy']} less {row['less']}",
            _usd(row["together"]["cost_usd"]),
            _usd(row["together"]["risk_usd"]),
            _points(row["together"]["amplification"]),
            _points(row["together"]["amplification_horizon"]),
            _usd(row["alone"]["cost_usd"]),
            _usd(row["alone"]["risk_usd"]),
        ]
        for row in document["differences"]
    ]
    heads = ["first less second", "cost", "risk", "vol, a step", "vol, the run", "cost, no feedback", "risk, no feedback"]
    return table("Differences, errors paired on the same shocks", heads, cells) if cells else ""


def _trials(document: Document) -> Iterator[str]:
    for found in document["optimised"]:
        if found["world"] == "together":
            cells = [[one["policy"], _plain_usd(one["alone_usd"]), _plain_usd(one["together_usd"])] for one in found["trials"]]
            heads = ["tried", "objective, no feedback", "objective, with feedback"]
            yield table(f"Search for the best {found['kind']} by {found['objective']}", heads, cells)


def _usd(estimate: Document) -> str:
    return "unknown" if estimate["value"] is None else usd(estimate)


def _plain_usd(value: float) -> str:
    return usd({"value": value, "standard_error": None})


def _points(estimate: Document) -> str:
    """A difference of two amplifications, in points of unhedged vol."""
    return percent_added({**estimate, "value": None if estimate["value"] is None else 1.0 + estimate["value"]})


_FINE_PRINT = (
    "Cost: what is paid to others, and with feedback also what the moved price takes from the book, on the same shocks. Risk: standard deviation "
    "over paths of the total P&amp;L. Not investment advice."
)
