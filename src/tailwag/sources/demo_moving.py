"""The demo market in motion: spot wanders, smiles follow it, time passes, and every morning at 08:00 UTC the next expiry leaves.

A pure function of seed and time: two recorders that ask for the same moment get the same market, whenever they were started.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from tailwag.kernels.arrays import FloatArray, frozen
from tailwag.market.chain import Chain
from tailwag.market.clock import format_time
from tailwag.market.instrument import CRYPTO_EXPIRY_HOUR
from tailwag.market.snapshot import Snapshot, Source
from tailwag.market.trades import Trades
from tailwag.market.validate import validated
from tailwag.sources.demo import standing_demo
from tailwag.sources.demo_chain import SCALES, Row, quoted_columns, skew_rho, smile_vol
from tailwag.sources.demo_trading import demo_books, demo_futures
from tailwag.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_YEAR

DAILY_MOVE = 0.025
"""Standard deviation of a day's log move."""
SPOT_VOL_BETA = -0.45
"""Change of every implied vol (decimal) for a log move of spot: falls make options dear."""
SHORTEST_SMILE_YEARS = 8 * NS_PER_HOUR / NS_PER_YEAR
"""The smile of an expiry nearer than this is the one it had then."""
_SHORTEST_MINUTES, _RATIO, _WAVES = 2.0, 1.9, 16


def moving_demo(as_of_ns: int, *, seed: int = 7, currency: str = "BTC") -> Snapshot:
    """The demo market as it stands at ``as_of_ns``; within a day the same options with the same open interest, at new prices;
    no option leaves before its expiry.

    Raises InputError as :func:`tailwag.sources.demo.demo` does.
    """
    opened_ns = _last_morning(as_of_ns)
    base = standing_demo(seed=seed, currency=currency, as_of_ns=opened_ns)
    move = log_move(as_of_ns, seed=seed) - log_move(opened_ns, seed=seed)
    spot_usd = round(base.spot_usd * float(np.exp(log_move(as_of_ns, seed=seed))), 2)
    quotes, book_draws = (np.random.Generator(np.random.Philox(key=[seed, as_of_ns + part])) for part in (0, 1))
    chain = _moved_chain(base.chain, quotes, as_of_ns=as_of_ns, spot_usd=spot_usd, opened_usd=base.spot_usd, move=move)
    scale = SCALES[currency]
    futures = demo_futures(np.random.Generator(np.random.Philox(seed)), chain=chain, currency=currency, scale=scale, spot_usd=spot_usd)
    return base.with_parts(
        as_of_ns=as_of_ns,
        spot_usd=spot_usd,
        chain=validated(chain),
        futures=futures,
        trades=_of_the_day(base.trades, opened_ns),
        books=demo_books(book_draws, futures=futures, scale=scale, as_of_ns=as_of_ns),
        source=Source(kind="demo", name=f"SYNTHETIC moving demo market, seed {seed}", sha256=_digest(chain), synthetic=True),
    )


def _of_the_day(trades: Trades | None, opened_ns: int) -> Trades | None:
    """Each morning's trades under names of their own: two days hold no trade in common."""
    if trades is None:
        return None
    day = format_time(opened_ns)[:10].replace("-", "")
    return replace(trades, trade_id=frozen([f"{name}-{day}" for name in trades.trade_id.tolist()], object))


def _last_morning(as_of_ns: int) -> int:
    """08:00 UTC at or before a time: from there to the next nothing is listed and nothing expires."""
    return (as_of_ns - CRYPTO_EXPIRY_HOUR * NS_PER_HOUR) // NS_PER_DAY * NS_PER_DAY + CRYPTO_EXPIRY_HOUR * NS_PER_HOUR


def log_move(at_ns: int, *, seed: int) -> float:
    """Log of spot over its long-run level: waves of two minutes to a month whose size grows with the root of their period.

    Between waves no time scale stands out, as in a random walk, yet any moment is known without walking to it.
    """
    draw = np.random.Generator(np.random.Philox(key=[seed, 0x5707]))
    periods_ns = _SHORTEST_MINUTES * NS_PER_MINUTE * _RATIO ** np.arange(_WAVES)
    phases = draw.uniform(0.0, 2.0 * np.pi, _WAVES)
    swing = np.sqrt(periods_ns)
    day = np.sqrt(np.sum(swing**2 * (1.0 - np.cos(2.0 * np.pi * NS_PER_DAY / periods_ns))))
    turns = np.mod(at_ns / periods_ns, 1.0)
    return float(np.sum(DAILY_MOVE / day * swing * np.sin(2.0 * np.pi * turns + phases)))


def _moved_chain(chain: Chain, rng: np.random.Generator, *, as_of_ns: int, spot_usd: float, opened_usd: float, move: float) -> Chain:
    """The morning's chain at a later moment: forwards move with spot and lose carry, vols follow the smile and the spot's move."""
    years = (chain.expiry_ns - as_of_ns) / NS_PER_YEAR
    carry = np.log(chain.underlying_usd / opened_usd) / ((chain.expiry_ns - chain.as_of_ns) / NS_PER_YEAR)
    forward_usd = np.round(spot_usd * np.exp(carry * years), 4)
    # made-up smiles have no meaning in the last hours, where their wings would run away
    smile_years, quote_years = np.maximum(years, SHORTEST_SMILE_YEARS), np.maximum(years, NS_PER_MINUTE / NS_PER_YEAR)
    smile = smile_vol(np.log(chain.strike_usd / forward_usd), smile_years, skew_rho(smile_years))
    iv: FloatArray = np.asarray(np.round(np.clip(smile + SPOT_VOL_BETA * move, 0.05, 3.0), 4), dtype=np.float64)
    rows = Row(chain.right, chain.strike_usd, np.zeros(len(chain), dtype=np.int64), chain.expiry_ns, quote_years, forward_usd, iv)
    everywhere = np.full(len(chain), spot_usd)
    return chain.with_columns(
        as_of_ns=as_of_ns,
        iv=iv,
        underlying_usd=forward_usd,
        index_usd=everywhere,
        estimated_delivery_usd=everywhere,
        codes=np.zeros(len(chain), dtype=np.int64),
        **quoted_columns(rng, rows),
    )


def _digest(chain: Chain) -> str:
    numbers = (chain.strike_usd, chain.bid_quoted, chain.ask_quoted, chain.iv, chain.underlying_usd, chain.open_interest_contracts)
    return hashlib.sha256(b"".join(column.tobytes() for column in numbers)).hexdigest()
