"""Chain: every listed option of one currency at one time, in columns, never filtered; reasons stand beside the rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.kernels.arrays import BoolArray, FloatArray, IntArray, TextArray, frozen
from tailwag.market.codes import NO_VENUE_VOL, QUARANTINE, RowCode

if TYPE_CHECKING:
    import polars

_TEXT = {"instrument": "", "venue": "", "settlement": "inverse", "underlying_name": "", "style": "european"}
_INTEGER = {"right": 0, "expiry_ns": 0, "codes": 0}


@dataclass(frozen=True, slots=True)
class MaskedShare:
    """How many instruments, and what share of all counted open interest, carry one code."""

    code: str
    instruments: int
    open_interest_share: float


@dataclass(frozen=True, slots=True)
class Chain:
    """Every listed option at one time; a missing number is NaN here and null in every output.

    Shapes: every column (n,).  Units: as the names say; ``*_quoted`` prices are in the settlement unit (coin for inverse, USD for
    linear); ``iv`` is the venue's mark volatility as a decimal; ``*_published`` are the venue's own greeks, as sent.
    """

    currency: str
    as_of_ns: int
    instrument: TextArray
    venue: TextArray
    right: IntArray
    """+1 call, -1 put, 0 unknown."""
    strike_usd: FloatArray
    expiry_ns: IntArray
    settlement: TextArray
    """'inverse' (paid in coin) or 'linear' (paid in USD or a stablecoin)."""
    style: TextArray
    """'european' or 'american'."""
    coin_per_contract: FloatArray
    open_interest_contracts: FloatArray
    bid_quoted: FloatArray
    ask_quoted: FloatArray
    mark_quoted: FloatArray
    iv: FloatArray
    underlying_usd: FloatArray
    """The venue's own forward for this expiry, as sent with the row."""
    underlying_name: TextArray
    """What the venue calls it: BTC-27MAR26, SYN.BTC-30JAN26, index_price."""
    index_usd: FloatArray
    estimated_delivery_usd: FloatArray
    delta_published: FloatArray
    gamma_published: FloatArray
    vega_published: FloatArray
    volume_contracts: FloatArray
    codes: IntArray
    """Bits of RowCode."""

    @classmethod
    def from_columns(cls, *, currency: str, as_of_ns: int, instrument: Any, **columns: Any) -> Chain:
        """A chain from whatever columns a source has; a column that is absent is missing on every row.

        ``codes`` hold what the source itself found wrong; :func:`tailwag.market.validate.validated` adds the rest.

        >>> Chain.from_columns(currency="BTC", as_of_ns=0, instrument=["BTC-27MAR26-60000-C"], iv=[0.6]).iv
        array([0.6])
        """
        names = frozen(instrument, object)
        known = {field.name for field in fields(cls)}
        unknown = set(columns) - known
        if unknown:
            raise TypeError(f"Chain has no column {', '.join(sorted(unknown))}")
        filled: dict[str, Any] = {}
        for field in fields(cls):
            name = field.name
            if name in ("currency", "as_of_ns", "instrument"):
                continue
            dtype, default = (
                (object, _TEXT[name]) if name in _TEXT else (np.int64, _INTEGER[name]) if name in _INTEGER else (np.float64, np.nan)
            )
            values = columns.get(name)
            filled[name] = frozen(np.full(names.size, default, dtype=dtype) if values is None else values, dtype)
            if filled[name].shape != names.shape:
                raise TypeError(f"column {name} has shape {filled[name].shape}, instrument has {names.shape}")
        return cls(currency=currency, as_of_ns=int(as_of_ns), instrument=names, **filled)

    def __len__(self) -> int:
        return int(self.instrument.size)

    @property
    def open_interest_coin(self) -> FloatArray:
        """Open interest in coin, (n,): contracts times coin per contract."""
        return self.open_interest_contracts * self.coin_per_contract

    @property
    def usable(self) -> BoolArray:
        """Rows that no code quarantines (their volatility may still be missing)."""
        return np.asarray((self.codes & int(QUARANTINE)) == 0)

    @property
    def priced(self) -> BoolArray:
        """Usable rows whose venue volatility can be used as it is."""
        return np.asarray((self.codes & int(QUARANTINE | NO_VENUE_VOL)) == 0)

    @property
    def is_call(self) -> BoolArray:
        """True where the row is a call."""
        return np.asarray(self.right > 0)

    def has(self, code: RowCode) -> BoolArray:
        """Rows that carry ``code``, (n,)."""
        return np.asarray((self.codes & int(code)) != 0)

    def quoted_in_usd(self, quoted: FloatArray) -> FloatArray:
        """A price column in USD per coin of underlying: inverse prices times the row's forward, linear ones as they are."""
        return np.where(self.settlement == "inverse", quoted * self.underlying_usd, quoted)

    def counted_open_interest_coin(self) -> FloatArray:
        """Open interest that shares are measured against, (n,): finite, not negative, each contract once."""
        amount = self.open_interest_coin
        twice = self.has(RowCode.DUPLICATE | RowCode.ALIAS)
        return np.where(np.isfinite(amount) & (amount > 0.0) & ~twice, amount, 0.0)

    @property
    def live_open_interest_coin(self) -> FloatArray:
        """Open interest that somebody still holds, (n,): as counted, without rows whose expiry has passed."""
        return np.where(self.has(RowCode.EXPIRED), 0.0, self.counted_open_interest_coin())

    @property
    def order_by_contents(self) -> IntArray:
        """Row numbers in an order that depends on what the rows say only, never on how the file lists them, (n,)."""
        keys = zip(self.venue.tolist(), self.instrument.tolist(), np.nan_to_num(self.open_interest_coin, nan=-1.0).tolist(), strict=True)
        ranked = sorted((key, row) for row, key in enumerate(keys))
        return np.array([row for _, row in ranked], dtype=np.int64)

    def shares(self, codes: IntArray | None = None, *, within: RowCode) -> tuple[MaskedShare, ...]:
        """One entry for each code of ``within`` that some row carries, with its open-interest share, largest share first."""
        bits = self.codes if codes is None else codes
        amount = self.counted_open_interest_coin()
        total = math.fsum(amount.tolist())
        found = []
        for code in RowCode:
            if not code & within:
                continue
            rows = (bits & int(code)) != 0
            if rows.any():
                found.append(MaskedShare(code.code, int(rows.sum()), math.fsum(amount[rows].tolist()) / total if total > 0 else 0.0))
        return tuple(sorted(found, key=lambda share: (-share.open_interest_share, share.code)))

    def with_columns(self, **columns: Any) -> Chain:
        """The same chain with some columns replaced."""
        kept = {field.name: getattr(self, field.name) for field in fields(self)}
        return Chain.from_columns(**{**kept, **columns})

    def select(self, rows: Any) -> Chain:
        """The chosen rows in the chosen order (for merging and splitting; never for hiding rows)."""
        columns = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name not in ("currency", "as_of_ns")}
        return Chain.from_columns(currency=self.currency, as_of_ns=self.as_of_ns, **columns)

    def __str__(self) -> str:
        interest = self.counted_open_interest_coin()
        total, masked = math.fsum(interest.tolist()), math.fsum(interest[~self.usable].tolist())
        return (
            f"{len(self)} {self.currency} options, {np.unique(self.expiry_ns[self.usable]).size} expiries: "
            f"{total:,.0f} {self.currency} open interest, {masked / total if total > 0.0 else 0.0:.1%} of it masked"
        )

    def to_frame(self) -> polars.DataFrame:
        """The chain as a Polars frame, one row per listed option, times as UTC datetimes, null where a number is missing."""
        import polars as pl

        columns = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("currency", "as_of_ns")}
        text = {name: pl.Series(name, list(columns[name]), dtype=pl.String) for name in ("instrument", *_TEXT) if name in columns}
        frame = pl.DataFrame({name: text.get(name, values) for name, values in columns.items()})
        return frame.with_columns(
            pl.col(pl.Float64).fill_nan(None), pl.from_epoch("expiry_ns", time_unit="ns").dt.replace_time_zone("UTC").alias("expiry")
        )
