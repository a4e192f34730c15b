"""Exogenous prices: how the market would move if nobody hedged.

A model yields log increments, one step at a time, from counter-based random numbers: the same seed gives the same shocks to every policy,
to every split of the paths into blocks, and to the paired run in which nobody trades.

=================  ==========================================  =============================================================
model              what it adds                                source
=================  ==========================================  =============================================================
Gbm                nothing                                     Osborne 1959, Samuelson 1965
StudentT           fat-tailed steps                            Praetz 1972, Bailey 1994
Heston             random, mean-reverting variance             Heston 1993; scheme: Andersen 2008
Merton             normal jumps                                Merton 1976
Kou                double-exponential jumps                    Kou 2002
Bates              Heston's variance and Merton's jumps        Bates 1996
HawkesJumps        jumps that call forth jumps                 Hawkes 1971; Bacry, Mastromatteo and Muzy 2015
Bootstrap          real candles in shuffled stretches          Politis and Romano 1994
Replay             given moves                                 none
=================  ==========================================  =============================================================
"""

from __future__ import annotations

from typing import Protocol

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.prices_checks import PRICE_STREAM, Drift
from tailwag.sim.prices_data import Bootstrap, Replay
from tailwag.sim.prices_diffusion import Gbm, Heston, State, StudentT
from tailwag.sim.prices_jumps import Bates, HawkesJumps, Kou, Merton

__all__ = [
    "PRICE_STREAM",
    "Bates",
    "Bootstrap",
    "Drift",
    "Gbm",
    "HawkesJumps",
    "Heston",
    "Kou",
    "Merton",
    "PriceModel",
    "Replay",
    "State",
    "StudentT",
    "expected_vol",
]


class PriceModel(Protocol):
    """What moves the price when nobody hedges; one verb, `increments`.

    State: a tuple of arrays (paths,), at least one (models that remember nothing carry zeros that take no memory).
    """

    @property
    def annual_vol(self) -> float:
        """Long-run vol: square root of the expected sum of squared log moves a year, drift left out."""
        ...

    def scaled(self, factor: float) -> PriceModel:
        """The same model with `factor` times the total volatility; rates, correlations and a drift given as a number stay."""
        ...

    def init(self, paths: int) -> State:
        """State of each path before step 1."""
        ...

    def increments(self, state: State, *, step: int, step_years: float, seed: int, first_path: int) -> tuple[FloatArray, State]:
        """(log increments of this step, new state); steps count from 1 and may differ in length. Never writes what it was given."""
        ...


def expected_vol(model: PriceModel, years: float) -> float:
    """Vol that a model expects over its first `years`, which differs from its long-run vol where variance starts elsewhere.

    >>> crypto = Heston(v0=0.36, kappa=3.0, theta=0.45, xi=1.2, rho=-0.25)
    >>> round(expected_vol(crypto, 1 / 365), 4), round(crypto.annual_vol, 4)
    (0.6003, 0.6708)

    Raises InputError for a negative time.
    """
    if not years >= 0.0:
        raise InputError(f"expected years of 0 or more, got {years:g}; time does not run backwards")
    if isinstance(model, Heston | Bates):
        return model.vol_over(years)
    return model.annual_vol
