"""What ``tailwag measure`` does once its words are parsed: read, measure, write."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailwag.errors import InputError, RuleError

if TYPE_CHECKING:
    from tailwag.experiments.options import MeasureOptions
    from tailwag.market.snapshot import Snapshot

COIN_FUND = "IBIT"
MOST_COINS = 1e12
VENUES = ("deribit", "okx", "bybit", "binance")


@dataclass(frozen=True, slots=True)
class Request:
    """The words of one ``tailwag measure`` call, as typed."""

    source: list[str] | None
    currency: str | None
    rule: list[str] | None
    dynamics: str
    vol: str
    gamma: str
    day_count: str
    forward: str | None
    numeraire: str
    spot_range: str | None
    spot_levels: int | None
    liquidity: str | None
    depth_usd_per_pct: float | None
    daily_volume_usd: float | None
    daily_vol: float | None
    impact_y: float
    crossover_usd: float | None
    permanent_share: float | None
    books: str | None
    move_pct: float
    hedge_share: float
    spot_vol_beta: float | None
    book: str | None
    add: list[str] | None
    strike_limit_usd: float | None
    expiry_limit_usd: float | None
    at: str | None
    coins_per_share: str | None
    draw_correlation: float
    draws: int
    seed: int
    json_file: str | None
    html: str | None
    png: str | None


def run_measure(request: Request) -> None:
    """Read the sources, measure, and write what was asked for; the summary goes to the terminal unless JSON has it."""
    _check_currency(request.currency)
    with _progress() as say:
        snapshot = _read(request, say)
        options = _options(request)
        if _kernels_are_cold():
            sys.stderr.write("tailwag: compiling the numerical kernels, once after installation (about half a minute)\n")
        say("measuring")
        from tailwag.experiments.measure import measure

        measurement = measure(snapshot, options, say=say)
        document = measurement.document()
        _write(request, document, say)
    if request.json_file != "-":
        from tailwag.experiments.report_terminal import print_summary

        print_summary(document)
        for path in (request.json_file, request.html, request.png):
            if path:
                sys.stdout.write(f"wrote {path}\n")


@contextmanager
def _progress() -> Iterator[Any]:
    """A line on a terminal's stderr that says what is going on; silent where nobody looks."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console

    with Console(stderr=True).status("reading") as status:
        yield lambda text: status.update(text)


def _kernels_are_cold(kernel: str = "*") -> bool:
    """Whether no compiled kernel (of these names) is on disk yet, so that the first use compiles them."""
    import os

    import tailwag.kernels

    folder = os.environ.get("NUMBA_CACHE_DIR")
    if folder:
        return not any(Path(folder).rglob(f"{kernel}.nbi"))
    return not any((Path(tailwag.kernels.__file__).parent / "__pycache__").glob(f"{kernel}.nbi"))


def _read(request: Request, say: Any) -> Snapshot:
    sources = request.source or ["demo"]
    snapshots = [_one(source, request, say) for source in sources]
    if len(snapshots) == 1 and not request.coins_per_share:
        snapshot = snapshots[0]
    else:
        from tailwag.sources.merge import merge

        snapshot = merge(snapshots, coins_per_share=_coins_per_share(request.coins_per_share))
    if request.books:
        from tailwag.sources.order_books import load_books, with_books

        snapshot = with_books(snapshot, load_books(request.books, _at_ns(request)))
    return snapshot


def _check_currency(currency: str | None) -> None:
    if currency is not None and not re.fullmatch(r"[A-Z0-9]{1,10}", currency, re.ASCII):
        raise InputError(f"--currency expects capital letters such as BTC, ETH or SPX, got {currency[:20]!a}")


def _one(source: str, request: Request, say: Any) -> Snapshot:
    at_ns = _at_ns(request)
    venue, colon, name = source.partition(":")
    if source == "demo":
        from tailwag.sources.demo import demo

        if at_ns is not None:
            raise InputError("--at picks from a file's history, but the demo is one moment; leave --at out or name a file")

        return demo(seed=request.seed, currency=request.currency or "BTC")
    if colon and venue in VENUES and not name:
        raise InputError(f"{source} names no currency; write it after the colon, such as {venue}:BTC")
    if colon and venue in VENUES and not Path(source).exists():
        from tailwag.sources.venues import fetch

        if at_ns is not None:
            raise InputError(f"--at picks from a file's history, but {source} is live; leave --at out or name a file")
        return fetch(venue, request.currency or name, progress=say)
    from tailwag.sources.feeds import Surroundings, is_stream, one_snapshot

    if is_stream(source):
        if at_ns is not None:
            raise InputError(f"--at picks from a file's history, but {source} is live; leave --at out or name a file")
        if venue == "binance-ws" and len(request.source or ()) == 1 and "+" not in source:
            raise InputError(f"binance-ws has no options; join it to a chain: deribit:{name or 'BTC'}+{source}")
        return one_snapshot(source, Surroundings(time.time_ns, time.sleep, say, request.currency or "BTC"))
    from tailwag.sources.files import load

    say(f"reading {Path(source).name}")
    try:
        snapshot = load(source, currency=request.currency or "BTC", at_ns=at_ns)
    except InputError:
        if not request.coins_per_share:
            raise
        # a fund that holds the coin is merged by its coins per share: its file is read under its own name
        snapshot = load(source, currency=COIN_FUND, at_ns=at_ns)
    if request.currency and snapshot.currency not in (request.currency, COIN_FUND if request.coins_per_share else request.currency):
        raise InputError(
            f"{Path(source).name} holds {snapshot.currency}, --currency asks for {request.currency}; leave it out or name the other file"
        )
    return snapshot


def _at_ns(request: Request) -> int | None:
    from tailwag.market.clock import parse_time_ns

    return None if request.at is None else parse_time_ns(request.at)


def _coins_per_share(text: str | None) -> tuple[float, str, str] | None:
    if text is None:
        return None
    value, at, date = text.partition("@")
    try:
        return (float(value), _date(date), "stated on the command line") if at else _refuse(text)
    except ValueError:
        return _refuse(text)


def _date(text: str) -> str:
    from datetime import date

    return date.fromisoformat(text).isoformat()


def _refuse(text: str) -> tuple[float, str, str]:
    raise InputError(
        f"--coins-per-share expects VALUE@DATE such as 0.00056@2025-09-25, got {text[:40]!a}; take the fund's published figure"
    )


def _options(request: Request) -> MeasureOptions:
    from tailwag.experiments.options import MeasureOptions
    from tailwag.positioning import parse_rule

    rules = tuple(
        parse_rule(
            text,
            load_trades=_trades,
            load_positions=_positions,
            load_flow=_flow,
            draws=request.draws,
            correlation=request.draw_correlation,
            seed=request.seed,
        )
        for text in dict.fromkeys(request.rule or [])
    )
    return MeasureOptions(
        rules=rules,
        dynamics=request.dynamics,
        vol=request.vol,
        gamma=request.gamma,
        day_count=request.day_count,
        forward=request.forward,
        numeraire=request.numeraire,
        spot_range=_range(request.spot_range),
        spot_levels=request.spot_levels,
        liquidity=request.liquidity,
        depth_usd_per_pct=request.depth_usd_per_pct,
        daily_volume_usd=request.daily_volume_usd,
        daily_vol=request.daily_vol,
        impact_y=request.impact_y,
        crossover_usd=request.crossover_usd,
        permanent_share=request.permanent_share,
        move_pct=request.move_pct,
        hedge_share=request.hedge_share,
        spot_vol_beta=request.spot_vol_beta,
        own_book=None if request.book is None else _csv(request.book),
        trades=tuple(request.add or ()),
        strike_limit_usd=request.strike_limit_usd,
        expiry_limit_usd=request.expiry_limit_usd,
    )


def _range(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    low, _, high = text.partition(":")
    try:
        return float(low), float(high)
    except ValueError:
        raise InputError(f"--spot-range expects LOW:HIGH such as 0.8:1.2, got {text[:40]!a}") from None


def _trades(path: str) -> Any:
    from tailwag.sources.trades_files import load_trades

    return load_trades(path)


def _flow(path: str) -> Any:
    """The rule over a store's trades, None where the path is no store."""
    from tailwag.sources.files import is_store
    from tailwag.sources.opening import checked_path_text

    if not is_store(checked_path_text(path)):
        return None
    from tailwag.positioning import RecordedFlowRule
    from tailwag.sources.store.inventory import StoreFlow

    def complain(text: str) -> None:
        sys.stderr.write(f"tailwag: {text}\n")

    recorded = StoreFlow(path, say=complain)
    return RecordedFlowRule(recorded.flow, recorded.label)


def _csv(path: str) -> str:
    from tailwag.sources.opening import read_file

    try:
        return read_file(path).data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{Path(path).name}: expected UTF-8 text, byte {error.start} is not; save the CSV as UTF-8") from None


def _positions(path: str) -> Mapping[str, float]:
    from tailwag.sources.small_csv import rows_of_csv
    from tailwag.sources.tables import number

    held: dict[str, float] = {}
    for line, row in rows_of_csv(_csv(path), name=Path(path).name, required=("instrument", "position_coin")):
        coins = number(row["position_coin"])
        if not abs(coins) <= MOST_COINS:
            raise RuleError(
                f"{Path(path).name}:{line}: position_coin must be a plain number of coin up to {MOST_COINS:g}, got {row['position_coin'][:30]!a}"
            )
        held[row["instrument"]] = held.get(row["instrument"], 0.0) + coins
    if not held:
        raise RuleError(f"{Path(path).name}: no line holds an instrument; expected instrument,position_coin and at least one line below")
    return held


def _write(request: Request, document: dict[str, Any], say: Any) -> None:
    if request.json_file:
        from tailwag.experiments.report_json import strict_json

        text = strict_json(document)
        if request.json_file == "-":
            sys.stdout.buffer.write(text + b"\n")
            sys.stdout.buffer.flush()
        else:
            _save(request.json_file, text)
    if request.html:
        say("drawing the report")
        from tailwag.experiments.report import report_html

        _save(request.html, report_html(document).encode())
    if request.png:
        say("drawing the card")
        from tailwag.experiments.report_card import report_card

        _save(request.png, report_card(document))


def _save(path: str, data: bytes) -> None:
    try:
        Path(path).write_bytes(data)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; name a file in a folder that exists and may be written") from None
