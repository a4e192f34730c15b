"""A scenario: everything that decides a simulated run, and nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.errors import InputError, UnitError
from tailwag.hedging.rebalancing import CharmOnly, NoHedge
from tailwag.sim.agents.protocol import Agent, missing_words
from tailwag.sim.grid import TimeGrid
from tailwag.sim.net_delta import DirectNetDelta
from tailwag.sim.option_book import OptionBook
from tailwag.sim.option_model import OptionTerms

if TYPE_CHECKING:
    from tailwag.exposure import Profile
    from tailwag.liquidity.laws import Impact
    from tailwag.sim.dynamics import PriceModel
    from tailwag.sim.impact import ImpactModel
    from tailwag.sim.venues import Venues

CLEARINGS = ("implicit", "damped", "lagged")
MOST_PATHS = 100_000_000
MOST_LOG_MOVE = 5.0
VOL_BUMP = 1e-5
"""Vol up and down by so much, for the slope of a book's delta by vol."""


@dataclass(frozen=True, slots=True)
class VolDynamics:
    """How the implied-vol level moves with the price and with vega hedging.

    shift s (added to every option's vol): ds = beta dx - k s dt + vega_impact * q_vega, q_vega in USD per 1.00 of vol, + buys.
    ``couple_price_vol``: the exogenous vol moves with s too.  Units: beta per unit log move, k per day, vega impact in vol per USD of vega.

    >>> VolDynamics(spot_vol_beta=-0.8).moves
    True
    """

    spot_vol_beta: float = 0.0
    mean_reversion_per_day: float = 0.0
    vega_impact_per_usd: float = 0.0
    couple_price_vol: bool = False

    def __post_init__(self) -> None:
        if not abs(self.spot_vol_beta) <= 100.0:
            raise UnitError(
                f"expected a spot_vol_beta between -100 and 100, got {self.spot_vol_beta:g}; -0.8: vol rises 0.8 points when spot falls 1 %"
            )
        for name in ("mean_reversion_per_day", "vega_impact_per_usd"):
            _least(name, getattr(self, name), 0.0)

    @property
    def moves(self) -> bool:
        """Whether the shift can leave zero."""
        return self.spot_vol_beta != 0.0 or self.vega_impact_per_usd != 0.0


@dataclass(frozen=True, slots=True)
class Costs:
    """What a trade costs beside its impact: fee and half-spread in basis points of its value, gas in USD per trade.

    ``internal_crossing``: agents' opposite orders of one step meet each other first, each side pro rata, and what is crossed pays neither fee
    nor spread; only the net ever reaches the market and moves the price, with or without it.

    >>> Costs(fee_bps=3.0).fee_bps
    3.0
    """

    fee_bps: float = 0.0
    half_spread_bps: float = 0.0
    gas_usd: float = 0.0
    internal_crossing: bool = False

    def __post_init__(self) -> None:
        if not -100.0 <= self.fee_bps <= 1_000.0:
            raise UnitError(f"expected fee_bps between -100 (a rebate) and 1,000, got {self.fee_bps:g}; 1 basis point is 0.01 %")
        for name in ("half_spread_bps", "gas_usd"):
            _least(name, getattr(self, name), 0.0)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that decides a run: start, time grid, fundamental price, vol, impact, costs, agents, clearing.

    ``clearing``: "implicit" (orders are sized at the price they clear at, delay 0 allowed), "damped" (delay 1, the market as a whole trades
    1 / (1 - g) of the gap) or "lagged" (every delay >= 1).  ``stop_log_move``: a path further than this from the start is a runaway and is
    stopped there.  ``halt_log_move``: a circuit breaker, None = none.  ``batch_steps``: orders clear in every so many-th step only, all of them at one
    price (and in the last); those that arrive between wait.  ``start_ns``: UTC nanoseconds of time 0, None = not stated.
    ``options``: how options are marked that agents trade with each other during the run; None = there is no option market.
    ``elsewhere``: all venues, of which this one is the first (see :func:`tailwag.sim.venues_home.home_scenario`); None = one venue alone.
    Raises InputError where the parts cannot go together (a gain of 1 or more under implicit or damped clearing among them).
    """

    spot_usd: float
    grid: TimeGrid
    price: PriceModel
    impact: ImpactModel
    agents: tuple[Agent, ...]
    clearing: str
    vol: VolDynamics = field(default_factory=VolDynamics)
    costs: Costs = field(default_factory=Costs)
    start_ns: int | None = None
    stop_log_move: float = 0.7
    halt_log_move: float | None = None
    batch_steps: int = 1
    options: OptionTerms | None = None
    elsewhere: Venues | None = None

    def __post_init__(self) -> None:
        _least("spot_usd", self.spot_usd, 1e-12)
        if self.clearing not in CLEARINGS:
            raise InputError(f"expected clearing one of {', '.join(CLEARINGS)}, got {self.clearing!r}; implicit is right near an expiry")
        for name in ("stop_log_move", "halt_log_move"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value <= MOST_LOG_MOVE:
                raise InputError(f"expected {name} above 0 and at most {MOST_LOG_MOVE:g} (log price), got {value:g}; 0.7 is a doubling")
        if self.halt_log_move is not None and self.halt_log_move >= self.stop_log_move:
            raise InputError(
                f"expected halt_log_move below stop_log_move = {self.stop_log_move:g}, got {self.halt_log_move:g}: a path is stopped before "
                "it is halted; raise stop_log_move or lower halt_log_move"
            )
        if not 1 <= self.batch_steps <= self.grid.steps:
            raise InputError(
                f"expected batch_steps from 1 (no auctions) to the {self.grid.steps} steps of the run, got {self.batch_steps}; orders wait for it"
            )
        _refuse_agents(self)

    @staticmethod
    def from_measurement(profile: Profile, impact: Impact | ImpactModel, **choices: Any) -> Scenario:
        """The measured book hedged by one dealer against the measured liquidity; see :func:`tailwag.sim.measured.scenario_from_measurement`.

        ``hours``, ``clearing`` and ``delay_steps`` must be stated; ``policy``, ``vol``, ``hedge_share`` and ``step_minutes`` may be.
        """
        from tailwag.sim.measured import scenario_from_measurement

        return scenario_from_measurement(profile, impact, **choices)

    def without_hedging(self) -> Scenario:
        """The same market in which nobody trades: the paired run on the same shocks."""
        return replace(self, agents=(), elsewhere=None)


def _refuse_agents(scenario: Scenario) -> None:
    for agent in scenario.agents:
        missing = missing_words(agent, Agent)
        if missing:
            called = repr(getattr(agent, "name", type(agent).__name__))
            raise InputError(f"agent {called}: expected all that an agent has, got one without {missing}; see tailwag.sim.agents.protocol")
    names = [agent.name for agent in scenario.agents]
    if len(set(names)) != len(names):
        raise InputError(f"expected agents of different names, got {sorted(names)}; rename one of them")
    for agent in scenario.agents:
        delay = agent.delay_steps
        if scenario.options is None and getattr(agent, "trades_options", False):
            raise InputError(
                f"agent {agent.name!r}: trades options with other agents, and this scenario has no option market; state "
                "options = OptionTerms(iv=...), which is [options] in a file"
            )
        if scenario.clearing == "lagged" and delay < 1:
            raise InputError(
                f"agent {agent.name!r}: lagged clearing wants delay_steps >= 1, got {delay}; use clearing = 'implicit' for same-step hedging"
            )
        if scenario.clearing == "damped" and delay != 1:
            raise InputError(
                f"agent {agent.name!r}: damped clearing wants delay_steps = 1, got {delay}; it is defined for hedges one step late"
            )
        if scenario.clearing == "damped" and getattr(agent, "whole_orders", False):
            raise InputError(
                f"agent {agent.name!r}: damped clearing trades a part of every order, and a liquidation is an order for all of it; "
                "use clearing = 'implicit' or 'lagged'"
            )
        if delay < 0 or delay > scenario.grid.steps:
            raise InputError(
                f"agent {agent.name!r}: expected delay_steps from 0 to the {scenario.grid.steps} steps of the run, got {delay}"
            )
    if scenario.clearing != "lagged" and scenario.agents:
        _refuse_gain(scenario)


def _refuse_gain(scenario: Scenario) -> None:
    """Refuse a start at which no price clears: what same-step hedges add to a move, vol that follows spot included, reaches the move itself."""
    gain, whole = starting_gain(scenario), gain_with_vanna(scenario)
    worst = max(gain, whole) if scenario.clearing == "damped" else whole
    if worst >= 1.0:
        split = "" if whole == gain else f" ({gain:.3g} of gamma, {whole:.3g} with vanna, as vol follows spot by spot_vol_beta)"
        raise InputError(
            f"expected a loop gain below 1 under {scenario.clearing} clearing, got {worst:.3g} at the start{split}: there is no clearing price; "
            "deepen the market, cut the gamma, or take clearing = 'lagged' to watch it run away"
        )
    hurried = same_step_gain(scenario)
    if hurried >= 1.0:
        raise InputError(
            f"expected a loop gain below 1 of what is traded in the same step, got {hurried:.3g} at the start (gain times speed): there is no "
            "clearing price; a same-step order of speed 1 closes its gap, take speed = 1 or less"
        )


def starting_gain(scenario: Scenario) -> float:
    """Loop gain at the start: -(impact of one USD) times the dollar gamma that is hedged, all agents together; short gamma > 0."""
    per_usd = scenario.impact.small_signal_per_usd(scenario.spot_usd)
    gammas = [agent.starting_dollar_gamma_usd(scenario.spot_usd) for agent in scenario.agents]
    return -per_usd * math.fsum(gammas)


def gain_with_vanna(scenario: Scenario) -> float:
    """Loop gain at the start where vol follows spot at once: deltas move by gamma dx and by spot_vol_beta dx of vol; without beta the starting gain."""
    vannas = [_vanna_usd(agent, scenario) for agent in scenario.agents]
    return starting_gain(scenario) - scenario.impact.small_signal_per_usd(scenario.spot_usd) * math.fsum(vannas)


def same_step_gain(scenario: Scenario) -> float:
    """The part of the gain, vanna included, that clears in the step of the move: gain times speed of agents without delay; no price clears at 1."""
    spot = scenario.spot_usd
    same_step = [agent for agent in scenario.agents if agent.delay_steps == 0]
    slopes = [getattr(agent, "speed", 1.0) * (agent.starting_dollar_gamma_usd(spot) + _vanna_usd(agent, scenario)) for agent in same_step]
    return -scenario.impact.small_signal_per_usd(spot) * math.fsum(slopes)


def _vanna_usd(agent: Agent, scenario: Scenario) -> float:
    """USD of delta that an agent's hedged options gain per unit of log price through vol alone, by a central difference of the net delta."""
    book, beta = getattr(agent, "options", None), scenario.vol.spot_vol_beta
    if beta == 0.0 or not isinstance(book, OptionBook) or isinstance(getattr(agent, "policy", None), NoHedge | CharmOnly):
        return 0.0
    source, still = DirectNetDelta(book, np.zeros(2), scenario.spot_usd), np.zeros(1)
    up, down = (float(source.at(0, still, still + bump)[0][0]) for bump in (VOL_BUMP, -VOL_BUMP))
    return float(getattr(agent, "hedge_share", 1.0)) * scenario.spot_usd * beta * (up - down) / (2.0 * VOL_BUMP)


def _least(name: str, value: float, least: float) -> None:
    if not (math.isfinite(value) and value >= least):
        raise InputError(f"expected {name} of {least:g} or more, got {value:g}")
