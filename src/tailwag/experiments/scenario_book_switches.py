"""Switches of what is held: how much gamma at one strike or expiry, at what leverage, on which side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tailwag.experiments.scenario_changed_agents import with_agents
from tailwag.experiments.scenario_vault_switches import vault_strike_limit
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.ladder import LiquidationLadder
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.agents.protocol import Agent
from tailwag.sim.option_book import LEAST_YEARS, OptionBook
from tailwag.sim.scenario import Scenario

Parameters = Mapping[str, Any]
Apply = Callable[[Scenario, Parameters], Scenario]


def gamma_limit(column: str) -> Apply:
    """No strike (or expiry: ``column``) holds more than a share of a dealer's gamma; by strike, of a vault's auction neither."""

    def apply(scenario: Scenario, numbers: Parameters) -> Scenario:
        def limited(dealer: Dealer) -> Dealer:
            if dealer.options is None:
                return dealer
            kept = kept_share(dealer.options, column, numbers["share"])
            if (kept == 1.0).all():
                return dealer
            return replace(dealer, options=replace(dealer.options, contracts_coin=dealer.options.contracts_coin * kept))

        limited_vaults = vault_strike_limit(scenario, numbers["share"]) if column == "strike_usd" else scenario
        return _each_dealer(limited_vaults, limited)

    return apply


def kept_share(book: OptionBook, column: str, share: float) -> FloatArray:
    """The part of every row, (rows,), that stays where no strike (or expiry) may hold more than ``share`` of the book's gamma.

    Gamma is what a row has with price at its strike, contracts K / (iv sqrt(years)), so that the limit does not move with the price.  The limit is
    of the book as it was, and one strike or expiry over it is cut to it in proportion.

    >>> book = OptionBook.single(strike_usd=6e4, expiry_years=0.02, contracts_coin=-10.0, iv=0.6)
    >>> kept_share(book, "strike_usd", 0.25).tolist()
    [0.25]
    """
    years = np.maximum(book.expiry_years, LEAST_YEARS)
    gamma = np.where(book.expiry_years > 0.0, np.abs(book.contracts_coin) * book.strike_usd / (book.iv * np.sqrt(years)), 0.0)
    _, place = np.unique(getattr(book, column), return_inverse=True)
    held = np.bincount(place, weights=gamma)
    kept = np.minimum(1.0, share * gamma.sum() / np.where(held > 0.0, held, np.inf))
    return np.asarray(np.where(held > 0.0, kept, 1.0)[place])


def lower_leverage(scenario: Scenario, numbers: Parameters) -> Scenario:
    """The same leveraged notional is liquidated ``factor`` times as far away."""
    factor = numbers["factor"]

    def further(ladder: LiquidationLadder) -> LiquidationLadder:
        clusters = tuple(replace(one, distance_log=one.distance_log * factor, width_log=one.width_log * factor) for one in ladder.clusters)
        reach = min(ladder.reach_log * factor, 5.0)
        return replace(
            ladder,
            density_usd=ladder.density_usd / factor,
            levels_per_log=ladder.levels_per_log / factor,
            clusters=clusters,
            reach_log=reach,
        )

    def lower(agent: Agent) -> Agent:
        if isinstance(agent, LeveragedTraders):
            return replace(agent, buckets=tuple(replace(bucket, leverage=bucket.leverage / factor) for bucket in agent.buckets))
        return further(agent) if isinstance(agent, LiquidationLadder) else agent

    return with_agents(scenario, map(lower, scenario.agents))


def still_vol(scenario: Scenario, numbers: Parameters) -> Scenario:
    """Implied vol no longer follows spot."""
    return replace(scenario, vol=replace(scenario.vol, spot_vol_beta=0.0))


def flip_gamma(scenario: Scenario, numbers: Parameters) -> Scenario:
    """Dealers hold the other side of the same options."""

    def flipped(dealer: Dealer) -> Dealer:
        if dealer.options is None:
            return replace(dealer, gamma_usd=-float(dealer.gamma_usd or 0.0))
        return replace(dealer, options=replace(dealer.options, contracts_coin=-dealer.options.contracts_coin))

    return _each_dealer(scenario, flipped)


def _each_dealer(scenario: Scenario, change: Callable[[Dealer], Dealer]) -> Scenario:
    return with_agents(scenario, (change(agent) if isinstance(agent, Dealer) else agent for agent in scenario.agents))
