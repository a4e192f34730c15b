"""Pictures for chat as PNG: how every card is painted, and the lines of text on it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from tailwag.figures.palette import Palette, Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH_PX, HEIGHT_PX = 1200, 675
LEFT, RIGHT = 0.028, 0.972
"""Where lines of text begin and end."""
_DRAWABLE = "\u2212\u2013\u2014\u2026\u2265\u2264\u00b1"
# text from files may hold dollar signs and must never be read as formulae
_STYLE: dict[Any, Any] = {"text.parse_math": False, "font.family": ["DejaVu Sans"], "axes.unicode_minus": True}


def picture_png(
    draw: Callable[[Figure], object],
    *,
    size_px: tuple[int, int] = (WIDTH_PX, HEIGHT_PX),
    theme: Theme = "light",
    style: Mapping[Any, Any] | None = None,
    metadata: Mapping[str, str | None] | None = None,
) -> bytes:
    """The PNG of what ``draw`` puts on an empty picture in the palette's colours; no text on it is read as a formula.

    ``style``: further settings of matplotlib; ``metadata``: of the file, ``{"Software": None}`` keeps matplotlib's version out of the bytes.

    >>> picture_png(lambda figure: None, size_px=(40, 30))[:4]
    b'\\x89PNG'
    """
    import matplotlib as mpl

    from tailwag.figures.pictures import blank_picture

    with mpl.rc_context({**_STYLE, **(style or {})}):
        figure = blank_picture(width_px=size_px[0], height_px=size_px[1], theme=theme)
        draw(figure)
        picture = BytesIO()
        figure.savefig(picture, format="png", facecolor=figure.get_facecolor(), metadata=metadata)
    return picture.getvalue()


def drawable(text: Any, *, most: int) -> str:
    """Text that the card's font can draw, on one line, of bounded length.

    >>> drawable("G \\u2265 1\\n\\U0001f680", most=9), drawable("a long name", most=7)
    ('G ≥ 1??', 'a long…')
    """
    shown = "".join(letter if letter.isprintable() and (ord(letter) < 0x180 or letter in _DRAWABLE) else "?" for letter in str(text))
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def named_head(figure: Figure, colours: Palette, *, title: str, answer: str) -> float:
    """What a card is of, above its answer in the largest type that fits two lines; where the answer ends."""
    figure.text(LEFT, 0.955, drawable(title, most=118), fontsize=10.5, color=colours.muted, va="center")
    product_name(figure, colours, height=0.955)
    return answer_lines(figure, answer, colours.ink)


def product_name(figure: Figure, colours: Palette, *, height: float) -> None:
    """Whose card it is, at its right."""
    figure.text(RIGHT, height, "tailwag", fontsize=12.5, weight="bold", color=colours.ink, ha="right", va="center")


def answer_lines(figure: Figure, answer: str, colour: str) -> float:
    """The answer in the largest type that fits two lines; where it ends."""
    lines, size = fitted(drawable(answer, most=230))
    step = size * 1.38 / HEIGHT_PX * 100 / 72
    for rank, line in enumerate(lines):
        figure.text(LEFT, 0.912 - step * (rank + 0.5), line, fontsize=size, weight="bold", color=colour, va="center")
    return 0.912 - step * len(lines)


def fitted(text: str) -> tuple[list[str], float]:
    """The headline on at most two lines, in the largest type that allows it."""
    for size in (19.0, 16.5, 14.5, 12.5):
        lines = textwrap.wrap(text, width=int(1130 / (size * 0.685 * 100 / 72)))
        if len(lines) <= 2:
            return lines, size
    return [*lines[:1], drawable(" ".join(lines[1:]), most=len(lines[0]))], 12.5


def part_title(figure: Figure, text: str, colours: Palette, *, at: tuple[float, float]) -> None:
    """What a part of a card shows, above it."""
    figure.text(*at, text, fontsize=10.5, weight="bold", color=colours.ink, va="center")


def text_lines(figure: Figure, lines: Sequence[str], *, at: tuple[float, float], step: float, size: float, colour: str) -> None:
    """Lines of text below each other, ``step`` apart, the first at ``at``."""
    left, top = at
    for rank, line in enumerate(lines):
        figure.text(left, top - step * rank, line, fontsize=size, color=colour, va="center")


QUESTION_STEP, ANSWER_STEP, APART = 0.030, 0.0265, 0.022
"""From a question to its answer, from line to line, and from an answer to the next question."""


def question_and_answer(figure: Figure, question: str, lines: Sequence[str], colours: Palette, *, top: float) -> float:
    """A question at the left of a card with its answer's lines; where the next one begins."""
    part_title(figure, question, colours, at=(LEFT, top))
    text_lines(figure, lines, at=(LEFT, top - QUESTION_STEP), step=ANSWER_STEP, size=9.2, colour=colours.muted)
    return top - (QUESTION_STEP + ANSWER_STEP * len(lines) + APART)


def foot_lines(figure: Figure, text: str, colours: Palette) -> None:
    """What a card rests on, in at most three lines at its foot."""
    lines = textwrap.wrap(drawable(text, most=480), width=168, max_lines=3, placeholder=" …")
    text_lines(figure, lines, at=(LEFT, 0.078), step=0.0235, size=8.2, colour=colours.muted)


def foot_pair(figure: Figure, assumed: str, source: str, colours: Palette) -> None:
    """What was assumed, and below it where the data come from, each in at most two lines at a card's foot."""
    shown = (textwrap.wrap(drawable(text, most=320), width=168, max_lines=2, placeholder="…") for text in (assumed, source))
    text_lines(figure, [line for lines in shown for line in lines], at=(LEFT, 0.078), step=0.0225, size=8.2, colour=colours.muted)
