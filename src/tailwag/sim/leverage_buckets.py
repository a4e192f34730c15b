"""From leverage to liquidation levels: accounts of one leverage whose entry prices scatter around the start."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tailwag.errors import InputError
from tailwag.kernels.arrays import FloatArray
from tailwag.kernels.black_plain import normal_cdf, normal_density
from tailwag.margin.contract import LONG, SHORT, Contract, distance_log, liquidation_price_usd
from tailwag.margin.maintenance import maintenance_share
from tailwag.margin.rulebook import Rulebook
from tailwag.market.snapshot import Futures
from tailwag.sim.leveraged_accounts import Accounts

KNOTS = 8192
REACH_WIDTHS = 8.0
LEAST_ALIVE = 1e-9
MOST_ACCOUNTS = 100_000
SIDES = {"long": LONG, "short": SHORT}
COLLATERALS = ("usd", "coin")


@dataclass(frozen=True, slots=True)
class LeverageBucket:
    """Positions of one side and leverage: ``notional_usd`` together, held in accounts of ``account_usd`` each (which sets their margin tier).

    Entry prices are normal in logs: ``entry_log`` from the start, ``entry_width_log`` wide; accounts that would have been liquidated before
    the start are left out of the scatter.  ``accounts`` is how many the simulation tells apart.

    ``collateral``: "usd", or "coin" for cross margin of a linear position with coin, whose value moves with the price: 1 / leverage coins for each
    coin of the position, at what the venue counts of them.  Then position and coin are one net exposure, q (side + 1 / leverage), which is liquidated
    whole: the coin is sold with a long, and bought back less by a short.

    >>> LeverageBucket("long", 10.0, 1e9, account_usd=1e5).accounts
    25
    """

    side: str
    leverage: float
    notional_usd: float
    account_usd: float
    entry_width_log: float = 0.02
    entry_log: float = 0.0
    accounts: int = 25
    collateral: str = field(default="usd", repr=False)

    def __post_init__(self) -> None:
        if self.side not in SIDES:
            raise InputError(f"expected side 'long' or 'short', got {self.side!r}")
        if not 0.0 < self.leverage <= 1000.0:
            raise InputError(f"expected leverage above 0 and at most 1,000, got {self.leverage:g}; 10 is ten times the margin")
        if not (0.0 < self.notional_usd < 1e15 and 0.0 < self.account_usd < 1e15):
            raise InputError(f"expected notional_usd and account_usd above 0, got {self.notional_usd:g} and {self.account_usd:g}")
        if not 1e-6 <= self.entry_width_log <= 5.0 or not abs(self.entry_log) <= 5.0:
            raise InputError(f"expected entry_width_log from 1e-6 to 5, got {self.entry_width_log:g}; 0.02 scatters entries by 2 %")
        if not 1 <= self.accounts <= MOST_ACCOUNTS:
            raise InputError(f"expected 1 to {MOST_ACCOUNTS:,} accounts, got {self.accounts}")
        if self.collateral not in COLLATERALS:
            raise InputError(f"expected collateral 'usd' or 'coin', got {self.collateral!r}")
        if self.net_exposure <= 0.0:
            raise InputError(
                f"expected shorts of more than 1 x where coin is their collateral, got {self.leverage:g} x: covered by its own coin, and liquidated by no rise"
            )

    @property
    def net_exposure(self) -> float:
        """Coins that the whole account moves like, for each coin of its position: 1, or 1 + side / leverage with coin as collateral."""
        return 1.0 + SIDES[self.side] / self.leverage if self.collateral == "coin" else 1.0

    @property
    def net_leverage(self) -> float:
        """Net exposure over margin: with coin as collateral leverage + 1 of a long, leverage - 1 of a short."""
        return self.leverage * self.net_exposure

    def level_log(self, rules: Rulebook, spot_usd: float) -> tuple[float, float]:
        """Mean distance of the liquidation level from the start in logs, and how many standard deviations of entries it is alive by."""
        share = self.maintenance(rules, spot_usd)
        if self.collateral == "coin" and (rules.contract is Contract.INVERSE or rules.rounds):
            raise InputError(
                f"expected collateral 'coin' on linear contracts that are closed whole, got rules {rules.name}: "
                + ("the margin of an inverse contract is coin already" if rules.contract is Contract.INVERSE else "they close in rounds")
            )
        if self.net_leverage * share >= 1.0 or share >= 1.0:
            raise InputError(
                f"expected initial margin above maintenance margin, got {self.leverage:g} x leverage at a maintenance margin of {100 * share:.3g} %: "
                "liquidated at once; lower the leverage or account_usd"
            )
        price = liquidation_price_usd(
            rules.contract, SIDES[self.side], entry_usd=spot_usd, leverage=self.net_leverage, maintenance_share=share
        )
        mean = self.entry_log + distance_log(float(price), spot_usd)
        alive = -SIDES[self.side] * mean / self.entry_width_log
        if math.isfinite(alive) and float(normal_cdf(np.array(alive))) < LEAST_ALIVE:
            raise InputError(
                f"expected accounts that are alive at the start, got {self.side}s of {self.leverage:g} x entered {self.entry_log:+g} away"
            )
        return mean, alive

    def maintenance(self, rules: Rulebook, spot_usd: float) -> float:
        """Maintenance margin as a share of what an account's net exposure is worth."""
        return float(maintenance_share(rules.maintenance, self.account_usd, price_usd=spot_usd)) / self.net_exposure

    def density_usd(self, log_price: FloatArray, rules: Rulebook, spot_usd: float) -> FloatArray:
        """Notional liquidated per unit of log price there, (paths,); 0 on the other side of the start."""
        mean, alive = self.level_log(rules, spot_usd)
        if not math.isfinite(mean):
            return np.zeros(log_price.shape)
        kept = float(normal_cdf(np.array(alive))) * self.entry_width_log
        beyond = SIDES[self.side] * log_price <= 0.0
        return np.asarray(
            np.where(beyond, self.notional_usd * self.net_exposure / kept * normal_density((log_price - mean) / self.entry_width_log), 0.0)
        )

    def entries_log(self, quantiles: FloatArray, rules: Rulebook, spot_usd: float) -> FloatArray:
        """Entry prices in logs from the start at quantiles in (0, 1) of the accounts alive."""
        _, alive = self.level_log(rules, spot_usd)
        edge = min(alive, REACH_WIDTHS)
        knots = np.linspace(-REACH_WIDTHS, edge, KNOTS)
        shares = normal_cdf(knots)
        shares = (shares - shares[0]) / (shares[-1] - shares[0])
        return np.asarray(self.entry_log + SIDES[self.side] * self.entry_width_log * np.interp(quantiles, shares, knots))


def opened(buckets: tuple[LeverageBucket, ...], rules: Rulebook, *, spot_usd: float, fund: float, quantiles: list[FloatArray]) -> Accounts:
    """Accounts of all buckets at the start; ``quantiles`` (accounts, paths) says for each bucket where its entries lie."""
    contract, columns = rules.contract, []
    for bucket, where in zip(buckets, quantiles):
        value = contract.unit_value(spot_usd * np.exp(bucket.entries_log(where, rules, spot_usd)))
        unit = bucket.notional_usd * bucket.net_exposure / bucket.accounts
        size = np.full(value.shape, unit / spot_usd if contract is Contract.LINEAR else unit)
        ones = np.ones((bucket.accounts, 1))
        columns.append(
            (SIDES[bucket.side] * ones, bucket.maintenance(rules, spot_usd) * ones, value, size, size * np.abs(value) / bucket.net_leverage)
        )
    side, share, entry, size, wallet = (np.concatenate(parts) for parts in zip(*columns))
    nothing = np.zeros(entry.shape[1])
    return Accounts(side, share, entry, size, wallet, nothing + fund, nothing, nothing, nothing, nothing)


def perp_open_interest_usd(futures: Futures, *, venue: str | None = None) -> float:
    """Open interest of a snapshot's perps in USD, one venue's or all of them.

    Raises InputError where no perp has a known open interest: it is not guessed.
    """
    mine = (futures.kind == "perp") & np.isfinite(futures.open_interest_usd)
    mine = mine if venue is None else mine & (futures.venue == venue)
    if not mine.any():
        raise InputError(
            f"expected perps with a known open interest{'' if venue is None else f' on {venue}'}, got none; state open_interest_usd"
        )
    return float(math.fsum(futures.open_interest_usd[mine]))


def buckets_from_open_interest(
    open_interest_usd: float,
    *,
    longs: dict[float, float],
    shorts: dict[float, float],
    account_usd: float,
    entry_width_log: float = 0.02,
    accounts: int = 25,
    coin_shares: Mapping[str, float] | None = None,
) -> tuple[LeverageBucket, ...]:
    """Buckets for a venue's open interest: every contract has a long and a short, each side split by shares of leverage.

    ``longs``, ``shorts``: leverage -> share of that side; each side's shares sum to 1 or less, the rest is held without leverage (and is
    never liquidated).  ``coin_shares`` by side: the part of each leverage whose collateral is coin (cross margin).

    >>> mix = buckets_from_open_interest(8e9, longs={10.0: 0.25, 50.0: 0.05}, shorts={5.0: 0.3}, account_usd=1e5)
    >>> [(bucket.side, bucket.leverage, bucket.notional_usd / 1e9) for bucket in mix]
    [('long', 10.0, 2.0), ('long', 50.0, 0.4), ('short', 5.0, 2.4)]

    Raises InputError for shares below 0 or above 1 in total, or no open interest.
    """
    if not 0.0 < open_interest_usd < 1e15:
        raise InputError(f"expected open_interest_usd above 0, got {open_interest_usd:g}")
    made = []
    for side, mix in (("long", longs), ("short", shorts)):
        if any(share < 0.0 for share in mix.values()) or math.fsum(mix.values()) > 1.0 + 1e-9:
            raise InputError(f"expected {side} shares of 0 or more that sum to 1 at most, got {mix}; the rest is held without leverage")
        coin = 0.0 if coin_shares is None else coin_shares.get(side, 0.0)
        if not 0.0 <= coin <= 1.0:
            raise InputError(f"expected a share of {side}s with coin as collateral from 0 to 1, got {coin:g}")
        made += [
            LeverageBucket(
                side, leverage, part * share * open_interest_usd, account_usd, entry_width_log, accounts=accounts, collateral=held
            )
            for leverage, share in sorted(mix.items())
            for held, part in (("usd", 1.0 - coin), ("coin", coin))
            if share * part > 0.0
        ]
    return tuple(made)
