"""A played scenario as a card for chat: one PNG with the answer, what broke first and who lost, and what each switch changes."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from tailwag.experiments.scenario_pools import Split, fee_sentences, loss_sentence, pool_split
from tailwag.experiments.scenario_sentences import broke_first, helps, through, who_lost
from tailwag.experiments.scenario_view import difference_series
from tailwag.figures.cards import (
    ANSWER_STEP,
    QUESTION_STEP,
    drawable,
    foot_lines,
    named_head,
    part_title,
    picture_png,
    question_and_answer,
)
from tailwag.figures.palette import Theme, palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tailwag.figures.palette import Palette

Document = dict[str, Any]
MOST_SWITCHES = 12
LINES_A_PART = 6
WHOLE = ("Asked", "On the same shocks")
"""Questions whose answers do not begin with their own words."""
SPLIT_HEIGHT, SPLIT_ROWS = 0.30, 4
"""Of the picture of who keeps what arbitrage takes, and how many bars it has room for."""
LOWEST_WORD = 0.112
"""Where the words on the left must end, above the foot."""


def scenario_card(document: Document, *, theme: Theme = "light") -> bytes:
    """A 1200 x 675 PNG of a played scenario: with switches what each changes, without them the fan of prices."""
    return picture_png(lambda figure: _draw(figure, document, theme), theme=theme)


def _draw(figure: Figure, document: Document, theme: Theme) -> None:
    colours = palette(theme)
    top = _head(figure, document, colours)
    _words(figure, document, colours, top=top)
    if document["comparisons"]:
        _switches(figure, document, theme, top=top)
    else:
        _fan(figure, document, theme, top=top)
    _foot(figure, document, colours)


def _head(figure: Figure, document: Document, colours: Palette) -> float:
    title = f"scenario {document['story']['name']}: {document['story']['sentence']}"
    return named_head(figure, colours, title=title, answer=document["headline"][0]) - 0.03


def _words(figure: Figure, document: Document, colours: Palette, *, top: float) -> None:
    """Questions and their answers down the left side; what does not fit is cut with an ellipsis."""
    across = 58 if document["comparisons"] else 46
    asked = [
        ("Asked", document["story"]["question"]),
        *[("What arbitrage takes", loss_sentence(document)), *(("On the same shocks", line) for line in fee_sentences(document))][:2],
        ("Broke first", broke_first(document)),
        ("Through", through(document)),
        ("Who lost", who_lost(document)),
    ]
    if document["comparisons"]:
        asked.append(
            ("What the best switch costs", next((line for line in helps(document) if line.startswith("What ") and " costs: " in line), ""))
        )
    height = top
    for title, answer in asked:
        body = answer.partition(": ")[2] if title not in WHOLE and ": " in answer else answer
        first = height - QUESTION_STEP
        room = 1 + int((first - LOWEST_WORD) / ANSWER_STEP) if first >= LOWEST_WORD else 0
        if not body or not room:
            continue
        lines = textwrap.wrap(drawable(body, most=420), width=across, max_lines=min(LINES_A_PART, room), placeholder=" …")
        height = question_and_answer(figure, title, lines, colours, top=height)


def _switches(figure: Figure, document: Document, theme: Theme, *, top: float) -> None:
    from tailwag.figures.stories import draw_differences

    kind = "mitigation" if any(row["kind"] == "mitigation" for row in document["comparisons"]) else "link"
    found = difference_series(document, kind)
    part_title(figure, "What each switch changes, on the same shocks", palette(theme), at=(0.42, top))
    split = pool_split(document)
    room = 0.0 if split is None else SPLIT_HEIGHT
    axes = figure.add_axes((0.585, 0.165 + room, 0.387, top - 0.205 - room))
    kept = slice(0, MOST_SWITCHES)
    if split is not None:
        _split(figure, split, theme)
    draw_differences(
        axes,
        [drawable(label, most=30) for label in found.labels[kept]],
        found.values[kept],
        found.errors[kept],
        found.verdicts[kept],
        axis_title=found.axis,
        theme=theme,
    )


def _split(figure: Figure, split: Split, theme: Theme) -> None:
    """Who keeps what arbitrage takes from the scenario's pools, below what switches change."""
    from tailwag.figures.shares import draw_stacked_shares

    axes = figure.add_axes((0.585, 0.165, 0.387, SPLIT_HEIGHT - 0.135))
    parts = {name: values[:SPLIT_ROWS] for name, values in split.parts.items()}
    draw_stacked_shares(
        axes, [drawable(label, most=30) for label in split.labels[:SPLIT_ROWS]], parts, axis_title="over the run", theme=theme
    )


def _fan(figure: Figure, document: Document, theme: Theme, *, top: float) -> None:
    from tailwag.figures.fan_picture import draw_fan

    metrics = document["run"]["metrics"]
    fan = metrics["fan"]
    axes = figure.add_axes((0.385, 0.165, 0.587, top - 0.21))
    draw_fan(axes, fan["hours"], fan["quantiles"], fan["hedged_usd"], fan["fundamental_usd"], spot_usd=metrics["spot_usd"], theme=theme)


def _foot(figure: Figure, document: Document, colours: Palette) -> None:
    sources = "; ".join(row["figure"] for row in document["story"]["sources"])
    bars = (
        "Dots: mean difference on the same shocks, bars two standard errors, green lowers the harm, orange adds to it. "
        if document["comparisons"]
        else ""
    )
    foot_lines(figure, f"{bars}Assumed: {sources}. {document['paths']:,} paths, seed {document['seed']}.", colours)
