"""An on-chain venue: orders are executed in blocks, blocks hold so much, and what does not fit waits."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.orders import Flight

SECONDS_PER_YEAR = 365.0 * 86_400.0
EDGE = 1e-9
"""A block at the very end of a step is in it, whatever the last bits of its time."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Blocks every ``block_seconds``, each with room for ``capacity_usd_per_block`` of trades (inf: no queue).

    ``others_usd_per_block`` of that room goes to strangers, and ``others_usd_per_log_move`` more for every unit of log price that the venue
    moved in the step before: blocks are full when everybody trades.  Whatever waits is served in proportion, whoever came first.

    >>> chain = Chain(block_seconds=12.0, capacity_usd_per_block=2e6)
    >>> chain.blocks(0.0, 60.0 / SECONDS_PER_YEAR)
    5

    Raises InputError for a number that makes no sense.
    """

    block_seconds: float
    capacity_usd_per_block: float = math.inf
    others_usd_per_block: float = 0.0
    others_usd_per_log_move: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 < self.block_seconds <= 86_400.0:
            raise InputError(f"expected block_seconds above 0 and at most a day, got {self.block_seconds:g}; Ethereum has one every 12 s")
        if not self.capacity_usd_per_block > 0.0:
            raise InputError(f"expected capacity_usd_per_block above 0, got {self.capacity_usd_per_block:g}; leave it out for no limit")
        for name in ("others_usd_per_block", "others_usd_per_log_move"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise InputError(f"expected {name} of 0 or more, got {value:g}")

    def blocks(self, from_years: float, to_years: float) -> int:
        """Blocks in (from, to]; the first one comes ``block_seconds`` after the start of the run."""
        return self._count(to_years) - self._count(from_years)

    def _count(self, years: float) -> int:
        return math.floor(years * SECONDS_PER_YEAR / self.block_seconds * (1.0 + EDGE) + EDGE)

    def room_usd(self, blocks: int, log_move: FloatArray) -> FloatArray:
        """What so many blocks hold for the venue's agents after strangers took their part, USD (paths,)."""
        if blocks == 0:
            return np.zeros(log_move.shape)
        own = (
            np.full(log_move.shape, self.capacity_usd_per_block)
            if math.isfinite(self.capacity_usd_per_block)
            else np.full(log_move.shape, np.inf)
        )
        others = self.others_usd_per_block + self.others_usd_per_log_move * np.abs(log_move)
        return blocks * np.maximum(own - others, 0.0)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a chain's queue has done so far.  Shapes: (paths,), USD, and USD times years for what waited.

    ``arrived_usd`` reached the venue, ``served_usd`` was executed, ``waited_usd_years`` is how much waited how long, ``most_usd`` the longest queue.
    """

    arrived_usd: FloatArray
    served_usd: FloatArray
    waited_usd_years: FloatArray
    most_usd: FloatArray
    queue_usd: FloatArray

    @classmethod
    def nobody(cls, paths: int) -> Waiting:
        """An empty queue."""
        nothing = np.zeros(paths)
        return cls(nothing, nothing, nothing, nothing, nothing)

    @property
    def mean_delay_seconds(self) -> FloatArray:
        """Seconds that a USD of orders waited for its block on average (Little's law: what waited over what was served), (paths,)."""
        served = np.where(self.served_usd > 0.0, self.served_usd, 1.0)
        return np.where(self.served_usd > 0.0, self.waited_usd_years * SECONDS_PER_YEAR / served, 0.0)


def with_room(flight: Flight) -> Flight:
    """A flight with one more slot: what finds no block arrives a step later."""
    paths = flight.usd.shape[1]
    return Flight(np.concatenate((flight.usd, np.zeros((1, paths)))), np.concatenate((flight.coin, np.zeros((1, paths)))))


def gate(
    flights: list[Flight], waiting: Waiting, *, room_usd: FloatArray, spot_usd: FloatArray, step_years: float
) -> tuple[list[Flight], Waiting]:
    """Let through what the step's blocks hold: of every order the same share; the rest stands in the next slot."""
    due = [np.abs(flight.usd[0] + flight.coin[0] * spot_usd) for flight in flights]
    asked = np.zeros(spot_usd.shape)
    for amount in due:
        asked = asked + amount
    share = np.where(asked > room_usd, room_usd / np.where(asked > 0.0, asked, 1.0), 1.0)
    left = asked * (1.0 - share)
    arrived = np.maximum(asked - waiting.queue_usd, 0.0)
    after = Waiting(
        waiting.arrived_usd + arrived,
        waiting.served_usd + asked * share,
        waiting.waited_usd_years + left * step_years,
        np.maximum(waiting.most_usd, left),
        left,
    )
    return [_postponed(flight, share) for flight in flights], after


def _postponed(flight: Flight, share: FloatArray) -> Flight:
    usd, coin = flight.usd.copy(), flight.coin.copy()
    for rows in (usd, coin):
        kept = rows[0] * share
        rows[1] += rows[0] - kept
        rows[0] = kept
    return replace(flight, usd=usd, coin=coin)
