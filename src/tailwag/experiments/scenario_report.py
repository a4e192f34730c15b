"""A played scenario as one HTML file that opens anywhere, offline: what broke, through which link, who lost, what helps and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from tailwag.experiments import run_report_tables as run_tables
from tailwag.experiments.report_figures import Block, Section
from tailwag.experiments.report_page import SYNTHETIC_BANNER, cards_html, page_html, section_html
from tailwag.experiments.report_tables import safe, table
from tailwag.experiments.run_report_figures import run_sections
from tailwag.experiments.run_report_view import notes
from tailwag.experiments.scenario_hedging import HEADS, hedging_cells, hedging_sentence
from tailwag.experiments.scenario_late_prices import pool_accounts
from tailwag.experiments.scenario_pools import Split, fee_sentences, loss_sentence, pool_split
from tailwag.experiments.scenario_sentences import broke_first, helps, through, vault_accounts, who_lost
from tailwag.experiments.scenario_squeezes import squeeze_sentence
from tailwag.experiments.scenario_terminal import (
    ACCOUNT_HEADS,
    DIFFERENCE_HEADS,
    EVENT_HEADS,
    LINK_HEADS,
    account_cells,
    difference_cells,
    event_cells,
    link_cells,
)
from tailwag.experiments.scenario_view import difference_series, outcome_cells, shown_title, summary_cells, summary_heads
from tailwag.figures.shares import stacked_shares
from tailwag.figures.stories import flows_through, gains_and_losses, switch_differences

Document = dict[str, Any]
STYLES = ("report.css", "run_report.css")


def scenario_html(document: Document) -> str:
    """One self-contained page of a played scenario (schema ``tailwag.scenario/1``), about 5 MB; nothing is loaded from anywhere."""
    return page_html(f"Scenario: {document['story']['name']}", _parts(document), styles=STYLES)


def _parts(document: Document) -> Iterator[str]:
    yield _header(document)
    if document["comparisons"]:
        yield section_html(Section("compared", "What would have helped, and what does it cost?", tuple(_compared(document))))
        hedged = hedging_cells(document)
        if hedged:
            yield cards_html("hedging", "Where to hedge?", table("The same dealers on each venue, on the same shocks", HEADS, hedged))
        yield cards_html("compared-numbers", "Every switch, every outcome", "".join(_difference_tables(document)), folded=True)
    yield cards_html(
        "first", "What broke first?", table("Events", EVENT_HEADS, [event_cells(row) for row in document["first_events"] if row["paths"]])
    )
    yield section_html(Section("through", "Through which link?", tuple(_flows(document)), table_html=_links(document)))
    yield section_html(Section("losses", "Who lost?", (_losses(document),)))
    split = pool_split(document)
    if split is not None:
        yield section_html(Section("pools", "Who keeps what arbitrage takes from the pool?", (_pool_split(document, split),)))
    kept = _kept_sections(document)
    yield from (section_html(section) for section in run_sections(document["run"], None) if section.name in kept)
    yield cards_html("outcomes", "The base in numbers", table("Outcomes of the base", ["outcome", "mean"], outcome_cells(document)))
    yield _assumed(document)
    yield f"<footer><p>{_fine_print(document)}</p></footer>"


def _kept_sections(document: Document) -> tuple[str, ...]:
    """Sections of a run that this story has something to say in."""
    stopped = any(row["paths"] for row in document["run"]["outcomes"] if row["outcome"] != "finished")
    pinned = document["story"]["strike_usd"] is not None
    return ("price", "vol", *(["pins"] if pinned else []), *(["runaways"] if stopped else []))


def _body(sentence: str) -> str:
    """A sentence under its question, without the words that name the question again."""
    _, colon, body = sentence.partition(": ")
    return f"{body[:1].upper()}{body[1:]}" if colon else sentence


def _header(document: Document) -> str:
    story = document["story"]
    first = document["headline"][0]
    looked = "".join(f"<li>{safe(line, most=300)}</li>" for line in story["look_at"])
    asked: list[tuple[str, list[str]]] = [
        ("What happens?", [story["story"]]),
        ("What broke first?", [_body(broke_first(document))]),
        ("Through which link?", [_body(through(document))]),
        *_accounts_of_kinds(document),
        ("Who lost?", [_body(who_lost(document))]),
    ]
    if document["comparisons"]:
        asked.append(("What helps, and what does it cost?", list(helps(document))))
    placed = hedging_sentence(document)
    if placed:
        asked.append(("Where to hedge?", [_body(placed)]))
    answers = "".join(
        f"<div><dt>{safe(question)}</dt><dd>{''.join(f'<p>{safe(line, most=1200)}</p>' for line in lines if line)}</dd></div>"
        for question, lines in asked
    )
    banner = SYNTHETIC_BANNER if document["run"]["source"]["synthetic"] else ""
    return f"""<header>
<p class="where"><strong>tailwag</strong><span>scenario {safe(story["name"])}</span><span>{document["paths"]:,} path{"s" if document["paths"] != 1 else ""}, seed {document["seed"]}</span></p>
{banner}
<div class="card answer plain"><p class="meaning">{safe(story["question"], most=400)}</p><h1>{safe(first, most=400)}</h1></div>
<div class="card"><dl class="questions">{answers}<div><dt>What to look at</dt><dd><ul class="notes">{looked}</ul></dd></div></dl></div>
</header>"""


def _accounts_of_kinds(document: Document) -> Iterator[tuple[str, list[str]]]:
    """What squeezes earned by their legs, options pools and vaults by theirs, and what arbitrage takes from other pools, where there are any."""
    squeezed, pools, sold = squeeze_sentence(document), pool_accounts(document), vault_accounts(document)
    if squeezed:
        yield "What did the squeeze earn?", [_body(squeezed)]
    if pools:
        yield "What did each pool make?", pools
    if sold:
        yield "What did each vault make?", sold
    lost = loss_sentence(document)
    if lost:
        yield "What does arbitrage take?", [_body(lost), *fee_sentences(document)]


def _compared(document: Document) -> Iterator[Block]:
    for place, kind in enumerate(("mitigation", "link")):
        series = difference_series(document, kind)
        if not series.labels:
            continue
        figure = switch_differences(series.labels, series.values, series.errors, series.verdicts, axis_title=series.axis)
        reading = (
            "Each dot is the mean difference from the base on the same shocks, the bar two standard errors. Left of zero: less of it."
            if kind == "mitigation"
            else "One part of the loop taken away or turned round, everything else as it was: what that part carries."
        )
        numbers = table("In short", summary_heads(document), summary_cells(document, kind))
        yield Block(f"switches-{place}", series.title, reading, figure, 12, numbers)


def _difference_tables(document: Document) -> Iterator[str]:
    for row in document["comparisons"]:
        caption = f"{row['switch']}: {row['sentence']}"
        yield table(caption, DIFFERENCE_HEADS, [difference_cells(document, one) for one in row["outcomes"]])


def _flows(document: Document) -> Iterator[Block]:
    shown = document["shown_paths"]
    for path in shown:
        figure = flows_through(path["hours"], path["price_usd"], path["fundamental_usd"], path["bought_usd"])
        idle = [name for name, bought in path["bought_usd"].items() if not any(bought)]
        reading = "Above: price, and the same shocks with nobody trading. Below: what each has bought since the start; falling lines sell."
        reading += f" Not drawn, as they trade nothing here: {', '.join(idle)}." if idle else ""
        yield Block(f"path-{path['which']}", shown_title(document, path), reading, figure, 6 if len(shown) > 1 else 12)


def _links(document: Document) -> str:
    return table(
        "Who pushed price to its furthest from fundamental, mean over paths", LINK_HEADS, [link_cells(row) for row in document["links"]]
    )


def _losses(document: Document) -> Block:
    rows = document["accounts"]
    figure = gains_and_losses(
        [row["agent"] for row in rows],
        [row["pnl_usd"]["value"] for row in rows],
        [row["pnl_usd"]["standard_error"] for row in rows],
        [row["worst_usd"] for row in rows],
    )
    reading = "Bar: mean over paths with two standard errors. Diamond: mean of the worst 5 % of paths. Options and hedge together; holdings are marked at the last price."
    sold = any(entry["unit"] == "coin" for entry in document["run"].get("vaults", ()))
    reading += " A call vault's coin counts too: what selling made against holding it stands above." if sold else ""
    return Block(
        "accounts-losses",
        "Profit and loss of everybody",
        reading,
        figure,
        12,
        table("Accounts", ACCOUNT_HEADS, [account_cells(row) for row in rows]),
    )


def _pool_split(document: Document, split: Split) -> Block:
    reading = (
        "The first two together are what the pool loses against rebalancing (LVR); of that, arbitrageurs pay a part back as fees. Means over paths; "
        "errors stand in the tables."
    )
    figure = stacked_shares(split.labels, split.parts, axis_title="over the run")
    told = [loss_sentence(document), *fee_sentences(document)]
    return Block(
        "pools-split", "Loss versus rebalancing and fees", reading, figure, 12, "".join(f"<p>{safe(line, most=600)}</p>" for line in told)
    )


def _assumed(document: Document) -> str:
    story, run = document["story"], document["run"]
    sources = table("Where the figures come from", ["figure", "source"], [[row["figure"], row["said"]] for row in story["sources"]])
    said = [*notes(run), *(f"left out: {row['reason']}" for row in document["refused"])]
    listed = "".join(f"<li>{safe(note, most=600)}</li>" for note in said)
    return (
        '<section id="assumptions"><h2>What was assumed?</h2><div class="grid">'
        f'<div class="card block span-12">{sources}{f"<ul class=notes>{listed}</ul>" if listed else ""}{run_tables.agent_table(run)}</div>'
        f'<div class="card block span-6">{run_tables.assumption_table(run)}</div>'
        f'<div class="card block span-6">{run_tables.origin_table(run)}</div></div></section>'
    )


def _fine_print(document: Document) -> str:
    from tailwag import __version__

    return (
        f"tailwag {escape(__version__)}, schema {safe(document['schema'])}, seed {document['seed']}. Switches run on the base's own shocks: differences "
        "and their errors are paired, path by path. Errors say how well a run knows its own model, not how well the model knows the market: who is short, "
        "how deep the market is and where leverage lies are assumptions named above. Not investment advice."
    )
