"""An option vault: it sells calls against its coin, or puts against its cash, to whoever bids in an auction, once an epoch, and never hedges."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np

from tailwag.errors import InputError, UnitError
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray
from tailwag.sim.agents.empty_answers import HedgesNothing
from tailwag.sim.agents.protocol import Account, Draws, Market, Move, OptionStep, Orders, Trader, View, no_orders
from tailwag.sim.option_market import Contract, OptionFill, OptionModel, OptionOrder
from tailwag.sim.option_slots import MOST_SLOTS, OptionHolding
from tailwag.sim.vault_account import VaultBooks, VaultFees
from tailwag.sim.vault_epochs import Calendar, VaultEpochs, auction_steps, calendar
from tailwag.sim.vault_strikes import listed_strike, rungs
from tailwag.units import HOURS_PER_YEAR

NO_FEES = VaultFees()
DUST_USD = 1e-6
"""A rest of an order below this is rounding."""


@dataclass(frozen=True, slots=True)
class OptionVault:
    """A covered-call (``right`` +1) or cash-secured-put (-1) vault.

    ``assets``: coin of a call vault, USD of a put vault.  Each epoch it offers options on all of them, one coin for a call, the strike for a put,
    at the listed strike whose delta is nearest to ``strike_delta``, in an auction at one price that is no lower than ``reserve_share`` of the
    model's.  What nobody takes at that price stays unsold.  A call vault buys coin with its premium and sells coin for what it owes, ``delay_steps``
    late: assets are rolled in their own unit.  It does not hedge: its buyers become long gamma, and they do.

    ``most_strike_share``: no strike holds more than this share of an auction; the rest goes to the next strikes further out.  ``stream`` tells
    vaults apart that are alike but draw their own times.  Raises InputError or UnitError for what no vault can be.
    """

    name: str
    right: int
    assets: float
    strike_delta: float
    strike_step_usd: float
    epochs: VaultEpochs
    reserve_share: float = 0.0
    fees: VaultFees = NO_FEES
    most_strike_share: float = 1.0
    delay_steps: int = 1
    stream: int = 0

    def __post_init__(self) -> None:
        if self.right not in (1, -1):
            raise InputError(f"agent {self.name!r}: expected right +1 (covered calls) or -1 (cash-secured puts), got {self.right!r}")
        if self.delay_steps < 0 or int(self.delay_steps) != self.delay_steps:
            raise InputError(f"agent {self.name!r}: expected delay_steps as a whole number of 0 or more, got {self.delay_steps}")
        for name in ("assets", "strike_step_usd"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0.0):
                raise InputError(f"agent {self.name!r}: expected {name} above 0, got {getattr(self, name):g}")
        if not 0.0 < self.strike_delta <= 0.5:
            raise UnitError(
                f"agent {self.name!r}: expected strike_delta above 0 and at most 0.5, got {self.strike_delta:g}; 0.1 is 10 delta"
            )
        if not 0.0 <= self.reserve_share <= 10.0:
            raise UnitError(f"agent {self.name!r}: expected reserve_share from 0 to 10 of the model price, got {self.reserve_share:g}")
        if not 0.0 < self.most_strike_share <= 1.0:
            raise UnitError(f"agent {self.name!r}: expected most_strike_share above 0 and at most 1, got {self.most_strike_share:g}")
        if self.slots > MOST_SLOTS:
            raise InputError(
                f"agent {self.name!r}: expected at most {MOST_SLOTS} strikes and tranches of an epoch, got {self.strikes} strikes in "
                f"{self.epochs.tranches} tranches; raise most_strike_share or take fewer tranches"
            )

    def __str__(self) -> str:
        sold = "covered calls" if self.right > 0 else "cash-secured puts"
        return f"{sold} of delta {self.strike_delta:g} every {self.epochs.length_hours:g} hours"

    @property
    def trades_options(self) -> bool:
        """It needs an option market."""
        return True

    @property
    def strikes(self) -> int:
        """How many strikes an auction is spread over."""
        return math.ceil(1.0 / self.most_strike_share - 1e-9)

    @property
    def slots(self) -> int:
        """Different contracts that it may have sold at a time."""
        return self.strikes * self.epochs.tranches

    @property
    def unit(self) -> str:
        """What its assets are counted in."""
        return "coin" if self.right > 0 else "USD"

    def content(self) -> str:
        """Everything but the name."""
        return repr(["option vault", *(getattr(self, entry.name) for entry in fields(self) if entry.name != "name")])

    def starting_dollar_gamma_usd(self, spot_usd: float) -> float:
        """Zero: it does not hedge."""
        return 0.0

    def starting_flow_response_usd(self, spot_usd: float) -> float:
        """Zero: a move of the price makes it trade nothing."""
        return 0.0

    def at_work(self, market: Market) -> Trader:
        """Ready to sell.  InputError where the scenario has no option market, or steps too long for an epoch."""
        if market.option_model is None:
            raise InputError(f"agent {self.name!r}: expected an option market to sell options in, got a scenario without; state [options]")
        try:
            found = calendar(self.epochs, market.grid)
        except InputError as error:
            raise type(error)(f"agent {self.name!r}: {error}") from None
        return VaultTrader(self, market, market.option_model, found)


@dataclass(frozen=True, slots=True)
class VaultState:
    """What a vault remembers: its options, its books, the step of every auction (auctions, paths), and USD it is to turn into coin, (paths,)."""

    holding: OptionHolding
    books: VaultBooks
    auction_step: IntArray
    to_coin_usd: FloatArray


@dataclass(frozen=True, slots=True)
class VaultTrader(HedgesNothing):
    """A vault at work; it does not hedge what it has sold."""

    vault: OptionVault
    market: Market
    model: OptionModel
    found: Calendar

    def init(self, paths: int, draw: Draws) -> VaultState:
        """The assets, nothing sold, and the times of all auctions."""
        steps = auction_steps(self.vault.epochs, self.found, self.market.grid, draw, paths)
        return VaultState(
            OptionHolding.opened(self.model, paths, self.vault.slots), VaultBooks.opened(self.vault.assets, paths), steps, np.zeros(paths)
        )

    def start_coin(self, state: VaultState) -> FloatArray:
        """The coin of a call vault; a put vault's cash stands beside the market account."""
        return np.full(state.to_coin_usd.shape, self.vault.assets if self.vault.right > 0 else 0.0)

    def option_orders(self, view: View, account: Account, state: VaultState, draw: Draws) -> tuple[OptionOrder, ...]:
        """One auction for each strike of each part that is due now."""
        return tuple(order for number in range(len(state.auction_step)) for order in self._auction(number, view, state))

    def traded(self, fill: OptionFill, state: VaultState) -> VaultState:
        """The options and the books after an auction."""
        spot = fill.mark.spot_usd
        collateral = np.ones(spot.shape) if self.vault.right > 0 else fill.contract.strike_usd
        books = state.books.traded(fill, collateral, self._unit_usd(spot))
        gained = -fill.premium_usd if self.vault.right > 0 else np.zeros(spot.shape)
        return replace(state, holding=state.holding.traded(fill), books=books, to_coin_usd=state.to_coin_usd + gained)

    def option_room(self, contract: Contract, state: VaultState) -> BoolArray:
        """Paths on which it can hold a contract."""
        return state.holding.slots.room(contract)

    def act(self, view: View, account: Account, state: VaultState, draw: Draws) -> Orders:
        """A call vault turns its premium into coin and sells coin for what it owes; nothing follows a move of the price."""
        if self.vault.right < 0:
            return no_orders(view.log_price.size)
        wanted = state.to_coin_usd - account.bought_usd - account.flight_usd
        usd = np.where(view.live & (np.abs(wanted) > DUST_USD), wanted, 0.0)
        return Orders(usd=usd, coin=np.zeros(usd.shape))

    def options(self, move: Move, state: VaultState) -> tuple[OptionStep, VaultState]:
        """Change of the options' value, payoffs at an expiry, and the fee of an epoch that ends with a gain."""
        step, holding = state.holding.stepped(move)
        unit = self._unit_usd(move.spot_usd)
        before = state.books.stepped(step.paid_usd, unit)
        books = self._closed(before, step.paid_usd / unit, move)
        fee = books.fee_usd - before.fee_usd
        owed = step.paid_usd - fee if self.vault.right > 0 else np.zeros(fee.shape)
        after = replace(state, holding=holding, books=books, to_coin_usd=state.to_coin_usd + owed)
        return replace(step, total_usd=step.total_usd - fee, paid_usd=step.paid_usd - fee, fees_usd=fee), after

    def _closed(self, books: VaultBooks, paid: FloatArray, move: Move) -> VaultBooks:
        if move.step not in self.found.expiry_step:
            return books
        years = self.vault.epochs.length_hours / HOURS_PER_YEAR
        return books.closed(self.vault.fees, paid=paid, years=years, unit_usd=self._unit_usd(move.spot_usd), live=move.live)

    def _auction(self, number: int, view: View, state: VaultState) -> Iterator[OptionOrder]:
        due = (state.auction_step[number] == view.step) & view.live
        if not due.any():
            return
        vault, epoch = self.vault, number // self.found.tranches
        expiry = int(self.found.expiry_step[epoch])
        size = np.where(due, np.minimum(state.books.free, np.maximum(state.books.assets, 0.0) / self.found.tranches), 0.0)
        nearest = listed_strike(
            self.model,
            vault.right,
            vault.strike_delta,
            vault.strike_step_usd,
            step=view.step,
            expiry_step=expiry,
            log_price=view.log_price,
            vol_shift=view.vol_shift,
        )
        for place, strike in enumerate(rungs(vault.right, nearest, vault.strike_step_usd, vault.strikes)):
            yield self._order(Contract(vault.right, expiry, strike), size * self._share(place), view)

    def _order(self, contract: Contract, collateral: FloatArray, view: View) -> OptionOrder:
        coin = collateral if self.vault.right > 0 else collateral / contract.strike_usd
        model = self.model.mark(contract, view.step, view.log_price, view.vol_shift).price_usd
        return OptionOrder(contract, -coin, self.vault.reserve_share * model, auction=True)

    def _share(self, place: int) -> float:
        """The part of an auction that goes to a strike: the limit, and to the last strike what is left."""
        return min(self.vault.most_strike_share, 1.0 - place * self.vault.most_strike_share)

    def _unit_usd(self, spot_usd: FloatArray) -> FloatArray | float:
        return spot_usd if self.vault.right > 0 else 1.0
