"""A case as one HTML file: its sentences, price and gains on one clock, and every table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from tailwag.experiments.report_card import tone_colour
from tailwag.experiments.report_figures import Block, Section
from tailwag.experiments.report_page import page_html, section_html
from tailwag.experiments.report_tables import safe, table
from tailwag.experiments.study.case_picture import spans
from tailwag.experiments.study.case_sentences import rows_of, rules_of, when
from tailwag.experiments.study.case_words import case_tables
from tailwag.figures.canvas import axis, canvas, price_axis
from tailwag.figures.canvas import numbers as as_numbers
from tailwag.figures.palette import Palette, palette
from tailwag.figures.policies import rule_colours

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Document = Mapping[str, Any]
READING = (
    "Shaded by what the published rules say together: orange amplifying, green damping, violet undetermined because they differ. "
    "Dashed: 08:00 UTC expiries. Each snapshot stands from when it was known until the next one was."
)


def case_html(document: Document) -> str:
    """One self-contained page; every text of it is escaped and nothing is loaded from anywhere."""
    return page_html("tailwag study case", _parts(document))


def _parts(document: Document) -> Iterator[str]:
    from tailwag import __version__

    first, *more = document["headline"]
    where = f"{document['currency']}, {when(document['from'])} to {when(document['to'])} UTC"
    yield f"""<header>
<p class="where"><strong>tailwag</strong><span>{safe(where)}</span></p>
<div class="card answer plain"><h1>{safe(first, most=400)}</h1>{"".join(f'<p class="more">{safe(line, most=400)}</p>' for line in more)}</div>
</header>"""
    yield section_html(
        Section("case", "What was measured, beside the price", (Block("clock", "Price and gain", READING, case_figure(document)),))
    )
    cards = (
        f'<div class="card block span-12">{table(title, [one_line(name) for name in head], rows)}</div>'
        for title, head, rows in case_tables(document)
    )
    yield f'<section id="tables"><h2>The numbers</h2><div class="grid">{"".join(cards)}</div></section>'
    digests = ", ".join(f"{name} {digest[:12]}" for name, digest in document["history"]["tables"].items())
    words = (
        f"tailwag {__version__}, schema {document['schema']}; {digests}; {document['candles']['name']} {document['candles']['sha256'][:12]}"
    )
    yield f"<footer><p>{escape(words)}</p></footer>"


def one_line(head: str) -> str:
    """A column's head that the terminal breaks.

    >>> one_line("G\\nshort-\\nall")
    'G short-all'
    """
    return head.replace("-\n", "-").replace("\n", " ")


def case_figure(document: Document) -> Figure:
    """Price above, gain under each rule below, on one clock."""
    colours = palette("light")
    told, paints = document["price"], rule_colours(colours)
    closes = as_numbers(told["close_usd"])
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": told["end"],
            "y": closes,
            "yaxis": "y2",
            "name": "price",
            "line": {"color": colours.ink, "width": 1.6},
        }
    ]
    at = [*(one["known"] for one in document["snapshots"]), document["to"]]
    for place, rule in enumerate(rules_of(document)):
        gains = [row["gain"] for row in rows_of(document, rule)]
        line = {"color": paints[place % len(paints)], "width": 1.8, "shape": "hv"}
        traces.append({"type": "scatter", "mode": "lines", "x": at, "y": as_numbers([*gains, gains[-1]]), "name": rule, "line": line})
    return canvas(
        traces,
        colours,
        height=520,
        shapes=_shapes(document, colours),
        xaxis=axis("UTC", colours, type="date", range=[document["from"], document["to"]], zeroline=False),
        yaxis=axis("gain (above 0 amplifies)", colours, domain=[0.0, 0.42], nticks=6),
        yaxis2=price_axis("price", colours, closes, domain=[0.5, 1.0], anchor="x"),
    )


def _shapes(document: Document, colours: Palette) -> list[dict[str, Any]]:
    band = {"type": "rect", "xref": "x", "yref": "paper", "y0": 0.5, "y1": 1.0, "layer": "below", "opacity": 0.13, "line": {"width": 0}}
    bands = [{**band, "x0": start, "x1": end, "fillcolor": tone_colour(sign, colours)} for start, end, sign in spans(document)]
    line = {"type": "line", "xref": "x", "yref": "paper", "y0": 0.0, "y1": 1.0}
    lines = [
        {
            **line,
            "x0": one["expiry"],
            "x1": one["expiry"],
            "line": {"color": colours.runaway, "dash": "dot", "width": 1.0 + 6.0 * (one["share_of_gross_gamma"] or 0.0)},
        }
        for one in document["expiries"]
    ]
    return [*bands, *lines]
