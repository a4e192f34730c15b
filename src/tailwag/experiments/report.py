"""The report as one HTML file that opens anywhere, offline: the answer first, then figures, then every number as a table."""

from __future__ import annotations

from tailwag.experiments import report_tables as tables
from tailwag.experiments.report_figures import sections
from tailwag.experiments.report_page import SYNTHETIC_BANNER, page_html, section_html, tile_html
from tailwag.experiments.report_tables import safe
from tailwag.experiments.report_view import Answer, Document, FlowCell, answer, coins, part, records
from tailwag.figures.numbers import MINUS, money


def report_html(document: Document) -> str:
    """One self-contained HTML page of a measurement (about 5 MB, most of it the drawing library); nothing is loaded from anywhere.

    Every text of the document is escaped, and a content security policy lets only this page's own scripts run, named by their digest.
    Unknown numbers print as n/a with their reason; nothing raises on a missing part.

    >>> page = report_html({})
    >>> page.startswith("<!doctype html>"), "Nothing could be measured" in page
    (True, True)
    """
    from tailwag import __version__

    first = answer(document)
    parts = [_answer_html(first, document), _own_book(document)]
    parts += [section_html(section) for section in sections(document)]
    parts.append(_footer(document, __version__))
    return page_html(first.title, parts)


def _answer_html(first: Answer, document: Document) -> str:
    more = "".join(f'<p class="more">{safe(line, most=600)}</p>' for line in first.more)
    facts = "".join(f"<div><dt>{safe(name)}:</dt><dd>{safe(value)}</dd></div>" for name, value in first.assumptions)
    currency = document.get("currency")
    return f"""<header>
<p class="where"><strong>tailwag</strong><span>{safe(first.title)}</span><span>source: {safe(part(document, "source").get("name") or "unknown")}</span></p>
{_banners(first)}
<div class="card answer {first.regime}">
<span class="badge">{safe(first.regime_name)}</span><span class="meaning">{safe(first.regime_meaning)}</span>
<h1>{safe(first.headline, most=400)}</h1>
{more}
</div>
<div class="tiles">{"".join(map(tile_html, first.tiles))}</div>
<div class="card flows">
<h2>What dealers must trade at once if spot moves <span class="meaning">under {safe(first.flows_rule)}</span></h2>
<ul class="strip">{"".join(_flow_html(cell, currency) for cell in first.flows)}</ul>
<dl class="assumptions" aria-label="assumptions">{facts}</dl>
</div>
</header>"""


def _banners(first: Answer) -> str:
    found = []
    if first.synthetic:
        found.append(SYNTHETIC_BANNER)
    if first.degraded:
        items = "".join(f"<li>{safe(line, most=400)}</li>" for line in first.degraded)
        found.append(f'<div class="banner degraded" role="note"><strong>Degraded data.</strong><ul>{items}</ul></div>')
    return "".join(found)


def _flow_html(cell: FlowCell, currency: object) -> str:
    move = f"{'+' if cell.move_pct > 0 else MINUS}{abs(cell.move_pct):g} %"
    words = {"buy": "buy", "sell": "sell", "none": "nothing", "unknown": "unknown"}[cell.side]
    amount = money(abs(cell.buy_usd)) if cell.buy_usd is not None else "n/a"
    coin = coins(abs(cell.buy_coin), currency) if cell.buy_coin is not None else ""
    return f'<li class="{cell.side}"><span class="move">{move}</span><span class="side">{words}</span><span class="usd">{safe(amount)}</span><span class="coin">{safe(coin)}</span></li>'


def _own_book(document: Document) -> str:
    own = tables.own_book_html(document)
    return f'<section id="my-book"><h2>My book</h2><div class="grid">{own}</div></section>' if own else ""


def _footer(document: Document, version: str) -> str:
    exposure, source = part(document, "exposure"), part(document, "source")
    totals = tables.rows_table(
        "Totals by the first rule",
        [
            {"quantity": tables.heading(key), "value": tables.quantity(key, value)}
            for key, value in exposure.items()
            if not isinstance(value, list)
        ],
    )
    keys = ("venue", "gex_usd_per_pct", "gross_gex_usd_per_pct", "open_interest_coin")
    venues = tables.rows_table("By venue", records(document, "exposure", "by_venue"), keys=keys, currency=document.get("currency"))
    origin = [
        {"field": name, "value": value or "n/a"}
        for name, value in (("kind", source.get("kind")), ("name", source.get("name")), ("sha256", source.get("sha256")))
    ]
    origin += [{"field": "tailwag", "value": version}, {"field": "schema", "value": document.get("schema") or "n/a"}]
    return (
        f'<section id="levels"><h2>Levels and totals</h2><div class="grid"><div class="card block span-6">{tables.levels_table(document)}</div>'
        f'<div class="card block span-6">{totals}{venues}</div></div></section>'
        f"<footer>{tables.rows_table('Source', origin)}<p>{_FINE_PRINT}</p></footer>"
    )


_FINE_PRINT = (
    "Signs: long +; positive GEX means that dealers are long gamma (damping); + flow buys. No one outside knows who is short or how deep the market is: "
    "both are assumptions named above. Not investment advice."
)
