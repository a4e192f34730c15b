"""The report of a study in a real browser: opened from disk with the network off, at desk and phone width, light and dark, by axe's rules, and on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.browser_views import VIEWS
from tests.experiments.study.study_document import study_document
from tests.experiments.study.test_study_report import COMMAND, hostile, refused
from tests.experiments.test_report_browser import chromium, visit  # noqa: F401 - chromium is a fixture
from tests.gates.page.live_page import CONTRAST, LEAST_CONTRAST, RESULTS

from tailwag.experiments.study.report import study_html

pytestmark = pytest.mark.browser
DRAWN = {"all": 6, "expiry": 4, "refused": 2, "hostile": 6}
"""How many figures each page has."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place, whole = tmp_path_factory.mktemp("study-report"), study_document()
    documents = {"all": whole, "expiry": study_document("expiry", ("expiry",)), "refused": refused(whole), "hostile": hostile(whole)}
    for name, document in documents.items():
        (place / f"{name}.html").write_text(study_html(document, command=COMMAND), encoding="utf-8")
    return place


@VIEWS
@pytest.mark.parametrize("name", DRAWN)
def test_every_figure_is_drawn_offline(chromium: Any, folder: Path, name: str, width: int, scheme: str) -> None:  # noqa: F811
    seen = visit(chromium, folder / f"{name}.html", width=width, scheme=scheme)
    seen.draw_everything()
    assert seen.errors == []
    assert seen.requests == [(folder / f"{name}.html").as_uri()]
    assert seen.page.locator(".figure").count() == DRAWN[name]
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.page.locator("img").count() == 0
    seen.page.context.close()


@VIEWS
def test_no_rule_of_accessibility_is_broken(chromium: Any, folder: Path, width: int, scheme: str) -> None:  # noqa: F811
    """Every fold open; contrast that axe leaves undecided, of what a scrolled table cuts off, is worked out from the colours in use.

    A figure is one image to a reader of its label, and the drawing library's bar of buttons lies inside it on every report: that rule is left out.
    """
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe: pip install axe-playwright-python")
    seen = visit(chromium, folder / "all.html", width=width, scheme=scheme)
    seen.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    seen.draw_everything()
    found = axe.Axe().run(seen.page, options={**RESULTS, "rules": {"nested-interactive": {"enabled": False}}}).response
    assert [f"{one['id']}: {node['target']}" for one in found["violations"] for node in one["nodes"]] == []
    undecided = [
        node["target"][0]
        for one in found["incomplete"]
        for node in one["nodes"]
        if one["id"] == "color-contrast" and not node["html"].startswith(("<text", "<tspan"))
    ]
    contrasts = seen.page.evaluate(CONTRAST, undecided)
    assert [target for target, contrast in zip(undecided, contrasts) if (contrast or 0.0) < LEAST_CONTRAST] == []
    seen.page.context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_answer_is_on_the_first_screen_and_labels_do_not_overlap(chromium: Any, folder: Path, width: int) -> None:  # noqa: F811
    seen = visit(chromium, folder / "all.html", width=width, scheme="light")
    for selector in ("h1", ".tile"):
        box = seen.page.locator(selector).first.bounding_box()
        assert box["y"] + box["height"] <= 800, selector
    seen.draw_everything()
    script = """() => {
      const found = [];
      for (const place of document.querySelectorAll('.figure')) {
        const texts = [...place.querySelectorAll('.xtick text, .ytick text, .annotation-text, .legendtext, .xtitle, .ytitle')]
          .filter((text) => text.textContent.trim()).map((text) => [text.textContent, text.getBoundingClientRect()]);
        const edge = place.getBoundingClientRect();
        for (const [text, box] of texts) {
          if (box.right > edge.right + 1 || box.left < edge.left - 1) found.push(`${place.id}: '${text}' is cut`);
          for (const [other, against] of texts) {
            const wide = Math.min(box.right, against.right) - Math.max(box.left, against.left);
            const high = Math.min(box.bottom, against.bottom) - Math.max(box.top, against.top);
            if (text < other && wide > 2 && high > 4) found.push(`${place.id}: '${text}' meets '${other}'`);
          }
        }
      }
      return found;
    }"""
    assert seen.page.evaluate(script) == []
    seen.page.context.close()


def test_prints_in_light_on_paper(chromium: Any, folder: Path, tmp_path: Path) -> None:  # noqa: F811
    seen = visit(chromium, folder / "all.html", width=1280, scheme="dark")
    seen.draw_everything()
    seen.page.pdf(path=str(tmp_path / "report.pdf"), prefer_css_page_size=True, print_background=True)
    assert (tmp_path / "report.pdf").read_bytes()[:5] == b"%PDF-"
    assert seen.errors == []
    seen.page.context.close()
