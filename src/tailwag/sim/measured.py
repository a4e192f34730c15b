"""From a measured market to a scenario: the measured book as a dealer, the measured liquidity as impact, the observed vol taken apart."""

from __future__ import annotations

from typing import Literal

import numpy as np

from tailwag.errors import InputError
from tailwag.exposure.book import Book
from tailwag.exposure.profile import Profile
from tailwag.hedging.policies import EveryStep, Policy
from tailwag.liquidity.laws import Impact
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.calibrate import calibrated
from tailwag.sim.dynamics import Gbm
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.option_book import OptionBook
from tailwag.sim.scenario import Scenario
from tailwag.units import HOURS_PER_YEAR

SKEW_STEP_LOG = 1e-3
NEAREST_ROWS = 2
CALIBRATION_SEED = 0
"""The calibration's own shocks; the answer depends on them by less than its tolerance where the gain is constant."""


def measured_book(profile: Profile) -> OptionBook:
    """The dealers' options of a measured profile, as the simulation holds them: rows that can be priced and are held.

    A row's skew is how its vol moves with ln spot under the profile's smile dynamics.  InputError where nothing is held.
    """
    book = profile.book
    held = book.usable & np.isfinite(book.position_coin) & (book.position_coin != 0.0) & (book.years > 0.0)
    if not held.any():
        raise InputError("expected a measured book with positions that can be priced, got none; choose another positioning rule")
    up, down = book.surface.moved_vols(book.iv, np.array([SKEW_STEP_LOG, -SKEW_STEP_LOG]), profile.dynamics)
    return OptionBook(
        right=book.chain.right[held],
        strike_usd=book.chain.strike_usd[held],
        expiry_years=book.years[held],
        contracts_coin=book.position_coin[held],
        iv=book.iv[held],
        forward_ratio=(book.forward_usd / book.spot_usd)[held],
        skew=((up - down) / (2.0 * SKEW_STEP_LOG))[held],
        averaged=book.settles_on_average[held],
    )


def observed_vol(book: Book, hours: float) -> float:
    """At-the-money vol of the nearest expiry beyond the horizon (else of the last one): the two strikes next to its forward, averaged."""
    years = hours / HOURS_PER_YEAR
    known = book.usable & (book.years > 0.0)
    if not known.any():
        raise InputError("expected a chain with an implied vol, got none; give vol as a decimal, such as 0.55")
    beyond = known & (book.years >= years)
    expiry = book.chain.expiry_ns[beyond].min() if beyond.any() else book.chain.expiry_ns[known].max()
    rows = np.flatnonzero(known & (book.chain.expiry_ns == expiry))
    distance = np.abs(np.log(book.chain.strike_usd[rows] / book.forward_usd[rows]))
    return float(book.iv[rows[np.argsort(distance, kind="stable")[:NEAREST_ROWS]]].mean())


def scenario_from_measurement(
    profile: Profile,
    impact: Impact | ImpactModel,
    *,
    hours: float,
    clearing: str,
    delay_steps: int,
    policy: Policy | None = None,
    vol: float | Literal["calibrated", "observed"] = "calibrated",
    hedge_share: float = 1.0,
    step_minutes: float = 5.0,
) -> Scenario:
    """The scenario in which the measured book is hedged by one dealer against the measured liquidity.

    ``vol``: "calibrated" takes the feedback out of the observed at-the-money vol, "observed" feeds it in as it is (and so counts the
    feedback twice), a number is the fundamental vol itself.  ``policy``: every step unless stated.
    InputError where the parts cannot go together.
    """
    if isinstance(vol, str) and vol not in ("calibrated", "observed"):
        raise InputError(f"expected vol 'calibrated', 'observed' or a decimal, got {vol!r}")
    model = impact if isinstance(impact, ImpactModel) else ImpactModel.from_law(impact)
    stated = observed_vol(profile.book, hours) if isinstance(vol, str) else float(vol)
    dealer = Dealer("dealers", policy or EveryStep(), delay_steps, options=measured_book(profile), hedge_share=hedge_share)
    scenario = Scenario(
        spot_usd=profile.book.spot_usd,
        grid=TimeGrid.uniform(horizon_days=hours / 24.0, step_minutes=step_minutes),
        price=Gbm(vol=stated),
        impact=model,
        agents=(dealer,),
        clearing=clearing,
        start_ns=profile.book.at_ns,
    )
    return calibrated(scenario, seed=CALIBRATION_SEED).scenario if vol == "calibrated" else scenario
