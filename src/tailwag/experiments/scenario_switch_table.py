"""Every switch with its sentence, the numbers it takes and what it asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tailwag.experiments.scenario_book_switches import flip_gamma, gamma_limit, lower_leverage, still_vol
from tailwag.experiments.scenario_clock_switches import spread_clocks, spread_rules
from tailwag.experiments.scenario_hedge_switches import dynamic_fee, power_perp_crab, power_perp_hedge
from tailwag.experiments.scenario_late_prices import late_price_fee
from tailwag.experiments.scenario_margin_switches import controller, dynamic_margin
from tailwag.experiments.scenario_option_switches import position_limit
from tailwag.experiments.scenario_pace_switches import at_times, internal_crossing, slower_hedging, wider_bands
from tailwag.experiments.scenario_purse_switches import backstop_hedges, isolated_margin
from tailwag.experiments.scenario_squeezes import sell_a_block
from tailwag.experiments.scenario_trading_switches import batch_auction, circuit_breaker, price_band_pause, private_flow, window_ban
from tailwag.experiments.scenario_vault_switches import epoch_randomisation, epoch_tranches
from tailwag.experiments.scenario_venues_switches import hedge_on, liquidate_on_index, without_arbitrage, without_one
from tailwag.sim.scenario import Scenario

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


def _without(scenario: Scenario, numbers: Parameters) -> Scenario:
    return without_one(scenario, str(numbers["agent"]))


SWITCHES: tuple[Switch, ...] = (
    Switch(
        "circuit-breaker",
        "Trading ends for the rest of the run once price is log_move from the start",
        "mitigation",
        circuit_breaker,
        {"log_move": 0.05},
        "from the halt on nobody can trade, no price is found, and hedgers carry what they could not hedge",
    ),
    Switch(
        "price-band-pause",
        "Nobody trades beyond band of a reference price; hedges and liquidations then rest for pause_minutes and go on",
        "mitigation",
        price_band_pause,
        {"band": 0.02, "pause_minutes": 30.0, "window_minutes": 60.0},
        "hedgers are open while trading rests, and lenders wait for their money",
    ),
    Switch(
        "slower-hedging",
        "Dealers and insurers close only a share of their gap in each step",
        "mitigation",
        slower_hedging,
        {"share": 0.25},
        "hedgers carry the rest of the gap",
    ),
    Switch(
        "wider-bands",
        "Dealers and insurers leave a gap alone until it is what this move leaves at the start's gamma, and trade to the band's edge",
        "mitigation",
        wider_bands,
        {"move": 0.005},
        "hedgers carry a gap of up to the band",
    ),
    Switch(
        "batch",
        "Dealers and insurers hedge only every so many minutes, all at the same time, in one clearing",
        "mitigation",
        at_times(jitter=False),
        {"every_minutes": 60.0},
        "hedgers are open between clearings",
    ),
    Switch(
        "random-times",
        "Dealers and insurers hedge once in every period, each at a time of its own drawn by chance",
        "mitigation",
        at_times(jitter=True),
        {"every_minutes": 60.0},
        "hedgers are open until their time comes",
    ),
    Switch(
        "internal-crossing",
        "Opposite orders of one step meet each other first and pay neither fee nor spread",
        "mitigation",
        internal_crossing,
        asks="fees that the venue does not earn",
    ),
    Switch(
        "strike-limit",
        "No strike may hold more than a share of a dealer's gamma (what is over it was never written) or of a vault's auction (it goes further out)",
        "mitigation",
        gamma_limit("strike_usd"),
        {"share": 0.25},
        "options that are not written, and the premium of them",
    ),
    Switch(
        "expiry-limit",
        "No expiry may hold more than a share of a dealer's gamma; what is over it was never written",
        "mitigation",
        gamma_limit("expiry_years"),
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
        lower_leverage,
        {"factor": 2.0},
        "factor times the margin for the same positions",
    ),
    Switch(
        "window-ban",
        "Nobody who holds options on a settlement average trades to push it",
        "mitigation",
        window_ban,
        asks="a venue that sees who holds the options and who trades in the window",
    ),
    Switch(
        "private-flow",
        "Nobody sees the orders of others before they are filled, nor where they are liquidated",
        "mitigation",
        private_flow,
        asks="a channel that keeps what it is told",
    ),
    Switch(
        "batch-auction",
        "All orders clear every so many minutes only, at one price; those that arrive between wait",
        "mitigation",
        batch_auction,
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
    Switch("still-vol", "Implied vol no longer follows spot", "link", still_vol),
    Switch("flip-gamma", "Dealers hold the other side of the same options", "link", flip_gamma),
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
