"""The study of signed trades: files of option trades in, how often flow's sign is not the rules' out as a document, assumption by assumption."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tailwag.errors import EmptyChainError, InputError
from tailwag.experiments.study.trade_signs import FLAT_COIN, DailyBook, daily_book, option_prints
from tailwag.experiments.study.trade_signs_compare import WEIGHTS, Sampling, Share, differs, net_signs, sign_share, wrong_sides
from tailwag.figures.numbers import percent
from tailwag.kernels.arrays import FloatArray
from tailwag.market.clock import format_time
from tailwag.market.trades import Trades
from tailwag.positioning import CustomersSellOtm, LongCallsShortPuts, Rule, ShortAll
from tailwag.sources.opening import read_file
from tailwag.sources.trades_files import load_trades

SCHEMA = "tailwag.study-trades/1"
RULES: tuple[Rule, ...] = (LongCallsShortPuts(), CustomersSellOtm(), ShortAll())
"""The first is the naive one, for which everything is worked out; long-all is the mirror image of the last."""
BOOTSTRAP_DRAWS, TURNED_DRAWS = 999, 40
Document = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TradesRequest:
    """One study of signed trades: the files, the coin, how many days a block of the bootstrap has, and the seed."""

    paths: tuple[str, ...]
    currency: str = "BTC"
    block_days: int = 30
    seed: int = 7

    def __post_init__(self) -> None:
        if not self.paths:
            raise InputError("study trades expects files of option trades, got none; give Parquet, CSV or JSON of Deribit's trades")
        if not 1 <= self.block_days <= 366:
            raise InputError(f"--block-days expects 1 to 366 days, got {self.block_days}; 30 is a month of one accumulated inventory")


def trade_signs(request: TradesRequest, *, say: Say = lambda text: None) -> Document:
    """Each file on its own: what takers bought, turned round and accumulated, against each rule; the document is schema ``tailwag.study-trades/1``.

    Raises FileFormatError, UnitError or EmptyChainError naming a file that holds no such trades.
    """
    sampling = Sampling(request.block_days, BOOTSTRAP_DRAWS, request.seed)
    files = []
    for path in request.paths:
        raw = read_file(path)
        say(raw.name)
        files.append(_file(raw.name, raw.sha256, load_trades(path), request.currency, sampling))
    return {
        "schema": SCHEMA,
        "study": "trades",
        "headline": [_headline(file) for file in files],
        "currency": request.currency,
        "block_days": request.block_days,
        "bootstrap_draws": BOOTSTRAP_DRAWS,
        "turned_draws": TURNED_DRAWS,
        "seed": request.seed,
        "assumptions": list(ASSUMPTIONS),
        "files": files,
    }


ASSUMPTIONS = (
    "takers are customers and makers are dealers; where the maker was liquidated it is the other way round",
    "blocks, trades whose both sides were liquidated and trades without a direction count nothing; 'at least' and 'at most' let them be anybody's",
    "inventory is what accumulated in the file by the end of each UTC day, and ends with the option's expiry",
    "gamma at the index price last printed and the volatility last printed of each option, the forward at the index",
)


def _file(name: str, sha256: str, trades: Trades, currency: str, sampling: Sampling) -> Document:
    try:
        book = daily_book(option_prints(trades, currency=currency))
    except EmptyChainError as error:
        raise EmptyChainError(f"{name}: {error}") from None
    naive = book.rule_signs(RULES[0])
    return {
        "name": name,
        "sha256": sha256,
        **_counted(trades, book),
        "rules": [_rule(rule.name, book, naive if place == 0 else book.rule_signs(rule), sampling) for place, rule in enumerate(RULES)],
        "blocks_as_printed": _with_blocks(book, naive, 1.0),
        "blocks_turned_round": _with_blocks(book, naive, -1.0),
        "wrong_sides": [asdict(one) for one in wrong_sides(book, naive, "gamma", draws=TURNED_DRAWS, seed=sampling.seed)],
        "days": _days(book, naive, sampling),
    }


def _counted(trades: Trades, book: DailyBook) -> Document:
    prints = book.prints
    traded = float((prints.assumed_coin + prints.counted_coin).sum())
    flat = book.open & (np.abs(book.held_coin) <= FLAT_COIN)
    return {
        "trades": int(prints.time_ns.size),
        "repeats": trades.repeats_removed,
        "left_out": prints.left_out,
        "first": format_time(int(prints.time_ns[0])),
        "last": format_time(int(prints.time_ns[-1])),
        "options": len(prints.options),
        "calls": sum(option.right == "call" for option in prints.options),
        "expiries": len({option.expiry_ns for option in prints.options}),
        "traded_coin": traded,
        "assumed_share": float(prints.assumed_coin.sum()) / traded if traded > 0.0 else None,
        "liquidations": int((trades.liquidated != "").sum()),
        "open_option_days": int(book.open.sum()),
        "flat_option_days": int(flat.sum()),
        "option_days_without_gamma": int((book.open & ~flat & np.isnan(book.gamma_usd_per_pct)).sum()),
    }


def _rule(name: str, book: DailyBook, signs: FloatArray, sampling: Sampling) -> Document:
    net = net_signs(book, signs, sampling)
    return {
        "rule": name,
        "differs": {weight: _share(sign_share(book, signs, weight, sampling)) for weight in WEIGHTS},
        "net_gamma": {
            "days": net.days,
            "differing": net.differing,
            "share": net.differing / net.days if net.days else None,
            "low": net.low,
            "high": net.high,
        },
    }


def _share(share: Share) -> Document:
    return {"share": share.value, "low": share.low, "high": share.high, "at_least": share.at_least, "at_most": share.at_most}


def _with_blocks(book: DailyBook, signs: FloatArray, side: float) -> Document:
    return {weight: differs(book, book.held_coin + side * book.block_coin, signs, weight) for weight in WEIGHTS}


def _days(book: DailyBook, signs: FloatArray, sampling: Sampling) -> Document:
    """Day by day against the naive rule; null where nothing is open."""
    net = net_signs(book, signs, sampling)
    shares = {weight: sign_share(book, signs, weight, sampling).by_day for weight in ("options", "gamma")}
    return {
        "end": [format_time(int(end)) for end in book.end_ns],
        "differs_by_options": _nulls(shares["options"]),
        "differs_by_gamma": _nulls(shares["gamma"]),
        "net_gamma_from_flow_usd_per_pct": net.flow_usd_per_pct.tolist(),
        "net_gamma_by_rule_usd_per_pct": net.rule_usd_per_pct.tolist(),
    }


def _nulls(values: FloatArray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _headline(file: Document) -> str:
    rule = file["rules"][0]
    gamma, options = rule["differs"]["gamma"], rule["differs"]["options"]
    if gamma["share"] is None:
        return f"{file['name']}: no open option at any day's end has both an inventory and a volatility, so there is nothing to compare."
    reach = "" if gamma["low"] is None else f" (95 % interval {percent(gamma['low'], decimals=0)} to {percent(gamma['high'], decimals=0)})"
    chance = file["wrong_sides"][-1]
    assumed = (
        ""
        if not file["assumed_share"]
        else f"; whoever was the customer in the {percent(file['assumed_share'], decimals=0)} of contracts that are assumed, "
        f"it is {percent(gamma['at_least'], decimals=0)} at least and {percent(gamma['at_most'], decimals=0)} at most"
    )
    return (
        f"{file['name']}: flow's sign is not that of {rule['rule']} at {percent(gamma['share'], decimals=0)} of gamma{reach} "
        f"and {percent(options['share'], decimals=0)} of option-days{assumed}. "
        f"Sides drawn by chance give {percent(chance['low'], decimals=0)} to {percent(chance['high'], decimals=0)} of gamma in nine of ten draws."
    )
