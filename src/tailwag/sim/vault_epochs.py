"""The clock of an option vault: when an epoch starts, when its options are auctioned, when they expire; and chance in it as a mitigation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.sim.agents.protocol import TO_TRADE_OPTIONS, Draws
from tailwag.sim.grid import TimeGrid
from tailwag.units import HOURS_PER_YEAR

MOST_TRANCHES = 24
SAME_HOURS = 1e-8
"""Grid times nearer than this (thirty-six microseconds) are the same time."""


@dataclass(frozen=True, slots=True)
class VaultEpochs:
    """Epochs of equal length: each starts where the one before expires, sells after a pause, and expires at its end.

    Hours.  ``first_hours``: start of the first epoch, from the start of the run.  ``auction_after_hours``: from an epoch's start to its (first)
    auction: settlement, notice and bidding.  ``tranches`` parts are sold ``tranche_hours`` apart.  ``jitter_hours``: each part's auction is
    later by a draw of its own between 0 and this, even; nothing else in the market knows it.

    >>> VaultEpochs(first_hours=0.0, length_hours=168.0, auction_after_hours=2.25).last_auction_hours
    2.25

    Raises InputError for an epoch whose last auction may come at or after its expiry.
    """

    first_hours: float
    length_hours: float
    auction_after_hours: float
    jitter_hours: float = 0.0
    tranches: int = 1
    tranche_hours: float = 0.0

    def __post_init__(self) -> None:
        for name in ("first_hours", "auction_after_hours", "jitter_hours", "tranche_hours"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise InputError(f"expected {name} of 0 hours or more, got {value:g}")
        if not (math.isfinite(self.length_hours) and self.length_hours > 0.0):
            raise InputError(f"expected length_hours above 0, got {self.length_hours:g}; a week is 168")
        if not 1 <= self.tranches <= MOST_TRANCHES or self.tranches != int(self.tranches):
            raise InputError(f"expected tranches as a whole number from 1 to {MOST_TRANCHES}, got {self.tranches:g}")
        if self.last_auction_hours >= self.length_hours:
            raise InputError(
                f"expected the last auction of an epoch of {self.length_hours:g} hours before its expiry, got it up to "
                f"{self.last_auction_hours:g} hours after its start; shorten the pause, the jitter or the tranches"
            )

    @property
    def last_auction_hours(self) -> float:
        """The latest hour of an epoch at which its last part may be auctioned."""
        return self.auction_after_hours + self.jitter_hours + (self.tranches - 1) * self.tranche_hours


@dataclass(frozen=True, slots=True)
class Calendar:
    """The epochs of a run on its time grid: those whose first auction may come inside it, none at all where it ends before.

    ``start_step``, ``expiry_step`` (epochs,): first grid times at or after an epoch's start and end; ``expiry_step`` of an epoch that ends after
    the run counts steps of the grid's last length on.  ``due_hours`` (epochs * tranches,) earliest auctions.
    """

    start_step: IntArray
    expiry_step: IntArray
    due_hours: FloatArray
    tranches: int

    @property
    def epochs(self) -> int:
        """How many epochs there are."""
        return int(self.start_step.size)


def calendar(epochs: VaultEpochs, grid: TimeGrid) -> Calendar:
    """The epochs on a grid.

    >>> weekly = VaultEpochs(first_hours=12.0, length_hours=168.0, auction_after_hours=2.25)
    >>> found = calendar(weekly, TimeGrid.uniform(horizon_days=8.0, step_minutes=60.0))
    >>> found.start_step.tolist(), found.expiry_step.tolist(), found.due_hours.tolist()
    ([12, 180], [180, 348], [14.25, 182.25])

    Raises InputError where an epoch is shorter than two steps of the grid.
    """
    ends = grid.horizon_years * HOURS_PER_YEAR
    count = max(math.floor((ends - epochs.first_hours - epochs.auction_after_hours) / epochs.length_hours) + 1, 0)
    starts = epochs.first_hours + epochs.length_hours * np.arange(count, dtype=np.float64)
    start_step, expiry_step = steps_at(starts, grid), steps_at(starts + epochs.length_hours, grid)
    if (expiry_step - start_step < 2).any():
        raise InputError(f"expected epochs of two steps at least, got {epochs.length_hours:g} hours; shorten step_minutes")
    parts = epochs.auction_after_hours + epochs.tranche_hours * np.arange(epochs.tranches)
    return Calendar(start_step, expiry_step, (starts[:, None] + parts).ravel(), epochs.tranches)


def steps_at(hours: FloatArray, grid: TimeGrid) -> IntArray:
    """The first step of the grid at or after each hour; beyond its end in steps of its last length.

    >>> steps_at(np.array([0.4, 1.0, 2.5]), TimeGrid.uniform(horizon_days=2 / 24, step_minutes=30.0)).tolist()
    [1, 2, 5]
    """
    times = grid.years * HOURS_PER_YEAR
    last = float(times[-1] - times[-2])
    inside = np.searchsorted(times, hours - SAME_HOURS, side="left")
    beyond = grid.steps + np.ceil((hours - times[-1] - SAME_HOURS) / last)
    return np.where(inside <= grid.steps, inside, beyond).astype(np.int64)


def auction_steps(epochs: VaultEpochs, found: Calendar, grid: TimeGrid, draw: Draws, paths: int) -> IntArray:
    """The step of every auction on every path, (epochs * tranches, paths): after the epoch's start and before its expiry.

    The part numbered n (epochs count through) is late by jitter_hours * U, U its own draw of ``draw(TO_TRADE_OPTIONS, n)``.
    """
    rows = []
    for number, due in enumerate(found.due_hours):
        epoch = number // found.tranches
        late = epochs.jitter_hours * draw(TO_TRADE_OPTIONS, number) if epochs.jitter_hours > 0.0 else np.zeros(paths)
        steps = steps_at(due + late, grid)
        rows.append(np.clip(steps, found.start_step[epoch] + 1, found.expiry_step[epoch] - 1))
    return np.array(rows, dtype=np.int64).reshape(-1, paths)
