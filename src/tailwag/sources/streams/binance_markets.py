"""Where Binance keeps what: its three markets of one coin, their stream addresses, their REST paths and what a request costs.

Addresses and weights are the venue's documented ones of 2026: USD-M futures route depth under ``/public`` and marks and liquidations under
``/market`` since 2026-04-23; an unrouted connection opens there and stays silent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tailwag.errors import InputError
from tailwag.sources.rules import load_rules
from tailwag.sources.streams.binance_depth import DepthBook, Kind

SPOT_WEIGHT_A_MINUTE = 3_000
"""Half of the 6,000 that spot allows one address."""
_CURRENCY = re.compile(r"\A[A-Z0-9]{2,10}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class BinanceAddresses:
    """Where the venue is: sockets without their stream list, REST without its path."""

    spot: str = "wss://stream.binance.com:9443/stream"
    usdm_depth: str = "wss://fstream.binance.com/public/stream"
    usdm_market: str = "wss://fstream.binance.com/market/stream"
    coinm: str = "wss://dstream.binance.com/stream"
    spot_rest: str = "https://api.binance.com"
    usdm_rest: str = "https://fapi.binance.com"
    coinm_rest: str = "https://dapi.binance.com"

    @classmethod
    def under(cls, sockets: str, rest: str) -> BinanceAddresses:
        """Another place that speaks the same language, one folder for each connection."""
        paths = {name: f"{sockets}/{name}/stream" for name in ("spot", "usdm_depth", "usdm_market", "coinm")}
        return cls(**paths, spot_rest=f"{rest}/spot", usdm_rest=f"{rest}/usdm", coinm_rest=f"{rest}/coinm")


@dataclass(frozen=True, slots=True)
class RestPath:
    """One public request: host, path with its parameters, and the weight that the venue counts for it."""

    base: str
    path: str
    weight: int
    weight_a_minute: int = 1_200
    """What may be asked of this host in a minute: half of what the venue allows one address (2,400 for futures), which others may share."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One socket: what it carries of one instrument."""

    name: str
    """What a person calls it."""
    address: str
    """With its stream list."""
    currency: str
    symbol: str
    kind: Kind
    usd_per_contract: float
    """0 where amounts are coin."""
    depth: RestPath | None = None
    """Where the snapshot of its book comes from; None where it carries no book."""
    open_interest: RestPath | None = None
    """Where its open interest comes from; None where it carries no marks."""

    def empty_book(self) -> DepthBook | None:
        """The book before anything is known; None where it carries none."""
        return None if self.depth is None else DepthBook(self.symbol, self.kind, self.usd_per_contract)


def connections(currency: str, at_ns: int, *, addresses: BinanceAddresses) -> tuple[Connection, ...]:
    """The four sockets of one coin: spot depth, USD-M depth, USD-M marks and liquidations, and all of COIN-M.

    >>> [connection.address.partition("streams=")[2] for connection in connections("BTC", 1763551236870000000, addresses=BinanceAddresses())]
    ... # doctest: +NORMALIZE_WHITESPACE
    ['btcusdt@depth@100ms', 'btcusdt@depth@100ms', 'btcusdt@markPrice@1s/btcusdt@forceOrder',
     'btcusd_perp@depth@100ms/btcusd_perp@markPrice@1s/btcusd_perp@forceOrder']

    Raises InputError for what is no currency.
    """
    if not _CURRENCY.match(currency):
        raise InputError(f"expected a currency such as BTC, got {currency[:20]!a}; write binance-ws:BTC")
    linear, inverse = f"{currency}USDT", f"{currency}USD_PERP"
    usd_per_contract = load_rules("binance_coin_margined_contracts").in_force(f"{currency}USD", at_ns).value
    usdm, coinm = addresses.usdm_rest, addresses.coinm_rest
    return (
        Connection(
            "Binance spot depth",
            _address(addresses.spot, linear, "depth@100ms"),
            currency,
            linear,
            "spot",
            0.0,
            depth=RestPath(addresses.spot_rest, f"/api/v3/depth?symbol={linear}&limit=5000", 250, SPOT_WEIGHT_A_MINUTE),
        ),
        Connection(
            "Binance USD-M depth",
            _address(addresses.usdm_depth, linear, "depth@100ms"),
            currency,
            linear,
            "perp",
            0.0,
            depth=RestPath(usdm, f"/fapi/v1/depth?symbol={linear}&limit=1000", 20),
        ),
        Connection(
            "Binance USD-M marks",
            _address(addresses.usdm_market, linear, "markPrice@1s", "forceOrder"),
            currency,
            linear,
            "perp",
            0.0,
            open_interest=RestPath(usdm, f"/fapi/v1/openInterest?symbol={linear}", 1),
        ),
        Connection(
            "Binance COIN-M",
            _address(addresses.coinm, inverse, "depth@100ms", "markPrice@1s", "forceOrder"),
            currency,
            inverse,
            "perp",
            usd_per_contract,
            depth=RestPath(coinm, f"/dapi/v1/depth?symbol={inverse}&limit=1000", 20),
            open_interest=RestPath(coinm, f"/dapi/v1/openInterest?symbol={inverse}", 1),
        ),
    )


def _address(base: str, symbol: str, *streams: str) -> str:
    return f"{base}?streams=" + "/".join(f"{symbol.lower()}@{stream}" for stream in streams)
