"""Pictures of simulated runs and of choices: what is drawn is what was given, gaps stay gaps, units stand on the axes."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest

from tailwag import figures
from tailwag.figures.palette import LIGHT, light_to_dark

NAN = math.nan
HOURS = [0.0, 6.0, 12.0, 24.0]
QUANTILES = [0.05, 0.25, 0.5, 0.75, 0.95]
EDGES = np.linspace(55e3, 65e3, 41)
BELL = np.exp(-(((EDGES[1:] - 60e3) / 2e3) ** 2))


def fan(width: float) -> list[list[float]]:
    return [[60e3 * math.exp(width * z * math.sqrt(hour)) for hour in HOURS] for z in (-1.6, -0.7, 0.0, 0.7, 1.6)]


def every_figure(theme: Any = "light", gap: Any = NAN) -> dict[str, Any]:
    bell = [gap if place == 7 else float(value) / 10 for place, value in enumerate(BELL)]
    return {
        "fan": figures.fan_chart(HOURS, QUANTILES, fan(0.006), fan(0.005), spot_usd=60e3, theme=theme),
        "signature": figures.vol_signature(
            [0.1, 1, 24], [0.61, gap, 0.71], [0.6, 0.6, gap], hedged_error=[0.01, gap, 0.02], fundamental_error=[0.01] * 3, theme=theme
        ),
        "pins": figures.pin_histogram(EDGES, bell, bell, strikes_usd=[58e3, None, 60e3, 60.1e3, 80e3], spot_usd=60e3, theme=theme),
        "hours": figures.flow_by_hour(
            range(24), [gap, *[2e6] * 23], [1e6, gap, *[-1e6] * 22], absolute_error=[1e5] * 24, signed_error=[gap] * 24, theme=theme
        ),
        "parts": figures.pnl_parts(
            ["dealer", "vault"],
            ["gamma_theta_usd", "fees_usd"],
            [[2e6, -1e5], [gap, -2e5]],
            error_usd=[[1e4, gap], [1e4, 1e3]],
            theme=theme,
        ),
        "runaway": figures.runaway_paths(HOURS, [[60e3, 61e3, 70e3, 90e3]], [[60e3, 60e3, gap, 60e3]], stopped_hours=[12.0], theme=theme),
        "frontier": figures.policy_frontier(
            ["band", "every step", "none"],
            [1e6, 3e6, gap],
            [5e6, 2e6, 9e6],
            [2e6, 4e6, gap],
            [6e6, 3e6, gap],
            alone_error_usd=[[1e4, 1e4]] * 3,
            together_error_usd=[[1e4, gap]] * 3,
            theme=theme,
        ),
        "phase": figures.phase_diagram(
            [0.1, 0.5, 0.9],
            [1, 2],
            [[0.9, 1.1, gap], [0.8, 1.3, 2.5]],
            across_title="loop gain G",
            up_title="delay, steps",
            value_title="vol, times",
            theme=theme,
        ),
    }


NAMES = sorted(every_figure())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("gap", [NAN, None], ids=["nan", "none"])
def test_gaps_never_break_a_figure(name: str, gap: Any) -> None:
    drawing = every_figure(gap=gap)[name]
    assert drawing.data
    json.loads(drawing.to_json(), parse_constant=lambda word: pytest.fail(f"{word} in the figure's JSON"))


@pytest.mark.parametrize("name", NAMES)
def test_every_visible_axis_has_a_title_or_named_ticks(name: str) -> None:
    layout = every_figure()[name].layout.to_plotly_json()
    axes = {key: value for key, value in layout.items() if key.startswith(("xaxis", "yaxis"))}
    assert axes
    for key, one in axes.items():
        assert one["title"]["text"] or one.get("ticktext"), f"{name}: {key} says nothing"


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("signature", "% a year"),
        ("pins", "%"),
        ("hours", "$m an hour"),
        ("hours", "UTC"),
        ("parts", "$m"),
        ("frontier", "$m"),
        ("fan", "hours"),
        ("runaway", "hours"),
    ],
)
def test_units_stand_on_the_axes(name: str, unit: str) -> None:
    titles = [value["title"]["text"] for key, value in every_figure()[name].layout.to_plotly_json().items() if key[1:5] == "axis"]
    assert any(unit in title for title in titles), titles


def colours_in(part: Any) -> set[str]:
    if isinstance(part, dict):
        return set().union(*map(colours_in, part.values())) if part else set()
    if isinstance(part, list | tuple):
        return set().union(*map(colours_in, part)) if part else set()
    return {part} if isinstance(part, str) and part.startswith(("#", "rgba(")) else set()


@pytest.mark.parametrize("name", NAMES)
def test_the_dark_figure_is_the_light_one_with_colours_exchanged(name: str) -> None:
    swap = light_to_dark()
    light, dark = (colours_in(json.loads(every_figure(theme)[name].to_json())) for theme in ("light", "dark"))
    assert {swap.get(colour, colour) for colour in light} == dark
    assert not light & set(light_to_dark().values())


class TestFan:
    def test_ribbons_are_the_given_quantiles(self) -> None:
        hedged = fan(0.006)
        outer, inner, median, low, high = figures.fan_chart(HOURS, QUANTILES, hedged, fan(0.005)).data
        assert list(outer.y) == hedged[0] + hedged[4][::-1]
        assert list(inner.y) == hedged[1] + hedged[3][::-1]
        assert list(median.y) == hedged[2]
        assert (list(low.y), list(high.y)) == (fan(0.005)[0], fan(0.005)[4])
        assert outer.name == "everybody hedges: 5 to 95 % of paths"

    @pytest.mark.parametrize(("hours", "title"), [(3.0, "hours from now"), (48.0, "hours from now"), (168.0, "days from now")])
    def test_the_clock_suits_the_horizon(self, hours: float, title: str) -> None:
        drawing = figures.fan_chart([0, hours], [0.1, 0.5, 0.9], [[1, 1]] * 3, [[1, 1]] * 3)
        assert drawing.layout.xaxis.title.text == title
        ticks = drawing.layout.xaxis.tickvals
        assert (len(ticks) if ticks is not None else hours / drawing.layout.xaxis.dtick) <= 10

    def test_nothing_simulated_says_so(self) -> None:
        assert "No price path" in figures.fan_chart([], [0.5], [[]], [[]]).layout.annotations[0].text


class TestPins:
    def test_close_strikes_share_a_label_but_keep_their_lines(self) -> None:
        drawing = every_figure()["pins"]
        texts = [note.text for note in drawing.layout.annotations]
        assert texts == ["$58,000", "$60,000", "spot $60,000"]
        assert sorted(shape.x0 for shape in drawing.layout.shapes) == [58e3, 60e3, 60e3, 60.1e3]

    def test_steps_follow_the_bins(self) -> None:
        bars, line = figures.pin_histogram([90, 100, 120], [0.2, 0.8], [0.4, 0.6]).data
        assert list(bars.x) == [95, 110]
        assert list(bars.width) == [10, 20]
        assert list(bars.y) == [20, 80]
        assert (list(line.x), list(line.y)) == ([90, 100, 100, 120], [40, 40, 60, 60])


class TestAccounts:
    def test_parts_and_totals(self) -> None:
        parts = ["gamma_theta_usd", "vega_usd", "fees_usd"]
        one, other = figures.pnl_parts(
            ["a", "b"], parts, [[3e6, 0.0, -1e6], [1e6, 0.0, -4e6]], error_usd=[[1e5] * 3] * 2, total_error_usd=[2e5, 3e5]
        ).data
        assert list(one.x) == pytest.approx([3.0, -1.0, 2.0])
        assert list(other.x) == pytest.approx([1.0, -4.0, -3.0])
        assert list(one.error_x.array) == pytest.approx([0.2, 0.2, 0.4])
        ticks = figures.pnl_parts(["a"], parts, [[3e6, 0.0, -1e6]]).layout.yaxis.ticktext
        assert list(ticks) == ["gamma and theta", "fees", "<b>total</b>"]

    def test_bars_of_several_agents_do_not_overlap(self) -> None:
        data = figures.pnl_parts(["a", "b", "c"], ["fees_usd"], [[1.0], [2.0], [3.0]]).data
        for lower, upper in itertools.pairwise(data):
            assert np.all(np.array(lower.y) + lower.width / 2 <= np.array(upper.y) - upper.width / 2)

    def test_names_cannot_carry_markup(self) -> None:
        assert "<script" not in figures.pnl_parts(["<script>x"], ["fees_usd"], [[1.0]]).to_json().replace("\\u003c", "<").lower()

    def test_flow_colour_follows_the_sign(self) -> None:
        marks = figures.flow_by_hour([1, 2], [1e6, 1e6], [1e6, -1e6]).data[1].marker.color
        assert list(marks) == [LIGHT.buy, LIGHT.sell]


class TestRunaway:
    def test_a_path_ends_where_it_was_stopped(self) -> None:
        alone, wild, mark = every_figure()["runaway"].data
        assert list(wild.x) == [0.0, 6.0, 12.0]
        assert (list(mark.x), list(mark.y)) == ([12.0], [70e3])
        assert len(alone.x) == 4

    def test_no_runaway_is_good_news(self) -> None:
        assert "No path ran away" in figures.runaway_paths(HOURS, [], []).layout.annotations[0].text

    def test_only_a_few_are_drawn(self) -> None:
        drawing = figures.runaway_paths(HOURS, [[1.0] * 4] * 50, [[1.0] * 4] * 50, most=3)
        assert len(drawing.data) == 6


class TestFrontier:
    def test_points_and_joints(self) -> None:
        drawing = every_figure()["frontier"]
        joints, (alone, together) = drawing.data[:3], drawing.data[3:]
        assert list(alone.x[:2]) == [1.0, 3.0]
        assert list(together.y[:2]) == [6.0, 3.0]
        assert (list(joints[0].x), list(joints[0].y)) == ([1.0, 2.0], [5.0, 6.0])
        assert list(together.error_x.array) == pytest.approx([0.02] * 3)

    def test_without_feedback_only(self) -> None:
        drawing = figures.policy_frontier(["a", "b"], [1e6, 2e6], [2e6, 1e6])
        assert [trace.name for trace in drawing.data if trace.name] == ["hedging moves no price"]
        assert {note.text for note in drawing.layout.annotations} == {"a", "b"}

    def test_labels_of_crowded_points_lie_apart(self) -> None:
        crowd = [1.00e6, 1.02e6, 1.04e6, 1.01e6]
        notes = figures.policy_frontier(["one", "two", "three", "four"], crowd, [1e6, 1.01e6, 1.0e6, 0.99e6]).layout.annotations
        assert len({(note.xshift, note.yshift) for note in notes}) == 4


class TestPhase:
    def test_the_threshold_is_neutral_and_drawn(self) -> None:
        heat, line = every_figure()["phase"].data
        place = (1.0 - heat.zmin) / (heat.zmax - heat.zmin)
        colours = dict(heat.colorscale)
        assert colours[min(colours, key=lambda at: abs(at - place))] == LIGHT.neutral
        assert (line.contours.start, line.contours.end) == (1.0, 1.0)
        assert heat.colorscale[0][0] == 0.0
        assert heat.colorscale[-1] == (1.0, LIGHT.sell)

    @pytest.mark.parametrize(("cells", "ends"), [([[1.2, 3.0]], (LIGHT.neutral, LIGHT.sell)), ([[0.2, 0.9]], (LIGHT.buy, LIGHT.neutral))])
    def test_one_sided_maps(self, cells: Any, ends: tuple[str, str]) -> None:
        drawing = figures.phase_diagram([1, 2], [1], cells, across_title="a", up_title="b", value_title="c")
        scale = drawing.data[0].colorscale
        assert (scale[0][1], scale[-1][1]) == ends
        assert [at for at, _ in scale] == sorted(at for at, _ in scale)
        assert len(drawing.data) == 1

    def test_small_maps_show_their_numbers(self) -> None:
        texts = {note.text for note in every_figure()["phase"].layout.annotations}
        assert texts == {"0.9", "1.1", "0.8", "1.3", "2.5"}
