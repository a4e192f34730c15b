"""Own options as rows of their own small chain, priced on the market's surface."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tailwag.errors import InputError
from tailwag.exposure.book import Book, PricingSurface, priced_book
from tailwag.exposure.holdings import Holding
from tailwag.kernels.arrays import FloatArray, IntArray, TextArray, frozen
from tailwag.market.chain import Chain
from tailwag.market.clock import format_time
from tailwag.market.codes import NO_VENUE_VOL, RowCode
from tailwag.market.instrument import Option, parse_option
from tailwag.positioning import Positions

INTEREST_CODES = RowCode.OI_MISSING | RowCode.OI_NEGATIVE | RowCode.DUPLICATE | RowCode.ALIAS
"""Codes that say nothing about what an own contract is worth."""


@dataclass(frozen=True, slots=True)
class OwnVols:
    """Volatility, its source and codes of own rows.  Shapes: (m,)."""

    iv: FloatArray
    iv_source: TextArray
    codes: IntArray


@dataclass(frozen=True, slots=True)
class OwnSurface:
    """The market's surface as own rows see it: a listed row moves as in the market's book, an unlisted one with its expiry's smile.

    Shapes: ``rows`` (m,) row of the market's chain or -1; ``smile_of_row`` (m,) smile of an unlisted row.
    """

    market: PricingSurface
    vol: str
    rows: IntArray
    smile_of_row: tuple[Any, ...]
    log_moneyness: FloatArray
    forward_usd: FloatArray
    own_vols: OwnVols

    @property
    def smiles(self) -> tuple[Any, ...]:
        """The market's smiles."""
        return self.market.smiles

    def row_vols(self, vol: str) -> OwnVols:
        """Volatilities of own rows; those of the market's book, whatever ``vol``."""
        return self.own_vols

    def moved_vols(self, iv: FloatArray, log_moves: FloatArray, dynamics: Any) -> FloatArray:
        """Volatilities (g, m) after each log move of spot."""
        moves = np.atleast_1d(log_moves)
        moved = np.repeat(np.asarray(iv, dtype=np.float64)[None, :], moves.size, axis=0)
        listed = self.rows >= 0
        if listed.any():
            quoted = self.market.row_vols(self.vol).iv
            moved[:, listed] += (
                np.asarray(self.market.moved_vols(quoted, moves, dynamics))[:, self.rows[listed]] - quoted[self.rows[listed]]
            )
        for row in np.flatnonzero(~listed):
            smile, here = self.smile_of_row[row], self.log_moneyness[row]
            moved[:, row] += np.asarray(smile.vol(here - (1.0 - dynamics.ratio) * moves)) - float(
                np.asarray(smile.vol(np.array([here])))[0]
            )
        return moved


@dataclass(frozen=True, slots=True)
class JoinedSurface:
    """Two surfaces side by side, for two books side by side."""

    first: PricingSurface
    second: PricingSurface
    forward_usd: FloatArray

    @property
    def smiles(self) -> tuple[Any, ...]:
        """Smiles of the first."""
        return self.first.smiles

    def row_vols(self, vol: str) -> OwnVols:
        """Volatilities of all rows, first book first."""
        parts = (self.first.row_vols(vol), self.second.row_vols(vol))
        return OwnVols(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("iv", "iv_source", "codes")))

    def moved_vols(self, iv: FloatArray, log_moves: FloatArray, dynamics: Any) -> FloatArray:
        """Volatilities (g, n1 + n2)."""
        size = self.first.forward_usd.size
        halves = (self.first.moved_vols(iv[:size], log_moves, dynamics), self.second.moved_vols(iv[size:], log_moves, dynamics))
        return np.concatenate(halves, axis=1)


def own_options(market: Book, held: tuple[Holding, ...]) -> tuple[Book, tuple[str, ...]]:
    """The options among ``held``, priced on the market's surface, and each row's label: 'chain' or 'surface:VENUE' where it is not listed.

    Open interest of own rows is the amount held, so gross figures are the desk's own.  Raises InputError that names an instrument which
    is neither listed nor priceable.
    """
    rows = [_listed_row(market.chain, item) for item in held]
    extra = [None if row >= 0 else _unlisted(market, item) for row, item in zip(rows, held, strict=True)]
    chain = _own_chain(market, held, np.array(rows, dtype=np.int64), extra)
    surface = _own_surface(market, np.array(rows, dtype=np.int64), extra, chain)
    position = np.array([item.contracts or 0.0 for item in held]) * chain.coin_per_contract
    positions = Positions(chain, frozen(position), "own book", "the desk's own record", "held as stated")
    book = priced_book(positions, surface, vol=market.vol, day_count=market.day_count, spot_usd=market.spot_usd)
    return book, tuple("chain" if found is None else f"surface:{found[1].venue}" for found in extra)


def joined(first: Book, second: Book) -> Book:
    """Both books' rows in one book (of one market, at one time)."""
    columns = {
        field.name: np.concatenate([getattr(first.chain, field.name), getattr(second.chain, field.name)])
        for field in fields(Chain)
        if field.name not in ("currency", "as_of_ns")
    }
    chain = Chain.from_columns(currency=first.chain.currency, as_of_ns=first.chain.as_of_ns, **columns)
    surface = JoinedSurface(first.surface, second.surface, np.concatenate([first.forward_usd, second.forward_usd]))
    arrays = ("position_coin", "forward_usd", "years", "iv", "iv_source", "usable", "counted", "settles_on_average", "codes", "gamma")
    together = {name: frozen(np.concatenate([getattr(first, name), getattr(second, name)]), getattr(first, name).dtype) for name in arrays}
    return Book(
        chain=chain,
        surface=surface,
        rule=first.rule,
        vol=first.vol,
        day_count=first.day_count,
        gamma_source=first.gamma_source,
        at_ns=first.at_ns,
        spot_usd=first.spot_usd,
        greeks=frozen(np.concatenate([first.greeks, second.greeks], axis=1)),
        **together,
    )


def is_option(market: Book, item: Holding) -> bool:
    """True if the name is a listed option or spells one."""
    if bool(np.any(market.chain.instrument == item.instrument)):
        return True
    try:
        parse_option(item.instrument)
    except InputError:
        return False
    return True


def _listed_row(chain: Chain, item: Holding) -> int:
    rows = np.flatnonzero(chain.instrument == item.instrument)
    if item.venue:
        rows = rows[[str(chain.venue[row]).lower() == item.venue for row in rows]]
    rows = rows if rows.size < 2 else rows[~chain.has(RowCode.DUPLICATE | RowCode.ALIAS)[rows]]
    if item.contracts is None:
        raise InputError(f"own book: option {item.instrument} needs contracts, not an amount in USD or coin")
    if rows.size > 1:
        venues = ", ".join(sorted({str(chain.venue[row]) for row in rows}))
        raise InputError(f"own book: {item.instrument} is listed {rows.size} times ({venues}); add a venue column")
    return int(rows[0]) if rows.size else -1


def _unlisted(market: Book, item: Holding) -> tuple[Option, Any]:
    option = parse_option(item.instrument)
    if option.currency != market.chain.currency:
        raise InputError(
            f"own book: {item.instrument} is an option on {option.currency}, this market is {market.chain.currency}; leave it out"
        )
    if option.expiry_ns <= market.at_ns:
        raise InputError(f"own book: {item.instrument} expired at {format_time(option.expiry_ns)}, before this market's time; leave it out")
    smiles = sorted((smile for smile in market.surface.smiles if smile.expiry_ns == option.expiry_ns), key=lambda smile: str(smile.venue))
    smiles = [smile for smile in smiles if str(smile.venue).lower() == item.venue] if item.venue else smiles
    if not smiles:
        raise InputError(
            f"own book: {item.instrument} is not listed here and no smile of this market expires at {format_time(option.expiry_ns)}; "
            "check the name, or leave it out"
        )
    return option, smiles[0]


def _own_chain(market: Book, held: tuple[Holding, ...], rows: IntArray, extra: list[tuple[Option, Any] | None]) -> Chain:
    base = market.chain.select(np.maximum(rows, 0))
    columns: dict[str, Any] = {
        field.name: np.array(getattr(base, field.name)) for field in fields(Chain) if field.name not in ("currency", "as_of_ns")
    }
    for index, found in enumerate(extra):
        if found is None:
            continue
        option, smile = found
        settled = 1 if option.right == "call" else -1
        columns["coin_per_contract"][index] = _contract_size(market.chain, option, str(smile.venue))
        texts = {
            "instrument": option.name,
            "venue": smile.venue,
            "settlement": option.settlement,
            "style": option.style,
            "underlying_name": "",
        }
        numbers = {
            "right": settled,
            "strike_usd": option.strike_usd,
            "expiry_ns": option.expiry_ns,
            "codes": 0,
            "underlying_usd": smile.forward_usd,
        }
        for name, value in (texts | numbers).items():
            columns[name][index] = value
        columns["estimated_delivery_usd"][index] = _delivery(market.chain, option.expiry_ns)
    columns["codes"] = columns["codes"] & ~int(INTEREST_CODES)
    columns["open_interest_contracts"] = np.abs([item.contracts or 0.0 for item in held])
    return Chain.from_columns(currency=market.chain.currency, as_of_ns=market.chain.as_of_ns, **columns)


def _own_surface(market: Book, rows: IntArray, extra: list[tuple[Option, Any] | None], chain: Chain) -> OwnSurface:
    vols = market.surface.row_vols(market.vol)
    picked = np.maximum(rows, 0)
    iv, forward = np.array(vols.iv[picked]), np.array(market.surface.forward_usd[picked])
    source, codes = np.array(vols.iv_source[picked]), np.asarray(vols.codes[picked] & ~int(INTEREST_CODES), dtype=np.int64)
    moneyness = np.zeros(rows.size)
    for index, found in enumerate(extra):
        if found is not None:
            forward[index] = found[1].forward_usd
            moneyness[index] = np.log(found[0].strike_usd / found[1].forward_usd)
            iv[index], source[index], codes[index] = float(np.asarray(found[1].vol(moneyness[index : index + 1]))[0]), "surface", 0
    codes = np.where(np.isfinite(iv) & (iv > 0.0), codes & ~int(NO_VENUE_VOL), codes).astype(np.int64)
    smile_of_row = tuple(None if found is None else found[1] for found in extra)
    return OwnSurface(market.surface, market.vol, rows, smile_of_row, moneyness, forward, OwnVols(iv, source, codes))


def _contract_size(chain: Chain, option: Option, venue: str) -> float:
    alike = (chain.venue == venue) & (chain.settlement == option.settlement) & np.isfinite(chain.coin_per_contract)
    sizes = np.unique(chain.coin_per_contract[alike])
    if sizes.size != 1:
        raise InputError(
            f"own book: {option.name} is not listed here and its contract size on {venue} is unknown ({sizes.size} sizes); leave it out"
        )
    return float(sizes[0])


def _delivery(chain: Chain, expiry_ns: int) -> float:
    known = chain.estimated_delivery_usd[(chain.expiry_ns == expiry_ns) & np.isfinite(chain.estimated_delivery_usd)]
    return float(np.median(known)) if known.size else float("nan")
