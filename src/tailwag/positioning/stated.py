"""Positions as the user states them, instrument by instrument."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tailwag.errors import RuleError
from tailwag.kernels.arrays import FloatArray, frozen
from tailwag.market.chain import Chain
from tailwag.positioning.held import Positions


@dataclass(frozen=True, slots=True)
class PositionsFile:
    """Dealer positions as the user states them, instrument by instrument (coin, long +); unnamed instruments are not held."""

    position_coin: Mapping[str, float]
    label: str = "positions"

    @property
    def name(self) -> str:
        """``positions:FILE``."""
        return f"positions:{self.label}"

    def infer(self, chain: Chain, *, forward_usd: FloatArray | None = None) -> Positions:
        """Dealer = the stated position of each instrument, 0 where none is stated.

        Raises RuleError for a name that the chain does not list, and for one that several venues list.
        """
        listed = set(chain.instrument)
        named = {(venue, name) for venue, name in zip(chain.venue.tolist(), chain.instrument.tolist()) if name in self.position_coin}
        twice = [name for name, venues in Counter(name for _, name in named).items() if venues > 1]
        if twice:
            raise RuleError(
                f"positions file: {twice[0][:60]!a} is listed by {' and '.join(sorted(venue for venue, name in named if name == twice[0]))}; "
                "measure one venue at a time, or its position would count twice"
            )
        strange = [name for name in self.position_coin if name not in listed]
        if strange:
            raise RuleError(
                f"positions file: {strange[0][:60]!a} (and {len(strange) - 1} more) is not in this chain; expected names as the venue lists them"
            )
        stated = np.array([self.position_coin.get(name, 0.0) for name in chain.instrument], dtype=np.float64)
        bad = ~np.isfinite(stated)
        if bool(bad.any()):
            raise RuleError(f"positions file: {chain.instrument[bad][0]} has no finite position; give coin, long +")
        return Positions(
            chain,
            frozen(np.where(chain.usable, stated, np.nan)),
            self.name,
            "stated by the user",
            f"{len(self.position_coin)} instruments are held as stated, all others not at all",
        )
