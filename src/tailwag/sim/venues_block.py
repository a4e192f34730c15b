"""Run a block of paths on all venues at once and keep every venue's trajectory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailwag.kernels.arrays import FloatArray
from tailwag.sim.blocks import Kept, _block
from tailwag.sim.state import BlockPaths
from tailwag.sim.venues_chain import Waiting
from tailwag.sim.venues_engine import VenuesPlan, init, step


@dataclass(frozen=True, slots=True)
class VenuesBlock:
    """A block of paths on every venue, in the order of the venues; ``waiting``: what the queues of on-chain venues did."""

    venues: tuple[BlockPaths, ...]
    waiting: tuple[Waiting | None, ...]

    @property
    def paths(self) -> int:
        """How many paths the block holds."""
        return self.venues[0].paths

    def basis_log(self, plan: VenuesPlan, place: int) -> FloatArray:
        """Log of a venue's price over home's, less what is fair between them, (paths, steps + 1)."""
        home, venue = plan.venues.venues[0], plan.venues.venues[place]
        first = np.log(plan.plans[place].scenario.spot_usd / plan.plans[0].scenario.spot_usd)
        years = self.venues[0].time_years
        fair = np.array([venue.fair_basis_log(float(at)) - home.fair_basis_log(float(at)) for at in years])
        return np.asarray(first + self.venues[place].log_price - self.venues[0].log_price - fair)


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
    return VenuesBlock(blocks, state.waiting)
