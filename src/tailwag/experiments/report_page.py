"""The page that every report shares: one HTML file with its own style, drawing library and scripts, which loads nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from string import Template

from tailwag.experiments.report_figures import Block, Section
from tailwag.experiments.report_tables import safe
from tailwag.experiments.report_view import Tile
from tailwag.figures.palette import light_to_dark

SYNTHETIC_BANNER = (
    '<p class="banner synthetic" role="note"><strong>SYNTHETIC market:</strong> made by a seeded generator, no real quote in it.</p>'
)


def page_html(title: str, parts: Iterable[str], *, styles: tuple[str, ...] = ("report.css",)) -> str:
    """A whole page of ``parts``, which are HTML already; a content security policy lets only this page's own scripts run, by their digest.

    >>> page_html("<b>", ["<p>x</p>"]).count("<title>&lt;b&gt;</title>")
    1
    """
    from tailwag import __version__

    plotly, script = _plotly_source(), _asset("report.js")
    return Template(_asset("page.html")).substitute(
        title=safe(title),
        version=escape(__version__),
        script_hashes=f"{_digest(plotly)} {_digest(script)}",
        style="\n".join(map(_asset, styles)),
        body="\n".join(filter(None, parts)),
        palette=_inert_json(json.dumps(light_to_dark())),
        plotly=plotly,
        script=script,
    )


def _asset(name: str) -> str:
    return (files("tailwag.experiments") / "assets" / name).read_text(encoding="utf-8")


def _plotly_source() -> str:
    source = (files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    # a closing tag inside a string of the library would end our script element early
    return source.replace("</script", "<\\/script").replace("\r\n", "\n")


def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _inert_json(text: str) -> str:
    """JSON that cannot end the element it stands in.

    >>> _inert_json('"</script>"')
    '"\\\\u003c/script\\\\u003e"'
    """
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def tile_html(tile: Tile) -> str:
    """One figure of the first screen."""
    size = " long" if len(tile.value) > 13 else ""
    return f'<div class="card tile {tile.tone}"><h2>{safe(tile.label)}</h2><p class="value{size}">{safe(tile.value)}</p><p class="detail">{safe(tile.detail, most=300)}</p></div>'


def section_html(section: Section) -> str:
    """A section with its figures; its numbers, and a folded section, open on a click."""
    intro = f'<p class="intro">{safe(section.intro, most=600)}</p>' if section.intro else ""
    numbers = f"<details><summary>The numbers</summary>{section.table_html}</details>" if section.table_html else ""
    blocks = f'<div class="grid">{"".join(map(_block_html, section.blocks))}</div>'
    if section.folded:
        return f'<section id="{section.name}"><details class="section"><summary>{safe(section.title)}</summary>{intro}{blocks}{numbers}</details></section>'
    return f'<section id="{section.name}"><h2>{safe(section.title)}</h2>{intro}{blocks}{numbers}</section>'


def cards_html(name: str, title: str, inside: str, *, folded: bool = False) -> str:
    """A section of one wide card, ``inside`` HTML already; a folded one opens on a click.

    >>> cards_html("left-out", "<why>", "<p>x</p>")
    '<section id="left-out"><h2>&lt;why&gt;</h2><div class="grid"><div class="card block span-12"><p>x</p></div></div></section>'
    """
    grid = f'<div class="grid"><div class="card block span-12">{inside}</div></div>'
    if folded:
        return f'<section id="{name}"><details class="section"><summary>{safe(title)}</summary>{grid}</details></section>'
    return f'<section id="{name}"><h2>{safe(title)}</h2>{grid}</section>'


def _block_html(block: Block) -> str:
    drawing = _inert_json(block.figure.to_json())
    height = int(block.figure.layout.height or 380)
    numbers = f"<details><summary>The numbers</summary>{block.table_html}</details>" if block.table_html else ""
    return (
        f'<div class="card block span-{block.span}"><h3>{safe(block.title)}</h3><p class="reading">{safe(block.reading, most=400)}</p>'
        f'<div class="figure" id="{block.name}" data-span="{block.span}" style="min-height:{height}px" role="img" aria-label="{safe(block.title)}"></div>'
        f'<script type="application/json" id="data-{block.name}">{drawing}</script>{numbers}</div>'
    )
