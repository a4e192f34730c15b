"""A synthetic full-size options market: seeded, deterministic, and labelled SYNTHETIC wherever it appears."""

from __future__ import annotations

import hashlib

import numpy as np

from tailwag.errors import InputError
from tailwag.market.chain import Chain
from tailwag.market.clock import EARLIEST_NS, LATEST_NS, format_time
from tailwag.market.snapshot import Snapshot, Source
from tailwag.market.validate import validated
from tailwag.sources.demo_chain import SCALES, demo_chain, standing_ladder
from tailwag.sources.demo_trading import demo_books, demo_futures, demo_trades

DEFAULT_AS_OF_NS = 1_789_482_600_000_000_000
"""2026-09-15T14:30:00Z, a Tuesday ten days before a quarterly expiry: the time of the demo unless another is given."""


def demo(*, seed: int = 7, currency: str = "BTC", as_of_ns: int = DEFAULT_AS_OF_NS) -> Snapshot:
    """A made-up but plausible market: about 800 options over 12 expiries, futures, a perp, spot, order books and signed trades.

    SSVI smiles on forwards in mild contango; coin-quoted inverse options on Deribit's ticks; the same arguments give the same numbers.

    >>> market = demo()
    >>> market.source.synthetic, len(set(market.chain.expiry_ns.tolist()))
    (True, 12)

    Raises InputError for a currency that has no demo, a negative seed, or a time outside 2009 to 2100.
    """
    _refuse(seed, currency, as_of_ns)
    return _market(seed, currency, as_of_ns, listing=False)


def standing_demo(*, seed: int, currency: str, as_of_ns: int) -> Snapshot:
    """The same market with the strikes that a venue would have kept listed: none leaves before its expiry.

    Raises InputError as :func:`demo` does.
    """
    _refuse(seed, currency, as_of_ns)
    return _market(seed, currency, as_of_ns, listing=True)


def _market(seed: int, currency: str, as_of_ns: int, *, listing: bool) -> Snapshot:
    scale = SCALES[currency]
    # one stream per part, so that changing how one part is drawn leaves the others as they were
    rngs = [np.random.Generator(np.random.Philox(child)) for child in np.random.SeedSequence(seed).spawn(5)]
    spot_usd = round(scale.spot_usd * float(np.exp(0.02 * rngs[0].standard_normal())), 2)
    ladder = standing_ladder(scale, spot_usd) if listing else None
    chain = demo_chain(rngs[1], currency=currency, scale=scale, spot_usd=spot_usd, as_of_ns=as_of_ns, ladder=ladder)
    futures = demo_futures(rngs[2], chain=chain, currency=currency, scale=scale, spot_usd=spot_usd)
    return Snapshot(
        currency=currency,
        as_of_ns=as_of_ns,
        spot_usd=spot_usd,
        chain=validated(chain),
        futures=futures,
        source=Source(kind="demo", name=f"SYNTHETIC demo market, seed {seed}", sha256=_digest(chain), synthetic=True),
        books=demo_books(rngs[3], futures=futures, scale=scale, as_of_ns=as_of_ns),
        trades=demo_trades(rngs[4], chain, spot_usd=spot_usd),
        notes=("SYNTHETIC: every price, open interest, order and trade of this market is invented",),
    )


def _refuse(seed: int, currency: str, as_of_ns: int) -> None:
    if currency not in SCALES:
        raise InputError(f"expected a demo currency ({', '.join(SCALES)}), got {currency[:20]!a}; choose one of these")
    if seed < 0:
        raise InputError(f"expected a seed of 0 or more, got {seed}; choose another")
    if not EARLIEST_NS <= as_of_ns < LATEST_NS:
        raise InputError(f"expected a time in 2009 to 2100 in nanoseconds, got {as_of_ns}; the default is {format_time(DEFAULT_AS_OF_NS)}")


def _digest(chain: Chain) -> str:
    numbers = (chain.strike_usd, chain.bid_quoted, chain.ask_quoted, chain.iv, chain.underlying_usd, chain.open_interest_contracts)
    return hashlib.sha256(b"".join(column.tobytes() for column in numbers)).hexdigest()
