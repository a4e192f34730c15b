"""The tables of a study's page: every estimate, placebo, other assumption, forecast, contrast and exclusion, as the document has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tailwag.experiments.study.report_view import Document, assumed_name, between, first_of, judged, number, p_value, rank
from tailwag.figures.numbers import UNKNOWN, money, percent

Cells = list[list[str]]
Heads = Sequence[str]
HYPOTHESES: Heads = (
    "hypothesis",
    "estimate",
    "error",
    "95 %, jackknife",
    "95 %, bootstrap",
    "p",
    "decision",
    "seen in 4 of 5",
    "predicted",
    "rows",
    "blocks",
)
COEFFICIENTS: Heads = ("coefficient", "estimate", "error", "95 %, jackknife", "95 %, bootstrap", "p", "seen in 4 of 5")
OTHERS: Heads = ("assumed", "estimate", "95 %", "p", "seen in 4 of 5", "rows")
PLACEBOS: Heads = ("hypothesis", "placebo", "true figure", "place by distance from 0", "of", "share as far")
FORECASTS: Heads = (
    "assumed",
    "R2 out of sample",
    "Clark and West's p",
    "QLIKE with",
    "without",
    "sigma/(1-G)",
    "implied vol",
    "past day's vol",
    "forecasts",
)
SIGNS: Heads = ("part of the book", "sign", "95 %", "seen in 4 of 5", "what the data say")
REPLICATIONS: Heads = ("coin", "estimate", "95 %", "p", "seen in 4 of 5", "rows")
LEFT_OUT: Heads = ("of", "reason", "left out", "kept")


def hypothesis_cells(document: Document) -> Cells:
    """A row for each hypothesis, and for vol without implied vol; the out-of-sample question last."""
    rows = []
    for entry in document["hypotheses"]:
        one = first_of(entry)
        size = "" if not entry["predicted"] else number(entry["predicted"])
        if one is None:
            rows.append([entry["name"], UNKNOWN, *[""] * 4, "no estimate", "", size, "", ""])
            continue
        other = first_of(entry.get("without_implied_vol"))
        rows.append(_estimate_cells(entry["name"], one, decision(document, entry), "" if "without_implied_vol" in entry else size))
        if other is not None:
            rows.append(_estimate_cells(f"{entry['name']}, no implied vol", other, "descriptive", size))
    return rows


def _estimate_cells(name: str, one: Document, decided: str, predicted: str) -> list[str]:
    value, error, reach, bootstrap, p, seen = coefficient_cells(name, one)[1:]
    return [name, value, error, reach, bootstrap, p, decided, seen, predicted, f"{one['rows']:,}", str(one["blocks"])]


def coefficient_cells(name: str, one: Document) -> list[str]:
    """One coefficient as a row."""
    bootstrap = "" if one["block_low"] is None else between(one["block_low"], one["block_high"])
    reach = between(one["low"], one["high"])
    return [name, number(one["value"]), number(one["error"]), reach, bootstrap, p_cell(one["p_value"]), number(one["seen_at"])]


def decision(document: Document, entry: Document) -> str:
    """The plan's decision in two words."""
    if not entry["estimates"]:
        return "no estimate"
    verdict = judged(document, entry)
    how = "" if verdict.corrected else " alone"
    if verdict.rejected:
        return f"{'opposite ' if verdict.against else ''}shown{how}"
    return f"not shown{how}"


def other_cells(document: Document, entry: Document) -> Cells:
    """A hypothesis under the other assumptions; what could not be had, with the reason."""
    rows = []
    for row in entry["other_assumptions"]:
        one, name = row["estimate"], assumed_name(document, row)
        if one is None:
            rows.append([name, UNKNOWN, "", "", "", ""])
            continue
        rows.append(_short_cells(name, one))
    return rows


def _short_cells(name: str, one: Document) -> list[str]:
    reach = between(one["low"], one["high"])
    return [name, number(one["value"]), reach, p_cell(one["p_value"]), number(one["seen_at"]), f"{one['rows']:,}"]


def p_cell(value: float) -> str:
    """A p-value as a column of numbers has it.

    >>> p_cell(0.0), p_cell(0.25)
    ('<0.0001', '0.25')
    """
    return p_value(value).replace("below ", "<")


def not_had(document: Document) -> list[str]:
    """Which sets of assumptions could not be had, and why, each once."""
    rows = [row for entry in document["hypotheses"] for row in entry["other_assumptions"] if row["estimate"] is None]
    rows += [row for row in (document.get("out_of_sample") or {}).get("other_assumptions", []) if row["refused"]]
    return list(dict.fromkeys(f"{assumed_name(document, row)}: {row['refused']}" for row in rows))


def placebo_cells(document: Document) -> Cells:
    """Every placebo of every hypothesis."""
    rows = []
    for entry in document["hypotheses"]:
        for one in entry["placebos"]:
            place, among = rank(one)
            rows.append([entry["name"], one["name"], number(one["true"]), f"{place:,}", f"{among:,}", percent(one["share_as_far"])])
    return rows


def forecast_cells(document: Document) -> Cells:
    """Losses of every forecast, under the plan's assumptions first."""
    told = document["out_of_sample"]
    return [_forecast_row(document, row) for row in (told, *told.get("other_assumptions", []))]


def _forecast_row(document: Document, row: Document) -> list[str]:
    name = assumed_name(document, row)
    if row["refused"]:
        return [name, UNKNOWN, *[""] * 7]
    loss = row["qlike"]
    losses = [number(loss[key]) for key in ("with", "without", "held at 1", "implied vol", "past day's vol")]
    return [name, number(row["r2"]), p_cell(row["clark_west"]["p_value"]), *losses, f"{row['rows']:,}"]


def sign_cells(told: Document) -> Cells:
    """The sign of each part of the book, 1 short and -1 long, and whether the data can tell the two apart."""
    return [
        [one["name"], number(one["value"]), between(one["low"], one["high"]), number(one["seen_at"]), told_apart(one)]
        for one in told["signs"]
    ]


def told_apart(one: Document, *, most: float = 1.0) -> str:
    """What an interval says between -1 (all long) and 1 (all short).

    >>> told_apart({"low": -2.0, "high": 2.0}), told_apart({"low": 0.2, "high": 1.4}), told_apart({"low": -0.3, "high": 0.3})
    ('cannot tell short from long', 'not all long', 'neither all short nor all long')
    """
    short, long = one["low"] <= most <= one["high"], one["low"] <= -most <= one["high"]
    if short and long:
        return "cannot tell short from long"
    if short or long:
        return "not all long" if short else "not all short"
    return "neither all short nor all long"


def contrast_heads(told: Document) -> Heads:
    """Columns of the contrasts: their weights by part."""
    return ("sum of signs", "information", "estimate", "95 %", "could be", "told apart", *told["contrasts"][0]["weights"])


def contrast_cells(told: Document) -> Cells:
    """Sums of signs that the data see on their own, best first: told apart where the interval is narrower than what the sum could be at all."""
    return [
        [
            f"{place}.",
            percent(row["information"]),
            number(row["estimate"]["value"]),
            between(row["estimate"]["low"], row["estimate"]["high"]),
            between(-most_of(row), most_of(row)),
            "yes" if narrower(row) else "no",
            *(f"{number(weight)}" for weight in row["weights"].values()),
        ]
        for place, row in enumerate(told["contrasts"], start=1)
    ]


def most_of(contrast: Document) -> float:
    """The largest that a sum of signs can be, each sign between -1 and 1."""
    return float(sum(abs(weight) for weight in contrast["weights"].values()))


def narrower(contrast: Document) -> bool:
    """Whether the data say more of a sum of signs than that signs lie between -1 and 1."""
    return bool(contrast["estimate"]["high"] - contrast["estimate"]["low"] < 2.0 * most_of(contrast))


def correlation_cells(told: Document) -> Cells:
    """How far the parts rise and fall together once the controls are taken out."""
    names = [one["name"] for one in told["signs"]]
    return [[name, *(number(value) for value in row)] for name, row in zip(names, told["correlation"])]


def depth_cells(document: Document) -> Cells:
    """Depth as assumed, and as signed flow says it."""
    told = document["identification"]["depth_from_flow"]
    rows = [["assumed", money(document["assumptions"]["depth_usd_per_pct"])]]
    if not told["refused"]:
        rows += [["flow, naive", money(told["naive_usd_per_pct"])], ["flow, cleaned of hedgers", money(told["cleaned_usd_per_pct"])]]
    return rows


def replication_cells(document: Document) -> Cells:
    """The primary question from snapshot to snapshot, for each coin."""
    rows = []
    for told in document["replication"]:
        name = told["currency"]
        rows.append([name, UNKNOWN, *[""] * 4] if told["refused"] else _short_cells(name, told["estimates"][0]))
    return rows


def left_out_cells(document: Document, *, hit: bool) -> Cells:
    """Every exclusion by its reason: those that left something out, or those that left nothing out."""
    return [row for row in _all_left_out(document) if (row[2] != "0") is hit]


def _all_left_out(document: Document) -> Cells:
    history = document["history"]
    rows = _reasons("snapshots", history["left_out"], f"{history['rows']:,}")
    rows += _reasons("candles", {"without volume": document["candles"]["without_volume"]}, f"{document['candles']['candles']:,}")
    for name, entry in _counted(document):
        one = first_of(entry)
        rows += _reasons(name, entry["left_out"], UNKNOWN if one is None else f"{one['rows']:,}")
    return rows


def _counted(document: Document) -> Iterator[tuple[str, Document]]:
    for entry in document["hypotheses"]:
        yield entry["name"], entry
    for told in document.get("replication") or []:
        if not told["refused"]:
            yield f"replication, {told['currency']}", told


def _reasons(name: str, left_out: Mapping[str, Any], kept: str) -> Cells:
    return [[name, reason, f"{count:,}", kept] for reason, count in left_out.items()]
