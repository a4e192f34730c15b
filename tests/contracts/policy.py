"""What every hedging policy must keep; inherit, set `policy`, and add the policy's own table of play."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Literal

import numpy as np
import pytest

from tailwag.hedging.policies import HedgeView, Policy, policy_from_mapping, policy_from_text, policy_to_mapping, policy_to_text

PATHS = 64


def view_of(gap: Any, *, unit: Literal["usd", "coin"] = "usd", **changes: Any) -> HedgeView:
    """A view with a quiet background: 60,000 USD, vol 0.6, 30 days left, a five-minute step that ends at 01:00, short gamma."""
    gap = np.atleast_1d(np.asarray(gap, dtype=np.float64))

    def row(value: Any) -> Any:
        return np.broadcast_to(np.asarray(value, dtype=np.float64), gap.shape).copy()

    per_path = {"spot_usd": 60_000.0, "dollar_gamma_usd": -5e9, "vol": 0.6, "market_gain": 0.2, "uniform": 0.5}
    plain = {"step": 12, "time_years": 60 / 525_600, "step_years": 5 / 525_600, "years_left": 30 / 365}
    columns = {name: row(changes.pop(name, value)) for name, value in per_path.items()}
    return HedgeView(gap=gap, unit=unit, **{**plain, **changes}, **columns)


def random_view(seed: int, unit: Literal["usd", "coin"] = "usd") -> HedgeView:
    rng = np.random.default_rng(seed)
    spot = 60_000.0 * np.exp(0.1 * rng.standard_normal(PATHS))
    view = view_of(
        3e7 * rng.standard_normal(PATHS),
        spot_usd=spot,
        dollar_gamma_usd=3e9 * rng.standard_normal(PATHS),
        vol=rng.uniform(0.3, 1.2, PATHS),
        market_gain=rng.uniform(-2.0, 1.5, PATHS),
        uniform=rng.uniform(size=PATHS),
        years_left=float(rng.uniform(0.003, 0.5)),
    )
    return view if unit == "usd" else replace(view, unit="coin", gap=view.gap / spot)


def slice_of(view: HedgeView, rows: Any) -> HedgeView:
    arrays = {f.name: getattr(view, f.name) for f in fields(view) if isinstance(getattr(view, f.name), np.ndarray)}
    return replace(view, **{name: array[rows] for name, array in arrays.items()})


class PolicyContract:
    """Inherit, set `policy`; get shapes, purity, independence of paths and units, mirror symmetry, vol shift and spelling."""

    policy: Policy

    def test_is_a_policy(self) -> None:
        assert isinstance(self.policy, Policy)
        assert hash(self.policy) == hash(replace(self.policy))  # type: ignore[type-var]

    @pytest.mark.parametrize("unit", ["usd", "coin"])
    def test_answers_for_every_path(self, unit: Literal["usd", "coin"]) -> None:
        decision = self.policy.decide(random_view(1, unit))
        assert decision.active.shape == decision.offset.shape == decision.speed.shape == (PATHS,)
        assert decision.active.dtype == np.bool_
        assert np.isfinite(decision.speed).all()
        assert (decision.speed > 0.0).all()
        assert np.isfinite(decision.offset).all()

    def test_is_a_pure_function_of_its_view(self) -> None:
        view = random_view(2)
        for field in fields(view):
            if isinstance(getattr(view, field.name), np.ndarray):
                getattr(view, field.name).setflags(write=False)
        first, second = self.policy.decide(view), self.policy.decide(view)
        for name in ("active", "offset", "speed"):
            assert np.array_equal(getattr(first, name), getattr(second, name))
        assert np.array_equal(self.policy.vol_shift(view), self.policy.vol_shift(view))

    def test_paths_do_not_see_each_other(self) -> None:
        view, rows = random_view(3), np.random.default_rng(0).permutation(PATHS)[:17]
        whole, part = self.policy.decide(view), self.policy.decide(slice_of(view, rows))
        for name in ("active", "offset", "speed"):
            assert np.array_equal(getattr(whole, name)[rows], getattr(part, name))
        assert np.array_equal(self.policy.vol_shift(view)[rows], self.policy.vol_shift(slice_of(view, rows)))

    def test_buying_mirrors_selling(self) -> None:
        view = random_view(4)
        bought, sold = self.policy.decide(view), self.policy.decide(replace(view, gap=-view.gap))
        assert np.array_equal(bought.active, sold.active)
        assert np.array_equal(bought.offset, -sold.offset)
        assert np.array_equal(bought.speed, sold.speed)

    def test_leaves_open_no_more_than_the_gap_and_on_its_side(self) -> None:
        view = random_view(5)
        decision = self.policy.decide(view)
        left, gap = decision.offset[decision.active], view.gap[decision.active]
        assert (np.abs(left) <= np.abs(gap)).all()
        assert (left * gap >= 0.0).all()

    def test_dollars_and_coin_are_one_decision(self) -> None:
        dollars = random_view(6)
        in_usd, in_coin = self.policy.decide(dollars), self.policy.decide(random_view(6, "coin"))
        assert np.array_equal(in_usd.active, in_coin.active)
        assert in_coin.offset * dollars.spot_usd == pytest.approx(in_usd.offset, rel=1e-12)

    def test_vol_shift_ignores_the_gap_and_spares_a_book_without_gamma(self) -> None:
        view = random_view(7)
        shift = self.policy.vol_shift(view)
        assert shift.shape == (PATHS,)
        assert np.array_equal(shift, self.policy.vol_shift(replace(view, gap=np.zeros(PATHS))))
        assert (view.vol + shift >= 0.0).all()
        assert not self.policy.vol_shift(replace(view, dollar_gamma_usd=np.zeros(PATHS))).any()

    def test_files_and_command_lines_spell_it_exactly(self) -> None:
        assert policy_from_mapping(policy_to_mapping(self.policy)) == self.policy
        assert policy_from_text(policy_to_text(self.policy)) == self.policy

    def test_prints_itself_as_a_phrase(self) -> None:
        phrase = str(self.policy)
        assert phrase
        assert type(self.policy).__name__ + "(" not in phrase
        assert "None" not in phrase
