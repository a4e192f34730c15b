"""The matrix of mitigations in words: its headline, why a switch does not apply, and the table as Markdown and for a console."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import IO, Any

from tailwag.experiments.answer_terminal import print_answer, small_table
from tailwag.experiments.run_report_words import percent
from tailwag.experiments.scenario_compare import CLEAR
from tailwag.experiments.scenario_matrix_history import HEADS as HISTORY_HEADS
from tailwag.experiments.scenario_matrix_history import history_rows, history_sentences, history_title
from tailwag.experiments.scenario_sentences import estimate_words, plain_number
from tailwag.experiments.scenario_verdicts import two_sided_p

Document = Mapping[str, Any]
EXACTLY = "0, to the bit"
NEEDS = {
    "price-band-pause": "dealers, insurers or ladders",
    "slower-hedging": "dealers or insurers who trade by a rule",
    "wider-bands": "dealers or insurers who trade by a rule",
    "batch": "dealers or insurers who trade by a rule",
    "random-times": "dealers or insurers who trade by a rule",
    "strike-limit": "a list of a dealer's options or a vault, with one strike over the limit",
    "expiry-limit": "a list of a dealer's options with one expiry over the limit",
    "position-limit": "quoting dealers",
    "epoch-randomisation": "option vaults",
    "epoch-tranches": "option vaults",
    "lower-leverage": "leveraged positions",
    "window-ban": "anybody who pushes a settlement window",
    "private-flow": "anybody who sees the orders of others",
    "dynamic-margin": "leveraged accounts with a margin table (a ladder of liquidation prices has none)",
    "controller": "dealers who hedge",
    "backstop-hedges": "margined books",
    "power-perp-hedge": "dealers who hedge",
    "power-perp-crab": "dealers short gamma who hedge",
    "dynamic-fee": "pools with a fee",
    "late-price-fee": "options pools with a late price",
    "spread-clocks": "several strategies that hedge by one public rule",
    "spread-rules": "several strategies that hedge by one public rule",
    "hedge-on": "a second venue",
    "liquidate-on-index": "a second venue",
}
"""What a switch works on, by its name; a switch without an entry says only that it found nothing."""
THERE = {
    "circuit-breaker": "finds a breaker as tight there already",
    "hedge-on": "finds every dealer there already",
    "liquidate-on-index": "finds every venue on the index already",
}
"""What a switch finds that changes nothing where what it works on is there."""
MARK = "\N{DAGGER}"
ONE_WORD = {"helps": "**helps**", "nothing": "nothing", "harms": "**harms**"}


def reason_for(switch: str, *, several_venues: bool = False) -> str:
    """Why a switch has nothing to change in a scenario.

    >>> reason_for("epoch-tranches")
    'wants option vaults, and the scenario has none'
    """
    if switch in THERE and (several_venues or switch not in NEEDS):
        return THERE[switch]
    return f"wants {NEEDS[switch]}, and the scenario has none" if switch in NEEDS else "finds nothing here that it could change"


def matrix_command(document: Document) -> str:
    """The command that makes the table."""
    asked = document["asked"]
    words = ["tailwag", "scenario", "matrix", *asked["scenarios"]]
    for switch in asked["switches"]:
        words += ["--with", switch]
    for key in ("paths", "seed"):
        words += [f"--{key}", str(asked[key])] if asked[key] is not None else []
    return shlex.join(words)


def matrix_headline(document: Document) -> list[str]:
    """The sentences of a matrix: how many helped, did nothing, harmed; the strongest; how many were tried; what dealers' sign does."""
    return [sentence for sentence in _sentences(document) if sentence]


def _sentences(document: Document) -> Iterator[str]:
    cells = document["cells"]
    count = {word: sum(cell["effect"] == word for cell in cells) for word in ("helps", "nothing", "harms")}
    switches, scenarios = len({cell["row"] for cell in cells}), len(document["scenarios"])
    pairs = f"{_many(len(cells), 'pair')} that {'applies' if len(cells) == 1 else 'apply'}"
    if not cells and document["histories"]:
        yield from history_sentences(document)
        return
    yield (
        f"{_many(switches, 'mitigation')} against {_many(scenarios, 'scenario')}, {pairs}: "
        f"help {count['helps']}, nothing that can be seen {count['nothing']}, harm {count['harms']}."
    )
    always = [
        row["switch"] for row in document["switches"] if row["helps"] and not row["nothing"] and not row["harms"] and len(row["helps"]) > 1
    ]
    if always:
        yield f"Help wherever they apply: {', '.join(always)}."
    harm = sorted((cell for cell in cells if cell["effect"] == "harms"), key=lambda cell: -abs(cell["z"] or 0.0))
    if harm:
        yield "Harm: " + ", ".join(f"{cell['switch']} in {cell['scenario']} ({change_words(cell)})" for cell in harm[:6]) + "."
    yield counted(document)
    yield from history_sentences(document)
    yield from (_sign(row) for row in document["dealer_gamma"] if row["outcome"] == "liquidated_usd")


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def counted(document: Document) -> str:
    """How many were tried, and what that does to the verdicts."""
    cells = document["cells"]
    if not cells:
        return ""
    called = [cell for cell in cells if cell["effect"] != "nothing"]
    differ = sum(cell["p"] < 1.0 for cell in cells)
    lost = sum(not cell["stays"] for cell in called)
    fall = "all of them stay" if not lost else f"{lost} of them, marked {MARK}, would not"
    return (
        f"{_many(len(cells), 'difference')} tried, {differ} not 0. A verdict wants more than {CLEAR:g} standard errors, and chance alone would give "
        f"{differ * two_sided_p(CLEAR):.1f} such verdicts; there are {len(called)}. Counted all together (Holm, {100 * document['family_error']:g} % for one "
        f"false verdict among all; Bonferroni's bound is z = {document['bonferroni_z']:.2f}), {fall}."
    )


def _sign(row: Document) -> str:
    told = " and ".join(
        f"{sign} gamma {estimate_words(row, row[sign]['difference'], signed=True)} (z {plain_number(row[sign]['z'])})"
        for sign in ("long", "short")
    )
    return f"{row['scenario']}, {row['words']}: {estimate_words(row, row['none'])} without dealers; with the same dealers {told}."


def change_words(cell: Document) -> str:
    """A cell's difference, relative to its base where that is not zero."""
    if cell["paths_that_differ"] == 0:
        return EXACTLY
    if cell["relative"] is None:
        return estimate_words(cell, cell["difference"], signed=True)
    return percent(cell["relative"], signed=True)


def cost_words(cell: Document, *, most: int = 3) -> str:
    """What a cell costs, and whom: profits that fall, gaps that widen, halts; clear of their errors only."""
    pays = [row for row in cell["costs"] if row["outcome"].startswith("pnl:")]
    other = [row for row in cell["costs"] if not row["outcome"].startswith("pnl:")]
    pays.sort(key=lambda row: row["difference"]["value"])
    told = [f"{row['words']} {estimate_words(row, row['difference'], signed=True)}" for row in (*pays[:2], *other)][:most]
    cut = cell["options_not_written"]
    if cut and cut > 1e-9:
        told.append(f"{percent({'value': cut})} of the options not written")
    return "; ".join(told) or "nothing that the accounts show"


def cell_words(cell: Document) -> list[str]:
    """One cell: scenario, outcome, base, effect, effect in per cent, z, verdict, cost."""
    same = cell["paths_that_differ"] == 0
    mark = MARK if cell["effect"] != "nothing" and not cell["stays"] else ""
    own = "" if cell["switch"] == cell["row"] else f" ({cell['switch'].partition(':')[2]})"
    return [
        cell["scenario"] + own,
        cell["words"],
        estimate_words(cell, cell["base"]),
        EXACTLY if same else estimate_words(cell, cell["difference"], signed=True),
        "0 %" if same else "n/a" if cell["relative"] is None else percent(cell["relative"], signed=True),
        "" if same else plain_number(cell["z"]),
        ONE_WORD[cell["effect"]] + mark,
        cost_words(cell),
    ]


HEADS = ["scenario", "outcome", "base", "effect \N{PLUS-MINUS SIGN} SE", "of the base", "z", "", "what it costs, and whom"]


def matrix_markdown(document: Document) -> str:
    """The whole matrix as Markdown: what was run, the sign of dealers' gamma, then every switch with a row for each scenario that it applies to."""
    return "\n".join(_markdown(document)) + "\n"


def _markdown(document: Document) -> Iterator[str]:
    seeds = ", ".join(f"{row['name']} {row['paths']:,} / {row['seed']}" for row in document["scenarios"])
    once = "".join(f"; one history: {row['name']}" for row in document["histories"])
    yield f"Made by `{matrix_command(document)}`, {_version(document)}. Paths / seed: {seeds or 'none'}{once}."
    yield ""
    yield counted(document)
    for row in document["left_out"]:
        yield f"\nLeft out: {row['scenario']}: {row['reason']}."
    yield from _gamma_table(document)
    for row in document["histories"]:
        yield f"\n### {history_title(row)}"
        yield from _table(HISTORY_HEADS, [[f"`{cells[0]}`", *cells[1:]] for cells in history_rows(row)])
    yield from _summary(document)
    yield from _by_scenario(document)
    for row in document["switches"]:
        yield from _switch_table(document, row)


def _version(document: Document) -> str:
    return f"tailwag {document['versions'].get('tailwag', '')}".strip()


def _table(heads: list[str], rows: list[list[str]]) -> Iterator[str]:
    yield ""
    for row in (heads, ["---"] * len(heads), *rows):
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"
    yield ""


def _gamma_table(document: Document) -> Iterator[str]:
    if not document["dealer_gamma"]:
        return
    yield "\n### The sign of the dealers' gamma"
    rows = []
    for row in document["dealer_gamma"]:
        told = [
            f"{estimate_words(row, row[sign]['difference'], signed=True)} (z {plain_number(row[sign]['z'])})" for sign in ("long", "short")
        ]
        rows.append([row["scenario"], row["words"], estimate_words(row, row["none"]), *told])
    yield from _table(["scenario", "outcome", "no dealers", "dealers long gamma", "dealers short gamma"], rows)


def _summary(document: Document) -> Iterator[str]:
    yield "### In short"
    rows = [
        [f"`{row['switch']}`", *(", ".join(row[word]) for word in ("helps", "nothing", "harms"))]
        for row in document["switches"]
        if any(row[word] for word in ("helps", "nothing", "harms"))
    ]
    yield from _table(["mitigation", "helps in", "does nothing in", "harms in"], rows)
    nowhere = [row["switch"] for row in document["switches"] if not any(row[word] for word in ("helps", "nothing", "harms"))]
    if nowhere:
        yield f"Nothing here that they could change, in any of these scenarios: {', '.join(f'`{name}`' for name in nowhere)}."


def _by_scenario(document: Document) -> Iterator[str]:
    yield "\n### Scenario by scenario"
    rows = []
    for scenario in document["scenarios"]:
        cells = [cell for cell in document["cells"] if cell["scenario"] == scenario["name"]]
        told = [_ranked(cells, word) for word in ("helps", "harms")]
        rows.append([scenario["name"], f"{scenario['words']}: {estimate_words(scenario, scenario['base'])}", *told])
    yield from _table(["scenario", "what it asks about, and its base", "helps, the largest first", "harms, the largest first"], rows)


def _ranked(cells: list[Document], effect: str) -> str:
    """Switches of one verdict in one scenario, the largest effect first."""
    kept = sorted((cell for cell in cells if cell["effect"] == effect), key=lambda cell: -abs(cell["difference"]["value"]))
    return ", ".join(f"`{cell['row']}` {change_words(cell)}{'' if cell['stays'] else MARK}" for cell in kept) or "nothing"


def _switch_table(document: Document, row: Document) -> Iterator[str]:
    cells = cells_of(document, row)
    yield f"\n### `{row['switch']}`\n"
    yield f"{row['sentence']}." + (f" Beside what accounts show it asks for: {row['asks']}." if row["asks"] else "")
    if cells:
        yield from _table(HEADS, [cell_words(cell) for cell in cells])
    for sentence in not_applied(document, row):
        yield f"{sentence}\n"


def not_applied(document: Document, row: Document) -> Iterator[str]:
    """In sentences: where the switch of a row finds nothing to change, and where the scenario cannot run with it."""
    rows = [one for one in document["does_not_apply"] if one["row"] in (row["switch"], row["asked"])]
    reasons: dict[str, list[str]] = {}
    for one in rows:
        if not one["cannot"]:
            reasons.setdefault(one["reason"], []).append(one["scenario"])
    for reason, places in reasons.items():
        yield f"Does not apply to {', '.join(places)}: it {reason}."
    for one in rows:
        if one["cannot"]:
            yield f"{one['scenario']} cannot run with it: {one['reason'].partition(': ')[2] or one['reason']}."


def cells_of(document: Document, row: Document) -> list[Document]:
    """The cells of one row of the matrix, in the order of the scenarios."""
    return [cell for cell in document["cells"] if cell["row"] == row["switch"] and cell["asked"] == row["asked"]]


def print_matrix(document: Document, *, file: IO[str] | None = None) -> None:
    """Print the sentences, then one small table for each switch."""
    tables = []
    for row in document["switches"]:
        cells = cells_of(document, row)
        told = [[one[0], one[1], one[3], one[4], one[5], one[6].replace("*", "")] for one in map(cell_words, cells)]
        tables.append(
            small_table(f"{row['switch']}: {row['sentence']}", ["scenario", "outcome", "effect", "of the base", "z", ""], told, text=(0, 1))
        )
    tables += [small_table(history_title(row), HISTORY_HEADS[:3], [one[:3] for one in history_rows(row)]) for row in document["histories"]]
    print_answer(document["headline"], _notes(document), filter(None, tables), file=file)


def _notes(document: Document) -> Iterator[str]:
    yield matrix_command(document)
    for row in document["left_out"]:
        yield f"left out: {row['scenario']}: {row['reason']}"
    for row in document["switches"]:
        yield from (f"{row['switch']}: {sentence}" for sentence in not_applied(document, row))
