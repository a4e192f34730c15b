"""Switches: what a venue, a lender or a dealer could change, each a pure function from scenario to scenario, compared on the same seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tailwag.errors import InputError
from tailwag.experiments.scenario_auctions import refuse_late_accounts
from tailwag.experiments.scenario_clock_switches import spread_clocks, spread_rules
from tailwag.experiments.scenario_hedge_switches import dynamic_fee, power_perp_crab, power_perp_hedge
from tailwag.experiments.scenario_late_prices import late_price_fee
from tailwag.experiments.scenario_margin_switches import controller, dynamic_margin
from tailwag.experiments.scenario_option_switches import position_limit
from tailwag.experiments.scenario_purse_switches import backstop_hedges, isolated_margin
from tailwag.experiments.scenario_squeezes import sell_a_block
from tailwag.experiments.scenario_tables import nearest, shown
from tailwag.experiments.scenario_vault_switches import epoch_randomisation, epoch_tranches, vault_strike_limit
from tailwag.experiments.scenario_venues_switches import hedge_on, liquidate_on_index, on_every_venue, without_arbitrage, without_one
from tailwag.hedging.policies import AtTimes, Band, CharmOnly, NoHedge
from tailwag.kernels.arrays import FloatArray
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.agents.insurer import PortfolioInsurer
from tailwag.sim.agents.ladder import LiquidationLadder
from tailwag.sim.agents.leveraged import LeveragedTraders
from tailwag.sim.agents.manipulator import SettlementManipulator
from tailwag.sim.agents.predator import Predator
from tailwag.sim.agents.price_band import MINUTES_PER_YEAR, PriceBand
from tailwag.sim.agents.protocol import Agent
from tailwag.sim.agents.quoting_dealer import QuotingDealer
from tailwag.sim.option_book import LEAST_YEARS, OptionBook
from tailwag.sim.scenario import Scenario
from tailwag.sim.venues_home import everybody

Parameters = Mapping[str, Any]
Apply = Callable[[Scenario, Parameters], Scenario]


@dataclass(frozen=True, slots=True)
class Switch:
    """One change to a scenario: its name, one sentence, the numbers it takes, and the pure function that makes the change.

    ``kind``: "mitigation" (what somebody could do) or "link" (a part of the loop taken away, to see what it carries).  A scenario that the change does
    not touch comes back as it is, and every difference is then exactly 0.  ``asks``: what it costs that no account shows.
    ``by_venue``: where there are several venues, the change is made on each of them.
    """

    name: str
    sentence: str
    kind: str
    apply: Apply
    parameters: Parameters = field(default_factory=dict)
    asks: str = ""
    by_venue: bool = True


@dataclass(frozen=True, slots=True)
class Chosen:
    """A switch with its numbers, as a comparison runs it."""

    switch: Switch
    parameters: Parameters

    @property
    def label(self) -> str:
        """The name, with the numbers that differ from the switch's own.

        >>> chosen_switch("circuit-breaker:log_move=0.1").label
        'circuit-breaker:log_move=0.1'
        """
        own = self.switch.parameters
        said = [
            f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}"
            for key, value in self.parameters.items()
            if own[key] != value
        ]
        return ":".join((self.switch.name, ",".join(said))) if said else self.switch.name

    def __call__(self, scenario: Scenario) -> Scenario:
        """The changed scenario; InputError, with the switch named, where there is none."""
        try:
            if self.switch.by_venue:
                return on_every_venue(self.switch.apply, scenario, self.parameters)
            return self.switch.apply(scenario, self.parameters)
        except InputError as error:
            raise type(error)(f"switch {self.label}: {error}") from None


def chosen_switch(text: str, defaults: Mapping[str, Parameters] | None = None) -> Chosen:
    """The switch that NAME or NAME:key=value,key=value stands for; ``defaults`` by name go before the switch's own numbers.

    Raises InputError for an unknown switch or key, or a value that is no number where one is needed.
    """
    name, _, rest = text.strip().partition(":")
    known = {switch.name: switch for switch in SWITCHES}
    if name not in known:
        raise InputError(f"expected a switch ({', '.join(known)}), got {shown(name)}{nearest(name, known)}")
    switch = known[name]
    given = {
        **switch.parameters,
        **{key: _like(switch.parameters.get(key), value) for key, value in ((defaults or {}).get(name) or {}).items()},
    }
    for word in filter(None, rest.split(",")):
        key, equals, value = word.partition("=")
        if not equals or key not in given:
            raise InputError(
                f"switch {name}: expected {', '.join(f'{one}=...' for one in given) or 'no numbers'}, got {shown(word)}{nearest(key, given)}"
            )
        given[key] = _value(name, key, value, switch.parameters[key])
    return Chosen(switch, given)


def _like(own: Any, value: Any) -> Any:
    """A whole number where the switch has a decimal is that decimal: an agent's random numbers follow from what it is, to the letter."""
    return float(value) if isinstance(own, float) and isinstance(value, int) else value


def _value(name: str, key: str, text: str, own: Any) -> Any:
    if isinstance(own, str):
        return text
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"switch {name}: expected {key} as a number such as {own:g}, got {shown(text)}") from None
    if not 0.0 < value < 1e9:
        raise InputError(f"switch {name}: expected {key} above 0 and below 1e9, got {value:g}")
    return value


def for_agents(chosen: Chosen, scenario: Scenario) -> tuple[Chosen, ...]:
    """The switch itself; where it takes one agent or venue and none is named, one for each."""
    if chosen.parameters.get("venue") == "" and scenario.elsewhere is not None:
        places = scenario.elsewhere.venues
        return tuple(Chosen(chosen.switch, {**chosen.parameters, "venue": venue.name}) for venue in places)
    if chosen.parameters.get("agent") != "":
        return (chosen,)
    return tuple(Chosen(chosen.switch, {**chosen.parameters, "agent": agent.name}) for agent in everybody(scenario))


def _each_dealer(scenario: Scenario, change: Callable[[Dealer], Dealer]) -> Scenario:
    changed = tuple(change(agent) if isinstance(agent, Dealer) else agent for agent in scenario.agents)
    return scenario if all(new is old for new, old in zip(changed, scenario.agents)) else replace(scenario, agents=changed)


Hedger = Dealer | PortfolioInsurer | QuotingDealer
"""Agents that trade by a policy at a speed."""


def _each_hedger(scenario: Scenario, change: Callable[[Hedger], Agent]) -> Scenario:
    changed = tuple(change(agent) if isinstance(agent, Hedger) else agent for agent in scenario.agents)
    return scenario if all(new is old for new, old in zip(changed, scenario.agents)) else replace(scenario, agents=changed)


def _hedges(agent: Hedger) -> bool:
    return not isinstance(agent.policy, NoHedge | CharmOnly)


def _circuit_breaker(scenario: Scenario, numbers: Parameters) -> Scenario:
    now = scenario.halt_log_move
    return scenario if now is not None and now <= numbers["log_move"] else replace(scenario, halt_log_move=numbers["log_move"])


def _price_band_pause(scenario: Scenario, numbers: Parameters) -> Scenario:
    def behind(agent: Agent) -> Agent:
        if not isinstance(agent, Dealer | PortfolioInsurer | LiquidationLadder):
            raise InputError(
                f"expected dealers, insurers and liquidation ladders, which can rest, got agent {agent.name!r}; its trades are part of its own books, so it cannot be paused"
            )
        return PriceBand(agent, numbers["band"], numbers["pause_minutes"], numbers["window_minutes"])

    return replace(scenario, agents=tuple(map(behind, scenario.agents)))


def _slower_hedging(scenario: Scenario, numbers: Parameters) -> Scenario:
    return _each_hedger(scenario, lambda agent: replace(agent, speed=agent.speed * min(numbers["share"], 1.0)) if _hedges(agent) else agent)


def _wider_bands(scenario: Scenario, numbers: Parameters) -> Scenario:
    def wider(agent: Hedger) -> Hedger:
        width = abs(agent.starting_dollar_gamma_usd(scenario.spot_usd)) * numbers["move"]
        if isinstance(agent.policy, Band):
            width = max(width, agent.policy.half_width_usd or (agent.policy.half_width_coin or 0.0) * scenario.spot_usd)
        return replace(agent, policy=Band(half_width_usd=width)) if _hedges(agent) and width > 0.0 else agent

    return _each_hedger(scenario, wider)


def _at_times(*, jitter: bool) -> Apply:
    def apply(scenario: Scenario, numbers: Parameters) -> Scenario:
        every = numbers["every_minutes"]
        policy = AtTimes(every, jitter_minutes=every if jitter else 0.0)
        return _each_hedger(scenario, lambda agent: replace(agent, policy=policy) if _hedges(agent) else agent)

    return apply


def _internal_crossing(scenario: Scenario, numbers: Parameters) -> Scenario:
    return replace(scenario, costs=replace(scenario.costs, internal_crossing=True))


def _limit(column: str) -> Apply:
    def apply(scenario: Scenario, numbers: Parameters) -> Scenario:
        def limited(dealer: Dealer) -> Dealer:
            if dealer.options is None:
                return dealer
            kept = kept_share(dealer.options, column, numbers["share"])
            if (kept == 1.0).all():
                return dealer
            return replace(dealer, options=replace(dealer.options, contracts_coin=dealer.options.contracts_coin * kept))

        limited_vaults = vault_strike_limit(scenario, numbers["share"]) if column == "strike_usd" else scenario
        return _each_dealer(limited_vaults, limited)

    return apply


def kept_share(book: OptionBook, column: str, share: float) -> FloatArray:
    """The part of every row, (rows,), that stays where no strike (or expiry) may hold more than ``share`` of the book's gamma.

    Gamma is what a row has with price at its strike, contracts K / (iv sqrt(years)), so that the limit does not move with the price.  The limit is
    of the book as it was, and one strike or expiry over it is cut to it in proportion.

    >>> book = OptionBook.single(strike_usd=6e4, expiry_years=0.02, contracts_coin=-10.0, iv=0.6)
    >>> kept_share(book, "strike_usd", 0.25).tolist()
    [0.25]
    """
    years = np.maximum(book.expiry_years, LEAST_YEARS)
    gamma = np.where(book.expiry_years > 0.0, np.abs(book.contracts_coin) * book.strike_usd / (book.iv * np.sqrt(years)), 0.0)
    _, place = np.unique(getattr(book, column), return_inverse=True)
    held = np.bincount(place, weights=gamma)
    kept = np.minimum(1.0, share * gamma.sum() / np.where(held > 0.0, held, np.inf))
    return np.asarray(np.where(held > 0.0, kept, 1.0)[place])


def _lower_leverage(scenario: Scenario, numbers: Parameters) -> Scenario:
    factor = numbers["factor"]

    def further(ladder: LiquidationLadder) -> LiquidationLadder:
        clusters = tuple(replace(one, distance_log=one.distance_log * factor, width_log=one.width_log * factor) for one in ladder.clusters)
        reach = min(ladder.reach_log * factor, 5.0)
        return replace(
            ladder,
            density_usd=ladder.density_usd / factor,
            levels_per_log=ladder.levels_per_log / factor,
            clusters=clusters,
            reach_log=reach,
        )

    def lower(agent: Agent) -> Agent:
        if isinstance(agent, LeveragedTraders):
            return replace(agent, buckets=tuple(replace(bucket, leverage=bucket.leverage / factor) for bucket in agent.buckets))
        return further(agent) if isinstance(agent, LiquidationLadder) else agent

    changed = tuple(map(lower, scenario.agents))
    return scenario if all(new is old for new, old in zip(changed, scenario.agents)) else replace(scenario, agents=changed)


def _window_ban(scenario: Scenario, numbers: Parameters) -> Scenario:
    quiet = tuple(replace(agent, push_usd=0.0) if isinstance(agent, SettlementManipulator) else agent for agent in scenario.agents)
    return scenario if quiet == scenario.agents else replace(scenario, agents=quiet)


def _private_flow(scenario: Scenario, numbers: Parameters) -> Scenario:
    blind = tuple(replace(agent, sees_flow_share=0.0, levels=None) if isinstance(agent, Predator) else agent for agent in scenario.agents)
    return scenario if blind == scenario.agents else replace(scenario, agents=blind)


def _batch_auction(scenario: Scenario, numbers: Parameters) -> Scenario:
    refuse_late_accounts(scenario.agents)
    step_minutes = float(np.median(scenario.grid.step_years)) * MINUTES_PER_YEAR
    steps = min(max(round(numbers["every_minutes"] / step_minutes), 1), scenario.grid.steps)
    return scenario if steps == scenario.batch_steps else replace(scenario, batch_steps=steps)


def _still_vol(scenario: Scenario, numbers: Parameters) -> Scenario:
    return replace(scenario, vol=replace(scenario.vol, spot_vol_beta=0.0))


def _flip_gamma(scenario: Scenario, numbers: Parameters) -> Scenario:
    def flipped(dealer: Dealer) -> Dealer:
        if dealer.options is None:
            return replace(dealer, gamma_usd=-float(dealer.gamma_usd or 0.0))
        return replace(dealer, options=replace(dealer.options, contracts_coin=-dealer.options.contracts_coin))

    return _each_dealer(scenario, flipped)


def _without(scenario: Scenario, numbers: Parameters) -> Scenario:
    return without_one(scenario, str(numbers["agent"]))


SWITCHES: tuple[Switch, ...] = (
    Switch(
        "circuit-breaker",
        "Trading ends for the rest of the run once price is log_move from the start",
        "mitigation",
        _circuit_breaker,
        {"log_move": 0.05},
        "from the halt on nobody can trade, no price is found, and hedgers carry what they could not hedge",
    ),
    Switch(
        "price-band-pause",
        "Nobody trades beyond band of a reference price; hedges and liquidations then rest for pause_minutes and go on",
        "mitigation",
        _price_band_pause,
        {"band": 0.02, "pause_minutes": 30.0, "window_minutes": 60.0},
        "hedgers are open while trading rests, and lenders wait for their money",
    ),
    Switch(
        "slower-hedging",
        "Dealers and insurers close only a share of their gap in each step",
        "mitigation",
        _slower_hedging,
        {"share": 0.25},
        "hedgers carry the rest of the gap",
    ),
    Switch(
        "wider-bands",
        "Dealers and insurers leave a gap alone until it is what this move leaves at the start's gamma, and trade to the band's edge",
        "mitigation",
        _wider_bands,
        {"move": 0.005},
        "hedgers carry a gap of up to the band",
    ),
    Switch(
        "batch",
        "Dealers and insurers hedge only every so many minutes, all at the same time, in one clearing",
        "mitigation",
        _at_times(jitter=False),
        {"every_minutes": 60.0},
        "hedgers are open between clearings",
    ),
    Switch(
        "random-times",
        "Dealers and insurers hedge once in every period, each at a time of its own drawn by chance",
        "mitigation",
        _at_times(jitter=True),
        {"every_minutes": 60.0},
        "hedgers are open until their time comes",
    ),
    Switch(
        "internal-crossing",
        "Opposite orders of one step meet each other first and pay neither fee nor spread",
        "mitigation",
        _internal_crossing,
        asks="fees that the venue does not earn",
    ),
    Switch(
        "strike-limit",
        "No strike may hold more than a share of a dealer's gamma (what is over it was never written) or of a vault's auction (it goes further out)",
        "mitigation",
        _limit("strike_usd"),
        {"share": 0.25},
        "options that are not written, and the premium of them",
    ),
    Switch(
        "expiry-limit",
        "No expiry may hold more than a share of a dealer's gamma; what is over it was never written",
        "mitigation",
        _limit("expiry_years"),
        {"share": 0.5},
        "options that are not written, and the premium of them",
    ),
    Switch(
        "position-limit",
        "No quoting dealer may be net long or short more than so many of its largest quotes at one strike, or at one expiry",
        "mitigation",
        position_limit,
        {"strike_sizes": 2.0, "expiry_sizes": 4.0},
        "options that takers do not get",
    ),
    Switch(
        "epoch-randomisation",
        "Every vault's auction comes later by up to jitter_hours, each at a time of its own drawn by chance",
        "mitigation",
        epoch_randomisation,
        {"jitter_hours": 24.0},
        "vaults hold their assets idle until their time comes, and sell options that are shorter by so much",
    ),
    Switch(
        "epoch-tranches",
        "Every vault sells its epoch in parts, tranche_hours apart, each at a strike of its own",
        "mitigation",
        epoch_tranches,
        {"tranches": 4.0, "tranche_hours": 12.0},
        "the later parts stand idle until they are sold, and are shorter",
    ),
    Switch(
        "spread-clocks",
        "Strategies with one public rule were hedged last at different times and prices, evenly spread",
        "mitigation",
        spread_clocks,
        asks="protocols that are started apart; those that come due in one step are together from then on",
    ),
    Switch(
        "spread-rules",
        "Strategies with one public rule get hours and a threshold of their own, spread by share on both sides",
        "mitigation",
        spread_rules,
        {"share": 0.3},
        "protocols that agree to differ",
    ),
    Switch(
        "lower-leverage",
        "The same leveraged notional is liquidated factor times as far away",
        "mitigation",
        _lower_leverage,
        {"factor": 2.0},
        "factor times the margin for the same positions",
    ),
    Switch(
        "window-ban",
        "Nobody who holds options on a settlement average trades to push it",
        "mitigation",
        _window_ban,
        asks="a venue that sees who holds the options and who trades in the window",
    ),
    Switch(
        "private-flow",
        "Nobody sees the orders of others before they are filled, nor where they are liquidated",
        "mitigation",
        _private_flow,
        asks="a channel that keeps what it is told",
    ),
    Switch(
        "batch-auction",
        "All orders clear every so many minutes only, at one price; those that arrive between wait",
        "mitigation",
        _batch_auction,
        {"every_minutes": 60.0},
        "everybody waits for the auction, hedgers with their gap open",
    ),
    Switch(
        "dynamic-margin",
        "Maintenance margin of leveraged accounts rises with the measured gain, notice_minutes after it was announced",
        "mitigation",
        dynamic_margin,
        {"threshold": 0.2, "per_gain": 2.0, "most": 3.0, "notice_minutes": 60.0, "binds": "open"},
        "margin on positions that were opened under less; those who cannot post it are sold",
    ),
    Switch(
        "controller",
        "A margin on what dealers trade, raised every so many minutes by integral times the measured gain above target: they close a part of their gap",
        "mitigation",
        controller,
        {"target": 0.2, "integral": 1.0, "every_minutes": 15.0},
        "dealers carry what the margin keeps them from hedging",
    ),
    Switch(
        "isolated-margin",
        "Options and perp of every margined book have a purse of their own, behind_perp of the collateral behind the perp",
        "link",
        isolated_margin,
        {"behind_perp": 0.2},
    ),
    Switch(
        "backstop-hedges",
        "Whoever takes over the options of a margined book hedges a share of their delta",
        "mitigation",
        backstop_hedges,
        {"share": 1.0},
        "hedges of who takes over, at the price of the moment",
    ),
    Switch(
        "power-perp-hedge",
        "Dealers hold a squared perpetual against a share of their starting gamma; whoever has its other side hedges nothing",
        "mitigation",
        power_perp_hedge,
        {"share": 0.5, "spread_vol": 0.03},
        "somebody who carries the other side without hedging it, and is paid funding for that",
    ),
    Switch(
        "power-perp-crab",
        "The same, bought from strategies that hedge by the protocol's public time-or-threshold rule: the gamma moves to them",
        "mitigation",
        power_perp_crab,
        {"share": 0.5, "spread_vol": 0.03},
        "the sellers' hedges come a step late, at times that anybody can compute",
    ),
    Switch(
        "dynamic-fee",
        "A share of every pool's fee follows recent vol, and is what it was at the vol that the price model expects",
        "mitigation",
        dynamic_fee,
        {"share": 1.0, "half_life_minutes": 60.0},
        "those who trade with the pool when vol is high pay more",
    ),
    Switch(
        "block-seller",
        "Somebody who holds coin sells block_usd of it at once when price is at_log above the start",
        "mitigation",
        sell_a_block,
        {"block_usd": 2e8, "at_log": 0.02},
        "a holder who stands ready; his profit is against holding what he sells",
        by_venue=False,
    ),
    Switch(
        "late-price-fee",
        "Options pools with a late price ask a fee of at least spot_share of spot a coin",
        "mitigation",
        late_price_fee,
        {"spot_share": 0.004},
        "everybody pays it, who knows the price and who does not",
    ),
    Switch("still-vol", "Implied vol no longer follows spot", "link", _still_vol),
    Switch("flip-gamma", "Dealers hold the other side of the same options", "link", _flip_gamma),
    Switch("without", "The market without one agent (each in turn where none is named)", "link", _without, {"agent": ""}, by_venue=False),
    Switch(
        "hedge-on",
        "All dealers hedge on one venue (each in turn where none is named)",
        "mitigation",
        hedge_on,
        {"venue": ""},
        "margin on that venue",
        by_venue=False,
    ),
    Switch("without-arbitrage", "Nobody trades between venues", "link", without_arbitrage, by_venue=False),
    Switch(
        "liquidate-on-index",
        "Every venue liquidates on the index of all venues in place of its own price",
        "mitigation",
        liquidate_on_index,
        asks="lenders hold positions against a price at which their own venue may not sell",
        by_venue=False,
    ),
)
"""Every switch; a new one is one entry and one pure function."""
