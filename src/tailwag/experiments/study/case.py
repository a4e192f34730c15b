"""One stretch of days told as it was: price, and beside it what each snapshot said under every rule of a built history; a description, no test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.errors import EmptyChainError, InputError
from tailwag.experiments.study.case_sentences import case_headline
from tailwag.experiments.study.history_options import CITED_RULES
from tailwag.experiments.study.inputs import Market, candle_market
from tailwag.experiments.study.panel_view import PANEL, SNAPSHOTS, _tables
from tailwag.experiments.study.returns import realised_vol
from tailwag.market.clock import format_time
from tailwag.units import NS_PER_DAY, NS_PER_HOUR

if TYPE_CHECKING:
    import polars as pl

SCHEMA = "tailwag.study-case/1"
LONGEST_DAYS = 62
LEAST_SHARE = 0.9
"""A trailing vol needs nine of ten candles, as in the analysis plan."""
_BY_SNAPSHOT = (
    "spot_usd",
    "atm_iv_1d",
    "atm_iv_7d",
    "gross_gamma_usd_per_pct",
    "largest_strike_usd",
    "largest_strike_open_interest_coin",
    "near_strike_usd",
    "masked_share",
)
_BY_RULE = (
    "rule",
    "law",
    "dynamics",
    "gex_usd_per_pct",
    "gain",
    "gain_low",
    "gain_high",
    "sign",
    "flip_usd",
    "flip_distance_log",
    "expiring_gamma_usd_per_pct",
    "flow_down_5pct_usd",
    "flow_up_5pct_usd",
)
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CaseRequest:
    """One case: the folder of the history, the file of candles, from when to when, and the coin."""

    panel: str
    candles: str
    start_ns: int
    end_ns: int
    currency: str = "BTC"

    def __post_init__(self) -> None:
        if not 0 < self.end_ns - self.start_ns <= LONGEST_DAYS * NS_PER_DAY:
            raise InputError(f"study case expects --to after --from and at most {LONGEST_DAYS} days later; a case is a stretch of days")


def case(request: CaseRequest) -> Document:
    """The stretch as a document, schema ``tailwag.study-case/1``: prices, snapshots that were known in it, and the expiries.

    Raises InputError or FileFormatError for a history or candles that cannot be used, EmptyChainError where no snapshot was known in the stretch.
    """
    tables, digests = _tables(Path(request.panel))
    market = candle_market(request.candles)
    snapshots = _snapshots(tables, market, request)
    document = {
        "schema": SCHEMA,
        "study": "case",
        "headline": [],
        "currency": request.currency,
        "from": format_time(request.start_ns),
        "to": format_time(request.end_ns),
        "history": {"tables": digests},
        "candles": market.told,
        "price": _price(market, request),
        "snapshots": snapshots,
        "expiries": _expiries(snapshots, market, request),
        "moments": _moments(snapshots, market, request),
    }
    return {**document, "headline": case_headline(document)}


def _snapshots(tables: dict[str, pl.DataFrame], market: Market, request: CaseRequest) -> list[Document]:
    import polars as pl

    rows = (
        tables[SNAPSHOTS]
        .filter((pl.col("currency") == request.currency) & (pl.col("status") == "ok"))
        .filter(pl.col("known_ns").is_between(request.start_ns, request.end_ns))
        .sort("known_ns", "snapshot")
    )
    if not rows.height:
        raise EmptyChainError(
            f"{request.panel}: no measured snapshot of {request.currency} was known from {format_time(request.start_ns)} to "
            f"{format_time(request.end_ns)}; build a history of those days"
        )
    told = tables[PANEL].filter(pl.col("currency") == request.currency).partition_by("snapshot", as_dict=True, maintain_order=True)
    return [_snapshot(row, told[(row["snapshot"],)].to_dicts(), market) for row in rows.to_dicts()]


def _snapshot(row: Document, rules: list[Document], market: Market) -> Document:
    known = np.array([row["known_ns"]])
    vol = realised_vol(market.returns, known - NS_PER_DAY, known, least_share=LEAST_SHARE)
    gross, expiring = row["gross_gamma_usd_per_pct"], row["next_expiry_gross_gamma_usd_per_pct"]
    return {
        "snapshot": row["snapshot"],
        "known": format_time(row["known_ns"]),
        "crawl_start": format_time(row["crawl_start_ns"]),
        **{name: row[name] for name in _BY_SNAPSHOT},
        "price_usd": _price_at(market, row["known_ns"]),
        "trailing_vol_1d": _plain(vol[0]),
        "next_expiry": None if row["next_expiry_ns"] is None else format_time(row["next_expiry_ns"]),
        "expiring_share": expiring / gross if gross and expiring is not None else None,
        "sign": _sign(rules),
        "rules": [{name: rule[name] for name in _BY_RULE} for rule in rules],
    }


def _sign(rules: list[Document]) -> str:
    """Amplifying or damping where every published rule of the history says so, undetermined where they differ; bounds count where there is no other."""
    cited = [rule for rule in rules if rule["rule"] in CITED_RULES] or rules
    signs = {float(np.sign(rule["gex_usd_per_pct"])) for rule in cited}
    return {-1.0: "amplifying", 1.0: "damping"}.get(signs.pop(), "undetermined") if len(signs) == 1 else "undetermined"


def _price_at(market: Market, at_ns: int) -> float | None:
    """The close of the last candle that was over by then; None across a gap."""
    place = int(market.returns.at(np.array([at_ns]))[0])
    if place < 0 or at_ns - int(market.returns.end_ns[place]) > market.returns.step_ns:
        return None
    return _plain(np.exp(market.returns.log_price[place]))


def _plain(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _inside(market: Market, request: CaseRequest) -> Any:
    """Indices of the candles that lie whole in the stretch."""
    ends = market.returns.end_ns
    return np.flatnonzero((ends - market.returns.step_ns >= request.start_ns) & (ends <= request.end_ns))


def _price(market: Market, request: CaseRequest) -> Document:
    rows = _inside(market, request)
    closes = np.exp(market.returns.log_price[rows])
    if not np.isfinite(closes).any():
        raise InputError(
            f"{market.told['name']}: no candle from {format_time(request.start_ns)} to {format_time(request.end_ns)}; give candles of those days"
        )
    low, high = int(np.nanargmin(closes)), int(np.nanargmax(closes))
    there = closes[np.isfinite(closes)]
    return {
        "end": [format_time(int(end)) for end in market.returns.end_ns[rows]],
        "close_usd": [_plain(close) for close in closes],
        "missing": int((~np.isfinite(closes)).sum()),
        "first_usd": float(there[0]),
        "last_usd": float(there[-1]),
        "low_usd": float(closes[low]),
        "low_at": format_time(int(market.returns.end_ns[rows[low]])),
        "high_usd": float(closes[high]),
        "high_at": format_time(int(market.returns.end_ns[rows[high]])),
    }


def _expiries(snapshots: list[Document], market: Market, request: CaseRequest) -> list[Document]:
    """Each expiry in the stretch as the last snapshot before it saw it, and the price at its time."""
    from tailwag.market.clock import parse_time_ns

    last = {one["next_expiry"]: one for one in snapshots if one["next_expiry"] is not None}
    found = []
    for at, one in sorted(last.items()):
        at_ns = parse_time_ns(at)
        if not request.start_ns <= at_ns <= request.end_ns:
            continue
        price, strike = _price_at(market, at_ns), one["largest_strike_usd"]
        found.append(
            {
                "expiry": at,
                "seen_at": one["known"],
                "share_of_gross_gamma": one["expiring_share"],
                "largest_strike_usd": strike,
                "price_usd": price,
                "distance_log": float(np.log(price / strike)) if price is not None and strike else None,
            }
        )
    return found


def _moments(snapshots: list[Document], market: Market, request: CaseRequest) -> Document:
    """Where the fastest hour lies, and which snapshots stand at the beginning, before it, after it and at the end; indices into ``snapshots``."""
    from tailwag.market.clock import parse_time_ns

    known = np.array([parse_time_ns(one["known"]) for one in snapshots], dtype=np.int64)
    moves, steps = market.returns.log_return, int(NS_PER_HOUR // market.returns.step_ns)
    rows = _inside(market, request)
    hours = [(float(moves[row - steps + 1 : row + 1].sum()), int(market.returns.end_ns[row])) for row in rows[steps - 1 :]]
    hours = [hour for hour in hours if np.isfinite(hour[0])]
    if not hours:
        return {"fastest_hour": None, "beginning": 0, "before": None, "after": None, "end": len(snapshots) - 1}
    move, over = max(hours, key=lambda hour: (abs(hour[0]), -hour[1]))
    before, after = int(np.searchsorted(known, over - NS_PER_HOUR, side="right")) - 1, int(np.searchsorted(known, over))
    return {
        "fastest_hour": {"from": format_time(over - NS_PER_HOUR), "to": format_time(over), "log_return": move},
        "beginning": 0,
        "before": before if before >= 0 else None,
        "after": after if after < len(snapshots) else None,
        "end": len(snapshots) - 1,
    }
