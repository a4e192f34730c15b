"""Draws docs/images from the demo market: the cards for chat, and parts of the HTML reports as a browser shows them.

Run: python tools/make_docs_images.py [CHROMIUM]     (needs playwright and a Chromium; the card alone needs neither)

Pictures show the synthetic demo only, never real data, and are reduced to 64 colours: all of them together stay below 300 kB.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

import tailwag as tw
from tailwag.errors import InputError
from tailwag.experiments.measure import MeasureOptions
from tailwag.experiments.report import report_html
from tailwag.experiments.report_card import report_card
from tailwag.experiments.report_json import strict_json
from tailwag.experiments.run_examples import run_examples
from tailwag.experiments.run_report import run_report_html
from tailwag.experiments.run_report_card import run_card
from tailwag.experiments.scenario_files import Overrides, load_scenario
from tailwag.experiments.scenario_from_measurement import BOOK_NAME, Stated, scenario_from_measurement
from tailwag.experiments.simulate import Simulated, simulate_file

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
RUN_SECTIONS = ("price", "pins", "runaways")
SECTIONS = ("profile", "flows", "who", "where", "when", "vol")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
MOST_BYTES = 300_000


def main() -> None:
    """Draw everything that the tools at hand allow."""
    document = tw.measure(tw.demo(), MeasureOptions(dynamics="sticky-strike")).document()
    FOLDER.mkdir(parents=True, exist_ok=True)
    save(report_card(document), "card")
    save(run_card(simulated(document, Overrides(paths=1_000), depth_usd_per_pct=400e6).document), "run-card")
    browser = sys.argv[1] if len(sys.argv) > 1 else shutil.which("chromium")
    if browser:
        screenshots(report_html(document), browser, SECTIONS, "report")
        # as thin as the demo's order book alone says, so that a few paths run away
        run = simulated(document, Overrides(paths=2_000), depth_usd_per_pct=65e6)
        screenshots(run_report_html(run.document, run_examples(run.run)), browser, RUN_SECTIONS, "run")
    total = sum(path.stat().st_size for path in FOLDER.glob("*.png"))
    print(f"{total:,} bytes in {FOLDER}")
    assert total < MOST_BYTES, "too large for a repository: draw fewer or smaller pictures"


def simulated(document: dict[str, Any], overrides: Overrides, *, depth_usd_per_pct: float) -> Simulated:
    """The measured book's next 24 hours, as tailwag simulate runs them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, BOOK_NAME).write_bytes(strict_json(document))
        for uncalibrated in ("", "some paths run away"):
            stated = Stated(depth_usd_per_pct, uncalibrated=uncalibrated)
            text = scenario_from_measurement(document, name=BOOK_NAME, overrides=overrides, stated=stated)
            Path(folder, "scenario.toml").write_text(text, encoding="utf-8")
            try:
                return simulate_file(load_scenario(Path(folder, "scenario.toml")))
            except InputError:
                if uncalibrated:
                    raise
    raise AssertionError("never reached")


def screenshots(page_html: str, browser: str, sections: tuple[str, ...], prefix: str) -> None:
    """One picture for each section of the report."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "report.html"
        file.write_text(page_html, encoding="utf-8")
        chromium = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        page = chromium.new_page(viewport={"width": 1100, "height": 900})
        page.goto(file.as_uri())
        page.wait_for_timeout(3_000)
        for name in sections:
            save(page.locator(f"#{name}").screenshot(), f"{prefix}-{name}")
        chromium.close()


def save(data: bytes, name: str) -> None:
    """A picture with 64 colours."""
    picture = Image.open(io.BytesIO(data)).convert("RGB").quantize(colors=64, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    picture.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
