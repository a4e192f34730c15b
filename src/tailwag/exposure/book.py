"""The priced book: every listed option with the dealers' signed position, the volatility it is priced on, and its greeks today."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from tailwag.errors import EmptyChainError, RuleError
from tailwag.exposure.greeks import greeks_now
from tailwag.exposure.sums import exact_sum
from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray, TextArray, frozen
from tailwag.market.chain import Chain, MaskedShare
from tailwag.market.clock import format_time, years_to_expiry
from tailwag.market.codes import NO_VENUE_VOL, QUARANTINE, RowCode
from tailwag.units import NS_PER_HOUR, NS_PER_MINUTE

if TYPE_CHECKING:
    import polars

    from tailwag.positioning import Positions

SETTLEMENT_WINDOW_NS = 30 * NS_PER_MINUTE
"""Crypto venues settle options on the mean index of the last 30 minutes (Deribit: 450 samples)."""
AVERAGING_VENUES = frozenset({"deribit", "okx", "bybit", "binance"})
PIN_SHARE = 0.5
UNREADABLE = RowCode.NAME_INVALID | RowCode.UNKNOWN_CURRENCY | RowCode.TIME_INVALID
GammaSource = Literal["model", "file"]


class RowVolsLike(Protocol):
    """The volatility of each row with where it comes from."""

    @property
    def iv(self) -> FloatArray:
        """Decimal, (n,); NaN where there is none."""
        ...

    @property
    def iv_source(self) -> TextArray:
        """'venue', 'surface' or '', (n,)."""
        ...

    @property
    def codes(self) -> IntArray:
        """Row codes that are left, (n,)."""
        ...


class PricingSurface(Protocol):
    """What a book needs of a surface (``tailwag.surface.Surface`` is one): forwards and vols of its rows, and how vols move."""

    @property
    def forward_usd(self) -> FloatArray:
        """Each row's forward, (n,); NaN where there is none."""
        ...

    @property
    def smiles(self) -> tuple[Any, ...]:
        """Fitted smiles, one per venue and expiry."""
        ...

    def row_vols(self, vol: str) -> RowVolsLike:
        """Each row's volatility under ``vol``, 'venue' or 'surface'."""
        ...

    def moved_vols(self, iv: FloatArray, log_moves: FloatArray, dynamics: Any) -> FloatArray:
        """Volatilities (g, n) after each log move of spot."""
        ...


@dataclass(frozen=True, slots=True)
class Book:
    """Signed, priced rows of one chain at one time: what every exposure is a sum over.

    Shapes: every array (n,), one entry per row of ``chain``; ``greeks`` (8, n) in the order of ``kernels.netgreeks.NET_GREEKS``, per coin of
    a long option.  ``position_coin`` is NaN on rows that no sum counts; ``codes`` say why.  Units: as the names say; + long, - short.
    """

    chain: Chain
    surface: PricingSurface
    rule: str
    vol: str
    day_count: str
    gamma_source: GammaSource
    at_ns: int
    spot_usd: float
    position_coin: FloatArray
    forward_usd: FloatArray
    years: FloatArray
    iv: FloatArray
    iv_source: TextArray
    usable: BoolArray
    """Rows that can be repriced: not quarantined, with a volatility and a forward."""
    counted: BoolArray
    """Rows that enter GEX at the current spot; the same as ``usable`` unless gamma comes from the file."""
    settles_on_average: BoolArray
    codes: IntArray
    greeks: FloatArray
    gamma: FloatArray
    """Gamma that GEX at the current spot uses, (n,): the model's or the file's; NaN where not counted."""
    draws: FloatArray | None = None
    order: IntArray = field(init=False, repr=False)
    """All rows in an order that depends on their contents only, so that equal books sum to equal bits however they were listed, (n,)."""

    def __post_init__(self) -> None:
        chain = self.chain
        keys = (self.position_coin, self.iv, self.forward_usd, chain.right, chain.strike_usd, chain.expiry_ns)
        object.__setattr__(self, "order", frozen(np.lexsort(keys), np.int64))

    def __len__(self) -> int:
        return len(self.chain)

    @property
    def open_interest_coin(self) -> FloatArray:
        """Open interest of counted rows, 0 elsewhere: the weights of every unsigned (gross) figure, (n,)."""
        return np.where(self.counted, self.chain.open_interest_coin, 0.0)

    @property
    def masked(self) -> tuple[MaskedShare, ...]:
        """What is left out of the sums and why, with the share of open interest."""
        return self.chain.shares(self.codes, within=QUARANTINE | NO_VENUE_VOL)

    @property
    def masked_open_interest_share(self) -> float:
        """Share of all counted open interest that no sum includes."""
        amount = self.chain.counted_open_interest_coin()
        total = exact_sum(amount)
        return exact_sum(amount[~self.counted]) / total if total > 0.0 else 0.0

    @property
    def is_empty(self) -> bool:
        """True when nobody holds anything: every exposure is 0 and no level exists."""
        return not self.is_unknown and not bool(np.any(np.nan_to_num(self.position_coin) != 0.0)) and not self._holds(self.counted)

    @property
    def is_unknown(self) -> bool:
        """True when open interest is there and every bit of it is masked: no exposure can be told, which is not the same as none."""
        return not self._holds(self.counted) and self._is_held()

    @property
    def is_unpriced(self) -> bool:
        """True when open interest is there and none of it can be repriced; gamma may still come from the file."""
        return not self._holds(self.counted & self.usable) and self._is_held()

    def _holds(self, rows: BoolArray) -> bool:
        return bool(np.any(self.chain.open_interest_coin[rows] != 0.0))

    def _is_held(self) -> bool:
        """Whether anybody holds an option that has not expired, masked or not."""
        return bool(np.any(self.chain.live_open_interest_coin[(self.codes & int(RowCode.EXPIRED)) == 0] > 0.0))

    def __str__(self) -> str:
        held = self.position_coin[self.counted]
        name = self.chain.currency
        return (
            f"{name} book at {format_time(self.at_ns)} under {self.rule}: long {held[held > 0].sum():,.0f} and short {-held[held < 0].sum():,.0f} {name} "
            f"in {int(self.counted.sum())} of {len(self)} options, spot {self.spot_usd:,.2f} USD, {self.masked_open_interest_share:.1%} of open interest masked"
        )

    def to_frame(self) -> polars.DataFrame:
        """One row per listed option: position, price inputs and greeks; null where masked."""
        import polars as pl

        from tailwag.kernels.netgreeks import NET_GREEKS

        chain = self.chain
        text = {"instrument": chain.instrument, "venue": chain.venue, "settlement": chain.settlement, "iv_source": self.iv_source}
        numbers = {
            "right": chain.right,
            "strike_usd": chain.strike_usd,
            "expiry_ns": chain.expiry_ns,
            "position_coin": self.position_coin,
            "forward_usd": self.forward_usd,
            "years": self.years,
            "iv": self.iv,
            **dict(zip(NET_GREEKS, self.greeks, strict=True)),
        }
        series = [pl.Series(name, list(values), dtype=pl.String) for name, values in text.items()]
        series += [pl.Series(name, np.asarray(values)) for name, values in numbers.items()]
        return pl.DataFrame(series).with_columns(pl.col(pl.Float64).fill_nan(None))


def median_index_usd(chain: Chain) -> float:
    """The spot that exposures are counted in: the median index price over the chain's rows.

    Raises EmptyChainError if no row has one.
    """
    known = chain.index_usd[np.isfinite(chain.index_usd) & (chain.index_usd > 0.0)]
    if known.size == 0:
        raise EmptyChainError(
            f"expected an index price on the {chain.currency} chain, none of its {len(chain)} rows has one; give spot_usd"
        )
    return float(np.median(known))


def priced_book(
    positions: Positions,
    surface: PricingSurface,
    *,
    vol: str = "venue",
    day_count: str = "act-365",
    gamma: GammaSource = "model",
    spot_usd: float | None = None,
) -> Book:
    """The dealers' book priced row by row: position, forward, volatility with its source, and today's greeks.

    ``vol``: 'venue' (each row's mark volatility, the fitted smile where it has none) or 'surface'.  ``gamma``: 'model' or 'file' (the
    venue's published gamma for the GEX at the current spot; everything that is repriced stays with the model).  A row without volatility
    or under quarantine is masked: its position is NaN, no sum counts it, and its open-interest share is reported.  At the very instant of
    expiry gamma and vega are 0 and delta is intrinsic; inside the 30-minute settlement average the greeks are those of the average.

    Raises RuleError if ``gamma='file'`` and the file has none, or for an unknown name.
    Source: docs/reference/measure-json; docs/explanation/greeks-and-conventions.
    """
    chain = positions.chain
    spot = median_index_usd(chain) if spot_usd is None else float(spot_usd)
    vols = surface.row_vols(vol)
    forward = np.where(np.isfinite(surface.forward_usd) & (surface.forward_usd > 0.0), surface.forward_usd, np.nan)
    averages = settles_on_average(chain)
    codes = _row_codes(chain, vols.codes, vols.iv, forward, averages)
    usable = ((codes & int(QUARANTINE | NO_VENUE_VOL)) == 0) & np.isfinite(positions.position_coin)
    years = years_to_expiry(chain.expiry_ns, chain.as_of_ns, day_count=day_count)
    greeks = greeks_now(chain, forward, years, vols.iv, usable=usable, averages=averages, spot_usd=spot)
    unpriceable = usable & ~np.isfinite(greeks).all(axis=0)  # a strike or forward that no market has
    usable, codes = usable & ~unpriceable, codes | np.where(unpriceable, int(RowCode.STRIKE_INVALID), 0)
    own_gamma, counted = _gamma(chain, positions, greeks, usable, gamma)
    codes = codes | _pin_risk(chain, own_gamma, counted)
    return Book(
        chain=chain,
        surface=surface,
        rule=positions.rule,
        vol=vol,
        day_count=day_count,
        gamma_source=gamma,
        at_ns=chain.as_of_ns,
        spot_usd=spot,
        position_coin=frozen(np.where(counted, positions.position_coin, np.nan)),
        forward_usd=frozen(forward),
        years=frozen(years),
        iv=frozen(np.where(usable, vols.iv, np.nan)),
        iv_source=frozen(np.where(usable, vols.iv_source, ""), object),
        usable=frozen(usable, np.bool_),
        counted=frozen(counted, np.bool_),
        settles_on_average=frozen(averages, np.bool_),
        codes=frozen(codes, np.int64),
        greeks=frozen(greeks),
        gamma=frozen(own_gamma),
        draws=positions.draws,
    )


def settles_on_average(chain: Chain) -> BoolArray:
    """Rows whose payoff is on the mean index of the last 30 minutes: inverse contracts, and all contracts of the crypto venues, (n,)."""
    on_venue: BoolArray = np.isin([str(name).lower() for name in chain.venue], sorted(AVERAGING_VENUES))
    return on_venue | np.asarray(chain.settlement == "inverse", dtype=np.bool_)


def _row_codes(chain: Chain, vol_codes: IntArray, iv: FloatArray, forward: FloatArray, averages: BoolArray) -> IntArray:
    codes = (chain.codes & ~int(NO_VENUE_VOL)) | vol_codes
    unpriced = ~(np.isfinite(iv) & (iv > 0.0)) & ((codes & int(NO_VENUE_VOL)) == 0)
    codes = codes | np.where(unpriced, int(RowCode.IV_MISSING), 0)
    # a row of which not even the contract is known has no forward and no expiry to judge: its own code says all
    named = (codes & int(UNREADABLE)) == 0
    codes = np.where(named, codes, codes & ~int(RowCode.FORWARD_MISSING))
    codes = codes | np.where(named & ~np.isfinite(forward), int(RowCode.FORWARD_MISSING), 0)
    left_ns = chain.expiry_ns - np.int64(chain.as_of_ns)
    codes = codes | np.where(named & (left_ns == 0), int(RowCode.AT_EXPIRY), 0) | np.where(named & (left_ns < 0), int(RowCode.EXPIRED), 0)
    known = np.isfinite(chain.estimated_delivery_usd) & (chain.estimated_delivery_usd > 0.0)
    unknown_average = averages & (left_ns > 0) & (left_ns < SETTLEMENT_WINDOW_NS) & ~known
    return np.asarray(codes | np.where(unknown_average, int(RowCode.SETTLING), 0), dtype=np.int64)


def _gamma(chain: Chain, positions: Positions, greeks: FloatArray, usable: BoolArray, source: str) -> tuple[FloatArray, BoolArray]:
    if source == "model":
        return greeks[2], usable
    if source != "file":
        raise RuleError(f"gamma {source!r} is unknown; use 'model' or 'file'")
    published = np.isfinite(chain.gamma_published)
    if not bool(published.any()):
        raise RuleError("gamma 'file' expects a gamma column in the source, this one has none; use gamma 'model'")
    counted = chain.usable & published & np.isfinite(positions.position_coin)
    return np.where(counted, chain.gamma_published, np.nan), counted


def _pin_risk(chain: Chain, gamma: FloatArray, counted: BoolArray) -> IntArray:
    gross = np.where(counted, chain.open_interest_coin * gamma, 0.0)
    left_ns = chain.expiry_ns - np.int64(chain.as_of_ns)
    near = np.flatnonzero(counted & (left_ns >= 0) & (left_ns < NS_PER_HOUR))
    codes = np.zeros(len(chain), dtype=np.int64)
    total = float(gross.sum())
    for strike in np.unique(chain.strike_usd[near]):
        rows = near[chain.strike_usd[near] == strike]
        if total > 0.0 and float(gross[rows].sum()) > PIN_SHARE * total:
            codes[rows] = int(RowCode.PIN_RISK)
    return codes
