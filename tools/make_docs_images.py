"""Draws docs/images from the demo market: the card for chat, and parts of the HTML report as a browser shows them.

Run: python tools/make_docs_images.py [CHROMIUM]     (needs playwright and a Chromium; the card alone needs neither)

Pictures show the synthetic demo only, never real data, and are reduced to 64 colours: all of them together stay below 300 kB.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

import tailwag as tw
from tailwag.experiments.measure import MeasureOptions
from tailwag.experiments.report import report_html
from tailwag.experiments.report_card import report_card

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
SECTIONS = ("profile", "flows", "who", "where", "when", "vol")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
MOST_BYTES = 300_000


def main() -> None:
    """Draw everything that the tools at hand allow."""
    document = tw.measure(tw.demo(), MeasureOptions(dynamics="sticky-strike")).document()
    FOLDER.mkdir(parents=True, exist_ok=True)
    save(report_card(document), "card")
    browser = sys.argv[1] if len(sys.argv) > 1 else shutil.which("chromium")
    if browser:
        screenshots(report_html(document), browser)
    total = sum(path.stat().st_size for path in FOLDER.glob("*.png"))
    print(f"{total:,} bytes in {FOLDER}")
    assert total < MOST_BYTES, "too large for a repository: draw fewer or smaller pictures"


def screenshots(page_html: str, browser: str) -> None:
    """One picture for each section of the report."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "report.html"
        file.write_text(page_html, encoding="utf-8")
        chromium = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        page = chromium.new_page(viewport={"width": 1100, "height": 900})
        page.goto(file.as_uri())
        page.wait_for_timeout(3_000)
        for name in SECTIONS:
            save(page.locator(f"#{name}").screenshot(), f"report-{name}")
        chromium.close()


def save(data: bytes, name: str) -> None:
    """A picture with 64 colours."""
    picture = Image.open(io.BytesIO(data)).convert("RGB").quantize(colors=64, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    picture.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
