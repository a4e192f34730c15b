"""The waterfall of the loop gain as a picture: every number can be read, whatever its sign and however large the error of what was measured."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tailwag.figures.palette import Theme
from tailwag.figures.waterfall import draw_waterfall

NAMES = ["hedging owner", "pool arbitrage"]


def drawn(gain: list[float], measured: float, error: float, theme: Theme = "light") -> tuple[Figure, Axes]:
    figure = Figure(figsize=(12.0, 6.75), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.24, 0.13, 0.73, 0.66))
    draw_waterfall(axes, NAMES[: len(gain)], gain, measured=measured, error=error, theme=theme)
    figure.canvas.draw()
    return figure, axes


def obstacles(axes: Axes, measured: float, error: float) -> Iterator[tuple[float, float, float, float]]:
    """What a number must not touch, in pixels: the bars, and the error bar of the last row."""
    for bar in axes.patches:
        left, low, right, high = bar.get_window_extent().extents
        yield left, low, right, high
    row = len(axes.texts) - 1
    (left, height), (right, _) = axes.transData.transform([(measured - 2 * error, row), (measured + 2 * error, row)])
    yield left, height - 4.0, right, height + 4.0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("gain", "measured", "error"),
    [
        ([0.03325, -0.01237], 0.02146, 0.00054),  # a bar whose error reaches as far as a number is wide
        ([0.03325, -0.01237], -0.004, 0.03),  # an error larger than all gains, across zero
        ([-0.3, 0.05], -0.24, 0.1),
        ([0.0], -0.00567, 0.00086),
    ],
)
def test_every_number_stands_clear_of_bars_and_of_the_error(gain: list[float], measured: float, error: float, theme: Theme) -> None:
    figure, axes = drawn(gain, measured, error, theme)
    whole = axes.get_window_extent().extents
    for number in axes.texts:
        left, low, right, high = number.get_window_extent().extents
        assert left >= whole[0]
        assert right <= figure.bbox.x1
        for other in obstacles(axes, measured, error):
            assert right <= other[0] or left >= other[2] or high <= other[1] or low >= other[3], number.get_text()
    least, most = axes.get_xlim()
    assert least < measured - 2 * error
    assert measured + 2 * error < most
    assert axes.texts[-1].get_text() == f"{measured:+.4f}".replace("-", "−")


def test_the_line_to_what_was_measured_shows_where_the_sum_ended() -> None:
    _, axes = drawn([0.03325, -0.01237], -0.004, 0.01)
    points = [np.asarray(line.get_xydata()) for line in axes.lines]
    ends = [point[0, 0] for point in points if np.allclose(point[:, 1], [2.28, 2.72])]
    assert ends == pytest.approx([0.02088])


def test_small_gains_do_not_all_say_zero_and_rounding_is_not_drawn_wide() -> None:
    _, small = drawn([0.00002561, 0.00002], 0.0, 0.0)
    assert small.texts[0].get_text() == "+0.000026"
    _, none = drawn([2.2e-16], 0.0, 0.0)
    assert none.texts[0].get_text() == "+0.0000"
    assert none.get_xlim()[1] > 0.1
