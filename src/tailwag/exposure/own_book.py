"""The desk's own book beside the market's: greeks in USD and coin, flows, use of limits, and what one more trade would do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tailwag.errors import InputError
from tailwag.exposure.book import Book
from tailwag.exposure.flows import HedgeFlow, book_flows, hedge_flows, scenario_grid
from tailwag.exposure.futures import future_delta_coin
from tailwag.exposure.greeks import PRICE
from tailwag.exposure.holdings import Holding, parse_trade, read_holdings
from tailwag.exposure.own_rows import is_option, joined, own_options
from tailwag.exposure.profile import Profile, book_profile
from tailwag.exposure.sums import exact_sum
from tailwag.exposure.totals import by_expiry, by_strike, exposure_totals
from tailwag.kernels.arrays import FloatArray, frozen
from tailwag.market.codes import NO_VENUE_VOL, QUARANTINE, RowCode

if TYPE_CHECKING:
    import polars

    from tailwag.market.snapshot import Futures


@dataclass(frozen=True, slots=True)
class GexLimits:
    """A desk's limits on |net GEX| at one strike or one expiry: a share of its own gross GEX, or USD per 1 %; None: no limit."""

    max_strike_share: float | None = None
    max_expiry_share: float | None = None
    max_strike_usd_per_pct: float | None = None
    max_expiry_usd_per_pct: float | None = None


@dataclass(frozen=True, slots=True)
class LimitUse:
    """How much of the desk's gamma sits at one strike or expiry; ``share`` of its own gross GEX."""

    by: str
    key: str
    gex_usd_per_pct: float
    share: float
    limit_share: float | None
    limit_usd_per_pct: float | None
    breached: bool


@dataclass(frozen=True, slots=True)
class OwnGreeks:
    """A desk's greeks.  Units in the names; coin figures are USD ones over spot, but ``net_delta_coin`` is premium-adjusted.

    ``delta`` includes futures and perps, which have no other greek here.
    """

    value_usd: float
    value_coin: float
    delta_usd: float
    delta_coin: float
    net_delta_coin: float
    gamma_coin_per_usd: float
    gex_usd_per_pct: float
    gex_coin_per_pct: float
    vega_usd_per_volpt: float
    vega_coin_per_volpt: float
    vanna_usd_per_volpt: float
    vanna_coin_per_volpt: float
    charm_usd_per_day: float
    charm_coin_per_day: float


@dataclass(frozen=True, slots=True)
class OwnBook:
    """A desk's book priced on the market's surface.  Sign: long +.

    ``labels`` say of each option how it was priced: 'chain' as listed, 'surface:VENUE' off the fitted smile because it is not listed.
    ``unpriced`` names options that could not be priced, with the reason; no figure includes them.  ``flows`` and ``market_flows`` are over
    the same scenarios.
    """

    book: Book | None
    labels: tuple[str, ...]
    unpriced: tuple[tuple[str, str], ...]
    futures: tuple[Holding, ...]
    futures_delta_coin: FloatArray
    greeks: OwnGreeks
    flows: HedgeFlow
    market_flows: HedgeFlow
    limit_uses: tuple[LimitUse, ...]
    spot_usd: float
    currency: str

    @property
    def breaches(self) -> tuple[LimitUse, ...]:
        """Limits that are exceeded."""
        return tuple(use for use in self.limit_uses if use.breached)

    def __str__(self) -> str:
        greeks, options = self.greeks, 0 if self.book is None else len(self.book)
        missing = f"; {len(self.unpriced)} options could not be priced" if self.unpriced else ""
        broken = f"; over the limit at {', '.join(use.key for use in self.breaches)}" if self.breaches else ""
        return (
            f"own book of {options} options and {len(self.futures)} futures: delta {greeks.delta_coin:+,.2f} {self.currency}, "
            f"GEX {greeks.gex_usd_per_pct / 1e6:+,.3f} M USD per 1 %, vega {greeks.vega_usd_per_volpt:+,.0f} USD per vol point{missing}{broken}"
        )

    def to_frame(self) -> polars.DataFrame:
        """Scenarios with the desk's flow beside the market's."""
        import polars as pl

        market = self.market_flows.to_frame().select(pl.col("buy_coin").alias("market_buy_coin"), pl.col("buy_usd").alias("market_buy_usd"))
        return pl.concat([self.flows.to_frame(), market], how="horizontal")


@dataclass(frozen=True, slots=True)
class TradeEffect:
    """What one trade does to the desk and to the market; dealers take its other side.

    ``own_before`` is None where no own book was given: then ``own_after`` is the trade alone.
    """

    trade: Holding
    assumption: str
    own_before: OwnBook | None
    own_after: OwnBook
    market_gex_before_usd_per_pct: float
    market_gex_after_usd_per_pct: float
    market_after: Profile
    """The market's profile with dealers on the other side of the trade: what the new gain is computed from."""

    def to_frame(self) -> polars.DataFrame:
        """Scenarios with the desk's flow after the trade beside the market's before it."""
        return self.own_after.to_frame()

    def __str__(self) -> str:
        before, after = self.market_gex_before_usd_per_pct / 1e6, self.market_gex_after_usd_per_pct / 1e6
        return f"{self.trade}: market GEX from {before:+,.3f} to {after:+,.3f} M USD per 1 % ({self.assumption}); {self.own_after}"


def read_own_book(
    source: str | Iterable[Mapping[str, object]],
    profile: Profile,
    *,
    futures: Futures | None = None,
    limits: GexLimits | None = None,
    scenarios: Mapping[str, FloatArray] | None = None,
) -> OwnBook:
    """The desk's book from CSV text or rows (columns ``instrument``, ``contracts``), priced on the profile's surface and dynamics.

    ``futures``: the snapshot's, for marks of futures and perps.  ``limits`` are the desk's own.  ``scenarios`` as from
    :func:`tailwag.exposure.scenario_grid` (default: the standard grid).

    Raises InputError that names the line or the instrument.
    """
    return own_book(read_holdings(source), profile, futures=futures, limits=limits, scenarios=scenarios)


def own_book(
    held: tuple[Holding, ...],
    profile: Profile,
    *,
    futures: Futures | None = None,
    limits: GexLimits | None = None,
    scenarios: Mapping[str, FloatArray] | None = None,
) -> OwnBook:
    """The desk's book from holdings; see :func:`read_own_book`."""
    market, grid = profile.book, scenarios or scenario_grid()
    options = _merged(tuple(item for item in held if is_option(market, item)))
    others = tuple(item for item in held if not is_option(market, item))
    book, labels = own_options(market, options) if options else (None, ())
    deltas = np.array([future_delta_coin(item, market, futures) for item in others], dtype=np.float64)
    return OwnBook(
        book=book,
        labels=labels,
        unpriced=() if book is None else _unpriced(book),
        futures=others,
        futures_delta_coin=frozen(deltas),
        greeks=_own_greeks(book, exact_sum(deltas), market.spot_usd),
        flows=_no_flow(profile, grid) if book is None else book_flows(book, dynamics=profile.dynamics, **grid),
        market_flows=hedge_flows(profile, **grid),
        limit_uses=() if book is None else _limit_uses(book, limits or GexLimits()),
        spot_usd=market.spot_usd,
        currency=market.chain.currency,
    )


def trade_effect(
    trade: str | Holding,
    profile: Profile,
    *,
    held: tuple[Holding, ...] = (),
    futures: Futures | None = None,
    limits: GexLimits | None = None,
    scenarios: Mapping[str, FloatArray] | None = None,
) -> TradeEffect:
    """What adding ``trade`` ('-500 BTC-27JUN26-70000-C') does to the desk's flows and to the market's GEX.

    Dealers take the other side and hedge it, so the market's book changes by minus the trade; open interest stays as observed.  A future
    or perp changes the desk's delta and nothing of the market's.

    Raises InputError for a trade that cannot be read or priced.
    """
    item = parse_trade(trade) if isinstance(trade, str) else trade
    before = own_book(held, profile, futures=futures, limits=limits, scenarios=scenarios) if held else None
    after = own_book((*held, item), profile, futures=futures, limits=limits, scenarios=scenarios)
    market_after = _market_after(profile, item)
    return TradeEffect(
        trade=item,
        assumption="dealers take the other side and hedge it",
        own_before=before,
        own_after=after,
        market_gex_before_usd_per_pct=profile.totals.gex_usd_per_pct,
        market_gex_after_usd_per_pct=market_after.totals.gex_usd_per_pct,
        market_after=market_after,
    )


def _market_after(profile: Profile, item: Holding) -> Profile:
    if not is_option(profile.book, item):
        return profile
    traded, _ = own_options(profile.book, (item,))
    if not bool(traded.counted.all()):
        raise InputError(f"trade: {item.instrument} cannot be priced here ({_unpriced(traded)[0][1]}); choose another instrument")
    idle = traded.chain.with_columns(open_interest_contracts=np.zeros(len(traded)))
    other_side = replace(traded, chain=idle, position_coin=frozen(-traded.position_coin))
    low, high = profile.range_usd
    after = joined(profile.book, other_side)
    ratios = (low / after.spot_usd, high / after.spot_usd)
    return book_profile(after, dynamics=profile.dynamics, numeraire=profile.numeraire, spot_range=ratios, spot_levels=profile.spot_usd.size)


def _merged(options: tuple[Holding, ...]) -> tuple[Holding, ...]:
    """Lines of one instrument added up, in the order in which they first stand."""
    total: dict[tuple[str, str], Holding] = {}
    for item in options:
        key = (item.instrument, item.venue)
        earlier = total.get(key)
        both = None if item.contracts is None else item.contracts + (earlier.contracts or 0.0 if earlier else 0.0)
        total[key] = replace(item, contracts=both)
    return tuple(total.values())


def _unpriced(book: Book) -> tuple[tuple[str, str], ...]:
    wanted = QUARANTINE | NO_VENUE_VOL
    reasons = [", ".join(code.code for code in RowCode if code & wanted & int(bits)) or "no position" for bits in book.codes]
    return tuple((str(book.chain.instrument[row]), reasons[row]) for row in np.flatnonzero(~book.counted))


def _own_greeks(book: Book | None, futures_coin: float, spot_usd: float) -> OwnGreeks:
    if book is None:
        return OwnGreeks(0.0, 0.0, futures_coin * spot_usd, futures_coin, futures_coin, *(0.0,) * 9)
    usd, coin = exposure_totals(book), exposure_totals(book, numeraire="coin")
    value = np.nan if book.is_unpriced else exact_sum(np.nan_to_num(book.position_coin * book.greeks[PRICE]))
    delta_usd = usd.delta_usd + futures_coin * spot_usd
    return OwnGreeks(
        value_usd=value,
        value_coin=value / spot_usd,
        delta_usd=delta_usd,
        delta_coin=delta_usd / spot_usd,
        net_delta_coin=coin.delta_usd / spot_usd + futures_coin,
        gamma_coin_per_usd=usd.gex_usd_per_pct * 100.0 / spot_usd**2,
        gex_usd_per_pct=usd.gex_usd_per_pct,
        gex_coin_per_pct=usd.gex_usd_per_pct / spot_usd,
        vega_usd_per_volpt=usd.vega_usd_per_volpt,
        vega_coin_per_volpt=usd.vega_usd_per_volpt / spot_usd,
        vanna_usd_per_volpt=usd.vanna_usd_per_volpt,
        vanna_coin_per_volpt=usd.vanna_usd_per_volpt / spot_usd,
        charm_usd_per_day=usd.charm_usd_per_day,
        charm_coin_per_day=usd.charm_usd_per_day / spot_usd,
    )


def _limit_uses(book: Book, limits: GexLimits) -> tuple[LimitUse, ...]:
    total = exposure_totals(book).gross_gex_usd_per_pct
    found = []
    for table, share_limit, usd_limit in (
        (by_strike(book), limits.max_strike_share, limits.max_strike_usd_per_pct),
        (by_expiry(book), limits.max_expiry_share, limits.max_expiry_usd_per_pct),
    ):
        for index in np.flatnonzero(np.isfinite(table.gex_usd_per_pct)):
            net = float(table.gex_usd_per_pct[index])
            share = abs(net) / total if total > 0.0 else 0.0
            over = (share_limit is not None and share > share_limit) or (usd_limit is not None and abs(net) > usd_limit)
            found.append(LimitUse(table.by, table.label(int(index)), net, share, share_limit, usd_limit, over))
    return tuple(found)


def _no_flow(profile: Profile, grid: Mapping[str, FloatArray]) -> HedgeFlow:
    flat = {name: np.zeros_like(grid["move_pct"]) for name in HedgeFlow.__dataclass_fields__}
    moves = {"spot_move_pct": grid["move_pct"], "vol_move_volpt": grid["vol_move_volpt"], "hours": grid["hours"]}
    return HedgeFlow(**{name: frozen(values) for name, values in (flat | moves).items()})
