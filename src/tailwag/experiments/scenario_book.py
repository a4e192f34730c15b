"""A measured book as a simulated dealer holds it: the ``book`` columns of a ``tailwag.measure/1`` document, masked rows counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tailwag.errors import FileFormatError, InputError
from tailwag.experiments.document import SCHEMA
from tailwag.exposure.book import AVERAGING_VENUES
from tailwag.kernels.arrays import BoolArray, FloatArray
from tailwag.kernels.svi import RAW_NAMES, variance_derivatives
from tailwag.market.clock import parse_time_ns
from tailwag.sim.option_book import VOL_FLOOR, WINDOW_YEARS, OptionBook
from tailwag.surface.dynamics import parse_dynamics
from tailwag.units import NS_PER_YEAR

COLUMNS = ("right", "strike_usd", "expiry", "position_coin", "iv", "forward_usd", "settlement", "venue")
MOST_VOL = 10.0
Document = Mapping[str, Any]


def measured_book(document: Any, name: str, start_ns: int) -> tuple[OptionBook, tuple[str, ...]]:
    """The dealers' live options of a measurement, and sentences on what was left out and who is assumed to be short.

    A row without a position, vol, forward or time is masked and counted; a row that expires at or before the start has settled.  Rows keep
    their forward over spot, and under sticky-moneyness or ssr:VALUE their vol follows spot by (R - 1) times the smile's slope.
    FileFormatError for a document of another schema, InputError for a book without a live row.
    """
    columns = _columns(checked_measurement(document, name), name)
    spot_usd = _spot(document, name)
    usable, right, numbers, expiry_ns = _parsed(columns)
    ratio = numbers["forward_usd"] / spot_usd
    readable = usable & (numbers["iv"] >= VOL_FLOOR) & (numbers["iv"] <= MOST_VOL) & (ratio > 0.0) & (numbers["strike_usd"] > 0.0)
    years = (expiry_ns - start_ns) / NS_PER_YEAR
    averaged = _settles_on_average(columns)
    settling = readable & averaged & (years > 0.0) & (years < WINDOW_YEARS)
    live = readable & (years > 0.0) & ~settling
    held = live & (numbers["position_coin"] != 0.0)
    if not held.any():
        raise InputError(_nothing_left(name, readable, live))
    book = OptionBook(
        right[held],
        numbers["strike_usd"][held],
        years[held],
        numbers["position_coin"][held],
        numbers["iv"][held],
        ratio[held],
        _skews(document, columns, numbers, name)[held],
        averaged[held],
    )
    return book, _notes(document, name, readable, live | settling, int(settling.sum()))


def _settles_on_average(columns: dict[str, list[Any]]) -> BoolArray:
    """Rows that settle on the mean index of the last 30 minutes: those of crypto venues, and whatever settles in coin."""
    pairs = zip(columns["venue"], columns["settlement"], strict=True)
    return np.array([str(venue).lower() in AVERAGING_VENUES or settlement == "inverse" for venue, settlement in pairs])


def checked_measurement(document: Any, name: str) -> Document:
    """The document, refused unless it is a measurement of the schema that this version writes."""
    if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
        found = document.get("schema") if isinstance(document, Mapping) else None
        raise FileFormatError(
            f"{name}: expected a measurement of schema {SCHEMA}, got {ascii(found)[:40]}; make one with tailwag measure SOURCE --json {name}"
        )
    return document


def _columns(document: Document, name: str) -> dict[str, list[Any]]:
    book = document.get("book")
    columns = {key: book.get(key) for key in COLUMNS} if isinstance(book, Mapping) else {}
    if "venue" in columns and columns["venue"] is None and isinstance(columns["right"], list):
        columns["venue"] = [""] * len(columns["right"])
    lengths = {len(column) for column in columns.values() if isinstance(column, list)}
    if not columns or not all(isinstance(column, list) for column in columns.values()) or len(lengths) != 1:
        raise FileFormatError(
            f"{name}: expected a book of columns {', '.join(COLUMNS)} of one length, got another; measure again with this version"
        )
    if lengths == {0}:
        raise InputError(f"{name}: the measured book is empty, so there is nothing to hedge; measure a chain that lists options")
    return columns  # type: ignore[return-value]


def _spot(document: Document, name: str) -> float:
    spot = document.get("spot_usd")
    if isinstance(spot, bool) or not isinstance(spot, int | float) or not spot > 0.0:
        raise FileFormatError(f"{name}: expected spot_usd above 0, got {ascii(spot)[:40]}; measure a chain that states its price")
    return float(spot)


def _parsed(columns: dict[str, list[Any]]) -> tuple[BoolArray, Any, dict[str, FloatArray], Any]:
    """Which rows are whole, and their columns as arrays; a masked row is filled with NaN, 0 and no time."""
    numbers = {key: np.array([_number(value) for value in columns[key]]) for key in ("strike_usd", "position_coin", "iv", "forward_usd")}
    right = np.array([{"call": 1, "put": -1}.get(value, 0) if isinstance(value, str) else 0 for value in columns["right"]], dtype=np.int64)
    expiry_ns = np.array([_time(value) for value in columns["expiry"]], dtype=np.int64)
    whole = np.all([np.isfinite(values) for values in numbers.values()], axis=0)
    return np.asarray(whole & (right != 0) & (expiry_ns > 0)), right, numbers, expiry_ns


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else np.nan


def _time(value: Any) -> int:
    try:
        return parse_time_ns(value) if isinstance(value, str) else 0
    except InputError:
        return 0


def _nothing_left(name: str, readable: BoolArray, live: BoolArray) -> str:
    count = readable.size
    if not readable.any():
        return (
            f"{name}: all {count} rows of the measured book are masked, so there is nothing to hedge; see the mask codes of the measurement"
        )
    if not live.any():
        return f"{name}: every option of the measured book has expired at the start of the run; take the measurement's as_of as start"
    return f"{name}: every live row of the measured book has a position of 0, so there is nothing to hedge; measure under another rule"


def _skews(document: Document, columns: dict[str, list[Any]], numbers: dict[str, FloatArray], name: str) -> FloatArray:
    """d(vol)/d(ln spot) of every row under the measurement's smile dynamics: (R - 1) times the slope of its expiry's smile."""
    ratio = parse_dynamics(str(_inside(document, "assumptions", "dynamics"))).ratio
    if ratio == 1.0:
        return np.zeros(len(columns["right"]))
    smiles = {(str(smile.get("venue")), str(smile.get("expiry"))): smile for smile in _list(_inside(document, "surface", "smiles"))}
    with np.errstate(invalid="ignore", divide="ignore"):
        moneyness = np.log(numbers["strike_usd"] / numbers["forward_usd"])
    slopes = np.array(
        [
            _slope(smiles.get((str(venue), str(expiry))), float(k), name)
            for venue, expiry, k in zip(columns["venue"], columns["expiry"], moneyness, strict=True)
        ]
    )
    return np.asarray((ratio - 1.0) * slopes)


def _slope(smile: Document | None, log_moneyness: float, name: str) -> float:
    """d vol / d ln K of one smile: of its SVI parameters, else between the points of its drawn curve; 0 where there is no smile."""
    if smile is None or not np.isfinite(log_moneyness):
        return 0.0
    try:
        parameters = smile["parameters"]
        if all(key in parameters for key in RAW_NAMES):
            raw, years = np.array([float(parameters[key]) for key in RAW_NAMES]), float(smile["years"])
            variance, first, _ = variance_derivatives(np.array([log_moneyness]), raw)
            return float(first[0] / (2.0 * np.sqrt(variance[0] * years)))
        curve = np.array([(float(point["log_moneyness"]), float(point["iv"])) for point in smile["curve"]])
        return float(np.interp(log_moneyness, curve[:, 0], np.gradient(curve[:, 1], curve[:, 0]))) if len(curve) > 1 else 0.0
    except (KeyError, TypeError, ValueError):
        raise FileFormatError(
            f"{name}: a smile of the measurement cannot be read, and its dynamics need it; measure again with this version"
        ) from None


def _inside(document: Document, block: str, key: str) -> Any:
    found = document.get(block)
    return found.get(key) if isinstance(found, Mapping) else None


def _list(value: Any) -> list[Any]:
    return [part for part in value if isinstance(part, Mapping)] if isinstance(value, list) else []


def _notes(document: Document, name: str, readable: BoolArray, live: BoolArray, settling: int) -> tuple[str, ...]:
    rules = [str(rule) for rule in _inside(document, "assumptions", "rules") or []]
    first = rules[0] if rules else "an unnamed rule"
    notes = [
        f"{name}: dealers hold the book of {first}, an assumption, with the smile dynamics {_inside(document, 'assumptions', 'dynamics')}"
    ]
    masked, settled = int((~readable).sum()), int((readable & ~live).sum())
    if masked:
        notes.append(f"{name}: {masked} of {readable.size} rows are masked (no position, vol, forward or time) and left out")
    if settled:
        notes.append(f"{name}: {settled} of {readable.size} rows expire at or before the start and are left out")
    if settling:
        notes.append(
            f"{name}: the settlement average of {settling} rows is running at the start; its value so far is not in the file, they are left out"
        )
    if _inside(document, "gain", "regime") == "undetermined":
        notes.append(
            f"{name}: the sign of the book is undetermined, the rules {', '.join(rules)} do not agree; who is short decides this run"
        )
    if _inside(document, "source", "synthetic"):
        notes.append(f"{name}: SYNTHETIC demo data, no real quote in it")
    return tuple(notes)
