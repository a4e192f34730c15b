"""The HTML report, the card and the terminal summary: the answer first, nothing loaded, nothing executed, nothing raised."""

from __future__ import annotations

import base64
import copy
import hashlib
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import Any

import pytest
from tests.experiments.sample_document import empty_document, hostile_document, sample_document

from tailwag.experiments.report import report_html
from tailwag.experiments.report_card import report_card
from tailwag.experiments.report_terminal import print_summary
from tailwag.experiments.report_view import answer, forward_labels

DOCUMENTS: dict[str, Any] = {
    "full": lambda: sample_document(my_book=True),
    "no-liquidity": lambda: sample_document(liquidity=False),
    "one-expiry": lambda: sample_document(expiries=1),
    "clean": lambda: sample_document(masked=False),
    "all-unknown": empty_document,
    "hostile": hostile_document,
    "nothing": dict,
}
VOID = {"meta", "link", "img", "br", "hr", "input", "base", "source"}


class Page(HTMLParser):
    """What a browser would build: tags with their attributes, text outside scripts, and whether tags nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            attributes, before = self.scripts[-1]
            self.scripts[-1] = (attributes, before + data)
        elif self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: report_html(make()) for name, make in DOCUMENTS.items()}


def every_name() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", sorted(DOCUMENTS))


class TestHtml:
    @every_name()
    def test_well_formed_and_about_five_megabytes(self, pages: dict[str, str], name: str) -> None:
        page = Page(pages[name])
        assert page.open == []
        assert len(pages[name]) < 6_000_000

    @every_name()
    def test_nothing_is_loaded_from_anywhere(self, pages: dict[str, str], name: str) -> None:
        page = Page(pages[name])
        for tag, attributes in page.tags:
            assert not {"src", "href", "srcset", "action", "data", "poster", "background"} & set(attributes), (tag, attributes)
        assert not {"link", "iframe", "object", "embed", "base", "img", "form"} & {tag for tag, _ in page.tags}
        style = re.findall(r"<style>(.*?)</style>", pages[name], re.DOTALL)
        assert len(style) == 1
        assert "url(" not in style[0]
        assert "@import" not in style[0]

    @every_name()
    def test_the_policy_names_exactly_the_scripts_that_run(self, pages: dict[str, str], name: str) -> None:
        page = Page(pages[name])
        policy = next(
            str(attributes["content"]) for tag, attributes in page.tags if attributes.get("http-equiv") == "Content-Security-Policy"
        )
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe-inline" not in policy.split("style-src")[0]
        run = [body for attributes, body in page.scripts if attributes.get("type") != "application/json"]
        assert len(run) == 2
        for body in run:
            assert f"'sha256-{base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()}'" in policy

    @every_name()
    def test_no_handler_attributes(self, pages: dict[str, str], name: str) -> None:
        assert not [key for _, attributes in Page(pages[name]).tags for key in attributes if key.startswith("on")]

    @every_name()
    def test_every_drawing_is_strict_json_with_a_place(self, pages: dict[str, str], name: str) -> None:
        page = Page(pages[name])
        places = {attributes["id"] for _, attributes in page.tags if attributes.get("class") == "figure"}
        drawings = {str(attributes["id"]): body for attributes, body in page.scripts if str(attributes.get("id")).startswith("data-")}
        assert {f"data-{place}" for place in places} == set(drawings)
        assert len(places) >= 10
        for body in drawings.values():
            json.loads(body, parse_constant=lambda word: pytest.fail(f"{word} in a drawing"))

    def test_hostile_text_stays_text(self, pages: dict[str, str]) -> None:
        page = Page(pages["hostile"])
        assert not [tag for tag, _ in page.tags if tag == "img"]
        assert "<img src=x onerror=alert(1)>" in page.text
        assert all(
            'document.title="owned"' not in body for attributes, body in page.scripts if attributes.get("type") != "application/json"
        )
        assert "\x1b" not in pages["hostile"]
        assert "\u202e" not in pages["hostile"].split('<script type="application/json" id="palette">')[0]

    def test_first_screen_answers(self, pages: dict[str, str]) -> None:
        document = sample_document(my_book=True)
        head = pages["full"].split("</header>")[0]
        text = Page(head.split("<body>")[1] + "</header></main>" if False else head.split("<main>")[1] + "</header>").text
        for expected in (
            "sign undetermined: long-calls-short-puts says amplifying, customers-sell-otm says damping.",
            "SYNTHETIC",
            "Degraded data. 1.3 % of open interest has no usable volatility",
            "Nearest flip $92,398 +0.8 % away; amplifying below, damping above",
            "Next expiry −$27.",
            "sticky-moneyness",
            "square-root (from volume), $78.0m per 1 %",
            "hedged share: 100 %",
        ):
            assert expected in text, expected
        row = next(row for row in document["flows"] if (row["spot_move_pct"], row["vol_move_volpt"], row["hours"]) == (-3, 0, 0))
        assert row["buy_usd"] < 0
        assert f"−3 % sell ${-row['buy_usd'] / 1e6:.0f}m" in text

    def test_without_liquidity_no_gain_is_printed(self, pages: dict[str, str]) -> None:
        text = Page(pages["no-liquidity"]).text
        assert "Break-even depth" in text
        assert "Loop gain G" not in text
        assert "no liquidity known" in text

    def test_what_expiry_releases_is_named_where_it_counts(self, pages: dict[str, str]) -> None:
        text = Page(pages["full"]).text
        assert "The move, and 24 h of ageing. +$31.0m of it as options expire." in text
        assert text.count("of it as options expire") == 1
        assert "24 h includes +$31.0m as options expire" in " ".join(printed(sample_document()).split())

    def test_clean_data_has_no_degraded_banner(self, pages: dict[str, str]) -> None:
        assert "Degraded" not in Page(pages["clean"]).text
        assert "Nothing is masked" in pages["clean"]

    def test_every_unknown_of_the_gain_has_its_reason(self) -> None:
        document = sample_document()
        document["gain"].update(with_vanna=None, vanna_reason="no smile, so no beta")
        text = Page(report_html(document)).text
        assert "with vanna n/a no smile, so no beta" in text
        assert "gain G, gamma only +0.30" in text

    def test_tables_have_headings(self, pages: dict[str, str]) -> None:
        tags = [(tag, attributes) for tag, attributes in Page(pages["full"]).tags]
        tables = sum(tag == "table" for tag, _ in tags)
        assert tables == sum(tag == "caption" for tag, _ in tags) >= 10
        assert all(attributes.get("scope") in ("col", "row") for tag, attributes in tags if tag == "th")

    def test_own_book_and_trade(self, pages: dict[str, str]) -> None:
        text = Page(pages["full"]).text
        assert "vega per vol point +$15.0k +0.155 BTC" in text
        assert "market's net GEX per 1 % −$23.7m −$21.5m" in text
        assert "My book" not in Page(pages["clean"]).text

    def test_every_venue_has_its_smiles(self) -> None:
        document = sample_document(expiries=2)
        other = copy.deepcopy(document["surface"]["smiles"])
        for smile in other:
            smile["venue"] = "okx"
        document["surface"]["smiles"] += other
        text = Page(report_html(document)).text
        assert "Smiles on deribit" in text
        assert "Smiles on okx" in text


class TestAnswer:
    @pytest.mark.parametrize(
        ("gex", "regime", "words"),
        [(5e7, "damping", "long gamma"), (-5e7, "amplifying", "short gamma"), (-5e7, "runaway", "gain is 1 or more")],
    )
    def test_regime_in_words(self, gex: float, regime: str, words: str) -> None:
        document = sample_document()
        document["gain"].update(regime=regime, value=-gex / 4e7)
        first = answer(document)
        assert words in first.regime_meaning
        assert first.tiles[0].label == "Loop gain G"
        assert first.tiles[0].tone == ("damping" if gex > 0 else "runaway")

    def test_the_nearest_of_many_flips(self) -> None:
        document = sample_document()
        document["levels"]["flips"] = [
            {"spot_usd": 80e3, "crossing": "positive-to-negative"},
            {"spot_usd": 90e3, "crossing": "negative-to-positive"},
        ]
        tile = answer(document).tiles[1]
        assert tile.value == "$90,000"
        assert tile.detail == "−1.8 % away; amplifying below, damping above; 1 more"

    def test_a_rule_without_gain_is_counted(self) -> None:
        document = sample_document()
        document["gain"]["by_rule"].append({"rule": "flow:trades.json", "gex_usd_per_pct": 1e9, "value": None})
        tile = answer(document).tiles[0]
        assert tile.tone == "undetermined"
        assert tile.detail.endswith("unknown for 1 of 3 rules")

    @pytest.mark.parametrize(("status", "value"), [("none", "none"), ("edge", "none"), (None, "n/a")])
    def test_no_flip_is_said_not_drawn(self, status: Any, value: str) -> None:
        document = sample_document()
        document["levels"].update(flips=[], flip_status=status)
        assert answer(document).tiles[1].value == value

    def test_sides_follow_the_sign(self) -> None:
        document = sample_document()
        for row in document["flows"]:
            row["buy_usd"], row["buy_coin"] = 1e6 * row["spot_move_pct"], 10.0 * row["spot_move_pct"]
        assert [cell.side for cell in answer(document).flows] == ["sell"] * 3 + ["buy"] * 3

    def test_damping_book_never_said_to_run_away(self) -> None:
        document = sample_document(liquidity=False)
        document["exposure"]["gex_usd_per_pct"] = 4e7
        document["gain"].update(regime="damping")
        assert "runs away" not in answer(document).tiles[0].detail

    @pytest.mark.parametrize(
        ("row", "label"),
        [
            ({"event": "+6 h", "hours": 6.0}, "+6 h"),
            ({"hours": 0.5}, "+30 min"),
            ({}, "later"),
            ({"event": "after expiry 2026-03-27T08:00:00Z"}, "after 27 Mar"),
        ],
    )
    def test_forward_labels(self, row: dict[str, Any], label: str) -> None:
        assert forward_labels([row]) == [label]


def printed(document: Any, *, width: int | None = None, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    print_summary(document, file=stream, width=width)
    stream.flush()
    return raw.getvalue().decode(encoding)


class TestTerminal:
    @every_name()
    @pytest.mark.parametrize("width", [100, 60])
    def test_fits_and_never_raises(self, name: str, width: int) -> None:
        lines = printed(DOCUMENTS[name](), width=width).splitlines()
        assert max(map(len, lines)) <= width

    @every_name()
    def test_survives_a_terminal_without_unicode(self, name: str) -> None:
        assert printed(DOCUMENTS[name](), encoding="ascii").isascii()

    def test_sentences_come_before_tables(self) -> None:
        text = printed(sample_document())
        assert (
            text.index("sign undetermined")
            < text.index("Assumed:")
            < text.index("Hedgers must trade")
            < text.index("Levels")
            < text.index("Data quality")
        )

    def test_tables_hold_the_document_s_numbers(self) -> None:
        text = printed(sample_document(my_book=True))
        for expected in (
            "$92,398",
            "book",
            "0.260 %",
            "$41.0m",
            "iv missing",
            "customers-sell-otm",
            "-500 contracts of BTC-27MAR26-100000-C",
            "vega per vol point",
        ):
            assert expected in text, expected

    def test_no_colour_where_none_is_wanted(self) -> None:
        assert "\x1b" not in printed(sample_document())

    def test_hostile_text_cannot_steer_the_terminal(self) -> None:
        text = printed(hostile_document())
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "[red]" in text

    def test_numbers_that_differ_in_sign_print_differently(self) -> None:
        document = sample_document()
        for row in document["flows"]:
            row["buy_usd"] = 1e6 * row["spot_move_pct"]
        text = printed(document)
        assert re.search(r"-3 %\s+-\$3.00m", text)
        assert re.search(r"\+3 %\s+\+\$3.00m", text)


class TestCard:
    @every_name()
    def test_is_a_picture_of_the_promised_size(self, name: str) -> None:
        data = report_card(DOCUMENTS[name](), theme="dark" if name == "full" else "light")
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (1200, 675)

    def test_differs_when_the_answer_differs(self) -> None:
        document = sample_document()
        before = report_card(document)
        document["headline"][0] = "Hedging damps moves."
        assert report_card(document) != before

    def test_no_text_leaves_the_picture_or_meets_another(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from matplotlib.figure import Figure

        boxes: dict[str, Any] = {}
        save = Figure.savefig

        def measured(self: Figure, *args: Any, **kwargs: Any) -> None:
            save(self, *args, **kwargs)
            renderer = self.canvas.get_renderer()  # type: ignore[attr-defined]
            boxes.update({text.get_text(): text.get_window_extent(renderer) for text in self.texts})

        monkeypatch.setattr(Figure, "savefig", measured)
        for name in ("full", "no-liquidity", "hostile"):
            boxes.clear()
            report_card(DOCUMENTS[name]())
            assert len(boxes) > 20
            for text, box in boxes.items():
                assert box.x0 >= 0, text
                assert box.x1 <= 1200, text
                assert box.y0 >= 0, text
                assert box.y1 <= 675, text
            items = list(boxes.items())
            for rank, (text, box) in enumerate(items):
                for other, against in items[rank + 1 :]:
                    overlap = (
                        min(box.x1, against.x1) - max(box.x0, against.x0) > 1 and min(box.y1, against.y1) - max(box.y0, against.y0) > 3
                    )
                    assert not overlap, (name, text, other)


def test_the_machine_readable_path_stays_light() -> None:
    code = "import tailwag, tailwag.experiments, sys; print([name for name in ('plotly', 'matplotlib', 'rich') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_drawing_libraries_load_only_when_a_picture_is_asked_for() -> None:
    code = (
        "import sys, tailwag.figures, tailwag.experiments.report, tailwag.experiments.report_card, tailwag.experiments.report_terminal;"
        "print([name for name in ('plotly', 'matplotlib', 'rich', 'polars', 'scipy') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
