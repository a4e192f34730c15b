"""Switches of option vaults: auctions at times drawn by chance, in parts, and on several strikes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tailwag.sim.agents.protocol import Agent
from tailwag.sim.agents.vault import OptionVault
from tailwag.sim.option_slots import MOST_SLOTS
from tailwag.sim.scenario import Scenario
from tailwag.sim.vault_epochs import VaultEpochs

Parameters = Mapping[str, Any]


def epoch_randomisation(scenario: Scenario, numbers: Parameters) -> Scenario:
    """Every auction comes later by a draw of its own; vaults that are alike get streams of their own, or they would still sell together."""

    def later(place: int, vault: OptionVault) -> OptionVault:
        epochs = vault.epochs
        wanted = max(epochs.jitter_hours, min(numbers["jitter_hours"], _room_hours(epochs)))
        return (
            vault
            if wanted == epochs.jitter_hours
            else replace(vault, epochs=replace(epochs, jitter_hours=wanted), stream=vault.stream + place)
        )

    return each_vault(scenario, later)


def epoch_tranches(scenario: Scenario, numbers: Parameters) -> Scenario:
    """Every epoch is sold in parts, so many hours apart."""

    def parted(place: int, vault: OptionVault) -> OptionVault:
        epochs, most = vault.epochs, MOST_SLOTS // vault.strikes
        parts = max(min(int(numbers["tranches"]), most), epochs.tranches)
        if parts == epochs.tranches:
            return vault
        apart = min(numbers["tranche_hours"], 0.5 * (_room_hours(epochs) + epochs.jitter_hours) / parts)
        return replace(vault, epochs=replace(epochs, tranches=parts, tranche_hours=apart))

    return each_vault(scenario, parted)


def vault_strike_limit(scenario: Scenario, share: float) -> Scenario:
    """No strike holds more than a share of an auction; the rest goes to the next strikes further out."""

    def limited(place: int, vault: OptionVault) -> OptionVault:
        wanted = max(share, 1.0 / (MOST_SLOTS // vault.epochs.tranches))
        return vault if vault.most_strike_share <= wanted else replace(vault, most_strike_share=wanted)

    return each_vault(scenario, limited)


def each_vault(scenario: Scenario, change: Callable[[int, OptionVault], OptionVault]) -> Scenario:
    """The scenario with every vault changed, by its place; itself where no vault is."""
    changed: tuple[Agent, ...] = tuple(
        change(place, agent) if isinstance(agent, OptionVault) else agent for place, agent in enumerate(scenario.agents)
    )
    return scenario if all(new is old for new, old in zip(changed, scenario.agents)) else replace(scenario, agents=changed)


def _room_hours(epochs: VaultEpochs) -> float:
    """The longest jitter that leaves the second half of an epoch without auctions."""
    return max(0.5 * epochs.length_hours - (epochs.last_auction_hours - epochs.jitter_hours), 0.0)
