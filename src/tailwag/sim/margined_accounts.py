"""The money of a margined account: its purses, what a backstop took over from it, the insurance fund and what nobody paid."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.margin.insurance import cover
from tailwag.sim.margined_terms import MarginTerms


@dataclass(frozen=True, slots=True)
class MarginedAccounts:
    """Who holds what, (paths,): ``share`` of the book is still the account's, the rest the backstop's.

    ``perp_coin`` the account's hedge and ``taken_coin`` the backstop's, + long.  Cash: premium and collateral behind the options, collateral and
    what the perp cost, the backstop's; the insurance fund, and bad debt (unpaid, 0 or more).  USD.
    """

    share: FloatArray
    perp_coin: FloatArray
    taken_coin: FloatArray
    option_cash_usd: FloatArray
    perp_cash_usd: FloatArray
    taken_cash_usd: FloatArray
    fund_usd: FloatArray
    bad_debt_usd: FloatArray

    @property
    def cash_usd(self) -> FloatArray:
        """All of it: it changes by what was paid to the market and received from holders of the options, and by nothing else."""
        own = self.option_cash_usd + self.perp_cash_usd + self.taken_cash_usd
        return np.asarray(own + self.fund_usd - self.bad_debt_usd)

    @property
    def coin(self) -> FloatArray:
        """All that is held in the market."""
        return self.perp_coin + self.taken_coin

    def traded(self, perp_coin: FloatArray, taken_coin: FloatArray, fill_usd: FloatArray) -> MarginedAccounts:
        """After purchases (+) of the account and of the backstop at a price."""
        return replace(
            self,
            perp_coin=self.perp_coin + perp_coin,
            taken_coin=self.taken_coin + taken_coin,
            perp_cash_usd=self.perp_cash_usd - perp_coin * fill_usd,
            taken_cash_usd=self.taken_cash_usd - taken_coin * fill_usd,
        )

    def handed_over(self, kept: FloatArray, value_usd: FloatArray) -> MarginedAccounts:
        """After all but the part ``kept`` of the account's options went to the backstop at what they are worth (a whole book's value, USD)."""
        paid = (1.0 - kept) * self.share * value_usd
        return replace(
            self,
            share=self.share * kept,
            option_cash_usd=self.option_cash_usd + paid,
            taken_cash_usd=self.taken_cash_usd - paid,
        )

    def settled(self, payoff_usd: FloatArray) -> MarginedAccounts:
        """After options paid out (negative for short ones), each side by its share."""
        own = self.share * payoff_usd
        return replace(self, option_cash_usd=self.option_cash_usd + own, taken_cash_usd=self.taken_cash_usd + (payoff_usd - own))


def with_fees(
    accounts: MarginedAccounts,
    terms: MarginTerms,
    *,
    option_fee_usd: FloatArray,
    perp_fee_usd: FloatArray,
    worth_usd: tuple[FloatArray, FloatArray],
) -> MarginedAccounts:
    """After liquidation fees to the fund, never more than the equity behind them; ``worth_usd``: value of the options and of the perp still held."""
    equity = (accounts.option_cash_usd + worth_usd[0], accounts.perp_cash_usd + worth_usd[1])
    fees = [option_fee_usd, perp_fee_usd]
    if terms.cross:
        asked = fees[0] + fees[1]
        part = np.minimum(asked, np.maximum(equity[0] + equity[1], 0.0)) / np.where(asked > 0.0, asked, 1.0)
        fees = [part * fee for fee in fees]
    else:
        fees = [np.minimum(fee, np.maximum(own, 0.0)) for fee, own in zip(fees, equity)]
    return replace(
        accounts,
        option_cash_usd=accounts.option_cash_usd - fees[0],
        perp_cash_usd=accounts.perp_cash_usd - fees[1],
        fund_usd=accounts.fund_usd + (fees[0] + fees[1]),
    )


def with_shortfall(
    accounts: MarginedAccounts, terms: MarginTerms, *, options_open: BoolArray, perp_open: BoolArray, live: BoolArray
) -> MarginedAccounts:
    """After the fund paid what closed purses lack, as far as it reaches; the rest is bad debt."""
    option_cash, perp_cash, nothing = accounts.option_cash_usd, accounts.perp_cash_usd, np.zeros(accounts.share.shape)
    if terms.cross:
        options_lack = np.where(live & ~options_open & ~perp_open, np.maximum(-(option_cash + perp_cash), 0.0), 0.0)
        perp_lacks = nothing
    else:
        options_lack = np.where(live & ~options_open, np.maximum(-option_cash, 0.0), 0.0)
        perp_lacks = np.where(live & ~perp_open, np.maximum(-perp_cash, 0.0), 0.0)
    paid = cover(accounts.fund_usd, fees=nothing, shortfall=options_lack + perp_lacks)
    return replace(
        accounts,
        option_cash_usd=option_cash + options_lack,
        perp_cash_usd=perp_cash + perp_lacks,
        fund_usd=paid.fund,
        bad_debt_usd=accounts.bad_debt_usd + paid.unpaid,
    )
