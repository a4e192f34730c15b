"""The desk's part of the measure document: its own book, its flows beside the market's, its limits, and what one more trade does."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tailwag.experiments.document import flows_block, number

if TYPE_CHECKING:
    from tailwag.experiments.measure import Measurement
    from tailwag.exposure import Holding, OwnBook
    from tailwag.market.snapshot import Futures


def my_book_block(measurement: Measurement) -> dict[str, Any] | None:
    """The desk's own book, or None where none was given."""
    from tailwag.exposure import own_book, read_holdings

    options = measurement.options
    if options.own_book is None:
        return None
    held = read_holdings(options.own_book)
    return _own(own_book(held, measurement.profiles[0], futures=_futures(measurement, held), limits=_limits(measurement)))


def trade_blocks(measurement: Measurement) -> list[dict[str, Any]] | None:
    """The effect of each trade to be priced, alone or on top of the desk's book; None where none was asked for."""
    from tailwag.exposure import parse_trade, read_holdings, trade_effect

    options = measurement.options
    if not options.trades:
        return None
    held = () if options.own_book is None else read_holdings(options.own_book)
    blocks = []
    for trade in map(parse_trade, options.trades):
        futures = _futures(measurement, (*held, trade))
        effect = trade_effect(trade, measurement.profiles[0], held=held, futures=futures, limits=_limits(measurement))
        before, after = effect.market_gex_before_usd_per_pct, effect.market_gex_after_usd_per_pct
        blocks.append(
            {
                "trade": str(effect.trade),
                "assumption": effect.assumption,
                "own_before": None if effect.own_before is None else _own(effect.own_before),
                "own_after": _own(effect.own_after),
                "market_gex_before_usd_per_pct": number(before),
                "market_gex_after_usd_per_pct": number(after),
                "market_gain_before": number(measurement.gain.gain_at(before)),
                "market_gain_after": number(measurement.gain.gain_at(after)),
                "market_flips_after_usd": [flip.spot_usd for flip in effect.market_after.levels.flips],
            }
        )
    return blocks


def _futures(measurement: Measurement, held: tuple[Holding, ...]) -> Futures:
    """The snapshot's futures and those that the desk names beside an option chain saved alone."""
    from tailwag.sources.contract_sizes import with_named_futures

    snapshot = measurement.snapshot
    return with_named_futures(snapshot.futures, [item.instrument for item in held], currency=snapshot.currency, at_ns=snapshot.as_of_ns)


def _limits(measurement: Measurement) -> Any:
    from tailwag.exposure import GexLimits

    options = measurement.options
    return GexLimits(max_strike_usd_per_pct=options.strike_limit_usd, max_expiry_usd_per_pct=options.expiry_limit_usd)


def _own(own: OwnBook) -> dict[str, Any]:
    flows = flows_block(own.flows)
    for row, market in zip(flows, own.market_flows.buy_usd.tolist(), strict=True):
        row["market_buy_usd"] = number(market)
    return {
        "greeks": {name: number(value) for name, value in asdict(own.greeks).items()},
        "flows": flows,
        "options": [] if own.book is None else _options(own),
        "futures": [str(item) for item in own.futures],
        "unpriced": [{"instrument": name, "reason": reason} for name, reason in own.unpriced],
        "limits": [
            {
                "by": use.by,
                "key": use.key,
                "gex_usd_per_pct": number(use.gex_usd_per_pct),
                "share": number(use.share),
                "limit_usd_per_pct": number(use.limit_usd_per_pct),
                "breached": use.breached,
            }
            for use in own.limit_uses
        ],
    }


def _options(own: OwnBook) -> list[dict[str, Any]]:
    book = own.book
    assert book is not None
    return [
        {"instrument": str(name), "position_coin": number(held), "iv": number(iv), "priced_from": label}
        for name, held, iv, label in zip(book.chain.instrument, book.position_coin, book.iv, own.labels, strict=True)
    ]
