"""Several snapshots of one currency as one: venues side by side, each with its own contract size, and how old each part is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from datetime import date
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np

from tailwag.errors import InputError, TimeError, UnitError
from tailwag.market.chain import Chain
from tailwag.market.clock import format_time
from tailwag.market.liquidations import Liquidations
from tailwag.market.snapshot import Snapshot, Source
from tailwag.market.trades import Trades
from tailwag.market.validate import validated
from tailwag.sources.cboe import VENUE as CBOE
from tailwag.sources.contract_sizes import joined_futures
from tailwag.units import NS_PER_DAY, NS_PER_HOUR

FUND_OF = {"IBIT": "BTC"}
"""Funds whose options can be counted in the coin that their shares hold."""
_LARGEST_PRICE_GAP = 0.25
_REMARKABLE_PRICE_GAP = 0.02
_OLD_FIGURE_DAYS = 180
_PER_SHARE = (
    "strike_usd",
    "bid_quoted",
    "ask_quoted",
    "mark_quoted",
    "underlying_usd",
    "index_usd",
    "estimated_delivery_usd",
    "vega_published",
)
"""Columns in USD per share, which become USD per coin."""


class CoinsPerShare(NamedTuple):
    """Coin that one share of a fund holds, the day on which that held (YYYY-MM-DD), and who says so."""

    value: float
    day: str
    source: str


def merge(
    snapshots: Sequence[Snapshot],
    *,
    coins_per_share: tuple[float, str, str] | None = None,
    max_age_hours: float = 1.0,
    max_closed_hours: float = 96.0,
) -> Snapshot:
    """One multi-venue snapshot of one currency: chains, futures, books, trades and liquidations side by side, nothing dropped or summed.

    ``as_of`` is the latest part's, older parts are named in ``notes``; spot is the median index over the rows of the coin's own venues.
    The same contract on two venues is two rows. IBIT joins BTC only with ``coins_per_share`` = (coin in one share, day, source):
    strikes and prices become USD per coin, a contract becomes 100 * coins_per_share coin.

    Raises InputError for several currencies, two moments of one venue, or IBIT without a dated figure; TimeError where parts lie more
    than ``max_age_hours`` apart (``max_closed_hours`` for CBOE, which is shut nights and weekends); UnitError for an impossible figure.
    """
    if not snapshots:
        raise InputError("expected at least one snapshot to merge, got none; name a source")
    parts = _in_one_currency(list(snapshots), coins_per_share)
    as_of_ns = max(part.as_of_ns for part in parts)
    notes = _age_notes(parts, as_of_ns, max_age_hours, max_closed_hours)
    _refuse_two_moments_of_a_venue(parts)
    own = [part for part, given in zip(parts, snapshots) if given.currency == part.currency] or parts
    spot_usd = _spot_usd(own)
    return Snapshot(
        currency=parts[0].currency,
        as_of_ns=as_of_ns,
        spot_usd=spot_usd,
        chain=validated(_joined_chain(parts, as_of_ns)),
        futures=joined_futures([part.futures for part in parts]),
        source=_joined_source(parts),
        books=tuple(book for part in parts for book in part.books),
        trades=_joined_trades(parts),
        liquidations=_joined_liquidations(parts),
        degraded=_once([*_named_doubts(parts), *_price_doubts(parts, spot_usd)]),
        notes=_once([*notes, *(note for part in parts for note in part.notes)]),
    )


def in_coin(snapshot: Snapshot, coins_per_share: CoinsPerShare) -> Snapshot:
    """A fund's option chain counted in the coin its shares hold.

    With c coin a share: strike, prices, index / c (USD per coin), coin per contract * c, gamma * c, vega / c, delta unchanged.

    Raises UnitError where the figure is no share of a coin.
    """
    per_share = coins_per_share.value
    chain = snapshot.chain
    scaled: dict[str, Any] = {name: getattr(chain, name) / per_share for name in _PER_SHARE}
    columns = {field.name: getattr(chain, field.name) for field in fields(chain) if field.name not in ("currency", "as_of_ns")}
    columns |= scaled | {"coin_per_contract": chain.coin_per_contract * per_share, "gamma_published": chain.gamma_published * per_share}
    coin = FUND_OF[snapshot.currency]
    return snapshot.with_parts(
        currency=coin,
        spot_usd=snapshot.spot_usd / per_share,
        chain=Chain.from_columns(currency=coin, as_of_ns=chain.as_of_ns, **columns),
        notes=(*snapshot.notes, _conversion_note(snapshot.currency, coins_per_share)),
        degraded=(*snapshot.degraded, *_old_figure(snapshot, coins_per_share)),
    )


def _conversion_note(fund: str, figure: CoinsPerShare) -> str:
    return (
        f"{fund} counted in {FUND_OF[fund]} at {figure.value:g} coin a share as of {figure.day} ({figure.source}): American exercise is not priced, "
        "and the fund trades in New York hours only, so its quotes stand still while the coin moves"
    )


def _old_figure(snapshot: Snapshot, figure: CoinsPerShare) -> tuple[str, ...]:
    days = abs(snapshot.as_of_ns // NS_PER_DAY - date.fromisoformat(figure.day).toordinal() + date(1970, 1, 1).toordinal())
    if days <= _OLD_FIGURE_DAYS:
        return ()
    return (f"the {snapshot.currency} figure of coin per share is {days} days away from the quotes; it shrinks by the fund's fee",)


def _in_one_currency(snapshots: list[Snapshot], figure: tuple[float, str, str] | None) -> list[Snapshot]:
    currencies = {snapshot.currency for snapshot in snapshots}
    coins = {FUND_OF.get(currency, currency) for currency in currencies}
    if len(coins) > 1:
        raise InputError(f"expected snapshots of one currency, got {', '.join(sorted(currencies))}; measure them one at a time")
    funds = currencies & set(FUND_OF)
    if figure is None and funds and len(currencies) > 1:
        raise InputError(
            f"{', '.join(sorted(funds))} options can be merged into {next(iter(coins))} only with a dated figure of coin per share; "
            "give --coins-per-share VALUE@DATE from the fund's own page, it is not guessed"
        )
    if figure is None:
        return snapshots
    if not funds:
        raise InputError(f"coins per share was given, but no source is a fund ({', '.join(sorted(FUND_OF))}); leave it out")
    checked = _checked_figure(figure)
    return [in_coin(snapshot, checked) if snapshot.currency in funds else snapshot for snapshot in snapshots]


def _checked_figure(figure: tuple[float, str, str]) -> CoinsPerShare:
    value, day, source = figure
    if not (math.isfinite(value) and 0.0 < value < 1.0):
        raise UnitError(f"expected coin per share between 0 and 1 (IBIT holds about 0.00057 BTC a share), got {value!r}; check the figure")
    try:
        date.fromisoformat(day)
    except (TypeError, ValueError):
        raise TimeError(
            f"expected the day of the coins-per-share figure as YYYY-MM-DD, got {ascii(day)[:40]}; the figure changes with time"
        ) from None
    if not source:
        raise InputError("expected the source of the coins-per-share figure, got none; name who publishes it")
    return CoinsPerShare(float(value), day, source)


def _age_notes(parts: list[Snapshot], as_of_ns: int, max_age_hours: float, max_closed_hours: float) -> list[str]:
    notes = []
    for part in parts:
        age_hours = (as_of_ns - part.as_of_ns) / NS_PER_HOUR
        name = ", ".join(part.venues) or part.source.name
        limit = max_closed_hours if part.venues == (CBOE,) else max_age_hours
        if age_hours > limit:
            raise TimeError(
                f"{name} is of {format_time(part.as_of_ns)}, {age_hours:.1f} hours before the latest part, at most {limit:g} are merged; "
                "choose sources of one moment"
            )
        if age_hours > 0.0:
            notes.append(f"{name} is {60.0 * age_hours:.1f} minutes older than the latest part")
    return notes


def _refuse_two_moments_of_a_venue(parts: list[Snapshot]) -> None:
    """A timeline is no market: the same instrument at two times would be counted twice."""
    seen: dict[tuple[str, str], int] = {}
    for part in parts:
        for key in set(zip(part.chain.venue.tolist(), part.chain.instrument.tolist())):
            if seen.setdefault(key, part.as_of_ns) != part.as_of_ns:
                moments = f"{format_time(seen[key])} and {format_time(part.as_of_ns)}"
                raise InputError(
                    f"{key[0]} is there at two moments, {moments}; merge one snapshot of each venue, and choose the moment with --at"
                )


def _spot_usd(parts: list[Snapshot]) -> float:
    index = np.concatenate([part.chain.index_usd for part in parts])
    known = index[np.isfinite(index) & (index > 0.0)]
    return float(np.median(known)) if known.size else float(np.median([part.spot_usd for part in parts]))


def _named_doubts(parts: list[Snapshot]) -> list[str]:
    """Each part's doubts, under the name of its venues where there are others."""
    if len(parts) == 1:
        return list(parts[0].degraded)
    return [f"{', '.join(part.venues) or part.source.name}: {sentence}" for part in parts for sentence in part.degraded]


def _price_doubts(parts: list[Snapshot], spot_usd: float) -> list[str]:
    doubts = []
    for part in parts:
        gap = abs(part.spot_usd / spot_usd - 1.0)
        name = ", ".join(part.venues) or part.source.name
        if gap > _LARGEST_PRICE_GAP:
            raise UnitError(
                f"{name} says that {part.currency} is worth {part.spot_usd:,.2f} USD where the others say {spot_usd:,.2f}; a unit or a coins-per-share figure is wrong"
            )
        if gap > _REMARKABLE_PRICE_GAP:
            doubts.append(
                f"{name} puts {part.currency} {100 * gap:.1f} % away from the others ({part.spot_usd:,.2f} against {spot_usd:,.2f} USD)"
            )
    return doubts


def _joined_chain(parts: list[Snapshot], as_of_ns: int) -> Chain:
    names = [field.name for field in fields(Chain) if field.name not in ("currency", "as_of_ns")]
    columns = {name: np.concatenate([getattr(part.chain, name) for part in parts]) for name in names}
    return Chain.from_columns(currency=parts[0].currency, as_of_ns=as_of_ns, **columns)


def _joined_trades(parts: list[Snapshot]) -> Trades | None:
    tables = [part.trades for part in parts if part.trades is not None]
    if not tables:
        return None
    joined = Trades.joined(tables)
    keys = list(zip(joined.venue.tolist(), joined.trade_id.tolist(), joined.instrument.tolist()))
    first = dict(zip(reversed(keys), reversed(range(len(keys)))))
    once = joined.select(np.array(sorted(first.values()), dtype=np.int64))
    return Trades.from_columns(
        repeats_removed=joined.repeats_removed + len(joined) - len(once),
        covered=joined.covered,
        **{field.name: getattr(once, field.name) for field in fields(Trades) if field.name not in ("repeats_removed", "covered")},
    )


def _joined_liquidations(parts: list[Snapshot]) -> Liquidations | None:
    tables = [part.liquidations for part in parts if part.liquidations is not None]
    return Liquidations.joined(tables) if tables else None


def _joined_source(parts: list[Snapshot]) -> Source:
    if len(parts) == 1:
        return parts[0].source
    digest = sha256("\n".join(part.source.sha256 for part in parts).encode()).hexdigest()
    return Source("merged", " + ".join(part.source.name for part in parts), digest, any(part.source.synthetic for part in parts))


def _once(sentences: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(sentences))
