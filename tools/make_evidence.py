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

from tailwag.experiments.study.history import build_history
from tailwag.experiments.study.history_maps import Processes
from tailwag.experiments.study.history_options import HistoryOptions
from tailwag.experiments.study.run import StudyRequest, study
from tailwag.experiments.study.words import number, p_value

HERE = Path(__file__).resolve().parent.parent / "docs" / "evidence"
RESULTS, PAGE = HERE / "results.json", HERE / "results.md"
CHAINS, CANDLES = "deribit-chains", "prices/ocean_BTCUSDT_15m_2025-08_2026-05.csv.gz"
OPTIONS = HistoryOptions(
    rules=("long-calls-short-puts", "short-all", "customers-sell-otm"),
    dynamics=("sticky-strike", "sticky-moneyness"),
    depth_usd_per_pct=5e8,
)
BEGIN, END = "<!-- {}: made by tools/make_evidence.py -->", "<!-- end -->"
Document = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--check", action="store_true")
    told = parser.parse_args()
    found = short(evidence(told.data, told.store, workers=told.workers))
    if told.check:
        return _compared(found)
    RESULTS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(with_tables(PAGE.read_text(), found))
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
    wrong += [] if with_tables(PAGE.read_text(), found) == PAGE.read_text() else [f"{PAGE.name}: its tables are others"]
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
    """The page with every marked table made anew."""
    for name, table in TABLES.items():
        begin = BEGIN.format(name)
        head, _, rest = page.partition(begin)
        _, _, tail = rest.partition(END)
        if not rest:
            raise SystemExit(f"{PAGE.name}: expected the line {begin}")
        page = f"{head}{begin}\n\n{table(found)}\n\n{END}{tail}"
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
            rows.append((f"`{entry['name']}`", f"{entry['predicted']:g}", "none", "", "", "", "", "no"))
            continue
        bootstrap = "" if one["block_low"] is None else _reach(one, "block_")
        rows.append(
            (
                f"`{entry['name']}`",
                f"{entry['predicted']:g}",
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
        share = f"R2 {100 * own['r2']:.2f} %".replace("-", "\u2212")
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
    return _rows(("hypothesis", "predicted", "found", "95 %", "bootstrap", "p", "seen at", "no effect rejected"), rows)


def _reach(one: Document, prefix: str = "") -> str:
    return f"{number(one[prefix + 'low'])} to {number(one[prefix + 'high'])}"


def _others(found: Document) -> str:
    labels: dict[tuple[str, str, str], dict[str, str]] = {}
    for entry in found["hypotheses"]:
        for other in entry["other_assumptions"]:
            one = other["estimate"]
            told = "none" if one is None else f"{number(one['value'])} ({_reach(one)})"
            labels.setdefault((other["rule"], other["dynamics"], other["depth"]), {})[entry["name"]] = told
    names = [entry["name"] for entry in found["hypotheses"] if entry["other_assumptions"]]
    rows = [
        (f"`{rule}`, {dynamics}, depth {depth}", *(told.get(name, "") for name in names))
        for (rule, dynamics, depth), told in labels.items()
    ]
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


def _forecasts(found: Document) -> str:
    own = found["out_of_sample"]
    if own["refused"]:
        return str(own["refused"])
    return _rows(
        ("forecast of the next day's vol", "QLIKE (lower is better)"),
        [(name, f"{loss:.4f}") for name, loss in sorted(own["qlike"].items(), key=lambda pair: pair[1])],
    )


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


TABLES = {
    "hypotheses": _hypotheses,
    "other assumptions": _others,
    "placebos": _placebos,
    "forecasts": _forecasts,
    "signs": _signs,
    "coins": _coins,
    "left out": _left_out,
    "digests": _digests,
}


if __name__ == "__main__":
    sys.exit(main())
