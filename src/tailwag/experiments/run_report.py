"""The report of a simulated run as one HTML file that opens anywhere, offline: answers first, then figures, then every number as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tailwag.experiments import run_report_tables as tables
from tailwag.experiments.report_page import SYNTHETIC_BANNER, page_html, section_html, tile_html
from tailwag.experiments.report_tables import safe
from tailwag.experiments.report_view import Document
from tailwag.experiments.run_amm import options_pool_tables
from tailwag.experiments.run_files import write_whole
from tailwag.experiments.run_liquidations import liquidation_tables
from tailwag.experiments.run_options import option_tables
from tailwag.experiments.run_report_figures import run_sections
from tailwag.experiments.run_report_view import RunAnswer, notes, run_answer
from tailwag.experiments.run_takeovers import takeover_tables
from tailwag.experiments.run_venues import venue_tables

if TYPE_CHECKING:
    from tailwag.experiments.run_examples import RunExamples
    from tailwag.sim.run import Run

STYLES = ("report.css", "run_report.css")


def write_run_report(run: Run, document: Document, path: Path) -> None:
    """Write the HTML report of a run; its first block of paths is run once more for the examples."""
    from tailwag.experiments.run_examples import run_examples

    write_whole(path, run_report_html(document, run_examples(run)).encode())


def run_report_html(document: Document, examples: RunExamples | None = None) -> str:
    """One self-contained HTML page of a run's document (schema ``tailwag.run/1``), about 5 MB; nothing is loaded from anywhere.

    Every text of the document is escaped; unknown numbers print as n/a; nothing raises on a missing part.  ``examples``: paths to draw.

    >>> page = run_report_html({})
    >>> page.startswith("<!doctype html>"), "What hedging adds to vol is unknown" in page
    (True, True)
    """
    first = run_answer(document)
    parts = [_answer_html(first), *(section_html(section) for section in run_sections(document, examples)), _tails(document)]
    return page_html(first.title, [*parts, _inside(document), _assumed(document), f"<footer><p>{_FINE_PRINT}</p></footer>"], styles=STYLES)


def _answer_html(first: RunAnswer) -> str:
    questions = "".join(
        f"<div><dt>{safe(question)}</dt><dd>{''.join(f'<p>{safe(line, most=600)}</p>' for line in lines)}</dd></div>"
        for question, lines in first.answers
    )
    facts = "".join(f"<div><dt>{safe(name)}:</dt><dd>{safe(value, most=300)}</dd></div>" for name, value in first.assumptions)
    return f"""<header>
<p class="where"><strong>tailwag</strong><span>{safe(first.title)}</span></p>
{_banners(first)}
<div class="card answer {first.regime}">
<span class="badge">{safe(first.regime_name)}</span><span class="meaning">{safe(first.regime_meaning)}</span>
<h1>{safe(first.headline, most=400)}</h1>
<dl class="assumptions" aria-label="assumptions">{facts}</dl>
</div>
<div class="tiles">{"".join(map(tile_html, first.tiles))}</div>
<div class="card"><dl class="questions">{questions}</dl></div>
</header>"""


def _banners(first: RunAnswer) -> str:
    found = [SYNTHETIC_BANNER] if first.synthetic else []
    found += [
        f'<p class="banner degraded" role="note"><strong>Nobody knows who is short.</strong> {safe(line, most=400)}</p>'
        for line in first.doubts
    ]
    return "".join(found)


def _tails(document: Document) -> str:
    return (
        '<section id="tails"><h2>What does a bad day cost?</h2><div class="grid">'
        f'<div class="card block span-12">{tables.tail_table(document)}</div>'
        f'<div class="card block span-12">{tables.drawdown_table(document)}</div></div></section>'
    )


def _inside(document: Document) -> str:
    tabled = (
        liquidation_tables(document)
        + takeover_tables(document)
        + venue_tables(document)
        + option_tables(document)
        + options_pool_tables(document)
    )
    liquidated = f'<div class="card block span-12">{tabled}</div>' if tabled else ""
    return (
        '<section id="events"><h2>What happens inside the run?</h2><div class="grid">'
        f'<div class="card block span-12">{tables.event_table(document)}</div>{liquidated}</div></section>'
    )


def _assumed(document: Document) -> str:
    said = "".join(f"<li>{safe(note, most=600)}</li>" for note in notes(document))
    listed = f'<ul class="notes">{said}</ul>' if said else ""
    return (
        '<section id="assumptions"><h2>What was assumed?</h2><div class="grid">'
        f'<div class="card block span-12">{listed}{tables.agent_table(document)}</div>'
        f'<div class="card block span-6">{tables.assumption_table(document)}</div>'
        f'<div class="card block span-6">{tables.origin_table(document)}</div></div></section>'
    )


_FINE_PRINT = (
    "Everybody hedges: the simulated market. Nobody hedges: the same shocks without any hedge. Errors are standard errors over paths and say how "
    "well the run knows its own model, not how well the model knows the market: who is short, how deep the market is and how it is hedged are "
    "assumptions named above. Not investment advice."
)
