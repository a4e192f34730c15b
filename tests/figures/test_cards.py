"""What every card for chat shares: how it is painted, and where its lines stand."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from tailwag.figures.cards import LEFT, drawable, fitted, foot_lines, named_head, picture_png, question_and_answer, text_lines
from tailwag.figures.palette import palette
from tailwag.figures.pictures import blank_picture


def pixels(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


def test_a_picture_has_its_size_and_the_palettes_surface() -> None:
    for theme in ("light", "dark"):
        drawn = pixels(picture_png(lambda figure: None, size_px=(120, 70), theme=theme))
        assert drawn.shape == (70, 120, 3)
        assert "#" + bytes(drawn[0, 0]).hex() == palette(theme).surface
        assert (drawn == drawn[0, 0]).all()


def test_no_name_from_a_file_is_read_as_a_formula_and_no_setting_stays() -> None:
    before = dict(mpl.rcParams)
    seen = []

    def draw(figure: object) -> None:
        seen.append((mpl.rcParams["text.parse_math"], mpl.rcParams["hatch.linewidth"]))

    picture_png(draw, size_px=(20, 20), style={"hatch.linewidth": 0.6})
    assert seen == [(False, 0.6)]
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(("metadata", "told"), [(None, True), ({"Software": None}, False)])
def test_who_made_the_file_is_told_unless_it_is_left_out(metadata: dict[str, None] | None, told: bool) -> None:
    assert (b"Matplotlib" in picture_png(lambda figure: None, size_px=(20, 20), metadata=metadata)) is told


def test_lines_stand_below_each_other() -> None:
    figure = blank_picture(width_px=400, height_px=300)
    text_lines(figure, ["a", "b", "c"], at=(0.1, 0.9), step=0.2, size=8.0, colour="#123456")
    assert [(text.get_text(), *text.get_position()) for text in figure.texts] == [
        ("a", 0.1, 0.9),
        ("b", 0.1, pytest.approx(0.7)),
        ("c", 0.1, pytest.approx(0.5)),
    ]


def test_the_next_question_begins_below_the_answer() -> None:
    figure, colours = blank_picture(width_px=400, height_px=300), palette("light")
    first = question_and_answer(figure, "Why?", ["one", "two"], colours, top=0.8)
    assert first == pytest.approx(0.8 - 0.030 - 2 * 0.0265 - 0.022)
    question, *answer = figure.texts
    assert question.get_weight() == "bold"
    assert question.get_position() == (LEFT, 0.8)
    assert [line.get_position()[1] for line in answer] == [pytest.approx(0.77), pytest.approx(0.7435)]


def test_a_foot_is_cut_to_three_lines_that_say_so() -> None:
    figure = blank_picture(width_px=1200, height_px=675)
    foot_lines(figure, "word " * 200, palette("light"))
    assert len(figure.texts) == 3
    assert figure.texts[-1].get_text().endswith("…")


def test_an_answer_takes_the_largest_type_that_fits_two_lines() -> None:
    assert fitted("short") == (["short"], 19.0)
    assert fitted("long words " * 15)[1] < 19.0
    lines, size = fitted("far too long an answer " * 30)
    assert len(lines) == 2
    assert size == 12.5
    assert lines[1].endswith("…")


def test_a_head_ends_higher_where_the_answer_is_one_line() -> None:
    colours = palette("light")
    one, two = (
        named_head(blank_picture(width_px=1200, height_px=675), colours, title="t", answer=text) for text in ("short", "word " * 20)
    )
    assert 0.8 < two < one < 0.912


def test_what_the_font_has_not_is_a_question_mark_and_a_cut_is_seen() -> None:
    assert drawable("€\n\U0001f680 ≥ −1", most=20) == "??? ≥ −1"
    assert drawable("abcdef", most=4) == "abc…"
