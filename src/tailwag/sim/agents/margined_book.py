"""An account that holds options and their perp hedge under one margin, and is closed by its venue when it has too little."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from tailwag.errors import InputError
from tailwag.figures.numbers import money
from tailwag.hedging.policies import EveryStep, Policy
from tailwag.sim.agents.protocol import Market, Trader
from tailwag.sim.book_trader import BookTrader
from tailwag.sim.margined_marks import MarkedBook
from tailwag.sim.margined_terms import MarginTerms
from tailwag.sim.margined_trader import MarginedTrader
from tailwag.sim.net_delta import DirectNetDelta
from tailwag.sim.option_book import OptionBook

MOST_ROWS = 64


@dataclass(frozen=True, slots=True)
class MarginedBook:
    """Sold (or bought) ``options`` and minus ``hedge_share`` of their Black delta in a perp, with ``collateral_usd`` of own money, by a venue's ``terms``.

    Under cross margin one equity stands behind both legs.  Under isolated margin ``hedge_collateral_share`` of the collateral stands behind the perp, the
    rest (and the premium) behind the options, and neither helps the other.  Where equity is below maintenance margin the venue closes all but the part
    equity / needed: options go to a backstop at their mark, the hedge to the market.  The backstop hedges ``backstop_hedge_share`` of the delta it takes
    over.  ``fund_usd``: the venue's insurance fund.  With ``delay_steps = 0`` all of it is solved at the clearing price; else the perp follows late.
    InputError for more than 64 options, shares outside [0, 1] or no collateral; and at work, for less than the initial margin.
    """

    name: str
    options: OptionBook
    terms: MarginTerms
    collateral_usd: float
    delay_steps: int
    backstop_hedge_share: float
    hedge_share: float = 1.0
    hedge_collateral_share: float = 0.5
    fund_usd: float = 0.0
    stream: int = 0

    def __post_init__(self) -> None:
        if self.delay_steps < 0 or int(self.delay_steps) != self.delay_steps:
            raise InputError(f"agent {self.name!r}: expected delay_steps as a whole number of 0 or more, got {self.delay_steps}")
        if self.options.rows > MOST_ROWS:
            raise InputError(f"agent {self.name!r}: expected at most {MOST_ROWS} options on a margined account, got {self.options.rows}")
        for name in ("backstop_hedge_share", "hedge_share", "hedge_collateral_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(f"agent {self.name!r}: expected {name} from 0 to 1, got {getattr(self, name):g}")
        for name, value in (("collateral_usd", self.collateral_usd), ("fund_usd", self.fund_usd)):
            if not (math.isfinite(value) and 0.0 <= value < 1e15) or (name == "collateral_usd" and value == 0.0):
                raise InputError(f"agent {self.name!r}: expected {name} of 0 or more (collateral above 0), got {value:g}")

    def __str__(self) -> str:
        return f"{self.options.rows} options and their perp hedge on {money(self.collateral_usd)} of {self.terms.margin} margin"

    @property
    def policy(self) -> Policy:
        """It hedges in every step, while its margin lasts."""
        return EveryStep()

    @property
    def speed(self) -> float:
        """The whole gap."""
        return 1.0

    @property
    def after_expiry(self) -> str:
        """Hedges of options that have gone are unwound."""
        return "unwind"

    @property
    def vega_hedge_share(self) -> float:
        """Vega is not hedged."""
        return 0.0

    @property
    def iv(self) -> float:
        """Its options state theirs."""
        return 0.0

    @property
    def whole_orders(self) -> bool:
        """The venue's orders are filled whole or the books would not close: no damped clearing."""
        return True

    def content(self) -> str:
        """Everything but the name, the book by its digest."""
        values = [getattr(self, entry.name) for entry in fields(self) if entry.name != "name"]
        return repr(["margined book", *(value.digest() if isinstance(value, OptionBook) else value for value in values)])

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """Hedged dollar gamma at the start, where the account has its initial margin and nobody is called."""
        slope = DirectNetDelta(self.options, np.zeros(2), spot_usd).at(0, np.zeros(1), np.zeros(1))[1]
        return self.hedge_share * float(slope[0]) * spot_usd

    def at_work(self, market: Market) -> Trader:
        """Ready to hedge and to be called; InputError where the collateral does not cover the initial margin."""
        book = BookTrader(self.options, self, market)
        marked = MarkedBook(book.book, self.terms.option, spot_usd=market.spot_usd, fixing_step=book.fixing_step)
        trader = MarginedTrader(self, market, book, marked)
        has, asked = initial_margin_usd(trader)
        if has < asked:
            raise InputError(
                f"agent {self.name!r}: expected {money(asked)} of initial margin at the start, got {money(has)}: no venue opens such an account; "
                "add collateral_usd (or move hedge_collateral_share)"
            )
        return trader


def initial_margin_usd(trader: MarginedTrader) -> tuple[float, float]:
    """Equity that counts at the start and the initial margin asked; under isolated margin of the leg that is nearer to its own."""
    state, nothing = trader.init(1), np.zeros(1)
    options, perp = trader.purses(0, nothing, nothing, state)
    terms, spot = trader.agent.terms, np.full(1, trader.market.spot_usd)
    asked = (trader.initial_options_usd(0, nothing, nothing, state), terms.perp_initial_usd(state.accounts.perp_coin, spot))
    legs = [(float(has.equity_usd[0]), float(need[0])) for has, need in zip((options, perp), asked)]
    if terms.cross:
        return math.fsum(has for has, _ in legs), math.fsum(need for _, need in legs)
    return min(legs, key=lambda leg: leg[0] - leg[1])
