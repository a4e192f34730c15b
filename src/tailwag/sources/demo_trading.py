"""What is traded around the options of the synthetic market: perp, spot, dated futures, order books, signed option trades."""

from __future__ import annotations

import numpy as np

from tailwag.kernels.arrays import FloatArray, IntArray
from tailwag.market.book import OrderBook
from tailwag.market.chain import Chain
from tailwag.market.snapshot import Futures
from tailwag.market.trades import Trades
from tailwag.sources.contract_sizes import deribit_contract_usd
from tailwag.sources.demo_chain import TICK_COIN, DemoScale, black_coin
from tailwag.units import NS_PER_DAY, NS_PER_YEAR

BOOK_LEVELS = 1000
BOOK_REACH = 0.036
TRADE_COUNT = 3000
TRADE_DAYS = 6.0
SPOT_SHARE_OF_DEPTH = 0.6
BLOCK_MINIMUM_COIN = 25.0


def demo_futures(rng: np.random.Generator, *, chain: Chain, currency: str, scale: DemoScale, spot_usd: float) -> Futures:
    """Perp, spot and one dated future for each Friday expiry of the chain; all figures invented."""
    dated = ~np.char.startswith(chain.underlying_name.astype(str), "SYN.")
    names, first = np.unique(chain.underlying_name[dated].astype(str), return_index=True)
    order = np.argsort(chain.expiry_ns[dated][first])
    names, first = names[order], first[order]
    expiry_ns, forward_usd = chain.expiry_ns[dated][first], chain.underlying_usd[dated][first]
    premium = 1.0 + 1.2e-4
    mark_usd = np.concatenate([[spot_usd * premium, spot_usd], forward_usd])
    half_usd = scale.book_tick_usd * np.concatenate([[0.5, 0.5], rng.integers(2, 9, names.size) * 0.5])
    years = (expiry_ns - chain.as_of_ns) / NS_PER_YEAR
    open_interest_usd = 9e8 * np.exp(-2.5 * years) * rng.lognormal(0.0, 0.5, names.size)
    size, contract_usd = names.size, deribit_contract_usd(currency, chain.as_of_ns)
    return Futures.from_columns(
        instrument=[f"{currency}-PERPETUAL", f"{currency}_USD", *names.tolist()],
        venue=np.full(size + 2, "demo", dtype=object),
        kind=["perp", "spot", *["future"] * size],
        settlement=["inverse", "linear", *["inverse"] * size],
        expiry_ns=np.concatenate([[0, 0], expiry_ns]),
        mark_usd=np.round(mark_usd, 2),
        bid_usd=np.round(mark_usd - half_usd, 2),
        ask_usd=np.round(mark_usd + half_usd, 2),
        open_interest_usd=np.round(np.concatenate([[0.34 * scale.perp_volume_usd, np.nan], open_interest_usd]), -1),
        volume_24h_usd=np.round(np.concatenate([[scale.perp_volume_usd, 0.22 * scale.perp_volume_usd], 0.3 * open_interest_usd]), -1),
        funding_8h=np.concatenate([[0.8e-4], np.full(size + 1, np.nan)]),
        # the made-up venue lists Deribit's contracts
        usd_per_contract=np.concatenate([[contract_usd, np.nan], np.full(size, contract_usd)]),
        coin_per_contract=np.concatenate([[np.nan, 1.0], np.full(size, np.nan)]),
    )


def demo_books(rng: np.random.Generator, *, futures: Futures, scale: DemoScale, as_of_ns: int) -> tuple[OrderBook, ...]:
    """The perp's and the spot's book: 1,000 levels a side, 3.6 % deep, thin at the touch and denser further out."""
    books = []
    for row, share in ((0, 1.0), (1, SPOT_SHARE_OF_DEPTH)):
        bids = _side(rng, float(futures.bid_usd[row]), -1, scale, share * scale.perp_depth_usd_per_pct * rng.uniform(0.92, 1.05))
        asks = _side(rng, float(futures.ask_usd[row]), +1, scale, share * scale.perp_depth_usd_per_pct * rng.uniform(0.95, 1.10))
        books.append(OrderBook("demo", str(futures.instrument[row]), "perp" if row == 0 else "spot", as_of_ns, *bids, *asks))
    return tuple(books)


def _side(
    rng: np.random.Generator, best_usd: float, direction: int, scale: DemoScale, depth_usd_per_pct: float
) -> tuple[FloatArray, FloatArray]:
    steps = np.arange(BOOK_LEVELS)
    ticks = steps + np.round((steps / BOOK_LEVELS) ** 1.7 * (BOOK_REACH * best_usd / scale.book_tick_usd))
    price_usd = np.round(best_usd + direction * ticks * scale.book_tick_usd, 2)
    away_pct = 100.0 * np.abs(price_usd / best_usd - 1.0)
    rested = np.diff(away_pct**1.1, append=(away_pct[-1] + 1e-3) ** 1.1) * rng.gamma(0.9, 1.0, BOOK_LEVELS)
    rested *= np.where(np.mod(price_usd, 1000.0 * scale.book_tick_usd) < 2.0 * scale.book_tick_usd, 3.0, 1.0)
    size_usd = rested * (depth_usd_per_pct / rested[away_pct <= 1.0].sum())
    amount_coin = np.maximum(np.round(size_usd / price_usd, 4), 1e-4)
    price_usd.setflags(write=False)
    amount_coin.setflags(write=False)
    return price_usd, amount_coin


def demo_trades(rng: np.random.Generator, chain: Chain, *, spot_usd: float) -> Trades:
    """Signed option trades of the last six days: takers sell calls above the forward and buy puts below it, more often than not.

    The net flow of every instrument stays within its open interest, which real flow also does when it is counted from the listing on.
    """
    rows = np.sort(rng.choice(len(chain), TRADE_COUNT, p=_trading_weight(chain)))
    time_ns = _times(rng, chain, rows)
    order = np.argsort(time_ns, kind="stable")
    rows, time_ns = rows[order], time_ns[order]
    outside = chain.right[rows] * (chain.strike_usd[rows] - chain.underlying_usd[rows]) > 0
    bought = rng.random(rows.size) < np.where(outside, np.where(chain.right[rows] > 0, 0.42, 0.60), 0.50)
    sign = np.where(bought, 1, -1).astype(np.int64)
    amount_coin = _amounts(rng, chain, rows, sign)
    index_usd = _index_path(rng, time_ns, chain.as_of_ns, spot_usd)
    iv = np.round(chain.iv[rows] * np.exp(0.015 * rng.standard_normal(rows.size) + 0.006 * sign), 4)
    forward_usd = index_usd * chain.underlying_usd[rows] / spot_usd
    price_coin = black_coin(chain.right[rows], forward_usd, chain.strike_usd[rows], (chain.expiry_ns[rows] - time_ns) / NS_PER_YEAR, iv)[0]
    forced = rng.random(rows.size) < 0.006
    return Trades.from_columns(
        trade_id=[f"SYN-{1 + i}" for i in range(rows.size)],
        instrument=chain.instrument[rows],
        time_ns=time_ns,
        taker_sign=sign,
        amount_coin=amount_coin,
        price_quoted=np.maximum(np.round(price_coin, 4), TICK_COIN),
        iv=iv,
        index_usd=index_usd,
        is_block=(amount_coin >= BLOCK_MINIMUM_COIN) & (rng.random(rows.size) < 0.8),
        is_combo=rng.random(rows.size) < 0.09,
        liquidated=np.where(forced, rng.choice(np.array(["T", "M", "MT"], dtype=object), rows.size, p=[0.8, 0.15, 0.05]), ""),
    )


def _trading_weight(chain: Chain) -> FloatArray:
    years = (chain.expiry_ns - chain.as_of_ns) / NS_PER_YEAR
    liquid = chain.open_interest_contracts >= 2.0 * BLOCK_MINIMUM_COIN
    weight = np.where(liquid, np.sqrt(chain.volume_contracts + 1.0) * np.exp(-years / 0.3), 0.0)
    share: FloatArray = weight / weight.sum()
    return share


def _times(rng: np.random.Generator, chain: Chain, rows: IntArray) -> IntArray:
    # a daily is listed only three days before it expires, so its trades are no older than that
    listed_days = np.where(chain.expiry_ns[rows] - chain.as_of_ns < 7 * NS_PER_DAY, 2.0, TRADE_DAYS)
    whole_ms = np.round(rng.random(rows.size) * listed_days * 86_400_000.0).astype(np.int64)
    return chain.as_of_ns - 1_000_000 * (1 + whole_ms)


def _amounts(rng: np.random.Generator, chain: Chain, rows: IntArray, sign: IntArray) -> FloatArray:
    block = rng.random(rows.size) < 0.045
    amount = np.where(block, BLOCK_MINIMUM_COIN * rng.lognormal(0.7, 0.6, rows.size), rng.lognormal(0.3, 1.25, rows.size))
    net = np.bincount(rows, weights=sign * amount, minlength=len(chain))
    room = 0.8 * chain.open_interest_contracts / np.maximum(np.abs(net), 1e-12)
    return np.maximum(np.floor(10.0 * amount * np.minimum(room, 1.0)[rows]) / 10.0, 0.1)


def _index_path(rng: np.random.Generator, time_ns: IntArray, as_of_ns: int, spot_usd: float) -> FloatArray:
    years_back = np.append(as_of_ns - time_ns, 0) / NS_PER_YEAR
    steps = 0.46 * np.sqrt(-np.diff(years_back)) * rng.standard_normal(time_ns.size)
    path: FloatArray = np.round(spot_usd * np.exp(np.cumsum(steps) - steps.sum()), 2)
    return path
