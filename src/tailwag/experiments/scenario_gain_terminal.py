"""What ``tailwag scenario gain`` prints, and its card for chat: the sentence, then agent after agent, stated, predicted and measured."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from tailwag.experiments.answer_terminal import print_answer, small_table
from tailwag.figures.cards import LEFT, drawable, named_head, picture_png
from tailwag.figures.numbers import compact
from tailwag.figures.palette import Theme, palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADS = ["agent", "by", "stated", "predicted", "measured", "gain predicted", "measured", "z"]
MOST_BARS = 12
Document = dict[str, Any]


def print_gain(document: Document, *, file: IO[str] | None = None) -> None:
    """Print a gain document."""
    table = small_table(
        "Flow response, USD bought per unit of log price, and what it adds to the gain", HEADS, list(_rows(document)), text=(0, 1)
    )
    print_answer(document["headline"], _notes(document), [] if table is None else [table], file=file)


def gain_card(document: Document, *, theme: Theme = "light") -> bytes:
    """A 1200 x 675 PNG: the sentence, and the waterfall of everybody's predicted gain down to the measured total."""
    return picture_png(lambda figure: _draw(figure, document, theme), theme=theme)


def _draw(figure: Figure, document: Document, theme: Theme) -> None:
    from tailwag.figures.waterfall import draw_waterfall

    colours = palette(theme)
    top = named_head(figure, colours, title="the loop gain of everything", answer=document["headline"][0]) - 0.03
    axes = figure.add_axes((0.24, 0.13, 0.73, top - 0.13))
    names, gains = shown_parts(document)
    total = document["total"]["measured"]
    draw_waterfall(
        axes, [drawable(name, most=34) for name in names], gains, measured=total["value"], error=total["standard_error"], theme=theme
    )
    bump = document["bump"]
    beside = f" beside a step of {100 * bump['noise_log']:.2g} %" if bump["noise_log"] else ""
    foot = f"bump +-{100 * bump['size_log']:g} %{beside}, {document['paths']:,} paths, seed {document['seed']}"
    figure.text(LEFT, 0.03, foot, fontsize=9, color=colours.muted, va="center")


def shown_parts(document: Document) -> tuple[list[str], list[float]]:
    """Names and predicted gains, the largest first; what does not fit is joined."""
    rows = sorted(document["gain_by_agent"], key=lambda row: -abs(row["gain"]["predicted"]))
    parts = [(str(row["name"]), float(row["gain"]["predicted"])) for row in rows]
    if len(parts) > MOST_BARS:
        rest = parts[MOST_BARS - 1 :]
        parts = [*parts[: MOST_BARS - 1], (f"{len(rest)} others", sum(gain for _, gain in rest))]
    return [name for name, _ in parts], [gain for _, gain in parts]


def _rows(document: Document) -> Any:
    for row in document["gain_by_agent"]:
        gain = row["gain"]
        yield [
            row["name"],
            row["law"],
            compact(row["stated_response_usd"], signed=True),
            compact(row["predicted_response_usd"], signed=True),
            compact(row["measured_response_usd"]["value"], signed=True),
            f"{gain['predicted']:+.5f}",
            _with_error(gain["measured"]),
            _z(gain["z"]),
        ]
    total = document["total"]
    yield ["all", "sum", "", "", "", f"{total['predicted']:+.5f}", _with_error(total["measured"]), _z(total["z"])]


def _notes(document: Document) -> Any:
    bump = document["bump"]
    when = "time stands still until all orders have arrived" if bump["clock"] == "still" else "the scenario's clock runs on without shocks"
    yield (
        f"bumped by +-{100 * bump['size_log']:g} % in one step that moves by {100 * bump['noise_log']:.3g} % of its own, {document['paths']:,} paths, "
        f"seed {document['seed']}; then {when} ({bump['steps']:,} steps)"
    )
    yield f"impact: 1 USD moves log price by {document['impact_per_usd']:.3g} at once; gain = impact x response where impact is linear"
    yield from document["notes"]


def _with_error(estimate: Document) -> str:
    if estimate["value"] is None:
        return "unknown"
    error = estimate["standard_error"]
    return f"{estimate['value']:+.5f}" + (f" +- {error:.1g}" if error and error > 1e-12 else "")


def _z(value: float | None) -> str:
    return "n/a" if value is None else f"{value:+.2f}"
