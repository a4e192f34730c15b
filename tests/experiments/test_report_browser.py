"""The report in a real browser: opened from disk with the network off, at desk and phone width, light and dark, and on paper."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.browser_views import VIEWS
from tests.experiments.sample_document import empty_document, hostile_document, sample_document

from tailwag.experiments.report import report_html

pytestmark = pytest.mark.browser

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DOCUMENTS: dict[str, Any] = {
    "full": lambda: sample_document(my_book=True),
    "no-liquidity": lambda: sample_document(liquidity=False),
    "one-expiry": lambda: sample_document(expiries=1),
    "all-unknown": empty_document,
    "hostile": hostile_document,
}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    path = os.environ.get("CHROMIUM_PATH") or shutil.which("chromium")
    if not path:
        pytest.skip("needs a browser: apt-get install chromium fonts-dejavu-core, or name one in CHROMIUM_PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("report")
    for name, make in DOCUMENTS.items():
        (place / f"{name}.html").write_text(report_html(make()), encoding="utf-8")
    return place


@dataclass
class Visit:
    """A page and whatever went wrong on it."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def wait_until(self, script: str) -> None:
        """Ask until it is so; the page's own policy forbids the evaluation that a waiting function would need."""
        for _ in range(400):
            if self.page.evaluate(script):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never came true: {script}")

    def draw_everything(self) -> None:
        self.wait_until(
            "[...document.querySelectorAll('.figure')].every((place) => !place.clientWidth || place.querySelector('.main-svg'))"
        )


def visit(chromium: Any, file: Path, *, width: int, scheme: str) -> Visit:
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
    context.set_default_timeout(20_000)
    seen = Visit(context.new_page())
    seen.page.on("console", lambda message: seen.errors.append(message.text) if message.type in ("error", "warning") else None)
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on("dialog", lambda dialog: seen.errors.append(f"dialog {dialog.message}"))
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.goto(file.as_uri())
    return seen


@VIEWS
def test_every_figure_is_drawn_offline(chromium: Any, folder: Path, width: int, scheme: str) -> None:
    seen = visit(chromium, folder / "full.html", width=width, scheme=scheme)
    seen.draw_everything()
    assert seen.errors == []
    assert seen.requests == [(folder / "full.html").as_uri()]
    assert seen.page.locator(".figure").count() == seen.page.locator(".figure .main-svg:first-of-type").count() > 20
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    seen.page.context.close()


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_no_document_breaks_the_page(chromium: Any, folder: Path, name: str) -> None:
    seen = visit(chromium, folder / f"{name}.html", width=1280, scheme="light")
    seen.draw_everything()
    assert seen.errors == []
    assert len(seen.requests) == 1
    assert seen.page.title() != "owned"
    assert seen.page.locator("img").count() == 0
    seen.page.context.close()


def test_the_answer_is_on_the_first_screen(chromium: Any, folder: Path) -> None:
    seen = visit(chromium, folder / "full.html", width=1280, scheme="light")
    for selector in (".badge", "h1", ".tiles", ".strip", ".assumptions"):
        box = seen.page.locator(selector).first.bounding_box()
        assert box["y"] + box["height"] <= 800, selector
    seen.page.context.close()


def test_the_headline_is_on_the_first_screen_of_a_phone(chromium: Any, folder: Path) -> None:
    seen = visit(chromium, folder / "full.html", width=390, scheme="light")
    box = seen.page.locator("h1").bounding_box()
    assert box["y"] + box["height"] <= 800
    seen.page.context.close()


def test_dark_mode_exchanges_the_colours_of_page_and_figures(chromium: Any, folder: Path) -> None:
    seen = visit(chromium, folder / "full.html", width=1280, scheme="light")
    line = "document.querySelector('#gex-profile .scatterlayer .js-line').style.stroke"
    back = "getComputedStyle(document.body).backgroundColor"
    seen.draw_everything()
    light = [seen.page.evaluate(line), seen.page.evaluate(back)]
    seen.page.emulate_media(color_scheme="dark")
    seen.wait_until(f"{line} !== {light[0]!r}")
    dark = [seen.page.evaluate(line), seen.page.evaluate(back)]
    assert [sum(map(int, re.findall(r"\d+", colour)[:3])) > 380 for colour in (*light, *dark)] == [False, True, True, False]
    seen.page.context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_labels_do_not_overlap(chromium: Any, folder: Path, width: int) -> None:
    """Names of rows and numbers beside bars, of each figure that has them, against each other."""
    seen = visit(chromium, folder / "full.html", width=width, scheme="light")
    seen.draw_everything()
    script = """() => {
      const found = [];
      for (const place of document.querySelectorAll('#who-is-short, #gain-by-law, #calendar, #forward, #data-quality, #by-expiry')) {
        const texts = [...place.querySelectorAll('.xtick text, .ytick text, .bartext, .annotation-text, .legendtext, .xtitle, .ytitle')]
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


def test_prints_in_light_on_paper(chromium: Any, folder: Path, tmp_path: Path) -> None:
    seen = visit(chromium, folder / "full.html", width=1280, scheme="dark")
    seen.draw_everything()
    seen.page.pdf(path=str(tmp_path / "report.pdf"), prefer_css_page_size=True, print_background=True)
    assert (tmp_path / "report.pdf").read_bytes()[:5] == b"%PDF-"
    assert seen.errors == []
    seen.page.context.close()
