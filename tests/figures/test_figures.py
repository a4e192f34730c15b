"""Figures: arrays in, figure out; gaps stay gaps, units stand on the axes, unknowns are said and not drawn."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from tailwag import figures
from tailwag.figures.numbers import compact, gain_text, known, money, money_scale, percent, price
from tailwag.figures.palette import DARK, LIGHT, light_to_dark
from tailwag.figures.profiles import with_crossings

NAN = math.nan
LEVELS = np.linspace(70e3, 110e3, 41)
EXPIRIES = ["2026-03-27T08:00:00Z", "2026-06-26T08:00:00Z", "2026-09-25T08:00:00Z"]
AS_OF = "2026-03-20T08:00:00Z"


def every_figure(theme: Any = "light", gap: float = NAN) -> dict[str, Any]:
    values = 5e7 * np.sin((LEVELS - 95e3) / 9e3)
    wave, fall = ([gap if place == 7 else float(value) for place, value in enumerate(sign * values)] for sign in (1.0, -1 / 4e7))
    strikes = [80e3, 85e3, gap, 90e3, 100e3]
    return {
        "by_strike": figures.exposure_by_strike(
            strikes, [1e6, gap, 2e6, 3e6, 4e6], [-2e6, -1e6, gap, -5e6, -1e6], spot_usd=91e3, theme=theme
        ),
        "by_expiry": figures.exposure_by_expiry(EXPIRIES, [2e7, gap, -1e7], [5e7, 4e7, gap], theme=theme),
        "profile": figures.gex_profile(
            LEVELS, wave, fall, spot_usd=91e3, flips_usd=[95e3, None], runaway_zones_usd=[[70e3, 72e3], [None, 75e3]], theme=theme
        ),
        "flow_map": figures.hedge_flow_map([-1, 0, 1, -1, 1], [0, 0, 0, 5, 5], [-5e6, 0.0, 4e6, gap, 9e6], theme=theme),
        "calendar": figures.flow_calendar(
            EXPIRIES, ["expiry", "funding", "expiry"], [3e7, gap, 1e7], as_of=AS_OF, gross_usd_per_pct=9e7, theme=theme
        ),
        "forward": figures.forward_view(["now", "+6 h", "after 27 Mar"], [2e7, gap, -1e7], [-0.2, gap, 0.1], theme=theme),
        "smile": figures.smile_fit(
            strikes,
            [0.5, gap, 0.5, 0.45, gap],
            [0.55, 0.5, 0.52, gap, gap],
            [0.52, 0.5, gap, 0.47, 0.5],
            curve_strike_usd=[80e3, 100e3],
            curve_iv=[0.5, 0.49],
            forward_usd=91e3,
            theme=theme,
        ),
        "term": figures.term_structure([7, gap, 180], [0.5, 0.52, gap], [91e3, 92e3, gap], spot_usd=91e3, theme=theme),
        "rules": figures.who_is_short(["one", "two", "three"], [3e7, gap, -2e7], [-0.4, gap, 0.3], theme=theme),
        "laws": figures.gain_by_law(["book", "square-root"], [gap, 1.4], [gap, 4e7], theme=theme),
        "quality": figures.data_quality(["iv_missing", "one_sided"], [0.01, gap], [True, False], theme=theme),
    }


NAMES = sorted(every_figure())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("gap", [NAN, None], ids=["nan", "none"])
def test_gaps_never_break_a_figure(name: str, gap: Any) -> None:
    drawing = every_figure(gap=gap)[name]
    assert drawing.data
    text = drawing.to_json()
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} in the figure's JSON"))


@pytest.mark.parametrize("name", NAMES)
def test_every_visible_axis_has_a_title_or_named_ticks(name: str) -> None:
    layout = every_figure()[name].layout.to_plotly_json()
    axes = {key: value for key, value in layout.items() if key.startswith(("xaxis", "yaxis"))}
    assert axes
    for key, one in axes.items():
        named = one["title"]["text"] or one.get("ticktext") or one.get("showticklabels") is False
        assert named, f"{name}: {key} says nothing"


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"smile", "term", "quality", "laws", "flow_map"}))
def test_dollar_axes_say_million_per_per_cent(name: str) -> None:
    titles = [value["title"]["text"] for key, value in every_figure()[name].layout.to_plotly_json().items() if key[1:5] == "axis"]
    assert any("$m per 1 %" in title for title in titles), titles


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


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    return float(np.dot([0.2126, 0.7152, 0.0722], [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]))


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_can_be_read_on_their_surface(colours: Any) -> None:
    for name in ("ink", "muted", "damping", "amplifying", "runaway"):
        assert contrast(getattr(colours, name), colours.surface) >= 4.5, name


# Vienot, Brettel and Mollon 1999: what a person without red (protan) or green (deutan) cones sees, on linear RGB
PROTAN = np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]])
DEUTAN = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("eye", [PROTAN, DEUTAN], ids=["protan", "deutan"])
@pytest.mark.parametrize("pair", [("call", "put"), ("buy", "sell"), ("damping", "amplifying")])
def test_opposite_colours_stay_apart_for_the_colour_blind(colours: Any, eye: Any, pair: tuple[str, str]) -> None:
    seen = [eye @ (np.array([int(getattr(colours, name)[k : k + 2], 16) / 255 for k in (1, 3, 5)]) ** 2.2) for name in pair]
    assert np.abs(np.clip(seen[0], 0, 1) ** (1 / 2.2) - np.clip(seen[1], 0, 1) ** (1 / 2.2)).max() > 0.25


class TestByStrike:
    def test_stack_and_net(self) -> None:
        drawing = figures.exposure_by_strike([90e3, 80e3], [2e6, 4e6], [-5e6, -1e6], spot_usd=85e3)
        calls, puts, net = drawing.data
        assert list(calls.x) == [80e3, 90e3]
        assert list(net.y) == pytest.approx([3.0, -3.0])
        assert list(calls.y) == pytest.approx([4.0, 2.0])
        assert list(puts.y) == pytest.approx([-1.0, -5.0])
        assert drawing.layout.barmode == "relative"

    def test_spot_is_marked_where_it_is(self) -> None:
        drawing = figures.exposure_by_strike([80e3, 90e3], [1e6, 1e6], [0, 0], spot_usd=85_123.0)
        assert drawing.layout.shapes[0].x0 == 85_123.0
        assert drawing.layout.annotations[0].text == "spot $85,123"

    def test_bars_never_overlap(self) -> None:
        strikes = np.array([60e3, 70e3, 71e3, 72e3, 80e3, 100e3])
        bars = figures.exposure_by_strike(strikes, np.ones(6), -np.ones(6)).data[0]
        assert np.all(strikes[:-1] + bars.width[:-1] / 2 <= strikes[1:] - bars.width[1:] / 2)

    def test_the_window_follows_where_the_exposure_is(self) -> None:
        strikes = np.linspace(50, 150, 101)
        narrow = figures.exposure_by_strike(strikes, np.exp(-(((strikes - 100) / 3) ** 2)), 0 * strikes, spot_usd=100.0)
        wide = figures.exposure_by_strike(strikes, np.ones(101), 0 * strikes, spot_usd=100.0)
        assert narrow.layout.xaxis.range[1] < 110 < 135 < wide.layout.xaxis.range[1]

    def test_the_height_fits_what_is_shown(self) -> None:
        drawing = figures.exposure_by_strike([50.0, 95.0, 100.0, 105.0], [1e9, 2e6, 30e9, 1e6], [0, -1e6, 0, 0], spot_usd=100.0)
        assert drawing.layout.yaxis.range[1] == pytest.approx(30 * 1.07, rel=0.01)


class TestProfile:
    def test_areas_meet_exactly_at_zero(self) -> None:
        x, y = with_crossings(np.array([0.0, 1.0, 3.0]), np.array([1.0, -1.0, 3.0]))
        assert list(x) == [0.0, 0.5, 1.0, 1.5, 3.0]
        assert list(y) == [1.0, 0.0, -1.0, 0.0, 3.0]

    def test_no_gain_no_second_panel(self) -> None:
        assert "yaxis2" not in figures.gex_profile(LEVELS, LEVELS - 9e4, [None] * 41, spot_usd=91e3).layout.to_plotly_json()

    def test_gain_has_its_own_panel(self) -> None:
        layout = figures.gex_profile(LEVELS, LEVELS - 9e4, -(LEVELS - 9e4) / 1e4, spot_usd=91e3).layout
        assert layout.yaxis2.domain[1] < layout.yaxis.domain[0]

    def test_a_zone_without_end_goes_to_the_edge(self) -> None:
        shapes = figures.gex_profile(LEVELS, LEVELS - 9e4, runaway_zones_usd=[[None, 75e3]]).layout.shapes
        assert (shapes[0].x0, shapes[0].x1) == (70e3, 75e3)

    def test_every_flip_is_marked(self) -> None:
        texts = [note.text for note in figures.gex_profile(LEVELS, LEVELS - 9e4, spot_usd=91e3, flips_usd=[88e3, 95e3]).layout.annotations]
        assert {"flip $88,000", "flip $95,000", "spot $91,000"} <= set(texts)


class TestFlowMap:
    def test_colours_are_centred_at_zero_and_odd(self) -> None:
        trace = figures.hedge_flow_map([-1, 0, 1], [0, 0, 0], [-4e6, 0.0, 1e6]).data[0]
        assert (trace.zmin, trace.zmid, trace.zmax) == (-1, 0, 1)
        assert np.array(trace.z).ravel().tolist() == pytest.approx([-1.0, 0.0, 0.5])
        scale = trace.colorscale
        assert scale[2] == (0.5, LIGHT.neutral)
        assert scale[0][1] == LIGHT.sell
        assert scale[4][1] == LIGHT.buy

    def test_each_amount_stands_in_its_own_cell(self) -> None:
        trace = figures.hedge_flow_map([1, -1, 1, -1], [5, 5, -5, -5], [1e6, 2e6, 3e6, 4e6]).data[0]
        assert list(trace.x) == ["−5", "+5"]
        assert list(trace.y) == ["−1 %", "+1 %"]
        assert [list(line) for line in trace.text] == [["+$4.00m", "+$2.00m"], ["+$3.00m", "+$1.00m"]]

    def test_one_scale_over_horizons(self) -> None:
        assert np.array(figures.hedge_flow_map([1], [0], [1e6], largest_usd=4e6).data[0].z).item() == pytest.approx(0.5)

    def test_all_zero_flows_draw(self) -> None:
        assert np.array(figures.hedge_flow_map([0, 1], [0, 0], [0.0, 0.0]).data[0].z).ravel().tolist() == [0.0, 0.0]


class TestCalendar:
    def test_left_is_gross_less_all_taken_so_far(self) -> None:
        left, taken = figures.flow_calendar(EXPIRIES, ["expiry"] * 3, [3e7, 2e7, 1e7], as_of=AS_OF, gross_usd_per_pct=7e7).data
        assert list(taken.x) == pytest.approx([30.0, 20.0, 10.0])
        assert list(left.x) == pytest.approx([40.0, 20.0, 10.0])

    def test_nothing_is_left_over_when_the_sum_does_not_fit(self) -> None:
        drawing = figures.flow_calendar(EXPIRIES, ["expiry"] * 3, [3e7, 2e7, 1e7], as_of=AS_OF, gross_usd_per_pct=4e7)
        assert [trace.name for trace in drawing.data] == ["taken away"]

    def test_of_many_the_next_and_the_largest_are_drawn_and_left_still_counts_all(self) -> None:
        at = [f"2026-04-{day:02d}T08:00:00Z" for day in range(1, 11)]
        removed = np.array([1, 1, 1, 9, 1, 8, 1, 1, 7, 1]) * 1e6
        left, taken = figures.flow_calendar(at, ["expiry"] * 10, removed, as_of=AS_OF, gross_usd_per_pct=31e6, most=4).data
        assert list(taken.x) == pytest.approx([1.0, 9.0, 8.0, 7.0])
        assert list(left.x) == pytest.approx([30.0, 19.0, 10.0, 1.0])

    def test_waiting_time_is_named(self) -> None:
        ticks = figures.flow_calendar(EXPIRIES[:1], ["expiry"], [3e7], as_of=AS_OF).layout.yaxis.ticktext
        assert list(ticks) == ["27 Mar  <i>in 7 d</i>"]


def test_one_sided_quotes_point_to_the_missing_side() -> None:
    names = {trace.name: trace for trace in figures.smile_fit([1e4, 2e4, 3e4], [0.5, NAN, 0.4], [0.6, 0.5, NAN], [NAN] * 3).data}
    assert list(names["bid to ask"].x) == [1e4]
    assert list(names["ask only"].x) == [2e4]
    assert list(names["bid only"].x) == [3e4]
    assert list(names["bid to ask"].error_y.array) == pytest.approx([5.0])


def test_an_absurd_wing_quote_does_not_flatten_the_smile() -> None:
    drawing = figures.smile_fit(
        [9e4, 1e5, 1.1e5], [0.4, 0.4, 0.4], [0.5, 0.5, 9.0], [0.45, 0.45, 0.46], curve_strike_usd=[9e4, 1.1e5], curve_iv=[0.45, 0.46]
    )
    assert drawing.layout.yaxis.range[1] < 60


def test_verdict_colour_follows_the_sign() -> None:
    trace = figures.who_is_short(["a", "b"], [2e7, -1e7]).data[0]
    assert list(trace.marker.color) == [LIGHT.damping, LIGHT.amplifying]


@pytest.mark.parametrize(
    "drawing",
    [
        lambda: figures.exposure_by_strike([], [], []),
        lambda: figures.exposure_by_expiry([], [], []),
        lambda: figures.gex_profile([], []),
        lambda: figures.hedge_flow_map([], [], []),
        lambda: figures.flow_calendar([], [], [], as_of=AS_OF),
        lambda: figures.forward_view(["now"], [None]),
        lambda: figures.smile_fit([], [], [], []),
        lambda: figures.term_structure([], [], []),
        lambda: figures.who_is_short([], []),
        lambda: figures.gain_by_law([], [], []),
        lambda: figures.data_quality([], [], []),
    ],
)
def test_an_empty_figure_says_why(drawing: Any) -> None:
    empty = drawing()
    assert not empty.data
    assert empty.layout.annotations[0].text.endswith(".")


def test_hostile_text_is_inert_in_figures() -> None:
    attack = "<img src=x onerror=alert(1)>"
    text = figures.who_is_short([attack], [1e6]).to_json() + figures.data_quality([attack], [0.1], [True]).to_json()
    text += figures.flow_calendar([attack], [attack], [1e6], as_of=attack).to_json() + figures.forward_view([attack], [1e6]).to_json()
    text += figures.exposure_by_expiry([attack], [1e6], [2e6]).to_json() + figures.gain_by_law([attack], [0.5], [1e6]).to_json()
    assert "<img" not in text
    assert "&lt;img" in text


class TestNumbers:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (0, "$0"),
            (999.6, "$1.00k"),
            (999.4, "$999"),
            (1e6, "$1.00m"),
            (999_950_000, "$1.00bn"),
            (-0.0, "$0"),
            (-12.34, "−$12.3"),
            (0.0123, "$0.0123"),
            (2.5e12, "$2.50tn"),
        ],
    )
    def test_three_figures(self, value: float, text: str) -> None:
        assert money(value) == text

    @pytest.mark.parametrize("value", [None, NAN, math.inf, -math.inf, "7", True])
    def test_whatever_is_no_number_is_unknown(self, value: Any) -> None:
        assert not known(value)
        assert {money(value), price(value), percent(value), gain_text(value), compact(value)} == {"n/a"}

    def test_signs(self) -> None:
        assert money(5e6, signed=True) == "+$5.00m"
        assert percent(-0.0004) == "−<0.1 %"
        assert gain_text(-0.001) == "−0.001"
        assert gain_text(0.0) == "0.000"

    def test_scale_follows_the_largest(self) -> None:
        assert money_scale(np.array([1e9, NAN]), np.array([-4e9])) == (1e9, "$bn")


def test_matplotlib_axes_take_gaps_and_nothing() -> None:
    from tailwag.figures.pictures import blank_picture, draw_profile, draw_strikes

    picture = blank_picture(width_px=400, height_px=300, theme="dark")
    upper, lower, third, fourth = (picture.add_subplot(2, 2, place) for place in (1, 2, 3, 4))
    draw_profile(
        upper,
        LEVELS,
        np.where(np.arange(41) == 7, NAN, LEVELS - 9e4),
        spot_usd=91e3,
        flips_usd=[90e3, None],
        runaway_zones_usd=[[None, 75e3]],
    )
    draw_strikes(lower, [80e3, NAN, 90e3], [1e6, 1e6, NAN], [-1e6, 1e6, -2e6], spot_usd=91e3)
    draw_profile(third, [], [])
    draw_strikes(fourth, [None], [None], [None])
    picture.canvas.draw()
    assert [patch.get_height() for patch in lower.patches] == [1.0, 0.0, -1.0, -2.0]
    assert "GEX" in upper.get_ylabel()
    assert third.texts[0].get_text() == "the profile over spot is unknown"
