"""A played scenario in sentences: the answer, what broke first, through which link, who lost, what would have helped and what it costs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tailwag.experiments.run_report_words import dollars, percent, share
from tailwag.experiments.run_vaults import vault_sentences
from tailwag.experiments.scenario_hedging import hedging_sentence, plain_gain
from tailwag.experiments.scenario_late_prices import pool_accounts
from tailwag.experiments.scenario_pools import fee_sentences, loss_sentence
from tailwag.experiments.scenario_squeezes import squeeze_sentence, squeezers_of
from tailwag.figures.numbers import MINUS, compact, money
from tailwag.sim.metrics_sentences import span

Document = Mapping[str, Any]
EVENT_WORDS = {
    "liquidation": "liquidations",
    "dislocation": "price leaves where it would stand with nobody trading",
    "depth_exhausted": "one step exhausts the depth",
    "runaway": "price runs away",
    "halted": "trading is halted",
}
SAME = "the same on every path"
MOST_NAMED = 6
LEAST_CUT = 1e-9
HYPHEN = re.compile(r"(?<= )-(?=[\d$])")


def headline(document: Document) -> list[str]:
    """The sentences of a played scenario, the answer first."""
    return [sentence for sentence in _sentences(document) if sentence]


def _sentences(document: Document) -> Iterator[str]:
    yield _answer(document)
    yield _settles(document)
    yield broke_first(document)
    yield through(document)
    yield squeeze_sentence(document)
    yield from pool_accounts(document)
    yield from vault_accounts(document)
    yield loss_sentence(document)
    yield who_lost(document)
    if document["comparisons"]:
        yield from helps(document)
        yield from fee_sentences(document)
        yield hedging_sentence(document)


def estimate_words(row: Document, estimate: Document | None = None, *, signed: bool = False) -> str:
    """An estimate in the unit of its outcome.

    >>> estimate_words({"unit": "usd"}, {"value": 2.5e6, "standard_error": 1e5})
    '$2.50m ± $0.10m'
    """
    found = row if estimate is None else estimate
    if row["unit"] == "usd":
        return dollars(found, signed=signed)
    if row["unit"] == "gain":
        return plain_gain(found, signed=signed)
    return percent(found, signed=signed, unit=" points" if signed else " %")


def answer_row(document: Document) -> Document:
    """The outcome that the story asks for."""
    return next(row for row in document["outcomes"] if row["outcome"] == document["story"]["answer"])


def _answer(document: Document) -> str:
    row = answer_row(document)
    beside = _beside(document, row["outcome"])
    return f"{row['words'][:1].upper()}{row['words'][1:]}: {estimate_words(row)}{beside}; {_paths(document)}{_most(document)}."


def _most(document: Document) -> str:
    """The switch that changes the answer most, where any helps or harms."""
    rows = [(row, _of(row, document["story"]["answer"])) for row in document["comparisons"] if row["kind"] == "mitigation"]
    told = [(row["switch"], one) for row, one in rows if one is not None and one["verdict"] not in ("nothing", "unclear")]
    if not told:
        return ""
    name, one = max(told, key=lambda pair: abs(pair[1]["difference"]["value"]))
    return f"; {name} changes it most, {estimate_words(one, one['difference'], signed=True)}"


def _beside(document: Document, name: str) -> str:
    """What the same outcome is with nobody trading."""
    alone = document["alone"].get(name)
    return "" if alone is None else f", {percent(alone)} with nobody trading"


def _settles(document: Document) -> str:
    """Of a pin, how much of it is left in the settlement price."""
    settles = next((row for row in document["outcomes"] if row["outcome"] == "settles_at_strike"), None)
    if settles is None or document["story"]["answer"] != "at_strike":
        return ""
    return f"Of the pin, what is left in the settlement price: {percent(settles)} of paths settle at the strike{_beside(document, 'settles_at_strike')}."


def _paths(document: Document) -> str:
    return "one history" if document["paths"] == 1 else f"mean of {document['paths']:,} paths, seed {document['seed']}"


def broke_first(document: Document) -> str:
    """What happened first, on how many paths, and when."""
    rows = [row for row in document["first_events"] if row["first_on"]]
    if not rows:
        bound = document["story"]["dislocation_log"]
        return f"Nothing breaks: no path is stopped, and price stays within {100 * bound:g} % of where it would stand with nobody trading."
    told = [
        f"{_event(document, row)} (first on {share({'value': row['first_share']})} of paths{_when(row)})"
        for row in sorted(rows, key=lambda row: -row["first_on"])
    ]
    none = 1.0 - sum(row["first_share"] for row in rows)
    rest = f"; on {share({'value': none})} nothing breaks" if none > 1e-9 else ""
    return f"First to break: {', then '.join(told[:1])}{''.join(f', or {one}' for one in told[1:3])}{rest}."


def _event(document: Document, row: Document) -> str:
    words = EVENT_WORDS[row["event"]]
    if row["event"] == "dislocation":
        return f"{words} by {100 * document['story']['dislocation_log']:g} %"
    if row["event"] == "liquidation" and document["story"]["liquidation_usd"]:
        return f"{words} of {money(document['story']['liquidation_usd'])} and more"
    return words


def _when(row: Document) -> str:
    quartiles = row["hours_quartiles"]
    return "" if quartiles is None else f", median after {span(quartiles[1])}"


def through(document: Document) -> str:
    """Whose flow moved the price to its largest distance from fundamental."""
    rows = document["links"]
    row = next((one for one in document["outcomes"] if one["outcome"] == "largest_excess"), None)
    if row is None or not row["value"] or not rows:
        return "Nobody's flow moves the price."
    told = [f"{one['agent']} {percent(one['moved_log'], signed=True)}" for one in rows if abs(one["share"] or 0.0) >= 0.005]
    return f"Through: price is pushed {percent(row)} from fundamental at its furthest, of that {', '.join(told)}."


def vault_accounts(document: Document) -> list[str]:
    """What each option vault took, paid and made against holding its assets, which its profit counts, and what the first epoch did to the gain."""
    told = vault_sentences(document["run"].get("vaults", ()))
    return [HYPHEN.sub(MINUS, sentence).replace("+-", "±") for sentence in told]


def who_lost(document: Document) -> str:
    """Everybody's mean profit, the largest loss first."""
    rows = sorted(document["accounts"], key=lambda row: row["pnl_usd"]["value"])
    told = [f"{row['agent']} {dollars(row['pnl_usd'], signed=True)}" for row in rows[:MOST_NAMED]]
    return f"Profit and loss: {', '.join(told)}." if told else ""


def helps(document: Document) -> Iterator[str]:
    """Which switches help, which do nothing or harm, by the story's own outcome; and what the best of them costs."""
    name = document["story"]["answer"]
    found = [(row, _of(row, name)) for row in document["comparisons"] if row["kind"] == "mitigation"]
    found.sort(key=lambda pair: 0.0 if pair[1] is None else -abs(pair[1]["difference"]["value"]))
    for verdict, words in (
        ("better", "Helps (less of it)" if document["story"]["harm"] == "more" else "Helps (more of it)"),
        ("lower", "Lower"),
        ("higher", "Higher"),
        ("unclear", "No clear effect"),
        ("nothing", "Does nothing here"),
        ("worse", "Harms"),
    ):
        told = [
            f"{row['switch']}{_change(one, verdict)}" for row, one in found if one is not None and verdict_for(document, one) == verdict
        ]
        if told:
            yield f"{words}: {', '.join(told)}."
    yield from _cost(document, found)
    known = [(row, _of(row, name)) for row in document["comparisons"] if row["kind"] == "link"]
    told = [f"{row['switch']} {_signed(one)}" for row, one in known if one is not None]
    if told:
        yield f"What each link carries: {', '.join(told)}."


def verdict_for(document: Document, row: Document) -> str:
    """The verdict on an outcome; where the story says that less of it is the harm, better and worse trade places."""
    turned = {"better": "worse", "worse": "better"} if document["story"]["harm"] == "less" else {}
    found = str(row["verdict"])
    return turned.get(found, found) if row["outcome"] == document["story"]["answer"] else found


def _change(row: Document, verdict: str) -> str:
    return "" if verdict == "nothing" else f" {_signed(row)}"


def _signed(row: Document) -> str:
    z = "" if row["z"] is None else f" (z {row['z']:+.3g})".replace("-", MINUS)
    return f"{estimate_words(row, row['difference'], signed=True)}{z}" if row["verdict"] != "nothing" else SAME


def _of(row: Document, name: str) -> Document | None:
    return next((one for one in row["outcomes"] if one["outcome"] == name), None)


def _cost(document: Document, found: list[tuple[Document, Document | None]]) -> Iterator[str]:
    """What the switch that helps most costs: gaps left unhedged, halts, and profits that fall."""
    better = [(row, one) for row, one in found if one is not None and verdict_for(document, one) in ("better", "lower")]
    if not better:
        return
    best, _ = max(better, key=lambda pair: abs(pair[1]["difference"]["value"]))
    sought = {f"pnl:{name}" for name in squeezers_of(document)}
    costs = [
        row
        for row in best["outcomes"]
        if row["outcome"] not in sought
        and (row["more_is"] == "cost" or row["outcome"].startswith("pnl:"))
        and verdict_for(document, row) in ("worse", "lower", "higher")
        and _costs(row)
    ]
    told = [f"{row['words']} {estimate_words(row, row['difference'], signed=True)}" for row in costs]
    cut = best["options_not_written"]
    told += [f"{percent({'value': cut})} of the options not written"] if cut and abs(cut) > LEAST_CUT else []
    asks = f" Beside that, {best['asks']}." if best["asks"] else ""
    yield f"What {best['switch']} costs: {', '.join(told) if told else 'nothing clear in these accounts'}.{asks}"


def _costs(row: Document) -> bool:
    rises = row["difference"]["value"] > 0.0
    return rises if row["more_is"] == "cost" else not rises


def plain_number(value: float | None) -> str:
    """z and counts in three figures, signed.

    >>> plain_number(None), plain_number(-12.345)
    ('n/a', '−12.3')
    """
    return "n/a" if value is None else compact(value, signed=True)
