"""A desk's own positions as a book to simulate: options by name, at the vols of a measurement or at one stated vol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tailwag.errors import InputError, InstrumentNameError
from tailwag.experiments.scenario_book import checked_measurement, measured_book
from tailwag.exposure.holdings import Holding, read_holdings
from tailwag.hedging.policies import EveryStep
from tailwag.market.clock import format_time, parse_time_ns
from tailwag.market.instrument import Option, parse_future, parse_option
from tailwag.sim.agents.dealer import Dealer
from tailwag.sim.dynamics import Gbm
from tailwag.sim.grid import TimeGrid
from tailwag.sim.impact import ImpactModel
from tailwag.sim.option_book import OptionBook
from tailwag.sim.scenario import Costs, Scenario
from tailwag.units import NS_PER_YEAR

if TYPE_CHECKING:
    from tailwag.experiments.frontier_books import Terms

HOURS, STEP_MINUTES = 24.0, 5.0
AVERAGED_VENUE = "deribit"


def desk_book(text: str, measurement: Any, name: str, start_ns: int) -> tuple[OptionBook, tuple[str, ...]]:
    """The desk's options at the measured vol and forward of each; one that is not listed takes its expiry's, between the nearest strikes.

    Futures are left out: the hedge is built anew.  InputError for an option whose expiry the measurement does not know.
    """
    document = checked_measurement(measurement, name)
    options, left_out = _options(text)
    rows = _rows(document)
    _refuse_currency(document, options, name)
    found = [_measured_row(held, option, rows, name) for held, option in options]
    columns = {key: [row[key] for row in found] for key in found[0]}
    mine = {**document, "book": columns}
    book, _ = measured_book(mine, name, start_ns)
    notes = [f"the desk holds {book.rows} options at the measured vols, one coin a contract"]
    between = [row["instrument"] for row in found if row["iv_source"] == "between"]
    if between:
        notes.append(f"not listed, and priced between the strikes of their expiry: {', '.join(between[:5])}{' ...' if between[5:] else ''}")
    return book, (*notes, *left_out)


def desk_alone(text: str, terms: Terms, *, costs: Costs) -> tuple[Scenario, tuple[str, ...]]:
    """A market in which the desk alone hedges: price, time, depth and one vol are stated, and everything else follows.

    InputError that names what is missing.
    """
    needed = {"spot_usd": terms.spot_usd, "vol": terms.vol, "at": terms.at, "depth_usd_per_pct": terms.depth_usd_per_pct}
    missing = [f"--{key.replace('_', '-')}" for key, value in needed.items() if value is None]
    if missing:
        raise InputError(f"positions need a market: give --measurement FILE (tailwag measure --json), or {', '.join(missing)}")
    spot_usd, vol, depth = float(terms.spot_usd or 0.0), float(terms.vol or 0.0), float(terms.depth_usd_per_pct or 0.0)
    if not 1.0 <= depth <= 1e18:
        raise InputError(f"expected a depth from 1 to 1e18 USD per 1 %, got {depth:g}; 40e6 is 40 million dollars")
    if terms.hedge_share is not None or terms.market_share != 1.0:
        raise InputError("--hedge-share and --market-share are about the market's book, and this market is the desk alone; leave them out")
    start_ns = parse_time_ns(str(terms.at))
    options, left_out = _options(text)
    book = _flat_book(options, start_ns, spot_usd, vol)
    clearing = terms.clearing or "implicit"
    delay = terms.delay_steps if terms.delay_steps is not None else 0 if clearing == "implicit" else 1
    hours = HOURS if terms.hours is None else terms.hours
    scenario = Scenario(
        spot_usd=spot_usd,
        grid=TimeGrid.uniform(horizon_days=hours / 24.0, step_minutes=terms.step_minutes or STEP_MINUTES),
        price=Gbm(vol),
        impact=ImpactModel(permanent_per_usd=0.01 / depth),
        agents=(Dealer("desk", EveryStep(), delay, options=book),),
        clearing=clearing,
        costs=costs,
        start_ns=start_ns,
    )
    notes = (
        f"the desk holds {book.rows} options at one vol of {100 * vol:g} % and forwards at spot, one coin a contract; nobody else hedges",
        f"a price of vol {100 * vol:g} % a year before the desk's own impact, which stays: 0.01 / depth per USD",
    )
    return scenario, (*notes, *left_out)


def _options(text: str) -> tuple[list[tuple[Holding, Option]], tuple[str, ...]]:
    """Options of a CSV, and a sentence on the rest."""
    options, rest = [], []
    for held in read_holdings(text):
        try:
            option = parse_option(held.instrument)
        except InstrumentNameError:
            _refuse_unknown(held)
            rest.append(held.instrument)
            continue
        if held.contracts is None:
            raise InputError(f"own book: option {held.instrument} needs contracts, not an amount in USD or coin")
        options.append((held, option))
    if not options:
        raise InputError("own book: expected an option at least, got futures only; their delta never changes, so there is nothing to hedge")
    return options, (f"futures are left out, the hedge is built anew: {', '.join(rest[:5])}",) if rest else ()


def _refuse_currency(document: Mapping[str, Any], options: list[tuple[Holding, Option]], name: str) -> None:
    currency = document.get("currency")
    for _, option in options:
        if isinstance(currency, str) and option.currency != currency:
            raise InputError(f"own book: {option.name} is an option on {option.currency}, {name} is about {currency}; leave it out")


def _refuse_unknown(held: Holding) -> None:
    try:
        parse_future(held.instrument)
    except InstrumentNameError:
        raise InputError(
            f"own book: expected an option or a future such as BTC-27MAR26-60000-C, got {held.instrument[:60]!a}; correct its name"
        ) from None


def _flat_book(options: list[tuple[Holding, Option]], start_ns: int, spot_usd: float, vol: float) -> OptionBook:
    for _, option in options:
        if option.expiry_ns <= start_ns:
            raise InputError(f"own book: {option.name} expired at {format_time(option.expiry_ns)}, before --at; leave it out")
    count = len(options)
    return OptionBook(
        np.array([1 if option.right == "call" else -1 for _, option in options]),
        np.array([option.strike_usd for _, option in options]),
        np.array([(option.expiry_ns - start_ns) / NS_PER_YEAR for _, option in options]),
        np.array([float(held.contracts or 0.0) for held, _ in options]),
        np.full(count, vol),
        np.ones(count),
        np.zeros(count),
        np.array([option.settlement == "inverse" for _, option in options]),
    )


def _rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The measured book row by row, those with a vol and a forward."""
    book = document.get("book")
    columns = book if isinstance(book, Mapping) else {}
    names = ("instrument", "right", "strike_usd", "expiry", "iv", "forward_usd", "settlement", "venue")
    lists = [columns.get(name) for name in names]
    if not all(isinstance(one, list) for one in lists):
        return []
    rows = [dict(zip(names, row, strict=True)) for row in zip(*lists, strict=False)]
    return [row for row in rows if isinstance(row["iv"], float) and isinstance(row["forward_usd"], float) and row["iv"] > 0.0]


def _measured_row(held: Holding, option: Option, rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """One option as a row of a measured book."""
    size = {"position_coin": float(held.contracts or 0.0)}
    listed = next((row for row in rows if row["instrument"] == held.instrument and held.venue in ("", str(row["venue"]).lower())), None)
    if listed is not None:
        return {**listed, **size, "iv_source": "venue"}
    alike = sorted((row for row in rows if parse_time_ns(row["expiry"]) == option.expiry_ns), key=lambda row: float(row["strike_usd"]))
    if not alike:
        raise InputError(
            f"own book: {option.name} is not in {name}, and no option there expires at {format_time(option.expiry_ns)}; leave it out"
        )
    strikes, vols = (np.array([float(row[key]) for row in alike]) for key in ("strike_usd", "iv"))
    vol = float(np.interp(np.log(option.strike_usd), np.log(strikes), vols))
    mine = {"instrument": option.name, "right": option.right, "strike_usd": option.strike_usd, "iv": vol, "settlement": option.settlement}
    return {**alike[0], **mine, **size, "iv_source": "between"}
