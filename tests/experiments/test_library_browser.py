"""The page of a compared scenario in a real browser: from disk, with the network off, at desk and phone width, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.browser_views import VIEWS
from tests.experiments.test_report_browser import chromium, visit  # noqa: F401 - chromium is a fixture

from tailwag.experiments.scenario_assets import open_assets
from tailwag.experiments.scenario_assets_play import asset_twins, play_assets
from tailwag.experiments.scenario_assets_report import assets_html
from tailwag.experiments.scenario_files import Overrides
from tailwag.experiments.scenario_library import library_story, open_story
from tailwag.experiments.scenario_play import play
from tailwag.experiments.scenario_report import scenario_html
from tailwag.experiments.scenario_switches import chosen_switch

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    story = library_story("zero-dte")
    file = open_story(story, overrides=Overrides(paths=60), given={})
    words = ("strike-limit", "batch", "internal-crossing", "without:agent=dealers")
    found = tmp_path_factory.mktemp("scenario") / "zero.html"
    found.write_text(scenario_html(play(story, file, [chosen_switch(word) for word in words]).document), encoding="utf-8")
    return found


@VIEWS
def test_every_figure_is_drawn_offline(chromium: Any, page: Path, width: int, scheme: str) -> None:  # noqa: F811
    seen = visit(chromium, page, width=width, scheme=scheme)
    seen.draw_everything()
    assert seen.errors == []
    assert seen.requests == [page.as_uri()]
    assert seen.page.locator(".figure").count() >= 7
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    box = seen.page.locator("h1").bounding_box()
    assert box["y"] + box["height"] <= 800
    seen.page.context.close()


def test_the_page_of_several_assets_is_drawn_on_a_phone(chromium: Any, tmp_path: Path) -> None:  # noqa: F811
    file = open_assets("btc-eth-contagion")
    assert file is not None
    path = tmp_path / "contagion.html"
    path.write_text(assets_html(play_assets(file, asset_twins(file.scenario), paths=20, seed=1)), encoding="utf-8")
    seen = visit(chromium, path, width=390, scheme="dark")
    seen.draw_everything()
    assert seen.errors == []
    assert seen.requests == [path.as_uri()]
    assert seen.page.locator(".figure").count() == 8
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
    seen.page.context.close()
