"""The worlds of a policy comparison: everybody's hedging moves the price, or it moves nothing; the shocks are the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from tailwag.errors import InputError
from tailwag.hedging.policies import EveryStep, Policy, policy_from_text, policy_to_text
from tailwag.hedging.spelling import KINDS
from tailwag.sim.agents.dealer import Dealer, HedgeInstrument
from tailwag.sim.impact import ImpactModel
from tailwag.sim.scenario import Scenario

WORLDS = ("alone", "together")
"""Feedback off: hedging moves no price; feedback on: everybody's hedging moves it."""
_NUMBER = re.compile(r"(?<![\w.])[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?")
REST = " (rest)"
MOST_POLICIES = 40


@dataclass(frozen=True, slots=True)
class Question:
    """Which rule costs least in this market?  What every policy shares: the market, who is compared, and who else hedges alike.

    ``market_share``: the part of every market book that hedges by the policy; the rest hedges every step.  ``desk``: names of the dealers
    whose accounts are compared; they hedge their whole book by the policy.  None named: the market's own part is compared.
    Books are cut to the share that is hedged at all, so costs and risks are those of the hedged part.
    """

    scenario: Scenario
    market_share: float = 1.0
    desk: tuple[str, ...] = ()
    instrument: HedgeInstrument = field(default_factory=HedgeInstrument)

    def __post_init__(self) -> None:
        if not 0.0 <= self.market_share <= 1.0:
            raise InputError(f"expected a market share from 0 to 1, got {self.market_share:g}; 1 is everybody, the rest hedges every step")
        if not self.dealers:
            raise InputError("expected a market with a dealer at least, got none; nobody's hedging can be compared")
        if not self.desk and self.market_share == 0.0:
            raise InputError("expected a market share above 0, got 0: nobody would hedge by the policies; give a small one, such as 0.01")
        unknown = sorted(set(self.desk) - {dealer.name for dealer in self.dealers})
        if unknown:
            raise InputError(f"expected desks among the dealers {[dealer.name for dealer in self.dealers]}, got {unknown}")

    @property
    def dealers(self) -> tuple[Dealer, ...]:
        """Everybody who hedges."""
        strange = [agent.name for agent in self.scenario.agents if not isinstance(agent, Dealer)]
        if strange:
            raise InputError(f"expected dealers only, {strange[0]!r} is none; its rule cannot be exchanged: leave it out")
        return cast("tuple[Dealer, ...]", self.scenario.agents)

    @property
    def compared(self) -> tuple[str, ...]:
        """Names of the agents whose accounts are compared."""
        return self.desk or tuple(dealer.name for dealer in self.dealers)

    def world(self, policy: Policy, name: str) -> Scenario:
        """The scenario in which the compared hedge by ``policy``, with feedback ("together") or without ("alone").

        Without feedback those who are not compared change nothing, and are left out.  InputError where the policy cannot run here.
        """
        parts = [part for dealer in self.dealers for part in self._parts(dealer, policy)]
        agents = tuple(sorted(parts, key=Dealer.content))  # accounts are added up in this order, whatever the names
        if name == "together":
            return replace(self.scenario, agents=agents)
        mine = tuple(agent for agent in agents if agent.name in self.compared)
        return replace(self.scenario, agents=mine, impact=ImpactModel(), vol=replace(self.scenario.vol, vega_impact_per_usd=0.0))

    def _parts(self, dealer: Dealer, policy: Policy) -> list[Dealer]:
        """A dealer as the part that hedges by the policy and the part that hedges every step."""
        share = 1.0 if dealer.name in self.desk else self.market_share
        parts = []
        if share > 0.0:
            parts.append(replace(cut(dealer, share), policy=policy, instrument=self.instrument))
        if share < 1.0:
            parts.append(replace(cut(dealer, 1.0 - share), name=f"{dealer.name}{REST}", policy=EveryStep()))
        return parts

    def starting_dollar_gamma_usd(self) -> float:
        """Dollar gamma of the compared books at the start, + long: what a band's width is measured against."""
        world = self.world(EveryStep(), "alone")
        return sum(agent.starting_dollar_gamma_usd(world.spot_usd) for agent in world.agents)


def cut(dealer: Dealer, share: float) -> Dealer:
    """The hedged part of a share of a dealer's book, as a dealer that hedges all it holds.

    >>> cut(Dealer("d", EveryStep(), 0, gamma_usd=-4e9, hedge_share=0.5), 0.25).gamma_usd
    -500000000.0
    """
    part = share * dealer.hedge_share
    if dealer.options is None:
        return replace(dealer, gamma_usd=part * float(dealer.gamma_usd or 0.0), hedge_share=1.0)
    return replace(dealer, options=replace(dealer.options, contracts_coin=part * dealer.options.contracts_coin), hedge_share=1.0)


def word(policy: Policy) -> str:
    """The command-line word of a policy with its numbers at their shortest; it stands for the very same policy.

    >>> word(policy_from_text("band:57000000.0usd")), word(policy_from_text("whalley-wilmott:1e-06,5.0bps"))
    ('band:57e6usd', 'whalley-wilmott:1e-6,5bps')
    """
    return _NUMBER.sub(lambda found: _shortest(found[0]), policy_to_text(policy))


def _shortest(digits: str) -> str:
    value = float(digits)
    for unit, ending in ((1e9, "e9"), (1e6, "e6"), (1.0, "")):
        shown = f"{value / unit:.6g}".replace("e-0", "e-").replace("e+", "e")
        if abs(value) >= unit and float(f"{shown}{ending}") == value:
            return f"{shown}{ending}"
    short = f"{value:.6g}".replace("e-0", "e-")
    return short if float(short) == value else digits


def policies_from_text(texts: Sequence[str]) -> tuple[Policy, ...]:
    """Policies as a command line lists them, by commas; a comma inside a policy belongs to its numbers.  Each is taken once.

    >>> [policy_to_text(policy) for policy in policies_from_text(["every-step, whalley-wilmott:1e-6,5bps", "band:2e6usd"])]
    ['every-step', 'whalley-wilmott:1e-06,5.0bps', 'band:2000000.0usd']
    """
    found: dict[str, Policy] = {}
    for text in texts:
        for word in _words(text):
            policy = policy_from_text(word)
            found.setdefault(policy_to_text(policy), policy)
    if not found:
        raise InputError("expected a policy at least, got none; such as --policies 'every-step, grid:60min, band:2e6usd'")
    if len(found) > MOST_POLICIES:
        raise InputError(f"expected at most {MOST_POLICIES} policies at once, got {len(found)}; compare them in several calls")
    return tuple(found.values())


def _words(text: str) -> list[str]:
    """Pieces between commas, joined where a piece does not begin a policy."""
    words: list[str] = []
    for piece in (piece.strip() for piece in text.split(",")):
        begins = not words or piece.partition(":")[0] in KINDS or not piece[:1].isdigit()
        if begins and piece:
            words.append(piece)
        elif piece:
            words[-1] = f"{words[-1]},{piece}"
    return words
