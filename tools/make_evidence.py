"""The evidence from the recordings: builds the history, runs the whole study, and writes what docs/evidence/results.md shows.

    python tools/make_evidence.py DATA --store DIR            measure, study, write docs/evidence/results.json and the tables of results.md
    python tools/make_evidence.py DATA --store DIR --check    the same, compared with what is written there; says what differs and ends with 1

DATA is the folder that holds deribit-chains and prices.  DIR keeps the history, so that a second run goes on where the first one stopped.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from draw_evidence import results

from tailwag.errors import TailwagError
from tailwag.experiments.study.history import build_history
from tailwag.experiments.study.history_maps import Processes
from tailwag.experiments.study.history_options import HistoryOptions
from tailwag.experiments.study.run import StudyRequest, study
from tailwag.experiments.study.words import number, p_value
from tailwag.figures.numbers import MINUS

HERE = Path(__file__).resolve().parent.parent / "docs" / "evidence"
RESULTS, PAGE, README = HERE / "results.json", HERE / "results.md", HERE.parent.parent / "README.md"
CHAINS, CANDLES = "deribit-chains", "prices/ocean_BTCUSDT_15m_2025-08_2026-05.csv.gz"
OPTIONS = HistoryOptions(
    rules=("long-calls-short-puts", "short-all", "customers-sell-otm"),
    dynamics=("sticky-strike", "sticky-moneyness"),
    depth_usd_per_pct=5e8,
)
PICTURE = HERE.parent / "images" / "study.svg"
BEGIN, END = "<!-- {}: made by tools/make_evidence.py -->", "<!-- end -->"
Document = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--check", action="store_true")
    told = parser.parse_args()
    try:
        found = short(evidence(told.data, told.store, workers=told.workers))
    except TailwagError as error:
        print(error, file=sys.stderr)
        return 2
    if told.check:
        return _compared(found)
    PICTURE.write_text(results(found))
    RESULTS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    for page in (PAGE, README):
        page.write_text(with_tables(page.read_text(), found))
    return 0


def evidence(data: Path, store: Path, *, workers: int) -> Document:
    """The history of both coins, and the document of ``tailwag study all`` on it."""

    def said(done: int, whole: int) -> None:
        sys.stderr.write(f"\r{done} of {whole} snapshots")

    history = build_history([str(data / CHAINS)], store, OPTIONS, currencies=("BTC", "ETH"), run=Processes(workers), progress=said)
    sys.stderr.write("\n")
    document = study(StudyRequest("all", str(store), str(data / CANDLES)), say=lambda text: print(text, file=sys.stderr))
    return document | {"snapshots": history.document["currencies"]}


def short(document: Document) -> Document:
    """The document without the placebos' single values; a rank and their middle 95 % stay."""
    for entry in document["hypotheses"]:
        for one in entry["placebos"]:
            values = sorted(one.pop("values"))
            one |= {"middle_low": _share(values, 0.025), "middle_high": _share(values, 0.975)}
    return document


def _share(ordered: list[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def _compared(found: Document) -> int:
    wrong = list(differences(json.loads(RESULTS.read_text()), json.loads(json.dumps(found)), "results"))
    wrong += [f"{page.name}: its tables are others" for page in (PAGE, README) if with_tables(page.read_text(), found) != page.read_text()]
    print(*(wrong or ["the same"]), sep="\n")
    return 1 if wrong else 0


def differences(old: Any, new: Any, where: str) -> list[str]:
    """Where two documents differ: numbers by more than a millionth part, everything else at all."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = sorted({*old, *new})
        return [line for name in names for line in differences(old.get(name), new.get(name), f"{where}.{name}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [line for place, pair in enumerate(zip(old, new)) for line in differences(*pair, f"{where}[{place}]")]
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (old, new))
    same = math.isclose(old, new, rel_tol=1e-6, abs_tol=1e-12) if numbers else old == new
    return [] if same else [f"{where}: {str(old)[:80]} was written, {str(new)[:80]} came"]


def with_tables(page: str, found: Document) -> str:
    """The page with every marked part made anew."""
    for name, made in TABLES.items():
        head, begin, rest = page.partition(BEGIN.format(name))
        if begin:
            page = f"{head}{begin}\n\n{made(found)}\n\n{END}{rest.partition(END)[2]}"
    return page


def _rows(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _hypotheses(found: Document) -> str:
    rows = []
    for entry in found["hypotheses"]:
        rejected = found["rejected"]["primary"] | found["rejected"]["secondary"]
        one = next(iter(entry["estimates"]), None)
        if one is None:
            rows.append((f"`{entry['name']}`", entry["predicted_says"], "none", "", "", "", "", "no"))
            continue
        bootstrap = "" if one["block_low"] is None else _reach(one, "block_")
        rows.append(
            (
                f"`{entry['name']}`",
                entry["predicted_says"].replace("-1", f"{MINUS}1"),
                number(one["value"]),
                _reach(one),
                bootstrap,
                p_value(one["p_value"]),
                number(one["seen_at"]),
                "**yes**" if rejected[entry["name"]] else "no",
            )
        )
    own = found["out_of_sample"]
    if not own["refused"]:
        share = f"R2 {100 * own['r2']:.2f} %".replace("-", MINUS)
        rows.append(
            (
                "`out-of-sample`",
                "R2 above 0",
                share,
                "",
                "",
                p_value(own["clark_west"]["p_value"]),
                "",
                "**yes**" if found["rejected"]["secondary"]["out-of-sample"] else "no",
            )
        )
    return _rows(("hypothesis", "predicted", "found", "95 %", "bootstrap", "p", "seen at", "0 rejected"), rows)


def _reach(one: Document, prefix: str = "") -> str:
    return f"{number(one[prefix + 'low'])} to {number(one[prefix + 'high'])}"


def _label(other: Document) -> str:
    later = f", known {10 + other['later_minutes']:g} minutes after it began" if other["later_minutes"] else ""
    return f"`{other['rule']}`, {other['dynamics']}, depth {other['depth']}{later}"


def _others(found: Document) -> str:
    labels: dict[str, dict[str, str]] = {}
    for entry in found["hypotheses"]:
        for other in entry["other_assumptions"]:
            one = other["estimate"]
            told = "none" if one is None else f"{number(one['value'])} ({_reach(one)})"
            labels.setdefault(_label(other), {})[entry["name"]] = told
    names = [entry["name"] for entry in found["hypotheses"] if entry["other_assumptions"]]
    rows = [(label, *(told.get(name, "") for name in names)) for label, told in labels.items()]
    return _rows(("assumed", *(f"`{name}`" for name in names)), rows)


def _placebos(found: Document) -> str:
    rows = [
        (
            f"`{entry['name']}`",
            one["name"],
            str(one["placebos"]),
            number(one["true"]),
            f"{number(one['middle_low'])} to {number(one['middle_high'])}",
            f"{100 * one['share_as_far']:.3g} %",
        )
        for entry in found["hypotheses"]
        for one in entry["placebos"]
    ]
    return _rows(("hypothesis", "placebo", "drawn", "true", "middle 95 % of them", "as far from 0"), rows)


def _signs(found: Document) -> str:
    told = found["identification"]
    if told["refused"]:
        return str(told["refused"])
    rows = [
        (
            ", ".join(f"{number(weight)} {name}" for name, weight in one["weights"].items()),
            f"{100 * one['information']:.3g} %",
            f"{number(one['estimate']['value'])} ({_reach(one['estimate'])})",
            number(one["estimate"]["seen_at"]),
        )
        for one in told["contrasts"]
    ]
    return _rows(("sum of signs", "share of the information", "estimate (95 %)", "seen at"), rows)


def _coins(found: Document) -> str:
    rows = []
    for told in found["replication"]:
        one = None if told["refused"] else told["estimates"][0]
        rows.append(
            (told["currency"], "none", told["refused"], "", "")
            if one is None
            else (told["currency"], number(one["value"]), _reach(one), p_value(one["p_value"]), number(one["seen_at"]))
        )
    return _rows(("coin", "gain x return", "95 %", "p", "seen at"), rows)


def _left_out(found: Document) -> str:
    rows = [
        (
            f"`{entry['name']}`",
            str(one["rows"]) if (one := next(iter(entry["estimates"]), None)) else "0",
            ", ".join(f"{reason}: {count:,}" for reason, count in entry["left_out"].items() if count) or "nothing",
        )
        for entry in found["hypotheses"]
    ]
    return _rows(("hypothesis", "rows", "left out"), rows)


def _digests(found: Document) -> str:
    rows = [("analysis plan, version " + str(found["plan"]["version"]), found["plan"]["sha256"])]
    rows += [(name, digest) for name, digest in found["history"]["tables"].items()]
    rows += [(found["candles"]["name"], found["candles"]["sha256"])]
    return _rows(("file", "SHA-256"), [(name, f"`{digest}`") for name, digest in rows])


def _named(found: Document) -> dict[str, Document]:
    return {entry["name"]: entry for entry in found["hypotheses"]}


def _answer(found: Document) -> str:
    one = _named(found)["reversal"]["estimates"][0]
    held = [_primary(found, one), _secondary(found), _forecast(found)]
    return "\n".join(f"* {line}" for line in held)


def _primary(found: Document, one: Document) -> str:
    decision = "is rejected" if found["rejected"]["primary"]["reversal"] else "cannot be rejected: **a null**"
    bound = "inside" if one["low"] <= 1.0 <= one["high"] else "outside"
    return (
        f"**Mechanism, the primary hypothesis.** {one['rows']:,} quarters of an hour of BTCUSDT, {found['history']['rows']} snapshots of the chain. "
        f"The next return continues the present one by {_short(one['value'])} times the loop gain (95 % interval {_near(one)}; bootstrap "
        f"{_near(one, 'block_')}; p {p_value(one['p_value'])}). That it is 0 {decision}. An effect of {_short(one['seen_at'])} would have been seen in four of "
        f"five such samples. 1, all hedging one candle late in a market of USD 500 million per 1 %, lies {bound} the interval{_how_deep(found, one)}."
    )


def _how_deep(found: Document, one: Document) -> str:
    """Up to which depth the interval leaves 1 out: coefficients grow with it."""
    if not one["low"] <= 1.0 <= one["high"] and one["high"] > 0.0:
        most = found["assumptions"]["depth_usd_per_pct"] / max(one["high"], one["block_high"])
        return f", and would up to a depth of USD {most / 1e9:.1f} billion per 1 % for the hedged share of the book"
    return ""


def _short(value: float) -> str:
    """Two decimals with a true minus, for sentences."""
    return f"{value:.2f}".replace("-", MINUS)


def _near(one: Document, prefix: str = "") -> str:
    return f"{_short(one[prefix + 'low'])} to {_short(one[prefix + 'high'])}"


def _secondary(found: Document) -> str:
    rejected = [name for name, held in found["rejected"]["secondary"].items() if held]
    name, least = min(found["rejected"]["p_values"].items(), key=lambda pair: pair[1])
    said = "none is rejected" if not rejected else f"rejected: {', '.join(f'`{one}`' for one in rejected)}"
    return (
        f"**The six others** (vol of the next day and hour, hourly shocks, the expiry at 08:00 UTC, pinning, forecasts out of sample), by Holm at 5 %: {said}. The smallest "
        f"p-value is {p_value(least)} (`{name}`)."
    )


def _forecast(found: Document) -> str:
    own = found["out_of_sample"]
    best = min(own["qlike"], key=lambda name: own["qlike"][name])
    share = f"{100 * own['r2']:.2f} %".replace("-", MINUS)
    return (
        f"**Forecast.** On {own['rows']} snapshots whose outcome was not used to fit it, the gain changes the squared error of the next day's log vol by an R2 of {share} "
        f"(p {p_value(own['clark_west']['p_value'])}). By QLIKE the best forecast is {best if best in ('with', 'without') else best + ' as it is'}."
    )


def _readme(found: Document) -> str:
    one = _named(found)["reversal"]["estimates"][0]
    rejected = found["rejected"]["primary"]["reversal"] or any(found["rejected"]["secondary"].values())
    head = "Something is rejected; read which." if rejected else "**All nulls.**"
    return (
        f"{head} On {found['history']['rows']} recorded BTC chains of five months, the sign of dealers' gamma by the usual rule (long calls, short puts) says "
        f"nothing that we could see about whether the next quarter of an hour continues or reverses: {_short(one['value'])} (95 % interval {_near(one)}), where "
        f"1 would be all hedging one candle late in a market of USD 500 million per 1 %, and {_short(one['seen_at'])} would have been seen in four of five "
        f"such samples. Six other questions (the vol of the next day and hour beyond implied and past vol, hourly shocks, the expiry at 08:00 UTC, pinning, "
        f"forecasts out of sample) have no p-value below {p_value(min(found['rejected']['p_values'].values()))}; they could have seen only large effects, "
        f"the expiry not even the size that theory gives it."
    )


def _nominal(found: Document) -> str:
    cells = [
        (entry["name"], other, other["estimate"])
        for entry in found["hypotheses"]
        for other in entry["other_assumptions"]
        if other["estimate"] is not None
    ]
    beyond = [(name, other) for name, other, one in cells if one["low"] > 0.0 or one["high"] < 0.0]
    told = "; ".join(f"`{name}` under {_label(other)} (p {p_value(other['estimate']['p_value'])})" for name, other in beyond)
    return f"Of {len(cells)} such intervals {len(beyond)} leave{'s' if len(beyond) == 1 else ''} 0 out{': ' + told if told else ''}. One in twenty would by chance alone."


def _bounds(found: Document) -> str:
    named = _named(found)
    rows = []
    for name in ("reversal", "expiry"):
        one = named[name]["estimates"][0]
        rows.append(
            (
                f"`{name}`",
                named[name]["predicted_says"].replace("-1", f"{MINUS}1"),
                "outside" if not one["low"] <= named[name]["predicted"] <= one["high"] else "inside",
                number(one["seen_at"]),
            )
        )
    for name in ("realised-vol", "realised-vol-1h"):
        one = named[name]["without_implied_vol"]["estimates"][0]
        rows.append((f"`{name}`, no implied vol", "above 0", f"{number(one['value'])} ({_reach(one)})", number(one["seen_at"])))
    return _rows(("hypothesis", "predicted", "the interval", "seen at"), rows)


def _depth(found: Document) -> str:
    told = found["identification"]["depth_from_flow"]
    if told["refused"]:
        return str(told["refused"])
    return (
        f"Signed taker flow of the same {told['windows']:,} candles of that one venue says USD {told['naive_usd_per_pct'] / 1e6:,.0f} million per 1 % by least squares, and USD "
        f"{told['cleaned_usd_per_pct'] / 1e6:,.0f} million if all hedging of the book by the rule went through it within the candle. At such a depth every gain is "
        f"{5e8 / told['naive_usd_per_pct']:.1f} to {5e8 / told['cleaned_usd_per_pct']:.1f} times as large, and the coefficients of `reversal` and `shocks`, which are linear in it, as many times smaller."
    )


def _beside(found: Document) -> str:
    own = found["out_of_sample"]
    if own["refused"]:
        return str(own["refused"])
    rows = [
        (
            name,
            f"{own['qlike'][name]:.4f}",
            f"{own['qlike_corrected'][name]:.4f}" if name in own["qlike_corrected"] else "",
            *_against(own, name),
        )
        for name in sorted(own["qlike"], key=lambda name: own["qlike"][name])
    ]
    return _rows(
        ("forecast of the next day's vol", "QLIKE (lower is better)", "mean corrected", "more than implied vol's (95 %)", "p"), rows
    )


def _against(own: Document, name: str) -> tuple[str, str]:
    one = own["beside_implied"].get(name)
    return ("", "") if one is None else (f"{number(one['value'])} ({_reach(one)})", p_value(one["p_value"]))


def _unseen_others(found: Document) -> str:
    rows = [
        (_label(one), "none", "")
        if one["refused"]
        else (_label(one), f"{100 * one['r2']:.2f} %".replace("-", MINUS), p_value(one["clark_west"]["p_value"]))
        for one in found["out_of_sample"]["other_assumptions"]
    ]
    return _rows(("assumed", "R2", "p"), rows)


def _signs_note(found: Document) -> str:
    told = found["identification"]
    if told["refused"]:
        return ""
    beyond = [one["estimate"]["p_value"] for one in told["contrasts"] if one["estimate"]["low"] > 0.0 or one["estimate"]["high"] < 0.0]
    count = len(told["contrasts"])
    chance = 100 * (1.0 - 0.95**count)
    held = sum(one["information"] for one in told["contrasts"][:2])
    said = f" (p {', '.join(p_value(value) for value in beyond)})" if beyond else ""
    return (
        f"The first two sums carry {100 * held:.0f} % of the information. {len(beyond)} of {count} intervals leave{'s' if len(beyond) == 1 else ''} 0 out{said}; that at least one "
        f"does by chance alone has a probability of {chance:.0f} %. All of it is descriptive."
    )


TABLES = {
    "answer": _answer,
    "readme": _readme,
    "bounds": _bounds,
    "nominal": _nominal,
    "depth": _depth,
    "hypotheses": _hypotheses,
    "other assumptions": _others,
    "placebos": _placebos,
    "forecasts": _beside,
    "unseen others": _unseen_others,
    "signs note": _signs_note,
    "signs": _signs,
    "coins": _coins,
    "left out": _left_out,
    "digests": _digests,
}


if __name__ == "__main__":
    sys.exit(main())
