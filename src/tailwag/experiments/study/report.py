"""A study as one HTML file that opens anywhere, offline: the answer, every estimate at a glance, what could have fooled it, and every number."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from html import escape

from tailwag.experiments.report_figures import Block, Section
from tailwag.experiments.report_page import cards_html, page_html, section_html, tile_html
from tailwag.experiments.report_tables import safe, table
from tailwag.experiments.report_view import Tile
from tailwag.experiments.study import report_tables as tables
from tailwag.experiments.study.plan import analysis_plan
from tailwag.experiments.study.report_figures import interval_rows, placebo_histogram
from tailwag.experiments.study.report_sentences import (
    ASKED,
    asked,
    assumed_sentences,
    decided,
    figures,
    flow_depth_sentence,
    forecast_decided,
    forecast_figures,
    forecast_sentences,
    headline,
    placebo_sentence,
    placebo_warning,
    predicted_words,
    secondary_sentence,
    seen,
    unanswered_sentence,
)
from tailwag.experiments.study.report_view import (
    OUT_OF_SAMPLE,
    Document,
    assumptions_of,
    between,
    first_of,
    glance,
    interval,
    number,
    rank,
)
from tailwag.figures.numbers import percent

STYLES = ("report.css", "run_report.css", "study_report.css")
IN_PREDICTIONS = "share of the predicted effect<br>(0 none, 1 as predicted)"
IN_SEEN = "in units of the smallest effect<br>that four of five samples show"
MARKS = "Orange dots: 0 is rejected as the plan asks. Grey bands: effects too small to be seen in four of five such samples. Right of 0: the direction that was predicted"


def study_html(document: Document, *, command: Sequence[str] = ()) -> str:
    """One self-contained page of a study (schema ``tailwag.study/1``), about 5 MB; ``command``: the words that make it again.

    Parts that the document does not have are left out; every text of it is escaped and nothing is loaded from anywhere.
    """
    return page_html(f"Study: {document['study']}", map(_reached, _parts(document, command)), styles=STYLES)


def _reached(part: str) -> str:
    """A table that is wider than a phone scrolls, so a keyboard must reach it."""
    return part.replace('<div class="scroll">', '<div class="scroll" tabindex="0">')


def _parts(document: Document, command: Sequence[str]) -> Iterator[str]:
    yield _header(document)
    yield section_html(Section("glance", "Every estimate at a glance", tuple(_glance(document)), table_html=_estimates(document)))
    yield from (section_html(one) for one in _doubts(document))
    if document.get("out_of_sample"):
        yield _forecast(document)
    if document.get("identification"):
        yield _identified(document)
    if document.get("replication"):
        yield _replicated(document)
    yield cards_html("left-out", "What was left out, by reason", _left_out(document))
    yield cards_html("regressions", "Every coefficient, and what the plan asked for", _regressions(document), folded=True)
    yield cards_html("again", "What it rests on, and how to make it again", _origins(document, command))
    yield f"<footer><p>{_fine_print(document)}</p></footer>"


def _paragraphs(lines: Sequence[str], kind: str = "") -> str:
    return "".join(f"<p{f' class={kind}' if kind else ''}>{safe(line, most=1200)}</p>" for line in lines if line)


def _list(lines: Sequence[str]) -> str:
    return f'<ul class="notes">{"".join(f"<li>{safe(line, most=1000)}</li>" for line in lines)}</ul>' if lines else ""


def _header(document: Document) -> str:
    answers = [
        (
            entry["name"],
            asked(entry),
            decided(document, entry),
            [figures(document, entry), seen(entry), _note(document, entry), placebo_sentence(entry)],
        )
        for entry in document["hypotheses"]
    ]
    if document.get("out_of_sample"):
        answers.append((OUT_OF_SAMPLE, ASKED[OUT_OF_SAMPLE], forecast_decided(document), forecast_figures(document)))
    listed = "".join(
        f'<div><dt>{safe(question, most=400)}<p class="name">{safe(name)}</p></dt><dd>'
        f"<p><strong>{safe(decision, most=600)}</strong></p>{_paragraphs(lines)}</dd></div>"
        for name, question, decision, lines in answers
    )
    tiles = "".join(map(tile_html, _tiles(document)))
    more = [placebo_warning(document), secondary_sentence(document), unanswered_sentence(document)]
    return f"""<header>
<p class="where"><strong>tailwag</strong><span>study {safe(document["study"])}</span><span>{safe(document["currency"])}, {document["history"]["rows"]:,} snapshots</span><span>plan {safe(document["plan"]["sha256"])[:12]}</span></p>
<div class="card answer plain"><h1>{safe(headline(document), most=400)}</h1>{_paragraphs(more, "more")}</div>
<div class="tiles">{tiles}</div>
<div class="card"><dl class="questions">{listed}</dl></div>
</header>"""


def _note(document: Document, entry: Document) -> str:
    """What the plan says of the prediction; the plan of this version explains only what was run under it."""
    plan = analysis_plan()
    told = plan.hypothesis(entry["name"]).get("predicted_note") if plan.digest == document["plan"]["sha256"] else None
    return f"The plan on its prediction: {told}." if told else ""


def _tiles(document: Document) -> Iterator[Tile]:
    """The first hypothesis' figure, its power, its place among placebos, and how the others did."""
    entry = document["hypotheses"][0]
    one = first_of(entry)
    if one is not None:
        detail = f"95 % {between(one['low'], one['high'])}; predicted: {predicted_words(entry)}"
        yield Tile(f"Estimate, {entry['name']}", number(one["value"]), detail, "plain")
        yield Tile("Could have been seen", number(one["seen_at"]), "in four of five such samples, either sign", "plain")
    dates = next((row for row in entry["placebos"] if row["name"] == "dates"), None)
    if dates is not None:
        place, among = rank(dates)
        yield Tile("Place among shifted dates", f"{place} of {among}", "1: no panel that is days off comes as far", "plain")
    told = document.get("rejected")
    if told:
        found = sum(map(bool, told["secondary"].values()))
        yield Tile("Secondary hypotheses", f"{found} of {len(told['secondary'])}", "shown, taken together by Holm at 5 %", "plain")


def _glance(document: Document) -> Iterator[Block]:
    predicted, others = glance(document)
    if predicted or not others:
        yield Block(
            "at-a-glance",
            "Against what was predicted",
            f"{MARKS}; the diamond is its size at the depth assumed.",
            interval_rows(predicted, axis_title=IN_PREDICTIONS),
        )
    if others:
        yield Block(
            "no-size",
            "Where only a direction was predicted",
            f"{MARKS}; of the forecast it is Clark and West's adjusted difference, which can lie there although the R2 is below 0.",
            interval_rows(others, axis_title=IN_SEEN),
        )


def _estimates(document: Document) -> str:
    return table("Estimates in their own units", tables.HYPOTHESES, tables.hypothesis_cells(document))


def _doubts(document: Document) -> Iterator[Section]:
    """What could have fooled the first hypothesis: placebos, and other assumptions."""
    entry = document["hypotheses"][0]
    one = first_of(entry)
    if one is not None and entry["placebos"]:
        yield Section(
            "placebos",
            "Would the same have come out where hedging cannot be the reason?",
            tuple(_placebos(entry, str(one["name"]))),
            "They decide nothing. A figure that many placebos reach is no evidence, whatever its interval says.",
            table_html=table("Every placebo of every hypothesis", tables.PLACEBOS, tables.placebo_cells(document)),
        )
    rows = assumptions_of(document, entry)
    if len(rows) > 1:
        reading = (
            "Coefficients of a gain scale with the depth: one that is twice as deep halves every gain and doubles every coefficient, at the same p-value. "
            "So does a rule with half the gamma. Compare signs and whether 0 lies inside, not sizes."
        )
        block = Block(
            "assumptions",
            f"{entry['name']} under each set of assumptions",
            reading,
            interval_rows(rows, axis_title=f"coefficient of {one['name'] if one else ''}"),
        )
        yield Section("robustness", "Does it hang on the assumptions?", (block,), table_html=_all_others(document))


def _placebos(entry: Document, coefficient: str) -> Iterator[Block]:
    for column, one in enumerate(entry["placebos"]):
        place, among = rank(one)
        reading = f"{READINGS.get(one['name'], '')} The true figure is number {place:,} of {among:,} by distance from 0; coloured bars lie as far."
        figure = placebo_histogram(one, axis_title=f"coefficient of {coefficient}")
        yield Block(f"placebo-{column}", TITLES.get(one["name"], str(one["name"])), reading, figure, 6)


TITLES = {"signs": "Signs drawn anew", "dates": "Dates shifted", "hours": "Other hours"}
READINGS = {
    "signs": "The gain's sign drawn by chance for blocks of ten days, its size kept.",
    "dates": "The panel moved in time, both ways: its persistence kept, its moment lost.",
    "hours": "Expiries at hours that have none.",
}


def _all_others(document: Document) -> str:
    made = [
        table(f"{entry['name']} under other assumptions", tables.OTHERS, tables.other_cells(document, entry))
        for entry in document["hypotheses"]
        if entry["other_assumptions"]
    ]
    return "".join(made) + _list(tables.not_had(document))


def _forecast(document: Document) -> str:
    told = document["out_of_sample"]
    inside = _paragraphs(forecast_sentences(document))
    if not told["refused"]:
        inside += table("Losses of each forecast, lower is better", tables.FORECASTS, tables.forecast_cells(document))
        inside += (
            '<p class="reading">With and without: the regression of the day\'s vol, refitted daily on what was known. sigma/(1-G): the same with the '
            "coefficient of -log(1-G) held at 1, as the model has it. Implied vol and the past day's vol: as they are, nothing fitted.</p>"
        )
    return cards_html("forecast", "Does it forecast days that it was not fitted to?", inside)


def _identified(document: Document) -> str:
    told = document["identification"]
    inside = _paragraphs([flow_depth_sentence(document)])
    if document["identification"].get("depth_from_flow"):
        inside += table("USD that move the price 1 %", ("depth", "USD per 1 %"), tables.depth_cells(document))
    if told["refused"]:
        inside += _paragraphs([f"Signs: {told['refused']}"])
    else:
        inside += _paragraphs([_told_apart(document)])
        inside += table("The sign of each part: 1 hedgers short all of it, −1 long all of it", tables.SIGNS, tables.sign_cells(told))
        inside += table("Sums of signs, by how much the data say of them", tables.contrast_heads(told), tables.contrast_cells(told))
        heads = ("moves with", *(one["name"] for one in told["signs"]))
        inside += table("How far the parts rise and fall together", heads, tables.correlation_cells(told))
    return cards_html("identified", "Which signs can the data tell apart?", inside)


def _told_apart(document: Document) -> str:
    rows = document["identification"]["contrasts"]
    apart = [row for row in rows if tables.narrower(row)]
    share = sum(row["information"] for row in apart)
    return (
        f"Of {len(rows)} independent sums of signs the data can tell {len(apart)} apart, which hold {percent(share)} of the information; for the others the interval is wider "
        "than all that signs between −1 and 1 allow. Depth is taken from outside: it and the dealers' share of open interest are one product."
    )


def _replicated(document: Document) -> str:
    rows = [interval(told["currency"], told["estimates"][0]) for told in document["replication"] if not told["refused"]]
    notes = [f"{told['currency']}: {told['refused']}" for told in document["replication"] if told["refused"]]
    block = Block(
        "replication-rows",
        "From one snapshot to the next",
        "The index prices that the chains carry, a few points a day: descriptive, and blind to anything faster than the crawl.",
        interval_rows(rows, axis_title="coefficient of gain x return"),
        12,
        table("The primary question at the spacing of snapshots", tables.REPLICATIONS, tables.replication_cells(document)) + _list(notes),
    )
    return section_html(Section("replication", "Does another coin say the same?", (block,)))


def _left_out(document: Document) -> str:
    nothing = table("Nothing, by these reasons", tables.LEFT_OUT, tables.left_out_cells(document, hit=False))
    return (
        table("Left out", tables.LEFT_OUT, tables.left_out_cells(document, hit=True))
        + f"<details><summary>Reasons that left nothing out</summary>{nothing}</details>"
    )


def _regressions(document: Document) -> str:
    plan = analysis_plan()
    made = []
    for entry in document["hypotheses"]:
        made.append(f"<h3>{safe(entry['name'])}</h3>{_paragraphs([entry['hypothesis']])}")
        made.append(_list(_planned(plan.hypothesis(entry["name"]))) if plan.digest == document["plan"]["sha256"] else "")
        for caption, one in (("All coefficients", entry), ("All coefficients, implied vol left out", entry.get("without_implied_vol"))):
            if one and one["estimates"]:
                cells = [tables.coefficient_cells(row["name"], row) for row in one["estimates"]]
                made.append(table(caption, tables.COEFFICIENTS, cells))
    return "".join(made)


def _planned(told: Document) -> list[str]:
    keys = ("outcome", "regressor", "controls", "errors", "test", "predicted_note")
    rows = {key: told[key] for key in keys if told.get(key)}
    return [f"{key.replace('_', ' ')}: {'; '.join(value) if isinstance(value, list) else value}" for key, value in rows.items()]


def _origins(document: Document, command: Sequence[str]) -> str:
    history, candles, told = document["history"], document["candles"], document["assumptions"]
    rows = [
        ["plan", document["plan"]["sha256"]],
        *([name, digest] for name, digest in history["tables"].items()),
        [candles["name"], candles["sha256"]],
    ]
    facts = [
        f"Rule {told['rule']}: who is short. Dynamics {told['dynamics']}: how the smile moves with the spot.",
        f"Depth USD {told['depth_usd_per_pct']:,.0f} per 1 %.",
        f"Seed {document['seed']} of bootstrap and placebos. {candles['candles']:,} candles, {candles['without_volume']:,} of them without volume.",
    ]
    words = shlex.join(command)
    again = f'<p>Make it again:</p><pre class="command">{safe(words, most=2000)}</pre>' if words else ""
    return _paragraphs(assumed_sentences(document)[:1]) + _list(facts) + table("SHA-256", ("of", "digest"), rows) + again


def _fine_print(document: Document) -> str:
    from tailwag import __version__

    return (
        f"tailwag {escape(__version__)}, schema {safe(document['schema'])}, seed {document['seed']}. Not shown is not the same as not there: it says that these data, under these "
        "assumptions, do not tell it from 0. Who is short and how deep the market is are assumptions. Not investment advice."
    )
