"""Several venues: one market each, the same fundamental shocks, stepped side by side; between steps arbitrageurs trade the differences.

Every venue is a scenario of its own (depth, costs, agents), and the single-market engine steps it.  What ties them together happens between
steps: orders of arbitrageurs enter both venues' flights, an on-chain venue lets through what its blocks hold, perps pay funding by their
premium over the index, and venues that liquidate on the index are told their mark price.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.margin.funding import Funding
from tailwag.margin.initial import InitialMargin
from tailwag.sim.agents.arbitrageur import Arbitrageur
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.hawkes import SelfExcitingOrders
from tailwag.sim.agents.momentum import TrendFollower
from tailwag.sim.scenario import Scenario
from tailwag.sim.venues_chain import Chain
from tailwag.sim.venues_price import Carried, Expiry, expiry_of, same_shocks

INSTRUMENTS = ("spot", "perp", "future")
MARKS = ("last", "mark", "index")
MOST_VENUES = 16
MOST_CARRY_LOG = 5.0
"""A future that costs more than 148 times spot, or less than a 148th, is a carry of the wrong unit."""


@dataclass(frozen=True, slots=True)
class Venue:
    """One venue: its market, what is traded there, and the rules that look at other venues.

    ``instrument``: "spot", "perp", or "future".  ``funding``: the perp's formula (None: it charges none here).  A future's first price
    holds ``carry_per_year`` until its expiry ``expiry_years`` from the start: build its scenario with :func:`future_scenario`.
    ``mark``: liquidations look at the venue's own "last" price, at the "index", or at the "mark", which is the index and the premium over it,
    averaged with a time constant of ``mark_seconds`` (funding reads that average too).  ``in_index``: whether its price is in the index (None: spot is).  ``chain``: blocks that orders wait for.
    ``message_delay_steps``: arbitrageurs' orders to this venue take so many steps more.  ``initial_margin``: what a position there ties up (None: its
    whole value).

    Raises InputError for parts that do not go together.
    """

    name: str
    scenario: Scenario
    instrument: str = "spot"
    funding: Funding | None = None
    mark: str = "last"
    mark_seconds: float = 0.0
    in_index: bool | None = None
    chain: Chain | None = None
    message_delay_steps: int = 0
    carry_per_year: float = 0.0
    expiry_years: float | None = None
    initial_margin: InitialMargin | None = None

    def __post_init__(self) -> None:
        said = f"venue {self.name!r}"
        if self.instrument not in INSTRUMENTS or self.mark not in MARKS:
            raise InputError(
                f"{said}: expected instrument one of {', '.join(INSTRUMENTS)} and mark one of {', '.join(MARKS)}, got {self.instrument!r} and {self.mark!r}"
            )
        if self.funding is not None and self.instrument != "perp":
            raise InputError(f"{said}: expected funding on a perp only, got it on {self.instrument}")
        if (self.instrument == "future") != (self.expiry_years is not None):
            raise InputError(f"{said}: expected expiry_years for a future and for nothing else")
        if self.message_delay_steps < 0 or self.mark_seconds < 0.0 or not math.isfinite(self.carry_per_year):
            raise InputError(f"{said}: expected message_delay_steps and mark_seconds of 0 or more, and a finite carry_per_year")
        if self.funding is not None:
            _refuse_own_funding(self)
        if self.chain is not None:
            _refuse_on_chain(self)
        if self.settles is not None:
            _refuse_settling(self, self.settles)

    @property
    def settles(self) -> Expiry | None:
        """When the future settles inside the run; None where it does not, and for whatever is no future."""
        return None if self.expiry_years is None else expiry_of(self.scenario.grid.years, self.expiry_years)

    def tied_up_usd(self, position_usd: FloatArray) -> FloatArray:
        """Margin on positions of these values by the venue's rule at its first price; the whole value where it has none."""
        if self.initial_margin is None:
            return position_usd
        return self.initial_margin.margin_usd(position_usd, price_usd=self.scenario.spot_usd)

    @property
    def counts_in_index(self) -> bool:
        """Whether its price is one of the index's."""
        return self.instrument == "spot" if self.in_index is None else self.in_index

    def fair_basis_log(self, time_years: float) -> float:
        """Log of the fair price over spot at a time: what is left of the carry, 0 for spot and perps."""
        return 0.0 if self.expiry_years is None else self.carry_per_year * max(self.expiry_years - time_years, 0.0)


def _refuse_own_funding(venue: Venue) -> None:
    for agent in venue.scenario.agents:
        if getattr(agent, "holds_coin", False):
            raise InputError(
                f"venue {venue.name!r}: agent {agent.name!r} has coin as collateral, and funding is not charged on such accounts; leave the venue's rules out"
            )
        instrument = getattr(agent, "instrument", None)
        if getattr(agent, "premium_share", None) is not None or (instrument is not None and instrument.funding_per_year != 0.0):
            raise InputError(
                f"venue {venue.name!r}: agent {agent.name!r} states its own funding, and the venue charges it by the premium; leave one out"
            )


def _refuse_on_chain(venue: Venue) -> None:
    for agent in venue.scenario.agents:
        if agent.delay_steps < 1:
            raise InputError(
                f"venue {venue.name!r}: agent {agent.name!r} trades in the same step, and blocks make orders wait; state delay_steps = 1 or more"
            )
        if getattr(agent, "whole_orders", False):
            raise InputError(
                f"venue {venue.name!r}: agent {agent.name!r} has orders that are filled whole, and blocks may hold a part of them; "
                "put it on a venue without a chain"
            )


SETTLED_KINDS = (Dealer, TrendFollower, SelfExcitingOrders)
"""Agents whose position at a venue is coin in the ledger, and nothing else: a settlement closes all of it."""


def _refuse_settling(venue: Venue, expiry: Expiry) -> None:
    """A future that settles inside the run closes what the ledger holds; accounts, pools and options that outlive it have no place there."""
    said, ends = f"venue {venue.name!r} settles inside the run", float(venue.scenario.grid.years[expiry.step]) * (1.0 + 1e-9)
    if venue.in_index:
        raise InputError(f"{said}: expected it outside the index that it settles on; leave in_index out")
    for agent in venue.scenario.agents:
        if not isinstance(getattr(agent, "inner", agent), SETTLED_KINDS):
            raise InputError(
                f"{said}: expected dealers, momentum traders and order streams there, got agent {agent.name!r} with an account of its own; put it on "
                "another venue, or end the run before the expiry"
            )
        book = getattr(agent, "options", None)
        if book is not None and (bool(book.averaged.any()) or float(book.expiry_years.max()) > ends):
            raise InputError(
                f"{said}: expected options of agent {agent.name!r} that expire with it or before, on its own price (settlement = 'spot': the future itself "
                "is settled on the average); put later ones on another venue"
            )


def future_scenario(spot: Scenario, *, carry_per_year: float, expiry_years: float) -> Scenario:
    """A spot scenario as the market of a future: it starts at S e^(carry T), and its fundamental price sheds the carry as time goes by.

    Where it expires inside the run, that price fades into the mean of the last 30 minutes.  InputError for a carry to expiry beyond 5 in logs.
    """
    if not abs(carry_per_year * expiry_years) <= MOST_CARRY_LOG:
        raise InputError(
            f"expected a carry to expiry of at most {MOST_CARRY_LOG:g} in logs (148 times spot), got {carry_per_year:g} a year for {expiry_years:g} years; "
            "0.08 a year is 8 %"
        )
    first = spot.spot_usd * math.exp(carry_per_year * expiry_years)
    return replace(spot, spot_usd=first, price=Carried(spot.price, -carry_per_year, expiry_of(spot.grid.years, expiry_years)))


@dataclass(frozen=True, slots=True)
class Venues:
    """All venues, the first of which is home, the arbitrageurs between them, and how far an index price may be from the median (0: the median).

    >>> from tailwag.sim.dynamics import Gbm
    >>> from tailwag.sim.grid import TimeGrid
    >>> from tailwag.sim.impact import ImpactModel
    >>> one = Scenario(6e4, TimeGrid.uniform(horizon_days=1, step_minutes=60), Gbm(0.6), ImpactModel(permanent_per_usd=1e-11), (), "lagged")
    >>> venues = Venues((Venue("A", one), Venue("B", one)), (Arbitrageur("arb", "A", "B", capital_usd=1e8, latency_steps=1),))
    >>> [venue.name for venue in venues.venues]
    ['A', 'B']

    Raises InputError for venues that do not share their clock and shocks, names used twice, or a venue that nobody knows.
    """

    venues: tuple[Venue, ...]
    arbitrageurs: tuple[Arbitrageur, ...] = ()
    index_cap_share: float = 0.0
    index_venues: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.venues) <= MOST_VENUES:
            raise InputError(f"expected 1 to {MOST_VENUES} venues, got {len(self.venues)}")
        _refuse_names([venue.name for venue in self.venues], "venues")
        _refuse_names([arbitrageur.name for arbitrageur in self.arbitrageurs], "arbitrageurs")
        for arbitrageur in self.arbitrageurs:
            for name in arbitrageur.legs:
                self.venue(name)
        for venue in self.venues[1:]:
            _refuse_clock(self.venues[0], venue)
        if not 0.0 <= self.index_cap_share < 1.0:
            raise InputError(f"expected index_cap_share from 0 to below 1, got {self.index_cap_share:g}; 0.005 is 0.5 %")
        object.__setattr__(self, "index_venues", tuple(venue.name for venue in self.venues if venue.counts_in_index))
        reads = (venue.mark != "last" or venue.funding is not None or venue.settles is not None for venue in self.venues)
        if not self.index_venues and any(reads):
            raise InputError(
                "expected a venue in the index where funding, liquidations or a settlement read it; add a spot venue or state in_index = true"
            )

    def venue(self, name: str) -> Venue:
        """The venue of a name; InputError where there is none."""
        for venue in self.venues:
            if venue.name == name:
                return venue
        raise InputError(f"expected a venue ({', '.join(venue.name for venue in self.venues)}), got {name!r}")

    def scenario(self, place: int) -> Scenario:
        """A venue's market with the arbitrageurs' legs among its agents; the very same where it has none."""
        venue = self.venues[place]
        legs = tuple(
            arbitrageur.leg(venue.name, arbitrageur.latency_steps + venue.message_delay_steps)
            for arbitrageur in self.arbitrageurs
            if venue.name in arbitrageur.legs
        )
        return replace(venue.scenario, agents=(*venue.scenario.agents, *legs)) if legs else venue.scenario


def _refuse_names(names: list[str], what: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"expected {what} of different names, got {twice[0]!r} twice; rename one of them")


def _refuse_clock(home: Venue, venue: Venue) -> None:
    ours, theirs = home.scenario, venue.scenario
    price = [scenario.price.price if isinstance(scenario.price, Carried) else scenario.price for scenario in (ours, theirs)]
    if not np.array_equal(ours.grid.years, theirs.grid.years):
        raise InputError(f"venue {venue.name!r}: expected the time grid of venue {home.name!r}, got another; venues step together")
    if not same_shocks(*price):
        raise InputError(
            f"venue {venue.name!r}: expected the price model of venue {home.name!r}, got another; all venues share one set of shocks"
        )
    for one in (home, venue):
        if one.scenario.vol.couple_price_vol or one.scenario.clearing == "damped":
            raise InputError(
                f"venue {one.name!r}: expected vol that is not coupled to the price and clearing 'implicit' or 'lagged' with several venues"
            )
