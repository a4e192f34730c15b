"""The profile's hot loop against its plain twin, against the chain kernel, and for independence of order and threads."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailwag.errors import InputError
from tailwag.kernels.black import GREEKS, black_greeks, common_greeks
from tailwag.kernels.netgreeks import LEAST_VOL, NET_GREEKS, net_greeks, net_greeks_plain, row_gammas

RATIOS = np.array([0.7, 0.95, 1.0, 1.02, 1.4])
SHIFTS = np.array([-0.1, 0.0, 0.05])


def book(count: int = 700, seed: int = 5) -> dict[str, Any]:
    """Calls and puts, some of them pairs of one strike, some rows without a position."""
    rng = np.random.default_rng(seed)
    years, vol = rng.choice([1, 7, 30, 180], count) / 365, rng.uniform(0.3, 1.2, count)
    strike = np.round(60000 * np.exp(rng.uniform(-3, 3, count) * vol * np.sqrt(years)), -3)
    half = count // 2
    for values in (strike, years, vol):
        values[half : 2 * half] = values[:half]
    right = np.where(np.arange(count) < half, 1, -1)
    position = rng.normal(0, 100, count) * (rng.random(count) < 0.9)
    return {
        "right": right,
        "strike_usd": strike,
        "forward_usd": 60000 * np.exp(0.05 * years),
        "years": years,
        "vol": vol,
        "position": position,
    }


def gross(held: dict[str, Any], ratios: Any, shifts: Any) -> np.ndarray:
    """Unsigned sums: what the error of a net is measured against."""
    rows = [
        {**{name: np.atleast_1d(values)[i] if np.size(values) > 1 else values for name, values in held.items()}}
        for i in range(len(held["position"]))
    ]
    total = np.zeros((len(shifts), len(ratios), len(NET_GREEKS)))
    for row in rows:
        for v, shift in enumerate(shifts):
            greeks = black_greeks(
                row["right"], row["forward_usd"] * np.asarray(ratios), row["strike_usd"], row["years"], max(row["vol"] + shift, LEAST_VOL)
            )
            total[v] += np.abs(row["position"] * greeks[[GREEKS.index(name) for name in NET_GREEKS]]).T
    return total


def test_parity_of_compiled_and_plain() -> None:
    held = book()
    scale = gross(held, RATIOS, SHIFTS)
    net = net_greeks(**held, spot_ratios=RATIOS, vol_shifts=SHIFTS)
    plain = net_greeks_plain(**held, spot_ratios=RATIOS, vol_shifts=SHIFTS)
    assert net.shape == (3, 5, 8)
    assert np.max(np.abs(net - plain) / scale) < 2e-13


def test_one_row_is_the_chain_kernel_times_the_position() -> None:
    names = [GREEKS.index(name) for name in NET_GREEKS]
    for right, strike, years, vol in (
        (1, 55000.0, 0.1, 0.7),
        (-1, 66000.0, 2.0, 0.9),
        (-1, 50000.0, 1 / 8760, 0.5),
        (1, 61000.0, 0.02, 3.0),
    ):
        net = net_greeks(right, strike, 60000.0, years, vol, -2.5, [1.05], [0.1])[0, 0]
        wanted = -2.5 * black_greeks(right, 63000.0, strike, years, vol + 0.1)[names, 0]
        floor = np.array([60000.0, 1.0, *([0.0] * 6)]) * 1e-15
        assert np.all(np.abs(net - wanted) <= 1e-11 * np.abs(wanted) + floor)


def test_vols_per_spot_agree_with_vols_per_option() -> None:
    held = book()
    moved = held["vol"] * (1 + 0.2 * (RATIOS[:, None] - 1))
    net = net_greeks(**{**held, "vol": moved}, spot_ratios=RATIOS, vol_shifts=SHIFTS)
    for g, ratio in enumerate(RATIOS):
        alone = net_greeks(**{**held, "vol": moved[g]}, spot_ratios=[ratio], vol_shifts=SHIFTS)
        np.testing.assert_array_equal(net[:, g], alone[:, 0])


def test_pairs_whose_vols_part_somewhere_on_the_grid_are_not_merged() -> None:
    """A call and a put that share the vol at the first and last spot only."""
    vols = np.array([[0.5, 0.5], [0.5, 0.9], [0.5, 0.5]])
    net = net_greeks([1, -1], 60000.0, 60000.0, 0.1, vols, [1.0, 1.0], [0.9, 1.0, 1.1], [0.0])
    wanted = black_greeks([1, -1], 60000.0, 60000.0, 0.1, [0.5, 0.9]).sum(axis=1)
    assert net[0, 1, 2] == pytest.approx(wanted[2], rel=1e-12)


def test_the_order_of_rows_and_the_number_of_threads_change_no_bit() -> None:
    held = book(1500)
    ratios = np.linspace(0.6, 1.5, 37)
    net = net_greeks(**held, spot_ratios=ratios, vol_shifts=SHIFTS)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(1500)
        shuffled = {name: values[order] for name, values in held.items()}
        np.testing.assert_array_equal(net_greeks(**shuffled, spot_ratios=ratios, vol_shifts=SHIFTS), net)
    for threads in (0, 2, 3, 64):
        np.testing.assert_array_equal(net_greeks(**held, spot_ratios=ratios, vol_shifts=SHIFTS, threads=threads), net)


def test_a_spot_does_not_depend_on_the_other_spots() -> None:
    held = book()
    whole = net_greeks(**held, spot_ratios=RATIOS, vol_shifts=SHIFTS)
    np.testing.assert_array_equal(net_greeks(**held, spot_ratios=RATIOS[2:3], vol_shifts=SHIFTS[1:2])[0, 0], whole[1, 2])


@given(st.floats(0.5, 2.0), st.floats(-0.2, 0.5))
@settings(max_examples=30, deadline=None)
def test_delta_and_vega_are_slopes_of_the_net_price(ratio: float, shift: float) -> None:
    held = book(60)
    held["forward_usd"] = 60000.0
    held["vol"] = np.maximum(held["vol"], 0.5)
    h = 1e-4
    scale = gross(held, [ratio], [shift])[0, 0]
    prices = net_greeks(**held, spot_ratios=[ratio * (1 - h), ratio, ratio * (1 + h)], vol_shifts=[shift - h, shift, shift + h])
    by_spot = (prices[1, 2, 0] - prices[1, 0, 0]) / (2 * h * ratio * 60000.0)
    by_vol = (prices[2, 1, 0] - prices[0, 1, 0]) / (2 * h)
    assert by_spot == pytest.approx(prices[1, 1, 1], abs=1e-4 * scale[1])
    assert by_vol == pytest.approx(prices[1, 1, 3], abs=1e-4 * scale[3])


def test_short_options_lose_on_either_side_and_buy_rises() -> None:
    net = net_greeks([1, -1], 60000.0, 60000.0, 0.05, 0.6, [-1.0, -1.0], [0.95, 1.0, 1.05], [0.0])[0]
    price, delta, gamma, vega, theta = net[:, :5].T
    assert price[0] < price[1] > price[2]
    assert np.all(gamma < 0)
    assert np.all(vega < 0)
    assert np.all(theta > 0)
    assert -(delta[2] - delta[1]) > 0  # after a rise they must buy


def test_rows_at_expiry_count_their_intrinsic_value_only() -> None:
    net = net_greeks([1, 1, -1], [90.0, 100.0, 100.0], 100.0, 0.0, 0.5, [1.0, 1.0, 1.0], [1.0, 1.1], [0.0])[0]
    np.testing.assert_allclose(net[0], [10.0, 1.0, 0, 0, 0, 0, 0, 0], atol=1e-14)
    np.testing.assert_allclose(net[1], [30.0, 2.0, 0, 0, 0, 0, 0, 0], atol=1e-13)


def test_vols_are_floored_after_the_shift() -> None:
    net = net_greeks(1, 100.0, 100.0, 0.25, 0.3, 1.0, [1.0], [-0.5])[0, 0]
    wanted = black_greeks(1, 100.0, 100.0, 0.25, LEAST_VOL)
    assert net[2] == pytest.approx(wanted[2, 0], rel=1e-12)


def test_an_empty_book_is_zero() -> None:
    assert not net_greeks([], [], [], [], [], [], [1.0], [0.0]).any()
    assert not net_greeks(1, 100.0, 100.0, 0.25, 0.3, 0.0, [1.0], [0.0]).any()


@pytest.mark.parametrize(
    "change",
    [
        {"vol": math.nan},
        {"vol": -0.2},
        {"forward_usd": 0.0},
        {"strike_usd": math.inf},
        {"years": -1.0},
        {"position": math.nan},
        {"right": 3},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_held_row_that_cannot_be_priced_is_refused_and_an_empty_one_is_not(change: dict[str, float]) -> None:
    row = {"right": 1, "strike_usd": 100.0, "forward_usd": 100.0, "years": 0.1, "vol": 0.5, "position": 2.0}
    good = net_greeks(**row, spot_ratios=[1.0], vol_shifts=[0.0])
    both = {name: np.array([value, change.get(name, value)], dtype=float) for name, value in row.items()}
    with pytest.raises(InputError, match="position 0"):
        net_greeks(**both, spot_ratios=[1.0], vol_shifts=[0.0])
    if "position" not in change:
        both["position"][1] = 0.0
        np.testing.assert_array_equal(net_greeks(**both, spot_ratios=[1.0], vol_shifts=[0.0]), good)


@pytest.mark.parametrize("ratios", [[0.0], [-1.0], [math.nan], [1.0, math.inf]])
def test_spot_ratios_must_be_positive(ratios: list[float]) -> None:
    with pytest.raises(InputError, match="spot ratios"):
        net_greeks(1, 100.0, 100.0, 0.1, 0.5, 1.0, ratios, [0.0])


def test_vol_of_another_shape_is_refused() -> None:
    with pytest.raises(InputError, match="vol of shape"):
        net_greeks([1, 1], 100.0, 100.0, 0.1, np.ones((3, 2)), 1.0, [1.0, 1.1], [0.0])


@pytest.mark.parametrize("per_spot", [False, True])
def test_row_gammas_are_the_gammas_of_the_chain_kernel(per_spot: bool) -> None:
    held = book()
    vol = np.repeat(held["vol"][None], RATIOS.size, axis=0) * (np.linspace(0.9, 1.2, RATIOS.size)[:, None] if per_spot else 1.0)
    got = row_gammas(held["right"], held["strike_usd"], held["forward_usd"], held["years"], vol if per_spot else held["vol"], RATIOS)
    wanted = [
        black_greeks(held["right"], held["forward_usd"] * r, held["strike_usd"], held["years"], v)[2]
        for r, v in zip(RATIOS, vol, strict=True)
    ]
    np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-25)
    net = net_greeks(**{**held, "vol": vol}, spot_ratios=RATIOS, vol_shifts=[0.0])[0, :, 2]
    np.testing.assert_allclose(got @ held["position"], net, rtol=0, atol=1e-13 * np.max(got @ np.abs(held["position"])))


def test_row_gammas_name_unpriceable_rows_by_nan_and_expired_ones_by_zero() -> None:
    gammas = row_gammas(1, 100.0, 100.0, [0.1, 0.0, 0.1, -0.1], [0.5, 0.5, math.nan, 0.5], [1.0, 1.2])
    assert np.all(gammas[:, 0] > 0)
    assert np.all(gammas[:, 1] == 0)
    assert np.all(np.isnan(gammas[:, 2:]))


def test_greeks_without_the_price_are_the_same_greeks() -> None:
    held = book()
    whole = net_greeks(**held, spot_ratios=RATIOS, vol_shifts=SHIFTS)
    bare = net_greeks(**held, spot_ratios=RATIOS, vol_shifts=SHIFTS, priced=False)
    assert np.isnan(bare[..., 0]).all()
    scale = gross(held, RATIOS, SHIFTS)[..., 1:]
    assert np.all(np.abs(bare[..., 1:] - whole[..., 1:]) <= 2e-15 * scale)
    np.testing.assert_array_equal(net_greeks(**held, spot_ratios=RATIOS, vol_shifts=SHIFTS, priced=False, threads=2), bare)


@pytest.mark.parametrize("count", [1, 31, 32, 33, 511, 512, 513, 545])
@pytest.mark.parametrize("priced", [True, False])
def test_the_rows_that_fill_the_last_lanes_hold_nothing(count: int, priced: bool) -> None:
    """However many rows there are, the net is the sum of each row's own greeks."""
    held = {**book(count), "right": 1, "vol": np.linspace(0.3, 1.2, count)}
    net = net_greeks(**held, spot_ratios=[1.02], vol_shifts=[0.0], priced=priced)[0, 0]
    own = common_greeks(1, held["forward_usd"] * 1.02, held["strike_usd"], held["years"], held["vol"]) * held["position"]
    first = 0 if priced else 1
    assert np.max((np.abs(net - own.sum(axis=1)) / np.abs(own).sum(axis=1))[first:]) < 2e-13
