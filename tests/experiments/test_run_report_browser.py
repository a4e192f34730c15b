"""The report of a run in a real browser: opened from disk with the network off, at desk and phone width, light and dark, and on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.browser_views import VIEWS
from tests.experiments.scenario_texts import saved
from tests.experiments.test_report_browser import chromium, visit  # noqa: F401 - chromium is a fixture
from tests.experiments.test_run_report import TEXTS, hostile

from tailwag.experiments.run_examples import run_examples
from tailwag.experiments.run_report import run_report_html
from tailwag.experiments.scenario_files import load_scenario
from tailwag.experiments.simulate import simulate_file

pytestmark = pytest.mark.browser
NAMES = ("aged", "runaway", "two-desks", "no-start", "hostile", "empty")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("run-report")
    for name in NAMES[:4]:
        done = simulate_file(load_scenario(saved(place, TEXTS[name])))
        (place / f"{name}.html").write_text(run_report_html(done.document, run_examples(done.run)), encoding="utf-8")
        if name == "aged":
            (place / "hostile.html").write_text(run_report_html(hostile(done.document)), encoding="utf-8")
    (place / "empty.html").write_text(run_report_html({}), encoding="utf-8")
    return place


@VIEWS
@pytest.mark.parametrize("name", NAMES)
def test_every_figure_is_drawn_offline(chromium: Any, folder: Path, name: str, width: int, scheme: str) -> None:  # noqa: F811
    seen = visit(chromium, folder / f"{name}.html", width=width, scheme=scheme)
    seen.draw_everything()
    assert seen.errors == []
    assert seen.requests == [(folder / f"{name}.html").as_uri()]
    assert seen.page.locator(".figure").count() >= 6
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.page.title() != "owned"
    seen.page.context.close()


@pytest.mark.parametrize(("width", "last"), [(1280, ".tiles"), (390, "h1")])
def test_the_answer_is_on_the_first_screen(chromium: Any, folder: Path, width: int, last: str) -> None:  # noqa: F811
    seen = visit(chromium, folder / "aged.html", width=width, scheme="light")
    box = seen.page.locator(last).bounding_box()
    assert box["y"] + box["height"] <= 800
    seen.page.context.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["aged", "two-desks"])
def test_labels_do_not_overlap(chromium: Any, folder: Path, name: str, width: int) -> None:  # noqa: F811
    seen = visit(chromium, folder / f"{name}.html", width=width, scheme="light")
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
    seen = visit(chromium, folder / "aged.html", width=1280, scheme="dark")
    seen.draw_everything()
    seen.page.pdf(path=str(tmp_path / "report.pdf"), prefer_css_page_size=True, print_background=True)
    assert (tmp_path / "report.pdf").read_bytes()[:5] == b"%PDF-"
    assert seen.errors == []
    seen.page.context.close()
