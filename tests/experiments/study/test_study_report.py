"""The page, the card and the terminal of a study: what they show is what the document says, and nothing in a document can break them."""

from __future__ import annotations

import copy
import html
import io
import re
import struct
from typing import Any

import pytest
from tests.experiments.study.study_document import ROWS, study_document

from tailwag.experiments.study.report import study_html
from tailwag.experiments.study.report_card import study_card
from tailwag.experiments.study.report_sentences import asked, came, headline, placebo_warning, secondary_sentence, seen
from tailwag.experiments.study.report_view import LABELS, Interval, glance, judged, number, rank
from tailwag.experiments.study.words import print_study, study_sentences

COMMAND = ["tailwag", "study", "all", "--panel", "my panel", "--candles", "c.csv", "--seed", "11"]
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return study_document()


@pytest.fixture(scope="module")
def page(document: dict[str, Any]) -> str:
    return study_html(document, command=COMMAND)


def table_rows(page: str, caption: str) -> list[list[str]]:
    """The cells of a table by its caption, as a reader sees them."""
    found = re.search(rf"<caption>{re.escape(html.escape(caption))}.*?</table>", page, re.DOTALL)
    assert found, caption
    rows = re.findall(r"<tr>(.*?)</tr>", found[0], re.DOTALL)
    return [[html.unescape(re.sub(r"<[^>]+>", "", cell)) for cell in re.findall(r"<t[hd][^>]*>.*?</t[hd]>", row)] for row in rows[1:]]


def figures_of(text: str) -> list[float]:
    return [float(one.replace(",", "").replace("−", "-")) for one in re.findall(r"[−]?\d[\d,]*\.?\d*(?:e[−-]?\d+)?", text)]


def to_three(*values: float) -> list[Any]:
    return [pytest.approx(value, rel=5.1e-3) for value in values]


def test_every_estimate_stands_in_the_tables(document: dict[str, Any], page: str) -> None:
    rows = {row[0]: row for row in table_rows(page, "Estimates in their own units")}
    assert len(rows) == len(ROWS) + 2
    for entry in document["hypotheses"]:
        for name, told in ((entry["name"], entry), (f"{entry['name']}, no implied vol", entry.get("without_implied_vol"))):
            if told is None:
                continue
            one, shown = told["estimates"][0], rows[name]
            assert figures_of(shown[1]) == to_three(one["value"])
            assert figures_of(shown[3]) == to_three(one["low"], one["high"])
            assert figures_of(shown[4]) == ([] if one["block_low"] is None else to_three(one["block_low"], one["block_high"]))
            assert figures_of(shown[5] + " " + shown[7]) == to_three(one["p_value"], one["seen_at"])
            assert figures_of(shown[9]) == [one["rows"]]
    assert [rows[name][6] for name in ROWS] == ["shown", *["not shown"] * 5]
    for entry in document["hypotheses"][:5]:
        other = table_rows(page, f"{entry['name']} under other assumptions")
        assert [row[0] for row in other] == ["short-all", "customers-sell-otm", "known 20 min later"]
        assert other[0][1] == "n/a"
        for row, told in zip(other[1:], entry["other_assumptions"][1:]):
            assert figures_of(f"{row[1]} {row[2]}") == to_three(*(told["estimate"][key] for key in ("value", "low", "high")))
    assert "expected rows under short-all, got none" in page


def test_placebos_forecasts_signs_and_exclusions_are_the_documents(document: dict[str, Any], page: str) -> None:
    placebos = table_rows(page, "Every placebo of every hypothesis")
    assert [row[3:5] for row in placebos] == [["2", "10"], ["2", "5"]] * 5
    forecasts = table_rows(page, "Losses of each forecast, lower is better")
    told = document["out_of_sample"]
    for row, one in zip(forecasts, (told, *told["other_assumptions"])):
        assert figures_of(" ".join(row[1:9])) == to_three(one["r2"], one["clark_west"]["p_value"], *one["qlike"].values(), one["rows"])
    signs = table_rows(page, "The sign of each part: 1 hedgers short all of it, −1 long all of it")
    assert [row[4] for row in signs] == ["not all long", *["cannot tell short from long"] * 3]
    contrasts = table_rows(page, "Sums of signs, by how much the data say of them")
    assert [row[1:2] + row[5:6] for row in contrasts] == [["91.3 %", "yes"], ["8.7 %", "no"]]
    assert [figures_of(row[1]) for row in table_rows(page, "USD that move the price 1 %")] == [[500], [123], [157]]
    assert f"would read {number(0.412 * 1.57e8 / 5e8)}" in page
    left_out = {(row[0], row[1]): figures_of(row[2])[0] for row in table_rows(page, "Left out")}
    assert left_out == {
        ("snapshots", "refused"): 7,
        ("candles", "without volume"): 5,
        **{(name, "no gain"): 3 + place for place, name in enumerate(ROWS)},
        ("replication, BTC", "no price"): 2,
    }
    assert {row[1] for row in table_rows(page, "Nothing, by these reasons")} == {"no price"}
    digests = {row[1] for row in table_rows(page, "SHA-256")}
    assert digests == {document["plan"]["sha256"], "a1" * 32, "b2" * 32, "c3" * 32}
    assert "tailwag study all --panel &#x27;my panel&#x27; --candles c.csv --seed 11</pre>" in page


def test_the_picture_is_in_units_of_the_prediction_or_of_what_can_be_seen(document: dict[str, Any]) -> None:
    predicted, others = glance(document)
    assert [row.name for row in predicted] == [LABELS["reversal"], LABELS["expiry"]], "the primary on top"
    expiry, own = predicted[1], document["hypotheses"][4]["estimates"][0]
    assert (expiry.value, expiry.low, expiry.high) == pytest.approx((-own["value"], -own["high"], -own["low"])), "-1 was predicted"
    assert expiry.predicted == 1.0
    names = ["realised-vol", "realised-vol, no implied vol", "realised-vol-1h", "realised-vol-1h, no implied vol", "shocks", "pinning"]
    assert [row.name for row in others] == [LABELS.get(name, name) for name in (*names, "out-of-sample")]
    assert [row.seen_at for row in others] == pytest.approx([1.0] * 7)
    assert [row.rejected for row in predicted + others] == [True, False, False, None, False, None, False, False, False]


def test_nulls_are_said_as_nulls(document: dict[str, Any], page: str) -> None:
    words = html.unescape(re.sub(r"<script.*?</script>|<[^>]+>", " ", page, flags=re.DOTALL))
    assert not re.search(r"\bno effect\b|has no effect|does not (exist|matter)|proves|no evidence of", words, re.IGNORECASE)
    entries = {entry["name"]: entry for entry in document["hypotheses"]}
    assert came(document, entries["realised-vol"]).startswith("Not shown: 0 cannot be rejected.")
    assert "not with 6 hypotheses taken together" in came(document, entries["realised-vol-1h"]), "p 0.021 alone"
    assert "more than the 1 that was predicted, so a null says little here" in seen(entries["expiry"])
    assert came(document, entries["expiry"]).startswith("Not shown: neither 0 nor the predicted size")
    assert f"An effect of {number(3.01 * 0.071)}" in seen(entries["reversal"])
    assert secondary_sentence(document).endswith("none is shown.")
    assert headline(document).startswith("Shown: 15-minute returns")
    for entry in document["hypotheses"]:
        assert html.escape(asked(entry)) in page


def test_the_terminal_tells_the_same(document: dict[str, Any]) -> None:
    shown = io.StringIO()
    print_study(document, file=shown)
    words = shown.getvalue()
    rows = [re.split(r" {2,}", line.strip()) for line in words.splitlines()]
    for entry in document["hypotheses"]:
        one = entry["estimates"][0]
        row = next(row for row in rows if row[0] == entry["name"] and len(row) == 7)
        assert figures_of(" ".join(row[1:4]).replace("-", "−")) == to_three(one["value"], one["low"], one["high"], one["p_value"])
    holm = [row for row in rows if row[-1] == "no" and len(row) == 3]
    assert [row[0] for row in holm] == ["realised-vol-1h", "realised-vol", "shocks", "expiry", "pinning", "out-of-sample"], "by p-value"
    losses = document["out_of_sample"]["qlike"].values()
    forecast = next(row for row in rows if row[0] == "as planned")
    assert figures_of(" ".join(forecast[3:])) == to_three(*losses)
    assert ["1.", "91.3 %", "-0.210", "-0.609 to 0.208", "-2.00 to 2.00", "yes"] in rows
    assert ["ETH", "n/a"] in rows
    assert "Left out of reversal, by reason: no gain: 3." in words
    lines = study_sentences(document)
    assert [line for line in lines if line.startswith("out-of-sample: Not shown")]
    assert max(map(len, words.splitlines())) <= 100


def turned(document: dict[str, Any]) -> dict[str, Any]:
    """The same with the primary's sign turned round."""
    other = copy.deepcopy(document)
    one = other["hypotheses"][0]["estimates"][0]
    one |= {
        "value": -one["value"],
        "low": -one["high"],
        "high": -one["low"],
        "block_low": -one["block_high"],
        "block_high": -one["block_low"],
    }
    return other


def test_a_decision_follows_the_plan_and_the_sign(document: dict[str, Any]) -> None:
    assert headline(turned(document)).startswith("The opposite of what was predicted is shown")
    primary = document["hypotheses"][0]
    null = {**document, "rejected": {**document["rejected"], "primary": {"reversal": False}}}
    assert (
        headline(null) == "Not shown: that 15-minute returns are continued where hedgers are short gamma and reversed where they are long"
    )
    assert "both intervals" in came(null, primary)
    wide = copy.deepcopy(null)
    wide["hypotheses"][0]["estimates"][0] |= {"low": -2.0, "high": 3.0, "rejects_zero": False}
    assert headline(wide).startswith("Not shown: that 15-minute returns")
    assert came(wide, wide["hypotheses"][0]).startswith("Not shown: neither 0 nor the predicted size can be ruled out.")
    assert placebo_warning(null) == "", "nothing is shown that they could put in doubt"
    assert "drawn signs (2 of 10) and shifted dates (2 of 5)" in placebo_warning(document)
    flips = study_document("pinning", ("pinning",))
    flips["hypotheses"][0]["estimates"][0] |= {"low": 0.01, "rejects_zero": True, "p_value": 0.057}
    assert headline(flips).startswith("Not shown"), "the plan decides by sign flips, not by the interval"
    alone = study_document("realised-vol", ("realised-vol-1h",))
    assert judged(alone, alone["hypotheses"][0]).rejected
    assert headline(alone).startswith("Shown at 5 %, taken alone: ")
    assert rank({"share_as_far": 1.0, "placebos": 7}) == (8, 8)
    assert Interval("a", 1.0, -1.0, 3.0, 2.0, block=(-2.0, 4.0)).over(-2.0).block == (-2.0, 1.0)


def refused(document: dict[str, Any]) -> dict[str, Any]:
    """Nothing could be estimated."""
    other = copy.deepcopy(document)
    for entry in other["hypotheses"]:
        entry |= {"estimates": [], "refused": "expected more rows", "placebos": [], "other_assumptions": []}
        entry.pop("without_implied_vol", None)
    other["out_of_sample"] = {**other["out_of_sample"], "refused": "too short", "other_assumptions": []}
    other["identification"] = {"depth_from_flow": {"refused": "no flow"}, "refused": "no parts"}
    other["replication"] = [{"currency": "BTC", "refused": "too short"}]
    other["rejected"]["primary"] = {"reversal": False}
    return other


def hostile(value: Any) -> Any:
    """Every text of a document replaced, names of hypotheses too."""
    if isinstance(value, dict):
        return {key: one if key in ("schema", "depth") else hostile(one) for key, one in value.items()}
    if isinstance(value, list):
        return [hostile(one) for one in value]
    return f"{HOSTILE}$x^$\x1b[31m{value}" if isinstance(value, str) else value


@pytest.mark.parametrize("name", ["all", "expiry", "pinning", "refused", "hostile", "older plan"])
def test_every_document_makes_a_page_and_a_card(name: str) -> None:
    whole = study_document()
    shown = {
        "all": whole,
        "expiry": study_document("expiry", ("expiry",)),
        "pinning": study_document("pinning", ("pinning",)),
        "refused": refused(whole),
        "hostile": hostile(whole),
        "older plan": {**whole, "plan": {"sha256": "0" * 64, "version": 1}},
    }[name]
    made = study_html(shown, command=[HOSTILE])
    assert HOSTILE not in made
    assert "None" not in re.sub(r"<script.*?</script>", "", made, flags=re.DOTALL)
    assert ("The plan on its prediction" in made) == (name in ("all", "expiry", "pinning", "refused") and name != "expiry")
    print_study(shown, file=io.StringIO())
    assert ("Without an answer, for want of data: reversal, " in made) == (name == "refused")
    card = study_card(shown, theme="dark" if name == "hostile" else "light")
    assert struct.unpack(">II", card[16:24]) == (1200, 675)
