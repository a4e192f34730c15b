"""Run a block of paths on all venues at once and keep every venue's trajectory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.sim.blocks import Kept, _block
from tailwag.sim.state import BlockPaths
from tailwag.sim.venues_chain import Waiting
from tailwag.sim.venues_engine import VenuesPlan, init, step
from tailwag.sim.venues_price import index_usd
from tailwag.sim.venues_settlement import Settling, expected_log_path


@dataclass(frozen=True, slots=True)
class VenuesBlock:
    """A block of paths on every venue, in the order of the venues; ``waiting``: what the queues of on-chain venues did; ``settled``: how futures settled."""

    venues: tuple[BlockPaths, ...]
    waiting: tuple[Waiting | None, ...]
    settled: tuple[Settling | None, ...]

    @property
    def paths(self) -> int:
        """How many paths the block holds."""
        return self.venues[0].paths

    def basis_log(self, plan: VenuesPlan, place: int) -> FloatArray:
        """Log of a venue's price over home's, less what is fair between them, (paths, steps + 1); 0 from a settlement on."""
        home, venue = plan.venues.venues[0], plan.venues.venues[place]
        first = np.log(plan.plans[place].scenario.spot_usd / plan.plans[0].scenario.spot_usd)
        years = self.venues[0].time_years
        fair = np.array([venue.fair_basis_log(float(at)) - home.fair_basis_log(float(at)) for at in years])
        basis = first + self.venues[place].log_price - self.venues[0].log_price - fair
        expiry = plan.expiries[place]
        if expiry is None:
            return np.asarray(basis)
        prices = [one.scenario.spot_usd * np.exp(told.log_price) for one, told in zip(plan.plans, self.venues)]
        index = index_usd(
            [price for one, price in zip(plan.venues.venues, prices) if one.counts_in_index], cap_share=plan.venues.index_cap_share
        )
        basis = basis - expected_log_path(index, expiry)
        basis[:, expiry.step :] = 0.0
        return np.asarray(basis)


def run_venues_block(plan: VenuesPlan, first_path: int, paths: int, *, keep_agents: bool = False) -> VenuesBlock:
    """Simulate ``paths`` paths from ``first_path`` on all venues; with one venue alone, bit for bit what the plain engine does."""
    state = init(plan, first_path, paths)
    kept = [Kept.empty(one, paths, keep_agents) for one in plan.plans]
    for notes, own in zip(kept, state.states):
        notes.note(own)
    for _ in range(plan.plans[0].scenario.grid.steps):
        state = step(plan, state)
        for notes, own in zip(kept, state.states):
            notes.note(own)
    blocks = tuple(_block(one, own, notes) for one, own, notes in zip(plan.plans, state.states, kept))
    return VenuesBlock(blocks, state.waiting, state.settling)
